//! The objects of a cluster as the join and the judgement use them: trimmed, checked, immutable.
//!
//! They are made at one border ([`crate::border`]) from what Kubernetes says; nothing behind it checks a string again.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use flow::{Protocol, UnixMs};
use ipnet::IpNet;
use serde::Serialize;

/// What every object has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Meta {
    /// Namespace; absent for cluster-wide kinds.
    pub namespace: Option<Arc<str>>,
    /// Name, unique in its kind and namespace.
    pub name: Arc<str>,
    /// UID that the API server gave; absent in manifests written by hand.
    pub uid: Option<Arc<str>>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// When it was created.
    pub created: Option<UnixMs>,
}

/// Names an object's owner.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct OwnerRef {
    /// Kind of the owner.
    pub kind: Arc<str>,
    /// Name of the owner, in the namespace of the owned object.
    pub name: Arc<str>,
    /// UID of the owner, if given.
    pub uid: Option<Arc<str>>,
    /// True for the one owner that manages the object.
    pub controller: bool,
}

/// Where a pod is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum PodPhase {
    /// Accepted, containers not all started.
    Pending,
    /// Bound to a node, containers created.
    Running,
    /// All containers ended well: its addresses are free again.
    Succeeded,
    /// All containers ended, one at least badly: its addresses are free again.
    Failed,
    /// Not said, or said in a word we do not know.
    Unknown,
}

impl PodPhase {
    /// Says whether the pod has ended, and with it its hold on its addresses.
    #[must_use]
    pub fn is_finished(self) -> bool {
        match self {
            Self::Succeeded | Self::Failed => true,
            Self::Pending | Self::Running | Self::Unknown => false,
        }
    }
}

/// A port that a container names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct NamedPort {
    /// Its name; absent if the container only numbers it.
    pub name: Option<Arc<str>>,
    /// Its protocol.
    pub protocol: Protocol,
    /// Its number.
    pub port: u16,
}

/// A pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pod {
    /// Name, namespace, labels.
    pub meta: Meta,
    /// The prefix its name was generated from.
    pub generate_name: Option<Arc<str>>,
    /// The UID under which the kubelet runs a static pod: its cgroup carries this one, not the API server's.
    pub static_uid: Option<Arc<str>>,
    /// Its addresses, sorted.
    pub addresses: Vec<IpAddr>,
    /// True if it shares the network of its node.
    pub host_network: bool,
    /// The node that it is bound to.
    pub node: Option<Arc<str>>,
    /// Its service account.
    pub service_account: Option<Arc<str>>,
    /// The ports of its containers, init containers too, sorted.
    pub ports: Vec<NamedPort>,
    /// Where it is in its life.
    pub phase: PodPhase,
    /// When the kubelet took it up; else when it was created.
    pub started: Option<UnixMs>,
    /// When its last container ended, for a finished pod whose status tells.
    pub finished: Option<UnixMs>,
    /// When it is to be gone, if it is being deleted.
    pub deletion: Option<UnixMs>,
    /// Its owners, sorted.
    pub owners: Vec<OwnerRef>,
}

/// A namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Namespace {
    /// Name and labels.
    pub meta: Meta,
}

/// A node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Node {
    /// Name and labels.
    pub meta: Meta,
    /// Its addresses, tunnel addresses that the network plugin wrote down among them, sorted.
    pub addresses: Vec<IpAddr>,
    /// Its zone (`topology.kubernetes.io/zone`).
    pub zone: Option<Arc<str>>,
}

/// How a service is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum ServiceType {
    /// By a cluster address, or directly if headless.
    ClusterIp,
    /// Also by a port of every node.
    NodePort,
    /// Also by a load balancer.
    LoadBalancer,
    /// By a DNS alias only.
    ExternalName,
}

/// Which port of a pod a service port leads to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum TargetPort {
    /// A number.
    Number(u16),
    /// A name, looked up in each pod.
    Name(Arc<str>),
}

/// A port of a service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ServicePort {
    /// Its name; absent where the service has one port without a name.
    pub name: Option<Arc<str>>,
    /// Its protocol.
    pub protocol: Protocol,
    /// Its number.
    pub port: u16,
    /// Where it leads.
    pub target: TargetPort,
    /// The port of every node that leads here.
    pub node_port: Option<u16>,
}

/// A service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Service {
    /// Name and namespace.
    pub meta: Meta,
    /// How it is reached.
    pub kind: ServiceType,
    /// Its cluster addresses, sorted; empty if headless.
    pub cluster_addresses: Vec<IpAddr>,
    /// Other addresses that lead to it: external addresses and load balancers, sorted.
    pub external_addresses: Vec<IpAddr>,
    /// Its ports, sorted.
    pub ports: Vec<ServicePort>,
    /// The labels of the pods behind it; empty if its slices are written by someone else.
    pub selector: BTreeMap<String, String>,
    /// True for `clusterIP: None`.
    pub headless: bool,
}

/// One backend of a slice.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct SliceEndpoint {
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// False if it takes no traffic: neither ready nor serving.
    pub usable: bool,
    /// UID of the pod behind it, if it is one.
    pub pod_uid: Option<Arc<str>>,
}

