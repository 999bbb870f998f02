//! Which network set an address is shown as.
//!
//! Calico's order: sets in the namespace of the workload at the other end, then global sets, then sets of other
//! namespaces; within each the longest prefix; then the full name in alphabetical order.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use flow::Endpoint;
use ipnet::IpNet;

use crate::objects::NetworkSet;

/// The sets of a snapshot, found by covering prefix.
#[derive(Debug, Default)]
pub(crate) struct NetworkSets {
    sets: Vec<SetEntry>,
    by_prefix: HashMap<IpNet, Vec<u32>>,
    /// The prefix lengths that occur: few in practice, so that a lookup is a few probes.
    v4_lengths: Vec<u8>,
    v6_lengths: Vec<u8>,
}

#[derive(Debug)]
struct SetEntry {
    set: Arc<NetworkSet>,
    full_name: String,
    endpoint: Endpoint,
}

impl NetworkSets {
    pub(crate) fn new(sets: &[Arc<NetworkSet>], prepare: impl Fn(&NetworkSet) -> Endpoint) -> Self {
        let mut all = Self::default();
        for set in sets {
            let place = u32::try_from(all.sets.len()).expect("a snapshot holds fewer than 2^32 sets");
            for net in &set.nets {
                all.by_prefix.entry(*net).or_default().push(place);
                let lengths = if net.addr().is_ipv4() { &mut all.v4_lengths } else { &mut all.v6_lengths };
                if let Err(at) = lengths.binary_search(&net.prefix_len()) {
                    lengths.insert(at, net.prefix_len());
                }
            }
            let full_name = match &set.meta.namespace {
                Some(namespace) => format!("{namespace}/{}", set.meta.name),
                None => set.meta.name.as_ref().to_owned(),
            };
            all.sets.push(SetEntry { set: Arc::clone(set), full_name, endpoint: prepare(set) });
        }
        all
    }

    /// Returns the set that wins for an address, seen from a workload of `namespace`.
    pub(crate) fn find(&self, address: IpAddr, namespace: Option<&str>) -> Option<&Endpoint> {
        let lengths = if address.is_ipv4() { &self.v4_lengths } else { &self.v6_lengths };
        let prefixes = lengths.iter().filter_map(|length| IpNet::new(address, *length).ok());
        let covering = prefixes.flat_map(|net| {
            let length = net.prefix_len();
            self.by_prefix.get(&net.trunc()).into_iter().flatten().map(move |place| (length, *place))
        });
        let best = covering.min_by_key(|(length, place)| {
            let entry = &self.sets[*place as usize];
            let class = match &entry.set.meta.namespace {
                Some(own) if namespace == Some(own.as_ref()) => 0,
                None => 1,
                Some(_) => 2,
            };
            (class, Reverse(*length), entry.full_name.as_str())
        });
        best.map(|(_, place)| &self.sets[place as usize].endpoint)
    }
}
