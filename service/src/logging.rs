//! Log lines on standard error: for people on a terminal, JSON elsewhere.

mod human;
mod throttle;

use std::io::{self, IsTerminal};
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, Registry};

use crate::settings::Problems;
use human::Human;
pub use throttle::Throttle;

/// The level where none is set.
pub const DEFAULT_LEVEL: &str = "info";

/// The section `log` as it is read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawLogSettings {
    /// What is logged: `error`, `warn`, `info`, `debug` or `trace`, or by component: `info,probe=debug`.
    pub level: Option<String>,
    /// How it is written.
    pub format: Option<LogFormat>,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people if standard error is a terminal, else as JSON.
    #[default]
    Auto,
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

/// The section `log`, checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LogSettings {
    level: String,
    format: LogFormat,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { level: DEFAULT_LEVEL.to_owned(), format: LogFormat::Auto }
    }
}

/// The process has a log already.
#[derive(Debug, thiserror::Error)]
#[error("logging was started before")]
pub struct AlreadyStarted;

impl LogSettings {
    /// Checks the section.
    pub fn resolve(raw: RawLogSettings, problems: &mut Problems) -> Self {
        let level = raw.level.unwrap_or_else(|| DEFAULT_LEVEL.to_owned());
        if let Err(reason) = filter(&level) {
            problems.add("log.level", reason);
        }
        Self { level, format: raw.format.unwrap_or_default() }
    }

    /// Starts the log of this process, on standard error.
    ///
    /// # Errors
    /// If it was started before.
    pub fn start(&self) -> Result<(), AlreadyStarted> {
        let terminal = io::stderr().is_terminal();
        let human = match self.format {
            LogFormat::Auto => terminal,
            LogFormat::Human => true,
            LogFormat::Json => false,
        };
        let subscriber = self.subscriber(human, terminal && std::env::var_os("NO_COLOR").is_none(), io::stderr);
        tracing::subscriber::set_global_default(subscriber).map_err(|_| AlreadyStarted)
    }

    fn subscriber<W>(&self, human: bool, colour: bool, writer: W) -> impl Subscriber + Send + Sync + use<W>
    where
        W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
    {
        // It was checked before; should it not parse all the same, the default is better than no log.
        let filter = filter(&self.level).unwrap_or_else(|_| EnvFilter::new(DEFAULT_LEVEL));
        Registry::default().with(filter).with(if human { for_people(colour, writer) } else { as_json(writer) })
    }
}

type BoxLayer<S> = Box<dyn Layer<S> + Send + Sync>;

fn for_people<S, W>(colour: bool, writer: W) -> BoxLayer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    tracing_subscriber::fmt::layer().with_ansi(colour).event_format(Human).fmt_fields(Human).with_writer(writer).boxed()
}

fn as_json<S, W>(writer: W) -> BoxLayer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    tracing_subscriber::fmt::layer().json().flatten_event(true).with_writer(writer).boxed()
}

/// Reads a level or a list of them.
fn filter(level: &str) -> Result<EnvFilter, String> {
    let unknown = |word: &str| {
        format!("`{word}` is no level; use error, warn, info, debug, trace or off, alone or as `component=level`")
    };
    for directive in level.split(',') {
        let word = directive.rsplit('=').next().unwrap_or(directive).trim();
        // An empty word would be read as `error`.
        let level = LevelFilter::from_str(word).ok().filter(|_| !word.is_empty());
        level.ok_or_else(|| unknown(word))?;
    }
    EnvFilter::builder().with_regex(false).parse(level).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests;
