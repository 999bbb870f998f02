use std::sync::Arc;

use flow::{Destination, DropReason, LocalIdentity, Outcome, Protocol, Reporter};
use proptest::prelude::*;

use super::*;

const BEGIN: u64 = 1_700_000_010_000;

fn at(ms: u64) -> UnixMs {
    UnixMs(BEGIN + ms)
}

fn key(dest: u8, outcome: Outcome) -> FlowKey {
    FlowKey {
        reporter: Reporter::Src,
        initiator_known: true,
        protocol: Protocol::TCP,
        source_ip: "10.0.0.1".parse().unwrap(),
        source_port: None,
        translated: None,
        original: Some(Destination { ip: [10, 0, 1, dest].into(), port: Some(80) }),
        local: Arc::new(LocalIdentity { container_id: Some("c".to_owned()), ..LocalIdentity::none() }),
        outcome,
        drop_reason: (outcome == Outcome::Dropped).then(|| Arc::new(DropReason("NETFILTER_DROP".into()))),
    }
}

fn windows(max_keys: usize) -> Windows {
    Windows::new("c/n/1".parse().unwrap(), max_keys)
}

/// Takes what is due at a time: (start, end, flows, started, completed, bytes in), times since the begin.
fn take(windows: &mut Windows, ms: u64) -> Vec<(u64, u64, u64, u64, u64, u64)> {
    let mut records = Vec::new();
    windows.take_due(at(ms), usize::MAX, &mut records);
    records
        .iter()
        .map(|r| {
            let c = r.counters;
            let since = |time: UnixMs| time.0 - BEGIN;
            (since(r.start_time), since(r.end_time), c.flows, c.flows_started, c.flows_completed, c.bytes_in)
        })
        .collect()
}

fn bytes(n: u64) -> Delta {
    Delta { bytes_in: n, ..Delta::default() }
}

#[test]
fn the_first_record_leaves_within_a_second_and_the_next_covers_the_rest() {
    let mut w = windows(100);
    let id = w.enter(&key(1, Outcome::Established), at(3_000), at(3_000), true).unwrap();
    w.add(id, &bytes(5), at(3_100));
    assert_eq!(take(&mut w, 3_700), []);
    assert_eq!(take(&mut w, 3_850), [(3_000, 3_800, 1, 1, 0, 5)]);
    w.add(id, &bytes(7), at(9_000));
    w.enter(&key(1, Outcome::Established), at(9_000), at(9_000), true).unwrap();
    w.complete(id, at(3_000), false, at(10_000));
    assert_eq!(take(&mut w, 14_999), []);
    assert_eq!(take(&mut w, 15_030), [(3_800, 15_000, 2, 1, 1, 7)]);
}

#[test]
fn a_first_record_waits_for_no_second_window() {
    let mut w = windows(100);
    w.enter(&key(1, Outcome::Established), at(14_900), at(14_900), true).unwrap();
    assert_eq!(take(&mut w, 15_000), [(14_900, 15_000, 1, 1, 0, 0)]);
}

#[test]
fn silent_open_attempts_give_a_record_a_minute() {
    let mut w = windows(100);
    w.enter(&key(1, Outcome::Established), at(0), at(0), true).unwrap();
    let mut ends = Vec::new();
    for ms in (0..200_000).step_by(50) {
        ends.extend(take(&mut w, ms).into_iter().map(|(_, end, flows, started, ..)| (end, flows, started)));
    }
    assert_eq!(ends, [(800, 1, 1), (60_800, 1, 0), (120_800, 1, 0), (180_800, 1, 0)]);
}

#[test]
fn a_silent_key_that_wakes_is_told_at_the_end_of_the_window() {
    let mut w = windows(100);
    let id = w.enter(&key(1, Outcome::Established), at(0), at(0), true).unwrap();
    (0..20_000).step_by(50).for_each(|ms| drop(take(&mut w, ms)));
    w.add(id, &bytes(1), at(20_000));
    assert_eq!(take(&mut w, 29_999), []);
    assert_eq!(take(&mut w, 30_000), [(800, 30_000, 1, 0, 0, 1)]);
}

#[test]
fn steady_traffic_gives_one_record_a_window() {
    let mut w = windows(100);
    let mut ends = Vec::new();
    for ms in (0..60_100).step_by(50) {
        if ms % 1_000 == 0 {
            let id = w.enter(&key(1, Outcome::Established), at(ms), at(ms), true).unwrap();
            w.complete(id, at(ms), false, at(ms));
        }
        ends.extend(take(&mut w, ms).into_iter().map(|(_, end, _, started, ..)| (end, started)));
    }
    assert_eq!(ends, [(800, 1), (15_000, 15), (30_000, 15), (45_000, 15), (60_000, 15)]);
    (60_100..90_100).step_by(50).for_each(|ms| drop(take(&mut w, ms)));
    assert!(w.is_empty(), "silent keys leave the table");
}

