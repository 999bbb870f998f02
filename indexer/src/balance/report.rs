//! What a reconciliation says: the two balances of each stream, what does not close, and what cannot be told.

use std::collections::BTreeMap;

use flow::{Direction, FilterReason, LossReason, Protocol, Stream, UnixMs};
use serde::Serialize;
use store::Partial;

/// The most findings that are listed for a stream; all are counted.
pub const MAX_LISTED: usize = 100;

/// What a reconciliation comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Conclusion {
    /// Every stream is closed, both balances close.
    Closed,
    /// Nothing is wrong, and not all can be told yet, or ever: open streams, indeterminate windows, parts not readable.
    Undecided,
    /// A balance does not close.
    Open,
}

/// The whole reconciliation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// What it comes to.
    pub conclusion: Conclusion,
    /// All streams together.
    pub totals: Totals,
    /// Each stream, ordered by cluster, node, epoch.
    pub streams: Vec<StreamReport>,
    /// Times of which nobody can tell what happened.
    pub windows: Vec<Window>,
    /// What could not be read.
    pub partial: Vec<Partial>,
}

impl Report {
    /// Returns the exit code: 0 closed, 1 a balance does not close, 4 undecided.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self.conclusion {
            Conclusion::Closed => 0,
            Conclusion::Open => 1,
            Conclusion::Undecided => 4,
        }
    }
}

/// Sums over all streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Totals {
    /// Streams.
    pub streams: u64,
    /// Numbers given to records.
    pub expected: u64,
    /// Of those, stored.
    pub stored: u64,
    /// Of those, dead letters.
    pub dead_lettered: u64,
    /// Of those, removed by retention.
    pub removed: u64,
    /// Of those, missing from where no ledger accounts for them yet.
    pub in_flight: u64,
    /// Of those, missing.
    pub unexplained: u64,
    /// Attempts that the kernels counted, by the last ledgers.
    pub seen: u128,
    /// Attempts started in the records that are stored.
    pub started: u128,
    /// Attempts pending, by the last ledgers.
    pub pending: u128,
    /// Attempts lost, by the last ledgers.
    pub lost: u128,
    /// Attempts filtered, by the last ledgers.
    pub filtered: u128,
    /// Findings.
    pub findings: u64,
}

/// One stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StreamReport {
    /// The stream.
    pub stream: Stream,
    /// How it ended.
    pub end: End,
    /// The balance of records.
    pub records: RecordBalance,
    /// The balance of attempts.
    pub attempts: AttemptBalance,
    /// What does not close, in the order of the stream, at most [`MAX_LISTED`].
    pub findings: Vec<Finding>,
    /// How many findings there are.
    pub findings_total: u64,
}

impl StreamReport {
    /// Says what the stream comes to.
    #[must_use]
    pub fn conclusion(&self) -> Conclusion {
        match self.end {
            _ if self.findings_total > 0 => Conclusion::Open,
            End::Closed if self.attempts.undecidable_intervals == 0 => Conclusion::Closed,
            End::Closed | End::StillOpen | End::Indeterminate(_) => Conclusion::Undecided,
        }
    }
}

/// How a stream ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum End {
    /// With a closing ledger.
    Closed,
    /// It goes on, as far as can be told.
    StillOpen,
    /// It broke off.
    Indeterminate(Window),
}

/// A time of which nobody can tell what happened on a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Window {
    /// The stream that broke off.
    pub stream: Stream,
    /// When it was last known to work.
    pub from: UnixMs,
    /// When the next incarnation began; absent if there is none yet.
    pub to: Option<UnixMs>,
    /// Numbers that it is known to have given and that are not stored: these were not saved.
    pub records: u64,
}

/// Where the numbers of a stream are: `expected = stored + dead_lettered + removed + in_flight + unexplained`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct RecordBalance {
    /// Last number plus one.
    pub expected: u64,
    /// Stored, each number once.
    pub stored: u64,
    /// Dead letters, those excluded that are stored as well.
    pub dead_lettered: u64,
    /// Removed by retention.
    pub removed: u64,
    /// Missing above the last ledger of a stream that is not closed: not yet stored, or lost in its window.
    pub in_flight: u64,
    /// Missing.
    pub unexplained: u64,
    /// Numbers stored in more than one place.
    pub doubled: u64,
}

/// Where the attempts of a stream are.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct AttemptBalance {
    /// Ledgers stored.
    pub ledgers: u64,
    /// The last ledger's number, if there is one.
    pub last_ledger: Option<u64>,
    /// The accounts of the last ledger.
    pub accounts: Vec<Account>,
    /// Intervals whose digest was taken again and is the same.
    pub verified_intervals: u64,
    /// Intervals of which retention took a part: they cannot be taken again.
    pub removed_intervals: u64,
    /// Intervals with dead letters whose quantities cannot be read: they cannot be decided.
    pub undecidable_intervals: u64,
    /// Attempts that must be in those dead letters.
    pub in_dead_letters: u64,
}

