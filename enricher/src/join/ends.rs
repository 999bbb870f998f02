//! One end of a record: who it is by identity or by address.

use std::net::IpAddr;
use std::sync::Arc;

use cluster::{History, Holder, HostEntry, PodEntry, ServicePortEntry, Snapshot, View};
use flow::{Endpoint, EndpointType, Identity, RawFlow, Unknown};

use super::addressed;

/// Which end of the record. Whoever counts attempts asks whether the source is of the cluster, so a source that is, but
/// cannot be named, keeps its type; a destination is any address then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Source,
    Dest,
}

impl Side {
    fn nameless(self, kind: EndpointType, why: Unknown) -> Who<'static> {
        match self {
            Self::Source => Who::Nameless(kind, why),
            Self::Dest => Who::Nameless(EndpointType::Network, why),
        }
    }
}

/// What an end is to policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Party {
    /// A pod with a network of its own.
    Pod {
        /// Its UID, if the metadata has one.
        uid: Option<Arc<str>>,
        /// Its namespace.
        namespace: Arc<str>,
        /// Its name.
        name: Arc<str>,
        /// The node it runs on.
        node: Option<Arc<str>>,
    },
    /// A host, or a pod in its network.
    Host {
        /// Its node.
        node: Option<Arc<str>>,
        /// True if a Calico host endpoint stands for it, so that policies apply.
        host_endpoint: bool,
    },
    /// An address outside the cluster, in a network set or in none.
    Outside,
    /// It cannot be told.
    Unclear(Unknown),
}

/// How things stood when the connections of a record began. Several may be merged into one record, so there are two
/// moments, and an address that changed hands between them names nobody.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times<'a> {
    oldest: Option<View<'a>>,
    pub(super) newest: View<'a>,
}

impl<'a> Times<'a> {
    pub(super) fn of(raw: &RawFlow, history: &'a History) -> Self {
        let several = raw.oldest_start < raw.newest_start;
        Self { oldest: several.then(|| history.at(raw.oldest_start)), newest: history.at(raw.newest_start) }
    }
}

/// An end before its network set is chosen, which needs the other end.
#[derive(Debug)]
pub(super) struct End<'a> {
    ip: Option<IpAddr>,
    who: Who<'a>,
    because: Option<Unknown>,
}

