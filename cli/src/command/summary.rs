//! `millrace summary`: stored flows by pair and outcome.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::io::{self, Write};

use clap::{Args, ValueEnum};
use jiff::Zoned;
use store::{AggregateAnswer, AggregateQuery, AggregateRow, FlowStore, GroupBy, Sums};

use crate::arguments::GlobalArguments;
use crate::failure::{CommandResult, Failure};
use crate::kept::{self, Notes};
use crate::render::table::{Cell, Column, Table};
use crate::render::{csv, json, quantity};
use crate::selection::{Selection, SelectionArguments};
use crate::terminal::{Terminal, Tone};

/// Arguments of `millrace summary`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  millrace summary --since 1h
  millrace summary --action deny --since today -o csv

Attempts are counted once: by the initiator's node, or by the receiver's where the initiator is no pod of the cluster. The
service asked for (svc) stands where no packet told which of its endpoints was meant.")]
pub(crate) struct SummaryArguments {
    #[command(flatten)]
    selection: SelectionArguments,
    /// Show the N pairs with most attempts
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    top: u32,
    /// Format
    #[arg(long, short = 'o', value_enum, default_value_t)]
    output: SummaryFormat,
}

/// How sums are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum SummaryFormat {
    /// One line a pair and outcome
    #[default]
    Table,
    /// One object
    Json,
    /// With a header line; safe to open in a spreadsheet
    Csv,
}

/// Sums the flow records asked for.
///
/// # Errors
/// Returns a usage failure for arguments that do not fit together, and a failure if the store cannot be read.
pub(crate) async fn run(global: &GlobalArguments, arguments: &SummaryArguments) -> CommandResult {
    let selection = arguments.selection.resolve(&Zoned::now())?;
    let store = kept::open(global)?;
    let terminal = Terminal::of_stdout(global.color);
    kept::notes(&store, selection.from, terminal.interactive).await?.print();
    let answer = ask(&store, &selection, arguments.top as usize).await?;
    let mut out = io::stdout().lock();
    match arguments.output {
        SummaryFormat::Table => print_table(&mut out, &answer, terminal)?,
        SummaryFormat::Json => writeln!(out, "{}", json::pretty(&Report::from(&answer))?)?,
        SummaryFormat::Csv => print_csv(&mut out, &answer)?,
    }
    if answer.groups_left_out > 0 {
        Notes::line(&format!("{} further pairs; --top N shows more", answer.groups_left_out));
    }
    Ok(kept::exit_of(&answer.partial))
}

const GROUPS: [GroupBy; 10] = [
    GroupBy::SourceNamespace,
    GroupBy::SourceNameAggr,
    GroupBy::DestNamespace,
    GroupBy::DestNameAggr,
    GroupBy::ServiceNamespace,
    GroupBy::ServiceName,
    GroupBy::DestPort,
    GroupBy::Protocol,
    GroupBy::Outcome,
    GroupBy::Action,
];

/// Places in [`GROUPS`].
const DEST_NAME: usize = 3;
const SERVICE: std::ops::RangeInclusive<usize> = 4..=5;

/// Asks the store for the sums by pair, port and outcome, those with most attempts first.
///
/// # Errors
/// Returns a failure if the store cannot be read.
pub(crate) async fn ask(store: &impl FlowStore, selection: &Selection, top: usize) -> Result<AggregateAnswer, Failure> {
    let query = AggregateQuery {
        from: selection.from,
        to: selection.to,
        filter: selection.filter.clone(),
        counting: selection.counting,
        group_by: GROUPS.to_vec(),
        ..AggregateQuery::default()
    };
    Ok(by_pair(store.aggregate(&query).await?, top))
}

/// Adds up groups that differ in their service alone, where the destination has a name of its own, and keeps the `top`
/// with most attempts.
fn by_pair(answer: AggregateAnswer, top: usize) -> AggregateAnswer {
    let mut pairs: BTreeMap<Vec<Option<String>>, Sums> = BTreeMap::new();
    for mut row in answer.rows {
        if row.key[DEST_NAME].as_deref() != Some("-") {
            row.key[SERVICE].fill(Some("-".to_owned()));
        }
        pairs.entry(row.key).or_default().add(&row.sums);
    }
    let mut rows: Vec<AggregateRow> = pairs.into_iter().map(|(key, sums)| AggregateRow { key, sums }).collect();
    // Stable: pairs with as many attempts stay in the order of their keys.
    rows.sort_by_key(|row| Reverse(row.sums.started));
    let beyond = rows.len().saturating_sub(top) as u64;
    rows.truncate(top);
    AggregateAnswer { rows, groups_left_out: answer.groups_left_out + beyond, ..answer }
}

