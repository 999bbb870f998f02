//! Whose socket, whose packet: cgroup → container → pod, network namespace → pod, address → pod.
//!
//! Comes in: cgroup directories as they are made and removed, sockets as they are seen. Goes out: the
//! [`LocalIdentity`] of a socket or a dropped packet, and whether it belongs to this node at all. What cannot be told
//! for certain stays unnamed: a namespace that two living pods seem to share has no pod.

mod cgroups;
pub mod path;
#[cfg(test)]
mod tests;
pub mod walk;

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use flow::{Identity, LocalIdentity};

use self::cgroups::Cgroups;
use self::path::PodContainer;
use crate::kernel::event::{CgroupEvent, KernelNs, SocketPlace, SocketTuple};

/// Upper bound of namespaces and of addresses kept.
const MAX_LEARNT: usize = 16_384;
/// How long a namespace or an address is believed without being seen again once its pod is gone.
const KEEP_LEARNT_MS: u64 = 5 * 60_000;

/// What is known of a network namespace other than the node's own.
#[derive(Debug)]
struct Namespace {
    /// UID of its pod; `None` if two living pods claim it.
    pod: Option<Arc<str>>,
    /// Its addresses, at most [`MAX_ADDRESSES`].
    addresses: Vec<IpAddr>,
    seen: KernelNs,
}

/// Addresses kept for one namespace.
const MAX_ADDRESSES: usize = 16;

/// Where a socket is, as far as the probe can tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Located {
    /// On this node, with this identity.
    Inside(Arc<LocalIdentity>),
    /// Another node's: below another cgroup, or in a namespace that is not one of this node's.
    Outside,
}

/// The tables.
#[derive(Debug)]
pub struct Identities {
    cgroups: Cgroups,
    host_netns: u32,
    namespaces: HashMap<u32, Namespace>,
    addresses: HashMap<IpAddr, (Arc<str>, KernelNs)>,
    /// Addresses of the node itself: those its own sockets use.
    host_addresses: HashMap<IpAddr, KernelNs>,
    /// Pods seen on the node's own network: daemons that enter other namespaces, which they must not name.
    host_network_pods: HashSet<Arc<str>>,
    /// Identities made before, so that an attempt costs no allocation.
    made: HashMap<(u64, u32), Arc<LocalIdentity>>,
}

impl Identities {
    /// Makes empty tables for the node below `cgroup_root` (path from the root of the hierarchy; `/` is all of it) whose
    /// own network namespace has the given inode.
    #[must_use]
    pub fn new(cgroup_root: &str, host_netns: u32) -> Self {
        Self {
            cgroups: Cgroups::new(cgroup_root),
            host_netns,
            namespaces: HashMap::new(),
            addresses: HashMap::new(),
            host_addresses: HashMap::new(),
            host_network_pods: HashSet::new(),
            made: HashMap::new(),
        }
    }

    /// Takes in that a cgroup was made or removed.
    pub fn cgroup(&mut self, event: &CgroupEvent, at: KernelNs) {
        if event.made {
            self.cgroups.made(event.id, &event.path);
            self.made.retain(|(cgroup, _), _| *cgroup != event.id);
        } else {
            self.cgroups.removed(event.id, at);
        }
    }

    /// Learns from a socket: a pod's cgroup in a namespace that is not the node's own names the namespace, and its
    /// local address the pod's address.
    pub fn learn(&mut self, place: &SocketPlace, local_ip: IpAddr, at: KernelNs) {
        let Some(cgroup) = self.cgroups.get(place.cgroup) else { return };
        if !cgroup.inside || place.netns == 0 {
            return;
        }
        let pod = cgroup.pod.clone();
        if place.netns == self.host_netns {
            self.learn_host_address(local_ip, at);
            if let Some(pod) = pod
                && self.host_network_pods.len() < MAX_LEARNT
                && !self.host_network_pods.contains(pod.pod_uid.as_str())
            {
                self.host_network_pods.insert(pod.pod_uid.as_str().into());
            }
            return;
        }
        let Some(pod) = pod else { return };
        self.learn_namespace(place.netns, &pod.pod_uid, at);
        self.learn_address(place.netns, local_ip, at);
    }

    /// Says whether a cgroup, by its path from the root of the hierarchy, is this node's.
    #[must_use]
    pub fn owns(&self, cgroup: &str) -> bool {
        self.cgroups.holds(cgroup)
    }

