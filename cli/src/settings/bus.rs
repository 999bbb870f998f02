//! Section `bus`: how much the bus of a single process holds.

use ::bus::{MAX_RECORD_BYTES, TopicSettings};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use service::settings::{Problems, Size};

/// The section `bus` as it is read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RawBusSettings {
    /// Records that a topic holds in memory before its producer waits. Default: 65536.
    max_records: Option<u32>,
    /// Bytes that a topic holds in memory before its producer waits. Default: 32MiB.
    max_bytes: Option<Size>,
}

/// The section `bus`, checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct BusSettings {
    max_records: u32,
    max_bytes: Size,
}

impl BusSettings {
    pub(super) fn resolve(raw: &RawBusSettings, problems: &mut Problems) -> Self {
        let defaults = TopicSettings::named("");
        let max_records = raw.max_records.unwrap_or_else(|| u32::try_from(defaults.max_records).unwrap_or(u32::MAX));
        let max_records = problems.in_range("bus.max_records", max_records, &(100..=10_000_000));
        let max_bytes = raw.max_bytes.unwrap_or_else(|| Size::bytes(defaults.max_bytes as u64));
        let least = Size::bytes(4 * MAX_RECORD_BYTES as u64);
        problems.check("bus.max_bytes", max_bytes >= least, || format!("must be at least {least}"));
        Self { max_records, max_bytes }
    }

    /// Returns how a topic of a single process is made.
    pub(crate) fn topic(&self, name: &str) -> TopicSettings {
        TopicSettings {
            max_records: self.max_records as usize,
            max_bytes: usize::try_from(self.max_bytes.as_bytes()).unwrap_or(usize::MAX),
            ..TopicSettings::named(name)
        }
    }
}
