//! A flow record out of its row and the rows that it refers to.

use std::net::IpAddr;

use flow::record::Labels;
use flow::{FlowRecord, Stream, UnixMs};
use rusqlite::types::{FromSql, Type};
use rusqlite::{Connection, Row};

use super::super::dictionary::{Lists, ip_of_bytes};
use super::{COLUMNS, Extra};

/// Returns the beginning of every question for whole records; the conditions speak of `f`. The order of the tables is
/// fixed: the flow row is found by its own index, the rest by number.
pub(in crate::sqlite) fn select_text() -> &'static str {
    static TEXT: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    TEXT.get_or_init(|| {
        let columns = COLUMNS.split(", ").map(|column| format!("f.{column}")).collect::<Vec<_>>().join(", ");
        format!(
            "SELECT {columns}, t.stream,
               c.schema, c.cluster, c.host, c.reporter, c.proto, c.outcome, c.drop_reason, c.identity, c.snapshot,
               c.dest_service_name, c.dest_service_namespace, c.dest_service_port, c.dest_service_port_num,
               c.process_name,
               s.ip, s.name, s.name_aggr, s.namespace, s.type, s.owner_kind, s.owner_name, s.node, s.zone, sl.labels,
               d.ip, d.name, d.name_aggr, d.namespace, d.type, d.owner_kind, d.owner_name, d.node, d.zone, dl.labels,
               j.action, j.verdict, j.verdict_egress, j.verdict_ingress, j.enforcement, j.evidence, j.ruleset, j.lists
             FROM flows f
             CROSS JOIN streams t ON t.id = f.stream
             CROSS JOIN contexts c ON c.id = f.context
             CROSS JOIN endpoints s ON s.id = f.source
             CROSS JOIN endpoints d ON d.id = f.dest
             CROSS JOIN judgements j ON j.id = f.judgement
             LEFT JOIN label_sets sl ON sl.id = s.labels
             LEFT JOIN label_sets dl ON dl.id = d.labels"
        )
    })
}

/// A row read back, with what paging needs.
pub(in crate::sqlite) struct StoredFlow {
    pub(in crate::sqlite) arrival: i64,
    pub(in crate::sqlite) record: FlowRecord,
}

/// Reads a row of [`select_text`].
///
/// # Errors
/// Returns a conversion failure that names the column, if somebody has edited the file.
pub(in crate::sqlite) fn read(row: &Row<'_>) -> rusqlite::Result<StoredFlow> {
    let mut next = Reader { row, at: 0 };
    let arrival = next.get()?;
    let _stream_number: i64 = next.get()?;
    let [seq, start_time, end_time, end_ms] = next.numbers()?;
    for _ in 0..4 {
        let _reference: i64 = next.get()?;
    }
    let source_port = next.get()?;
    let dest_port = next.get()?;
    let dest_original_ip = next.ip()?;
    let dest_original_port = next.get()?;
    let [bytes_in, bytes_out, packets_in, packets_out] = next.numbers()?;
    let [num_flows, num_flows_started, num_flows_completed, num_flows_aborted] = next.numbers()?;
    let process_id = next.get()?;
    let [num_process_names, num_process_ids] = next.optional_numbers()?;
    let tcp: [Option<u64>; 11] = next.optional_numbers()?;
    let [oldest_start, newest_start] = next.numbers()?;
    let extra: Extra = next.json_or_default()?;

    let stream: Stream = next.parsed()?;
    let schema = next.get()?;
    let cluster = next.get()?;
    let host = next.get()?;
    let reporter = next.get()?;
    let proto = next.get()?;
    let outcome = next.get()?;
    let drop_reason = next.get()?;
    let identity = next.get()?;
    let snapshot = next.get()?;
    let dest_service_name = next.get()?;
    let dest_service_namespace = next.get()?;
    let dest_service_port = next.get()?;
    let dest_service_port_num = next.get()?;
    let process_name = next.get()?;

    let source = ReadSide::read(&mut next)?;
    let dest = ReadSide::read(&mut next)?;

    let action = next.get()?;
    let verdict = next.get()?;
    let verdict_egress = next.get()?;
    let verdict_ingress = next.get()?;
    let enforcement = next.get()?;
    let evidence = next.get()?;
    let ruleset = next.get()?;
    let lists: Lists = next.json_or_default()?;

    let record = FlowRecord {
        schema,
        cluster,
        stream,
        seq,
        start_time,
        end_time,
        timestamp: UnixMs(end_ms),
        host,
        reporter,
        action,
        proto,
        source_ip: source.ip,
        source_name: source.name,
        source_name_aggr: source.name_aggr,
        source_namespace: source.namespace,
        source_type: source.kind,
        source_port,
        source_labels: source.labels,
        source_owner_kind: source.owner_kind,
        source_owner_name: source.owner_name,
        source_node: source.node,
        source_zone: source.zone,
        dest_ip: dest.ip,
        dest_name: dest.name,
        dest_name_aggr: dest.name_aggr,
        dest_namespace: dest.namespace,
        dest_type: dest.kind,
        dest_port,
        dest_labels: dest.labels,
        dest_owner_kind: dest.owner_kind,
        dest_owner_name: dest.owner_name,
        dest_node: dest.node,
        dest_zone: dest.zone,
        dest_service_name,
        dest_service_namespace,
        dest_service_port,
        dest_service_port_num,
        dest_original_ip,
        dest_original_port,
        dest_domains: extra.dest_domains,
        nat_outgoing_ports: extra.nat_outgoing_ports,
        original_source_ips: extra.original_source_ips,
        num_original_source_ips: extra.num_original_source_ips,
        bytes_in,
        bytes_out,
        packets_in,
        packets_out,
        num_flows,
        num_flows_started,
        num_flows_completed,
        num_flows_aborted,
        process_name,
        process_id,
        process_args: extra.process_args,
        num_process_names,
        num_process_ids,
        num_process_args: extra.num_process_args,
        tcp_mean_send_congestion_window: tcp[0],
        tcp_min_send_congestion_window: tcp[1],
        tcp_mean_smooth_rtt: tcp[2],
        tcp_max_smooth_rtt: tcp[3],
        tcp_mean_min_rtt: tcp[4],
        tcp_max_min_rtt: tcp[5],
        tcp_mean_mss: tcp[6],
        tcp_min_mss: tcp[7],
        tcp_total_retransmissions: tcp[8],
        tcp_lost_packets: tcp[9],
        tcp_unrecovered_to: tcp[10],
        policies: lists.policies,
        outcome,
        drop_reason,
        verdict,
        verdict_egress,
        verdict_ingress,
        decided_by: lists.decided_by,
        denied_by: lists.denied_by,
        enforcement,
        evidence,
        unknown_because: lists.unknown_because,
        identity,
        ruleset,
        snapshot,
        oldest_start: UnixMs(oldest_start),
        newest_start: UnixMs(newest_start),
    };
    Ok(StoredFlow { arrival, record })
}

