use proptest::prelude::*;

use super::*;

fn check(text: &str, expected: &str) {
    let (hit, grammar) = PolicyHit::parse(text).unwrap();
    let PolicyHit { index, tier, kind, namespace, name, staged, action, rule } = &hit;
    let shown = format!(
        "{} {index} {tier} {}{} {} {name} {} {}",
        grammar.as_str(),
        if *staged { "staged-" } else { "" },
        kind.as_str(),
        namespace.as_deref().unwrap_or("-"),
        action.as_str(),
        rule.map_or("none".to_owned(), |r| r.number().to_string()),
    );
    assert_eq!(shown, expected, "{text}");
    let again = hit.format(grammar);
    assert_eq!(PolicyHit::parse(&again), Ok((hit, grammar)), "{text} was written as {again}");
}

#[test]
fn reads_the_enterprise_grammar() {
    check("0|platform|platform.baseline|pass|2", "enterprise 0 platform gnp - baseline pass 2");
    check("1|default|storefront/default.trusted|deny|-1", "enterprise 1 default np storefront trusted deny -1");
    check("1|default|shop/knp.default.web|allow|-2", "enterprise 1 default knp shop web allow -2");
    check("0|kube-admin|kcnp.guard|deny|0", "enterprise 0 kube-admin kcnp - guard deny 0");
    check("2|__PROFILE__|__PROFILE__.kns.shop|allow|0", "enterprise 2 __PROFILE__ pro - kns.shop allow 0");
    check("2|__PROFILE__|__PROFILE__.ksa.shop.web|allow|0", "enterprise 2 __PROFILE__ pro - ksa.shop.web allow 0");
    check("0|__PROFILE__|__PROFILE__|deny|-1", "enterprise 0 __PROFILE__ pro - __PROFILE__ deny -1");
    check("0|__PROFILE__|__NO_MATCH__|deny|0", "enterprise 0 __PROFILE__ pro - __NO_MATCH__ deny 0");
    check("12|default|default.with.dots|ALLOW|10", "enterprise 12 default gnp - with.dots allow 10");
}

#[test]
fn reads_four_parts_of_older_releases() {
    check("0|tier1|tier1.policy1|allow", "enterprise 0 tier1 gnp - policy1 allow none");
    check("1|default|ns2/staged:knp.default.p|deny", "enterprise 1 default staged-knp ns2 p deny none");
    check("1|__PROFILE__|__PROFILE__.kns.shop|allow", "enterprise 1 __PROFILE__ pro - kns.shop allow none");
}

#[test]
fn reads_both_places_of_the_staged_marker() {
    check("1|tier1|ns2/staged:tier1.policy1|deny|0", "enterprise 1 tier1 staged-np ns2 policy1 deny 0");
    check(
        "1|namespace-isolation|curl-ns/namespace-isolation.staged:curl-ns-vfzgh|allow|0",
        "enterprise 1 namespace-isolation staged-np curl-ns curl-ns-vfzgh allow 0",
    );
    check("0|platform|platform.staged:baseline|deny|1", "enterprise 0 platform staged-gnp - baseline deny 1");
    check("0|platform|staged:platform.baseline|deny|1", "enterprise 0 platform staged-gnp - baseline deny 1");
    check("3|default|shop/staged:knp.default.web|allow|0", "enterprise 3 default staged-knp shop web allow 0");
    check("0|kube-admin|staged:kcnp.guard|deny|0", "enterprise 0 kube-admin staged-kcnp - guard deny 0");
}

#[test]
fn keeps_a_name_that_begins_with_another_tier() {
    check("1|tier2|ns1/tier1.policy1|deny|-1", "enterprise 1 tier2 np ns1 tier1.policy1 deny -1");
}

