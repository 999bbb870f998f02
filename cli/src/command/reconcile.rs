//! `millrace reconcile`: the two balances, drawn from what is stored.

use std::io::{self, Write};

use clap::Args;
use flow::{Stream, UnixMs};
use indexer::balance::report::{Account, Conclusion, End, Report, StreamReport};
use indexer::reconcile::{conclude, reconcile};
use jiff::Zoned;
use service::exit::Exit;
use store::FlowStore;

use crate::arguments::GlobalArguments;
use crate::failure::{CommandResult, Failure};
use crate::kept::{self, Notes};
use crate::render::table::{Cell, Column, Table};
use crate::render::{json, quantity};
use crate::terminal::{Terminal, Tone, printable};
use crate::when::{self, When};

/// Arguments of `millrace reconcile`.
#[derive(Debug, Args)]
#[command(after_help = "\
Records:   numbers given = stored + dead letters + removed by retention + in flight + unexplained
Attempts:  what the kernel counted = in records + pending + lost (reason) + filtered (reason), by stream, protocol, way

Exit code 0 if every stream is closed and both balances close; 1 if one does not (stream and number are named); 4 if it
cannot be told: a stream still runs, broke off, or a part of the store could not be read.")]
pub(crate) struct ReconcileArguments {
    /// Print the report as one JSON object
    #[arg(long)]
    json: bool,
    /// Only streams that begin with this: cluster, cluster/node or cluster/node/epoch
    #[arg(long, value_name = "STREAM")]
    stream: Option<String>,
    /// Only streams that may have gone on since then: 1h (ago), a time, today
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    since: Option<When>,
}

/// Draws the balances and prints them.
///
/// # Errors
/// Returns a failure if the store cannot be read at all.
pub(crate) async fn run(global: &GlobalArguments, arguments: &ReconcileArguments) -> CommandResult {
    let now = Zoned::now();
    let since = arguments.since.as_ref().map(|when| when.resolve(&now)).transpose().map_err(Failure::usage)?;
    let store = kept::open(global)?;
    let terminal = Terminal::of_stdout(global.color);
    let report = draw(&store, &now).await?;
    let prefix = arguments.stream.as_deref().unwrap_or_default().trim_end_matches('/');
    let all: Vec<Stream> = report.streams.iter().map(|report| report.stream.clone()).collect();
    let report = restricted(report, |stream| {
        is_below(stream, prefix) && since.is_none_or(|since| may_reach(stream, &all, since))
    });
    let mut out = io::stdout().lock();
    if arguments.json {
        writeln!(out, "{}", json::pretty(&report)?)?;
    } else {
        print(&mut out, &report, terminal)?;
    }
    if report.streams.is_empty() {
        let which = if all.is_empty() { "no stream is stored" } else { "no stream is meant" };
        Notes::line(&format!("{which} in {}: nothing can be said", store.dir().display()));
        return Ok(Exit::Undecided);
    }
    Ok(exit_of(&report))
}

/// Reads the store and draws the balances as they stand now.
///
/// # Errors
/// Returns a failure if the store cannot be read at all.
pub(crate) async fn draw(store: &impl FlowStore, now: &Zoned) -> Result<Report, Failure> {
    let now = UnixMs(u64::try_from(now.timestamp().as_millisecond()).unwrap_or(0));
    Ok(reconcile(store, now).await?)
}

/// Returns the exit code of a report.
pub(crate) fn exit_of(report: &Report) -> Exit {
    match report.conclusion {
        Conclusion::Closed => Exit::Yes,
        Conclusion::Open => Exit::No,
        Conclusion::Undecided => Exit::Undecided,
    }
}

/// Leaves out streams, and draws the totals and the conclusion of the others.
fn restricted(mut report: Report, mut meant: impl FnMut(&Stream) -> bool) -> Report {
    let before = report.streams.len();
    report.streams.retain(|stream| meant(&stream.stream));
    if report.streams.len() == before {
        return report;
    }
    conclude(report.streams, report.partial)
}

fn is_below(stream: &Stream, prefix: &str) -> bool {
    let name = stream.to_string();
    name.strip_prefix(prefix).is_some_and(|rest| prefix.is_empty() || rest.is_empty() || rest.starts_with('/'))
}

