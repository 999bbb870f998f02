//! Dead letters: the headers under which a message that gives no record goes to a topic of its own, byte for byte, and
//! the keywords that say who gave it up and why. In: what a stage knows of the message. Out: names and values, and back.
//!
//! A dead letter of ours keeps the identity of the message under the names that [`Headers`] reads, so that it stays in
//! the balance. Reading never fails: the topic is open to others, and whatever lies there has to be kept too.

use serde::{Deserialize, Serialize};

use super::{DecodeError, Headers};
use crate::RecordId;

/// Name of the header that a letter has only if the message's value had to be cut: how many bytes it had.
pub const CUT_FROM: &str = "cut_from";

/// Texts longer than this are cut, in bytes: they quote the message.
pub const MAX_TEXT_BYTES: usize = 1024;

/// Which stage gave a message up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// The enricher.
    Enricher,
    /// The indexer.
    Indexer,
    /// A stage that this build does not know.
    Other,
}

impl Stage {
    /// Returns the fixed label for headers, columns and metrics.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Enricher => "enricher",
            Self::Indexer => "indexer",
            Self::Other => "other",
        }
    }

    /// Returns the stage of a label; one that is not known is [`Stage::Other`].
    #[must_use]
    pub fn parse(label: &str) -> Self {
        match label {
            "enricher" => Self::Enricher,
            "indexer" => Self::Indexer,
            _ => Self::Other,
        }
    }
}

/// Why a message gives no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Its headers give no identity: it is outside the balance.
    Foreign,
    /// It is longer than any value.
    TooLong,
    /// It is no JSON of the right shape.
    Form,
    /// It is of another or an unknown format.
    Schema,
    /// It is well formed and says something that cannot be.
    Invalid,
    /// It says another identity than its headers.
    Identity,
    /// Its time cannot be right: too far ahead, or older than anything that is kept.
    TimeSuspect,
    /// The record that it gives is longer than a message may be.
    ResultTooLong,
    /// The store will never take it.
    Rejected,
    /// A record with other quantities is stored under its identity.
    Conflict,
}

impl Reason {
    /// Returns the keyword for headers and metrics.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Foreign => "foreign",
            Self::TooLong => "too_long",
            Self::Form => "form",
            Self::Schema => "schema",
            Self::Invalid => "invalid",
            Self::Identity => "identity",
            Self::TimeSuspect => "time_suspect",
            Self::ResultTooLong => "result_too_long",
            Self::Rejected => "rejected",
            Self::Conflict => "conflict",
        }
    }
}

impl From<&DecodeError> for Reason {
    fn from(error: &DecodeError) -> Self {
        match error {
            DecodeError::TooLong { .. } => Self::TooLong,
            DecodeError::Form { .. } => Self::Form,
            DecodeError::NoSchema | DecodeError::UnexpectedSchema { .. } => Self::Schema,
            DecodeError::Invalid(_) => Self::Invalid,
            DecodeError::Identity { .. } => Self::Identity,
        }
    }
}

/// Where a message lay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its topic.
    pub topic: String,
    /// Its partition.
    pub partition: u32,
    /// Its offset.
    pub offset: u64,
}

/// What the headers of a dead letter say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LetterHeaders {
    /// Which stage gave the message up.
    pub stage: Stage,
    /// Why: a [`Reason`]'s keyword, or another's word.
    pub reason: String,
    /// Why, in words, with the place in the value.
    pub detail: String,
    /// Where the message lay; none if the headers do not say it whole.
    pub place: Option<Place>,
    /// Identity of the message; none if it is foreign.
    pub id: Option<RecordId>,
}

impl LetterHeaders {
    /// Name of the header that says which stage gave the message up.
    pub const STAGE: &'static str = "stage";
    /// Name of the header that says why, as a keyword.
    pub const REASON: &'static str = "reason";
    /// Name of the header that says why, in words.
    pub const DETAIL: &'static str = "detail";
    /// Name of the header with the topic of the message.
    pub const TOPIC: &'static str = "topic";
    /// Name of the header with the partition of the message, in decimal digits.
    pub const PARTITION: &'static str = "partition";
    /// Name of the header with the offset of the message, in decimal digits.
    pub const OFFSET: &'static str = "offset";

    /// Returns the headers as names and values. A detail longer than [`MAX_TEXT_BYTES`] is cut.
    #[must_use]
    pub fn pairs(&self) -> Vec<(&'static str, String)> {
        let mut pairs = vec![
            (Self::STAGE, self.stage.label().to_owned()),
            (Self::REASON, self.reason.clone()),
            (Self::DETAIL, shortened(&self.detail).to_owned()),
        ];
        if let Some(Place { topic, partition, offset }) = &self.place {
            pairs.push((Self::TOPIC, topic.clone()));
            pairs.push((Self::PARTITION, partition.to_string()));
            pairs.push((Self::OFFSET, offset.to_string()));
        }
        if let Some(id) = &self.id {
            pairs.push((Headers::STREAM, id.stream.to_string()));
            pairs.push((Headers::SEQ, id.seq.to_string()));
        }
        pairs
    }

