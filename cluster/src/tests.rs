//! Tests of the snapshot as a whole, from manifests to answers.

mod addresses;
mod endpoints;
mod history;
mod properties;
mod services;
mod sets;

use std::net::IpAddr;
use std::sync::Arc;

use flow::{Endpoint, Protocol, UnixMs};

use crate::manifests::{Limits, parse};
use crate::objects::Objects;
use crate::{Holder, PrivateRanges, Snapshot};

fn objects(yaml: &str) -> Objects {
    let (objects, invalid) = parse("test.yaml", yaml.as_bytes(), Limits::default());
    let reports: Vec<String> = invalid.iter().map(ToString::to_string).collect();
    assert!(reports.is_empty(), "{reports:#?}");
    objects
}

fn snapshot(yaml: &str) -> Snapshot {
    Snapshot::new(objects(yaml), PrivateRanges::Full)
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Milliseconds of a time written as people do.
fn at(text: &str) -> UnixMs {
    let time: jiff::Timestamp = text.parse().unwrap();
    UnixMs(u64::try_from(time.as_millisecond()).unwrap())
}

/// Says in one word who held an address.
fn holder(snapshot: &Snapshot, address: &str, when: &str) -> String {
    word(snapshot.address(ip(address), at(when)))
}

fn word(holder: Holder<'_>) -> String {
    match holder {
        Holder::Pod(entry) => format!("pod {}", entry.pod.meta.name),
        Holder::Host(entry) => format!("host {}", entry.endpoint.name),
        Holder::Ambiguous { pods: true } => "ambiguous, pods".to_owned(),
        Holder::Ambiguous { pods: false } => "ambiguous, hosts".to_owned(),
        Holder::Later => "later".to_owned(),
        Holder::Nobody => "nobody".to_owned(),
    }
}

/// Shows an endpoint on one line.
fn line(endpoint: &Endpoint) -> String {
    let or = |text: &Option<Arc<str>>| text.as_deref().unwrap_or("null").to_owned();
    format!(
        "{} {} {} {} [{}] owner={}/{} node={} zone={}",
        endpoint.kind.as_str(),
        endpoint.namespace,
        endpoint.name,
        endpoint.name_aggr,
        endpoint.labels.join(","),
        or(&endpoint.owner_kind),
        or(&endpoint.owner_name),
        or(&endpoint.node),
        or(&endpoint.zone),
    )
}

const TCP: Protocol = Protocol::TCP;
const NOON: &str = "2026-01-01T12:00:00Z";
