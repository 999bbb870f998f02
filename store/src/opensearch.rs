//! The engine on a cluster of OpenSearch or Elasticsearch: indices by day (`millrace-flows-2026.11.25`, the day of a
//! record's own end), one implementation for all.
//!
//! - **Once**: the id of a document and the name of its index come from the document alone, and it is written by `create`.
//!   What was there before is compared: the same is a duplicate, other content a conflict.
//! - **Item by item**: every answer is judged by itself, see `classify`. What cannot be told blocks; nothing is dropped.
//! - **No mapping by chance**: writing begins only where our index templates are ([`templates`]), and each index is made
//!   and looked at before it is written to.
//! - **Exact**: sums are those of all groups; what a shard could not say is named in the answer.
//!
//! Records can be found about a second after they were written (the refresh interval).

mod bulk;
mod classify;
mod conditions;
mod connection;
mod documents;
mod entries;
mod flows;
mod following;
mod letters;
mod names;
mod product;
mod removal;
mod search;
mod settings;
mod state;
mod sums;
pub mod templates;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use ::opensearch::http::Method;
use serde_json::Value;
use tokio::sync::OnceCell;

pub use product::{Product, ProductKind};
pub use removal::RemovedDays;
pub use settings::{ClientCertificate, InvalidSetting, Login, OpenSearchSettings, Secret};

use crate::FlowStore;
use crate::aggregate::{AggregateAnswer, AggregateQuery};
use crate::document::{Answer, Document};
use crate::entry::{EntryPage, EntryQuery, StreamList};
use crate::error::{Fate, StoreError};
use crate::query::{DeadLetterPage, DeadLetterQuery, FlowPage, FlowQuery, Order, StoreState};
use connection::{Body, Connection};

/// A cluster as a store. Clones share it.
#[derive(Debug, Clone)]
pub struct OpenSearchStore {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    connection: Connection,
    product: OnceCell<Product>,
    /// Indices that are known to be there with our mapping.
    known: Mutex<HashSet<String>>,
}

impl OpenSearchStore {
    /// Makes the store; asks nothing yet.
    ///
    /// # Errors
    /// Returns all settings that cannot be used.
    pub fn new(settings: OpenSearchSettings) -> Result<Self, Vec<InvalidSetting>> {
        settings.validate()?;
        let connection = Connection::new(settings);
        Ok(Self { inner: Arc::new(Inner { connection, product: OnceCell::new(), known: Mutex::default() }) })
    }

    /// Asks which product answers, once.
    ///
    /// # Errors
    /// Returns [`StoreError`] if it cannot be asked or is none that we know.
    pub async fn product(&self) -> Result<Product, StoreError> {
        self.inner.product().await
    }

    /// Checks before the first write that the product is one we know and that its index templates are not older than
    /// this build.
    ///
    /// # Errors
    /// Returns [`StoreError`] with what to do.
    pub async fn check(&self) -> Result<Product, StoreError> {
        let product = self.inner.product().await?;
        templates::check(&self.inner).await?;
        Ok(product)
    }

    /// Makes all that was written until now visible to questions; it is so by itself about a second after a write.
    ///
    /// # Errors
    /// Returns [`StoreError`] if the cluster refuses.
    pub async fn refresh(&self) -> Result<(), StoreError> {
        let path = format!("{}-*/_refresh?ignore_unavailable=true&allow_no_indices=true", self.inner.prefix());
        self.inner.connection.json(Method::Post, &path, Body::None).await.map(|_| ())
    }
}

impl Inner {
    fn prefix(&self) -> &str {
        &self.connection.settings().index_prefix
    }

    async fn product(&self) -> Result<Product, StoreError> {
        self.product.get_or_try_init(|| product::ask(&self.connection)).await.cloned()
    }

    /// Makes the indices that are not yet known. None is ever made without our template, nor written to without our
    /// mapping.
    async fn make_indices(&self, indices: &HashSet<&str>) -> Result<(), StoreError> {
        let missing: Vec<String> = {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            indices.iter().filter(|index| !known.contains(**index)).map(|index| (*index).to_owned()).collect()
        };
        if missing.is_empty() {
            return Ok(());
        }
        templates::check(self).await?;
        for index in missing {
            self.make_index(&index).await?;
            self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(index);
        }
        Ok(())
    }

    async fn make_index(&self, index: &str) -> Result<(), StoreError> {
        let reply = self.connection.send(Method::Put, index, Body::None).await?;
        if reply.status != 200 && connection::problem_of(&reply.body).0 != "resource_already_exists_exception" {
            return Err(self.connection.refused(&reply, "make an index"));
        }
        let mapping = self.connection.json(Method::Get, &format!("{index}/_mapping"), Body::None).await?;
        let version = mapping[index]["mappings"]["_meta"]["millrace_version"].as_u64();
        if version.is_some_and(|version| version >= templates::VERSION) {
            return Ok(());
        }
        let found = version.map_or("none".to_owned(), |version| version.to_string());
        let needed = templates::VERSION;
        let text = format!(
            "index `{index}` has mapping version {found}, this build needs {needed}: run `millrace templates apply`; an \
             index made before keeps its mapping and must be re-indexed or removed"
        );
        Err(self.connection.error("write", Fate::Blocked, text))
    }

    fn forget_index(&self, index: &str) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(index);
    }

    fn forget_indices(&self) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    async fn get(&self, path: &str) -> Result<Value, StoreError> {
        self.connection.json(Method::Get, path, Body::None).await
    }
}

impl FlowStore for OpenSearchStore {
    async fn write(&self, batch: Arc<[Document]>) -> Result<Vec<Answer>, StoreError> {
        bulk::write(&self.inner, &batch).await
    }

    async fn flows(&self, query: &FlowQuery) -> Result<FlowPage, StoreError> {
        match query.order {
            Order::NewestFirst | Order::OldestFirst => flows::by_time(&self.inner, query).await,
            Order::Stored => following::page(&self.inner, query).await,
        }
    }

    async fn aggregate(&self, query: &AggregateQuery) -> Result<AggregateAnswer, StoreError> {
        sums::aggregate(&self.inner, query).await
    }

    async fn streams(&self) -> Result<StreamList, StoreError> {
        entries::streams(&self.inner).await
    }

    async fn entries(&self, query: &EntryQuery) -> Result<EntryPage, StoreError> {
        entries::entries(&self.inner, query).await
    }

    async fn dead_letters(&self, query: &DeadLetterQuery) -> Result<DeadLetterPage, StoreError> {
        letters::page(&self.inner, query).await
    }

    async fn state(&self) -> Result<StoreState, StoreError> {
        state::state(&self.inner).await
    }
}
