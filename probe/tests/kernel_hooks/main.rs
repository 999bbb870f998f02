//! The kernel programs on the running kernel: real namespaces, real packets, and what came out.
//!
//! Needs root and BTF; without them each test says `SKIPPED` and, where `CI=true`, fails. Other traffic on the machine
//! does no harm: each test looks at its own namespaces only.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    unreachable_pub,
    reason = "a test may fail, print and wait where it likes"
)]

mod accounting;
mod cgroups;
mod datagrams;
mod drops;
mod lab;
mod nat;
mod old_sockets;
mod probe_run;
mod tcp;
mod tcp_corners;
