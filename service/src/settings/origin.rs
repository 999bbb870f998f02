//! Where each value came from.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use crate::printable::Printable;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Origin {
    /// Nobody gave it.
    #[default]
    Default,
    /// The settings file. Line and column count from 1; 0 means the file as a whole.
    File {
        /// The file.
        path: PathBuf,
        /// The line.
        line: u64,
        /// The column.
        column: u64,
    },
    /// An environment variable, by name.
    Environment(String),
    /// A flag of the command line, as it is written.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line: 0, .. } => write!(f, "{}", Printable(path.display())),
            Self::File { path, line, column } => write!(f, "{}:{line}:{column}", Printable(path.display())),
            Self::Environment(name) => write!(f, "environment {}", Printable(name)),
            Self::Flag(flag) => write!(f, "flag {}", Printable(flag)),
        }
    }
}

/// The origins of all keys that were given. A key is written `section.key`, an element of a list `key[0]`.
#[derive(Debug, Clone, Default)]
pub(super) struct Origins(BTreeMap<String, Origin>);

impl Origins {
    /// Notes where a key came from; what was known of it and of what is below it is forgotten.
    pub(super) fn set(&mut self, key: &str, origin: Origin) {
        self.0.retain(|known, _| !is_below(known, key));
        self.0.insert(key.to_owned(), origin);
    }

    /// Notes where a key came from, next to what is known already.
    pub(super) fn add(&mut self, key: String, origin: Origin) {
        self.0.insert(key, origin);
    }

    /// Returns where the value of a key came from: its own origin, or that of the nearest key around it that was given as
    /// one value. A section that stands in the file is not: each key of a file is known by itself.
    pub(super) fn of(&self, key: &str) -> Origin {
        let mut around = key;
        loop {
            match self.0.get(around) {
                Some(Origin::File { .. }) if around != key => return Origin::Default,
                Some(origin) => return origin.clone(),
                None => {}
            }
            match around.rfind(['.', '[']) {
                Some(end) => around = around.get(..end).unwrap_or_default(),
                None => return Origin::Default,
            }
        }
    }
}

fn is_below(key: &str, parent: &str) -> bool {
    key.strip_prefix(parent).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// Returns the way to write a key inside another.
pub(super) fn join(parent: &str, key: &str) -> String {
    if parent.is_empty() { key.to_owned() } else { format!("{parent}.{key}") }
}
