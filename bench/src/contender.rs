//! What is measured beside the product: this program again, each contender a process of its own.
//!
//! A contender prints one JSON line, its answer, when it has ended well.

use std::env;
use std::io::Read as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Subcommand;
use serde::de::DeserializeOwned;

use crate::load::Load;
use crate::measured::{Cost, Process, pause};
use crate::reader::Reader;
use crate::whole::blobs::Blobs;
use crate::whole::stages::Stages;

/// No contender takes longer; one that hangs must not hang the run.
const LONGEST: Duration = Duration::from_secs(600);

/// The contenders, as the command line knows them.
#[derive(Debug, Subcommand)]
pub(crate) enum Contender {
    /// Makes connections
    #[command(hide = true)]
    Load(Load),
    /// Drains the rings of the kernel programs
    #[command(hide = true)]
    Reader(Reader),
    /// Stores flow records in the store, and nothing else
    #[command(hide = true)]
    Stages(Stages),
    /// Stores the bytes of flow records in one table
    #[command(hide = true)]
    Blobs(Blobs),
}

impl Contender {
    /// Runs it in this process.
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        match self {
            Self::Load(load) => load.run(),
            Self::Reader(reader) => reader.run(),
            Self::Stages(stages) => stages.run(),
            Self::Blobs(blobs) => blobs.run(),
        }
    }
}

/// Starts a contender.
pub(crate) fn start(name: &str, arguments: &[String]) -> anyhow::Result<Process> {
    let mut command = Command::new(env::current_exe().context("cannot find this program")?);
    command.arg(name).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
    Process::start(&mut command)
}

/// Waits for a contender's end and returns its answer. `meanwhile` is called every few milliseconds.
pub(crate) fn answer<T: DeserializeOwned>(
    mut process: Process,
    mut meanwhile: impl FnMut(),
) -> anyhow::Result<(T, Cost)> {
    while !process.has_ended()? {
        meanwhile();
        pause(Duration::from_millis(20));
    }
    let mut text = String::new();
    if let Some(out) = process.child().stdout.as_mut() {
        out.read_to_string(&mut text).context("cannot read what it says")?;
    }
    let cost = process.end(LONGEST)?;
    if !cost.status.success() {
        bail!("it ended with {}", cost.status);
    }
    let line = text.lines().last().unwrap_or_default();
    let answer = serde_json::from_str(line).with_context(|| format!("its answer `{line}` cannot be read"))?;
    Ok((answer, cost))
}
