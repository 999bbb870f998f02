//! The `millrace` binary: reads the command line, runs one command, and ends with its exit code.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod arguments;
mod command;
mod doctor;
mod failure;
mod follow;
mod kept;
mod pipeline;
#[cfg(test)]
mod reference;
mod render;
mod sample;
mod selection;
mod settings;
mod source;
mod terminal;
#[cfg(test)]
mod test_support;
mod when;

use std::process::ExitCode;

use clap::Parser;
use service::exit::Exit;

use arguments::{Arguments, Command};
use failure::CommandResult;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(answer) => {
            // Help and version are answers, everything else is a usage error; a reader that went away is neither.
            let exit = if answer.use_stderr() { Exit::Usage } else { Exit::Yes };
            let _ = answer.print();
            return exit.into();
        }
    };
    let exit = dispatch(&arguments).unwrap_or_else(|failure| failure.report());
    exit.into()
}

fn dispatch(arguments: &Arguments) -> CommandResult {
    let global = &arguments.global;
    match &arguments.command {
        Command::Completions(arguments) => command::completions::run(arguments),
        Command::Config(arguments) => command::config::run(global, arguments),
        Command::DeadLetters(arguments) => asynchronous(command::dead_letters::run(global, arguments)),
        Command::Demo(arguments) => asynchronous(command::demo::run(global, arguments)),
        Command::Doctor(arguments) => command::doctor::run(global, arguments),
        Command::Flows(arguments) => asynchronous(command::flows::run(global, arguments)),
        Command::Man(arguments) => command::man::run(arguments),
        Command::Probe(arguments) => asynchronous(command::probe::run(global, arguments)),
        Command::Reconcile(arguments) => asynchronous(command::reconcile::run(global, arguments)),
        Command::Run(arguments) => asynchronous(command::run::run(global, arguments)),
        Command::Summary(arguments) => asynchronous(command::summary::run(global, arguments)),
    }
}

/// Runs a command on a runtime of its own.
fn asynchronous(command: impl Future<Output = CommandResult>) -> CommandResult {
    tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("millrace").build()?.block_on(command)
}
