//! The settings, and the places that they name: the data directory and the admin server's address.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use nix::sys::statvfs::statvfs;
use nix::unistd::{AccessFlags, access};

use super::Check;
use crate::arguments::{GlobalArguments, NameArguments};
use crate::render::quantity;
use crate::settings::{self, Settings};

/// Below this much free space a busy node fills the disk within the day.
const LITTLE_SPACE: u64 = 1 << 30;

pub(super) fn check(global: &GlobalArguments, names: &NameArguments) -> Vec<Check> {
    const NAME: &str = "settings";
    match settings::load(global, names) {
        Ok(settings) => {
            let source = global.config.as_ref().map_or_else(|| "no file".to_owned(), |file| file.display().to_string());
            let found = format!("{source}; cluster {}, node {}", settings.cluster, settings.node);
            let mut checks = vec![Check::ok(NAME, found), data_dir(&settings.data_dir)];
            checks.extend(space(&settings));
            checks.extend(admin(&settings));
            checks
        }
        Err(failure) => {
            let found = failure.message().lines().map(str::trim).collect::<Vec<_>>().join("; ");
            vec![Check::fail(
                NAME,
                found,
                "millrace config check shows each with its place; config schema describes every key",
            )]
        }
    }
}

fn data_dir(directory: &Path) -> Check {
    const NAME: &str = "data directory";
    let shown = directory.display();
    let (nearest, exists) = nearest_existing(directory);
    if !nearest.is_dir() {
        return Check::fail(NAME, format!("{} is no directory", nearest.display()), "give another with --data-dir");
    }
    match access(&nearest, AccessFlags::W_OK | AccessFlags::X_OK) {
        Ok(()) if exists => Check::ok(NAME, format!("{shown} is writable")),
        Ok(()) => Check::ok(NAME, format!("{shown} will be made")),
        Err(error) => Check::fail(
            NAME,
            format!("{} cannot be written: {}", nearest.display(), error.desc()),
            format!("run as root, chown the directory, or give another with --data-dir or data_dir (now {shown})"),
        ),
    }
}

fn space(settings: &Settings) -> Option<Check> {
    const NAME: &str = "free space";
    let (nearest, _) = nearest_existing(&settings.data_dir);
    let state = match statvfs(&nearest) {
        Ok(state) => state,
        Err(error) => {
            let fix = "give a directory on a local file system with --data-dir";
            return Some(Check::warn(NAME, format!("{}: {}", nearest.display(), error.desc()), fix));
        }
    };
    let free = state.blocks_available().saturating_mul(state.fragment_size());
    let kept = bytes_below(&settings.data_dir);
    let options = settings.store.options(&settings.data_dir);
    let (cap, days) = (quantity::bytes(options.cap_bytes.into()), options.cap_days);
    let kept = quantity::bytes(kept.into());
    let found = format!("{} free; {kept} kept of {cap} or {days} days", quantity::bytes(free.into()));
    if free < LITTLE_SPACE.max(options.cap_bytes / 4) {
        return Some(Check::warn(NAME, found, "free some space, or give a smaller cap with store.cap_bytes"));
    }
    Some(Check::ok(NAME, found))
}

fn admin(settings: &Settings) -> Option<Check> {
    const NAME: &str = "admin address";
    let address = settings.admin.listen?;
    Some(match TcpListener::bind(address) {
        Ok(_) => Check::ok(NAME, format!("{address} is free")),
        Err(error) => Check::warn(
            NAME,
            format!("{address}: {error} (fine if millrace runs there already)"),
            "set admin.listen (MILLRACE_ADMIN__LISTEN) to another address, or to off",
        ),
    })
}

/// Returns the directory itself if it exists, else the nearest one above it that does.
fn nearest_existing(directory: &Path) -> (PathBuf, bool) {
    let absolute = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned());
    let found = absolute.ancestors().find(|place| place.exists()).unwrap_or(Path::new("/"));
    (found.to_owned(), found == absolute)
}

/// Sums the files directly below a directory: the store has no others.
fn bytes_below(directory: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(directory) else { return 0 };
    entries
        .flatten()
        .filter_map(|entry| entry.metadata().ok())
        .filter(fs::Metadata::is_file)
        .map(|file| file.len())
        .sum()
}
