//! Lengths of time as people write them: `15s`, `250ms`, `1h30m`, `8d`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The units from the largest on, in milliseconds.
const UNITS: [(&str, u64); 6] =
    [("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// A length of time in whole milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Period(Duration);

/// A text that is no length of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPeriod {
    /// There is nothing.
    #[error("must be a duration such as `30s`, `15m` or `8d`, but is empty")]
    Empty,
    /// A number without a unit, or a unit without a number.
    #[error("`{0}` needs a number and a unit, such as `30s`, `15m` or `8d`")]
    NoUnit(String),
    /// A unit that is not known.
    #[error("`{text}` has the unknown unit `{unit}`; use ms, s, m, h, d or w")]
    UnknownUnit {
        /// The whole text.
        text: String,
        /// The unit.
        unit: String,
    },
    /// More milliseconds than fit 64 bits.
    #[error("`{0}` is too long")]
    TooLong(String),
}

impl Period {
    /// Makes a period; what is less than a millisecond is cut off.
    pub fn new(duration: Duration) -> Self {
        Self(Duration::from_millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
    }
}

impl From<Period> for Duration {
    fn from(period: Period) -> Self {
        period.0
    }
}

impl From<Duration> for Period {
    fn from(duration: Duration) -> Self {
        Self::new(duration)
    }
}

impl FromStr for Period {
    type Err = InvalidPeriod;

    fn from_str(text: &str) -> Result<Self, InvalidPeriod> {
        let mut rest = text.trim();
        if rest.is_empty() {
            return Err(InvalidPeriod::Empty);
        }
        let too_long = || InvalidPeriod::TooLong(text.to_owned());
        let mut total_ms: u64 = 0;
        while !rest.is_empty() {
            let digits = rest.find(|each: char| !each.is_ascii_digit()).unwrap_or(rest.len());
            let (number, behind) = rest.split_at(digits);
            let letters = behind.find(|each: char| !each.is_alphabetic()).unwrap_or(behind.len());
            let (unit, next) = behind.split_at(letters);
            if number.is_empty() || unit.is_empty() {
                return Err(InvalidPeriod::NoUnit(text.to_owned()));
            }
            let Some((_, unit_ms)) = UNITS.iter().find(|(name, _)| *name == unit) else {
                return Err(InvalidPeriod::UnknownUnit { text: text.to_owned(), unit: unit.to_owned() });
            };
            let number: u64 = number.parse().map_err(|_| too_long())?;
            let part = number.checked_mul(*unit_ms).ok_or_else(too_long)?;
            total_ms = total_ms.checked_add(part).ok_or_else(too_long)?;
            rest = next;
        }
        Ok(Self(Duration::from_millis(total_ms)))
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        if rest == 0 {
            return f.write_str("0s");
        }
        // Weeks are read but not written: eight days are `8d` to everybody.
        for (unit, unit_ms) in UNITS.iter().skip(1) {
            if rest >= *unit_ms {
                write!(f, "{}{unit}", rest / unit_ms)?;
                rest %= unit_ms;
            }
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(super::size::TextOrNumber {
            expected: "a duration such as `30s`, `15m` or `8d`",
            text: |text| text.parse().map_err(|error: InvalidPeriod| error.to_string()),
            number: |number| Err(InvalidPeriod::NoUnit(number.to_string()).to_string()),
        })
    }
}

impl Serialize for Period {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Period {
    fn schema_name() -> Cow<'static, str> {
        "Period".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A length of time: numbers with the units ms, s, m, h, d, w.",
            "pattern": "^([0-9]+(ms|s|m|h|d|w))+$",
            "examples": ["15s", "1h30m", "8d"],
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, expected_ms: u64) {
        assert_eq!(text.parse::<Period>().unwrap(), Period(Duration::from_millis(expected_ms)), "{text}");
    }

    fn refuse(text: &str, expected: &str) {
        assert_eq!(text.parse::<Period>().unwrap_err().to_string(), expected);
    }

    #[test]
    fn periods_are_numbers_with_units() {
        check("250ms", 250);
        check("30s", 30_000);
        check("15m", 900_000);
        check("1h30m", 5_400_000);
        check("8d", 691_200_000);
        check("1w", 604_800_000);
        check(" 0s ", 0);
    }

    #[test]
    fn what_is_no_period_says_why() {
        refuse("", "must be a duration such as `30s`, `15m` or `8d`, but is empty");
        refuse("30", "`30` needs a number and a unit, such as `30s`, `15m` or `8d`");
        refuse("s", "`s` needs a number and a unit, such as `30s`, `15m` or `8d`");
        refuse("-5s", "`-5s` needs a number and a unit, such as `30s`, `15m` or `8d`");
        refuse("1.5h", "`1.5h` needs a number and a unit, such as `30s`, `15m` or `8d`");
        refuse("3 fortnights", "`3 fortnights` needs a number and a unit, such as `30s`, `15m` or `8d`");
        refuse("3M", "`3M` has the unknown unit `M`; use ms, s, m, h, d or w");
        refuse("99999999999999999999s", "`99999999999999999999s` is too long");
        refuse("18446744073709551615w", "`18446744073709551615w` is too long");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(ms in any::<u64>()) {
            let period = Period(Duration::from_millis(ms));
            prop_assert_eq!(period.to_string().parse::<Period>().unwrap(), period);
        }

        #[test]
        fn no_text_breaks_it(text in any::<String>()) {
            let _ = text.parse::<Period>();
        }
    }
}
