//! `millrace demo`: the recorded lab, replayed through the whole pipeline. Nothing stays behind.

use std::io::{self, Write};
use std::time::Duration;

use clap::Args;
use jiff::Zoned;
use service::shutdown::Shutdown;
use store::SqliteStore;

use crate::arguments::{GlobalArguments, NameArguments};
use crate::command::{reconcile, run, summary};
use crate::failure::CommandResult;
use crate::kept::Notes;
use crate::pipeline::Pipeline;
use crate::render::flow::{FlowWriter, Format};
use crate::selection::SelectionArguments;
use crate::terminal::Terminal;
use crate::when::duration_argument;
use crate::{sample, settings, source};

/// Arguments of `millrace demo`.
#[derive(Debug, Args)]
#[command(
    after_help = "No root, no cluster, no server: a recording of the storefront lab is carried in the binary. Ctrl-C goes to the summary.

What to look at: the rogue pod knocks on everything and is dropped (the kernel's reason stands at the end of the line); the
summary counts each attempt once; the balance at the end says that nothing is missing."
)]
pub(crate) struct DemoArguments {
    /// End by itself after that long [default: with the recording]
    #[arg(long = "for", value_name = "DURATION", value_parser = duration_argument)]
    run_for: Option<Duration>,
    /// Format of the flows shown
    #[arg(long, short = 'o', value_enum, default_value_t)]
    output: Format,
}

/// Replays the sample, then sums it up and draws the balance.
///
/// # Errors
/// Returns a failure if the pipeline fails.
pub(crate) async fn run(global: &GlobalArguments, arguments: &DemoArguments) -> CommandResult {
    let directory = tempfile::Builder::new().prefix("millrace-demo-").tempdir()?;
    let sample = sample::write_to(directory.path())?;
    let path = |path: &std::path::Path| Some(path.to_string_lossy().into_owned());
    let flags = [
        ("data_dir", "demo", path(&directory.path().join("state"))),
        ("probe.replay", "demo", path(&sample.raw)),
        ("probe.replay_pace", "demo", Some("recorded".to_owned())),
        ("probe.replay_times", "demo", Some("now".to_owned())),
        ("enricher.manifests", "demo", path(&sample.manifests)),
        ("admin.listen", "demo", Some("off".to_owned())),
    ];
    let mut global = global.clone();
    global.log_level.get_or_insert_with(|| "warn".to_owned());
    let settings = settings::load_with(&global, &NameArguments::default(), &flags)?;
    settings.log.start()?;
    let shutdown = Shutdown::new();
    shutdown.on_signals()?;
    let terminal = Terminal::of_stdout(global.color);
    Notes::line("a recording of the storefront lab, with the times of now; every line is a flow key in a window");
    let pipeline = Pipeline::new(settings).await?;
    let store = pipeline.store();
    if let Some(run_for) = arguments.run_for {
        source::end_after(run_for, &shutdown);
    }
    let writer = FlowWriter::live(arguments.output, terminal, Zoned::now());
    run::run_and_show(pipeline, Some(writer), &shutdown).await?;
    sum_up(&store, terminal).await
}

/// Prints the flows by pair and outcome, and the balance; the exit code is the balance's.
async fn sum_up(store: &SqliteStore, terminal: Terminal) -> CommandResult {
    let report = reconcile::draw(store, &Zoned::now()).await?;
    let everything = SelectionArguments::default().resolve(&Zoned::now())?;
    let answer = summary::ask(store, &everything, 50).await?;
    let mut out = io::stdout().lock();
    writeln!(out, "\nAttempts by pair and outcome, each counted once:\n")?;
    summary::print_table(&mut out, &answer, terminal)?;
    writeln!(out, "\nThe balance, drawn from what is stored:\n")?;
    reconcile::print(&mut out, &report, terminal)?;
    Ok(reconcile::exit_of(&report))
}
