//! The indexer: from the enriched topic into the flow store, and the proof that nothing was lost on the way.
//!
//! | part | for |
//! |---|---|
//! | [`pipeline`] | the stages: poll → [`document`] → store → dead letters → commit; one for records, one for dead letters |
//! | [`dead_letter`] | what cannot be stored, with all that is needed to find out why |
//! | [`caps`] | the embedded store's caps, kept once a minute |
//! | [`balance`] | the two balances of a stream, drawn from its entries: pure |
//! | [`reconcile`](reconcile::reconcile) | reads a store and draws the balances of all its streams |
//!
//! A record's fate is decided item by item from the store's answer, and its offset is committed only after it is stored
//! or its dead letter is acknowledged: at least once here, exactly once in the store.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

pub mod balance;
pub mod caps;
pub mod dead_letter;
pub mod document;
pub mod metrics;
pub mod pipeline;
pub mod reconcile;
pub mod settings;
mod sink;
mod source;
#[cfg(test)]
mod test_support;

pub use balance::report::{Conclusion, Report};
pub use metrics::IndexerMetrics;
pub use pipeline::{DeadLetterIndexer, Indexed, Indexer, Stopped};
pub use reconcile::reconcile;
pub use settings::{IndexerSettings, RawIndexerSettings};
