use super::*;
use crate::test_support::*;

fn cgroup(identities: &mut Identities, id: u64, path: &str, made: bool, at: KernelNs) {
    identities.cgroup(&CgroupEvent { id, path: path.to_owned(), made }, at);
}

fn pod_path(uid: &str) -> String {
    format!("/kubepods/pod{uid}/0123456789abcdef")
}

fn world(root: &str) -> Identities {
    let mut identities = Identities::new(root, HOST_NETNS);
    cgroup(&mut identities, 1, "/", true, ms(0));
    cgroup(&mut identities, 11, &pod_path(POD_A), true, ms(0));
    cgroup(&mut identities, 12, &pod_path(POD_B), true, ms(0));
    identities
}

fn named_as(identities: &mut Identities, place: SocketPlace, local: &str) -> Option<(Identity, Option<String>)> {
    match identities.locate(&place, &tuple(flow::Protocol::TCP, local, 1, "192.0.2.1", 2)) {
        Located::Inside(local) => Some((local.identity, local.pod_uid.clone())),
        Located::Outside => None,
    }
}

#[test]
fn cgroup_beats_namespace_beats_address() {
    let mut i = world("/");
    i.learn(&in_pod_a(), ip("10.0.0.1"), ms(0));
    let pod = Some(POD_A.to_owned());
    assert_eq!(named_as(&mut i, in_pod_a(), "10.0.0.1"), Some((Identity::Cgroup, pod.clone())));
    let kernels = SocketPlace { cgroup: 1, ..in_pod_a() };
    assert_eq!(named_as(&mut i, kernels, "10.0.0.1"), Some((Identity::Netns, pod.clone())));
    let nowhere = SocketPlace::default();
    assert_eq!(named_as(&mut i, nowhere, "10.0.0.1"), Some((Identity::Address, pod)));
    assert_eq!(named_as(&mut i, nowhere, "10.0.0.9"), Some((Identity::None, None)));
    assert_eq!(
        named_as(&mut i, SocketPlace { cgroup: 1, netns: HOST_NETNS, cookie: 0 }, "10.0.0.1"),
        Some((Identity::None, None))
    );
}

#[test]
fn a_pod_gone_in_an_instant_is_still_named() {
    let mut i = world("/");
    cgroup(&mut i, 11, &pod_path(POD_A), false, ms(100));
    assert_eq!(named_as(&mut i, in_pod_a(), "10.0.0.1").unwrap().1.as_deref(), Some(POD_A));
    i.tidy(ms(100 + 299_999));
    assert_eq!(named_as(&mut i, in_pod_a(), "10.0.0.1").unwrap().1.as_deref(), Some(POD_A));
    i.tidy(ms(100 + 300_000));
    assert_eq!(named_as(&mut i, in_pod_a(), "10.0.0.1").unwrap().1, None);
}

#[test]
fn an_id_that_was_made_anew_outlives_its_former_self() {
    let mut i = world("/");
    cgroup(&mut i, 11, &pod_path(POD_A), false, ms(100));
    cgroup(&mut i, 11, &pod_path(POD_B), true, ms(200));
    assert_eq!(named_as(&mut i, in_pod_a(), "10.0.0.1").unwrap().1.as_deref(), Some(POD_B));
    i.tidy(ms(900_000));
    assert_eq!(named_as(&mut i, in_pod_a(), "10.0.0.1").unwrap().1.as_deref(), Some(POD_B));
}

#[test]
fn a_namespace_that_two_living_pods_claim_has_no_name() {
    let mut i = world("/");
    i.learn(&in_pod_a(), ip("10.0.0.1"), ms(0));
    i.learn(&SocketPlace { netns: 101, ..in_pod_b() }, ip("10.0.0.1"), ms(1));
    assert_eq!(i.pod_of_netns(101), None);
}

