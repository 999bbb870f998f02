use crate::kernel::event::*;
use crate::test_support::*;

#[test]
fn sockets_older_than_the_probe_start_nothing_and_tell_what_came_since() {
    let (mut world, mut s) = (World::new(), socket(1, 0).carrying(1_000, 1_000));
    s.preexisting = true;
    world.scan(0, true, &[s.scanned(0)]).until(3_000);
    s.carry(1_500, 1_100);
    world.tell(s.closed(4_000));
    world.expect(&[
        "src preexisting tcp 10.0.0.1>10.0.0.2:80 1/0/0/0 0+0",
        "src preexisting tcp 10.0.0.1>10.0.0.2:80 1/0/1/0 500+100",
    ]);
}

#[test]
fn an_old_socket_that_ends_right_after_the_scan_is_preexisting() {
    let (mut world, mut s) = (World::new(), socket(1, 0).carrying(1_000, 1_000));
    s.preexisting = true;
    world.scan(0, true, &[s.scanned(0)]);
    s.carry(1_500, 1_100);
    world.tell(s.closed(10)).expect(&["src preexisting tcp 10.0.0.1>10.0.0.2:80 1/0/1/0 500+100"]);
}

#[test]
fn a_socket_whose_end_was_lost_starts_anew_when_it_connects_again() {
    let (mut world, mut s) = (World::new(), socket(1, 0).carrying(1_000, 1_000));
    s.preexisting = true;
    world.scan(0, true, &[s.scanned(0)]);
    let mut again = socket(1, 2_000).carrying(10, 20);
    world.until(2_000).tell(again.established(2_000)).tell(again.closed(2_100)).until(4_000);
    world.expect(&[
        "src preexisting tcp 10.0.0.1>10.0.0.2:80 1/0/0/0 0+0",
        "src preexisting tcp 10.0.0.1>10.0.0.2:80 1/0/1/0 0+0",
        "src established tcp 10.0.0.1>10.0.0.2:80 1/1/1/0 10+20",
    ]);
}

#[test]
fn an_old_socket_that_no_scan_found_shows_when_it_ends() {
    let (mut world, mut s) = (World::new(), socket(1, 0).carrying(1_000, 1_000));
    s.preexisting = true;
    world.tell(s.closed(4_000)).expect(&["src preexisting tcp 10.0.0.1>10.0.0.2:80 1/0/1/0 0+0"]);
}

#[test]
fn a_socket_made_between_the_hooks_and_the_scan_is_told_by_its_own_events() {
    let (mut world, mut s) = (World::new(), socket(1, 0));
    let scanned = s.scanned(1);
    s.carry(10, 20);
    world.scan(1, true, &[scanned]).until(600).tell(s.established(600)).tell(s.closed(700)).until(3_000);
    world.expect(&["src established tcp 10.0.0.1>10.0.0.2:80 1/1/1/0 10+20"]);
}

#[test]
fn scans_bring_the_totals_of_long_connections() {
    let (mut world, mut s) = (World::new(), socket(1, 0));
    world.tell(s.established(0)).until(2_000);
    for (at, bytes) in [(14_990, 100), (29_990, 300)] {
        s.carry(bytes, bytes);
        world.scan(at, false, &[s.scanned(at)]).until(at + 100);
    }
    s.carry(350, 350);
    world.tell(s.closed(30_500)).until(46_000);
    let records = world.expect(&[
        "src established tcp 10.0.0.1>10.0.0.2:80 1/1/0/0 0+0",
        "src established tcp 10.0.0.1>10.0.0.2:80 1/0/0/0 100+100",
        "src established tcp 10.0.0.1>10.0.0.2:80 1/0/0/0 200+200",
        "src established tcp 10.0.0.1>10.0.0.2:80 1/0/1/0 50+50",
    ]);
    assert!(records.iter().all(|r| r.oldest_start.0 == BEGIN_MS), "the connection's own start");
}

#[test]
fn a_later_scan_makes_nothing_of_what_is_not_known() {
    let (mut world, s) = (World::new(), socket(1, 0).carrying(5, 5));
    world.scan(5_000, false, &[s.scanned(5_000)]).until(9_000).expect(&[]);
}

#[test]
fn listeners_tell_the_side_of_old_connections() {
    let mut world = World::new();
    let mut b = socket(1, 0).accepted(2).carrying(1, 1);
    (b.side, b.preexisting) = (Side::Unknown, true);
    let mut listener = b.scanned(0);
    (listener.listening, listener.tuple.remote_ip, listener.tuple.remote_port) = (true, ip("0.0.0.0"), 0);
    listener.place.cookie = 3;
    let mut unknown = socket(9, 0);
    (unknown.side, unknown.preexisting) = (Side::Unknown, true);
    world.scan(0, true, &[b.scanned(0), listener, unknown.scanned(0)]).until(3_000);
    let records = world.expect(&[
        "dst preexisting tcp 10.0.0.1>10.0.0.2:80 1/0/0/0 0+0",
        "src preexisting tcp 10.0.0.1>10.0.0.2:80 1/0/0/0 0+0",
    ]);
    assert!(records.iter().all(|r| r.initiator_known == (r.reporter == flow::Reporter::Dst)));
}

#[test]
fn a_connection_whose_end_was_lost_is_ended_by_silence() {
    let (mut world, mut s) = (World::new(), socket(1, 0));
    world.tell(s.established(0)).until(1_000);
    s.carry(100, 100);
    world.scan(2_000, false, &[s.scanned(2_000)]).scan(700_000, false, &[]);
    assert_eq!(world.observer.sizes().attempts, 0);
    // Its end comes after all: what was told before is not told again.
    s.carry(130, 130);
    world.tell(s.closed(700_500));
    let records = world.finish();
    assert_eq!(records.iter().map(|r| r.counters.bytes_in).sum::<u64>(), 130);
    assert_eq!(records.iter().map(|r| r.counters.flows_started).sum::<u64>(), 1);
}
