//! The two balances of one stream, drawn from its entries in the order of their numbers. Pure: entries in, report out.
//!
//! *Records*: every number below the last is stored, a dead letter, or removed by retention. *Attempts*: each ledger
//! closes in itself, and between two ledgers the stored records start as many attempts, by protocol and direction, as the
//! ledgers' difference says, and give the same digest. Differences rather than totals, so that what retention took away
//! at the beginning does not stand in the way of what is left.

mod interval;
pub mod report;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use flow::wire::dead_letter::Reason;
use flow::{LedgerRecord, Predecessor, Stream, UnixMs};
use store::{Entry, EntryKind, Quantities};

use crate::dead_letter::{self, Content};

use interval::{AccountKey, Interval, account_of};
use report::{Account, AttemptBalance, End, Finding, MAX_LISTED, RecordBalance, StreamReport, Window, protocol_name};

/// What is known from elsewhere of how a stream ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// What the next incarnation says of this one.
    pub told: Option<Predecessor>,
    /// When the next incarnation of the node began, if there is one.
    pub successor_epoch: Option<UnixMs>,
    /// True if its latest record is young enough for the stream to be going on.
    pub recent: bool,
    /// End of its latest record or ledger.
    pub last_end: Option<UnixMs>,
}

/// The balances of one stream in the making.
#[derive(Debug)]
pub struct StreamBalance {
    stream: Stream,
    records: RecordBalance,
    /// The lowest number not yet met.
    next: u64,
    /// What lies under the number being read; its entries come one after the other.
    here: Option<Here>,
    interval: Interval,
    last_ledger: Option<Box<LedgerRecord>>,
    predecessor: Option<Predecessor>,
    attempts: AttemptBalance,
    stored_before_ledger: BTreeMap<AccountKey, u64>,
    /// Missing ranges above the last ledger: judged by the next one, or by how the stream ended.
    unaccounted: Vec<(u64, u64)>,
    closing: Option<u64>,
    after_closing: bool,
    findings: Vec<Finding>,
    findings_total: u64,
}

/// All entries of one number.
#[derive(Debug)]
struct Here {
    seq: u64,
    stored: Vec<Entry>,
    dead: Option<Entry>,
    conflict: bool,
}

impl StreamBalance {
    /// Begins with an empty stream.
    #[must_use]
    pub fn new(stream: Stream) -> Self {
        Self {
            stream,
            records: RecordBalance::default(),
            next: 0,
            here: None,
            interval: Interval::first(),
            last_ledger: None,
            predecessor: None,
            attempts: AttemptBalance::default(),
            stored_before_ledger: BTreeMap::new(),
            unaccounted: Vec::new(),
            closing: None,
            after_closing: false,
            findings: Vec::new(),
            findings_total: 0,
        }
    }

    /// Adds an entry; they come in the order of their numbers.
    pub fn push(&mut self, entry: Entry) {
        if let EntryKind::Removed { to } = entry.kind {
            self.settle();
            self.removed(entry.seq, to);
            return;
        }
        if self.here.as_ref().is_some_and(|here| here.seq != entry.seq) {
            self.settle();
        }
        let here =
            self.here.get_or_insert_with(|| Here { seq: entry.seq, stored: Vec::new(), dead: None, conflict: false });
        match &entry.kind {
            EntryKind::DeadLetter { reason, .. } => {
                here.conflict |= reason == Reason::Conflict.label();
                here.dead = Some(entry);
            }
            EntryKind::Flow(_) | EntryKind::Ledger(_) | EntryKind::Unreadable { .. } | EntryKind::Removed { .. } => {
                here.stored.push(entry);
            }
        }
    }

    /// Returns what the stream's first ledger says of the incarnation before.
    #[must_use]
    pub fn predecessor(&mut self) -> Option<&Predecessor> {
        self.settle();
        self.predecessor.as_ref()
    }

    /// Ends the stream.
    #[must_use]
    pub fn finish(mut self, around: &Surroundings) -> StreamReport {
        self.settle();
        self.tail(around);
        let end = self.end(around);
        let lost_in_window = match &end {
            End::Closed => false,
            End::StillOpen | End::Indeterminate(_) => true,
        };
        for (from, to) in std::mem::take(&mut self.unaccounted) {
            if lost_in_window {
                self.records.in_flight += to - from + 1;
            } else {
                self.missing(from, to);
            }
        }
        self.records.expected = self.next;
        self.attempts.accounts = self.accounts();
        self.findings.sort_by_key(Finding::seq);
        StreamReport {
            stream: self.stream,
            end,
            records: self.records,
            attempts: self.attempts,
            findings: self.findings,
            findings_total: self.findings_total,
        }
    }

