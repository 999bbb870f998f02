//! All metrics of the indexer.

use flow::wire::dead_letter::Reason;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use service::metrics::{ByLabel, Label};
use store::Answer;

/// The name of the component in metric names.
pub const COMPONENT: &str = "indexer";

/// Label `answer`: what the store said of a document at last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// It is stored now.
    Created,
    /// It was stored before.
    Duplicate,
    /// Another one was stored under its identity.
    Conflict,
    /// It can never be stored.
    Rejected,
}

impl Label for Settled {
    const NAME: &'static str = "answer";
    const ALL: &'static [Self] = &[Self::Created, Self::Duplicate, Self::Conflict, Self::Rejected];

    fn label(&self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Duplicate => "duplicate",
            Self::Conflict => "conflict",
            Self::Rejected => "rejected",
        }
    }
}

/// Label `reason`: why a message became a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeadBecause(pub Reason);

impl Label for DeadBecause {
    const NAME: &'static str = "reason";
    const ALL: &'static [Self] = &[
        Self(Reason::Foreign),
        Self(Reason::TooLong),
        Self(Reason::Form),
        Self(Reason::Schema),
        Self(Reason::Invalid),
        Self(Reason::Identity),
        Self(Reason::TimeSuspect),
        Self(Reason::Rejected),
        Self(Reason::Conflict),
    ];

    fn label(&self) -> &'static str {
        self.0.label()
    }
}

/// The metrics. Clones are the same metrics.
#[derive(Debug, Clone)]
pub struct IndexerMetrics {
    /// Documents by the store's last answer.
    pub documents: ByLabel<Settled, Counter>,
    /// Messages that gave no document, by reason.
    pub dead_letters: ByLabel<DeadBecause, Counter>,
    /// Dead letters stored.
    pub dead_letters_stored: Counter,
    /// Requests to the store that were tried again.
    pub store_retries: Counter,
    /// 1 while the store refuses and a person has to do something.
    pub blocked: Gauge,
    /// Calls to the bus that were tried again.
    pub bus_retries: Counter,
    /// From a batch read to its offsets committed.
    pub batch_seconds: Histogram,
    /// Records of a batch.
    pub batch_records: Histogram,
    /// Messages of the enriched topic that are not committed.
    pub lag_records: Gauge,
    /// Messages of the topic of dead letters that are not committed.
    pub dead_letter_lag_records: Gauge,
    /// Bytes of the embedded store.
    pub store_bytes: Gauge,
    /// Records that the caps of the embedded store took away.
    pub removed: Counter,
    /// Torn files of the embedded store that were set aside.
    pub set_aside_files: Gauge,
}

impl IndexerMetrics {
    /// Makes the metrics and registers them with the registry of component [`COMPONENT`].
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            documents: ByLabel::register(registry, "documents", "Documents by the store's last answer"),
            dead_letters: ByLabel::register(registry, "dead_letters", "Messages that gave no document, by reason"),
            dead_letters_stored: Counter::default(),
            store_retries: Counter::default(),
            blocked: Gauge::default(),
            bus_retries: Counter::default(),
            // 1 ms to 16 s: a batch takes some ten milliseconds, or as long as the store makes it wait.
            batch_seconds: Histogram::new(exponential_buckets(0.001, 2.0, 15)),
            batch_records: Histogram::new(exponential_buckets(1.0, 4.0, 8)),
            lag_records: Gauge::default(),
            dead_letter_lag_records: Gauge::default(),
            store_bytes: Gauge::default(),
            removed: Counter::default(),
            set_aside_files: Gauge::default(),
        };
        let m = &metrics;
        registry.register("dead_letters_stored", "Dead letters stored", m.dead_letters_stored.clone());
        registry.register("store_retries", "Requests to the store that were tried again", m.store_retries.clone());
        registry.register("store_blocked", "1 while the store refuses until somebody acts", m.blocked.clone());
        registry.register("bus_retries", "Calls to the bus that were tried again", m.bus_retries.clone());
        registry.register(
            "batch_duration_seconds",
            "From a batch read to its offsets committed",
            m.batch_seconds.clone(),
        );
        registry.register("batch_records", "Records of a batch", m.batch_records.clone());
        registry.register("lag_records", "Messages of the enriched topic not committed", m.lag_records.clone());
        registry.register("dead_letter_lag_records", "Dead letters not committed", m.dead_letter_lag_records.clone());
        registry.register("store_bytes", "Bytes of the embedded store", m.store_bytes.clone());
        registry.register("removed_records", "Records that the embedded store's caps took away", m.removed.clone());
        registry.register(
            "set_aside_files",
            "Torn files of the embedded store that were set aside since the start",
            m.set_aside_files.clone(),
        );
        metrics
    }

    /// Counts what the store said of a document at last; an answer that is not the last counts nothing.
    pub fn count(&self, answer: &Answer) {
        let settled = match answer {
            Answer::Created => Settled::Created,
            Answer::Duplicate => Settled::Duplicate,
            Answer::Conflict => Settled::Conflict,
            Answer::Rejected(_) => Settled::Rejected,
            Answer::Transient(_) | Answer::Blocked(_) => return,
        };
        self.documents.of(settled).inc();
    }
}
