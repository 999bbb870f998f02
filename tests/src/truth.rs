//! The laboratory's ledger against flow records: nothing missing, nothing extra, the applications' own bytes.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use flow::{FlowRecord, Outcome, Protocol};
use lab::{Attempt, Expected, Ledger, Party, world};

/// What both sides are summed by: who attempted, the address and port asked for, the protocol, how it went.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sent {
    source: String,
    destination: IpAddr,
    port: Option<u16>,
    protocol: String,
    outcome: String,
}

/// What both sides are summed by at the receiver.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Received {
    receiver: String,
    peer: IpAddr,
    port: u16,
    protocol: String,
}

/// Counts of one group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sums {
    /// Attempts.
    pub attempts: u64,
    /// Payload bytes sent by whom the group is about.
    pub bytes_out: u64,
    /// Payload bytes received.
    pub bytes_in: u64,
}

impl Sums {
    fn add(&mut self, attempts: u64, bytes_out: u64, bytes_in: u64) {
        self.attempts += attempts;
        self.bytes_out += bytes_out;
        self.bytes_in += bytes_in;
    }
}

impl fmt::Display for Sums {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} attempts, {} bytes out, {} bytes in", self.attempts, self.bytes_out, self.bytes_in)
    }
}

/// Returns the differences at the initiators' nodes, one line each; none if records and ledger agree exactly.
///
/// Attempts of hosts outside are seen at the receiver only. Connections older than the probe are compared by how many
/// of them ended, as none of them may count as started. What an application never got out or in (a refused datagram, a
/// dropped one) is counted by the kernel as sent, so bytes are compared where attempts were established.
#[must_use]
pub fn differences_at_source(ledger: &Ledger, records: &[FlowRecord]) -> Vec<String> {
    let mut expected = BTreeMap::<Sent, Sums>::new();
    for attempt in &ledger.attempts {
        if matches!(attempt.source, Party::Outside { .. }) {
            continue;
        }
        let group = Sent {
            source: name(&attempt.source),
            destination: attempt.destination,
            port: attempt.port,
            protocol: attempt.protocol.to_string(),
            outcome: outcome_at_source(attempt).as_str().to_owned(),
        };
        expected.entry(group).or_default().add(1, attempt.bytes_sent, attempt.bytes_received);
    }
    let mut found = BTreeMap::<Sent, Sums>::new();
    for record in records.iter().filter(|record| record.reporter == "src") {
        let Some(destination) = record.dest_original_ip.or(record.dest_ip) else { continue };
        let group = Sent {
            source: end(&record.source_type, &record.source_namespace, &record.source_name),
            destination,
            port: record.dest_original_port.or(record.dest_port),
            protocol: record.proto.clone(),
            outcome: record.outcome.clone(),
        };
        let attempts = match record.outcome.as_str() {
            "pending" => continue,
            "preexisting" => record.num_flows_completed,
            _ => record.num_flows_started,
        };
        found.entry(group).or_default().add(attempts, record.bytes_out, record.bytes_in);
    }
    compare(&expected, &found, |group| group.outcome == "established")
}

/// Returns the differences of drops at other nodes than the sender's, with the kernel's reason: their node tells each
/// attempt as a record of its own, `dst` where a pod there would have received it, else `fwd`. What nobody listens for
/// is thrown away there as well.
#[must_use]
pub fn differences_of_far_drops(ledger: &Ledger, records: &[FlowRecord]) -> Vec<String> {
    let mut expected = BTreeMap::<Sent, Sums>::new();
    for attempt in &ledger.attempts {
        let reason = match attempt.expected {
            Expected::Refused if receiver_is_far(attempt) => "NO_SOCKET",
            _ if dropped_far_away(attempt) => "NETFILTER_DROP",
            _ => continue,
        };
        let group = Sent {
            source: name(&attempt.source),
            destination: attempt.destination,
            port: attempt.port,
            protocol: attempt.protocol.to_string(),
            outcome: format!("dropped {reason}"),
        };
        expected.entry(group).or_default().add(1, 0, 0);
    }
    let mut found = BTreeMap::<Sent, Sums>::new();
    for record in records.iter().filter(|record| record.reporter != "src" && record.outcome == "dropped") {
        let Some(destination) = record.dest_original_ip.or(record.dest_ip) else { continue };
        let group = Sent {
            source: end(&record.source_type, &record.source_namespace, &record.source_name),
            destination,
            port: record.dest_original_port.or(record.dest_port),
            protocol: record.proto.clone(),
            outcome: format!("dropped {}", record.drop_reason.as_deref().unwrap_or("-")),
        };
        found.entry(group).or_default().add(record.num_flows_started, 0, 0);
    }
    compare(&expected, &found, |_| false)
}

/// How an attempt looks from its sender's node: a drop at another node is silence there, or what the rejecting rule sent
/// back.
fn outcome_at_source(attempt: &Attempt) -> Outcome {
    if !dropped_far_away(attempt) {
        return attempt.outcome();
    }
    match attempt.expected {
        Expected::RejectedReset => Outcome::Refused,
        Expected::RejectedIcmp => Outcome::Unreachable,
        _ if attempt.protocol == Protocol::TCP => Outcome::Timeout,
        _ => Outcome::Unanswered,
    }
}

