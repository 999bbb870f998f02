//! Why a value could not be read, with the place and a short, printable excerpt.

use std::fmt;

use crate::printable::printable;
use crate::validate::InvalidRecord;

/// How many bytes of the value are shown before and behind the place.
const EXCERPT_BYTES: usize = 24;
/// The longest reason that is kept, in characters: reasons may quote the value.
const REASON_CHARS: usize = 200;
/// The longest path that is kept, in characters: it may hold keys of the value.
const FIELD_CHARS: usize = 80;

/// Where in a value reading stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Line, from 1.
    pub line: usize,
    /// Column in bytes, from 1; 0 if the end came before anything.
    pub column: usize,
    /// The field that was being read, as a path; empty if it is not known.
    pub field: String,
    /// Some characters around the place; control characters are replaced.
    pub excerpt: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} column {} ", self.line, self.column)?;
        if !self.field.is_empty() {
            write!(f, "in `{}` ", self.field)?;
        }
        write!(f, "near `{}`", self.excerpt)
    }
}

/// Why a value is no record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The value is too long to be looked at.
    #[error("value of {bytes} bytes is longer than {max}", max = super::MAX_VALUE_BYTES)]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// The value is not JSON, or not JSON of the right shape.
    #[error("{reason} at {place}")]
    Form {
        /// What is wrong; names the field where it is known.
        reason: String,
        /// Where.
        place: Place,
    },
    /// The value does not say its format.
    #[error("value has no field `schema`")]
    NoSchema,
    /// The value is of a format that does not belong here, or that this version does not know.
    #[error("format `{found}` is not expected here")]
    UnexpectedSchema {
        /// The format it names.
        found: String,
    },
    /// The value is well formed, and says something that cannot be.
    #[error(transparent)]
    Invalid(InvalidRecord),
    /// The value says another identity than its headers.
    #[error("headers say `{headers}` but the value says `{value}`")]
    Identity {
        /// Identity by the headers.
        headers: String,
        /// Identity by the value.
        value: String,
    },
}

impl DecodeError {
    /// Returns the fixed label for metrics and dead letters.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::TooLong { .. } => "too_long",
            Self::Form { .. } => "form",
            Self::NoSchema | Self::UnexpectedSchema { .. } => "schema",
            Self::Invalid(_) => "invalid",
            Self::Identity { .. } => "identity",
        }
    }

    pub(super) fn form(error: &serde_json::Error, path: &str, value: &[u8]) -> Self {
        let text = error.to_string();
        let suffix = format!(" at line {} column {}", error.line(), error.column());
        let reason = text.strip_suffix(&suffix).unwrap_or(&text);
        // A path of one dot is the value as a whole.
        let field = printable(path.trim_matches('.'), FIELD_CHARS);
        let place = Place { line: error.line(), column: error.column(), field, excerpt: excerpt(error, value) };
        Self::Form { reason: printable(reason, REASON_CHARS), place }
    }
}

/// Why a record could not be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The record is longer than a value may be.
    #[error("record of {bytes} bytes is longer than {max}", max = super::MAX_VALUE_BYTES)]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// The record has no JSON form.
    #[error("record has no json form: {0}")]
    Form(String),
}

fn excerpt(error: &serde_json::Error, value: &[u8]) -> String {
    let line_start = match error.line() {
        0 | 1 => 0,
        line => value.iter().enumerate().filter(|(_, b)| **b == b'\n').nth(line - 2).map_or(0, |(at, _)| at + 1),
    };
    let at = (line_start + error.column()).min(value.len());
    let from = at.saturating_sub(EXCERPT_BYTES);
    let to = (at + EXCERPT_BYTES).min(value.len());
    printable(&String::from_utf8_lossy(&value[from..to]), 2 * EXCERPT_BYTES)
}
