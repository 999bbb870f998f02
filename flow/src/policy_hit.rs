//! Policy strings: one hit of the walk through tiers and policies, as flow logs spell it.
//!
//! Two grammars exist. **Enterprise** (Calico Enterprise, and ours on the wire) hides the kind in the name:
//! `1|default|shop/knp.default.web|allow|0`. **Open** (open Calico since 3.32) says it: `1|default|knp:shop/web|allow|0`.
//! [`PolicyHit`] is what both say; [`PolicyHit::parse`] takes every form of both, old ones too, and
//! [`PolicyHit::format`] writes either.
//!
//! The direction is not in the string: it follows from the list that holds it.

mod enterprise;
mod open;

#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use crate::printable::printable;

/// The longest string that is looked at, in bytes: two names of 253 bytes and a namespace fit well.
const MAX_BYTES: usize = 1024;

/// The tier that stands for profiles.
pub const PROFILE_TIER: &str = "__PROFILE__";
/// The name of a hit that no policy and no profile matched.
pub const NO_MATCH: &str = "__NO_MATCH__";
/// The name of what the writer could not tell.
pub const UNKNOWN: &str = "__UNKNOWN__";

/// How a string spells its policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Grammar {
    /// Kind by prefixes of the name.
    Enterprise,
    /// Kind before a colon.
    Open,
}

impl Grammar {
    /// Returns the keyword: `enterprise`, `open`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enterprise => "enterprise",
            Self::Open => "open",
        }
    }
}

/// What kind of object was hit. That it is staged is said apart, in [`PolicyHit::staged`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PolicyKind {
    /// Calico `GlobalNetworkPolicy`.
    GlobalNetworkPolicy,
    /// Calico `NetworkPolicy`.
    NetworkPolicy,
    /// Kubernetes `NetworkPolicy`.
    KubernetesNetworkPolicy,
    /// `ClusterNetworkPolicy`.
    ClusterNetworkPolicy,
    /// `AdminNetworkPolicy`.
    AdminNetworkPolicy,
    /// `BaselineAdminNetworkPolicy`.
    BaselineAdminNetworkPolicy,
    /// A profile: what applies where no policy does.
    Profile,
    /// The end of a tier that no policy is charged with.
    EndOfTier,
}

impl PolicyKind {
    /// All kinds.
    pub const ALL: [Self; 8] = [
        Self::GlobalNetworkPolicy,
        Self::NetworkPolicy,
        Self::KubernetesNetworkPolicy,
        Self::ClusterNetworkPolicy,
        Self::AdminNetworkPolicy,
        Self::BaselineAdminNetworkPolicy,
        Self::Profile,
        Self::EndOfTier,
    ];

    /// Returns the short name of the kind: that of the open grammar for an enforced object.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::GlobalNetworkPolicy => "gnp",
            Self::NetworkPolicy => "np",
            Self::KubernetesNetworkPolicy => "knp",
            Self::ClusterNetworkPolicy => "kcnp",
            Self::AdminNetworkPolicy => "kanp",
            Self::BaselineAdminNetworkPolicy => "kbanp",
            Self::Profile => "pro",
            Self::EndOfTier => "eot",
        }
    }

    /// Says whether objects of the kind live in a namespace.
    #[must_use]
    pub fn is_namespaced(self) -> bool {
        matches!(self, Self::NetworkPolicy | Self::KubernetesNetworkPolicy)
    }

    /// Says whether the kind has a staged twin (Calico's, or ours for `ClusterNetworkPolicy`).
    #[must_use]
    pub fn can_be_staged(self) -> bool {
        matches!(
            self,
            Self::GlobalNetworkPolicy
                | Self::NetworkPolicy
                | Self::KubernetesNetworkPolicy
                | Self::ClusterNetworkPolicy
        )
    }
}

/// What the hit rule, or the end of the tier, does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HitAction {
    /// Lets the connection through; the walk ends.
    Allow,
    /// Refuses it; the walk ends.
    Deny,
    /// Leaves it to the next tier.
    Pass,
}

impl HitAction {
    /// Returns the keyword of the strings.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Pass => "pass",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Allow, Self::Deny, Self::Pass].into_iter().find(|action| action.as_str().eq_ignore_ascii_case(text))
    }
}

