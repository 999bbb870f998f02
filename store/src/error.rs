//! Why the store could not do what was asked, and what to do then.

/// What a failed request calls for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fate {
    /// Try again, without limit.
    Transient,
    /// Wait for a person: trying again helps only after something was done.
    Blocked,
    /// The question itself is wrong.
    Invalid,
}

/// Why a request to the store failed as a whole.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file or directory could not be used.
    #[error("cannot {action} `{place}`: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or directory.
        place: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The engine failed.
    #[error("cannot {action} in `{place}`: {source}")]
    Engine {
        /// What was tried.
        action: &'static str,
        /// The file or index.
        place: String,
        /// What it calls for.
        fate: Fate,
        /// What the engine said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A file is of a newer format than this build knows.
    #[error(
        "`{place}` has format {found}, this build reads up to {known}: use the newer build, or another data directory"
    )]
    Newer {
        /// The file.
        place: String,
        /// Its format.
        found: i64,
        /// The newest format that this build knows.
        known: i64,
    },
    /// The store was opened to read only.
    #[error("the store in `{0}` is open for reading only")]
    ReadOnly(String),
    /// Another process writes to this data directory.
    #[error("another process writes to `{0}`: stop it, or choose another data directory")]
    InUse(String),
    /// The question is not valid.
    #[error("invalid question: {0}")]
    InvalidQuery(String),
    /// The work was cut off by the end of the process.
    #[error("the store's work was cancelled: {0}")]
    Cancelled(String),
}

impl StoreError {
    /// Returns what the failure calls for.
    #[must_use]
    pub fn fate(&self) -> Fate {
        match self {
            Self::Engine { fate, .. } => *fate,
            Self::Io { .. } | Self::Newer { .. } | Self::ReadOnly(_) | Self::InUse(_) => Fate::Blocked,
            Self::InvalidQuery(_) => Fate::Invalid,
            Self::Cancelled(_) => Fate::Transient,
        }
    }

    /// Returns the fixed label for metrics.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Io { .. } => "io",
            Self::Engine { .. } => "engine",
            Self::Newer { .. } => "newer_format",
            Self::ReadOnly(_) => "read_only",
            Self::InUse(_) => "in_use",
            Self::InvalidQuery(_) => "invalid_query",
            Self::Cancelled(_) => "cancelled",
        }
    }
}
