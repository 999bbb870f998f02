//! Services and the slices of their backends.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;

use super::InvalidObject;
use super::meta::{RawMeta, Scope, addresses, bounded, labels, name, named_port, optional_name, protocol};
use crate::objects::{EndpointSlice, Service, ServicePort, ServiceType, SliceEndpoint, TargetPort};

const SERVICE_NAME_LABEL: &str = "kubernetes.io/service-name";

#[derive(Deserialize)]
pub(super) struct RawService {
    #[serde(default)]
    metadata: RawMeta,
    spec: Option<RawServiceSpec>,
    status: Option<RawServiceStatus>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct RawServiceSpec {
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(rename = "clusterIP")]
    cluster_ip: Option<String>,
    #[serde(rename = "clusterIPs")]
    cluster_ips: Option<Vec<String>>,
    #[serde(rename = "externalIPs")]
    external_ips: Option<Vec<String>>,
    ports: Option<Vec<RawServicePort>>,
    selector: Option<BTreeMap<String, Option<String>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawServicePort {
    name: Option<String>,
    protocol: Option<String>,
    port: u16,
    target_port: Option<RawTargetPort>,
    node_port: Option<u16>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RawTargetPort {
    Number(u16),
    Name(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawServiceStatus {
    load_balancer: Option<RawLoadBalancer>,
}

#[derive(Deserialize)]
struct RawLoadBalancer {
    ingress: Option<Vec<RawIngress>>,
}

#[derive(Deserialize)]
struct RawIngress {
    ip: Option<String>,
}

pub(super) fn service(raw: RawService) -> Result<Service, InvalidObject> {
    let RawService { metadata, spec, status } = raw;
    let RawServiceSpec { kind, cluster_ip, cluster_ips, external_ips, ports, selector } = spec.unwrap_or_default();
    let kind = match kind.as_deref() {
        None | Some("" | "ClusterIP") => ServiceType::ClusterIp,
        Some("NodePort") => ServiceType::NodePort,
        Some("LoadBalancer") => ServiceType::LoadBalancer,
        Some("ExternalName") => ServiceType::ExternalName,
        Some(other) => return Err(InvalidObject::value("spec.type", other, "is not a type of service")),
    };
    let written = cluster_ips.iter().flatten().map(String::as_str).chain(cluster_ip.as_deref());
    let headless = written.clone().any(|text| text == "None");
    let cluster = written.filter(|text| *text != "None");

    let ingress = status.and_then(|status| status.load_balancer).and_then(|balancer| balancer.ingress);
    let balancers = ingress.iter().flatten().filter_map(|entry| entry.ip.as_deref());
    let external = external_ips.iter().flatten().map(String::as_str).chain(balancers);

    let raw_ports = ports.unwrap_or_default();
    let mut ports =
        bounded("spec.ports", &raw_ports)?.iter().map(service_port).collect::<Result<Vec<_>, InvalidObject>>()?;
    ports.sort();
    ports.dedup();
    Ok(Service {
        meta: metadata.checked(Scope::Namespaced)?,
        kind,
        cluster_addresses: addresses("spec.clusterIPs", cluster)?,
        external_addresses: addresses("spec.externalIPs", external)?,
        ports,
        selector: labels("spec.selector", selector.as_ref())?,
        headless,
    })
}

fn service_port(raw: &RawServicePort) -> Result<ServicePort, InvalidObject> {
    let RawServicePort { name: port_name, protocol: protocol_text, port, target_port, node_port } = raw;
    let target = match target_port {
        // The API server writes 0 or nothing for "the same".
        None | Some(RawTargetPort::Number(0)) => TargetPort::Number(*port),
        Some(RawTargetPort::Number(number)) => TargetPort::Number(*number),
        // A name has a letter in it, so a text of digits is a number in quotes.
        Some(RawTargetPort::Name(text)) => match text.parse() {
            Ok(number) => TargetPort::Number(number),
            Err(_) => TargetPort::Name(name("spec.ports.targetPort", text)?),
        },
    };
    Ok(ServicePort {
        name: optional_name("spec.ports.name", port_name.as_deref())?,
        protocol: protocol("spec.ports.protocol", protocol_text.as_deref())?,
        port: *port,
        target,
        node_port: node_port.filter(|port| *port != 0),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RawSlice {
    #[serde(default)]
    metadata: RawMeta,
    address_type: Option<String>,
    ports: Option<Vec<RawSlicePort>>,
    endpoints: Option<Vec<RawSliceEndpoint>>,
}

#[derive(Deserialize)]
struct RawSlicePort {
    name: Option<String>,
    protocol: Option<String>,
    port: Option<u16>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawSliceEndpoint {
    addresses: Option<Vec<String>>,
    conditions: Option<RawConditions>,
    target_ref: Option<RawTarget>,
}

#[derive(Deserialize)]
struct RawConditions {
    ready: Option<bool>,
    serving: Option<bool>,
}

#[derive(Deserialize)]
struct RawTarget {
    kind: Option<String>,
    uid: Option<String>,
}

pub(super) fn endpoint_slice(raw: RawSlice) -> Result<EndpointSlice, InvalidObject> {
    let RawSlice { metadata, address_type, ports, endpoints } = raw;
    let meta = metadata.checked(Scope::Namespaced)?;
    let service: Option<Arc<str>> = meta.labels.get(SERVICE_NAME_LABEL).map(|service| service.as_str().into());

    let raw_ports = ports.unwrap_or_default();
    let mut ports = Vec::new();
    for RawSlicePort { name, protocol, port } in bounded("ports", &raw_ports)? {
        if let Some(port) = *port {
            ports.push(named_port("ports", name.as_deref(), protocol.as_deref(), port)?);
        }
    }
    ports.sort();

    let raw_endpoints = endpoints.unwrap_or_default();
    let mut endpoints = Vec::new();
    // Slices of names hold no addresses.
    let holds_addresses = address_type.as_deref() != Some("FQDN");
    for endpoint in bounded("endpoints", &raw_endpoints)?.iter().filter(|_| holds_addresses) {
        endpoints.push(slice_endpoint(endpoint)?);
    }
    endpoints.sort();
    endpoints.dedup();
    Ok(EndpointSlice { meta, service, ports, endpoints })
}

fn slice_endpoint(raw: &RawSliceEndpoint) -> Result<SliceEndpoint, InvalidObject> {
    let RawSliceEndpoint { addresses: texts, conditions, target_ref } = raw;
    let ready = conditions.as_ref().and_then(|conditions| conditions.ready).unwrap_or(true);
    let serving = conditions.as_ref().and_then(|conditions| conditions.serving).unwrap_or(ready);
    let pod = target_ref.as_ref().filter(|target| target.kind.as_deref() == Some("Pod"));
    Ok(SliceEndpoint {
        addresses: addresses("endpoints.addresses", texts.iter().flatten().map(String::as_str))?,
        usable: ready || serving,
        pod_uid: optional_name("endpoints.targetRef.uid", pod.and_then(|target| target.uid.as_deref()))?,
    })
}
