//! The hand-written cases: what policy and kernel say becomes the record that the case expects, on the wire and back.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail where it likes")]

use std::collections::{BTreeMap, BTreeSet};

use flow::digest::{Chain, GENESIS};
use flow::record::normal_form;
use flow::test_support::{Case, CaseRecord, Fate, Message, Topic, load_cases};
use flow::wire::{self, EnrichedValue, Headers, RawValue};
use flow::{FlowRecord, JudgedFlow, Outcome, Schema, contract, document_id};
use serde_json::{Map, Value};

/// The rows and corners of the design that a case must stand for, beside the cells of the table.
const REQUIRED: &str = "
    outcome:established outcome:refused outcome:unreachable outcome:failed outcome:timeout outcome:unanswered
    outcome:dropped outcome:preexisting outcome:pending outcome:unknown
    filter-drop:beats-refused filter-drop:beats-timeout filter-drop:beats-unreachable filter-drop:kinds
    filter-drop:after-established
    pending:timeout-row pending:unanswered-row pending:flowed-row pending:filter-drop-row
    action:deny-at-src-by-receiver
    reporter:src reporter:dst reporter:fwd reporter:both reporter:both-on-one-node reporter:dst-from-outside
    identity:cgroup identity:netns identity:address identity:none
    drop:no-filter drop:without-reason drop:dst-by-namespace drop:dst-by-address drop:fwd drop:merged
    drop:matched-on-original drop:subsystem-reason drop:no-socket
    udp:answered udp:unanswered udp:refused udp:dropped udp:mid-flow-receiver udp:idle-end initiator:unknown
    icmp:answered icmp:unanswered icmp:v6 proto:sctp proto:number
    destination:service destination:both destination:translated-only destination:same-port destination:untranslated
    destination:service-backend destination:service-one-answer destination:hairpin destination:masqueraded-egress
    destination:node-port-snat destination:other-port
    service:unnamed-port service:several-ports service:headless
    end:hep end:host-network-pod end:node-to-own-pod end:other-node-to-pod end:pod-to-own-node end:ns end:ns-namespaced
    end:net end:pvt end:pvt-cgnat end:pvt-link-local end:bare-pod end:no-metadata end:reused-address end:terminating-pod
    ipv6:pvt ipv6:pub ipv6:pods ipv6:service labels:calico labels:hostile
    window:across window:pending-then-decided window:early-first-record window:idle-minute
    time:seconds-and-milliseconds volume:in-out volume:deltas volume:aborted
    merge:source-ports merge:none merge:starts merge:outcome-in-key
    process:one process:several-pids process:merged process:none tcp:statistics tcp:absent
    policies:staged policies:staged-twin policies:staged-delete policies:all policies:empty policies:cluster-kinds
    denied-by:several denied-by:both-ends denied-by:tier-default
    verdict:both-deny verdict:deny-beats-unknown verdict:unknown-beats-allow verdict:allow-beats-none
    verdict:settling verdict:of-the-start verdict:policy_changed verdict:foreign_policy verdict:service_backend
    verdict:hairpin verdict:no_metadata verdict:ambiguous_address verdict:initiator_unknown verdict:missing_fact
    verdict:no_policy_engine
    message:flow message:ledger message:additive message:foreign message:dead-letter message:dead-letter-identity
    message:invalid
    ledger:closes ledger:open ledger:doubled ledger:lost ledger:filtered ledger:other-protocols ledger:predecessor-closed
    ledger:predecessor-not-closed ledger:closing ledger:digest
    complete:tcp complete:icmp
";

fn required() -> BTreeSet<String> {
    let rows = [
        "flowed",
        "filter-drop",
        "timeout",
        "refused",
        "unanswered",
        "unreachable",
        "failed",
        "other-drop",
        "preexisting",
        "pending",
        "unknown-outcome",
    ];
    let cells = rows.iter().flat_map(|row| ["deny", "allow", "unknown"].map(|verdict| format!("cell:{row}/{verdict}")));
    let unjudged = ["flowed", "filter-drop", "timeout", "refused"].map(|row| format!("cell:{row}/none"));
    cells.chain(unjudged).chain(REQUIRED.split_whitespace().map(str::to_owned)).collect()
}

fn cases() -> Vec<Case> {
    load_cases().unwrap_or_else(|error| panic!("{error}"))
}

