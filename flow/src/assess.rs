//! The table of outcome and verdict: what happened to the traffic, and whether that agrees with policy.
//!
//! | case \ verdict | deny | allow, none | unknown |
//! |---|---|---|---|
//! | flowed | allow, **unenforced** | allow, consistent | allow, unknown |
//! | a filter's drop was seen | deny, consistent | deny, **unexplained** | deny, unknown |
//! | timeout | deny, consistent | allow, unknown | allow, unknown |
//! | refused | deny, unknown | allow, consistent | allow, unknown |
//! | anything else | deny, unknown | allow, unknown | allow, unknown |
//! | pending | as the case it would join; enforcement unknown | | |
//!
//! Where nothing judges at either end (`none`) nothing denies, so it is read as allow.

use crate::{Action, DropReason, Enforcement, Evidence, Outcome, RawFlow, Reporter, Unknown, Verdict};

/// What a probe saw of the attempts of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen<'a> {
    /// How the attempts went.
    pub outcome: Outcome,
    /// Why the kernel threw a packet away, if it did.
    pub drop_reason: Option<&'a DropReason>,
    /// Where it was seen.
    pub reporter: Reporter,
}

impl<'a> From<&'a RawFlow> for Seen<'a> {
    fn from(record: &'a RawFlow) -> Self {
        Self { outcome: record.outcome, drop_reason: record.drop_reason.as_ref(), reporter: record.reporter }
    }
}

/// One cell of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assessment {
    /// What happened.
    pub action: Action,
    /// Whether the verdict agrees.
    pub enforcement: Enforcement,
    /// What the action rests on.
    pub evidence: Evidence,
    /// Why verdict, outcome or enforcement is unknown; sorted, each once.
    pub unknown_because: Vec<Unknown>,
}

/// The rows of the table. What is pending stands in the row that it would join.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Case {
    Flowed,
    FilterDrop,
    Timeout,
    Refused,
    Indecisive,
}

impl Case {
    /// A filter's drop beats every outcome but a connection that stood. At the receiver's node all other outcomes but
    /// `refused`, `unreachable`, `failed`, `dropped` and `unknown` are those of a socket, which a packet then reached.
    fn of(seen: Seen<'_>) -> Self {
        let filter_drop = seen.drop_reason.is_some_and(DropReason::is_filter);
        let reached_socket = seen.reporter == Reporter::Dst;
        match seen.outcome {
            Outcome::Established | Outcome::Preexisting => Self::Flowed,
            _ if filter_drop => Self::FilterDrop,
            Outcome::Timeout | Outcome::Unanswered | Outcome::Pending if reached_socket => Self::Flowed,
            Outcome::Timeout => Self::Timeout,
            Outcome::Refused => Self::Refused,
            Outcome::Unanswered
            | Outcome::Unreachable
            | Outcome::Failed
            | Outcome::Dropped
            | Outcome::Pending
            | Outcome::Unknown => Self::Indecisive,
        }
    }
}

/// Returns the cell of what was seen and what policy says. `verdict` is that of both ends, so that at the initiator the
/// action is deny when the receiver denies.
#[must_use]
pub fn assess(seen: Seen<'_>, verdict: Verdict) -> Assessment {
    let case = Case::of(seen);
    let mut unknown_because = Vec::new();
    if let Verdict::Unknown(why) = verdict {
        unknown_because.push(why);
    }
    let evidence = match case {
        Case::Flowed | Case::FilterDrop => Evidence::Observed,
        Case::Timeout | Case::Refused | Case::Indecisive => Evidence::Computed,
    };
    let (action, mut enforcement) = cell(case, verdict);
    let undecided = matches!(seen.outcome, Outcome::Pending | Outcome::Unknown);
    if seen.outcome == Outcome::Pending {
        enforcement = Enforcement::Unknown;
    }
    if undecided || (enforcement == Enforcement::Unknown && unknown_because.is_empty()) {
        unknown_because.push(Unknown::OutcomeIndecisive);
    }
    unknown_because.sort_unstable();
    unknown_because.dedup();
    Assessment { action, enforcement, evidence, unknown_because }
}

