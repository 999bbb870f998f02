//! The hooks by name, and how attaching each of them went.

use std::io;

use aya::programs::ProgramError;

/// What runs at one place in the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hook {
    /// TCP state changes: attempts, connections, their ends.
    TcpState,
    /// SYNs sent again.
    TcpRetransmit,
    /// Resets that come in.
    TcpReset,
    /// SYNs that this kernel answers with an ICMP error.
    IcmpSent,
    /// Errors for datagram sockets.
    SocketError,
    /// Packets thrown away.
    Drops,
    /// Cgroups made.
    CgroupMade,
    /// Cgroups removed.
    CgroupRemoved,
    /// Datagrams that reach a socket.
    DatagramIn,
    /// Datagrams that leave a socket.
    DatagramOut,
    /// Datagram sockets made: their owners.
    SocketCreated,
    /// Connect calls over IPv4, for those that never send.
    ConnectIpv4,
    /// Connect calls over IPv6.
    ConnectIpv6,
    /// TCP sockets closed, for those that never sent.
    SocketReleased,
    /// Sockets older than the probe, and totals of those that stay open.
    Scan,
    /// Nothing at all at the place of [`Hook::TcpState`]: the price of the hook, for benchmarks.
    Empty,
}

/// Where a program attaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// A tracepoint by name, with typed arguments.
    Tracepoint(&'static str),
    /// The root of the cgroup2 tree, packets in.
    CgroupIngress,
    /// The root of the cgroup2 tree, packets out.
    CgroupEgress,
    /// The root of the cgroup2 tree, life of sockets.
    CgroupSocket,
    /// The root of the cgroup2 tree, connect calls.
    CgroupConnect,
    /// An iterator by name; runs when read.
    Iterator(&'static str),
}

impl Hook {
    /// All hooks in the order in which they are attached. State changes come first and the scan last, so that each
    /// socket is either seen from its beginning or marked as older.
    pub const ALL: [Self; 16] = [
        Self::TcpState,
        Self::TcpRetransmit,
        Self::TcpReset,
        Self::IcmpSent,
        Self::SocketError,
        Self::Drops,
        Self::CgroupMade,
        Self::CgroupRemoved,
        Self::SocketCreated,
        Self::DatagramIn,
        Self::DatagramOut,
        Self::SocketReleased,
        Self::ConnectIpv4,
        Self::ConnectIpv6,
        Self::Scan,
        Self::Empty,
    ];

    /// Returns the fixed name: that of its first program in the kernel object, for reports and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.programs()[0]
    }

    /// Returns the names of the hook's programs in the kernel object, in the order in which they run. Where there is
    /// more than one, each does what the kernel skipped of those before it (see `bpf/nesting.h`). Cgroup hooks and
    /// iterators are never skipped, and only processes make cgroups.
    pub(super) fn programs(self) -> &'static [&'static str] {
        match self {
            Self::TcpState => &["tcp_state", "tcp_state_second"],
            Self::TcpRetransmit => &["tcp_retransmit", "tcp_retransmit_second"],
            Self::TcpReset => &["tcp_reset", "tcp_reset_second"],
            Self::IcmpSent => &["icmp_sent", "icmp_sent_second"],
            Self::SocketError => &["socket_error", "socket_error_second"],
            Self::Drops => &["packet_dropped", "packet_dropped_second"],
            Self::CgroupMade => &["cgroup_made"],
            Self::CgroupRemoved => &["cgroup_removed"],
            Self::DatagramIn => &["datagram_in"],
            Self::DatagramOut => &["datagram_out"],
            Self::SocketCreated => &["socket_created"],
            Self::ConnectIpv4 => &["connect_ipv4"],
            Self::ConnectIpv6 => &["connect_ipv6"],
            Self::SocketReleased => &["socket_released"],
            Self::Scan => &["scan"],
            Self::Empty => &["empty"],
        }
    }

    /// Returns what is not seen without this hook, for the one line that reports a refusal.
    #[must_use]
    pub fn without(self) -> &'static str {
        match self {
            Self::TcpState => "no TCP connections are seen",
            Self::TcpRetransmit => "an unanswered TCP attempt shows only when it is given up",
            Self::TcpReset => "refused TCP attempts are told by their error alone",
            Self::IcmpSent => "TCP attempts that this node rejects by ICMP at once may end with unknown outcome",
            Self::SocketError => "closed UDP ports show as unanswered",
            Self::Drops => "dropped packets and their reasons are not seen",
            Self::CgroupMade => "pods that live for less than a second may stay unnamed",
            Self::CgroupRemoved => "removed pods are noticed late",
            Self::DatagramIn => "received datagrams are not seen",
            Self::DatagramOut => "sent datagrams are not seen",
            Self::SocketCreated => "datagrams have no process",
            Self::ConnectIpv4 | Self::ConnectIpv6 | Self::SocketReleased => "attempts that never send are not seen",
            Self::Scan => "connections older than the probe show only when they end",
            Self::Empty => "nothing",
        }
    }

    /// Returns the hook without which this one would tell untruths: a connect call is known to have sent only by the
    /// state change that follows.
    pub(super) fn needs(self) -> Option<Self> {
        matches!(self, Self::ConnectIpv4 | Self::ConnectIpv6).then_some(Self::TcpState)
    }

    pub(super) fn place(self) -> Place {
        match self {
            Self::TcpState | Self::Empty => Place::Tracepoint("inet_sock_set_state"),
            Self::TcpRetransmit => Place::Tracepoint("tcp_retransmit_skb"),
            Self::TcpReset => Place::Tracepoint("tcp_receive_reset"),
            Self::IcmpSent => Place::Tracepoint("icmp_send"),
            Self::SocketError => Place::Tracepoint("inet_sk_error_report"),
            Self::Drops => Place::Tracepoint("kfree_skb"),
            Self::CgroupMade => Place::Tracepoint("cgroup_mkdir"),
            Self::CgroupRemoved => Place::Tracepoint("cgroup_rmdir"),
            Self::DatagramIn => Place::CgroupIngress,
            Self::DatagramOut => Place::CgroupEgress,
            Self::SocketCreated | Self::SocketReleased => Place::CgroupSocket,
            Self::ConnectIpv4 | Self::ConnectIpv6 => Place::CgroupConnect,
            Self::Scan => Place::Iterator("task_file"),
        }
    }
}

