//! The grammar of open Calico since 3.32: `kind:[namespace/]name`, staged by the kind.

use super::{InvalidPolicyHit, Named, PolicyHit, PolicyKind, shown};

/// Namespace that some writers give to what has none.
const GLOBAL: &str = "__GLOBAL__";
/// What the enterprise grammar puts before a colon.
const STAGED: &str = "staged";

/// A policy's part cut in three: its kind, whether it is staged, and the rest.
type Cut<'a> = ((PolicyKind, bool), &'a str);

/// Returns kind and name if the policy is spelled in this grammar; nothing if it is the other's.
pub(super) fn split(policy: &str) -> Result<Option<Cut<'_>>, InvalidPolicyHit> {
    let Some((word, name)) = policy.split_once(':') else { return Ok(None) };
    if word == STAGED || word.ends_with("/staged") || word.ends_with(".staged") {
        return Ok(None);
    }
    let kind = kind(word).ok_or_else(|| InvalidPolicyHit::Kind(shown(word)))?;
    Ok(Some((kind, name)))
}

pub(super) fn read(tier: &str, (kind, staged): (PolicyKind, bool), text: &str) -> Result<Named, InvalidPolicyHit> {
    let (namespace, name) = match text.split_once('/') {
        Some((GLOBAL, name)) if !kind.is_namespaced() => (None, name),
        Some((namespace, name)) => (Some(namespace), name),
        None => (None, text),
    };
    Named::new(tier, kind, namespace, name, staged)
}

pub(super) fn write(hit: &PolicyHit) -> String {
    let (staged, kind, name) = (if hit.staged { "s" } else { "" }, hit.kind.as_str(), &hit.name);
    match &hit.namespace {
        Some(namespace) => format!("{staged}{kind}:{namespace}/{name}"),
        None => format!("{staged}{kind}:{name}"),
    }
}

fn kind(word: &str) -> Option<(PolicyKind, bool)> {
    let plain = |word: &str| PolicyKind::ALL.into_iter().find(|kind| kind.as_str() == word);
    let staged = || word.strip_prefix('s').and_then(plain).filter(|kind| kind.can_be_staged());
    plain(word).map(|kind| (kind, false)).or_else(|| staged().map(|kind| (kind, true)))
}
