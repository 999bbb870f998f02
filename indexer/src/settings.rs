//! The settings of the indexer: section `indexer` of the settings file.

use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use service::settings::{Period, Problems, Size};

use crate::document::Rules;

/// The consumer group of records, unless another is named.
pub const DEFAULT_GROUP: &str = "millrace-indexer";
/// The consumer group of dead letters, unless another is named.
pub const DEFAULT_DEAD_LETTER_GROUP: &str = "millrace-indexer-dead-letters";
/// One transaction of some 50 ms.
const DEFAULT_BATCH_RECORDS: usize = 2000;
/// Bounds the memory of a batch of unusually large records.
const DEFAULT_BATCH_BYTES: Size = Size::bytes(8 << 20);
/// Flows are to be found within a second; fewer and larger transactions cost less.
const DEFAULT_BATCH_AGE: Duration = Duration::from_millis(100);
/// As long as flows are kept by default.
const DEFAULT_RETENTION: Duration = Duration::from_secs(8 * 24 * 3600);
const DEFAULT_CAPS_INTERVAL: Duration = Duration::from_secs(60);
const DEFAULT_PROBE_INTERVAL: Duration = Duration::from_secs(10);

/// The section as it is written. Every key is optional.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawIndexerSettings {
    /// Most records of one batch. Default: 2000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch_records: Option<usize>,
    /// Most bytes of one batch; a batch ends with the record that reaches it. Default: 8MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch_bytes: Option<Size>,
    /// Longest time that a batch waits for more. Default: 100ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch_age: Option<Period>,
    /// Records older than this become dead letters. Default: 8d.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention: Option<Period>,
    /// How often the caps of the embedded store are looked at. Default: 1m.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caps_interval: Option<Period>,
    /// How often a store that refuses is tried again. Default: 10s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probe_interval: Option<Period>,
    /// Consumer group of records. Default: `millrace-indexer`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Consumer group of dead letters. Default: `millrace-indexer-dead-letters`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dead_letter_group: Option<String>,
    /// Topic that flow records are read from. Default: `millrace.flows.enriched.v1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enriched_topic: Option<String>,
    /// Topic that dead letters are sent to and read from. Default: `millrace.dead-letters.v1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dead_letter_topic: Option<String>,
}

/// The section, valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexerSettings {
    /// When a batch is full.
    pub batch: BatchLimits,
    /// How old a record may be.
    pub retention: Duration,
    /// How often the caps of the embedded store are looked at.
    pub caps_interval: Duration,
    /// How often a store that refuses is tried again.
    pub probe_interval: Duration,
    /// Consumer group of records.
    pub group: String,
    /// Consumer group of dead letters.
    pub dead_letter_group: String,
    /// Topic that flow records are read from.
    pub enriched_topic: Arc<str>,
    /// Topic that dead letters are sent to and read from.
    pub dead_letter_topic: Arc<str>,
}

/// When a batch is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchLimits {
    /// With this many records.
    pub records: usize,
    /// With this many bytes.
    pub bytes: usize,
    /// After this time.
    pub age: Duration,
}

