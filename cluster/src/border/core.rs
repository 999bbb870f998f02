//! Pods, namespaces, nodes and service accounts.

use std::net::IpAddr;

use serde::Deserialize;

use super::InvalidObject;
use super::meta::{RawMeta, Scope, addresses, bounded, named_port, optional_name, optional_time};
use crate::objects::{Namespace, Node, Pod, PodPhase, ServiceAccount};

/// Written by the kubelet on the mirror of a static pod: the UID that its cgroups carry.
const MIRROR_ANNOTATION: &str = "kubernetes.io/config.mirror";
const ZONE_LABEL: &str = "topology.kubernetes.io/zone";
const OLD_ZONE_LABEL: &str = "failure-domain.beta.kubernetes.io/zone";
/// Where network plugins write the further addresses of a node: traffic of the host itself carries them.
const NODE_ADDRESS_ANNOTATIONS: [&str; 8] = [
    "projectcalico.org/IPv4Address",
    "projectcalico.org/IPv6Address",
    "projectcalico.org/IPv4IPIPTunnelAddr",
    "projectcalico.org/IPv4VXLANTunnelAddr",
    "projectcalico.org/IPv6VXLANTunnelAddr",
    "projectcalico.org/IPv4WireguardInterfaceAddr",
    "projectcalico.org/IPv6WireguardInterfaceAddr",
    "flannel.alpha.coreos.com/public-ip",
];

