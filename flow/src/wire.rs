//! The wire format: what the values and headers of both topics hold, written and read.
//!
//! A value is one compact JSON object whose `schema` field repeats the header. Two kinds of values share the raw topic
//! (`raw-flow/1`, `ledger/1`) and the enriched topic (`flow/1`, `ledger/1`). Reading is strict about what is known (types
//! and the invariants of [`crate::validate`]) and deaf to what is not: unknown fields are skipped, so that readers keep
//! working when a writer adds one. A value that cannot be read keeps its identity by its [`Headers`] and becomes a dead
//! letter ([`dead_letter`]); one without usable headers is *foreign*.

pub mod dead_letter;
mod error;
mod headers;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub use error::{DecodeError, EncodeError, Place};
pub use headers::{Headers, InvalidHeaders};

use crate::printable::printable;
use crate::validate::InvalidRecord;
use crate::{FlowRecord, LedgerRecord, RawFlow, Schema, Stream};

/// The longest value that is written or read, in bytes: what a Kafka broker takes by default.
pub const MAX_VALUE_BYTES: usize = 1024 * 1024;

/// A value of the raw topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RawValue {
    /// What a probe saw.
    Flow(Box<RawFlow>),
    /// What a stream accounts for.
    Ledger(Box<LedgerRecord>),
}

/// A value of the enriched topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EnrichedValue {
    /// A raw record with names and a verdict.
    Flow(Box<FlowRecord>),
    /// What a stream accounts for, passed through.
    Ledger(Box<LedgerRecord>),
}

/// Writes a raw record.
///
/// # Errors
/// Returns [`EncodeError`] if the value would be longer than [`MAX_VALUE_BYTES`].
pub fn encode_raw(record: &RawFlow) -> Result<Vec<u8>, EncodeError> {
    encode(&Tagged { schema: Schema::RawFlow.as_str(), record })
}

/// Writes a ledger record.
///
/// # Errors
/// Returns [`EncodeError`] if the value would be longer than [`MAX_VALUE_BYTES`].
pub fn encode_ledger(record: &LedgerRecord) -> Result<Vec<u8>, EncodeError> {
    encode(&Tagged { schema: Schema::Ledger.as_str(), record })
}

/// Writes a flow record.
///
/// # Errors
/// Returns [`EncodeError`] if the value would be longer than [`MAX_VALUE_BYTES`].
pub fn encode_flow(record: &FlowRecord) -> Result<Vec<u8>, EncodeError> {
    encode(record)
}

/// Reads a value of the raw topic.
///
/// # Errors
/// Returns [`DecodeError`] with the place for anything that is not a valid raw or ledger record.
pub fn decode_raw(value: &[u8]) -> Result<RawValue, DecodeError> {
    match schema_of(value)? {
        Schema::RawFlow => valid(value, RawFlow::validate).map(RawValue::Flow),
        Schema::Ledger => valid(value, LedgerRecord::validate).map(RawValue::Ledger),
        Schema::Flow => Err(DecodeError::UnexpectedSchema { found: Schema::Flow.as_str().to_owned() }),
    }
}

/// Reads a value of the enriched topic.
///
/// # Errors
/// Returns [`DecodeError`] with the place for anything that is not a valid flow or ledger record.
pub fn decode_enriched(value: &[u8]) -> Result<EnrichedValue, DecodeError> {
    match schema_of(value)? {
        Schema::Flow => valid(value, FlowRecord::validate).map(EnrichedValue::Flow),
        Schema::Ledger => valid(value, LedgerRecord::validate).map(EnrichedValue::Ledger),
        Schema::RawFlow => Err(DecodeError::UnexpectedSchema { found: Schema::RawFlow.as_str().to_owned() }),
    }
}

