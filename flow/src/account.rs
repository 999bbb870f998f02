//! The account that a stream gives of itself: what the kernel saw, and where each attempt went.
//!
//! A ledger record takes a number of its stream like any record, so a lost ledger is a gap like any other. Totals are
//! cumulative since the start of the stream. For each account `seen = started + pending + lost + filtered` must hold,
//! and `started` must equal the sum of `num_flows_started` over the stored records with a lower number.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Protocol, Stream, UnixMs};

/// Which way an attempt goes as the node sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// A local socket began it.
    Out,
    /// A local socket received it.
    In,
    /// A dropped packet without a socket, seen for the first time.
    Drop,
}

impl Direction {
    /// Returns the account that a record's attempts belong to, as every reader of the record can tell: at `src` out; at
    /// `dst` in, or drop where a packet was thrown away before a socket took it; at `fwd` always drop.
    #[must_use]
    pub fn of_record(reporter: crate::Reporter, outcome: crate::Outcome) -> Self {
        match (reporter, outcome) {
            (crate::Reporter::Src, _) => Self::Out,
            (crate::Reporter::Fwd, _) | (crate::Reporter::Dst, crate::Outcome::Dropped) => Self::Drop,
            (crate::Reporter::Dst, _) => Self::In,
        }
    }
}

/// Why an attempt that the kernel counted is in no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LossReason {
    /// The ring buffer was full.
    RingFull,
    /// The ring buffer for drops was full.
    DropRingFull,
    /// The kernel's table of flows was full.
    FlowTableFull,
    /// The kernel's table of drops was full.
    DropTableFull,
    /// The kernel had no memory for the socket's owner.
    NoOwner,
    /// The probe's table of flow keys was full at the last step of the overload ladder.
    KeyTableFull,
    /// A kernel event could not be read.
    Unreadable,
}

/// Why an attempt that the kernel counted was left out on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FilterReason {
    /// Both ends are the same host or pod by loopback.
    Loopback,
    /// Both ends are in the same pod.
    SamePod,
    /// The socket or namespace does not belong to this node (`cgroup_root`).
    OutsideNode,
    /// The probe's own traffic.
    OwnTraffic,
    /// A drop that belongs to an attempt already counted: it changed that attempt's outcome.
    Matched,
    /// A further drop of the same packets at another place of the path.
    Repeated,
    /// The same attempt counted again by the kernel (a UDP flow whose entry was evicted and made anew).
    Continued,
}

macro_rules! labels {
    ($name:ident { $($variant:ident => $label:literal),+ $(,)? }) => {
        impl $name {
            /// All values, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Returns the fixed label for metrics and records.
            #[must_use]
            pub fn label(self) -> &'static str {
                match self { $(Self::$variant => $label),+ }
            }
        }
    };
}
labels!(Direction { Out => "out", In => "in", Drop => "drop" });
labels!(LossReason {
    RingFull => "ring_full",
    DropRingFull => "drop_ring_full",
    FlowTableFull => "flow_table_full",
    DropTableFull => "drop_table_full",
    NoOwner => "no_owner",
    KeyTableFull => "key_table_full",
    Unreadable => "unreadable",
});
labels!(FilterReason {
    Loopback => "loopback",
    SamePod => "same_pod",
    OutsideNode => "outside_node",
    OwnTraffic => "own_traffic",
    Matched => "matched",
    Repeated => "repeated",
    Continued => "continued",
});

/// Where the attempts of one protocol and direction went, since the start of the stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AttemptAccount {
    /// The protocol; all that are not TCP, UDP, SCTP or ICMP share number 255.
    pub protocol: Protocol,
    /// Which way.
    pub direction: Direction,
    /// Attempts that the kernel counted, before any ring or table.
    pub seen: u64,
    /// Attempts counted as started in records with a lower number than this ledger.
    pub started: u64,
    /// Attempts not yet decided, not yet written, or not yet read from the kernel.
    pub pending: u64,
    /// Attempts lost, by reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub lost: BTreeMap<LossReason, u64>,
    /// Attempts left out on purpose, by reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub filtered: BTreeMap<FilterReason, u64>,
}

