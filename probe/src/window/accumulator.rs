//! What was counted for one flow key since its previous record.

use std::collections::BTreeMap;

use flow::{Counters, Process, RawFlow, Stream, TcpStatistics, UnixMs};

use super::KeyId;
use super::key::FlowKey;
use crate::kernel::event::{Owner, TcpTotals};
use crate::overload::Detail;

/// Source ports, names and pids kept for one record.
const MAX_LISTED: usize = 8;

/// A difference of counters that an attempt brings to its key. `in` and `out` are seen from the local end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Delta {
    /// Payload bytes received.
    pub bytes_in: u64,
    /// Payload bytes sent.
    pub bytes_out: u64,
    /// Packets received.
    pub packets_in: u64,
    /// Packets sent.
    pub packets_out: u64,
    /// Segments retransmitted.
    pub retransmissions: u64,
    /// Segments deemed lost.
    pub lost: u64,
    /// Timeouts not recovered from.
    pub unrecovered: u64,
}

impl Delta {
    /// Returns what came after `before` in running totals; a total that fell began anew.
    #[must_use]
    pub fn between(before: &TcpTotals, now: &TcpTotals) -> Self {
        let grown = |before: u64, now: u64| if now >= before { now - before } else { now };
        // These three are gauges on some kernels; a fall is a recovery, not a new beginning.
        let risen = |before: u32, now: u32| u64::from(now.saturating_sub(before));
        Self {
            bytes_in: grown(before.bytes_in, now.bytes_in),
            bytes_out: grown(before.bytes_out, now.bytes_out),
            packets_in: grown(before.packets_in, now.packets_in),
            packets_out: grown(before.packets_out, now.packets_out),
            retransmissions: risen(before.retransmissions, now.retransmissions),
            lost: risen(before.lost, now.lost),
            unrecovered: risen(before.unrecovered, now.unrecovered),
        }
    }

    /// Adds another difference.
    pub fn add(&mut self, other: &Self) {
        self.bytes_in = self.bytes_in.saturating_add(other.bytes_in);
        self.bytes_out = self.bytes_out.saturating_add(other.bytes_out);
        self.packets_in = self.packets_in.saturating_add(other.packets_in);
        self.packets_out = self.packets_out.saturating_add(other.packets_out);
        self.retransmissions = self.retransmissions.saturating_add(other.retransmissions);
        self.lost = self.lost.saturating_add(other.lost);
        self.unrecovered = self.unrecovered.saturating_add(other.unrecovered);
    }

    /// Says whether there is nothing in it.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        *self == Self::default()
    }
}

/// One look at the round-trip times and sizes of a TCP socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    smooth_rtt_us: u32,
    min_rtt_us: u32,
    mss: u32,
    congestion_window: u32,
}

impl Sample {
    /// Returns the sample in the totals, if the kernel filled them.
    #[must_use]
    pub fn of(totals: &TcpTotals) -> Option<Self> {
        let TcpTotals { smooth_rtt_us, min_rtt_us, mss, congestion_window, .. } = *totals;
        // The kernel's "no measurement yet" is all ones.
        let min_rtt_us = if min_rtt_us == u32::MAX { 0 } else { min_rtt_us };
        (mss != 0 || congestion_window != 0).then_some(Self { smooth_rtt_us, min_rtt_us, mss, congestion_window })
    }
}

/// The sample that an attempt last gave to a record, so that each connection weighs once in a mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GivenSample {
    /// The key that it was given to: an attempt may have moved on, and an entry may have been made anew.
    key: KeyId,
    record: u32,
    sample: Sample,
}

#[derive(Debug, Default)]
struct Statistics {
    connections: u64,
    sum_window: u64,
    min_window: Option<u32>,
    sum_smooth: u64,
    max_smooth: u32,
    sum_min_rtt: u64,
    max_min_rtt: u32,
    sum_mss: u64,
    min_mss: Option<u32>,
}

