//! The settings of the probe: section `probe` of the settings file.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use service::settings::{Period, Problems, Size};

/// The topic of raw records, unless another is named.
pub const DEFAULT_TOPIC: &str = "millrace.flows.raw.v1";

/// What is merged into one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Aggregation {
    /// Attempts that differ in their source port only; some of the ports are listed.
    #[default]
    SourcePort,
    /// Nothing: each source port has records of its own.
    None,
}

/// How fast records of a file are replayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ReplayPace {
    /// As fast as they are taken.
    #[default]
    Fast,
    /// At the distances in time in which they were recorded.
    Recorded,
}

/// Which times replayed records get.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ReplayTimes {
    /// Those in the file.
    #[default]
    Recorded,
    /// Moved as a whole so that they are of now.
    Now,
}

/// The section as it is written. Every key is optional.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawProbeSettings {
    /// Only sockets below this directory of the cgroup2 tree belong to this node: a path from the root of the tree, or
    /// the path of the directory itself. Default: all of the tree.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cgroup_root: Option<PathBuf>,
    /// The node's own network namespace: a file such as `/run/netns/node-a`. Default: that of process 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_netns: Option<PathBuf>,
    /// What is merged into one record: `source-port` (default) or `none`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aggregation: Option<Aggregation>,
    /// Report traffic that stays within the host or one pod. Default: no.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_loopback: Option<bool>,
    /// Most flow keys at one time; beyond half of them detail is shed. Default: 16384.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_keys: Option<usize>,
    /// Most attempts at one time that are open or undecided. Default: 65536.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<usize>,
    /// Size of the ring for socket events, a power of two. Default: 8MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ring_size: Option<Size>,
    /// Size of the ring for dropped packets, a power of two. Default: 2MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drop_ring_size: Option<Size>,
    /// Most datagram flows in the kernel's table. Default: 262144.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel_flows: Option<u32>,
    /// Most different drops in the kernel's table. Default: 65536.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel_drops: Option<u32>,
    /// How often the totals of connections that stay open are read. Default: 15s, at the end of each window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scan_interval: Option<Period>,
    /// The topic that raw records go to. Default: `millrace.flows.raw.v1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// Read raw records from this file of JSON lines instead of the kernel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replay: Option<PathBuf>,
    /// How fast: `fast` (default) or `recorded`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replay_pace: Option<ReplayPace>,
    /// With which times: `recorded` (default) or `now`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replay_times: Option<ReplayTimes>,
    /// Stop at the first line that is no raw record, instead of counting and skipping it. Default: no.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replay_strict: Option<bool>,
}

/// The settings, valid by construction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeSettings {
    /// Where raw records go.
    pub topic: String,
    /// Where events come from.
    pub source: Source,
}

/// Where events come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The running kernel.
    Kernel(KernelSettings),
    /// A file of raw records.
    Replay(ReplaySettings),
}

/// Settings of the capture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelSettings {
    /// The part of the cgroup2 tree that is this node; none for all of it.
    pub cgroup_root: Option<PathBuf>,
    /// File of the node's own network namespace; none for that of process 1.
    pub host_netns: Option<PathBuf>,
    /// What is merged into one record.
    pub aggregation: Aggregation,
    /// Report traffic within the host or one pod.
    pub keep_loopback: bool,
    /// Most flow keys.
    pub max_keys: usize,
    /// Most attempts.
    pub max_attempts: usize,
    /// Bytes of the ring for socket events.
    pub ring_bytes: u32,
    /// Bytes of the ring for drops.
    pub drop_ring_bytes: u32,
    /// Most datagram flows in the kernel.
    pub kernel_flows: u32,
    /// Most drops in the kernel.
    pub kernel_drops: u32,
    /// How often sockets are scanned.
    pub scan_interval: Duration,
}

/// Settings of a replay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplaySettings {
    /// The file.
    pub file: PathBuf,
    /// How fast.
    pub pace: ReplayPace,
    /// With which times.
    pub times: ReplayTimes,
    /// Stop at the first line that is no record.
    pub strict: bool,
}

/// Default of `max_keys`: at about 700 bytes a key, some 12 MiB.
const MAX_KEYS: usize = 16_384;
/// Default of `max_attempts`: at about 400 bytes an attempt, some 26 MiB.
const MAX_ATTEMPTS: usize = 65_536;

impl ProbeSettings {
    /// Checks the section. What is wrong goes to `problems`; the settings returned are then not to be used.
    #[must_use]
    pub fn resolve(raw: RawProbeSettings, problems: &mut Problems) -> Self {
        let topic = raw.topic.clone().unwrap_or_else(|| DEFAULT_TOPIC.to_owned());
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        problems.check("probe.topic", !topic.is_empty() && topic.len() <= 249 && topic.chars().all(legal), || {
            "must be 1 to 249 letters, digits, `.`, `_` or `-`".to_owned()
        });
        let source = match raw.replay.clone() {
            Some(file) => Source::Replay(ReplaySettings::resolve(file, &raw, problems)),
            None => Source::Kernel(KernelSettings::resolve(raw, problems)),
        };
        Self { topic, source }
    }
}