/// Where the attempts of one protocol and direction are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Account {
    /// The protocol's name.
    pub protocol: String,
    /// Which way.
    pub direction: Direction,
    /// What the kernel counted.
    pub seen: u64,
    /// Started in records, by the ledger.
    pub started: u64,
    /// Started in the records that are stored, those before the last ledger.
    pub stored: u64,
    /// Not decided yet.
    pub pending: u64,
    /// Lost, by reason.
    pub lost: BTreeMap<LossReason, u64>,
    /// Left out on purpose, by reason.
    pub filtered: BTreeMap<FilterReason, u64>,
}

/// The name of a protocol class as it is shown.
pub(crate) fn protocol_name(protocol: Protocol) -> String {
    if protocol == Protocol(255) { "other".to_owned() } else { protocol.to_string() }
}

/// Something that does not close. Every finding names the number where it shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "finding", rename_all = "snake_case")]
pub enum Finding {
    /// Numbers are missing: records deleted, skipped, or lost on the way.
    Missing {
        /// First number.
        seq: u64,
        /// Last number.
        to: u64,
    },
    /// One number is stored more than once.
    Doubled {
        /// The number.
        seq: u64,
        /// Where it lies.
        places: Vec<String>,
        /// Whether the copies say the same.
        same: bool,
    },
    /// A second record came under a number that was stored, and said something else.
    Conflict {
        /// The number.
        seq: u64,
    },
    /// What is stored cannot be read.
    Unreadable {
        /// The number.
        seq: u64,
        /// Where it lies.
        place: String,
        /// Why.
        reason: String,
    },
    /// A ledger does not follow the one before.
    LedgerChain {
        /// The ledger.
        seq: u64,
        /// Where it says that its interval begins.
        from_seq: u64,
        /// Where the ledger before lies; absent if it is the first.
        before: Option<u64>,
    },
    /// A ledger's account does not close in itself: `seen ≠ started + pending + lost + filtered`.
    Account {
        /// The ledger.
        seq: u64,
        /// The protocol's name.
        protocol: String,
        /// Which way.
        direction: Direction,
        /// `seen − started − pending − lost − filtered`, as text: it may be larger than numbers of JSON readers.
        unexplained: String,
    },
    /// The records of a ledger's interval start another number of attempts than the ledger says.
    Started {
        /// The ledger.
        seq: u64,
        /// Where its interval begins.
        from_seq: u64,
        /// The protocol's name.
        protocol: String,
        /// Which way.
        direction: Direction,
        /// What the ledger says.
        ledger: i64,
        /// What the records say.
        records: u64,
    },
    /// The records of a ledger's interval are not those that it was taken of: one was edited.
    Digest {
        /// The ledger.
        seq: u64,
        /// Where its interval begins.
        from_seq: u64,
    },
    /// There are records after the closing ledger.
    AfterClosing {
        /// The first such number.
        seq: u64,
        /// The closing ledger.
        closing: u64,
    },
}

impl Finding {
    /// Returns the number where it shows.
    #[must_use]
    pub fn seq(&self) -> u64 {
        match self {
            Self::Missing { seq, .. }
            | Self::Doubled { seq, .. }
            | Self::Conflict { seq }
            | Self::Unreadable { seq, .. }
            | Self::LedgerChain { seq, .. }
            | Self::Account { seq, .. }
            | Self::Started { seq, .. }
            | Self::Digest { seq, .. }
            | Self::AfterClosing { seq, .. } => *seq,
        }
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Missing { seq, to } if seq == to => write!(f, "record {seq} is missing"),
            Self::Missing { seq, to } => write!(f, "records {seq} to {to} are missing"),
            Self::Doubled { seq, places, same } => {
                let how = if *same { "" } else { ", and the copies differ" };
                write!(f, "record {seq} is stored {} times: in {}{how}", places.len(), places.join(", "))
            }
            Self::Conflict { seq } => write!(f, "record {seq} came again with other quantities"),
            Self::Unreadable { seq, place, reason } => write!(f, "record {seq} in {place} cannot be read: {reason}"),
            Self::LedgerChain { seq, from_seq, before: Some(before) } => {
                write!(f, "ledger {seq} begins at {from_seq}, but the ledger before is {before}")
            }
            Self::LedgerChain { seq, from_seq, before: None } => {
                write!(f, "ledger {seq} begins at {from_seq}, but no ledger is before it")
            }
            Self::Account { seq, protocol, direction, unexplained } => {
                let way = direction.label();
                write!(f, "ledger {seq}: {protocol} {way} does not close, {unexplained} attempts are unexplained")
            }
            Self::Started { seq, from_seq, protocol, direction, ledger, records } => write!(
                f,
                "ledger {seq}: {protocol} {} started {ledger} attempts from {from_seq} on, the records say {records}",
                direction.label()
            ),
            Self::Digest { seq, from_seq } => {
                write!(f, "ledger {seq}: a record from {from_seq} on is not what it was when the ledger was taken")
            }
            Self::AfterClosing { seq, closing } => write!(f, "record {seq} comes after the closing ledger {closing}"),
        }
    }
}
