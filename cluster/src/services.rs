//! Which service an original destination belongs to, and what stands behind it.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use flow::{Protocol, ServiceRef};

use crate::objects::{EndpointSlice, Objects, Pod, Service, ServicePort, TargetPort};

/// Where a service port leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Backend {
    /// Address of the backend.
    pub ip: IpAddr,
    /// Port of the backend.
    pub port: u16,
}

/// A port of a service, as records name it, with its backends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServicePortEntry {
    /// How records name it.
    pub reference: ServiceRef,
    /// The backends that take traffic, of both address families, sorted, each once.
    pub backends: Arc<[Backend]>,
}

impl ServicePortEntry {
    /// Returns the only backend of the family of `original`, if there is exactly one.
    #[must_use]
    pub fn only_backend(&self, original: IpAddr) -> Option<Backend> {
        let mut fitting = self.backends.iter().filter(|backend| backend.ip.is_ipv4() == original.is_ipv4());
        match (fitting.next(), fitting.next()) {
            (Some(only), None) => Some(*only),
            (None, _) | (Some(_), Some(_)) => None,
        }
    }
}

/// What is known of an address and port as a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceLookup<'a> {
    /// It is this port of this service.
    One(&'a ServicePortEntry),
    /// Several services say that it is theirs.
    Several,
    /// It is no service that is known.
    None,
}

#[derive(Debug)]
enum Slot {
    One(ServicePortEntry),
    Several,
}

/// The services of a snapshot, found by address, port and protocol.
#[derive(Debug, Default)]
pub(crate) struct Services {
    by_destination: HashMap<(IpAddr, u16, Protocol), Slot>,
}

impl Services {
    pub(crate) fn new(objects: &Objects, none: &Arc<str>) -> Self {
        let several: Arc<str> = "*".into();
        let behind = Behind::new(objects);
        let node_addresses: Vec<IpAddr> =
            objects.nodes.iter().flat_map(|node| node.addresses.iter().copied()).collect();
        let mut all = Self::default();
        for service in &objects.services {
            for port in &service.ports {
                let reference = ServiceRef {
                    namespace: service.meta.namespace.clone().unwrap_or_else(|| Arc::clone(none)),
                    name: Arc::clone(&service.meta.name),
                    port_name: port.name.clone().unwrap_or_else(|| Arc::clone(none)),
                    port: port.port,
                };
                let entry = ServicePortEntry { reference, backends: behind.backends(service, port) };
                let own = service.cluster_addresses.iter().chain(&service.external_addresses);
                for address in own {
                    all.insert((*address, port.port, port.protocol), &entry, &several);
                }
                for address in &node_addresses {
                    if let Some(node_port) = port.node_port {
                        all.insert((*address, node_port, port.protocol), &entry, &several);
                    }
                }
            }
        }
        all
    }

    fn insert(&mut self, key: (IpAddr, u16, Protocol), entry: &ServicePortEntry, several: &Arc<str>) {
        use std::collections::hash_map::Entry;
        match self.by_destination.entry(key) {
            Entry::Vacant(vacant) => {
                vacant.insert(Slot::One(entry.clone()));
            }
            Entry::Occupied(mut occupied) => match occupied.get_mut() {
                Slot::One(known) if known == entry => {}
                Slot::One(known)
                    if known.reference.name == entry.reference.name
                        && known.reference.namespace == entry.reference.namespace =>
                {
                    // One service, two port names for one number: the name is collapsed, the backends are all.
                    known.reference.port_name = Arc::clone(several);
                    let mut backends: Vec<Backend> = known.backends.iter().chain(&*entry.backends).copied().collect();
                    backends.sort_unstable();
                    backends.dedup();
                    known.backends = backends.into();
                }
                slot => *slot = Slot::Several,
            },
        }
    }

    pub(crate) fn find(&self, address: IpAddr, port: u16, protocol: Protocol) -> ServiceLookup<'_> {
        match self.by_destination.get(&(address, port, protocol)) {
            Some(Slot::One(entry)) => ServiceLookup::One(entry),
            Some(Slot::Several) => ServiceLookup::Several,
            None => ServiceLookup::None,
        }
    }
}

/// What can stand behind services: their slices, else the pods that they select.
struct Behind<'a> {
    slices: HashMap<(Option<&'a str>, &'a str), Vec<&'a EndpointSlice>>,
    pods: HashMap<Option<&'a str>, Vec<&'a Pod>>,
}

impl<'a> Behind<'a> {
    fn new(objects: &'a Objects) -> Self {
        let mut slices: HashMap<_, Vec<&EndpointSlice>> = HashMap::new();
        for slice in &objects.slices {
            if let Some(service) = &slice.service {
                slices.entry((slice.meta.namespace.as_deref(), service.as_ref())).or_default().push(slice);
            }
        }
        let mut pods: HashMap<_, Vec<&Pod>> = HashMap::new();
        for pod in objects.pods.iter().filter(|pod| !pod.phase.is_finished()) {
            pods.entry(pod.meta.namespace.as_deref()).or_default().push(pod);
        }
        Self { slices, pods }
    }

    fn backends(&self, service: &Service, port: &ServicePort) -> Arc<[Backend]> {
        let key = (service.meta.namespace.as_deref(), service.meta.name.as_ref());
        let mut backends = match self.slices.get(&key) {
            Some(slices) => slices.iter().flat_map(|slice| of_slice(slice, port)).collect(),
            None => self.of_selector(service, port),
        };
        backends.sort_unstable();
        backends.dedup();
        backends.into()
    }

    /// Does what the slice controller would do. Manifests written by hand hold no slices.
    fn of_selector(&self, service: &Service, port: &ServicePort) -> Vec<Backend> {
        if service.selector.is_empty() {
            return Vec::new();
        }
        let namespace = service.meta.namespace.as_deref();
        let pods = self.pods.get(&namespace).into_iter().flatten();
        let selected = pods.filter(|pod| selects(&service.selector, &pod.meta.labels));
        let with_port = selected.filter_map(|pod| Some((pod, target_port(pod, port)?)));
        with_port.flat_map(|(pod, port)| pod.addresses.iter().map(move |ip| Backend { ip: *ip, port })).collect()
    }
}

fn of_slice<'a>(slice: &'a EndpointSlice, port: &'a ServicePort) -> impl Iterator<Item = Backend> + use<'a> {
    let same = slice.ports.iter().filter(|p| p.name == port.name && p.protocol == port.protocol);
    same.flat_map(|number| {
        let usable = slice.endpoints.iter().filter(|endpoint| endpoint.usable);
        usable.flat_map(|endpoint| endpoint.addresses.iter().map(|ip| Backend { ip: *ip, port: number.port }))
    })
}

fn selects(selector: &BTreeMap<String, String>, labels: &BTreeMap<String, String>) -> bool {
    selector.iter().all(|(key, value)| labels.get(key) == Some(value))
}

fn target_port(pod: &Pod, port: &ServicePort) -> Option<u16> {
    match &port.target {
        TargetPort::Number(number) => Some(*number),
        TargetPort::Name(name) => {
            let named = |p: &&crate::objects::NamedPort| p.name.as_ref() == Some(name) && p.protocol == port.protocol;
            pod.ports.iter().find(named).map(|p| p.port)
        }
    }
}
