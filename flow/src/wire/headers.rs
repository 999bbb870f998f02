//! The headers of a message: who numbered the value, with which number, and in what format it is.

use crate::{RecordId, Schema, Stream};

/// The headers of one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Headers {
    /// The stream that numbered the value.
    pub stream: Stream,
    /// Number of the value in its stream.
    pub seq: u64,
    /// The format; none if it is missing or not known to this version (the identity holds all the same).
    pub schema: Option<Schema>,
}

/// Why headers give no identity: the message is *foreign*.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHeaders {
    /// A header is missing.
    #[error("header `{0}` is missing")]
    Missing(&'static str),
    /// A header stands there twice with different values.
    #[error("header `{0}` is given twice")]
    Twice(&'static str),
    /// A header cannot be read.
    #[error("header `{0}` cannot be read")]
    Unreadable(&'static str),
}

impl InvalidHeaders {
    /// Returns the fixed label for metrics.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Missing(_) => "missing",
            Self::Twice(_) => "twice",
            Self::Unreadable(_) => "unreadable",
        }
    }
}

impl Headers {
    /// Name of the header that holds the stream.
    pub const STREAM: &'static str = "stream";
    /// Name of the header that holds the number, in decimal digits.
    pub const SEQ: &'static str = "seq";
    /// Name of the header that holds the format.
    pub const SCHEMA: &'static str = "schema";

    /// Makes the headers of a value.
    #[must_use]
    pub fn new(stream: &Stream, seq: u64, schema: Schema) -> Self {
        Self { stream: stream.clone(), seq, schema: Some(schema) }
    }

    /// Reads the headers of a message; others than ours are skipped.
    ///
    /// # Errors
    /// Returns [`InvalidHeaders`] if stream or number are missing, unreadable, or given twice and differently.
    pub fn parse<'a, N, V>(pairs: impl IntoIterator<Item = (&'a N, &'a V)>) -> Result<Self, InvalidHeaders>
    where
        N: AsRef<str> + ?Sized + 'a,
        V: AsRef<[u8]> + ?Sized + 'a,
    {
        let (mut stream, mut seq, mut schema) = (None, None, None);
        for (name, value) in pairs {
            let value = value.as_ref();
            match name.as_ref() {
                Self::STREAM => once(&mut stream, value, Self::STREAM)?,
                Self::SEQ => once(&mut seq, value, Self::SEQ)?,
                Self::SCHEMA => schema = std::str::from_utf8(value).ok().and_then(Schema::parse),
                _ => {}
            }
        }
        let stream = stream.ok_or(InvalidHeaders::Missing(Self::STREAM))?;
        let seq = seq.ok_or(InvalidHeaders::Missing(Self::SEQ))?;
        let text = |bytes, name| std::str::from_utf8(bytes).map_err(|_| InvalidHeaders::Unreadable(name));
        Ok(Self {
            stream: text(stream, Self::STREAM)?.parse().map_err(|_| InvalidHeaders::Unreadable(Self::STREAM))?,
            seq: number(text(seq, Self::SEQ)?).ok_or(InvalidHeaders::Unreadable(Self::SEQ))?,
            schema,
        })
    }

    /// Returns the headers as names and values.
    #[must_use]
    pub fn pairs(&self) -> Vec<(&'static str, Vec<u8>)> {
        let mut pairs =
            vec![(Self::STREAM, self.stream.to_string().into_bytes()), (Self::SEQ, self.seq.to_string().into_bytes())];
        if let Some(schema) = self.schema {
            pairs.push((Self::SCHEMA, schema.as_str().as_bytes().to_vec()));
        }
        pairs
    }

    /// Returns the identity that the headers give to the value, readable or not.
    #[must_use]
    pub fn id(&self) -> RecordId {
        RecordId { stream: self.stream.clone(), seq: self.seq }
    }
}

fn once<'a>(slot: &mut Option<&'a [u8]>, value: &'a [u8], name: &'static str) -> Result<(), InvalidHeaders> {
    match slot {
        Some(before) if *before != value => Err(InvalidHeaders::Twice(name)),
        _ => {
            *slot = Some(value);
            Ok(())
        }
    }
}

/// Reads decimal digits only: signs, spaces and leading zeros would give one number several spellings.
fn number(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text.len() == 1 || !text.starts_with('0'));
    if plain { text.parse().ok() } else { None }
}
