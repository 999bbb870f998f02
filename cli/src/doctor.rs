//! The checks behind `millrace doctor`. Each looks at one thing and says what was found and, if that is not as it should
//! be, what to do. They take no rights that `millrace run` would not need, and leave nothing behind.

mod capabilities;
mod clock;
mod hooks;
mod kernel;
mod places;

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::arguments::{GlobalArguments, NameArguments};

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// As it should be.
    Ok,
    /// It works, and something is lost.
    Warn,
    /// It does not work.
    Fail,
}

/// What one check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Check {
    /// What was looked at.
    pub(crate) name: &'static str,
    /// How it came out.
    pub(crate) state: State,
    /// What was found, and what is lost by it.
    pub(crate) found: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fix: Option<String>,
}

impl Check {
    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, state: State::Ok, found: found.into(), fix: None }
    }

    fn warn(name: &'static str, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { name, state: State::Warn, found: found.into(), fix: Some(fix.into()) }
    }

    fn fail(name: &'static str, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { name, state: State::Fail, found: found.into(), fix: Some(fix.into()) }
    }
}

/// Where the kernel shows itself: a place of its own in tests.
#[derive(Debug, Clone)]
pub(crate) struct Host {
    root: PathBuf,
}

impl Host {
    /// Returns the host that this process runs on.
    pub(crate) fn this() -> Self {
        Self { root: PathBuf::from("/") }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    fn read(&self, path: &str) -> Option<String> {
        read_short(&self.path(path))
    }
}

/// Reads a small file; absent if it is not there, not readable or no text.
fn read_short(path: &Path) -> Option<String> {
    std::fs::read_to_string(path).ok().map(|text| text.trim_end().to_owned())
}

/// Makes all checks, in the order in which an operator would fix them.
pub(crate) fn examine(host: &Host, global: &GlobalArguments, names: &NameArguments) -> Vec<Check> {
    let mut checks = vec![kernel::version(host), kernel::btf(host), kernel::lockdown(host)];
    checks.extend(capabilities::check(host));
    checks.extend([
        kernel::pid_namespace(host),
        kernel::cgroup(host),
        kernel::tracefs(host),
        kernel::conntrack(host),
        clock::check(host),
    ]);
    let hooks = hooks::check(&checks);
    checks.extend(hooks);
    checks.extend(places::check(global, names));
    checks
}

#[cfg(test)]
#[path = "doctor/tests.rs"]
mod tests;
