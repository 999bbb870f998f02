//! What becomes of a message that can give no record: it goes to a topic of its own, with its place, its identity and
//! the reason, byte for byte. It stays in the balance by its identity.

use std::sync::Arc;

use bus::{Delivered, Record};
use flow::RecordId;
use flow::wire::dead_letter::{CUT_FROM, LetterHeaders, Place, Reason, Stage};

/// Makes the dead letter of a message. Its key is the stream, as everywhere; a foreign one has none.
#[must_use]
pub fn dead_letter(
    topic: &Arc<str>,
    message: &Delivered,
    id: Option<&RecordId>,
    reason: Reason,
    detail: &str,
) -> Record {
    let headers = LetterHeaders {
        stage: Stage::Enricher,
        reason: reason.label().to_owned(),
        detail: detail.to_owned(),
        place: Some(Place {
            topic: message.record.topic.to_string(),
            partition: message.partition,
            offset: message.offset,
        }),
        id: id.cloned(),
    };
    let key = id.map_or_else(String::new, |id| id.stream.to_string());
    message.set_aside(topic, key, headers.pairs(), CUT_FROM)
}

#[cfg(test)]
mod tests {
    use bus::MAX_RECORD_BYTES;

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
