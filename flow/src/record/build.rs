//! The last step: a judged record becomes the flow record, by Calico's conventions.
//!
//! `-` is "not recorded or not applicable", `*` is "more than one", absent is null; a keyword is never empty.

use std::sync::Arc;

use super::all_policies::all_policies;
use super::{FlowRecord, Labels, Policies};
use crate::{
    Destination, Endpoint, JoinedFlow, JudgedFlow, Judgement, Process, RawFlow, Reporter, Schema, ServiceRef,
    TcpStatistics, Unknown, Verdict,
};

/// Not recorded, or not applicable.
pub const NOT_APPLICABLE: &str = "-";
/// More than one, collapsed.
pub const SEVERAL: &str = "*";
/// Labels that Calico makes up for its own selectors are left out of records, as it does itself.
const CALICO_LABELS: &str = "projectcalico.org/";

impl From<JudgedFlow> for FlowRecord {
    fn from(judged: JudgedFlow) -> Self {
        let JudgedFlow { joined, judgement, action, enforcement, evidence, unknown_because } = judged;
        let JoinedFlow { raw, source, dest, service, snapshot, unknown_because: _ } = joined;
        let verdict = Verdict::both(judgement.egress, judgement.ingress);
        let policies = policies(raw.reporter, &judgement);
        let destination = raw.destination();
        let (original_ip, original_port) = asked_for(&raw);
        let service = ServiceFields::of(service);
        let process = ProcessFields::of(raw.process);
        let tcp = |field: fn(&TcpStatistics) -> u64| raw.tcp.as_ref().map(field);
        Self {
            schema: Schema::Flow.as_str().to_owned(),
            cluster: raw.stream.cluster().to_owned(),
            host: raw.stream.node().to_owned(),
            stream: raw.stream,
            seq: raw.seq,
            start_time: raw.start_time.seconds(),
            end_time: raw.end_time.seconds(),
            timestamp: raw.end_time,
            reporter: raw.reporter.as_str().to_owned(),
            action: action.as_str().to_owned(),
            proto: raw.protocol.to_string(),

            source_ip: source.ip.or(Some(raw.source_ip)),
            source_name: keyword(&source.name),
            source_name_aggr: keyword(&source.name_aggr),
            source_namespace: keyword(&source.namespace),
            source_type: source.kind.as_str().to_owned(),
            source_port: raw.source_port,
            source_labels: labels(&source),
            source_owner_kind: given(source.owner_kind),
            source_owner_name: given(source.owner_name),
            source_node: given(source.node),
            source_zone: given(source.zone),

            dest_ip: dest.ip.or(destination.map(|d| d.ip)),
            dest_name: keyword(&dest.name),
            dest_name_aggr: keyword(&dest.name_aggr),
            dest_namespace: keyword(&dest.namespace),
            dest_type: dest.kind.as_str().to_owned(),
            dest_port: destination.and_then(|d| d.port),
            dest_labels: labels(&dest),
            dest_owner_kind: given(dest.owner_kind),
            dest_owner_name: given(dest.owner_name),
            dest_node: given(dest.node),
            dest_zone: given(dest.zone),
            dest_service_name: service.name,
            dest_service_namespace: service.namespace,
            dest_service_port: service.port_name,
            dest_service_port_num: service.port,
            dest_original_ip: original_ip,
            dest_original_port: original_port,
            dest_domains: Vec::new(),
            nat_outgoing_ports: Vec::new(),
            original_source_ips: Vec::new(),
            num_original_source_ips: None,

            bytes_in: raw.counters.bytes_in,
            bytes_out: raw.counters.bytes_out,
            packets_in: raw.counters.packets_in,
            packets_out: raw.counters.packets_out,
            num_flows: raw.counters.flows,
            num_flows_started: raw.counters.flows_started,
            num_flows_completed: raw.counters.flows_completed,
            num_flows_aborted: raw.counters.flows_aborted,

            process_name: process.name,
            process_id: process.id,
            process_args: Vec::new(),
            num_process_names: process.names,
            num_process_ids: process.ids,
            num_process_args: None,

            tcp_mean_send_congestion_window: tcp(|t| t.mean_send_congestion_window),
            tcp_min_send_congestion_window: tcp(|t| t.min_send_congestion_window),
            tcp_mean_smooth_rtt: tcp(|t| t.mean_smooth_rtt_us),
            tcp_max_smooth_rtt: tcp(|t| t.max_smooth_rtt_us),
            tcp_mean_min_rtt: tcp(|t| t.mean_min_rtt_us),
            tcp_max_min_rtt: tcp(|t| t.max_min_rtt_us),
            tcp_mean_mss: tcp(|t| t.mean_mss),
            tcp_min_mss: tcp(|t| t.min_mss),
            tcp_total_retransmissions: tcp(|t| t.retransmissions),
            tcp_lost_packets: tcp(|t| t.lost_packets),
            tcp_unrecovered_to: tcp(|t| t.unrecovered_timeouts),

            policies,
            outcome: raw.outcome.as_str().to_owned(),
            drop_reason: raw.drop_reason.map(|reason| reason.0).filter(|reason| !reason.is_empty()),
            verdict: verdict.as_str().to_owned(),
            verdict_egress: judgement.egress.as_str().to_owned(),
            verdict_ingress: judgement.ingress.as_str().to_owned(),
            decided_by: judgement.decided_by,
            denied_by: judgement.denied_by,
            enforcement: enforcement.as_str().to_owned(),
            evidence: evidence.as_str().to_owned(),
            unknown_because: reasons(&unknown_because),
            identity: raw.local.identity.as_str().to_owned(),
            ruleset: given(judgement.ruleset),
            snapshot: keyword(&snapshot),
            oldest_start: raw.oldest_start,
            newest_start: raw.newest_start,
        }
    }
}

