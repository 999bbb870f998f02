//! A folder of manifests as the source of a cluster: the only module that reads files.
//!
//! All `*.yaml`, `*.yml` and `*.json` below a directory are read, several documents a file, `List` kinds unpacked. A bad
//! document is reported with file, line and object, and the others still load. [`read`] reads once; a [`Folder`]
//! notices changes and keeps the last good version of what is half-written or broken.

mod documents;
mod folder;
mod walk;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

pub use folder::{Folder, Scan};

use crate::border::InvalidObject;
use crate::objects::{ObjectName, Objects};

/// How much is read at most. Manifests may come from anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Files of the folder.
    pub files: usize,
    /// Bytes of one file.
    pub file_bytes: u64,
    /// Bytes of all files.
    pub total_bytes: u64,
    /// Directories within directories.
    pub depth: usize,
    /// Objects of all files.
    pub objects: usize,
    /// Maps, lists and scalars of one YAML document, aliases replayed.
    pub document_nodes: usize,
    /// Reports of one file.
    pub reports: usize,
}

impl Default for Limits {
    /// Room for `kubectl get -o yaml` of a cluster of some thousand pods, not for filling the machine.
    fn default() -> Self {
        Self {
            files: 10_000,
            file_bytes: 16 << 20,
            total_bytes: 128 << 20,
            depth: 16,
            objects: 200_000,
            document_nodes: 2_000_000,
            reports: 100,
        }
    }
}

/// A document, file or directory that could not be used, and where it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct InvalidManifest {
    /// Path below the folder.
    pub file: Arc<str>,
    /// Line where the document or object begins, or where reading it failed; 0 for the file as a whole.
    pub line: u32,
    /// The object, if the document says so much.
    pub object: Option<ObjectName>,
    /// What is wrong.
    pub reason: InvalidReason,
    /// True if the version read before stays in use.
    pub kept: bool,
}

/// What is wrong with a manifest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum InvalidReason {
    /// The file or directory cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// It is a link to a directory, which is not followed, or neither file nor directory.
    #[error("is no regular file and no directory; links to directories are not followed")]
    Special,
    /// It is no UTF-8.
    #[error("is not UTF-8 text")]
    NotText,
    /// It is no YAML or JSON, or goes beyond what a document may hold.
    #[error("{0}")]
    Syntax(String),
    /// The object is not one.
    #[error("{0}")]
    Object(String),
    /// Another document has the same object, or another pod the same UID; that one is used.
    #[error("is the same as the one at {0}, which is used")]
    Duplicate(String),
    /// A limit is reached, the rest is left out.
    #[error("holds more than {limit} {what}; the rest is left out")]
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// How much of it is read.
        limit: u64,
    },
}

impl InvalidReason {
    /// Returns the label for metrics.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "unreadable",
            Self::Special => "special",
            Self::NotText => "not_text",
            Self::Syntax(_) => "syntax",
            Self::Object(_) => "object",
            Self::Duplicate(_) => "duplicate",
            Self::Limit { .. } => "limit",
        }
    }
}

impl From<InvalidObject> for InvalidReason {
    fn from(invalid: InvalidObject) -> Self {
        Self::Object(invalid.to_string())
    }
}

impl fmt::Display for InvalidManifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        match &self.object {
            Some(object) => write!(f, ": {object}: {}", self.reason)?,
            None => write!(f, ": {}", self.reason)?,
        }
        if self.kept { f.write_str(" (the version read before stays in use)") } else { Ok(()) }
    }
}

impl std::error::Error for InvalidManifest {}

/// Reads one text as if it were the file `name` of a folder: JSON if the name ends in `.json`, else YAML.
#[must_use]
pub fn parse(name: &str, text: &[u8], limits: Limits) -> (Objects, Vec<InvalidManifest>) {
    let Scan { objects, invalid, .. } = Folder::of_one(name, text, limits).gathered(Vec::new());
    (objects, invalid)
}

/// Reads a folder once.
#[must_use]
pub fn read(dir: &Path, limits: Limits) -> (Objects, Vec<InvalidManifest>) {
    let Scan { objects, invalid, .. } = Folder::new(dir, limits).read();
    (objects, invalid)
}

#[cfg(test)]
mod tests;
