//! Caps, torn files, readers beside the writer.

use std::fs;
use std::path::Path;

use flow::UnixMs;
use tempfile::TempDir;

use super::{day, write};
use crate::contract::sample::{full, minimal, stream};
use crate::sqlite::{Options, SqliteStore};
use crate::{Counting, EntryKind, EntryQuery, Fate, FlowQuery, FlowStore, Order, StoreError};

fn everything() -> FlowQuery {
    FlowQuery { counting: Counting::Records, limit: 10_000, ..FlowQuery::default() }
}

async fn seqs(store: &SqliteStore) -> Vec<u64> {
    let page = store.flows(&everything()).await.unwrap();
    assert_eq!(page.partial, []);
    let mut seqs: Vec<u64> = page.records.iter().map(|record| record.seq).collect();
    seqs.sort_unstable();
    seqs
}

async fn removed_ranges(store: &SqliteStore) -> Vec<(u64, u64)> {
    let query = EntryQuery { stream: stream(), limit: 10_000, cursor: None };
    let entries = store.entries(&query).await.unwrap().entries;
    let range = |entry: &crate::Entry| match entry.kind {
        EntryKind::Removed { to } => Some((entry.seq, to)),
        _ => None,
    };
    entries.iter().filter_map(range).collect()
}

#[tokio::test]
async fn keeps_the_newest_days_and_remembers_what_went() {
    let dir = TempDir::new().unwrap();
    let store = SqliteStore::open(Options { cap_days: 3, ..Options::in_dir(dir.path()) }).unwrap();
    for n in 0..5 {
        write(&store, vec![minimal(n * 2, day(n)), minimal(n * 2 + 1, day(n) + 1)]).await;
    }
    let removed = store.enforce_caps().await.unwrap();
    assert_eq!(removed.days, ["2026-11-25", "2026-11-26"]);
    assert_eq!(removed.records, 4);
    assert_eq!(seqs(&store).await, [4, 5, 6, 7, 8, 9]);
    assert_eq!(removed_ranges(&store).await, [(0, 3)], "neighbouring days are one range");
    let state = store.state().await.unwrap();
    assert_eq!(state.removed_records, 4);
    assert_eq!(state.days, ["2026-11-27", "2026-11-28", "2026-11-29"]);
    assert_eq!(store.enforce_caps().await.unwrap().records, 0, "nothing is left to remove");
    drop(store);
    let store = SqliteStore::open(Options::in_dir(dir.path())).unwrap();
    assert_eq!(removed_ranges(&store).await, [(0, 3)], "it is written down");
}

#[tokio::test]
async fn a_record_over_midnight_lies_under_the_day_of_its_end() {
    let dir = TempDir::new().unwrap();
    let store = SqliteStore::open(Options::in_dir(dir.path())).unwrap();
    let midnight = day(1);
    let mut record = minimal(0, midnight);
    record.start_time = (midnight - 15_000) / 1000;
    (record.oldest_start, record.newest_start) = (UnixMs(midnight - 9_000), UnixMs(midnight - 1));
    write(&store, vec![record]).await;
    assert_eq!(store.state().await.unwrap().days, ["2026-11-26"]);
    let that_day = FlowQuery { from: Some(UnixMs(midnight)), to: Some(UnixMs(day(2))), ..everything() };
    assert_eq!(store.flows(&that_day).await.unwrap().records.len(), 1);
}

#[tokio::test]
async fn the_removal_of_a_whole_stream_stays_known() {
    let dir = TempDir::new().unwrap();
    let store = SqliteStore::open(Options { cap_days: 1, ..Options::in_dir(dir.path()) }).unwrap();
    write(&store, vec![minimal(0, day(0)), minimal(1, day(0))]).await;
    let mut next = minimal(0, day(3));
    next.stream = flow::Stream::new("local", "node-a", day(2)).unwrap();
    write(&store, vec![next]).await;
    store.enforce_caps().await.unwrap();
    assert_eq!(store.streams().await.unwrap().streams.len(), 1);
    assert_eq!(removed_ranges(&store).await, [(0, 1)], "whoever speaks of it must not take it for lost");
}

