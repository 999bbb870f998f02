//! What becomes of a message that cannot be stored: it goes to a topic of its own, with its place, its identity and the
//! reason, byte for byte; and from there into the store, where it stays in the balance by its identity.

use std::sync::Arc;

use bus::{Delivered, Header, MAX_RECORD_BYTES, Record};
use flow::wire::{self, EnrichedValue, Headers, RawValue};
use flow::{LedgerRecord, RecordId, Stream, UnixMs};
use service::metrics::Label;
use store::{DeadLetter, Quantities, Stage};

/// The topic, unless another is named.
pub const DEFAULT_TOPIC: &str = "millrace.dead-letters.v1";

/// Headers of a dead letter, beside the identity's.
mod header {
    /// Which stage gave the message up.
    pub(super) const STAGE: &str = "stage";
    /// Why, as a keyword.
    pub(super) const REASON: &str = "reason";
    /// Why, in words, with the place.
    pub(super) const DETAIL: &str = "detail";
    /// Topic of the message.
    pub(super) const TOPIC: &str = "topic";
    /// Partition of the message, in decimal digits.
    pub(super) const PARTITION: &str = "partition";
    /// Offset of the message, in decimal digits.
    pub(super) const OFFSET: &str = "offset";
    /// Bytes of the message's value, there only if the value had to be cut.
    pub(super) const CUT_FROM: &str = "cut_from";
}

/// Details and names longer than this are cut, in bytes: they quote the message.
const MAX_TEXT_BYTES: usize = 1024;

/// Why a message gives no document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Its headers give no identity: it is outside the balance.
    Foreign,
    /// It is longer than any value.
    TooLong,
    /// It is no JSON of the right shape.
    Form,
    /// It is of another or an unknown format.
    Schema,
    /// It is well formed and says something that cannot be.
    Invalid,
    /// It says another identity than its headers.
    Identity,
    /// Its time cannot be right: too far ahead, or older than anything that is kept.
    TimeSuspect,
    /// The store will never take it.
    Rejected,
    /// A record with other quantities is stored under its identity.
    Conflict,
}

impl Label for Reason {
    const NAME: &'static str = "reason";
    const ALL: &'static [Self] = &[
        Self::Foreign,
        Self::TooLong,
        Self::Form,
        Self::Schema,
        Self::Invalid,
        Self::Identity,
        Self::TimeSuspect,
        Self::Rejected,
        Self::Conflict,
    ];

    fn label(&self) -> &'static str {
        match self {
            Self::Foreign => "foreign",
            Self::TooLong => "too_long",
            Self::Form => "form",
            Self::Schema => "schema",
            Self::Invalid => "invalid",
            Self::Identity => "identity",
            Self::TimeSuspect => "time_suspect",
            Self::Rejected => "rejected",
            Self::Conflict => "conflict",
        }
    }
}

impl From<&wire::DecodeError> for Reason {
    fn from(error: &wire::DecodeError) -> Self {
        use wire::DecodeError;
        match error {
            DecodeError::TooLong { .. } => Self::TooLong,
            DecodeError::Form { .. } => Self::Form,
            DecodeError::NoSchema | DecodeError::UnexpectedSchema { .. } => Self::Schema,
            DecodeError::Invalid(_) => Self::Invalid,
            DecodeError::Identity { .. } => Self::Identity,
        }
    }
}

/// Makes the message for the topic of dead letters. Its key is the stream, as everywhere; a foreign one has none.
#[must_use]
pub fn message_of(
    topic: &Arc<str>,
    message: &Delivered,
    id: Option<&RecordId>,
    reason: Reason,
    detail: &str,
) -> Record {
    let mut headers = vec![
        Header::new(header::STAGE, Stage::Indexer.label()),
        Header::new(header::REASON, reason.label()),
        Header::new(header::DETAIL, shortened(detail).to_owned()),
        Header::new(header::TOPIC, message.record.topic.to_string()),
        Header::new(header::PARTITION, message.partition.to_string()),
        Header::new(header::OFFSET, message.offset.to_string()),
    ];
    let key = id.map_or_else(String::new, |id| id.stream.to_string());
    if let Some(id) = id {
        headers.push(Header::new(Headers::STREAM, key.clone()));
        headers.push(Header::new(Headers::SEQ, id.seq.to_string()));
    }
    let mut record = Record {
        topic: Arc::clone(topic),
        key: key.into(),
        headers,
        value: message.record.value.clone(),
        timestamp_ms: message.record.timestamp_ms,
    };
    if record.size() > MAX_RECORD_BYTES {
        // A value of nearly the largest size and our headers together are too much: the end of the value gives way.
        record.headers.push(Header::new(header::CUT_FROM, record.value.len().to_string()));
        let surplus = record.size() - MAX_RECORD_BYTES;
        record.value.truncate(record.value.len().saturating_sub(surplus));
    }
    record
}

