//! What becomes of a message that cannot be stored: it goes to a topic of its own, with its place, its identity and the
//! reason, byte for byte; and from there into the store, where it stays in the balance by its identity.

use std::sync::Arc;

use bus::{Delivered, Record};
use flow::wire::dead_letter::{CUT_FROM, LetterHeaders, Place, Reason, Stage};
use flow::wire::{self, EnrichedValue, RawValue};
use flow::{LedgerRecord, RecordId, Stream, UnixMs};
use store::{DeadLetter, Quantities};

/// Makes the message for the topic of dead letters. Its key is the stream, as everywhere; a foreign one has none.
#[must_use]
pub fn message_of(
    topic: &Arc<str>,
    message: &Delivered,
    id: Option<&RecordId>,
    reason: Reason,
    detail: &str,
) -> Record {
    let headers = LetterHeaders {
        stage: Stage::Indexer,
        reason: reason.label().to_owned(),
        detail: detail.to_owned(),
        place: Some(own_place(message)),
        id: id.cloned(),
    };
    let key = id.map_or_else(String::new, |id| id.stream.to_string());
    message.set_aside(topic, key, headers.pairs(), CUT_FROM)
}

fn own_place(message: &Delivered) -> Place {
    Place { topic: message.record.topic.to_string(), partition: message.partition, offset: message.offset }
}

/// Reads a message of the topic of dead letters. Whatever it is, it gives a letter that can be stored: what its headers
/// do not say is empty, and a time outside `earliest..=now` is moved there, since it decides where the letter is kept.
#[must_use]
pub fn letter_of(message: &Delivered, earliest: UnixMs, now: UnixMs) -> DeadLetter {
    let record = &message.record;
    let pairs = record.headers.iter().map(|header| (header.name.as_ref(), header.value.as_ref()));
    let LetterHeaders { stage, reason, detail, place, id } = LetterHeaders::parse(pairs);
    // A letter without a place is named by its own.
    let Place { topic, partition, offset } = place.unwrap_or_else(|| own_place(message));
    let sent = UnixMs(u64::try_from(record.timestamp_ms).unwrap_or(0));
    DeadLetter {
        id: id.filter(|id| i64::try_from(id.seq).is_ok()),
        stage,
        reason,
        detail,
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

#[cfg(test)]
mod tests {
    use bus::{Header, MAX_RECORD_BYTES};
    use flow::wire::Headers;
    use flow::wire::dead_letter::MAX_TEXT_BYTES;

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
            Header::new(LetterHeaders::PARTITION, "-1"),
            Header::new(LetterHeaders::REASON, vec![0xff; 5000]),
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
        assert!(sent.header(CUT_FROM).is_some());
    }
}
