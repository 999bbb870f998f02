//! A stream as the store holds it, entry by entry: what the balances are drawn from.

use std::sync::Arc;

use flow::{FlowRecord, LedgerRecord, Stream, UnixMs, digest};
use serde::Serialize;

use crate::query::{Cursor, Partial};

/// The longest dead letter whose value comes with an entry: longer than any record of ours.
pub const MAX_LETTER_BYTES: usize = 16 * 1024;

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
    pub place: Arc<str>,
    /// What it is.
    pub kind: EntryKind,
}

/// What the balances ask of a flow record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quantities {
    /// End of the record.
    pub end_time: UnixMs,
    /// `src`, `dst`, `fwd`.
    pub reporter: Arc<str>,
    /// Name or number of the protocol.
    pub proto: Arc<str>,
    /// How the attempts went.
    pub outcome: Arc<str>,
    /// Attempts started.
    pub started: u64,
    /// Bytes received by the reporting end.
    pub bytes_in: u64,
    /// Bytes sent by the reporting end.
    pub bytes_out: u64,
    /// Packets received by the reporting end.
    pub packets_in: u64,
    /// Packets sent by the reporting end.
    pub packets_out: u64,
}

impl Quantities {
    /// Returns the line that the digest of a ledger has for the record.
    #[must_use]
    pub fn digest_line(&self, seq: u64) -> digest::Quantities<'_> {
        digest::Quantities {
            seq,
            end_time_ms: self.end_time.0,
            outcome: &self.outcome,
            flows_started: self.started,
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
            packets_in: self.packets_in,
            packets_out: self.packets_out,
        }
    }
}

impl From<&FlowRecord> for Quantities {
    fn from(record: &FlowRecord) -> Self {
        Self {
            end_time: record.timestamp,
            reporter: record.reporter.as_str().into(),
            proto: record.proto.as_str().into(),
            outcome: record.outcome.as_str().into(),
            started: record.num_flows_started,
            bytes_in: record.bytes_in,
            bytes_out: record.bytes_out,
            packets_in: record.packets_in,
            packets_out: record.packets_out,
        }
    }
}

/// What a number of a stream stands for.
#[derive(Debug, Clone, PartialEq)]
pub enum EntryKind {
    /// A flow record, as far as the balances ask.
    Flow(Quantities),
    /// A ledger record.
    Ledger(Box<LedgerRecord>),
    /// A dead letter; its reason, and its value where quantities may still be read from.
    DeadLetter {
        /// The keyword of the stage that gave it up.
        reason: String,
        /// The message, byte for byte; empty if it is longer than [`MAX_LETTER_BYTES`].
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
