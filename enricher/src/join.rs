//! Names both ends of a raw record, and the service asked for, by the metadata of the record's time.
//!
//! The local end is named by identity: the pod whose cgroup or network namespace the probe saw. The remote end is named
//! by who held its address when the connections of the record began. Where the metadata does not tell, the name is `-`
//! and the record says why: a name is never guessed.

mod ends;

use std::net::IpAddr;

use cluster::{History, PodEntry, ServiceLookup, ServicePortEntry, View};
use flow::{Destination, Endpoint, Identity, JoinedFlow, RawFlow, Reporter, Unknown};

pub use ends::Party;
use ends::{End, Side, Times};

/// A joined record, with what its ends are to policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// The record with names.
    pub flow: JoinedFlow,
    /// What the initiator is.
    pub source: Party,
    /// What the receiver is.
    pub dest: Party,
}

/// Which end of a record is local.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Local {
    Source,
    Dest,
    /// The node only forwards, or cannot tell.
    Neither,
}

/// Where the connections of a record went.
#[derive(Debug, Clone, Copy)]
enum Target<'a> {
    /// To this address, as far as is known the translated one.
    Address(IpAddr),
    /// To one of the backends of a service, it is not known to which.
    SomeBackend(IpAddr, &'a ServicePortEntry),
}

/// Joins a record with the metadata of its time.
#[must_use]
pub fn join(mut raw: RawFlow, history: &History) -> Joined {
    let times = Times::of(&raw, history);
    let view = times.newest;
    let mut unknown = Vec::new();
    if !raw.initiator_known {
        unknown.push(Unknown::InitiatorUnknown);
    }

    let asked = asked_service(&raw, view);
    let service = match asked {
        ServiceLookup::One(entry) => Some(entry.reference.clone()),
        ServiceLookup::Several => {
            unknown.push(Unknown::AmbiguousAddress);
            None
        }
        ServiceLookup::None => None,
    };

    let local = local_end(&raw, view);
    let target = target(&mut raw, asked, local);
    let source = match local {
        Local::Source => ends::local(&raw, raw.source_ip, times, Side::Source),
        Local::Dest | Local::Neither => ends::remote(raw.source_ip, times, Side::Source),
    };
    let dest = match (local, target) {
        (Local::Dest, Some(Target::Address(ip) | Target::SomeBackend(ip, _))) => {
            ends::local(&raw, ip, times, Side::Dest)
        }
        (_, Some(Target::Address(ip))) => ends::remote(ip, times, Side::Dest),
        (_, Some(Target::SomeBackend(ip, service))) => ends::some_backend(ip, service),
        (_, None) => End::absent(),
    };

    // A network set is chosen by the namespace of the workload at the other end.
    let (source_namespace, dest_namespace) =
        (source.namespace().map(str::to_owned), dest.namespace().map(str::to_owned));
    let (source, source_party) = source.finish(view.snapshot(), dest_namespace.as_deref(), &mut unknown);
    let (dest, dest_party) = dest.finish(view.snapshot(), source_namespace.as_deref(), &mut unknown);
    unknown.sort_unstable();
    unknown.dedup();
    Joined {
        flow: JoinedFlow {
            raw,
            source,
            dest,
            service,
            snapshot: std::sync::Arc::clone(view.snapshot().hash()),
            unknown_because: unknown,
        },
        source: source_party,
        dest: dest_party,
    }
}

/// Looks up the service of the original destination. Without an original nothing is known of a service: the translated
/// end is behind it.
fn asked_service<'a>(raw: &RawFlow, view: View<'a>) -> ServiceLookup<'a> {
    match raw.original {
        Some(Destination { ip, port: Some(port) }) => view.service(ip, port, raw.protocol),
        Some(Destination { port: None, .. }) | None => ServiceLookup::None,
    }
}

/// Says which end is local. A node that forwards names a pod only where a packet was dropped in that pod's namespace or
/// came from its address; which end that is, the addresses tell.
fn local_end(raw: &RawFlow, view: View<'_>) -> Local {
    match raw.reporter {
        Reporter::Src => Local::Source,
        Reporter::Dst if !raw.initiator_known => Local::Source,
        Reporter::Dst => Local::Dest,
        Reporter::Fwd => {
            let pod = raw.local.pod_uid.as_deref().and_then(|uid| view.pod(uid));
            let holds = |ip: IpAddr| pod.is_some_and(|entry: &PodEntry| entry.pod.addresses.contains(&ip));
            if holds(raw.source_ip) {
                Local::Source
            } else if raw.destination().is_some_and(|dest| holds(dest.ip)) {
                Local::Dest
            } else {
                Local::Neither
            }
        }
    }
}

/// Finds where the connections went. If only the original destination is known and it is a service with one backend,
/// they went there: the record then carries that as its translated end.
fn target<'a>(raw: &mut RawFlow, asked: ServiceLookup<'a>, local: Local) -> Option<Target<'a>> {
    let (None, Some(original)) = (raw.translated, raw.original) else {
        return raw.destination().map(|dest| Target::Address(dest.ip));
    };
    match asked {
        // The local end is known by identity, whatever was asked for.
        ServiceLookup::One(_) if local == Local::Dest && raw.local.identity != Identity::None => {
            Some(Target::Address(original.ip))
        }
        ServiceLookup::One(entry) => match entry.only_backend(original.ip) {
            Some(backend) => {
                raw.translated = Some(Destination { ip: backend.ip, port: Some(backend.port) });
                Some(Target::Address(backend.ip))
            }
            None => Some(Target::SomeBackend(original.ip, entry)),
        },
        ServiceLookup::Several | ServiceLookup::None => Some(Target::Address(original.ip)),
    }
}

/// Fills in an address: endpoint parts are prepared without one.
fn addressed(endpoint: &Endpoint, ip: IpAddr) -> Endpoint {
    Endpoint { ip: Some(ip), ..endpoint.clone() }
}

#[cfg(test)]
mod tests;
