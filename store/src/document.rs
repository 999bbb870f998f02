//! What is written, and what the store answers for each item.

pub use flow::wire::dead_letter::Stage;
use flow::{FlowRecord, LedgerRecord, RecordId, UnixMs};
use serde::Serialize;

/// One thing to store.
#[derive(Debug, Clone, PartialEq)]
pub enum Document {
    /// A flow record, stored under the day of its own end.
    Flow(Box<FlowRecord>),
    /// A ledger record, stored under the day of its own end.
    Ledger(Box<LedgerRecord>),
    /// A dead letter, stored under the day of its message.
    DeadLetter(Box<DeadLetter>),
}

impl Document {
    /// Returns the time that decides the day under which the document is stored.
    #[must_use]
    pub fn time(&self) -> UnixMs {
        match self {
            Self::Flow(record) => record.timestamp,
            Self::Ledger(ledger) => ledger.end_time,
            Self::DeadLetter(letter) => letter.timestamp,
        }
    }

    /// Returns the identity of the record that the document is or stands for; a foreign dead letter has none.
    #[must_use]
    pub fn id(&self) -> Option<RecordId> {
        match self {
            Self::Flow(record) => Some(RecordId { stream: record.stream.clone(), seq: record.seq }),
            Self::Ledger(ledger) => Some(RecordId { stream: ledger.stream.clone(), seq: ledger.seq }),
            Self::DeadLetter(letter) => letter.id.clone(),
        }
    }
}

/// A message that could not become a document, with all that is needed to find out why and to try again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeadLetter {
    /// Identity by the message's headers; absent for a foreign message, which is outside the balance.
    #[serde(serialize_with = "id_as_text")]
    pub id: Option<RecordId>,
    /// Which stage gave it up.
    pub stage: Stage,
    /// Why: a keyword of a closed list of that stage.
    pub reason: String,
    /// Why, in words, with the place.
    pub detail: String,
    /// Topic of the message.
    pub topic: String,
    /// Partition of the message.
    pub partition: u32,
    /// Offset of the message.
    pub offset: u64,
    /// Time of the message.
    pub timestamp: UnixMs,
    /// The message's value, byte for byte.
    #[serde(serialize_with = "bytes_as_text")]
    pub value: Vec<u8>,
}

fn id_as_text<S: serde::Serializer>(id: &Option<RecordId>, serializer: S) -> Result<S::Ok, S::Error> {
    match id {
        Some(id) => serializer.collect_str(id),
        None => serializer.serialize_none(),
    }
}

/// Shows bytes that are text as text, and others with the replacement character: for people, not for replays.
fn bytes_as_text<S: serde::Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&String::from_utf8_lossy(bytes))
}

/// What became of one item of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It is stored now.
    Created,
    /// It was stored before, with the same content.
    Duplicate,
    /// Its identity was stored before with other content; the first one stays.
    Conflict,
    /// It can never be stored; why.
    Rejected(String),
    /// It could not be stored now and may be tried again; why.
    Transient(String),
    /// It cannot be stored before a person has done something; what is in the way.
    Blocked(String),
}

impl Answer {
    /// Returns the fixed label for metrics.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Duplicate => "duplicate",
            Self::Conflict => "conflict",
            Self::Rejected(_) => "rejected",
            Self::Transient(_) => "transient",
            Self::Blocked(_) => "blocked",
        }
    }
}
