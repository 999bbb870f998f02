//! The names of the record formats, as the `schema` header and the `schema` field carry them.

use std::fmt;

/// A format of a record on a topic. A change that old readers could not bear gets a new number; additions do not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Schema {
    /// [`crate::RawFlow`] on the raw topic.
    RawFlow,
    /// [`crate::LedgerRecord`] on both topics.
    Ledger,
    /// [`crate::FlowRecord`] on the enriched topic.
    Flow,
}

impl Schema {
    /// All formats.
    pub const ALL: [Self; 3] = [Self::RawFlow, Self::Ledger, Self::Flow];

    /// Returns the name with its version.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RawFlow => "raw-flow/1",
            Self::Ledger => "ledger/1",
            Self::Flow => "flow/1",
        }
    }

    /// Returns the format of a name; none for a name that this version does not know.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|schema| schema.as_str() == text)
    }
}

impl fmt::Display for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
