//! Messages and metadata for tests.

use std::sync::Arc;
use std::time::Duration;

use bus::{Delivered, Header, Record};
use cluster::manifests::{Limits, parse};
use cluster::{History, PrivateRanges, Snapshot};
use flow::UnixMs;
use service::settings::Problems;

use crate::settings::{EnricherSettings, RawEnricherSettings};

/// The time that raw records of the tests are of, in Unix milliseconds.
pub(crate) const NOW_MS: u64 = 1_767_268_800_000;

pub(crate) fn settings() -> EnricherSettings {
    let mut problems = Problems::default();
    let settings = EnricherSettings::resolve(RawEnricherSettings::default(), &mut problems);
    assert!(problems.is_empty());
    EnricherSettings { retention: Duration::from_secs(3600), ..settings }
}

pub(crate) fn history(yaml: &str) -> History {
    let (objects, invalid) = parse("test.yaml", yaml.as_bytes(), Limits::default());
    assert_eq!(invalid, []);
    History::new(Arc::new(Snapshot::new(objects, PrivateRanges::Full)), UnixMs(0))
}

/// A raw record of stream `test/node-a/1` as it lies on the bus.
pub(crate) fn raw_value(seq: u64, end_time: u64) -> Vec<u8> {
    format!(
        r#"{{"schema":"raw-flow/1","stream":"test/node-a/1","seq":{seq},"start_time":{start},"end_time":{end_time},
        "reporter":"src","protocol":6,"source_ip":"10.0.0.1","translated":{{"ip":"10.0.0.2","port":80}},
        "local":{{"identity":"cgroup"}},"outcome":"established","counters":{{"bytes_in":1,"bytes_out":1,"packets_in":1,
        "packets_out":1,"flows":1,"flows_started":1,"flows_completed":0,"flows_aborted":0}},
        "oldest_start":{start},"newest_start":{start}}}"#,
        start = end_time.saturating_sub(15_000),
    )
    .into_bytes()
}

/// A ledger of stream `test/node-a/1` as it lies on the bus.
pub(crate) fn ledger_value(seq: u64) -> Vec<u8> {
    format!(
        r#"{{"schema":"ledger/1","stream":"test/node-a/1","seq":{seq},"from_seq":0,"start_time":0,"end_time":1,
        "closing":false,"attempts":[],"missed_runs":0,"digest":"{}","added_later":true}}"#,
        "0".repeat(64)
    )
    .into_bytes()
}

pub(crate) fn record(seq: u64, schema: &'static str, value: Vec<u8>) -> Record {
    Record {
        topic: flow::contract::RAW_TOPIC.into(),
        key: "test/node-a/1".into(),
        headers: vec![
            Header::new("stream", "test/node-a/1"),
            Header::new("seq", seq.to_string()),
            Header::new("schema", schema),
            Header::new("traceparent", "kept"),
        ],
        value: value.into(),
        timestamp_ms: i64::try_from(NOW_MS).unwrap(),
    }
}

pub(crate) fn delivered(record: Record) -> Delivered {
    Delivered { partition: 3, offset: 17, record }
}