fn keyword(text: &Arc<str>) -> String {
    if text.is_empty() { NOT_APPLICABLE.to_owned() } else { text.as_ref().to_owned() }
}

fn given(text: Option<Arc<str>>) -> Option<String> {
    text.filter(|text| !text.is_empty()).map(|text| text.as_ref().to_owned())
}

fn labels(end: &Endpoint) -> Option<Labels> {
    let labels: Vec<String> = end.labels.iter().filter(|label| !label.starts_with(CALICO_LABELS)).cloned().collect();
    if labels.is_empty() { None } else { Some(Labels { labels }) }
}

/// Returns the keywords in the order of words, which does not change when the closed list grows.
fn reasons(unknown: &[Unknown]) -> Vec<String> {
    let mut words: Vec<String> = unknown.iter().map(|why| why.as_str().to_owned()).collect();
    words.sort_unstable();
    words.dedup();
    words
}

/// Returns address and port that the socket asked for, each only where it differs from the translated end.
fn asked_for(raw: &RawFlow) -> (Option<std::net::IpAddr>, Option<u16>) {
    let (Some(translated), Some(original)) = (raw.translated, raw.original) else { return (None, None) };
    let Destination { ip, port } = original;
    (Some(ip).filter(|ip| *ip != translated.ip), port.filter(|_| port != translated.port))
}

/// Enforced and pending lists are those of the reporter's end; the node in between has none.
fn policies(reporter: Reporter, judgement: &Judgement) -> Policies {
    let enforced = match reporter {
        Reporter::Src => judgement.enforced_egress.as_slice(),
        Reporter::Dst => judgement.enforced_ingress.as_slice(),
        Reporter::Fwd => &[],
    };
    Policies {
        all_policies: all_policies(enforced, &judgement.pending),
        enforced_policies: enforced.to_vec(),
        pending_policies: judgement.pending.clone(),
        transit_policies: Vec::new(),
        egress: judgement.enforced_egress.clone(),
        ingress: judgement.enforced_ingress.clone(),
    }
}

struct ServiceFields {
    name: String,
    namespace: String,
    port_name: String,
    port: Option<u16>,
}

impl ServiceFields {
    fn of(service: Option<ServiceRef>) -> Self {
        let none = || NOT_APPLICABLE.to_owned();
        match service {
            Some(ServiceRef { namespace, name, port_name, port }) => Self {
                name: keyword(&name),
                namespace: keyword(&namespace),
                port_name: keyword(&port_name),
                port: Some(port),
            },
            None => Self { name: none(), namespace: none(), port_name: none(), port: None },
        }
    }
}

struct ProcessFields {
    name: String,
    id: String,
    names: Option<u64>,
    ids: Option<u64>,
}

impl ProcessFields {
    fn of(process: Option<Process>) -> Self {
        let none = || NOT_APPLICABLE.to_owned();
        let Some(Process { name, pid, names, pids }) = process else {
            return Self { name: none(), id: none(), names: None, ids: None };
        };
        let several = |count: u32| if count > 1 { SEVERAL.to_owned() } else { none() };
        Self {
            name: if name.is_empty() { several(names) } else { name },
            id: pid.map_or_else(|| several(pids), |pid| pid.to_string()),
            names: Some(u64::from(names)),
            ids: Some(u64::from(pids)),
        }
    }
}
