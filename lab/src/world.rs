//! The one table of what the laboratory is made of: nodes, pods, services and hosts outside.
//!
//! Namespaces, addresses, cgroup directories and listeners are built from it, scenarios name its entries, and a test
//! holds the manifests against it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::names;

mod pods;

pub use pods::PODS;

/// The address family of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// An address of each family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dual {
    /// The IPv4 address.
    pub v4: Ipv4Addr,
    /// The IPv6 address.
    pub v6: Ipv6Addr,
}

impl Dual {
    /// Returns the address of a family.
    #[must_use]
    pub fn of(self, family: Family) -> IpAddr {
        match family {
            Family::V4 => self.v4.into(),
            Family::V6 => self.v6.into(),
        }
    }
}

/// A node of the cluster: a routing namespace and a cgroup subtree.
#[derive(Debug)]
pub struct Node {
    /// Its name in Kubernetes, in the namespace's name and in the cgroup path.
    pub name: &'static str,
    /// Its internal addresses.
    pub address: Dual,
    /// Third octet of its pod network `10.244.x.0/24`, and third group of `fd77:244:x::/64`.
    pub pod_network: u8,
    /// Value of its label `topology.kubernetes.io/zone`.
    pub zone: &'static str,
}

/// Who starts containers on a node, as it shows in the names of cgroups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Runtime {
    /// containerd: `cri-containerd-<id>.scope` or the bare id.
    Containerd,
    /// CRI-O: `crio-<id>.scope` or `crio-<id>`.
    Crio,
}

/// The kubelet's cgroup driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Driver {
    /// `kubepods.slice/…`.
    Systemd,
    /// `kubepods/…`.
    Cgroupfs,
}

/// The pod's quality of service, which is a level of the cgroup path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Qos {
    /// No level of its own.
    Guaranteed,
    /// `burstable`.
    Burstable,
    /// `besteffort`.
    BestEffort,
}

/// The object that owns a pod.
#[derive(Debug, Clone, Copy)]
pub struct Owner {
    /// Its kind, such as `ReplicaSet`.
    pub kind: &'static str,
    /// Its name.
    pub name: &'static str,
}

/// What a listening port does with what it receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Behaviour {
    /// TCP: sends everything back, closes after the other side did.
    TcpEcho,
    /// TCP: listens with a full queue and never accepts, so that a SYN gets no answer and no drop event.
    TcpJammed,
    /// UDP: sends each datagram back.
    UdpEcho,
    /// UDP: receives and stays silent.
    UdpSink,
    /// UDP: answers DNS questions.
    Dns,
}

/// A port that somebody listens on.
#[derive(Debug, Clone, Copy)]
pub struct Port {
    /// Name of the container port in the manifests.
    pub name: &'static str,
    /// The number.
    pub number: u16,
    /// What listens there.
    pub behaviour: Behaviour,
}

/// A container: a cgroup of its own in the pod's network namespace.
#[derive(Debug)]
pub struct Container {
    /// Its name in the pod.
    pub name: &'static str,
    /// The ports that it listens on.
    pub ports: &'static [Port],
}

/// A pod.
#[derive(Debug)]
pub struct Pod {
    /// The short name that scenarios use.
    pub app: &'static str,
    /// Its namespace in Kubernetes.
    pub namespace: &'static str,
    /// Its name in Kubernetes.
    pub name: &'static str,
    /// The node that it runs on.
    pub node: &'static Node,
    /// Its addresses: the node's if it uses the host's network.
    pub address: Dual,
    /// Its labels.
    pub labels: &'static [(&'static str, &'static str)],
    /// Who made it.
    pub owner: Option<Owner>,
    /// Who runs its containers.
    pub runtime: Runtime,
    /// Who names its cgroup.
    pub driver: Driver,
    /// Its quality of service.
    pub qos: Qos,
    /// Whether it lives in the node's network namespace.
    pub host_network: bool,
    /// Its containers; the first is the one that scenarios mean.
    pub containers: &'static [Container],
}

impl Pod {
    /// Returns the pod's UID.
    #[must_use]
    pub fn uid(&self) -> String {
        names::uid("pod", self.namespace, self.name)
    }

