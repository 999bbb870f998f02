//! The contract suite on real OpenSearch and Elasticsearch.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use std::sync::atomic::{AtomicU32, Ordering};

use servers::{Product, Search};
use store::contract::{self, Subject};
use store::opensearch::templates::{self, Step};
use store::{OpenSearchSettings, OpenSearchStore};

struct Engine<'a> {
    server: &'a Search,
    made: AtomicU32,
}

impl Engine<'_> {
    fn settings(&self) -> OpenSearchSettings {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        OpenSearchSettings {
            index_prefix: format!("suite{number}"),
            compress: number % 2 == 1,
            bulk_documents: 1500,
            ..OpenSearchSettings::at([self.server.url()])
        }
    }
}

impl Subject for Engine<'_> {
    type Store = OpenSearchStore;

    async fn fresh(&self) -> OpenSearchStore {
        let store = OpenSearchStore::new(self.settings()).unwrap();
        let done = templates::apply(&store).await.unwrap();
        assert!(done.iter().all(|planned| planned.step == Step::Create));
        store
    }

    async fn settle(&self, store: &OpenSearchStore) {
        store.refresh().await.unwrap();
    }
}

async fn keeps_the_contract(test: &str, product: Product) {
    if !servers::can_run(test, &[product]) {
        return;
    }
    let server = servers::shared::search(product).unwrap();
    contract::check(&Engine { server, made: AtomicU32::new(0) }).await;
}

#[tokio::test]
async fn opensearch_3_keeps_the_contract() {
    keeps_the_contract("opensearch_3_keeps_the_contract", Product::OpenSearch3).await;
}

#[tokio::test]
async fn opensearch_2_keeps_the_contract() {
    keeps_the_contract("opensearch_2_keeps_the_contract", Product::OpenSearch2).await;
}

#[tokio::test]
async fn elasticsearch_9_keeps_the_contract() {
    keeps_the_contract("elasticsearch_9_keeps_the_contract", Product::Elasticsearch9).await;
}
