//! The truth: what each client asked for and saw, what each server received.
//!
//! One JSON object a line: [`Attempt`]s in `attempts-*.jsonl`, [`Receipt`]s in `receipts-*.jsonl`. Bytes are the
//! application's own counts: TCP and UDP payload; for ICMP the echo's data after its eight bytes of header.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Seek as _, SeekFrom};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use flow::{Outcome, Protocol, UnixMs};
use serde::{Deserialize, Serialize};
use thiserror::Error;

mod expected;

pub use expected::Expected;

/// One end of an attempt, as the laboratory knows it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Party {
    /// A pod.
    Pod {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// Its UID.
        uid: String,
    },
    /// A process of a node, outside all pods.
    Node {
        /// The node's name.
        name: String,
    },
    /// A host outside the cluster.
    Outside {
        /// Its name in the laboratory.
        name: String,
    },
}

/// What the application saw of its attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Saw {
    /// TCP: the connection came about and everything was exchanged.
    Connected,
    /// TCP: the connection came about, and failed later.
    Broken {
        /// The system's number for the failure.
        errno: i32,
    },
    /// Not TCP: everything sent was answered.
    Answered,
    /// Not TCP: nothing came back in time.
    Silence,
    /// TCP: no answer to the connection request until the application gave up.
    GaveUp,
    /// The system said no.
    Error {
        /// Its number.
        errno: i32,
    },
}

/// One attempt of a client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Its number, unique in a run.
    pub id: u64,
    /// The task of the scenario that it belongs to.
    pub task: String,
    /// Who made it.
    pub source: Party,
    /// The container that made it, if a pod did.
    pub container: Option<String>,
    /// The node that it was made on; absent outside the cluster.
    pub node: Option<String>,
    /// The protocol.
    pub protocol: Protocol,
    /// The source address, where the application learnt it.
    pub source_ip: Option<IpAddr>,
    /// The source port, where the application learnt it.
    pub source_port: Option<u16>,
    /// The address that the application asked for, before any translation.
    pub destination: IpAddr,
    /// The port that the application asked for.
    pub port: Option<u16>,
    /// What the scenario says must happen.
    pub expected: Expected,
    /// When it began.
    pub start: UnixMs,
    /// Microseconds from its begin until it was connected; absent if it never was.
    pub connected_us: Option<u64>,
    /// Microseconds from its begin until the application closed its socket.
    pub closed_us: u64,
    /// What came of it.
    pub saw: Saw,
    /// Payload bytes that the application sent.
    pub bytes_sent: u64,
    /// Payload bytes that the application received.
    pub bytes_received: u64,
    /// Process id of the client in the machine's PID namespace.
    pub pid: u32,
    /// Command name of the client.
    pub comm: String,
}

impl Attempt {
    /// Returns how the attempt went, in the words of flow records.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        self.expected.outcome(self.protocol)
    }

    /// Says whether the application saw what the scenario promised.
    #[must_use]
    pub fn as_expected(&self) -> bool {
        self.expected.agrees(self.protocol, self.saw)
    }
}

/// One connection, or the datagrams of one peer, as a server received them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Who received.
    pub receiver: Party,
    /// The container that received, if a pod did.
    pub container: Option<String>,
    /// The protocol.
    pub protocol: Protocol,
    /// The address that the packets carried as destination, after any translation.
    pub local_ip: Option<IpAddr>,
    /// The port listened on.
    pub local_port: u16,
    /// The peer's address as the server saw it, after any masquerading.
    pub peer_ip: IpAddr,
    /// The peer's port.
    pub peer_port: u16,
    /// When it was accepted, or the first datagram came.
    pub start: UnixMs,
    /// When it was closed, or the last datagram came.
    pub end: UnixMs,
    /// Payload bytes received.
    pub bytes_received: u64,
    /// Payload bytes sent.
    pub bytes_sent: u64,
    /// Whether the connection ended otherwise than by the peer's orderly close.
    pub aborted: bool,
}

/// The whole truth of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// What clients attempted, by id.
    pub attempts: Vec<Attempt>,
    /// What servers received.
    pub receipts: Vec<Receipt>,
}

/// What attempts are summed by: the identity that flow records keep.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Group {
    /// Who attempted.
    pub source: Party,
    /// The address asked for.
    pub destination: IpAddr,
    /// The port asked for.
    pub port: Option<u16>,
    /// The protocol.
    pub protocol: Protocol,
    /// How it went.
    pub outcome: Outcome,
}

