//! The user that search engines run as: they refuse root. Made once, by root; anyone else runs them as themselves.

use std::fs;
use std::os::unix::fs::chown;
use std::path::Path;

use nix::unistd::{User, geteuid};

use crate::artifact::run;
use crate::error::system;
use crate::{ServerError, place};

const NAME: &str = "millrace-servers";

/// Numbers of the user to become.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Account {
    pub(crate) user: u32,
    pub(crate) group: u32,
}

/// Returns the user to become, or none where we are not root.
pub(crate) fn unprivileged() -> Result<Option<Account>, ServerError> {
    if !geteuid().is_root() {
        return Ok(None);
    }
    let _lock = place::lock("account")?;
    if let Some(account) = find()? {
        return Ok(Some(account));
    }
    let arguments = ["--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin", NAME];
    run("make the user that servers run as", std::process::Command::new("useradd").args(arguments))?;
    find()
}

fn find() -> Result<Option<Account>, ServerError> {
    let user = User::from_name(NAME).map_err(|errno| system(format!("look up the user `{NAME}`"))(errno.into()))?;
    Ok(user.map(|user| Account { user: user.uid.as_raw(), group: user.gid.as_raw() }))
}

impl Account {
    /// Gives a folder and all below it to the user.
    pub(crate) fn own(self, path: &Path) -> Result<(), ServerError> {
        let doing = || format!("give `{}` to the user `{NAME}`", path.display());
        chown(path, Some(self.user), Some(self.group)).map_err(system(doing()))?;
        if path.is_dir() && !path.is_symlink() {
            for entry in fs::read_dir(path).map_err(system(doing()))? {
                self.own(&entry.map_err(system(doing()))?.path())?;
            }
        }
        Ok(())
    }
}