    /// Returns the part of its network namespace's name that tells it from others: its own, or its node's.
    #[must_use]
    pub fn netns(&self) -> &'static str {
        if self.host_network { self.node.name } else { self.app }
    }

    /// Returns the id of one of its containers.
    #[must_use]
    pub fn container_id(&self, container: &str) -> String {
        names::container_id(self.namespace, self.name, container)
    }
}

/// A Service that the nodes translate.
#[derive(Debug)]
pub struct Service {
    /// The short name that scenarios use after `svc/`.
    pub app: &'static str,
    /// Its namespace.
    pub namespace: &'static str,
    /// Its name.
    pub name: &'static str,
    /// Its cluster addresses.
    pub address: Dual,
    /// The port that clients ask for.
    pub port: u16,
    /// The backends' port.
    pub target_port: u16,
    /// The pods behind it, by short name.
    pub backends: &'static [&'static str],
}

/// A host outside the cluster.
#[derive(Debug)]
pub struct Outside {
    /// The short name that scenarios use.
    pub name: &'static str,
    /// Its addresses, or the first of its range.
    pub address: Dual,
    /// Which namespace is that host.
    pub place: OutsidePlace,
}

/// Where a host outside lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutsidePlace {
    /// The namespace `outside`, which routes, answers and asks.
    Outside,
    /// The namespace `mute` behind it, which takes packets in and never answers.
    Mute,
    /// Nowhere: the router outside asks for it in vain and says so.
    Unreachable,
    /// Nowhere: the pods themselves have no route to it.
    NoRoute,
}

/// The nodes.
pub const NODES: &[&Node] = &[&NODE_A, &NODE_B];

/// The node with the systemd driver and containerd.
pub static NODE_A: Node = Node { name: "node-a", address: node_address(1), pod_network: 1, zone: "zone-1" };
/// The node with both drivers, CRI-O and containerd.
pub static NODE_B: Node = Node { name: "node-b", address: node_address(2), pod_network: 2, zone: "zone-2" };

/// The Services that are translated; the others are headless.
pub const SERVICES: &[Service] = &[
    Service {
        app: "kube-dns",
        namespace: "kube-system",
        name: "kube-dns",
        address: service_address(10),
        port: 53,
        target_port: 53,
        backends: &["coredns"],
    },
    Service {
        app: "catalog",
        namespace: "storefront",
        name: "catalog",
        address: service_address(20),
        port: 80,
        target_port: 8080,
        backends: &["catalog-a", "catalog-b"],
    },
    Service {
        app: "frontend",
        namespace: "storefront",
        name: "frontend",
        address: service_address(30),
        port: 80,
        target_port: 8080,
        backends: &["frontend"],
    },
];

/// Where the outside reaches `frontend` on its node.
pub const FRONTEND_NODE_PORT: u16 = 30080;

/// Hosts outside the cluster. Ranges answer, or stay silent, on every address.
pub const OUTSIDE: &[Outside] = &[
    outside("telephony", [198, 51, 100, 10], 0x51, 0x10, OutsidePlace::Outside),
    outside("telephony-hung", [198, 51, 100, 66], 0x51, 0x66, OutsidePlace::Mute),
    outside("customer", [203, 0, 113, 50], 0x113, 0x50, OutsidePlace::Outside),
    outside("responders", [198, 18, 0, 1], 0x18, 1, OutsidePlace::Outside),
    outside("mute", [198, 19, 0, 1], 0x19, 1, OutsidePlace::Mute),
    outside("nowhere", [192, 0, 2, 1], 0x192, 1, OutsidePlace::Unreachable),
    outside("no-route", [100, 64, 99, 1], 0x99, 1, OutsidePlace::NoRoute),
];

/// The address of the router outside, which is the nodes' default gateway.
pub const GATEWAY: Dual = node_address(254);

/// Ports open on the telephony host and on all responders.
pub const OUTSIDE_PORTS: &[Port] = &[
    Port { name: "sip", number: 5060, behaviour: Behaviour::UdpEcho },
    Port { name: "https", number: 443, behaviour: Behaviour::TcpEcho },
];

/// Ports that swallow on every address of `mute`.
pub const MUTE_PORTS: &[Port] = &[
    Port { name: "sip", number: 5060, behaviour: Behaviour::UdpSink },
    Port { name: "https", number: 443, behaviour: Behaviour::TcpJammed },
];

