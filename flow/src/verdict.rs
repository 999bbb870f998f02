//! What policy says of a connection, what the kernel showed, and how the two agree.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Why something is unknown: a closed list, so that it can be counted and filtered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unknown {
    /// No policy engine judges in this build or setting.
    NoPolicyEngine,
    /// The policies changed between the oldest and the newest start.
    PolicyChanged,
    /// A policy revision is younger than the settling time.
    Settling,
    /// An object of a foreign policy kind selects or may select an end.
    ForeignPolicy,
    /// The service's backends give different answers and the translation is not known.
    ServiceBackend,
    /// A pod reached itself through a service.
    Hairpin,
    /// Nothing is known of that time.
    NoHistory,
    /// The local end was not found in the metadata.
    NoMetadata,
    /// Several endpoints held the address at that time.
    AmbiguousAddress,
    /// The initiator was not seen.
    InitiatorUnknown,
    /// The outcome neither confirms nor contradicts the verdict.
    OutcomeIndecisive,
    /// A fact that a rule asks for is not in the record (source port, ICMP type, domain).
    MissingFact,
    /// The metadata is known to be stale.
    Stale,
}

/// What the policies of one end, or of both, say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// Policy lets it pass.
    Allow,
    /// Policy denies it.
    Deny,
    /// It cannot be told, and why.
    Unknown(Unknown),
    /// Nothing judges here.
    None,
}

impl Verdict {
    /// Joins the verdicts of both ends: deny if one denies; else unknown if one is; else allow; none if both are.
    #[must_use]
    pub fn both(egress: Self, ingress: Self) -> Self {
        match (egress, ingress) {
            (Self::Deny, _) | (_, Self::Deny) => Self::Deny,
            (Self::Unknown(why), _) | (_, Self::Unknown(why)) => Self::Unknown(why),
            (Self::Allow, _) | (_, Self::Allow) => Self::Allow,
            (Self::None, Self::None) => Self::None,
        }
    }

    /// Returns the keyword that records carry.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Unknown(_) => "unknown",
            Self::None => "none",
        }
    }
}

/// What happened to the traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// It was let through, as far as is known.
    Allow,
    /// It was denied.
    Deny,
}

impl Action {
    /// Returns the keyword that records carry.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }
}

/// How the verdict and what the kernel showed agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Enforcement {
    /// They agree.
    Consistent,
    /// Policy denies, yet the traffic flowed.
    Unenforced,
    /// Policy allows, yet a filter dropped it.
    Unexplained,
    /// One of the two is not known well enough.
    Unknown,
}

impl Enforcement {
    /// Returns the keyword that records carry.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Consistent => "consistent",
            Self::Unenforced => "unenforced",
            Self::Unexplained => "unexplained",
            Self::Unknown => "unknown",
        }
    }
}

/// What the action rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Evidence {
    /// The kernel showed it: the traffic flowed, or a filter dropped it.
    Observed,
    /// A foreign source said so.
    Reported,
    /// It follows from verdict and outcome.
    Computed,
}

impl Evidence {
    /// Returns the keyword that records carry.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Observed => "observed",
            Self::Reported => "reported",
            Self::Computed => "computed",
        }
    }
}

impl Unknown {
    /// All reasons, in the order of the documentation.
    pub const ALL: [Self; 13] = [
        Self::NoPolicyEngine,
        Self::PolicyChanged,
        Self::Settling,
        Self::ForeignPolicy,
        Self::ServiceBackend,
        Self::Hairpin,
        Self::NoHistory,
        Self::NoMetadata,
        Self::AmbiguousAddress,
        Self::InitiatorUnknown,
        Self::OutcomeIndecisive,
        Self::MissingFact,
        Self::Stale,
    ];

    /// Returns the keyword that records carry.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoPolicyEngine => "no_policy_engine",
            Self::PolicyChanged => "policy_changed",
            Self::Settling => "settling",
            Self::ForeignPolicy => "foreign_policy",
            Self::ServiceBackend => "service_backend",
            Self::Hairpin => "hairpin",
            Self::NoHistory => "no_history",
            Self::NoMetadata => "no_metadata",
            Self::AmbiguousAddress => "ambiguous_address",
            Self::InitiatorUnknown => "initiator_unknown",
            Self::OutcomeIndecisive => "outcome_indecisive",
            Self::MissingFact => "missing_fact",
            Self::Stale => "stale",
        }
    }
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