/// Reads a message of the topic of dead letters. Whatever it is, it gives a letter that can be stored: what its headers
/// do not say is empty, and a time outside `earliest..=now` is moved there, since it decides where the letter is kept.
#[must_use]
pub fn letter_of(message: &Delivered, earliest: UnixMs, now: UnixMs) -> DeadLetter {
    let record = &message.record;
    let text = |name: &str| record.header(name).map(String::from_utf8_lossy).unwrap_or_default();
    let pairs = record.headers.iter().map(|header| (header.name.as_ref(), header.value.as_ref()));
    let id = Headers::parse(pairs).ok().map(|headers| headers.id());
    let topic = text(header::TOPIC);
    // A letter without a place is named by its own.
    let place = (text(header::PARTITION).parse().ok(), text(header::OFFSET).parse().ok());
    let (topic, partition, offset) = match place {
        (Some(partition), Some(offset)) if !topic.is_empty() => (shortened(&topic).to_owned(), partition, offset),
        _ => (record.topic.to_string(), message.partition, message.offset),
    };
    let sent = UnixMs(u64::try_from(record.timestamp_ms).unwrap_or(0));
    DeadLetter {
        id: id.filter(|id| i64::try_from(id.seq).is_ok()),
        stage: Stage::parse(&text(header::STAGE)),
        reason: shortened(&text(header::REASON)).to_owned(),
        detail: shortened(&text(header::DETAIL)).to_owned(),
        topic,
        partition,
        offset,
        timestamp: sent.clamp(earliest.min(now), now),
        value: record.value.to_vec(),
    }
}

/// What a dead letter still says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Content {
    /// The quantities of a record.
    Flow(Quantities),
    /// An account.
    Ledger(Box<LedgerRecord>),
}

/// Reads what a dead letter still says, if it can be read and is the record that it stands for.
pub(crate) fn content(value: &[u8], stream: &Stream, seq: u64) -> Option<Content> {
    let (content, own_stream, own_seq) = match wire::decode_enriched(value) {
        Ok(EnrichedValue::Flow(record)) => (Content::Flow((&*record).into()), record.stream, record.seq),
        Ok(EnrichedValue::Ledger(ledger)) => {
            let id = (ledger.stream.clone(), ledger.seq);
            (Content::Ledger(ledger), id.0, id.1)
        }
        Err(_) => match wire::decode_raw(value) {
            Ok(RawValue::Flow(raw)) => {
                let counters = &raw.counters;
                let quantities = Quantities {
                    end_time: raw.end_time,
                    reporter: raw.reporter.as_str().into(),
                    proto: raw.protocol.to_string().into(),
                    outcome: raw.outcome.as_str().into(),
                    started: counters.flows_started,
                    bytes_in: counters.bytes_in,
                    bytes_out: counters.bytes_out,
                    packets_in: counters.packets_in,
                    packets_out: counters.packets_out,
                };
                (Content::Flow(quantities), raw.stream, raw.seq)
            }
            // A ledger was read above, if it is one.
            Ok(RawValue::Ledger(_)) | Err(_) => return None,
        },
    };
    (own_stream == *stream && own_seq == seq).then_some(content)
}

fn shortened(text: &str) -> &str {
    let end = (0..=text.len().min(MAX_TEXT_BYTES)).rev().find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(value: &[u8]) -> Delivered {
        let record = Record {
            topic: "enriched".into(),
            key: "k".into(),
            headers: Vec::new(),
            value: value.to_vec().into(),
            timestamp_ms: 500,
        };
        Delivered { partition: 3, offset: 9, record }
    }

    fn delivered(record: Record) -> Delivered {
        Delivered { partition: 0, offset: 1, record }
    }

    #[test]
    fn a_letter_says_where_why_and_what() {
        let id = RecordId { stream: Stream::new("c", "n", 1).unwrap(), seq: 5 };
        let sent = message_of(&"dead".into(), &message(b"{\xff"), Some(&id), Reason::Form, "no json");
        let letter = letter_of(&delivered(sent), UnixMs(0), UnixMs(1000));
        let expected = DeadLetter {
            id: Some(id),
            stage: Stage::Indexer,
            reason: "form".to_owned(),
            detail: "no json".to_owned(),
            topic: "enriched".to_owned(),
            partition: 3,
            offset: 9,
            timestamp: UnixMs(500),
            value: b"{\xff".to_vec(),
        };
        assert_eq!(letter, expected);
    }

    #[test]
    fn anything_gives_a_letter() {
        let mut strange = message(b"");
        strange.record.timestamp_ms = i64::MAX;
        strange.record.headers = vec![
            Header::new(Headers::STREAM, "no stream"),
            Header::new(header::PARTITION, "-1"),
            Header::new(header::REASON, vec![0xff; 5000]),
        ];
        let letter = letter_of(&strange, UnixMs(100), UnixMs(1000));
        assert_eq!((letter.id, letter.stage), (None, Stage::Other));
        assert_eq!((letter.topic.as_str(), letter.partition, letter.offset), ("enriched", 3, 9));
        assert_eq!(letter.timestamp, UnixMs(1000));
        assert!(letter.reason.len() <= MAX_TEXT_BYTES);
        strange.record.timestamp_ms = i64::MIN;
        assert_eq!(letter_of(&strange, UnixMs(100), UnixMs(1000)).timestamp, UnixMs(100));
    }

    #[test]
    fn the_largest_value_still_fits() {
        let id = RecordId { stream: Stream::new("c", "n", 1).unwrap(), seq: 5 };
        let sent = message_of(&"dead".into(), &message(&vec![b'x'; MAX_RECORD_BYTES]), Some(&id), Reason::Form, "x");
        assert!(sent.size() <= MAX_RECORD_BYTES);
        assert!(sent.header(header::CUT_FROM).is_some());
    }
}
