//! The grammar of Calico Enterprise and of open Calico before 3.32: the kind shows in prefixes of the name.

use super::{InvalidPolicyHit, NO_MATCH, Named, PROFILE_TIER, PolicyHit, PolicyKind, shown};

const STAGED: &str = "staged:";
/// Kubernetes policies are of this tier, and the prefix repeats it.
const KUBERNETES: &str = "knp.default.";
const DEFAULT_TIER: &str = "default";
const CLUSTER: &str = "kcnp.";
const ADMIN: &str = "kanp.adminnetworkpolicy.";
const BASELINE: &str = "kbanp.baselineadminnetworkpolicy.";

/// Reads the policy's part. Documents print the staged marker in two places, before the tier and behind it; the first
/// part of a name may be another tier than the tier field (the documents' own example has it), and is then kept.
pub(super) fn read(tier: &str, policy: &str) -> Result<Named, InvalidPolicyHit> {
    if tier == PROFILE_TIER {
        let name = policy.strip_prefix(PROFILE_TIER).and_then(|rest| rest.strip_prefix('.')).unwrap_or(policy);
        return Named::new(tier, PolicyKind::Profile, None, name, false);
    }
    let (namespace, rest) = match policy.split_once('/') {
        Some((namespace, rest)) => (Some(namespace), rest),
        None => (None, policy),
    };
    let (staged, rest) = staged(rest);
    let (kind, name) = kind(tier, namespace.is_some(), rest)?;
    let (staged_behind, name) = self::staged(name);
    if staged && staged_behind {
        return Err(InvalidPolicyHit::Name(shown(policy)));
    }
    Named::new(tier, kind, namespace, name, staged || staged_behind)
}

fn staged(text: &str) -> (bool, &str) {
    text.strip_prefix(STAGED).map_or((false, text), |rest| (true, rest))
}

fn kind<'a>(tier: &str, namespaced: bool, text: &'a str) -> Result<(PolicyKind, &'a str), InvalidPolicyHit> {
    let calico = if namespaced { PolicyKind::NetworkPolicy } else { PolicyKind::GlobalNetworkPolicy };
    if tier == DEFAULT_TIER
        && let Some(name) = text.strip_prefix(KUBERNETES)
    {
        return Ok((PolicyKind::KubernetesNetworkPolicy, name));
    }
    let behind_tier = text.strip_prefix(tier).and_then(|rest| rest.strip_prefix('.'));
    if !namespaced {
        // The writer of 3.30 puts the tier before these two, its reader expects them without.
        let admin = behind_tier.unwrap_or(text);
        if let Some(name) = admin.strip_prefix(ADMIN) {
            return Ok((PolicyKind::AdminNetworkPolicy, name));
        }
        if let Some(name) = admin.strip_prefix(BASELINE) {
            return Ok((PolicyKind::BaselineAdminNetworkPolicy, name));
        }
        if behind_tier.is_none()
            && let Some(name) = text.strip_prefix(CLUSTER)
        {
            return Ok((PolicyKind::ClusterNetworkPolicy, name));
        }
        if behind_tier == Some(NO_MATCH) {
            return Ok((PolicyKind::EndOfTier, NO_MATCH));
        }
    }
    match behind_tier {
        Some(name) => Ok((calico, bare(tier, name))),
        // Another tier's name in front, and possibly the marker behind it, which then stays no part of the name.
        None if text.contains('.') && !text.contains(':') => Ok((calico, text)),
        None => Err(InvalidPolicyHit::Name(shown(text))),
    }
}

pub(super) fn write(hit: &PolicyHit) -> String {
    let (tier, name) = (&hit.tier, &hit.name);
    let namespace = hit.namespace.as_deref().unwrap_or_default();
    let slash = if hit.namespace.is_some() { "/" } else { "" };
    let staged = if hit.staged { STAGED } else { "" };
    match hit.kind {
        PolicyKind::KubernetesNetworkPolicy => format!("{namespace}{slash}{staged}{KUBERNETES}{name}"),
        PolicyKind::ClusterNetworkPolicy => format!("{staged}{CLUSTER}{name}"),
        PolicyKind::AdminNetworkPolicy => format!("{ADMIN}{name}"),
        PolicyKind::BaselineAdminNetworkPolicy => format!("{BASELINE}{name}"),
        PolicyKind::Profile if name == PROFILE_TIER => name.clone(),
        PolicyKind::Profile => format!("{PROFILE_TIER}.{name}"),
        PolicyKind::NetworkPolicy | PolicyKind::GlobalNetworkPolicy | PolicyKind::EndOfTier => {
            format!("{namespace}{slash}{tier}.{staged}{}", bare(tier, name))
        }
    }
}

/// Takes the tier off a name: older objects are stored with it, and the grammar writes it once for all of them.
fn bare<'a>(tier: &str, mut name: &'a str) -> &'a str {
    while let Some(rest) = name.strip_prefix(tier).and_then(|rest| rest.strip_prefix('.')) {
        name = rest;
    }
    name
}