impl Statistics {
    fn add(&mut self, sample: Sample, instead_of: Option<Sample>) {
        if let Some(old) = instead_of {
            self.sum_window -= u64::from(old.congestion_window);
            self.sum_smooth -= u64::from(old.smooth_rtt_us);
            self.sum_min_rtt -= u64::from(old.min_rtt_us);
            self.sum_mss -= u64::from(old.mss);
        } else {
            self.connections += 1;
        }
        self.sum_window += u64::from(sample.congestion_window);
        self.sum_smooth += u64::from(sample.smooth_rtt_us);
        self.sum_min_rtt += u64::from(sample.min_rtt_us);
        self.sum_mss += u64::from(sample.mss);
        self.min_window = Some(self.min_window.map_or(sample.congestion_window, |m| m.min(sample.congestion_window)));
        self.min_mss = Some(self.min_mss.map_or(sample.mss, |m| m.min(sample.mss)));
        self.max_smooth = self.max_smooth.max(sample.smooth_rtt_us);
        self.max_min_rtt = self.max_min_rtt.max(sample.min_rtt_us);
    }

    fn finish(&self, delta: &Delta) -> Option<TcpStatistics> {
        if self.connections == 0 {
            return None;
        }
        let mean = |sum: u64| sum / self.connections.max(1);
        Some(TcpStatistics {
            mean_send_congestion_window: mean(self.sum_window),
            min_send_congestion_window: self.min_window.unwrap_or(0).into(),
            mean_smooth_rtt_us: mean(self.sum_smooth),
            max_smooth_rtt_us: self.max_smooth.into(),
            mean_min_rtt_us: mean(self.sum_min_rtt),
            max_min_rtt_us: self.max_min_rtt.into(),
            mean_mss: mean(self.sum_mss),
            min_mss: self.min_mss.unwrap_or(0).into(),
            retransmissions: delta.retransmissions,
            lost_packets: delta.lost,
            unrecovered_timeouts: delta.unrecovered,
        })
    }
}

/// The process names and pids behind a record.
#[derive(Debug, Default)]
struct Processes {
    names: Vec<Box<str>>,
    pids: Vec<u32>,
}

impl Processes {
    fn add(&mut self, owner: &Owner) {
        if self.names.len() < MAX_LISTED && !self.names.iter().any(|n| **n == *owner.name) {
            self.names.push(owner.name.as_str().into());
        }
        if self.pids.len() < MAX_LISTED && !self.pids.contains(&owner.pid) {
            self.pids.push(owner.pid);
        }
    }

    fn finish(&self) -> Option<Process> {
        let (first, pid) = (self.names.first()?, self.pids.first()?);
        Some(Process {
            name: if self.names.len() == 1 { first.to_string() } else { "*".to_owned() },
            pid: (self.pids.len() == 1).then_some(*pid),
            names: u32::try_from(self.names.len()).unwrap_or(u32::MAX),
            pids: u32::try_from(self.pids.len()).unwrap_or(u32::MAX),
        })
    }
}

/// The counters of one flow key.
#[derive(Debug)]
pub(super) struct Accumulator {
    pub key: FlowKey,
    pub detail: Detail,
    /// When the time that the next record covers began.
    pub since: UnixMs,
    /// When the next record is due.
    pub due: UnixMs,
    /// True once a record was written.
    pub written: bool,
    /// Number of the next record of this key, to know samples of this record from older ones.
    record: u32,
    /// Start times of the attempts open now, with how many share one.
    open: BTreeMap<UnixMs, u32>,
    open_count: u64,
    /// Attempts that were open when the previous record was written.
    carried: u64,
    entered: u64,
    started: u64,
    completed: u64,
    aborted: u64,
    delta: Delta,
    oldest: Option<UnixMs>,
    newest: Option<UnixMs>,
    ports: Vec<u16>,
    processes: Processes,
    statistics: Statistics,
    icmp: Option<(u8, u8)>,
}

impl Accumulator {
    pub(super) fn new(key: FlowKey, detail: Detail, since: UnixMs, due: UnixMs) -> Self {
        Self {
            key,
            detail,
            since,
            due,
            written: false,
            record: 0,
            open: BTreeMap::new(),
            open_count: 0,
            carried: 0,
            entered: 0,
            started: 0,
            completed: 0,
            aborted: 0,
            delta: Delta::default(),
            oldest: None,
            newest: None,
            ports: Vec::new(),
            processes: Processes::default(),
            statistics: Statistics::default(),
            icmp: None,
        }
    }

