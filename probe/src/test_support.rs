//! A small world for tests: one node with two pods, stories told as sentences, records read as lines.

use std::net::IpAddr;

use flow::{DropReason, Protocol, RawFlow, UnixMs};

use crate::attempt::AdmitRules;
use crate::clock::WallClock;
use crate::identity::Identities;
use crate::kernel::event::*;
use crate::ledger::Closed;
use crate::observe::Observer;

pub(crate) const HOST_NETNS: u32 = 1;
pub(crate) const POD_A: &str = "aaaaaaaa-0000-0000-0000-00000000000a";
pub(crate) const POD_B: &str = "bbbbbbbb-0000-0000-0000-00000000000b";
const CONTAINER: &str = "0f3a9d7c5b1e0f3a9d7c5b1e0f3a9d7c5b1e0f3a9d7c5b1e0f3a9d7c5b1e0f3a";
/// The probe's own process in this world.
pub(crate) const OWN_PID: u32 = 4242;
/// Wall-clock time at kernel time 0: begin of a window.
pub(crate) const BEGIN_MS: u64 = 1_700_000_010_000;

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// The time so many milliseconds into the story; the machine was up for a while before.
pub(crate) fn ms(ms: u64) -> KernelNs {
    KernelNs(1_000_000_000_000).plus_ms(ms)
}

/// Where sockets of this world live.
pub(crate) fn in_pod_a() -> SocketPlace {
    SocketPlace { cookie: 0, netns: 101, cgroup: 11 }
}

pub(crate) fn in_pod_b() -> SocketPlace {
    SocketPlace { cookie: 0, netns: 102, cgroup: 12 }
}

pub(crate) fn on_host() -> SocketPlace {
    SocketPlace { cookie: 0, netns: HOST_NETNS, cgroup: 13 }
}

pub(crate) fn tuple(protocol: Protocol, local: &str, local_port: u16, remote: &str, remote_port: u16) -> SocketTuple {
    SocketTuple { protocol, local_ip: ip(local), local_port, remote_ip: ip(remote), remote_port }
}

