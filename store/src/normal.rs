//! The normal form of a flow record: what is the same after a way through any engine.
//!
//! Engines may give arrays back sorted and without repeats, and cannot all tell an empty array from an absent one.

use flow::FlowRecord;
use flow::record::Labels;

/// Returns the record with arrays sorted and unique, and empty label lists absent.
#[must_use]
pub fn normal(mut record: FlowRecord) -> FlowRecord {
    for labels in [&mut record.source_labels, &mut record.dest_labels] {
        *labels = labels.take().map(sorted_labels).filter(|l| !l.labels.is_empty());
    }
    let policies = &mut record.policies;
    for list in [
        &mut policies.all_policies,
        &mut policies.enforced_policies,
        &mut policies.pending_policies,
        &mut policies.transit_policies,
        &mut policies.egress,
        &mut policies.ingress,
        &mut record.decided_by,
        &mut record.denied_by,
        &mut record.unknown_because,
        &mut record.dest_domains,
        &mut record.process_args,
    ] {
        sort_unique(list);
    }
    sort_unique(&mut record.nat_outgoing_ports);
    sort_unique(&mut record.original_source_ips);
    record
}

fn sorted_labels(mut labels: Labels) -> Labels {
    sort_unique(&mut labels.labels);
    labels
}

fn sort_unique<T: Ord>(list: &mut Vec<T>) {
    list.sort_unstable();
    list.dedup();
}
