use flow::{FilterReason, Protocol};

use crate::kernel::event::*;
use crate::test_support::*;

fn query() -> DatagramEvent {
    datagram(in_pod_a(), tuple(Protocol::UDP, "10.0.0.1", 5_000, "10.0.0.2", 53), Side::Initiator, 0)
}

#[test]
fn an_answer_establishes() {
    let (mut world, event) = (World::new(), query());
    world.tell(event.clone()).totals(500, carried(&event, 1, 1, 1)).until(2_000);
    world.expect(&["src established udp 10.0.0.1>10.0.0.2:53 1/1/0/0 100+100"]);
}

#[test]
fn the_receiver_is_established_by_its_own_answer() {
    let mut world = World::new();
    let event = datagram(in_pod_b(), tuple(Protocol::UDP, "10.0.0.2", 53, "10.0.0.1", 5_000), Side::Receiver, 0);
    world.tell(event.clone()).totals(500, carried(&event, 1, 1, 1));
    let records = world.expect(&["dst established udp 10.0.0.1>10.0.0.2:53 1/1/0/0 100+100"]);
    assert_eq!(records[0].source_ports, [5_000]);
}

#[test]
fn silence_is_unanswered_ten_seconds_after_the_last_packet() {
    let (mut world, event) = (World::new(), query());
    world.tell(event.clone()).totals(5_000, carried(&event, 0, 2, 4_000)).until(13_900);
    assert!(world.records.iter().all(|r| r.outcome == flow::Outcome::Pending), "not yet");
    world.until(15_000);
    world.expect(&[
        "src pending udp 10.0.0.1>10.0.0.2:53 1/0/0/0 0+0",
        "src unanswered udp 10.0.0.1>10.0.0.2:53 1/1/0/0 0+200",
    ]);
}

#[test]
fn an_answer_after_all_goes_on_as_established() {
    let (mut world, event) = (World::new(), query());
    world.tell(event.clone()).totals(1, carried(&event, 0, 1, 0)).until(12_000);
    world.totals(20_000, carried(&event, 1, 1, 19_900)).until(31_000);
    world.expect(&[
        "src pending udp 10.0.0.1>10.0.0.2:53 1/0/0/0 0+0",
        "src unanswered udp 10.0.0.1>10.0.0.2:53 1/1/0/0 0+100",
        "src established udp 10.0.0.1>10.0.0.2:53 1/0/0/0 100+0",
    ]);
}

#[test]
fn an_error_refuses() {
    let (mut world, event) = (World::new(), query());
    let error = DatagramError { at: ms(2), place: event.place, tuple: event.tuple, errno: 111 };
    world.tell(event).tell(error).until(1_000);
    world.expect(&["src refused udp 10.0.0.1>10.0.0.2:53 1/1/0/0 0+0"]);
}

#[test]
fn an_error_does_not_beat_an_answer() {
    let (mut world, event) = (World::new(), query());
    let error = DatagramError { at: ms(2), place: event.place, tuple: event.tuple, errno: 113 };
    world.tell(event.clone()).tell(error).totals(100, carried(&event, 1, 2, 50)).until(1_000);
    world.expect(&["src established udp 10.0.0.1>10.0.0.2:53 1/1/0/0 100+200"]);
}

#[test]
fn sixty_seconds_of_silence_end_it() {
    let (mut world, event) = (World::new(), query());
    world.tell(event.clone()).totals(500, carried(&event, 1, 1, 400)).until(60_300);
    assert_eq!(world.observer.sizes().attempts, 1);
    world.until(60_700);
    assert_eq!(world.observer.sizes().attempts, 0);
    world.until(76_000);
    world.expect(&[
        "src established udp 10.0.0.1>10.0.0.2:53 1/1/0/0 100+100",
        "src established udp 10.0.0.1>10.0.0.2:53 1/0/1/0 0+0",
    ]);
}

#[test]
fn after_its_end_the_same_ends_are_another_attempt() {
    let (mut world, event) = (World::new(), query());
    world.tell(event.clone()).totals(500, carried(&event, 1, 1, 400)).until(80_000);
    world.tell(DatagramEvent { at: ms(80_000), ..event.clone() });
    world.totals(80_500, carried(&event, 1, 1, 80_100)).until(82_000);
    let records = world.finish();
    assert_eq!(records.iter().map(|r| r.counters.flows_started).sum::<u64>(), 2);
}

