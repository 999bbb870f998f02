//! What lies between two ledgers: attempts by account, and the digest as the stored records give it.

use std::collections::{BTreeMap, BTreeSet};

use flow::digest::{Chain, GENESIS};
use flow::{Direction, LedgerRecord, Outcome, Protocol, Reporter};
use store::Quantities;

/// Protocol class and direction: what attempts are accounted by.
pub(super) type AccountKey = (Protocol, Direction);

/// The records since the ledger before.
#[derive(Debug)]
pub(super) struct Interval {
    /// Attempts started, by account.
    pub(super) started: BTreeMap<AccountKey, u64>,
    /// What the ledger before had counted as started, by account.
    before: BTreeMap<AccountKey, u64>,
    chain: Chain,
    /// True if a number is missing or cannot be read.
    pub(super) incomplete: bool,
    /// True if retention took a part.
    pub(super) removed: bool,
    /// Dead letters whose quantities cannot be read.
    pub(super) dead_letters: u64,
}

impl Interval {
    /// Begins at the beginning of the stream.
    pub(super) fn first() -> Self {
        Self::begin(BTreeMap::new(), GENESIS)
    }

    /// Begins after a ledger.
    pub(super) fn after(ledger: &LedgerRecord) -> Self {
        Self::begin(started_of(ledger), &ledger.digest)
    }

    fn begin(before: BTreeMap<AccountKey, u64>, digest: &str) -> Self {
        Self {
            started: BTreeMap::new(),
            before,
            chain: Chain::after(digest),
            incomplete: false,
            removed: false,
            dead_letters: 0,
        }
    }

    /// Adds a record.
    pub(super) fn add(&mut self, seq: u64, account: AccountKey, quantities: &Quantities) {
        *self.started.entry(account).or_default() += quantities.started;
        self.chain.add(quantities.digest_line(seq));
    }

    /// Says whether every record of the interval was there to read.
    pub(super) fn is_whole(&self) -> bool {
        !self.incomplete && !self.removed && self.dead_letters == 0
    }

    /// Returns the digest over the records.
    pub(super) fn digest(&self) -> String {
        self.chain.clone().finish()
    }

    /// Returns the accounts in which ledger and records differ: the account, what the ledger says, what the records say.
    pub(super) fn differences(&self, ledger: &LedgerRecord) -> Vec<(AccountKey, i64, u64)> {
        let now = started_of(ledger);
        let accounts: BTreeSet<AccountKey> =
            now.keys().chain(self.before.keys()).chain(self.started.keys()).copied().collect();
        let of = |map: &BTreeMap<AccountKey, u64>, key: &AccountKey| map.get(key).copied().unwrap_or(0);
        let compared = accounts.into_iter().map(|key| {
            let said = i128::from(of(&now, &key)) - i128::from(of(&self.before, &key));
            // Forged totals may differ by more than the range; they then differ from any count of records.
            let said = i64::try_from(said).unwrap_or(if said < 0 { i64::MIN } else { i64::MAX });
            (key, said, of(&self.started, &key))
        });
        compared.filter(|(_, said, found)| i128::from(*said) != i128::from(*found)).collect()
    }
}

fn started_of(ledger: &LedgerRecord) -> BTreeMap<AccountKey, u64> {
    ledger.attempts.iter().map(|account| (account.key(), account.started)).collect()
}

/// Returns the account of a record; none if its words are not those of records.
pub(super) fn account_of(quantities: &Quantities) -> Option<AccountKey> {
    let reporter = match &*quantities.reporter {
        "src" => Reporter::Src,
        "dst" => Reporter::Dst,
        "fwd" => Reporter::Fwd,
        _ => return None,
    };
    let outcome = Outcome::ALL.into_iter().find(|outcome| outcome.as_str() == &*quantities.outcome)?;
    let protocol = Protocol::parse(&quantities.proto)?;
    Some((protocol.class(), Direction::of_record(reporter, outcome)))
}
