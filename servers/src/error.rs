//! What keeps a server from running.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::Product;

/// Something that a server needs and this machine lacks.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{product} needs {what}; to have it: {install}")]
pub struct Missing {
    /// The server.
    pub product: Product,
    /// What it needs.
    pub what: String,
    /// The command that brings it (packages by their Debian names).
    pub install: String,
}

/// Why a server does not run.
#[derive(Debug, Error)]
pub enum ServerError {
    /// The machine lacks something.
    #[error(transparent)]
    Missing(#[from] Missing),
    /// The product is not of the kind that was asked for.
    #[error("{0} is not a search engine; start it with `Kafka::start`")]
    NotASearchEngine(Product),
    /// The product has no security here.
    #[error("{0} has no security plugin on the registries; OpenSearch 2.19.4 and Elasticsearch 9.5.3 have")]
    NoSecurity(Product),
    /// The operating system refused.
    #[error("cannot {doing}")]
    System {
        /// What was tried.
        doing: String,
        /// Its answer.
        source: io::Error,
    },
    /// A command that prepares a server failed.
    #[error("cannot {doing}: `{command}` failed: {output}")]
    Command {
        /// What it was for.
        doing: String,
        /// The program.
        command: String,
        /// The end of what it printed.
        output: String,
    },
    /// No port of the range could be bound.
    #[error("no free port on 127.0.0.1 between {first} and {last}")]
    NoPort {
        /// Lowest port tried.
        first: u16,
        /// Highest port tried.
        last: u16,
    },
    /// The server ended by itself.
    #[error("{name} ended while starting ({status}); the end of its log {}:\n{tail}", log.display())]
    Ended {
        /// The server.
        name: String,
        /// Its exit status.
        status: String,
        /// Where its log is.
        log: PathBuf,
        /// The last lines of it.
        tail: String,
    },
    /// The server did not answer in time.
    #[error("{name} did not answer within {seconds} s; the end of its log {}:\n{tail}", log.display())]
    Late {
        /// The server.
        name: String,
        /// How long was waited.
        seconds: u64,
        /// Where its log is.
        log: PathBuf,
        /// The last lines of it.
        tail: String,
    },
    /// The server is not running, so it cannot be paused or resumed.
    #[error("{0} is not running")]
    NotRunning(String),
}

/// Turns an answer of the operating system into ours, with what was tried.
pub(crate) fn system(doing: impl Into<String>) -> impl FnOnce(io::Error) -> ServerError {
    let doing = doing.into();
    move |source| ServerError::System { doing, source }
}
