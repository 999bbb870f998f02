//! `millrace config`: the settings, checked, shown and described.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use cluster::manifests::Limits;
use service::exit::Exit;

use crate::arguments::{GlobalArguments, NameArguments};
use crate::failure::{CommandResult, Failure};
use crate::render::json;
use crate::settings::{self, RawSettings};

/// How many wrong manifests are listed; a hostile folder can have any number.
const MOST_LISTED: usize = 1000;

/// Arguments of `millrace config`.
#[derive(Debug, Args)]
pub(crate) struct ConfigArguments {
    #[command(subcommand)]
    action: ConfigAction,
}

/// What to do with the settings.
#[derive(Debug, Subcommand)]
enum ConfigAction {
    /// Read settings and manifests, and report everything that is wrong
    Check(CheckArguments),
    /// Print the settings that hold, each with where it comes from
    Dump(DumpArguments),
    /// Print the JSON Schema of the settings file, for editors and pipelines
    Schema,
}

/// Arguments of `millrace config check`.
#[derive(Debug, Args)]
#[command(after_help = "Exit code 2 if a setting is wrong, 3 if a manifest is.")]
struct CheckArguments {
    /// Folder of Kubernetes manifests to check as well [default: that of the settings, if any]
    #[arg(long, value_name = "DIR")]
    manifests: Option<PathBuf>,
    #[command(flatten)]
    names: NameArguments,
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
        ConfigAction::Check(check) => {
            let manifests = check.manifests.as_ref().map(|path| path.to_string_lossy().into_owned());
            let flags = [("enricher.manifests", "--manifests", manifests)];
            let settings = settings::load_with(global, &check.names, &flags)?;
            let source = global.config.as_ref().map_or_else(|| "no file".to_owned(), |file| file.display().to_string());
            writeln!(out, "the settings are right ({source}, environment, flags)")?;
            if let Some(folder) = &settings.enricher.folder.dir {
                let objects = check_manifests(folder)?;
                writeln!(out, "the manifests are right ({objects} objects in {})", folder.display())?;
            }
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

/// Reads a folder of manifests and returns how many objects it holds.
///
/// # Errors
/// Returns a failure that lists what is wrong, each with file, line and object.
fn check_manifests(folder: &Path) -> Result<usize, Failure> {
    settings::check_folder(folder)?;
    let (objects, invalid) = cluster::manifests::read(folder, Limits::default());
    if invalid.is_empty() {
        return Ok(objects.len());
    }
    let mut text = format!("wrong documents in {}: {}", folder.display(), invalid.len());
    for document in invalid.iter().take(MOST_LISTED) {
        text.push('\n');
        text.push_str(&document.to_string());
    }
    if let Some(more @ 1..) = invalid.len().checked_sub(MOST_LISTED) {
        text.push_str(&format!("\nand {more} more"));
    }
    Err(Failure::manifests(anyhow::anyhow!(text))
        .fix("a run goes on with the others; flows of these stay without names"))
}
