//! Tests of reading manifests: what is found, what is refused and where, and what stays when a file breaks.

mod documents;
mod folder;
mod hostile;

use super::*;
use crate::objects::Objects;

fn parsed(text: &str) -> (Objects, Vec<String>) {
    let (objects, invalid) = parse("a.yaml", text.as_bytes(), Limits::default());
    (objects, invalid.iter().map(ToString::to_string).collect())
}

fn pod_names(objects: &Objects) -> Vec<&str> {
    let mut names: Vec<&str> = objects.pods.iter().map(|pod| pod.meta.name.as_ref()).collect();
    names.sort_unstable();
    names
}

fn pod(name: &str) -> String {
    format!("apiVersion: v1\nkind: Pod\nmetadata:\n  name: {name}\n  namespace: shop\n")
}
