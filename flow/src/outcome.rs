//! How an attempt went, and what kind of drop ended it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How an attempt went, never how a connection closed later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// TCP reached ESTABLISHED; for other protocols a packet came back.
    Established,
    /// The other side said no: a reset to the SYN, or port unreachable to the datagram.
    Refused,
    /// The network said no: no route, host unreachable, neighbour failed.
    Unreachable,
    /// No packet left this host.
    Failed,
    /// TCP: nothing came back until kernel or application gave up.
    Timeout,
    /// Not TCP: nothing came back within 10 s of the last packet.
    Unanswered,
    /// A kernel drop event was matched to the attempt.
    Dropped,
    /// The connection is older than the probe; it counts as active, never as started.
    Preexisting,
    /// Not decided when the record was written; counted in `num_flows` only.
    Pending,
    /// The probe cannot tell.
    Unknown,
}

impl Outcome {
    /// All outcomes, in the order of the documentation.
    pub const ALL: [Self; 10] = [
        Self::Established,
        Self::Refused,
        Self::Unreachable,
        Self::Failed,
        Self::Timeout,
        Self::Unanswered,
        Self::Dropped,
        Self::Preexisting,
        Self::Pending,
        Self::Unknown,
    ];

    /// Returns the keyword that records carry.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Established => "established",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::Failed => "failed",
            Self::Timeout => "timeout",
            Self::Unanswered => "unanswered",
            Self::Dropped => "dropped",
            Self::Preexisting => "preexisting",
            Self::Pending => "pending",
            Self::Unknown => "unknown",
        }
    }
}

/// The kernel's name for why a packet was thrown away, without the `SKB_DROP_REASON_` prefix.
///
/// Numbers differ between kernels, so the name is the identity. Subsystem reasons (≥ 65,536 in the kernel's encoding)
/// carry their subsystem in front: `OVS_LAST_ACTION`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct DropReason(pub String);

impl DropReason {
    /// Says whether a packet filter dropped the packet: netfilter, a cgroup BPF program, tc, XDP, a socket filter, or
    /// Open vSwitch by its own decision. Everything else (routing, neighbours, buffers, checksums) is no filter's drop.
    #[must_use]
    pub fn is_filter(&self) -> bool {
        let name = self.0.as_str();
        let exact = ["NETFILTER_DROP", "SOCKET_FILTER", "XDP"];
        let prefixes = ["BPF_CGROUP_", "TC_", "OVS_", "XDP_"];
        exact.contains(&name) || prefixes.iter().any(|p| name.starts_with(p))
    }
}
