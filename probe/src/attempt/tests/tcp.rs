use flow::{Destination, FilterReason, Identity, LossReason};

use crate::kernel::event::*;
use crate::test_support::*;

#[test]
fn a_short_connection_is_one_record() {
    let (mut world, mut s) = (World::new(), socket(1, 0).carrying(300, 200));
    world.tell(s.established(0)).tell(s.closed(1)).until(1_000);
    assert_eq!(world.records.len(), 1, "it leaves within a second");
    let records = world.expect(&["src established tcp 10.0.0.1>10.0.0.2:80 1/1/1/0 300+200"]);
    let r = &records[0];
    assert_eq!(r.source_ports, [40_001]);
    assert_eq!((r.local.identity, r.local.pod_uid.as_deref()), (Identity::Cgroup, Some(POD_A)));
    assert!(r.local.container_id.is_some() && r.local.netns == 101);
    let process = r.process.as_ref().unwrap();
    assert_eq!((process.name.as_str(), process.pid, process.names, process.pids), ("curl", Some(7), 1, 1));
    let tcp = r.tcp.unwrap();
    assert_eq!((tcp.mean_smooth_rtt_us, tcp.max_min_rtt_us, tcp.mean_mss), (100, 50, 1448));
    assert_eq!((r.translated, r.original), (None, Some(Destination { ip: ip("10.0.0.2"), port: Some(80) })));
}

#[test]
fn both_ends_on_one_node_are_two_records() {
    let (mut world, mut a) = (World::new(), socket(1, 0).carrying(300, 200));
    let mut b = a.accepted(2).carrying(200, 300);
    world.tell(b.established(0)).tell(a.established(0)).tell(a.closed(1)).tell(b.closed(1));
    let records = world.expect(&[
        "src established tcp 10.0.0.1>10.0.0.2:80 1/1/1/0 300+200",
        "dst established tcp 10.0.0.1>10.0.0.2:80 1/1/1/0 200+300",
    ]);
    let dst = records.iter().find(|r| r.reporter == flow::Reporter::Dst).unwrap();
    assert_eq!(dst.source_ports, [40_001]);
    assert_eq!(dst.local.pod_uid.as_deref(), Some(POD_B));
    assert_eq!((dst.translated.unwrap().port, dst.original), (Some(80), None));
}

#[test]
fn an_aborted_connection_says_so() {
    let (mut world, mut s) = (World::new(), socket(1, 0));
    world.tell(s.established(0)).tell(s.event(5, TcpChange::Closed { aborted: true }));
    world.expect(&["src established tcp 10.0.0.1>10.0.0.2:80 1/1/1/1 0+0"]);
}

#[test]
fn a_lost_first_event_is_made_good_by_the_end() {
    let (mut world, mut s) = (World::new(), socket(1, 0).carrying(1, 2));
    world.tell(s.closed(9)).expect(&["src established tcp 10.0.0.1>10.0.0.2:80 1/1/1/0 1+2"]);
}

fn gave_up(errno: i32, reset: bool, at_ms: u64, expected: &str) {
    let (mut world, mut s) = (World::new(), socket(1, 0));
    let errno = u16::try_from(errno).unwrap();
    world.tell(s.event(at_ms, TcpChange::GaveUp { errno, reset })).until(at_ms + 400);
    let line = format!("src {expected} tcp 10.0.0.1>10.0.0.2:80 1/1/1/0 0+0");
    let records = world.expect(&[&line]);
    assert!(records[0].tcp.is_none(), "nothing to measure");
}

#[test]
fn giving_up_tells_by_its_error() {
    gave_up(libc::ECONNREFUSED, true, 1, "refused");
    gave_up(libc::EHOSTUNREACH, false, 500, "unreachable");
    gave_up(libc::ETIMEDOUT, false, 130_000, "timeout");
    gave_up(0, false, 700, "unknown");
    gave_up(0, false, 1_000, "timeout");
}

#[test]
fn never_sent_is_failed() {
    let (mut world, mut s) = (World::new().with_addresses(), socket(1, 0));
    (s.tuple.local_ip, s.tuple.local_port) = (ip("0.0.0.0"), 0);
    world.tell(s.event(0, TcpChange::NeverSent { errno: 101 }));
    let records = world.expect(&["src failed tcp 10.0.0.1>10.0.0.2:80 1/1/1/0 0+0"]);
    assert!(records[0].source_ports.is_empty());
}

#[test]
fn a_stalled_attempt_is_pending_until_it_is_decided() {
    let (mut world, mut s) = (World::new(), socket(1, 0));
    world.tell(s.event(1_000, TcpChange::Stalled)).until(2_500);
    assert_eq!(
        world.records.iter().map(line).collect::<Vec<_>>(),
        ["src pending tcp 10.0.0.1>10.0.0.2:80 1/0/0/0 0+0"]
    );
    assert_eq!(world.check_balance().accounts[0].pending, 1);
    world.tell(s.gave_up(3_000, 0)).until(3_400);
    world.expect(&[
        "src pending tcp 10.0.0.1>10.0.0.2:80 1/0/0/0 0+0",
        "src timeout tcp 10.0.0.1>10.0.0.2:80 1/1/1/0 0+0",
    ]);
}

