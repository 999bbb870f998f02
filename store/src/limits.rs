//! What no engine can keep: engines index signed numbers of 64 bits.

use flow::FlowRecord;

use crate::document::Document;

/// Says whether the numbers of a document can be kept.
///
/// # Errors
/// Returns why the document can never be stored.
pub(crate) fn check(document: &Document) -> Result<(), String> {
    let beyond = |field: &str| format!("`{field}` is above {}", i64::MAX);
    let fits = |field: &str, number: u64| i64::try_from(number).map(|_| ()).map_err(|_| beyond(field));
    match document {
        Document::Flow(record) => too_large(record).map_or(Ok(()), |field| Err(beyond(field))),
        Document::Ledger(ledger) => fits("seq", ledger.seq),
        Document::DeadLetter(letter) => fits("seq", letter.id.as_ref().map_or(0, |id| id.seq)),
    }
}

/// Returns the name of a number that no signed 64-bit column holds: engines index signed numbers.
fn too_large(record: &FlowRecord) -> Option<&'static str> {
    let numbers = [
        ("seq", Some(record.seq)),
        ("start_time", Some(record.start_time)),
        ("end_time", Some(record.end_time)),
        ("@timestamp", Some(record.timestamp.0)),
        ("bytes_in", Some(record.bytes_in)),
        ("bytes_out", Some(record.bytes_out)),
        ("packets_in", Some(record.packets_in)),
        ("packets_out", Some(record.packets_out)),
        ("num_flows", Some(record.num_flows)),
        ("num_flows_started", Some(record.num_flows_started)),
        ("num_flows_completed", Some(record.num_flows_completed)),
        ("num_flows_aborted", Some(record.num_flows_aborted)),
        ("num_original_source_ips", record.num_original_source_ips),
        ("num_process_names", record.num_process_names),
        ("num_process_ids", record.num_process_ids),
        ("num_process_args", record.num_process_args),
        ("tcp_mean_send_congestion_window", record.tcp_mean_send_congestion_window),
        ("tcp_min_send_congestion_window", record.tcp_min_send_congestion_window),
        ("tcp_mean_smooth_rtt", record.tcp_mean_smooth_rtt),
        ("tcp_max_smooth_rtt", record.tcp_max_smooth_rtt),
        ("tcp_mean_min_rtt", record.tcp_mean_min_rtt),
        ("tcp_max_min_rtt", record.tcp_max_min_rtt),
        ("tcp_mean_mss", record.tcp_mean_mss),
        ("tcp_min_mss", record.tcp_min_mss),
        ("tcp_total_retransmissions", record.tcp_total_retransmissions),
        ("tcp_lost_packets", record.tcp_lost_packets),
        ("tcp_unrecovered_to", record.tcp_unrecovered_to),
        ("oldest_start", Some(record.oldest_start.0)),
        ("newest_start", Some(record.newest_start.0)),
    ];
    let beyond = |number: &Option<u64>| number.is_some_and(|n| i64::try_from(n).is_err());
    numbers.iter().find(|(_, number)| beyond(number)).map(|(name, _)| *name)
}
