//! Flow records in each output format.

use std::io::{self, Write};
use std::net::IpAddr;

use clap::ValueEnum;
use flow::FlowRecord;
use jiff::Zoned;
use serde_json::Value;

use crate::render::table::{Cell, Column, Table};
use crate::render::{csv, json, quantity};
use crate::terminal::{Terminal, Tone};
use crate::when;

/// How flow records are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Format {
    /// One line a record, what matters most
    #[default]
    Table,
    /// One line a record, with addresses, services, processes, verdicts
    Wide,
    /// One array of whole records
    Json,
    /// One whole record a line
    #[value(alias = "jsonpb")]
    Jsonl,
    /// All fields, with a header line; safe to open in a spreadsheet
    Csv,
}

/// Writes flow records of one format, batch by batch.
#[derive(Debug)]
pub(crate) struct FlowWriter {
    format: Format,
    table: Table,
    now: Zoned,
    written: u64,
    header_written: bool,
}

impl FlowWriter {
    /// Makes a writer; `now` decides which times need a date, and in which time zone they are shown.
    pub(crate) fn new(format: Format, terminal: Terminal, now: Zoned) -> Self {
        let columns = if format == Format::Wide { WIDE_COLUMNS } else { TABLE_COLUMNS };
        Self { format, table: Table::new(columns, terminal), now, written: 0, header_written: false }
    }

    /// Makes a writer for flows shown as they come: columns are wide enough from the start, so that what comes later
    /// stands below what came first, and the lines of two such writers below each other.
    pub(crate) fn live(format: Format, terminal: Terminal, now: Zoned) -> Self {
        let columns = if format == Format::Wide { WIDE_COLUMNS } else { LIVE_COLUMNS };
        Self { table: Table::new(columns, terminal), ..Self::new(format, terminal, now) }
    }

    /// Returns how many records were written.
    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    /// Writes a batch.
    ///
    /// # Errors
    /// Returns what the writer returned.
    pub(crate) fn write(&mut self, out: &mut dyn Write, records: &[FlowRecord]) -> io::Result<()> {
        match self.format {
            Format::Table => {
                let rows: Vec<_> = records.iter().map(|record| table_row(record, &self.now)).collect();
                self.table.write(out, &rows)?;
            }
            Format::Wide => {
                let rows: Vec<_> = records.iter().map(wide_row).collect();
                self.table.write(out, &rows)?;
            }
            Format::Json => {
                for (place, record) in records.iter().enumerate() {
                    let first = self.written == 0 && place == 0;
                    out.write_all(if first { b"[\n" } else { b",\n" })?;
                    out.write_all(json::line(record)?.as_bytes())?;
                }
            }
            Format::Jsonl => {
                for record in records {
                    out.write_all(json::line(record)?.as_bytes())?;
                    out.write_all(b"\n")?;
                }
            }
            Format::Csv => {
                if !self.header_written {
                    self.header_written = true;
                    out.write_all(csv::header(&csv_header()).as_bytes())?;
                }
                for record in records {
                    out.write_all(csv::line(&csv_fields(record)?).as_bytes())?;
                }
            }
        }
        self.written += records.len() as u64;
        Ok(())
    }

    /// Writes what must stand at the end, and a header if there was no record.
    ///
    /// # Errors
    /// Returns what the writer returned.
    pub(crate) fn finish(&mut self, out: &mut dyn Write) -> io::Result<()> {
        match (self.format, self.written) {
            (Format::Json, 0) => out.write_all(b"[]\n"),
            (Format::Json, _) => out.write_all(b"\n]\n"),
            (Format::Csv | Format::Table | Format::Wide, 0) => self.write(out, &[]),
            _ => Ok(()),
        }
    }
}

const TABLE_COLUMNS: &[Column] = &[
    Column::text("TIME").expect(8),
    Column::text("REP"),
    Column::text("SOURCE").may_cut().expect(27),
    Column::text("DESTINATION").may_cut().expect(31),
    Column::text("PORT").expect(8),
    Column::text("OUTCOME").expect(11),
    Column::number("STARTED"),
    Column::number("BYTES").expect(8),
    Column::text("WHY").may_cut(),
];

