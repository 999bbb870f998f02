//! Kernel events → attempts → raw records. The only crate with `unsafe`, and only below [`kernel`].
//!
//! | stage | module | |
//! |---|---|---|
//! | source | [`kernel`], [`replay`] | kernel events; or raw records from a file |
//! | observe | [`observe`] | identity, attempts, windows, books: pure, without clock or IO |
//! | name | [`identity`] | cgroup, namespace, address → pod |
//! | decide | [`attempt`] | events → attempts with an outcome |
//! | count | [`window`], [`overload`] | attempts → records of a flow key in a window |
//! | account | [`ledger`] | where each attempt went |
//! | send | [`publish`] | numbered records → bus |
//!
//! [`pipeline`] puts them together.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::panic, clippy::wildcard_imports, reason = "a test may fail where it likes")
)]

pub mod attempt;
mod capture;
pub mod clock;
pub mod identity;
pub mod kernel;
pub mod ledger;
pub mod metrics;
pub mod numbers;
pub mod observe;
pub mod overload;
pub mod pipeline;
pub mod publish;
pub mod replay;
pub mod settings;
pub mod slab;
pub mod window;

#[cfg(test)]
mod test_support;
