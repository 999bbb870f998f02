//! Who and what the cases speak of, and what their records have in common.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{InvalidCases, yaml};
use crate::{Endpoint, EndpointType, ServiceRef};

/// The file that holds the world.
pub(super) const FILE: &str = "world.yaml";

/// What all cases share.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct World {
    /// Fields that every raw record has unless it says otherwise.
    pub raw: Map<String, Value>,
    /// Fields that every ledger has unless it says otherwise.
    pub ledger: Map<String, Value>,
    /// Hash of the metadata that all cases are joined with.
    pub snapshot: String,
    /// Everyone.
    pub endpoints: BTreeMap<String, CaseEndpoint>,
    /// The services.
    pub services: BTreeMap<String, CaseService>,
}

impl World {
    pub(super) fn load(path: &Path) -> Result<Self, InvalidCases> {
        yaml(path)
    }
}

/// One end as the cluster knows it: facts for who builds a cluster of them, and words for the record.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseEndpoint {
    /// `wep`, `hep`, `ns`, `net`.
    #[serde(rename = "type")]
    pub kind: CaseEndpointType,
    /// Name that records show.
    pub name: String,
    /// Aggregated name that records show; the name if absent.
    #[serde(default)]
    pub name_aggr: Option<String>,
    /// Namespace; `-` if absent.
    #[serde(default)]
    pub namespace: Option<String>,
    /// Labels, `key=value`, sorted.
    #[serde(default)]
    pub labels: Vec<String>,
    /// Kind of the topmost owner.
    #[serde(default)]
    pub owner_kind: Option<String>,
    /// Name of the topmost owner.
    #[serde(default)]
    pub owner_name: Option<String>,
    /// Node.
    #[serde(default)]
    pub node: Option<String>,
    /// Zone of the node.
    #[serde(default)]
    pub zone: Option<String>,
    /// UID of the pod.
    #[serde(default)]
    pub uid: Option<String>,
    /// Addresses of pod or host.
    #[serde(default)]
    pub ips: Vec<IpAddr>,
    /// Ranges of a network set.
    #[serde(default)]
    pub nets: Vec<String>,
}

/// The types of endpoints by their keywords.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CaseEndpointType {
    /// A pod.
    Wep,
    /// A host.
    Hep,
    /// A network set.
    Ns,
    /// Any other address.
    Net,
}

impl CaseEndpoint {
    /// Returns the end as a joined record has it.
    #[must_use]
    pub fn endpoint(&self, ip: Option<IpAddr>) -> Endpoint {
        let shared = |text: &Option<String>| text.as_deref().map(Arc::from);
        Endpoint {
            kind: match self.kind {
                CaseEndpointType::Wep => EndpointType::Workload,
                CaseEndpointType::Hep => EndpointType::Host,
                CaseEndpointType::Ns => EndpointType::NetworkSet,
                CaseEndpointType::Net => EndpointType::Network,
            },
            ip,
            name: self.name.as_str().into(),
            name_aggr: self.name_aggr.as_deref().unwrap_or(&self.name).into(),
            namespace: self.namespace.as_deref().unwrap_or("-").into(),
            labels: self.labels.clone().into(),
            owner_kind: shared(&self.owner_kind),
            owner_name: shared(&self.owner_name),
            node: shared(&self.node),
            zone: shared(&self.zone),
        }
    }
}

/// A service port as the cluster knows it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseService {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Name of the port, `-` without one, `*` if several fit.
    pub port_name: String,
    /// Number of the port.
    pub port: u16,
    /// Addresses of the service.
    #[serde(default)]
    pub ips: Vec<IpAddr>,
    /// Backends as `address:port`.
    #[serde(default)]
    pub backends: Vec<std::net::SocketAddr>,
}

impl CaseService {
    /// Returns the service as a joined record has it.
    #[must_use]
    pub fn reference(&self) -> ServiceRef {
        ServiceRef {
            namespace: self.namespace.as_str().into(),
            name: self.name.as_str().into(),
            port_name: self.port_name.as_str().into(),
            port: self.port,
        }
    }
}
