//! Events → attempts with a decided outcome.
//!
//! Comes in: kernel events in about the order they happened, running totals, and time. Goes out: attempts that enter
//! and leave flow keys ([`crate::window`]), and entries in the books ([`crate::ledger`]).
//!
//! # How the outcome is decided
//!
//! An outcome is decided once and never changed; the attempt is counted as started under it. *F* is a packet filter's
//! drop ([`flow::DropReason::is_filter`]), matched by the packet's two ends: either destination, either direction (a
//! reply that was dropped ends an attempt as well).
//!
//! | TCP | no drop matched | F matched | other drop matched |
//! |---|---|---|---|
//! | established | `established`, at once | `established`: a later SYN came through | `established` |
//! | closed, nothing before | `established` (its event was lost, its count was not) | same | same |
//! | stalled | undecided | `dropped`, at once | undecided |
//! | gave up, `ECONNREFUSED`, or a reset (initiator) | `refused` | `dropped` | `refused` |
//! | gave up, `EHOSTUNREACH` and kin | `unreachable` | `dropped` | `unreachable` |
//! | gave up, `ETIMEDOUT` | `timeout` | `dropped` | `dropped` |
//! | gave up, no error, stalled or after 1 s | `timeout`: the application gave up | `dropped` | `dropped` |
//! | gave up, no error, sooner | `unknown`: the application did not wait for an answer | `dropped` | `unreachable` if there was no route or neighbour (asking for a socket's error takes it away), else `dropped` |
//! | gave up, any other error, or the receiver's handshake was reset | `unknown` | `dropped` | `dropped` |
//! | never sent | `failed`: nothing left, so nothing can have been dropped | same | same |
//! | superseded (its end was lost, the socket connects again) | `unknown` | `dropped` | `dropped` |
//!
//! | datagrams | no drop matched | F matched | other drop matched |
//! |---|---|---|---|
//! | a packet went each way | `established` | `established` | `established` |
//! | error `ECONNREFUSED` | `refused` | `dropped` | `refused` |
//! | error `EHOSTUNREACH` and kin | `unreachable` | `dropped` | `unreachable` |
//! | nothing back, 10 s after the last packet | `unanswered` | `dropped` | `dropped`; at the receiver `unanswered` |
//!
//! Drops come by a ring of their own, so giving up, errors and drops are held for [`HOLD_MS`] before they decide. The
//! receiver's datagrams end as `dropped` only by F: its socket's queue being full for one packet says nothing of the
//! others. If what was decided as `dropped` or `unanswered` comes through later, its further bytes are reported under
//! `established`, with nothing started.
//!
//! Sockets older than the probe are `preexisting`, with nothing started; their bytes count from when they were found.
//! An event whose attempt is not in the table (the table was full, or an earlier event was given up) reports its bytes
//! with nothing started.
//!
//! # Drops without an attempt
//!
//! A drop waits two seconds for an attempt of this node: a SYN that was dropped is known by its socket only when
//! it is sent again, a second later. Then it is a record of its own. A datagram dropped in its sender's own namespace is
//! `src`: the output hook drops it before any socket hook sees it, and no other event will speak for it. Else it is
//! `dst` if a pod of this node has the destination, else `fwd`, with no local end. TCP segments within a connection are no
//! attempts: without one they are accounted as `continued`.

mod admit;
mod datagram;
mod decide;
mod drops;
mod entry;
mod scan;
mod tcp;
#[cfg(test)]
mod tests;
pub mod translate;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};

use flow::{Direction, LossReason, Outcome};

pub use self::admit::AdmitRules;
use self::drops::Drops;
use self::entry::{Attempt, Kind, MatchedDrop, PacketTuple, State};
use self::translate::Translations;
use crate::clock::WallClock;
use crate::identity::Identities;
use crate::kernel::DatagramKey;
use crate::kernel::event::{KernelNs, Side, SocketTuple, TcpTotals};
use crate::ledger::{Account, Ledger};
use crate::slab::{Slab, SlabId};
use crate::window::{Delta, Sample, Windows};

/// How long a provisional outcome waits for a drop that comes by the other ring.
pub const HOLD_MS: u64 = 300;
/// After what time an undecided attempt is shown as `pending`.
pub const PENDING_MS: u64 = 1_000;
/// Silence after which a datagram attempt counts as unanswered.
pub const UNANSWERED_MS: u64 = 10_000;
/// Silence that ends a datagram attempt.
pub const IDLE_MS: u64 = 60_000;
/// How soon an attempt is looked at again if the kernel's totals have not been read since it was due.
const RETRY_MS: u64 = 100;

