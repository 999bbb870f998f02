//! The inside of a process of the laboratory: it goes where its plan says, then serves or asks.
//!
//! It talks with the builder over its standard streams: it writes `ready` and `flushed`, it reads `release`, `stop` and
//! `flush`. The end of its input means that the builder is gone, and it ends.

use std::fs;
use std::io::{self, BufRead as _, Write as _};
use std::path::Path;

use anyhow::Context as _;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::sync::watch;

use crate::plan::{Plan, Work};
use crate::{client, netns, server};

/// What the builder has said so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Orders {
    /// Gated connections may go on.
    pub(crate) release: bool,
    /// No more attempts.
    pub(crate) stop: bool,
    /// How often receipts were asked for.
    pub(crate) flushes: u64,
    /// The builder is gone, or wants this process gone.
    pub(crate) over: bool,
}

/// Carries out the plan in a file.
///
/// # Errors
/// If the plan cannot be read, its place not be entered, or its ledger not be written.
pub fn run(plan: &Path) -> anyhow::Result<()> {
    let text = fs::read_to_string(plan).with_context(|| format!("cannot read plan `{}`", plan.display()))?;
    let plan: Plan = serde_json::from_str(&text).context("the plan is not valid")?;
    settle(&plan)?;
    let orders = listen_to_builder();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start a runtime")?;
    runtime.block_on(async {
        match &plan.work {
            Work::Serve(listeners) => server::run(&plan, listeners, orders).await,
            Work::Ask(tasks) => client::run(&plan, tasks, orders).await,
        }
    })
}

/// Tells the builder something, by a word on a line. A builder that is gone hears nothing, and its orders end soon.
pub(crate) fn say(word: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{word}").and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        said => said,
    }
}

/// Joins cgroup and namespace. The cgroup comes first and before any socket, for a socket keeps that of its birth.
fn settle(plan: &Plan) -> anyhow::Result<()> {
    let pid = std::process::id().to_string();
    fs::write(plan.cgroup.join("cgroup.procs"), pid)
        .with_context(|| format!("cannot join cgroup `{}`", plan.cgroup.display()))?;
    netns::enter(&plan.netns)?;
    // The command name is what kernel and probe tell of a process.
    fs::write("/proc/self/comm", &plan.comm).context("cannot set the command name")?;
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).context("cannot read the limit of open files")?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most).context("cannot raise the limit of open files")?;
    Ok(())
}

/// Reads orders on a thread of its own; it opens no socket, so its name and place do not matter.
fn listen_to_builder() -> watch::Receiver<Orders> {
    let (sender, receiver) = watch::channel(Orders::default());
    std::thread::spawn(move || {
        for line in io::stdin().lock().lines() {
            let Ok(line) = line else { break };
            sender.send_modify(|orders| match line.as_str() {
                "release" => orders.release = true,
                "stop" => {
                    orders.release = true;
                    orders.stop = true;
                }
                "flush" => orders.flushes += 1,
                _ => {}
            });
        }
        sender.send_modify(|orders| orders.over = true);
    });
    receiver
}
