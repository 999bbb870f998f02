//! Datagrams: UDP 5-tuples, and address pairs of protocols without ports.

use std::sync::Arc;

use flow::{FilterReason, LossReason, Outcome};

use super::admit::admit;
use super::decide::of_error;
use super::entry::{Attempt, Kind, State};
use super::tcp::translated;
use super::{Attempts, Desk, IDLE_MS};
use crate::kernel::DatagramKey;
use crate::kernel::event::{DatagramError, DatagramEvent, DatagramTotals, Side, TcpTotals};
use crate::window::Delta;

impl Attempts {
    /// Takes in the first packet between two ends.
    pub fn datagram(&mut self, event: &DatagramEvent, desk: &mut Desk<'_>) {
        let account = Self::kernel_account(&event.tuple, event.side);
        desk.ledger.consumed(account);
        if let Some(id) = self.by_pair.get(&(event.place.netns, event.tuple)).copied() {
            // Evicted from the kernel's table and made anew, or another socket with the same ends: the same attempt
            // until it is idle. Its totals begin at 0 again.
            desk.ledger.filtered(account, FilterReason::Continued);
            if let Some(attempt) = self.table.get_mut(id) {
                attempt.seen = TcpTotals::default();
                attempt.last = attempt.last.max(event.at);
            }
            return;
        }
        desk.identities.learn(&event.place, event.tuple.local_ip, event.at);
        let local = match admit(&self.rules, desk.identities, &event.place, &event.tuple, event.owner.as_ref()) {
            Ok(local) => local,
            Err(reason) => return desk.ledger.filtered(account, reason),
        };
        let side = if event.bound_before { Side::Receiver } else { event.side };
        let attempt = Attempt {
            kind: Kind::Datagram,
            tuple: event.tuple,
            cookie: event.place.cookie,
            netns: event.place.netns,
            cgroup: event.place.cgroup,
            side,
            local,
            translated: translated(side, &event.tuple, desk),
            owner: event.owner.clone().map(Arc::new),
            icmp: event.icmp,
            started: event.at,
            start_wall: desk.clock.wall(event.at),
            account: Some(account),
            state: State::Undecided,
            stalled: false,
            over: false,
            shown: false,
            drop: None,
            seen: TcpTotals::default(),
            owed: Delta::default(),
            packets_in: false,
            packets_out: false,
            sample: None,
            last: event.at,
            idle_since: None,
            key: None,
            deadline: None,
        };
        match self.insert(attempt, desk) {
            Some(id) if self.table.get(id).is_some_and(|attempt| attempt.drop.is_some()) => {
                self.hold(id, Outcome::Unanswered, desk);
            }
            Some(id) => self.plan(id, desk.now),
            None => desk.ledger.lost(account, LossReason::KeyTableFull),
        }
    }

    /// Takes in the kernel's totals, read at `desk.now`. Flows that are not in the table were left out or given up.
    pub fn datagram_totals(&mut self, all: &[DatagramTotals], desk: &mut Desk<'_>) {
        for totals in all {
            let Some(id) = self.by_pair.get(&(totals.place.netns, totals.tuple)).copied() else {
                if desk.now.ms_since(totals.last) >= IDLE_MS {
                    self.idle.push(DatagramKey::from(totals));
                }
                continue;
            };
            let Some(attempt) = self.table.get_mut(id) else { continue };
            attempt.last = attempt.last.max(totals.last);
            let counted = TcpTotals {
                bytes_out: totals.bytes_out,
                bytes_in: totals.bytes_in,
                packets_out: totals.packets_out,
                packets_in: totals.packets_in,
                ..TcpTotals::default()
            };
            if counted == attempt.seen {
                continue;
            }
            let (sent, received) = (counted.packets_out > 0, counted.packets_in > 0);
            if (attempt.packets_in || received) && (attempt.packets_out || sent) {
                // What comes with the answer is the answered flow's.
                self.came_through(id, desk);
            }
            self.total(id, &counted, desk);
            let undecided = |a: &Attempt| !matches!(a.state, State::Decided(_)) && a.packets_in && a.packets_out;
            if self.table.get(id).is_some_and(undecided) {
                self.decide(id, Outcome::Established, desk);
                self.plan(id, desk.now);
            }
        }
        self.polled = self.polled.max(desk.now);
    }

    /// Takes in an error for a datagram socket.
    pub fn datagram_error(&mut self, event: &DatagramError, desk: &mut Desk<'_>) {
        let Some(id) = self.by_pair.get(&(event.place.netns, event.tuple)).copied() else { return };
        let Some(outcome) = of_error(event.errno) else { return };
        if self.table.get(id).is_some_and(|a| !matches!(a.state, State::Decided(_))) {
            self.hold(id, outcome, desk);
        }
    }

    /// Takes out the flows that are idle: those that ended, and those of attempts that are not in the table.
    pub fn idle_datagrams(&mut self) -> Vec<DatagramKey> {
        std::mem::take(&mut self.idle)
    }
}
