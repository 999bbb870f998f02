//! Services by their original destination, and what stands behind them.

use super::*;
use crate::{Backend, ServiceLookup};

const SHOP: &str = r#"
apiVersion: v1
kind: Node
metadata: {name: a}
status: {addresses: [{type: InternalIP, address: 192.168.1.1}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  type: NodePort
  clusterIP: 10.96.0.1
  clusterIPs: [10.96.0.1, 'fd00:96::1']
  externalIPs: [203.0.113.7]
  selector: {app: web}
  ports:
  - {name: http, port: 80, targetPort: http, nodePort: 30080}
  - {name: metrics, port: 9090, targetPort: 9100}
status: {loadBalancer: {ingress: [{ip: 203.0.113.8}, {hostname: lb.example}]}}
---
apiVersion: v1
kind: Pod
metadata: {name: web-1, namespace: shop, labels: {app: web}}
spec: {containers: [{name: c, ports: [{name: http, containerPort: 8080}]}]}
status: {podIPs: [{ip: 10.0.0.1}, {ip: 'fd00::1'}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web-2, namespace: shop, labels: {app: web}}
spec: {containers: [{name: c, ports: [{name: http, containerPort: 8081}, {name: http, containerPort: 53, protocol: UDP}]}]}
status: {podIP: 10.0.0.2}
---
apiVersion: v1
kind: Pod
metadata: {name: done, namespace: shop, labels: {app: web}}
status: {podIP: 10.0.0.3, phase: Succeeded}
---
apiVersion: v1
kind: Pod
metadata: {name: other, namespace: elsewhere, labels: {app: web}}
status: {podIP: 10.0.0.4}
---
apiVersion: v1
kind: Service
metadata: {name: dns, namespace: kube-system}
spec: {clusterIP: 10.96.0.10, ports: [{name: dns, port: 53, protocol: UDP}, {name: dns-tcp, port: 53}]}
---
apiVersion: v1
kind: Service
metadata: {name: bare, namespace: shop}
spec: {clusterIP: 10.96.0.2, ports: [{port: 443}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: bare-1, namespace: shop, labels: {kubernetes.io/service-name: bare}}
addressType: IPv4
ports: [{name: "", port: 8443, protocol: TCP}]
endpoints:
- {addresses: [10.0.0.9], conditions: {ready: true}}
- {addresses: [10.0.0.8], conditions: {ready: false, serving: false}}
---
apiVersion: v1
kind: Service
metadata: {name: headless, namespace: shop}
spec: {clusterIP: None, selector: {app: web}, ports: [{port: 80}]}
"#;

fn named(snapshot: &Snapshot, address: &str, port: u16, protocol: Protocol) -> String {
    match snapshot.service(ip(address), port, protocol) {
        ServiceLookup::One(entry) => {
            let r = &entry.reference;
            format!("{}/{} {} {}", r.namespace, r.name, r.port_name, r.port)
        }
        ServiceLookup::Several => "several".to_owned(),
        ServiceLookup::None => "none".to_owned(),
    }
}

#[test]
fn by_every_way_to_reach_it() {
    let snapshot = snapshot(SHOP);
    for (address, port, protocol, expected) in [
        ("10.96.0.1", 80, TCP, "shop/web http 80"),
        ("fd00:96::1", 80, TCP, "shop/web http 80"),
        ("203.0.113.7", 80, TCP, "shop/web http 80"),
        ("203.0.113.8", 80, TCP, "shop/web http 80"),
        ("192.168.1.1", 30080, TCP, "shop/web http 80"),
        ("192.168.1.1", 80, TCP, "none"),
        ("10.96.0.1", 30080, TCP, "none"),
        ("10.96.0.1", 9090, TCP, "shop/web metrics 9090"),
        ("10.96.0.1", 81, TCP, "none"),
        ("10.96.0.1", 80, Protocol::UDP, "none"),
        ("10.96.0.10", 53, TCP, "kube-system/dns dns-tcp 53"),
        ("10.96.0.10", 53, Protocol::UDP, "kube-system/dns dns 53"),
        ("10.96.0.2", 443, TCP, "shop/bare - 443"),
        ("10.0.0.1", 80, TCP, "none"),
    ] {
        assert_eq!(named(&snapshot, address, port, protocol), expected, "{address} {port} {protocol}");
    }
}

fn backends(address: &str, port: u16) -> Vec<String> {
    let snapshot = snapshot(SHOP);
    let ServiceLookup::One(entry) = snapshot.service(ip(address), port, TCP) else { panic!("no service") };
    entry.backends.iter().map(|b| std::net::SocketAddr::new(b.ip, b.port).to_string()).collect()
}

#[test]
fn backends_by_selector_and_named_port() {
    assert_eq!(backends("10.96.0.1", 80), ["10.0.0.1:8080", "10.0.0.2:8081", "[fd00::1]:8080"]);
    assert_eq!(backends("10.96.0.1", 9090), ["10.0.0.1:9100", "10.0.0.2:9100", "[fd00::1]:9100"]);
    assert_eq!(backends("10.96.0.10", 53), [""; 0]);
}

#[test]
fn backends_by_slices_where_there_are_any() {
    assert_eq!(backends("10.96.0.2", 443), ["10.0.0.9:8443"]);
}

#[test]
fn the_only_backend_of_the_family() {
    let snapshot = snapshot(SHOP);
    let ServiceLookup::One(entry) = snapshot.service(ip("10.96.0.1"), 80, TCP) else { panic!("no service") };
    assert_eq!(entry.only_backend(ip("10.96.0.1")), None);
    assert_eq!(entry.only_backend(ip("fd00:96::1")), Some(Backend { ip: ip("fd00::1"), port: 8080 }));
}

#[test]
fn one_address_of_two_services_names_none() {
    let two = r"
{apiVersion: v1, kind: Service, metadata: {name: a, namespace: x}, spec: {externalIPs: [203.0.113.1], ports: [{port: 80}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: b, namespace: x}, spec: {externalIPs: [203.0.113.1], ports: [{port: 80}]}}
";
    assert_eq!(named(&snapshot(two), "203.0.113.1", 80, TCP), "several");
}

#[test]
fn two_port_names_of_one_number_collapse() {
    let two = "{apiVersion: v1, kind: Service, metadata: {name: a, namespace: x},
      spec: {clusterIP: 10.96.0.1, ports: [{name: one, port: 80}, {name: two, port: 80, targetPort: 81}]}}";
    assert_eq!(named(&snapshot(two), "10.96.0.1", 80, TCP), "x/a * 80");
}
