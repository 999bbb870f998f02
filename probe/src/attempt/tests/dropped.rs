use flow::{FilterReason, Protocol};

use crate::kernel::event::*;
use crate::test_support::*;

const FILTER: &str = "NETFILTER_DROP";
const OTHER: &str = "NEIGH_FAILED";

/// Tells a drop and an end in both orders.
fn check(reason: &str, errno: i32, expected: &str) {
    for drop_first in [true, false] {
        let (mut world, mut s) = (World::new().with_addresses(), socket(1, 0));
        let (drop, end) = (s.dropped(1, reason), s.gave_up(2, errno));
        if drop_first {
            world.tell(drop).tell(end);
        } else {
            world.tell(end).tell(drop);
        }
        world.until(4_000);
        let line = format!("src {expected} 1/1/1/0 0+0");
        world.expect(&[&line]);
        assert_eq!(world.filtered(FilterReason::Matched), 1);
    }
}

#[test]
fn a_filters_drop_beats_what_it_caused() {
    let dropped = "dropped tcp 10.0.0.1>10.0.0.2:80 NETFILTER_DROP";
    check(FILTER, libc::ECONNREFUSED, dropped);
    check(FILTER, libc::EHOSTUNREACH, dropped);
    check(FILTER, libc::ETIMEDOUT, dropped);
    check(FILTER, 0, dropped);
}

#[test]
fn another_drop_beats_only_silence() {
    check(OTHER, libc::ECONNREFUSED, "refused tcp 10.0.0.1>10.0.0.2:80");
    check(OTHER, libc::EHOSTUNREACH, "unreachable tcp 10.0.0.1>10.0.0.2:80");
    check(OTHER, libc::ETIMEDOUT, "dropped tcp 10.0.0.1>10.0.0.2:80 NEIGH_FAILED");
    check("SOCKET_RCVBUFF", 0, "dropped tcp 10.0.0.1>10.0.0.2:80 SOCKET_RCVBUFF");
    check(OTHER, 0, "unreachable tcp 10.0.0.1>10.0.0.2:80");
}

#[test]
fn a_stall_shows_a_filters_drop_at_once() {
    let (mut world, mut s) = (World::new().with_addresses(), socket(1, 0));
    world.tell(s.dropped(1, FILTER)).until(1_000).tell(s.event(1_005, TcpChange::Stalled)).until(2_000);
    let lines: Vec<_> = world.records.iter().map(line).collect();
    assert_eq!(lines, ["src dropped tcp 10.0.0.1>10.0.0.2:80 NETFILTER_DROP 1/1/0/0 0+0"]);
    world.tell(s.gave_up(3_000, 0)).until(16_000);
    world.expect(&[
        "src dropped tcp 10.0.0.1>10.0.0.2:80 NETFILTER_DROP 1/1/0/0 0+0",
        "src dropped tcp 10.0.0.1>10.0.0.2:80 NETFILTER_DROP 1/0/1/0 0+0",
    ]);
}

#[test]
fn a_drop_after_the_stall_decides_too() {
    let (mut world, mut s) = (World::new().with_addresses(), socket(1, 0));
    world.tell(s.event(1_000, TcpChange::Stalled)).tell(s.dropped(1_001, FILTER)).until(1_900);
    world.expect(&["src dropped tcp 10.0.0.1>10.0.0.2:80 NETFILTER_DROP 1/1/0/0 0+0"]);
}

#[test]
fn a_retry_that_comes_through_establishes() {
    let (mut world, mut s) = (World::new().with_addresses(), socket(1, 0).carrying(1, 1));
    world.tell(s.dropped(1, FILTER)).tell(s.established(1_001)).tell(s.closed(1_002)).until(4_000);
    world.expect(&["src established tcp 10.0.0.1>10.0.0.2:80 1/1/1/0 1+1"]);
    assert_eq!(world.filtered(FilterReason::Matched), 1);
}

