//! Flow records for tests, that read like sentences: `flow_record().by("rogue", "rogue").went("timeout", "deny")`.

use std::net::IpAddr;

use flow::record::{Labels, Policies};
use flow::{FlowRecord, Schema, UnixMs};

/// Returns an established connection between two pods of the storefront, at 2026-11-25 09:30:00 UTC.
pub(crate) fn flow_record() -> FlowRecord {
    FlowRecord {
        cluster: "local".to_owned(),
        stream: "local/node-a/1795599000000".parse().unwrap(),
        seq: 7,
        schema: Schema::Flow.as_str().to_owned(),
        start_time: 1_795_598_985,
        end_time: 1_795_599_000,
        timestamp: UnixMs(1_795_599_000_000),
        host: "node-a".to_owned(),
        reporter: "src".to_owned(),
        action: "allow".to_owned(),
        proto: "tcp".to_owned(),
        source_ip: Some("10.0.0.1".parse().unwrap()),
        source_name: "frontend-7d9-x".to_owned(),
        source_name_aggr: "frontend-7d9-*".to_owned(),
        source_namespace: "shop".to_owned(),
        source_type: "wep".to_owned(),
        source_port: None,
        source_labels: Some(Labels { labels: vec!["app=frontend".to_owned(), "zone=dmz".to_owned()] }),
        source_owner_kind: Some("Deployment".to_owned()),
        source_owner_name: Some("frontend".to_owned()),
        source_node: Some("node-a".to_owned()),
        source_zone: None,
        dest_ip: Some("10.0.1.2".parse().unwrap()),
        dest_name: "backend-0".to_owned(),
        dest_name_aggr: "backend-*".to_owned(),
        dest_namespace: "data".to_owned(),
        dest_type: "wep".to_owned(),
        dest_port: Some(5432),
        dest_labels: Some(Labels { labels: vec!["app=backend".to_owned()] }),
        dest_owner_kind: None,
        dest_owner_name: None,
        dest_node: Some("node-b".to_owned()),
        dest_zone: None,
        dest_service_name: "db".to_owned(),
        dest_service_namespace: "data".to_owned(),
        dest_service_port: "sql".to_owned(),
        dest_service_port_num: Some(5432),
        dest_original_ip: None,
        dest_original_port: None,
        dest_domains: Vec::new(),
        nat_outgoing_ports: Vec::new(),
        original_source_ips: Vec::new(),
        num_original_source_ips: None,
        bytes_in: 2048,
        bytes_out: 1152,
        packets_in: 9,
        packets_out: 8,
        num_flows: 12,
        num_flows_started: 12,
        num_flows_completed: 11,
        num_flows_aborted: 1,
        process_name: "nginx".to_owned(),
        process_id: "4711".to_owned(),
        process_args: Vec::new(),
        num_process_names: Some(1),
        num_process_ids: Some(1),
        num_process_args: None,
        tcp_mean_send_congestion_window: Some(10),
        tcp_min_send_congestion_window: Some(10),
        tcp_mean_smooth_rtt: Some(85),
        tcp_max_smooth_rtt: Some(120),
        tcp_mean_min_rtt: Some(40),
        tcp_max_min_rtt: Some(44),
        tcp_mean_mss: Some(1448),
        tcp_min_mss: Some(1448),
        tcp_total_retransmissions: Some(0),
        tcp_lost_packets: Some(0),
        tcp_unrecovered_to: Some(0),
        policies: Policies::default(),
        outcome: "established".to_owned(),
        drop_reason: None,
        verdict: "unknown".to_owned(),
        verdict_egress: "unknown".to_owned(),
        verdict_ingress: "unknown".to_owned(),
        decided_by: Vec::new(),
        denied_by: Vec::new(),
        enforcement: "unknown".to_owned(),
        evidence: "observed".to_owned(),
        unknown_because: vec!["no_policy_engine".to_owned()],
        identity: "cgroup".to_owned(),
        ruleset: None,
        snapshot: "3f2a".to_owned(),
        oldest_start: UnixMs(1_795_598_990_000),
        newest_start: UnixMs(1_795_598_999_000),
    }
}

/// Changes of a record, one after the other.
pub(crate) trait Changed: Sized {
    /// Sets the initiator's namespace and names.
    fn by(self, namespace: &str, name: &str) -> Self;
    /// Makes the initiator an address outside.
    fn by_outsider(self, ip: &str) -> Self;
    /// Sets how it went.
    fn went(self, outcome: &str, action: &str) -> Self;
}

impl Changed for FlowRecord {
    fn by(mut self, namespace: &str, name: &str) -> Self {
        (self.source_namespace, self.source_name, self.source_name_aggr) = (namespace.into(), name.into(), name.into());
        self
    }

    fn by_outsider(self, ip: &str) -> Self {
        let ip: IpAddr = ip.parse().unwrap();
        let outside = Self { source_ip: Some(ip), source_type: "net".into(), ..self.by("-", "-") };
        Self { source_name_aggr: "pub".into(), ..outside }
    }

    fn went(mut self, outcome: &str, action: &str) -> Self {
        (self.outcome, self.action) = (outcome.into(), action.into());
        self
    }
}
