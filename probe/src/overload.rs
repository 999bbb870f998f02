//! The overload ladder: a bounded table of flow keys sheds detail before counts, and never gives up an attempt that
//! may have been denied for one that was allowed.
//!
//! | level | from | a new key is written without |
//! |---|---|---|
//! | [`Detail::Full`] | – | – |
//! | [`Detail::WithoutPorts`] | 50 % | source ports, process |
//! | [`Detail::WithoutContainers`] | 70 % | also the container of its pod, the namespace, TCP statistics |
//! | [`Detail::Plain`] | 80 % | also the original destination; what is left is (source, destination, port, outcome) |
//! | loss | limit of its [`Claim`] | given up, counted in attempts as `key_table_full` |
//!
//! Detail is decided when a key is made and never changes. From the second level on a key leaves the table as soon as
//! its first record is out, so that a flood of short flows passes through instead of piling up.

use flow::{DropReason, Outcome};

/// How much of a flow a key keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Detail {
    /// All of it.
    Full,
    /// No source ports, no process.
    WithoutPorts,
    /// Also no container and no TCP statistics.
    WithoutContainers,
    /// Source, destination, port and outcome.
    Plain,
}

impl Detail {
    /// All levels, from rich to poor.
    pub const ALL: [Self; 4] = [Self::Full, Self::WithoutPorts, Self::WithoutContainers, Self::Plain];

    /// Returns the fixed label for metrics.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::WithoutPorts => "without_ports",
            Self::WithoutContainers => "without_containers",
            Self::Plain => "plain",
        }
    }
}

/// How strong a claim a key has on the last places.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Claim {
    /// It flowed, or is not decided: the verdict can only be read as allowed.
    Allowed,
    /// Nothing came through; a policy may be why.
    MaybeDenied,
    /// A packet filter dropped it.
    Denied,
}

impl Claim {
    /// Returns the claim of an outcome.
    #[must_use]
    pub fn of(outcome: Outcome, drop_reason: Option<&DropReason>) -> Self {
        match outcome {
            Outcome::Established | Outcome::Preexisting | Outcome::Pending => Self::Allowed,
            Outcome::Dropped if drop_reason.is_some_and(DropReason::is_filter) => Self::Denied,
            Outcome::Refused
            | Outcome::Unreachable
            | Outcome::Failed
            | Outcome::Timeout
            | Outcome::Unanswered
            | Outcome::Dropped
            | Outcome::Unknown => Self::MaybeDenied,
        }
    }
}

/// The limits of a table of so many keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ladder {
    max_keys: usize,
}

impl Ladder {
    /// Makes the ladder of a table; fewer than 16 keys are taken as 16.
    #[must_use]
    pub fn new(max_keys: usize) -> Self {
        Self { max_keys: max_keys.max(16) }
    }

    /// Returns the detail that a new key gets when the table holds so many.
    #[must_use]
    pub fn detail(&self, keys: usize) -> Detail {
        match keys.saturating_mul(100) / self.max_keys {
            0..50 => Detail::Full,
            50..70 => Detail::WithoutPorts,
            70..80 => Detail::WithoutContainers,
            _ => Detail::Plain,
        }
    }

    /// Says whether a key with that claim still finds room: allowed ones fill 80 %, those that may be denied 90 %, and
    /// those that a filter dropped all of it.
    #[must_use]
    pub fn admits(&self, keys: usize, claim: Claim) -> bool {
        let limit = match claim {
            Claim::Allowed => self.max_keys / 5 * 4,
            Claim::MaybeDenied => self.max_keys / 10 * 9,
            Claim::Denied => self.max_keys,
        };
        keys < limit.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn detail_goes_before_counts() {
        let ladder = Ladder::new(100);
        let at: Vec<_> = [0, 49, 50, 69, 70, 79, 80, 100].into_iter().map(|n| ladder.detail(n)).collect();
        use Detail::{Full, Plain, WithoutContainers, WithoutPorts};
        assert_eq!(at, [Full, Full, WithoutPorts, WithoutPorts, WithoutContainers, WithoutContainers, Plain, Plain]);
    }

    #[test]
    fn the_last_places_are_for_the_denied() {
        let ladder = Ladder::new(100);
        let admitted = |claim| (0..=100).take_while(|n| ladder.admits(*n, claim)).count();
        assert_eq!(admitted(Claim::Allowed), 80);
        assert_eq!(admitted(Claim::MaybeDenied), 90);
        assert_eq!(admitted(Claim::Denied), 100);
    }

    #[test]
    fn only_a_filters_drop_is_surely_denied() {
        let filter = DropReason("NETFILTER_DROP".into());
        let neighbour = DropReason("NEIGH_FAILED".into());
        assert_eq!(Claim::of(Outcome::Dropped, Some(&filter)), Claim::Denied);
        assert_eq!(Claim::of(Outcome::Dropped, Some(&neighbour)), Claim::MaybeDenied);
        assert_eq!(Claim::of(Outcome::Timeout, None), Claim::MaybeDenied);
        assert_eq!(Claim::of(Outcome::Established, None), Claim::Allowed);
    }
}
