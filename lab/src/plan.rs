//! What a process of the laboratory is told to be and to do: the file between the builder and its processes.

use std::net::IpAddr;
use std::path::PathBuf;

use flow::Protocol;
use serde::{Deserialize, Serialize};

use crate::ledger::{Expected, Party};
use crate::world::Behaviour;

/// A process: where it lives, who it is, what it does.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Plan {
    /// The network namespace that it enters.
    pub netns: String,
    /// The cgroup that it joins before it opens any socket.
    pub cgroup: PathBuf,
    /// Its command name, at most 15 bytes.
    pub comm: String,
    /// Whom it belongs to.
    pub party: Party,
    /// The container that it is.
    pub container: Option<String>,
    /// The node that it runs on; absent outside the cluster.
    pub node: Option<String>,
    /// Where it writes its ledger.
    pub ledger: PathBuf,
    /// What it does.
    pub work: Work,
}

/// What a process does.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// Listens.
    Serve(Vec<Listener>),
    /// Attempts.
    Ask(Vec<Task>),
}

/// An address and port to listen on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Listener {
    /// The address; `::` takes IPv4 too.
    pub address: IpAddr,
    /// The port.
    pub port: u16,
    /// What to do with what comes in.
    pub behaviour: Behaviour,
}

/// How a TCP connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Close {
    /// In order: FIN, and the other side's FIN awaited.
    #[default]
    Fin,
    /// At once, with a reset.
    Reset,
}

/// A number of equal attempts.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Task {
    /// Its name in the scenario.
    pub name: String,
    /// Number of its first attempt.
    pub first_id: u64,
    /// TCP, UDP, ICMP or ICMPv6.
    pub protocol: Protocol,
    /// The source address to bind; otherwise the kernel chooses.
    pub source: Option<IpAddr>,
    /// Source ports to use one after the other, first and last, so that no UDP 5-tuple comes twice.
    pub source_ports: Option<(u16, u16)>,
    /// The address to ask for.
    pub destination: IpAddr,
    /// The port to ask for.
    pub port: Option<u16>,
    /// Whether each attempt goes to the next address after `destination`.
    pub spread: bool,
    /// How many attempts; none means until told to stop.
    pub count: Option<u64>,
    /// How many at the same time.
    pub concurrency: usize,
    /// How many are begun in a second, if limited.
    pub rate: Option<f64>,
    /// Milliseconds until the application gives up waiting for an answer.
    pub timeout_ms: u64,
    /// How often bytes go there and back.
    pub rounds: u32,
    /// How many bytes go there and back in a round.
    pub bytes: usize,
    /// Milliseconds between rounds, and before closing.
    pub pause_ms: u64,
    /// How to close.
    pub close: Close,
    /// Whether to open all connections first and go on only when told to.
    pub gate: bool,
    /// What must happen.
    pub expected: Expected,
}
