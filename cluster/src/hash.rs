//! The content hash of a set of objects: the same for the same content, in whatever order it was read.

use std::fmt::Write as _;
use std::sync::Arc;

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::objects::Objects;

/// Returns the first 128 bits of SHA-256 over the sorted digests of all objects, as 32 hexadecimal digits. Objects of
/// other kinds take no part: they change nothing that a record says.
pub(crate) fn content_hash(objects: &Objects) -> Arc<str> {
    // Destructured, so that a new kind must be thought of here.
    let Objects {
        pods,
        namespaces,
        nodes,
        services,
        slices,
        controllers,
        service_accounts,
        network_sets,
        host_endpoints,
        other_kinds: _,
    } = objects;
    let mut digests = Vec::with_capacity(objects.len());
    add(&mut digests, "pod", pods);
    add(&mut digests, "namespace", namespaces);
    add(&mut digests, "node", nodes);
    add(&mut digests, "service", services);
    add(&mut digests, "slice", slices);
    add(&mut digests, "controller", controllers);
    add(&mut digests, "service_account", service_accounts);
    add(&mut digests, "network_set", network_sets);
    add(&mut digests, "host_endpoint", host_endpoints);
    digests.sort_unstable();
    let mut whole = Sha256::new();
    for digest in &digests {
        whole.update(digest);
    }
    let mut text = String::with_capacity(32);
    for byte in whole.finalize().iter().take(16) {
        write!(text, "{byte:02x}").expect("a string takes everything");
    }
    text.into()
}

fn add<T: Serialize>(digests: &mut Vec<[u8; 32]>, kind: &str, objects: &[Arc<T>]) {
    for object in objects {
        let canonical = serde_json::to_vec(object).expect("our objects have text keys and no fallible parts");
        let mut one = Sha256::new();
        one.update(kind.as_bytes());
        one.update([0]);
        one.update(&canonical);
        digests.push(one.finalize().into());
    }
}