#[test]
fn an_evicted_flow_continues_and_loses_no_byte() {
    let (mut world, event) = (World::new(), query());
    world.tell(event.clone()).totals(500, carried(&event, 1, 1, 400));
    // Made anew in the kernel: totals begin at 0, and go past the old ones before they are read.
    world.tell(DatagramEvent { at: ms(600), ..event.clone() }).totals(1_500, carried(&event, 3, 3, 1_400)).until(2_000);
    assert_eq!(world.filtered(FilterReason::Continued), 1);
    let records = world.finish();
    assert_eq!(records.iter().map(|r| r.counters.bytes_in).sum::<u64>(), 400);
    assert_eq!(records.iter().map(|r| r.counters.flows_started).sum::<u64>(), 1);
}

#[test]
fn a_bound_socket_older_than_the_probe_is_the_receiver() {
    let mut world = World::new();
    let tuple = tuple(Protocol::UDP, "10.0.0.2", 53, "10.0.0.1", 5_000);
    let event = DatagramEvent { bound_before: true, ..datagram(in_pod_b(), tuple, Side::Initiator, 0) };
    world.tell(event.clone()).totals(500, carried(&event, 1, 1, 1));
    world.expect(&["dst established udp 10.0.0.1>10.0.0.2:53 1/1/0/0 100+100"]);
}

#[test]
fn in_mid_course_without_a_bound_port_nobody_knows_who_began() {
    let mut world = World::new();
    let event = DatagramEvent { side: Side::Unknown, ..query() };
    world.tell(event.clone()).totals(500, carried(&event, 1, 1, 1));
    let records = world.expect(&["src established udp 10.0.0.1>10.0.0.2:53 1/1/0/0 100+100"]);
    assert!(!records[0].initiator_known);
}

#[test]
fn icmp_is_an_address_pair_without_ports() {
    let mut world = World::new();
    let tuple = tuple(Protocol::ICMP, "10.0.0.1", 0, "10.0.0.2", 0);
    let event = DatagramEvent { icmp: Some((8, 0)), ..datagram(in_pod_a(), tuple, Side::Initiator, 0) };
    world.tell(event.clone()).totals(500, carried(&event, 1, 1, 1));
    let records = world.expect(&["src established icmp 10.0.0.1>10.0.0.2 1/1/0/0 100+100"]);
    assert_eq!((records[0].icmp_type, records[0].icmp_code), (Some(8), Some(0)));
    assert!(records[0].source_ports.is_empty());
}

#[test]
fn a_kernel_socket_is_named_by_its_namespace() {
    let mut world = World::new().with_addresses();
    let place = SocketPlace { cookie: 0, netns: 102, cgroup: 1 };
    let event = datagram(place, tuple(Protocol::ICMP, "10.0.0.2", 0, "10.0.0.1", 0), Side::Receiver, 0);
    world.tell(event.clone()).totals(500, carried(&event, 1, 1, 1));
    let records = world.expect(&["dst established icmp 10.0.0.1>10.0.0.2 1/1/0/0 100+100"]);
    assert_eq!(records[0].local.identity, flow::Identity::Netns);
    assert_eq!(records[0].local.pod_uid.as_deref(), Some(POD_B));
}

#[test]
fn idle_flows_are_handed_to_the_kernel_to_forget() {
    let (mut world, event) = (World::new(), query());
    world.tell(event.clone()).totals(500, carried(&event, 1, 1, 400)).until(60_390);
    world.now = ms(60_500);
    world.observer.datagram_totals(&[carried(&event, 1, 1, 400)], world.now);
    world.observer.tick(world.now);
    let idle = world.observer.idle_datagrams();
    assert_eq!(idle.iter().map(|k| k.tuple).collect::<Vec<_>>(), [event.tuple]);
    // A packet had just come: the last totals say so, and the attempt goes on.
    world.observer.datagram_totals(&[carried(&event, 2, 1, 60_450)], world.now);
    world.until(62_000);
    assert_eq!(world.observer.sizes().attempts, 1);
    let records = world.finish();
    assert_eq!(records.iter().map(|r| r.counters.bytes_in).sum::<u64>(), 200);
}

#[test]
fn flows_that_were_left_out_are_forgotten_too() {
    let mut world = World::new();
    let event = datagram(on_host(), tuple(Protocol::UDP, "127.0.0.1", 5_000, "127.0.0.1", 53), Side::Initiator, 0);
    world.tell(event.clone());
    world.now = ms(61_000);
    world.observer.datagram_totals(&[carried(&event, 1, 1, 500)], world.now);
    assert_eq!(world.observer.idle_datagrams().len(), 1);
    world.expect(&[]);
}
