//! Who numbered a record: the stream, and the place in it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::printable::printable;

/// One incarnation of one probe: `cluster/node/epoch`.
///
/// The epoch is the Unix time in milliseconds at which the probe started. The stream is the message key of the raw and
/// the enriched topic, so that one stream lies in one partition, in order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stream {
    cluster: Arc<str>,
    node: Arc<str>,
    epoch: u64,
}

/// Why a text is no stream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidStream {
    /// The text does not have exactly the three parts `cluster/node/epoch`.
    #[error("stream `{0}` is not of the form cluster/node/epoch")]
    Form(String),
    /// Cluster or node is empty, too long (253 bytes), or holds a slash, white space or a control character.
    #[error("stream part `{0}` must be 1 to 253 printable characters without slash or space")]
    Part(String),
    /// The epoch is no number of milliseconds.
    #[error("stream epoch `{0}` is not a number of milliseconds")]
    Epoch(String),
}

impl Stream {
    /// Makes a stream of its parts.
    ///
    /// # Errors
    /// Returns [`InvalidStream::Part`] if cluster or node could not be told apart in the joined form.
    pub fn new(cluster: &str, node: &str, epoch: u64) -> Result<Self, InvalidStream> {
        for part in [cluster, node] {
            let readable = part.chars().all(|c| !c.is_control() && !c.is_whitespace() && c != '/');
            if part.is_empty() || part.len() > 253 || !readable {
                return Err(InvalidStream::Part(printable(part, 64)));
            }
        }
        Ok(Self { cluster: cluster.into(), node: node.into(), epoch })
    }

    /// Returns the name of the cluster.
    #[must_use]
    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    /// Returns the name of the node.
    #[must_use]
    pub fn node(&self) -> &str {
        &self.node
    }

    /// Returns the start of the incarnation in Unix milliseconds.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.cluster, self.node, self.epoch)
    }
}

impl FromStr for Stream {
    type Err = InvalidStream;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.split('/');
        let (Some(cluster), Some(node), Some(epoch), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(InvalidStream::Form(printable(text, 64)));
        };
        // `u64::from_str` takes a plus sign, which would give one stream two spellings.
        let digits = !epoch.is_empty() && epoch.bytes().all(|b| b.is_ascii_digit());
        let number = if digits { epoch.parse().ok() } else { None };
        let epoch = number.ok_or_else(|| InvalidStream::Epoch(printable(epoch, 64)))?;
        Self::new(cluster, node, epoch)
    }
}

impl Serialize for Stream {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Stream {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl schemars::JsonSchema for Stream {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Stream".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^[^/\\s]{1,253}/[^/\\s]{1,253}/[0-9]{1,20}$" })
    }
}

/// The identity of a record: its stream and its number in it. Numbers are dense, from 0; ledger records take part.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId {
    /// The stream that numbered the record.
    pub stream: Stream,
    /// The number of the record in its stream, from 0, without gaps.
    pub seq: u64,
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.stream, self.seq)
    }
}
