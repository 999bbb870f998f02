//! `millrace dead-letters`: what could not become a stored record, and why.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};

use clap::{Args, ValueEnum};
use jiff::Zoned;
use store::{DeadLetter, DeadLetterQuery, FlowStore};

use crate::arguments::GlobalArguments;
use crate::failure::{CommandResult, Failure};
use crate::kept::{self, Notes};
use crate::render::json;
use crate::render::table::{Cell, Column, Table};
use crate::terminal::{Terminal, Tone};
use crate::when::{self, When};

/// Letters a page; each may hold a message of 1 MiB.
const PAGE: usize = 200;

/// Arguments of `millrace dead-letters`.
#[derive(Debug, Args)]
#[command(
    after_help = "A dead letter keeps the message as it came: it is no loss, and stands in the balance of records. Frequent reasons:
  time_suspect            a flow older than the retention or ahead of the clock: replay with probe.replay_times: now, or check the clocks
  undecodable    the message is no valid record: writer and reader are of different versions"
)]
pub(crate) struct DeadLettersArguments {
    /// Of messages from then on: 15m (ago), a time, today
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    since: Option<When>,
    /// Of messages up to then
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    until: Option<When>,
    /// Format
    #[arg(long, short = 'o', value_enum, default_value_t)]
    output: LetterFormat,
}

/// How dead letters are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum LetterFormat {
    /// One line a letter
    #[default]
    Table,
    /// One whole letter a line, with the message
    Jsonl,
}

/// Shows the dead letters asked for, and how many there are of each reason.
///
/// # Errors
/// Returns a failure if the store cannot be read.
pub(crate) async fn run(global: &GlobalArguments, arguments: &DeadLettersArguments) -> CommandResult {
    let now = Zoned::now();
    let time = |when: &Option<When>| when.as_ref().map(|when| when.resolve(&now)).transpose().map_err(Failure::usage);
    let (from, to) = (time(&arguments.since)?, time(&arguments.until)?);
    let store = kept::open(global)?;
    let mut query = DeadLetterQuery { from, to, limit: PAGE, cursor: None };
    let mut out = BufWriter::new(io::stdout());
    let mut table = Table::new(&COLUMNS, Terminal::of_stdout(global.color));
    let (mut counts, mut partial) = (BTreeMap::<(&str, String), u64>::new(), Vec::new());
    loop {
        let page = store.dead_letters(&query).await?;
        match arguments.output {
            LetterFormat::Table => table.write(&mut out, &page.letters.iter().map(row).collect::<Vec<_>>())?,
            LetterFormat::Jsonl => {
                page.letters.iter().try_for_each(|letter| writeln!(out, "{}", json::line(letter)?))?;
            }
        }
        for letter in &page.letters {
            *counts.entry((letter.stage.label(), letter.reason.clone())).or_default() += 1;
        }
        partial.extend(page.partial);
        query.cursor = page.next;
        if query.cursor.is_none() {
            break;
        }
    }
    out.flush()?;
    for ((stage, reason), count) in &counts {
        Notes::line(&format!("{count} by the {stage}: {reason}"));
    }
    Ok(kept::exit_of(&partial))
}

const COLUMNS: [Column; 6] = [
    Column::text("TIME").expect(24),
    Column::text("STAGE").expect(8),
    Column::text("REASON").expect(12),
    Column::text("RECORD").may_cut().expect(30),
    Column::text("FROM").may_cut(),
    Column::text("DETAIL").may_cut(),
];

fn row(letter: &DeadLetter) -> Vec<Cell> {
    let record = letter.id.as_ref().map_or_else(|| "foreign".to_owned(), ToString::to_string);
    vec![
        Cell::toned(when::show_exact(letter.timestamp), Tone::Faint),
        Cell::new(letter.stage.label()),
        Cell::toned(&letter.reason, Tone::Warning),
        Cell::new(record),
        Cell::new(format!("{}/{}@{}", letter.topic, letter.partition, letter.offset)),
        Cell::new(&letter.detail),
    ]
}
