//! `millrace run`: everything in one process.

use std::collections::HashSet;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use jiff::Zoned;
use probe::settings::Source;
use service::exit::Exit;
use service::shutdown::{Shutdown, Token};
use store::{FlowStore, SqliteStore};
use tokio::task::JoinHandle;

use crate::arguments::{GlobalArguments, NameArguments};
use crate::failure::{CommandResult, Failure};
use crate::follow::{Shown, follow};
use crate::kept::{self, Notes};
use crate::pipeline::Pipeline;
use crate::render::flow::{FlowWriter, Format};
use crate::selection::SelectionArguments;
use crate::settings::{self, Flag, Settings};
use crate::source::{self, SourceArguments};
use crate::terminal::Terminal;
use crate::when::duration_argument;

/// Arguments of `millrace run`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  millrace run --data-dir ./state --manifests ./manifests
  millrace run --replay raw.jsonl --data-dir ./state     no root needed; ends with the file
  millrace run --show never --config /etc/millrace.yaml  as a service

Watching the kernel needs CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN: see `millrace doctor`. SIGINT or SIGTERM ends it in order:
what is under way is stored and the account closed; a second one ends it at once, and the gap is stated by the next run.")]
pub(crate) struct RunArguments {
    #[command(flatten)]
    source: SourceArguments,
    /// Folder of Kubernetes manifests that name the flows; read again when it changes
    #[arg(long, value_name = "DIR")]
    manifests: Option<PathBuf>,
    /// Address of the admin server (liveness, readiness, metrics), or off [default: 127.0.0.1:9700]
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<String>,
    /// Show flows as they are stored: auto shows them on a terminal
    #[arg(long, value_name = "WHEN", value_enum, default_value_t)]
    show: Show,
    /// Format of the flows shown
    #[arg(long, short = 'o', value_enum, default_value_t)]
    output: Format,
    /// End by itself after that long
    #[arg(long = "for", value_name = "DURATION", value_parser = duration_argument)]
    run_for: Option<Duration>,
    #[command(flatten)]
    names: NameArguments,
}

/// When flows are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Show {
    /// On a terminal
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

impl RunArguments {
    fn flags(&self) -> Vec<Flag> {
        let manifests = self.manifests.as_ref().map(|path| path.to_string_lossy().into_owned());
        let own = [("enricher.manifests", "--manifests", manifests), ("admin.listen", "--admin", self.admin.clone())];
        self.source.flags().into_iter().chain(own).collect()
    }
}

/// Runs all roles until the end is asked for or the source is at its end.
///
/// # Errors
/// Returns a usage failure for wrong settings, and a failure with its fix if a role cannot start or fails.
pub(crate) async fn run(global: &GlobalArguments, arguments: &RunArguments) -> CommandResult {
    let settings = settings::load_with(global, &arguments.names, &arguments.flags())?;
    settings.enricher.folder.dir.as_deref().map_or(Ok(()), settings::check_folder)?;
    settings.log.start()?;
    let shutdown = Shutdown::new();
    shutdown.on_signals()?;
    let terminal = Terminal::of_stdout(global.color);
    let show = match arguments.show {
        Show::Auto => terminal.interactive,
        Show::Always => true,
        Show::Never => false,
    };
    let pipeline = Pipeline::new(settings.clone()).await?;
    announce(&settings, &pipeline).await?;
    if let Some(run_for) = arguments.run_for {
        source::end_after(run_for, &shutdown);
    }
    let writer = show.then(|| FlowWriter::live(arguments.output, terminal, Zoned::now()));
    run_and_show(pipeline, writer, &shutdown).await?;
    Ok(Exit::Yes)
}

/// Runs a pipeline to its end, and shows what it stores.
///
/// # Errors
/// Returns the failure of the pipeline, else that of the showing.
pub(crate) async fn run_and_show(
    pipeline: Pipeline,
    writer: Option<FlowWriter>,
    shutdown: &Shutdown,
) -> Result<(), Failure> {
    let showing_ends = Shutdown::new();
    let showing = match writer {
        Some(writer) => Some(show(pipeline.store(), writer, showing_ends.token(), shutdown.clone()).await?),
        None => None,
    };
    let ran = pipeline.run(shutdown.token()).await;
    showing_ends.request();
    let shown = match showing {
        Some(showing) => showing.await?,
        None => Ok(()),
    };
    ran.and(shown)
}

/// Shows what is stored from now on. If nobody reads that any more, the end is asked for.
async fn show(
    store: SqliteStore,
    writer: FlowWriter,
    stop: Token,
    shutdown: Shutdown,
) -> Result<JoinHandle<Result<(), Failure>>, Failure> {
    // Both ends: the receiver's node knows what the initiator's cannot see, such as why a packet was dropped.
    let everything = SelectionArguments { all: true, ..SelectionArguments::default() }.resolve(&Zoned::now())?;
    let behind = store.state().await?.end;
    Ok(tokio::spawn(async move {
        let mut shown = Shown::on_stdout(writer);
        let followed = follow(&store, &everything, Some(behind), HashSet::new(), &mut shown, &stop).await;
        if followed.is_err() {
            shutdown.request();
        }
        followed.and_then(|()| Ok(shown.finish()?))
    }))
}

/// Says what runs, where the data is, and what is capped.
async fn announce(settings: &Settings, pipeline: &Pipeline) -> Result<(), Failure> {
    let source = match &settings.probe.source {
        Source::Kernel(_) => format!("the kernel of node {} (cluster {})", settings.node, settings.cluster),
        Source::Replay(replay) => format!("raw records of {} (cluster {})", replay.file.display(), settings.cluster),
    };
    let names = match &settings.enricher.folder.dir {
        Some(dir) => format!("manifests in {}, read again when they change", dir.display()),
        None => "none: ends are addresses and this node (--manifests DIR)".to_owned(),
    };
    let data = kept::holdings(&pipeline.store().state().await?);
    let admin = pipeline
        .admin_address()
        .map_or_else(|| "off".to_owned(), |address| format!("http://{address}/livez /readyz /metrics"));
    if io::stderr().is_terminal() {
        Notes::heading(&[("watches", &source), ("names", &names), ("data", &data), ("admin", &admin)]);
    } else {
        tracing::info!(version = env!("CARGO_PKG_VERSION"), source, names, data, admin, "millrace runs");
    }
    Ok(())
}