/// Which rule of the policy was hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// The rule of this number, from 0, in its direction.
    Number(u32),
    /// None: the tier's default action, charged to this policy (`-1`).
    TierDefault,
    /// Not recorded (`-2`).
    NotRecorded,
}

impl Rule {
    /// Returns the number of the strings: −1 and −2 for the two that are no rule.
    #[must_use]
    pub fn number(self) -> i64 {
        match self {
            Self::Number(number) => i64::from(number),
            Self::TierDefault => -1,
            Self::NotRecorded => -2,
        }
    }

    fn parse(text: &str) -> Option<Self> {
        match text {
            "-1" => Some(Self::TierDefault),
            "-2" => Some(Self::NotRecorded),
            _ => digits(text).map(Self::Number),
        }
    }
}

/// One hit of the walk.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PolicyHit {
    /// Place in the walk, from 0. Lists are stored in no order: this gives it back.
    pub index: u32,
    /// Name of the tier; [`PROFILE_TIER`] for profiles.
    pub tier: String,
    /// What was hit.
    pub kind: PolicyKind,
    /// Namespace of the policy, if its kind has one.
    pub namespace: Option<String>,
    /// Name of the policy. The enterprise grammar writes the tier before it, where the name does not begin with it.
    pub name: String,
    /// True if the policy is staged.
    pub staged: bool,
    /// What it does.
    pub action: HitAction,
    /// Which rule; absent in strings of four parts, as older releases wrote them.
    pub rule: Option<Rule>,
}

/// Why a text is no policy string.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPolicyHit {
    /// The text is too long to be looked at.
    #[error("policy string of {0} bytes is longer than {MAX_BYTES}")]
    TooLong(usize),
    /// The text does not have four or five parts.
    #[error("policy string `{text}` has {parts} parts, not index|tier|policy|action|rule")]
    Parts {
        /// The text.
        text: String,
        /// How many parts it has.
        parts: usize,
    },
    /// The index is no number.
    #[error("index `{0}` is not a number")]
    Index(String),
    /// The tier is empty or holds what no tier's name holds.
    #[error("tier `{0}` is not a name")]
    Tier(String),
    /// The action is none of the three.
    #[error("action `{0}` is not allow, deny or pass")]
    Action(String),
    /// The rule is no number from −2 on.
    #[error("rule `{0}` is not a number from -2 on")]
    Rule(String),
    /// The open grammar needs a rule.
    #[error("policy string `{0}` of the open grammar has no rule")]
    NoRule(String),
    /// The word before the colon is no kind.
    #[error("policy kind `{0}` is not known")]
    Kind(String),
    /// The name of the policy is no DNS name.
    #[error("policy name `{0}` is not a name")]
    Name(String),
    /// The namespace is no DNS label.
    #[error("namespace `{0}` is not a name")]
    Namespace(String),
    /// A namespaced kind without, or a cluster-wide kind with a namespace; a profile outside its tier; a kind that
    /// cannot be staged.
    #[error("policy `{0}` does not fit its kind or tier")]
    Misfit(String),
}

impl PolicyHit {
    /// Reads a string of either grammar and says which it was.
    ///
    /// # Errors
    /// Returns [`InvalidPolicyHit`] naming the part that does not fit.
    pub fn parse(text: &str) -> Result<(Self, Grammar), InvalidPolicyHit> {
        if text.len() > MAX_BYTES {
            return Err(InvalidPolicyHit::TooLong(text.len()));
        }
        let parts: Vec<&str> = text.split('|').collect();
        let (index, tier, policy, action, rule) = match parts[..] {
            [index, tier, policy, action, rule] => (index, tier, policy, action, Some(rule)),
            [index, tier, policy, action] => (index, tier, policy, action, None),
            _ => return Err(InvalidPolicyHit::Parts { text: shown(text), parts: parts.len() }),
        };
        let index = digits(index).ok_or_else(|| InvalidPolicyHit::Index(shown(index)))?;
        if !is_tier(tier) {
            return Err(InvalidPolicyHit::Tier(shown(tier)));
        }
        let (named, grammar) = match open::split(policy)? {
            Some((kind, name)) => (open::read(tier, kind, name)?, Grammar::Open),
            None => (enterprise::read(tier, policy)?, Grammar::Enterprise),
        };
        let action = HitAction::parse(action).ok_or_else(|| InvalidPolicyHit::Action(shown(action)))?;
        let rule = match rule {
            Some(rule) => Some(Rule::parse(rule).ok_or_else(|| InvalidPolicyHit::Rule(shown(rule)))?),
            None if grammar == Grammar::Open => return Err(InvalidPolicyHit::NoRule(shown(text))),
            None => None,
        };
        let Named { kind, namespace, name, staged } = named;
        Ok((Self { index, tier: tier.to_owned(), kind, namespace, name, staged, action, rule }, grammar))
    }