#[test]
fn what_was_dropped_and_comes_through_goes_on_as_established() {
    let (mut world, mut s) = (World::new().with_addresses(), socket(1, 0).carrying(9, 9));
    world.tell(s.dropped(1, FILTER)).tell(s.event(1_000, TcpChange::Stalled)).tell(s.established(3_000));
    world.tell(s.closed(3_001)).until(4_000);
    world.expect(&[
        "src dropped tcp 10.0.0.1>10.0.0.2:80 NETFILTER_DROP 1/1/0/0 0+0",
        "src established tcp 10.0.0.1>10.0.0.2:80 1/0/1/0 9+9",
    ]);
}

#[test]
fn a_dropped_answer_belongs_to_the_attempt() {
    let (mut world, mut s) = (World::new().with_addresses(), socket(1, 0));
    let answer = DropEvent { first: false, ..drop_of(&reversed(&s.tuple), 1, FILTER, 102) };
    world.tell(answer).tell(s.event(1_000, TcpChange::Stalled)).until(1_900);
    world.expect(&["src dropped tcp 10.0.0.1>10.0.0.2:80 NETFILTER_DROP 1/1/0/0 0+0"]);
}

#[test]
fn a_drop_matches_on_either_destination() {
    let (mut world, mut s) = (World::new().with_addresses(), socket(1, 0).to("10.96.0.1", 443));
    let mut drop = s.dropped(1, FILTER);
    drop.original = Some((drop.dest_ip, drop.dest_port));
    (drop.dest_ip, drop.dest_port) = (ip("10.0.0.2"), 8443);
    world.tell(drop).tell(s.gave_up(2, 0)).until(3_000);
    world.expect(&["src dropped tcp 10.0.0.1>10.96.0.1:443 NETFILTER_DROP 1/1/1/0 0+0"]);
}

#[test]
fn a_drop_without_an_attempt_is_the_receivers_record() {
    let mut world = World::new().with_addresses();
    let from = tuple(Protocol::TCP, "192.0.2.9", 6_000, "10.0.0.2", 80);
    world.tell(drop_of(&from, 1, FILTER, 102)).until(3_500);
    let records = world.expect(&["dst dropped tcp 192.0.2.9>10.0.0.2:80 NETFILTER_DROP 1/1/1/0 0+0"]);
    assert_eq!(records[0].local.identity, flow::Identity::Netns);
    assert_eq!(records[0].local.pod_uid.as_deref(), Some(POD_B));
    assert_eq!((records[0].counters.packets_in, &records[0].source_ports[..]), (1, &[6_000][..]));
}

#[test]
fn dropped_on_the_way_it_is_named_by_address() {
    let mut world = World::new().with_addresses();
    let from = tuple(Protocol::UDP, "192.0.2.9", 6_000, "10.0.0.2", 53);
    world.tell(drop_of(&from, 1, FILTER, HOST_NETNS)).until(3_500);
    let records = world.expect(&["dst dropped udp 192.0.2.9>10.0.0.2:53 NETFILTER_DROP 1/1/1/0 0+0"]);
    assert_eq!(records[0].local.identity, flow::Identity::Address);
}

#[test]
fn between_strangers_it_is_forwarded() {
    let mut world = World::new().with_addresses();
    let from = tuple(Protocol::TCP, "192.0.2.9", 6_000, "198.51.100.7", 80);
    world.tell(drop_of(&from, 1, FILTER, HOST_NETNS)).until(3_500);
    let records = world.expect(&["fwd dropped tcp 192.0.2.9>198.51.100.7:80 NETFILTER_DROP 1/1/1/0 0+0"]);
    assert_eq!(records[0].local.pod_uid, None);
}

#[test]
fn a_datagram_dropped_as_it_leaves_is_its_senders() {
    let mut world = World::new().with_addresses();
    let from = tuple(Protocol::UDP, "10.0.0.1", 6_000, "198.51.100.7", 53);
    world.tell(drop_of(&from, 1, FILTER, 101)).until(3_500);
    let records = world.expect(&["src dropped udp 10.0.0.1>198.51.100.7:53 NETFILTER_DROP 1/1/1/0 0+0"]);
    assert_eq!(records[0].local.pod_uid.as_deref(), Some(POD_A));
    assert_eq!((records[0].counters.packets_out, records[0].counters.packets_in), (1, 0));
}

