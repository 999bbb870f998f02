//! `millrace flows`: stored flow records, filtered, in an order people read, or followed as they come.

use std::collections::HashSet;

use clap::Args;
use flow::FlowRecord;
use jiff::Zoned;
use store::{FlowStore, MAX_PAGE, Order};

use crate::arguments::GlobalArguments;
use service::shutdown::Shutdown;

use crate::failure::{CommandResult, Failure};
use crate::follow::{PAGE, Shown, follow, question};
use crate::kept::{self, Notes};
use crate::render::flow::{FlowWriter, Format};
use crate::selection::{Selection, SelectionArguments};
use crate::terminal::Terminal;

/// Without a time and a number, this many of the newest records are shown.
const DEFAULT_LAST: usize = 50;
/// Before it follows, `--follow` shows this many of what is there.
const DEFAULT_LAST_FOLLOWING: usize = 10;
/// The newest records are turned around in memory; this bounds it to some hundred MiB.
const MOST_LAST: u64 = 100_000;
/// Arguments of `millrace flows`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  millrace flows --since 15m --action deny -o wide
  millrace flows --namespace shop --outcome timeout,refused,dropped --since today
  millrace flows --from-pod shop/frontend-* --to-port 5432 --follow
  millrace flows --since 1h -o csv > flows.csv

Each attempt is counted once by default: by its initiator's node, or by the receiver's where the initiator is no pod of the
cluster. --all shows both ends. Records are shown oldest first.")]
pub(crate) struct FlowsArguments {
    #[command(flatten)]
    selection: SelectionArguments,
    /// Show the newest N [default: 50, if no time is given]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=MOST_LAST), conflicts_with = "first")]
    last: Option<u64>,
    /// Show the oldest N
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    first: Option<u64>,
    /// Go on showing what comes, until Ctrl-C
    #[arg(long, short = 'f', conflicts_with_all = ["first", "until"])]
    follow: bool,
    /// Format
    #[arg(long, short = 'o', value_enum, default_value_t)]
    output: Format,
}

/// Shows the flow records asked for.
///
/// # Errors
/// Returns a usage failure for arguments that do not fit together, and a failure if the store cannot be read.
pub(crate) async fn run(global: &GlobalArguments, arguments: &FlowsArguments) -> CommandResult {
    if arguments.follow && arguments.output == Format::Json {
        return Err(
            Failure::usage(anyhow::anyhow!("--follow has no end, and a JSON array needs one")).fix("use -o jsonl")
        );
    }
    let now = Zoned::now();
    let selection = arguments.selection.resolve(&now)?;
    let store = kept::open(global)?;
    let terminal = Terminal::of_stdout(global.color);
    let notes = kept::notes(&store, selection.from, terminal.interactive).await?;
    let writer = if arguments.follow { FlowWriter::live } else { FlowWriter::new };
    let mut shown = Shown::on_stdout(writer(arguments.output, terminal, now));
    notes.print();
    if arguments.follow {
        follow_from(&store, &selection, arguments.last, &mut shown).await?;
        return Ok(kept::exit_of(shown.partial()));
    }
    let asked_nothing = selection.from.is_none() && selection.to.is_none() && arguments.first.is_none();
    match (arguments.last, arguments.first) {
        (Some(last), _) => drop(newest(&store, &selection, last as usize, &mut shown).await?),
        (None, _) if asked_nothing => drop(newest(&store, &selection, DEFAULT_LAST, &mut shown).await?),
        (None, first) => oldest(&store, &selection, first, &mut shown).await?,
    }
    shown.finish()?;
    if asked_nothing && arguments.last.is_none() && shown.written() == DEFAULT_LAST as u64 && terminal.interactive {
        Notes::line(&format!("the newest {DEFAULT_LAST}; --last N or --since 1h shows more"));
    }
    Ok(kept::exit_of(shown.partial()))
}

/// Shows the newest records, oldest first, and returns them.
async fn newest(
    store: &impl FlowStore,
    selection: &Selection,
    last: usize,
    shown: &mut Shown,
) -> Result<Vec<FlowRecord>, Failure> {
    let mut records: Vec<FlowRecord> = Vec::new();
    let mut query = question(selection, Order::NewestFirst, MAX_PAGE.min(last));
    while records.len() < last {
        query.limit = MAX_PAGE.min(last - records.len());
        let page = store.flows(&query).await?;
        records.extend(page.records);
        shown.note(page.partial);
        query.cursor = page.next;
        if query.cursor.is_none() {
            break;
        }
    }
    records.reverse();
    for batch in records.chunks(PAGE) {
        shown.write(batch)?;
    }
    Ok(records)
}

async fn oldest(
    store: &impl FlowStore,
    selection: &Selection,
    first: Option<u64>,
    shown: &mut Shown,
) -> Result<(), Failure> {
    let mut left = first.unwrap_or(u64::MAX);
    let mut query = question(selection, Order::OldestFirst, PAGE);
    while left > 0 {
        query.limit = usize::try_from(left).unwrap_or(PAGE).min(PAGE);
        let page = store.flows(&query).await?;
        left = left.saturating_sub(page.records.len() as u64);
        shown.write(&page.records)?;
        shown.note(page.partial);
        query.cursor = page.next;
        if query.cursor.is_none() {
            break;
        }
    }
    Ok(())
}

/// Shows what is there, then what is stored from now on.
///
/// With a time, all since then is walked through in the order of storing, and following is going on with that. Without,
/// the newest few are shown first; those that were stored meanwhile come again on the walk and are passed over.
async fn follow_from(
    store: &impl FlowStore,
    selection: &Selection,
    last: Option<u64>,
    shown: &mut Shown,
) -> Result<(), Failure> {
    let shutdown = Shutdown::new();
    shutdown.on_signals()?;
    let (mut behind, mut seen) = (None, HashSet::new());
    if selection.from.is_none() || last.is_some() {
        behind = Some(store.state().await?.end);
        let records =
            newest(store, selection, last.map_or(DEFAULT_LAST_FOLLOWING, |last| last as usize), shown).await?;
        seen.extend(records.into_iter().map(|record| (record.stream, record.seq)));
    }
    follow(store, selection, behind, seen, shown, &shutdown.token()).await
}
