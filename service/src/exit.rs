//! The exit codes: a contract of all commands, since pipelines and supervisors decide by them.

use std::process::{ExitCode, Termination};

/// How a command ended. The numbers are the exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Exit {
    /// Yes, closed, clean.
    Yes = 0,
    /// The answer is no: findings, newly denied, a balance that is open.
    No = 1,
    /// The command line or the settings are wrong.
    Usage = 2,
    /// The manifests are wrong.
    InvalidManifests = 3,
    /// It cannot be decided, the answer is partial, or it is not closed yet.
    Undecided = 4,
    /// It failed.
    Failed = 5,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl Termination for Exit {
    fn report(self) -> ExitCode {
        self.into()
    }
}
