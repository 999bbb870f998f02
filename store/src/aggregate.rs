//! Sums of flow records by group.

use flow::{FlowRecord, UnixMs};
use serde::Serialize;

use crate::filter::Filter;
use crate::query::{Counting, Partial};

/// The most groups that an answer keeps; further ones are counted in [`AggregateAnswer::groups_left_out`].
pub const MAX_GROUPS: usize = 100_000;

macro_rules! group_by {
    ($($(#[$meta:meta])* $variant:ident => $name:literal, |$r:ident| $value:expr;)+) => {
        /// What to group by.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum GroupBy { $($(#[$meta])* $variant,)+ }

        impl GroupBy {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Returns the name of the field in the flow record.
            #[must_use]
            pub fn field(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// Returns the value that a record has for it.
            #[must_use]
            pub fn of(self, record: &FlowRecord) -> Option<String> {
                match self { $(Self::$variant => { let $r = record; $value })+ }
            }
        }
    };
}

group_by! {
    /// Namespace of the initiator.
    SourceNamespace => "source_namespace", |r| Some(r.source_namespace.clone());
    /// Name of the initiator.
    SourceName => "source_name", |r| Some(r.source_name.clone());
    /// Aggregated name of the initiator.
    SourceNameAggr => "source_name_aggr", |r| Some(r.source_name_aggr.clone());
    /// Type of the initiator.
    SourceType => "source_type", |r| Some(r.source_type.clone());
    /// Address of the initiator.
    SourceIp => "source_ip", |r| r.source_ip.map(|ip| ip.to_string());
    /// Namespace of the receiver.
    DestNamespace => "dest_namespace", |r| Some(r.dest_namespace.clone());
    /// Name of the receiver.
    DestName => "dest_name", |r| Some(r.dest_name.clone());
    /// Aggregated name of the receiver.
    DestNameAggr => "dest_name_aggr", |r| Some(r.dest_name_aggr.clone());
    /// Type of the receiver.
    DestType => "dest_type", |r| Some(r.dest_type.clone());
    /// Address of the receiver.
    DestIp => "dest_ip", |r| r.dest_ip.map(|ip| ip.to_string());
    /// Port of the receiver.
    DestPort => "dest_port", |r| r.dest_port.map(|port| port.to_string());
    /// Namespace of the service asked for.
    ServiceNamespace => "dest_service_namespace", |r| Some(r.dest_service_namespace.clone());
    /// The service asked for.
    ServiceName => "dest_service_name", |r| Some(r.dest_service_name.clone());
    /// Protocol.
    Protocol => "proto", |r| Some(r.proto.clone());
    /// How the attempts went.
    Outcome => "outcome", |r| Some(r.outcome.clone());
    /// Why the kernel dropped.
    DropReason => "drop_reason", |r| r.drop_reason.clone();
    /// `allow`, `deny`.
    Action => "action", |r| Some(r.action.clone());
    /// The joined verdict.
    Verdict => "verdict", |r| Some(r.verdict.clone());
    /// How verdict and kernel agree.
    Enforcement => "enforcement", |r| Some(r.enforcement.clone());
    /// `src`, `dst`, `fwd`.
    Reporter => "reporter", |r| Some(r.reporter.clone());
    /// The node that reported.
    Host => "host", |r| Some(r.host.clone());
    /// The cluster.
    Cluster => "cluster", |r| Some(r.cluster.clone());
}

/// A question for sums.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AggregateQuery {
    /// Records whose end is at this time or later.
    pub from: Option<UnixMs>,
    /// Records whose end is before this time.
    pub to: Option<UnixMs>,
    /// What must hold.
    pub filter: Filter,
    /// Which records take part.
    pub counting: Counting,
    /// What to group by; with nothing the answer is one row, or none.
    pub group_by: Vec<GroupBy>,
    /// How many rows at most, those with most attempts started first; up to [`MAX_GROUPS`].
    pub limit: usize,
}

impl Default for AggregateQuery {
    fn default() -> Self {
        Self {
            from: None,
            to: None,
            filter: Filter::everything(),
            counting: Counting::default(),
            group_by: Vec::new(),
            limit: MAX_GROUPS,
        }
    }
}

/// Exact sums over the records of a group; 128 bits hold the sum of any records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Sums {
    /// Records.
    pub records: u64,
    /// `num_flows`; over time this counts a long connection once a record.
    pub flows: u128,
    /// `num_flows_started`: attempts.
    pub started: u128,
    /// `num_flows_completed`.
    pub completed: u128,
    /// `num_flows_aborted`.
    pub aborted: u128,
    /// Bytes from the initiator to the receiver, whichever end reported.
    pub bytes_to_dest: u128,
    /// Bytes from the receiver to the initiator.
    pub bytes_to_source: u128,
    /// Packets from the initiator to the receiver.
    pub packets_to_dest: u128,
    /// Packets from the receiver to the initiator.
    pub packets_to_source: u128,
}

impl Sums {
    /// Adds one record: the slow and obvious meaning of the sums.
    pub fn add_record(&mut self, record: &FlowRecord) {
        let at_source = record.reporter == "src";
        let turn = |inward: u64, outward: u64| if at_source { (outward, inward) } else { (inward, outward) };
        let (bytes_to_dest, bytes_to_source) = turn(record.bytes_in, record.bytes_out);
        let (packets_to_dest, packets_to_source) = turn(record.packets_in, record.packets_out);
        self.add(&Self {
            records: 1,
            flows: record.num_flows.into(),
            started: record.num_flows_started.into(),
            completed: record.num_flows_completed.into(),
            aborted: record.num_flows_aborted.into(),
            bytes_to_dest: bytes_to_dest.into(),
            bytes_to_source: bytes_to_source.into(),
            packets_to_dest: packets_to_dest.into(),
            packets_to_source: packets_to_source.into(),
        });
    }

    /// Adds other sums.
    pub fn add(&mut self, other: &Self) {
        self.records += other.records;
        self.flows += other.flows;
        self.started += other.started;
        self.completed += other.completed;
        self.aborted += other.aborted;
        self.bytes_to_dest += other.bytes_to_dest;
        self.bytes_to_source += other.bytes_to_source;
        self.packets_to_dest += other.packets_to_dest;
        self.packets_to_source += other.packets_to_source;
    }
}

/// One group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AggregateRow {
    /// The values grouped by, in the order asked for; none where the field is absent.
    pub key: Vec<Option<String>>,
    /// The sums.
    pub sums: Sums,
}

/// Sums by group, most attempts first, then by key.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct AggregateAnswer {
    /// The groups.
    pub rows: Vec<AggregateRow>,
    /// Groups beyond the limit.
    pub groups_left_out: u64,
    /// The sums of all groups, those left out too.
    pub total: Sums,
    /// What could not be read.
    pub partial: Vec<Partial>,
}
