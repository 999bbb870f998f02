//! The hand-written cases of `flow/tests/cases/`, from the raw record on: a cluster is made of each case's endpoints and
//! services, and the join has to find again who the case says its ends are.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bus::{Delivered, Header, Record};
use cluster::objects::{
    EndpointSlice, Meta, NamedPort, NetworkSet, Node, Object, OwnerRef, Pod, PodPhase, Service, ServicePort,
    ServiceType, SliceEndpoint, TargetPort,
};
use cluster::{History, Objects, PrivateRanges, Snapshot};
use enricher::enrich::{Outcome, Rules, enrich};
use enricher::join::join;
use flow::test_support::{Case, CaseEndpoint, CaseService, Fate, Topic, load_cases};
use flow::wire::dead_letter::Reason;
use flow::{Endpoint, EndpointType, Protocol, UnixMs, Unknown};

fn meta(namespace: Option<&str>, name: &str, labels: &[String]) -> Meta {
    let label = |text: &String| text.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()));
    Meta {
        namespace: namespace.map(Arc::from),
        name: name.into(),
        uid: None,
        labels: labels.iter().filter_map(label).collect(),
        created: None,
    }
}

fn pod(end: &CaseEndpoint) -> Pod {
    let host_network = end.endpoint(None).kind == EndpointType::Host;
    let owner = end.owner_name.as_deref();
    let (namespace, name) = match owner.filter(|_| host_network) {
        Some(owner) => owner.split_once('/').unwrap(),
        None => (end.namespace.as_deref().unwrap(), end.name.as_str()),
    };
    let controller = end.owner_kind.as_deref().zip(owner).filter(|_| !host_network);
    let mut meta = meta(Some(namespace), name, if host_network { &[] } else { &end.labels });
    meta.uid = end.uid.as_deref().map(Arc::from);
    Pod {
        meta,
        generate_name: end.name_aggr.as_deref().and_then(|aggr| aggr.strip_suffix('*')).map(Arc::from),
        static_uid: None,
        addresses: end.ips.clone(),
        host_network,
        node: end.node.as_deref().map(Arc::from),
        service_account: None,
        ports: Vec::new(),
        phase: PodPhase::Running,
        started: None,
        finished: None,
        deletion: None,
        owners: controller
            .map(|(kind, name)| OwnerRef { kind: kind.into(), name: name.into(), uid: None, controller: true })
            .into_iter()
            .collect(),
    }
}

fn object(end: &CaseEndpoint) -> Option<Object> {
    let meta = || meta(end.namespace.as_deref(), &end.name, &end.labels);
    match end.endpoint(None).kind {
        // Those that only stand for what cannot be named are not in the cluster.
        _ if end.name == "-" => None,
        EndpointType::Host if end.uid.is_none() => {
            let zone = end.zone.as_deref().map(Arc::from);
            Some(Object::Node(Arc::new(Node { meta: meta(), addresses: end.ips.clone(), zone })))
        }
        EndpointType::Workload | EndpointType::Host => Some(Object::Pod(Arc::new(pod(end)))),
        EndpointType::NetworkSet => {
            let nets = end.nets.iter().map(|net| net.parse().unwrap()).collect();
            Some(Object::NetworkSet(Arc::new(NetworkSet { meta: meta(), nets })))
        }
        EndpointType::Network => None,
    }
}

/// A service of one port for both protocols, with a slice for each port of a backend.
fn service(told: &CaseService) -> Vec<Object> {
    let port_names: Vec<Option<Arc<str>>> = match told.port_name.as_str() {
        "-" => vec![None],
        "*" => vec![Some("one".into()), Some("two".into())],
        name => vec![Some(name.into())],
    };
    let protocols = [Protocol::TCP, Protocol::UDP];
    let of_all = |make: &dyn Fn(&Option<Arc<str>>, Protocol) -> ServicePort| {
        port_names.iter().flat_map(|name| protocols.map(|protocol| make(name, protocol))).collect()
    };
    let ports = of_all(&|name, protocol| ServicePort {
        name: name.clone(),
        protocol,
        port: told.port,
        target: TargetPort::Number(told.port),
        node_port: None,
    });
    let service = Service {
        meta: meta(Some(&told.namespace), &told.name, &[]),
        kind: ServiceType::ClusterIp,
        cluster_addresses: told.ips.clone(),
        external_addresses: Vec::new(),
        ports,
        selector: BTreeMap::new(),
        headless: false,
    };
    let slices = told.backends.iter().enumerate().map(|(number, backend)| {
        let named =
            |name: &Option<Arc<str>>, protocol| NamedPort { name: name.clone(), protocol, port: backend.port() };
        Object::EndpointSlice(Arc::new(EndpointSlice {
            meta: meta(Some(&told.namespace), &format!("{}-{number}", told.name), &[]),
            service: Some(told.name.as_str().into()),
            ports: port_names.iter().flat_map(|name| protocols.map(|protocol| named(name, protocol))).collect(),
            endpoints: vec![SliceEndpoint { addresses: vec![backend.ip()], usable: true, pod_uid: None }],
        }))
    });
    std::iter::once(Object::Service(Arc::new(service))).chain(slices).collect()
}

