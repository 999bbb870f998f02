//! What a TCP proxy does to connections, and what it counts.

use std::num::NonZeroU64;
use std::time::Duration;

/// Rules for all connections, open and new; by default everything passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rules {
    /// What happens to new connections.
    pub accept: Accept,
    /// What happens to bytes from the client.
    pub to_server: Lane,
    /// What happens to bytes from the server.
    pub to_client: Lane,
}

/// What happens to new connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Accept {
    /// They are forwarded.
    #[default]
    Forward,
    /// They are reset at once, as a server that is down would do.
    Reset,
}

/// One direction of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lane {
    /// How long each read (64 KiB at most) is held back.
    pub delay: Duration,
    /// The bandwidth; none: unlimited.
    pub bytes_per_second: Option<NonZeroU64>,
    /// Whether bytes pass.
    pub flow: Flow,
    /// Where the direction ends early.
    pub cut: Option<Cut>,
}

/// Whether bytes pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Flow {
    /// They pass.
    #[default]
    Pass,
    /// They wait until the rules change; connections stay open.
    Stall,
    /// They are thrown away: towards the client, requests are applied and their answers lost.
    Swallow,
}

/// An early end of a direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// How many bytes of a connection pass before.
    pub after: u64,
    /// How it ends.
    pub by: End,
}

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Both sides get a reset.
    Reset,
    /// The receiver of the direction gets an orderly end; the other direction goes on.
    HalfClose,
}

/// What a TCP proxy did so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Connections that were forwarded.
    pub connections: u64,
    /// New connections that were reset: by rule, or as the server took none.
    pub refused: u64,
    /// Connections that were reset by rule or order.
    pub resets: u64,
    /// Directions that were ended early in good order.
    pub half_closes: u64,
    /// Reads that were held back.
    pub delayed: u64,
    /// Times that bytes had to wait for other rules.
    pub stalls: u64,
    /// Bytes thrown away.
    pub swallowed_bytes: u64,
    /// Bytes that reached the server.
    pub bytes_to_server: u64,
    /// Bytes that reached the client.
    pub bytes_to_client: u64,
}