/// Returns the pod with a short name.
#[must_use]
pub fn pod(app: &str) -> Option<&'static Pod> {
    PODS.iter().find(|pod| pod.app == app)
}

/// Returns the node with a name.
#[must_use]
pub fn node(name: &str) -> Option<&'static Node> {
    NODES.iter().copied().find(|node| node.name == name)
}

/// Returns the host outside with a name.
#[must_use]
pub fn outside_host(name: &str) -> Option<&'static Outside> {
    OUTSIDE.iter().find(|host| host.name == name)
}

/// Returns the address behind a name of a scenario: a pod's short name, `svc/<short name>`, a node, a host outside.
#[must_use]
pub fn address(name: &str) -> Option<Dual> {
    if let Some(service) = name.strip_prefix("svc/") {
        return SERVICES.iter().find(|s| s.app == service).map(|s| s.address);
    }
    pod(name)
        .map(|pod| pod.address)
        .or_else(|| node(name).map(|node| node.address))
        .or_else(|| outside_host(name).map(|host| host.address))
}

const fn node_address(host: u8) -> Dual {
    Dual { v4: Ipv4Addr::new(10, 77, 1, host), v6: Ipv6Addr::new(0xfd77, 1, 0, 0, 0, 0, 0, hex(host)) }
}

const fn service_address(host: u8) -> Dual {
    Dual { v4: Ipv4Addr::new(10, 96, 0, host), v6: Ipv6Addr::new(0xfd77, 0x96, 0, 0, 0, 0, 0, hex(host)) }
}

const fn pod_address(network: u8, host: u8) -> Dual {
    Dual {
        v4: Ipv4Addr::new(10, 244, network, host),
        v6: Ipv6Addr::new(0xfd77, 0x244, network as u16, 0, 0, 0, 0, hex(host)),
    }
}

const fn outside(name: &'static str, v4: [u8; 4], group: u16, host: u16, place: OutsidePlace) -> Outside {
    let v6 = Ipv6Addr::new(0x2001, 0xdb8, group, 0, 0, 0, 0, host);
    Outside { name, address: Dual { v4: Ipv4Addr::new(v4[0], v4[1], v4[2], v4[3]), v6 }, place }
}

/// Returns the group whose hexadecimal digits read like the number: host 10 is `::10`.
const fn hex(host: u8) -> u16 {
    let host = host as u16;
    (host / 100) * 0x100 + (host / 10 % 10) * 0x10 + host % 10
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn short_names_and_addresses_are_unique() {
        let names: BTreeSet<_> = PODS.iter().map(|p| p.app).collect();
        assert_eq!(names.len(), PODS.len());
        let own: Vec<_> = PODS.iter().filter(|p| !p.host_network).collect();
        let v4: BTreeSet<_> = own.iter().map(|p| p.address.v4).collect();
        let v6: BTreeSet<_> = own.iter().map(|p| p.address.v6).collect();
        assert_eq!((v4.len(), v6.len()), (own.len(), own.len()));
    }

    #[test]
    fn pods_lie_in_their_nodes_network() {
        for pod in PODS {
            if pod.host_network {
                assert_eq!(pod.address, pod.node.address, "{}", pod.app);
            } else {
                assert_eq!(pod.address.v4.octets()[2], pod.node.pod_network, "{}", pod.app);
            }
        }
    }

    #[test]
    fn every_shape_of_cgroup_occurs() {
        let shapes: BTreeSet<_> = PODS.iter().map(|p| format!("{:?}{:?}", p.runtime, p.driver)).collect();
        assert_eq!(shapes.len(), 4, "{shapes:?}");
    }

    #[test]
    fn service_backends_exist_and_listen() {
        for service in SERVICES {
            for backend in service.backends {
                let pod = pod(backend).unwrap();
                let listens = pod.containers.iter().flat_map(|c| c.ports).any(|p| p.number == service.target_port);
                assert!(listens, "{backend} does not listen on {}", service.target_port);
            }
        }
    }

    #[test]
    fn names_resolve() {
        assert_eq!(address("frontend").unwrap().v6.to_string(), "fd77:244:1::10");
        assert_eq!(address("svc/catalog").unwrap().v4.to_string(), "10.96.0.20");
        assert_eq!(address("node-b").unwrap().v4.to_string(), "10.77.1.2");
        assert!(address("nobody").is_none());
    }
}
