//! Dropped packets: matched to an attempt, or records of their own.
//!
//! A drop is accounted once: matched, repeated, left out, or started. Apart from that its reason is remembered by the
//! packet's ends, for attempts that the kernel tells of later.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;

use flow::{Direction, DropReason, FilterReason, LocalIdentity, LossReason, Outcome, Protocol, Reporter};

use super::admit::is_loopback;
use super::entry::{Attempt, Kind, MatchedDrop, PacketTuple, State};
use super::{Attempts, Desk};
use crate::kernel::event::{DropEvent, KernelNs, Side};
use crate::ledger::Account;
use crate::slab::{Slab, SlabId};
use crate::window::{Delta, FlowKey};

/// How long a drop waits for an attempt: a retransmission timeout of one second, and slack for both rings.
pub(super) const WAIT_MS: u64 = 2_000;
/// How long a dropped TCP packet is remembered: until the kernel itself gives up its connection (127 s).
const REMEMBER_TCP_MS: u64 = 150_000;
/// How long any other is: as long as a silent attempt lives.
const REMEMBER_MS: u64 = super::IDLE_MS;
/// How long the ends of a failed attempt are known, for drops that come late.
const REMEMBER_ENDED_MS: u64 = 5_000;

/// How a remembered drop is accounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It waits for an attempt.
    Waiting,
    /// It belonged to an attempt.
    Matched,
    /// It became a record of its own, or was left out as part of something else.
    Settled,
}

#[derive(Debug)]
struct Dropped {
    event: DropEvent,
    reason: Arc<DropReason>,
    fate: Fate,
}

impl Dropped {
    /// Says whether a later drop between the same ends belongs to another attempt. The kernel tells a second one of the
    /// same namespace and reason only then: for a SYN with another sequence number, or a datagram after 60 s. What comes
    /// from elsewhere may be a packet of this attempt.
    fn is_of_an_attempt_before(&self, later: &DropEvent) -> bool {
        later.first && later.netns == self.event.netns && later.reason == self.event.reason
    }
}

/// The drops remembered.
#[derive(Debug)]
pub(super) struct Drops {
    max: usize,
    table: Slab<Dropped>,
    by_tuple: HashMap<PacketTuple, SlabId>,
    waiting: VecDeque<(KernelNs, SlabId)>,
    remembered: BinaryHeap<Reverse<(KernelNs, SlabId)>>,
    ended: HashMap<PacketTuple, KernelNs>,
    ended_order: VecDeque<(KernelNs, PacketTuple)>,
}

