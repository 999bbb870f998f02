//! Metadata that all kinds share, and the checks of names, labels, addresses and times.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use flow::{Protocol, UnixMs};
use serde::Deserialize;

use super::InvalidObject;
use crate::objects::{Meta, NamedPort, OwnerRef};

/// More labels than any real object has: etcd refuses an object of 1.5 MiB long before.
const MAX_LABELS: usize = 1_000;
/// More owners, addresses or ports than any real object has.
pub(super) const MAX_LIST: usize = 10_000;

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub(super) struct RawMeta {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    pub(super) generate_name: Option<String>,
    labels: Option<BTreeMap<String, Option<String>>>,
    pub(super) annotations: Option<BTreeMap<String, Option<String>>>,
    creation_timestamp: Option<String>,
    pub(super) deletion_timestamp: Option<String>,
    owner_references: Option<Vec<RawOwner>>,
}

#[derive(Deserialize)]
struct RawOwner {
    kind: String,
    name: String,
    uid: Option<String>,
    controller: Option<bool>,
}

/// Whether a kind lives in a namespace. A missing namespace is `default`, as `kubectl apply` has it.
#[derive(Clone, Copy)]
pub(super) enum Scope {
    Namespaced,
    Cluster,
}

impl RawMeta {
    pub(super) fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.as_ref()?.get(key)?.as_deref().filter(|value| !value.is_empty())
    }

    pub(super) fn owners(&self) -> Result<Vec<OwnerRef>, InvalidObject> {
        let raw = self.owner_references.as_deref().unwrap_or_default();
        let mut owners = bounded("metadata.ownerReferences", raw)?
            .iter()
            .map(|RawOwner { kind, name: owner, uid, controller }| {
                Ok(OwnerRef {
                    kind: name("metadata.ownerReferences.kind", kind)?,
                    name: name("metadata.ownerReferences.name", owner)?,
                    uid: optional_name("metadata.ownerReferences.uid", uid.as_deref())?,
                    controller: controller.unwrap_or(false),
                })
            })
            .collect::<Result<Vec<_>, InvalidObject>>()?;
        owners.sort();
        owners.dedup();
        Ok(owners)
    }

    pub(super) fn checked(&self, scope: Scope) -> Result<Meta, InvalidObject> {
        let own_name = self.name.as_deref().filter(|name| !name.is_empty());
        let namespace = match scope {
            Scope::Cluster => None,
            Scope::Namespaced => {
                let written = self.namespace.as_deref().filter(|namespace| !namespace.is_empty());
                Some(name("metadata.namespace", written.unwrap_or("default"))?)
            }
        };
        Ok(Meta {
            namespace,
            name: name("metadata.name", own_name.ok_or(InvalidObject::Missing("metadata.name"))?)?,
            uid: optional_name("metadata.uid", self.uid.as_deref())?,
            labels: labels("metadata.labels", self.labels.as_ref())?,
            created: optional_time("metadata.creationTimestamp", self.creation_timestamp.as_deref())?,
        })
    }
}

/// Checks a name: 1 to 253 printable characters without slash and space, and not the signs that records use for
/// "none" and "several". Kubernetes is stricter, kind by kind.
pub(super) fn name(field: &'static str, text: &str) -> Result<Arc<str>, InvalidObject> {
    let printable = text.chars().all(|c| !c.is_control() && !c.is_whitespace() && c != '/');
    if text.is_empty() || text.len() > 253 || !printable || text == "-" || text == "*" {
        return Err(InvalidObject::value(field, text, "is not 1 to 253 printable characters without slash or space"));
    }
    Ok(text.into())
}

pub(super) fn optional_name(field: &'static str, text: Option<&str>) -> Result<Option<Arc<str>>, InvalidObject> {
    text.filter(|text| !text.is_empty()).map(|text| name(field, text)).transpose()
}

pub(super) fn labels(
    field: &'static str,
    raw: Option<&BTreeMap<String, Option<String>>>,
) -> Result<BTreeMap<String, String>, InvalidObject> {
    let Some(raw) = raw else { return Ok(BTreeMap::new()) };
    if raw.len() > MAX_LABELS {
        return Err(InvalidObject::TooMany { field, limit: MAX_LABELS });
    }
    let mut labels = BTreeMap::new();
    for (key, value) in raw {
        let value = value.as_deref().unwrap_or_default();
        if !is_label_key(key) {
            return Err(InvalidObject::value(field, key, "is not a label key"));
        }
        if !(value.is_empty() || is_label_word(value)) {
            return Err(InvalidObject::value(field, value, "is not a label value"));
        }
        labels.insert(key.clone(), value.to_owned());
    }
    Ok(labels)
}

fn is_label_key(key: &str) -> bool {
    match key.split_once('/') {
        None => is_label_word(key),
        Some((prefix, word)) => {
            let domain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
            !prefix.is_empty() && prefix.len() <= 253 && prefix.chars().all(domain) && is_label_word(word)
        }
    }
}

fn is_label_word(word: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_' || b == b'.';
    let outer = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = word.as_bytes();
    bytes.len() <= 63 && outer(bytes.first()) && outer(bytes.last()) && bytes.iter().copied().all(inner)
}

pub(super) fn address(field: &'static str, text: &str) -> Result<IpAddr, InvalidObject> {
    let parsed = text.parse::<IpAddr>().map_err(|_| InvalidObject::value(field, text, "is not an address"))?;
    Ok(parsed.to_canonical())
}

/// Reads addresses, sorted, each once; empty texts are left out, as kubelet writes them for pods not yet started.
pub(super) fn addresses<'a>(
    field: &'static str,
    texts: impl IntoIterator<Item = &'a str>,
) -> Result<Vec<IpAddr>, InvalidObject> {
    let present = texts.into_iter().filter(|text| !text.is_empty());
    let mut addresses = present.map(|text| address(field, text)).collect::<Result<Vec<_>, _>>()?;
    addresses.sort();
    addresses.dedup();
    Ok(addresses)
}

pub(super) fn optional_time(field: &'static str, text: Option<&str>) -> Result<Option<UnixMs>, InvalidObject> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    let invalid = || InvalidObject::value(field, text, "is not a time after 1970");
    let time: jiff::Timestamp = text.parse().map_err(|_| invalid())?;
    u64::try_from(time.as_millisecond()).map(|ms| Some(UnixMs(ms))).map_err(|_| invalid())
}

pub(super) fn protocol(field: &'static str, text: Option<&str>) -> Result<Protocol, InvalidObject> {
    match text.filter(|text| !text.is_empty()) {
        None => Ok(Protocol::TCP),
        Some(text) => Protocol::parse(text).ok_or_else(|| InvalidObject::value(field, text, "is not a protocol")),
    }
}

pub(super) fn bounded<'a, T>(field: &'static str, list: &'a [T]) -> Result<&'a [T], InvalidObject> {
    if list.len() > MAX_LIST { Err(InvalidObject::TooMany { field, limit: MAX_LIST }) } else { Ok(list) }
}

pub(super) fn named_port(
    field: &'static str,
    name_text: Option<&str>,
    protocol_text: Option<&str>,
    port: u16,
) -> Result<NamedPort, InvalidObject> {
    Ok(NamedPort { name: optional_name(field, name_text)?, protocol: protocol(field, protocol_text)?, port })
}
