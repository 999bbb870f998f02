//! The account of the stream: what the kernel counted, and where each attempt went.
//!
//! Two counts are kept that know nothing of each other. The *books* are raised as things happen: consumed (an event
//! spoke for an attempt), started (a record that counts it was numbered), filtered, lost. The *inventory* is taken when
//! a ledger is written: attempts undecided in the table, drops on hold, attempts started that no record counts yet.
//!
//! ```text
//! held      = consumed + moved − started − filtered − lost      (books = inventory, else imbalance)
//! pending   = kernel seen − kernel lost − consumed + held       (not yet read, plus held)
//! seen      = started + pending + lost + filtered               (what the reader checks)
//! ```
//!
//! `pending` is made of the inventory, so an attempt that the books lost sight of shows as `unexplained` in the ledger
//! record instead of hiding in it. *Moved*: the kernel counts a datagram flow by its first packet, a drop as a drop; a
//! record may say otherwise (a bound socket older than the probe is the receiver; a datagram dropped in its sender's own
//! namespace is the sender's). Then the attempt moves to the account that the record is read under, and `seen` with it.

pub mod state;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};

use flow::{AttemptAccount, Direction, FilterReason, LossReason, Protocol};

use crate::kernel::event::KernelCounters;

/// Protocol class and direction: what attempts are accounted by.
pub type Account = (Protocol, Direction);

#[derive(Debug, Clone, Default)]
struct Book {
    consumed: u64,
    moved: i64,
    started: u64,
    filtered: BTreeMap<FilterReason, u64>,
    lost: BTreeMap<LossReason, u64>,
}

/// The books of one stream. All numbers are totals since its start.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    books: BTreeMap<Account, Book>,
}

impl Ledger {
    fn book(&mut self, account: Account) -> &mut Book {
        self.books.entry(account).or_default()
    }

    /// An event spoke for an attempt that the kernel counted.
    pub fn consumed(&mut self, account: Account) {
        self.book(account).consumed += 1;
    }

    /// An attempt was left out on purpose.
    pub fn filtered(&mut self, account: Account, reason: FilterReason) {
        *self.book(account).filtered.entry(reason).or_default() += 1;
    }

    /// An attempt was given up.
    pub fn lost(&mut self, account: Account, reason: LossReason) {
        *self.book(account).lost.entry(reason).or_default() += 1;
    }

    /// An attempt is read under another account than the kernel counted it in.
    pub fn moved(&mut self, from: Account, to: Account) {
        if from != to {
            self.book(from).moved -= 1;
            self.book(to).moved += 1;
        }
    }

    /// A record that counts so many attempts got its number.
    pub fn started(&mut self, account: Account, attempts: u64) {
        if attempts > 0 {
            self.book(account).started += attempts;
        }
    }

    /// Sums the attempts filtered, by reason.
    #[must_use]
    pub fn filtered_totals(&self) -> BTreeMap<FilterReason, u64> {
        sum_by_reason(self.books.values().map(|book| &book.filtered))
    }

    /// Sums the attempts that user space lost, by reason.
    #[must_use]
    pub fn lost_totals(&self) -> BTreeMap<LossReason, u64> {
        sum_by_reason(self.books.values().map(|book| &book.lost))
    }

    /// Closes the account: kernel counters and inventory against the books. The counters must have been read after the
    /// events, and everything read must have been observed.
    #[must_use]
    pub fn close(&self, kernel: &KernelCounters, inventory: &HashMap<Account, u64>) -> Closed {
        let mut accounts: BTreeMap<Account, Book> = self.books.clone();
        let mut seen: HashMap<Account, u64> = HashMap::new();
        let mut lost: HashMap<Account, u64> = HashMap::new();
        for count in &kernel.attempts {
            let account = (count.protocol.class(), count.direction);
            *seen.entry(account).or_default() += count.seen;
            accounts.entry(account).or_default();
        }
        for loss in &kernel.lost {
            let account = (loss.protocol.class(), loss.direction);
            *lost.entry(account).or_default() += loss.attempts;
            *accounts.entry(account).or_default().lost.entry(loss.reason).or_default() += loss.attempts;
        }
        for account in inventory.keys() {
            accounts.entry(*account).or_default();
        }
        let mut closed = Closed::default();
        for (account, book) in accounts {
            let seen = i128::from(seen.get(&account).copied().unwrap_or(0));
            let kernel_lost = i128::from(lost.get(&account).copied().unwrap_or(0));
            let held = i128::from(inventory.get(&account).copied().unwrap_or(0));
            let user_lost = sum(book.lost.values()) - kernel_lost;
            let booked = i128::from(book.consumed) + i128::from(book.moved)
                - i128::from(book.started)
                - sum(book.filtered.values())
                - user_lost;
            closed.imbalance += (booked - held).unsigned_abs();
            let pending = seen - kernel_lost - i128::from(book.consumed) + held;
            let written = AttemptAccount {
                protocol: account.0,
                direction: account.1,
                seen: clamp(seen + i128::from(book.moved)),
                started: book.started,
                pending: clamp(pending),
                lost: book.lost,
                filtered: book.filtered,
            };
            closed.unexplained += written.unexplained().unsigned_abs();
            closed.accounts.push(written);
        }
        closed
    }
}

/// The accounts as a ledger record carries them, and whether they close.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Closed {
    /// One per protocol class and direction.
    pub accounts: Vec<AttemptAccount>,
    /// Attempts by which books and inventory differ: 0, or the probe has a defect.
    pub imbalance: u128,
    /// Attempts that the accounts do not explain.
    pub unexplained: u128,
}

fn sum<'a>(parts: impl Iterator<Item = &'a u64>) -> i128 {
    parts.map(|n| i128::from(*n)).sum()
}

fn clamp(n: i128) -> u64 {
    u64::try_from(n.max(0)).unwrap_or(u64::MAX)
}

fn sum_by_reason<'a, R: Copy + Ord + 'a>(parts: impl Iterator<Item = &'a BTreeMap<R, u64>>) -> BTreeMap<R, u64> {
    let mut sums = BTreeMap::new();
    for (reason, count) in parts.flatten() {
        *sums.entry(*reason).or_default() += count;
    }
    sums
}