/// What the kernel would have counted, and the observer that is told of it.
pub(crate) struct World {
    pub(crate) observer: Observer,
    pub(crate) kernel: KernelCounters,
    pub(crate) now: KernelNs,
    pub(crate) records: Vec<RawFlow>,
    /// Datagram flows that the kernel was asked to forget.
    pub(crate) forgotten: Vec<SocketTuple>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(rules(), 1_000, "/")
    }

    pub(crate) fn with(rules: AdmitRules, max_keys: usize, root: &str) -> Self {
        let mut identities = Identities::new(root, HOST_NETNS);
        for (id, path) in [
            (1, "/".to_owned()),
            (11, format!("/kubepods/burstable/pod{POD_A}/{CONTAINER}")),
            (12, format!("/kubepods/burstable/pod{POD_B}/{CONTAINER}")),
            (13, "/system.slice/kubelet.service".to_owned()),
        ] {
            identities.cgroup(&CgroupEvent { id, path, made: true }, ms(0));
        }
        let clock = WallClock::of(ms(0), u128::from(BEGIN_MS) * 1_000_000);
        let stream = "lab/node-a/1700000000000".parse().unwrap();
        let observer = Observer::new(stream, UnixMs(BEGIN_MS), rules, max_keys, identities, clock);
        Self { observer, kernel: KernelCounters::default(), now: ms(0), records: Vec::new(), forgotten: Vec::new() }
    }

    /// Teaches the addresses of both pods.
    pub(crate) fn with_addresses(mut self) -> Self {
        let identities = self.observer.identities();
        for (netns, pod, address) in [(101, POD_A, "10.0.0.1"), (102, POD_B, "10.0.0.2")] {
            identities.learn_namespace(netns, pod, ms(0));
            identities.learn_address(netns, ip(address), ms(0));
        }
        self
    }

    fn count(&mut self, protocol: Protocol, direction: flow::Direction) {
        let protocol = protocol.class();
        let found = self.kernel.attempts.iter_mut().find(|a| (a.protocol, a.direction) == (protocol, direction));
        match found {
            Some(count) => {
                count.seen += 1;
                count.reported += 1;
            }
            None => self.kernel.attempts.push(AttemptCount { protocol, direction, seen: 1, reported: 1 }),
        }
    }

    /// Tells an event at its own time, counted as the kernel counts it.
    pub(crate) fn tell(&mut self, event: impl Into<KernelEvent>) -> &mut Self {
        let event = event.into();
        let direction = |side| if side == Side::Receiver { flow::Direction::In } else { flow::Direction::Out };
        let at = match &event {
            KernelEvent::Tcp(e) => {
                if !e.reported_before && !e.preexisting {
                    self.count(e.tuple.protocol, direction(e.side));
                }
                e.at
            }
            KernelEvent::Datagram(e) => {
                self.count(e.tuple.protocol, direction(e.side));
                e.at
            }
            KernelEvent::Drop(e) => {
                self.count(e.protocol, flow::Direction::Drop);
                e.at
            }
            KernelEvent::DatagramError(e) => e.at,
            KernelEvent::Cgroup(_) => self.now,
        };
        self.now = self.now.max(at);
        self.observer.observe(&event, self.now);
        self
    }

    /// Lets time pass in steps of 50 ms, reading totals that do not change, and takes the records that come due.
    pub(crate) fn until(&mut self, to_ms: u64) -> &mut Self {
        while self.now < ms(to_ms) {
            self.now = KernelNs((self.now.0 + 50_000_000).min(ms(to_ms).0));
            self.observer.datagram_totals(&[], self.now);
            self.tick();
        }
        self
    }

    /// Does what is due now.
    pub(crate) fn tick(&mut self) {
        self.observer.tick(self.now);
        self.forgotten.extend(self.observer.idle_datagrams().into_iter().map(|key| key.tuple));
        self.observer.take_due(self.now, usize::MAX, &mut self.records);
    }

    pub(crate) fn totals(&mut self, at_ms: u64, totals: DatagramTotals) -> &mut Self {
        self.until(at_ms);
        self.observer.datagram_totals(&[totals], self.now);
        self.tick();
        self
    }

    pub(crate) fn scan(&mut self, at_ms: u64, first: bool, sockets: &[ScannedSocket]) -> &mut Self {
        self.until(at_ms);
        self.observer.scanned(sockets, first, self.now);
        self
    }

    /// Ends the probe, checks that everything closes, and returns the records.
    pub(crate) fn finish(&mut self) -> Vec<RawFlow> {
        self.observer.take_last(self.now, &mut self.records);
        self.check_balance();
        let (ledger, _) = self.observer.take_ledger(self.now, &self.kernel, true, None);
        assert_eq!(ledger.validate(), Ok(()));
        let seqs: Vec<u64> = self.records.iter().map(|r| r.seq).collect();
        assert_eq!(seqs, (0..self.records.len() as u64).collect::<Vec<_>>(), "numbers are dense");
        for record in &self.records {
            assert_eq!(record.validate(), Ok(()), "{record:#?}");
        }
        for account in &ledger.attempts {
            let counted: u64 = self
                .records
                .iter()
                .filter(|r| crate::observe::account_of(r) == (account.protocol, account.direction))
                .map(|r| r.counters.flows_started)
                .sum();
            assert_eq!(counted, account.started, "{account:?}");
        }
        std::mem::take(&mut self.records)
    }

    /// Checks that the books agree with the inventory and the kernel.
    pub(crate) fn check_balance(&self) -> Closed {
        let closed = self.observer.close(&self.kernel);
        assert_eq!((closed.imbalance, closed.unexplained), (0, 0), "{:#?}", closed.accounts);
        closed
    }

    /// Ends the probe and compares the records, as lines, with what was expected.
    pub(crate) fn expect(&mut self, expected: &[&str]) -> Vec<RawFlow> {
        let records = self.finish();
        let mut lines: Vec<String> = records.iter().map(line).collect();
        lines.sort();
        let mut expected: Vec<String> = expected.iter().map(|&l| l.to_owned()).collect();
        expected.sort();
        assert_eq!(lines, expected);
        records
    }

    /// Returns how many attempts were left out for a reason.
    pub(crate) fn filtered(&self, reason: flow::FilterReason) -> u64 {
        self.observer.ledger().filtered_totals().get(&reason).copied().unwrap_or(0)
    }

    /// Returns how many attempts were given up for a reason.
    pub(crate) fn lost(&self, reason: flow::LossReason) -> u64 {
        self.observer.ledger().lost_totals().get(&reason).copied().unwrap_or(0)
    }
}

