//! Finding and removing what laboratories made: namespaces, cgroups with their processes, folders, claims.
//!
//! A laboratory holds a locked file while it lives. The lock goes with the process, so an unlocked claim, or names
//! without any claim, belong to a laboratory that was killed.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::cgroup;
use crate::names::{LabId, PREFIX};
use crate::netns::{self, NetnsError};

/// Where laboratories claim their ids.
pub const CLAIMS: &str = "/run/millrace-lab";

/// A laboratory's hold on its id.
#[derive(Debug)]
pub struct Claim {
    id: LabId,
    _file: File,
}

/// Why something stays.
#[derive(Debug, Error)]
pub enum SweepError {
    /// What is there cannot be listed.
    #[error("cannot look for leftovers")]
    Look(#[source] io::Error),
    /// A namespace stays.
    #[error(transparent)]
    Netns(#[from] NetnsError),
    /// A cgroup stays.
    #[error("cannot remove cgroup `{0}`")]
    Cgroup(PathBuf, #[source] io::Error),
}

impl Claim {
    /// Takes an id, unless a living laboratory has it.
    ///
    /// # Errors
    /// If claims cannot be written.
    pub fn take(id: &LabId) -> io::Result<Option<Self>> {
        fs::create_dir_all(CLAIMS)?;
        let path = claim_path(id);
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path)?;
        match file.try_lock() {
            // Whoever held it may have removed it since it was opened; a lock on a removed file holds nothing.
            Ok(()) => match fs::metadata(&path) {
                Ok(there) if there.ino() == file.metadata()?.ino() => Ok(Some(Self { id: id.clone(), _file: file })),
                Ok(_) => Ok(None),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(error),
            },
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Returns the claimed id.
    #[must_use]
    pub fn id(&self) -> &LabId {
        &self.id
    }

    /// Gives the id back.
    pub fn release(self) {
        // Gone already means that `lab clean` was here.
        let _ = fs::remove_file(claim_path(&self.id));
    }
}

/// Returns the folder that a laboratory uses when it is given none.
#[must_use]
pub fn folder(id: &LabId) -> PathBuf {
    std::env::temp_dir().join(id.cgroup())
}

/// Removes everything that one laboratory made, dead or alive. Removing nothing is no error.
///
/// # Errors
/// The first thing that stays; the others are tried all the same.
pub fn sweep(id: &LabId) -> Result<(), SweepError> {
    let mut first = Ok(());
    let mut note = |result: Result<(), SweepError>| {
        if first.is_ok() {
            first = result;
        }
    };
    let root = cgroup::mount().map(|mount| mount.join(id.cgroup()));
    if let Ok(root) = root {
        note(cgroup::remove(&root).map_err(|error| SweepError::Cgroup(root, error)));
    }
    let own = id.netns("");
    for name in netns::list().map_err(SweepError::Look)?.iter().filter(|name| name.starts_with(&own)) {
        let removed = netns::remove(name);
        // Two sweepers may meet; the one that comes second finds nothing.
        note(if netns::path(name).exists() { removed.map_err(SweepError::from) } else { Ok(()) });
    }
    first
}

/// Removes what dead laboratories left, and with `living` also what living ones have. Returns the ids removed.
///
/// # Errors
/// If leftovers cannot be listed or something stays.
pub fn clean(living: bool) -> Result<Vec<LabId>, SweepError> {
    let mut removed = Vec::new();
    for id in found().map_err(SweepError::Look)? {
        let claim = Claim::take(&id).map_err(SweepError::Look)?;
        if claim.is_none() && !living {
            continue;
        }
        sweep(&id)?;
        forget(&id);
        removed.push(id);
    }
    Ok(removed)
}

/// Removes a swept laboratory's own folder and its claim.
pub fn forget(id: &LabId) {
    // Either may be gone already.
    let _ = fs::remove_dir_all(folder(id));
    let _ = fs::remove_file(claim_path(id));
}

/// Lists all laboratories of which anything is there.
///
/// # Errors
/// If a place to look in cannot be read.
pub fn found() -> io::Result<BTreeSet<LabId>> {
    let mut names = netns::list()?;
    if let Ok(mount) = cgroup::mount() {
        names.extend(entries(&mount)?);
    }
    names.extend(entries(Path::new(CLAIMS))?.into_iter().map(|claim| format!("{PREFIX}{claim}")));
    Ok(names.iter().filter_map(|name| LabId::of_name(name)).collect())
}

fn entries(folder: &Path) -> io::Result<Vec<String>> {
    match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        entries => entries?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect(),
    }
}

fn claim_path(id: &LabId) -> PathBuf {
    Path::new(CLAIMS).join(id.to_string())
}
