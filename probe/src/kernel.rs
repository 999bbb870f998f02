//! The kernel side seen from user space: programs, rings, tables, counters. Comes in: BPF. Goes out: [`event`] values.

pub mod event;
