//! The frame of every role: what a long-running program needs before it does anything of its own.
//!
//! | module | for |
//! |---|---|
//! | [`settings`] | defaults, one YAML file, the environment and flags become one checked set of values |
//! | [`logging`] | log lines for people on a terminal, JSON elsewhere |
//! | [`metrics`] | the registry, and counters with a closed set of labels |
//! | [`health`] | what is ready, what is not and why, and whether the process still moves |
//! | [`admin`] | `/livez`, `/readyz`, `/metrics` |
//! | [`shutdown`] | from a signal to an orderly end, stage by stage |
//! | [`retry`] | trying again, with growing and random pauses |
//! | [`exit`] | the exit codes |
//!
//! Invariant: nothing here knows what the roles work on.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout))]

pub mod admin;
pub mod exit;
pub mod health;
pub mod logging;
pub mod metrics;
pub mod printable;
pub mod retry;
pub mod settings;
pub mod shutdown;
