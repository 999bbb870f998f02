//! Documents as the index holds them, and back.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flow::{FlowRecord, LedgerRecord, RecordId, UnixMs};
use serde_json::{Value, json};

use super::names;
use crate::document::{DeadLetter, Document, Stage};
use crate::entry::MAX_LETTER_BYTES;

pub(super) fn base64_text(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Returns the document as JSON, on one line.
pub(super) fn encode(document: &Document) -> Result<String, serde_json::Error> {
    match document {
        // The flow record on the topic is the document.
        Document::Flow(record) => serde_json::to_string(record),
        Document::Ledger(ledger) => serde_json::to_string(&json!({
            "@timestamp": ledger.end_time,
            "cluster": ledger.stream.cluster(),
            "host": ledger.stream.node(),
            "stream": ledger.stream,
            "seq": ledger.seq,
            "from_seq": ledger.from_seq,
            "closing": ledger.closing,
            "ledger": ledger,
        })),
        Document::DeadLetter(letter) => {
            // Long values lie apart, so that the balance does not have to move them.
            let place = if letter.value.len() <= MAX_LETTER_BYTES { "value" } else { "large_value" };
            let mut value = json!({
                "@timestamp": letter.timestamp,
                "key": names::id(document),
                "stage": letter.stage.label(),
                "reason": letter.reason,
                "detail": letter.detail,
                "topic": letter.topic,
                "partition": letter.partition,
                "offset": letter.offset,
            });
            value[place] = Value::String(base64_text(&letter.value));
            if let Some(id) = &letter.id {
                value["cluster"] = json!(id.stream.cluster());
                value["host"] = json!(id.stream.node());
                value["stream"] = json!(id.stream);
                value["seq"] = json!(id.seq);
            }
            serde_json::to_string(&value)
        }
    }
}

/// Reads a flow record back through the field table.
pub(super) fn flow(source: &Value) -> Result<FlowRecord, String> {
    let mut value = flow::record::normal_form(source);
    // Absent by the normal form, required by the type.
    if value.get("policies").is_none() {
        value["policies"] = json!({});
    }
    serde_json::from_value(value).map_err(|error| error.to_string())
}

pub(super) fn ledger(source: &Value) -> Result<LedgerRecord, String> {
    serde_json::from_value(source["ledger"].clone()).map_err(|error| error.to_string())
}

pub(super) fn letter(source: &Value) -> Result<DeadLetter, String> {
    let text = |name: &str| source[name].as_str().map(str::to_owned).ok_or_else(|| format!("`{name}` is missing"));
    let number = |name: &str| source[name].as_u64().ok_or_else(|| format!("`{name}` is missing"));
    let id = match source["stream"].as_str() {
        Some(stream) => {
            let stream = stream.parse().map_err(|error: flow::stream::InvalidStream| error.to_string())?;
            Some(RecordId { stream, seq: number("seq")? })
        }
        None => None,
    };
    Ok(DeadLetter {
        id,
        stage: Stage::parse(&text("stage")?),
        reason: text("reason")?,
        detail: text("detail")?,
        topic: text("topic")?,
        partition: u32::try_from(number("partition")?).map_err(|error| error.to_string())?,
        offset: number("offset")?,
        timestamp: UnixMs(number("@timestamp")?),
        value: letter_value(source)?,
    })
}

/// Returns the value of a dead letter; empty where the longer one was not asked for.
pub(super) fn letter_value(source: &Value) -> Result<Vec<u8>, String> {
    let text = source["value"].as_str().or_else(|| source["large_value"].as_str()).unwrap_or_default();
    STANDARD.decode(text).map_err(|error| format!("`value`: {error}"))
}

/// Says whether what is stored under an id is what was to be written: the quantities that the digest of the ledger
/// covers, for a flow record; names that were learnt later are no other record.
pub(super) fn is_same(document: &Document, stored: &Value) -> Result<bool, String> {
    match document {
        Document::Flow(record) => {
            let stored = flow::record::normal_form(stored);
            let numbers = [
                ("@timestamp", record.timestamp.0),
                ("num_flows_started", record.num_flows_started),
                ("bytes_in", record.bytes_in),
                ("bytes_out", record.bytes_out),
                ("packets_in", record.packets_in),
                ("packets_out", record.packets_out),
            ];
            let same = numbers.iter().all(|(name, number)| stored[*name].as_u64() == Some(*number));
            Ok(same && stored["outcome"].as_str() == Some(&record.outcome))
        }
        Document::Ledger(ledger) => self::ledger(stored).map(|stored| stored == **ledger),
        // Its id says all.
        Document::DeadLetter(_) => Ok(true),
    }
}
