//! One attempt as the table holds it.

use std::net::IpAddr;
use std::sync::Arc;

use flow::{Destination, DropReason, LocalIdentity, Outcome, Protocol, Reporter, UnixMs};

use super::{IDLE_MS, PENDING_MS, UNANSWERED_MS, decide};
use crate::identity::Identities;
use crate::kernel::event::{KernelNs, Owner, Side, SocketTuple, TcpTotals};
use crate::ledger::Account;
use crate::window::{Delta, FlowKey, GivenSample, KeyId};

/// Which hooks tell of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A TCP socket: known by its cookie, ended by the kernel.
    Tcp,
    /// Packets between two ends: known by these, ended by silence.
    Datagram,
}

/// How far it has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Nothing decided.
    Undecided,
    /// Decided as `outcome` unless a drop or an answer turns up until then.
    Held {
        /// When it is decided.
        until: KernelNs,
        /// As what.
        outcome: Outcome,
    },
    /// Decided and counted.
    Decided(Outcome),
}

/// A packet by its two ends: what drops are matched by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct PacketTuple {
    pub protocol: Protocol,
    pub source: (IpAddr, u16),
    pub dest: (IpAddr, u16),
}

impl PacketTuple {
    /// Returns the tuple of a packet the other way.
    pub(super) fn reversed(self) -> Self {
        Self { source: self.dest, dest: self.source, ..self }
    }
}

/// A drop that was matched to the attempt.
#[derive(Debug, Clone)]
pub(super) struct MatchedDrop(pub Arc<DropReason>);

impl MatchedDrop {
    pub(super) fn is_filter(&self) -> bool {
        self.0.is_filter()
    }
}

/// One attempt.
#[derive(Debug)]
pub(super) struct Attempt {
    pub kind: Kind,
    pub tuple: SocketTuple,
    pub cookie: u64,
    pub netns: u32,
    pub cgroup: u64,
    pub side: Side,
    pub local: Arc<LocalIdentity>,
    /// Where its packets go, if that was translated.
    pub translated: Option<Destination>,
    pub owner: Option<Arc<Owner>>,
    pub icmp: Option<(u8, u8)>,
    pub started: KernelNs,
    pub start_wall: UnixMs,
    /// The account it is held or counted in; `None` if it was never counted by the kernel, or was given up there.
    pub account: Option<Account>,
    pub state: State,
    pub stalled: bool,
    /// True once its socket is closed: it goes as soon as it is decided.
    pub over: bool,
    /// True once it was shown as pending.
    pub shown: bool,
    pub drop: Option<MatchedDrop>,
    /// The totals at the last look.
    pub seen: TcpTotals,
    /// What came and is in no key yet.
    pub owed: Delta,
    pub packets_in: bool,
    pub packets_out: bool,
    pub sample: Option<GivenSample>,
    /// Datagrams: when the last packet passed. TCP: when the socket was last heard of.
    pub last: KernelNs,
    /// Datagrams: the last packet when the kernel was asked to forget the flow.
    pub idle_since: Option<KernelNs>,
    pub key: Option<KeyId>,
    pub deadline: Option<KernelNs>,
}

impl Attempt {
    /// Returns the port of the initiator.
    pub(super) fn source_port(&self) -> u16 {
        if self.side == Side::Receiver { self.tuple.remote_port } else { self.tuple.local_port }
    }

    /// Returns how the initiator's packets look: as sent, and as translated where that differs.
    pub(super) fn packet_tuples(&self) -> [Option<PacketTuple>; 2] {
        let SocketTuple { protocol, local_ip, local_port, remote_ip, remote_port } = self.tuple;
        let (local, remote) = ((local_ip, local_port), (remote_ip, remote_port));
        let (source, dest) = if self.side == Side::Receiver { (remote, local) } else { (local, remote) };
        let translated = self.translated.filter(|_| self.side != Side::Receiver);
        let translated = translated.map(|to| PacketTuple { protocol, source, dest: (to.ip, to.port.unwrap_or(0)) });
        [Some(PacketTuple { protocol, source, dest }), translated]
    }

    /// Says whether a drop at that time can be one of this attempt's packets. A TCP socket tells of its SYN late, and
    /// where it cannot tell when that was, the retry a second later is taken for the start.
    pub(super) fn can_be_dropped_at(&self, at: KernelNs) -> bool {
        let slack_ms = if self.kind == Kind::Tcp { 2_000 } else { 100 };
        at.plus_ms(slack_ms) >= self.started
    }

    /// Says whether the outcome is one of a connection that worked.
    pub(super) fn outcome_has_statistics(&self) -> bool {
        matches!(self.state, State::Decided(Outcome::Established | Outcome::Preexisting))
    }

    /// Returns the outcome with what is known by now: an answer, a drop.
    pub(super) fn final_outcome(&self, provisional: Outcome) -> Outcome {
        if self.kind == Kind::Datagram && self.packets_in && self.packets_out {
            return Outcome::Established;
        }
        let drop = self.drop.as_ref().map(|drop| decide::DropKind::of(&drop.0));
        let at_receiver = self.kind == Kind::Datagram && self.side == Side::Receiver;
        decide::with_drop(provisional, drop, at_receiver)
    }

    /// Returns the flow key under an outcome.
    pub(super) fn flow_key(&self, outcome: Outcome, keep_source_ports: bool, identities: &Identities) -> FlowKey {
        let SocketTuple { protocol, local_ip, local_port, remote_ip, remote_port } = self.tuple;
        let port = |port: u16| (protocol.has_ports() && port != 0).then_some(port);
        // A connect that failed early has no local address yet; its pod has only one to send from, or it stays open.
        let local_ip = if local_ip.is_unspecified() {
            identities.only_address(self.netns, remote_ip).unwrap_or(local_ip)
        } else {
            local_ip
        };
        let local = Destination { ip: local_ip, port: port(local_port) };
        let remote = Destination { ip: remote_ip, port: port(remote_port) };
        let (reporter, source, translated, original) = if self.side == Side::Receiver {
            (Reporter::Dst, remote, Some(local), None)
        } else {
            (Reporter::Src, local, self.translated, Some(remote))
        };
        FlowKey {
            reporter,
            initiator_known: self.side != Side::Unknown,
            protocol,
            source_ip: source.ip,
            source_port: source.port.filter(|_| keep_source_ports),
            translated,
            original,
            local: Arc::clone(&self.local),
            outcome,
            drop_reason: self.drop.as_ref().filter(|_| outcome == Outcome::Dropped).map(|d| Arc::clone(&d.0)),
        }
    }

    /// Returns when something is due for it.
    pub(super) fn next_deadline(&self) -> Option<KernelNs> {
        let pending = (!self.shown && self.account.is_some()).then(|| self.started.plus_ms(PENDING_MS));
        let silence = |ms| (self.kind == Kind::Datagram).then(|| self.last.plus_ms(ms));
        match self.state {
            State::Held { until, .. } => Some(until),
            State::Undecided => [pending, silence(UNANSWERED_MS)].into_iter().flatten().min(),
            State::Decided(_) => silence(IDLE_MS),
        }
    }
}
