//! Holds the manifests against the table: what the folder says is what the laboratory sets up.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::FILES;
use crate::cgroup;
use crate::world::{Behaviour, FRONTEND_NODE_PORT, NODES, OUTSIDE, OutsidePlace, PODS, Pod, Qos, Runtime, SERVICES};

/// Reads all objects of the folder.
fn objects() -> Vec<Value> {
    let mut objects = Vec::new();
    for (name, text) in FILES {
        for document in text.split("\n---\n") {
            let value: Value = serde_saphyr::from_str(document).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(value["apiVersion"].is_string() && value["metadata"]["uid"].is_string(), "{name}: {value}");
            objects.push(value);
        }
    }
    objects
}

fn of_kind(kind: &str) -> Vec<Value> {
    objects().into_iter().filter(|object| object["kind"] == kind).collect()
}

fn text<'a>(object: &'a Value, path: &str) -> &'a str {
    object.pointer(path).and_then(Value::as_str).unwrap_or_else(|| panic!("no {path} in {object}"))
}

fn list<'a>(object: &'a Value, path: &str) -> &'a [Value] {
    object.pointer(path).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn find<'a>(objects: &'a [Value], namespace: &str, name: &str) -> &'a Value {
    let found = objects.iter().find(|o| {
        o["metadata"]["name"] == name && o["metadata"]["namespace"].as_str().unwrap_or_default() == namespace
    });
    found.unwrap_or_else(|| panic!("no {namespace}/{name}"))
}

#[test]
fn every_pod_is_described_as_it_is_set_up() {
    let described = of_kind("Pod");
    assert_eq!(described.len(), PODS.len());
    for pod in PODS {
        let object = find(&described, pod.namespace, pod.name);
        assert_eq!(text(object, "/metadata/uid"), pod.uid(), "{}", pod.name);
        assert_eq!(text(object, "/spec/nodeName"), pod.node.name);
        assert_eq!(object["spec"]["hostNetwork"].as_bool().unwrap_or(false), pod.host_network);
        let addresses: Vec<_> = list(object, "/status/podIPs").iter().map(|ip| text(ip, "/ip").to_owned()).collect();
        assert_eq!(addresses, [pod.address.v4.to_string(), pod.address.v6.to_string()]);
        let labels: BTreeMap<String, String> = serde_json::from_value(object["metadata"]["labels"].clone()).unwrap();
        let expected = pod.labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        assert_eq!(labels, expected, "{}", pod.name);
        let qos = match pod.qos {
            Qos::Guaranteed => "Guaranteed",
            Qos::Burstable => "Burstable",
            Qos::BestEffort => "BestEffort",
        };
        assert_eq!(text(object, "/status/qosClass"), qos);
        containers(pod, object);
    }
}

fn containers(pod: &Pod, object: &Value) {
    let described = list(object, "/spec/containers");
    let names: Vec<_> = described.iter().map(|c| text(c, "/name")).collect();
    assert_eq!(names, pod.containers.iter().map(|c| c.name).collect::<Vec<_>>());
    for (container, described) in pod.containers.iter().zip(described) {
        let ports: BTreeSet<_> = list(described, "/ports")
            .iter()
            .map(|p| {
                (text(p, "/name").to_owned(), p["containerPort"].as_u64().unwrap(), text(p, "/protocol").to_owned())
            })
            .collect();
        let listened = container.ports.iter().map(|port| {
            let protocol = match port.behaviour {
                Behaviour::TcpEcho | Behaviour::TcpJammed => "TCP",
                Behaviour::UdpEcho | Behaviour::UdpSink | Behaviour::Dns => "UDP",
            };
            (port.name.to_owned(), u64::from(port.number), protocol.to_owned())
        });
        assert_eq!(ports, listened.collect(), "{}", pod.name);
    }
    for (container, status) in pod.containers.iter().zip(list(object, "/status/containerStatuses")) {
        let scheme = match pod.runtime {
            Runtime::Containerd => "containerd",
            Runtime::Crio => "cri-o",
        };
        let id = pod.container_id(container.name);
        assert_eq!(text(status, "/containerID"), format!("{scheme}://{id}"));
        assert!(cgroup::container_path(pod, container).display().to_string().contains(&id));
    }
}