/// What attempts work with: lookup tables, the way out, and the time.
pub struct Desk<'a> {
    /// Whose socket it is.
    pub identities: &'a mut Identities,
    /// Where attempts are counted.
    pub windows: &'a mut Windows,
    /// Where they are accounted for.
    pub ledger: &'a mut Ledger,
    /// How destinations are translated.
    pub translations: &'a Translations,
    /// The offset to wall-clock time.
    pub clock: WallClock,
    /// The time of the observation.
    pub now: KernelNs,
}

impl Desk<'_> {
    fn wall(&self) -> flow::UnixMs {
        self.clock.wall(self.now)
    }
}

/// All attempts that are open, undecided or held, and the drops that wait for one.
#[derive(Debug)]
pub struct Attempts {
    rules: AdmitRules,
    table: Slab<Attempt>,
    by_cookie: HashMap<u64, SlabId>,
    by_pair: HashMap<(u32, SocketTuple), SlabId>,
    /// By the packets of its initiator, at the initiator; also under the translated destination.
    sent: HashMap<PacketTuple, SlabId>,
    /// The same at the receiver.
    received: HashMap<PacketTuple, SlabId>,
    deadlines: BinaryHeap<Reverse<(KernelNs, SlabId)>>,
    drops: Drops,
    /// Namespace and port of listeners older than the probe.
    listeners: HashSet<(u32, u16)>,
    /// The last totals of sockets that were ended by silence, by cookie.
    forgotten: HashMap<u64, TcpTotals>,
    /// Datagram flows that are idle, for the kernel to forget.
    idle: Vec<DatagramKey>,
    /// When the kernel's totals of datagrams were last read.
    polled: KernelNs,
}

impl Attempts {
    /// Makes an empty table.
    #[must_use]
    pub fn new(rules: AdmitRules) -> Self {
        Self {
            drops: Drops::new(rules.max_attempts),
            rules,
            table: Slab::default(),
            by_cookie: HashMap::new(),
            by_pair: HashMap::new(),
            sent: HashMap::new(),
            received: HashMap::new(),
            deadlines: BinaryHeap::new(),
            listeners: HashSet::new(),
            forgotten: HashMap::new(),
            idle: Vec::new(),
            polled: KernelNs(0),
        }
    }

    /// Returns how many attempts are in the table, and how many drops are remembered.
    #[must_use]
    pub fn sizes(&self) -> (usize, usize) {
        (self.table.len(), self.drops.len())
    }

    /// Counts what is held here: attempts not decided and drops that wait, by account.
    #[must_use]
    pub fn undecided(&self) -> HashMap<Account, u64> {
        let mut sums = self.drops.waiting();
        let undecided = self.table.iter().filter(|(_, a)| !matches!(a.state, State::Decided(_)));
        for account in undecided.filter_map(|(_, a)| a.account) {
            *sums.entry(account).or_default() += 1;
        }
        sums
    }

    /// Does what is due at `desk.now`: decides what has waited long enough, shows what is pending, ends what is idle.
    pub fn tick(&mut self, desk: &mut Desk<'_>) {
        while let Some(Reverse((due, id))) = self.deadlines.peek().copied()
            && due <= desk.now
        {
            self.deadlines.pop();
            if self.table.get(id).is_some_and(|attempt| attempt.deadline == Some(due)) {
                self.on_deadline(id, desk);
            }
        }
        self.settle_drops(desk);
    }

    fn on_deadline(&mut self, id: SlabId, desk: &mut Desk<'_>) {
        let now = desk.now;
        let Some(attempt) = self.table.get_mut(id) else { return };
        let last = attempt.last;
        let read = |ms: u64| attempt.kind == Kind::Tcp || self.polled >= last.plus_ms(ms).min(now);
        match attempt.state {
            State::Held { until, outcome } if until <= now => return self.decide_or_end(id, outcome, desk),
            State::Undecided if attempt.kind == Kind::Datagram && now.ms_since(last) >= UNANSWERED_MS => {
                if read(UNANSWERED_MS) {
                    return self.decide_or_end(id, Outcome::Unanswered, desk);
                }
            }
            State::Decided(_) if attempt.kind == Kind::Datagram && now.ms_since(last) >= IDLE_MS => {
                if attempt.idle_since == Some(last) {
                    return self.end(id, false, desk);
                }
                if read(IDLE_MS) {
                    // The kernel forgets it first and tells its last totals: a packet may just have come.
                    attempt.idle_since = Some(last);
                    self.idle.push(DatagramKey { cgroup: attempt.cgroup, netns: attempt.netns, tuple: attempt.tuple });
                }
            }
            State::Undecided
                if attempt.account.is_some()
                    && attempt.key.is_none()
                    && now.ms_since(attempt.started) >= PENDING_MS
                    && (attempt.kind == Kind::Tcp || self.polled >= attempt.started.plus_ms(PENDING_MS)) =>
            {
                self.show_pending(id, desk);
            }
            State::Undecided | State::Held { .. } | State::Decided(_) => {}
        }
        self.plan(id, now);
    }

