//! The laboratory that tells the truth: a cluster of two nodes in network namespaces, its traffic, and the ledger of it.
//!
//! Real processes, real packets, real nftables. What a client attempted and saw, and what a server received, is written
//! down by the applications themselves, so that flow records can be held against it. Never part of the product, and
//! never uses it: it knows neither probe nor policy engine.
//!
//! - [`world`] is the table of nodes, pods, services and hosts; [`names`] their identifiers
//! - [`network`], [`cgroup`], [`netns`] turn it into namespaces and cgroups; `nft/node.nft` is what nodes enforce
//! - [`Lab`] builds and ends it, runs a [`Scenario`], and returns the [`Ledger`]
//! - [`process`] is the inside of its servers and clients, told by a [`plan`]
//! - [`sweep`] removes what a killed laboratory left behind

pub mod cgroup;
mod child;
mod client;
mod dns;
mod lab;
pub mod ledger;
pub mod manifests;
pub mod names;
pub mod netns;
pub mod network;
pub mod plan;
pub mod process;
pub mod scenario;
mod server;
pub mod sweep;
pub mod world;

pub use lab::{Amount, Lab, LabError, NodePlace, Options, PodPlace, Running};
pub use ledger::{Attempt, Expected, Group, Ledger, Party, Receipt, Reception, Saw, Totals};
pub use scenario::Scenario;
