//! From errors to outcomes: the cells of the tables in [`super`].

use flow::{DropReason, Outcome};

use crate::kernel::event::{KernelNs, Side};

/// An application that waits this long and gives up met a silent network; one that gives up sooner did not wait.
const PATIENCE_MS: u64 = 1_000;

/// Returns the outcome of an error that the network or the other side caused, if it is one.
pub(super) fn of_error(errno: u16) -> Option<Outcome> {
    match i32::from(errno) {
        libc::ECONNREFUSED => Some(Outcome::Refused),
        // ICMP and ICMPv6 say it in these words; EACCES is "administratively prohibited" of IPv6, ENOPROTOOPT
        // "protocol unreachable" of IPv4, EPROTO a parameter problem of IPv6.
        libc::EHOSTUNREACH
        | libc::ENETUNREACH
        | libc::EHOSTDOWN
        | libc::ENETDOWN
        | libc::ENONET
        | libc::EACCES
        | libc::ENOPROTOOPT
        | libc::EPROTO => Some(Outcome::Unreachable),
        libc::ETIMEDOUT => Some(Outcome::Timeout),
        _ => None,
    }
}

/// A TCP socket that gave up before it was established.
#[derive(Debug, Clone, Copy)]
pub(super) struct GivenUp {
    pub errno: u16,
    pub reset: bool,
    pub side: Side,
    pub stalled: bool,
    pub started: KernelNs,
    pub at: KernelNs,
}

/// Returns the outcome of giving up, before drops are looked at.
pub(super) fn gave_up(end: GivenUp) -> Outcome {
    let GivenUp { errno, reset, side, stalled, started, at } = end;
    // At the receiver a reset comes from the initiator, who lost interest: nobody refused anything.
    if reset && side != Side::Receiver {
        return Outcome::Refused;
    }
    match (errno, of_error(errno)) {
        (0, _) if !reset && (stalled || at.ms_since(started) >= PATIENCE_MS) => Outcome::Timeout,
        (_, Some(Outcome::Refused)) if side == Side::Receiver => Outcome::Unknown,
        (_, Some(outcome)) => outcome,
        (_, None) => Outcome::Unknown,
    }
}

/// What a matched drop says of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DropKind {
    /// A packet filter threw it away.
    Filter,
    /// There was no way to go: no route, no neighbour.
    NoWay,
    /// Anything else: queues, sockets, checks.
    Other,
}

impl DropKind {
    pub(super) fn of(reason: &DropReason) -> Self {
        let no_way = ["IP_INNOROUTES", "IP_OUTNOROUTES", "NEIGH_FAILED", "NEIGH_CREATEFAIL", "NEIGH_DEAD"];
        if reason.is_filter() {
            Self::Filter
        } else if no_way.contains(&reason.0.as_str()) {
            Self::NoWay
        } else {
            Self::Other
        }
    }
}

/// Returns the outcome with the drop that was matched.
pub(super) fn with_drop(provisional: Outcome, drop: Option<DropKind>, datagram_receiver: bool) -> Outcome {
    let Some(drop) = drop.filter(|d| *d == DropKind::Filter || !datagram_receiver) else { return provisional };
    match (provisional, drop) {
        // The application asked for the socket's error, which takes it away, and closed: the drop still tells.
        (Outcome::Unknown, DropKind::NoWay) => Outcome::Unreachable,
        (Outcome::Timeout | Outcome::Unanswered | Outcome::Unknown | Outcome::Dropped, _)
        | (Outcome::Refused | Outcome::Unreachable, DropKind::Filter) => Outcome::Dropped,
        (Outcome::Refused | Outcome::Unreachable, DropKind::NoWay | DropKind::Other)
        | (Outcome::Established | Outcome::Failed | Outcome::Preexisting | Outcome::Pending, _) => provisional,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(errno: i32, reset: bool, stalled: bool, after_ms: u64, expected: Outcome) {
        let end = GivenUp {
            errno: u16::try_from(errno).unwrap(),
            reset,
            side: Side::Initiator,
            stalled,
            started: KernelNs(0),
            at: KernelNs(after_ms * 1_000_000),
        };
        assert_eq!(gave_up(end), expected, "errno {errno} reset {reset} stalled {stalled} after {after_ms} ms");
    }

    #[test]
    fn giving_up() {
        check(libc::ECONNREFUSED, false, false, 0, Outcome::Refused);
        check(0, true, false, 0, Outcome::Refused);
        check(libc::ECONNREFUSED, true, true, 5_000, Outcome::Refused);
        check(libc::EHOSTUNREACH, false, false, 0, Outcome::Unreachable);
        check(libc::ENETUNREACH, false, true, 3_000, Outcome::Unreachable);
        check(libc::EACCES, false, false, 0, Outcome::Unreachable);
        check(libc::ETIMEDOUT, false, true, 130_000, Outcome::Timeout);
        check(0, false, true, 500, Outcome::Timeout);
        check(0, false, false, 1_000, Outcome::Timeout);
        check(0, false, false, 999, Outcome::Unknown);
        check(libc::EINTR, false, true, 5_000, Outcome::Unknown);
    }

    #[test]
    fn at_the_receiver_a_reset_refuses_nothing() {
        let end = GivenUp {
            errno: 104,
            reset: true,
            side: Side::Receiver,
            stalled: false,
            started: KernelNs(0),
            at: KernelNs(5),
        };
        assert_eq!(gave_up(end), Outcome::Unknown);
    }

    #[test]
    fn a_filters_drop_beats_what_it_may_have_caused() {
        use Outcome::{Dropped, Established, Failed, Pending, Preexisting, Refused, Unknown, Unreachable};
        for outcome in Outcome::ALL {
            let kept = matches!(outcome, Established | Failed | Preexisting | Pending);
            for receiver in [false, true] {
                let expected = if kept { outcome } else { Dropped };
                assert_eq!(with_drop(outcome, Some(DropKind::Filter), receiver), expected);
            }
            let kept = kept || matches!(outcome, Refused | Unreachable);
            let expected = if kept { outcome } else { Dropped };
            assert_eq!(with_drop(outcome, Some(DropKind::Other), false), expected);
            let expected = if outcome == Unknown { Unreachable } else { expected };
            assert_eq!(with_drop(outcome, Some(DropKind::NoWay), false), expected);
            for drop in [Some(DropKind::Other), Some(DropKind::NoWay), None] {
                assert_eq!(with_drop(outcome, drop, true), outcome);
            }
            assert_eq!(with_drop(outcome, None, false), outcome);
        }
    }

    #[test]
    fn reasons_have_their_kind() {
        let kind = |reason: &str| DropKind::of(&DropReason(reason.to_owned()));
        assert_eq!(kind("NETFILTER_DROP"), DropKind::Filter);
        assert_eq!(kind("OVS_LAST_ACTION"), DropKind::Filter);
        assert_eq!(kind("IP_INNOROUTES"), DropKind::NoWay);
        assert_eq!(kind("NEIGH_FAILED"), DropKind::NoWay);
        assert_eq!(kind("NO_SOCKET"), DropKind::Other);
    }
}
