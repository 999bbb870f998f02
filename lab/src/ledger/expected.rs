//! What a scenario promises of an attempt, and what follows from it for flow records and for the application.

use flow::{Outcome, Protocol};
use nix::errno::Errno;
use serde::{Deserialize, Serialize};

use super::Saw;

/// What must happen to an attempt, by the laboratory's hand-written rules and routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expected {
    /// TCP: connected, all bytes exchanged.
    Established,
    /// TCP, opened before the probe starts: connected, all bytes exchanged later.
    Preexisting,
    /// Not TCP: a packet came back.
    Answered,
    /// Not TCP: the packet reached a socket that stays silent.
    Unanswered,
    /// Not TCP: the packet was taken in by a host that tells nobody.
    Swallowed,
    /// Nobody listens: a reset, or port unreachable.
    Refused,
    /// Thrown away by the filter at the input hook of a node.
    DroppedInput,
    /// Thrown away by the filter at the forward hook of a node.
    DroppedForward,
    /// Thrown away by the filter at the output hook of a node.
    DroppedOutput,
    /// The filter at a node's forward hook answered with a TCP reset.
    RejectedReset,
    /// The filter at a node's forward hook answered with ICMP.
    RejectedIcmp,
    /// TCP: taken in by a host that tells nobody; no filter, no drop event.
    TimedOut,
    /// A router said that there is no such host.
    Unreachable,
    /// No route: no packet left.
    Failed,
}

impl Expected {
    /// Returns the outcome that a truthful flow record of the sender's node has.
    ///
    /// A rejecting rule throws the packet away before it answers, so a kernel drop is seen: `dropped`. A router's word
    /// that a host is unreachable ends a TCP attempt, but the kernel tells no other socket, so that is `unanswered`.
    #[must_use]
    pub fn outcome(self, protocol: Protocol) -> Outcome {
        match self {
            Self::Established | Self::Answered => Outcome::Established,
            Self::Preexisting => Outcome::Preexisting,
            Self::Unanswered | Self::Swallowed => Outcome::Unanswered,
            Self::Refused => Outcome::Refused,
            Self::DroppedInput
            | Self::DroppedForward
            | Self::DroppedOutput
            | Self::RejectedReset
            | Self::RejectedIcmp => Outcome::Dropped,
            Self::TimedOut => Outcome::Timeout,
            Self::Unreachable if protocol == Protocol::TCP => Outcome::Unreachable,
            Self::Unreachable => Outcome::Unanswered,
            Self::Failed => Outcome::Failed,
        }
    }

    /// Says whether a socket of the receiver got a packet, so that the receiver's node reports it too.
    #[must_use]
    pub fn reaches_receiver(self) -> bool {
        matches!(self, Self::Established | Self::Preexisting | Self::Answered | Self::Unanswered)
    }

    /// Says whether what an application saw is what this promises.
    #[must_use]
    pub fn agrees(self, protocol: Protocol, saw: Saw) -> bool {
        let tcp = protocol == Protocol::TCP;
        let errno = match saw {
            Saw::Error { errno } => Some(Errno::from_raw(errno)),
            Saw::Connected | Saw::Broken { .. } | Saw::Answered | Saw::Silence | Saw::GaveUp => None,
        };
        let nothing = if tcp { saw == Saw::GaveUp } else { saw == Saw::Silence };
        match self {
            Self::Established | Self::Preexisting => tcp && saw == Saw::Connected,
            Self::Answered => !tcp && saw == Saw::Answered,
            Self::Unanswered | Self::Swallowed => !tcp && nothing,
            Self::TimedOut => tcp && nothing,
            Self::Refused | Self::RejectedReset => errno == Some(Errno::ECONNREFUSED),
            Self::DroppedInput | Self::DroppedForward => nothing,
            // The output hook tells a datagram's sender at once; TCP takes it for a lost segment.
            Self::DroppedOutput => nothing || (!tcp && errno == Some(Errno::EPERM)),
            Self::RejectedIcmp => matches!(errno, Some(Errno::EHOSTUNREACH | Errno::EACCES | Errno::ECONNREFUSED)),
            // Only TCP, or who asks for it, is told of such an ICMP error.
            Self::Unreachable => {
                matches!(errno, Some(Errno::EHOSTUNREACH | Errno::ENETUNREACH)) || (!tcp && saw == Saw::Silence)
            }
            Self::Failed => matches!(errno, Some(Errno::EHOSTUNREACH | Errno::ENETUNREACH)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn applications_confirm_or_contradict() {
        let refused = Saw::Error { errno: Errno::ECONNREFUSED as i32 };
        let (tcp, udp) = (Protocol::TCP, Protocol::UDP);
        let cases = [
            (Expected::Established, tcp, Saw::Connected, true),
            (Expected::Established, tcp, Saw::Broken { errno: 104 }, false),
            (Expected::Answered, udp, Saw::Answered, true),
            (Expected::Answered, udp, Saw::Silence, false),
            (Expected::Refused, tcp, refused, true),
            (Expected::Refused, udp, refused, true),
            (Expected::DroppedForward, tcp, Saw::GaveUp, true),
            (Expected::DroppedForward, tcp, refused, false),
            (Expected::DroppedOutput, udp, Saw::Error { errno: Errno::EPERM as i32 }, true),
            (Expected::DroppedOutput, tcp, Saw::Error { errno: Errno::EPERM as i32 }, false),
            (Expected::TimedOut, tcp, Saw::GaveUp, true),
            (Expected::Unreachable, udp, Saw::Silence, true),
            (Expected::Unreachable, tcp, Saw::GaveUp, false),
        ];
        for (expected, protocol, saw, agrees) in cases {
            assert_eq!(expected.agrees(protocol, saw), agrees, "{expected:?} {protocol} {saw:?}");
        }
    }
}