impl Drops {
    pub(super) fn new(max: usize) -> Self {
        Self {
            max,
            table: Slab::default(),
            by_tuple: HashMap::new(),
            waiting: VecDeque::new(),
            remembered: BinaryHeap::new(),
            ended: HashMap::new(),
            ended_order: VecDeque::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// Counts the drops that wait, by account.
    pub(super) fn waiting(&self) -> HashMap<Account, u64> {
        let mut sums = HashMap::new();
        for (_, dropped) in self.table.iter().filter(|(_, d)| d.fate == Fate::Waiting) {
            *sums.entry(account(&dropped.event)).or_default() += 1;
        }
        sums
    }

    /// Keeps the ends of an attempt that failed.
    pub(super) fn remember_ended(&mut self, tuples: impl Iterator<Item = PacketTuple>, now: KernelNs) {
        for tuple in tuples {
            if self.ended.len() < self.max && self.ended.insert(tuple, now).is_none() {
                self.ended_order.push_back((now, tuple));
            }
        }
    }

    fn find(&self, tuples: &[Option<PacketTuple>; 2]) -> Option<SlabId> {
        tuples.iter().flatten().find_map(|tuple| self.by_tuple.get(tuple)).copied()
    }

    fn remember(&mut self, event: &DropEvent, fate: Fate) -> bool {
        if self.table.len() >= self.max {
            return false;
        }
        let keep = if event.protocol == Protocol::TCP { REMEMBER_TCP_MS } else { REMEMBER_MS };
        let reason = Arc::new(event.reason.clone());
        let id = self.table.insert(Dropped { event: event.clone(), reason, fate });
        for tuple in tuples(event).into_iter().flatten() {
            self.by_tuple.insert(tuple, id);
        }
        if fate == Fate::Waiting {
            self.waiting.push_back((event.at.plus_ms(WAIT_MS), id));
        }
        self.remembered.push(Reverse((event.at.plus_ms(keep), id)));
        true
    }

    fn forget(&mut self, id: SlabId) {
        let Some(dropped) = self.table.remove(id) else { return };
        for tuple in tuples(&dropped.event).into_iter().flatten() {
            if self.by_tuple.get(&tuple) == Some(&id) {
                self.by_tuple.remove(&tuple);
            }
        }
    }

    fn forget_old(&mut self, now: KernelNs) {
        while let Some(Reverse((until, id))) = self.remembered.peek().copied()
            && until <= now
        {
            self.remembered.pop();
            self.forget(id);
        }
        while let Some((at, tuple)) = self.ended_order.front().copied()
            && now.ms_since(at) >= REMEMBER_ENDED_MS
        {
            self.ended_order.pop_front();
            if self.ended.get(&tuple) == Some(&at) {
                self.ended.remove(&tuple);
            }
        }
    }
}

/// Returns the account in which the kernel counts a drop.
fn account(event: &DropEvent) -> Account {
    (event.protocol.class(), Direction::Drop)
}

/// Returns the packet's ends, as carried and with its original destination.
fn tuples(event: &DropEvent) -> [Option<PacketTuple>; 2] {
    let DropEvent { protocol, source_ip, source_port, dest_ip, dest_port, .. } = *event;
    let source = (source_ip, source_port);
    let carried = PacketTuple { protocol, source, dest: (dest_ip, dest_port) };
    [Some(carried), event.original.map(|original| PacketTuple { dest: original, ..carried })]
}

impl Attempts {
    /// Takes in a dropped packet.
    pub fn dropped(&mut self, event: &DropEvent, desk: &mut Desk<'_>) {
        let account = account(event);
        desk.ledger.consumed(account);
        if let Some(reason) = self.leave_out(event, desk) {
            return desk.ledger.filtered(account, reason);
        }
        let ends = tuples(event);
        let matches = self.attempts_of(&ends, event.at);
        if !matches.is_empty() {
            desk.ledger.filtered(account, FilterReason::Matched);
            let reason = Arc::new(event.reason.clone());
            for id in matches {
                self.match_drop(id, &reason, desk);
            }
            return;
        }
        if let Some((id, known)) = self.drops.find(&ends).and_then(|id| Some((id, self.drops.table.get(id)?))) {
            if !known.is_of_an_attempt_before(event) {
                let reason = if known.fate == Fate::Matched { FilterReason::Matched } else { FilterReason::Repeated };
                return desk.ledger.filtered(account, reason);
            }
            self.settle(id, desk);
            self.drops.forget(id);
        }
        let late = ends
            .iter()
            .flatten()
            .any(|t| self.drops.ended.contains_key(t) || self.drops.ended.contains_key(&t.reversed()));
        if late {
            // The attempt is told already. A new one between the same ends may still be on its way to us.
            self.drops.remember(event, Fate::Matched);
            return desk.ledger.filtered(account, FilterReason::Matched);
        }
        if !self.drops.remember(event, Fate::Waiting) {
            self.record_drop(event, desk);
        }
    }

    fn leave_out(&self, event: &DropEvent, desk: &Desk<'_>) -> Option<FilterReason> {
        let DropEvent { source_ip, dest_ip, netns, .. } = *event;
        if !desk.identities.drop_is_inside(netns, source_ip, dest_ip) {
            return Some(FilterReason::OutsideNode);
        }
        if self.rules.keep_loopback {
            return None;
        }
        if is_loopback(source_ip) || is_loopback(dest_ip) || source_ip == dest_ip {
            return Some(FilterReason::Loopback);
        }
        let pod = desk.identities.pod_of_address(source_ip);
        (pod.is_some() && pod == desk.identities.pod_of_address(dest_ip)).then_some(FilterReason::SamePod)
    }

    /// Returns the attempts of this node that a dropped packet belongs to: the initiator's, the receiver's, or both.
    fn attempts_of(&self, ends: &[Option<PacketTuple>; 2], at: KernelNs) -> Vec<SlabId> {
        let both_ways = |tuple: &PacketTuple| [*tuple, tuple.reversed()];
        let mut found = Vec::new();
        for index in [&self.sent, &self.received] {
            let id = ends.iter().flatten().flat_map(both_ways).find_map(|t| index.get(&t)).copied();
            let fits = |id: &SlabId| self.table.get(*id).is_some_and(|a: &Attempt| a.can_be_dropped_at(at));
            found.extend(id.filter(fits));
        }
        found
    }

    /// Notes the drop at an attempt; the first filter's drop stays, and beats any other reason.
    fn match_drop(&mut self, id: SlabId, reason: &Arc<DropReason>, desk: &mut Desk<'_>) {
        let Some(attempt) = self.table.get_mut(id) else { return };
        if matches!(attempt.state, State::Decided(_)) {
            return;
        }
        if attempt.drop.as_ref().is_none_or(|known| reason.is_filter() && !known.is_filter()) {
            attempt.drop = Some(MatchedDrop(Arc::clone(reason)));
        }
        match (attempt.kind, attempt.state) {
            (_, State::Held { outcome, .. }) if attempt.over && reason.is_filter() => {
                self.decide_or_end(id, outcome, desk);
            }
            (Kind::Tcp, State::Undecided) if attempt.stalled && reason.is_filter() => {
                self.decide_or_end(id, Outcome::Timeout, desk);
            }
            // An answer may be on its way all the same: one packet of several was dropped.
            (Kind::Datagram, State::Undecided) if attempt.side != Side::Receiver || reason.is_filter() => {
                self.hold(id, Outcome::Unanswered, desk);
            }
            (Kind::Tcp | Kind::Datagram, _) => {}
        }
    }

    /// Looks for a drop that came before its attempt.
    pub(super) fn find_waiting_drop(&mut self, id: SlabId, desk: &mut Desk<'_>) {
        if self.drops.table.is_empty() {
            return;
        }
        let Some(attempt) = self.table.get_mut(id) else { return };
        let ends = attempt.packet_tuples();
        let reversed = ends.map(|t| t.map(PacketTuple::reversed));
        let Some(found) = self.drops.find(&ends).or_else(|| self.drops.find(&reversed)) else { return };
        let Some(dropped) = self.drops.table.get_mut(found) else { return };
        if !attempt.can_be_dropped_at(dropped.event.at) {
            return;
        }
        attempt.drop = Some(MatchedDrop(Arc::clone(&dropped.reason)));
        if dropped.fate == Fate::Waiting {
            dropped.fate = Fate::Matched;
            desk.ledger.filtered(account(&dropped.event), FilterReason::Matched);
        }
    }

    /// Makes records of the drops that waited in vain, and forgets old ones.
    pub(super) fn settle_drops(&mut self, desk: &mut Desk<'_>) {
        while let Some((until, id)) = self.drops.waiting.front().copied()
            && until <= desk.now
        {
            self.drops.waiting.pop_front();
            self.settle(id, desk);
        }
        self.drops.forget_old(desk.now);
    }

    /// Makes records of all drops that wait.
    pub(super) fn settle_all_drops(&mut self, desk: &mut Desk<'_>) {
        while let Some((_, id)) = self.drops.waiting.pop_front() {
            self.settle(id, desk);
        }
    }

    fn settle(&mut self, id: SlabId, desk: &mut Desk<'_>) {
        let Some(dropped) = self.drops.table.get_mut(id) else { return };
        if dropped.fate == Fate::Waiting {
            dropped.fate = Fate::Settled;
            let event = dropped.event.clone();
            self.record_drop(&event, desk);
        }
    }

    /// Counts a drop that no attempt of this node answers for.
    fn record_drop(&mut self, event: &DropEvent, desk: &mut Desk<'_>) {
        let account = account(event);
        if !event.first {
            return desk.ledger.filtered(account, FilterReason::Continued);
        }
        let key = self.drop_key(event, desk);
        let read_as = (event.protocol.class(), key.direction());
        desk.ledger.moved(account, read_as);
        let (start, wall) = (desk.clock.wall(event.at), desk.wall());
        let Ok(id) = desk.windows.enter(&key, start, wall, true) else {
            return desk.ledger.lost(read_as, LossReason::KeyTableFull);
        };
        desk.windows.describe(id, event.source_port, None, event.icmp);
        let one = if key.reporter == Reporter::Src {
            Delta { packets_out: 1, ..Delta::default() }
        } else {
            Delta { packets_in: 1, ..Delta::default() }
        };
        desk.windows.add(id, &one, wall);
        desk.windows.complete(id, start, false, wall);
    }

    fn drop_key(&self, event: &DropEvent, desk: &Desk<'_>) -> FlowKey {
        let DropEvent { netns, protocol, source_ip, source_port, dest_ip, dest_port, .. } = *event;
        let port = |port: u16| (protocol.has_ports() && port != 0).then_some(port);
        // A datagram dropped where it was sent never met a hook of its socket: this is all there is to tell of it. A
        // connection's attempt is told by its socket, sooner or later.
        let sender = desk.identities.sender_of_drop(netns, source_ip).filter(|_| protocol != Protocol::TCP);
        let (reporter, local) = match (sender, desk.identities.receiver_of_drop(netns, dest_ip)) {
            (Some(local), _) => (Reporter::Src, local),
            (None, Some(local)) => (Reporter::Dst, local),
            (None, None) => (Reporter::Fwd, LocalIdentity { netns, ..LocalIdentity::none() }),
        };
        FlowKey {
            reporter,
            initiator_known: true,
            protocol,
            source_ip,
            source_port: port(source_port).filter(|_| self.rules.keep_source_ports),
            translated: Some(flow::Destination { ip: dest_ip, port: port(dest_port) }),
            original: event.original.map(|(ip, original)| flow::Destination { ip, port: port(original) }),
            local: Arc::new(local),
            outcome: Outcome::Dropped,
            drop_reason: Some(Arc::new(event.reason.clone())),
        }
    }
}