/// Says whether a packet filter of another node than the sender's dropped it. By the laboratory's rules egress, which
/// the pods of the zones have, is enforced at the sender's node, and ingress at the receiver's.
fn dropped_far_away(attempt: &Attempt) -> bool {
    match attempt.expected {
        Expected::DroppedInput | Expected::RejectedReset | Expected::RejectedIcmp => receiver_is_far(attempt),
        Expected::DroppedForward => !attempt.task.ends_with("for its sender") && receiver_is_far(attempt),
        Expected::DroppedOutput
        | Expected::Established
        | Expected::Preexisting
        | Expected::Answered
        | Expected::Unanswered
        | Expected::Swallowed
        | Expected::Refused
        | Expected::TimedOut
        | Expected::Unreachable
        | Expected::Failed => false,
    }
}

/// Says whether the address asked for is on another node than the sender.
fn receiver_is_far(attempt: &Attempt) -> bool {
    let at = |dual: world::Dual| [IpAddr::V4(dual.v4), IpAddr::V6(dual.v6)].contains(&attempt.destination);
    let pod = world::PODS.iter().find(|pod| at(pod.address)).map(|pod| pod.node.name);
    let node = pod.or_else(|| world::NODES.iter().find(|node| at(node.address)).map(|node| node.name));
    node != attempt.node.as_deref()
}

/// Returns the differences at the receivers' nodes: connections and datagram peers that servers in the cluster saw.
#[must_use]
pub fn differences_at_receiver(ledger: &Ledger, records: &[FlowRecord]) -> Vec<String> {
    let mut expected = BTreeMap::<Received, Sums>::new();
    for receipt in &ledger.receipts {
        if matches!(receipt.receiver, Party::Outside { .. }) {
            continue;
        }
        let group = Received {
            receiver: name(&receipt.receiver),
            peer: receipt.peer_ip,
            port: receipt.local_port,
            protocol: receipt.protocol.to_string(),
        };
        expected.entry(group).or_default().add(1, receipt.bytes_sent, receipt.bytes_received);
    }
    let mut found = BTreeMap::<Received, Sums>::new();
    for record in records.iter().filter(|record| record.reporter == "dst" && record.outcome != "dropped") {
        let (Some(peer), Some(port)) = (record.source_ip, record.dest_port) else { continue };
        let group = Received {
            receiver: end(&record.dest_type, &record.dest_namespace, &record.dest_name),
            peer,
            port,
            protocol: record.proto.clone(),
        };
        let attempts = match record.outcome.as_str() {
            "pending" => continue,
            "preexisting" => record.num_flows_completed,
            _ => record.num_flows_started,
        };
        found.entry(group).or_default().add(attempts, record.bytes_out, record.bytes_in);
    }
    compare(&expected, &found, |_| true)
}

/// Returns the pods whose labels, namespace or node in some record are not the laboratory's.
#[must_use]
pub fn wrong_names(records: &[FlowRecord]) -> Vec<String> {
    let mut wrong = Vec::new();
    for record in records {
        let ends = [
            (
                &record.source_type,
                &record.source_name,
                &record.source_namespace,
                record.source_ip,
                &record.source_labels,
            ),
            (&record.dest_type, &record.dest_name, &record.dest_namespace, record.dest_ip, &record.dest_labels),
        ];
        for (kind, name, namespace, address, labels) in ends {
            if kind != "wep" {
                continue;
            }
            let Some(pod) = world::PODS.iter().find(|pod| pod.name == *name && pod.namespace == *namespace) else {
                wrong.push(format!(
                    "record {}#{} names pod `{namespace}/{name}`, which is not there",
                    record.stream, record.seq
                ));
                continue;
            };
            let own = [IpAddr::V4(pod.address.v4), IpAddr::V6(pod.address.v6)];
            if !address.is_some_and(|address| own.contains(&address)) {
                wrong.push(format!("record {}#{}: {address:?} is not `{namespace}/{name}`", record.stream, record.seq));
            }
            let mut expected: Vec<String> = pod.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
            expected.sort();
            let found = labels.as_ref().map(|labels| labels.labels.clone()).unwrap_or_default();
            if found != expected {
                wrong.push(format!("record {}#{}: labels of `{name}` are {found:?}", record.stream, record.seq));
            }
        }
    }
    wrong
}

fn compare<K: Ord + fmt::Debug>(
    expected: &BTreeMap<K, Sums>,
    found: &BTreeMap<K, Sums>,
    bytes_count: impl Fn(&K) -> bool,
) -> Vec<String> {
    let mut lines = Vec::new();
    for (group, want) in expected {
        let have = found.get(group).copied().unwrap_or_default();
        let same = if bytes_count(group) { have == *want } else { have.attempts == want.attempts };
        if !same {
            lines.push(format!("{group:?}: the lab has {want}, the records have {have}"));
        }
    }
    for (group, have) in found {
        if !expected.contains_key(group) && have.attempts > 0 {
            lines.push(format!("{group:?}: the lab has none, the records have {have}"));
        }
    }
    lines
}

/// The name of a party as records give it: a pod in the host's network is its node.
fn name(party: &Party) -> String {
    match party {
        Party::Pod { namespace, name, .. } => {
            let pod = world::PODS.iter().find(|pod| pod.name == name && pod.namespace == namespace);
            match pod.filter(|pod| pod.host_network) {
                Some(pod) => format!("node {}", pod.node.name),
                None => format!("pod {namespace}/{name}"),
            }
        }
        Party::Node { name } => format!("node {name}"),
        Party::Outside { name } => format!("outside {name}"),
    }
}

fn end(kind: &str, namespace: &str, name: &str) -> String {
    match kind {
        "wep" => format!("pod {namespace}/{name}"),
        "hep" => format!("node {name}"),
        kind => format!("{kind} {name}"),
    }
}