/// A record in one line: `reporter outcome protocol source>destination (drop reason) flows/started/completed/aborted
/// bytes_in+bytes_out`.
pub(crate) fn line(r: &RawFlow) -> String {
    let c = r.counters;
    let dest = r.destination().unwrap();
    let port = dest.port.map(|p| format!(":{p}")).unwrap_or_default();
    let reason = r.drop_reason.as_ref().map(|d| format!(" {}", d.0)).unwrap_or_default();
    format!(
        "{} {} {} {}>{}{port}{reason} {}/{}/{}/{} {}+{}",
        r.reporter.as_str(),
        r.outcome.as_str(),
        r.protocol,
        r.source_ip,
        dest.ip,
        c.flows,
        c.flows_started,
        c.flows_completed,
        c.flows_aborted,
        c.bytes_in,
        c.bytes_out
    )
}

pub(crate) fn rules() -> AdmitRules {
    AdmitRules { own_pid: OWN_PID, keep_loopback: false, keep_source_ports: false, max_attempts: 10_000 }
}

/// A TCP socket of pod A that connects to pod B, whose story is told by its methods.
#[derive(Clone)]
pub(crate) struct Socket {
    pub(crate) place: SocketPlace,
    pub(crate) tuple: SocketTuple,
    pub(crate) side: Side,
    pub(crate) started: KernelNs,
    pub(crate) owner: Option<Owner>,
    pub(crate) totals: TcpTotals,
    reported: bool,
    pub(crate) preexisting: bool,
}

pub(crate) fn socket(cookie: u64, started_ms: u64) -> Socket {
    let port = 40_000 + u16::try_from(cookie % 20_000).unwrap();
    Socket {
        place: SocketPlace { cookie, ..in_pod_a() },
        tuple: tuple(Protocol::TCP, "10.0.0.1", port, "10.0.0.2", 80),
        side: Side::Initiator,
        started: ms(started_ms),
        owner: Some(Owner { pid: 7, name: "curl".to_owned() }),
        totals: TcpTotals::default(),
        reported: false,
        preexisting: false,
    }
}

impl Socket {
    /// The other end of the same connection, in pod B.
    pub(crate) fn accepted(&self, cookie: u64) -> Self {
        let t = self.tuple;
        Self {
            place: SocketPlace { cookie, ..in_pod_b() },
            tuple: SocketTuple {
                protocol: t.protocol,
                local_ip: t.remote_ip,
                local_port: t.remote_port,
                remote_ip: t.local_ip,
                remote_port: t.local_port,
            },
            side: Side::Receiver,
            ..self.clone()
        }
    }

    pub(crate) fn to(mut self, remote: &str, port: u16) -> Self {
        (self.tuple.remote_ip, self.tuple.remote_port) = (ip(remote), port);
        self
    }

    pub(crate) fn carrying(mut self, bytes_in: u64, bytes_out: u64) -> Self {
        self.carry(bytes_in, bytes_out);
        self
    }

