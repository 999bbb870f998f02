//! The beginning and the end of an indexer's pipeline: batches out of a topic, and the commit of what was finished.

use std::time::{Duration, Instant};

use bus::{BusError, Consumer, Delivered, Watermark};
use prometheus_client::metrics::gauge::Gauge;
use service::retry::{self, Fate, RetryPolicy};
use service::shutdown::Token;

use crate::metrics::IndexerMetrics;
use crate::pipeline::Stopped;
use crate::settings::BatchLimits;

/// How long a poll waits for something new before it looks around.
const POLL_WAIT: Duration = Duration::from_millis(500);

/// A topic being read.
#[derive(Debug)]
pub(crate) struct Source<C> {
    consumer: C,
    limits: BatchLimits,
    watermark: Watermark,
    metrics: IndexerMetrics,
    /// Messages of this topic that are not committed.
    lag: Gauge,
    /// True after the topic was closed and read to its end.
    ended: bool,
}

impl<C: Consumer> Source<C> {
    pub(crate) fn new(consumer: C, limits: BatchLimits, metrics: IndexerMetrics, lag: Gauge) -> Self {
        Self { consumer, limits, watermark: Watermark::new(), metrics, lag, ended: false }
    }

    /// Returns the next batch, full or old enough; none at the end.
    pub(crate) async fn batch(&mut self, stop: &Token) -> Result<Option<Vec<Delivered>>, Stopped> {
        let mut batch: Vec<Delivered> = Vec::new();
        let mut bytes = 0;
        let mut begun = Instant::now();
        loop {
            let left = if batch.is_empty() { POLL_WAIT } else { self.limits.age.saturating_sub(begun.elapsed()) };
            let full = batch.len() >= self.limits.records || bytes >= self.limits.bytes;
            if self.ended || full || (!batch.is_empty() && left.is_zero()) {
                break;
            }
            let wanted = self.limits.records - batch.len();
            let Some(polled) = stop.unless_requested(self.consumer.poll(wanted, left)).await else { break };
            match polled {
                Ok(more) if more.is_empty() => self.note_lag().await,
                Ok(more) => {
                    if batch.is_empty() {
                        begun = Instant::now();
                    }
                    bytes += more.iter().map(|message| message.record.size()).sum::<usize>();
                    batch.extend(more);
                }
                Err(BusError::Closed) => self.ended = true,
                Err(error) if error.fate() == bus::Fate::Retryable => {
                    self.metrics.bus_retries.inc();
                    tracing::warn!(%error, "cannot read from the bus; trying again");
                    if stop.unless_requested(tokio::time::sleep(POLL_WAIT)).await.is_none() {
                        break;
                    }
                }
                Err(error) => return Err(Stopped::Poll(error)),
            }
        }
        if batch.is_empty() {
            return Ok(None);
        }
        self.watermark.begin(&batch);
        #[expect(clippy::cast_precision_loss, reason = "batches are small")]
        self.metrics.batch_records.observe(batch.len() as f64);
        Ok(Some(batch))
    }

    /// Commits a batch of which every message is stored or sent on.
    pub(crate) async fn finish(&mut self, batch: &[Delivered], stop: &Token) -> Result<(), Stopped> {
        let advanced = self.watermark.finish_all(batch);
        let observe = |error: &BusError, failed: retry::Failed| {
            self.metrics.bus_retries.inc();
            tracing::warn!(%error, tries = failed.tries, "cannot commit offsets; trying again");
        };
        // Tries follow one another: the lock only lets each of them have the consumer for itself.
        let consumer = tokio::sync::Mutex::new(&mut self.consumer);
        let attempt = || async { consumer.lock().await.commit(&advanced).await };
        let lost =
            retry::retry(RetryPolicy::endless(), stop, bus_fate, observe, attempt).await.map_err(Stopped::Commit)?;
        for position in lost {
            tracing::info!(topic = %position.topic, partition = position.partition, "partition has moved on");
            self.watermark.forget(&position.topic, position.partition);
        }
        Ok(())
    }

    async fn note_lag(&mut self) {
        if let Ok(lag) = self.consumer.lag().await {
            self.lag.set(i64::try_from(lag).unwrap_or(i64::MAX));
        }
    }
}

/// Says whether trying again can help.
pub(crate) fn bus_fate(error: &BusError) -> Fate {
    match error.fate() {
        bus::Fate::Retryable => Fate::Retryable,
        bus::Fate::Permanent => Fate::Permanent,
    }
}