#[test]
fn every_owner_is_there_up_to_the_top() {
    let all = objects();
    let owned = all.iter().filter(|object| !list(object, "/metadata/ownerReferences").is_empty());
    for object in owned {
        let reference = &list(object, "/metadata/ownerReferences")[0];
        let owner = all.iter().find(|o| {
            o["kind"] == reference["kind"]
                && o["metadata"]["name"] == reference["name"]
                && o["metadata"]["namespace"] == object["metadata"]["namespace"]
        });
        assert_eq!(owner.map(|o| &o["metadata"]["uid"]), Some(&reference["uid"]), "{}", object["metadata"]["name"]);
    }
    for pod in PODS {
        let object = find(&all, pod.namespace, pod.name);
        let reference = list(object, "/metadata/ownerReferences").first();
        let described = reference.map(|r| (text(r, "/kind"), text(r, "/name")));
        assert_eq!(described, pod.owner.map(|owner| (owner.kind, owner.name)));
    }
}

#[test]
fn nodes_have_their_addresses_and_zones() {
    let described = of_kind("Node");
    assert_eq!(described.len(), NODES.len());
    for node in NODES {
        let object = find(&described, "", node.name);
        let internal: Vec<_> = list(object, "/status/addresses")
            .iter()
            .filter(|address| address["type"] == "InternalIP")
            .map(|address| text(address, "/address").to_owned())
            .collect();
        assert_eq!(internal, [node.address.v4.to_string(), node.address.v6.to_string()]);
        assert_eq!(object["metadata"]["labels"]["topology.kubernetes.io/zone"], node.zone);
        assert_eq!(text(object, "/spec/podCIDR"), format!("10.244.{}.0/24", node.pod_network));
    }
}

#[test]
fn services_and_their_endpoints_are_the_translated_ones() {
    let (services, slices) = (of_kind("Service"), of_kind("EndpointSlice"));
    for service in SERVICES {
        let object = find(&services, service.namespace, service.name);
        let addresses: Vec<_> = list(object, "/spec/clusterIPs").iter().map(|ip| ip.as_str().unwrap()).collect();
        assert_eq!(addresses, [service.address.v4.to_string(), service.address.v6.to_string()]);
        assert!(list(object, "/spec/ports").iter().any(|port| port["port"] == service.port));
        for (family, suffix) in [("IPv4", "ipv4"), ("IPv6", "ipv6")] {
            let slice = find(&slices, service.namespace, &format!("{}-{suffix}", service.name));
            assert_eq!(slice["addressType"], family);
            assert!(list(slice, "/ports").iter().any(|port| port["port"] == service.target_port));
            let ends: BTreeSet<_> =
                list(slice, "/endpoints").iter().map(|e| text(e, "/addresses/0").to_owned()).collect();
            let backends = PODS.iter().filter(|pod| service.backends.contains(&pod.app)).map(|pod| match family {
                "IPv4" => pod.address.v4.to_string(),
                _ => pod.address.v6.to_string(),
            });
            assert_eq!(ends, backends.collect(), "{}", service.name);
        }
    }
    let frontend = find(&services, "storefront", "frontend");
    assert_eq!(frontend["spec"]["ports"][0]["nodePort"], FRONTEND_NODE_PORT);
}

#[test]
fn network_sets_hold_the_hosts_outside() {
    for (kind, namespace, name) in [("GlobalNetworkSet", "", "telephony"), ("NetworkSet", "storefront", "customers")] {
        let sets = of_kind(kind);
        let nets: Vec<String> = serde_json::from_value(find(&sets, namespace, name)["spec"]["nets"].clone()).unwrap();
        let host = OUTSIDE.iter().find(|host| name.starts_with(host.name)).unwrap();
        assert_eq!(host.place, OutsidePlace::Outside);
        let octets = host.address.v4.octets();
        assert_eq!(nets[0], format!("{}.{}.{}.0/24", octets[0], octets[1], octets[2]));
        let groups = host.address.v6.segments();
        assert_eq!(nets[1], format!("{:x}:{:x}:{:x}::/64", groups[0], groups[1], groups[2]));
    }
}

#[test]
fn objects_are_unique_and_rules_speak_of_known_addresses() {
    let all = objects();
    let uids: BTreeSet<_> = all.iter().map(|object| text(object, "/metadata/uid")).collect();
    assert_eq!(uids.len(), all.len());
    let known: BTreeSet<String> = PODS.iter().map(|pod| pod.address.v4.to_string()).collect();
    let rules = include_str!("../../nft/node.nft");
    let words = rules.split(|c: char| !(c.is_ascii_digit() || c == '.'));
    for address in words.filter(|word| word.starts_with("10.244.") && !word.ends_with(".0.0")) {
        assert!(known.contains(address), "{address} is nobody's");
    }
}
