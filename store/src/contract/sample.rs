//! Records to check with: plain ones that differ in everything that is asked for, and hostile ones.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use flow::record::{Labels, Policies};
use flow::{FlowRecord, LedgerRecord, Stream, UnixMs};

/// 2026-11-25T00:00:00Z in Unix milliseconds.
pub const MIDNIGHT: u64 = 1_795_564_800_000;

/// Returns the stream of the samples.
///
/// # Panics
/// Never: the parts are constants.
#[must_use]
pub fn stream() -> Stream {
    Stream::new("local", "node-a", 1_795_564_000_000).unwrap()
}

/// Returns a record of every field at its simplest.
#[must_use]
pub fn minimal(seq: u64, end_ms: u64) -> FlowRecord {
    let text = |text: &str| text.to_owned();
    FlowRecord {
        schema: text("flow/1"),
        cluster: text("local"),
        stream: stream(),
        seq,
        start_time: end_ms / 1000,
        end_time: end_ms / 1000,
        timestamp: UnixMs(end_ms),
        host: text("node-a"),
        reporter: text("src"),
        action: text("allow"),
        proto: text("tcp"),
        source_ip: None,
        source_name: text("-"),
        source_name_aggr: text("pvt"),
        source_namespace: text("-"),
        source_type: text("net"),
        source_port: None,
        source_labels: None,
        source_owner_kind: None,
        source_owner_name: None,
        source_node: None,
        source_zone: None,
        dest_ip: None,
        dest_name: text("-"),
        dest_name_aggr: text("pub"),
        dest_namespace: text("-"),
        dest_type: text("net"),
        dest_port: None,
        dest_labels: None,
        dest_owner_kind: None,
        dest_owner_name: None,
        dest_node: None,
        dest_zone: None,
        dest_service_name: text("-"),
        dest_service_namespace: text("-"),
        dest_service_port: text("-"),
        dest_service_port_num: None,
        dest_original_ip: None,
        dest_original_port: None,
        dest_domains: Vec::new(),
        nat_outgoing_ports: Vec::new(),
        original_source_ips: Vec::new(),
        num_original_source_ips: None,
        bytes_in: 0,
        bytes_out: 0,
        packets_in: 0,
        packets_out: 0,
        num_flows: 1,
        num_flows_started: 1,
        num_flows_completed: 0,
        num_flows_aborted: 0,
        process_name: text("-"),
        process_id: text("-"),
        process_args: Vec::new(),
        num_process_names: None,
        num_process_ids: None,
        num_process_args: None,
        tcp_mean_send_congestion_window: None,
        tcp_min_send_congestion_window: None,
        tcp_mean_smooth_rtt: None,
        tcp_max_smooth_rtt: None,
        tcp_mean_min_rtt: None,
        tcp_max_min_rtt: None,
        tcp_mean_mss: None,
        tcp_min_mss: None,
        tcp_total_retransmissions: None,
        tcp_lost_packets: None,
        tcp_unrecovered_to: None,
        policies: Policies::default(),
        outcome: text("established"),
        drop_reason: None,
        verdict: text("unknown"),
        verdict_egress: text("unknown"),
        verdict_ingress: text("unknown"),
        decided_by: Vec::new(),
        denied_by: Vec::new(),
        enforcement: text("unknown"),
        evidence: text("observed"),
        unknown_because: Vec::new(),
        identity: text("cgroup"),
        ruleset: None,
        snapshot: text("0f"),
        oldest_start: UnixMs(end_ms),
        newest_start: UnixMs(end_ms),
    }
}

