//! What becomes of a message that can give no record: it goes to a topic of its own, with its place, its identity and
//! the reason, byte for byte. It stays in the balance by its identity.

use std::sync::Arc;

use bus::{Delivered, Header, MAX_RECORD_BYTES, Record};
use flow::RecordId;
use flow::wire::Headers;
use service::metrics::Label;

/// The topic, unless another is named.
pub const DEFAULT_TOPIC: &str = "millrace.dead-letters.v1";
/// Header: which stage gave the message up.
pub const STAGE: &str = "stage";
/// Header: why, as a keyword.
pub const REASON: &str = "reason";
/// Header: why, in words, with the place.
pub const DETAIL: &str = "detail";
/// Header: topic of the message.
pub const TOPIC: &str = "topic";
/// Header: partition of the message, in decimal digits.
pub const PARTITION: &str = "partition";
/// Header: offset of the message, in decimal digits.
pub const OFFSET: &str = "offset";
/// Header: bytes of the message's value, there only if the value had to be cut.
pub const CUT_FROM: &str = "cut_from";
/// What the stage is called.
pub const ENRICHER: &str = "enricher";

/// Details longer than this are cut, in bytes: they quote the message.
const MAX_DETAIL_BYTES: usize = 1024;

/// Why a message gives no record.
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
    /// Its time cannot be right: too far ahead of the bus, or older than anything that is kept.
    TimeSuspect,
    /// The record that it gives is longer than a message may be.
    ResultTooLong,
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
        Self::ResultTooLong,
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
            Self::ResultTooLong => "result_too_long",
        }
    }
}

impl From<&flow::wire::DecodeError> for Reason {
    fn from(error: &flow::wire::DecodeError) -> Self {
        use flow::wire::DecodeError;
        match error {
            DecodeError::TooLong { .. } => Self::TooLong,
            DecodeError::Form { .. } => Self::Form,
            DecodeError::NoSchema | DecodeError::UnexpectedSchema { .. } => Self::Schema,
            DecodeError::Invalid(_) => Self::Invalid,
            DecodeError::Identity { .. } => Self::Identity,
        }
    }
}

/// Makes the dead letter of a message. Its key is the stream, as everywhere; a foreign one has none.
#[must_use]
pub fn dead_letter(
    topic: &Arc<str>,
    message: &Delivered,
    id: Option<&RecordId>,
    reason: Reason,
    detail: &str,
) -> Record {
    let mut headers = vec![
        Header::new(STAGE, ENRICHER),
        Header::new(REASON, reason.label()),
        Header::new(DETAIL, shortened(detail).to_owned()),
        Header::new(TOPIC, message.record.topic.to_string()),
        Header::new(PARTITION, message.partition.to_string()),
        Header::new(OFFSET, message.offset.to_string()),
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
        record.headers.push(Header::new(CUT_FROM, record.value.len().to_string()));
        let surplus = record.size() - MAX_RECORD_BYTES;
        record.value.truncate(record.value.len().saturating_sub(surplus));
    }
    record
}

fn shortened(detail: &str) -> &str {
    let end = (0..=detail.len().min(MAX_DETAIL_BYTES)).rev().find(|end| detail.is_char_boundary(*end));
    &detail[..end.unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(value: Vec<u8>) -> Delivered {
        let record =
            Record { topic: "raw".into(), key: "k".into(), headers: Vec::new(), value: value.into(), timestamp_ms: 7 };
        Delivered { partition: 3, offset: 9, record }
    }

    fn id() -> RecordId {
        RecordId { stream: flow::Stream::new("c", "n", 1).unwrap(), seq: 5 }
    }

    #[test]
    fn says_where_it_was_and_who_it_is() {
        let letter =
            dead_letter(&"dead".into(), &message(b"x".to_vec()), Some(&id()), Reason::Form, "no json at line 1");
        let headers: Vec<(&str, &str)> =
            letter.headers.iter().map(|h| (&*h.name, std::str::from_utf8(&h.value).unwrap())).collect();
        let expected = [
            ("stage", "enricher"),
            ("reason", "form"),
            ("detail", "no json at line 1"),
            ("topic", "raw"),
            ("partition", "3"),
            ("offset", "9"),
            ("stream", "c/n/1"),
            ("seq", "5"),
        ];
        assert_eq!(headers, expected);
        assert_eq!((&*letter.topic, &*letter.key, &*letter.value), ("dead", &b"c/n/1"[..], &b"x"[..]));
        assert_eq!(letter.timestamp_ms, 7);
    }

    #[test]
    fn a_foreign_one_has_no_identity() {
        let letter = dead_letter(&"dead".into(), &message(Vec::new()), None, Reason::Foreign, "");
        assert!(letter.key.is_empty() && letter.header("stream").is_none() && letter.header("seq").is_none());
    }

    #[test]
    fn fits_the_bus_whatever_the_value_and_the_detail() {
        let long = "ä".repeat(5_000);
        for bytes in [MAX_RECORD_BYTES, MAX_RECORD_BYTES - 1, MAX_RECORD_BYTES - 300, MAX_RECORD_BYTES - 5_000] {
            let letter = dead_letter(&"dead".into(), &message(vec![b'x'; bytes]), Some(&id()), Reason::TooLong, &long);
            assert!(letter.size() <= MAX_RECORD_BYTES);
            let cut = letter.value.len() < bytes;
            assert_eq!(letter.header("cut_from"), cut.then(|| bytes.to_string()).as_deref().map(str::as_bytes));
        }
    }
}
