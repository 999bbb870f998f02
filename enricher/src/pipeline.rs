//! The stages, from source to sink: poll raw → [`enrich`](crate::enrich) each → send → commit.
//!
//! A batch is sent whole before its offsets are committed, in the order in which it came: at least once, and in order
//! for each stream. Back-pressure is the bus's: sending waits while the backlog is full.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bus::{BusError, Consumer, Delivered, Producer, Record, Watermark};
use cluster::History;
use service::retry::{self, Fate, GaveUp, RetryPolicy};
use service::shutdown::Token;
use tokio::sync::watch;

use crate::enrich::{Outcome, Rules, enrich};
use crate::metrics::EnricherMetrics;
use crate::settings::EnricherSettings;

/// How long a poll waits for something new before it looks around.
const POLL_WAIT: Duration = Duration::from_millis(500);

/// Why an enricher ended before its source did.
#[derive(Debug, thiserror::Error)]
pub enum Stopped {
    /// Raw records cannot be read.
    #[error("cannot read raw records")]
    Poll(#[source] GaveUp<BusError>),
    /// Flow records cannot be sent.
    #[error("cannot send flow records")]
    Send(#[source] GaveUp<BusError>),
    /// What was done cannot be written down; it will be done again.
    #[error("cannot commit offsets")]
    Commit(#[source] GaveUp<BusError>),
}

/// What an enricher did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Enriched {
    /// Flow records sent.
    pub flows: u64,
    /// Ledgers passed through.
    pub ledgers: u64,
    /// Dead letters, foreign messages among them.
    pub dead_letters: u64,
}

/// The enricher: reads one topic, writes two.
#[derive(Debug)]
pub struct Enricher<C, P> {
    consumer: C,
    producer: P,
    histories: watch::Receiver<Arc<History>>,
    rules: Rules,
    batch_records: usize,
    metrics: EnricherMetrics,
    watermark: Watermark,
    done: Enriched,
}

impl<C: Consumer, P: Producer> Enricher<C, P> {
    /// Puts an enricher together; nothing runs yet. `consumer` reads the raw topic, `histories` is what [`crate::Folder`]
    /// gives.
    pub fn new(
        settings: &EnricherSettings,
        consumer: C,
        producer: P,
        histories: watch::Receiver<Arc<History>>,
        metrics: EnricherMetrics,
    ) -> Self {
        Self {
            consumer,
            producer,
            histories,
            rules: settings.rules(),
            batch_records: settings.batch_records,
            metrics,
            watermark: Watermark::new(),
            done: Enriched::default(),
        }
    }

    /// Runs until the raw topic is closed and read to its end, or the end is asked for; a batch that was begun is
    /// finished.
    ///
    /// # Errors
    /// See [`Stopped`]: what was not committed is read again by the next enricher.
    pub async fn run(mut self, stop: Token) -> Result<Enriched, Stopped> {
        while let Some(batch) = self.poll(&stop).await? {
            let started = Instant::now();
            self.watermark.begin(&batch);
            let history = Arc::clone(&self.histories.borrow_and_update());
            let records = self.enrich_all(&batch, &history);
            self.send(records, &stop).await?;
            self.commit(&batch, &stop).await?;
            self.metrics.batch_seconds.observe(started.elapsed().as_secs_f64());
        }
        Ok(self.done)
    }

    /// Returns the next batch, possibly an empty one, or none at the end.
    async fn poll(&mut self, stop: &Token) -> Result<Option<Vec<Delivered>>, Stopped> {
        loop {
            let Some(polled) = stop.unless_requested(self.consumer.poll(self.batch_records, POLL_WAIT)).await else {
                return Ok(None);
            };
            match polled {
                Ok(batch) if batch.is_empty() => self.note_lag().await,
                Ok(batch) => {
                    tracing::debug!(records = batch.len(), "batch read");
                    return Ok(Some(batch));
                }
                Err(BusError::Closed) => return Ok(None),
                Err(error) if error.fate() == bus::Fate::Retryable => {
                    self.metrics.retries.inc();
                    tracing::warn!(%error, "cannot read raw records; trying again");
                    // The engine's own answer is awaited once more after a pause: nothing was taken.
                    if stop.unless_requested(tokio::time::sleep(POLL_WAIT)).await.is_none() {
                        return Ok(None);
                    }
                }
                Err(error) => return Err(Stopped::Poll(GaveUp::Permanent(error))),
            }
        }
    }

    fn enrich_all(&mut self, batch: &[Delivered], history: &History) -> Vec<Record> {
        let mut records = Vec::with_capacity(batch.len());
        for message in batch {
            let (record, outcome) = enrich(message, history, &self.rules);
            self.metrics.count(&outcome);
            match outcome {
                Outcome::Flow(_) => self.done.flows += 1,
                Outcome::Ledger => self.done.ledgers += 1,
                Outcome::DeadLetter(_) => self.done.dead_letters += 1,
            }
            records.push(record);
        }
        records
    }

    async fn send(&self, records: Vec<Record>, stop: &Token) -> Result<(), Stopped> {
        let observe = |error: &BusError, failed: retry::Failed| {
            self.metrics.retries.inc();
            tracing::warn!(%error, tries = failed.tries, "cannot send flow records; trying again");
        };
        let sending = retry::retry(RetryPolicy::endless(), stop, fate, observe, || self.producer.send(records.clone()));
        tokio::select! {
            sent = sending => sent.map_err(Stopped::Send),
            // The sink's backlog is full and nobody empties it any more.
            () = stop.requested_now() => {
                let reason = "the end was asked for at once".to_owned();
                Err(Stopped::Send(GaveUp::Stopped(BusError::Unavailable { reason })))
            }
        }
    }

    async fn commit(&mut self, batch: &[Delivered], stop: &Token) -> Result<(), Stopped> {
        let advanced = self.watermark.finish_all(batch);
        let observe = |error: &BusError, failed: retry::Failed| {
            self.metrics.retries.inc();
            tracing::warn!(%error, tries = failed.tries, "cannot commit offsets; trying again");
        };
        // Tries follow one another: the lock only lets each of them have the consumer for itself.
        let consumer = tokio::sync::Mutex::new(&mut self.consumer);
        let attempt = || async { consumer.lock().await.commit(&advanced).await };
        let lost = retry::retry(RetryPolicy::endless(), stop, fate, observe, attempt).await.map_err(Stopped::Commit)?;
        for position in lost {
            tracing::info!(topic = %position.topic, partition = position.partition, "partition has moved on");
            self.watermark.forget(&position.topic, position.partition);
        }
        Ok(())
    }

    async fn note_lag(&mut self) {
        if let Ok(lag) = self.consumer.lag().await {
            self.metrics.lag_records.set(i64::try_from(lag).unwrap_or(i64::MAX));
        }
    }
}

fn fate(error: &BusError) -> Fate {
    match error.fate() {
        bus::Fate::Retryable => Fate::Retryable,
        bus::Fate::Permanent => Fate::Permanent,
    }
}

#[cfg(test)]
mod tests;