/// Why a hook is not there.
#[derive(Debug, thiserror::Error)]
pub enum HookError {
    /// The object has no such program: the build is broken.
    #[error("the kernel object has no such program")]
    Missing,
    /// The kernel did not accept the program.
    #[error("the kernel does not load it")]
    Load(#[source] ProgramError),
    /// The kernel did not attach the program.
    #[error("the kernel does not attach it")]
    Attach(#[source] ProgramError),
    /// It would tell untruths without another hook, which is not there.
    #[error("it makes no sense without the hook {}, which is not there", .0.name())]
    Needs(Hook),
    /// The root of the cgroup2 tree could not be opened.
    #[error("cannot open the cgroup2 tree at {path}")]
    CgroupRoot {
        /// The path tried.
        path: String,
        /// What the system said.
        #[source]
        error: io::Error,
    },
}

/// How attaching a hook went.
#[derive(Debug)]
pub enum HookState {
    /// It runs.
    Attached,
    /// The options leave it out.
    Disabled,
    /// The kernel refused it; the others work without it.
    Refused(HookError),
}

/// One hook and how attaching it went.
#[derive(Debug)]
pub struct HookReport {
    /// The hook.
    pub hook: Hook,
    /// How it went.
    pub state: HookState,
}

/// What the kernel counted of the programs of one attached hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunStatistics {
    /// The hook.
    pub hook: Hook,
    /// Events that it ran for, while statistics were on.
    pub runs: u64,
    /// Time of these runs in nanoseconds, of all its programs.
    pub run_ns: u64,
    /// Runs of the first program that the kernel skipped because one was under way on that CPU.
    pub skipped: u64,
    /// The most events that no program of the hook ran for.
    pub missed: u64,
}