/// What servers' receipts are summed by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reception {
    /// Who received.
    pub receiver: Party,
    /// The peer's address as the receiver saw it.
    pub peer_ip: IpAddr,
    /// The port listened on.
    pub port: u16,
    /// The protocol.
    pub protocol: Protocol,
}

/// The sums of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// How many attempts, connections or datagram peers.
    pub attempts: u64,
    /// Payload bytes sent by whom the group is about.
    pub bytes_sent: u64,
    /// Payload bytes received by whom the group is about.
    pub bytes_received: u64,
}

/// Why a ledger cannot be read.
#[derive(Debug, Error)]
pub enum LedgerError {
    /// A file or the folder cannot be read.
    #[error("cannot read the ledger at `{0}`")]
    Read(PathBuf, #[source] io::Error),
    /// A line is no entry.
    #[error("`{path}` has no ledger entry at line {line}")]
    Line {
        /// The file.
        path: PathBuf,
        /// Counted from one, from where reading began.
        line: usize,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

impl Ledger {
    /// Reads all ledger files of a folder.
    ///
    /// # Errors
    /// If one of them cannot be read or has a line that is no entry.
    pub fn read(folder: &Path) -> Result<Self, LedgerError> {
        let failed = |error| LedgerError::Read(folder.to_owned(), error);
        let mut ledger = Self::default();
        for entry in fs::read_dir(folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            if name.starts_with("attempts-") && name.ends_with(".jsonl") {
                ledger.attempts.extend(read_lines::<Attempt>(&path, 0)?.0);
            } else if name.starts_with("receipts-") && name.ends_with(".jsonl") {
                ledger.receipts.extend(read_lines::<Receipt>(&path, 0)?.0);
            }
        }
        ledger.attempts.sort_by_key(|attempt| attempt.id);
        Ok(ledger)
    }

    /// Sums the attempts by what flow records tell apart.
    #[must_use]
    pub fn groups(&self) -> BTreeMap<Group, Totals> {
        let mut groups = BTreeMap::<Group, Totals>::new();
        for attempt in &self.attempts {
            let group = Group {
                source: attempt.source.clone(),
                destination: attempt.destination,
                port: attempt.port,
                protocol: attempt.protocol,
                outcome: attempt.outcome(),
            };
            groups.entry(group).or_default().add(attempt.bytes_sent, attempt.bytes_received);
        }
        groups
    }

    /// Sums the receipts by receiver, peer, port and protocol.
    #[must_use]
    pub fn receptions(&self) -> BTreeMap<Reception, Totals> {
        let mut groups = BTreeMap::<Reception, Totals>::new();
        for receipt in &self.receipts {
            let group = Reception {
                receiver: receipt.receiver.clone(),
                peer_ip: receipt.peer_ip,
                port: receipt.local_port,
                protocol: receipt.protocol,
            };
            groups.entry(group).or_default().add(receipt.bytes_sent, receipt.bytes_received);
        }
        groups
    }

    /// Returns the attempts that went otherwise than the scenario promised: the laboratory's own faults.
    #[must_use]
    pub fn surprises(&self) -> Vec<&Attempt> {
        self.attempts.iter().filter(|attempt| !attempt.as_expected()).collect()
    }
}

impl Totals {
    fn add(&mut self, sent: u64, received: u64) {
        self.attempts += 1;
        self.bytes_sent += sent;
        self.bytes_received += received;
    }
}

/// Reads the entries of a file from an offset on; returns them and the offset after the last complete line.
pub(crate) fn read_lines<T: for<'a> Deserialize<'a>>(path: &Path, offset: u64) -> Result<(Vec<T>, u64), LedgerError> {
    let failed = |error| LedgerError::Read(path.to_owned(), error);
    let mut file = File::open(path).map_err(failed)?;
    file.seek(SeekFrom::Start(offset)).map_err(failed)?;
    let (mut reader, mut text, mut end) = (BufReader::new(file), String::new(), offset);
    let mut entries = Vec::new();
    loop {
        text.clear();
        let length = reader.read_line(&mut text).map_err(failed)?;
        if !text.ends_with('\n') {
            return Ok((entries, end));
        }
        end += length as u64;
        let line = entries.len() + 1;
        let entry = serde_json::from_str(&text);
        entries.push(entry.map_err(|source| LedgerError::Line { path: path.to_owned(), line, source })?);
    }
}
