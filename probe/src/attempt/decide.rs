//! From errors to outcomes: the cells of the tables in [`super`].

use flow::Outcome;

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

/// Returns the outcome with the drop that was matched: `Some(true)` is a filter's, `Some(false)` another.
pub(super) fn with_drop(provisional: Outcome, drop: Option<bool>, datagram_receiver: bool) -> Outcome {
    let beaten = match drop {
        None => false,
        Some(false) if datagram_receiver => false,
        Some(filter) => match provisional {
            Outcome::Timeout | Outcome::Unanswered | Outcome::Unknown | Outcome::Dropped => true,
            Outcome::Refused | Outcome::Unreachable => filter,
            Outcome::Established | Outcome::Failed | Outcome::Preexisting | Outcome::Pending => false,
        },
    };
    if beaten { Outcome::Dropped } else { provisional }
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
        for outcome in Outcome::ALL {
            use Outcome::{Dropped, Established, Failed, Pending, Preexisting, Refused, Unreachable};
            let kept = matches!(outcome, Established | Failed | Preexisting | Pending);
            assert_eq!(with_drop(outcome, Some(true), false), if kept { outcome } else { Dropped });
            let kept = kept || matches!(outcome, Refused | Unreachable);
            assert_eq!(with_drop(outcome, Some(false), false), if kept { outcome } else { Dropped });
            assert_eq!(with_drop(outcome, Some(false), true), outcome);
            assert_eq!(with_drop(outcome, None, false), outcome);
        }
    }
}
