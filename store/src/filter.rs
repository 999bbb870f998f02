//! The typed condition on flow records: a tree that every engine turns into its own language, never text.
//!
//! [`Filter::matches`] is the slow and obvious meaning; the engines are tested against it.

use std::net::IpAddr;

use flow::FlowRecord;
use ipnet::IpNet;

use crate::query::Counting;

/// The deepest tree and the most leaves that an engine takes.
pub const MAX_DEPTH: usize = 16;
/// The most nodes that an engine takes in one filter.
pub const MAX_NODES: usize = 512;

/// A condition on a flow record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    /// Each of them holds; true if there are none.
    All(Vec<Filter>),
    /// One of them holds; false if there are none.
    Any(Vec<Filter>),
    /// It does not hold.
    Not(Box<Filter>),
    /// All tests hold for the same end.
    End(Side, Vec<EndTest>),
    /// A keyword of the record has a text; an absent keyword has none.
    Keyword(Keyword, Text),
}

/// Which end of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// The initiator.
    Source,
    /// The receiver.
    Dest,
    /// One of them.
    Either,
}

/// A test on one end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndTest {
    /// Its namespace.
    Namespace(Text),
    /// Its name or its aggregated name.
    Name(Text),
    /// Its type: `wep`, `hep`, `ns`, `net`.
    Type(Text),
    /// Its address lies in the network; a single address is a network of one.
    Address(IpNet),
    /// Its port.
    Port(u16),
    /// One of its labels, as `key=value`; a prefix `key=` asks for the key alone.
    Label(Text),
    /// Kind of its owner.
    OwnerKind(Text),
    /// Name of its owner.
    OwnerName(Text),
    /// The node that it is on.
    Node(Text),
    /// The zone of that node.
    Zone(Text),
}

/// A text to compare with; case matters, no character is special.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Text {
    /// The whole text.
    Exact(String),
    /// The beginning of the text.
    Prefix(String),
}

impl Text {
    /// Reads a text as people write it: a star at the end makes it a prefix, anywhere else it stands for itself.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        match text.strip_suffix('*') {
            Some(prefix) => Self::Prefix(prefix.to_owned()),
            None => Self::Exact(text.to_owned()),
        }
    }

    /// Says whether a value is meant.
    #[must_use]
    pub fn matches(&self, value: &str) -> bool {
        match self {
            Self::Exact(text) => value == text,
            Self::Prefix(prefix) => value.starts_with(prefix.as_str()),
        }
    }
}

macro_rules! keywords {
    ($($(#[$meta:meta])* $variant:ident => $name:literal, |$record:ident| $value:expr;)+) => {
        /// A keyword field that is no part of an end.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Keyword { $($(#[$meta])* $variant,)+ }

        impl Keyword {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Returns the name of the field in the flow record.
            #[must_use]
            pub fn field(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// Returns the value that a record has for it.
            #[must_use]
            pub fn of(self, record: &FlowRecord) -> Option<&str> {
                match self { $(Self::$variant => { let $record = record; $value })+ }
            }
        }
    };
}

keywords! {
    /// The cluster.
    Cluster => "cluster", |r| Some(&r.cluster);
    /// The node that reported.
    Host => "host", |r| Some(&r.host);
    /// `src`, `dst`, `fwd`.
    Reporter => "reporter", |r| Some(&r.reporter);
    /// `allow`, `deny`.
    Action => "action", |r| Some(&r.action);
    /// Name or number of the protocol.
    Protocol => "proto", |r| Some(&r.proto);
    /// How the attempts went.
    Outcome => "outcome", |r| Some(&r.outcome);
    /// Why the kernel dropped.
    DropReason => "drop_reason", |r| r.drop_reason.as_deref();
    /// The joined verdict.
    Verdict => "verdict", |r| Some(&r.verdict);
    /// The verdict at the source.
    VerdictEgress => "verdict_egress", |r| Some(&r.verdict_egress);
    /// The verdict at the destination.
    VerdictIngress => "verdict_ingress", |r| Some(&r.verdict_ingress);
    /// How verdict and kernel agree.
    Enforcement => "enforcement", |r| Some(&r.enforcement);
    /// What the action rests on.
    Evidence => "evidence", |r| Some(&r.evidence);
    /// How the local end was named.
    Identity => "identity", |r| Some(&r.identity);
    /// The service asked for.
    ServiceName => "dest_service_name", |r| Some(&r.dest_service_name);
    /// The namespace of that service.
    ServiceNamespace => "dest_service_namespace", |r| Some(&r.dest_service_namespace);
    /// The command.
    ProcessName => "process_name", |r| Some(&r.process_name);
}

impl Filter {
    /// Returns the condition that always holds.
    #[must_use]
    pub fn everything() -> Self {
        Self::All(Vec::new())
    }

    /// Returns the condition that this one and another hold.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match self {
            Self::All(mut all) => {
                all.push(other);
                Self::All(all)
            }
            first => Self::All(vec![first, other]),
        }
    }

    /// Returns the condition that a keyword has one of some exact values.
    #[must_use]
    pub fn one_of<I: IntoIterator<Item = S>, S: Into<String>>(keyword: Keyword, values: I) -> Self {
        Self::Any(values.into_iter().map(|v| Self::Keyword(keyword, Text::Exact(v.into()))).collect())
    }

    /// Returns the rule of who counts: see [`Counting`].
    #[must_use]
    pub fn counting(counting: Counting) -> Self {
        let exact = |text: &str| Text::Exact(text.to_owned());
        let reporter = |text| Self::Keyword(Keyword::Reporter, exact(text));
        let outside = ["net", "ns"].map(|kind| Self::End(Side::Source, vec![EndTest::Type(exact(kind))]));
        match counting {
            Counting::Records => Self::everything(),
            Counting::Attempts => {
                Self::Any(vec![reporter("src"), Self::All(vec![reporter("dst"), Self::Any(outside.into())])])
            }
        }
    }

    /// Says whether a record is meant.
    #[must_use]
    pub fn matches(&self, record: &FlowRecord) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.matches(record)),
            Self::Any(parts) => parts.iter().any(|part| part.matches(record)),
            Self::Not(part) => !part.matches(record),
            Self::End(Side::Source, tests) => tests.iter().all(|test| test.matches(&End::source(record))),
            Self::End(Side::Dest, tests) => tests.iter().all(|test| test.matches(&End::dest(record))),
            Self::End(Side::Either, tests) => {
                let holds = |end: &End<'_>| tests.iter().all(|test| test.matches(end));
                holds(&End::source(record)) || holds(&End::dest(record))
            }
            Self::Keyword(keyword, text) => keyword.of(record).is_some_and(|value| text.matches(value)),
        }
    }

    /// Says whether the tree is small enough for every engine: [`MAX_DEPTH`] and [`MAX_NODES`].
    ///
    /// # Errors
    /// Returns what is too large, for [`crate::StoreError::InvalidQuery`].
    pub fn check_size(&self) -> Result<(), String> {
        // A stack of our own, so that a tree made by a hostile caller cannot exhaust the thread's.
        let mut open = vec![(self, 1)];
        let mut nodes = 0;
        while let Some((filter, depth)) = open.pop() {
            nodes += 1;
            if depth > MAX_DEPTH {
                return Err(format!("the filter is nested deeper than {MAX_DEPTH}"));
            }
            match filter {
                Self::All(parts) | Self::Any(parts) => open.extend(parts.iter().map(|part| (part, depth + 1))),
                Self::Not(part) => open.push((part, depth + 1)),
                Self::End(_, tests) => nodes += tests.len(),
                Self::Keyword(..) => {}
            }
            if nodes > MAX_NODES || open.len() > MAX_NODES {
                return Err(format!("the filter has more than {MAX_NODES} parts"));
            }
        }
        Ok(())
    }
}

