//! Any story: the accounts close at every moment, each attempt is started in exactly one record, bytes are conserved,
//! tables stay within their bounds. The oracle is a slow and obvious count of what was told.

use std::collections::HashMap;

use flow::{Direction, Protocol, RawFlow};
use proptest::prelude::*;

use super::super::AdmitRules;
use crate::kernel::event::*;
use crate::test_support::*;

/// What can happen. Numbers choose sockets, ends, reasons.
#[derive(Debug, Clone)]
enum Step {
    Established(u8),
    Stalled(u8),
    Carry(u8, u16),
    Closed(u8, bool),
    GaveUp(u8, u8),
    NeverSent(u8),
    Datagram(u8, bool),
    Totals(u8, u8, u8),
    Error(u8),
    Drop(u8, u8, bool),
    DatagramDrop(u8, u8),
    StrayDrop(u8, u8),
    Scan,
    Wait(u16),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..12u8).prop_map(Step::Established),
        2 => (0..12u8).prop_map(Step::Stalled),
        3 => (0..12u8, any::<u16>()).prop_map(|(s, n)| Step::Carry(s, n)),
        4 => (0..12u8, any::<bool>()).prop_map(|(s, a)| Step::Closed(s, a)),
        3 => (0..12u8, 0..5u8).prop_map(|(s, e)| Step::GaveUp(s, e)),
        1 => (0..12u8).prop_map(Step::NeverSent),
        4 => (0..6u8, any::<bool>()).prop_map(|(f, o)| Step::Datagram(f, o)),
        4 => (0..6u8, 0..3u8, 0..3u8).prop_map(|(f, i, o)| Step::Totals(f, i, o)),
        1 => (0..6u8).prop_map(Step::Error),
        2 => (0..12u8, 0..3u8, any::<bool>()).prop_map(|(s, r, f)| Step::Drop(s, r, f)),
        2 => (0..6u8, 0..3u8).prop_map(|(f, r)| Step::DatagramDrop(f, r)),
        2 => (0..6u8, 0..3u8).prop_map(|(f, r)| Step::StrayDrop(f, r)),
        1 => Just(Step::Scan),
        6 => (0..15_000u16).prop_map(Step::Wait),
    ]
}

const REASONS: [&str; 3] = ["NETFILTER_DROP", "NEIGH_FAILED", "NO_SOCKET"];
const ERRORS: [i32; 5] = [0, libc::ECONNREFUSED, libc::EHOSTUNREACH, libc::ETIMEDOUT, libc::EPIPE];

/// A world with the kernel's own memory of sockets and flows.
struct Story {
    world: World,
    sockets: HashMap<u8, Socket>,
    flows: HashMap<u8, (DatagramEvent, u64, u64)>,
    next_cookie: u64,
    told: u64,
    bytes_in: u64,
    datagram_bytes_in: u64,
    max_attempts: usize,
}

impl Story {
    fn new(max_attempts: usize, max_keys: usize, keep_source_ports: bool) -> Self {
        let rules = AdmitRules { max_attempts, keep_source_ports, ..rules() };
        Self {
            world: World::with(rules, max_keys, "/").with_addresses(),
            sockets: HashMap::new(),
            flows: HashMap::new(),
            next_cookie: 1,
            told: 0,
            bytes_in: 0,
            datagram_bytes_in: 0,
            max_attempts,
        }
    }

    fn now_ms(&self) -> u64 {
        self.world.now.ms_since(ms(0))
    }

    fn socket(&mut self, which: u8) -> &mut Socket {
        let (now, cookie) = (self.now_ms(), self.next_cookie);
        self.sockets.entry(which).or_insert_with(|| {
            self.next_cookie += 1;
            self.told += 1;
            let new = socket(cookie, now);
            if which.is_multiple_of(3) { new.accepted(cookie) } else { new }
        })
    }

    fn end(&mut self, which: u8, change: TcpChange) {
        let now = self.now_ms();
        self.socket(which);
        let Some(mut s) = self.sockets.remove(&which) else { return };
        self.bytes_in += s.totals.bytes_in;
        self.world.tell(s.event(now, change));
    }