    /// Plans when to look at an attempt next.
    fn plan(&mut self, id: SlabId, now: KernelNs) {
        let Some(attempt) = self.table.get_mut(id) else { return };
        let next = attempt.next_deadline().map(|due| if due <= now { now.plus_ms(RETRY_MS) } else { due });
        if attempt.deadline != next {
            attempt.deadline = next;
            if let Some(due) = next {
                self.deadlines.push(Reverse((due, id)));
            }
        }
    }

    fn show_pending(&mut self, id: SlabId, desk: &mut Desk<'_>) {
        let wall = desk.wall();
        let Some(attempt) = self.table.get_mut(id) else { return };
        attempt.shown = true;
        let key = attempt.flow_key(Outcome::Pending, self.rules.keep_source_ports, desk.identities);
        if let Ok(key) = desk.windows.enter(&key, attempt.start_wall, wall, false) {
            desk.windows.describe(key, attempt.source_port(), attempt.owner.as_deref(), attempt.icmp);
            attempt.key = Some(key);
        }
    }

    /// Puts an attempt into the table and its indices. `None` if there is no room for it.
    fn insert(&mut self, attempt: Attempt, desk: &mut Desk<'_>) -> Option<SlabId> {
        if self.table.len() >= self.rules.max_attempts {
            return None;
        }
        let id = self.table.insert(attempt);
        self.index(id);
        self.find_waiting_drop(id, desk);
        Some(id)
    }

    fn index(&mut self, id: SlabId) {
        let Some(attempt) = self.table.get(id) else { return };
        if attempt.kind == Kind::Tcp && attempt.cookie != 0 {
            self.by_cookie.insert(attempt.cookie, id);
        } else {
            self.by_pair.insert((attempt.netns, attempt.tuple), id);
        }
        let index = if attempt.side == Side::Receiver { &mut self.received } else { &mut self.sent };
        for tuple in attempt.packet_tuples().into_iter().flatten() {
            index.insert(tuple, id);
        }
    }

    fn unindex(&mut self, id: SlabId) {
        let Some(attempt) = self.table.get(id) else { return };
        if self.by_cookie.get(&attempt.cookie) == Some(&id) {
            self.by_cookie.remove(&attempt.cookie);
        }
        let pair = (attempt.netns, attempt.tuple);
        if self.by_pair.get(&pair) == Some(&id) {
            self.by_pair.remove(&pair);
        }
        let index = if attempt.side == Side::Receiver { &mut self.received } else { &mut self.sent };
        for tuple in attempt.packet_tuples().into_iter().flatten() {
            if index.get(&tuple) == Some(&id) {
                index.remove(&tuple);
            }
        }
    }

    /// Takes an attempt out of the table and its indices.
    fn remove(&mut self, id: SlabId) -> Option<Attempt> {
        self.unindex(id);
        self.table.remove(id)
    }

    /// Takes in running totals: what came since the last ones is the key's, or is owed until there is a key.
    fn total(&mut self, id: SlabId, totals: &TcpTotals, desk: &mut Desk<'_>) {
        let wall = desk.wall();
        let Some(attempt) = self.table.get_mut(id) else { return };
        let delta = Delta::between(&attempt.seen, totals);
        attempt.seen = *totals;
        attempt.owed.add(&delta);
        attempt.packets_in |= totals.packets_in > 0;
        attempt.packets_out |= totals.packets_out > 0;
        if matches!(attempt.state, State::Decided(_))
            && let Some(key) = attempt.key
        {
            desk.windows.add(key, &std::mem::take(&mut attempt.owed), wall);
            if attempt.outcome_has_statistics()
                && let Some(sample) = Sample::of(totals)
            {
                attempt.sample = desk.windows.sample(key, sample, attempt.sample);
            }
            desk.windows.describe(key, attempt.source_port(), attempt.owner.as_deref(), None);
        }
    }

    /// Holds a provisional outcome until a drop could have come by the other ring; a filter's drop decides at once.
    fn hold(&mut self, id: SlabId, outcome: Outcome, desk: &mut Desk<'_>) {
        let now = desk.now;
        let Some(attempt) = self.table.get_mut(id) else { return };
        match attempt.state {
            State::Decided(_) => self.end_if_over(id, desk),
            State::Undecided | State::Held { .. } => {
                attempt.state = State::Held { until: now.plus_ms(HOLD_MS), outcome };
                if attempt.over && attempt.drop.as_ref().is_some_and(MatchedDrop::is_filter) {
                    self.decide_or_end(id, outcome, desk);
                } else {
                    self.plan(id, now);
                }
            }
        }
    }