impl IndexerSettings {
    /// Checks the section, adding what is wrong under `indexer.`.
    #[must_use]
    pub fn resolve(raw: RawIndexerSettings, problems: &mut Problems) -> Self {
        let RawIndexerSettings {
            batch_records,
            batch_bytes,
            batch_age,
            retention,
            caps_interval,
            probe_interval,
            group,
            dead_letter_group,
            enriched_topic,
            dead_letter_topic,
        } = raw;
        let mut period = |key: &str, given: Option<Period>, default: Duration, least: Duration, most: Duration| {
            let period = given.map_or(default, Duration::from);
            let (least_text, most_text) = (Period::new(least), Period::new(most));
            let fits = (least..=most).contains(&period);
            problems.check(key, fits, || format!("must lie between {least_text} and {most_text}"));
            period.clamp(least, most)
        };
        let (ms, seconds) = (Duration::from_millis, Duration::from_secs);
        let batch_age = period("indexer.batch_age", batch_age, DEFAULT_BATCH_AGE, ms(0), seconds(60));
        let ten_years = seconds(3650 * 86_400);
        let retention = period("indexer.retention", retention, DEFAULT_RETENTION, seconds(60), ten_years);
        let hour = seconds(3600);
        let caps_interval = period("indexer.caps_interval", caps_interval, DEFAULT_CAPS_INTERVAL, seconds(1), hour);
        let probe_interval = period("indexer.probe_interval", probe_interval, DEFAULT_PROBE_INTERVAL, ms(100), hour);
        let batch_records = batch_records.unwrap_or(DEFAULT_BATCH_RECORDS);
        let records = problems.in_range("indexer.batch_records", batch_records, &(1..=100_000));
        let bytes = batch_bytes.unwrap_or(DEFAULT_BATCH_BYTES);
        let (least, most) = (Size::bytes(64 << 10), Size::bytes(1 << 30));
        problems.check("indexer.batch_bytes", bytes >= least && bytes <= most, || {
            format!("must lie between {least} and {most}")
        });
        let bytes = usize::try_from(bytes.as_bytes()).unwrap_or(usize::MAX);
        let group = problems.bus_name("indexer.group", group, DEFAULT_GROUP);
        let dead_letter_group =
            problems.bus_name("indexer.dead_letter_group", dead_letter_group, DEFAULT_DEAD_LETTER_GROUP);
        let enriched = problems.bus_name("indexer.enriched_topic", enriched_topic, flow::contract::ENRICHED_TOPIC);
        let dead_letter =
            problems.bus_name("indexer.dead_letter_topic", dead_letter_topic, flow::contract::DEAD_LETTER_TOPIC);
        problems.check("indexer.dead_letter_topic", enriched != dead_letter, || {
            "must differ from indexer.enriched_topic".to_owned()
        });
        Self {
            batch: BatchLimits { records, bytes, age: batch_age },
            retention,
            caps_interval,
            probe_interval,
            group,
            dead_letter_group,
            enriched_topic: enriched.into(),
            dead_letter_topic: dead_letter.into(),
        }
    }

    /// Returns what is checked of a record beside its form.
    #[must_use]
    pub fn rules(&self) -> Rules {
        Rules { retention: self.retention }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid() {
        let mut problems = Problems::default();
        let settings = IndexerSettings::resolve(RawIndexerSettings::default(), &mut problems);
        assert!(problems.is_empty(), "{problems}");
        assert_eq!(&*settings.enriched_topic, "millrace.flows.enriched.v1");
        assert_eq!(settings.batch.records, 2000);
    }

    #[test]
    fn everything_wrong_is_said_at_once() {
        let raw = RawIndexerSettings {
            batch_records: Some(0),
            batch_bytes: Some(Size::bytes(1)),
            batch_age: Some(Duration::from_secs(61).into()),
            retention: Some(Duration::ZERO.into()),
            caps_interval: Some(Duration::ZERO.into()),
            probe_interval: Some(Duration::ZERO.into()),
            group: Some(String::new()),
            dead_letter_group: Some("a/b".to_owned()),
            enriched_topic: Some("same".to_owned()),
            dead_letter_topic: Some("same".to_owned()),
        };
        let mut problems = Problems::default();
        let _ = IndexerSettings::resolve(raw, &mut problems);
        let mut keys: Vec<&str> = problems.iter().map(|problem| problem.key.as_str()).collect();
        keys.sort_unstable();
        let expected = [
            "indexer.batch_age",
            "indexer.batch_bytes",
            "indexer.batch_records",
            "indexer.caps_interval",
            "indexer.dead_letter_group",
            "indexer.dead_letter_topic",
            "indexer.group",
            "indexer.probe_interval",
            "indexer.retention",
        ];
        assert_eq!(keys, expected);
    }
}
