//! Kubernetes objects as the join and the judgement use them: read, checked, indexed, and kept for the time they held.
//!
//! What comes in are documents of Kubernetes and Calico ([`border`]), today from a folder of [`manifests`]. What goes
//! out is a [`Snapshot`]: an immutable value that answers by pod UID, by address, by service and by network set, with
//! the parts of an endpoint prepared once. A [`History`] keeps the snapshots of the last minutes, so that a record is
//! joined with what held at its time. Nothing here knows an API client, a runtime or a clock; [`manifests`] is the only
//! module that reads files.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod addresses;
pub mod border;
mod endpoints;
mod hash;
mod history;
pub mod manifests;
mod network_sets;
pub mod objects;
mod ranges;
mod services;
mod snapshot;

pub use addresses::CLOCK_SKEW_MS;
pub use border::{Decoded, InvalidObject, decode};
pub use history::{History, View};
pub use objects::{Object, ObjectName, Objects};
pub use ranges::PrivateRanges;
pub use services::{Backend, ServiceLookup, ServicePortEntry};
pub use snapshot::{Holder, HostEntry, PodEntry, Snapshot};

#[cfg(test)]
mod tests;
