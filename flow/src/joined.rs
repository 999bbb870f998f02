//! A raw record with its two ends named, and then judged.

use std::net::IpAddr;
use std::sync::Arc;

use crate::{Action, Assessment, Enforcement, Evidence, RawFlow, Unknown, Verdict, assess};

/// What kind of thing an end is; the keywords are Calico's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EndpointType {
    /// A pod.
    Workload,
    /// A host, or a pod in the host's network.
    Host,
    /// A network set.
    NetworkSet,
    /// Any other address.
    Network,
}

impl EndpointType {
    /// Returns the keyword that records carry: `wep`, `hep`, `ns`, `net`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Workload => "wep",
            Self::Host => "hep",
            Self::NetworkSet => "ns",
            Self::Network => "net",
        }
    }
}

/// One end of a flow, as the metadata of its time names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// What it is.
    pub kind: EndpointType,
    /// Its address; absent only if the record has none.
    pub ip: Option<IpAddr>,
    /// Name of the pod, network set or host; `-` for any other address.
    pub name: Arc<str>,
    /// Prefix with star, set name, host name, `pub` or `pvt`.
    pub name_aggr: Arc<str>,
    /// Namespace, or `-`.
    pub namespace: Arc<str>,
    /// Labels as sorted `key=value`.
    pub labels: Arc<[String]>,
    /// Kind of the topmost known owner (`Deployment`, `StatefulSet`, `Job`, …).
    pub owner_kind: Option<Arc<str>>,
    /// Name of that owner.
    pub owner_name: Option<Arc<str>>,
    /// Node that the pod runs on, or the host itself.
    pub node: Option<Arc<str>>,
    /// Zone of that node (`topology.kubernetes.io/zone`).
    pub zone: Option<Arc<str>>,
}

/// The service that the original destination belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceRef {
    /// Namespace of the service.
    pub namespace: Arc<str>,
    /// Name of the service.
    pub name: Arc<str>,
    /// Name of the service port; `-` if it has none, `*` if several fit.
    pub port_name: Arc<str>,
    /// Number of the service port.
    pub port: u16,
}

/// A raw record with names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinedFlow {
    /// What the probe said.
    pub raw: RawFlow,
    /// The initiator.
    pub source: Endpoint,
    /// The receiver (translated end).
    pub dest: Endpoint,
    /// The service asked for, if the original destination is one.
    pub service: Option<ServiceRef>,
    /// Content hash of the metadata snapshot used.
    pub snapshot: Arc<str>,
    /// What the join could not tell.
    pub unknown_because: Vec<Unknown>,
}

/// What policy says of a joined record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// Verdict of the source's egress policies.
    pub egress: Verdict,
    /// Verdict of the destination's ingress policies.
    pub ingress: Verdict,
    /// What decided: `direction|tier|kind:ns/name|rule`, or an implicit keyword.
    pub decided_by: Vec<String>,
    /// What denied, once per isolating policy.
    pub denied_by: Vec<String>,
    /// Policy strings of the enforced world, source's egress.
    pub enforced_egress: Vec<String>,
    /// Policy strings of the enforced world, destination's ingress.
    pub enforced_ingress: Vec<String>,
    /// Policy strings of the pending world at the reporter's end.
    pub pending: Vec<String>,
    /// Content hash of the ruleset; absent where there is none.
    pub ruleset: Option<Arc<str>>,
    /// True if the record lies within the settling time after a revision that changed this answer.
    pub settling: bool,
}

impl Judgement {
    /// Returns the judgement of a build without a policy engine: unknown, and nothing invented.
    #[must_use]
    pub fn no_policy_engine() -> Self {
        let unknown = Verdict::Unknown(Unknown::NoPolicyEngine);
        Self {
            egress: unknown,
            ingress: unknown,
            decided_by: Vec::new(),
            denied_by: Vec::new(),
            enforced_egress: Vec::new(),
            enforced_ingress: Vec::new(),
            pending: Vec::new(),
            ruleset: None,
            settling: false,
        }
    }
}

/// A joined record with its verdict, and how the verdict and the kernel agree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JudgedFlow {
    /// The named record.
    pub joined: JoinedFlow,
    /// What policy says.
    pub judgement: Judgement,
    /// What happened, by the table of outcome and verdict.
    pub action: Action,
    /// Whether verdict and kernel agree.
    pub enforcement: Enforcement,
    /// What the action rests on.
    pub evidence: Evidence,
    /// Everything that is unknown about this record, sorted, each once.
    pub unknown_because: Vec<Unknown>,
}

impl JudgedFlow {
    /// Puts a record and its judgement together by the table of [`assess()`], and gathers what is unknown: from the join,
    /// from the verdict of each end, from the outcome.
    #[must_use]
    pub fn new(joined: JoinedFlow, judgement: Judgement) -> Self {
        let verdict = Verdict::both(judgement.egress, judgement.ingress);
        let Assessment { action, mut enforcement, evidence, mut unknown_because } =
            assess((&joined.raw).into(), verdict);
        unknown_because.extend_from_slice(&joined.unknown_because);
        for end in [judgement.egress, judgement.ingress] {
            if let Verdict::Unknown(why) = end {
                unknown_because.push(why);
            }
        }
        if judgement.settling {
            enforcement = Enforcement::Unknown;
            unknown_because.push(Unknown::Settling);
        }
        if !joined.raw.initiator_known {
            unknown_because.push(Unknown::InitiatorUnknown);
        }
        unknown_because.sort_unstable();
        unknown_because.dedup();
        Self { joined, judgement, action, enforcement, evidence, unknown_because }
    }
}
