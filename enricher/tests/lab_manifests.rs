//! The laboratory's folder of manifests is read whole, and gives every pod the facts that a record shows.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;

use cluster::manifests::{self, Limits};
use cluster::{PrivateRanges, Snapshot};

#[test]
fn every_pod_of_the_lab_has_what_a_record_shows() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../lab/manifests");
    let (objects, invalid) = manifests::read(&dir, Limits::default());
    let reports: Vec<String> = invalid.iter().map(ToString::to_string).collect();
    assert!(reports.is_empty(), "{reports:#?}");
    let snapshot = Snapshot::new(objects, PrivateRanges::Full);
    let pods = &snapshot.objects().pods;
    assert!(pods.len() >= 5, "only {} pods", pods.len());
    for pod in pods {
        let uid = pod.meta.uid.as_deref().unwrap_or_else(|| panic!("pod `{}` has no uid", pod.meta.name));
        let shown = &snapshot.pod(uid).unwrap().endpoint;
        assert!(shown.node.is_some() && shown.zone.is_some(), "{shown:?}");
        assert!(!pod.addresses.is_empty(), "pod `{}` has no address", pod.meta.name);
        if pod.controller().is_some() && !pod.host_network {
            assert!(shown.name_aggr.ends_with('*') && shown.owner_name.is_some(), "{shown:?}");
        }
    }
}
