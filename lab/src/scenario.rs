//! Scenarios: files that say who attempts what, and what must come of it.

use std::path::{Path, PathBuf};
use std::{fs, io};

use flow::Protocol;
use serde::Deserialize;
use thiserror::Error;

use crate::ledger::Expected;
use crate::plan::Close;

mod resolve;

pub(crate) use resolve::{Asker, SourcePorts, resolve};

/// Scenarios that come with the laboratory, by name.
pub const BUILT_IN: &[(&str, &str)] = &[
    ("everything", include_str!("../scenarios/everything.yaml")),
    ("storefront", include_str!("../scenarios/storefront.yaml")),
    ("windows", include_str!("../scenarios/windows.yaml")),
    ("crowd", include_str!("../scenarios/crowd.yaml")),
    ("preexisting", include_str!("../scenarios/preexisting.yaml")),
];

/// A list of tasks.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// The tasks; all of them run at the same time.
    pub tasks: Vec<TaskSpec>,
}

/// A transport as scenarios name it; ICMP follows the address family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// ICMP or ICMPv6 echo.
    Echo,
}

impl Transport {
    /// Returns the IP protocol for an address family.
    #[must_use]
    pub fn protocol(self, family: u8) -> Protocol {
        match self {
            Self::Tcp => Protocol::TCP,
            Self::Udp => Protocol::UDP,
            Self::Echo if family == 6 => Protocol::ICMPV6,
            Self::Echo => Protocol::ICMP,
        }
    }
}

/// Equal attempts of one source to one destination, in each address family.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskSpec {
    /// Its name.
    pub name: String,
    /// Who attempts: a pod's short name, `pod/container`, a node, or a host outside.
    pub from: String,
    /// What is asked for: a pod's short name, `svc/<service>`, a node, or a host outside.
    pub to: String,
    /// The transport.
    pub transport: Transport,
    /// The port; for echo there is none.
    pub port: Option<u16>,
    /// What must happen.
    pub expect: Expected,
    /// The address families; each makes all attempts.
    #[serde(default = "both")]
    pub families: Vec<u8>,
    /// How many attempts a family; otherwise what the run says.
    pub count: Option<u64>,
    /// How many at the same time.
    #[serde(default = "concurrency")]
    pub concurrency: usize,
    /// How many begin in a second, as a part of the run's rate; only for steady traffic.
    #[serde(default = "one")]
    pub share: f64,
    /// Milliseconds until the application gives up.
    #[serde(default = "timeout")]
    pub timeout_ms: u64,
    /// How often bytes go there and back.
    #[serde(default = "one_round")]
    pub rounds: u32,
    /// Bytes of a round.
    #[serde(default = "bytes")]
    pub bytes: usize,
    /// Milliseconds between rounds and before closing.
    #[serde(default)]
    pub pause_ms: u64,
    /// How to close.
    #[serde(default)]
    pub close: Close,
    /// Whether all connections are opened before any goes on.
    #[serde(default)]
    pub gate: bool,
    /// Whether each attempt goes to the next address of the destination's range.
    #[serde(default)]
    pub spread: bool,
}

/// Why a scenario cannot be used.
#[derive(Debug, Error)]
pub enum ScenarioError {
    /// The file cannot be read.
    #[error("cannot read scenario `{0}`; built in are {built_in}", built_in = built_in())]
    Read(PathBuf, #[source] io::Error),
    /// The text is no scenario.
    #[error("scenario `{name}` is not valid")]
    Parse {
        /// The scenario.
        name: String,
        /// Where and why.
        source: Box<serde_saphyr::Error>,
    },
    /// A task names somebody who is not there.
    #[error("task `{task}`: there is no `{name}` in the laboratory")]
    Unknown {
        /// The task.
        task: String,
        /// The name.
        name: String,
    },
    /// A task contradicts itself.
    #[error("task `{task}`: {reason}")]
    Task {
        /// The task.
        task: String,
        /// What is wrong.
        reason: &'static str,
    },
}

impl Scenario {
    /// Returns the built-in scenario of a name, or reads a file.
    ///
    /// # Errors
    /// If there is neither, or its text is no scenario.
    pub fn load(name: &str) -> Result<Self, ScenarioError> {
        if let Some((_, text)) = BUILT_IN.iter().find(|(known, _)| *known == name) {
            return Self::parse(name, text);
        }
        let path = Path::new(name);
        let text = fs::read_to_string(path).map_err(|error| ScenarioError::Read(path.to_owned(), error))?;
        Self::parse(name, &text)
    }

    /// Reads a scenario from text; `name` is for messages.
    ///
    /// # Errors
    /// If the text is no scenario.
    pub fn parse(name: &str, text: &str) -> Result<Self, ScenarioError> {
        serde_saphyr::from_str(text)
            .map_err(|error| ScenarioError::Parse { name: name.to_owned(), source: Box::new(error) })
    }

    /// Returns the scenario without the tasks that a predicate refuses.
    #[must_use]
    pub fn only(mut self, keep: impl Fn(&TaskSpec) -> bool) -> Self {
        self.tasks.retain(keep);
        self
    }
}

fn built_in() -> String {
    let names: Vec<&str> = BUILT_IN.iter().map(|(name, _)| *name).collect();
    names.join(", ")
}

fn both() -> Vec<u8> {
    vec![4, 6]
}

fn concurrency() -> usize {
    128
}

fn one() -> f64 {
    1.0
}

fn timeout() -> u64 {
    5000
}

fn one_round() -> u32 {
    1
}

fn bytes() -> usize {
    100
}
