//! The way out: numbered records → bus, in order, each until it is acknowledged.
//!
//! Capture and publishing meet in a bounded channel of batches. The capture never waits for it while it runs: without
//! room nothing is numbered and flow keys go on adding up.

use std::path::PathBuf;
use std::sync::Arc;

use bus::{BusError, Header, Producer, Record};
use flow::wire::{self, EncodeError, Headers};
use flow::{LedgerRecord, RawFlow, Schema};
use service::retry::{self, Fate, GaveUp, RetryPolicy};
use service::shutdown::Token;
use tokio::sync::mpsc;

use crate::clock;
use crate::ledger::state::{self, State};
use crate::metrics::ProbeMetrics;

/// Records in one batch at most: about half a megabyte of JSON.
pub const BATCH_RECORDS: usize = 512;
/// Batches that wait at most.
pub const QUEUE_BATCHES: usize = 16;

/// Numbered records on their way: flows in the order of their numbers, then at most one ledger record.
#[derive(Debug, Default)]
pub struct Batch {
    /// What was seen.
    pub flows: Vec<RawFlow>,
    /// What accounts for it.
    pub ledger: Option<LedgerRecord>,
}

/// What was published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Published {
    /// Flow records acknowledged.
    pub flows: u64,
    /// Ledger records acknowledged.
    pub ledgers: u64,
}

/// Where and how to publish.
pub struct Publisher<P> {
    /// The bus.
    pub producer: P,
    /// The topic.
    pub topic: Arc<str>,
    /// Where the state file lies; none for a replay, whose stream no one succeeds.
    pub data_dir: Option<PathBuf>,
    /// Where to count.
    pub metrics: ProbeMetrics,
    /// When to give up retrying.
    pub stop: Token,
}

impl<P: Producer> Publisher<P> {
    /// Publishes until the channel is closed and empty.
    ///
    /// # Errors
    /// Returns the bus's failure if it is permanent, or if the end was asked for at once while it did not answer.
    pub async fn run(self, mut batches: mpsc::Receiver<Batch>) -> Result<Published, GaveUp<BusError>> {
        let mut published = Published::default();
        while let Some(batch) = batches.recv().await {
            let records = self.encode(&batch);
            self.send(records).await?;
            published.flows += batch.flows.len() as u64;
            self.metrics.records_published.inc_by(batch.flows.len() as u64);
            if let Some(ledger) = batch.ledger {
                published.ledgers += 1;
                self.metrics.ledgers_published.inc();
                self.remember(&ledger).await;
            }
        }
        Ok(published)
    }

    fn encode(&self, batch: &Batch) -> Vec<Record> {
        let now = i64::try_from(clock::unix_now().0).unwrap_or(i64::MAX);
        let flows = batch.flows.iter().map(|record| self.record(record, wire::encode_raw(record), now));
        let ledger = batch.ledger.iter().map(|record| self.record(record, wire::encode_ledger(record), now));
        flows.chain(ledger).flatten().collect()
    }

    fn record(&self, of: &impl Numbered, value: Result<Vec<u8>, EncodeError>, timestamp_ms: i64) -> Option<Record> {
        let value = match value {
            Ok(value) => value,
            Err(error) => {
                self.metrics.encode_errors.inc();
                tracing::error!(%error, seq = of.seq(), "cannot encode a record; its number is a gap");
                return None;
            }
        };
        let stream = of.stream().to_string();
        Some(Record {
            topic: Arc::clone(&self.topic),
            key: stream.clone().into(),
            headers: vec![
                Header::new(Headers::STREAM, stream),
                Header::new(Headers::SEQ, of.seq().to_string()),
                Header::new(Headers::SCHEMA, of.schema().as_str()),
            ],
            value: value.into(),
            timestamp_ms,
        })
    }

    async fn send(&self, records: Vec<Record>) -> Result<(), GaveUp<BusError>> {
        let classify = |error: &BusError| match error.fate() {
            bus::Fate::Retryable => Fate::Retryable,
            bus::Fate::Permanent => Fate::Permanent,
        };
        let observe = |error: &BusError, failed: retry::Failed| {
            self.metrics.send_retries.inc();
            tracing::warn!(%error, tries = failed.tries, "cannot hand records to the bus; trying again");
        };
        retry::retry(RetryPolicy::endless(), &self.stop, classify, observe, || self.producer.send(records.clone()))
            .await
    }

    /// Writes the state file for the next incarnation. Without it the next one cannot say how this one ended.
    async fn remember(&self, ledger: &LedgerRecord) {
        let Some(data_dir) = self.data_dir.clone() else { return };
        let state = State {
            stream: ledger.stream.clone(),
            next_seq: ledger.seq + 1,
            last_known: ledger.end_time,
            closed: ledger.closing,
        };
        let written = tokio::task::spawn_blocking(move || state::write(&data_dir, &state)).await;
        if let Ok(Err(error)) = written {
            self.metrics.state_errors.inc();
            let source = std::error::Error::source(&error).map(ToString::to_string);
            tracing::warn!(%error, source, "cannot write the probe's state");
        }
    }
}

/// What flow and ledger records share on the wire.
trait Numbered {
    fn stream(&self) -> &flow::Stream;
    fn seq(&self) -> u64;
    fn schema(&self) -> Schema;
}

impl Numbered for RawFlow {
    fn stream(&self) -> &flow::Stream {
        &self.stream
    }
    fn seq(&self) -> u64 {
        self.seq
    }
    fn schema(&self) -> Schema {
        Schema::RawFlow
    }
}

impl Numbered for LedgerRecord {
    fn stream(&self) -> &flow::Stream {
        &self.stream
    }
    fn seq(&self) -> u64 {
        self.seq
    }
    fn schema(&self) -> Schema {
        Schema::Ledger
    }
}
