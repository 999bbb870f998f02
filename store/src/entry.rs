//! A stream as the store holds it, entry by entry: what the balances are drawn from.

use flow::{FlowRecord, LedgerRecord, Stream, UnixMs};
use serde::Serialize;

use crate::query::{Cursor, Partial};

/// What the store holds of one stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StreamSummary {
    /// The stream.
    pub stream: Stream,
    /// Flow records and ledgers stored; one that lies in two places counts twice.
    pub stored: u64,
    /// Dead letters that name a record of the stream.
    pub dead_letters: u64,
    /// Highest number known, stored or dead.
    pub last_seq: u64,
    /// Latest end of its records and ledgers; absent if only dead letters or removed records are known.
    pub last_end: Option<UnixMs>,
}

/// The streams of a store.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StreamList {
    /// The streams, ordered by cluster, node, epoch.
    pub streams: Vec<StreamSummary>,
    /// What could not be read.
    pub partial: Vec<Partial>,
}

/// A question for the entries of one stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryQuery {
    /// The stream.
    pub stream: Stream,
    /// How many at most, up to [`crate::MAX_PAGE`].
    pub limit: usize,
    /// Where to go on.
    pub cursor: Option<Cursor>,
}

/// One thing that the store knows of one number of a stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The number.
    pub seq: u64,
    /// The file or index that it lies in.
    pub place: std::sync::Arc<str>,
    /// What it is.
    pub kind: EntryKind,
}

/// What a number of a stream stands for.
#[derive(Debug, Clone, PartialEq)]
pub enum EntryKind {
    /// A flow record.
    Flow(Box<FlowRecord>),
    /// A ledger record.
    Ledger(Box<LedgerRecord>),
    /// A dead letter; its reason, and its value where quantities may still be read from.
    DeadLetter {
        /// The keyword of the stage that gave it up.
        reason: String,
        /// The message, byte for byte.
        value: Vec<u8>,
    },
    /// Taken away by retention, from the entry's number to this one.
    Removed {
        /// Last number taken away.
        to: u64,
    },
    /// Something lies here that cannot be read as what it should be.
    Unreadable {
        /// Why.
        reason: String,
    },
}

/// One page of entries by number; those of one number never lie on two pages.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct EntryPage {
    /// The entries, ordered by number; a range that was removed stands at its first number.
    pub entries: Vec<Entry>,
    /// Where to go on; absent if this was the last page.
    pub next: Option<Cursor>,
    /// What could not be read.
    pub partial: Vec<Partial>,
}