/// Names as long as those of most workloads with their namespace and generated suffix.
const LIVE_COLUMNS: &[Column] = &[
    Column::text("TIME").expect(8),
    Column::text("REP"),
    Column::text("SOURCE").may_cut().expect(38),
    Column::text("DESTINATION").may_cut().expect(38),
    Column::text("PORT").expect(10),
    Column::text("OUTCOME").expect(11),
    Column::number("STARTED"),
    Column::number("BYTES").expect(9),
    Column::text("WHY").may_cut().expect(14),
];

fn table_row(record: &FlowRecord, now: &Zoned) -> Vec<Cell> {
    vec![
        Cell::toned(when::show(record.timestamp, now), Tone::Faint),
        Cell::new(&record.reporter),
        Cell::new(short_end(&source(record))),
        Cell::new(service(record).unwrap_or_else(|| short_end(&dest(record)))),
        Cell::new(port(record) + family(record)),
        Cell::toned(&record.outcome, tone(record)),
        Cell::new(record.num_flows_started.to_string()),
        Cell::new(quantity::bytes(u128::from(record.bytes_in) + u128::from(record.bytes_out))),
        Cell::new(why(record)),
    ]
}

const WIDE_COLUMNS: &[Column] = &[
    Column::text("TIME").expect(24),
    Column::text("NODE"),
    Column::text("REP"),
    Column::text("SOURCE").expect(27),
    Column::text("SOURCE IP").expect(15),
    Column::text("DESTINATION").expect(31),
    Column::text("DEST IP").expect(15),
    Column::text("PORT").expect(8),
    Column::text("SERVICE"),
    Column::text("OUTCOME").expect(11),
    Column::text("ACTION"),
    Column::text("VERDICT"),
    Column::number("STARTED"),
    Column::number("ACTIVE"),
    Column::number("ENDED"),
    Column::number("TO DEST").expect(10),
    Column::number("TO SOURCE").expect(10),
    Column::number("RTT"),
    Column::number("RETRANS"),
    Column::text("PROCESS").expect(15),
    Column::text("RECORD"),
    Column::text("WHY"),
];

fn wide_row(record: &FlowRecord) -> Vec<Cell> {
    let (to_dest, to_source) = match record.reporter.as_str() {
        "src" => (record.bytes_out, record.bytes_in),
        _ => (record.bytes_in, record.bytes_out),
    };
    let address = |ip: Option<IpAddr>| ip.map_or_else(|| "-".to_owned(), |ip| ip.to_string());
    let optional = |value: Option<u64>| value.map_or_else(|| "-".to_owned(), |value| value.to_string());
    let service = match record.dest_service_name.as_str() {
        "-" => "-".to_owned(),
        name => format!("{}/{name}", record.dest_service_namespace),
    };
    let process = match (record.process_name.as_str(), record.process_id.as_str()) {
        (name, "-" | "*" | "") => name.to_owned(),
        (name, pid) => format!("{name}[{pid}]"),
    };
    vec![
        Cell::toned(when::show_exact(record.timestamp), Tone::Faint),
        Cell::new(&record.host),
        Cell::new(&record.reporter),
        Cell::new(full_end(&source(record))),
        Cell::new(address(record.source_ip)),
        Cell::new(self::service(record).unwrap_or_else(|| full_end(&dest(record)))),
        Cell::new(address(record.dest_ip)),
        Cell::new(port(record)),
        Cell::new(service),
        Cell::toned(&record.outcome, tone(record)),
        Cell::new(&record.action),
        Cell::new(&record.verdict),
        Cell::new(record.num_flows_started.to_string()),
        Cell::new(record.num_flows.to_string()),
        Cell::new(record.num_flows_completed.to_string()),
        Cell::new(quantity::bytes(to_dest.into())),
        Cell::new(quantity::bytes(to_source.into())),
        Cell::new(record.tcp_mean_smooth_rtt.map_or_else(|| "-".to_owned(), |us| format!("{us} µs"))),
        Cell::new(optional(record.tcp_total_retransmissions)),
        Cell::new(process),
        Cell::new(format!("{}#{}", record.stream.epoch(), record.seq)),
        Cell::new(why(record)),
    ]
}

/// One end of a record, for showing.
struct End<'a> {
    namespace: &'a str,
    name: &'a str,
    name_aggr: &'a str,
    ip: Option<IpAddr>,
    node: Option<&'a str>,
}

fn source(record: &FlowRecord) -> End<'_> {
    End {
        namespace: &record.source_namespace,
        name: &record.source_name,
        name_aggr: &record.source_name_aggr,
        ip: record.source_ip,
        node: record.source_node.as_deref(),
    }
}