#[test]
fn even_if_the_receiver_is_here_too() {
    let mut world = World::new().with_addresses();
    let from = tuple(Protocol::UDP, "10.0.0.1", 6_000, "10.0.0.2", 53);
    world.tell(drop_of(&from, 1, FILTER, 101)).until(3_500);
    world.expect(&["src dropped udp 10.0.0.1>10.0.0.2:53 NETFILTER_DROP 1/1/1/0 0+0"]);
}

#[test]
fn a_datagram_dropped_on_its_way_is_dropped() {
    let mut world = World::new().with_addresses();
    let event = datagram(in_pod_a(), tuple(Protocol::UDP, "10.0.0.1", 5_000, "10.0.0.2", 53), Side::Initiator, 0);
    world.tell(event.clone()).tell(drop_of(&event.tuple, 0, FILTER, 102)).until(1_000);
    world.expect(&["src dropped udp 10.0.0.1>10.0.0.2:53 NETFILTER_DROP 1/1/0/0 0+0"]);
}

#[test]
fn one_dropped_packet_of_an_answered_flow_is_no_denial() {
    let mut world = World::new().with_addresses();
    let event = datagram(in_pod_a(), tuple(Protocol::UDP, "10.0.0.1", 5_000, "10.0.0.2", 53), Side::Initiator, 0);
    world.tell(event.clone()).tell(drop_of(&event.tuple, 0, FILTER, 102)).totals(200, carried(&event, 1, 2, 150));
    world.until(1_000).expect(&["src established udp 10.0.0.1>10.0.0.2:53 1/1/0/0 100+200"]);
}

#[test]
fn a_full_queue_at_the_receiver_is_no_denial() {
    let mut world = World::new().with_addresses();
    let event = datagram(in_pod_b(), tuple(Protocol::UDP, "10.0.0.2", 514, "192.0.2.9", 5_000), Side::Receiver, 0);
    let drop = drop_of(&reversed(&event.tuple), 1, "SOCKET_RCVBUFF", 102);
    world.tell(event.clone()).tell(drop).totals(200, carried(&event, 2, 0, 100)).until(11_000);
    let records = world.finish();
    let decided: Vec<_> = records.iter().filter(|r| r.counters.flows_started > 0).map(line).collect();
    assert_eq!(decided, ["dst unanswered udp 192.0.2.9>10.0.0.2:514 1/1/0/0 200+0"]);
}

#[test]
fn the_same_packets_dropped_elsewhere_are_not_counted_again() {
    let mut world = World::new().with_addresses();
    let from = tuple(Protocol::TCP, "192.0.2.9", 6_000, "10.0.0.2", 80);
    world.tell(drop_of(&from, 1, FILTER, HOST_NETNS)).tell(drop_of(&from, 900, FILTER, 102)).until(3_500);
    world.tell(drop_of(&from, 4_000, OTHER, 102)).until(7_000);
    world.expect(&["dst dropped tcp 192.0.2.9>10.0.0.2:80 NETFILTER_DROP 1/1/1/0 0+0"]);
    assert_eq!(world.filtered(FilterReason::Repeated), 2);
}

#[test]
fn a_port_used_again_is_another_attempt() {
    let mut world = World::new().with_addresses();
    for (protocol, at) in
        [(Protocol::TCP, 5_000), (Protocol::TCP, 10_000), (Protocol::UDP, 70_000), (Protocol::UDP, 130_000)]
    {
        let from = tuple(protocol, "192.0.2.9", 6_000, "10.0.0.2", 80);
        world.until(at).tell(drop_of(&from, at, FILTER, 102));
    }
    let records = world.until(135_000).finish();
    let started = |protocol: Protocol| -> u64 {
        records.iter().filter(|r| r.protocol == protocol).map(|r| r.counters.flows_started).sum()
    };
    assert_eq!((started(Protocol::TCP), started(Protocol::UDP)), (2, 2));
    assert_eq!(world.filtered(FilterReason::Repeated), 0);
}