    /// Writes the hit in a grammar. The open grammar writes a rule that is absent as not recorded.
    #[must_use]
    pub fn format(&self, grammar: Grammar) -> String {
        let policy = self.policy(grammar);
        let (index, tier, action) = (self.index, &self.tier, self.action.as_str());
        match (self.rule, grammar) {
            (Some(rule), _) => format!("{index}|{tier}|{policy}|{action}|{}", rule.number()),
            (None, Grammar::Open) => format!("{index}|{tier}|{policy}|{action}|{}", Rule::NotRecorded.number()),
            (None, Grammar::Enterprise) => format!("{index}|{tier}|{policy}|{action}"),
        }
    }

    /// Returns the policy's part of the string: `shop/knp.default.web` or `knp:shop/web`.
    #[must_use]
    pub fn policy(&self, grammar: Grammar) -> String {
        match grammar {
            Grammar::Enterprise => enterprise::write(self),
            Grammar::Open => open::write(self),
        }
    }
}

impl FromStr for PolicyHit {
    type Err = InvalidPolicyHit;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text).map(|(hit, _)| hit)
    }
}

/// Writes the enterprise grammar, which flow records carry.
impl fmt::Display for PolicyHit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.format(Grammar::Enterprise))
    }
}

/// What the policy's part of a string says.
struct Named {
    kind: PolicyKind,
    namespace: Option<String>,
    name: String,
    staged: bool,
}

impl Named {
    /// Checks that the parts fit together.
    fn new(
        tier: &str,
        kind: PolicyKind,
        namespace: Option<&str>,
        name: &str,
        staged: bool,
    ) -> Result<Self, InvalidPolicyHit> {
        if let Some(namespace) = namespace
            && !is_label(namespace)
        {
            return Err(InvalidPolicyHit::Namespace(shown(namespace)));
        }
        if !is_name(kind, name) {
            return Err(InvalidPolicyHit::Name(shown(name)));
        }
        let fits = namespace.is_some() == kind.is_namespaced()
            && (kind == PolicyKind::Profile) == (tier == PROFILE_TIER)
            && (!staged || kind.can_be_staged());
        if !fits {
            return Err(InvalidPolicyHit::Misfit(shown(name)));
        }
        Ok(Self { kind, namespace: namespace.map(str::to_owned), name: name.to_owned(), staged })
    }
}

fn shown(text: &str) -> String {
    printable(text, 80)
}

/// Reads decimal digits only, without a sign.
fn digits(text: &str) -> Option<u32> {
    if text.bytes().all(|b| b.is_ascii_digit()) { text.parse().ok() } else { None }
}

fn is_tier(text: &str) -> bool {
    text == PROFILE_TIER || text == UNKNOWN || is_subdomain(text)
}

fn is_name(kind: PolicyKind, text: &str) -> bool {
    match kind {
        // Profiles may be named by hand, and the checker of older releases names the tier itself.
        PolicyKind::Profile => text == PROFILE_TIER || text == NO_MATCH || is_subdomain(text),
        PolicyKind::EndOfTier => text == NO_MATCH,
        _ => text == UNKNOWN || is_subdomain(text),
    }
}

/// A DNS-1123 subdomain: dot-separated labels of lower-case letters, digits and inner hyphens, 253 bytes at most.
fn is_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(|part| part.len() <= 253 && is_label_form(part))
}

fn is_label(text: &str) -> bool {
    text.len() <= 63 && is_label_form(text)
}

fn is_label_form(text: &str) -> bool {
    let bytes = text.as_bytes();
    let inner = bytes.iter().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'));
    inner && bytes.first().is_some_and(|b| *b != b'-') && bytes.last().is_some_and(|b| *b != b'-')
}
