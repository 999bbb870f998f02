//! What a probe reports of one flow key in one window (topic `millrace.flows.raw.v1`).

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{DropReason, Outcome, Protocol, Stream, UnixMs};

/// Which part of the path the reporting node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Reporter {
    /// The node hosts the initiator.
    Src,
    /// The node hosts the receiver.
    Dst,
    /// The node hosts neither end; it only forwards (drops are seen there).
    Fwd,
}

impl Reporter {
    /// Returns the keyword that records carry.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Src => "src",
            Self::Dst => "dst",
            Self::Fwd => "fwd",
        }
    }
}

/// How the local end of a record was named, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Identity {
    /// By the cgroup of its socket: certain.
    Cgroup,
    /// By the network namespace of its socket or of the dropped packet.
    Netns,
    /// By its address among this node's pods.
    Address,
    /// Not at all: no local end, or the host itself without a cgroup.
    None,
}

impl Identity {
    /// Returns the keyword that records carry.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cgroup => "cgroup",
            Self::Netns => "netns",
            Self::Address => "address",
            Self::None => "none",
        }
    }
}

/// The local end of a record: the pod, or the host, that the socket belongs to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct LocalIdentity {
    /// How it was found.
    pub identity: Identity,
    /// UID of the pod; absent for a process of the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_uid: Option<String>,
    /// The container, as the runtime names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container_id: Option<String>,
    /// Inode of the network namespace; 0 where the kernel did not tell.
    #[serde(default, skip_serializing_if = "is_zero_u32")]
    pub netns: u32,
}

impl LocalIdentity {
    /// Returns the identity of a record without a local end.
    #[must_use]
    pub fn none() -> Self {
        Self { identity: Identity::None, pod_uid: None, container_id: None, netns: 0 }
    }
}

/// An address with the port where the protocol has one and the key keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Destination {
    /// The address; IPv4-mapped IPv6 is written as IPv4.
    pub ip: IpAddr,
    /// The port; absent for protocols without ports or when it was merged away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
}

/// The process that owns the local socket. For pre-forking servers that is the one that called `listen`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Process {
    /// Command name, at most 15 bytes; `*` if several processes were merged.
    pub name: String,
    /// Process id in the probe's PID namespace; absent if several were merged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// Number of different names behind this record (counted up to a bound).
    pub names: u32,
    /// Number of different pids behind this record (counted up to a bound).
    pub pids: u32,
}

/// What was counted for a flow key since its previous record. All are deltas.
///
/// Bytes are layer-4 payload: SYN and FIN are taken off, retransmissions count once. `in` and `out` are seen from the
/// reporting end, as Calico has it: at `src`, *in* is receiver → initiator; at `dst` and `fwd`, *in* is initiator →
/// receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Counters {
    /// Payload bytes received by the reporting end.
    pub bytes_in: u64,
    /// Payload bytes sent by the reporting end.
    pub bytes_out: u64,
    /// Packets received by the reporting end.
    pub packets_in: u64,
    /// Packets sent by the reporting end.
    pub packets_out: u64,
    /// Distinct attempts active at any moment of the record's time.
    pub flows: u64,
    /// Attempts whose decided outcome this record reports. Each attempt is counted in exactly one record.
    pub flows_started: u64,
    /// Attempts that ended.
    pub flows_completed: u64,
    /// Of those that ended, the ones ended by a reset or an error after they were established.
    pub flows_aborted: u64,
}

/// TCP statistics over the connections of a record, from the kernel's socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct TcpStatistics {
    /// Mean congestion window in segments.
    pub mean_send_congestion_window: u64,
    /// Smallest congestion window in segments.
    pub min_send_congestion_window: u64,
    /// Mean of the smoothed round-trip times in microseconds.
    pub mean_smooth_rtt_us: u64,
    /// Largest smoothed round-trip time in microseconds.
    pub max_smooth_rtt_us: u64,
    /// Mean of the minimum round-trip times in microseconds.
    pub mean_min_rtt_us: u64,
    /// Largest minimum round-trip time in microseconds.
    pub max_min_rtt_us: u64,
    /// Mean maximum segment size in bytes.
    pub mean_mss: u64,
    /// Smallest maximum segment size in bytes.
    pub min_mss: u64,
    /// Retransmitted segments.
    pub retransmissions: u64,
    /// Segments the kernel deems lost.
    pub lost_packets: u64,
    /// Timeouts of retransmission not recovered from.
    pub unrecovered_timeouts: u64,
}

/// One flow key in one window, as the probe publishes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RawFlow {
    /// The stream that numbered the record.
    pub stream: Stream,
    /// Number of the record in its stream.
    pub seq: u64,
    /// Begin of the time that the record covers.
    pub start_time: UnixMs,
    /// End of the time that the record covers; it decides the day the record is stored under.
    pub end_time: UnixMs,
    /// Which part of the path this node is.
    pub reporter: Reporter,
    /// False where the probe saw the flow in mid-course and cannot tell who began; source is then the local end.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub initiator_known: bool,
    /// The IP protocol.
    pub protocol: Protocol,
    /// Address of the initiator.
    pub source_ip: IpAddr,
    /// Port of the initiator; absent when merged away (`aggregation: source-port`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_port: Option<u16>,
    /// Some of the source ports behind a merged record, sorted, at most 8.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub source_ports: Vec<u16>,
    /// What the packet carried (after address translation); absent if only the original is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub translated: Option<Destination>,
    /// What the socket asked for (before address translation); absent if only the translated end is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original: Option<Destination>,
    /// The local end.
    pub local: LocalIdentity,
    /// How the attempts went.
    pub outcome: Outcome,
    /// Why the kernel threw the packet away; only with outcome `dropped` or for a drop without an attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drop_reason: Option<DropReason>,
    /// The owner of the local socket, if known and not shed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<Process>,
    /// Type of the first ICMP message, if the protocol is ICMP and it was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icmp_type: Option<u8>,
    /// Code of the first ICMP message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icmp_code: Option<u8>,
    /// What was counted.
    pub counters: Counters,
    /// TCP statistics; absent for other protocols and for attempts that never were established.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp: Option<TcpStatistics>,
    /// Start of the oldest connection counted here.
    pub oldest_start: UnixMs,
    /// Start of the newest connection counted here.
    pub newest_start: UnixMs,
}

impl RawFlow {
    /// Returns the destination that names the far end: the translated one, else the original.
    #[must_use]
    pub fn destination(&self) -> Option<Destination> {
        self.translated.or(self.original)
    }
}

fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_true(value: &bool) -> bool {
    *value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero_u32(value: &u32) -> bool {
    *value == 0
}
