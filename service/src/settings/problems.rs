//! Everything that is wrong with the settings, collected so that it is said at once.

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;

use super::Dump;
use super::origin::{Origin, Origins};
use crate::printable::{Printable, shortened};

/// How many problems are printed; a hostile file can have any number.
const MAX_PRINTED: usize = 50;

/// How many characters of a reason are printed; it may quote a value.
const MAX_REASON_CHARS: usize = 400;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The key, written `section.key`; empty for a source as a whole.
    pub key: String,
    /// Why its value will not do.
    pub reason: String,
    /// Where the value came from.
    pub origin: Origin,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = shortened(&self.reason, MAX_REASON_CHARS);
        if self.key.is_empty() {
            write!(f, "{}: {}", self.origin, Printable(reason))
        } else {
            let key = shortened(&self.key, MAX_REASON_CHARS);
            write!(f, "{} ({}): {}", Printable(key), self.origin, Printable(reason))
        }
    }
}

/// All that is wrong with a set of settings. It knows where each key came from.
#[derive(Debug, Clone, Default)]
pub struct Problems {
    problems: Vec<Problem>,
    origins: Arc<Origins>,
}

impl Problems {
    pub(super) fn new(problems: Vec<Problem>, origins: Origins) -> Self {
        Self { problems, origins: Arc::new(origins) }
    }

    /// Adds a problem with the value of a key.
    pub fn add(&mut self, key: &str, reason: impl Into<String>) {
        self.problems.push(Problem { key: key.to_owned(), reason: reason.into(), origin: self.origins.of(key) });
    }

    /// Adds a problem unless the condition holds; returns whether it does.
    pub fn check(&mut self, key: &str, holds: bool, reason: impl FnOnce() -> String) -> bool {
        if !holds {
            self.add(key, reason());
        }
        holds
    }

    /// Adds a problem unless the value lies in the range; returns the value, moved to the nearest end of the range.
    pub fn in_range<T: PartialOrd + Copy + fmt::Display>(
        &mut self,
        key: &str,
        value: T,
        range: &RangeInclusive<T>,
    ) -> T {
        if range.contains(&value) {
            return value;
        }
        self.add(key, format!("must lie between {} and {}, but is {value}", range.start(), range.end()));
        if value < *range.start() { *range.start() } else { *range.end() }
    }

    /// Returns the name of a topic or group, or the default. Adds a problem unless it keeps to Kafka's rule for topics.
    pub fn bus_name(&mut self, key: &str, given: Option<String>, default: &str) -> String {
        let name = given.unwrap_or_else(|| default.to_owned());
        let fits = (1..=249).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
        self.check(key, fits, || "must be 1 to 249 letters, digits, dots, dashes and underscores".to_owned());
        name
    }

    /// Returns the value of a result, or adds its error as a problem.
    pub fn take<T, E: fmt::Display>(&mut self, key: &str, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.add(key, error.to_string())).ok()
    }

    /// Returns where the value of a key came from.
    pub fn origin(&self, key: &str) -> Origin {
        self.origins.of(key)
    }

    /// Returns true if nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }

    /// Returns all that is wrong, in the order in which it was found.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.problems.iter()
    }

    /// Returns the settings if nothing is wrong, else what is.
    ///
    /// # Errors
    /// All that is wrong.
    pub fn into_result<T>(self, settings: T) -> Result<T, Self> {
        if self.problems.is_empty() { Ok(settings) } else { Err(self) }
    }

    /// Returns the settings in force, each with its source: what `config dump` prints.
    ///
    /// `effective` is what the settings serialise to, under the keys of the file.
    pub fn dump(&self, effective: serde_json::Value) -> Dump {
        Dump::new(effective, &self.origins)
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problems.len() {
            1 => f.write_str("1 setting is wrong:")?,
            count => write!(f, "{count} settings are wrong:")?,
        }
        for problem in self.problems.iter().take(MAX_PRINTED) {
            write!(f, "\n  {problem}")?;
        }
        match self.problems.len().checked_sub(MAX_PRINTED) {
            Some(more @ 1..) => write!(f, "\n  and {more} more"),
            _ => Ok(()),
        }
    }
}

impl std::error::Error for Problems {}
