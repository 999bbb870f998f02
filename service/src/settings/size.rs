//! Amounts of bytes as people write them: `64KiB`, `2GiB`, `1000`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The units that are written, from the largest on.
const BINARY: [(&str, u64); 4] = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];

/// The units that are read as well.
const DECIMAL: [(&str, u64); 5] =
    [("TB", 1_000_000_000_000), ("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1000), ("B", 1)];

/// An amount of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size(u64);

/// A text that is no amount of bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSize {
    /// It does not begin with a whole number.
    #[error("`{0}` needs a whole number, such as `64KiB` or `2GiB`")]
    NoNumber(String),
    /// A unit that is not known.
    #[error("`{text}` has the unknown unit `{unit}`; use B, KiB, MiB, GiB, TiB (or kB, MB, GB, TB for powers of ten)")]
    UnknownUnit {
        /// The whole text.
        text: String,
        /// The unit.
        unit: String,
    },
    /// More bytes than fit 64 bits.
    #[error("`{0}` is too large")]
    TooLarge(String),
}

impl Size {
    /// Makes an amount of bytes.
    pub const fn bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// Returns the amount in bytes.
    pub const fn as_bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for Size {
    type Err = InvalidSize;

    fn from_str(text: &str) -> Result<Self, InvalidSize> {
        let trimmed = text.trim();
        let digits = trimmed.find(|each: char| !each.is_ascii_digit()).unwrap_or(trimmed.len());
        let (number, unit) = trimmed.split_at(digits);
        if number.is_empty() {
            return Err(InvalidSize::NoNumber(text.to_owned()));
        }
        let unit = unit.trim_start();
        let factor = match BINARY.iter().chain(&DECIMAL).find(|(name, _)| *name == unit) {
            Some((_, factor)) => *factor,
            None if unit.is_empty() => 1,
            None if unit.starts_with('.') => return Err(InvalidSize::NoNumber(text.to_owned())),
            None => return Err(InvalidSize::UnknownUnit { text: text.to_owned(), unit: unit.to_owned() }),
        };
        let number: u64 = number.parse().map_err(|_| InvalidSize::TooLarge(text.to_owned()))?;
        number.checked_mul(factor).map(Self).ok_or_else(|| InvalidSize::TooLarge(text.to_owned()))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = BINARY.iter().find(|(_, factor)| self.0 > 0 && self.0.is_multiple_of(*factor));
        match exact {
            Some((unit, factor)) => write!(f, "{}{unit}", self.0 / factor),
            None => write!(f, "{}B", self.0),
        }
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextOrNumber {
            expected: "a size such as `64KiB` or `2GiB`",
            text: |text| text.parse().map_err(|error: InvalidSize| error.to_string()),
            number: |number| Ok(Self(number)),
        })
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Size {
    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "integer"],
            "description": "An amount of bytes: a whole number, alone or with B, KiB, MiB, GiB, TiB, kB, MB, GB, TB.",
            "pattern": "^[0-9]+ ?(B|[KMGT]iB|[kMGT]B)?$",
            "minimum": 0,
            "examples": ["64KiB", "2GiB"],
        })
    }
}

/// Reads a value that is written as text, or, where that means something, as a number.
pub(super) struct TextOrNumber<T> {
    pub(super) expected: &'static str,
    pub(super) text: fn(&str) -> Result<T, String>,
    pub(super) number: fn(u64) -> Result<T, String>,
}

impl<T> Visitor<'_> for TextOrNumber<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        (self.text)(text).map_err(E::custom)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        (self.number)(number).map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, expected: u64) {
        assert_eq!(text.parse(), Ok(Size(expected)), "{text}");
    }

    fn refuse(text: &str, expected: &str) {
        assert_eq!(text.parse::<Size>().unwrap_err().to_string(), expected);
    }

    #[test]
    fn sizes_are_numbers_with_units() {
        check("0", 0);
        check("1000", 1000);
        check("64KiB", 65_536);
        check("2 GiB", 2 << 30);
        check("5MB", 5_000_000);
        check("7B", 7);
    }

    #[test]
    fn what_is_no_size_says_why() {
        refuse("", "`` needs a whole number, such as `64KiB` or `2GiB`");
        refuse("GiB", "`GiB` needs a whole number, such as `64KiB` or `2GiB`");
        refuse("-1", "`-1` needs a whole number, such as `64KiB` or `2GiB`");
        refuse("1.5GiB", "`1.5GiB` needs a whole number, such as `64KiB` or `2GiB`");
        refuse("2G", "`2G` has the unknown unit `G`; use B, KiB, MiB, GiB, TiB (or kB, MB, GB, TB for powers of ten)");
        refuse("99999999TiB", "`99999999TiB` is too large");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(bytes in any::<u64>()) {
            prop_assert_eq!(Size(bytes).to_string().parse(), Ok(Size(bytes)));
        }

        #[test]
        fn no_text_breaks_it(text in any::<String>()) {
            let _ = text.parse::<Size>();
        }
    }
}