    /// Reads the headers of whatever lies in a topic of dead letters: what they do not say is empty, what is not text is
    /// replaced, and no text is longer than [`MAX_TEXT_BYTES`]. Of several headers of one name the first counts.
    #[must_use]
    pub fn parse<'a>(pairs: impl Iterator<Item = (&'a str, &'a [u8])> + Clone) -> Self {
        let text = |name: &str| {
            let value = pairs.clone().find(|(given, _)| *given == name).map(|(_, value)| value);
            String::from_utf8_lossy(value.unwrap_or_default())
        };
        let topic = text(Self::TOPIC);
        let place = match (text(Self::PARTITION).parse().ok(), text(Self::OFFSET).parse().ok()) {
            (Some(partition), Some(offset)) if !topic.is_empty() => {
                Some(Place { topic: shortened(&topic).to_owned(), partition, offset })
            }
            _ => None,
        };
        Self {
            stage: Stage::parse(&text(Self::STAGE)),
            reason: shortened(&text(Self::REASON)).to_owned(),
            detail: shortened(&text(Self::DETAIL)).to_owned(),
            place,
            id: Headers::parse(pairs).ok().map(|headers| headers.id()),
        }
    }
}

fn shortened(text: &str) -> &str {
    let end = (0..=text.len().min(MAX_TEXT_BYTES)).rev().find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Stream;

    fn again(headers: &LetterHeaders) -> LetterHeaders {
        let pairs = headers.pairs();
        LetterHeaders::parse(pairs.iter().map(|(name, value)| (*name, value.as_bytes())))
    }

    fn letter() -> LetterHeaders {
        LetterHeaders {
            stage: Stage::Enricher,
            reason: Reason::Form.label().to_owned(),
            detail: "no json at line 1".to_owned(),
            place: Some(Place { topic: "raw".to_owned(), partition: 3, offset: 9 }),
            id: Some(RecordId { stream: Stream::new("c", "n", 1).unwrap(), seq: 5 }),
        }
    }

    #[test]
    fn a_letter_says_who_why_where_and_what() {
        let expected = [
            ("stage", "enricher"),
            ("reason", "form"),
            ("detail", "no json at line 1"),
            ("topic", "raw"),
            ("partition", "3"),
            ("offset", "9"),
            ("stream", "c/n/1"),
            ("seq", "5"),
        ];
        assert_eq!(letter().pairs(), expected.map(|(name, value)| (name, value.to_owned())));
        assert_eq!(again(&letter()), letter());
        let foreign = LetterHeaders { id: None, ..letter() };
        assert_eq!(again(&foreign), foreign);
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let long = LetterHeaders { detail: "ä".repeat(5_000), ..letter() };
        assert_eq!(again(&long).detail, "ä".repeat(MAX_TEXT_BYTES / 2));
        let odd = LetterHeaders { detail: format!("x{}", "ä".repeat(5_000)), ..letter() };
        assert_eq!(again(&odd).detail.len(), MAX_TEXT_BYTES - 1);
    }

    #[test]
    fn a_place_is_whole_or_none() {
        let whole: [(&str, &[u8]); 3] = [("topic", b"raw"), ("partition", b"3"), ("offset", b"9")];
        assert!(LetterHeaders::parse(whole.into_iter()).place.is_some());
        for (at, value) in [(0, &b""[..]), (1, b"-1"), (1, b"4294967296"), (2, b""), (2, b"\xff")] {
            let mut pairs = whole;
            pairs[at].1 = value;
            assert_eq!(LetterHeaders::parse(pairs.into_iter()).place, None, "{pairs:?}");
        }
    }

    #[test]
    fn a_decode_error_and_its_reason_have_one_word() {
        for error in [
            DecodeError::TooLong { bytes: 1 },
            DecodeError::NoSchema,
            DecodeError::Identity { headers: String::new(), value: String::new() },
        ] {
            assert_eq!(Reason::from(&error).label(), error.label());
        }
    }

    proptest! {
        #[test]
        fn anything_gives_headers(
            pairs in proptest::collection::vec(
                (
                    prop_oneof![
                        Just("stage"), Just("reason"), Just("detail"), Just("topic"), Just("partition"), Just("offset"),
                        Just("stream"), Just("seq"), Just("x")
                    ],
                    proptest::collection::vec(any::<u8>(), 0..1500),
                ),
                0..10,
            ),
        ) {
            let letter = LetterHeaders::parse(pairs.iter().map(|(name, value)| (*name, value.as_slice())));
            prop_assert!(letter.reason.len() <= MAX_TEXT_BYTES && letter.detail.len() <= MAX_TEXT_BYTES);
            prop_assert!(letter.place.as_ref().is_none_or(|place| place.topic.len() <= MAX_TEXT_BYTES));
            prop_assert_eq!(again(&letter), letter);
        }
    }
}