    /// Learns that a pod's process lives in a namespace.
    pub fn learn_namespace(&mut self, netns: u32, pod_uid: &str, at: KernelNs) {
        if netns == 0 || netns == self.host_netns || self.host_network_pods.contains(pod_uid) {
            return;
        }
        if let Some(known) = self.namespaces.get_mut(&netns) {
            known.seen = known.seen.max(at);
            let Some(before) = known.pod.as_deref() else { return };
            if before == pod_uid {
                return;
            }
            // A pod that is gone left its inode to a new one; two that live are a puzzle, and a puzzle has no name.
            known.pod = if self.cgroups.pod_lives(before) { None } else { Some(pod_uid.into()) };
            known.addresses.clear();
            self.made.retain(|(_, in_netns), _| *in_netns != netns);
        } else if self.namespaces.len() < MAX_LEARNT {
            self.namespaces.insert(netns, Namespace { pod: Some(pod_uid.into()), addresses: Vec::new(), seen: at });
            self.made.retain(|(_, in_netns), _| *in_netns != netns);
        }
    }

    /// Learns that an address is used in the namespace of a pod.
    pub fn learn_address(&mut self, netns: u32, ip: IpAddr, at: KernelNs) {
        if !is_pods_own(ip) {
            return;
        }
        let Some(namespace) = self.namespaces.get_mut(&netns) else { return };
        let Some(pod) = namespace.pod.clone() else { return };
        namespace.seen = namespace.seen.max(at);
        if !namespace.addresses.contains(&ip) && namespace.addresses.len() < MAX_ADDRESSES {
            namespace.addresses.push(ip);
        }
        if self.addresses.len() < MAX_LEARNT || self.addresses.contains_key(&ip) {
            self.addresses.insert(ip, (pod, at));
        }
    }

    /// Learns an address of the node itself.
    pub fn learn_host_address(&mut self, ip: IpAddr, at: KernelNs) {
        if is_pods_own(ip) && (self.host_addresses.len() < MAX_LEARNT || self.host_addresses.contains_key(&ip)) {
            self.host_addresses.insert(ip, at);
        }
    }

    /// Says where a socket lives and whose it is.
    pub fn locate(&mut self, place: &SocketPlace, tuple: &SocketTuple) -> Located {
        if !self.is_inside(place) {
            return Located::Outside;
        }
        if let Some(known) = self.made.get(&(place.cgroup, place.netns)) {
            return Located::Inside(Arc::clone(known));
        }
        let (identity, lasting) = self.identify(place, tuple.local_ip);
        let identity = Arc::new(identity);
        if lasting && self.made.len() < MAX_LEARNT {
            self.made.insert((place.cgroup, place.netns), Arc::clone(&identity));
        }
        Located::Inside(identity)
    }

    fn is_inside(&self, place: &SocketPlace) -> bool {
        match self.cgroups.get(place.cgroup) {
            _ if self.cgroups.everything() => true,
            Some(cgroup) if !cgroup.root => cgroup.inside,
            _ => self.is_own_namespace(place.netns),
        }
    }

    fn is_own_namespace(&self, netns: u32) -> bool {
        netns != 0 && (netns == self.host_netns || self.namespaces.contains_key(&netns))
    }

    /// Returns the identity, and whether it holds for every socket of that cgroup and namespace.
    fn identify(&self, place: &SocketPlace, local_ip: IpAddr) -> (LocalIdentity, bool) {
        let cgroup = self.cgroups.get(place.cgroup);
        if let Some(PodContainer { pod_uid, container_id }) = cgroup.and_then(|c| c.pod.as_deref()) {
            let container_id = container_id.clone();
            return (named(Identity::Cgroup, pod_uid, container_id, place.netns), true);
        }
        if let Some(pod) = self.pod_of_netns(place.netns) {
            return (named(Identity::Netns, &pod, None, place.netns), true);
        }
        if cgroup.is_some_and(|c| !c.root) {
            let host = LocalIdentity { identity: Identity::Cgroup, netns: place.netns, ..LocalIdentity::none() };
            return (host, place.netns == self.host_netns);
        }
        let known_host = place.netns == self.host_netns && place.netns != 0;
        match self.pod_of_address(local_ip) {
            Some(pod) if !known_host => (named(Identity::Address, &pod, None, place.netns), false),
            _ => (LocalIdentity { netns: place.netns, ..LocalIdentity::none() }, known_host),
        }
    }

    /// Returns the UID of the pod that a namespace belongs to.
    #[must_use]
    pub fn pod_of_netns(&self, netns: u32) -> Option<Arc<str>> {
        self.namespaces.get(&netns).and_then(|n| n.pod.clone())
    }

