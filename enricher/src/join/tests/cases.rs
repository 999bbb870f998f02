//! One case for each way to be named.

use super::*;

const SHOP: &str = r"
{apiVersion: v1, kind: Node, metadata: {name: node-a}, status: {addresses: [{type: InternalIP, address: 192.168.1.1}]}}
---
{apiVersion: v1, kind: Node, metadata: {name: node-b}, status: {addresses: [{type: InternalIP, address: 192.168.1.2}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: client, namespace: shop, uid: uid-client}, spec: {nodeName: node-a},
 status: {podIP: 10.0.0.1, startTime: '1970-01-01T00:10:00Z'}}
---
{apiVersion: v1, kind: Pod,
 metadata: {name: server-1, generateName: server-, namespace: shop, uid: uid-server, labels: {app: server}},
 spec: {nodeName: node-b}, status: {podIP: 10.0.0.2}}
---
{apiVersion: v1, kind: Pod,
 metadata: {name: server-2, generateName: server-, namespace: shop, uid: uid-server-2, labels: {app: server}},
 spec: {nodeName: node-b}, status: {podIP: 10.0.0.3}}
---
{apiVersion: v1, kind: Pod, metadata: {name: twin-1, namespace: shop, uid: uid-twin-1}, status: {podIP: 10.0.0.9}}
---
{apiVersion: v1, kind: Pod, metadata: {name: twin-2, namespace: shop, uid: uid-twin-2}, status: {podIP: 10.0.0.9}}
---
{apiVersion: v1, kind: Pod, metadata: {name: young, namespace: shop, uid: uid-young},
 status: {podIP: 10.0.0.7, startTime: '1970-01-01T00:16:50Z'}}
---
{apiVersion: v1, kind: Pod, metadata: {name: agent, namespace: kube-system, uid: uid-agent},
 spec: {nodeName: node-a, hostNetwork: true}, status: {podIP: 192.168.1.1}}
---
{apiVersion: v1, kind: Service, metadata: {name: many, namespace: shop},
 spec: {clusterIP: 10.96.0.1, selector: {app: server}, ports: [{name: http, port: 80, targetPort: 8080}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: one, namespace: shop}, spec: {clusterIP: 10.96.0.2, ports: [{port: 80}]}}
---
{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: IPv4,
 metadata: {name: one-1, namespace: shop, labels: {kubernetes.io/service-name: one}},
 ports: [{port: 8080}], endpoints: [{addresses: [10.0.0.2]}]}
---
{apiVersion: v1, kind: Service, metadata: {name: empty, namespace: shop}, spec: {clusterIP: 10.96.0.3, ports: [{port: 80}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: self, namespace: shop}, spec: {clusterIP: 10.96.0.4, ports: [{port: 80}]}}
---
{apiVersion: projectcalico.org/v3, kind: GlobalNetworkSet, metadata: {name: everyone}, spec: {nets: [203.0.113.0/24]}}
---
{apiVersion: projectcalico.org/v3, kind: NetworkSet, metadata: {name: partner, namespace: shop}, spec: {nets: [203.0.113.0/25]}}
";

#[track_caller]
fn check(changes: Value, expected: &str) -> Joined {
    let joined = join(raw(changes), &history_of(SHOP));
    assert_eq!(shown(&joined), expected);
    joined
}

const CLIENT: &str = "wep shop/client client";
const SERVER: &str = "wep shop/server-1 server-*";

#[test]
fn pod_to_pod() {
    let joined = check(json!({}), &format!("{CLIENT} > {SERVER}"));
    assert_eq!(joined.flow.dest.node.as_deref(), Some("node-b"));
    assert_eq!(joined.flow.dest.ip, Some("10.0.0.2".parse().unwrap()));
}

#[test]
fn the_local_end_is_named_by_identity_whatever_its_address() {
    check(json!({"source_ip": "172.20.0.1"}), &format!("{CLIENT} > {SERVER}"));
    check(
        json!({"reporter": "dst", "local": {"identity": "netns", "pod_uid": "uid-server-2"}}),
        &format!("{CLIENT} > wep shop/server-2 server-*"),
    );
}

#[test]
fn a_pod_that_the_metadata_does_not_know_has_no_name() {
    check(
        json!({"local": {"identity": "cgroup", "pod_uid": "uid-new"}}),
        &format!("wep -/- - > {SERVER} ? no_metadata"),
    );
}

#[test]
fn a_process_of_the_host() {
    let local = json!({"identity": "cgroup"});
    check(json!({"source_ip": "192.168.1.1", "local": local}), &format!("hep -/node-a node-a > {SERVER}"));
    check(json!({"source_ip": "172.17.0.1", "local": local}), &format!("hep -/node-a node-a > {SERVER}"));
    check(
        json!({"stream": "test/node-c/1", "local": local, "source_ip": "192.168.1.3"}),
        &format!("hep -/node-c node-c > {SERVER}"),
    );
}

#[test]
fn a_pod_in_the_hosts_network_is_the_host_with_the_pod_as_owner() {
    let joined = check(
        json!({"source_ip": "192.168.1.1", "local": {"identity": "cgroup", "pod_uid": "uid-agent"}}),
        &format!("hep -/node-a node-a > {SERVER}"),
    );
    assert_eq!(joined.flow.source.owner_name.as_deref(), Some("kube-system/agent"));
    assert_eq!(joined.source, Party::Host { node: Some("node-a".into()), host_endpoint: false });
    // Seen from the other side there is only the address.
    let joined = check(
        json!({"reporter": "dst", "source_ip": "192.168.1.1", "local": {"identity": "cgroup", "pod_uid": "uid-server"}}),
        &format!("hep -/node-a node-a > {SERVER}"),
    );
    assert_eq!(joined.flow.source.owner_name, None);
}

#[test]
fn a_local_end_without_identity_goes_by_address() {
    let none = json!({"identity": "none"});
    check(json!({"local": none}), &format!("{CLIENT} > {SERVER}"));
    check(json!({"local": none, "source_ip": "172.20.0.1"}), &format!("net -/- pvt > {SERVER} ? no_metadata"));
}

#[test]
fn addresses_outside() {
    let to = |ip: &str| json!({"translated": {"ip": ip, "port": 443}, "original": {"ip": ip, "port": 443}});
    check(to("8.8.8.8"), &format!("{CLIENT} > net -/- pub"));
    check(to("172.20.0.1"), &format!("{CLIENT} > net -/- pvt"));
    check(to("203.0.113.200"), &format!("{CLIENT} > ns -/everyone everyone"));
    check(to("203.0.113.1"), &format!("{CLIENT} > ns shop/partner partner"));
    check(
        json!({"reporter": "dst", "source_ip": "203.0.113.1", "local": {"identity": "cgroup", "pod_uid": "uid-server"}}),
        &format!("ns shop/partner partner > {SERVER}"),
    );
    // From a host there is no own namespace.
    check(
        json!({"local": {"identity": "cgroup"}, "translated": {"ip": "203.0.113.1", "port": 1}, "original": null}),
        "hep -/node-a node-a > ns -/everyone everyone",
    );
}

#[test]
fn an_address_of_several_names_nobody() {
    let twins = json!({"translated": {"ip": "10.0.0.9", "port": 80}, "original": null});
    let joined = check(twins, &format!("{CLIENT} > net -/- - ? ambiguous_address"));
    assert_eq!(joined.dest, Party::Unclear(Unknown::AmbiguousAddress));
}

#[test]
fn a_source_of_the_cluster_keeps_its_type_without_a_name() {
    let from = |ip: &str| json!({"reporter": "dst", "source_ip": ip, "local": {"identity": "cgroup", "pod_uid": "uid-server"}});
    check(from("10.0.0.9"), &format!("wep -/- - > {SERVER} ? ambiguous_address"));
    check(from("10.0.0.7"), &format!("wep -/- - > {SERVER} ? no_history"));
}

#[test]
fn an_address_before_its_pod_began_names_nobody() {
    let young = json!({"translated": {"ip": "10.0.0.7", "port": 80}, "original": null});
    check(young, &format!("{CLIENT} > net -/- - ? no_history"));
    let later = json!({"translated": {"ip": "10.0.0.7", "port": 80}, "original": null,
        "newest_start": 1_011_000, "oldest_start": 1_011_000});
    check(later, &format!("{CLIENT} > wep shop/young young"));
    let both = json!({"translated": {"ip": "10.0.0.7", "port": 80}, "original": null, "newest_start": 1_011_000});
    check(both, &format!("{CLIENT} > net -/- - ? ambiguous_address"));
}

#[test]
fn a_service_whose_translation_is_known() {
    let joined = check(
        json!({"original": {"ip": "10.96.0.1", "port": 80}, "translated": {"ip": "10.0.0.3", "port": 8080}}),
        &format!("{CLIENT} > wep shop/server-2 server-* by shop/many http 80"),
    );
    assert_eq!(joined.flow.raw.translated.unwrap().port, Some(8080));
}

#[test]
fn a_service_whose_translation_is_not_known() {
    let asked = |ip: &str| json!({"original": {"ip": ip, "port": 80}, "translated": null});
    let many = check(asked("10.96.0.1"), &format!("{CLIENT} > net -/- - by shop/many http 80"));
    assert_eq!(many.dest, Party::Unclear(Unknown::ServiceBackend));
    assert_eq!(many.flow.raw.translated, None);
    assert_eq!(many.flow.dest.ip, Some("10.96.0.1".parse().unwrap()));
    let one = check(asked("10.96.0.2"), &format!("{CLIENT} > {SERVER} by shop/one - 80"));
    assert_eq!(one.flow.raw.translated, Some(Destination { ip: "10.0.0.2".parse().unwrap(), port: Some(8080) }));
    let empty = check(asked("10.96.0.3"), &format!("{CLIENT} > net -/- pvt by shop/empty - 80"));
    assert_eq!(empty.dest, Party::Unclear(Unknown::ServiceBackend));
    // No service at all: what was asked for is where it went.
    check(asked("10.0.0.2"), &format!("{CLIENT} > {SERVER}"));
}

#[test]
fn a_port_that_the_service_does_not_have() {
    let other = json!({"original": {"ip": "10.96.0.1", "port": 81}, "translated": null});
    check(other, &format!("{CLIENT} > net -/- pvt"));
}

#[test]
fn a_pod_that_reaches_itself_through_a_service() {
    let joined = check(
        json!({"original": {"ip": "10.96.0.4", "port": 80}, "translated": {"ip": "10.0.0.1", "port": 80}}),
        &format!("{CLIENT} > {CLIENT} by shop/self - 80"),
    );
    assert_eq!(joined.source, joined.dest);
}

#[test]
fn who_began_was_not_seen() {
    check(json!({"initiator_known": false}), &format!("{CLIENT} > {SERVER} ? initiator_unknown"));
    check(json!({"initiator_known": false, "reporter": "dst"}), &format!("{CLIENT} > {SERVER} ? initiator_unknown"));
}

#[test]
fn a_node_that_forwards() {
    let dropped = |local: Value| json!({"reporter": "fwd", "outcome": "dropped", "drop_reason": "NETFILTER_DROP", "local": local});
    check(dropped(json!({"identity": "none"})), &format!("{CLIENT} > {SERVER}"));
    check(dropped(json!({"identity": "netns", "pod_uid": "uid-client"})), &format!("{CLIENT} > {SERVER}"));
    check(dropped(json!({"identity": "netns", "pod_uid": "uid-server"})), &format!("{CLIENT} > {SERVER}"));
    // A pod that holds neither address says nothing of the ends.
    check(dropped(json!({"identity": "netns", "pod_uid": "uid-twin-1"})), &format!("{CLIENT} > {SERVER}"));
}

#[test]
fn protocols_without_ports() {
    check(
        json!({"protocol": 1, "translated": {"ip": "10.0.0.2"}, "original": {"ip": "10.0.0.2"}}),
        &format!("{CLIENT} > {SERVER}"),
    );
    check(
        json!({"protocol": 1, "translated": null, "original": {"ip": "10.96.0.1"}}),
        &format!("{CLIENT} > net -/- pvt"),
    );
}

#[test]
fn without_any_metadata_there_are_the_host_and_addresses() {
    let joined = join(raw(json!({"local": {"identity": "cgroup"}})), &history_of(""));
    assert_eq!(shown(&joined), "hep -/node-a node-a > net -/- pvt");
}

#[test]
fn the_end_of_one_pod_and_the_begin_of_another() {
    let pod = |name: &str, status: &str| {
        format!(
            "---\n{{apiVersion: v1, kind: Pod, metadata: {{name: {name}, namespace: x, uid: u-{name}}}, \
             status: {{podIP: 10.0.0.2, {status}}}}}\n"
        )
    };
    let (old, new) = (pod("old", "phase: Running"), pod("new", "startTime: '1970-01-01T00:16:40Z'"));
    let snapshot = |yaml: &str| {
        let (objects, _) = parse("test.yaml", yaml.as_bytes(), Limits::default());
        Arc::new(Snapshot::new(objects, PrivateRanges::Full))
    };
    // The new pod began at 1,000 s; its manifest was read at 1,010 s, the record is of 1,005 s.
    let history = History::new(snapshot(&old), UnixMs(0)).with(snapshot(&new), UnixMs(1_010_000));
    assert!(shown(&join(raw(json!({})), &history)).contains("> wep x/new new"));
    let before = raw(json!({"oldest_start": 900_000, "newest_start": 900_000}));
    assert!(shown(&join(before, &history)).contains("> wep x/old old"));
    let merged = raw(json!({"oldest_start": 900_000}));
    assert!(shown(&join(merged, &history)).ends_with("> net -/- - ? no_metadata,ambiguous_address"));
}
