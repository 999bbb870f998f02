//! The subcommands.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use lab::names::LabId;
use lab::world::NODES;
use lab::{Amount, Lab, Ledger, NodePlace, Options, Scenario, process, sweep};

mod signals;

/// The laboratory: a cluster of two nodes in network namespaces, its traffic, and the ledger of it.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) enum Command {
    /// Build it, let the storefront's traffic flow, and keep it until Ctrl-C or SIGTERM
    Up {
        /// How long, such as 30s or 5m; otherwise until told to end
        #[arg(long = "for", value_name = "TIME", value_parser = duration)]
        time: Option<Duration>,
        /// Attempts a second of a task with share 1; 0 for no traffic
        #[arg(long, default_value_t = 1.0)]
        rate: f64,
        /// The traffic: a built-in scenario or a file
        #[arg(long, default_value = "storefront")]
        scenario: String,
        /// Where ledgers go
        #[arg(long)]
        out: Option<PathBuf>,
        /// The id that all its names carry: five lower-case letters or digits
        #[arg(long, value_parser = lab_id)]
        id: Option<LabId>,
    },
    /// Build it, make the attempts of a scenario, write the ledger, take it down; exit 1 if any went otherwise than promised
    Run {
        /// A built-in scenario (everything, storefront, windows, crowd, preexisting) or a file
        #[arg(long, default_value = "everything")]
        scenario: String,
        /// Attempts of each task and address family
        #[arg(long, default_value_t = 20)]
        count: u64,
        /// Where ledgers go
        #[arg(long)]
        out: PathBuf,
        /// Only tasks whose name contains this
        #[arg(long)]
        only: Option<String>,
    },
    /// Remove what killed laboratories left behind
    Clean {
        /// Also take down those that are alive
        #[arg(long)]
        all: bool,
    },
    /// Copy the manifests that describe the laboratory to a folder
    Manifests {
        /// The folder
        #[arg(long)]
        out: PathBuf,
    },
    /// Be a process of a laboratory
    #[command(hide = true)]
    Process {
        /// The file with its plan
        plan: PathBuf,
    },
    /// Wait for the end of the input, then sweep a laboratory
    #[command(hide = true)]
    Guard {
        /// The laboratory
        #[arg(value_parser = lab_id)]
        id: LabId,
    },
}

/// Carries out a subcommand.
pub(crate) fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Up { time, rate, scenario, out, id } => {
            let options = Options { id, folder: out, binary: None };
            let scenario = Scenario::load(&scenario)?;
            let (sender, receiver) = channel();
            signals::with(sender, move || up(options, &scenario, rate, time, &receiver))
        }
        Command::Run { scenario, count, out, only } => {
            let scenario = Scenario::load(&scenario)?;
            let scenario = scenario.only(|task| only.as_ref().is_none_or(|part| task.name.contains(part)));
            let options = Options { folder: Some(out), ..Options::default() };
            signals::with_default(move || run_once(options, &scenario, count))
        }
        Command::Clean { all } => {
            for id in sweep::clean(all)? {
                say(format_args!("removed laboratory {id}"));
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Manifests { out } => {
            lab::manifests::copy_to(&out).with_context(|| format!("cannot write manifests to `{}`", out.display()))?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Process { plan } => process::run(&plan).map(|()| ExitCode::SUCCESS),
        Command::Guard { id } => guard(&id),
    }
}

/// Tells what went wrong, with all its reasons.
pub(crate) fn complain(error: &anyhow::Error) {
    // Nobody is left to tell if this fails.
    let _ = writeln!(io::stderr().lock(), "lab: {error:#}");
}

fn up(
    options: Options,
    scenario: &Scenario,
    rate: f64,
    time: Option<Duration>,
    ended: &Receiver<()>,
) -> anyhow::Result<ExitCode> {
    let mut lab = Lab::new(options)?;
    announce(&lab)?;
    let running = if rate > 0.0 { Some(lab.start(scenario, Amount::PerSecond(rate))?) } else { None };
    match time {
        // Either the time is over or somebody wants it to be.
        Some(time) => drop(ended.recv_timeout(time)),
        None => drop(ended.recv()),
    }
    let mut code = ExitCode::SUCCESS;
    if let Some(mut running) = running {
        running.stop()?;
        code = summarize(&lab.finish(running)?);
    }
    lab.down()?;
    Ok(code)
}

fn run_once(options: Options, scenario: &Scenario, count: u64) -> anyhow::Result<ExitCode> {
    let mut lab = Lab::new(options)?;
    let ledger = lab.run(scenario, count)?;
    lab.down()?;
    Ok(summarize(&ledger))
}

/// Prints one line of JSON: where the nodes are, for whoever starts probes on them.
fn announce(lab: &Lab) -> anyhow::Result<()> {
    #[derive(serde::Serialize)]
    struct Announcement<'a> {
        lab: String,
        folder: &'a Path,
        nodes: Vec<NodePlace>,
    }
    let nodes = NODES.iter().filter_map(|node| lab.node(node.name)).collect();
    let line = serde_json::to_string(&Announcement { lab: lab.id().to_string(), folder: lab.folder(), nodes })?;
    say(format_args!("{line}"));
    Ok(())
}

fn summarize(ledger: &Ledger) -> ExitCode {
    let surprises = ledger.surprises();
    say(format_args!(
        "{} attempts, {} receipts, {} otherwise than promised",
        ledger.attempts.len(),
        ledger.receipts.len(),
        surprises.len()
    ));
    for attempt in surprises.iter().take(20) {
        say(format_args!(
            "  {} #{} to {}: promised {:?}, saw {:?}",
            attempt.task, attempt.id, attempt.destination, attempt.expected, attempt.saw
        ));
    }
    if surprises.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn guard(id: &LabId) -> anyhow::Result<ExitCode> {
    io::copy(&mut io::stdin().lock(), &mut io::sink()).context("cannot wait for the builder")?;
    // If the builder has swept, there is nothing left; if it was killed, this is the sweep. Whoever has the id now is
    // another laboratory, and its things are not ours.
    if let Some(_claim) = sweep::Claim::take(id).context("cannot claim the laboratory")? {
        sweep::sweep(id)?;
        sweep::forget(id);
    }
    Ok(ExitCode::SUCCESS)
}

fn say(line: std::fmt::Arguments<'_>) {
    // A closed pipe is the reader's wish to hear no more.
    let _ = writeln!(io::stdout().lock(), "{line}");
}

fn duration(text: &str) -> Result<Duration, String> {
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let number: u64 = digits.parse().map_err(|_| format!("`{text}` is no time: write 30s, 5m or 1h"))?;
    let seconds = match unit {
        "" | "s" => number,
        "m" => number.saturating_mul(60),
        "h" => number.saturating_mul(3600),
        _ => return Err(format!("`{unit}` is no unit of time: write s, m or h")),
    };
    Ok(Duration::from_secs(seconds))
}

fn lab_id(text: &str) -> Result<LabId, String> {
    LabId::parse(text).ok_or_else(|| "an id is five lower-case letters or digits".to_owned())
}
