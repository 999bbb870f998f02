//! What the kernel tells, out of its bytes and into our types. This is the border between the two halves of the probe:
//! `kernel` makes these values, `attempt` and `window` make records of them and never see a byte or a map.

use std::net::IpAddr;

use flow::{Direction, DropReason, LossReason, Protocol};

/// Nanoseconds of the kernel's monotonic clock (`bpf_ktime_get_ns`). User space turns them into wall-clock time with
/// one offset, measured at start and re-measured now and then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct KernelNs(pub u64);

/// Where a socket lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct SocketPlace {
    /// Socket cookie: the same in every hook, never reused while the machine runs. 0 where unknown.
    pub cookie: u64,
    /// Inode of the network namespace; 0 where unknown.
    pub netns: u32,
    /// Id of the cgroup2 directory; 0 where unknown.
    pub cgroup: u64,
}

/// Both ends of a socket as the socket sees them. IPv4-mapped addresses are IPv4 here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketTuple {
    /// The IP protocol.
    pub protocol: Protocol,
    /// Address of the local end.
    pub local_ip: IpAddr,
    /// Port of the local end; 0 where there is none.
    pub local_port: u16,
    /// Address of the remote end.
    pub remote_ip: IpAddr,
    /// Port of the remote end; 0 where there is none.
    pub remote_port: u16,
}

/// Who opened a socket (connect, listen or socket call).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Owner {
    /// Process id in the initial PID namespace.
    pub pid: u32,
    /// Command name, lossily made UTF-8, at most 15 bytes of the kernel's.
    pub name: String,
}

/// Which end of the attempt the local socket is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// The local socket began it.
    Initiator,
    /// The local socket received it.
    Receiver,
    /// Seen in mid-course; cannot be told.
    Unknown,
}

/// Running totals of one TCP socket, payload only: SYN and FIN are already taken off, retransmissions count once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TcpTotals {
    /// Payload bytes sent and acknowledged.
    pub bytes_out: u64,
    /// Payload bytes received.
    pub bytes_in: u64,
    /// Segments sent.
    pub packets_out: u64,
    /// Segments received.
    pub packets_in: u64,
    /// Smoothed round-trip time in microseconds.
    pub smooth_rtt_us: u32,
    /// Minimum round-trip time in microseconds.
    pub min_rtt_us: u32,
    /// Retransmitted segments.
    pub retransmissions: u32,
    /// Segments that the kernel deems lost.
    pub lost: u32,
    /// Timeouts of retransmission not recovered from.
    pub unrecovered: u32,
    /// Maximum segment size in bytes.
    pub mss: u32,
    /// Congestion window in segments.
    pub congestion_window: u32,
}

/// What happened to a TCP socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TcpChange {
    /// It reached ESTABLISHED.
    Established,
    /// Its SYN had to be sent again: nothing came back for about a second.
    Stalled,
    /// It went to CLOSE from ESTABLISHED or a closing state.
    Closed {
        /// True if a reset or an error ended it (or this side closed it with unread data), not two FINs.
        aborted: bool,
    },
    /// It went to CLOSE before it was established.
    GaveUp {
        /// The socket's error (`ECONNREFUSED`, `EHOSTUNREACH`, `ETIMEDOUT`, …); 0 if the application gave up.
        errno: u16,
        /// A reset came in.
        reset: bool,
    },
    /// The connect call failed before a SYN was made.
    NeverSent {
        /// The error if the hook could tell, else 0.
        errno: u16,
    },
}

/// A change of one TCP socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TcpEvent {
    /// When.
    pub at: KernelNs,
    /// What.
    pub change: TcpChange,
    /// Which end the local socket is.
    pub side: Side,
    /// Where the socket lives.
    pub place: SocketPlace,
    /// Its two ends. The remote end is what the socket asked for (before address translation).
    pub tuple: SocketTuple,
    /// Who opened it.
    pub owner: Option<Owner>,
    /// When the SYN left or arrived; equal to `at` where unknown.
    pub started: KernelNs,
    /// False if this is the first event of an attempt that the kernel counted in `seen` (it is then also counted in
    /// `reported`); true if an earlier event already spoke for it.
    pub reported_before: bool,
    /// True if the kernel never counted it in `seen`: the socket is older than the probe.
    pub preexisting: bool,
    /// The totals so far.
    pub totals: TcpTotals,
}

/// The first packet of a UDP 5-tuple, or of an address pair of another protocol, at a local socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatagramEvent {
    /// When.
    pub at: KernelNs,
    /// Direction of that first packet: [`Side::Initiator`] if it went out; [`Side::Receiver`] if it came in, or if
    /// `bound_before`. The kernel counts the attempt in this direction.
    pub side: Side,
    /// Where the socket lives.
    pub place: SocketPlace,
    /// Its two ends, as the packet carried them at the socket.
    pub tuple: SocketTuple,
    /// Who made the socket.
    pub owner: Option<Owner>,
    /// ICMP type and code of the packet, for ICMP and ICMPv6.
    pub icmp: Option<(u8, u8)>,
    /// True if the socket is older than the probe and was bound to its local port: the local end is then the receiver.
    pub bound_before: bool,
}

