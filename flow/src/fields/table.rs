//! The table itself, one line a field, in the order of the documentation.

use super::Empty::{Absent, Dash, DashOrStar, Never, NoSource};
use super::FieldType::{Ip, Keyword, Long, Milliseconds, Object, Seconds};
use super::Origin::{Calico, CalicoExample, Millrace};
use super::Role::{Dest, Identity, Policy, Process, Source, Tcp, Time, Verdict, Volume};
use super::{Empty, Field, FieldType, Origin, Role};

const fn one(
    name: &'static str,
    kind: FieldType,
    role: Role,
    origin: Origin,
    empty: Empty,
    meaning: &'static str,
) -> Field {
    Field { name, kind, role, origin, array: false, empty, meaning }
}

const fn list(
    name: &'static str,
    kind: FieldType,
    role: Role,
    origin: Origin,
    empty: Empty,
    meaning: &'static str,
) -> Field {
    Field { name, kind, role, origin, array: true, empty, meaning }
}

/// All fields of the flow record.
#[rustfmt::skip]
pub const FIELDS: &[Field] = &[
    one("schema", Keyword, Identity, Millrace, Never, "format of the record: `flow/1`"),
    one("cluster", Keyword, Identity, Millrace, Never, "cluster that the flow belongs to"),
    one("stream", Keyword, Identity, Millrace, Never, "who numbered the record: `cluster/node/epoch`, epoch being the probe's start in Unix ms"),
    one("seq", Long, Identity, Millrace, Never, "number of the record in its stream, from 0 without gaps; ledger records take numbers too"),
    one("host", Keyword, Identity, Calico, Never, "node that reported the record"),
    one("reporter", Keyword, Identity, Calico, Never, "`src` reported at the initiator, `dst` at the receiver, `fwd` by a node that hosts neither end"),
    one("identity", Keyword, Identity, Millrace, Never, "how the local end was named: `cgroup`, `netns`, `address`, `none`"),
    one("proto", Keyword, Identity, Calico, Never, "protocol: `tcp`, `udp`, `icmp`, `icmpv6`, `sctp`, `udplite`, or its number"),
    one("snapshot", Keyword, Identity, Millrace, Dash, "content hash of the metadata that gave the names"),

    one("start_time", Seconds, Time, Calico, Never, "begin of the time that the record covers, not of the connection"),
    one("end_time", Seconds, Time, Calico, Never, "end of the time that the record covers"),
    one("@timestamp", Milliseconds, Time, CalicoExample, Never, "end of the time that the record covers; it decides the day of the index"),
    one("oldest_start", Milliseconds, Time, Millrace, Never, "start of the oldest connection counted in the record"),
    one("newest_start", Milliseconds, Time, Millrace, Never, "start of the newest connection counted in the record"),

    one("source_ip", Ip, Source, Calico, Absent, "address of the initiator"),
    one("source_name", Keyword, Source, Calico, Dash, "pod; for other ends see `source_name_aggr`"),
    one("source_name_aggr", Keyword, Source, Calico, Dash, "pod's prefix with a star, network set, host, or `pub` / `pvt` for other addresses"),
    one("source_namespace", Keyword, Source, Calico, Dash, "namespace of pod or network set"),
    one("source_type", Keyword, Source, Calico, Never, "`wep` pod, `hep` host or pod in the host's network, `ns` network set, `net` any other address"),
    one("source_port", Long, Source, Calico, Absent, "port of the initiator; absent where source ports are merged (`aggregation: source-port`)"),
    one("source_labels", Object, Source, Calico, Absent, "labels of the initiator"),
    list("source_labels.labels", Keyword, Source, Calico, Absent, "labels as `key=value`, without those of `projectcalico.org/`"),
    one("source_owner_kind", Keyword, Source, Millrace, Absent, "kind of the topmost known owner: `Deployment`, `StatefulSet`, `Job`, …"),
    one("source_owner_name", Keyword, Source, Millrace, Absent, "name of that owner"),
    one("source_node", Keyword, Source, Millrace, Absent, "node that the pod runs on, or the host itself"),
    one("source_zone", Keyword, Source, Millrace, Absent, "zone of that node"),

    one("dest_ip", Ip, Dest, Calico, Absent, "address of the receiver, after translation where that is known"),
    one("dest_name", Keyword, Dest, Calico, Dash, "pod; `-` also where a service's backend could not be told"),
    one("dest_name_aggr", Keyword, Dest, Calico, Dash, "pod's prefix with a star, network set, host, or `pub` / `pvt` for other addresses"),
    one("dest_namespace", Keyword, Dest, Calico, Dash, "namespace of pod or network set"),
    one("dest_type", Keyword, Dest, Calico, Never, "`wep` pod, `hep` host or pod in the host's network, `ns` network set, `net` any other address"),
    one("dest_port", Long, Dest, Calico, Absent, "port of the receiver, after translation where that is known; absent for protocols without ports"),
    one("dest_labels", Object, Dest, Calico, Absent, "labels of the receiver"),
    list("dest_labels.labels", Keyword, Dest, Calico, Absent, "labels as `key=value`, without those of `projectcalico.org/`"),
    one("dest_owner_kind", Keyword, Dest, Millrace, Absent, "kind of the topmost known owner: `Deployment`, `StatefulSet`, `Job`, …"),
    one("dest_owner_name", Keyword, Dest, Millrace, Absent, "name of that owner"),
    one("dest_node", Keyword, Dest, Millrace, Absent, "node that the pod runs on, or the host itself"),
    one("dest_zone", Keyword, Dest, Millrace, Absent, "zone of that node"),
    one("dest_service_name", Keyword, Dest, Calico, Dash, "service that the socket asked for, before translation"),
    one("dest_service_namespace", Keyword, Dest, Calico, Dash, "namespace of that service"),
    one("dest_service_port", Keyword, Dest, Calico, DashOrStar, "name of the service port"),
    one("dest_service_port_num", Long, Dest, CalicoExample, Absent, "number of the service port"),
    one("dest_original_ip", Ip, Dest, Millrace, Absent, "address that the socket asked for, where it is not `dest_ip`"),
    one("dest_original_port", Long, Dest, Millrace, Absent, "port that the socket asked for, where it is not `dest_port`"),
    list("dest_domains", Keyword, Dest, Calico, NoSource, "DNS names that led to the address"),
    list("nat_outgoing_ports", Long, Source, Calico, NoSource, "source ports after translation"),
    list("original_source_ips", Ip, Source, Calico, NoSource, "client addresses taken from ingress logs"),
    one("num_original_source_ips", Long, Source, Calico, NoSource, "how many of them there are, those not listed too"),

    one("bytes_in", Long, Volume, Calico, Never, "payload bytes received by the reporting end"),
    one("bytes_out", Long, Volume, Calico, Never, "payload bytes sent by the reporting end"),
    one("packets_in", Long, Volume, Calico, Never, "packets received by the reporting end"),
    one("packets_out", Long, Volume, Calico, Never, "packets sent by the reporting end"),
    one("num_flows", Long, Volume, Calico, Never, "attempts active at any moment of the record's time"),
    one("num_flows_started", Long, Volume, Calico, Never, "attempts whose outcome the record reports; each is counted in one record only"),
    one("num_flows_completed", Long, Volume, Calico, Never, "attempts that ended"),
    one("num_flows_aborted", Long, Volume, Millrace, Never, "of those, the ones ended by a reset or an error after they stood"),

    one("process_name", Keyword, Process, Calico, DashOrStar, "command of the socket's owner at the reporting end"),
    one("process_id", Keyword, Process, Calico, DashOrStar, "its process id"),
    list("process_args", Keyword, Process, Calico, NoSource, "its arguments"),
    one("num_process_names", Long, Process, Calico, Absent, "how many commands stand behind the record"),
    one("num_process_ids", Long, Process, Calico, Absent, "how many processes stand behind the record"),
    one("num_process_args", Long, Process, Calico, NoSource, "how many argument lists stand behind the record"),

    one("tcp_mean_send_congestion_window", Long, Tcp, Calico, Absent, "mean congestion window in segments"),
    one("tcp_min_send_congestion_window", Long, Tcp, Calico, Absent, "smallest congestion window in segments"),
    one("tcp_mean_smooth_rtt", Long, Tcp, Calico, Absent, "mean of the smoothed round-trip times in µs"),
    one("tcp_max_smooth_rtt", Long, Tcp, Calico, Absent, "largest smoothed round-trip time in µs"),
    one("tcp_mean_min_rtt", Long, Tcp, Calico, Absent, "mean of the smallest round-trip times in µs"),
    one("tcp_max_min_rtt", Long, Tcp, Calico, Absent, "largest of the smallest round-trip times in µs"),
    one("tcp_mean_mss", Long, Tcp, Calico, Absent, "mean maximum segment size in bytes"),
    one("tcp_min_mss", Long, Tcp, Calico, Absent, "smallest maximum segment size in bytes"),
    one("tcp_total_retransmissions", Long, Tcp, Calico, Absent, "segments sent again"),
    one("tcp_lost_packets", Long, Tcp, Calico, Absent, "segments that the kernel deems lost"),
    one("tcp_unrecovered_to", Long, Tcp, Calico, Absent, "retransmission timeouts not recovered from"),

    one("action", Keyword, Verdict, Calico, Never, "what happened: `allow`, `deny`; at `src` it is `deny` also when the receiver denies"),
    one("outcome", Keyword, Verdict, Millrace, Never, "how the attempts went: `established`, `refused`, `unreachable`, `failed`, `timeout`, `unanswered`, `dropped`, `preexisting`, `pending`, `unknown`"),
    one("drop_reason", Keyword, Verdict, Millrace, Absent, "why the kernel threw a packet away, by its own name"),
    one("verdict", Keyword, Verdict, Millrace, Never, "what policy says of both ends: `allow`, `deny`, `unknown`, `none`"),
    one("verdict_egress", Keyword, Verdict, Millrace, Never, "what the source's egress policies say: `allow`, `deny`, `unknown`, `none`"),
    one("verdict_ingress", Keyword, Verdict, Millrace, Never, "what the destination's ingress policies say: `allow`, `deny`, `unknown`, `none`"),
    one("enforcement", Keyword, Verdict, Millrace, Never, "`consistent`; `unenforced`: policy denies yet it flowed; `unexplained`: policy allows yet a filter dropped it; `unknown`"),
    one("evidence", Keyword, Verdict, Millrace, Never, "what `action` rests on: `observed` in the kernel, `reported` by a foreign source, `computed` from verdict and outcome"),
    list("unknown_because", Keyword, Verdict, Millrace, Absent, "why something is unknown, from a closed list: `no_policy_engine`, `policy_changed`, `settling`, `foreign_policy`, `service_backend`, `hairpin`, `no_history`, `no_metadata`, `ambiguous_address`, `initiator_unknown`, `outcome_indecisive`, `missing_fact`, `stale`"),
    list("decided_by", Keyword, Verdict, Millrace, Absent, "what decided: `direction|tier|kind:ns/name|rule`, or the keyword of an implicit rule"),
    list("denied_by", Keyword, Verdict, Millrace, Absent, "what denied: `direction|tier|kind:ns/name|rule`, once per isolating policy with rule −1"),
    one("ruleset", Keyword, Verdict, Millrace, Absent, "content hash of the policies in force"),

    one("policies", Object, Policy, Calico, Absent, "the policies that judged, as strings `index|tier|name|action|rule`"),
    list("policies.enforced_policies", Keyword, Policy, Calico, Absent, "what is enforced, at the reporter's end"),
    list("policies.pending_policies", Keyword, Policy, Calico, Absent, "what would be enforced with every staged policy live, at the reporter's end"),
    list("policies.all_policies", Keyword, Policy, Calico, Absent, "the enforced walk with staged hits put in at their place (Calico deprecates it)"),
    list("policies.transit_policies", Keyword, Policy, Calico, NoSource, "host endpoint policies on forwarded traffic"),
    list("policies.egress", Keyword, Policy, Millrace, Absent, "the enforced walk of the source's egress"),
    list("policies.ingress", Keyword, Policy, Millrace, Absent, "the enforced walk of the destination's ingress"),
];
