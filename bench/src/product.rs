//! The product's own binary, built as it is shipped.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

/// Returns the `millrace` to measure: the one given, else the one of the release profile, brought up to date.
///
/// # Errors
/// If there is none and it cannot be built.
pub(crate) fn binary(given: Option<&Path>) -> anyhow::Result<PathBuf> {
    if let Some(given) = given {
        anyhow::ensure!(given.is_file(), "`{}` is no file", given.display());
        return Ok(given.to_owned());
    }
    let own = env::current_exe().context("cannot find this program")?;
    let beside = own.with_file_name("millrace");
    // Run by cargo, this is in its environment; run by hand, whoever runs it knows what is built.
    let Some(cargo) = env::var_os("CARGO") else {
        anyhow::ensure!(beside.is_file(), "no `{}`: run `make bench`, or give --millrace FILE", beside.display());
        return Ok(beside);
    };
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let mut build = Command::new(cargo);
    build.args(["build", "--locked", "--release", "--package", "cli", "--bin", "millrace", "--manifest-path"]);
    let status = build.arg(workspace).status().context("cannot run cargo")?;
    if !status.success() {
        bail!("cannot build `millrace`: cargo ended with {status}");
    }
    Ok(beside)
}

/// Returns a command with nothing of the caller's settings in its environment, that says only what failed.
pub(crate) fn command(binary: &Path) -> Command {
    let mut command = Command::new(binary);
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with("MILLRACE_") {
            command.env_remove(name);
        }
    }
    command.args(["--log-level", "error"]).stdin(Stdio::null()).stdout(Stdio::null());
    command
}