/// One end of a record, seen alike for both.
struct End<'a> {
    namespace: &'a str,
    name: &'a str,
    name_aggr: &'a str,
    kind: &'a str,
    ip: Option<IpAddr>,
    port: Option<u16>,
    labels: &'a [String],
    owner_kind: Option<&'a str>,
    owner_name: Option<&'a str>,
    node: Option<&'a str>,
    zone: Option<&'a str>,
}

impl<'a> End<'a> {
    fn source(record: &'a FlowRecord) -> Self {
        Self {
            namespace: &record.source_namespace,
            name: &record.source_name,
            name_aggr: &record.source_name_aggr,
            kind: &record.source_type,
            ip: record.source_ip,
            port: record.source_port,
            labels: record.source_labels.as_ref().map_or(&[], |l| &l.labels),
            owner_kind: record.source_owner_kind.as_deref(),
            owner_name: record.source_owner_name.as_deref(),
            node: record.source_node.as_deref(),
            zone: record.source_zone.as_deref(),
        }
    }

    fn dest(record: &'a FlowRecord) -> Self {
        Self {
            namespace: &record.dest_namespace,
            name: &record.dest_name,
            name_aggr: &record.dest_name_aggr,
            kind: &record.dest_type,
            ip: record.dest_ip,
            port: record.dest_port,
            labels: record.dest_labels.as_ref().map_or(&[], |l| &l.labels),
            owner_kind: record.dest_owner_kind.as_deref(),
            owner_name: record.dest_owner_name.as_deref(),
            node: record.dest_node.as_deref(),
            zone: record.dest_zone.as_deref(),
        }
    }
}

impl EndTest {
    fn matches(&self, end: &End<'_>) -> bool {
        let some = |text: &Text, value: Option<&str>| value.is_some_and(|value| text.matches(value));
        match self {
            Self::Namespace(text) => text.matches(end.namespace),
            Self::Name(text) => text.matches(end.name) || text.matches(end.name_aggr),
            Self::Type(text) => text.matches(end.kind),
            Self::Address(net) => end.ip.is_some_and(|ip| net.contains(&ip)),
            Self::Port(port) => end.port == Some(*port),
            Self::Label(text) => end.labels.iter().any(|label| text.matches(label)),
            Self::OwnerKind(text) => some(text, end.owner_kind),
            Self::OwnerName(text) => some(text, end.owner_name),
            Self::Node(text) => some(text, end.node),
            Self::Zone(text) => some(text, end.zone),
        }
    }
}