impl KernelSettings {
    fn resolve(raw: RawProbeSettings, problems: &mut Problems) -> Self {
        for (key, given) in [
            ("probe.replay_pace", raw.replay_pace.is_some()),
            ("probe.replay_times", raw.replay_times.is_some()),
            ("probe.replay_strict", raw.replay_strict.is_some()),
        ] {
            problems.check(key, !given, || "has no meaning without `probe.replay`".to_owned());
        }
        for (key, path) in [("probe.cgroup_root", &raw.cgroup_root), ("probe.host_netns", &raw.host_netns)] {
            let absolute = path.as_ref().is_none_or(|path| path.is_absolute());
            problems.check(key, absolute, || "must be an absolute path".to_owned());
        }
        let interval = raw.scan_interval.map_or(Duration::from_secs(15), Duration::from);
        let sensible = (Duration::from_secs(1)..=Duration::from_secs(600)).contains(&interval);
        problems.check("probe.scan_interval", sensible, || "must lie between 1s and 10m".to_owned());
        Self {
            cgroup_root: raw.cgroup_root,
            host_netns: raw.host_netns,
            aggregation: raw.aggregation.unwrap_or_default(),
            keep_loopback: raw.keep_loopback.unwrap_or(false),
            max_keys: problems.in_range("probe.max_keys", raw.max_keys.unwrap_or(MAX_KEYS), &(16..=4_194_304)),
            max_attempts: problems.in_range(
                "probe.max_attempts",
                raw.max_attempts.unwrap_or(MAX_ATTEMPTS),
                &(16..=16_777_216),
            ),
            ring_bytes: ring("probe.ring_size", raw.ring_size, 8 << 20, problems),
            drop_ring_bytes: ring("probe.drop_ring_size", raw.drop_ring_size, 2 << 20, problems),
            kernel_flows: problems.in_range(
                "probe.kernel_flows",
                raw.kernel_flows.unwrap_or(262_144),
                &(16..=16_777_216),
            ),
            kernel_drops: problems.in_range(
                "probe.kernel_drops",
                raw.kernel_drops.unwrap_or(65_536),
                &(16..=16_777_216),
            ),
            scan_interval: interval,
        }
    }
}

impl ReplaySettings {
    fn resolve(file: PathBuf, raw: &RawProbeSettings, problems: &mut Problems) -> Self {
        problems.check("probe.replay", !file.as_os_str().is_empty(), || "must name a file".to_owned());
        Self {
            file,
            pace: raw.replay_pace.unwrap_or_default(),
            times: raw.replay_times.unwrap_or_default(),
            strict: raw.replay_strict.unwrap_or(false),
        }
    }
}

/// The kernel makes rings of whole pages in powers of two.
fn ring(key: &str, size: Option<Size>, default: u32, problems: &mut Problems) -> u32 {
    let Some(size) = size else { return default };
    let bytes = u32::try_from(size.as_bytes()).ok().filter(|b| b.is_power_of_two() && (4096..=1 << 30).contains(b));
    problems.check(key, bytes.is_some(), || format!("must be a power of two from 4KiB to 1GiB, but is {size}"));
    bytes.unwrap_or(default)
}

#[cfg(test)]
mod tests {
    use service::settings::{Sources, load};

    use super::*;

    #[derive(Default, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields, default)]
    struct File {
        probe: RawProbeSettings,
    }

    fn resolve(given: &[(&str, &str)]) -> Result<ProbeSettings, String> {
        let variables = given.iter().map(|(key, value)| {
            (format!("MILLRACE_PROBE__{}", key.to_uppercase()).into(), std::ffi::OsString::from(value))
        });
        let loaded = load::<File>(&Sources::default().environment("MILLRACE_", variables.collect::<Vec<_>>()));
        let (file, mut problems) = loaded.map_err(|p| p.to_string())?.into_parts();
        let settings = ProbeSettings::resolve(file.probe, &mut problems);
        problems.into_result(settings).map_err(|p| p.to_string())
    }

    #[test]
    fn the_default_watches_the_kernel() {
        let settings = resolve(&[]).unwrap();
        assert_eq!(settings.topic, "millrace.flows.raw.v1");
        let Source::Kernel(kernel) = settings.source else { panic!("not the kernel") };
        assert_eq!((kernel.aggregation, kernel.keep_loopback), (Aggregation::SourcePort, false));
        assert_eq!((kernel.ring_bytes, kernel.scan_interval), (8 << 20, Duration::from_secs(15)));
    }

    #[test]
    fn a_replay_has_its_own() {
        let given = [("replay", "/tmp/x.jsonl"), ("replay_pace", "recorded"), ("replay_times", "now")];
        let Source::Replay(replay) = resolve(&given).unwrap().source else { panic!("not a replay") };
        assert_eq!((replay.pace, replay.times, replay.strict), (ReplayPace::Recorded, ReplayTimes::Now, false));
    }

    #[test]
    fn everything_wrong_is_said_at_once() {
        let given = [
            ("topic", "a topic"),
            ("cgroup_root", "kubepods"),
            ("max_keys", "3"),
            ("ring_size", "5000"),
            ("scan_interval", "0s"),
            ("replay_strict", "true"),
        ];
        let problems = resolve(&given).unwrap_err();
        for (key, _) in given {
            assert!(problems.contains(&format!("probe.{key}")), "{key}: {problems}");
        }
    }
}
