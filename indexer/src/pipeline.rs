//! The stages, from source to sink: poll → [`prepare`] each → store, and judge answer by answer
//! → send dead letters → commit.
//!
//! Offsets are committed after the store's answer and the acknowledgement of the dead letters: at least once. Dead
//! letters have a pipeline of their own, which has to run beside this one: it empties the topic that this one fills.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use bus::{BusError, Consumer, Delivered, Producer, Record};
use flow::wire::dead_letter::Reason;
use flow::{RecordId, UnixMs};
use service::health::Condition;
use service::retry::{self, GaveUp, RetryPolicy};
use service::shutdown::Token;
use store::{Answer, Document, FlowStore};

use crate::dead_letter;
use crate::document::{Prepared, Rules, prepare};
use crate::metrics::{DeadBecause, IndexerMetrics};
use crate::settings::IndexerSettings;
use crate::sink::Sink;
pub use crate::sink::Trouble;
use crate::source::{Source, bus_fate};

/// Why an indexer ended before its source did. What was not committed is read again by the next one.
#[derive(Debug, thiserror::Error)]
pub enum Stopped {
    /// Records cannot be read.
    #[error("cannot read from the bus")]
    Poll(#[source] BusError),
    /// A batch is not stored.
    #[error("cannot store a batch")]
    Store(#[source] GaveUp<Trouble>),
    /// Dead letters cannot be sent.
    #[error("cannot send dead letters")]
    DeadLetters(#[source] GaveUp<BusError>),
    /// What was done cannot be written down; it will be done again.
    #[error("cannot commit offsets")]
    Commit(#[source] GaveUp<BusError>),
}

/// What an indexer did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Indexed {
    /// Documents stored.
    pub created: u64,
    /// Documents that were stored before.
    pub duplicates: u64,
    /// Messages given up as dead letters.
    pub dead_letters: u64,
}

/// The indexer: one topic into the store.
#[derive(Debug)]
pub struct Indexer<C, P, S> {
    source: Source<C>,
    sink: Sink<S>,
    producer: P,
    rules: Rules,
    dead_letter_topic: std::sync::Arc<str>,
    metrics: IndexerMetrics,
    done: Indexed,
}

impl<C: Consumer, P: Producer, S: FlowStore> Indexer<C, P, S> {
    /// Puts an indexer together; nothing runs yet. `consumer` reads the enriched topic, `condition` says whether the
    /// store takes what it is given.
    pub fn new(
        settings: &IndexerSettings,
        consumer: C,
        producer: P,
        store: S,
        metrics: IndexerMetrics,
        condition: Condition,
    ) -> Self {
        condition.ready();
        Self {
            source: Source::new(consumer, settings.batch, metrics.clone(), metrics.lag_records.clone()),
            sink: Sink::new(store, settings.probe_interval, metrics.clone(), condition),
            producer,
            rules: settings.rules(),
            dead_letter_topic: std::sync::Arc::clone(&settings.dead_letter_topic),
            metrics,
            done: Indexed::default(),
        }
    }

    /// Runs until the topic is closed and read to its end, or the end is asked for; a batch that was begun is finished.
    ///
    /// # Errors
    /// See [`Stopped`].
    pub async fn run(mut self, stop: Token) -> Result<Indexed, Stopped> {
        while let Some(batch) = self.source.batch(&stop).await? {
            let begun = Instant::now();
            let (documents, places, mut dead) = self.prepare_all(&batch);
            let answers = self.sink.write(documents, &stop).await?;
            self.judge(&batch, &places, answers, &mut dead);
            self.send(dead, &stop).await?;
            self.source.finish(&batch, &stop).await?;
            self.metrics.batch_seconds.observe(begun.elapsed().as_secs_f64());
        }
        Ok(self.done)
    }

    /// Returns the documents, the place in the batch of each, and the dead letters.
    fn prepare_all(&mut self, batch: &[Delivered]) -> (Vec<Document>, Vec<usize>, Vec<Record>) {
        let now = unix_now();
        let mut documents = Vec::with_capacity(batch.len());
        let mut places = Vec::with_capacity(batch.len());
        let mut dead = Vec::new();
        for (at, message) in batch.iter().enumerate() {
            match prepare(message, &self.rules, now) {
                Prepared::Document(document) => {
                    documents.push(document);
                    places.push(at);
                }
                Prepared::Dead { id, reason, detail } => dead.push(self.give_up(message, id.as_ref(), reason, &detail)),
            }
        }
        (documents, places, dead)
    }

    /// Judges the store's answers item by item.
    fn judge(&mut self, batch: &[Delivered], places: &[usize], answers: Vec<Answer>, dead: &mut Vec<Record>) {
        for (at, answer) in places.iter().zip(answers) {
            let message = &batch[*at];
            match answer {
                Answer::Created => self.done.created += 1,
                Answer::Duplicate => self.done.duplicates += 1,
                Answer::Conflict => {
                    let id = id_of(message);
                    tracing::error!(id = ?id.as_ref().map(ToString::to_string), "another record is stored under this identity");
                    let detail = "a record with other quantities is stored under this identity";
                    dead.push(self.give_up(message, id.as_ref(), Reason::Conflict, detail));
                }
                Answer::Rejected(reason) => {
                    dead.push(self.give_up(message, id_of(message).as_ref(), Reason::Rejected, &reason));
                }
                // The sink returns last answers only.
                Answer::Transient(_) | Answer::Blocked(_) => {}
            }
        }
    }

    fn give_up(&mut self, message: &Delivered, id: Option<&RecordId>, reason: Reason, detail: &str) -> Record {
        self.done.dead_letters += 1;
        self.metrics.dead_letters.of(DeadBecause(reason)).inc();
        tracing::debug!(reason = reason.label(), detail, offset = message.offset, "dead letter");
        dead_letter::message_of(&self.dead_letter_topic, message, id, reason, detail)
    }

    async fn send(&self, records: Vec<Record>, stop: &Token) -> Result<(), Stopped> {
        if records.is_empty() {
            return Ok(());
        }
        let observe = |error: &BusError, failed: retry::Failed| {
            self.metrics.bus_retries.inc();
            tracing::warn!(%error, tries = failed.tries, "cannot send dead letters; trying again");
        };
        let sending =
            retry::retry(RetryPolicy::endless(), stop, bus_fate, observe, || self.producer.send(records.clone()));
        tokio::select! {
            sent = sending => sent.map_err(Stopped::DeadLetters),
            // The topic's backlog is full and nobody empties it any more.
            () = stop.requested_now() => {
                let reason = "the end was asked for at once".to_owned();
                Err(Stopped::DeadLetters(GaveUp::Stopped(BusError::Unavailable { reason })))
            }
        }
    }
}

/// The indexer of dead letters: their topic into the store. Whatever lies in that topic can be stored.
#[derive(Debug)]
pub struct DeadLetterIndexer<C, S> {
    source: Source<C>,
    sink: Sink<S>,
    rules: Rules,
    metrics: IndexerMetrics,
}

impl<C: Consumer, S: FlowStore> DeadLetterIndexer<C, S> {
    /// Puts it together; nothing runs yet. `consumer` reads the topic of dead letters.
    pub fn new(
        settings: &IndexerSettings,
        consumer: C,
        store: S,
        metrics: IndexerMetrics,
        condition: Condition,
    ) -> Self {
        condition.ready();
        Self {
            source: Source::new(consumer, settings.batch, metrics.clone(), metrics.dead_letter_lag_records.clone()),
            sink: Sink::new(store, settings.probe_interval, metrics.clone(), condition),
            rules: settings.rules(),
            metrics,
        }
    }

    /// Runs until the topic is closed and read to its end, or the end is asked for. Returns how many it stored.
    ///
    /// # Errors
    /// See [`Stopped`].
    pub async fn run(mut self, stop: Token) -> Result<u64, Stopped> {
        let mut stored = 0;
        while let Some(batch) = self.source.batch(&stop).await? {
            let now = unix_now();
            let retention = u64::try_from(self.rules.retention.as_millis()).unwrap_or(u64::MAX);
            let earliest = UnixMs(now.0.saturating_sub(retention));
            let letters = batch.iter().map(|message| dead_letter::letter_of(message, earliest, now));
            let documents = letters.map(|letter| Document::DeadLetter(Box::new(letter))).collect();
            let answers = self.sink.write(documents, &stop).await?;
            let created = answers.iter().filter(|answer| **answer == Answer::Created).count() as u64;
            self.metrics.dead_letters_stored.inc_by(created);
            stored += created;
            self.source.finish(&batch, &stop).await?;
        }
        Ok(stored)
    }
}

fn id_of(message: &Delivered) -> Option<RecordId> {
    let pairs = message.record.headers.iter().map(|header| (header.name.as_ref(), header.value.as_ref()));
    flow::wire::Headers::parse(pairs).ok().map(|headers| headers.id())
}

fn unix_now() -> UnixMs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMs(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
