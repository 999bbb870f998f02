//! The pure middle in one piece: kernel events and time in, numbered records out.
//!
//! Owns the tables of identity, the attempts, the flow keys and the books, and hands each what it needs. It has no
//! clock and no IO, so that a test can tell it any story.

use std::collections::HashMap;

use flow::{LedgerRecord, Predecessor, RawFlow, Stream, UnixMs};

use crate::attempt::translate::Translations;
use crate::attempt::{AdmitRules, Attempts, Desk};
use crate::clock::WallClock;
use crate::identity::Identities;
use crate::kernel::DatagramKey;
use crate::kernel::event::{DatagramTotals, KernelCounters, KernelEvent, KernelNs, ScannedSocket};
use crate::ledger::{Account, Closed, Ledger};
use crate::numbers::Numbers;
use crate::window::Windows;

/// How often what is gone long ago is forgotten.
const TIDY_MS: u64 = 30_000;

/// One stream in the making.
pub struct Observer {
    identities: Identities,
    attempts: Attempts,
    windows: Windows,
    ledger: Ledger,
    translations: Translations,
    clock: WallClock,
    numbers: Numbers,
    tidied: KernelNs,
}

/// How full the tables are and what the books say, for metrics.
#[derive(Debug, Clone, Default)]
pub struct Sizes {
    /// Attempts open, undecided or held.
    pub attempts: usize,
    /// Drops remembered.
    pub drops: usize,
    /// Flow keys.
    pub keys: usize,
    /// Cgroups known.
    pub cgroups: usize,
    /// Network namespaces known.
    pub namespaces: usize,
    /// Pod addresses known.
    pub addresses: usize,
    /// Cgroups that found no room.
    pub cgroups_refused: u64,
}

impl Observer {
    /// Makes the observer of a stream that begins at `begin`.
    #[must_use]
    pub fn new(
        stream: Stream,
        begin: UnixMs,
        rules: AdmitRules,
        max_keys: usize,
        identities: Identities,
        clock: WallClock,
    ) -> Self {
        Self {
            identities,
            attempts: Attempts::new(rules),
            windows: Windows::new(stream.clone(), max_keys),
            ledger: Ledger::default(),
            translations: Translations::default(),
            clock,
            numbers: Numbers::new(stream, begin),
            tidied: KernelNs(0),
        }
    }

    fn split(&mut self, now: KernelNs) -> (&mut Attempts, Desk<'_>) {
        let desk = Desk {
            identities: &mut self.identities,
            windows: &mut self.windows,
            ledger: &mut self.ledger,
            translations: &self.translations,
            clock: self.clock,
            now,
        };
        (&mut self.attempts, desk)
    }

    /// Takes in one event.
    pub fn observe(&mut self, event: &KernelEvent, now: KernelNs) {
        let (attempts, mut desk) = self.split(now);
        match event {
            KernelEvent::Tcp(event) => attempts.tcp(event, &mut desk),
            KernelEvent::Datagram(event) => attempts.datagram(event, &mut desk),
            KernelEvent::DatagramError(event) => attempts.datagram_error(event, &mut desk),
            KernelEvent::Drop(event) => attempts.dropped(event, &mut desk),
            KernelEvent::Cgroup(event) => desk.identities.cgroup(event, now),
        }
    }

    /// Takes in the running totals of datagram flows, read at `now`.
    pub fn datagram_totals(&mut self, totals: &[DatagramTotals], now: KernelNs) {
        let (attempts, mut desk) = self.split(now);
        attempts.datagram_totals(totals, &mut desk);
    }

    /// Takes out the datagram flows that are idle: the kernel is to forget them, and its last totals come in by
    /// [`Self::datagram_totals`].
    pub fn idle_datagrams(&mut self) -> Vec<DatagramKey> {
        self.attempts.idle_datagrams()
    }

    /// Takes in a scan of sockets; the first one finds those older than the probe.
    pub fn scanned(&mut self, sockets: &[ScannedSocket], first: bool, now: KernelNs) {
        let (attempts, mut desk) = self.split(now);
        attempts.scanned(sockets, first, &mut desk);
        attempts.forget_silent(&mut desk);
    }

