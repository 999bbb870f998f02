//! All metrics of the enricher.

use flow::Unknown;
use flow::wire::dead_letter::Reason;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use service::metrics::{ByLabel, Label};

use crate::enrich::Outcome;

/// The name of the component in metric names.
pub const COMPONENT: &str = "enricher";

/// Label `kind`: what came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A flow record.
    Flow,
    /// A ledger, passed through.
    Ledger,
    /// A dead letter.
    DeadLetter,
}

impl Label for Kind {
    const NAME: &'static str = "kind";
    const ALL: &'static [Self] = &[Self::Flow, Self::Ledger, Self::DeadLetter];

    fn label(&self) -> &'static str {
        match self {
            Self::Flow => "flow",
            Self::Ledger => "ledger",
            Self::DeadLetter => "dead_letter",
        }
    }
}

/// Label `because`: why something of a record is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Because(pub Unknown);

impl Label for Because {
    const NAME: &'static str = "because";
    const ALL: &'static [Self] = &[
        Self(Unknown::NoPolicyEngine),
        Self(Unknown::PolicyChanged),
        Self(Unknown::Settling),
        Self(Unknown::ForeignPolicy),
        Self(Unknown::ServiceBackend),
        Self(Unknown::Hairpin),
        Self(Unknown::NoHistory),
        Self(Unknown::NoMetadata),
        Self(Unknown::AmbiguousAddress),
        Self(Unknown::InitiatorUnknown),
        Self(Unknown::OutcomeIndecisive),
        Self(Unknown::MissingFact),
        Self(Unknown::Stale),
    ];

    fn label(&self) -> &'static str {
        self.0.as_str()
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
        Self(Reason::ResultTooLong),
    ];

    fn label(&self) -> &'static str {
        self.0.label()
    }
}

/// The metrics. Clones are the same metrics.
#[derive(Debug, Clone)]
pub struct EnricherMetrics {
    /// Messages of the raw topic by what came of them.
    pub records: ByLabel<Kind, Counter>,
    /// Dead letters by reason.
    pub dead_letters: ByLabel<DeadBecause, Counter>,
    /// Flow records by what they could not tell; one may count several times.
    pub unknown: ByLabel<Because, Counter>,
    /// From a batch read to its offsets committed.
    pub batch_seconds: Histogram,
    /// Calls to the bus that were tried again.
    pub retries: Counter,
    /// Messages of the raw topic that are not committed.
    pub lag_records: Gauge,
    /// Snapshots of the metadata that were put in force.
    pub snapshots: Counter,
    /// Objects of the metadata that are used.
    pub objects: Gauge,
    /// Objects of kinds that are not used.
    pub other_objects: Gauge,
    /// Manifests, or parts of them, that cannot be used.
    pub invalid_manifests: Gauge,
}

impl EnricherMetrics {
    /// Makes the metrics and registers them with the registry of component [`COMPONENT`].
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        // 1 ms to 16 s: a batch takes some milliseconds, or as long as the sink makes it wait.
        let batch_seconds = Histogram::new(exponential_buckets(0.001, 2.0, 15));
        let metrics = Self {
            records: ByLabel::register(registry, "records", "Messages of the raw topic by what came of them"),
            dead_letters: ByLabel::register(registry, "dead_letters", "Messages that gave no record, by reason"),
            unknown: ByLabel::register(registry, "unknown", "Flow records by what they could not tell"),
            batch_seconds,
            retries: Counter::default(),
            lag_records: Gauge::default(),
            snapshots: Counter::default(),
            objects: Gauge::default(),
            other_objects: Gauge::default(),
            invalid_manifests: Gauge::default(),
        };
        registry.register(
            "batch_duration_seconds",
            "From a batch read to its offsets committed",
            metrics.batch_seconds.clone(),
        );
        registry.register("bus_retries", "Calls to the bus that were tried again", metrics.retries.clone());
        registry.register("lag_records", "Messages of the raw topic not committed", metrics.lag_records.clone());
        registry.register("snapshots", "Snapshots of the metadata put in force", metrics.snapshots.clone());
        registry.register("metadata_objects", "Objects of the metadata that are used", metrics.objects.clone());
        registry.register(
            "metadata_other_objects",
            "Objects of kinds that are not used",
            metrics.other_objects.clone(),
        );
        registry.register(
            "invalid_manifests",
            "Manifests, or parts of them, that cannot be used",
            metrics.invalid_manifests.clone(),
        );
        metrics
    }

    /// Counts what became of a message.
    pub fn count(&self, outcome: &Outcome) {
        match outcome {
            Outcome::Flow(unknown) => {
                self.records.of(Kind::Flow).inc();
                for why in unknown {
                    self.unknown.of(Because(*why)).inc();
                }
            }
            Outcome::Ledger => {
                self.records.of(Kind::Ledger).inc();
            }
            Outcome::DeadLetter(reason) => {
                self.records.of(Kind::DeadLetter).inc();
                self.dead_letters.of(DeadBecause(*reason)).inc();
            }
        }
    }
}
