//! What travels on the bus, and the two kinds of places in it.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;

/// The largest record that the bus carries, in bytes of [`Record::size`].
///
/// Kafka brokers refuse messages of more than 1 MiB unless told otherwise; all engines keep to the same limit, so that
/// a record that passes in one process also passes through a broker.
pub const MAX_RECORD_BYTES: usize = 1024 * 1024;

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The topic that it is sent to or came from.
    pub topic: Arc<str>,
    /// Chooses the partition: records of one key keep their order. May be empty.
    pub key: Bytes,
    /// Names and values beside the payload, in order; a name may occur more than once.
    pub headers: Vec<Header>,
    /// The payload. May be empty.
    pub value: Bytes,
    /// When the producer made it, in Unix milliseconds.
    pub timestamp_ms: i64,
}

impl Record {
    /// Returns the bytes that count against limits: key, headers (names and values) and value.
    pub fn size(&self) -> usize {
        let headers: usize = self.headers.iter().map(|header| header.name.len() + header.value.len()).sum();
        self.key.len() + headers + self.value.len()
    }

    /// Returns the value of the first header of that name.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers.iter().find(|header| header.name == name).map(|header| header.value.as_ref())
    }
}

/// A name and a value beside the payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The name. Our own are constants, those of foreign producers are not.
    pub name: Cow<'static, str>,
    /// The value: any bytes.
    pub value: Bytes,
}

impl Header {
    /// Makes a header with one of our own names.
    pub fn new(name: &'static str, value: impl Into<Bytes>) -> Self {
        Self { name: Cow::Borrowed(name), value: value.into() }
    }
}

/// A record and where it lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivered {
    /// The partition of its topic.
    pub partition: u32,
    /// Its place in the partition.
    pub offset: u64,
    /// The record itself.
    pub record: Record,
}

impl Delivered {
    /// Returns where the record lies.
    pub fn position(&self) -> Position {
        Position { topic: Arc::clone(&self.record.topic), partition: self.partition, offset: self.offset }
    }
}

/// Where one record lies.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition of the topic.
    pub partition: u32,
    /// The offset of the record.
    pub offset: u64,
}

/// Where a group goes on reading one partition: all before `next` is finished, and no record from `next` on may be
/// taken as finished.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Resume {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition of the topic.
    pub partition: u32,
    /// The offset of the next record to read.
    pub next: u64,
}
