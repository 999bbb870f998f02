//! The border: what Kubernetes and Calico say, turned into our objects.
//!
//! One function, [`decode`], takes a document that is JSON by now and gives an object, or says which field of which
//! object is wrong. Kinds that are not used come back by name, so that they can be counted.

mod calico;
mod core;
mod meta;
mod service;
mod workload;

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::objects::{Object, ObjectName};

/// Why a document is no object that we can use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidObject {
    /// It is no map, or says no `apiVersion` and `kind`.
    #[error("it is not a kubernetes object: no apiVersion and kind")]
    NotAnObject,
    /// A field has another type than the kind has there.
    #[error("`{field}`: {reason}")]
    Shape {
        /// Path of the field.
        field: String,
        /// What is wrong, in the reader's words.
        reason: String,
    },
    /// A field that must be there is not.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// A field holds a text that it cannot hold.
    #[error("`{field}`: `{value}` {reason}")]
    Value {
        /// Path of the field.
        field: &'static str,
        /// The text, cut to 64 characters.
        value: String,
        /// What it should have been.
        reason: &'static str,
    },
    /// A list is longer than any real object has it.
    #[error("`{field}` has more than {limit} entries")]
    TooMany {
        /// Path of the field.
        field: &'static str,
        /// The longest list that is read.
        limit: usize,
    },
}

impl InvalidObject {
    fn value(field: &'static str, value: &str, reason: &'static str) -> Self {
        Self::Value { field, value: value.escape_debug().to_string().chars().take(64).collect(), reason }
    }
}

/// What a document is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decoded {
    /// An object of a kind that is used.
    Object(Object),
    /// An object of another kind, as `group/version kind`.
    OtherKind(String),
}

/// Reads one object.
///
/// # Errors
/// Returns [`InvalidObject`] naming the field if the document is no object, or one of a kind that is used and cannot be.
pub fn decode(document: Value) -> Result<Decoded, InvalidObject> {
    let (Some(version), Some(kind)) = (text(&document, "apiVersion"), text(&document, "kind")) else {
        return Err(InvalidObject::NotAnObject);
    };
    let object = match (version, kind) {
        ("v1", "Pod") => Object::Pod(Arc::new(core::pod(read(document)?)?)),
        ("v1", "Namespace") => Object::Namespace(Arc::new(core::namespace(read(document)?)?)),
        ("v1", "Node") => Object::Node(Arc::new(core::node(read(document)?)?)),
        ("v1", "ServiceAccount") => Object::ServiceAccount(Arc::new(core::service_account(read(document)?)?)),
        ("v1", "Service") => Object::Service(Arc::new(service::service(read(document)?)?)),
        ("discovery.k8s.io/v1", "EndpointSlice") => {
            Object::EndpointSlice(Arc::new(service::endpoint_slice(read(document)?)?))
        }
        ("apps/v1", "ReplicaSet") => Object::Controller(Arc::new(workload::controller("ReplicaSet", read(document)?)?)),
        ("batch/v1", "Job") => Object::Controller(Arc::new(workload::controller("Job", read(document)?)?)),
        ("projectcalico.org/v3" | "crd.projectcalico.org/v1", "NetworkSet") => {
            Object::NetworkSet(Arc::new(calico::network_set(read(document)?)?))
        }
        ("projectcalico.org/v3" | "crd.projectcalico.org/v1", "GlobalNetworkSet") => {
            Object::NetworkSet(Arc::new(calico::global_network_set(read(document)?)?))
        }
        ("projectcalico.org/v3" | "crd.projectcalico.org/v1", "HostEndpoint") => {
            Object::HostEndpoint(Arc::new(calico::host_endpoint(read(document)?)?))
        }
        (version, kind) => return Ok(Decoded::OtherKind(other_kind(version, kind))),
    };
    Ok(Decoded::Object(object))
}

/// Returns how messages name a document, whatever state it is in; nothing if it does not even say its kind.
#[must_use]
pub fn name_of(document: &Value) -> Option<ObjectName> {
    let cut = |text: &str| text.escape_debug().to_string().chars().take(253).collect::<String>();
    let metadata = document.get("metadata");
    let field = |name| metadata.and_then(|m| text(m, name)).map(cut);
    Some(ObjectName {
        kind: cut(text(document, "kind")?),
        namespace: field("namespace"),
        name: field("name").unwrap_or_else(|| "?".to_owned()),
    })
}

fn text<'a>(value: &'a Value, field: &str) -> Option<&'a str> {
    value.get(field).and_then(Value::as_str).filter(|text| !text.is_empty())
}

fn other_kind(version: &str, kind: &str) -> String {
    // Hostile kinds must neither fill memory nor break a log line.
    format!("{version} {kind}").chars().filter(|c| !c.is_control()).take(128).collect()
}

fn read<T: DeserializeOwned>(document: Value) -> Result<T, InvalidObject> {
    serde_path_to_error::deserialize(document).map_err(|error| InvalidObject::Shape {
        field: error.path().to_string().escape_debug().to_string().chars().take(128).collect(),
        reason: error.inner().to_string().escape_debug().to_string().chars().take(160).collect(),
    })
}