/// Says whether the record that is stored under the identity of `record` has the same quantities: those that the digest
/// of a ledger covers. Names may differ: the first to be written stay.
pub(in crate::sqlite) fn same_quantities(
    file: &Connection,
    stream: i64,
    record: &FlowRecord,
) -> rusqlite::Result<bool> {
    let mut find = file.prepare_cached(
        "SELECT f.end_ms, f.num_flows_started, f.bytes_in, f.bytes_out, f.packets_in, f.packets_out, c.outcome
         FROM flows f CROSS JOIN contexts c ON c.id = f.context WHERE f.stream = ?1 AND f.seq = ?2",
    )?;
    let stored = find.query_row(rusqlite::params![stream, record.seq.cast_signed()], |row| {
        let mut next = Reader { row, at: 0 };
        let numbers: [u64; 6] = next.numbers()?;
        let outcome: String = next.get()?;
        Ok((numbers, outcome))
    })?;
    let given = [
        record.timestamp.0,
        record.num_flows_started,
        record.bytes_in,
        record.bytes_out,
        record.packets_in,
        record.packets_out,
    ];
    Ok(stored == (given, record.outcome.clone()))
}

struct ReadSide {
    ip: Option<IpAddr>,
    name: String,
    name_aggr: String,
    namespace: String,
    kind: String,
    owner_kind: Option<String>,
    owner_name: Option<String>,
    node: Option<String>,
    zone: Option<String>,
    labels: Option<Labels>,
}

impl ReadSide {
    fn read(next: &mut Reader<'_, '_>) -> rusqlite::Result<Self> {
        Ok(Self {
            ip: next.ip()?,
            name: next.get()?,
            name_aggr: next.get()?,
            namespace: next.get()?,
            kind: next.get()?,
            owner_kind: next.get()?,
            owner_name: next.get()?,
            node: next.get()?,
            zone: next.get()?,
            labels: next.json::<Vec<String>>()?.map(|labels| Labels { labels }),
        })
    }
}

/// Reads the columns of a row from left to right.
struct Reader<'r, 's> {
    row: &'r Row<'s>,
    at: usize,
}

impl Reader<'_, '_> {
    fn get<T: FromSql>(&mut self) -> rusqlite::Result<T> {
        let value = self.row.get(self.at);
        self.at += 1;
        value
    }

    fn numbers<const N: usize>(&mut self) -> rusqlite::Result<[u64; N]> {
        let mut numbers = [0; N];
        for number in &mut numbers {
            *number = self.get::<i64>()?.cast_unsigned();
        }
        Ok(numbers)
    }

    fn optional_numbers<const N: usize>(&mut self) -> rusqlite::Result<[Option<u64>; N]> {
        let mut numbers = [None; N];
        for number in &mut numbers {
            *number = self.get::<Option<i64>>()?.map(i64::cast_unsigned);
        }
        Ok(numbers)
    }

    fn ip(&mut self) -> rusqlite::Result<Option<IpAddr>> {
        let bytes: Option<Vec<u8>> = self.get()?;
        let Some(bytes) = bytes else { return Ok(None) };
        ip_of_bytes(&bytes).map(Some).ok_or_else(|| self.unreadable(Type::Blob, "an address has 4 or 16 bytes".into()))
    }

    fn json<T: serde::de::DeserializeOwned>(&mut self) -> rusqlite::Result<Option<T>> {
        let text: Option<String> = self.get()?;
        let Some(text) = text else { return Ok(None) };
        serde_json::from_str(&text).map(Some).map_err(|error| self.unreadable(Type::Text, Box::new(error)))
    }

    fn json_or_default<T: serde::de::DeserializeOwned + Default>(&mut self) -> rusqlite::Result<T> {
        Ok(self.json()?.unwrap_or_default())
    }

    fn parsed(&mut self) -> rusqlite::Result<Stream> {
        let text: String = self.get()?;
        text.parse().map_err(|error| self.unreadable(Type::Text, Box::new(error)))
    }

    fn unreadable(&self, kind: Type, why: Box<dyn std::error::Error + Send + Sync>) -> rusqlite::Error {
        rusqlite::Error::FromSqlConversionFailure(self.at - 1, kind, why)
    }
}
