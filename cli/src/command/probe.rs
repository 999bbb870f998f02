//! `millrace probe`: raw records as JSON lines, without a bus and a store.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use bus::{BusError, Producer, Record};
use clap::Args;
use probe::metrics::{COMPONENT, ProbeMetrics};
use probe::pipeline::{ProbeError, Summary};
use service::exit::Exit;
use service::health::Health;
use service::metrics::MetricsBuilder;
use service::shutdown::Shutdown;

use crate::arguments::{GlobalArguments, NameArguments};
use crate::failure::{CommandResult, Failure};
use crate::settings;
use crate::source::{self, SourceArguments};
use crate::when::duration_argument;

/// Arguments of `millrace probe`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  millrace probe                                  raw records on standard output, until Ctrl-C
  millrace probe --output raw.jsonl --for 1m      a sample, to be read with `millrace run --replay raw.jsonl`

The schemas are docs/reference/schemas/raw-flow.v1.schema.json and ledger.v1.schema.json. Needs CAP_BPF, CAP_PERFMON and
CAP_NET_ADMIN: see `millrace doctor`.")]
pub(crate) struct ProbeArguments {
    /// Where raw records go: a file, or - for standard output
    #[arg(long, short = 'o', value_name = "FILE", default_value = "-")]
    output: PathBuf,
    /// End by itself after that long
    #[arg(long = "for", value_name = "DURATION", value_parser = duration_argument)]
    run_for: Option<Duration>,
    #[command(flatten)]
    source: SourceArguments,
    #[command(flatten)]
    names: NameArguments,
}

/// Runs the probe until the end is asked for.
///
/// # Errors
/// Returns a usage failure for wrong settings, and a failure if the probe cannot start or the output not be written.
pub(crate) async fn run(global: &GlobalArguments, arguments: &ProbeArguments) -> CommandResult {
    let settings = settings::load_with(global, &arguments.names, &arguments.source.flags())?;
    settings.log.start()?;
    let shutdown = Shutdown::new();
    shutdown.on_signals()?;
    let _timer = arguments.run_for.map(|run_for| source::end_after(run_for, &shutdown));
    let mut metrics = MetricsBuilder::new(env!("CARGO_PKG_VERSION"), "probe".to_owned());
    let probe_metrics = ProbeMetrics::register(metrics.component(COMPONENT));
    let producer = JsonLines::open(&arguments.output)?;
    let place = source::place(&settings);
    let (health, stop) = (Health::new(), shutdown.token());
    let running = probe::pipeline::run(place, settings.probe, producer.clone(), probe_metrics, &health, stop);
    let ended = running.await;
    if let Some(error) = producer.take_failure() {
        return Err(Failure::failed(anyhow::Error::from(error).context("cannot write raw records")));
    }
    let Summary { stream, flows, ledgers, .. } = ended.map_err(|error| explain(error, &settings.data_dir))?;
    tracing::info!(%stream, flows, ledgers, "raw records written");
    Ok(Exit::Yes)
}

/// Adds to a failure of the probe what the operator can do about it.
pub(crate) fn explain(error: ProbeError, data_dir: &Path) -> Failure {
    let fix = match &error {
        ProbeError::Kernel(_) => {
            "run as root or with CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN; `millrace doctor` shows what is missing"
                .to_owned()
        }
        ProbeError::HostNetns(_) => {
            "give the node's network namespace with probe.host_netns, such as /proc/1/ns/net".to_owned()
        }
        ProbeError::Replay(_) => {
            "give a file of raw records as JSON lines, such as `millrace probe --output FILE` writes".to_owned()
        }
        ProbeError::Stream(_) => "give other names with --cluster and --node".to_owned(),
        ProbeError::Bus(_) | ProbeError::Thread(_) | ProbeError::BrokeOff => {
            format!(
                "see the log; what was stored is whole, `millrace reconcile --data-dir {}` shows the gap",
                data_dir.display()
            )
        }
    };
    Failure::failed(error).fix(fix)
}

/// A producer that writes each value as a line. Clones write to the same place.
#[derive(Clone)]
struct JsonLines {
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    out: Box<dyn Write + Send>,
    failure: Option<io::Error>,
}

impl JsonLines {
    fn open(path: &Path) -> Result<Self, Failure> {
        let out: Box<dyn Write + Send> = if path.as_os_str() == "-" {
            Box::new(BufWriter::new(io::stdout()))
        } else {
            Box::new(BufWriter::new(
                create(path)
                    .map_err(|error| Failure::failed(error).fix("give a path that can be written with --output"))?,
            ))
        };
        Ok(Self { inner: Arc::new(Mutex::new(Inner { out, failure: None })) })
    }

    fn take_failure(&self) -> Option<io::Error> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).failure.take()
    }
}

fn create(path: &Path) -> anyhow::Result<File> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).open(path);
    file.with_context(|| format!("cannot create `{}`", path.display()))
}

impl Inner {
    fn write(&mut self, records: &[Record]) -> io::Result<()> {
        for record in records {
            self.out.write_all(&record.value)?;
            self.out.write_all(b"\n")?;
        }
        self.out.flush()
    }
}

impl Producer for JsonLines {
    /// Writes and flushes: what is acknowledged is in the system's hands. A failure is kept with its own words, since
    /// the bus knows only that it cannot go on.
    async fn send(&self, records: Vec<Record>) -> Result<(), BusError> {
        let inner = Arc::clone(&self.inner);
        let written = tokio::task::spawn_blocking(move || {
            let mut inner = inner.lock().unwrap_or_else(PoisonError::into_inner);
            inner.write(&records).map_err(|error| {
                let reason = error.to_string();
                inner.failure = Some(error);
                reason
            })
        });
        match written.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(reason)) => Err(BusError::Refused { reason }),
            Err(error) => Err(BusError::Refused { reason: error.to_string() }),
        }
    }
}