/// Returns a record in which every field has a value of its own.
#[must_use]
pub fn full(seq: u64, end_ms: u64) -> FlowRecord {
    let text = |text: &str| text.to_owned();
    let list = |items: &[&str]| items.iter().map(|item| (*item).to_owned()).collect::<Vec<_>>();
    FlowRecord {
        source_ip: Some(IpAddr::V4(Ipv4Addr::new(10, 0, 1, 7))),
        source_name: text("frontend-7d9c-x2x"),
        source_name_aggr: text("frontend-7d9c-*"),
        source_namespace: text("storefront"),
        source_type: text("wep"),
        source_port: Some(0),
        source_labels: Some(Labels { labels: list(&["app=frontend", "zone=dmz"]) }),
        source_owner_kind: Some(text("Deployment")),
        source_owner_name: Some(text("frontend")),
        source_node: Some(text("node-a")),
        source_zone: Some(text("eu-1a")),
        dest_ip: Some(IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 9))),
        dest_name: text("backend-0"),
        dest_name_aggr: text("backend-*"),
        dest_namespace: text("storefront"),
        dest_type: text("wep"),
        dest_port: Some(65_535),
        dest_labels: Some(Labels { labels: list(&["app=backend"]) }),
        dest_owner_kind: Some(text("StatefulSet")),
        dest_owner_name: Some(text("backend")),
        dest_node: Some(text("node-b")),
        dest_zone: Some(text("eu-1b")),
        dest_service_name: text("backend"),
        dest_service_namespace: text("storefront"),
        dest_service_port: text("http"),
        dest_service_port_num: Some(80),
        dest_original_ip: Some(IpAddr::V4(Ipv4Addr::new(10, 96, 0, 1))),
        dest_original_port: Some(80),
        dest_domains: list(&["a.example", "b.example"]),
        nat_outgoing_ports: vec![1, 40_000],
        original_source_ips: vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)],
        num_original_source_ips: Some(2),
        bytes_in: 11,
        bytes_out: 12,
        packets_in: 13,
        packets_out: 14,
        num_flows: 18,
        num_flows_started: 16,
        num_flows_completed: 17,
        num_flows_aborted: 15,
        process_name: text("curl"),
        process_id: text("4711"),
        process_args: list(&["-s", "http://backend"]),
        num_process_names: Some(1),
        num_process_ids: Some(2),
        num_process_args: Some(3),
        tcp_mean_send_congestion_window: Some(21),
        tcp_min_send_congestion_window: Some(20),
        tcp_mean_smooth_rtt: Some(22),
        tcp_max_smooth_rtt: Some(23),
        tcp_mean_min_rtt: Some(24),
        tcp_max_min_rtt: Some(25),
        tcp_mean_mss: Some(27),
        tcp_min_mss: Some(26),
        tcp_total_retransmissions: Some(28),
        tcp_lost_packets: Some(29),
        tcp_unrecovered_to: Some(0),
        policies: Policies {
            all_policies: list(&["0|default|all|allow|0"]),
            enforced_policies: list(&["0|default|enforced|allow|0", "1|default|x|deny|-1"]),
            pending_policies: list(&["0|default|pending|deny|0"]),
            transit_policies: list(&["0|default|transit|allow|0"]),
            egress: list(&["0|default|egress|allow|0"]),
            ingress: list(&["0|default|ingress|allow|0"]),
        },
        outcome: text("dropped"),
        drop_reason: Some(text("NETFILTER_DROP")),
        verdict: text("deny"),
        verdict_egress: text("allow"),
        verdict_ingress: text("deny"),
        decided_by: list(&["ingress|default|knp:storefront/x|-1"]),
        denied_by: list(&["ingress|default|knp:storefront/x|-1"]),
        enforcement: text("consistent"),
        evidence: text("observed"),
        unknown_because: list(&["missing_fact"]),
        identity: text("netns"),
        action: text("deny"),
        ruleset: Some(text("ab")),
        oldest_start: UnixMs(end_ms - 2000),
        newest_start: UnixMs(end_ms - 1000),
        start_time: end_ms / 1000 - 15,
        ..minimal(seq, end_ms)
    }
}

/// Texts that break what is built carelessly.
pub const HOSTILE: [&str; 12] = [
    "'; DROP TABLE flows; --",
    "\" OR 1=1",
    "a%b_c",
    "back\\slash",
    "*",
    "nul\0inside",
    "nul\0other",
    "tab\tline\nreturn\r",
    "\u{202e}right-to-left",
    "grüße-😀",
    "{\"json\":[1]}",
    "?1",
];

/// Returns a record with a hostile text in every place that takes one.
#[must_use]
pub fn hostile(seq: u64, end_ms: u64, word: &str) -> FlowRecord {
    let text = || word.to_owned();
    FlowRecord {
        source_name: text(),
        source_name_aggr: text(),
        source_namespace: text(),
        source_labels: Some(Labels { labels: vec![format!("{word}={word}")] }),
        source_owner_name: Some(text()),
        dest_name: format!("{word}-tail"),
        dest_service_name: text(),
        process_name: text(),
        process_id: text(),
        process_args: vec![text()],
        drop_reason: Some(text()),
        decided_by: vec![text()],
        ..full(seq, end_ms)
    }
}

