//! What is this engine's own: caps, torn files, readers beside the writer, SIGKILL.

mod files;
mod filters;
mod killed;

use std::sync::Arc;
use std::time::Instant;

use tempfile::TempDir;

use super::{Options, SqliteStore};
use crate::contract::sample::{MIDNIGHT, full, stream};
use crate::contract::{self, Subject};
use crate::{AggregateQuery, Answer, Counting, Document, EntryQuery, FlowQuery, FlowStore, GroupBy};

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
async fn says_how_fast_it_is() {
    const RECORDS: u64 = 20_000;
    let dir = TempDir::new().unwrap();
    let store = SqliteStore::open(Options::in_dir(dir.path())).unwrap();
    // A hundred pods that talk to forty others: ends repeat, counters and times do not.
    let record = |seq: u64| {
        let mut record = full(seq, MIDNIGHT + seq);
        record.source_name = format!("frontend-7d9c-{}", seq % 100);
        record.dest_name = format!("backend-{}", seq % 40);
        record.bytes_in = seq * 7919 % 1_000_000;
        (record.dest_domains, record.nat_outgoing_ports, record.original_source_ips) = <_>::default();
        (record.process_args, record.num_original_source_ips, record.num_process_args) = <_>::default();
        record
    };
    let documents: Vec<Document> = (0..RECORDS).map(|seq| Document::Flow(Box::new(record(seq)))).collect();
    let batches: Vec<Arc<[Document]>> = documents.chunks(2000).map(Into::into).collect();
    #[expect(clippy::cast_precision_loss, reason = "printed for people")]
    let rate = |begin: Instant| RECORDS as f64 / begin.elapsed().as_secs_f64();
    let begin = Instant::now();
    for batch in batches {
        store.write(batch).await.unwrap();
    }
    println!("write: {:.0} records/s", rate(begin));
    println!("size: {} bytes/record", store.state().await.unwrap().bytes / RECORDS);
    let begin = Instant::now();
    let sums = AggregateQuery {
        counting: Counting::Records,
        group_by: vec![GroupBy::SourceName, GroupBy::DestName, GroupBy::Outcome],
        ..AggregateQuery::default()
    };
    assert_eq!(store.aggregate(&sums).await.unwrap().total.records, RECORDS);
    println!("sum: {:.0} records/s", rate(begin));
    let begin = Instant::now();
    let mut query = EntryQuery { stream: stream(), limit: 5000, cursor: None };
    while let Some(next) = store.entries(&query).await.unwrap().next {
        query.cursor = Some(next);
    }
    println!("entries: {:.0} records/s", rate(begin));
    let begin = Instant::now();
    let mut query = FlowQuery { counting: Counting::Records, limit: 5000, ..FlowQuery::default() };
    while let Some(next) = store.flows(&query).await.unwrap().next {
        query.cursor = Some(next);
    }
    println!("records: {:.0} records/s", rate(begin));
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
