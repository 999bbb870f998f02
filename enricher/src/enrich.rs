//! What becomes of one message of the raw topic: decode → join → judge → encode.
//!
//! A flow gives one flow record, a ledger passes untouched, anything else gives a dead letter: for one message there is
//! always exactly one to send.

use std::sync::Arc;
use std::time::Duration;

use bus::{Delivered, Header, MAX_RECORD_BYTES, Record};
use cluster::History;
use flow::wire::dead_letter::Reason;
use flow::wire::{self, DecodeError, Headers, RawValue};
use flow::{FlowRecord, RawFlow, RecordId, Schema, Unknown};

use crate::dead_letter::dead_letter;
use crate::join::join;
use crate::judge::judge;

/// How far the time of a flow may be ahead of the time at which the bus took it: more is no clock skew, it is a wrong
/// clock, and would put the record under a day that is still to come.
pub const MAX_AHEAD: Duration = Duration::from_secs(10 * 60);

/// Where records go, and how old they may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// The topic of flow records and ledgers.
    pub enriched_topic: Arc<str>,
    /// The topic of what cannot become a record.
    pub dead_letter_topic: Arc<str>,
    /// How old the time of a flow may be when the bus takes it: older ones lie outside what is kept.
    pub retention: Duration,
}

/// What a message became.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A flow record; what it could not tell is listed.
    Flow(Vec<Unknown>),
    /// A ledger, passed through.
    Ledger,
    /// A dead letter.
    DeadLetter(Reason),
}

/// Turns one message into the one record to send for it.
#[must_use]
pub fn enrich(message: &Delivered, history: &History, rules: &Rules) -> (Record, Outcome) {
    let headers = match Headers::parse(message.record.headers.iter().map(|h| (h.name.as_ref(), h.value.as_ref()))) {
        Ok(headers) => headers,
        Err(error) => return given_up(message, rules, None, Reason::Foreign, &error.to_string()),
    };
    match decoded(message, &headers) {
        Ok(RawValue::Ledger(_)) => {
            let mut record = message.record.clone();
            record.topic = Arc::clone(&rules.enriched_topic);
            (record, Outcome::Ledger)
        }
        Ok(RawValue::Flow(raw)) => match suspect_time(&raw, message.record.timestamp_ms, rules.retention) {
            Some(detail) => given_up(message, rules, Some(&headers.id()), Reason::TimeSuspect, &detail),
            None => enriched(message, *raw, history, rules),
        },
        Err(error) => given_up(message, rules, Some(&headers.id()), Reason::from(&error), &error.to_string()),
    }
}

fn decoded(message: &Delivered, headers: &Headers) -> Result<RawValue, DecodeError> {
    let value = wire::decode_raw(&message.record.value)?;
    let (stream, seq) = match &value {
        RawValue::Flow(raw) => (&raw.stream, raw.seq),
        RawValue::Ledger(ledger) => (&ledger.stream, ledger.seq),
    };
    wire::check_identity(headers, stream, seq)?;
    Ok(value)
}

fn enriched(message: &Delivered, raw: RawFlow, history: &History, rules: &Rules) -> (Record, Outcome) {
    let judged = judge(join(raw, history));
    let unknown = judged.unknown_because.clone();
    let record = FlowRecord::from(judged);
    let id = || RecordId { stream: record.stream.clone(), seq: record.seq };
    let value = match wire::encode_flow(&record) {
        Ok(value) => value,
        Err(error) => return given_up(message, rules, Some(&id()), Reason::ResultTooLong, &error.to_string()),
    };
    let sent = Record {
        topic: Arc::clone(&rules.enriched_topic),
        key: message.record.key.clone(),
        headers: with_schema(&message.record.headers),
        value: value.into(),
        // That of the raw message, so that a second try gives the same record.
        timestamp_ms: message.record.timestamp_ms,
    };
    if sent.size() > MAX_RECORD_BYTES {
        let detail = format!("the flow record has {} bytes with key and headers", sent.size());
        return given_up(message, rules, Some(&id()), Reason::ResultTooLong, &detail);
    }
    (sent, Outcome::Flow(unknown))
}

/// Keeps the headers but for the format, which is another now.
fn with_schema(headers: &[Header]) -> Vec<Header> {
    let kept = headers.iter().filter(|header| header.name != Headers::SCHEMA).cloned();
    kept.chain([Header::new(Headers::SCHEMA, Schema::Flow.as_str())]).collect()
}

/// Says what is wrong with the time of a flow, if something is.
fn suspect_time(raw: &RawFlow, bus_ms: i64, retention: Duration) -> Option<String> {
    let bus_ms = u64::try_from(bus_ms).unwrap_or(0);
    let ms = |length: Duration| u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
    let time = raw.end_time.0;
    if time.saturating_sub(bus_ms) > ms(MAX_AHEAD) {
        return Some(format!("end_time {time} is {} ms ahead of the message's time {bus_ms}", time - bus_ms));
    }
    if bus_ms.saturating_sub(time) > ms(retention) {
        return Some(format!("end_time {time} is {} ms before the message's time {bus_ms}", bus_ms - time));
    }
    None
}

fn given_up(
    message: &Delivered,
    rules: &Rules,
    id: Option<&RecordId>,
    reason: Reason,
    detail: &str,
) -> (Record, Outcome) {
    (dead_letter(&rules.dead_letter_topic, message, id, reason, detail), Outcome::DeadLetter(reason))
}

#[cfg(test)]
mod tests;
