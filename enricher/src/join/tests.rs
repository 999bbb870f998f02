//! Cases of the join: who is named, who is not, and why.

mod cases;

use std::sync::Arc;

use cluster::manifests::{Limits, parse};
use cluster::{History, PrivateRanges, Snapshot};
use flow::{Endpoint, RawFlow, UnixMs, Unknown};
use serde_json::{Value, json};

use super::*;

fn history_of(yaml: &str) -> History {
    let (objects, invalid) = parse("test.yaml", yaml.as_bytes(), Limits::default());
    let reports: Vec<String> = invalid.iter().map(ToString::to_string).collect();
    assert!(reports.is_empty(), "{reports:#?}");
    History::new(Arc::new(Snapshot::new(objects, PrivateRanges::Full)), UnixMs(0))
}

/// A raw record: client 10.0.0.1 to 10.0.0.2 port 80, reported by node-a as the source, with fields replaced.
fn raw(changes: Value) -> RawFlow {
    let mut record = json!({
        "stream": "test/node-a/1", "seq": 0, "start_time": 1_000_000, "end_time": 1_015_000, "reporter": "src",
        "protocol": 6, "source_ip": "10.0.0.1", "translated": {"ip": "10.0.0.2", "port": 80},
        "original": {"ip": "10.0.0.2", "port": 80}, "local": {"identity": "cgroup", "pod_uid": "uid-client"},
        "outcome": "established",
        "counters": {"bytes_in": 1, "bytes_out": 1, "packets_in": 1, "packets_out": 1,
                     "flows": 1, "flows_started": 1, "flows_completed": 0, "flows_aborted": 0},
        "oldest_start": 1_005_000, "newest_start": 1_005_000
    });
    let Value::Object(changes) = changes else { panic!("changes are a map") };
    for (field, value) in changes {
        match value {
            Value::Null => record.as_object_mut().unwrap().remove(&field),
            value => record.as_object_mut().unwrap().insert(field, value),
        };
    }
    let raw: RawFlow = serde_json::from_value(record).unwrap();
    raw.validate().unwrap();
    raw
}

fn end(endpoint: &Endpoint) -> String {
    format!("{} {}/{} {}", endpoint.kind.as_str(), endpoint.namespace, endpoint.name, endpoint.name_aggr)
}

/// Shows who talked to whom, through what, and what is not known.
fn shown(joined: &Joined) -> String {
    let service = joined.flow.service.as_ref().map_or_else(String::new, |service| {
        format!(" by {}/{} {} {}", service.namespace, service.name, service.port_name, service.port)
    });
    let unknown: Vec<&str> = joined.flow.unknown_because.iter().map(|why: &Unknown| why.as_str()).collect();
    let unknown = if unknown.is_empty() { String::new() } else { format!(" ? {}", unknown.join(",")) };
    format!("{} > {}{service}{unknown}", end(&joined.flow.source), end(&joined.flow.dest))
}
