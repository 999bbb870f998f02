//! The parts of an endpoint that a record shows, prepared once per snapshot: a join then only counts references up.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use flow::{Endpoint, EndpointType};

use crate::objects::{Controller, HostEndpoint, NetworkSet, Node, Objects, OwnerRef, Pod};

/// Chains of owners are two long (replica set, deployment); a bound keeps a hostile circle finite.
const MAX_OWNERS: usize = 4;

/// The words and tables that endpoints are made from.
#[derive(Debug)]
pub(crate) struct Endpoints {
    /// `-`.
    pub(crate) none: Arc<str>,
    no_labels: Arc<[String]>,
    public: Endpoint,
    private: Endpoint,
    nodes: HashMap<Arc<str>, Arc<Node>>,
    controllers: HashMap<OwnerKey, Arc<Controller>>,
}

type OwnerKey = (Arc<str>, Option<Arc<str>>, Arc<str>);

impl Endpoints {
    pub(crate) fn new(objects: &Objects) -> Self {
        let none: Arc<str> = "-".into();
        let no_labels: Arc<[String]> = Arc::new([]);
        let network = |name_aggr: &str| Endpoint {
            kind: EndpointType::Network,
            ip: None,
            name: Arc::clone(&none),
            name_aggr: name_aggr.into(),
            namespace: Arc::clone(&none),
            labels: Arc::clone(&no_labels),
            owner_kind: None,
            owner_name: None,
            node: None,
            zone: None,
        };
        let key = |c: &Controller| (Arc::clone(&c.kind), c.meta.namespace.clone(), Arc::clone(&c.meta.name));
        Self {
            public: network("pub"),
            private: network("pvt"),
            nodes: objects.nodes.iter().map(|node| (Arc::clone(&node.meta.name), Arc::clone(node))).collect(),
            controllers: objects.controllers.iter().map(|c| (key(c), Arc::clone(c))).collect(),
            none,
            no_labels,
        }
    }

    pub(crate) fn network(&self, private: bool) -> &Endpoint {
        if private { &self.private } else { &self.public }
    }

    /// Returns an end of which only the kind is known.
    pub(crate) fn nameless(&self, kind: EndpointType) -> Endpoint {
        Endpoint { kind, name_aggr: Arc::clone(&self.none), ..self.public.clone() }
    }

    pub(crate) fn pod(&self, pod: &Pod) -> Endpoint {
        if pod.host_network {
            return self.host_network_pod(pod);
        }
        let owner = self.top_owner(pod);
        Endpoint {
            kind: EndpointType::Workload,
            ip: None,
            name: Arc::clone(&pod.meta.name),
            name_aggr: aggregated_name(pod),
            namespace: pod.meta.namespace.clone().unwrap_or_else(|| Arc::clone(&self.none)),
            labels: self.labels(&pod.meta.labels),
            owner_kind: owner.as_ref().map(|owner| Arc::clone(&owner.kind)),
            owner_name: owner.map(|owner| owner.name),
            node: pod.node.clone(),
            zone: self.zone(pod.node.as_deref()),
        }
    }

    /// A pod in the host's network is shown as the host; its owner fields name the pod, with its namespace, since the
    /// namespace of a host is `-`.
    fn host_network_pod(&self, pod: &Pod) -> Endpoint {
        let host = match &pod.node {
            Some(node) => self.host(node, None),
            None => self.nameless(EndpointType::Host),
        };
        let namespace = pod.meta.namespace.as_deref().unwrap_or("-");
        Endpoint {
            owner_kind: Some("Pod".into()),
            owner_name: Some(format!("{namespace}/{}", pod.meta.name).into()),
            ..host
        }
    }

    /// Returns a host: named after its node, or, by `host_endpoint`, after that with the node as aggregated name.
    pub(crate) fn host(&self, node: &Arc<str>, host_endpoint: Option<&HostEndpoint>) -> Endpoint {
        let labels = match host_endpoint {
            Some(endpoint) => Some(&endpoint.meta.labels),
            None => self.nodes.get(node).map(|node| &node.meta.labels),
        };
        Endpoint {
            kind: EndpointType::Host,
            name: host_endpoint.map_or_else(|| Arc::clone(node), |endpoint| Arc::clone(&endpoint.meta.name)),
            name_aggr: Arc::clone(node),
            labels: labels.map_or_else(|| Arc::clone(&self.no_labels), |labels| self.labels(labels)),
            node: Some(Arc::clone(node)),
            zone: self.zone(Some(node)),
            ..self.public.clone()
        }
    }

    pub(crate) fn network_set(&self, set: &NetworkSet) -> Endpoint {
        Endpoint {
            kind: EndpointType::NetworkSet,
            name: Arc::clone(&set.meta.name),
            name_aggr: Arc::clone(&set.meta.name),
            namespace: set.meta.namespace.clone().unwrap_or_else(|| Arc::clone(&self.none)),
            labels: self.labels(&set.meta.labels),
            ..self.public.clone()
        }
    }

    fn zone(&self, node: Option<&str>) -> Option<Arc<str>> {
        self.nodes.get(node?)?.zone.clone()
    }

    /// Returns the labels as records show them: sorted, those that Calico adds itself left out.
    fn labels(&self, labels: &BTreeMap<String, String>) -> Arc<[String]> {
        let shown = labels.iter().filter(|(key, _)| !key.starts_with("projectcalico.org/"));
        // Sorted as whole texts: by key alone, `a` would stand before `a-b` and `a=x` after `a-b=x`.
        let mut texts: Vec<String> = shown.map(|(key, value)| format!("{key}={value}")).collect();
        if texts.is_empty() {
            return Arc::clone(&self.no_labels);
        }
        texts.sort_unstable();
        texts.into()
    }

    /// Follows the managing owners up as far as the objects are known. A node that owns a static pod is no owner.
    fn top_owner(&self, pod: &Pod) -> Option<OwnerRef> {
        let mut top = pod.controller()?.clone();
        for _ in 0..MAX_OWNERS {
            let key = (Arc::clone(&top.kind), pod.meta.namespace.clone(), Arc::clone(&top.name));
            match self.controllers.get(&key).and_then(|known| known.controller()) {
                Some(next) => top = next.clone(),
                None => break,
            }
        }
        (top.kind.as_ref() != "Node").then_some(top)
    }
}

/// Returns the prefix that the pod's name was generated from, with a star; else the name. Controllers generate from their
/// own name and a dash; manifests written by hand leave that out.
fn aggregated_name(pod: &Pod) -> Arc<str> {
    if let Some(prefix) = &pod.generate_name {
        return format!("{prefix}*").into();
    }
    let generates = |owner: &&OwnerRef| {
        let kinds = ["ReplicaSet", "DaemonSet", "StatefulSet", "Job", "ReplicationController"];
        let rest = pod.meta.name.strip_prefix(owner.name.as_ref()).and_then(|rest| rest.strip_prefix('-'));
        kinds.contains(&owner.kind.as_ref()) && rest.is_some_and(|rest| !rest.is_empty())
    };
    match pod.controller().filter(generates) {
        Some(owner) => format!("{}-*", owner.name).into(),
        None => Arc::clone(&pod.meta.name),
    }
}
