//! `millrace doctor`: what this host can do, and the fix for what it cannot.

use std::io::{self, Write};

use clap::Args;
use serde::Serialize;

use crate::arguments::{GlobalArguments, NameArguments};
use crate::doctor::{Check, Host, State, examine};
use service::exit::Exit;

use crate::failure::CommandResult;
use crate::render::json;
use crate::render::table::{Cell, Column, Table};
use crate::terminal::{Terminal, Tone, printable};

/// Arguments of `millrace doctor`.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit code 0 if `millrace run` would see everything or nearly everything (ok, warn), 1 if a line is fail."
)]
pub(crate) struct DoctorArguments {
    /// Print the checks as one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    names: NameArguments,
}

/// Examines the host and prints what was found.
///
/// # Errors
/// Returns a failure if standard output cannot be written.
pub(crate) fn run(global: &GlobalArguments, arguments: &DoctorArguments) -> CommandResult {
    let checks = examine(&Host::this(), global, &arguments.names);
    let failed = checks.iter().any(|check| check.state == State::Fail);
    let mut out = io::stdout().lock();
    if arguments.json {
        let report = Report { ok: !failed, checks: &checks };
        writeln!(out, "{}", json::pretty(&report)?)?;
    } else {
        print(&mut out, &checks, Terminal::of_stdout(global.color))?;
    }
    Ok(if failed { Exit::No } else { Exit::Yes })
}

#[derive(Serialize)]
struct Report<'a> {
    ok: bool,
    checks: &'a [Check],
}

fn print(out: &mut dyn Write, checks: &[Check], terminal: Terminal) -> io::Result<()> {
    let columns = [Column::text(""), Column::text("CHECK"), Column::text("FOUND")];
    let longest = checks.iter().map(|check| check.name.len()).max().unwrap_or_default();
    let mut table = Table::new(
        &[columns[0].expect(4), columns[1].expect(longest), columns[2]],
        Terminal { width: None, ..terminal },
    );
    for check in checks {
        let (word, tone) = match check.state {
            State::Ok => ("ok", Tone::Good),
            State::Warn => ("warn", Tone::Warning),
            State::Fail => ("fail", Tone::Bad),
        };
        table.write(out, &[vec![Cell::toned(word, tone), Cell::new(check.name), Cell::new(&check.found)]])?;
        if let Some(fix) = &check.fix {
            writeln!(out, "{:6}{:longest$}  fix: {}", "", "", printable(fix))?;
        }
    }
    let count = |state| checks.iter().filter(|check| check.state == state).count();
    writeln!(out, "\n{} ok, {} warn, {} fail", count(State::Ok), count(State::Warn), count(State::Fail))
}
