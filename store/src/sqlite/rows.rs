//! A flow record as a row: what its columns are, and how it is written; [`mod@read`] is the way back. The file keeps every
//! field, so that what is read is what was written.

mod read;

use std::net::IpAddr;

use flow::FlowRecord;
use rusqlite::{Connection, Statement, ToSql};
use serde::{Deserialize, Serialize};

pub(super) use read::{StoredFlow, read, same_quantities, select_text};

use super::dictionary::{References, ip_bytes};

/// The columns of a flow row, in the order of writing and reading.
const COLUMNS: &str = "arrival, stream, seq, start_time, end_time, end_ms, context, source, dest, judgement, \
    source_port, dest_port, dest_original_ip, dest_original_port, \
    bytes_in, bytes_out, packets_in, packets_out, \
    num_flows, num_flows_started, num_flows_completed, num_flows_aborted, \
    process_id, num_process_names, num_process_ids, \
    tcp_mean_send_congestion_window, tcp_min_send_congestion_window, \
    tcp_mean_smooth_rtt, tcp_max_smooth_rtt, tcp_mean_min_rtt, tcp_max_min_rtt, tcp_mean_mss, tcp_min_mss, \
    tcp_total_retransmissions, tcp_lost_packets, tcp_unrecovered_to, oldest_start, newest_start, extra";

/// The fields that hardly any record has, as one text.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Extra {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    dest_domains: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    nat_outgoing_ports: Vec<u16>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    original_source_ips: Vec<IpAddr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    num_original_source_ips: Option<u64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    process_args: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    num_process_args: Option<u64>,
}

/// Writes a flow row unless its identity is there; returns whether it was written.
pub(super) fn insert(
    file: &Connection,
    arrival: i64,
    stream: i64,
    refs: References,
    record: &FlowRecord,
) -> rusqlite::Result<bool> {
    let mut statement = file.prepare_cached(insert_text())?;
    let mut bind = Binder { statement: &mut statement, at: 0 };
    bind.put(arrival)?;
    bind.put(stream)?;
    bind.numbers([record.seq, record.start_time, record.end_time, record.timestamp.0])?;
    for reference in [refs.context, refs.source, refs.dest, refs.judgement] {
        bind.put(reference)?;
    }
    bind.put(record.source_port)?;
    bind.put(record.dest_port)?;
    bind.put(record.dest_original_ip.map(ip_bytes))?;
    bind.put(record.dest_original_port)?;
    bind.numbers([record.bytes_in, record.bytes_out, record.packets_in, record.packets_out])?;
    bind.numbers([record.num_flows, record.num_flows_started, record.num_flows_completed, record.num_flows_aborted])?;
    bind.put(&record.process_id)?;
    for optional in [
        record.num_process_names,
        record.num_process_ids,
        record.tcp_mean_send_congestion_window,
        record.tcp_min_send_congestion_window,
        record.tcp_mean_smooth_rtt,
        record.tcp_max_smooth_rtt,
        record.tcp_mean_min_rtt,
        record.tcp_max_min_rtt,
        record.tcp_mean_mss,
        record.tcp_min_mss,
        record.tcp_total_retransmissions,
        record.tcp_lost_packets,
        record.tcp_unrecovered_to,
    ] {
        bind.put(optional.map(u64::cast_signed))?;
    }
    bind.numbers([record.oldest_start.0, record.newest_start.0])?;
    bind.put(extra_text(record)?)?;
    Ok(statement.raw_execute()? == 1)
}

fn insert_text() -> &'static str {
    static TEXT: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    TEXT.get_or_init(|| {
        let marks = vec!["?"; COLUMNS.split(", ").count()].join(", ");
        format!("INSERT OR IGNORE INTO flows ({COLUMNS}) VALUES ({marks})")
    })
}

fn extra_text(record: &FlowRecord) -> rusqlite::Result<Option<String>> {
    let rare = !record.dest_domains.is_empty()
        || !record.nat_outgoing_ports.is_empty()
        || !record.original_source_ips.is_empty()
        || !record.process_args.is_empty()
        || record.num_original_source_ips.is_some()
        || record.num_process_args.is_some();
    if !rare {
        return Ok(None);
    }
    let extra = Extra {
        dest_domains: record.dest_domains.clone(),
        nat_outgoing_ports: record.nat_outgoing_ports.clone(),
        original_source_ips: record.original_source_ips.clone(),
        num_original_source_ips: record.num_original_source_ips,
        process_args: record.process_args.clone(),
        num_process_args: record.num_process_args,
    };
    let text = serde_json::to_string(&extra);
    text.map(Some).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

struct Binder<'s, 'c> {
    statement: &'s mut Statement<'c>,
    at: usize,
}

impl Binder<'_, '_> {
    fn put<T: ToSql>(&mut self, value: T) -> rusqlite::Result<()> {
        self.at += 1;
        self.statement.raw_bind_parameter(self.at, value)
    }

    fn numbers<const N: usize>(&mut self, numbers: [u64; N]) -> rusqlite::Result<()> {
        numbers.into_iter().try_for_each(|number| self.put(number.cast_signed()))
    }
}
