//! Times as people give them: `15m` (ago), `2026-11-25T02:00:00Z`, `2026-11-25`, `today`, `yesterday`, `now`.

use std::time::Duration;

use flow::UnixMs;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Zoned};
use service::settings::Period;

/// Why a text is no time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidTime {
    /// None of the forms fits.
    #[error(
        "`{0}` is no time: give a duration back from now (15m, 2h30m, 3d), a time (2026-11-25T02:00:00Z, 2026-11-25 02:00), a date, now, today or yesterday"
    )]
    Form(String),
    /// It lies before 1970 or beyond the calendar.
    #[error("`{0}` is out of the range of times")]
    Range(String),
}

/// A point in time, as given; it becomes a time when the clock is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum When {
    /// So long before now.
    Ago(Duration),
    /// A time with its offset.
    At(Timestamp),
    /// A time or date of the local time zone.
    Local(DateTime),
    /// The begin of the day so many days before today, in the local time zone.
    DaysAgo(i64),
}

impl std::str::FromStr for When {
    type Err = InvalidTime;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let trimmed = text.trim();
        match trimmed.to_ascii_lowercase().as_str() {
            "now" => return Ok(Self::Ago(Duration::ZERO)),
            "today" => return Ok(Self::DaysAgo(0)),
            "yesterday" => return Ok(Self::DaysAgo(1)),
            _ => {}
        }
        if let Ok(period) = trimmed.parse::<Period>() {
            return Ok(Self::Ago(period.into()));
        }
        if let Ok(timestamp) = trimmed.parse::<Timestamp>() {
            return Ok(Self::At(timestamp));
        }
        if let Ok(datetime) = trimmed.parse::<DateTime>() {
            return Ok(Self::Local(datetime));
        }
        Err(InvalidTime::Form(text.chars().take(64).collect()))
    }
}

impl When {
    /// Returns the time that is meant, given now and its time zone.
    ///
    /// # Errors
    /// Returns [`InvalidTime::Range`] if it lies before 1970 or beyond the calendar.
    pub(crate) fn resolve(&self, now: &Zoned) -> Result<UnixMs, InvalidTime> {
        let out_of_range = || InvalidTime::Range(format!("{self:?}"));
        let timestamp = match self {
            Self::Ago(ago) => now.timestamp().checked_sub(*ago).map_err(|_| out_of_range())?,
            Self::At(timestamp) => *timestamp,
            Self::Local(datetime) => {
                datetime.to_zoned(now.time_zone().clone()).map_err(|_| out_of_range())?.timestamp()
            }
            Self::DaysAgo(days) => {
                let day = now.date().checked_sub(days.days()).map_err(|_| out_of_range())?;
                day.to_zoned(now.time_zone().clone()).map_err(|_| out_of_range())?.timestamp()
            }
        };
        u64::try_from(timestamp.as_millisecond()).map(UnixMs).map_err(|_| out_of_range())
    }
}

/// Reads a duration for clap.
///
/// # Errors
/// Returns a sentence for the operator if the text is no duration above zero.
pub(crate) fn duration_argument(text: &str) -> Result<Duration, String> {
    let duration = text.parse::<Period>().map(Duration::from).map_err(|error| error.to_string())?;
    if duration.is_zero() { Err("must be longer than nothing".to_owned()) } else { Ok(duration) }
}

/// Shows a time in a time zone: only the time of day if it is of the day of `now`, else with the date.
pub(crate) fn show(time: UnixMs, now: &Zoned) -> String {
    let Some(zoned) = zoned(time, now.time_zone()) else { return time.0.to_string() };
    if zoned.date() == now.date() {
        zoned.strftime("%H:%M:%S").to_string()
    } else {
        zoned.strftime("%Y-%m-%d %H:%M:%S").to_string()
    }
}

/// Shows a time in UTC with milliseconds, as RFC 3339.
pub(crate) fn show_exact(time: UnixMs) -> String {
    zoned(time, &TimeZone::UTC)
        .map_or_else(|| time.0.to_string(), |zoned| zoned.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string())
}

fn zoned(time: UnixMs, zone: &TimeZone) -> Option<Zoned> {
    let timestamp = Timestamp::from_millisecond(i64::try_from(time.0).ok()?).ok()?;
    Some(timestamp.to_zoned(zone.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Zoned {
        "2026-11-25T10:30:00+01:00[+01:00]".parse().unwrap()
    }

    #[test]
    fn times_as_people_give_them() {
        let check = |text: &str, expected: &str| {
            let time = text.parse::<When>().unwrap().resolve(&now()).unwrap();
            assert_eq!(show_exact(time), expected, "{text}");
        };
        check("now", "2026-11-25T09:30:00.000Z");
        check("15m", "2026-11-25T09:15:00.000Z");
        check("2h30m", "2026-11-25T07:00:00.000Z");
        check("3d", "2026-11-22T09:30:00.000Z");
        check("today", "2026-11-24T23:00:00.000Z");
        check("Yesterday", "2026-11-23T23:00:00.000Z");
        check("2026-11-25T02:00:00Z", "2026-11-25T02:00:00.000Z");
        check("2026-11-25T02:00:00.250+01:00", "2026-11-25T01:00:00.250Z");
        check("2026-11-25 02:00", "2026-11-25T01:00:00.000Z");
        check("2026-11-25", "2026-11-24T23:00:00.000Z");
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in ["", "soon", "-5m", "5", "15 parsecs", "2026-13-01", "P-1D", "+1h", "99999999999999999999d"] {
            assert!(text.parse::<When>().is_err(), "{text:?}");
        }
        assert!("1960-01-01T00:00:00Z".parse::<When>().unwrap().resolve(&now()).is_err());
        assert!("9999d".parse::<When>().unwrap().resolve(&now()).is_ok());
        assert!("99999d".parse::<When>().unwrap().resolve(&now()).is_err());
    }

    #[test]
    fn a_time_of_today_needs_no_date() {
        assert_eq!(show(UnixMs(1_795_599_000_000), &now()), "10:30:00");
        assert_eq!(show(UnixMs(1_795_512_600_000), &now()), "2026-11-24 10:30:00");
    }
}
