//! Records of every kind that can be, for property tests. Strategies are boxed: nested, they would not fit the stack.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use proptest::option;
use proptest::prelude::*;

use crate::{
    AttemptAccount, Counters, Destination, Direction, DropReason, Endpoint, EndpointType, FilterReason, FlowRecord,
    Identity, JoinedFlow, JudgedFlow, Judgement, LedgerRecord, LocalIdentity, LossReason, Outcome, Predecessor,
    Process, Protocol, RawFlow, Reporter, ServiceRef, Stream, TcpStatistics, UnixMs, Unknown, Verdict,
};

/// Text as hostile as a label or a process name may be.
fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z0-9.-]{1,20}", any::<String>(), Just("\u{1b}[31m\"\\\n\u{0}\u{202e}".to_owned())]
}

fn arc() -> impl Strategy<Value = Arc<str>> {
    text().prop_map(Arc::from)
}

fn texts() -> impl Strategy<Value = Vec<String>> {
    proptest::collection::vec("[ -~]{1,30}", 0..4)
}

fn stream() -> impl Strategy<Value = Stream> {
    ("[^/\\s\\p{Cc}]{1,20}", "[a-z0-9.-]{1,20}", any::<u64>())
        .prop_filter_map("no stream", |(cluster, node, epoch)| Stream::new(&cluster, &node, epoch).ok())
}

fn ip() -> impl Strategy<Value = IpAddr> {
    prop_oneof![any::<Ipv4Addr>().prop_map(IpAddr::V4), any::<Ipv6Addr>().prop_map(|ip| IpAddr::V6(ip).to_canonical()),]
}

fn times() -> impl Strategy<Value = (UnixMs, UnixMs)> {
    (any::<u64>(), any::<u64>()).prop_map(|(a, b)| (UnixMs(a.min(b)), UnixMs(a.max(b))))
}

fn counters(outcome: Outcome) -> impl Strategy<Value = Counters> {
    (any::<[u64; 4]>(), any::<[u64; 4]>()).prop_map(move |(volume, [a, b, c, d])| {
        let starts = !matches!(outcome, Outcome::Pending | Outcome::Preexisting);
        let (flows, completed) = (a, b.min(a));
        let [bytes_in, bytes_out, packets_in, packets_out] = volume;
        Counters {
            bytes_in,
            bytes_out,
            packets_in,
            packets_out,
            flows,
            flows_started: if starts { c.min(flows) } else { 0 },
            flows_completed: completed,
            flows_aborted: d.min(completed),
        }
    })
}

fn tcp() -> impl Strategy<Value = TcpStatistics> {
    any::<[u64; 11]>().prop_map(|[a, b, c, d, e, f, g, h, i, j, k]| TcpStatistics {
        mean_send_congestion_window: a,
        min_send_congestion_window: b,
        mean_smooth_rtt_us: c,
        max_smooth_rtt_us: d,
        mean_min_rtt_us: e,
        max_min_rtt_us: f,
        mean_mss: g,
        min_mss: h,
        retransmissions: i,
        lost_packets: j,
        unrecovered_timeouts: k,
    })
}

fn local() -> impl Strategy<Value = LocalIdentity> {
    let identity = proptest::sample::select(vec![Identity::Cgroup, Identity::Netns, Identity::Address, Identity::None]);
    (identity, option::of(text()), option::of(text()), any::<u32>())
        .prop_map(|(identity, pod_uid, container_id, netns)| LocalIdentity { identity, pod_uid, container_id, netns })
}

fn process() -> impl Strategy<Value = Process> {
    (text(), option::of(any::<u32>()), any::<u32>(), any::<u32>()).prop_map(|(name, pid, names, pids)| Process {
        name,
        pid,
        names,
        pids,
    })
}

fn ends(
    protocol: Protocol,
) -> impl Strategy<Value = (IpAddr, Option<u16>, Vec<u16>, Option<Destination>, Option<Destination>)> {
    let port = || option::of(any::<u16>());
    let end = || (ip(), port()).prop_map(|(ip, port)| Destination { ip, port });
    let both =
        prop_oneof![(end(), option::of(end())).prop_map(|(t, o)| (Some(t), o)), end().prop_map(|o| (None, Some(o))),];
    (ip(), port(), proptest::collection::btree_set(any::<u16>(), 0..=8), both).prop_map(
        move |(source, source_port, ports, (translated, original))| {
            let keep = protocol.has_ports();
            let strip = |end: Option<Destination>| end.map(|d| Destination { port: d.port.filter(|_| keep), ..d });
            let ports = if keep { ports.into_iter().collect() } else { Vec::new() };
            (source, source_port.filter(|_| keep), ports, strip(translated), strip(original))
        },
    )
}