#[test]
fn a_port_used_again_at_once_leaves_no_drop_out() {
    let mut world = World::new().with_addresses();
    let from = tuple(Protocol::TCP, "192.0.2.9", 6_000, "10.0.0.2", 80);
    world.tell(drop_of(&from, 1, FILTER, 102)).tell(drop_of(&from, 500, FILTER, 102)).until(3_500);
    let one = "dst dropped tcp 192.0.2.9>10.0.0.2:80 NETFILTER_DROP 1/1/1/0 0+0";
    world.expect(&[one, one]);
}

#[test]
fn each_five_tuple_counts() {
    let mut world = World::new().with_addresses();
    for port in 1..=20 {
        let from = tuple(Protocol::TCP, "192.0.2.9", 6_000 + port, "10.0.0.2", 80);
        world.tell(drop_of(&from, 1, FILTER, 102));
    }
    let records = world.until(3_500).expect(&["dst dropped tcp 192.0.2.9>10.0.0.2:80 NETFILTER_DROP 20/20/20/0 0+0"]);
    assert_eq!(records[0].source_ports.len(), 8);
}

#[test]
fn a_segment_within_a_connection_is_no_attempt() {
    let mut world = World::new().with_addresses();
    let from = tuple(Protocol::TCP, "192.0.2.9", 6_000, "10.0.0.2", 80);
    world.tell(DropEvent { first: false, ..drop_of(&from, 1, FILTER, 102) }).until(3_500);
    world.expect(&[]);
    assert_eq!(world.filtered(FilterReason::Continued), 1);
}

#[test]
fn a_drop_of_an_established_connection_changes_nothing() {
    let (mut world, mut s) = (World::new().with_addresses(), socket(1, 0).carrying(1, 1));
    world.tell(s.established(0)).tell(DropEvent { first: false, ..s.dropped(500, FILTER) }).tell(s.closed(600));
    world.expect(&["src established tcp 10.0.0.1>10.0.0.2:80 1/1/1/0 1+1"]);
    assert_eq!(world.filtered(FilterReason::Matched), 1);
}

#[test]
fn a_late_drop_still_belongs_to_the_attempt_that_ended() {
    let (mut world, mut s) = (World::new().with_addresses(), socket(1, 0));
    world.tell(s.gave_up(2, libc::ECONNREFUSED)).until(1_000).tell(s.dropped(1_000, FILTER)).until(5_000);
    world.expect(&["src refused tcp 10.0.0.1>10.0.0.2:80 1/1/1/0 0+0"]);
    assert_eq!(world.filtered(FilterReason::Matched), 1);
}

#[test]
fn an_old_drop_is_not_a_new_attempts() {
    let (mut world, mut s) = (World::new().with_addresses(), socket(1, 60_000));
    world.tell(s.dropped(1, FILTER)).until(60_000).tell(s.gave_up(61_500, 0)).until(63_000);
    let records = world.finish();
    assert!(
        records.iter().any(|r| line(r).starts_with("src timeout")),
        "{:?}",
        records.iter().map(line).collect::<Vec<_>>()
    );
}

#[test]
fn another_nodes_drop_is_left_out() {
    let mut world = World::with(rules(), 1_000, "/kubepods").with_addresses();
    let from = tuple(Protocol::TCP, "10.0.0.1", 6_000, "10.9.0.2", 80);
    world.tell(drop_of(&from, 1, FILTER, 777)).tell(drop_of(&from, 2, FILTER, HOST_NETNS)).until(3_500);
    let records = world.finish();
    assert_eq!((records.len(), world.filtered(FilterReason::OutsideNode)), (1, 1));
}

#[test]
fn loopback_drops_are_left_out() {
    let mut world = World::new().with_addresses();
    let from = tuple(Protocol::UDP, "127.0.0.1", 6_000, "127.0.0.1", 80);
    world.tell(drop_of(&from, 1, FILTER, 101)).until(3_500).expect(&[]);
    assert_eq!(world.filtered(FilterReason::Loopback), 1);
}
