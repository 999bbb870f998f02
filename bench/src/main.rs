//! Measured comparisons: what Millrace costs, beside what it would cost at least, within one run.
//!
//! | part | module | measures |
//! |---|---|---|
//! | `kernel` | [`kernel_cost`] | the kernel programs of the probe, by hook, beside an empty program |
//! | `probe` | [`user_space`] | `millrace probe` under load, beside a reader that only drains the rings |
//! | `run` | [`whole`] | `millrace run` from a replay to SQLite, beside the store alone and a bare insert |
//!
//! [`statistics`] is the arithmetic, [`report`] the answer; [`load`] makes connections, [`input`] makes records. Programs
//! that are measured are processes of their own: the product's, or this one again under the name of a [`contender`].

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod arguments;
mod contender;
mod input;
mod interrupt;
mod kernel_cost;
mod load;
mod machine;
mod measured;
mod network;
mod product;
mod reader;
mod report;
mod statistics;
mod user_space;
mod whole;

use std::process::ExitCode;

use clap::Parser;

use arguments::{Arguments, Part};
use report::{Measured, Report};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match &arguments.contender {
        Some(contender) => contender.run().map(|()| ExitCode::SUCCESS),
        None => bench(&arguments),
    };
    done.unwrap_or_else(|error| {
        report::complain(&format!("bench: {error:#}"));
        ExitCode::from(5)
    })
}

/// Runs the parts, prints each as it ends, then the summary. A missed goal is told; only a failed or lossy run is a failure.
fn bench(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    interrupt::watch()?;
    let mut report = Report::new(machine::describe());
    report.print_head();
    for part in arguments.parts() {
        let measured = match (part, machine::missing_for_capture()) {
            (Part::Kernel | Part::Probe, Some(missing)) => {
                Measured::skipped(part.name(), format!("SKIPPED: part `{}` needs {missing}", part.name()))
            }
            (Part::Kernel, None) => kernel_cost::measure(arguments),
            (Part::Probe, None) => user_space::measure(arguments),
            (Part::Run, _) => whole::measure(arguments),
        };
        measured.print();
        report.add(measured);
        if interrupt::happened() {
            break;
        }
    }
    report.print_summary();
    if let Some(path) = &arguments.json {
        report.write_json(path)?;
    }
    Ok(if report.failed() { ExitCode::from(5) } else { ExitCode::SUCCESS })
}
