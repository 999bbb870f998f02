//! The data directory: which days it holds, how large they are, and what was set aside.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use flow::UnixMs;

use super::day::Day;
use super::schema::with_suffix;
use crate::error::StoreError;

/// What SQLite keeps beside a file.
const BESIDE: [&str; 2] = ["-wal", "-shm"];
const SET_ASIDE: &str = ".corrupt-";

/// Returns the days that the directory has files of, oldest first; none if there is no directory.
pub(super) fn days(dir: &Path) -> Result<Vec<Day>, StoreError> {
    let mut days: Vec<Day> = names(dir)?.iter().filter_map(|name| Day::of_file_name(name)).collect();
    days.sort_unstable();
    Ok(days)
}

/// Returns the days that may hold records of a time range, oldest first.
pub(super) fn days_between(dir: &Path, from: Option<UnixMs>, to: Option<UnixMs>) -> Result<Vec<Day>, StoreError> {
    let meant = |day: &Day| from.is_none_or(|from| day.end() > from) && to.is_none_or(|to| day.begin() < to);
    Ok(days(dir)?.into_iter().filter(meant).collect())
}

/// Returns the names of the files that were set aside.
pub(super) fn set_aside_files(dir: &Path) -> Result<Vec<String>, StoreError> {
    let mut names = names(dir)?;
    names.retain(|name| name.contains(SET_ASIDE) && !BESIDE.iter().any(|suffix| name.ends_with(suffix)));
    names.sort_unstable();
    Ok(names)
}

/// Returns the bytes that a file and its log take.
pub(super) fn size_of(path: &Path) -> u64 {
    let size = |path: &Path| fs::metadata(path).map_or(0, |meta| meta.len());
    size(path) + BESIDE.iter().map(|suffix| size(&with_suffix(path, suffix))).sum::<u64>()
}

/// Removes a file and what SQLite keeps beside it.
pub(super) fn remove(path: &Path) -> Result<(), StoreError> {
    // The log goes first: a log without its file would be taken for that of the next file of this name.
    for path in BESIDE.iter().map(|suffix| with_suffix(path, suffix)).chain([path.to_owned()]) {
        match fs::remove_file(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(io_error("remove", &path, source)),
        }
    }
    Ok(())
}

/// Renames a torn file to `….corrupt-N`, with what SQLite keeps beside it, and returns its new name.
pub(super) fn set_aside(path: &Path) -> Result<PathBuf, StoreError> {
    let free = |n: &u32| !with_suffix(path, &format!("{SET_ASIDE}{n}")).exists();
    let number = (1..=u32::MAX).find(free).unwrap_or(u32::MAX);
    let target = with_suffix(path, &format!("{SET_ASIDE}{number}"));
    fs::rename(path, &target).map_err(|source| io_error("set aside", path, source))?;
    for suffix in BESIDE {
        let beside = with_suffix(path, suffix);
        match fs::rename(&beside, with_suffix(&target, suffix)) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(io_error("set aside", &beside, source)),
        }
    }
    Ok(target)
}

/// Gives a failure of the system its place.
pub(super) fn io_error(action: &'static str, path: &Path, source: io::Error) -> StoreError {
    StoreError::Io { action, place: path.display().to_string(), source }
}

fn names(dir: &Path) -> Result<Vec<String>, StoreError> {
    let listing = match fs::read_dir(dir) {
        Ok(listing) => listing,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(io_error("list", dir, source)),
    };
    let mut names = Vec::new();
    for entry in listing {
        let entry = entry.map_err(|source| io_error("list", dir, source))?;
        // Names of ours are ASCII; any other is none of ours.
        names.extend(entry.file_name().into_string());
    }
    Ok(names)
}
