use flow::{FilterReason, Protocol};

use super::super::AdmitRules;
use crate::kernel::event::*;
use crate::test_support::*;

fn check(place: SocketPlace, local: &str, remote: &str, expected: Option<FilterReason>) {
    for keep_loopback in [false, true] {
        let rules = AdmitRules { keep_loopback, ..rules() };
        let mut world = World::with(rules, 1_000, "/").with_addresses();
        world.observer.identities().learn_host_address(ip("192.168.0.5"), KernelNs(0));
        let mut s = socket(1, 0);
        s.place = SocketPlace { cookie: 1, ..place };
        s.tuple = tuple(Protocol::TCP, local, 40_000, remote, 80);
        let event = datagram(place, tuple(Protocol::UDP, local, 5_000, remote, 53), Side::Initiator, 0);
        world.tell(s.established(0)).tell(s.closed(1)).tell(event);
        let expected = expected.filter(|_| !keep_loopback);
        let records = world.until(12_000).finish();
        assert_eq!(records.is_empty(), expected.is_some(), "{local} > {remote}");
        if let Some(reason) = expected {
            assert_eq!(world.filtered(reason), 2, "{local} > {remote}");
        }
    }
}

#[test]
fn traffic_within_a_host_or_pod_is_left_out() {
    check(on_host(), "127.0.0.1", "127.0.0.1", Some(FilterReason::Loopback));
    check(on_host(), "::1", "::1", Some(FilterReason::Loopback));
    check(on_host(), "192.168.0.5", "192.168.0.5", Some(FilterReason::Loopback));
    check(on_host(), "192.168.0.6", "192.168.0.5", Some(FilterReason::Loopback));
    check(in_pod_a(), "127.0.0.1", "127.0.0.1", Some(FilterReason::Loopback));
    check(in_pod_a(), "10.0.0.1", "10.0.0.1", Some(FilterReason::SamePod));
    check(in_pod_a(), "10.0.0.1", "10.0.0.2", None);
    check(on_host(), "192.168.0.5", "10.0.0.1", None);
    check(in_pod_a(), "10.0.0.1", "192.168.0.5", None);
}

/// The world of a node whose cgroups lie below `/kubepods`.
fn part() -> World {
    World::with(rules(), 1_000, "/kubepods").with_addresses()
}

fn belongs(place: SocketPlace, expected: bool) {
    let mut world = part();
    let mut s = socket(1, 0);
    s.place = SocketPlace { cookie: 1, ..place };
    world.tell(s.established(0)).tell(s.closed(1));
    let records = world.finish();
    assert_eq!((records.len() == 1, world.filtered(FilterReason::OutsideNode) == 0), (expected, expected), "{place:?}");
}

#[test]
fn a_socket_belongs_to_the_node_by_its_cgroup() {
    belongs(in_pod_a(), true);
    belongs(on_host(), false);
    belongs(SocketPlace { netns: 101, ..on_host() }, false);
    belongs(SocketPlace { netns: 777, ..in_pod_a() }, true);
}

#[test]
fn a_kernel_socket_belongs_to_the_node_by_its_namespace() {
    for cgroup in [1, 0, 999] {
        belongs(SocketPlace { cookie: 0, netns: HOST_NETNS, cgroup }, true);
        belongs(SocketPlace { cookie: 0, netns: 101, cgroup }, true);
        belongs(SocketPlace { cookie: 0, netns: 777, cgroup }, false);
        belongs(SocketPlace { cookie: 0, netns: 0, cgroup }, false);
    }
}

#[test]
fn later_events_of_what_was_left_out_are_left_out() {
    let (mut world, mut s) = (World::new(), socket(1, 0).carrying(5, 5));
    s.tuple = tuple(Protocol::TCP, "127.0.0.1", 40_000, "127.0.0.1", 80);
    world.tell(s.established(0)).until(1_000).tell(s.closed(2_000)).until(3_000).expect(&[]);
}