#[derive(Deserialize)]
pub(super) struct RawPod {
    #[serde(default)]
    metadata: RawMeta,
    spec: Option<RawPodSpec>,
    status: Option<RawPodStatus>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct RawPodSpec {
    node_name: Option<String>,
    service_account_name: Option<String>,
    host_network: Option<bool>,
    containers: Option<Vec<RawContainer>>,
    init_containers: Option<Vec<RawContainer>>,
}

#[derive(Deserialize)]
struct RawContainer {
    ports: Option<Vec<RawContainerPort>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawContainerPort {
    name: Option<String>,
    container_port: u16,
    protocol: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct RawPodStatus {
    phase: Option<String>,
    #[serde(rename = "podIP")]
    pod_ip: Option<String>,
    #[serde(rename = "podIPs")]
    pod_ips: Option<Vec<RawPodIp>>,
    start_time: Option<String>,
    container_statuses: Option<Vec<RawContainerStatus>>,
}

#[derive(Deserialize)]
struct RawPodIp {
    ip: Option<String>,
}

#[derive(Deserialize)]
struct RawContainerStatus {
    state: Option<RawContainerState>,
}

#[derive(Deserialize)]
struct RawContainerState {
    terminated: Option<RawTerminated>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawTerminated {
    finished_at: Option<String>,
}

pub(super) fn pod(raw: RawPod) -> Result<Pod, InvalidObject> {
    let RawPod { metadata, spec, status } = raw;
    let RawPodSpec { node_name, service_account_name, host_network, containers, init_containers } =
        spec.unwrap_or_default();
    let RawPodStatus { phase, pod_ip, pod_ips, start_time, container_statuses } = status.unwrap_or_default();
    let meta = metadata.checked(Scope::Namespaced)?;

    let pod_ips = bounded("status.podIPs", pod_ips.as_deref().unwrap_or_default())?;
    let address_texts = pod_ips.iter().filter_map(|entry| entry.ip.as_deref()).chain(pod_ip.as_deref());

    let mut ports = Vec::new();
    let all_containers = containers.iter().flatten().chain(init_containers.iter().flatten());
    for port in all_containers.flat_map(|container| container.ports.iter().flatten()) {
        let RawContainerPort { name, container_port, protocol } = port;
        ports.push(named_port("spec.containers.ports", name.as_deref(), protocol.as_deref(), *container_port)?);
    }
    bounded("spec.containers.ports", &ports)?;
    ports.sort();
    ports.dedup();

    let phase = match phase.as_deref() {
        Some("Pending") => PodPhase::Pending,
        Some("Running") => PodPhase::Running,
        Some("Succeeded") => PodPhase::Succeeded,
        Some("Failed") => PodPhase::Failed,
        Some(_) | None => PodPhase::Unknown,
    };
    Ok(Pod {
        generate_name: optional_name("metadata.generateName", metadata.generate_name.as_deref())?,
        static_uid: optional_name("metadata.annotations", metadata.annotation(MIRROR_ANNOTATION))?,
        addresses: addresses("status.podIPs", address_texts)?,
        host_network: host_network.unwrap_or(false),
        node: optional_name("spec.nodeName", node_name.as_deref())?,
        service_account: optional_name("spec.serviceAccountName", service_account_name.as_deref())?,
        ports,
        phase,
        started: optional_time("status.startTime", start_time.as_deref())?.or(meta.created),
        finished: if phase.is_finished() { last_end(container_statuses.as_deref())? } else { None },
        deletion: optional_time("metadata.deletionTimestamp", metadata.deletion_timestamp.as_deref())?,
        owners: metadata.owners()?,
        meta,
    })
}

/// Returns when the last container ended, if the status tells it of every one.
fn last_end(statuses: Option<&[RawContainerStatus]>) -> Result<Option<flow::UnixMs>, InvalidObject> {
    let mut last = None;
    for status in statuses.unwrap_or_default() {
        let ended = status.state.as_ref().and_then(|state| state.terminated.as_ref());
        let Some(text) = ended.and_then(|ended| ended.finished_at.as_deref()) else { return Ok(None) };
        last = last.max(optional_time("status.containerStatuses.state.terminated.finishedAt", Some(text))?);
    }
    Ok(last)
}

#[derive(Deserialize)]
pub(super) struct RawNamespace {
    #[serde(default)]
    metadata: RawMeta,
}

pub(super) fn namespace(raw: RawNamespace) -> Result<Namespace, InvalidObject> {
    let RawNamespace { metadata } = raw;
    let mut meta = metadata.checked(Scope::Cluster)?;
    // The API server sets this label on every namespace and does not let it be changed.
    meta.labels.insert("kubernetes.io/metadata.name".to_owned(), meta.name.as_ref().to_owned());
    Ok(Namespace { meta })
}

#[derive(Deserialize)]
pub(super) struct RawNode {
    #[serde(default)]
    metadata: RawMeta,
    status: Option<RawNodeStatus>,
}

#[derive(Deserialize)]
struct RawNodeStatus {
    addresses: Option<Vec<RawNodeAddress>>,
}

#[derive(Deserialize)]
struct RawNodeAddress {
    #[serde(rename = "type")]
    kind: String,
    address: String,
}

pub(super) fn node(raw: RawNode) -> Result<Node, InvalidObject> {
    let RawNode { metadata, status } = raw;
    let meta = metadata.checked(Scope::Cluster)?;
    let listed = status.and_then(|status| status.addresses).unwrap_or_default();
    // Other types (`Hostname`, `InternalDNS`) hold names.
    let by_type = bounded("status.addresses", &listed)?
        .iter()
        .filter(|RawNodeAddress { kind, .. }| kind == "InternalIP" || kind == "ExternalIP")
        .map(|entry| entry.address.as_str());
    let mut all = addresses("status.addresses", by_type)?;
    all.extend(NODE_ADDRESS_ANNOTATIONS.iter().filter_map(|key| annotated_address(metadata.annotation(key)?)));
    all.sort();
    all.dedup();
    let zone = meta.labels.get(ZONE_LABEL).or_else(|| meta.labels.get(OLD_ZONE_LABEL));
    Ok(Node { zone: zone.filter(|zone| !zone.is_empty()).map(|zone| zone.as_str().into()), addresses: all, meta })
}

/// Reads an address with or without prefix length; annotations are free text, so anything else is no address.
fn annotated_address(text: &str) -> Option<IpAddr> {
    let address = text.split_once('/').map_or(text, |(address, _)| address);
    address.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

#[derive(Deserialize)]
pub(super) struct RawServiceAccount {
    #[serde(default)]
    metadata: RawMeta,
}

pub(super) fn service_account(raw: RawServiceAccount) -> Result<ServiceAccount, InvalidObject> {
    let RawServiceAccount { metadata } = raw;
    Ok(ServiceAccount { meta: metadata.checked(Scope::Namespaced)? })
}
