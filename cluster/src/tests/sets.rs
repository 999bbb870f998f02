//! Which network set wins.

use super::*;

fn set(name: &str, nets: &str) -> String {
    match name.split_once('/') {
        Some((namespace, name)) => format!(
            "---\n{{apiVersion: projectcalico.org/v3, kind: NetworkSet, \
             metadata: {{name: {name}, namespace: {namespace}, labels: {{set: {name}}}}}, spec: {{nets: [{nets}]}}}}\n"
        ),
        None => format!(
            "---\n{{apiVersion: projectcalico.org/v3, kind: GlobalNetworkSet, \
             metadata: {{name: {name}}}, spec: {{nets: [{nets}]}}}}\n"
        ),
    }
}

fn check(sets: &[(&str, &str)], address: &str, namespace: Option<&str>, expected: &str) {
    let yaml: String = sets.iter().map(|(name, nets)| set(name, nets)).collect();
    let reversed: String = sets.iter().rev().map(|(name, nets)| set(name, nets)).collect();
    for snapshot in [snapshot(&yaml), snapshot(&reversed)] {
        let found = snapshot.outside(ip(address), namespace);
        assert_eq!(format!("{}/{}", found.namespace, found.name_aggr), expected, "{address} from {namespace:?}");
    }
}

#[test]
fn the_longest_prefix() {
    let sets = [("wide", "10.0.0.0/8"), ("narrow", "10.1.0.0/16"), ("all", "0.0.0.0/0")];
    check(&sets, "10.1.2.3", None, "-/narrow");
    check(&sets, "10.2.2.3", None, "-/wide");
    check(&sets, "11.2.2.3", None, "-/all");
}

#[test]
fn the_own_namespace_before_global_before_others() {
    let sets = [("shop/own", "10.0.0.0/8"), ("global", "10.1.0.0/16"), ("other/far", "10.1.2.0/24")];
    check(&sets, "10.1.2.3", Some("shop"), "shop/own");
    check(&sets, "10.1.2.3", Some("third"), "-/global");
    check(&sets, "10.1.2.3", None, "-/global");
    check(&[("other/far", "10.1.2.0/24")], "10.1.2.3", Some("shop"), "other/far");
}

#[test]
fn ties_by_full_name() {
    check(&[("b", "10.0.0.0/8"), ("a", "10.0.0.0/8")], "10.1.2.3", None, "-/a");
    check(&[("x/a", "10.0.0.0/8"), ("w/b", "10.0.0.0/8")], "10.1.2.3", None, "w/b");
}

#[test]
fn single_addresses_host_bits_and_ipv6() {
    check(&[("one", "203.0.113.9")], "203.0.113.9", None, "-/one");
    check(&[("one", "203.0.113.9")], "203.0.113.8", None, "-/pub");
    check(&[("sloppy", "203.0.113.9/24")], "203.0.113.8", None, "-/sloppy");
    check(&[("six", "'2001:db8::/32'"), ("four", "0.0.0.0/0")], "2001:db8::7", None, "-/six");
    check(&[("four", "0.0.0.0/0")], "2001:db8::7", None, "-/pub");
}

#[test]
fn a_set_shows_its_labels() {
    let found = snapshot(&set("shop/bank", "203.0.113.0/24"));
    let shown = line(found.outside(ip("203.0.113.1"), None));
    assert_eq!(shown, "ns shop bank bank [set=bank] owner=null/null node=null zone=null");
}