/// Prints the sums as a table with their total.
///
/// # Errors
/// Returns what the writer returned.
pub(crate) fn print_table(out: &mut dyn Write, answer: &AggregateAnswer, terminal: Terminal) -> io::Result<()> {
    let columns = [
        Column::text("SOURCE").may_cut(),
        Column::text("DESTINATION").may_cut(),
        Column::text("PORT"),
        Column::text("OUTCOME"),
        Column::text("ACTION"),
        Column::number("ATTEMPTS"),
        Column::number("TO DEST"),
        Column::number("TO SOURCE"),
        Column::number("RECORDS"),
    ];
    let mut rows: Vec<Vec<Cell>> = answer.rows.iter().map(table_row).collect();
    let total = &answer.total;
    rows.push(vec![
        Cell::toned("all", Tone::Heading),
        Cell::new(""),
        Cell::new(""),
        Cell::new(""),
        Cell::new(""),
        Cell::new(count(total.started)),
        Cell::new(quantity::bytes(total.bytes_to_dest)),
        Cell::new(quantity::bytes(total.bytes_to_source)),
        Cell::new(count(total.records.into())),
    ]);
    Table::new(&columns, terminal).write(out, &rows)
}

fn table_row(row: &AggregateRow) -> Vec<Cell> {
    let [source_namespace, source, dest_namespace, dest, service_namespace, service, port, protocol, outcome, action] =
        key(row);
    let end = |namespace: &str, name: &str| match namespace {
        "-" => name.to_owned(),
        namespace => format!("{namespace}/{name}"),
    };
    let tone = match (action, outcome) {
        ("deny", _) | (_, "dropped") => Tone::Bad,
        (_, "established") => Tone::Good,
        (_, "preexisting" | "pending") => Tone::Faint,
        _ => Tone::Warning,
    };
    vec![
        Cell::new(end(source_namespace, source)),
        Cell::new(match service {
            "-" => end(dest_namespace, dest),
            service => format!("svc {}", end(service_namespace, service)),
        }),
        Cell::new(if port.is_empty() { protocol.to_owned() } else { format!("{port}/{protocol}") }),
        Cell::toned(outcome, tone),
        Cell::new(action),
        Cell::new(count(row.sums.started)),
        Cell::new(quantity::bytes(row.sums.bytes_to_dest)),
        Cell::new(quantity::bytes(row.sums.bytes_to_source)),
        Cell::new(count(row.sums.records.into())),
    ]
}

/// Returns the values of the groups; an absent one is empty.
fn key(row: &AggregateRow) -> [&str; GROUPS.len()] {
    std::array::from_fn(|place| row.key.get(place).and_then(Option::as_deref).unwrap_or_default())
}

fn count(number: u128) -> String {
    quantity::count(i128::try_from(number).unwrap_or(i128::MAX))
}

fn print_csv(out: &mut dyn Write, answer: &AggregateAnswer) -> io::Result<()> {
    let sums =
        ["num_flows_started", "bytes_to_dest", "bytes_to_source", "packets_to_dest", "packets_to_source", "records"];
    let header: Vec<&str> = GROUPS.iter().map(|group| group.field()).chain(sums).collect();
    out.write_all(csv::header(&header).as_bytes())?;
    for row in &answer.rows {
        let sums = &row.sums;
        let mut fields: Vec<String> = key(row).iter().map(|value| (*value).to_owned()).collect();
        let numbers =
            [sums.started, sums.bytes_to_dest, sums.bytes_to_source, sums.packets_to_dest, sums.packets_to_source];
        fields.extend(numbers.iter().map(ToString::to_string));
        fields.push(sums.records.to_string());
        out.write_all(csv::line(&fields).as_bytes())?;
    }
    Ok(())
}

/// The sums as JSON: each group with its fields by name.
#[derive(serde::Serialize)]
struct Report<'a> {
    groups: Vec<Group<'a>>,
    groups_left_out: u64,
    total: &'a store::Sums,
    partial: &'a [store::Partial],
}

#[derive(serde::Serialize)]
struct Group<'a> {
    #[serde(flatten)]
    key: BTreeMap<&'static str, Option<&'a str>>,
    #[serde(flatten)]
    sums: &'a store::Sums,
}

impl<'a> From<&'a AggregateAnswer> for Report<'a> {
    fn from(answer: &'a AggregateAnswer) -> Self {
        let group = |row: &'a AggregateRow| Group {
            key: GROUPS.iter().zip(&row.key).map(|(group, value)| (group.field(), value.as_deref())).collect(),
            sums: &row.sums,
        };
        Self {
            groups: answer.rows.iter().map(group).collect(),
            groups_left_out: answer.groups_left_out,
            total: &answer.total,
            partial: &answer.partial,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(dest: &str, service: &str, started: u128) -> AggregateRow {
        let key = ["shop", "web-*", "data", dest, "data", service, "80", "tcp", "established", "allow"];
        let key = key.iter().map(|value| Some((*value).to_owned())).collect();
        AggregateRow { key, sums: Sums { started, records: 1, ..Sums::default() } }
    }

    #[test]
    fn a_service_stands_only_where_the_endpoint_is_not_known() {
        let rows = vec![row("-", "db", 4), row("db-*", "-", 3), row("db-*", "db", 2), row("-", "cache", 1)];
        let answer = by_pair(AggregateAnswer { rows, ..AggregateAnswer::default() }, 2);
        let shown: Vec<(&str, &str, u128)> =
            answer.rows.iter().map(|row| (key(row)[DEST_NAME], key(row)[5], row.sums.started)).collect();
        assert_eq!(shown, [("db-*", "-", 5), ("-", "db", 4)]);
        assert_eq!(answer.groups_left_out, 1);
    }
}