/// Returns `count` records that differ in all that can be asked for, some on the day before midnight, always the same
/// for the same seed.
#[must_use]
pub fn mixed(count: u64, seed: u64) -> Vec<FlowRecord> {
    let mut dice = Dice(seed | 1);
    (0..count).map(|seq| mixed_one(seq, &mut dice)).collect()
}

fn mixed_one(seq: u64, dice: &mut Dice) -> FlowRecord {
    let end_ms = MIDNIGHT - 3_600_000 + dice.below(7200) * 1000 + dice.below(1000);
    let mut record = if dice.below(8) == 0 { minimal(seq, end_ms) } else { full(seq, end_ms) };
    let app = |dice: &mut Dice| *dice.of(&["frontend", "backend", "logging", "rogue"]);
    let (from, to) = (app(dice), app(dice));
    let address = |dice: &mut Dice| match dice.below(4) {
        0 => IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, u16::try_from(dice.below(8)).unwrap_or(0))),
        _ => IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + u32::try_from(dice.below(1024)).unwrap_or(0))),
    };
    record.source_type = (*dice.of(&["wep", "wep", "hep", "net", "ns"])).to_owned();
    record.source_namespace = (*dice.of(&["storefront", "storefront", "other", "-"])).to_owned();
    record.dest_namespace = (*dice.of(&["storefront", "kube-system", "-"])).to_owned();
    record.source_name = format!("{from}-{}", dice.below(3));
    record.source_name_aggr = format!("{from}-*");
    record.dest_name = format!("{to}-{}", dice.below(3));
    record.dest_name_aggr = format!("{to}-*");
    record.source_ip = (dice.below(5) > 0).then(|| address(dice));
    record.dest_ip = (dice.below(5) > 0).then(|| address(dice));
    record.source_port = (dice.below(4) == 0).then(|| u16::try_from(dice.below(4)).unwrap_or(0));
    record.dest_port = (dice.below(6) > 0).then(|| *dice.of(&[53, 80, 443, 5432]));
    record.source_labels = match dice.below(4) {
        0 => None,
        1 => Some(Labels::default()),
        _ => Some(Labels { labels: vec![format!("app={from}"), format!("tier={}", dice.below(2))] }),
    };
    record.reporter = (*dice.of(&["src", "src", "dst", "dst", "fwd"])).to_owned();
    record.proto = (*dice.of(&["tcp", "tcp", "udp", "icmp", "47"])).to_owned();
    record.outcome = (*dice.of(&["established", "refused", "timeout", "dropped", "pending"])).to_owned();
    record.drop_reason =
        (record.outcome == "dropped").then(|| (*dice.of(&["NETFILTER_DROP", "TC_INGRESS"])).to_owned());
    record.action = (*dice.of(&["allow", "deny"])).to_owned();
    record.verdict = (*dice.of(&["allow", "deny", "unknown", "none"])).to_owned();
    record.dest_node = (dice.below(2) == 0).then(|| "node-b".to_owned());
    record.num_flows = dice.below(100);
    record.num_flows_started = dice.below(50);
    record.bytes_in = dice.below(1 << 40);
    record.bytes_out = dice.below(1 << 20);
    record.packets_in = dice.below(1000);
    record.packets_out = dice.below(1000);
    record
}

/// Returns a ledger of the samples' stream.
#[must_use]
pub fn ledger(seq: u64, from_seq: u64, end_ms: u64) -> LedgerRecord {
    LedgerRecord {
        stream: stream(),
        seq,
        from_seq,
        start_time: UnixMs(end_ms - 10_000),
        end_time: UnixMs(end_ms),
        closing: false,
        predecessor: None,
        attempts: Vec::new(),
        missed_runs: 0,
        digest: flow::digest::GENESIS.to_owned(),
    }
}

/// A small generator: the same numbers for the same seed on every machine.
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: u64) -> u64 {
        // xorshift64
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }

    fn of<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[usize::try_from(self.below(choices.len() as u64)).unwrap_or(0)]
    }
}