#[derive(Debug)]
enum Who<'a> {
    Pod(&'a PodEntry),
    Host(&'a HostEntry),
    /// The host of the reporting node, of which the metadata knows nothing.
    UnlistedHost(&'a str),
    Outside,
    /// Only the kind is known; why is told.
    Nameless(EndpointType, Unknown),
    /// One of several backends. That is for the judgement to tell of: all may give one answer.
    SomeBackend,
    /// The address of a service without backends: nothing translates it.
    NoBackend,
    /// The record has no such end.
    Absent,
}

impl End<'_> {
    pub(super) fn absent() -> Self {
        Self { ip: None, who: Who::Absent, because: None }
    }

    /// Returns the namespace of a workload.
    pub(super) fn namespace(&self) -> Option<&str> {
        match &self.who {
            Who::Pod(entry) => entry.pod.meta.namespace.as_deref(),
            Who::Host(_)
            | Who::UnlistedHost(_)
            | Who::Outside
            | Who::Nameless(..)
            | Who::SomeBackend
            | Who::NoBackend
            | Who::Absent => None,
        }
    }

    pub(super) fn finish(
        self,
        snapshot: &Snapshot,
        other_namespace: Option<&str>,
        unknown: &mut Vec<Unknown>,
    ) -> (Endpoint, Party) {
        unknown.extend(self.because);
        let Some(ip) = self.ip else { return (snapshot.nameless(EndpointType::Network), Party::Outside) };
        match self.who {
            Who::Pod(entry) => (addressed(&entry.endpoint, ip), pod_party(entry, snapshot)),
            Who::Host(entry) => (addressed(&entry.endpoint, ip), host_party(entry)),
            Who::UnlistedHost(node) => {
                let endpoint = snapshot.unlisted_host(node);
                let node = endpoint.node.clone();
                (addressed(&endpoint, ip), Party::Host { node, host_endpoint: false })
            }
            Who::Outside => (addressed(snapshot.outside(ip, other_namespace), ip), Party::Outside),
            Who::Nameless(kind, why) => {
                unknown.push(why);
                (addressed(&snapshot.nameless(kind), ip), Party::Unclear(why))
            }
            Who::SomeBackend => {
                let endpoint = snapshot.nameless(EndpointType::Network);
                (addressed(&endpoint, ip), Party::Unclear(Unknown::ServiceBackend))
            }
            Who::NoBackend => {
                let endpoint = addressed(snapshot.outside(ip, other_namespace), ip);
                (endpoint, Party::Unclear(Unknown::ServiceBackend))
            }
            Who::Absent => (snapshot.nameless(EndpointType::Network), Party::Outside),
        }
    }
}

fn pod_party(entry: &PodEntry, snapshot: &Snapshot) -> Party {
    let pod = &entry.pod;
    if pod.host_network {
        let host = pod.node.as_deref().and_then(|node| snapshot.host(node));
        return Party::Host {
            node: pod.node.clone(),
            host_endpoint: host.is_some_and(|host| host.host_endpoint.is_some()),
        };
    }
    Party::Pod {
        uid: pod.meta.uid.clone(),
        namespace: Arc::clone(&entry.endpoint.namespace),
        name: Arc::clone(&pod.meta.name),
        node: pod.node.clone(),
    }
}

fn host_party(entry: &HostEntry) -> Party {
    Party::Host { node: Some(Arc::clone(&entry.node)), host_endpoint: entry.host_endpoint.is_some() }
}

/// Names the local end: by the pod that the probe saw, else as the host itself, else by address.
pub(super) fn local<'a>(raw: &'a RawFlow, ip: IpAddr, times: Times<'a>, side: Side) -> End<'a> {
    let known = |who| End { ip: Some(ip), who, because: None };
    match (&raw.local.pod_uid, raw.local.identity) {
        (Some(uid), _) => match times.newest.pod(uid) {
            Some(entry) => known(Who::Pod(entry)),
            None => known(Who::Nameless(EndpointType::Workload, Unknown::NoMetadata)),
        },
        (None, Identity::Cgroup | Identity::Netns) => known(own_host(raw.stream.node(), ip, times.newest)),
        (None, Identity::Address | Identity::None) => match remote(ip, times, side) {
            // The probe says that this end is here, and nothing knows who it is.
            End { who: Who::Outside, .. } => {
                End { ip: Some(ip), who: Who::Outside, because: Some(Unknown::NoMetadata) }
            }
            end => end,
        },
    }
}

/// The host of the reporting node, by the host endpoint of the address where there is one.
fn own_host<'a>(node: &'a str, ip: IpAddr, view: View<'a>) -> Who<'a> {
    match view.address(ip) {
        Holder::Host(entry) if entry.node.as_ref() == node => Who::Host(entry),
        Holder::Host(_) | Holder::Pod(_) | Holder::Ambiguous { .. } | Holder::Later | Holder::Nobody => {
            view.snapshot().host(node).map_or(Who::UnlistedHost(node), Who::Host)
        }
    }
}

/// Names an end by who held its address.
pub(super) fn remote<'a>(ip: IpAddr, times: Times<'a>, side: Side) -> End<'a> {
    let newest = times.newest.address(ip);
    let handed_over = times.oldest.is_some_and(|oldest| !same_holder(oldest.address(ip), newest));
    let who = match newest {
        Holder::Pod(_) if handed_over => side.nameless(EndpointType::Workload, Unknown::AmbiguousAddress),
        Holder::Host(_) if handed_over => side.nameless(EndpointType::Host, Unknown::AmbiguousAddress),
        Holder::Pod(entry) => Who::Pod(entry),
        Holder::Host(entry) => Who::Host(entry),
        Holder::Ambiguous { pods: true } => side.nameless(EndpointType::Workload, Unknown::AmbiguousAddress),
        Holder::Ambiguous { pods: false } => side.nameless(EndpointType::Host, Unknown::AmbiguousAddress),
        // Pods hold it later, so it is of the pods' network; who held it then is not known.
        Holder::Later => side.nameless(EndpointType::Workload, Unknown::NoHistory),
        Holder::Nobody => Who::Outside,
    };
    End { ip: Some(ip), who, because: None }
}

/// Says whether two moments show one holder. Nobody before somebody counts as the same: the metadata had not caught up.
fn same_holder(oldest: Holder<'_>, newest: Holder<'_>) -> bool {
    match (oldest, newest) {
        (Holder::Pod(one), Holder::Pod(other)) => {
            one.pod.meta.uid == other.pod.meta.uid
                && one.pod.meta.name == other.pod.meta.name
                && one.pod.meta.namespace == other.pod.meta.namespace
        }
        (Holder::Host(one), Holder::Host(other)) => one.node == other.node,
        (Holder::Nobody, _) => true,
        (Holder::Pod(_) | Holder::Host(_) | Holder::Ambiguous { .. } | Holder::Later, _) => false,
    }
}

/// Names an end that is one of several backends, it is not known which. Without any backend nothing translates the
/// address, and it is what it is.
pub(super) fn some_backend(ip: IpAddr, service: &ServicePortEntry) -> End<'static> {
    let who = if service.backends.is_empty() { Who::NoBackend } else { Who::SomeBackend };
    End { ip: Some(ip), who, because: None }
}
