//! What a record shows of pods, hosts, sets and other addresses.

use super::*;

const SHOP: &str = r#"
apiVersion: v1
kind: Node
metadata: {name: node-a, labels: {topology.kubernetes.io/zone: north, kubernetes.io/os: linux}}
status: {addresses: [{type: InternalIP, address: 192.168.1.1}, {type: Hostname, address: node-a}]}
---
apiVersion: apps/v1
kind: ReplicaSet
metadata:
  name: web-7d9f
  namespace: shop
  ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: web, uid: d1, controller: true}]
---
apiVersion: batch/v1
kind: Job
metadata:
  name: night-1
  namespace: shop
  ownerReferences: [{apiVersion: batch/v1, kind: CronJob, name: night, uid: c1, controller: true}]
"#;

fn check(pod: &str, uid: &str, expected: &str) {
    let snapshot = snapshot(&format!("{SHOP}---\n{pod}"));
    assert_eq!(line(&snapshot.pod(uid).unwrap().endpoint), expected);
}

#[test]
fn pod_of_a_deployment() {
    check(
        r"
apiVersion: v1
kind: Pod
metadata:
  name: web-7d9f-abcde
  generateName: web-7d9f-
  namespace: shop
  uid: u1
  labels: {app: web, a-b: '1', a: '2', projectcalico.org/namespace: shop}
  ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: web-7d9f, uid: r1, controller: true}]
spec: {nodeName: node-a}
status: {podIP: 10.0.0.1}
",
        "u1",
        "wep shop web-7d9f-abcde web-7d9f-* [a-b=1,a=2,app=web] owner=Deployment/web node=node-a zone=north",
    );
}

#[test]
fn pod_of_a_cron_job() {
    check(
        r"
apiVersion: v1
kind: Pod
metadata:
  name: night-1-x
  generateName: night-1-
  namespace: shop
  uid: u1
  ownerReferences: [{apiVersion: batch/v1, kind: Job, name: night-1, uid: j1, controller: true}]
",
        "u1",
        "wep shop night-1-x night-1-* [] owner=CronJob/night node=null zone=null",
    );
}

#[test]
fn pod_whose_owner_is_not_known_further_up() {
    check(
        r"
apiVersion: v1
kind: Pod
metadata:
  name: db-0
  namespace: shop
  uid: u1
  ownerReferences:
  - {apiVersion: v1, kind: ConfigMap, name: a, uid: x}
  - {apiVersion: apps/v1, kind: StatefulSet, name: db, uid: s1, controller: true}
",
        "u1",
        "wep shop db-0 db-* [] owner=StatefulSet/db node=null zone=null",
    );
}

#[test]
fn replica_set_of_another_namespace_is_no_owner() {
    check(
        r"
apiVersion: v1
kind: Pod
metadata:
  name: web-7d9f-abcde
  namespace: other
  uid: u1
  ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: web-7d9f, uid: r1, controller: true}]
",
        "u1",
        "wep other web-7d9f-abcde web-7d9f-* [] owner=ReplicaSet/web-7d9f node=null zone=null",
    );
}

#[test]
fn naked_pod_without_namespace() {
    check(
        "{apiVersion: v1, kind: Pod, metadata: {name: lone, uid: u1}}",
        "u1",
        "wep default lone lone [] owner=null/null node=null zone=null",
    );
}

#[test]
fn pod_in_the_hosts_network_is_its_host() {
    check(
        "{apiVersion: v1, kind: Pod, metadata: {name: proxy-x, generateName: proxy-, namespace: kube-system, uid: u1},
          spec: {hostNetwork: true, nodeName: node-a}, status: {podIP: 192.168.1.1}}",
        "u1",
        "hep - node-a node-a [kubernetes.io/os=linux,topology.kubernetes.io/zone=north] \
         owner=Pod/kube-system/proxy-x node=node-a zone=north",
    );
}

#[test]
fn static_pod_by_the_uid_of_its_cgroup() {
    let pod = "{apiVersion: v1, kind: Pod, metadata: {name: etcd-node-a, namespace: kube-system, uid: api,
          annotations: {kubernetes.io/config.mirror: cgroup},
          ownerReferences: [{apiVersion: v1, kind: Node, name: node-a, uid: n1, controller: true}]},
          spec: {nodeName: node-a}}";
    for uid in ["api", "cgroup"] {
        check(pod, uid, "wep kube-system etcd-node-a etcd-node-a [] owner=null/null node=node-a zone=north");
    }
}

