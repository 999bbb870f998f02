//! The limit: flow records into the store in batches, with nothing before it and nothing beside it.
//!
//! The steps that come before are done too, and timed each by itself: together they are what the product does, but for
//! the bus and its threads.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{anyhow, ensure};
use clap::Args;
use flow::wire::{RawValue, decode_raw, encode_raw};
use indexer::document::{Prepared, prepare};
use indexer::{IndexerSettings, RawIndexerSettings};
use serde::{Deserialize, Serialize};
use service::settings::Problems;
use store::sqlite::Options;
use store::{Answer, Document, FlowStore as _, SqliteStore};

use super::BATCH;
use super::enrichment::Enrichment;
use crate::input::unix_now;
use crate::measured::own_cpu;
use crate::report::say;

/// What it works on.
#[derive(Debug, Clone, Args)]
pub(crate) struct Stages {
    /// Raw records as JSON lines
    #[arg(long)]
    pub(super) raw: PathBuf,
    /// Folder of manifests
    #[arg(long)]
    pub(super) manifests: PathBuf,
    /// An empty directory
    #[arg(long)]
    pub(super) state: PathBuf,
}

/// Microseconds of CPU time by stage, over all records.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Spent {
    /// Reading and decoding lines.
    pub(super) read_us: u64,
    /// Encoding them again, as the replay does for the bus.
    pub(super) encode_us: u64,
    /// From a raw message to an enriched one.
    pub(super) enrich_us: u64,
    /// From an enriched message to a document.
    pub(super) prepare_us: u64,
    /// Writing documents.
    pub(super) write_us: u64,
    /// The same by the clock on the wall.
    pub(super) write_wall_us: u64,
    /// Documents stored.
    pub(super) created: u64,
}

impl Spent {
    /// Returns the CPU time of writing.
    pub(super) fn write(&self) -> Duration {
        Duration::from_micros(self.write_us)
    }

    /// Returns the time of writing.
    pub(super) fn write_wall(&self) -> Duration {
        Duration::from_micros(self.write_wall_us)
    }

    /// Returns the CPU time of all stages in microseconds.
    pub(super) fn sum(&self) -> u64 {
        self.read_us + self.encode_us + self.enrich_us + self.prepare_us + self.write_us
    }
}

impl Stages {
    /// Runs it in this process.
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let enrichment = Enrichment::of(&self.manifests)?;
        let rules = IndexerSettings::resolve(RawIndexerSettings::default(), &mut Problems::default()).rules();
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        let store = SqliteStore::open(Options::in_dir(&self.state))?;
        let mut lines = BufReader::new(File::open(&self.raw)?).lines();
        let mut spent = Spent::default();
        loop {
            let values =
                timed(&mut spent.read_us, || lines.by_ref().take(BATCH).map(decode).collect::<Result<Vec<_>, _>>())?;
            if values.is_empty() {
                break;
            }
            let encode = |value: &RawValue| match value {
                RawValue::Flow(record) => Ok(encode_raw(record)?),
                RawValue::Ledger(_) => Err(anyhow!("the input has a ledger")),
            };
            let encoded =
                timed(&mut spent.encode_us, || values.iter().map(encode).collect::<anyhow::Result<Vec<_>>>())?;
            let messages: Vec<_> =
                values.iter().zip(encoded).map(|(value, bytes)| enrichment.message(value, bytes)).collect();
            drop(values);
            let enriched = timed(&mut spent.enrich_us, || {
                messages.iter().map(|message| enrichment.enrich(message)).collect::<anyhow::Result<Vec<_>>>()
            })?;
            let documents = timed(&mut spent.prepare_us, || {
                let document = |message| match prepare(message, &rules, unix_now()) {
                    Prepared::Document(document) => Ok(document),
                    Prepared::Dead { detail, .. } => Err(anyhow!("a generated record is dead: {detail}")),
                };
                enriched.iter().map(document).collect::<anyhow::Result<Arc<[Document]>>>()
            })?;
            let begun = Instant::now();
            let answers = timed(&mut spent.write_us, || runtime.block_on(store.write(documents)))?;
            spent.write_wall_us += micros(begun.elapsed());
            ensure!(answers.iter().all(|answer| *answer == Answer::Created), "the store did not take everything");
            spent.created += answers.len() as u64;
        }
        // The last file is brought in order when it is closed: that belongs to writing.
        let begun = Instant::now();
        timed(&mut spent.write_us, || drop(store));
        spent.write_wall_us += micros(begun.elapsed());
        say(&serde_json::to_string(&spent)?);
        Ok(())
    }
}

fn decode(line: std::io::Result<String>) -> anyhow::Result<RawValue> {
    Ok(decode_raw(line?.as_bytes())?)
}

/// Runs a stage and adds its CPU time, that of all threads.
fn timed<T>(sum_us: &mut u64, stage: impl FnOnce() -> T) -> T {
    let before = own_cpu();
    let done = stage();
    *sum_us += micros(own_cpu().saturating_sub(before));
    done
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