#[test]
fn a_namespace_goes_over_to_the_next_pod_when_the_first_is_gone() {
    let mut i = world("/");
    i.learn(&in_pod_a(), ip("10.0.0.1"), ms(0));
    cgroup(&mut i, 11, &pod_path(POD_A), false, ms(1));
    i.learn(&SocketPlace { netns: 101, ..in_pod_b() }, ip("10.0.0.7"), ms(2));
    assert_eq!(i.pod_of_netns(101).as_deref(), Some(POD_B));
    assert!(!i.netns_has(101, ip("10.0.0.1")), "and not with the addresses of the first");
}

#[test]
fn a_daemon_on_the_hosts_network_names_no_namespace() {
    let mut i = world("/");
    i.learn(&SocketPlace { netns: HOST_NETNS, ..in_pod_b() }, ip("192.168.0.5"), ms(0));
    i.learn(&SocketPlace { netns: 101, ..in_pod_b() }, ip("10.0.0.1"), ms(1));
    assert_eq!((i.pod_of_netns(101), i.pod_of_address(ip("192.168.0.5"))), (None, None));
}

#[test]
fn addresses_that_everybody_has_name_nobody() {
    let mut i = world("/");
    for address in ["127.0.0.1", "::1", "0.0.0.0", "::", "169.254.1.1", "fe80::1", "224.0.0.1", "ff02::1"] {
        i.learn(&in_pod_a(), ip(address), ms(0));
        assert_eq!(i.pod_of_address(ip(address)), None, "{address}");
    }
}

#[test]
fn an_address_belongs_to_whom_used_it_last() {
    let mut i = world("/");
    i.learn(&in_pod_a(), ip("10.0.0.1"), ms(0));
    i.learn(&in_pod_b(), ip("10.0.0.1"), ms(1));
    assert_eq!(i.pod_of_address(ip("10.0.0.1")).as_deref(), Some(POD_B));
}

#[test]
fn a_failed_connect_gets_the_only_address_there_is() {
    let mut i = world("/");
    i.learn(&in_pod_a(), ip("10.0.0.1"), ms(0));
    i.learn(&in_pod_a(), ip("fd00::1"), ms(0));
    assert_eq!(i.only_address(101, ip("8.8.8.8")), Some(ip("10.0.0.1")));
    assert_eq!(i.only_address(101, ip("2001:db8::1")), Some(ip("fd00::1")));
    i.learn(&in_pod_a(), ip("10.0.0.5"), ms(0));
    assert_eq!(i.only_address(101, ip("8.8.8.8")), None);
}

#[test]
fn the_root_of_the_node_is_a_directory_not_a_prefix() {
    let mut i = world("/lab/node-a");
    cgroup(&mut i, 21, &format!("/lab/node-a{}", pod_path(POD_A)), true, ms(0));
    cgroup(&mut i, 22, &format!("/lab/node-ab{}", pod_path(POD_A)), true, ms(0));
    let inside =
        |i: &mut Identities, cgroup| named_as(i, SocketPlace { cgroup, netns: 101, cookie: 0 }, "10.0.0.1").is_some();
    assert!(inside(&mut i, 21));
    assert!(!inside(&mut i, 22));
    assert!(!inside(&mut i, 11));
}

#[test]
fn a_flood_of_cgroups_is_bounded_and_told() {
    let mut i = world("/");
    for id in 100..70_000 {
        cgroup(&mut i, id, "/x", true, ms(0));
    }
    let (cgroups, _, _, refused) = i.sizes();
    assert_eq!(cgroups, 65_536);
    assert!(refused > 0);
}

#[test]
fn only_cgroups_at_or_below_the_root_are_this_nodes() {
    let node = world("/lab/node-a");
    for (path, own) in [
        ("/lab/node-a", true),
        ("/lab/node-a/kubepods/podx", true),
        ("/lab/node-ab/kubepods/podx", false),
        ("/lab/node-b/kubepods/podx", false),
        ("/lab", false),
        ("/", false),
    ] {
        assert_eq!(node.owns(path), own, "{path}");
    }
    assert!(world("/").owns("/lab/node-b/kubepods/podx"));
}
