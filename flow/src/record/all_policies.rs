//! `all_policies`: the enforced walk with the staged hits put in at their place, renumbered.

use crate::PolicyHit;

/// Puts the staged hits of the pending walk into the enforced walk. What both walks share keeps them in step; a staged
/// hit comes before what the enforced walk has next, as staged policies are evaluated before their twins. Strings that
/// are of no grammar of ours have no place in an order and are left out.
pub(super) fn all_policies(enforced: &[String], pending: &[String]) -> Vec<String> {
    if !pending.iter().any(|text| text.contains("staged:")) {
        return enforced.to_vec();
    }
    let (enforced, pending) = (walk(enforced), walk(pending));
    let mut all = Vec::with_capacity(enforced.len() + pending.len());
    let mut next = 0;
    for (place, hit) in pending.iter().enumerate() {
        if hit.staged {
            let earlier = leading_tiers(&enforced[next..], &pending[..place], &hit.tier);
            all.extend_from_slice(&enforced[next..next + earlier]);
            next += earlier;
            all.push(hit.clone());
        } else if let Some(found) = enforced[next..].iter().position(|other| same(other, hit)) {
            all.extend_from_slice(&enforced[next..=next + found]);
            next += found + 1;
        }
    }
    all.extend_from_slice(&enforced[next..]);
    for (index, hit) in (0..).zip(&mut all) {
        hit.index = index;
    }
    all.iter().map(ToString::to_string).collect()
}

/// Returns how many of the next enforced hits are of tiers before `tier`: because the enforced walk comes to `tier` later,
/// or because the pending walk has been in their tier already.
fn leading_tiers(enforced: &[PolicyHit], pending_before: &[PolicyHit], tier: &str) -> usize {
    if let Some(at) = enforced.iter().position(|hit| hit.tier == tier) {
        return at;
    }
    let behind = |hit: &PolicyHit| pending_before.iter().any(|before| before.tier == hit.tier);
    enforced.iter().take_while(|hit| behind(hit)).count()
}

fn walk(strings: &[String]) -> Vec<PolicyHit> {
    let mut hits: Vec<PolicyHit> = strings.iter().filter_map(|text| text.parse().ok()).collect();
    hits.sort_by_key(|hit| hit.index);
    hits
}

/// Says whether two hits are the same but for their place.
fn same(one: &PolicyHit, other: &PolicyHit) -> bool {
    PolicyHit { index: other.index, ..one.clone() } == *other
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(enforced: &[&str], pending: &[&str], expected: &[&str]) {
        let owned = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        assert_eq!(all_policies(&owned(enforced), &owned(pending)), owned(expected));
    }

    #[test]
    fn without_staged_hits_it_is_the_enforced_walk() {
        check(&["0|default|default.a|allow|0"], &["0|default|default.b|deny|0"], &["0|default|default.a|allow|0"]);
        check(&[], &[], &[]);
    }

    #[test]
    fn a_staged_hit_stands_before_what_it_would_decide() {
        check(
            &["0|platform|platform.baseline|pass|2", "1|default|storefront/default.trusted|deny|-1"],
            &["0|platform|platform.baseline|pass|2", "1|default|storefront/default.staged:rogue|allow|0"],
            &[
                "0|platform|platform.baseline|pass|2",
                "1|default|storefront/default.staged:rogue|allow|0",
                "2|default|storefront/default.trusted|deny|-1",
            ],
        );
    }

    #[test]
    fn a_staged_hit_beyond_the_enforced_end_comes_last() {
        check(
            &["0|platform|platform.baseline|allow|2"],
            &["0|platform|platform.baseline|allow|2", "1|default|shop/staged:knp.default.web|deny|-1"],
            &["0|platform|platform.baseline|allow|2", "1|default|shop/staged:knp.default.web|deny|-1"],
        );
    }

    #[test]
    fn tiers_keep_their_order_where_staged_twins_replace_everything() {
        check(
            &["0|platform|platform.p|pass|0", "1|default|default.x|allow|0"],
            &["0|platform|platform.staged:p|pass|0", "1|default|default.staged:x|deny|0"],
            &[
                "0|platform|platform.staged:p|pass|0",
                "1|platform|platform.p|pass|0",
                "2|default|default.staged:x|deny|0",
                "3|default|default.x|allow|0",
            ],
        );
        check(
            &["0|platform|platform.p|allow|0"],
            &["0|platform|platform.staged:p|pass|0", "1|default|default.staged:x|deny|0"],
            &[
                "0|platform|platform.staged:p|pass|0",
                "1|platform|platform.p|allow|0",
                "2|default|default.staged:x|deny|0",
            ],
        );
    }

    #[test]
    fn order_is_that_of_the_numbers() {
        check(
            &["1|default|default.b|allow|0", "0|platform|platform.a|pass|0"],
            &["1|default|default.staged:c|deny|0", "0|platform|platform.a|pass|0"],
            &["0|platform|platform.a|pass|0", "1|default|default.staged:c|deny|0", "2|default|default.b|allow|0"],
        );
    }
}