impl RawValue {
    /// Returns the headers that belong to the value.
    #[must_use]
    pub fn headers(&self) -> Headers {
        match self {
            Self::Flow(record) => Headers::new(&record.stream, record.seq, Schema::RawFlow),
            Self::Ledger(record) => Headers::new(&record.stream, record.seq, Schema::Ledger),
        }
    }
}

impl EnrichedValue {
    /// Returns the headers that belong to the value.
    #[must_use]
    pub fn headers(&self) -> Headers {
        match self {
            Self::Flow(record) => Headers::new(&record.stream, record.seq, Schema::Flow),
            Self::Ledger(record) => Headers::new(&record.stream, record.seq, Schema::Ledger),
        }
    }
}

/// Says whether the value's own identity is that of its headers.
///
/// # Errors
/// Returns [`DecodeError::Identity`] if it is not: such a value would be counted under two identities.
pub fn check_identity(headers: &Headers, stream: &Stream, seq: u64) -> Result<(), DecodeError> {
    if headers.stream == *stream && headers.seq == seq {
        return Ok(());
    }
    Err(DecodeError::Identity { headers: headers.id().to_string(), value: format!("{stream}#{seq}") })
}

#[derive(Serialize)]
struct Tagged<'a, T> {
    schema: &'static str,
    #[serde(flatten)]
    record: &'a T,
}

fn encode<T: Serialize>(record: &T) -> Result<Vec<u8>, EncodeError> {
    // A raw record takes 700 to 1,000 bytes, a flow record 2 to 4 KiB: one growth at most for either.
    let mut value = Vec::with_capacity(1536);
    serde_json::to_writer(&mut value, record).map_err(|source| EncodeError::Form(source.to_string()))?;
    if value.len() > MAX_VALUE_BYTES {
        return Err(EncodeError::TooLong { bytes: value.len() });
    }
    Ok(value)
}

/// Finds the format of a value: at once where it stands in front, as our writers put it, else by a pass over the value.
fn schema_of(value: &[u8]) -> Result<Schema, DecodeError> {
    if value.len() > MAX_VALUE_BYTES {
        return Err(DecodeError::TooLong { bytes: value.len() });
    }
    if let Some(rest) = value.strip_prefix(b"{\"schema\":\"") {
        let in_front = Schema::ALL
            .into_iter()
            .find(|s| rest.strip_prefix(s.as_str().as_bytes()).is_some_and(|r| r.starts_with(b"\"")));
        if let Some(schema) = in_front {
            return Ok(schema);
        }
    }
    #[derive(Deserialize)]
    struct Peek<'a> {
        #[serde(borrow)]
        schema: Option<Cow<'a, str>>,
    }
    let peek: Peek<'_> = serde_json::from_slice(value).map_err(|e| DecodeError::form(&e, "", value))?;
    let name = peek.schema.ok_or(DecodeError::NoSchema)?;
    Schema::parse(&name).ok_or_else(|| DecodeError::UnexpectedSchema { found: printable(&name, 64) })
}

fn valid<T: DeserializeOwned>(
    value: &[u8],
    validate: impl Fn(&T) -> Result<(), InvalidRecord>,
) -> Result<Box<T>, DecodeError> {
    let record: T = serde_json::from_slice(value).map_err(|_| why::<T>(value))?;
    validate(&record).map_err(DecodeError::Invalid)?;
    Ok(Box::new(record))
}

/// Reads a value that cannot be read once more, slowly, to tell the field.
fn why<T: DeserializeOwned>(value: &[u8]) -> DecodeError {
    match serde_path_to_error::deserialize::<_, T>(&mut serde_json::Deserializer::from_slice(value)) {
        Ok(_) => {
            // The value ends well and something follows.
            let trailing = serde_json::from_slice::<serde::de::IgnoredAny>(value).err();
            trailing.map_or(DecodeError::NoSchema, |error| DecodeError::form(&error, "", value))
        }
        Err(error) => {
            let path = error.path().to_string();
            DecodeError::form(error.inner(), &path, value)
        }
    }
}