fn cell(case: Case, verdict: Verdict) -> (Action, Enforcement) {
    use Action::{Allow, Deny};
    match (case, verdict) {
        (Case::Flowed, Verdict::Deny) => (Allow, Enforcement::Unenforced),
        (Case::Flowed, Verdict::Allow | Verdict::None) => (Allow, Enforcement::Consistent),
        (Case::Flowed, Verdict::Unknown(_)) => (Allow, Enforcement::Unknown),
        (Case::FilterDrop, Verdict::Deny) => (Deny, Enforcement::Consistent),
        (Case::FilterDrop, Verdict::Allow | Verdict::None) => (Deny, Enforcement::Unexplained),
        (Case::FilterDrop, Verdict::Unknown(_)) => (Deny, Enforcement::Unknown),
        (Case::Timeout, Verdict::Deny) => (Deny, Enforcement::Consistent),
        (Case::Refused, Verdict::Allow | Verdict::None) => (Allow, Enforcement::Consistent),
        (Case::Refused | Case::Indecisive, Verdict::Deny) => (Deny, Enforcement::Unknown),
        (Case::Timeout | Case::Indecisive, Verdict::Allow | Verdict::None) => (Allow, Enforcement::Unknown),
        (Case::Timeout | Case::Refused | Case::Indecisive, Verdict::Unknown(_)) => (Allow, Enforcement::Unknown),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERDICTS: [Verdict; 3] = [Verdict::Deny, Verdict::Allow, Verdict::Unknown(Unknown::PolicyChanged)];

    fn row(outcome: Outcome, drop_reason: Option<&str>, reporter: Reporter) -> String {
        let reason = drop_reason.map(|r| DropReason(r.to_owned()));
        let seen = Seen { outcome, drop_reason: reason.as_ref(), reporter };
        let cells = VERDICTS.map(|verdict| {
            let a = assess(seen, verdict);
            assert_eq!(
                a.enforcement == Enforcement::Unknown || outcome == Outcome::Unknown,
                !a.unknown_because.is_empty(),
                "{outcome:?} {verdict:?}: an unknown and its reason go together"
            );
            format!("{} {} {}", a.action.as_str(), a.enforcement.as_str(), a.evidence.as_str())
        });
        cells.join(" | ")
    }

    const FLOWED: &str = "allow unenforced observed | allow consistent observed | allow unknown observed";
    const FILTER: &str = "deny consistent observed | deny unexplained observed | deny unknown observed";
    const TIMEOUT: &str = "deny consistent computed | allow unknown computed | allow unknown computed";
    const REFUSED: &str = "deny unknown computed | allow consistent computed | allow unknown computed";
    const OTHER: &str = "deny unknown computed | allow unknown computed | allow unknown computed";

    #[test]
    fn every_cell_without_a_drop() {
        use Outcome::*;
        for reporter in [Reporter::Src, Reporter::Fwd] {
            for outcome in Outcome::ALL {
                let expected = match outcome {
                    Established | Preexisting => FLOWED,
                    Timeout => TIMEOUT,
                    Refused => REFUSED,
                    Unreachable | Failed | Unanswered | Dropped | Pending | Unknown => OTHER,
                };
                assert_eq!(row(outcome, None, reporter), expected, "{outcome:?}");
            }
        }
        for outcome in Outcome::ALL {
            let expected = match outcome {
                Established | Preexisting | Timeout | Unanswered => FLOWED,
                Refused => REFUSED,
                Pending => "allow unknown observed | allow unknown observed | allow unknown observed",
                Unreachable | Failed | Dropped | Unknown => OTHER,
            };
            assert_eq!(row(outcome, None, Reporter::Dst), expected, "dst {outcome:?}");
        }
    }

    #[test]
    fn a_filters_drop_beats_all_but_a_standing_connection() {
        for reporter in [Reporter::Src, Reporter::Dst, Reporter::Fwd] {
            for outcome in Outcome::ALL {
                let expected = match outcome {
                    Outcome::Established | Outcome::Preexisting => FLOWED,
                    Outcome::Pending => "deny unknown observed | deny unknown observed | deny unknown observed",
                    _ => FILTER,
                };
                assert_eq!(row(outcome, Some("NETFILTER_DROP"), reporter), expected, "{reporter:?} {outcome:?}");
            }
        }
    }

    #[test]
    fn another_drop_changes_nothing() {
        for outcome in Outcome::ALL {
            let without = row(outcome, None, Reporter::Src);
            assert_eq!(row(outcome, Some("NEIGH_FAILED"), Reporter::Src), without);
        }
    }

    #[test]
    fn nothing_that_judges_is_nothing_that_denies() {
        for outcome in Outcome::ALL {
            let seen = Seen { outcome, drop_reason: None, reporter: Reporter::Src };
            assert_eq!(assess(seen, Verdict::None), assess(seen, Verdict::Allow));
        }
    }

    #[test]
    fn reasons_are_those_of_verdict_and_outcome() {
        let pending = Seen { outcome: Outcome::Pending, drop_reason: None, reporter: Reporter::Src };
        let because = assess(pending, Verdict::Unknown(Unknown::NoPolicyEngine)).unknown_because;
        assert_eq!(because, [Unknown::NoPolicyEngine, Unknown::OutcomeIndecisive]);
        let timeout = Seen { outcome: Outcome::Timeout, ..pending };
        assert_eq!(assess(timeout, Verdict::Allow).unknown_because, [Unknown::OutcomeIndecisive]);
        assert_eq!(assess(timeout, Verdict::Deny).unknown_because, []);
    }
}
