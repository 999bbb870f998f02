//! The command line: one tree, from which help, completions, man pages and the reference are made.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::command;
use crate::terminal::ColourChoice;

const LONG_ABOUT: &str = "\
Flow visibility for Kubernetes, on any CNI: every connection attempt of a node with its context and how it went, and an \
account of every event.

Start with `millrace demo` (no root needed), then `millrace doctor` and `millrace run`.";

const AFTER_HELP: &str = "\
Exit codes, of every command:
  0  yes, closed, clean
  1  the answer is no (findings, a balance that does not close)
  2  the command line or the settings are wrong
  3  the manifests are wrong
  4  undecidable, a partial answer, or not closed yet
  5  it failed

Settings: one YAML file < environment < flags. `millrace config schema` describes the file, `millrace config dump` shows
what holds, `millrace config check` finds every mistake at once.

Environment:
  MILLRACE_CONFIG           the settings file, as --config
  MILLRACE_DATA_DIR         as --data-dir; likewise MILLRACE_CLUSTER and MILLRACE_NODE
  MILLRACE_SECTION__KEY     any setting: MILLRACE_LOG__LEVEL=debug is `level` of the section `log`
  NO_COLOR                  no colours
  COLUMNS                   width of tables, also where output is no terminal";

/// Everything that the command line says.
#[derive(Debug, Parser)]
#[command(
    name = "millrace",
    version,
    about = "Flow visibility and policy assurance for Kubernetes, on any CNI",
    long_about = LONG_ABOUT,
    after_long_help = AFTER_HELP,
    propagate_version = true,
    subcommand_required = true,
    arg_required_else_help = true,
    max_term_width = 110
)]
pub(crate) struct Arguments {
    /// What holds for every command.
    #[command(flatten)]
    pub(crate) global: GlobalArguments,
    /// The command.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Arguments of every command.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct GlobalArguments {
    /// Settings file (YAML); without it, defaults, environment and flags hold
    #[arg(long, short = 'c', global = true, value_name = "FILE", env = "MILLRACE_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// Where flows are kept [default: /var/lib/millrace for root, else ~/.local/state/millrace]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Least severe log lines to write: error, warn, info, debug, trace, or a list such as info,enricher=debug
    #[arg(long, global = true, value_name = "LEVEL")]
    pub(crate) log_level: Option<String>,
    /// Form of log lines: auto, human, json [default: human on a terminal, else json]
    #[arg(long, global = true, value_name = "FORMAT")]
    pub(crate) log_format: Option<String>,
    /// When to use colours
    #[arg(long, global = true, value_name = "WHEN", value_enum, default_value_t)]
    pub(crate) color: ColourChoice,
}

/// How records of this process are named; arguments of the commands that make records.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct NameArguments {
    /// Name of the cluster in records [default: local]
    #[arg(long, value_name = "NAME")]
    pub(crate) cluster: Option<String>,
    /// Name of this node in records [default: the host's name]
    #[arg(long, value_name = "NAME")]
    pub(crate) node: Option<String>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Watch this node: kernel to store in one process
    Run(command::run::RunArguments),
    /// Write raw records as JSON lines: the probe alone
    Probe(command::probe::ProbeArguments),
    /// Show stored flows
    Flows(command::flows::FlowsArguments),
    /// Sum stored flows by pair and outcome
    Summary(command::summary::SummaryArguments),
    /// Draw the two balances: is every attempt and every record accounted for?
    Reconcile(command::reconcile::ReconcileArguments),
    /// Show what could not become a stored record, and why
    DeadLetters(command::dead_letters::DeadLettersArguments),
    /// Look at this host: what works, what does not, and the fix
    Doctor(command::doctor::DoctorArguments),
    /// See it work without root: a recorded lab, replayed through the whole pipeline
    Demo(command::demo::DemoArguments),
    /// Check, show or describe the settings
    Config(command::config::ConfigArguments),
    /// Print the completions of a shell
    Completions(command::completions::CompletionsArguments),
    /// Print the manual page, or write all of them
    Man(command::man::ManArguments),
}
