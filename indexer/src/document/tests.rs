use bus::{Header, Record};
use store::contract::sample;

use super::*;

const NOW: UnixMs = UnixMs(sample::MIDNIGHT + 10_000);
const DAY: Duration = Duration::from_secs(86_400);

fn message(value: Vec<u8>, headers: &[(&'static str, &str)], at: u64) -> Delivered {
    let record = Record {
        topic: "enriched".into(),
        key: "k".into(),
        headers: headers.iter().map(|(name, value)| Header::new(name, (*value).to_owned())).collect(),
        value: value.into(),
        timestamp_ms: i64::try_from(at).unwrap(),
    };
    Delivered { partition: 0, offset: 0, record }
}

fn of(record: &flow::FlowRecord, at: u64) -> Delivered {
    let (stream, seq) = (record.stream.to_string(), record.seq.to_string());
    let headers = [("stream", stream.as_str()), ("seq", seq.as_str()), ("schema", "flow/1")];
    message(wire::encode_flow(record).unwrap(), &headers, at)
}

fn reason(message: &Delivered) -> Option<Reason> {
    match prepare(message, &Rules { retention: DAY }, NOW) {
        Prepared::Document(_) => None,
        Prepared::Dead { reason, detail, id } => {
            assert!(!detail.is_empty());
            assert_eq!(id.is_none(), reason == Reason::Foreign, "only a foreign message has no identity");
            Some(reason)
        }
    }
}

fn record() -> flow::FlowRecord {
    let mut record = sample::full(4, sample::MIDNIGHT);
    record.host = record.stream.node().to_owned();
    record
}

#[test]
fn a_record_becomes_a_document() {
    let record = record();
    let prepared = prepare(&of(&record, NOW.0), &Rules { retention: DAY }, NOW);
    assert_eq!(prepared, Prepared::Document(Document::Flow(Box::new(record))));
    let ledger = sample::ledger(7, 3, sample::MIDNIGHT);
    let stream = ledger.stream.to_string();
    let headers = [("stream", stream.as_str()), ("seq", "7"), ("schema", "ledger/1")];
    let prepared =
        prepare(&message(wire::encode_ledger(&ledger).unwrap(), &headers, NOW.0), &Rules { retention: DAY }, NOW);
    assert_eq!(prepared, Prepared::Document(Document::Ledger(Box::new(ledger))));
}

#[test]
fn everything_else_is_dead_with_a_reason() {
    let record = record();
    let stream = record.stream.to_string();
    let own = [("stream", stream.as_str()), ("seq", "4")];
    let value = wire::encode_flow(&record).unwrap();
    assert_eq!(reason(&message(value.clone(), &[], NOW.0)), Some(Reason::Foreign));
    assert_eq!(reason(&message(value.clone(), &[("stream", "x"), ("seq", "4")], NOW.0)), Some(Reason::Foreign));
    assert_eq!(reason(&message(value.clone(), &[own[0], ("seq", "5")], NOW.0)), Some(Reason::Identity));
    let ledger = wire::encode_ledger(&sample::ledger(7, 3, sample::MIDNIGHT)).unwrap();
    let of_ledger = sample::ledger(7, 3, sample::MIDNIGHT).stream.to_string();
    assert_eq!(reason(&message(ledger, &[("stream", &of_ledger), ("seq", "8")], NOW.0)), Some(Reason::Identity));
    let other = [("stream", "c/n/1"), ("seq", "4")];
    assert_eq!(reason(&message(value.clone(), &other, NOW.0)), Some(Reason::Identity));
    assert_eq!(reason(&message(Vec::new(), &own, NOW.0)), Some(Reason::Form));
    assert_eq!(reason(&message(b"{\"schema\":\"flow/9\"}".to_vec(), &own, NOW.0)), Some(Reason::Schema));
    assert_eq!(reason(&message(value[..value.len() / 2].to_vec(), &own, NOW.0)), Some(Reason::Form));
    assert_eq!(reason(&message(vec![b' '; wire::MAX_VALUE_BYTES + 1], &own, NOW.0)), Some(Reason::TooLong));
    let mut wrong = record;
    wrong.cluster = "other".to_owned();
    assert_eq!(reason(&of(&wrong, NOW.0)), Some(Reason::Invalid));
}

#[test]
fn a_time_that_cannot_be_right_is_suspect() {
    let at = |end_ms: u64, message_ms: u64| {
        let mut record = sample::minimal(0, end_ms);
        record.host = record.stream.node().to_owned();
        reason(&of(&record, message_ms))
    };
    let ahead = u64::try_from(MAX_AHEAD.as_millis()).unwrap();
    let day = 86_400_000;
    assert_eq!(at(NOW.0 + ahead, NOW.0), None);
    assert_eq!(at(NOW.0 + ahead + 1, NOW.0), Some(Reason::TimeSuspect));
    assert_eq!(at(NOW.0 - day, NOW.0), None);
    assert_eq!(at(NOW.0 - day - 1, NOW.0), Some(Reason::TimeSuspect));
    // A message whose own time is forged along with the record's.
    assert_eq!(at(NOW.0 + 20 * 365 * day, NOW.0 + 20 * 365 * day), Some(Reason::TimeSuspect));
    assert_eq!(at(1000, 1000), Some(Reason::TimeSuspect));
}