pub(super) fn raw_flow() -> BoxedStrategy<RawFlow> {
    let protocol = prop_oneof![
        Just(Protocol::TCP),
        Just(Protocol::UDP),
        Just(Protocol::ICMP),
        Just(Protocol::ICMPV6),
        any::<u8>().prop_map(Protocol)
    ];
    let reporter = proptest::sample::select(vec![Reporter::Src, Reporter::Dst, Reporter::Fwd]);
    (protocol, proptest::sample::select(&Outcome::ALL[..]), reporter)
        .prop_flat_map(|(protocol, outcome, reporter)| {
            let who = (stream(), any::<u64>(), times(), times(), any::<bool>());
            let what =
                (option::of(text()), option::of(process()), any::<[u8; 2]>(), counters(outcome), option::of(tcp()));
            (who, ends(protocol), local(), what).prop_map(move |(who, ends, local, what)| {
                let (stream, seq, (start_time, end_time), (oldest_start, newest_start), initiator_known) = who;
                let (source_ip, source_port, source_ports, translated, original) = ends;
                let (drop_reason, process, [icmp_type, icmp_code], counters, tcp) = what;
                let icmp = matches!(protocol, Protocol::ICMP | Protocol::ICMPV6);
                RawFlow {
                    stream,
                    seq,
                    start_time,
                    end_time,
                    reporter,
                    initiator_known,
                    protocol,
                    source_ip,
                    source_port,
                    source_ports,
                    translated,
                    original,
                    local,
                    outcome,
                    drop_reason: drop_reason.map(DropReason),
                    process,
                    icmp_type: icmp.then_some(icmp_type),
                    icmp_code: icmp.then_some(icmp_code),
                    counters,
                    tcp: tcp.filter(|_| protocol == Protocol::TCP),
                    oldest_start,
                    newest_start,
                }
            })
        })
        .boxed()
}

fn endpoint() -> BoxedStrategy<Endpoint> {
    let kind = proptest::sample::select(vec![
        EndpointType::Workload,
        EndpointType::Host,
        EndpointType::NetworkSet,
        EndpointType::Network,
    ]);
    let names = (arc(), arc(), arc());
    let owner = (option::of(arc()), option::of(arc()), option::of(arc()), option::of(arc()));
    (kind, option::of(ip()), names, texts(), owner)
        .prop_map(|(kind, ip, names, labels, owner)| {
            let (name, name_aggr, namespace) = names;
            let (owner_kind, owner_name, node, zone) = owner;
            Endpoint { kind, ip, name, name_aggr, namespace, labels: labels.into(), owner_kind, owner_name, node, zone }
        })
        .boxed()
}

fn unknown() -> impl Strategy<Value = Unknown> {
    proptest::sample::select(vec![Unknown::PolicyChanged, Unknown::NoPolicyEngine, Unknown::NoMetadata, Unknown::Stale])
}

pub(super) fn joined() -> BoxedStrategy<JoinedFlow> {
    let service = (arc(), arc(), arc(), any::<u16>()).prop_map(|(namespace, name, port_name, port)| ServiceRef {
        namespace,
        name,
        port_name,
        port,
    });
    let because = proptest::collection::vec(unknown(), 0..3);
    (raw_flow(), endpoint(), endpoint(), option::of(service), arc(), because)
        .prop_map(|(raw, source, dest, service, snapshot, unknown_because)| JoinedFlow {
            raw,
            source,
            dest,
            service,
            snapshot,
            unknown_because,
        })
        .boxed()
}

pub(super) fn judgement() -> BoxedStrategy<Judgement> {
    let verdict = || {
        prop_oneof![
            Just(Verdict::Allow),
            Just(Verdict::Deny),
            Just(Verdict::None),
            unknown().prop_map(Verdict::Unknown)
        ]
    };
    let lists = (texts(), texts(), texts(), texts(), texts());
    (verdict(), verdict(), lists, option::of(arc()), any::<bool>())
        .prop_map(|(egress, ingress, lists, ruleset, settling)| {
            let (decided_by, denied_by, enforced_egress, enforced_ingress, pending) = lists;
            Judgement {
                egress,
                ingress,
                decided_by,
                denied_by,
                enforced_egress,
                enforced_ingress,
                pending,
                ruleset,
                settling,
            }
        })
        .boxed()
}

pub(super) fn flow_record() -> BoxedStrategy<FlowRecord> {
    (joined(), judgement()).prop_map(|(joined, judgement)| JudgedFlow::new(joined, judgement).into()).boxed()
}

pub(super) fn ledger() -> BoxedStrategy<LedgerRecord> {
    let counts = || any::<[u64; 3]>();
    let account = (counts(), option::of(any::<u64>()), option::of(any::<u64>()));
    let accounts = proptest::collection::btree_map((any::<u8>(), 0..Direction::ALL.len()), account, 0..6);
    let predecessor =
        (stream(), any::<bool>(), any::<u64>(), any::<u64>()).prop_map(|(stream, closed, next_seq, last_known)| {
            Predecessor { stream, closed, next_seq, last_known: UnixMs(last_known) }
        });
    let numbers = (any::<u64>(), any::<u64>(), times(), any::<bool>(), any::<u64>());
    (stream(), numbers, option::of(predecessor), accounts, "[0-9a-f]{64}")
        .prop_filter_map(
            "its own predecessor",
            |(stream, (a, b, (start_time, end_time), closing, missed_runs), predecessor, accounts, digest)| {
                if predecessor.as_ref().is_some_and(|p| p.stream == stream) {
                    return None;
                }
                let attempts =
                    accounts.into_iter().map(|((protocol, direction), ([seen, started, pending], lost, filtered))| {
                        AttemptAccount {
                            protocol: Protocol(protocol),
                            direction: Direction::ALL[direction],
                            seen,
                            started,
                            pending,
                            lost: lost.map(|n| BTreeMap::from([(LossReason::RingFull, n)])).unwrap_or_default(),
                            filtered: filtered
                                .map(|n| BTreeMap::from([(FilterReason::SamePod, n)]))
                                .unwrap_or_default(),
                        }
                    });
                Some(LedgerRecord {
                    stream,
                    seq: a.max(b),
                    from_seq: a.min(b),
                    start_time,
                    end_time,
                    closing,
                    predecessor,
                    attempts: attempts.collect(),
                    missed_runs,
                    digest,
                })
            },
        )
        .boxed()
}