    fn step(&mut self, step: &Step) {
        let now = self.now_ms();
        // What the kernel forgot makes itself known anew with its next packet.
        for tuple in std::mem::take(&mut self.world.forgotten) {
            self.flows.retain(|_, (event, ..)| event.tuple != tuple);
        }
        match *step {
            Step::Established(which) => {
                let event = self.socket(which).event(now, TcpChange::Established);
                self.world.tell(TcpEvent { totals: event.totals, ..event });
            }
            Step::Stalled(which) => {
                let s = self.socket(which);
                if s.totals == TcpTotals::default() {
                    let event = s.event(now, TcpChange::Stalled);
                    self.world.tell(event);
                }
            }
            Step::Carry(which, n) => {
                if let Some(s) = self.sockets.get_mut(&which) {
                    let before = s.totals;
                    s.carry(before.bytes_in + u64::from(n), before.bytes_out + 1);
                }
            }
            Step::Closed(which, aborted) => self.end(which, TcpChange::Closed { aborted }),
            Step::GaveUp(which, error) => {
                let errno = u16::try_from(ERRORS[usize::from(error)]).unwrap();
                self.end(which, TcpChange::GaveUp { errno, reset: false });
            }
            Step::NeverSent(which) => self.end(which, TcpChange::NeverSent { errno: 0 }),
            Step::Datagram(which, out) => {
                let t = tuple(Protocol::UDP, "10.0.0.1", 5_000 + u16::from(which), "10.0.0.2", 53);
                let side = if out { Side::Initiator } else { Side::Receiver };
                let bound_before = which == 5;
                let event = DatagramEvent { bound_before, ..datagram(in_pod_a(), t, side, now) };
                self.told += 1;
                self.world.tell(event.clone());
                self.flows.insert(which, (event, 0, 0));
            }
            Step::Totals(which, more_in, more_out) => {
                if let Some((event, packets_in, packets_out)) = self.flows.get_mut(&which) {
                    *packets_in += u64::from(more_in);
                    *packets_out += u64::from(more_out);
                    self.datagram_bytes_in += u64::from(more_in) * 100;
                    let totals = carried(event, *packets_in, *packets_out, now);
                    self.world.observer.datagram_totals(&[totals], self.world.now);
                }
            }
            Step::Error(which) => {
                if let Some((event, ..)) = self.flows.get(&which) {
                    let error = DatagramError { at: ms(now), place: event.place, tuple: event.tuple, errno: 111 };
                    self.world.tell(error);
                }
            }
            Step::Drop(which, reason, first) => {
                let tuple = self.socket(which).tuple;
                self.drop(DropEvent { first, ..drop_of(&tuple, now, REASONS[usize::from(reason)], 102) });
            }
            Step::DatagramDrop(which, reason) => {
                let t = tuple(Protocol::UDP, "10.0.0.1", 5_000 + u16::from(which), "10.0.0.2", 53);
                self.drop(drop_of(&t, now, REASONS[usize::from(reason)], 101));
            }
            Step::StrayDrop(which, reason) => {
                let t = tuple(Protocol::TCP, "192.0.2.9", 6_000 + u16::from(which), "198.51.100.1", 80);
                self.drop(drop_of(&t, now, REASONS[usize::from(reason)], HOST_NETNS));
            }
            Step::Scan => {
                let sockets: Vec<_> = self.sockets.values().map(|s| s.scanned(now)).collect();
                self.world.observer.scanned(&sockets, false, self.world.now);
            }
            Step::Wait(ms) => {
                // In strides, so that hundreds of stories take seconds.
                let to = now + u64::from(ms);
                while self.now_ms() < to {
                    self.world.now = self.world.now.plus_ms(500.min(to - self.now_ms()));
                    self.world.observer.datagram_totals(&[], self.world.now);
                    self.world.tick();
                }
            }
        }
    }

    fn drop(&mut self, event: DropEvent) {
        self.told += 1;
        self.world.tell(event);
    }

    /// Checks what holds at every moment.
    fn check(&self) {
        let closed = self.world.check_balance();
        let seen: u64 = closed.accounts.iter().map(|a| a.seen).sum();
        let known: u64 = self.world.kernel.attempts.iter().map(|a| a.seen).sum();
        assert_eq!(seen, known);
        let sizes = self.world.observer.sizes();
        assert!(sizes.attempts <= self.max_attempts && sizes.drops <= self.max_attempts, "{sizes:?}");
    }
}

fn sum(records: &[RawFlow], part: impl Fn(&RawFlow) -> u64) -> u64 {
    records.iter().map(part).sum()
}

fn tell(story: &mut Story, steps: &[Step]) {
    for step in steps {
        story.step(step);
        story.check();
    }
}

proptest! {
    #[test]
    fn any_story_balances(steps in proptest::collection::vec(step(), 0..80), ports in any::<bool>()) {
        let mut story = Story::new(10_000, 1_000, ports);
        tell(&mut story, &steps);
        // Everything comes to its end, so that nothing stays pending.
        let open: Vec<u8> = story.sockets.keys().copied().collect();
        open.into_iter().for_each(|which| story.end(which, TcpChange::Closed { aborted: false }));
        story.step(&Step::Wait(15_000));
        story.check();
        let records = story.world.finish();
        let closed = story.world.check_balance();
        prop_assert_eq!(closed.accounts.iter().map(|a| a.pending).sum::<u64>(), 0);
        let filtered: u64 = closed.accounts.iter().flat_map(|a| a.filtered.values()).sum();
        let lost: u64 = closed.accounts.iter().flat_map(|a| a.lost.values()).sum();
        prop_assert_eq!(lost, 0);
        let started = sum(&records, |r| r.counters.flows_started);
        let counted: u64 = story.world.kernel.attempts.iter().map(|a| a.seen).sum();
        prop_assert_eq!(started + filtered, counted);
        let bytes_in = |protocol| sum(&records, |r| r.counters.bytes_in * u64::from(r.protocol == protocol));
        prop_assert_eq!(bytes_in(Protocol::TCP), story.bytes_in);
        let udp_in = bytes_in(Protocol::UDP);
        prop_assert_eq!(udp_in, story.datagram_bytes_in);
        let kernel = &story.world.kernel.attempts;
        let drops: u64 = kernel.iter().filter(|a| a.direction == Direction::Drop).map(|a| a.seen).sum();
        let forwarded = sum(&records, |r| r.counters.flows_started * u64::from(r.reporter == flow::Reporter::Fwd));
        prop_assert!(forwarded <= drops);
        for record in &records {
            prop_assert!(record.counters.flows_completed <= record.counters.flows);
            prop_assert!(record.counters.flows_started <= record.counters.flows);
        }
    }

    #[test]
    fn any_story_balances_with_full_tables(steps in proptest::collection::vec(step(), 0..80)) {
        let mut story = Story::new(4, 16, true);
        tell(&mut story, &steps);
        story.world.finish();
    }
}
