//! The laboratory's network as text: which namespaces there are, what `ip` is told in each, which kernel settings.
//!
//! Pure: [`build`] returns the steps, [`crate::lab`] carries them out. Links are made inside the namespaces, never in
//! the machine's own. All neighbours are permanent, so that no attempt waits for address resolution; the ones that must
//! fail are the exception.

use std::fmt::Write as _;

use crate::names::LabId;
use crate::world::{Dual, GATEWAY, NODES, Node, OUTSIDE, OutsidePlace, PODS, Pod};

/// Hardware address of every node's end of a pod's link, as Calico has it.
const NODE_END: &str = "ee:ee:ee:ee:ee:ee";
/// Link-local gateways of a pod.
const POD_GATEWAY: (&str, &str) = ("169.254.1.1", "fe80::ecee:eeff:feee:eeee");

/// What is done to one namespace. Steps come in an order that works.
#[derive(Debug, PartialEq, Eq)]
pub struct Step {
    /// Name of the namespace.
    pub namespace: String,
    /// Commands for `ip -batch`, run inside it.
    pub commands: String,
}

/// Returns the namespaces of a laboratory, nodes first.
#[must_use]
pub fn namespaces(lab: &LabId) -> Vec<String> {
    let nodes = NODES.iter().map(|node| lab.netns(node.name));
    let outside = [lab.netns("outside"), lab.netns("mute")];
    let pods = PODS.iter().filter(|pod| !pod.host_network).map(|pod| lab.netns(pod.app));
    nodes.chain(outside).chain(pods).collect()
}

/// Returns the steps that wire the namespaces up.
#[must_use]
pub fn build(lab: &LabId) -> Vec<Step> {
    let mut steps = vec![between_nodes(lab), node_b(lab)];
    steps.extend(NODES.iter().map(|node| to_outside(lab, node)));
    steps.push(outside(lab));
    steps.push(mute(lab));
    for pod in PODS.iter().filter(|pod| !pod.host_network) {
        steps.push(pod_link_on_node(lab, pod));
        steps.push(pod_side(lab, pod));
    }
    steps
}

/// Settings of the nodes and the router outside: forward everything, answer every error at any rate.
pub const ROUTER_SETTINGS: &[(&str, &str)] = &[
    ("net/ipv4/ip_forward", "1"),
    ("net/ipv6/conf/all/forwarding", "1"),
    ("net/ipv4/conf/all/rp_filter", "0"),
    ("net/ipv4/conf/default/rp_filter", "0"),
    ("net/ipv4/conf/all/send_redirects", "0"),
    ("net/ipv4/conf/default/send_redirects", "0"),
];

/// Settings of a node's connection tracking: entries of many short attempts must not pile up to its limit.
pub const CONNTRACK_SETTINGS: &[(&str, &str)] = &[
    ("net/netfilter/nf_conntrack_tcp_timeout_syn_sent", "10"),
    ("net/netfilter/nf_conntrack_tcp_timeout_time_wait", "5"),
    ("net/netfilter/nf_conntrack_tcp_timeout_close", "3"),
];

/// Settings of every namespace: quiet links, room for tens of thousands of attempts, unlimited ICMP errors.
pub const COMMON_SETTINGS: &[(&str, &str)] = &[
    ("net/ipv6/conf/all/accept_ra", "0"),
    ("net/ipv6/conf/default/accept_ra", "0"),
    ("net/ipv6/conf/default/router_solicitations", "0"),
    ("net/ipv6/conf/default/accept_dad", "0"),
    ("net/ipv6/conf/default/addr_gen_mode", "1"),
    ("net/ipv4/ip_local_port_range", "1024 65000"),
    ("net/ipv4/tcp_tw_reuse", "1"),
    ("net/ipv4/tcp_syncookies", "0"),
    ("net/ipv4/tcp_max_syn_backlog", "65535"),
    ("net/core/somaxconn", "65535"),
    ("net/ipv4/ping_group_range", "0 2147483647"),
    ("net/ipv4/icmp_ratelimit", "0"),
    ("net/ipv4/icmp_ratemask", "0"),
    ("?net/ipv4/icmp_msgs_per_sec", "1000000"),
    ("?net/ipv4/icmp_msgs_burst", "1000000"),
    ("net/ipv6/icmp/ratelimit", "0"),
    ("?net/ipv4/ip_unprivileged_port_start", "0"),
];

/// Settings of the router outside once its links are there: it gives up on a neighbour after a tenth of a second.
pub const OUTSIDE_SETTINGS: &[(&str, &str)] = &[
    ("net/ipv4/neigh/mute/mcast_solicit", "1"),
    ("net/ipv4/neigh/mute/retrans_time_ms", "100"),
    ("net/ipv6/neigh/mute/mcast_solicit", "1"),
    ("net/ipv6/neigh/mute/retrans_time_ms", "100"),
];

/// Settings of `mute`: echo requests are taken in and forgotten.
pub const MUTE_SETTINGS: &[(&str, &str)] =
    &[("net/ipv4/icmp_echo_ignore_all", "1"), ("net/ipv6/icmp/echo_ignore_all", "1")];

