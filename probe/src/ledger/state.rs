//! The state file: what the next incarnation says of this one. One small file in the data directory, replaced whole
//! each time a ledger record was acknowledged.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use flow::{Predecessor, Stream, UnixMs};
use serde::{Deserialize, Serialize};

/// The name of the file.
pub const FILE_NAME: &str = "probe-state.json";
/// A file longer than this is not ours.
const MAX_BYTES: u64 = 64 * 1024;

/// What was last known of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// The stream.
    pub stream: Stream,
    /// All numbers below were acknowledged by the bus.
    pub next_seq: u64,
    /// When that was.
    pub last_known: UnixMs,
    /// True if its closing ledger record is among them.
    pub closed: bool,
}

/// Why the state file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The file or its directory cannot be used.
    #[error("cannot {verb} `{path}`")]
    Io {
        /// What was tried.
        verb: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system said.
        #[source]
        error: io::Error,
    },
    /// What it holds is no state.
    #[error("`{path}` does not hold the state of a probe")]
    Form {
        /// Where.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        error: serde_json::Error,
    },
}

/// Reads the state that the incarnation before left; `None` if there was none.
///
/// # Errors
/// Returns [`StateError`] if the file is there and cannot be read: then nothing is known of the incarnation before.
pub fn read(data_dir: &Path) -> Result<Option<State>, StateError> {
    let path = data_dir.join(FILE_NAME);
    let failed = |error| StateError::Io { verb: "read", path: path.clone(), error };
    let length = match fs::metadata(&path) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    if length > MAX_BYTES {
        return Err(failed(io::Error::new(io::ErrorKind::InvalidData, "longer than any state")));
    }
    let text = fs::read_to_string(&path).map_err(failed)?;
    serde_json::from_str(&text).map(Some).map_err(|error| StateError::Form { path: path.clone(), error })
}

/// Replaces the state: after a crash the file holds the old state or the new one, never a part.
///
/// # Errors
/// Returns [`StateError`] if the directory cannot be made or written to.
pub fn write(data_dir: &Path, state: &State) -> Result<(), StateError> {
    let path = data_dir.join(FILE_NAME);
    let beside = data_dir.join(format!("{FILE_NAME}.new"));
    let failed = |verb, path: &Path| {
        let path = path.to_owned();
        move |error| StateError::Io { verb, path, error }
    };
    fs::create_dir_all(data_dir).map_err(failed("create", data_dir))?;
    let text = serde_json::to_vec(state).map_err(|error| StateError::Form { path: path.clone(), error })?;
    let mut file = File::create(&beside).map_err(failed("write", &beside))?;
    file.write_all(&text).and_then(|()| file.sync_all()).map_err(failed("write", &beside))?;
    fs::rename(&beside, &path).map_err(failed("replace", &path))
}

impl From<State> for Predecessor {
    fn from(state: State) -> Self {
        let State { stream, next_seq, last_known, closed } = state;
        Self { stream, closed, next_seq, last_known }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        State { stream: "c/n/5".parse().unwrap(), next_seq: 7, last_known: UnixMs(9), closed: false }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let data_dir = dir.path().join("deep/er");
        assert_eq!(read(&data_dir).unwrap(), None);
        write(&data_dir, &state()).unwrap();
        let closed = State { closed: true, next_seq: 12, ..state() };
        write(&data_dir, &closed).unwrap();
        assert_eq!(read(&data_dir).unwrap(), Some(closed));
        assert_eq!(fs::read_dir(&data_dir).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn what_is_no_state_is_said_with_its_place() {
        let dir = tempfile::tempdir().unwrap();
        for text in ["", "{", "{}", "[]", r#"{"stream":"x","next_seq":0,"last_known":0,"closed":true}"#] {
            fs::write(dir.path().join(FILE_NAME), text).unwrap();
            let error = read(dir.path()).unwrap_err();
            assert!(matches!(error, StateError::Form { .. }), "{text}");
            assert!(error.to_string().contains(FILE_NAME));
        }
        fs::write(dir.path().join(FILE_NAME), vec![b' '; 100_000]).unwrap();
        assert!(matches!(read(dir.path()).unwrap_err(), StateError::Io { .. }));
    }
}