/// A slice of the backends of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EndpointSlice {
    /// Name and namespace.
    pub meta: Meta,
    /// The service it belongs to (`kubernetes.io/service-name`), in the slice's namespace.
    pub service: Option<Arc<str>>,
    /// Its ports; one without a number means all ports and is left out.
    pub ports: Vec<NamedPort>,
    /// Its backends, sorted.
    pub endpoints: Vec<SliceEndpoint>,
}

/// A replica set or job: kept to find the owner of the owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Controller {
    /// `ReplicaSet` or `Job`.
    pub kind: Arc<str>,
    /// Name and namespace.
    pub meta: Meta,
    /// Its owners, sorted.
    pub owners: Vec<OwnerRef>,
}

/// A service account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ServiceAccount {
    /// Name, namespace, labels.
    pub meta: Meta,
}

/// A Calico network set; without namespace it is a global one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NetworkSet {
    /// Name, namespace, labels.
    pub meta: Meta,
    /// Its prefixes, host bits cleared, sorted, each once.
    pub nets: Vec<IpNet>,
}

/// A Calico host endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HostEndpoint {
    /// Name and labels.
    pub meta: Meta,
    /// The node it is on.
    pub node: Option<Arc<str>>,
    /// The interface it stands for; `*` is all.
    pub interface: Option<Arc<str>>,
    /// The addresses it is known by, sorted.
    pub addresses: Vec<IpAddr>,
    /// The ports it names, sorted.
    pub ports: Vec<NamedPort>,
    /// The profiles it takes labels from.
    pub profiles: Vec<Arc<str>>,
}

macro_rules! kinds {
    ($($(#[$doc:meta])+ $variant:ident = $field:ident),+ $(,)?) => {
        /// One object of a kind that the join or the judgement uses.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum Object {
            $($(#[$doc])+ $variant(Arc<$variant>),)+
        }

        /// All objects of a cluster, each kind by itself. Kinds that are not used are counted.
        #[derive(Debug, Clone, PartialEq, Eq, Default)]
        pub struct Objects {
            $($(#[$doc])+ pub $field: Vec<Arc<$variant>>,)+
            /// Objects of other kinds (policies among them), counted by `group/version kind`.
            pub other_kinds: BTreeMap<String, u64>,
        }

        impl Object {
            /// Returns what every object has.
            #[must_use]
            pub fn meta(&self) -> &Meta {
                match self { $(Self::$variant(object) => &object.meta,)+ }
            }
        }

        impl Objects {
            /// Adds an object to its kind.
            pub fn insert(&mut self, object: Object) {
                match object { $(Object::$variant(object) => self.$field.push(object),)+ }
            }

            /// Returns the number of objects, those of other kinds left out.
            #[must_use]
            pub fn len(&self) -> usize {
                0 $(+ self.$field.len())+
            }
        }
    };
}

kinds! {
    /// Pods.
    Pod = pods,
    /// Namespaces.
    Namespace = namespaces,
    /// Nodes.
    Node = nodes,
    /// Services.
    Service = services,
    /// Endpoint slices.
    EndpointSlice = slices,
    /// Replica sets and jobs.
    Controller = controllers,
    /// Service accounts.
    ServiceAccount = service_accounts,
    /// Network sets, global ones too.
    NetworkSet = network_sets,
    /// Host endpoints.
    HostEndpoint = host_endpoints,
}

impl Object {
    /// Returns the word that messages use for its kind.
    #[must_use]
    pub fn kind(&self) -> &str {
        match self {
            Self::Pod(_) => "Pod",
            Self::Namespace(_) => "Namespace",
            Self::Node(_) => "Node",
            Self::Service(_) => "Service",
            Self::EndpointSlice(_) => "EndpointSlice",
            Self::Controller(object) => &object.kind,
            Self::ServiceAccount(_) => "ServiceAccount",
            Self::NetworkSet(set) if set.meta.namespace.is_some() => "NetworkSet",
            Self::NetworkSet(_) => "GlobalNetworkSet",
            Self::HostEndpoint(_) => "HostEndpoint",
        }
    }

    /// Returns its name for messages and for telling objects apart.
    #[must_use]
    pub fn name(&self) -> ObjectName {
        let meta = self.meta();
        ObjectName {
            kind: self.kind().to_owned(),
            namespace: meta.namespace.as_deref().map(str::to_owned),
            name: meta.name.as_ref().to_owned(),
        }
    }
}

impl Objects {
    /// Says whether there is no object of a kind that is used.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The name of an object in messages: `Pod shop/web-1`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectName {
    /// Its kind.
    pub kind: String,
    /// Its namespace, if it has one.
    pub namespace: Option<String>,
    /// Its name; `?` if it has none.
    pub name: String,
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{} `{namespace}/{}`", self.kind, self.name),
            None => write!(f, "{} `{}`", self.kind, self.name),
        }
    }
}

impl Pod {
    /// Returns the owner that manages the pod, if there is one.
    #[must_use]
    pub fn controller(&self) -> Option<&OwnerRef> {
        controller(&self.owners)
    }
}

impl Controller {
    /// Returns the owner that manages this one, if there is one.
    #[must_use]
    pub fn controller(&self) -> Option<&OwnerRef> {
        controller(&self.owners)
    }
}

fn controller(owners: &[OwnerRef]) -> Option<&OwnerRef> {
    owners.iter().find(|owner| owner.controller)
}
