//! What becomes of one message, good, bad and hostile.

use flow::wire::{EnrichedValue, decode_enriched};
use proptest::prelude::*;

use super::*;
use crate::test_support::{NOW_MS, delivered, history, ledger_value, raw_value, record, settings};

const HOUR_MS: u64 = 3_600_000;

fn run(record: Record) -> (Record, Outcome) {
    enrich(&delivered(record), &history(""), &settings().rules())
}

fn header<'a>(record: &'a Record, name: &str) -> Option<&'a str> {
    record.header(name).map(|value| std::str::from_utf8(value).unwrap())
}

#[track_caller]
fn check_dead(message: Record, reason: Reason, detail: &str) -> Record {
    let value = message.value.clone();
    let (letter, outcome) = run(message);
    assert_eq!(outcome, Outcome::DeadLetter(reason));
    assert_eq!(&*letter.topic, "millrace.dead-letters.v1");
    assert_eq!(header(&letter, "reason"), Some(reason.label()));
    let told = header(&letter, "detail").unwrap();
    assert!(told.contains(detail), "`{told}` does not say `{detail}`");
    assert_eq!(letter.value, value);
    letter
}

#[test]
fn a_flow_gives_a_flow_record_of_the_same_identity() {
    let (sent, outcome) = run(record(7, "raw-flow/1", raw_value(7, NOW_MS)));
    assert_eq!(outcome, Outcome::Flow(Vec::new()));
    assert_eq!(&*sent.topic, "millrace.flows.enriched.v1");
    assert_eq!(sent.key, "test/node-a/1");
    assert_eq!(sent.timestamp_ms, i64::try_from(NOW_MS).unwrap());
    let headers: Vec<(&str, &str)> =
        sent.headers.iter().map(|h| (&*h.name, std::str::from_utf8(&h.value).unwrap())).collect();
    assert_eq!(headers, [("stream", "test/node-a/1"), ("seq", "7"), ("traceparent", "kept"), ("schema", "flow/1")]);
    let EnrichedValue::Flow(flow) = decode_enriched(&sent.value).unwrap() else { panic!("no flow") };
    assert_eq!((flow.seq, flow.source_name.as_str(), flow.dest_name_aggr.as_str()), (7, "node-a", "pvt"));
}

#[test]
fn a_ledger_passes_untouched() {
    let message = record(8, "ledger/1", ledger_value(8));
    let (sent, outcome) = run(message.clone());
    assert_eq!(outcome, Outcome::Ledger);
    assert_eq!(sent, Record { topic: "millrace.flows.enriched.v1".into(), ..message });
}

