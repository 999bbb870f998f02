//! SIGKILL: a child that writes is killed again and again; what was acknowledged is there, nothing is doubled.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;

use tempfile::TempDir;

use super::day;
use crate::contract::sample::{full, stream};
use crate::sqlite::{Options, SqliteStore};
use crate::{Answer, Document, EntryQuery, FlowStore};

const DIRECTORY: &str = "MILLRACE_TEST_STORE";
const FIRST: &str = "MILLRACE_TEST_FIRST";
const BATCH: u64 = 50;

/// The child: writes batches for ever and says the last number of each that was answered. Does nothing by itself.
#[tokio::test]
async fn child_writes_until_it_is_killed() {
    let (Ok(dir), Ok(first)) = (std::env::var(DIRECTORY), std::env::var(FIRST)) else { return };
    let store = SqliteStore::open(Options::in_dir(dir)).unwrap();
    let mut seq: u64 = first.parse().unwrap();
    loop {
        // Two days in a batch, so that some kills fall between two transactions.
        let records = (seq..seq + BATCH).map(|seq| full(seq, day(seq % 2) + seq));
        let batch: Arc<[Document]> = records.map(|record| Document::Flow(Box::new(record))).collect();
        let answers = store.write(batch).await.unwrap();
        assert!(answers.iter().all(|a| matches!(a, Answer::Created | Answer::Duplicate)), "{answers:?}");
        seq += BATCH;
        let mut out = std::io::stdout().lock();
        writeln!(out, "acknowledged {}", seq - 1).unwrap();
        out.flush().unwrap();
    }
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_and_nothing_doubled() {
    let dir = TempDir::new().unwrap();
    let mut next = 0;
    for round in 0..20_u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "sqlite::tests::killed::child_writes_until_it_is_killed", "--nocapture"])
            .env(DIRECTORY, dir.path())
            .env(FIRST, next.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let acknowledged = |line: &std::io::Result<String>| {
            line.as_ref().ok().and_then(|line| line.rsplit_once("acknowledged ")?.1.parse::<u64>().ok())
        };
        let first = lines.find_map(|line| acknowledged(&line));
        // At another moment of the writing each time.
        tokio::time::sleep(std::time::Duration::from_millis(round * 3)).await;
        child.kill().unwrap();
        let last = lines.filter_map(|line| acknowledged(&line)).last().or(first).expect("the child wrote");
        child.wait().unwrap();

        let store = SqliteStore::open(Options::in_dir(dir.path())).unwrap();
        let mut query = EntryQuery { stream: stream(), limit: 10_000, cursor: None };
        let mut seqs = Vec::new();
        loop {
            let page = store.entries(&query).await.unwrap();
            assert_eq!(page.partial, []);
            seqs.extend(page.entries.iter().map(|entry| entry.seq));
            match page.next {
                Some(cursor) => query.cursor = Some(cursor),
                None => break,
            }
        }
        assert!(seqs.is_sorted_by(|a, b| a < b), "round {round}: nothing is doubled");
        let kept = seqs.iter().filter(|seq| **seq <= last).count() as u64;
        assert_eq!(kept, last + 1, "round {round}: all that was acknowledged is there");
        assert_eq!(store.set_aside_total(), 0, "round {round}: no file is torn");
        // The next child begins inside what is there: its first batch is a replay in part.
        next = last + 1 - BATCH / 2;
    }
}
