//! The command line.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use crate::contender::Contender;

/// Fewer rounds say nothing about the spread.
const DEFAULT_ROUNDS: usize = 5;

/// Measures what Millrace costs, beside what it would cost at least.
#[derive(Debug, Parser)]
#[command(
    name = "bench",
    after_help = "Contenders take turns within one run; figures of two runs are never compared. A missed goal is printed and is no \
failure.

Exit codes: 0 everything ran · 2 usage · 5 a run failed or lost records"
)]
pub(crate) struct Arguments {
    /// Measure only this part; may be given again
    #[arg(long, value_name = "PART", value_enum)]
    pub(crate) only: Vec<Part>,
    /// Turns of each contender
    #[arg(long, value_name = "N", default_value_t = DEFAULT_ROUNDS, value_parser = rounds)]
    pub(crate) rounds: usize,
    /// Small sizes and two rounds: shows that it works, says nothing about speed
    #[arg(long, conflicts_with = "rounds")]
    pub(crate) quick: bool,
    /// Also write everything that was measured to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// The `millrace` to measure [default: built with the release profile]
    #[arg(long, value_name = "FILE")]
    pub(crate) millrace: Option<PathBuf>,
    /// What is measured, as a process of its own
    #[command(subcommand)]
    pub(crate) contender: Option<Contender>,
}

/// What can be measured by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// The kernel programs of the probe
    Kernel,
    /// The probe's user space
    Probe,
    /// The whole of `millrace run`
    Run,
}

impl Part {
    const ALL: [Self; 3] = [Self::Kernel, Self::Probe, Self::Run];

    /// Returns the name that `--only` takes.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Probe => "probe",
            Self::Run => "run",
        }
    }
}

impl Arguments {
    /// Returns the parts to measure, in their order.
    pub(crate) fn parts(&self) -> Vec<Part> {
        let wanted = |part: &Part| self.only.is_empty() || self.only.contains(part);
        Part::ALL.into_iter().filter(wanted).collect()
    }

    /// Returns how often each contender has its turn.
    pub(crate) fn turns(&self) -> usize {
        if self.quick { 2 } else { self.rounds }
    }

    /// Returns a size, or a small one for a run that only shows that it works.
    pub(crate) fn size(&self, full: u64, quick: u64) -> u64 {
        if self.quick { quick } else { full }
    }
}

fn rounds(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(rounds @ 1..=100) => Ok(rounds),
        _ => Err("must be a number from 1 to 100".to_owned()),
    }
}
