//! What must hold for all objects: fast lookups agree with a slow look at everything, and the hash with the content.

use std::net::Ipv4Addr;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::CLOCK_SKEW_MS;
use crate::objects::{Meta, NetworkSet, Node, Object, Pod, PodPhase};

fn meta(namespace: Option<&str>, name: &str) -> Meta {
    Meta {
        namespace: namespace.map(Into::into),
        name: name.into(),
        uid: Some(format!("uid-{name}").into()),
        labels: [("app".to_owned(), name.to_owned())].into(),
        created: None,
    }
}

/// Few addresses and few moments, so that holders meet.
fn address() -> impl Strategy<Value = IpAddr> {
    (0_u8..6).prop_map(|last| IpAddr::V4(Ipv4Addr::new(10, 0, 0, last)))
}

fn moment() -> impl Strategy<Value = UnixMs> {
    (0_u64..12).prop_map(|n| UnixMs(n * 1_000))
}

fn pod(n: usize) -> impl Strategy<Value = Object> {
    let phase = prop_oneof![
        Just(PodPhase::Running),
        Just(PodPhase::Pending),
        Just(PodPhase::Succeeded),
        Just(PodPhase::Failed)
    ];
    (vec(address(), 0..3), any::<bool>(), phase, proptest::option::of(moment()), proptest::option::of(moment()))
        .prop_map(move |(mut addresses, host_network, phase, started, finished)| {
            addresses.sort();
            addresses.dedup();
            Object::Pod(Arc::new(Pod {
                meta: meta(Some("ns"), &format!("pod-{n}")),
                generate_name: None,
                static_uid: None,
                addresses,
                host_network,
                node: Some("node-0".into()),
                service_account: None,
                ports: Vec::new(),
                phase,
                started,
                finished: finished.filter(|_| phase.is_finished()),
                deletion: None,
                owners: Vec::new(),
            }))
        })
}

fn node(n: usize) -> impl Strategy<Value = Object> {
    vec(address(), 0..2).prop_map(move |mut addresses| {
        addresses.sort();
        addresses.dedup();
        Object::Node(Arc::new(Node { meta: meta(None, &format!("node-{n}")), addresses, zone: None }))
    })
}

fn network_set(n: usize) -> impl Strategy<Value = Object> {
    let net = (0_u8..4, 0_u8..4, prop_oneof![Just(0_u8), Just(8), Just(15), Just(16), Just(24), Just(32)]);
    let namespace = prop_oneof![Just(None), Just(Some("own")), Just(Some("other"))];
    (namespace, vec(net, 0..4)).prop_map(move |(namespace, nets)| {
        let net = |(a, b, length)| {
            let net: ipnet::IpNet = format!("10.{a}.{b}.0/{length}").parse().unwrap();
            net.trunc()
        };
        let mut nets: Vec<ipnet::IpNet> = nets.into_iter().map(net).collect();
        nets.sort();
        nets.dedup();
        Object::NetworkSet(Arc::new(NetworkSet { meta: meta(namespace, &format!("set-{n}")), nets }))
    })
}

fn everything() -> impl Strategy<Value = Vec<Object>> {
    let pods: Vec<_> = (0..6).map(pod).collect();
    let nodes: Vec<_> = (0..3).map(node).collect();
    let sets: Vec<_> = (0..6).map(network_set).collect();
    (pods, nodes, sets).prop_map(|(pods, nodes, sets)| pods.into_iter().chain(nodes).chain(sets).collect())
}

fn gathered(all: &[Object]) -> Objects {
    let mut objects = Objects::default();
    all.iter().cloned().for_each(|object| objects.insert(object));
    objects
}