    pub(super) fn enter(&mut self, start: UnixMs, counts: bool) {
        *self.open.entry(start).or_default() += 1;
        self.open_count += 1;
        self.entered += 1;
        self.started += u64::from(counts);
        self.oldest = Some(self.oldest.map_or(start, |o| o.min(start)));
        self.newest = Some(self.newest.map_or(start, |n| n.max(start)));
    }

    pub(super) fn leave(&mut self, start: UnixMs) {
        if let Some(count) = self.open.get_mut(&start) {
            *count -= 1;
            self.open_count -= 1;
            if *count == 0 {
                self.open.remove(&start);
            }
        }
    }

    pub(super) fn complete(&mut self, aborted: bool) {
        self.completed += 1;
        self.aborted += u64::from(aborted);
    }

    pub(super) fn add(&mut self, delta: &Delta) {
        self.delta.add(delta);
    }

    pub(super) fn sample(&mut self, key: KeyId, sample: Sample, before: Option<GivenSample>) -> GivenSample {
        if self.detail < Detail::WithoutContainers {
            let instead_of = before.filter(|b| b.key == key && b.record == self.record).map(|b| b.sample);
            self.statistics.add(sample, instead_of);
        }
        GivenSample { key, record: self.record, sample }
    }

    pub(super) fn describe(&mut self, port: u16, owner: Option<&Owner>, icmp: Option<(u8, u8)>) {
        self.icmp = self.icmp.or(icmp);
        if self.detail >= Detail::WithoutPorts {
            return;
        }
        if let Some(owner) = owner {
            self.processes.add(owner);
        }
        if self.key.source_port.is_none()
            && port != 0
            && self.ports.len() < MAX_LISTED
            && let Err(place) = self.ports.binary_search(&port)
        {
            self.ports.insert(place, port);
        }
    }

    /// Says whether something happened since the previous record.
    pub(super) fn changed(&self) -> bool {
        self.entered + self.completed > 0 || !self.delta.is_zero()
    }

    /// Returns how many attempts are open.
    pub(super) fn open_count(&self) -> u64 {
        self.open_count
    }

    /// Returns the attempts started that no record counts yet.
    pub(super) fn unwritten(&self) -> u64 {
        self.started
    }

    /// Makes the record of what was counted until `end` and begins anew.
    pub(super) fn write(&mut self, stream: &Stream, end: UnixMs) -> RawFlow {
        let key = &self.key;
        let end = end.max(self.newest.unwrap_or(end)).max(self.since);
        let has_ports = key.protocol.has_ports();
        let record = RawFlow {
            stream: stream.clone(),
            seq: 0,
            start_time: self.since,
            end_time: end,
            reporter: key.reporter,
            initiator_known: key.initiator_known,
            protocol: key.protocol,
            source_ip: key.source_ip,
            source_port: key.source_port.filter(|_| has_ports),
            source_ports: if has_ports { self.ports.clone() } else { Vec::new() },
            translated: key.translated,
            original: key.original,
            local: (*key.local).clone(),
            outcome: key.outcome,
            drop_reason: key.drop_reason.as_deref().cloned(),
            process: self.processes.finish(),
            icmp_type: self.icmp.map(|(kind, _)| kind),
            icmp_code: self.icmp.map(|(_, code)| code),
            counters: Counters {
                bytes_in: self.delta.bytes_in,
                bytes_out: self.delta.bytes_out,
                packets_in: self.delta.packets_in,
                packets_out: self.delta.packets_out,
                flows: self.carried + self.entered,
                flows_started: self.started,
                flows_completed: self.completed,
                flows_aborted: self.aborted,
            },
            tcp: self.statistics.finish(&self.delta),
            oldest_start: self.oldest.unwrap_or(self.since),
            newest_start: self.newest.unwrap_or(self.since),
        };
        self.restart(end);
        record
    }

    fn restart(&mut self, end: UnixMs) {
        self.written = true;
        self.record = self.record.wrapping_add(1);
        self.since = end;
        self.carried = self.open_count;
        (self.entered, self.started, self.completed, self.aborted) = (0, 0, 0, 0);
        self.delta = Delta::default();
        self.statistics = Statistics::default();
        self.oldest = self.open.keys().next().copied();
        self.newest = self.open.keys().next_back().copied();
        if self.open_count == 0 {
            self.ports.clear();
            self.processes = Processes::default();
            self.icmp = None;
        }
    }
}