    /// Takes what the next incarnation knows of numbers that were given: a range above all that is stored is missing.
    fn tail(&mut self, around: &Surroundings) {
        let Some(told) = &around.told else { return };
        if self.next < told.next_seq {
            self.gap(self.next, told.next_seq - 1);
            self.next = told.next_seq;
        }
    }

    fn end(&self, around: &Surroundings) -> End {
        let told_closed = around.told.as_ref().is_some_and(|told| told.closed);
        if self.closing.is_some() || told_closed {
            return End::Closed;
        }
        if around.successor_epoch.is_none() && around.told.is_none() && around.recent {
            return End::StillOpen;
        }
        let records = self.unaccounted.iter().map(|(from, to)| to - from + 1).sum();
        let from = around.told.as_ref().map(|told| told.last_known).max(around.last_end);
        End::Indeterminate(Window {
            stream: self.stream.clone(),
            from: from.unwrap_or(UnixMs(self.stream.epoch())),
            to: around.successor_epoch,
            records,
        })
    }

    /// Judges all that lies under one number.
    fn settle(&mut self) {
        let Some(here) = self.here.take() else { return };
        let seq = here.seq;
        if seq > self.next {
            self.gap(self.next, seq - 1);
        }
        // A number inside a range that retention took stands there already.
        let first_time = seq >= self.next;
        self.next = self.next.max(seq + 1);
        if let Some(closing) = self.closing
            && seq > closing
            && !self.after_closing
        {
            self.after_closing = true;
            self.find(Finding::AfterClosing { seq, closing });
        }
        let conflict = here.conflict && !here.stored.is_empty();
        if conflict {
            self.find(Finding::Conflict { seq });
        }
        if here.stored.len() > 1 {
            self.records.doubled += 1;
            let same = here.stored.windows(2).all(|pair| pair[0].kind == pair[1].kind);
            let places = here.stored.iter().map(|entry| entry.place.to_string()).collect();
            self.find(Finding::Doubled { seq, places, same });
        }
        match (here.stored.into_iter().next(), here.dead) {
            (Some(entry), _) => {
                self.stand(first_time, |records| &mut records.stored);
                self.stored(seq, entry);
            }
            (None, Some(dead)) => {
                self.stand(first_time, |records| &mut records.dead_lettered);
                self.dead(seq, &dead);
            }
            (None, None) => {}
        }
    }

    fn stand(&mut self, first_time: bool, column: impl FnOnce(&mut RecordBalance) -> &mut u64) {
        *column(&mut self.records) += 1;
        if !first_time {
            self.records.removed = self.records.removed.saturating_sub(1);
        }
    }

    fn stored(&mut self, seq: u64, entry: Entry) {
        match entry.kind {
            EntryKind::Flow(quantities) => self.count(seq, &quantities),
            EntryKind::Ledger(ledger) => self.ledger(ledger),
            EntryKind::Unreadable { reason } => {
                self.interval.incomplete = true;
                self.find(Finding::Unreadable { seq, place: entry.place.to_string(), reason });
            }
            EntryKind::DeadLetter { .. } | EntryKind::Removed { .. } => {}
        }
    }

    fn count(&mut self, seq: u64, quantities: &Quantities) {
        match account_of(quantities) {
            Some(account) => self.interval.add(seq, account, quantities),
            None => {
                self.interval.incomplete = true;
                let reason = format!(
                    "reporter `{}`, protocol `{}` or outcome `{}` is none",
                    quantities.reporter.escape_debug(),
                    quantities.proto.escape_debug(),
                    quantities.outcome.escape_debug()
                );
                self.find(Finding::Unreadable { seq, place: self.stream.to_string(), reason });
            }
        }
    }