/// Says who held an address by looking at every object.
fn slow_holder(all: &[Object], address: IpAddr, at: UnixMs) -> String {
    let skew = i128::from(CLOCK_SKEW_MS);
    let at = i128::from(at.0);
    let (mut found, mut pods, mut later) = (Vec::new(), false, false);
    for object in all {
        match object {
            Object::Pod(pod) if pod.addresses.contains(&address) && !pod.host_network => {
                let ended_somewhen = pod.phase.is_finished() && pod.finished.is_none();
                let begun = pod.started.is_none_or(|s| i128::from(s.0) - skew <= at);
                let over = pod.finished.is_some_and(|f| i128::from(f.0) + skew < at);
                if ended_somewhen {
                } else if !begun {
                    later = true;
                } else if !over {
                    pods = true;
                    found.push(format!("pod {}", pod.meta.name));
                }
            }
            Object::Node(node) if node.addresses.contains(&address) => found.push(format!("host {}", node.meta.name)),
            _ => {}
        }
    }
    match found.as_slice() {
        [] if later => "later".to_owned(),
        [] => "nobody".to_owned(),
        [one] => one.clone(),
        _ if pods => "ambiguous, pods".to_owned(),
        _ => "ambiguous, hosts".to_owned(),
    }
}

/// Finds the set that wins by sorting all that cover the address.
fn slow_set(all: &[Object], address: IpAddr, namespace: Option<&str>) -> Option<String> {
    let mut covering = Vec::new();
    for object in all {
        let Object::NetworkSet(set) = object else { continue };
        for net in set.nets.iter().filter(|net| net.contains(&address)) {
            let own = set.meta.namespace.as_deref();
            let class = if own.is_none() {
                1
            } else if own == namespace {
                0
            } else {
                2
            };
            let full = own.map_or_else(|| set.meta.name.to_string(), |own| format!("{own}/{}", set.meta.name));
            covering.push((class, 255 - net.prefix_len(), full));
        }
    }
    covering.sort();
    covering.into_iter().next().map(|(_, _, full)| full)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn holders_agree_with_a_look_at_everything(all in everything(), moments in vec(0_u64..15_000, 6)) {
        let snapshot = Snapshot::new(gathered(&all), PrivateRanges::Full);
        for last in 0..7 {
            let address = IpAddr::V4(Ipv4Addr::new(10, 0, 0, last));
            for moment in &moments {
                let at = UnixMs(*moment);
                prop_assert_eq!(word(snapshot.address(address, at)), slow_holder(&all, address, at));
            }
        }
    }

    #[test]
    fn sets_agree_with_a_look_at_everything(all in everything(), a in 0_u8..5, b in 0_u8..5, c in 0_u8..2) {
        let snapshot = Snapshot::new(gathered(&all), PrivateRanges::Full);
        let address = IpAddr::V4(Ipv4Addr::new(10, a, b, c));
        for namespace in [None, Some("own"), Some("other"), Some("third")] {
            let found = snapshot.outside(address, namespace);
            let name = match (found.kind, found.namespace.as_ref()) {
                (flow::EndpointType::NetworkSet, "-") => Some(found.name.to_string()),
                (flow::EndpointType::NetworkSet, own) => Some(format!("{own}/{}", found.name)),
                _ => None,
            };
            prop_assert_eq!(name, slow_set(&all, address, namespace));
        }
    }

    #[test]
    fn pods_are_found_by_uid(all in everything()) {
        let snapshot = Snapshot::new(gathered(&all), PrivateRanges::Full);
        for object in &all {
            if let Object::Pod(pod) = object {
                let uid = pod.meta.uid.as_deref().unwrap();
                prop_assert_eq!(&snapshot.pod(uid).unwrap().pod, pod);
            }
        }
    }

    #[test]
    fn the_hash_is_that_of_the_content(
        (all, shuffled) in everything().prop_flat_map(|all| (Just(all.clone()), Just(all).prop_shuffle())),
        changed in 0_usize..15,
    ) {
        let hash = |all: &[Object]| Arc::clone(Snapshot::new(gathered(all), PrivateRanges::Full).hash());
        prop_assert_eq!(hash(&all), hash(&shuffled));
        let mut without = all.clone();
        without.remove(changed);
        prop_assert_ne!(hash(&all), hash(&without));
    }
}