#[tokio::test]
async fn keeps_to_the_cap_in_bytes_within_one_day() {
    let dir = TempDir::new().unwrap();
    let cap = 512 * 1024;
    let store = SqliteStore::open(Options { cap_bytes: cap, ..Options::in_dir(dir.path()) }).unwrap();
    // An hour, each record with names of its own.
    for batch in 0..12_u64 {
        let records = (0..300).map(|n| {
            let seq = batch * 300 + n;
            let mut record = full(seq, day(0) + seq * 1000);
            record.source_name = format!("pod-{seq}");
            record
        });
        write(&store, records.collect()).await;
    }
    let before = store.state().await.unwrap().bytes;
    assert!(before > cap, "{before}");
    let removed = store.enforce_caps().await.unwrap();
    assert!(removed.records > 0 && removed.days.is_empty(), "{removed:?}");
    let kept = seqs(&store).await;
    assert!(!kept.is_empty());
    assert_eq!(removed_ranges(&store).await, [(0, kept[0] - 1)], "the oldest went");
    assert_eq!(*kept.last().unwrap(), 3599, "the newest stay");
    let follow = FlowQuery { order: Order::Stored, ..everything() };
    assert_eq!(store.flows(&follow).await.unwrap().records.len(), kept.len());
}

#[tokio::test]
async fn a_follower_misses_nothing_when_the_last_written_day_was_removed() {
    let dir = TempDir::new().unwrap();
    let options = Options { cap_days: 2, ..Options::in_dir(dir.path()) };
    let store = SqliteStore::open(options.clone()).unwrap();
    write(&store, vec![minimal(0, day(5))]).await;
    write(&store, vec![minimal(1, day(0))]).await;
    let cursor = Some(store.state().await.unwrap().end);
    store.enforce_caps().await.unwrap();
    drop(store);
    let store = SqliteStore::open(options).unwrap();
    write(&store, vec![minimal(2, day(5) + 1)]).await;
    let page = store.flows(&FlowQuery { order: Order::Stored, cursor, ..everything() }).await.unwrap();
    assert_eq!(page.records.iter().map(|r| r.seq).collect::<Vec<_>>(), [2]);
}

fn damage(path: &Path, how: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    how(&mut bytes);
    fs::write(path, bytes).unwrap();
}

#[tokio::test]
async fn opens_whatever_became_of_a_file() {
    type Way = fn(&mut Vec<u8>);
    let ways: [(&str, Way); 6] = [
        ("empty", |bytes| bytes.clear()),
        ("cut in the header", |bytes| bytes.truncate(50)),
        ("cut to one page", |bytes| bytes.truncate(4096)),
        ("no database", |bytes| bytes.fill(b'x')),
        ("zeroed behind the first page", |bytes| bytes[4096..].fill(0)),
        ("a bad first page", |bytes| bytes[100..4096].fill(0xa5)),
    ];
    for (what, way) in ways {
        let dir = TempDir::new().unwrap();
        let store = SqliteStore::open(Options::in_dir(dir.path())).unwrap();
        write(&store, (0..200).map(|seq| full(seq, day(0) + seq)).collect()).await;
        write(&store, vec![full(200, day(1))]).await;
        drop(store);
        damage(&dir.path().join("flows-2026-11-25.sqlite"), way);
        let store = SqliteStore::open(Options::in_dir(dir.path())).unwrap_or_else(|error| panic!("{what}: {error}"));
        write(&store, vec![full(201, day(0) + 500)]).await;
        assert_eq!(seqs(&store).await, [200, 201], "{what}: the other day is whole, the torn one begun anew");
        let set_aside = store.state().await.unwrap().set_aside;
        if what != "empty" {
            assert_eq!(set_aside, ["flows-2026-11-25.sqlite.corrupt-1"], "{what}");
            assert_eq!(store.set_aside_total(), 1, "{what}");
        }
    }
}

