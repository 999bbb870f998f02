//! End to end: the real probe in the real kernel, the real binary, the laboratory's traffic and its ledger.
//!
//! - [`filled`] says which fields of a record tell something
//! - [`machine`] says whether this machine can run them, how many attempts they make, and where the binaries are
//! - [`product`] runs `millrace run` for a node of the laboratory and reads what it stored
//! - [`truth`] holds flow records against the laboratory's ledger

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "only tests use this crate")]

pub mod filled;
pub mod machine;
pub mod product;
pub mod truth;