/// Runs a check over all cases and tells all that fails, not only the first.
fn check_all(check: impl Fn(&Case) -> Vec<String>) {
    let mut failures = Vec::new();
    for case in cases() {
        for failure in check(&case) {
            failures.push(format!("{}: {}: {failure}", case.topic, case.name));
        }
    }
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn there_are_enough_and_each_has_its_name() {
    let cases = cases();
    assert!(cases.len() >= 60, "only {} cases", cases.len());
    let names: BTreeSet<&str> = cases.iter().map(|case| case.name.as_str()).collect();
    assert_eq!(names.len(), cases.len(), "a name is used twice");
    for case in &cases {
        assert!(!case.events.is_empty() && !case.covers.is_empty(), "{}: without events or covers", case.name);
        let sections = case.records.len() + case.ledgers.len() + case.messages.len();
        assert!(sections > 0, "{}: nothing to check", case.name);
    }
}

#[test]
fn every_row_and_corner_has_a_case() {
    let covered: BTreeSet<String> = cases().into_iter().flat_map(|case| case.covers).collect();
    let missing: Vec<_> = required().difference(&covered).cloned().collect();
    assert!(missing.is_empty(), "no case covers {missing:?}");
}

fn flow_record(record: &CaseRecord) -> FlowRecord {
    JudgedFlow::new(record.joined.clone(), record.judgement.clone()).into()
}

#[test]
fn records_are_as_the_cases_say() {
    check_all(|case| {
        let numbered = case.records.iter().enumerate();
        numbered
            .flat_map(|(at, told)| differences(told).into_iter().map(move |d| format!("record {at}: {d}")))
            .collect()
    });
}

fn differences(told: &CaseRecord) -> Vec<String> {
    let document = serde_json::to_value(flow_record(told)).unwrap();
    let mut found = Vec::new();
    compare("", &Value::Object(told.record.clone()), &document, &mut found);
    if told.complete {
        let (expected, actual) = (normal_form(&Value::Object(told.record.clone())), normal_form(&document));
        if expected != actual {
            found.push(format!("the whole record differs:\nexpected {expected}\nactual   {actual}"));
        }
    }
    found
}

/// Compares what a case names: objects field by field, everything else whole; null is absent.
fn compare(path: &str, expected: &Value, actual: &Value, found: &mut Vec<String>) {
    match (expected, actual) {
        (Value::Object(fields), Value::Object(document)) => {
            for (name, expected) in fields {
                compare(&format!("{path}.{name}"), expected, document.get(name).unwrap_or(&Value::Null), found);
            }
        }
        _ if expected == actual => {}
        _ => found.push(format!("`{}` is {actual}, not {expected}", path.trim_start_matches('.'))),
    }
}

#[test]
fn records_cross_the_wire() {
    check_all(|case| {
        let mut found = Vec::new();
        for (at, told) in case.records.iter().enumerate() {
            if let Err(error) = told.raw.validate() {
                found.push(format!("record {at}: raw: {error}"));
            }
            let value = wire::encode_raw(&told.raw).unwrap();
            if wire::decode_raw(&value) != Ok(RawValue::Flow(Box::new(told.raw.clone()))) {
                found.push(format!("record {at}: raw does not come back"));
            }
            let record = flow_record(told);
            if let Err(error) = record.validate() {
                found.push(format!("record {at}: {error}"));
            }
            let value = wire::encode_flow(&record).unwrap();
            if wire::decode_enriched(&value) != Ok(EnrichedValue::Flow(Box::new(record.clone()))) {
                found.push(format!("record {at}: record does not come back"));
            }
            found.extend(against_schema(Schema::Flow, &value).into_iter().map(|e| format!("record {at}: {e}")));
            let raw = wire::encode_raw(&told.raw).unwrap();
            found.extend(against_schema(Schema::RawFlow, &raw).into_iter().map(|e| format!("record {at}: raw: {e}")));
            if document_id(&record.stream, record.seq) != document_id(&told.raw.stream, told.raw.seq) {
                found.push(format!("record {at}: another identity"));
            }
        }
        found
    });
}

/// Checks the top level of a value against the published schema: nothing unheard of, nothing required missing.
fn against_schema(schema: Schema, value: &[u8]) -> Vec<String> {
    let published = contract::json_schema(schema);
    let value: Map<String, Value> = serde_json::from_slice(value).unwrap();
    let known = published["properties"].as_object().unwrap();
    let unheard =
        value.keys().filter(|name| !known.contains_key(*name)).map(|name| format!("`{name}` is not published"));
    let required = published["required"].as_array().unwrap().iter().filter_map(Value::as_str);
    let missing = required.filter(|name| !value.contains_key(*name)).map(|name| format!("`{name}` is required"));
    unheard.chain(missing).collect()
}

#[test]
fn what_starts_nothing_counts_nothing() {
    check_all(|case| {
        let waiting = |told: &&CaseRecord| matches!(told.raw.outcome, Outcome::Pending | Outcome::Preexisting);
        let started = case.records.iter().filter(waiting).filter(|told| flow_record(told).num_flows_started > 0);
        started.map(|told| format!("a record that is {} starts something", told.raw.outcome.as_str())).collect()
    });
}

#[test]
fn ledgers_close_or_say_by_how_much_they_do_not() {
    check_all(|case| {
        let mut found = Vec::new();
        for (at, told) in case.ledgers.iter().enumerate() {
            if let Err(error) = told.ledger.validate() {
                found.push(format!("ledger {at}: {error}"));
            }
            let left: BTreeMap<String, i128> = told
                .ledger
                .attempts
                .iter()
                .map(|account| (format!("{}/{}", account.protocol, account.direction.label()), account.unexplained()))
                .collect();
            if left != told.unexplained {
                found.push(format!("ledger {at}: leaves {left:?}, not {:?}", told.unexplained));
            }
            let value = wire::encode_ledger(&told.ledger).unwrap();
            if wire::decode_raw(&value) != Ok(RawValue::Ledger(Box::new(told.ledger.clone()))) {
                found.push(format!("ledger {at}: does not come back"));
            }
            found.extend(against_schema(Schema::Ledger, &value).into_iter().map(|e| format!("ledger {at}: {e}")));
        }
        found
    });
}

#[test]
fn digests_are_the_same_from_probe_and_from_store() {
    check_all(|case| {
        let mut found = Vec::new();
        let mut before = GENESIS.to_owned();
        for (at, told) in case.ledgers.iter().enumerate().filter(|_| case.covers.iter().any(|c| c == "ledger:digest")) {
            let (mut by_probe, mut by_store) = (Chain::after(&before), Chain::after(&before));
            for record in case.records.iter().filter(|_| told.digest_of_records) {
                by_probe.add(&record.raw);
                by_store.add(&flow_record(record));
            }
            let (by_probe, by_store) = (by_probe.finish(), by_store.finish());
            if by_probe != told.ledger.digest || by_store != told.ledger.digest {
                found.push(format!("ledger {at}: probe {by_probe}, store {by_store}, case {}", told.ledger.digest));
            }
            before.clone_from(&told.ledger.digest);
        }
        found
    });
}

#[test]
fn messages_meet_their_fate() {
    check_all(|case| {
        let numbered = case.messages.iter().enumerate();
        numbered.filter_map(|(at, told)| fate(told).err().map(|error| format!("message {at}: {error}"))).collect()
    });
}

fn fate(told: &Message) -> Result<(), String> {
    let (fate, id, error) = match Headers::parse(told.headers.iter()) {
        Err(error) => (Fate::Foreign, None, Some(error.to_string())),
        Ok(headers) => {
            let read = read(told, &headers);
            let error = read.as_ref().err().map(ToString::to_string);
            (read.unwrap_or(Fate::DeadLetter), Some(headers.id().to_string()), error)
        }
    };
    if fate != told.fate || id != told.id {
        return Err(format!("{fate:?} with identity {id:?} and {error:?}, not {:?} {:?}", told.fate, told.id));
    }
    match (&told.error, &error) {
        (Some(expected), Some(error)) if !error.contains(expected) => {
            Err(format!("the error is {error:?}, not {expected:?}"))
        }
        (Some(expected), None) => Err(format!("no error, not {expected:?}")),
        _ => Ok(()),
    }
}

fn read(told: &Message, headers: &Headers) -> Result<Fate, wire::DecodeError> {
    let (own, fate) = match told.topic {
        Topic::Raw => {
            let value = wire::decode_raw(told.value.as_bytes())?;
            (value.headers(), if matches!(value, RawValue::Flow(_)) { Fate::Flow } else { Fate::Ledger })
        }
        Topic::Enriched => {
            let value = wire::decode_enriched(told.value.as_bytes())?;
            (value.headers(), if matches!(value, EnrichedValue::Flow(_)) { Fate::Flow } else { Fate::Ledger })
        }
    };
    wire::check_identity(headers, &own.stream, own.seq)?;
    Ok(fate)
}