    /// A dead letter that can still be read counts like a record; any other makes its interval undecidable.
    fn dead(&mut self, seq: u64, entry: &Entry) {
        let EntryKind::DeadLetter { value, .. } = &entry.kind else { return };
        match dead_letter::content(value, &self.stream, seq) {
            Some(Content::Flow(quantities)) => self.count(seq, &quantities),
            Some(Content::Ledger(ledger)) => self.ledger(ledger),
            None => self.interval.dead_letters += 1,
        }
    }

    fn ledger(&mut self, ledger: Box<LedgerRecord>) {
        let seq = ledger.seq;
        self.attempts.ledgers += 1;
        for account in &ledger.attempts {
            let unexplained = account.unexplained();
            if unexplained != 0 {
                let (protocol, direction) = (protocol_name(account.protocol), account.direction);
                self.find(Finding::Account { seq, protocol, direction, unexplained: unexplained.to_string() });
            }
        }
        // What was missing until now is below a ledger: it was given, and it is not here.
        for (from, to) in std::mem::take(&mut self.unaccounted) {
            self.missing(from, to);
        }
        let before = self.last_ledger.as_ref().map(|before| before.seq);
        let follows = ledger.from_seq == before.unwrap_or(0);
        if !follows && self.interval.is_whole() {
            self.find(Finding::LedgerChain { seq, from_seq: ledger.from_seq, before });
        }
        let interval = std::mem::replace(&mut self.interval, Interval::after(&ledger));
        for (account, attempts) in &interval.started {
            *self.stored_before_ledger.entry(*account).or_default() += attempts;
        }
        self.compare(&interval, &ledger, follows);
        if before.is_none() {
            self.predecessor.clone_from(&ledger.predecessor);
        }
        if ledger.closing {
            self.closing = Some(seq);
        }
        self.attempts.last_ledger = Some(seq);
        self.last_ledger = Some(ledger);
    }

    /// Totals can be compared from any ledger to any later one; the digest only from one to the next.
    fn compare(&mut self, interval: &Interval, ledger: &LedgerRecord, follows: bool) {
        if interval.removed {
            self.attempts.removed_intervals += 1;
            return;
        }
        let mut shortfall = 0;
        for (account, said, found) in interval.differences(ledger) {
            // Dead letters that cannot be read may hold what is lacking, never what is too much.
            let lacking = u64::try_from(i128::from(said) - i128::from(found));
            match lacking {
                Ok(lacking) if interval.dead_letters > 0 => shortfall += lacking,
                _ => self.find(Finding::Started {
                    seq: ledger.seq,
                    from_seq: ledger.from_seq,
                    protocol: protocol_name(account.0),
                    direction: account.1,
                    ledger: said,
                    records: found,
                }),
            }
        }
        if interval.dead_letters > 0 {
            self.attempts.undecidable_intervals += 1;
            self.attempts.in_dead_letters += shortfall;
        } else if follows && interval.is_whole() {
            if interval.digest() == ledger.digest {
                self.attempts.verified_intervals += 1;
            } else {
                self.find(Finding::Digest { seq: ledger.seq, from_seq: ledger.from_seq });
            }
        }
    }

    fn removed(&mut self, from: u64, to: u64) {
        if from > self.next {
            self.gap(self.next, from - 1);
        }
        let first_new = from.max(self.next);
        if to >= first_new {
            self.records.removed += to - first_new + 1;
            self.next = to + 1;
        }
        self.interval.removed = true;
    }

    fn gap(&mut self, from: u64, to: u64) {
        self.interval.incomplete = true;
        self.unaccounted.push((from, to));
    }

    fn missing(&mut self, from: u64, to: u64) {
        self.records.unexplained += to - from + 1;
        self.find(Finding::Missing { seq: from, to });
    }

    fn find(&mut self, finding: Finding) {
        self.findings_total += 1;
        if self.findings.len() < MAX_LISTED {
            self.findings.push(finding);
        }
    }

    fn accounts(&self) -> Vec<Account> {
        let Some(ledger) = &self.last_ledger else { return Vec::new() };
        let account = |account: &flow::AttemptAccount| Account {
            protocol: protocol_name(account.protocol),
            direction: account.direction,
            seen: account.seen,
            started: account.started,
            stored: self.stored_before_ledger.get(&account.key()).copied().unwrap_or(0),
            pending: account.pending,
            lost: account.lost.clone(),
            filtered: account.filtered.clone(),
        };
        ledger.attempts.iter().map(account).collect()
    }
}