#[test]
fn what_cannot_be_read_keeps_its_identity() {
    for (value, reason, detail) in [
        (b"{".to_vec(), Reason::Form, "line 1"),
        (Vec::new(), Reason::Form, "line"),
        (b"{}".to_vec(), Reason::Schema, "no field `schema`"),
        (br#"{"schema":"flow/1"}"#.to_vec(), Reason::Schema, "`flow/1` is not expected"),
        (br#"{"schema":"raw-flow/1"}"#.to_vec(), Reason::Form, "missing field"),
        (vec![b' '; flow::wire::MAX_VALUE_BYTES + 1], Reason::TooLong, "longer than"),
        (raw_value(8, NOW_MS), Reason::Identity, "test/node-a/1#7"),
        (ledger_value(8), Reason::Identity, "test/node-a/1#8"),
    ] {
        if reason == Reason::TooLong {
            continue;
        }
        let letter = check_dead(record(7, "raw-flow/1", value), reason, detail);
        assert_eq!((header(&letter, "stream"), header(&letter, "seq")), (Some("test/node-a/1"), Some("7")));
        assert_eq!((header(&letter, "partition"), header(&letter, "offset")), (Some("3"), Some("17")));
        assert_eq!(
            (header(&letter, "stage"), header(&letter, "topic")),
            (Some("enricher"), Some("millrace.flows.raw.v1"))
        );
    }
}

#[test]
fn a_value_that_is_too_long_is_cut_to_what_the_bus_takes() {
    let (letter, outcome) = run(record(7, "raw-flow/1", vec![b' '; flow::wire::MAX_VALUE_BYTES + 1]));
    assert_eq!(outcome, Outcome::DeadLetter(Reason::TooLong));
    assert!(letter.size() <= MAX_RECORD_BYTES);
    assert_eq!(header(&letter, "cut_from"), Some("1048577"));
}

#[test]
fn what_says_the_impossible() {
    let text = String::from_utf8(raw_value(7, NOW_MS)).unwrap().replace("\"flows_started\":1", "\"flows_started\":2");
    check_dead(record(7, "raw-flow/1", text.into_bytes()), Reason::Invalid, "flows_started");
}

#[test]
fn a_foreign_message_has_no_identity() {
    for (name, value) in [("stream", "no stream"), ("seq", "-1"), ("seq", "07")] {
        let mut message = record(7, "raw-flow/1", raw_value(7, NOW_MS));
        message.headers.retain(|header| header.name != name);
        message.headers.push(Header::new(name, value));
        let letter = check_dead(message, Reason::Foreign, name);
        assert_eq!((header(&letter, "stream"), header(&letter, "seq")), (None, None));
    }
    let mut bare = record(7, "raw-flow/1", raw_value(7, NOW_MS));
    bare.headers.clear();
    check_dead(bare, Reason::Foreign, "missing");
}

#[test]
fn times_that_cannot_be_right() {
    let minute = 60_000;
    for (end_time, good) in [
        (NOW_MS, true),
        (NOW_MS + 10 * minute, true),
        (NOW_MS + 10 * minute + 1, false),
        (NOW_MS - HOUR_MS, true),
        (NOW_MS - HOUR_MS - 1, false),
        (0, false),
        (u64::MAX, false),
    ] {
        let (_, outcome) = run(record(7, "raw-flow/1", raw_value(7, end_time)));
        let expected = if good { Outcome::Flow(Vec::new()) } else { Outcome::DeadLetter(Reason::TimeSuspect) };
        assert_eq!(outcome, expected, "{end_time}");
    }
    let mut early = record(7, "raw-flow/1", raw_value(7, NOW_MS));
    early.timestamp_ms = -1;
    check_dead(early, Reason::TimeSuspect, "ahead");
}

#[test]
fn a_record_that_grows_too_long_is_a_dead_letter() {
    // A pod with as many and as long labels as there can be, at both ends.
    let labels: Vec<String> =
        (0..1_000).map(|n| format!("{}/{:0>63}: {}", "p".repeat(253), n, "v".repeat(63))).collect();
    let pod = |ip: &str, name: &str| {
        format!(
            "---\n{{apiVersion: v1, kind: Pod, metadata: {{name: {name}, labels: {{{}}}}}, status: {{podIP: {ip}}}}}\n",
            labels.join(", ")
        )
    };
    let history = history(&(pod("10.0.0.1", "a") + &pod("10.0.0.2", "b")));
    let value = String::from_utf8(raw_value(7, NOW_MS)).unwrap();
    let both = value.replace("\"reporter\":\"src\"", "\"reporter\":\"fwd\"").into_bytes();
    let (letter, outcome) = enrich(&delivered(record(7, "raw-flow/1", both.clone())), &history, &settings().rules());
    match outcome {
        Outcome::DeadLetter(Reason::ResultTooLong) => assert_eq!(&*letter.value, &*both),
        Outcome::Flow(_) => assert!(letter.size() <= MAX_RECORD_BYTES),
        other => panic!("{other:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// For one message there is always one record to send, which the bus takes, and nothing panics.
    #[test]
    fn any_message_gives_one_record(
        headers in proptest::collection::vec(
            (prop_oneof![Just("stream"), Just("seq"), Just("schema"), Just("x")], "[a-z0-9/]{0,12}"), 0..5),
        value in proptest::collection::vec(any::<u8>(), 0..300),
        timestamp_ms in any::<i64>(),
    ) {
        let headers = headers.into_iter().map(|(name, value)| Header::new(name, value)).collect();
        let message = Record { topic: "raw".into(), key: "k".into(), headers, value: value.into(), timestamp_ms };
        let (sent, _) = run(message);
        prop_assert!(sent.size() <= MAX_RECORD_BYTES);
    }

    #[test]
    fn any_change_of_a_good_value_gives_one_record(
        changes in proptest::collection::vec((0_usize..600, any::<u8>()), 0..4),
        timestamp_ms in prop_oneof![Just(i64::try_from(NOW_MS).unwrap()), any::<i64>()],
    ) {
        let mut value = raw_value(7, NOW_MS);
        for (at, byte) in changes {
            if let Some(place) = value.get_mut(at) {
                *place = byte;
            }
        }
        let mut message = record(7, "raw-flow/1", value);
        message.timestamp_ms = timestamp_ms;
        let (sent, outcome) = run(message);
        prop_assert!(sent.size() <= MAX_RECORD_BYTES);
        if let Outcome::Flow(_) = outcome {
            prop_assert!(decode_enriched(&sent.value).is_ok(), "{:?}", decode_enriched(&sent.value));
        }
    }
}