    /// Returns the UID of the pod of this node that has an address.
    #[must_use]
    pub fn pod_of_address(&self, ip: IpAddr) -> Option<Arc<str>> {
        self.addresses.get(&ip).map(|(pod, _)| Arc::clone(pod))
    }

    /// Says whether a namespace is known to use an address.
    #[must_use]
    pub fn netns_has(&self, netns: u32, ip: IpAddr) -> bool {
        if netns == self.host_netns {
            return self.host_addresses.contains_key(&ip);
        }
        self.namespaces.get(&netns).is_some_and(|n| n.addresses.contains(&ip))
    }

    /// Returns the only address of that family that a namespace is known to use: what a socket would have sent from.
    #[must_use]
    pub fn only_address(&self, netns: u32, like: IpAddr) -> Option<IpAddr> {
        let namespace = self.namespaces.get(&netns)?;
        let mut same = namespace.addresses.iter().filter(|ip| ip.is_ipv4() == like.is_ipv4());
        let first = same.next()?;
        same.next().is_none().then_some(*first)
    }

    /// Says whether a dropped packet was dropped on this node.
    #[must_use]
    pub fn drop_is_inside(&self, netns: u32, source: IpAddr, dest: IpAddr) -> bool {
        if self.cgroups.everything() || self.is_own_namespace(netns) {
            return true;
        }
        let own = |ip| self.addresses.contains_key(&ip) || self.host_addresses.contains_key(&ip);
        netns == 0 && (own(source) || own(dest))
    }

    /// Returns the identity of the receiving end of a dropped packet, if a pod of this node is that end: by the
    /// namespace of the drop where that is known to have the address, else by the address.
    #[must_use]
    pub fn receiver_of_drop(&self, netns: u32, dest: IpAddr) -> Option<LocalIdentity> {
        if let Some(pod) = self.pod_of_netns(netns)
            && self.netns_has(netns, dest)
        {
            return Some(named(Identity::Netns, &pod, None, netns));
        }
        self.pod_of_address(dest).map(|pod| named(Identity::Address, &pod, None, netns))
    }

    /// Returns the identity of the sender of a dropped packet, if it was dropped in the sender's own namespace.
    #[must_use]
    pub fn sender_of_drop(&self, netns: u32, source: IpAddr) -> Option<LocalIdentity> {
        if netns == 0 || !self.netns_has(netns, source) {
            return None;
        }
        match self.pod_of_netns(netns) {
            Some(pod) => Some(named(Identity::Netns, &pod, None, netns)),
            None if netns == self.host_netns => Some(LocalIdentity { netns, ..LocalIdentity::none() }),
            None => None,
        }
    }

    /// Forgets what was gone long ago.
    pub fn tidy(&mut self, now: KernelNs) {
        self.cgroups.tidy(now);
        let cgroups = &self.cgroups;
        let living = cgroups.living_pods();
        let recent = |seen: KernelNs| now.ms_since(seen) < KEEP_LEARNT_MS;
        self.namespaces.retain(|_, n| recent(n.seen) || n.pod.as_deref().is_some_and(|pod| living.contains(pod)));
        self.addresses.retain(|_, (pod, seen)| recent(*seen) || living.contains(pod.as_ref()));
        self.host_network_pods.retain(|pod| living.contains(pod.as_ref()));
        self.made.retain(|(cgroup, _), _| *cgroup == 0 || cgroups.get(*cgroup).is_some());
    }

    /// Returns how many cgroups, namespaces and addresses are known, and how many cgroups found no room.
    #[must_use]
    pub fn sizes(&self) -> (usize, usize, usize, u64) {
        let (cgroups, refused) = self.cgroups.sizes();
        (cgroups, self.namespaces.len(), self.addresses.len(), refused)
    }

    /// Returns the inode of the node's own network namespace.
    #[must_use]
    pub fn host_netns(&self) -> u32 {
        self.host_netns
    }
}

fn named(identity: Identity, pod_uid: &str, container_id: Option<String>, netns: u32) -> LocalIdentity {
    LocalIdentity { identity, pod_uid: Some(pod_uid.to_owned()), container_id, netns }
}

/// Says whether an address can belong to one pod: none of the addresses that every namespace has.
fn is_pods_own(ip: IpAddr) -> bool {
    let link_local = match ip {
        IpAddr::V4(v4) => v4.is_link_local() || v4.is_broadcast(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    !(ip.is_unspecified() || ip.is_loopback() || ip.is_multicast() || link_local)
}
