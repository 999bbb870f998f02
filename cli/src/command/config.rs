//! `millrace config`: the settings, checked, shown and described.

use std::io::{self, Write};

use clap::{Args, Subcommand};
use service::exit::Exit;

use crate::arguments::{GlobalArguments, NameArguments};
use crate::failure::CommandResult;
use crate::render::json;
use crate::settings::{self, RawSettings};

/// Arguments of `millrace config`.
#[derive(Debug, Args)]
pub(crate) struct ConfigArguments {
    #[command(subcommand)]
    action: ConfigAction,
}

/// What to do with the settings.
#[derive(Debug, Subcommand)]
enum ConfigAction {
    /// Read the settings of file, environment and flags, and report everything that is wrong
    Check(NameArguments),
    /// Print the settings that hold, each with where it comes from
    Dump(DumpArguments),
    /// Print the JSON Schema of the settings file, for editors and pipelines
    Schema,
}

/// Arguments of `millrace config dump`.
#[derive(Debug, Args)]
struct DumpArguments {
    /// Print JSON instead of YAML with comments
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    names: NameArguments,
}

/// Checks, shows or describes the settings.
///
/// # Errors
/// Returns a usage failure that names everything that is wrong with them.
pub(crate) fn run(global: &GlobalArguments, arguments: &ConfigArguments) -> CommandResult {
    let mut out = io::stdout().lock();
    match &arguments.action {
        ConfigAction::Check(names) => {
            settings::load(global, names)?;
            let source = global.config.as_ref().map_or_else(|| "no file".to_owned(), |file| file.display().to_string());
            writeln!(out, "the settings are right ({source}, environment, flags)")?;
        }
        ConfigAction::Dump(dump) => {
            let shown = settings::dump(global, &dump.names)?;
            if dump.json {
                writeln!(out, "{}", json::pretty(&shown.to_json())?)?;
            } else {
                write!(out, "{shown}")?;
            }
        }
        ConfigAction::Schema => writeln!(out, "{}", json::pretty(&service::settings::schema::<RawSettings>())?)?,
    }
    Ok(Exit::Yes)
}
