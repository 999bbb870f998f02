use flow::{Direction, FilterReason, LossReason, Protocol};

use super::*;
use crate::kernel::event::{AttemptCount, AttemptLoss};

const OUT: Account = (Protocol::TCP, Direction::Out);
const IN: Account = (Protocol::TCP, Direction::In);

fn kernel(seen: &[(Account, u64)], lost: &[(Account, u64)]) -> KernelCounters {
    let attempts = seen
        .iter()
        .map(|((protocol, direction), seen)| AttemptCount {
            protocol: *protocol,
            direction: *direction,
            seen: *seen,
            reported: 0,
        })
        .collect();
    let lost = lost
        .iter()
        .map(|((protocol, direction), attempts)| AttemptLoss {
            protocol: *protocol,
            direction: *direction,
            reason: LossReason::RingFull,
            attempts: *attempts,
        })
        .collect();
    KernelCounters { attempts, lost, ..KernelCounters::default() }
}

#[test]
fn an_account_closes() {
    let mut ledger = Ledger::default();
    (0..7).for_each(|_| ledger.consumed(OUT));
    ledger.started(OUT, 3);
    ledger.filtered(OUT, FilterReason::Loopback);
    ledger.lost(OUT, LossReason::KeyTableFull);
    let closed = ledger.close(&kernel(&[(OUT, 12)], &[(OUT, 2)]), &[(OUT, 2)].into());
    assert_eq!((closed.imbalance, closed.unexplained), (0, 0));
    let account = &closed.accounts[0];
    assert_eq!((account.seen, account.started, account.pending), (12, 3, 5));
    assert_eq!(account.lost[&LossReason::RingFull], 2);
    assert_eq!(account.lost[&LossReason::KeyTableFull], 1);
}

#[test]
fn an_attempt_out_of_sight_shows() {
    let mut ledger = Ledger::default();
    ledger.consumed(OUT);
    let closed = ledger.close(&kernel(&[(OUT, 1)], &[]), &HashMap::new());
    assert_eq!((closed.imbalance, closed.unexplained), (1, 1));
    assert_eq!(closed.accounts[0].unexplained(), 1);
}

#[test]
fn an_attempt_counted_twice_shows() {
    let mut ledger = Ledger::default();
    ledger.consumed(OUT);
    ledger.started(OUT, 2);
    let closed = ledger.close(&kernel(&[(OUT, 1)], &[]), &HashMap::new());
    assert_eq!(closed.imbalance, 1);
    assert_eq!(closed.accounts[0].unexplained(), -1);
}

#[test]
fn an_event_from_nowhere_shows() {
    let mut ledger = Ledger::default();
    ledger.consumed(OUT);
    ledger.started(OUT, 1);
    let closed = ledger.close(&KernelCounters::default(), &HashMap::new());
    assert_eq!(closed.imbalance, 0);
    assert_eq!(closed.accounts[0].unexplained(), -1);
}

#[test]
fn moving_takes_what_was_seen_along() {
    let mut ledger = Ledger::default();
    ledger.consumed(OUT);
    ledger.moved(OUT, IN);
    ledger.started(IN, 1);
    let closed = ledger.close(&kernel(&[(OUT, 1)], &[]), &HashMap::new());
    assert_eq!((closed.imbalance, closed.unexplained), (0, 0));
    let seen: Vec<_> = closed.accounts.iter().map(|a| (a.direction, a.seen, a.started)).collect();
    assert_eq!(seen, [(Direction::Out, 0, 0), (Direction::In, 1, 1)]);
}