    /// Does what is due at `now`.
    pub fn tick(&mut self, now: KernelNs) {
        let (attempts, mut desk) = self.split(now);
        attempts.tick(&mut desk);
        if now.ms_since(self.tidied) >= TIDY_MS {
            self.tidied = now;
            self.identities.tidy(now);
        }
    }

    /// Corrects the offset to wall-clock time.
    pub fn set_clock(&mut self, clock: WallClock) {
        self.clock = clock;
    }

    /// Returns the wall-clock time of a kernel time.
    #[must_use]
    pub fn wall(&self, at: KernelNs) -> UnixMs {
        self.clock.wall(at)
    }

    /// Returns the tables of identity, to be taught what a walk found.
    pub fn identities(&mut self) -> &mut Identities {
        &mut self.identities
    }

    /// Returns the table of translations, to be taught what connection tracking said.
    pub fn translations(&mut self) -> &mut Translations {
        &mut self.translations
    }

    /// Numbers up to `limit` records that are due and appends them to `records`. Returns true if more are due.
    pub fn take_due(&mut self, now: KernelNs, limit: usize, records: &mut Vec<RawFlow>) -> bool {
        let first = records.len();
        let more = self.windows.take_due(self.clock.wall(now), limit, records);
        self.number(&mut records[first..]);
        more
    }

    /// Decides what can be decided, shows the rest as pending, and numbers everything that is left.
    pub fn take_last(&mut self, now: KernelNs, records: &mut Vec<RawFlow>) {
        let (attempts, mut desk) = self.split(now);
        attempts.finish(&mut desk);
        let first = records.len();
        self.windows.take_all(self.clock.wall(now), records);
        self.number(&mut records[first..]);
    }

    fn number(&mut self, records: &mut [RawFlow]) {
        for record in records {
            self.numbers.number(record);
            let account = account_of(record);
            self.ledger.started(account, record.counters.flows_started);
        }
    }

    /// Numbers a ledger record over everything numbered before. The counters must have been read after the events, and
    /// all events read must have been observed.
    pub fn take_ledger(
        &mut self,
        now: KernelNs,
        kernel: &KernelCounters,
        closing: bool,
        predecessor: Option<Predecessor>,
    ) -> (LedgerRecord, Closed) {
        let closed = self.close(kernel);
        let wall = self.clock.wall(now);
        let record = self.numbers.ledger(wall, closed.accounts.clone(), kernel.missed_runs, closing, predecessor);
        (record, closed)
    }

    /// Closes the account without writing it.
    #[must_use]
    pub fn close(&self, kernel: &KernelCounters) -> Closed {
        let mut inventory: HashMap<Account, u64> = self.attempts.undecided();
        for (account, attempts) in self.windows.unwritten() {
            *inventory.entry(account).or_default() += attempts;
        }
        self.ledger.close(kernel, &inventory)
    }

    /// Returns how full the tables are.
    #[must_use]
    pub fn sizes(&self) -> Sizes {
        let (attempts, drops) = self.attempts.sizes();
        let (cgroups, namespaces, addresses, cgroups_refused) = self.identities.sizes();
        Sizes { attempts, drops, keys: self.windows.len(), cgroups, namespaces, addresses, cgroups_refused }
    }

    /// Returns the books.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Returns the flow keys.
    #[must_use]
    pub fn windows(&self) -> &Windows {
        &self.windows
    }

    /// Returns the number that the next record gets.
    #[must_use]
    pub fn next_seq(&self) -> u64 {
        self.numbers.next()
    }

    /// Returns the stream.
    #[must_use]
    pub fn stream(&self) -> &Stream {
        self.numbers.stream()
    }
}

/// Returns the account that a record's attempts belong to.
#[must_use]
pub fn account_of(record: &RawFlow) -> Account {
    (record.protocol.class(), flow::Direction::of_record(record.reporter, record.outcome))
}