fn between_nodes(lab: &LabId) -> Step {
    let [a, b] = [NODES[0], NODES[1]];
    let mut text = String::new();
    let peer = lab.netns(b.name);
    line(&mut text, format_args!("link set lo up"));
    line(
        &mut text,
        format_args!(
            "link add eth0 address {} type veth peer name eth0 address {} netns {peer}",
            mac(10, 1),
            mac(10, 2)
        ),
    );
    between(&mut text, a, b, &mac(10, 2));
    Step { namespace: lab.netns(a.name), commands: text }
}

fn node_b(lab: &LabId) -> Step {
    let [a, b] = [NODES[0], NODES[1]];
    let mut text = String::new();
    line(&mut text, format_args!("link set lo up"));
    between(&mut text, b, a, &mac(10, 1));
    Step { namespace: lab.netns(b.name), commands: text }
}

/// One node's side of the link between the nodes: its addresses and the way to the other node's pods.
fn between(text: &mut String, own: &Node, other: &Node, other_mac: &str) {
    line(text, format_args!("link set eth0 up"));
    line(text, format_args!("addr add {}/24 dev eth0", own.address.v4));
    line(text, format_args!("addr add {}/64 dev eth0 nodad", own.address.v6));
    neighbours(text, other.address, other_mac, "eth0");
    let network = other.pod_network;
    line(text, format_args!("route add 10.244.{network}.0/24 via {} dev eth0", other.address.v4));
    line(text, format_args!("route add fd77:244:{network}::/64 via {} dev eth0", other.address.v6));
}

/// One node's link to the router outside. It has no address of its own: packets leave with the node's.
fn to_outside(lab: &LabId, node: &Node) -> Step {
    let (number, router) = (node.pod_network, lab.netns("outside"));
    let mut text = String::new();
    line(
        &mut text,
        format_args!(
            "link add eth1 address {} type veth peer name {} address {} netns {router}",
            mac(20, number),
            node.name,
            mac(30, number)
        ),
    );
    line(&mut text, format_args!("link set eth1 up"));
    line(&mut text, format_args!("addr add {}/32 dev eth1", node.address.v4));
    line(&mut text, format_args!("addr add {}/128 dev eth1 nodad", node.address.v6));
    neighbours(&mut text, GATEWAY, &mac(30, number), "eth1");
    line(&mut text, format_args!("route add {}/32 dev eth1", GATEWAY.v4));
    line(&mut text, format_args!("route add {}/128 dev eth1", GATEWAY.v6));
    line(&mut text, format_args!("route add default via {} dev eth1 src {}", GATEWAY.v4, node.address.v4));
    line(&mut text, format_args!("route add default via {} dev eth1 src {}", GATEWAY.v6, node.address.v6));
    Step { namespace: lab.netns(node.name), commands: text }
}

/// The router outside: it is the telephony service, the customers and all responders, and knows what is unreachable.
fn outside(lab: &LabId) -> Step {
    let mut text = String::new();
    line(&mut text, format_args!("link set lo up"));
    line(&mut text, format_args!("addr add {}/32 dev lo", GATEWAY.v4));
    line(&mut text, format_args!("addr add {}/128 dev lo nodad", GATEWAY.v6));
    // IPv4 may bind any address of a local range, IPv6 only one that is there.
    for host in OUTSIDE.iter().filter(|host| host.place == OutsidePlace::Outside) {
        line(&mut text, format_args!("addr add {}/128 dev lo nodad", host.address.v6));
    }
    for node in NODES {
        line(&mut text, format_args!("link set {} up", node.name));
        neighbours(&mut text, node.address, &mac(20, node.pod_network), node.name);
        line(&mut text, format_args!("route add {}/32 dev {}", node.address.v4, node.name));
        line(&mut text, format_args!("route add {}/128 dev {}", node.address.v6, node.name));
    }
    line(
        &mut text,
        format_args!(
            "link add mute address {} type veth peer name eth0 address {} netns {}",
            mac(40, 1),
            mac(40, 2),
            lab.netns("mute")
        ),
    );
    line(&mut text, format_args!("link set mute up"));
    line(&mut text, format_args!("addr add 169.254.7.1/30 dev mute"));
    line(&mut text, format_args!("addr add fd77:7::1/64 dev mute nodad"));
    line(&mut text, format_args!("neigh add 169.254.7.2 lladdr {} dev mute nud permanent", mac(40, 2)));
    line(&mut text, format_args!("neigh add fd77:7::2 lladdr {} dev mute nud permanent", mac(40, 2)));
    for range in ["198.51.100.0/26", "203.0.113.0/24", "198.18.0.0/16"] {
        line(&mut text, format_args!("route add local {range} dev lo"));
    }
    for range in ["2001:db8:51::/122", "2001:db8:113::/64", "2001:db8:18::/64"] {
        line(&mut text, format_args!("route add local {range} dev lo"));
    }
    for range in ["198.51.100.64/26", "198.19.0.0/16"] {
        line(&mut text, format_args!("route add {range} via 169.254.7.2 dev mute"));
    }
    for range in ["2001:db8:51::40/122", "2001:db8:19::/64"] {
        line(&mut text, format_args!("route add {range} via fd77:7::2 dev mute"));
    }
    // Nobody on that link has such an address: the router asks in vain, and tells the sender so. (An `unreachable` route
    // would too, but the kernel limits those answers to one a second and sender.)
    line(&mut text, format_args!("route add 192.0.2.0/24 dev mute"));
    line(&mut text, format_args!("route add 2001:db8:192::/64 dev mute"));
    Step { namespace: lab.netns("outside"), commands: text }
}