#[test]
fn starts_are_those_of_the_attempts_counted() {
    let mut w = windows(100);
    let old = w.enter(&key(1, Outcome::Established), at(0), at(2_000), true).unwrap();
    w.enter(&key(1, Outcome::Established), at(1_900), at(2_000), true).unwrap();
    let starts = |w: &mut Windows, ms| {
        let mut records = Vec::new();
        w.take_due(at(ms), 9, &mut records);
        records.iter().map(|r| (r.oldest_start.0 - BEGIN, r.newest_start.0 - BEGIN)).collect::<Vec<_>>()
    };
    assert_eq!(starts(&mut w, 3_000), [(0, 1_900)]);
    w.complete(old, at(0), false, at(4_000));
    assert_eq!(starts(&mut w, 15_000), [(0, 1_900)], "it was active in this record");
    w.add(old, &bytes(1), at(16_000));
    assert_eq!(starts(&mut w, 30_000), [(1_900, 1_900)], "and not in this one");
}

#[test]
fn a_connection_weighs_once_in_a_mean() {
    let mut w = windows(100);
    let id = w.enter(&key(1, Outcome::Established), at(0), at(0), true).unwrap();
    w.enter(&key(1, Outcome::Established), at(0), at(0), true).unwrap();
    let totals = |rtt| crate::kernel::event::TcpTotals { smooth_rtt_us: rtt, mss: 1, ..Default::default() };
    let sample = |rtt| Sample::of(&totals(rtt)).unwrap();
    let first = w.sample(id, sample(100), None);
    let again = w.sample(id, sample(300), first);
    w.sample(id, sample(500), None);
    let mut records = Vec::new();
    w.take_due(at(800), 9, &mut records);
    let tcp = records[0].tcp.unwrap();
    assert_eq!((tcp.mean_smooth_rtt_us, tcp.max_smooth_rtt_us), (400, 500));
    w.sample(id, sample(700), again);
    w.add(id, &bytes(1), at(900));
    w.take_due(at(15_000), 9, &mut records);
    assert_eq!(records[1].tcp.unwrap().mean_smooth_rtt_us, 700, "a sample of an older record is not taken off");
}

#[test]
fn a_sample_given_to_one_key_is_not_taken_off_another() {
    let mut w = windows(100);
    let sample = |rtt| {
        Sample::of(&crate::kernel::event::TcpTotals { smooth_rtt_us: rtt, mss: 1, ..Default::default() }).unwrap()
    };
    let pending = w.enter(&key(1, Outcome::Pending), at(0), at(0), false).unwrap();
    let given = w.sample(pending, sample(900), None);
    let established = w.enter(&key(1, Outcome::Established), at(0), at(0), true).unwrap();
    w.sample(established, sample(100), given);
    let mut records = Vec::new();
    w.take_due(at(800), 9, &mut records);
    let tcp = records.iter().find(|r| r.outcome == Outcome::Established).unwrap().tcp.unwrap();
    assert_eq!((tcp.mean_smooth_rtt_us, tcp.max_smooth_rtt_us), (100, 100));
}

#[test]
fn processes_are_merged() {
    let mut w = windows(100);
    let id = w.enter(&key(1, Outcome::Established), at(0), at(0), true).unwrap();
    for pid in 0..20 {
        let name = if pid == 0 { "a".to_owned() } else { "b".to_owned() };
        w.describe(id, 0, Some(&Owner { pid, name }), None);
    }
    let mut records = Vec::new();
    w.take_due(at(800), 9, &mut records);
    let process = records[0].process.as_ref().unwrap();
    assert_eq!((process.name.as_str(), process.pid, process.names, process.pids), ("*", None, 2, 8));
}

#[test]
fn what_is_not_taken_goes_on_adding_up() {
    let mut w = windows(100);
    for dest in 0..5 {
        w.enter(&key(dest, Outcome::Established), at(0), at(0), true).unwrap();
    }
    let mut records = Vec::new();
    assert!(w.take_due(at(1_000), 2, &mut records), "more are due");
    w.enter(&key(4, Outcome::Established), at(5_000), at(5_000), true).unwrap();
    assert!(!w.take_due(at(40_000), 9, &mut records));
    let late = records.iter().find(|r| r.original.unwrap().ip == std::net::IpAddr::from([10, 0, 1, 4])).unwrap();
    assert_eq!((late.counters.flows_started, late.end_time), (2, at(40_000)));
}

