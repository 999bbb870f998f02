//! Message to document: decoded, checked against its headers, and against the time in which a record can be right. Pure:
//! the clock comes in as an argument.

use std::time::Duration;

use bus::Delivered;
use flow::wire::dead_letter::Reason;
use flow::wire::{self, DecodeError, EnrichedValue, Headers};
use flow::{RecordId, UnixMs};
use store::Document;

/// How far ahead of its message, or of the clock here, a record may end: clocks of nodes differ.
pub const MAX_AHEAD: Duration = Duration::from_secs(600);

/// What is checked beside the form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// How old a record may be.
    pub retention: Duration,
}

/// What a message gives.
#[derive(Debug, Clone, PartialEq)]
pub enum Prepared {
    /// A document to store.
    Document(Document),
    /// Nothing: it becomes a dead letter.
    Dead {
        /// Its identity, if its headers give one.
        id: Option<RecordId>,
        /// Why.
        reason: Reason,
        /// Why, in words, with the place.
        detail: String,
    },
}

/// Makes the document of a message.
#[must_use]
pub fn prepare(message: &Delivered, rules: &Rules, now: UnixMs) -> Prepared {
    let pairs = message.record.headers.iter().map(|header| (header.name.as_ref(), header.value.as_ref()));
    let headers = match Headers::parse(pairs) {
        Ok(headers) => headers,
        Err(error) => return Prepared::Dead { id: None, reason: Reason::Foreign, detail: error.to_string() },
    };
    let document = match decoded(message, &headers) {
        Ok(document) => document,
        Err(error) => {
            let reason = Reason::from(&error);
            return Prepared::Dead { id: Some(headers.id()), reason, detail: error.to_string() };
        }
    };
    match suspect_time(document.time(), message.record.timestamp_ms, rules.retention, now) {
        Some(detail) => Prepared::Dead { id: Some(headers.id()), reason: Reason::TimeSuspect, detail },
        None => Prepared::Document(document),
    }
}

fn decoded(message: &Delivered, headers: &Headers) -> Result<Document, DecodeError> {
    match wire::decode_enriched(&message.record.value)? {
        EnrichedValue::Flow(record) => {
            wire::check_identity(headers, &record.stream, record.seq)?;
            Ok(Document::Flow(record))
        }
        EnrichedValue::Ledger(ledger) => {
            wire::check_identity(headers, &ledger.stream, ledger.seq)?;
            Ok(Document::Ledger(ledger))
        }
    }
}

/// Says what is wrong with the time of a record, if something is. It decides the day under which the record is kept, so
/// that a record far ahead would make all others old; the message's own time can be forged like the record's.
fn suspect_time(time: UnixMs, message_ms: i64, retention: Duration, now: UnixMs) -> Option<String> {
    let ms = |length: Duration| u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
    let message = UnixMs(u64::try_from(message_ms).unwrap_or(0));
    for (what, reference) in [("message's time", message), ("time here", now)] {
        let (ahead, behind) = (time.0.saturating_sub(reference.0), reference.0.saturating_sub(time.0));
        if ahead > ms(MAX_AHEAD) {
            return Some(format!("the record ends at {}, {ahead} ms ahead of the {what}", time.0));
        }
        if behind > ms(retention) {
            return Some(format!("the record ends at {}, {behind} ms before the {what}", time.0));
        }
    }
    None
}

#[cfg(test)]
mod tests;