/// A stream ends, at the latest, when the next incarnation of its node begins.
fn may_reach(stream: &Stream, all: &[Stream], since: UnixMs) -> bool {
    let later = |other: &&Stream| {
        other.cluster() == stream.cluster() && other.node() == stream.node() && other.epoch() > stream.epoch()
    };
    all.iter().filter(later).map(Stream::epoch).min().is_none_or(|next| next > since.0)
}

/// Prints both balances, what does not close, and what it comes to.
///
/// # Errors
/// Returns what the writer returned.
pub(crate) fn print(out: &mut dyn Write, report: &Report, terminal: Terminal) -> io::Result<()> {
    print_records(out, report, terminal)?;
    writeln!(out)?;
    print_attempts(out, report, terminal)?;
    writeln!(out)?;
    for stream in &report.streams {
        for finding in &stream.findings {
            tell(out, terminal, Tone::Bad, &format!("{}#{}: {finding}", stream.stream, finding.seq()))?;
        }
        if let Some(more @ 1..) = stream.findings_total.checked_sub(stream.findings.len() as u64) {
            tell(out, terminal, Tone::Bad, &format!("{}: {more} further findings", stream.stream))?;
        }
    }
    for window in &report.windows {
        let to = window.to.map_or_else(|| "now".to_owned(), when::show_exact);
        let from = when::show_exact(window.from);
        let lost = match window.records {
            0 => String::new(),
            records => format!("; {records} records were given a number and not saved"),
        };
        let text = format!("{}: indeterminate window from {from} to {to}: no closing ledger{lost}", window.stream);
        tell(out, terminal, Tone::Warning, &text)?;
    }
    for part in &report.partial {
        tell(out, terminal, Tone::Warning, &format!("{} could not be read: {}", part.place, part.reason))?;
    }
    if report.totals.dead_lettered > 0 {
        let text = format!("{} dead letters: `millrace dead-letters` shows why", report.totals.dead_lettered);
        tell(out, terminal, Tone::Warning, &text)?;
    }
    let (tone, text) = conclusion(report);
    tell(out, terminal, tone, &text)
}

fn tell(out: &mut dyn Write, terminal: Terminal, tone: Tone, text: &str) -> io::Result<()> {
    let (begin, end) = if terminal.colours { tone.around() } else { ("", "") };
    writeln!(out, "{begin}{}{end}", printable(text))
}

fn conclusion(report: &Report) -> (Tone, String) {
    let totals = &report.totals;
    match report.conclusion {
        Conclusion::Closed => {
            (Tone::Good, format!("closed: {} records and {} attempts, 0 unexplained", totals.stored, totals.seen))
        }
        Conclusion::Open => {
            let missing = totals.unexplained;
            (
                Tone::Bad,
                format!("open: {} findings, {missing} records unexplained; each is named above", totals.findings),
            )
        }
        Conclusion::Undecided => {
            let running = report.streams.iter().filter(|stream| stream.end == End::StillOpen).count();
            let text = match running {
                0 => {
                    "undecided: nothing is missing where it can be told; the lines above say where it cannot".to_owned()
                }
                count => format!("not closed yet: {count} streams go on; ask again when they have ended"),
            };
            (Tone::Warning, text)
        }
    }
}

fn print_records(out: &mut dyn Write, report: &Report, terminal: Terminal) -> io::Result<()> {
    let columns = [
        Column::text("RECORDS OF STREAM").may_cut(),
        Column::text("END"),
        Column::number("NUMBERS"),
        Column::number("STORED"),
        Column::number("DEAD LETTERS"),
        Column::number("REMOVED"),
        Column::number("IN FLIGHT"),
        Column::number("UNEXPLAINED"),
    ];
    let row = |name: &str, end: &str, numbers: [u64; 6]| {
        let mut cells = vec![Cell::new(name), Cell::new(end)];
        cells.extend(numbers.iter().take(5).map(|number| Cell::new(quantity::count((*number).into()))));
        let tone = if numbers[5] == 0 { Tone::Good } else { Tone::Bad };
        cells.push(Cell::toned(quantity::count(numbers[5].into()), tone));
        cells
    };
    let mut rows: Vec<Vec<Cell>> = Vec::new();
    for stream in &report.streams {
        let r = &stream.records;
        let numbers = [r.expected, r.stored, r.dead_lettered, r.removed, r.in_flight, r.unexplained];
        rows.push(row(&stream.stream.to_string(), end_of(stream), numbers));
    }
    let t = &report.totals;
    rows.push(row("all", "", [t.expected, t.stored, t.dead_lettered, t.removed, t.in_flight, t.unexplained]));
    Table::new(&columns, terminal).write(out, &rows)
}

