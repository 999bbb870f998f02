//! The settings of the enricher: section `enricher` of the settings file.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cluster::PrivateRanges;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use service::settings::{Period, Problems};

use crate::enrich::Rules;
use crate::folder::FolderSettings;

/// The consumer group, unless another is named.
pub const DEFAULT_GROUP: &str = "millrace-enricher";
const DEFAULT_INTERVAL: Duration = Duration::from_secs(2);
/// As long as flows are kept by default.
const DEFAULT_RETENTION: Duration = Duration::from_secs(8 * 24 * 3600);
/// Some 10 ms of work, and some MiB of records.
const DEFAULT_BATCH_RECORDS: usize = 500;

/// The section as it is written. Every key is optional.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawEnricherSettings {
    /// Folder of Kubernetes manifests that name the flows. Default: none, nothing but hosts is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manifests: Option<PathBuf>,
    /// How often the folder is looked at. Default: 2s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manifests_interval: Option<Period>,
    /// Call only RFC 1918 addresses private, as Calico does. Default: no; link-local, carrier-grade and IPv6 private
    /// addresses count too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calico_private_ranges: Option<bool>,
    /// Flows older than this become dead letters. Default: 8d.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention: Option<Period>,
    /// Most messages of one batch. Default: 500.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch_records: Option<usize>,
    /// Consumer group. Default: `millrace-enricher`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Topic that raw records are read from. Default: `millrace.flows.raw.v1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw_topic: Option<String>,
    /// Topic that flow records are sent to. Default: `millrace.flows.enriched.v1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enriched_topic: Option<String>,
    /// Topic that dead letters are sent to. Default: `millrace.dead-letters.v1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dead_letter_topic: Option<String>,
}

/// The section, valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnricherSettings {
    /// Where the metadata comes from.
    pub folder: FolderSettings,
    /// How old the time of a flow may be.
    pub retention: Duration,
    /// Most messages of one batch.
    pub batch_records: usize,
    /// Consumer group.
    pub group: String,
    /// Topic that raw records are read from.
    pub raw_topic: Arc<str>,
    /// Topic that flow records are sent to.
    pub enriched_topic: Arc<str>,
    /// Topic that dead letters are sent to.
    pub dead_letter_topic: Arc<str>,
}

impl EnricherSettings {
    /// Checks the section, adding what is wrong under `enricher.`.
    #[must_use]
    pub fn resolve(raw: RawEnricherSettings, problems: &mut Problems) -> Self {
        let RawEnricherSettings {
            manifests,
            manifests_interval,
            calico_private_ranges,
            retention,
            batch_records,
            group,
            raw_topic,
            enriched_topic,
            dead_letter_topic,
        } = raw;
        let interval = manifests_interval.map_or(DEFAULT_INTERVAL, Duration::from);
        let long_enough = interval >= Duration::from_millis(100);
        problems.check("enricher.manifests_interval", long_enough, || "must be at least 100ms".to_owned());
        let retention = retention.map_or(DEFAULT_RETENTION, Duration::from);
        let kept = retention >= Duration::from_secs(60);
        problems.check("enricher.retention", kept, || "must be at least 1m".to_owned());
        if let Some(dir) = &manifests {
            let given = !dir.as_os_str().is_empty();
            problems.check("enricher.manifests", given, || "must name a folder".to_owned());
        }
        let batch_records = batch_records.unwrap_or(DEFAULT_BATCH_RECORDS);
        Self {
            folder: FolderSettings {
                dir: manifests.filter(|dir| !dir.as_os_str().is_empty()),
                interval,
                private_ranges: match calico_private_ranges {
                    Some(true) => PrivateRanges::Calico,
                    Some(false) | None => PrivateRanges::Full,
                },
            },
            retention,
            batch_records: problems.in_range("enricher.batch_records", batch_records, &(1..=100_000)),
            group: problems.bus_name("enricher.group", group, DEFAULT_GROUP),
            raw_topic: problems.bus_name("enricher.raw_topic", raw_topic, flow::contract::RAW_TOPIC).into(),
            enriched_topic: problems
                .bus_name("enricher.enriched_topic", enriched_topic, flow::contract::ENRICHED_TOPIC)
                .into(),
            dead_letter_topic: problems
                .bus_name("enricher.dead_letter_topic", dead_letter_topic, flow::contract::DEAD_LETTER_TOPIC)
                .into(),
        }
    }

    /// Returns where records go, and how old they may be.
    #[must_use]
    pub fn rules(&self) -> Rules {
        Rules {
            enriched_topic: Arc::clone(&self.enriched_topic),
            dead_letter_topic: Arc::clone(&self.dead_letter_topic),
            retention: self.retention,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid() {
        let mut problems = Problems::default();
        let settings = EnricherSettings::resolve(RawEnricherSettings::default(), &mut problems);
        assert!(problems.is_empty(), "{problems}");
        assert_eq!(&*settings.raw_topic, "millrace.flows.raw.v1");
        assert_eq!(settings.folder.private_ranges, PrivateRanges::Full);
    }

    #[test]
    fn everything_wrong_is_said_at_once() {
        let raw = RawEnricherSettings {
            manifests: Some(PathBuf::new()),
            manifests_interval: Some(Duration::from_millis(1).into()),
            calico_private_ranges: Some(true),
            retention: Some(Duration::ZERO.into()),
            batch_records: Some(0),
            group: Some(String::new()),
            raw_topic: Some("a b".to_owned()),
            enriched_topic: Some("é".to_owned()),
            dead_letter_topic: Some("x".repeat(250)),
        };
        let mut problems = Problems::default();
        let settings = EnricherSettings::resolve(raw, &mut problems);
        let keys: Vec<&str> = problems.iter().map(|problem| problem.key.as_str()).collect();
        let expected = [
            "enricher.manifests_interval",
            "enricher.retention",
            "enricher.manifests",
            "enricher.batch_records",
            "enricher.group",
            "enricher.raw_topic",
            "enricher.enriched_topic",
            "enricher.dead_letter_topic",
        ];
        assert_eq!(keys, expected);
        assert_eq!(settings.folder.private_ranges, PrivateRanges::Calico);
    }
}
