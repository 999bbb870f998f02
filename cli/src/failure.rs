//! How a command that could not do its work ends: its exit code, what it says, and what the operator can do.

use std::io::{self, Write};

use service::exit::Exit;

use crate::terminal::printable;

/// The end of a command that could not do its work.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    error: anyhow::Error,
    fix: Option<String>,
}

impl Failure {
    /// Makes the failure of a wrong command line or settings file (exit code 2).
    pub(crate) fn usage(error: impl Into<anyhow::Error>) -> Self {
        Self { exit: Exit::Usage, error: error.into(), fix: None }
    }

    /// Makes the failure of wrong manifests (exit code 3).
    pub(crate) fn manifests(error: impl Into<anyhow::Error>) -> Self {
        Self { exit: Exit::InvalidManifests, error: error.into(), fix: None }
    }

    /// Makes the failure of work that was begun (exit code 5).
    pub(crate) fn failed(error: impl Into<anyhow::Error>) -> Self {
        Self { exit: Exit::Failed, error: error.into(), fix: None }
    }

    /// Adds what the operator can do about it.
    pub(crate) fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }

    /// Returns true if the reader of our output went away (`| head`): that is an end, not a failure.
    pub(crate) fn is_broken_pipe(&self) -> bool {
        self.error.chain().any(|cause| {
            cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
        })
    }

    /// Returns what failed and why, without a fix.
    pub(crate) fn message(&self) -> String {
        format!("{:#}", self.error)
    }

    /// Prints the failure on standard error and returns its code.
    pub(crate) fn report(&self) -> Exit {
        if self.is_broken_pipe() {
            return Exit::Yes;
        }
        // Standard error may be closed as well; there is nobody left to tell.
        let _ = io::stderr().write_all(self.text().as_bytes());
        self.exit
    }

    fn text(&self) -> String {
        let mut text = String::from("millrace:");
        let lines: Vec<String> = self.message().lines().map(|line| printable(line).into_owned()).collect();
        for (place, line) in lines.iter().enumerate() {
            text.push_str(if place == 0 { " " } else { "\n  " });
            text.push_str(line.trim_start());
        }
        if let Some(fix) = &self.fix {
            text.push_str("\n  fix: ");
            text.push_str(&printable(fix));
        }
        text.push('\n');
        text
    }
}

/// What a command returns.
pub(crate) type CommandResult = Result<Exit, Failure>;

/// An unexpected failure of a step is a failure of the command; usage and manifests are named where they are found.
impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::failed(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_reads_as_what_why_and_fix() {
        let error = anyhow::anyhow!("permission denied").context("cannot open `/x`");
        let failure = Failure::failed(error).fix("run it as root");
        assert_eq!(failure.text(), "millrace: cannot open `/x`: permission denied\n  fix: run it as root\n");
    }

    #[test]
    fn a_failure_never_prints_what_a_terminal_would_obey() {
        let failure = Failure::usage(anyhow::anyhow!("bad `\u{1b}[2J`\nsecond"));
        assert_eq!(failure.text(), "millrace: bad `\\x1b[2J`\n  second\n");
    }

    #[test]
    fn a_reader_that_went_away_is_no_failure() {
        let pipe = io::Error::from(io::ErrorKind::BrokenPipe);
        assert!(Failure::from(anyhow::Error::from(pipe).context("cannot write")).is_broken_pipe());
        assert!(!Failure::from(anyhow::anyhow!("other")).is_broken_pipe());
    }
}
