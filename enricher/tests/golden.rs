//! Golden files of the whole way: a raw line in, a flow record line out, read as documentation.
//!
//! `golden/manifests` is the cluster, `golden/raw.jsonl` what probes reported, `golden/flow.jsonl` what came of it, line by
//! line; lines that begin with `//` say what the next one shows. `MILLRACE_REFRESH=1 cargo test -p enricher --test golden`
//! writes the results anew; the review reads the difference.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bus::{Delivered, Header, Record};
use cluster::manifests::{self, Limits};
use cluster::{History, PrivateRanges, Snapshot};
use enricher::enrich::{Outcome, enrich};
use enricher::{EnricherSettings, RawEnricherSettings};
use flow::UnixMs;
use service::settings::Problems;

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn history() -> History {
    let (objects, invalid) = manifests::read(&path("manifests"), Limits::default());
    assert_eq!(invalid, []);
    History::new(Arc::new(Snapshot::new(objects, PrivateRanges::Full)), UnixMs(0))
}

/// What every line shares, so that a line shows only what it is about.
fn raw_value(line: &str) -> serde_json::Value {
    let mut value: serde_json::Value = serde_json::from_str(
        r#"{"schema": "raw-flow/1", "stream": "prod/node-a/1767260000000", "start_time": 1767268800000,
            "end_time": 1767268815000, "reporter": "src", "protocol": 6, "outcome": "established",
            "counters": {"bytes_in": 900, "bytes_out": 100, "packets_in": 4, "packets_out": 5, "flows": 1,
                         "flows_started": 1, "flows_completed": 1, "flows_aborted": 0},
            "oldest_start": 1767268801000, "newest_start": 1767268801000}"#,
    )
    .unwrap();
    let own: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    value.as_object_mut().unwrap().extend(own.as_object().unwrap().clone());
    value
}

fn message(seq: usize, mut value: serde_json::Value) -> Delivered {
    value["seq"] = seq.into();
    let stream = value["stream"].as_str().unwrap().to_owned();
    let timestamp_ms = value["end_time"].as_i64().unwrap();
    let headers = vec![
        Header::new("stream", stream.clone()),
        Header::new("seq", seq.to_string()),
        Header::new("schema", "raw-flow/1"),
    ];
    let value = serde_json::to_vec(&value).unwrap().into();
    let record = Record { topic: "raw".into(), key: stream.into(), headers, value, timestamp_ms };
    Delivered { partition: 0, offset: seq as u64, record }
}

#[test]
fn every_line_gives_its_line() {
    let history = history();
    let settings = EnricherSettings::resolve(RawEnricherSettings::default(), &mut Problems::default());
    let rules = settings.rules();
    let raw = std::fs::read_to_string(path("raw.jsonl")).unwrap();
    let mut found = String::new();
    let mut seq = 0;
    for line in raw.lines() {
        if line.starts_with("//") {
            found += line;
        } else {
            let (record, outcome) = enrich(&message(seq, raw_value(line)), &history, &rules);
            assert!(matches!(outcome, Outcome::Flow(_)), "{outcome:?}: {line}");
            found += std::str::from_utf8(&record.value).unwrap();
            seq += 1;
        }
        found.push('\n');
    }
    if std::env::var_os("MILLRACE_REFRESH").is_some() {
        std::fs::write(path("flow.jsonl"), &found).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(path("flow.jsonl")).unwrap_or_default();
    for (number, (found, expected)) in found.lines().zip(expected.lines()).enumerate() {
        assert_eq!(found, expected, "line {}; MILLRACE_REFRESH=1 writes it anew", number + 1);
    }
    assert_eq!(found.lines().count(), expected.lines().count());
}
