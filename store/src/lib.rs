//! The flow store: where flow records, ledgers and dead letters are kept, and how they are asked for.
//!
//! [`FlowStore`] is what roles and commands see. In: [`Document`]s in batches, each answered by itself ([`Answer`]). Out:
//! pages of flow records ([`FlowQuery`]), sums ([`AggregateQuery`]), and the streams entry by entry ([`EntryQuery`]),
//! which is what the two balances are drawn from. Every answer says which part of the store it could not read.
//!
//! Engines: [`sqlite`], a data directory with one file a day, and [`mod@opensearch`], a cluster of OpenSearch or Elasticsearch. Each engine passes the suite in `contract`.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

pub mod aggregate;
#[cfg(feature = "contract")]
pub mod contract;
pub mod document;
pub mod entry;
pub mod error;
pub mod filter;
mod limits;
pub mod opensearch;
pub mod query;
pub mod sqlite;

use std::future::Future;
use std::sync::Arc;

pub use aggregate::{AggregateAnswer, AggregateQuery, AggregateRow, GroupBy, Sums};
pub use document::{Answer, DeadLetter, Document, Stage};
pub use entry::{Entry, EntryKind, EntryPage, EntryQuery, Quantities, StreamList, StreamSummary};
pub use error::{Fate, StoreError};
pub use filter::{EndTest, Filter, Keyword, Side, Text};
pub use opensearch::{OpenSearchSettings, OpenSearchStore};
pub use query::{
    Counting, Cursor, DeadLetterPage, DeadLetterQuery, FlowPage, FlowQuery, MAX_PAGE, Order, Partial, StoreState,
};
pub use sqlite::SqliteStore;

/// A place that keeps flow records, ledgers and dead letters, and answers questions about them.
///
/// Writing is idempotent: a document whose identity is already there is not written again, so that a batch may be sent
/// as often as it takes. Reading never waits for writing.
pub trait FlowStore: Send + Sync + 'static {
    /// Writes a batch and returns one answer an item, in the order of the batch.
    ///
    /// # Errors
    /// Returns [`StoreError`] if nothing is known of any item: the whole batch must be sent again, as
    /// [`StoreError::fate`] says. Part of it may have been written.
    fn write(&self, batch: Arc<[Document]>) -> impl Future<Output = Result<Vec<Answer>, StoreError>> + Send;

    /// Returns one page of flow records.
    ///
    /// # Errors
    /// Returns [`StoreError`] if the question is not valid or nothing could be read; a part that could not be read is
    /// named in the page instead.
    fn flows(&self, query: &FlowQuery) -> impl Future<Output = Result<FlowPage, StoreError>> + Send;

    /// Returns exact sums by group.
    ///
    /// # Errors
    /// As [`FlowStore::flows`].
    fn aggregate(&self, query: &AggregateQuery) -> impl Future<Output = Result<AggregateAnswer, StoreError>> + Send;

    /// Returns every stream that the store knows of, with what it holds of each.
    ///
    /// # Errors
    /// As [`FlowStore::flows`].
    fn streams(&self) -> impl Future<Output = Result<StreamList, StoreError>> + Send;

    /// Returns one page of what the store holds of one stream, by sequence number: flows, ledgers, dead letters, and
    /// what retention took away. A number that lies in two places comes twice.
    ///
    /// # Errors
    /// As [`FlowStore::flows`].
    fn entries(&self, query: &EntryQuery) -> impl Future<Output = Result<EntryPage, StoreError>> + Send;

    /// Returns one page of dead letters, oldest first.
    ///
    /// # Errors
    /// As [`FlowStore::flows`].
    fn dead_letters(&self, query: &DeadLetterQuery) -> impl Future<Output = Result<DeadLetterPage, StoreError>> + Send;

    /// Returns what the store is, how much it holds, and how much it may hold.
    ///
    /// # Errors
    /// Returns [`StoreError`] if the store cannot be looked at.
    fn state(&self) -> impl Future<Output = Result<StoreState, StoreError>> + Send;
}
