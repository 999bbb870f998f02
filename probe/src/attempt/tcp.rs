//! TCP: what a socket's changes make of its attempt.

use std::sync::Arc;

use flow::{Destination, LossReason, Outcome};

use super::admit::admit;
use super::decide::{GivenUp, gave_up};
use super::entry::{Attempt, Kind, MatchedDrop, State};
use super::{Attempts, Desk};
use crate::kernel::event::{KernelNs, Side, SocketPlace, SocketTuple, TcpChange, TcpEvent, TcpTotals};
use crate::slab::SlabId;
use crate::window::Delta;

/// Sockets that neither an event nor a scan spoke of for this long are gone: their end was lost.
const FORGOTTEN_MS: u64 = 10 * 60_000;

impl Attempts {
    /// Takes in a change of a TCP socket.
    pub fn tcp(&mut self, event: &TcpEvent, desk: &mut Desk<'_>) {
        let account = Self::kernel_account(&event.tuple, event.side);
        let counted = !event.reported_before && !event.preexisting;
        if counted {
            desk.ledger.consumed(account);
        }
        let known = self.find_tcp(&event.place, &event.tuple);
        let id = match known {
            Some(id) if counted => {
                self.supersede(id, desk);
                None
            }
            Some(id) => Some(id),
            None => None,
        };
        match id {
            Some(id) => self.change(id, event, desk),
            None => self.begin_tcp(event, counted, desk),
        }
    }

    fn find_tcp(&self, place: &SocketPlace, tuple: &SocketTuple) -> Option<SlabId> {
        let id = if place.cookie == 0 {
            self.by_pair.get(&(place.netns, *tuple))
        } else {
            self.by_cookie.get(&place.cookie)
        };
        id.copied().filter(|id| self.table.get(*id).is_some_and(|a| a.kind == Kind::Tcp))
    }

    /// Ends an attempt whose end was lost: its socket began another.
    fn supersede(&mut self, id: SlabId, desk: &mut Desk<'_>) {
        self.decide(id, Outcome::Unknown, desk);
        self.end(id, false, desk);
    }

    fn begin_tcp(&mut self, event: &TcpEvent, counted: bool, desk: &mut Desk<'_>) {
        let account = Self::kernel_account(&event.tuple, event.side);
        desk.identities.learn(&event.place, event.tuple.local_ip, event.at);
        let local = match admit(&self.rules, desk.identities, &event.place, &event.tuple, event.owner.as_ref()) {
            Ok(local) => local,
            Err(reason) => {
                if counted {
                    desk.ledger.filtered(account, reason);
                }
                return;
            }
        };
        let side = self.side_of(event.side, event.preexisting, &event.place, &event.tuple);
        let started = if event.started == KernelNs(0) { event.at } else { event.started };
        let mut attempt = Attempt {
            kind: Kind::Tcp,
            tuple: event.tuple,
            cookie: event.place.cookie,
            netns: event.place.netns,
            cgroup: event.place.cgroup,
            side,
            local,
            translated: translated(side, &event.tuple, desk),
            owner: event.owner.clone().map(Arc::new),
            icmp: None,
            started,
            start_wall: desk.clock.wall(started),
            account: counted.then_some(account),
            state: State::Undecided,
            stalled: false,
            over: false,
            shown: false,
            drop: None,
            // Of a socket older than the probe only what comes from now on is told.
            seen: if event.preexisting { event.totals } else { TcpTotals::default() },
            owed: Delta::default(),
            packets_in: false,
            packets_out: false,
            sample: None,
            last: event.at,
            idle_since: None,
            key: None,
            deadline: None,
        };
        if let Some(seen) = self.forgotten.remove(&event.place.cookie) {
            attempt.seen = seen;
        }
        match self.insert(attempt, desk) {
            Some(id) => {
                if event.preexisting {
                    self.decide(id, Outcome::Preexisting, desk);
                }
                self.change(id, event, desk);
            }
            None if counted => desk.ledger.lost(account, LossReason::KeyTableFull),
            None => {}
        }
    }