fn cluster_of(case: &Case) -> Objects {
    let mut objects = Objects::default();
    case.endpoints.values().filter_map(object).for_each(|object| objects.insert(object));
    case.services.values().flat_map(service).for_each(|object| objects.insert(object));
    // An address that nobody can be named for belongs to two.
    for record in &case.records {
        if record.joined.unknown_because.contains(&Unknown::AmbiguousAddress) {
            let address = if record.joined.source.name.as_ref() == "-" {
                record.raw.source_ip
            } else {
                record.raw.destination().unwrap().ip
            };
            for name in ["one-of-two", "the-other"] {
                let end = case.endpoints.values().find(|end| end.uid.is_some() && end.namespace.is_some()).unwrap();
                let twin = CaseEndpoint { name: name.to_owned(), uid: None, ips: vec![address], ..end.clone() };
                objects.insert(Object::Pod(Arc::new(pod(&twin))));
            }
        }
    }
    objects
}

/// Records leave out the labels that Calico makes for itself; the cases show that of the last step.
fn comparable(end: &Endpoint) -> Endpoint {
    let labels = end.labels.iter().filter(|label| !label.starts_with("projectcalico.org/")).cloned();
    let mut labels: Vec<String> = labels.collect();
    labels.sort();
    Endpoint { labels: labels.into(), ..end.clone() }
}

#[test]
fn the_join_finds_who_the_cases_say() {
    let mut wrong = Vec::new();
    let mut seen = 0;
    let cases = load_cases().unwrap();
    for case in &cases {
        let snapshot = Snapshot::new(cluster_of(case), PrivateRanges::Full);
        let history = History::new(Arc::new(snapshot), UnixMs(0));
        for (number, record) in case.records.iter().enumerate() {
            seen += 1;
            let found = join(record.raw.clone(), &history).flow;
            let expected = &record.joined;
            let mut differ = |what: &str, same: bool, found: String, expected: String| {
                if !same {
                    let place = format!("{}: {}, record {number}", case.topic, case.name);
                    wrong.push(format!("{place}: {what}\n   found    {found}\n   expected {expected}"));
                }
            };
            let (source, dest) = (comparable(&found.source), comparable(&found.dest));
            let (their_source, their_dest) = (comparable(&expected.source), comparable(&expected.dest));
            differ("source", source == their_source, format!("{source:?}"), format!("{their_source:?}"));
            differ("dest", dest == their_dest, format!("{dest:?}"), format!("{their_dest:?}"));
            let same = found.service == expected.service;
            differ("service", same, format!("{:?}", found.service), format!("{:?}", expected.service));
            // The last step says this by itself; saying it here too changes nothing.
            let of_record = |why: &&Unknown| **why != Unknown::InitiatorUnknown || record.raw.initiator_known;
            let unknown = |all: &[Unknown]| all.iter().filter(of_record).copied().collect::<Vec<_>>();
            let (ours, theirs) = (unknown(&found.unknown_because), unknown(&expected.unknown_because));
            differ("unknown", ours == theirs, format!("{ours:?}"), format!("{theirs:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {seen} records differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(seen >= 60, "only {seen} records");
}

#[test]
fn messages_have_the_fate_that_the_cases_say() {
    let rules = Rules {
        enriched_topic: "enriched".into(),
        dead_letter_topic: "dead".into(),
        retention: Duration::from_secs(3600),
    };
    let history = History::new(Arc::new(Snapshot::new(Objects::default(), PrivateRanges::Full)), UnixMs(0));
    let mut seen = 0;
    for case in load_cases().unwrap() {
        for told in case.messages.iter().filter(|message| message.topic == Topic::Raw) {
            seen += 1;
            let headers = told
                .headers
                .iter()
                .map(|(name, value)| Header { name: name.clone().into(), value: value.clone().into_bytes().into() });
            let record = Record {
                topic: "raw".into(),
                key: "key".into(),
                headers: headers.collect(),
                value: told.value.clone().into_bytes().into(),
                timestamp_ms: 1_700_000_025_000,
            };
            let (sent, outcome) = enrich(&Delivered { partition: 0, offset: 0, record }, &history, &rules);
            let fate = match outcome {
                Outcome::Flow(_) => Fate::Flow,
                Outcome::Ledger => Fate::Ledger,
                Outcome::DeadLetter(Reason::Foreign) => Fate::Foreign,
                Outcome::DeadLetter(_) => Fate::DeadLetter,
            };
            assert_eq!(fate, told.fate, "{}: {}", case.name, told.value);
            let text = |name: &str| sent.header(name).map(|value| String::from_utf8_lossy(value).into_owned());
            if let Some(id) = &told.id {
                assert_eq!(
                    text("stream").zip(text("seq")).map(|(stream, seq)| format!("{stream}#{seq}")).as_ref(),
                    Some(id)
                );
            }
            if let Some(error) = &told.error {
                assert!(text("detail").unwrap().contains(error), "{:?} does not say `{error}`", text("detail"));
            }
        }
    }
    assert!(seen >= 5, "only {seen} messages");
}