#[test]
fn reads_admin_policies_with_and_without_their_tier() {
    for text in [
        "0|adminnetworkpolicy|kanp.adminnetworkpolicy.a|pass|0",
        "0|adminnetworkpolicy|adminnetworkpolicy.kanp.adminnetworkpolicy.a|pass|0",
    ] {
        check(text, "enterprise 0 adminnetworkpolicy kanp - a pass 0");
    }
    check(
        "1|baselineadminnetworkpolicy|kbanp.baselineadminnetworkpolicy.default|deny|3",
        "enterprise 1 baselineadminnetworkpolicy kbanp - default deny 3",
    );
}

#[test]
fn reads_the_open_grammar() {
    check("0|security|gnp:block-bad|pass|2", "open 0 security gnp - block-bad pass 2");
    check("1|default|knp:shop/allow-web|allow|3", "open 1 default knp shop allow-web allow 3");
    check("1|default|np:shop/web|deny|-1", "open 1 default np shop web deny -1");
    check("2|__PROFILE__|pro:kns.shop|allow|0", "open 2 __PROFILE__ pro - kns.shop allow 0");
    check("0|default|snp:shop/web-v2|allow|0", "open 0 default staged-np shop web-v2 allow 0");
    check("0|default|sgnp:web-v2|allow|0", "open 0 default staged-gnp - web-v2 allow 0");
    check("0|default|sknp:shop/web-v2|allow|0", "open 0 default staged-knp shop web-v2 allow 0");
    check("0|kube-baseline|kcnp:guard|deny|1", "open 0 kube-baseline kcnp - guard deny 1");
    check("0|default|eot:__NO_MATCH__|deny|-1", "open 0 default eot - __NO_MATCH__ deny -1");
    check("0|security|gnp:__GLOBAL__/block|deny|0", "open 0 security gnp - block deny 0");
    check("0|team|np:shop/team.web|allow|0", "open 0 team np shop team.web allow 0");
    check("0|__UNKNOWN__|gnp:__UNKNOWN__|deny|-2", "open 0 __UNKNOWN__ gnp - __UNKNOWN__ deny -2");
}

#[test]
fn does_not_write_the_tier_twice() {
    let (hit, _) = PolicyHit::parse("0|team|np:shop/team.web|allow|0").unwrap();
    assert_eq!(hit.to_string(), "0|team|shop/team.web|allow|0");
}

#[test]
fn writes_the_marker_where_the_design_wants_it() {
    for text in [
        "0|platform|platform.staged:baseline|deny|1",
        "0|security|shop/security.staged:web|deny|1",
        "0|default|shop/staged:knp.default.web|deny|1",
        "0|kube-admin|staged:kcnp.guard|deny|1",
    ] {
        assert_eq!(text.parse::<PolicyHit>().unwrap().to_string(), text);
    }
}

#[test]
fn names_the_part_that_does_not_fit() {
    let cases = [
        ("", "has 1 parts"),
        ("0|default|default.x", "has 3 parts"),
        ("0|default|default.x|allow|0|0", "has 6 parts"),
        ("x|default|default.x|allow|0", "index `x`"),
        ("-1|default|default.x|allow|0", "index `-1`"),
        ("+1|default|default.x|allow|0", "index `+1`"),
        ("|default|default.x|allow|0", "index ``"),
        ("99999999999|default|default.x|allow|0", "index"),
        ("0||default.x|allow|0", "tier ``"),
        ("0|De fault|default.x|allow|0", "tier `De fault`"),
        ("0|default|default.x|log|0", "action `log`"),
        ("0|default|default.x|allow|-3", "rule `-3`"),
        ("0|default|default.x|allow|", "rule ``"),
        ("0|default|x|allow|0", "policy name `x`"),
        ("0|default||allow|0", "policy name ``"),
        ("0|default|default.|allow|0", "policy name ``"),
        ("0|default|default.UPPER|allow|0", "policy name `UPPER`"),
        ("0|default|/default.x|allow|0", "namespace ``"),
        ("0|default|a.b/default.x|allow|0", "namespace `a.b`"),
        ("0|default|a/b/default.x|allow|0", "policy name"),
        ("0|default|knp.default.x|allow|0", "policy `x` does not fit"),
        ("0|default|ns/staged:default.staged:x|allow|0", "policy name"),
        ("0|default|foo:x|allow|0", "policy kind `foo`"),
        ("0|default|seot:x|allow|0", "policy kind `seot`"),
        ("0|default|np:x|allow|0", "policy `x` does not fit"),
        ("0|default|gnp:ns/x|allow|0", "policy `x` does not fit"),
        ("0|default|pro:kns.x|allow|0", "policy `kns.x` does not fit"),
        ("0|__PROFILE__|gnp:x|allow|0", "policy `x` does not fit"),
        ("0|default|gnp:x|allow", "has no rule"),
        ("0|default|default.a\u{1b}[2J|allow|0", "policy name `a\u{fffd}[2J`"),
    ];
    for (text, expected) in cases {
        let message = PolicyHit::parse(text).unwrap_err().to_string();
        assert!(message.contains(expected), "{text:?}: {message:?} does not contain {expected:?}");
        assert!(!message.chars().any(char::is_control), "{message:?}");
    }
    let long = format!("0|default|default.{}|allow|0", "a".repeat(2000));
    assert_eq!(PolicyHit::parse(&long), Err(InvalidPolicyHit::TooLong(long.len())));
}

