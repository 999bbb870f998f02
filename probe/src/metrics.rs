//! All metrics of the probe.

use std::collections::BTreeMap;

use flow::{FilterReason, LossReason};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use service::metrics::{ByLabel, Label};

use crate::ledger::Closed;
use crate::observe::Observer;
use crate::overload::Detail;

/// The name of the component in metric names.
pub const COMPONENT: &str = "probe";

/// A label of one of our own lists of words.
macro_rules! label {
    ($name:ident($inner:ty), $key:literal, $all:expr) => {
        #[doc = concat!("Label `", $key, "`.")]
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct $name(pub $inner);

        impl Label for $name {
            const NAME: &'static str = $key;
            const ALL: &'static [Self] = &$all;

            fn label(&self) -> &'static str {
                self.0.label()
            }
        }
    };
}

label!(Lost(LossReason), "reason", {
    use LossReason::{DropRingFull, DropTableFull, FlowTableFull, KeyTableFull, NoOwner, RingFull, Unreadable};
    [
        Lost(RingFull),
        Lost(DropRingFull),
        Lost(FlowTableFull),
        Lost(DropTableFull),
        Lost(NoOwner),
        Lost(KeyTableFull),
        Lost(Unreadable),
    ]
});
label!(Filtered(FilterReason), "reason", {
    use FilterReason::{Continued, Loopback, Matched, OutsideNode, OwnTraffic, Repeated, SamePod};
    [
        Filtered(Loopback),
        Filtered(SamePod),
        Filtered(OutsideNode),
        Filtered(OwnTraffic),
        Filtered(Matched),
        Filtered(Repeated),
        Filtered(Continued),
    ]
});
label!(KeyDetail(Detail), "detail", {
    use Detail::{Full, Plain, WithoutContainers, WithoutPorts};
    [KeyDetail(Full), KeyDetail(WithoutPorts), KeyDetail(WithoutContainers), KeyDetail(Plain)]
});

/// The metrics. Clones are the same.
#[derive(Debug, Clone)]
pub struct ProbeMetrics {
    /// Kernel events read.
    pub events: Counter,
    /// Attempts that the kernel counted.
    pub attempts_seen: Gauge,
    /// Attempts counted in records.
    pub attempts_started: Gauge,
    /// Attempts not yet decided, written or read.
    pub attempts_pending: Gauge,
    /// Attempts lost, by reason.
    pub attempts_lost: ByLabel<Lost, Gauge>,
    /// Attempts left out, by reason.
    pub attempts_filtered: ByLabel<Filtered, Gauge>,
    /// Kernel events lost that no attempt hung on, by reason.
    pub events_lost: ByLabel<Lost, Gauge>,
    /// Runs of kernel programs that the kernel skipped.
    pub missed_runs: Gauge,
    /// Attempts in the table.
    pub attempts_open: Gauge,
    /// Flow keys in the table.
    pub keys: Gauge,
    /// Keys made, by how much detail they were made with.
    pub keys_made: ByLabel<KeyDetail, Gauge>,
    /// Step of the overload ladder: 0 full detail to 3 plain counters.
    pub overload_level: Gauge,
    /// Drops remembered.
    pub drops: Gauge,
    /// Cgroups known.
    pub cgroups: Gauge,
    /// Cgroups that found no room in the table.
    pub cgroups_refused: Gauge,
    /// Attempts by which books and inventory differ: anything but 0 is a defect.
    pub ledger_imbalance: Gauge,
    /// Attempts that the accounts do not explain: anything but 0 is a defect.
    pub ledger_unexplained: Gauge,
    /// Hooks that the kernel refused.
    pub hooks_refused: Gauge,
    /// Reads of kernel tables that failed.
    pub kernel_read_errors: Counter,
    /// Times that connection tracking told more than was read in time.
    pub translation_overruns: Counter,
    /// Time from an event in the kernel to its observation.
    pub event_delay: Histogram,
    /// Time of one round of the capture loop.
    pub round: Histogram,
    /// Rounds in which due records had to wait because the way to the bus was full.
    pub blocked_rounds: Counter,
    /// Records handed to the bus and acknowledged.
    pub records_published: Counter,
    /// Ledger records among them.
    pub ledgers_published: Counter,
    /// Sends that failed and were repeated.
    pub send_retries: Counter,
    /// Records that could not be encoded; each is a gap in the numbers.
    pub encode_errors: Counter,
    /// Writes of the state file that failed.
    pub state_errors: Counter,
    /// Lines of a replayed file that are no raw record.
    pub replay_malformed: Counter,
}