    fn decide_or_end(&mut self, id: SlabId, provisional: Outcome, desk: &mut Desk<'_>) {
        self.decide(id, provisional, desk);
        self.end_if_over(id, desk);
    }

    fn end_if_over(&mut self, id: SlabId, desk: &mut Desk<'_>) {
        match self.table.get(id).map(|attempt| attempt.over) {
            Some(true) => self.end(id, false, desk),
            Some(false) => self.plan(id, desk.now),
            None => {}
        }
    }

    /// Decides the outcome: counts the attempt as started under it, in exactly one record.
    fn decide(&mut self, id: SlabId, provisional: Outcome, desk: &mut Desk<'_>) {
        let wall = desk.wall();
        let Some(attempt) = self.table.get_mut(id) else { return };
        if matches!(attempt.state, State::Decided(_)) {
            return;
        }
        let outcome = attempt.final_outcome(provisional);
        attempt.state = State::Decided(outcome);
        if let Some(pending) = attempt.key.take() {
            desk.windows.leave(pending, attempt.start_wall);
        }
        let key = attempt.flow_key(outcome, self.rules.keep_source_ports, desk.identities);
        if let Some(account) = attempt.account {
            let read_as = (attempt.tuple.protocol.class(), key.direction());
            desk.ledger.moved(account, read_as);
            attempt.account = Some(read_as);
        }
        match desk.windows.enter(&key, attempt.start_wall, wall, attempt.account.is_some()) {
            Ok(key) => {
                attempt.key = Some(key);
                desk.windows.describe(key, attempt.source_port(), attempt.owner.as_deref(), attempt.icmp);
                desk.windows.add(key, &std::mem::take(&mut attempt.owed), wall);
                if attempt.outcome_has_statistics()
                    && let Some(sample) = Sample::of(&attempt.seen)
                {
                    attempt.sample = desk.windows.sample(key, sample, attempt.sample);
                }
            }
            Err(_) => {
                if let Some(account) = attempt.account {
                    desk.ledger.lost(account, LossReason::KeyTableFull);
                }
            }
        }
    }

    /// Goes on under `established` after another outcome was decided: an answer came after all.
    fn came_through(&mut self, id: SlabId, desk: &mut Desk<'_>) {
        let wall = desk.wall();
        let Some(attempt) = self.table.get_mut(id) else { return };
        let State::Decided(outcome) = attempt.state else { return };
        if matches!(outcome, Outcome::Established | Outcome::Preexisting) {
            return;
        }
        let Some(before) = attempt.key.take() else { return };
        desk.windows.leave(before, attempt.start_wall);
        attempt.state = State::Decided(Outcome::Established);
        attempt.sample = None;
        let key = attempt.flow_key(Outcome::Established, self.rules.keep_source_ports, desk.identities);
        if let Ok(key) = desk.windows.enter(&key, attempt.start_wall, wall, false) {
            attempt.key = Some(key);
            desk.windows.describe(key, attempt.source_port(), attempt.owner.as_deref(), attempt.icmp);
        }
    }

    /// Ends an attempt, whose outcome must be decided, and forgets it.
    fn end(&mut self, id: SlabId, aborted: bool, desk: &mut Desk<'_>) {
        let Some(attempt) = self.remove(id) else { return };
        if let Some(key) = attempt.key {
            desk.windows.add(key, &attempt.owed, desk.wall());
            let counts_aborted = aborted && attempt.outcome_has_statistics();
            desk.windows.complete(key, attempt.start_wall, counts_aborted, desk.wall());
        }
        if !attempt.outcome_has_statistics() {
            let tuples = attempt.packet_tuples();
            self.drops.remember_ended(tuples.into_iter().flatten(), desk.now);
        }
    }

    /// Returns the account under which the kernel counts an attempt at a socket.
    fn kernel_account(tuple: &SocketTuple, side: Side) -> Account {
        let direction = if side == Side::Receiver { Direction::In } else { Direction::Out };
        (tuple.protocol.class(), direction)
    }

    /// Closes the books of the process: nothing more will come, so what waits for an answer stays pending. Provisional
    /// outcomes and drops that wait for an attempt are decided; the rest is shown as `pending`.
    pub fn finish(&mut self, desk: &mut Desk<'_>) {
        let ids: Vec<SlabId> = self.table.iter().map(|(id, _)| id).collect();
        for id in ids {
            let Some(attempt) = self.table.get(id) else { continue };
            match attempt.state {
                State::Held { outcome, .. } => self.decide_or_end(id, outcome, desk),
                State::Undecided if attempt.key.is_none() && attempt.account.is_some() => self.show_pending(id, desk),
                State::Undecided | State::Decided(_) => {}
            }
        }
        self.settle_all_drops(desk);
    }
}