fn dest(record: &FlowRecord) -> End<'_> {
    End {
        namespace: &record.dest_namespace,
        name: &record.dest_name,
        name_aggr: &record.dest_name_aggr,
        ip: record.dest_ip,
        node: record.dest_node.as_deref(),
    }
}

/// The workload, set or host; for any other address the address itself, which says more than `pub` or `pvt`.
fn short_end(end: &End<'_>) -> String {
    match (end.name_aggr, end.ip) {
        ("pub" | "pvt" | "-", Some(ip)) => ip.to_string(),
        ("-", None) => end.node.map_or_else(|| "-".to_owned(), str::to_owned),
        (name, _) => in_namespace(end.namespace, name),
    }
}

/// The pod by its own name where it is known.
fn full_end(end: &End<'_>) -> String {
    let name = if end.name == "-" || end.name == "*" { end.name_aggr } else { end.name };
    in_namespace(end.namespace, name)
}

/// The service that was asked for, where it is all that is known of the destination: no packet told the backend.
fn service(record: &FlowRecord) -> Option<String> {
    let known = record.dest_service_name != "-";
    (known && record.dest_name_aggr == "-")
        .then(|| format!("svc {}", in_namespace(&record.dest_service_namespace, &record.dest_service_name)))
}

/// Tells the flows of both families between the same ends apart, as `netstat` does: `tcp`, `tcp6`.
fn family(record: &FlowRecord) -> &'static str {
    let v6 = record.dest_ip.or(record.dest_original_ip).or(record.source_ip).is_some_and(|ip| ip.is_ipv6());
    if v6 && record.dest_port.is_some() { "6" } else { "" }
}

fn in_namespace(namespace: &str, name: &str) -> String {
    if namespace == "-" { name.to_owned() } else { format!("{namespace}/{name}") }
}

fn port(record: &FlowRecord) -> String {
    match record.dest_port {
        Some(port) => format!("{port}/{}", record.proto),
        None => record.proto.clone(),
    }
}

fn why(record: &FlowRecord) -> String {
    if let Some(reason) = &record.drop_reason {
        return reason.clone();
    }
    match record.enforcement.as_str() {
        "unenforced" | "unexplained" => record.enforcement.clone(),
        _ => String::new(),
    }
}

fn tone(record: &FlowRecord) -> Tone {
    match (record.action.as_str(), record.outcome.as_str()) {
        ("deny", _) | (_, "dropped") => Tone::Bad,
        (_, "established") => Tone::Good,
        (_, "preexisting" | "pending") => Tone::Faint,
        (_, "refused" | "unreachable" | "failed" | "timeout" | "unanswered") => Tone::Warning,
        _ => Tone::Plain,
    }
}

const POLICY_LISTS: [&str; 6] =
    ["all_policies", "enforced_policies", "pending_policies", "transit_policies", "egress", "ingress"];

fn csv_header() -> Vec<String> {
    let mut header = Vec::with_capacity(FlowRecord::FIELD_NAMES.len() + POLICY_LISTS.len());
    for name in FlowRecord::FIELD_NAMES {
        match *name {
            "policies" => header.extend(POLICY_LISTS.iter().map(|list| format!("policies.{list}"))),
            name => header.push(name_in_json(name).to_owned()),
        }
    }
    header
}

/// Absent fields are empty; lists are joined by semicolons.
fn csv_fields(record: &FlowRecord) -> serde_json::Result<Vec<String>> {
    let value = serde_json::to_value(record)?;
    let mut fields = Vec::with_capacity(FlowRecord::FIELD_NAMES.len() + POLICY_LISTS.len());
    for name in FlowRecord::FIELD_NAMES {
        let field = &value[name_in_json(name)];
        match *name {
            "policies" => fields.extend(POLICY_LISTS.iter().map(|list| csv_text(&field[*list]))),
            _ => fields.push(csv_text(field)),
        }
    }
    Ok(fields)
}

fn name_in_json(name: &str) -> &str {
    if name == "timestamp" { "@timestamp" } else { name }
}

fn csv_text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(csv_text).collect::<Vec<_>>().join(";"),
        Value::Object(object) => object.get("labels").map(csv_text).unwrap_or_default(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

#[cfg(test)]
#[path = "flow_tests.rs"]
mod tests;