impl ProbeMetrics {
    /// Makes the metrics and registers them.
    pub fn register(registry: &mut Registry) -> Self {
        fn gauge(registry: &mut Registry, name: &str, help: &str) -> Gauge {
            let gauge = Gauge::default();
            registry.register(name, help, gauge.clone());
            gauge
        }
        fn counter(registry: &mut Registry, name: &str, help: &str) -> Counter {
            let counter = Counter::default();
            registry.register(name, help, counter.clone());
            counter
        }
        fn seconds(registry: &mut Registry, name: &str, help: &str) -> Histogram {
            let histogram = Histogram::new(exponential_buckets(0.000_5, 4.0, 9));
            registry.register(name, help, histogram.clone());
            histogram
        }
        Self {
            events: counter(registry, "events", "Kernel events read"),
            attempts_seen: gauge(registry, "attempts_seen", "Attempts that the kernel counted"),
            attempts_started: gauge(registry, "attempts_started", "Attempts counted in records"),
            attempts_pending: gauge(registry, "attempts_pending", "Attempts not yet decided, written or read"),
            attempts_lost: ByLabel::register(registry, "attempts_lost", "Attempts lost, by reason"),
            attempts_filtered: ByLabel::register(registry, "attempts_filtered", "Attempts left out, by reason"),
            events_lost: ByLabel::register(registry, "events_lost", "Kernel events lost that no attempt hung on"),
            missed_runs: gauge(registry, "missed_runs", "Runs of kernel programs that the kernel skipped"),
            attempts_open: gauge(registry, "attempts_open", "Attempts in the table"),
            keys: gauge(registry, "keys", "Flow keys in the table"),
            keys_made: ByLabel::register(registry, "keys_made", "Flow keys made, by how much detail they keep"),
            overload_level: gauge(registry, "overload_level", "Step of the overload ladder, 0 to 3"),
            drops: gauge(registry, "drops_remembered", "Dropped packets remembered"),
            cgroups: gauge(registry, "cgroups", "Cgroups known"),
            cgroups_refused: gauge(registry, "cgroups_refused", "Cgroups that found no room in the table"),
            ledger_imbalance: gauge(registry, "ledger_imbalance", "Attempts by which books and inventory differ"),
            ledger_unexplained: gauge(registry, "ledger_unexplained", "Attempts that the accounts do not explain"),
            hooks_refused: gauge(registry, "hooks_refused", "Hooks that the kernel refused"),
            kernel_read_errors: counter(registry, "kernel_read_errors", "Reads of kernel tables that failed"),
            translation_overruns: counter(registry, "translation_overruns", "Times that translations were lost unread"),
            event_delay: seconds(registry, "event_delay_seconds", "From an event in the kernel to its observation"),
            round: seconds(registry, "round_seconds", "One round of the capture loop"),
            blocked_rounds: counter(registry, "blocked_rounds", "Rounds in which due records had to wait for the bus"),
            records_published: counter(registry, "records_published", "Records acknowledged by the bus"),
            ledgers_published: counter(registry, "ledgers_published", "Ledger records acknowledged by the bus"),
            send_retries: counter(registry, "send_retries", "Sends that failed and were repeated"),
            encode_errors: counter(registry, "encode_errors", "Records that could not be encoded"),
            state_errors: counter(registry, "state_errors", "Writes of the state file that failed"),
            replay_malformed: counter(registry, "replay_malformed_lines", "Replayed lines that are no raw record"),
        }
    }

    /// Takes over how full the observer's tables are.
    pub fn sizes(&self, observer: &Observer) {
        let sizes = observer.sizes();
        set(&self.attempts_open, sizes.attempts as u64);
        set(&self.drops, sizes.drops as u64);
        set(&self.keys, sizes.keys as u64);
        set(&self.cgroups, sizes.cgroups as u64);
        set(&self.cgroups_refused, sizes.cgroups_refused);
        set(&self.overload_level, observer.windows().detail() as u64);
        for (detail, made) in Detail::ALL.into_iter().zip(observer.windows().made()) {
            set(self.keys_made.of(KeyDetail(detail)), made);
        }
    }

    /// Takes over the accounts.
    pub fn closed(&self, closed: &Closed) {
        let mut lost: BTreeMap<LossReason, u64> = BTreeMap::new();
        let mut filtered: BTreeMap<FilterReason, u64> = BTreeMap::new();
        for account in &closed.accounts {
            account.lost.iter().for_each(|(reason, n)| *lost.entry(*reason).or_default() += n);
            account.filtered.iter().for_each(|(reason, n)| *filtered.entry(*reason).or_default() += n);
        }
        let sum = |part: fn(&flow::AttemptAccount) -> u64| closed.accounts.iter().map(part).sum();
        set(&self.attempts_seen, sum(|a| a.seen));
        set(&self.attempts_started, sum(|a| a.started));
        set(&self.attempts_pending, sum(|a| a.pending));
        lost.into_iter().for_each(|(reason, n)| set(self.attempts_lost.of(Lost(reason)), n));
        filtered.into_iter().for_each(|(reason, n)| set(self.attempts_filtered.of(Filtered(reason)), n));
        set(&self.ledger_imbalance, u64::try_from(closed.imbalance).unwrap_or(u64::MAX));
        set(&self.ledger_unexplained, u64::try_from(closed.unexplained).unwrap_or(u64::MAX));
    }
}

/// Sets a gauge to a count.
pub(crate) fn set(gauge: &Gauge, n: u64) {
    gauge.set(i64::try_from(n).unwrap_or(i64::MAX));
}
