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

    /// Makes a record that carries this one's value and time to another topic, under another key and other headers.
    ///
    /// A value of nearly the largest size and the new headers together may be too much: the end of the value gives way,
    /// and a last header, named `cut_from`, says in decimal digits how many bytes it had.
    pub fn set_aside(
        &self,
        topic: &Arc<str>,
        key: impl Into<Bytes>,
        headers: impl IntoIterator<Item = (&'static str, String)>,
        cut_from: &'static str,
    ) -> Record {
        let mut record = Record {
            topic: Arc::clone(topic),
            key: key.into(),
            headers: headers.into_iter().map(|(name, value)| Header::new(name, value)).collect(),
            value: self.record.value.clone(),
            timestamp_ms: self.record.timestamp_ms,
        };
        if record.size() > MAX_RECORD_BYTES {
            record.headers.push(Header::new(cut_from, record.value.len().to_string()));
            let surplus = record.size() - MAX_RECORD_BYTES;
            record.value.truncate(record.value.len().saturating_sub(surplus));
        }
        record
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_aside_fits_whatever_its_size() {
        for bytes in [0, MAX_RECORD_BYTES - 300, MAX_RECORD_BYTES - 10, MAX_RECORD_BYTES] {
            let value = vec![b'x'; bytes].into();
            let record = Record { topic: "from".into(), key: "k".into(), headers: Vec::new(), value, timestamp_ms: 7 };
            let message = Delivered { partition: 3, offset: 9, record };
            let aside = message.set_aside(&"aside".into(), "key", [("why", "no json".to_owned())], "cut_from");
            assert_eq!((&*aside.topic, &*aside.key, aside.timestamp_ms), ("aside", &b"key"[..], 7));
            assert_eq!(aside.header("why"), Some(&b"no json"[..]));
            assert!(aside.size() <= MAX_RECORD_BYTES);
            let cut = aside.value.len() < bytes;
            assert_eq!(cut, bytes > MAX_RECORD_BYTES - 13);
            assert_eq!(aside.header("cut_from"), cut.then(|| bytes.to_string()).as_deref().map(str::as_bytes));
        }
    }
}