fn end_of(stream: &StreamReport) -> &'static str {
    match stream.end {
        End::Closed => "closed",
        End::StillOpen => "goes on",
        End::Indeterminate(_) => "broke off",
    }
}

fn print_attempts(out: &mut dyn Write, report: &Report, terminal: Terminal) -> io::Result<()> {
    let columns = [
        Column::text("ATTEMPTS OF STREAM").may_cut(),
        Column::text("PROTOCOL"),
        Column::text("WAY"),
        Column::number("KERNEL"),
        Column::number("IN RECORDS"),
        Column::number("PENDING"),
        Column::number("LOST"),
        Column::number("FILTERED"),
        Column::number("UNEXPLAINED"),
        Column::text("WHY"),
    ];
    let rows: Vec<Vec<Cell>> = report
        .streams
        .iter()
        .flat_map(|stream| stream.attempts.accounts.iter().map(|account| account_row(&stream.stream, account)))
        .collect();
    Table::new(&columns, terminal).write(out, &rows)?;
    let sum = |of: fn(&StreamReport) -> u64| report.streams.iter().map(of).sum::<u64>();
    let verified = sum(|stream| stream.attempts.verified_intervals);
    let ledgers = sum(|stream| stream.attempts.ledgers);
    writeln!(out, "\n{verified} of {ledgers} ledger digests taken again from the stored records, and the same")
}

fn account_row(stream: &Stream, account: &Account) -> Vec<Cell> {
    let lost: u64 = account.lost.values().sum();
    let filtered: u64 = account.filtered.values().sum();
    let parts = [account.started, account.pending, lost, filtered];
    let unexplained = i128::from(account.seen) - parts.iter().map(|part| i128::from(*part)).sum::<i128>();
    let lost_why = account.lost.iter().map(|(reason, count)| format!("{} {count}", reason.label()));
    let filtered_why = account.filtered.iter().map(|(reason, count)| format!("{} {count}", reason.label()));
    let why: Vec<String> = lost_why.chain(filtered_why).collect();
    let number = |number: u64| Cell::new(quantity::count(number.into()));
    vec![
        Cell::new(stream.to_string()),
        Cell::new(&account.protocol),
        Cell::new(account.direction.label()),
        number(account.seen),
        number(account.started),
        number(account.pending),
        Cell::toned(quantity::count(lost.into()), if lost == 0 { Tone::Plain } else { Tone::Warning }),
        number(filtered),
        Cell::toned(quantity::count(unexplained), if unexplained == 0 { Tone::Good } else { Tone::Bad }),
        Cell::new(why.join(", ")),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(text: &str) -> Stream {
        text.parse().unwrap()
    }

    #[test]
    fn a_stream_is_meant_by_whole_parts() {
        let check = |prefix: &str, expected: bool| assert_eq!(is_below(&stream("local/node-a/17"), prefix), expected);
        check("", true);
        check("local", true);
        check("local/node-a", true);
        check("local/node-a/17", true);
        check("local/node", false);
        check("loc", false);
        check("east", false);
    }

    #[test]
    fn a_stream_reaches_until_the_next_begins() {
        let all = [stream("local/a/100"), stream("local/a/200"), stream("local/b/150")];
        assert!(!may_reach(&all[0], &all, UnixMs(200)));
        assert!(may_reach(&all[0], &all, UnixMs(199)));
        assert!(may_reach(&all[1], &all, UnixMs(999)));
        assert!(may_reach(&all[2], &all, UnixMs(999)));
    }
}