    fn change(&mut self, id: SlabId, event: &TcpEvent, desk: &mut Desk<'_>) {
        let Some(attempt) = self.table.get_mut(id) else { return };
        attempt.last = attempt.last.max(event.at);
        match event.change {
            TcpChange::Established => {
                // The port of the local end is known only now, if it was not bound.
                self.renew_tuple(id, &event.tuple, desk);
                self.decide(id, Outcome::Established, desk);
                self.came_through(id, desk);
                self.total(id, &event.totals, desk);
                self.plan(id, desk.now);
            }
            TcpChange::Stalled => {
                attempt.stalled = true;
                let filtered = attempt.drop.as_ref().is_some_and(MatchedDrop::is_filter);
                if filtered && !matches!(attempt.state, State::Decided(_)) {
                    self.decide(id, Outcome::Timeout, desk);
                }
                self.plan(id, desk.now);
            }
            TcpChange::Closed { aborted } => {
                self.decide(id, Outcome::Established, desk);
                self.came_through(id, desk);
                self.total(id, &event.totals, desk);
                self.end(id, aborted, desk);
            }
            TcpChange::GaveUp { errno, reset } => {
                let end = GivenUp {
                    errno,
                    reset,
                    side: attempt.side,
                    stalled: attempt.stalled,
                    started: attempt.started,
                    at: event.at,
                };
                self.close(id, event, gave_up(end), desk);
            }
            TcpChange::NeverSent { .. } => {
                attempt.over = true;
                self.total(id, &event.totals, desk);
                self.decide_or_end(id, Outcome::Failed, desk);
            }
        }
    }

    /// The socket is closed without having been established: its cookie is free for another attempt.
    fn close(&mut self, id: SlabId, event: &TcpEvent, outcome: Outcome, desk: &mut Desk<'_>) {
        self.renew_tuple(id, &event.tuple, desk);
        let Some(attempt) = self.table.get_mut(id) else { return };
        attempt.over = true;
        if self.by_cookie.get(&attempt.cookie) == Some(&id) {
            self.by_cookie.remove(&attempt.cookie);
        }
        self.total(id, &event.totals, desk);
        self.hold(id, outcome, desk);
    }

    /// Takes the ends that a later event knows better: a socket's own address and port are chosen as it connects.
    fn renew_tuple(&mut self, id: SlabId, tuple: &SocketTuple, desk: &mut Desk<'_>) {
        let same = self.table.get(id).is_none_or(|attempt| attempt.tuple == *tuple || tuple.local_port == 0);
        if same {
            return;
        }
        self.unindex(id);
        if let Some(attempt) = self.table.get_mut(id) {
            attempt.tuple = *tuple;
        }
        self.index(id);
        self.find_waiting_drop(id, desk);
    }

    /// Returns the side, with what is known of listeners where the kernel cannot tell.
    pub(super) fn side_of(&self, side: Side, old: bool, place: &SocketPlace, tuple: &SocketTuple) -> Side {
        let listens = side == Side::Unknown && old && self.listeners.contains(&(place.netns, tuple.local_port));
        if listens { Side::Receiver } else { side }
    }

    /// Ends sockets that nothing spoke of for long. Only to be called while scans work.
    pub fn forget_silent(&mut self, desk: &mut Desk<'_>) {
        let now = desk.now;
        let silent = |a: &Attempt| {
            a.kind == Kind::Tcp && matches!(a.state, State::Decided(_)) && now.ms_since(a.last) >= FORGOTTEN_MS
        };
        let ids: Vec<SlabId> = self.table.iter().filter(|(_, a)| silent(a)).map(|(id, _)| id).collect();
        for id in ids {
            if let Some(attempt) = self.table.get(id)
                && self.forgotten.len() < MAX_FORGOTTEN
            {
                self.forgotten.insert(attempt.cookie, attempt.seen);
            }
            self.end(id, false, desk);
        }
    }
}

/// Sockets ended by silence whose totals are kept, lest a late end reports their bytes again.
const MAX_FORGOTTEN: usize = 4_096;

/// Looks up where an initiator's packets go, if they were translated.
pub(super) fn translated(side: Side, tuple: &SocketTuple, desk: &Desk<'_>) -> Option<Destination> {
    if side == Side::Initiator { desk.translations.of(tuple) } else { None }
}
