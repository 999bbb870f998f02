//! The hand-written cases of `flow/tests/cases/`, read for tests of any crate (feature `test-support`).
//!
//! A case tells a story: what happened, who the ends are, what the probe reports, what policy says, and the flow record
//! that comes of it. Each crate takes the sections it is about: a probe from events to raw, an enricher from raw and
//! endpoints to joined, this crate from joined and judgement to record. `flow/tests/cases/README.md` describes the format.

mod format;
mod world;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

pub use format::{Fate, Message, Topic};
pub use world::{CaseEndpoint, CaseEndpointType, CaseService};

use crate::{JoinedFlow, Judgement, LedgerRecord, RawFlow};

/// A case as its file tells it, with what `world.yaml` gives to all.
#[derive(Debug, Clone)]
pub struct Case {
    /// The file it stands in, without the extension.
    pub topic: String,
    /// What it shows, in a few words; unique.
    pub name: String,
    /// The rows and corners of the design that it covers.
    pub covers: Vec<String>,
    /// What happened, in plain words.
    pub events: Vec<String>,
    /// Everyone and everything that the case may name: the world's, and the case's own.
    pub endpoints: BTreeMap<String, CaseEndpoint>,
    /// The services, likewise.
    pub services: BTreeMap<String, CaseService>,
    /// The records, in the order of their numbers.
    pub records: Vec<CaseRecord>,
    /// The ledgers.
    pub ledgers: Vec<CaseLedger>,
    /// Messages as they lie in a topic.
    pub messages: Vec<Message>,
}

/// One record of a case, at every stage of its way.
#[derive(Debug, Clone)]
pub struct CaseRecord {
    /// Name of the source among the case's endpoints.
    pub source: String,
    /// Name of the destination among the case's endpoints.
    pub dest: String,
    /// Name of the service among the case's services.
    pub service: Option<String>,
    /// What the probe reports.
    pub raw: RawFlow,
    /// The record with names.
    pub joined: JoinedFlow,
    /// What policy says.
    pub judgement: Judgement,
    /// Fields of the flow record that comes of it; null says that the field is absent.
    pub record: Map<String, Value>,
    /// True if `record` is the whole record: what it does not name is absent.
    pub complete: bool,
}

/// One ledger of a case.
#[derive(Debug, Clone)]
pub struct CaseLedger {
    /// The ledger record.
    pub ledger: LedgerRecord,
    /// What each account leaves unexplained, by `protocol/direction`.
    pub unexplained: BTreeMap<String, i128>,
    /// True if its digest is that of the case's records after [`crate::digest::GENESIS`].
    pub digest_of_records: bool,
}

/// Why the cases cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum InvalidCases {
    /// A file cannot be opened.
    #[error("cannot read {path}")]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is not of the format.
    #[error("{path}: {reason}")]
    Form {
        /// The file.
        path: PathBuf,
        /// What is wrong, with the place.
        reason: String,
    },
    /// A case says what cannot be.
    #[error("{path}: case `{case}`: {reason}")]
    Case {
        /// The file.
        path: PathBuf,
        /// The case.
        case: String,
        /// What is wrong.
        reason: String,
    },
}

/// Returns the folder of the cases in this checkout.
#[must_use]
pub fn cases_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases")
}

/// Reads all cases, sorted by file.
///
/// # Errors
/// Returns [`InvalidCases`] for the first file or case that does not fit the format.
pub fn load_cases() -> Result<Vec<Case>, InvalidCases> {
    let folder = cases_folder();
    let read = |source| InvalidCases::Read { path: folder.clone(), source };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(&folder).map_err(read)? {
        let path = entry.map_err(read)?.path();
        let is_world = path.file_name().is_some_and(|name| name == world::FILE);
        if path.extension().is_some_and(|extension| extension == "yaml") && !is_world {
            paths.push(path);
        }
    }
    paths.sort();
    let world = world::World::load(&folder.join(world::FILE))?;
    let mut cases = Vec::new();
    for path in paths {
        cases.extend(format::load(&path, &world)?);
    }
    Ok(cases)
}

/// Reads a YAML file.
fn yaml<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, InvalidCases> {
    let text = std::fs::read_to_string(path).map_err(|source| InvalidCases::Read { path: path.to_owned(), source })?;
    serde_saphyr::from_str(&text)
        .map_err(|error| InvalidCases::Form { path: path.to_owned(), reason: error.to_string() })
}
