//! An immutable picture of a cluster that answers who is who.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use flow::{Endpoint, EndpointType, Protocol, UnixMs};

use crate::addresses::{Addresses, Claim, Held, HolderIndex};
use crate::endpoints::Endpoints;
use crate::hash::content_hash;
use crate::network_sets::NetworkSets;
use crate::objects::{HostEndpoint, Node, Objects, Pod};
use crate::ranges::PrivateRanges;
use crate::services::{ServiceLookup, Services};

/// A pod with its endpoint parts.
#[derive(Debug)]
pub struct PodEntry {
    /// The pod.
    pub pod: Arc<Pod>,
    /// What a record shows of it, without an address. A pod in the host's network is shown as its host.
    pub endpoint: Endpoint,
}

/// A host with its endpoint parts.
#[derive(Debug)]
pub struct HostEntry {
    /// Name of its node.
    pub node: Arc<str>,
    /// What a record shows of it, without an address.
    pub endpoint: Endpoint,
    /// The host endpoint it is shown by, if Calico has one for the address: then policies apply to it.
    pub host_endpoint: Option<Arc<HostEndpoint>>,
}

/// Who held an address.
#[derive(Debug, Clone, Copy)]
pub enum Holder<'a> {
    /// A pod with a network of its own.
    Pod(&'a PodEntry),
    /// A host; a pod in its network cannot be told from it by address.
    Host(&'a HostEntry),
    /// Several at that time: nobody may be named. True if a pod is among them.
    Ambiguous {
        /// Whether a pod is among the holders.
        pods: bool,
    },
    /// Somebody of the cluster, but only later than that time.
    Later,
    /// Nobody of the cluster.
    Nobody,
}

/// Everything that is known of a cluster at one time, indexed for the join.
#[derive(Debug)]
pub struct Snapshot {
    hash: Arc<str>,
    objects: Objects,
    private_ranges: PrivateRanges,
    endpoints: Endpoints,
    pods: Vec<PodEntry>,
    pods_by_uid: HashMap<Arc<str>, u32>,
    hosts: Vec<HostEntry>,
    hosts_by_node: HashMap<Arc<str>, u32>,
    addresses: Addresses,
    services: Services,
    network_sets: NetworkSets,
}

impl Snapshot {
    /// Indexes the objects.
    #[must_use]
    pub fn new(objects: Objects, private_ranges: PrivateRanges) -> Self {
        let endpoints = Endpoints::new(&objects);
        let mut claims = Vec::new();

        let mut pods = Vec::with_capacity(objects.pods.len());
        let mut pods_by_uid = HashMap::with_capacity(objects.pods.len());
        for (place, pod) in (0_u32..).zip(&objects.pods) {
            for uid in [&pod.meta.uid, &pod.static_uid].into_iter().flatten() {
                pods_by_uid.entry(Arc::clone(uid)).or_insert(place);
            }
            claims.extend(pod_claims(pod, HolderIndex::Pod(place)));
            pods.push(PodEntry { pod: Arc::clone(pod), endpoint: endpoints.pod(pod) });
        }

        let Hosts { hosts, by_node: hosts_by_node } = Hosts::new(&objects, &endpoints, &mut claims);
        Self {
            hash: content_hash(&objects),
            private_ranges,
            pods,
            pods_by_uid,
            hosts,
            hosts_by_node,
            addresses: Addresses::new(claims),
            services: Services::new(&objects, &endpoints.none),
            network_sets: NetworkSets::new(&objects.network_sets, |set| endpoints.network_set(set)),
            endpoints,
            objects,
        }
    }

    /// Returns the content hash: the same for the same objects, in whatever order they were read.
    #[must_use]
    pub fn hash(&self) -> &Arc<str> {
        &self.hash
    }

    /// Returns the objects that the snapshot was made of.
    #[must_use]
    pub fn objects(&self) -> &Objects {
        &self.objects
    }

    /// Returns the pod of a UID: the API server's, or the one that the cgroups of a static pod carry.
    #[must_use]
    pub fn pod(&self, uid: &str) -> Option<&PodEntry> {
        self.pods_by_uid.get(uid).map(|place| &self.pods[*place as usize])
    }

    /// Returns who held an address at a time.
    #[must_use]
    pub fn address(&self, address: IpAddr, at: UnixMs) -> Holder<'_> {
        match self.addresses.held(address.to_canonical(), at) {
            Held::By(HolderIndex::Pod(place)) => Holder::Pod(&self.pods[place as usize]),
            Held::By(HolderIndex::Host(place)) => Holder::Host(&self.hosts[place as usize]),
            Held::BySeveral { pods } => Holder::Ambiguous { pods },
            Held::Later => Holder::Later,
            Held::ByNobody => Holder::Nobody,
        }
    }

    /// Returns the host of a node, shown by its host endpoint for all interfaces if it has exactly one.
    #[must_use]
    pub fn host(&self, node: &str) -> Option<&HostEntry> {
        self.hosts_by_node.get(node).map(|place| &self.hosts[*place as usize])
    }

    /// Returns the service that an original destination belongs to.
    #[must_use]
    pub fn service(&self, address: IpAddr, port: u16, protocol: Protocol) -> ServiceLookup<'_> {
        self.services.find(address.to_canonical(), port, protocol)
    }

    /// Returns how an address outside the cluster is shown: as the network set that wins, seen from a workload of
    /// `namespace`, else as `pvt` or `pub`.
    #[must_use]
    pub fn outside(&self, address: IpAddr, namespace: Option<&str>) -> &Endpoint {
        let address = address.to_canonical();
        let set = self.network_sets.find(address, namespace);
        set.unwrap_or_else(|| self.endpoints.network(self.private_ranges.contain(address)))
    }

    /// Returns an end of which only the kind is known: all names are `-`.
    #[must_use]
    pub fn nameless(&self, kind: EndpointType) -> Endpoint {
        self.endpoints.nameless(kind)
    }

    /// Returns a host of which only the name of its node is known.
    #[must_use]
    pub fn unlisted_host(&self, node: &str) -> Endpoint {
        self.endpoints.host(&node.into(), None)
    }
}