fn mute(lab: &LabId) -> Step {
    let mut text = String::new();
    line(&mut text, format_args!("link set lo up"));
    line(&mut text, format_args!("link set eth0 up"));
    line(&mut text, format_args!("addr add 169.254.7.2/30 dev eth0"));
    line(&mut text, format_args!("addr add fd77:7::2/64 dev eth0 nodad"));
    line(&mut text, format_args!("neigh add 169.254.7.1 lladdr {} dev eth0 nud permanent", mac(40, 1)));
    line(&mut text, format_args!("neigh add fd77:7::1 lladdr {} dev eth0 nud permanent", mac(40, 1)));
    for range in ["198.51.100.64/26", "198.19.0.0/16"] {
        line(&mut text, format_args!("route add local {range} dev lo"));
    }
    for range in ["2001:db8:51::40/122", "2001:db8:19::/64"] {
        line(&mut text, format_args!("route add local {range} dev lo"));
    }
    line(&mut text, format_args!("route add default via 169.254.7.1 dev eth0"));
    line(&mut text, format_args!("route add default via fd77:7::1 dev eth0"));
    Step { namespace: lab.netns("mute"), commands: text }
}

fn pod_link_on_node(lab: &LabId, pod: &Pod) -> Step {
    let (link, pod_mac, peer) = (pod_link(pod), pod_mac(pod), lab.netns(pod.app));
    let mut text = String::new();
    line(
        &mut text,
        format_args!("link add {link} address {NODE_END} type veth peer name eth0 address {pod_mac} netns {peer}"),
    );
    line(&mut text, format_args!("link set {link} up"));
    line(&mut text, format_args!("addr add {}/64 dev {link} nodad", POD_GATEWAY.1));
    neighbours(&mut text, pod.address, &pod_mac, &link);
    line(&mut text, format_args!("route add {}/32 dev {link}", pod.address.v4));
    line(&mut text, format_args!("route add {}/128 dev {link}", pod.address.v6));
    Step { namespace: lab.netns(pod.node.name), commands: text }
}

fn pod_side(lab: &LabId, pod: &Pod) -> Step {
    let (v4, v6) = POD_GATEWAY;
    let mut text = String::new();
    line(&mut text, format_args!("link set lo up"));
    line(&mut text, format_args!("link set eth0 up"));
    line(&mut text, format_args!("addr add {}/32 dev eth0", pod.address.v4));
    line(&mut text, format_args!("addr add {}/128 dev eth0 nodad", pod.address.v6));
    line(&mut text, format_args!("neigh add {v4} lladdr {NODE_END} dev eth0 nud permanent"));
    line(&mut text, format_args!("neigh add {v6} lladdr {NODE_END} dev eth0 nud permanent"));
    line(&mut text, format_args!("route add {v4}/32 dev eth0"));
    line(&mut text, format_args!("route add fe80::/64 dev eth0"));
    line(&mut text, format_args!("route add default via {v4} dev eth0"));
    line(&mut text, format_args!("route add default via {v6} dev eth0"));
    line(&mut text, format_args!("route add unreachable 100.64.99.0/24"));
    line(&mut text, format_args!("route add unreachable 2001:db8:99::/64"));
    Step { namespace: lab.netns(pod.app), commands: text }
}

/// Returns the name of the node's end of a pod's link. Rules of the node know pods' links by `cali`.
fn pod_link(pod: &Pod) -> String {
    format!("cali{}", &pod.uid()[..8])
}

fn pod_mac(pod: &Pod) -> String {
    let [_, _, network, host] = pod.address.v4.octets();
    mac(network, host)
}

fn mac(group: u8, number: u8) -> String {
    format!("02:77:00:00:{group:02x}:{number:02x}")
}

fn neighbours(text: &mut String, address: Dual, mac: &str, device: &str) {
    line(text, format_args!("neigh add {} lladdr {mac} dev {device} nud permanent", address.v4));
    line(text, format_args!("neigh add {} lladdr {mac} dev {device} nud permanent", address.v6));
}

fn line(text: &mut String, command: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{command}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_names_fit_the_kernel_and_differ() {
        let links: std::collections::BTreeSet<_> = PODS.iter().map(pod_link).collect();
        assert_eq!(links.len(), PODS.len());
        assert!(links.iter().all(|name| name.len() <= 15), "{links:?}");
    }

    #[test]
    fn every_step_works_in_a_namespace_of_the_laboratory() {
        let lab = LabId::from_seed(1);
        let all = namespaces(&lab);
        for step in build(&lab) {
            assert!(all.contains(&step.namespace), "{}", step.namespace);
            assert!(!step.commands.is_empty());
        }
    }
}
