//! Names of indices and ids of documents: each a function of the document alone, so that a replay meets itself.

use std::fmt::Write as _;

use flow::{UnixMs, document_id};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use sha2::{Digest, Sha256};

use crate::document::{DeadLetter, Document};

/// What an index holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kind {
    Flows,
    Ledger,
    DeadLetters,
}

impl Kind {
    pub(super) const ALL: [Self; 3] = [Self::Flows, Self::Ledger, Self::DeadLetters];

    pub(super) fn of(document: &Document) -> Self {
        match document {
            Document::Flow(_) => Self::Flows,
            Document::Ledger(_) => Self::Ledger,
            Document::DeadLetter(_) => Self::DeadLetters,
        }
    }

    /// Returns the word in the name of the index.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Flows => "flows",
            Self::Ledger => "ledger",
            Self::DeadLetters => "dead-letters",
        }
    }
}

/// Returns what the names of all indices of a kind match.
pub(super) fn pattern(prefix: &str, kind: Kind) -> String {
    format!("{prefix}-{}-*", kind.word())
}

/// Returns the index that remembers what retention took away.
pub(super) fn control_index(prefix: &str) -> String {
    format!("{prefix}-removed")
}

/// Returns the index of a kind for a time; none beyond the year 9999.
pub(super) fn index(prefix: &str, kind: Kind, time: UnixMs) -> Option<String> {
    let day = Timestamp::from_millisecond(i64::try_from(time.0).ok()?).ok()?.to_zoned(TimeZone::UTC).date();
    Some(format!("{prefix}-{}-{:04}.{:02}.{:02}", kind.word(), day.year(), day.month(), day.day()))
}

/// Returns the day of an index of a kind, if it is one.
pub(super) fn day_of(prefix: &str, kind: Kind, index: &str) -> Option<Date> {
    let text = index.strip_prefix(prefix)?.strip_prefix('-')?.strip_prefix(kind.word())?.strip_prefix('-')?;
    text.replace('.', "-").parse().ok().filter(|_| text.len() == 10 && !text.contains('-'))
}

/// Returns the id of a document.
pub(super) fn id(document: &Document) -> String {
    match document {
        Document::Flow(record) => document_id::document_id(&record.stream, record.seq),
        Document::Ledger(ledger) => document_id::document_id(&ledger.stream, ledger.seq),
        Document::DeadLetter(letter) => letter_id(letter),
    }
}

/// A dead letter is known by the stage that gave it up and the position of its message.
fn letter_id(letter: &DeadLetter) -> String {
    let mut hash = Sha256::new();
    for part in [letter.stage.label(), &letter.topic] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    for number in [u64::from(letter.partition), letter.offset, letter.timestamp.0] {
        hash.update(number.to_be_bytes());
    }
    hash.finalize()[..20].iter().fold(String::with_capacity(40), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_named_after_its_day() {
        let name = |ms| index("millrace", Kind::Flows, UnixMs(ms));
        assert_eq!(name(1_795_564_800_000).as_deref(), Some("millrace-flows-2026.11.25"));
        assert_eq!(name(1_795_564_799_999).as_deref(), Some("millrace-flows-2026.11.24"));
        assert_eq!(name(u64::MAX), None);
        assert_eq!(name(u64::MAX / 2), None);
    }

    #[test]
    fn only_names_of_days_are_days() {
        let day = |name| day_of("millrace", Kind::DeadLetters, name).map(|day| day.to_string());
        assert_eq!(day("millrace-dead-letters-2026.11.25").as_deref(), Some("2026-11-25"));
        for other in ["millrace-flows-2026.11.25", "millrace-dead-letters-2026.11.2", "millrace-dead-letters-", "x"] {
            assert_eq!(day(other), None, "{other}");
        }
    }
}