impl AttemptAccount {
    /// Returns what the account is of.
    #[must_use]
    pub fn key(&self) -> (Protocol, Direction) {
        (self.protocol, self.direction)
    }

    /// Returns `seen − started − pending − lost − filtered`: 0, or the account does not close.
    #[must_use]
    pub fn unexplained(&self) -> i128 {
        let sum = |parts: &mut dyn Iterator<Item = u64>| parts.map(i128::from).sum::<i128>();
        i128::from(self.seen)
            - i128::from(self.started)
            - i128::from(self.pending)
            - sum(&mut self.lost.values().copied())
            - sum(&mut self.filtered.values().copied())
    }
}

/// What a probe says of the incarnation before it on the same node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Predecessor {
    /// The stream of the incarnation before.
    pub stream: Stream,
    /// True if it wrote its closing ledger; false makes the time from `last_known` to this stream's epoch an
    /// indeterminate window.
    pub closed: bool,
    /// The lowest number it may not have published: what it had surely handed over lies below.
    pub next_seq: u64,
    /// When it was last known to work.
    pub last_known: UnixMs,
}

/// A stream's account of itself, every 10 s, at shutdown, and for the incarnation before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LedgerRecord {
    /// The stream that gives the account.
    pub stream: Stream,
    /// Number of this ledger record in the stream; it accounts for all numbers below.
    pub seq: u64,
    /// Lowest number not accounted for by the ledger before: that ledger's own number, or 0.
    pub from_seq: u64,
    /// Begin of the interval since the ledger before.
    pub start_time: UnixMs,
    /// When the account was taken.
    pub end_time: UnixMs,
    /// True if the probe shut down in order after this record: nothing follows.
    pub closing: bool,
    /// The incarnation before; only in the first ledger of a stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predecessor: Option<Predecessor>,
    /// The attempts by protocol and direction; combinations never seen are left out.
    pub attempts: Vec<AttemptAccount>,
    /// Runs of the kernel programs that the kernel itself skipped; outside the equation.
    #[serde(default)]
    pub missed_runs: u64,
    /// SHA-256 (hex) over the records `from_seq..seq` and the digest of the ledger before: see [`crate::digest`].
    pub digest: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Outcome, Reporter};

    #[test]
    fn a_record_is_read_under_the_account_of_its_reporter_and_outcome() {
        for outcome in Outcome::ALL {
            let received = if outcome == Outcome::Dropped { Direction::Drop } else { Direction::In };
            assert_eq!(Direction::of_record(Reporter::Src, outcome), Direction::Out);
            assert_eq!(Direction::of_record(Reporter::Dst, outcome), received);
            assert_eq!(Direction::of_record(Reporter::Fwd, outcome), Direction::Drop);
        }
    }

    #[test]
    fn an_account_closes_over_all_its_parts() {
        let closed = AttemptAccount {
            protocol: Protocol::TCP,
            direction: Direction::Out,
            seen: 1_111,
            started: 1_000,
            pending: 100,
            lost: BTreeMap::from([(LossReason::RingFull, 7), (LossReason::KeyTableFull, 1)]),
            filtered: BTreeMap::from([(FilterReason::Loopback, 2), (FilterReason::Matched, 1)]),
        };
        assert_eq!(closed.unexplained(), 0);
        assert_eq!(AttemptAccount { seen: 1_112, ..closed.clone() }.unexplained(), 1, "one was lost sight of");
        assert_eq!(AttemptAccount { started: 1_002, ..closed.clone() }.unexplained(), -2, "two were counted again");
        assert_eq!(AttemptAccount { lost: BTreeMap::new(), ..closed.clone() }.unexplained(), 8);
        assert_eq!(AttemptAccount { filtered: BTreeMap::new(), ..closed }.unexplained(), 3);
    }
}