#[tokio::test]
async fn a_file_torn_while_it_is_written_is_set_aside_too() {
    let dir = TempDir::new().unwrap();
    let store = SqliteStore::open(Options::in_dir(dir.path())).unwrap();
    write(&store, (0..500).map(|seq| full(seq, day(0) + seq)).collect()).await;
    drop(store);
    // The newest leaves are whole, so that opening finds nothing; the middle of the file is not.
    damage(&dir.path().join("flows-2026-11-25.sqlite"), |bytes| {
        let (begin, end) = (bytes.len() / 10, bytes.len() * 9 / 10);
        bytes[begin..end].fill(0xff);
    });
    let store = SqliteStore::open(Options::in_dir(dir.path())).unwrap();
    let batch = (0..500).map(|seq| crate::Document::Flow(Box::new(full(seq, day(0) + seq)))).collect();
    store.write(batch).await.unwrap();
    assert_eq!(seqs(&store).await.len(), 500, "the batch is in the new file");
    assert_eq!(store.state().await.unwrap().set_aside.len(), 1);
}

#[tokio::test]
async fn a_torn_day_makes_an_answer_partial() {
    let dir = TempDir::new().unwrap();
    let store = SqliteStore::open(Options::in_dir(dir.path())).unwrap();
    write(&store, vec![full(0, day(0)), full(1, day(1))]).await;
    drop(store);
    damage(&dir.path().join("flows-2026-11-25.sqlite"), |bytes| bytes.fill(b'x'));
    let reader = SqliteStore::open_to_read(Options::in_dir(dir.path()));
    let page = reader.flows(&everything()).await.unwrap();
    assert_eq!(page.records.iter().map(|r| r.seq).collect::<Vec<_>>(), [1]);
    assert_eq!(page.partial.iter().map(|p| p.place.as_str()).collect::<Vec<_>>(), ["flows-2026-11-25.sqlite"]);
    assert_eq!(reader.aggregate(&crate::AggregateQuery::default()).await.unwrap().partial.len(), 1);
    assert_eq!(reader.streams().await.unwrap().partial.len(), 1);
}

#[tokio::test]
async fn readers_see_what_is_committed_and_cannot_write() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("not yet # there?");
    let reader = SqliteStore::open_to_read(Options::in_dir(&path));
    assert_eq!(seqs(&reader).await, [0_u64; 0], "no directory is an empty store");
    let store = SqliteStore::open(Options::in_dir(&path)).unwrap();
    write(&store, vec![full(0, day(0))]).await;
    assert_eq!(seqs(&reader).await, [0], "while the writer is open");
    let refused = reader.write(vec![].into()).await.unwrap_err();
    assert!(matches!(refused, StoreError::ReadOnly(_)), "{refused}");
    let second = SqliteStore::open(Options::in_dir(&path)).unwrap_err();
    assert!(matches!(second, StoreError::InUse(_)), "{second}");
    drop(store);
    assert_eq!(seqs(&reader).await, [0], "after it is closed");
}

#[tokio::test]
async fn a_file_of_a_newer_build_is_left_alone() {
    let dir = TempDir::new().unwrap();
    let store = SqliteStore::open(Options::in_dir(dir.path())).unwrap();
    write(&store, vec![full(0, day(0))]).await;
    drop(store);
    let file = rusqlite::Connection::open(dir.path().join("flows-2026-11-25.sqlite")).unwrap();
    file.pragma_update(None, "user_version", 99).unwrap();
    drop(file);
    let refused = SqliteStore::open(Options::in_dir(dir.path())).unwrap_err();
    assert!(matches!(refused, StoreError::Newer { found: 99, .. }), "{refused}");
    assert_eq!(refused.fate(), Fate::Blocked);
}
