//! The flow record (topic `millrace.flows.enriched.v1`, index `millrace-flows-*`): flat, Calico's names first, then ours.
//!
//! Conventions: `-` is "not included or not applicable", `*` is "more than one, collapsed", absent is null. The meaning
//! of each field stands once, in the field table ([`crate::fields`]); this struct is its shape on the wire.

mod all_policies;
mod build;
mod normal;

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use build::{NOT_APPLICABLE, SEVERAL};
pub use normal::normal_form;

use crate::{Stream, UnixMs};

/// Labels as Calico nests them: `{"labels": ["key=value", …]}`, sorted, each once.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, JsonSchema)]
pub struct Labels {
    /// The labels as `key=value`.
    pub labels: Vec<String>,
}

/// The policies that judged a flow, as strings of the Calico Enterprise grammar.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, JsonSchema)]
pub struct Policies {
    /// The enforced walk with staged hits put in at their place (deprecated by Calico, kept for habits).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub all_policies: Vec<String>,
    /// What is enforced, at the reporter's end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub enforced_policies: Vec<String>,
    /// What would be enforced with every staged policy live, at the reporter's end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pending_policies: Vec<String>,
    /// Host endpoint policies on forwarded traffic.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub transit_policies: Vec<String>,
    /// Enforced walk of the source's egress.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub egress: Vec<String>,
    /// Enforced walk of the destination's ingress.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ingress: Vec<String>,
}

macro_rules! record {
    ($($(#[$meta:meta])* $name:ident : $type:ty),+ $(,)?) => {
        /// One raw record with names and a verdict. One raw record gives exactly one flow record.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        pub struct FlowRecord {
            $($(#[$meta])* pub $name: $type,)+
        }

        impl FlowRecord {
            /// The names of the struct's fields, in order: what the field table is checked against.
            pub const FIELD_NAMES: &'static [&'static str] = &[$(stringify!($name)),+];
        }
    };
}

record! {
    /// Format of the record: `flow/1`.
    schema: String,
    /// Cluster that the flow belongs to.
    cluster: String,
    /// Stream of the raw record.
    stream: Stream,
    /// Number of the record in its stream.
    seq: u64,
    /// Begin of the record's time, Unix seconds.
    start_time: u64,
    /// End of the record's time, Unix seconds.
    end_time: u64,
    /// End of the record's time, Unix milliseconds.
    #[serde(rename = "@timestamp")]
    timestamp: UnixMs,
    /// Node that reported.
    host: String,
    /// `src`, `dst`, `fwd`.
    reporter: String,
    /// `allow`, `deny`.
    action: String,
    /// Protocol name or number.
    proto: String,

    /// Address of the initiator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source_ip: Option<IpAddr>,
    /// Name of the initiator.
    source_name: String,
    /// Aggregated name of the initiator.
    source_name_aggr: String,
    /// Namespace of the initiator.
    source_namespace: String,
    /// Type of the initiator.
    source_type: String,
    /// Port of the initiator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source_port: Option<u16>,
    /// Labels of the initiator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source_labels: Option<Labels>,
    /// Owner kind of the initiator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source_owner_kind: Option<String>,
    /// Owner name of the initiator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source_owner_name: Option<String>,
    /// Node of the initiator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source_node: Option<String>,
    /// Zone of the initiator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source_zone: Option<String>,

    /// Address of the receiver (translated).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dest_ip: Option<IpAddr>,
    /// Name of the receiver.
    dest_name: String,
    /// Aggregated name of the receiver.
    dest_name_aggr: String,
    /// Namespace of the receiver.
    dest_namespace: String,
    /// Type of the receiver.
    dest_type: String,
    /// Port of the receiver (translated).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dest_port: Option<u16>,
    /// Labels of the receiver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dest_labels: Option<Labels>,
    /// Owner kind of the receiver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dest_owner_kind: Option<String>,
    /// Owner name of the receiver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dest_owner_name: Option<String>,
    /// Node of the receiver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dest_node: Option<String>,
    /// Zone of the receiver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dest_zone: Option<String>,
    /// Service of the original destination.
    dest_service_name: String,
    /// Namespace of that service.
    dest_service_namespace: String,
    /// Name of the service port.
    dest_service_port: String,
    /// Number of the service port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dest_service_port_num: Option<u16>,
    /// What the socket asked for, where it differs from the translated end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dest_original_ip: Option<IpAddr>,
    /// The port that the socket asked for, where it differs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dest_original_port: Option<u16>,
    /// DNS names that led to the address; no source yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    dest_domains: Vec<String>,
    /// Source ports after translation; no source yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    nat_outgoing_ports: Vec<u16>,
    /// Client addresses from ingress logs; no source yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    original_source_ips: Vec<IpAddr>,
    /// Count behind `original_source_ips`; no source yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    num_original_source_ips: Option<u64>,

    /// Bytes received by the reporting end.
    bytes_in: u64,
    /// Bytes sent by the reporting end.
    bytes_out: u64,
    /// Packets received by the reporting end.
    packets_in: u64,
    /// Packets sent by the reporting end.
    packets_out: u64,
    /// Attempts active.
    num_flows: u64,
    /// Attempts started.
    num_flows_started: u64,
    /// Attempts ended.
    num_flows_completed: u64,
    /// Attempts aborted.
    num_flows_aborted: u64,

    /// Command name.
    process_name: String,
    /// Process id as text.
    process_id: String,
    /// Process arguments; no source yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    process_args: Vec<String>,
    /// Number of names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    num_process_names: Option<u64>,
    /// Number of ids.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    num_process_ids: Option<u64>,
    /// Number of argument lists; no source yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    num_process_args: Option<u64>,

    /// Mean congestion window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tcp_mean_send_congestion_window: Option<u64>,
    /// Smallest congestion window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tcp_min_send_congestion_window: Option<u64>,
    /// Mean smoothed RTT, µs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tcp_mean_smooth_rtt: Option<u64>,
    /// Largest smoothed RTT, µs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tcp_max_smooth_rtt: Option<u64>,
    /// Mean minimum RTT, µs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tcp_mean_min_rtt: Option<u64>,
    /// Largest minimum RTT, µs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tcp_max_min_rtt: Option<u64>,
    /// Mean MSS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tcp_mean_mss: Option<u64>,
    /// Smallest MSS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tcp_min_mss: Option<u64>,
    /// Retransmissions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tcp_total_retransmissions: Option<u64>,
    /// Lost packets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tcp_lost_packets: Option<u64>,
    /// Unrecovered timeouts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tcp_unrecovered_to: Option<u64>,

    /// The policies.
    policies: Policies,
    /// How the attempts went.
    outcome: String,
    /// Why the kernel dropped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    drop_reason: Option<String>,
    /// Joined verdict.
    verdict: String,
    /// Verdict at the source.
    verdict_egress: String,
    /// Verdict at the destination.
    verdict_ingress: String,
    /// What decided.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    decided_by: Vec<String>,
    /// What denied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    denied_by: Vec<String>,
    /// How verdict and kernel agree.
    enforcement: String,
    /// What the action rests on.
    evidence: String,
    /// Why something is unknown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    unknown_because: Vec<String>,
    /// How the local end was named.
    identity: String,
    /// Content hash of the ruleset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ruleset: Option<String>,
    /// Content hash of the metadata snapshot.
    snapshot: String,
    /// Start of the oldest connection, Unix milliseconds.
    oldest_start: UnixMs,
    /// Start of the newest connection, Unix milliseconds.
    newest_start: UnixMs,
}