/// An error that came back to a datagram socket (port unreachable and the like).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatagramError {
    /// When.
    pub at: KernelNs,
    /// Where the socket lives.
    pub place: SocketPlace,
    /// Its two ends.
    pub tuple: SocketTuple,
    /// The error.
    pub errno: u16,
}

/// A packet that the kernel threw away, told once for a 5-tuple, reason and namespace, and again for each SYN with
/// another sequence number and for a datagram after 60 s without one: once for each attempt, in other words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DropEvent {
    /// When.
    pub at: KernelNs,
    /// The kernel's reason by name.
    pub reason: DropReason,
    /// Namespace in which it was dropped; 0 where the packet had none.
    pub netns: u32,
    /// The protocol.
    pub protocol: Protocol,
    /// Source address as the packet carried it.
    pub source_ip: IpAddr,
    /// Source port; 0 where there is none.
    pub source_port: u16,
    /// Destination address as the packet carried it (translated).
    pub dest_ip: IpAddr,
    /// Destination port; 0 where there is none.
    pub dest_port: u16,
    /// Original destination from the packet's conntrack entry, where it has one and it differs.
    pub original: Option<(IpAddr, u16)>,
    /// True for a TCP segment that begins a connection (SYN without ACK), and for all datagrams.
    pub first: bool,
    /// ICMP type and code.
    pub icmp: Option<(u8, u8)>,
}

/// A cgroup directory that was made or removed, by its path from the root of the hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CgroupEvent {
    /// The id that sockets carry.
    pub id: u64,
    /// Path from the root of the hierarchy, with a leading slash.
    pub path: String,
    /// True if made, false if removed.
    pub made: bool,
}

/// Anything that comes through a ring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KernelEvent {
    /// A change of a TCP socket.
    Tcp(TcpEvent),
    /// A first datagram.
    Datagram(DatagramEvent),
    /// An error for a datagram socket.
    DatagramError(DatagramError),
    /// A dropped packet.
    Drop(DropEvent),
    /// A cgroup came or went.
    Cgroup(CgroupEvent),
}

/// Running totals of one datagram flow, from the kernel's table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatagramTotals {
    /// Where the socket lives (the cookie may be 0).
    pub place: SocketPlace,
    /// Its two ends.
    pub tuple: SocketTuple,
    /// Payload bytes sent.
    pub bytes_out: u64,
    /// Payload bytes received.
    pub bytes_in: u64,
    /// Packets sent.
    pub packets_out: u64,
    /// Packets received.
    pub packets_in: u64,
    /// When the last packet passed.
    pub last: KernelNs,
}

/// A socket found by the scan: those older than the probe, and the totals of connections that stay open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScannedSocket {
    /// When it was looked at.
    pub at: KernelNs,
    /// Where it lives.
    pub place: SocketPlace,
    /// Its two ends; remote address unspecified for listeners and unconnected sockets.
    pub tuple: SocketTuple,
    /// Which end it is, as far as known.
    pub side: Side,
    /// True for a TCP listener or a bound, unconnected UDP socket.
    pub listening: bool,
    /// True if it is older than the probe; else its own events tell of it, or have been told already.
    pub preexisting: bool,
    /// A process that has it open.
    pub owner: Option<Owner>,
    /// The totals (TCP).
    pub totals: TcpTotals,
}

/// The kernel's own count of attempts, by protocol class and direction, summed over CPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttemptCount {
    /// Protocol class: TCP, UDP, ICMP, ICMPv6, SCTP, or 255 for all others.
    pub protocol: Protocol,
    /// Which way.
    pub direction: Direction,
    /// Raised before any ring or table.
    pub seen: u64,
    /// Attempts that an event spoke for (the event was handed to a ring).
    pub reported: u64,
}

/// Attempts that no event could speak for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttemptLoss {
    /// Protocol class as in [`AttemptCount`].
    pub protocol: Protocol,
    /// Which way.
    pub direction: Direction,
    /// Why.
    pub reason: LossReason,
    /// How many.
    pub attempts: u64,
}

/// All counters of the kernel side, read in one go. `seen = reported + lost + in the kernel still undecided`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KernelCounters {
    /// Attempts by class and direction; combinations at 0 left out.
    pub attempts: Vec<AttemptCount>,
    /// Losses; those at 0 left out.
    pub lost: Vec<AttemptLoss>,
    /// Events without an attempt behind them (an end, a cgroup) that found their ring full, by reason.
    pub lost_events: Vec<(LossReason, u64)>,
    /// Program runs that the kernel skipped.
    pub missed_runs: u64,
}
