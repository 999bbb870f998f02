//! What is this engine's own: caps, torn files, readers beside the writer, SIGKILL.

mod files;
mod killed;

use std::sync::Arc;

use tempfile::TempDir;

use super::{Options, SqliteStore};
use crate::contract::sample::{MIDNIGHT, mixed};
use crate::contract::{self, Subject};
use crate::{Answer, Document, FlowStore};

/// Makes stores in directories that go with it.
struct Directories(std::sync::Mutex<Vec<TempDir>>);

impl Subject for Directories {
    type Store = SqliteStore;

    async fn fresh(&self) -> SqliteStore {
        let dir = TempDir::new().unwrap();
        let store = SqliteStore::open(Options::in_dir(dir.path().join("data"))).unwrap();
        self.0.lock().unwrap().push(dir);
        store
    }

    async fn settle(&self, _: &SqliteStore) {}
}

#[tokio::test]
async fn keeps_the_contract() {
    contract::check(&Directories(std::sync::Mutex::default())).await;
}

/// Says how fast it is; what must be is not asserted, since machines differ.
#[tokio::test]
async fn says_how_fast_it_writes() {
    let dir = TempDir::new().unwrap();
    let store = SqliteStore::open(Options::in_dir(dir.path())).unwrap();
    let records = mixed(20_000, 31);
    let batches: Vec<Arc<[Document]>> = records
        .chunks(2000)
        .map(|chunk| chunk.iter().cloned().map(|record| Document::Flow(Box::new(record))).collect())
        .collect();
    let begin = std::time::Instant::now();
    for batch in batches {
        store.write(batch).await.unwrap();
    }
    let spent = begin.elapsed();
    let bytes = store.state().await.unwrap().bytes;
    println!(
        "wrote 20,000 records of hardly repeating ends in {spent:?}: {:.0} records/s, {} bytes/record",
        20_000.0 / spent.as_secs_f64(),
        bytes / 20_000
    );
}

/// Writes flow records that must all be new.
async fn write(store: &SqliteStore, records: Vec<flow::FlowRecord>) {
    let batch: Arc<[Document]> = records.into_iter().map(|record| Document::Flow(Box::new(record))).collect();
    let answers = store.write(batch).await.unwrap();
    assert!(answers.iter().all(|answer| *answer == Answer::Created), "{answers:?}");
}

const DAY_MS: u64 = 86_400_000;

/// Returns the beginning of the day `n` days after that of the samples.
fn day(n: u64) -> u64 {
    MIDNIGHT + n * DAY_MS
}
