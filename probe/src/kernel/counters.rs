//! The programs' own counters, summed over CPUs.

use aya::Ebpf;
use aya::maps::{MapData, PerCpuArray};
use flow::{Direction, LossReason, Protocol};

use super::KernelError;
use super::event::{AttemptCount, AttemptLoss, KernelCounters};
use super::layout::{CLASSES, COUNTERS, DIRECTIONS, LOSSES};

const NAME: &str = "counts";
const PAIRS: usize = CLASSES * DIRECTIONS;

/// In the order of `enum attempt_class`.
const PROTOCOLS: [Protocol; CLASSES] =
    [Protocol::TCP, Protocol::UDP, Protocol::ICMP, Protocol::ICMPV6, Protocol::SCTP, Protocol(255)];
/// In the order of `enum attempt_direction`.
const WAYS: [Direction; DIRECTIONS] = [Direction::Out, Direction::In, Direction::Drop];
/// In the order of `enum loss_reason`.
const REASONS: [LossReason; LOSSES] = [
    LossReason::RingFull,
    LossReason::DropRingFull,
    LossReason::FlowTableFull,
    LossReason::DropTableFull,
    LossReason::NoOwner,
];

/// The table.
pub(super) struct Counters(PerCpuArray<MapData, [u64; COUNTERS]>);

impl Counters {
    pub(super) fn take(programs: &mut Ebpf) -> Result<Self, KernelError> {
        let map = programs.take_map(NAME).ok_or(KernelError::Table { name: NAME })?;
        PerCpuArray::try_from(map).map(Self).map_err(|_| KernelError::Table { name: NAME })
    }

    pub(super) fn read(&self, unreadable: u64, missed_runs: u64) -> Result<KernelCounters, KernelError> {
        let per_cpu =
            self.0.get(&0, 0).map_err(|error| KernelError::Read { name: NAME, error: std::io::Error::other(error) })?;
        let mut sums = [0_u64; COUNTERS];
        for cpu in per_cpu.iter() {
            sums.iter_mut().zip(cpu).for_each(|(sum, n)| *sum = sum.saturating_add(*n));
        }
        Ok(counters(&sums, unreadable, missed_runs))
    }
}

/// Gives the sums of `struct counters` their names.
fn counters(sums: &[u64; COUNTERS], unreadable: u64, missed_runs: u64) -> KernelCounters {
    let (seen, rest) = sums.split_at(PAIRS);
    let (reported, rest) = rest.split_at(PAIRS);
    let (lost, lost_events) = rest.split_at(PAIRS * LOSSES);
    let pair = |at: usize| (PROTOCOLS[at / DIRECTIONS], WAYS[at % DIRECTIONS]);
    let attempts = seen.iter().zip(reported).enumerate().filter(|(_, (seen, reported))| **seen + **reported > 0);
    let losses = lost.iter().enumerate().filter(|(_, n)| **n > 0);
    let events = REASONS.into_iter().zip(lost_events.iter().copied()).filter(|(_, n)| *n > 0);
    KernelCounters {
        attempts: attempts
            .map(|(at, (&seen, &reported))| {
                let (protocol, direction) = pair(at);
                AttemptCount { protocol, direction, seen, reported }
            })
            .collect(),
        lost: losses
            .map(|(at, &attempts)| {
                let (protocol, direction) = pair(at / LOSSES);
                AttemptLoss { protocol, direction, reason: REASONS[at % LOSSES], attempts }
            })
            .collect(),
        lost_events: events.chain((unreadable > 0).then_some((LossReason::Unreadable, unreadable))).collect(),
        missed_runs,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_get_the_names_of_the_kernel_side() {
        let mut sums = [0; COUNTERS];
        sums[0] = 7; // TCP out seen
        sums[PAIRS] = 5; // TCP out reported
        sums[5] = 3; // UDP drop seen
        sums[2 * PAIRS] = 2; // TCP out lost, ring full
        sums[2 * PAIRS + 5 * LOSSES + 1] = 3; // UDP drop lost, drop ring full
        sums[2 * PAIRS + PAIRS * LOSSES] = 9; // events, ring full
        let all = counters(&sums, 1, 4);
        assert_eq!(
            all.attempts,
            [
                AttemptCount { protocol: Protocol::TCP, direction: Direction::Out, seen: 7, reported: 5 },
                AttemptCount { protocol: Protocol::UDP, direction: Direction::Drop, seen: 3, reported: 0 },
            ]
        );
        let loss = |protocol, direction, reason, attempts| AttemptLoss { protocol, direction, reason, attempts };
        assert_eq!(
            all.lost,
            [
                loss(Protocol::TCP, Direction::Out, LossReason::RingFull, 2),
                loss(Protocol::UDP, Direction::Drop, LossReason::DropRingFull, 3),
            ]
        );
        assert_eq!(all.lost_events, [(LossReason::RingFull, 9), (LossReason::Unreadable, 1)]);
        assert_eq!(all.missed_runs, 4);
    }
}
