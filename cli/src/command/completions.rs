//! `millrace completions`: what a shell needs to complete commands, options and their values.

use std::io::{self, Write};

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::arguments::Arguments;
use service::exit::Exit;

use crate::failure::CommandResult;

/// Arguments of `millrace completions`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  bash   millrace completions bash > /etc/bash_completion.d/millrace
  zsh    millrace completions zsh > \"${fpath[1]}/_millrace\"
  fish   millrace completions fish > ~/.config/fish/completions/millrace.fish")]
pub(crate) struct CompletionsArguments {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints the completions.
///
/// # Errors
/// Returns a failure if standard output cannot be written.
pub(crate) fn run(arguments: &CompletionsArguments) -> CommandResult {
    // The generator writes to memory, since it panics where a writer fails.
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Arguments::command(), "millrace", &mut script);
    io::stdout().lock().write_all(&script)?;
    Ok(Exit::Yes)
}
