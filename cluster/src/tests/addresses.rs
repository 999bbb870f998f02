//! Who held an address, and when.

use super::*;

fn pod(name: &str, address: &str, rest: &str) -> String {
    format!(
        "---\n{{apiVersion: v1, kind: Pod, metadata: {{name: {name}, namespace: shop, uid: uid-{name}}}, \
         status: {{podIPs: [{{ip: '{address}'}}], {rest}}}}}\n"
    )
}

const ENDED: &str = "containerStatuses: [{state: {terminated: {finishedAt: '2026-01-01T12:00:00Z'}}}]";

#[test]
fn from_the_start_of_the_pod() {
    let snapshot = snapshot(&pod("a", "10.0.0.1", "startTime: '2026-01-01T12:00:00Z'"));
    assert_eq!(holder(&snapshot, "10.0.0.1", "2026-01-01T12:00:00Z"), "pod a");
    assert_eq!(holder(&snapshot, "10.0.0.1", "2027-01-01T12:00:00Z"), "pod a");
    assert_eq!(holder(&snapshot, "10.0.0.1", "2026-01-01T11:59:58Z"), "pod a", "clocks may differ");
    assert_eq!(holder(&snapshot, "10.0.0.1", "2026-01-01T11:59:57Z"), "later");
    assert_eq!(holder(&snapshot, "10.0.0.2", "2026-01-01T12:00:00Z"), "nobody");
}

#[test]
fn a_pod_without_times_always_holds() {
    let snapshot = snapshot(&pod("a", "10.0.0.1", "phase: Running"));
    assert_eq!(holder(&snapshot, "10.0.0.1", "1971-01-01T00:00:00Z"), "pod a");
}

#[test]
fn a_finished_pod_holds_no_longer() {
    let snapshot = snapshot(&pod("a", "10.0.0.1", "phase: Succeeded"));
    assert_eq!(holder(&snapshot, "10.0.0.1", NOON), "nobody");
}

#[test]
fn a_finished_pod_held_until_its_end() {
    let snapshot = snapshot(&pod("a", "10.0.0.1", &format!("phase: Failed, {ENDED}")));
    assert_eq!(holder(&snapshot, "10.0.0.1", "2026-01-01T11:00:00Z"), "pod a");
    assert_eq!(holder(&snapshot, "10.0.0.1", "2026-01-01T12:00:02Z"), "pod a", "clocks may differ");
    assert_eq!(holder(&snapshot, "10.0.0.1", "2026-01-01T12:00:03Z"), "nobody");
}

#[test]
fn an_address_used_again() {
    let first = pod("a", "10.0.0.1", &format!("phase: Failed, {ENDED}"));
    let second = pod("b", "10.0.0.1", "phase: Running, startTime: '2026-01-01T12:00:30Z'");
    let snapshot = snapshot(&(first + &second));
    assert_eq!(holder(&snapshot, "10.0.0.1", "2026-01-01T11:00:00Z"), "pod a");
    assert_eq!(holder(&snapshot, "10.0.0.1", "2026-01-01T12:00:10Z"), "later");
    assert_eq!(holder(&snapshot, "10.0.0.1", "2026-01-01T12:00:30Z"), "pod b");
}

#[test]
fn an_address_used_again_at_once_is_ambiguous_around_the_change() {
    let first = pod("a", "10.0.0.1", &format!("phase: Failed, {ENDED}"));
    let second = pod("b", "10.0.0.1", "phase: Running, startTime: '2026-01-01T12:00:01Z'");
    let snapshot = snapshot(&(first + &second));
    assert_eq!(holder(&snapshot, "10.0.0.1", "2026-01-01T11:59:58Z"), "pod a");
    assert_eq!(holder(&snapshot, "10.0.0.1", "2026-01-01T12:00:00Z"), "ambiguous, pods");
    assert_eq!(holder(&snapshot, "10.0.0.1", "2026-01-01T12:00:03Z"), "pod b");
}

#[test]
fn all_but_one_finished_is_not_ambiguous() {
    let all =
        pod("a", "10.0.0.1", "phase: Failed") + &pod("b", "10.0.0.1", "phase: Succeeded") + &pod("c", "10.0.0.1", "");
    assert_eq!(holder(&snapshot(&all), "10.0.0.1", NOON), "pod c");
}

#[test]
fn two_living_pods_are_ambiguous() {
    let both = pod("a", "10.0.0.1", "phase: Running") + &pod("b", "10.0.0.1", "phase: Pending");
    assert_eq!(holder(&snapshot(&both), "10.0.0.1", NOON), "ambiguous, pods");
}

const NODES: &str = "
{apiVersion: v1, kind: Node, metadata: {name: a}, status: {addresses: [{type: InternalIP, address: 192.168.1.1},
  {type: ExternalIP, address: '2001:db8::1'}]}}
---
{apiVersion: v1, kind: Node, metadata: {name: b, annotations: {projectcalico.org/IPv4VXLANTunnelAddr: 10.9.0.1,
  projectcalico.org/IPv4Address: 192.168.1.2/24, projectcalico.org/IPv6Address: 'rubbish'}}}
";

#[test]
fn hosts_by_all_their_addresses() {
    let snapshot = snapshot(NODES);
    for (address, expected) in [
        ("192.168.1.1", "host a"),
        ("2001:db8::1", "host a"),
        ("::ffff:192.168.1.1", "host a"),
        ("192.168.1.2", "host b"),
        ("10.9.0.1", "host b"),
        ("192.168.1.3", "nobody"),
    ] {
        assert_eq!(holder(&snapshot, address, NOON), expected, "{address}");
    }
}

#[test]
fn a_pod_in_the_hosts_network_does_not_hold_its_address() {
    let pod = "---\n{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: x, uid: u},
      spec: {hostNetwork: true, nodeName: a}, status: {podIP: 192.168.1.1}}";
    assert_eq!(holder(&snapshot(&format!("{NODES}{pod}")), "192.168.1.1", NOON), "host a");
}

#[test]
fn a_pod_and_a_host_are_ambiguous() {
    let snapshot = snapshot(&(NODES.to_owned() + &pod("p", "192.168.1.1", "")));
    assert_eq!(holder(&snapshot, "192.168.1.1", NOON), "ambiguous, pods");
}

#[test]
fn two_hosts_are_ambiguous() {
    let other = "---\n{apiVersion: v1, kind: Node, metadata: {name: c}, status: {addresses: [{type: InternalIP, address: 192.168.1.1}]}}";
    assert_eq!(holder(&snapshot(&format!("{NODES}{other}")), "192.168.1.1", NOON), "ambiguous, hosts");
}

#[test]
fn dual_stack_pod() {
    let pod = "{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: x, uid: u},
      status: {podIP: 10.0.0.1, podIPs: [{ip: 10.0.0.1}, {ip: 'fd00::1'}]}}";
    let snapshot = snapshot(pod);
    assert_eq!(holder(&snapshot, "10.0.0.1", NOON), "pod p");
    assert_eq!(holder(&snapshot, "fd00::1", NOON), "pod p");
}
