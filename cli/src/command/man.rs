//! `millrace man`: the manual, made from the command line itself.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Command, CommandFactory};
use clap_mangen::Man;

use crate::arguments::Arguments;
use service::exit::Exit;

use crate::failure::CommandResult;

/// Arguments of `millrace man`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  millrace man | man -l -
  millrace man --out /usr/local/share/man/man1")]
pub(crate) struct ManArguments {
    /// Write the page of every command into this directory, instead of the first to standard output
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Prints the first page, or writes all.
///
/// # Errors
/// Returns a failure if the output or the directory cannot be written.
pub(crate) fn run(arguments: &ManArguments) -> CommandResult {
    let pages = pages()?;
    let Some(directory) = &arguments.out else {
        let (_, first) = pages.first().context("there is no page")?;
        io::stdout().lock().write_all(first)?;
        return Ok(Exit::Yes);
    };
    fs::create_dir_all(directory).with_context(|| format!("cannot create `{}`", directory.display()))?;
    for (name, page) in &pages {
        let path = directory.join(name);
        fs::write(&path, page).with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    writeln!(io::stdout().lock(), "{} pages written to {}", pages.len(), directory.display())?;
    Ok(Exit::Yes)
}

/// Returns the name and text of each page, the program's own first.
fn pages() -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut root = Arguments::command();
    root.build();
    let mut pages = Vec::new();
    add_pages(&root, &mut pages)?;
    Ok(pages)
}

fn add_pages(command: &Command, pages: &mut Vec<(String, Vec<u8>)>) -> io::Result<()> {
    let manual = Man::new(command.clone());
    let mut page = Vec::new();
    manual.render(&mut page)?;
    pages.push((manual.get_filename(), page));
    command.get_subcommands().filter(|sub| sub.get_name() != "help").try_for_each(|sub| add_pages(sub, pages))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page() {
        let names: Vec<String> = pages().unwrap().into_iter().map(|(name, _)| name).collect();
        for name in ["millrace.1", "millrace-run.1", "millrace-flows.1", "millrace-config-check.1"] {
            assert!(names.iter().any(|n| n == name), "{name} is not in {names:?}");
        }
    }
}