/// A pod in the host's network has no address of its own. A finished pod held its addresses until it finished; where
/// that is not told, nothing can be said of it.
fn pod_claims(pod: &Pod, holder: HolderIndex) -> impl Iterator<Item = (IpAddr, Claim)> + use<'_> {
    let silent = pod.host_network || (pod.phase.is_finished() && pod.finished.is_none());
    let addresses = if silent { &[][..] } else { &pod.addresses[..] };
    let claim = Claim { holder, from: pod.started, to: pod.finished };
    addresses.iter().map(move |address| (*address, claim))
}

struct Hosts {
    hosts: Vec<HostEntry>,
    by_node: HashMap<Arc<str>, u32>,
}

impl Hosts {
    fn new(objects: &Objects, endpoints: &Endpoints, claims: &mut Vec<(IpAddr, Claim)>) -> Self {
        let mut all = Self { hosts: Vec::new(), by_node: HashMap::new() };
        for node in &objects.nodes {
            all.plain(&node.meta.name, endpoints);
        }
        let nodes: HashMap<&str, &Node> = objects.nodes.iter().map(|n| (n.meta.name.as_ref(), n.as_ref())).collect();

        // By address and node: the host endpoints that say it is theirs.
        let mut by_address: HashMap<(IpAddr, Arc<str>), Vec<&Arc<HostEndpoint>>> = HashMap::new();
        for node in &objects.nodes {
            for address in &node.addresses {
                by_address.entry((*address, Arc::clone(&node.meta.name))).or_default();
            }
        }
        for endpoint in &objects.host_endpoints {
            let Some(node) = &endpoint.node else { continue };
            let everywhere = endpoint.interface.as_deref() == Some("*");
            let of_node = nodes.get(node.as_ref()).filter(|_| everywhere).map_or(&[][..], |node| &node.addresses[..]);
            for address in endpoint.addresses.iter().chain(of_node) {
                let sharing = by_address.entry((*address, Arc::clone(node))).or_default();
                if !sharing.iter().any(|known| Arc::ptr_eq(known, endpoint)) {
                    sharing.push(endpoint);
                }
            }
        }

        let mut shown: HashMap<*const HostEndpoint, u32> = HashMap::new();
        for ((address, node), sharing) in by_address {
            let place = match sharing.as_slice() {
                [only] => *shown
                    .entry(Arc::as_ptr(only))
                    .or_insert_with(|| all.push(&node, Some(Arc::clone(only)), endpoints)),
                // None, or several on one host: the host is certain, the host endpoint is not.
                _ => all.plain(&node, endpoints),
            };
            claims.push((address, Claim { holder: HolderIndex::Host(place), from: None, to: None }));
        }
        all.prefer_all_interfaces(objects, endpoints, &mut shown);
        all
    }

    /// Shows a host by its one host endpoint for all interfaces, where no address is given to choose by.
    fn prefer_all_interfaces(
        &mut self,
        objects: &Objects,
        endpoints: &Endpoints,
        shown: &mut HashMap<*const HostEndpoint, u32>,
    ) {
        let mut everywhere: HashMap<&Arc<str>, Vec<&Arc<HostEndpoint>>> = HashMap::new();
        for endpoint in objects.host_endpoints.iter().filter(|e| e.interface.as_deref() == Some("*")) {
            if let Some(node) = &endpoint.node {
                everywhere.entry(node).or_default().push(endpoint);
            }
        }
        for (node, found) in everywhere {
            if let [only] = found.as_slice() {
                let made = shown.get(&Arc::as_ptr(only)).copied();
                let place = made.unwrap_or_else(|| self.push(node, Some(Arc::clone(only)), endpoints));
                self.by_node.insert(Arc::clone(node), place);
            }
        }
    }

    /// Returns the place of a host without host endpoint, made if it is not there.
    fn plain(&mut self, node: &Arc<str>, endpoints: &Endpoints) -> u32 {
        if let Some(place) = self.by_node.get(node) {
            return *place;
        }
        let place = self.push(node, None, endpoints);
        self.by_node.insert(Arc::clone(node), place);
        place
    }

    fn push(&mut self, node: &Arc<str>, host_endpoint: Option<Arc<HostEndpoint>>, endpoints: &Endpoints) -> u32 {
        let place = u32::try_from(self.hosts.len()).expect("a snapshot holds fewer than 2^32 hosts");
        let endpoint = endpoints.host(node, host_endpoint.as_deref());
        self.hosts.push(HostEntry { node: Arc::clone(node), endpoint, host_endpoint });
        place
    }
}
