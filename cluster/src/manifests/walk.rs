//! Finds the manifest files below a directory.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use flow::UnixMs;

use super::{InvalidManifest, InvalidReason, Limits};

/// What tells, without reading it, that a file is the one seen before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) modified: UnixMs,
    nanos: u32,
    pub(super) bytes: u64,
}

impl Stamp {
    /// Returns the stamp of a text that is no file.
    pub(super) fn unknown(bytes: u64) -> Self {
        Self { modified: UnixMs(0), nanos: 0, bytes }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) path: PathBuf,
    pub(super) name: Arc<str>,
    pub(super) stamp: Stamp,
}

/// Lists the manifest files, sorted by name, so that reading is the same on every file system.
///
/// Names with a dot in front are left out: editors and the data directories of ConfigMap volumes, whose files are found
/// by the links beside them.
pub(super) fn walk(dir: &Path, limits: &Limits, invalid: &mut Vec<InvalidManifest>) -> Vec<Found> {
    let mut found = Vec::new();
    let mut walker = Walker { root: dir, limits, found: &mut found, invalid };
    walker.enter(dir, 0);
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

struct Walker<'a> {
    root: &'a Path,
    limits: &'a Limits,
    found: &'a mut Vec<Found>,
    invalid: &'a mut Vec<InvalidManifest>,
}

impl Walker<'_> {
    fn enter(&mut self, dir: &Path, depth: usize) {
        if depth > self.limits.depth {
            let limit = self.limits.depth as u64;
            return self.report(dir, InvalidReason::Limit { what: "directories within directories", limit });
        }
        let entries = match fs::read_dir(dir) {
            Ok(entries) => entries,
            Err(error) => return self.report(dir, InvalidReason::Unreadable(error.to_string())),
        };
        let mut paths = Vec::new();
        for entry in entries {
            match entry {
                // The bound holds for other files too: a directory of millions is no folder of manifests.
                Ok(_) if paths.len() >= self.limits.files.saturating_mul(4) => {
                    let limit = paths.len() as u64;
                    self.report(dir, InvalidReason::Limit { what: "entries", limit });
                    break;
                }
                Ok(entry) => paths.push(entry.path()),
                Err(error) => self.report(dir, InvalidReason::Unreadable(error.to_string())),
            }
        }
        paths.sort();
        for path in paths {
            if self.found.len() >= self.limits.files {
                let limit = self.limits.files as u64;
                return self.report(dir, InvalidReason::Limit { what: "files", limit });
            }
            self.visit(path, depth);
        }
    }

    fn visit(&mut self, path: PathBuf, depth: usize) {
        let hidden = path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
        if hidden {
            return;
        }
        let own = match fs::symlink_metadata(&path) {
            Ok(own) => own,
            // Gone between listing and looking: as if it had never been listed.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return,
            Err(error) => return self.report(&path, InvalidReason::Unreadable(error.to_string())),
        };
        if own.is_dir() {
            return self.enter(&path, depth + 1);
        }
        let extension = path.extension().and_then(|extension| extension.to_str());
        let manifest = matches!(extension, Some("yaml" | "yml" | "json"));
        match fs::metadata(&path) {
            Ok(target) if target.is_file() => {
                if manifest {
                    let (name, stamp) = (self.name(&path), stamp(&target));
                    self.found.push(Found { path, name, stamp });
                }
            }
            Ok(target) if target.is_dir() || manifest => self.report(&path, InvalidReason::Special),
            Err(error) if manifest => self.report(&path, InvalidReason::Unreadable(error.to_string())),
            Ok(_) | Err(_) => {}
        }
    }

    fn name(&self, path: &Path) -> Arc<str> {
        let below = path.strip_prefix(self.root).unwrap_or(path);
        let text = below.display().to_string();
        // A file name may hold a line feed; a report is one line.
        if text.is_empty() { ".".into() } else { text.replace(char::is_control, "?").into() }
    }

    fn report(&mut self, path: &Path, reason: InvalidReason) {
        if self.invalid.len() < self.limits.reports.saturating_mul(10) {
            let file = self.name(path);
            self.invalid.push(InvalidManifest { file, line: 0, object: None, reason, kept: false });
        }
    }
}

fn stamp(metadata: &fs::Metadata) -> Stamp {
    let since = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH).duration_since(UNIX_EPOCH).unwrap_or_default();
    Stamp {
        modified: UnixMs(u64::try_from(since.as_millis()).unwrap_or(u64::MAX)),
        nanos: since.subsec_nanos(),
        bytes: metadata.len(),
    }
}
