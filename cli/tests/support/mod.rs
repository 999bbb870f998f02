//! Running the binary as an operator does, in an environment of its own.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// What a run said.
#[derive(Debug)]
pub struct Said {
    /// The exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Said {
    /// Fails unless the exit code is this one.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    /// Fails unless standard error holds these texts.
    #[track_caller]
    pub fn complains(self, texts: &[&str]) -> Self {
        for text in texts {
            assert!(self.err.contains(text), "`{text}` is not in {self:#?}");
        }
        assert!(!self.err.contains("panicked"), "{self:#?}");
        self
    }

    /// Fails unless standard output holds these texts.
    #[track_caller]
    pub fn says(self, texts: &[&str]) -> Self {
        for text in texts {
            assert!(self.out.contains(text), "`{text}` is not in {self:#?}");
        }
        self
    }
}

/// Returns the binary with nothing of our own in its environment and UTC as its time zone.
pub fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_millrace"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("MILLRACE_") {
            command.env_remove(name);
        }
    }
    command.env("TZ", "UTC").env_remove("NO_COLOR").env_remove("COLUMNS").env("MILLRACE_ADMIN__LISTEN", "off");
    command.stdin(Stdio::null());
    command
}

/// Runs the binary with arguments separated by spaces.
pub fn millrace(line: &str) -> Said {
    command().args(line.split_whitespace()).output().unwrap().into()
}

/// Runs the binary on a data directory.
pub fn on(directory: &Path, line: &str) -> Said {
    command().args(line.split_whitespace()).arg("--data-dir").arg(directory).output().unwrap().into()
}

/// Writes a file into a directory and returns its path.
pub fn file(directory: &Path, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = directory.join(name);
    std::fs::File::create(&path).unwrap().write_all(content.as_ref()).unwrap();
    path
}

/// Returns the path of a file that the tests bring along.
pub fn data(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}