#[test]
fn detail_is_shed_before_counts_and_allowed_before_denied() {
    let mut w = windows(100);
    let mut entered = [0u32; 2];
    for round in 0..2u8 {
        for dest in 0..=255 {
            let mut key = key(dest, Outcome::Established);
            key.source_ip = [10, 0, round, 1].into();
            entered[0] += u32::from(w.enter(&key, at(0), at(0), true).is_ok());
        }
    }
    assert_eq!(entered[0], 80);
    for dest in 0..=255 {
        entered[1] += u32::from(w.enter(&key(dest, Outcome::Dropped), at(0), at(0), true).is_ok());
    }
    assert_eq!((entered[1], w.len()), (20, 100), "the last places are for the denied");
    let mut records = Vec::new();
    w.take_due(at(800), usize::MAX, &mut records);
    let container = records.iter().filter(|r| r.local.container_id.is_some()).count();
    assert_eq!((records.len(), container), (100, 70));
    assert_eq!(w.made(), [50, 20, 10, 20]);
}

#[test]
fn an_attempt_of_a_known_key_always_enters() {
    let mut w = windows(16);
    for dest in 0..=255 {
        let _ = w.enter(&key(dest, Outcome::Established), at(0), at(0), true);
    }
    assert!(w.enter(&key(0, Outcome::Established), at(0), at(0), true).is_ok());
    assert_eq!(w.enter(&key(200, Outcome::Established), at(0), at(0), true), Err(KeyTableFull));
}

#[test]
fn under_pressure_keys_leave_with_their_first_record() {
    let mut w = windows(100);
    for dest in 0..=255 {
        if let Ok(id) = w.enter(&key(dest, Outcome::Established), at(0), at(0), true) {
            w.complete(id, at(0), false, at(0));
        }
    }
    assert_eq!(take(&mut w, 800).len(), 80);
    assert!(w.len() <= 70, "{}", w.len());
}

#[derive(Debug, Clone)]
enum Step {
    Enter(u8),
    Add(usize, u64),
    Leave(usize),
    Complete(usize),
    Wait(u64),
    Take(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..6u8).prop_map(Step::Enter),
        3 => (0..20usize, 0..1_000u64).prop_map(|(which, n)| Step::Add(which, n)),
        1 => (0..20usize).prop_map(Step::Leave),
        2 => (0..20usize).prop_map(Step::Complete),
        3 => (0..20_000u64).prop_map(Step::Wait),
        2 => (0..4usize).prop_map(Step::Take),
    ]
}

proptest! {
    #[test]
    fn nothing_is_lost_or_doubled(steps in proptest::collection::vec(step(), 0..200)) {
        let mut w = windows(16);
        let (mut now, mut records, mut open) = (0, Vec::new(), Vec::<(KeyId, UnixMs)>::new());
        let (mut started, mut completed, mut carried) = (0, 0, 0);
        for step in steps {
            match step {
                Step::Enter(dest) => {
                    if let Ok(id) = w.enter(&key(dest, Outcome::Established), at(now), at(now), true) {
                        started += 1;
                        open.push((id, at(now)));
                    }
                }
                Step::Add(which, n) if !open.is_empty() => {
                    w.add(open[which % open.len()].0, &bytes(n), at(now));
                    carried += n;
                }
                Step::Leave(which) if !open.is_empty() => {
                    let (id, start) = open.swap_remove(which % open.len());
                    w.leave(id, start);
                }
                Step::Complete(which) if !open.is_empty() => {
                    let (id, start) = open.swap_remove(which % open.len());
                    w.complete(id, start, false, at(now));
                    completed += 1;
                }
                Step::Wait(ms) => now += ms,
                Step::Take(limit) => {
                    w.take_due(at(now), limit, &mut records);
                }
                Step::Add(..) | Step::Leave(_) | Step::Complete(_) => {}
            }
            let unwritten: u64 = w.unwritten().values().sum();
            let written: u64 = records.iter().map(|r: &RawFlow| r.counters.flows_started).sum();
            prop_assert_eq!(written + unwritten, started);
            prop_assert!(w.len() <= 16);
        }
        w.take_all(at(now), &mut records);
        prop_assert!(w.is_empty());
        let sum = |part: fn(&RawFlow) -> u64| records.iter().map(part).sum::<u64>();
        prop_assert_eq!(sum(|r| r.counters.flows_started), started);
        prop_assert_eq!(sum(|r| r.counters.flows_completed), completed);
        prop_assert_eq!(sum(|r| r.counters.bytes_in), carried);
        for record in &records {
            prop_assert_eq!(record.validate(), Ok(()));
        }
    }
}
