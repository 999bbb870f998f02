//! SIGINT and SIGTERM: the first asks the work to end, or ends it; the laboratory is taken down either way.

use std::process::ExitCode;
use std::sync::mpsc::Sender;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

/// What shells expect of a process that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

/// Runs work that ends by itself after a word on `ended`, which the first signal sends. The second breaks it off.
pub(super) fn with(
    ended: Sender<()>,
    work: impl FnOnce() -> anyhow::Result<ExitCode> + Send + 'static,
) -> anyhow::Result<ExitCode> {
    run(Some(ended), work)
}

/// Runs work that a signal breaks off.
pub(super) fn with_default(
    work: impl FnOnce() -> anyhow::Result<ExitCode> + Send + 'static,
) -> anyhow::Result<ExitCode> {
    run(None, work)
}

fn run(
    mut ended: Option<Sender<()>>,
    work: impl FnOnce() -> anyhow::Result<ExitCode> + Send + 'static,
) -> anyhow::Result<ExitCode> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot wait for signals")?;
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
        let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
        let (sender, mut done) = oneshot::channel();
        std::thread::spawn(move || sender.send(work()));
        loop {
            tokio::select! {
                result = &mut done => return result.context("the work broke off")?,
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            match ended.take() {
                Some(ended) => drop(ended.send(())),
                // The guard sees this process end and takes the laboratory down.
                None => return Ok(ExitCode::from(INTERRUPTED)),
            }
        }
    })
}