#[test]
fn owners_in_a_circle_end() {
    let circle = r"
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: a, namespace: x, ownerReferences: [{kind: Job, name: a, controller: true}]}
---
apiVersion: batch/v1
kind: Job
metadata: {name: a, namespace: x, ownerReferences: [{kind: ReplicaSet, name: a, controller: true}]}
---
{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: x, uid: u,
  ownerReferences: [{kind: Job, name: a, controller: true}]}}
";
    let snapshot = snapshot(circle);
    assert!(snapshot.pod("u").unwrap().endpoint.owner_kind.is_some());
}

#[test]
fn other_addresses_are_private_or_public() {
    let snapshot = snapshot("");
    assert_eq!(line(snapshot.outside(ip("10.1.1.1"), None)), "net - - pvt [] owner=null/null node=null zone=null");
    assert_eq!(line(snapshot.outside(ip("8.8.8.8"), None)), "net - - pub [] owner=null/null node=null zone=null");
    assert_eq!(&*snapshot.outside(ip("fd00::1"), None).name_aggr, "pvt");
    let calico = Snapshot::new(Objects::default(), PrivateRanges::Calico);
    assert_eq!(&*calico.outside(ip("fd00::1"), None).name_aggr, "pub");
}

#[test]
fn host_endpoint_names_its_addresses() {
    let snapshot = snapshot(&format!(
        "{SHOP}---
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {{name: node-a-eth0, labels: {{role: edge}}}}
spec: {{node: node-a, interfaceName: eth0, expectedIPs: [192.168.1.1]}}
"
    ));
    let Holder::Host(entry) = snapshot.address(ip("192.168.1.1"), at(NOON)) else { panic!("no host") };
    assert_eq!(line(&entry.endpoint), "hep - node-a-eth0 node-a [role=edge] owner=null/null node=node-a zone=north");
    assert!(entry.host_endpoint.is_some());
    // A process of the host at another of its addresses is not behind that interface.
    let host = snapshot.host("node-a").unwrap();
    assert_eq!((&*host.endpoint.name, host.host_endpoint.is_some()), ("node-a", false));
}

#[test]
fn host_endpoint_for_all_interfaces_stands_for_the_host() {
    let snapshot = snapshot(&format!(
        "{SHOP}---
apiVersion: crd.projectcalico.org/v1
kind: HostEndpoint
metadata: {{name: node-a-auto-hep}}
spec: {{node: node-a, interfaceName: '*', expectedIPs: [192.168.1.1, 172.16.9.9]}}
"
    ));
    assert_eq!(&*snapshot.host("node-a").unwrap().endpoint.name, "node-a-auto-hep");
    assert_eq!(holder(&snapshot, "192.168.1.1", NOON), "host node-a-auto-hep");
    assert_eq!(holder(&snapshot, "172.16.9.9", NOON), "host node-a-auto-hep");
}

#[test]
fn two_host_endpoints_of_one_host_leave_the_host() {
    let snapshot = snapshot(&format!(
        "{SHOP}---
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {{name: one}}
spec: {{node: node-a, expectedIPs: [192.168.1.1]}}
---
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {{name: two}}
spec: {{node: node-a, expectedIPs: [192.168.1.1]}}
"
    ));
    assert_eq!(holder(&snapshot, "192.168.1.1", NOON), "host node-a");
}

#[test]
fn name_that_the_owner_did_not_generate() {
    for (name, owner) in [("web-1", "Deployment/web"), ("api-1", "ReplicaSet/web"), ("web-", "ReplicaSet/web")] {
        let (kind, owner) = owner.split_once('/').unwrap();
        let snapshot = snapshot(&format!(
            "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}, uid: u1,
               ownerReferences: [{{kind: {kind}, name: {owner}, controller: true}}]}}}}"
        ));
        assert_eq!(&*snapshot.pod("u1").unwrap().endpoint.name_aggr, name);
    }
}