    pub(crate) fn carry(&mut self, bytes_in: u64, bytes_out: u64) {
        self.totals = TcpTotals {
            bytes_in,
            bytes_out,
            packets_in: bytes_in / 100 + 2,
            packets_out: bytes_out / 100 + 3,
            smooth_rtt_us: 100,
            min_rtt_us: 50,
            mss: 1448,
            congestion_window: 10,
            ..TcpTotals::default()
        };
    }

    pub(crate) fn event(&mut self, at_ms: u64, change: TcpChange) -> TcpEvent {
        let first = !std::mem::replace(&mut self.reported, true);
        TcpEvent {
            at: ms(at_ms),
            change,
            side: self.side,
            place: self.place,
            tuple: self.tuple,
            owner: self.owner.clone(),
            started: self.started,
            reported_before: !first || self.preexisting,
            preexisting: self.preexisting,
            totals: self.totals,
        }
    }

    pub(crate) fn established(&mut self, at_ms: u64) -> TcpEvent {
        TcpEvent { totals: TcpTotals::default(), ..self.event(at_ms, TcpChange::Established) }
    }

    pub(crate) fn closed(&mut self, at_ms: u64) -> TcpEvent {
        self.event(at_ms, TcpChange::Closed { aborted: false })
    }

    pub(crate) fn gave_up(&mut self, at_ms: u64, errno: i32) -> TcpEvent {
        self.event(at_ms, TcpChange::GaveUp { errno: u16::try_from(errno).unwrap(), reset: false })
    }

    pub(crate) fn scanned(&self, at_ms: u64) -> ScannedSocket {
        ScannedSocket {
            at: ms(at_ms),
            place: self.place,
            tuple: self.tuple,
            side: self.side,
            listening: false,
            preexisting: self.preexisting,
            owner: self.owner.clone(),
            totals: self.totals,
        }
    }

    /// Its SYN is dropped somewhere.
    pub(crate) fn dropped(&self, at_ms: u64, reason: &str) -> DropEvent {
        drop_of(&self.tuple, at_ms, reason, 102)
    }
}

/// The drop of a packet that a socket sends.
pub(crate) fn drop_of(sender: &SocketTuple, at_ms: u64, reason: &str, netns: u32) -> DropEvent {
    DropEvent {
        at: ms(at_ms),
        reason: DropReason(reason.to_owned()),
        netns,
        protocol: sender.protocol,
        source_ip: sender.local_ip,
        source_port: sender.local_port,
        dest_ip: sender.remote_ip,
        dest_port: sender.remote_port,
        original: None,
        first: true,
        icmp: None,
    }
}

pub(crate) fn reversed(t: &SocketTuple) -> SocketTuple {
    SocketTuple {
        protocol: t.protocol,
        local_ip: t.remote_ip,
        local_port: t.remote_port,
        remote_ip: t.local_ip,
        remote_port: t.local_port,
    }
}

/// The first datagram at a socket.
pub(crate) fn datagram(place: SocketPlace, tuple: SocketTuple, side: Side, at_ms: u64) -> DatagramEvent {
    DatagramEvent { at: ms(at_ms), side, place, tuple, owner: None, icmp: None, bound_before: false }
}

/// The kernel's totals of a datagram flow: packets of 100 bytes.
pub(crate) fn carried(event: &DatagramEvent, packets_in: u64, packets_out: u64, last_ms: u64) -> DatagramTotals {
    DatagramTotals {
        place: event.place,
        tuple: event.tuple,
        bytes_out: packets_out * 100,
        bytes_in: packets_in * 100,
        packets_out,
        packets_in,
        last: ms(last_ms),
    }
}

macro_rules! into_event {
    ($($event:ident => $variant:ident),+) => {
        $(impl From<$event> for KernelEvent {
            fn from(event: $event) -> Self {
                Self::$variant(event)
            }
        })+
    };
}
into_event!(
    TcpEvent => Tcp,
    DatagramEvent => Datagram,
    DatagramError => DatagramError,
    DropEvent => Drop,
    CgroupEvent => Cgroup
);
