//! Running the binary as an operator does, in an environment of its own.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// What a run said.
#[derive(Debug)]
pub(crate) struct Said {
    /// The exit code; none if a signal ended it.
    pub(crate) code: Option<i32>,
    /// Standard output.
    pub(crate) out: String,
    /// Standard error.
    pub(crate) err: String,
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
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    /// Fails unless standard error holds these texts.
    #[track_caller]
    pub(crate) fn complains(self, texts: &[&str]) -> Self {
        for text in texts {
            assert!(self.err.contains(text), "`{text}` is not in {self:#?}");
        }
        assert!(!self.err.contains("panicked"), "{self:#?}");
        self
    }

    /// Fails unless standard output holds these texts.
    #[track_caller]
    pub(crate) fn says(self, texts: &[&str]) -> Self {
        for text in texts {
            assert!(self.out.contains(text), "`{text}` is not in {self:#?}");
        }
        self
    }
}

/// Returns the binary with nothing of our own in its environment and UTC as its time zone.
pub(crate) fn command() -> Command {
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
pub(crate) fn millrace(line: &str) -> Said {
    command().args(line.split_whitespace()).output().unwrap().into()
}

/// Runs the binary on a data directory.
pub(crate) fn on(directory: &Path, line: &str) -> Said {
    command().args(line.split_whitespace()).arg("--data-dir").arg(directory).output().unwrap().into()
}

/// Writes a file into a directory and returns its path.
pub(crate) fn file(directory: &Path, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = directory.join(name);
    std::fs::File::create(&path).unwrap().write_all(content.as_ref()).unwrap();
    path
}

/// Returns the path of a file that the tests bring along.
pub(crate) fn data(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

/// The recording that the tests replay: two windows of two nodes, at 2026-03-10 08:30 UTC.
pub(crate) const RECORDS: usize = 88;

/// Returns a command that replays a file into a data directory, with its records kept however old they are.
pub(crate) fn replay(directory: &Path, raw: &Path) -> Command {
    let mut command = command();
    command.arg("run").arg("--replay").arg(raw).arg("--manifests").arg(data("manifests"));
    command.arg("--data-dir").arg(directory);
    command.env("MILLRACE_STORE__CAP_DAYS", "3650").env("MILLRACE_INDEXER__RETENTION", "3650d");
    command.env("MILLRACE_ENRICHER__RETENTION", "3650d");
    command
}

/// Returns a data directory that holds the recording.
pub(crate) fn filled() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    Said::from(replay(directory.path(), &data("raw.jsonl")).output().unwrap()).exits(0);
    directory
}

/// Returns the text with the epoch of the replay's streams, which is the time of the test, written as `EPOCH`.
pub(crate) fn without_epoch(directory: &Path, text: &str) -> String {
    let report: serde_json::Value = serde_json::from_str(&on(directory, "reconcile --json").out).unwrap();
    let stream = report["streams"][0]["stream"].as_str().unwrap();
    text.replace(stream.rsplit('/').next().unwrap(), "EPOCH")
}

/// Compares with a file below `tests/golden`; `MILLRACE_REFRESH=1` rewrites it.
#[track_caller]
pub(crate) fn golden(name: &str, found: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("MILLRACE_REFRESH").is_some_and(|value| value == "1") {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, found).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, expected, "tests/golden/{name}: MILLRACE_REFRESH=1 rewrites it");
}
