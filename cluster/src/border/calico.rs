//! Calico's network sets and host endpoints, of either API group: the specs are the same.

use ipnet::IpNet;
use serde::Deserialize;

use super::InvalidObject;
use super::meta::{RawMeta, Scope, address, addresses, bounded, name, named_port, optional_name};
use crate::objects::{HostEndpoint, NetworkSet};

/// Calico's own limit is the size of the object: 1.5 MiB hold fewer than this many prefixes.
const MAX_NETS: usize = 200_000;

#[derive(Deserialize)]
pub(super) struct RawNetworkSet {
    #[serde(default)]
    metadata: RawMeta,
    spec: Option<RawNetworkSetSpec>,
}

#[derive(Deserialize)]
struct RawNetworkSetSpec {
    nets: Option<Vec<String>>,
}

pub(super) fn network_set(raw: RawNetworkSet) -> Result<NetworkSet, InvalidObject> {
    set(raw, Scope::Namespaced)
}

pub(super) fn global_network_set(raw: RawNetworkSet) -> Result<NetworkSet, InvalidObject> {
    set(raw, Scope::Cluster)
}

fn set(raw: RawNetworkSet, scope: Scope) -> Result<NetworkSet, InvalidObject> {
    let RawNetworkSet { metadata, spec } = raw;
    let texts = spec.and_then(|spec| spec.nets).unwrap_or_default();
    if texts.len() > MAX_NETS {
        return Err(InvalidObject::TooMany { field: "spec.nets", limit: MAX_NETS });
    }
    let mut nets = texts.iter().map(|text| net(text)).collect::<Result<Vec<_>, _>>()?;
    nets.sort();
    nets.dedup();
    Ok(NetworkSet { meta: metadata.checked(scope)?, nets })
}

/// Reads a prefix; an address by itself is the prefix of its full length, as Calico takes it.
fn net(text: &str) -> Result<IpNet, InvalidObject> {
    let field = "spec.nets";
    if text.contains('/') {
        let net = text.parse::<IpNet>().map_err(|_| InvalidObject::value(field, text, "is not a prefix"))?;
        Ok(net.trunc())
    } else {
        Ok(IpNet::from(address(field, text)?))
    }
}

#[derive(Deserialize)]
pub(super) struct RawHostEndpoint {
    #[serde(default)]
    metadata: RawMeta,
    spec: Option<RawHostEndpointSpec>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct RawHostEndpointSpec {
    node: Option<String>,
    interface_name: Option<String>,
    #[serde(rename = "expectedIPs")]
    expected_ips: Option<Vec<String>>,
    ports: Option<Vec<RawHostPort>>,
    profiles: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct RawHostPort {
    name: Option<String>,
    /// A name, or a number: Calico takes both.
    protocol: Option<serde_json::Value>,
    port: u16,
}

pub(super) fn host_endpoint(raw: RawHostEndpoint) -> Result<HostEndpoint, InvalidObject> {
    let RawHostEndpoint { metadata, spec } = raw;
    let RawHostEndpointSpec { node, interface_name, expected_ips, ports, profiles } = spec.unwrap_or_default();
    let raw_ports = ports.unwrap_or_default();
    let mut ports = Vec::new();
    for RawHostPort { name, protocol, port } in bounded("spec.ports", &raw_ports)? {
        let protocol = protocol.as_ref().map(|value| match value.as_str() {
            Some(text) => text.to_owned(),
            None => value.to_string(),
        });
        ports.push(named_port("spec.ports", name.as_deref(), protocol.as_deref(), *port)?);
    }
    ports.sort();
    let profiles = profiles.unwrap_or_default();
    let profiles = bounded("spec.profiles", &profiles)?.iter().map(|text| name("spec.profiles", text));
    Ok(HostEndpoint {
        meta: metadata.checked(Scope::Cluster)?,
        node: optional_name("spec.node", node.as_deref())?,
        interface: match interface_name.as_deref() {
            Some("*") => Some("*".into()),
            named => optional_name("spec.interfaceName", named)?,
        },
        addresses: addresses("spec.expectedIPs", expected_ips.iter().flatten().map(String::as_str))?,
        ports,
        profiles: profiles.collect::<Result<Vec<_>, _>>()?,
    })
}
