//! A day in UTC: what a file is named after.

use std::fmt;

use flow::UnixMs;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

const PREFIX: &str = "flows-";
const SUFFIX: &str = ".sqlite";
const SECONDS: i64 = 86_400;

/// Days since 1970-01-01, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Day(u32);

impl Day {
    /// Returns the day of a time; none beyond the year 9999, which no calendar here can name.
    pub(super) fn of(time: UnixMs) -> Option<Self> {
        let day = Self(u32::try_from(time.day()).ok()?);
        day.date().map(|_| day)
    }

    /// Returns the day of a file name, if it is the name of a day file.
    pub(super) fn of_file_name(name: &str) -> Option<Self> {
        let text = name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
        let date: Date = text.parse().ok()?;
        let second = date.to_zoned(TimeZone::UTC).ok()?.timestamp().as_second();
        let day = Self(u32::try_from(second.div_euclid(SECONDS)).ok()?);
        // One day has one spelling, so that no two files are taken for the same day.
        (day.file_name() == name).then_some(day)
    }

    /// Returns the name of the day's file.
    pub(super) fn file_name(self) -> String {
        format!("{PREFIX}{self}{SUFFIX}")
    }

    /// Returns the number of days since 1970-01-01.
    pub(super) fn number(self) -> u32 {
        self.0
    }

    /// Returns the day of a number of days since 1970-01-01.
    pub(super) fn from_number(number: u32) -> Self {
        Self(number)
    }

    /// Returns the first millisecond of the day.
    pub(super) fn begin(self) -> UnixMs {
        UnixMs(u64::from(self.0) * 86_400_000)
    }

    /// Returns the first millisecond after the day.
    pub(super) fn end(self) -> UnixMs {
        UnixMs((u64::from(self.0) + 1) * 86_400_000)
    }

    fn date(self) -> Option<Date> {
        let midnight = Timestamp::from_second(i64::from(self.0) * SECONDS).ok()?;
        Some(midnight.to_zoned(TimeZone::UTC).date())
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.date() {
            Some(date) => date.fmt(f),
            None => write!(f, "day-{}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_day_and_reads_it_back() {
        let day = Day::of(UnixMs(1_795_564_799_999)).unwrap();
        assert_eq!(day.file_name(), "flows-2026-11-24.sqlite");
        assert_eq!(Day::of_file_name(&day.file_name()), Some(day));
        assert_eq!(Day::of(UnixMs(1_795_564_800_000)).unwrap().file_name(), "flows-2026-11-25.sqlite");
        assert_eq!(day.end(), UnixMs(1_795_564_800_000));
    }

    #[test]
    fn takes_no_other_name_for_a_day() {
        for name in ["flows-2026-11-25.sqlite-wal", "flows-2026-13-01.sqlite", "flows-20261125.sqlite", "flows-.sqlite"]
        {
            assert_eq!(Day::of_file_name(name), None, "{name}");
        }
        assert_eq!(Day::of(UnixMs(u64::MAX)), None);
    }
}
