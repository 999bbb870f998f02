//! The settings of the roles, written back as sections of the file with every default filled in: what `config dump` shows.

use enricher::{EnricherSettings, RawEnricherSettings};
use indexer::{IndexerSettings, RawIndexerSettings};
use probe::settings::{ProbeSettings, RawProbeSettings, Source};
use service::settings::Size;

/// Returns the section `probe` that gives these settings.
pub(super) fn probe(settings: &ProbeSettings) -> RawProbeSettings {
    let raw = RawProbeSettings { topic: Some(settings.topic.clone()), ..RawProbeSettings::default() };
    match &settings.source {
        Source::Kernel(kernel) => RawProbeSettings {
            cgroup_root: kernel.cgroup_root.clone(),
            host_netns: kernel.host_netns.clone(),
            aggregation: Some(kernel.aggregation),
            keep_loopback: Some(kernel.keep_loopback),
            max_keys: Some(kernel.max_keys),
            max_attempts: Some(kernel.max_attempts),
            ring_size: Some(Size::bytes(kernel.ring_bytes.into())),
            drop_ring_size: Some(Size::bytes(kernel.drop_ring_bytes.into())),
            kernel_flows: Some(kernel.kernel_flows),
            kernel_drops: Some(kernel.kernel_drops),
            scan_interval: Some(kernel.scan_interval.into()),
            ..raw
        },
        Source::Replay(replay) => RawProbeSettings {
            replay: Some(replay.file.clone()),
            replay_pace: Some(replay.pace),
            replay_times: Some(replay.times),
            replay_strict: Some(replay.strict),
            ..raw
        },
    }
}

/// Returns the section `enricher` that gives these settings.
pub(super) fn enricher(settings: &EnricherSettings) -> RawEnricherSettings {
    RawEnricherSettings {
        manifests: settings.folder.dir.clone(),
        manifests_interval: Some(settings.folder.interval.into()),
        calico_private_ranges: Some(settings.folder.private_ranges == cluster::PrivateRanges::Calico),
        retention: Some(settings.retention.into()),
        batch_records: Some(settings.batch_records),
        group: Some(settings.group.clone()),
        raw_topic: Some(settings.raw_topic.to_string()),
        enriched_topic: Some(settings.enriched_topic.to_string()),
        dead_letter_topic: Some(settings.dead_letter_topic.to_string()),
    }
}

/// Returns the section `indexer` that gives these settings.
pub(super) fn indexer(settings: &IndexerSettings) -> RawIndexerSettings {
    RawIndexerSettings {
        batch_records: Some(settings.batch.records),
        batch_bytes: Some(Size::bytes(settings.batch.bytes as u64)),
        batch_age: Some(settings.batch.age.into()),
        retention: Some(settings.retention.into()),
        caps_interval: Some(settings.caps_interval.into()),
        probe_interval: Some(settings.probe_interval.into()),
        group: Some(settings.group.clone()),
        dead_letter_group: Some(settings.dead_letter_group.clone()),
        enriched_topic: Some(settings.enriched_topic.to_string()),
        dead_letter_topic: Some(settings.dead_letter_topic.to_string()),
    }
}
