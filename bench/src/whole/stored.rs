//! Looks whether the store holds what was put in: a fast run that lost or garbled something is a failed run.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use anyhow::ensure;
use flow::wire::{EnrichedValue, RawValue, decode_enriched, decode_raw};
use flow::{FlowRecord, UnixMs};
use store::sqlite::Options;
use store::{AggregateQuery, Counting, EndTest, Filter, FlowQuery, FlowStore as _, GroupBy, Side, SqliteStore, Sums};

use super::enrichment::Enrichment;
use crate::input::{Expected, Input};

/// One record in so many is compared field by field.
const SAMPLE: usize = 1_000;

/// Returns what is wrong with a data directory, held against the input.
pub(super) fn check(state: &Path, input: &Input) -> anyhow::Result<Vec<String>> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    runtime.block_on(async {
        let store = SqliteStore::open_to_read(Options::in_dir(state));
        let mut wrong = streams(&store, input).await?;
        wrong.extend(pairs(&store, input).await?);
        wrong.extend(fields(&store, input).await?);
        Ok(wrong)
    })
}

/// Every number of every stream is there once, and nothing was given up.
async fn streams(store: &SqliteStore, input: &Input) -> anyhow::Result<Vec<String>> {
    let list = store.streams().await?;
    ensure!(list.partial.is_empty(), "a part of the store cannot be read: {:?}", list.partial);
    let mut wrong = Vec::new();
    if list.streams.len() as u64 != input.nodes {
        wrong.push(format!("{} streams instead of {}", list.streams.len(), input.nodes));
    }
    for stream in list.streams.iter().filter(|s| s.stored != s.last_seq + 1 || s.dead_letters > 0) {
        let (stored, last) = (stream.stored, stream.last_seq);
        wrong.push(format!("{}: {stored} records up to {last}, {} dead letters", stream.stream, stream.dead_letters));
    }
    Ok(wrong)
}

/// The sums by pair of pods are those of the input.
async fn pairs(store: &SqliteStore, input: &Input) -> anyhow::Result<Vec<String>> {
    let group_by = vec![GroupBy::SourceName, GroupBy::DestName];
    let query = AggregateQuery { counting: Counting::Records, group_by, ..AggregateQuery::default() };
    let answer = store.aggregate(&query).await?;
    let mut wrong = Vec::new();
    if answer.total.records != input.records || answer.groups_left_out > 0 {
        wrong.push(format!("{} of {} records are stored", answer.total.records, input.records));
    }
    let name = |of: Option<&Option<String>>| of.cloned().flatten().unwrap_or_default();
    let mut found = 0;
    for row in &answer.rows {
        let names = (name(row.key.first()), name(row.key.get(1)));
        match input.expected.get(&names) {
            Some(expected) if *expected == quantities(&row.sums) => found += 1,
            expected => wrong.push(format!("{names:?}: stored {:?}, expected {expected:?}", row.sums)),
        }
    }
    if found != input.expected.len() {
        wrong.push(format!("{found} of {} pairs of pods are as they should be", input.expected.len()));
    }
    // One defect spoils every pair: three say it as well as five thousand.
    wrong.truncate(4);
    Ok(wrong)
}

fn quantities(sums: &Sums) -> Expected {
    Expected {
        records: sums.records,
        started: sums.started,
        bytes_to_dest: sums.bytes_to_dest,
        bytes_to_source: sums.bytes_to_source,
    }
}

/// One record in a thousand is, field by field, what the pure enricher makes of the raw one; only who numbered it differs.
async fn fields(store: &SqliteStore, input: &Input) -> anyhow::Result<Vec<String>> {
    let enrichment = Enrichment::of(&input.manifests)?;
    let mut wrong = Vec::new();
    for line in BufReader::new(File::open(&input.raw)?).lines().step_by(SAMPLE) {
        let line = line?;
        let raw = decode_raw(line.as_bytes())?;
        let enriched = enrichment.enrich(&enrichment.message(&raw, line.into_bytes()))?;
        let (RawValue::Flow(raw), EnrichedValue::Flow(expected)) = (raw, decode_enriched(&enriched.record.value)?)
        else {
            continue;
        };
        let source = Filter::End(Side::Source, vec![EndTest::Address(raw.source_ip.into())]);
        let query = FlowQuery {
            from: Some(raw.end_time),
            to: Some(UnixMs(raw.end_time.0 + 1)),
            filter: source,
            counting: Counting::Records,
            ..FlowQuery::default()
        };
        let page = store.flows(&query).await?;
        if !page.records.iter().any(|stored| same(stored, &expected)) {
            wrong.push(format!("{}#{}: not stored as it should be", raw.stream, raw.seq));
        }
    }
    wrong.truncate(4);
    Ok(wrong)
}

fn same(stored: &FlowRecord, expected: &FlowRecord) -> bool {
    let numbered = FlowRecord { stream: stored.stream.clone(), seq: stored.seq, ..expected.clone() };
    stored.clone().normal_form() == numbered.normal_form()
}
