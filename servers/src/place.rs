//! Where things lie: the cache of unpacked servers, and a folder for each run that is gone when its owner is.

use std::fs::{self, File, TryLockError};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::unistd::geteuid;

use crate::ServerError;
use crate::error::system;

/// The variable that names the folder of all servers, or `none` to do without them.
pub(crate) const VARIABLE: &str = "MILLRACE_SERVERS";

/// Says whether somebody wants no servers.
pub(crate) fn switched_off() -> bool {
    std::env::var_os(VARIABLE).is_some_and(|value| value == "none")
}

/// Returns the folder of all servers: what `MILLRACE_SERVERS` names, else `target/servers` of the workspace. Where we are root and
/// the unprivileged user could not get there (a checkout below `/root`), `/var/tmp/millrace-servers`.
pub(crate) fn root() -> &'static Path {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    ROOT.get_or_init(|| {
        if let Some(folder) = std::env::var_os(VARIABLE) {
            return PathBuf::from(folder);
        }
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
        if geteuid().is_root() && !open_to_all(workspace) {
            return PathBuf::from("/var/tmp/millrace-servers");
        }
        workspace.join("target/servers")
    })
}

/// Says whether any user may pass through the folder and all above it.
fn open_to_all(folder: &Path) -> bool {
    folder.ancestors().all(|folder| fs::metadata(folder).is_ok_and(|data| data.permissions().mode() & 0o001 != 0))
}

/// Holds a lock between processes until it is dropped.
pub(crate) fn lock(name: &str) -> Result<File, ServerError> {
    let path = root().join(format!("{name}.lock"));
    let doing = || format!("lock `{}`", path.display());
    fs::create_dir_all(root()).map_err(system(doing()))?;
    let file = File::create(&path).map_err(system(doing()))?;
    file.lock().map_err(system(doing()))?;
    Ok(file)
}

/// The folder of one running server: settings, data, logs. Removed when dropped; if its owner was killed, by the next
/// run on this machine.
#[derive(Debug)]
pub(crate) struct RunFolder {
    path: PathBuf,
    mark: PathBuf,
    // Held for as long as the folder is in use; the system lets go of it when the process ends in whatever way.
    _lock: File,
}

impl RunFolder {
    /// Makes a fresh folder below `runs` (none: in the cache), and sweeps those whose owners are gone.
    pub(crate) fn new(name: &str, runs: Option<&Path>) -> Result<Self, ServerError> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let runs = runs.map_or_else(|| root().join("run"), Path::to_owned);
        let runs = std::path::absolute(&runs).map_err(system(format!("find `{}`", runs.display())))?;
        let doing = format!("make a folder below `{}`", runs.display());
        fs::create_dir_all(&runs).map_err(system(&doing))?;
        let _sweeping = lock("run")?;
        sweep(&runs);
        let unique = format!("{name}-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let (path, mark) = (runs.join(&unique), runs.join(format!("{unique}.owner")));
        let file = File::create(&mark).map_err(system(&doing))?;
        file.lock().map_err(system(&doing))?;
        fs::create_dir(&path).map_err(system(&doing))?;
        Ok(Self { path, mark, _lock: file })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        // What cannot be removed now is swept by the next run.
        let _ = fs::remove_dir_all(&self.path);
        let _ = fs::remove_file(&self.mark);
    }
}

/// Removes run folders whose owners are gone.
fn sweep(runs: &Path) {
    let Ok(entries) = fs::read_dir(runs) else { return };
    for mark in
        entries.flatten().map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|e| e == "owner"))
    {
        let Ok(file) = File::open(&mark) else { continue };
        match file.try_lock() {
            Ok(()) => {
                // A server that is still on its way out may write once more; then the next run tries again.
                if fs::remove_dir_all(mark.with_extension("")).is_ok() || !mark.with_extension("").exists() {
                    let _ = fs::remove_file(&mark);
                }
            }
            Err(TryLockError::WouldBlock | TryLockError::Error(_)) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_gone_with_their_owner_and_swept_without() {
        let held = RunFolder::new("held", None).unwrap();
        let path = held.path().to_owned();
        let runs = path.parent().unwrap().to_owned();
        let orphan = runs.join("orphan-0-0");
        fs::create_dir_all(&orphan).unwrap();
        File::create(runs.join("orphan-0-0.owner")).unwrap();
        let other = RunFolder::new("other", None).unwrap();
        assert!(path.exists(), "a folder in use was swept");
        assert!(!orphan.exists(), "a folder without owner was kept");
        drop((held, other));
        assert!(!path.exists());
    }
}
