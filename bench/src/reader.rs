//! The limit of the probe's user space: all hooks, and a reader that drains the rings and does nothing with what it reads.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use clap::Args;
use probe::kernel::{Kernel, KernelOptions};
use serde::{Deserialize, Serialize};

use crate::measured::{own_cpu, pause};
use crate::report::say;

/// As often as the probe looks while there is much to read.
pub(crate) const POLL_EVERY: Duration = Duration::from_millis(20);
/// The line that says that all hooks are there.
pub(crate) const READY: &str = "ready";

/// Drains until its standard input ends.
#[derive(Debug, Args)]
pub(crate) struct Reader {}

/// What it read.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Read {
    /// Events read since all hooks are there.
    pub(crate) events: u64,
    /// CPU time since then.
    pub(crate) cpu_us: u64,
}

impl Reader {
    /// Runs it in this process.
    #[expect(clippy::unused_self, reason = "all contenders are run alike")]
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let (mut kernel, _) = Kernel::start(&KernelOptions::default())?;
        let (mut events, cpu) = (0, own_cpu());
        say(READY);
        let ended = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
                ended.store(true, Ordering::Relaxed);
            });
            while !ended.load(Ordering::Relaxed) {
                events += drain(&mut kernel);
                pause(POLL_EVERY);
            }
        });
        events += drain(&mut kernel);
        let cpu_us = u64::try_from(own_cpu().saturating_sub(cpu).as_micros())?;
        say(&serde_json::to_string(&Read { events, cpu_us })?);
        Ok(())
    }
}

fn drain(kernel: &mut Kernel) -> u64 {
    let mut events = 0;
    while kernel.poll(|_| events += 1).more {}
    events
}
