//! The plans of everything that listens.

use std::net::{IpAddr, Ipv6Addr};
use std::path::Path;

use crate::cgroup;
use crate::ledger::Party;
use crate::names::LabId;
use crate::plan::{Listener, Plan, Work};
use crate::world::{self, Behaviour, Family, MUTE_PORTS, OUTSIDE_PORTS, PODS, Pod, Port};

/// Returns a plan for each container with ports, for the hosts outside, and for `mute`, each with its key.
pub(super) fn plans(lab: &LabId, cgroups: &Path, folder: &Path) -> Vec<(String, Plan)> {
    let ledger = |key: &str| folder.join(format!("receipts-{key}.jsonl"));
    let mut plans = Vec::new();
    for pod in PODS {
        for container in pod.containers.iter().filter(|container| !container.ports.is_empty()) {
            let key = format!("{}.{}", pod.app, container.name);
            let plan = Plan {
                netns: lab.netns(pod.netns()),
                cgroup: cgroups.join(pod.node.name).join(cgroup::container_path(pod, container)),
                comm: container.name.to_owned(),
                party: party(pod),
                container: Some(container.name.to_owned()),
                node: Some(pod.node.name.to_owned()),
                ledger: ledger(&key),
                work: Work::Serve(container.ports.iter().map(|port| anywhere(*port)).collect()),
            };
            plans.push((key, plan));
        }
    }
    for (key, listeners) in [("outside", outside()), ("mute", mute())] {
        let plan = Plan {
            netns: lab.netns(key),
            cgroup: cgroups.join("outside"),
            comm: key.to_owned(),
            party: Party::Outside { name: key.to_owned() },
            container: None,
            node: None,
            ledger: ledger(key),
            work: Work::Serve(listeners),
        };
        plans.push((key.to_owned(), plan));
    }
    plans
}

/// Returns a pod as the ledger names it.
pub(super) fn party(pod: &Pod) -> Party {
    Party::Pod { namespace: pod.namespace.to_owned(), name: pod.name.to_owned(), uid: pod.uid() }
}

/// TCP answers from whatever address was called; UDP must be bound to the address that it answers from.
fn outside() -> Vec<Listener> {
    let mut listeners = Vec::new();
    for port in OUTSIDE_PORTS {
        if matches!(port.behaviour, Behaviour::TcpEcho | Behaviour::TcpJammed) {
            listeners.push(anywhere(*port));
            continue;
        }
        for host in ["telephony", "responders"].iter().filter_map(|name| world::outside_host(name)) {
            for family in [Family::V4, Family::V6] {
                let address = host.address.of(family);
                listeners.push(Listener { address, port: port.number, behaviour: port.behaviour });
            }
        }
    }
    listeners
}

fn mute() -> Vec<Listener> {
    MUTE_PORTS.iter().map(|port| anywhere(*port)).collect()
}

fn anywhere(port: Port) -> Listener {
    Listener { address: IpAddr::V6(Ipv6Addr::UNSPECIFIED), port: port.number, behaviour: port.behaviour }
}
