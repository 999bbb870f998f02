//! What needs no policy is told, all else is `no_policy_engine`.

use std::sync::Arc;

use cluster::manifests::{Limits, parse};
use cluster::{History, PrivateRanges, Snapshot};
use flow::{Action, Enforcement, RawFlow, UnixMs};
use serde_json::{Value, json};

use super::*;
use crate::join::join;

const CLUSTER: &str = r"
{apiVersion: v1, kind: Node, metadata: {name: node-a}, status: {addresses: [{type: InternalIP, address: 192.168.1.1}]}}
---
{apiVersion: v1, kind: Node, metadata: {name: node-b}, status: {addresses: [{type: InternalIP, address: 192.168.1.2}]}}
---
{apiVersion: v1, kind: Node, metadata: {name: node-c}, status: {addresses: [{type: InternalIP, address: 192.168.1.3}]}}
---
{apiVersion: projectcalico.org/v3, kind: HostEndpoint, metadata: {name: c}, spec: {node: node-c, interfaceName: '*'}}
---
{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: x, uid: a}, spec: {nodeName: node-a}, status: {podIP: 10.0.0.1}}
---
{apiVersion: v1, kind: Pod, metadata: {name: b, namespace: x, uid: b}, spec: {nodeName: node-b}, status: {podIP: 10.0.0.2}}
---
{apiVersion: v1, kind: Service, metadata: {name: s, namespace: x}, spec: {clusterIP: 10.96.0.1, selector: {none: such}, ports: [{port: 80}]}}
";

fn judged(source: &str, dest: &str, changes: &Value) -> JudgedFlow {
    let mut record = json!({
        "stream": "test/node-a/1", "seq": 0, "start_time": 1_000_000, "end_time": 1_015_000, "reporter": "fwd",
        "protocol": 6, "source_ip": source, "translated": {"ip": dest, "port": 80}, "local": {"identity": "none"},
        "outcome": "established",
        "counters": {"bytes_in": 1, "bytes_out": 1, "packets_in": 1, "packets_out": 1,
                     "flows": 1, "flows_started": 1, "flows_completed": 0, "flows_aborted": 0},
        "oldest_start": 1_005_000, "newest_start": 1_005_000
    });
    record.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    let raw: RawFlow = serde_json::from_value(record).unwrap();
    let (objects, invalid) = parse("test.yaml", CLUSTER.as_bytes(), Limits::default());
    assert_eq!(invalid, []);
    judge(join(raw, &History::new(Arc::new(Snapshot::new(objects, PrivateRanges::Full)), UnixMs(0))))
}

#[track_caller]
fn check(source: &str, dest: &str, expected: &str) {
    let judged = judged(source, dest, &json!({}));
    let unknown: Vec<&str> = judged.unknown_because.iter().map(|why| why.as_str()).collect();
    let found = format!(
        "{} {} [{}] [{}]",
        judged.judgement.egress.as_str(),
        judged.judgement.ingress.as_str(),
        judged.judgement.decided_by.join(","),
        unknown.join(",")
    );
    assert_eq!(found, expected, "{source} > {dest}");
}

const POD_A: &str = "10.0.0.1";
const POD_B: &str = "10.0.0.2";
const HOST_A: &str = "192.168.1.1";
const HOST_B: &str = "192.168.1.2";
const HOST_C: &str = "192.168.1.3";
const OUTSIDE: &str = "8.8.8.8";

#[test]
fn by_the_kinds_of_both_ends() {
    check(POD_A, POD_B, "unknown unknown [] [no_policy_engine]");
    check(POD_A, OUTSIDE, "unknown none [] [no_policy_engine]");
    check(OUTSIDE, POD_A, "none unknown [] [no_policy_engine]");
    check(OUTSIDE, "172.20.0.1", "none none [] []");
    check(HOST_A, HOST_B, "none none [] []");
    check(POD_A, HOST_A, "unknown none [] [no_policy_engine]");
    check(HOST_B, POD_A, "none unknown [] [no_policy_engine]");
    check(HOST_C, OUTSIDE, "unknown none [] [no_policy_engine]");
}

#[test]
fn a_node_reaches_its_own_pods() {
    check(HOST_A, POD_A, "none allow [node_to_own_pod] []");
    check(HOST_B, POD_B, "none allow [node_to_own_pod] []");
}

#[test]
fn a_hairpin_is_unknown() {
    let judged = judged(POD_A, POD_A, &json!({"original": {"ip": "10.96.0.1", "port": 80}}));
    assert_eq!(judged.judgement.egress, Verdict::Unknown(Unknown::Hairpin));
    assert_eq!(judged.unknown_because, [Unknown::Hairpin]);
    // Without a service it is a pod that talks to its own address.
    check(POD_A, POD_A, "unknown unknown [] [no_policy_engine]");
}

#[test]
fn an_unseen_initiator_is_unknown() {
    let judged = judged(POD_A, POD_B, &json!({"initiator_known": false}));
    assert_eq!(judged.judgement.ingress, Verdict::Unknown(Unknown::InitiatorUnknown));
    assert_eq!(judged.unknown_because, [Unknown::InitiatorUnknown]);
}

#[test]
fn action_and_enforcement_are_those_of_the_table() {
    let flowed = judged(POD_A, POD_B, &json!({}));
    assert_eq!((flowed.action, flowed.enforcement), (Action::Allow, Enforcement::Unknown));
    let drop = json!({"outcome": "dropped", "drop_reason": "NETFILTER_DROP"});
    let dropped = judged(POD_A, POD_B, &drop);
    assert_eq!((dropped.action, dropped.enforcement), (Action::Deny, Enforcement::Unknown));
    // Nothing that policy denies, and yet a filter's drop.
    let unexplained = judged(HOST_A, OUTSIDE, &drop);
    assert_eq!((unexplained.action, unexplained.enforcement), (Action::Deny, Enforcement::Unexplained));
}

#[test]
fn reasons_of_join_and_verdict_come_together_once() {
    let judged = judged(
        POD_A,
        "10.96.0.1",
        &json!({"translated": null, "original": {"ip": "10.96.0.1", "port": 80}, "outcome": "timeout"}),
    );
    assert_eq!(judged.unknown_because, [Unknown::NoPolicyEngine, Unknown::ServiceBackend]);
}