#[test]
fn a_stalled_attempt_can_still_be_established() {
    let (mut world, mut s) = (World::new(), socket(1, 0).carrying(10, 20));
    world.tell(s.event(1_000, TcpChange::Stalled)).until(1_100).tell(s.established(1_200)).tell(s.closed(1_300));
    world.expect(&[
        "src pending tcp 10.0.0.1>10.0.0.2:80 1/0/0/0 0+0",
        "src established tcp 10.0.0.1>10.0.0.2:80 1/1/1/0 10+20",
    ]);
}

#[test]
fn what_is_undecided_at_the_end_stays_pending_in_the_account() {
    let (mut world, mut s) = (World::new(), socket(1, 0));
    world.tell(s.event(900, TcpChange::Stalled));
    world.expect(&["src pending tcp 10.0.0.1>10.0.0.2:80 1/0/0/0 0+0"]);
    assert_eq!(world.check_balance().accounts[0].pending, 1);
}

#[test]
fn a_socket_that_connects_again_is_another_attempt() {
    let (mut world, mut s) = (World::new(), socket(1, 0));
    world.tell(s.gave_up(1, libc::ECONNREFUSED));
    let mut again = socket(1, 2).carrying(5, 6);
    world.tell(again.established(3)).tell(again.closed(4)).until(1_000);
    world.expect(&[
        "src refused tcp 10.0.0.1>10.0.0.2:80 1/1/1/0 0+0",
        "src established tcp 10.0.0.1>10.0.0.2:80 1/1/1/0 5+6",
    ]);
}

#[test]
fn a_lost_end_is_made_good_by_the_next_begin() {
    let (mut world, mut s) = (World::new(), socket(1, 0));
    world.tell(s.event(1_000, TcpChange::Stalled));
    let mut again = socket(1, 5_000);
    world.tell(again.established(5_001)).until(6_000);
    world.expect(&[
        "src unknown tcp 10.0.0.1>10.0.0.2:80 1/1/1/0 0+0",
        "src established tcp 10.0.0.1>10.0.0.2:80 1/1/0/0 0+0",
    ]);
}

#[test]
fn the_bytes_of_an_attempt_that_is_not_known_start_nothing() {
    let (mut world, mut s) = (World::new(), socket(1, 0).carrying(7, 8));
    let _ = s.established(0);
    world.tell(s.closed(5));
    world.expect(&["src established tcp 10.0.0.1>10.0.0.2:80 1/0/1/0 7+8"]);
}

#[test]
fn a_full_table_gives_up_in_the_books() {
    let rules = super::super::AdmitRules { max_attempts: 2, ..rules() };
    let mut world = World::with(rules, 1_000, "/");
    for cookie in 1..=3 {
        world.tell(socket(cookie, 0).event(1_000, TcpChange::Stalled));
    }
    assert_eq!(world.lost(LossReason::KeyTableFull), 1);
    world.check_balance();
}

#[test]
fn a_translated_destination_is_told_beside_the_original() {
    let (mut world, mut a) = (World::new(), socket(1, 0).to("10.96.0.1", 443));
    let source = std::net::SocketAddr::new(ip("10.0.0.1"), 40_001);
    let (asked, goes) = ("10.96.0.1:443".parse().unwrap(), "10.0.0.2:8443".parse().unwrap());
    world.observer.translations().learn(flow::Protocol::TCP, source, asked, goes, ms(0));
    world.tell(a.established(1)).tell(socket(2, 0).established(1));
    let records = world.expect(&[
        "src established tcp 10.0.0.1>10.0.0.2:8443 1/1/0/0 0+0",
        "src established tcp 10.0.0.1>10.0.0.2:80 1/1/0/0 0+0",
    ]);
    let service = records.iter().find(|r| r.translated.is_some()).unwrap();
    assert_eq!(service.original, Some(Destination { ip: ip("10.96.0.1"), port: Some(443) }));
}

#[test]
fn a_drop_behind_the_translation_belongs_to_the_attempt() {
    let (mut world, mut a) = (World::new().with_addresses(), socket(1, 0).to("10.96.0.1", 443));
    let source = std::net::SocketAddr::new(ip("10.0.0.1"), 40_001);
    let (asked, goes) = ("10.96.0.1:443".parse().unwrap(), "10.0.0.2:8443".parse().unwrap());
    world.observer.translations().learn(flow::Protocol::TCP, source, asked, goes, ms(0));
    let behind = socket(1, 0).to("10.0.0.2", 8443).dropped(1, "NETFILTER_DROP");
    world.tell(behind).tell(a.gave_up(2, 0)).until(3_000);
    world.expect(&["src dropped tcp 10.0.0.1>10.0.0.2:8443 NETFILTER_DROP 1/1/1/0 0+0"]);
}

#[test]
fn the_probes_own_traffic_is_left_out() {
    let (mut world, mut s) = (World::new(), socket(1, 0));
    s.owner = Some(Owner { pid: OWN_PID, name: "millrace".to_owned() });
    world.tell(s.established(0)).tell(s.closed(1)).expect(&[]);
    assert_eq!(world.filtered(FilterReason::OwnTraffic), 1);
}