fn label() -> impl Strategy<Value = String> {
    "[a-z0-9]([a-z0-9-]{0,12}[a-z0-9])?"
}

fn hit() -> impl Strategy<Value = PolicyHit> {
    let kind = proptest::sample::select(&PolicyKind::ALL[..]);
    let action = proptest::sample::select(vec![HitAction::Allow, HitAction::Deny, HitAction::Pass]);
    let rule = prop_oneof![
        any::<u32>().prop_map(|n| Some(Rule::Number(n))),
        Just(Some(Rule::TierDefault)),
        Just(Some(Rule::NotRecorded)),
    ];
    let name = prop_oneof![label(), (label(), label()).prop_map(|(a, b)| format!("{a}.{b}"))];
    (any::<u32>(), label(), kind, label(), name, any::<bool>(), action, rule).prop_map(
        |(index, tier, kind, namespace, name, staged, action, rule)| {
            let tier = match kind {
                PolicyKind::Profile => PROFILE_TIER.to_owned(),
                PolicyKind::KubernetesNetworkPolicy => "default".to_owned(),
                _ => tier,
            };
            let name = if kind == PolicyKind::EndOfTier { NO_MATCH.to_owned() } else { name };
            let namespace = kind.is_namespaced().then_some(namespace);
            PolicyHit { index, tier, kind, namespace, name, staged: staged && kind.can_be_staged(), action, rule }
        },
    )
}

proptest! {
    #[test]
    fn comes_back_from_both_grammars(hit in hit()) {
        for grammar in [Grammar::Open, Grammar::Enterprise] {
            // Of Calico's policies the enterprise grammar cannot tell `web` from `team.web` in tier `team`.
            let calico = matches!(hit.kind, PolicyKind::GlobalNetworkPolicy | PolicyKind::NetworkPolicy);
            let tier = format!("{}.", hit.tier);
            let bare = hit.name.trim_start_matches(&tier).to_owned();
            let expected = if grammar == Grammar::Open || !calico { hit.clone() } else { PolicyHit { name: bare, ..hit.clone() } };
            prop_assert_eq!(PolicyHit::parse(&hit.format(grammar)), Ok((expected, grammar)));
        }
    }

    #[test]
    fn never_panics(text in ".{0,80}", parts in proptest::collection::vec("[a-z:/.|_-]{0,12}", 0..7)) {
        let _ = PolicyHit::parse(&text);
        if let Ok((hit, grammar)) = PolicyHit::parse(&parts.join("|")) {
            prop_assert_eq!(PolicyHit::parse(&hit.format(grammar)), Ok((hit, grammar)));
        }
    }
}
