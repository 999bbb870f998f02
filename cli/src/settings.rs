//! The one settings file of all roles: read, checked as a whole, and shown.

mod admin;
mod bus;
mod defaults;
mod effective;
mod store;

use std::path::{Path, PathBuf};

use enricher::{EnricherSettings, RawEnricherSettings};
use indexer::{IndexerSettings, RawIndexerSettings};
use probe::settings::{ProbeSettings, RawProbeSettings};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use service::logging::{LogSettings, RawLogSettings};
use service::settings::{Dump, Problems, Sources};

use crate::arguments::{GlobalArguments, NameArguments};
use crate::failure::Failure;

pub(crate) use admin::{AdminSettings, RawAdminSettings};
pub(crate) use bus::{BusSettings, RawBusSettings};
pub(crate) use store::{RawStoreSettings, StoreSettings};

/// Put in front of every setting in the environment.
const PREFIX: &str = "MILLRACE_";
/// Variables of that prefix that are no settings: the file's own name, and two of the test suites.
const NO_SETTINGS: [&str; 3] = ["MILLRACE_CONFIG", "MILLRACE_REFRESH", "MILLRACE_SCALE"];

/// The settings file. Every key is optional.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RawSettings {
    /// Name of the cluster in records. Default: `local`.
    cluster: Option<String>,
    /// Name of this node in records. Default: the host's name.
    node: Option<String>,
    /// Where flows are kept. Default: `/var/lib/millrace` for root, else `$XDG_STATE_HOME/millrace` or `~/.local/state/millrace`.
    data_dir: Option<PathBuf>,
    /// Log lines.
    log: Option<RawLogSettings>,
    /// The admin server: liveness, readiness, metrics.
    admin: Option<RawAdminSettings>,
    /// The probe: kernel events, or a file of raw records.
    probe: Option<RawProbeSettings>,
    /// The enricher: names and verdicts.
    enricher: Option<RawEnricherSettings>,
    /// The indexer: flow records into the store.
    indexer: Option<RawIndexerSettings>,
    /// The bus between the roles.
    bus: Option<RawBusSettings>,
    /// The flow store.
    store: Option<RawStoreSettings>,
}

/// The settings, checked.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Name of the cluster in records.
    pub(crate) cluster: String,
    /// Name of this node in records.
    pub(crate) node: String,
    /// Where flows are kept.
    pub(crate) data_dir: PathBuf,
    /// Log lines.
    pub(crate) log: LogSettings,
    /// The admin server.
    pub(crate) admin: AdminSettings,
    /// The probe.
    pub(crate) probe: ProbeSettings,
    /// The enricher.
    pub(crate) enricher: EnricherSettings,
    /// The indexer.
    pub(crate) indexer: IndexerSettings,
    /// The bus between the roles.
    pub(crate) bus: BusSettings,
    /// The flow store.
    pub(crate) store: StoreSettings,
}

/// A flag that sets a key: the key, how the flag is spelled, and its value if it was given.
pub(crate) type Flag = (&'static str, &'static str, Option<String>);

/// Reads and checks the settings.
///
/// # Errors
/// Returns a usage failure that names everything that is wrong.
pub(crate) fn load(global: &GlobalArguments, names: &NameArguments) -> Result<Settings, Failure> {
    load_with(global, names, &[])
}

/// Reads and checks the settings, with further flags of a command.
///
/// # Errors
/// Returns a usage failure that names everything that is wrong.
pub(crate) fn load_with(global: &GlobalArguments, names: &NameArguments, flags: &[Flag]) -> Result<Settings, Failure> {
    let (settings, problems) = read(global, names, flags)?;
    problems.into_result(settings).map_err(wrong)
}

/// Returns the settings in force, each with its source.
///
/// # Errors
/// Returns a usage failure that names everything that is wrong.
pub(crate) fn dump(global: &GlobalArguments, names: &NameArguments) -> Result<Dump, Failure> {
    let (settings, problems) = read(global, names, &[])?;
    let dump = problems.dump(settings.effective());
    problems.into_result(dump).map_err(wrong)
}

/// Checks that a folder of manifests is there: one that is not would name nothing, without a word.
///
/// # Errors
/// Returns a usage failure if it is no directory.
pub(crate) fn check_folder(folder: &Path) -> Result<(), Failure> {
    if folder.is_dir() {
        return Ok(());
    }
    Err(Failure::usage(anyhow::anyhow!("enricher.manifests: `{}` is no directory", folder.display()))
        .fix("give a folder of Kubernetes manifests with --manifests, or leave it out"))
}

fn read(global: &GlobalArguments, names: &NameArguments, flags: &[Flag]) -> Result<(Settings, Problems), Failure> {
    let sources = sources(global, names, flags);
    let (raw, mut problems) = service::settings::load::<RawSettings>(&sources).map_err(wrong)?.into_parts();
    let settings = Settings::resolve(raw, &mut problems);
    Ok((settings, problems))
}

fn wrong(problems: Problems) -> Failure {
    Failure::usage(problems)
        .fix("`millrace config schema` describes every key, `millrace config dump` shows what holds")
}

fn sources(global: &GlobalArguments, names: &NameArguments, flags: &[Flag]) -> Sources {
    let variables = std::env::vars_os().filter(|(name, _)| !NO_SETTINGS.iter().any(|other| name == *other));
    let mut sources = Sources::default().environment(PREFIX, variables);
    if let Some(file) = &global.config {
        sources = sources.file(file);
    }
    let data_dir = global.data_dir.as_ref().map(|dir| dir.to_string_lossy().into_owned());
    let own: [Flag; 5] = [
        ("data_dir", "--data-dir", data_dir),
        ("cluster", "--cluster", names.cluster.clone()),
        ("node", "--node", names.node.clone()),
        ("log.level", "--log-level", global.log_level.clone()),
        ("log.format", "--log-format", global.log_format.clone()),
    ];
    for (key, shown, value) in own.iter().chain(flags) {
        if let Some(value) = value {
            sources = sources.flag(key, *shown, value.clone());
        }
    }
    sources
}

impl Settings {
    fn resolve(raw: RawSettings, problems: &mut Problems) -> Self {
        let name = |problems: &mut Problems, key: &str, value: String| {
            // The two names are parts of the stream's name, which is every message's key.
            if let Err(error) = flow::Stream::new(&value, &value, 0) {
                problems.add(key, error.to_string());
            }
            value
        };
        let cluster = name(problems, "cluster", raw.cluster.unwrap_or_else(|| "local".to_owned()));
        let node = name(problems, "node", raw.node.unwrap_or_else(defaults::node));
        let data_dir = raw.data_dir.unwrap_or_else(defaults::data_dir);
        problems.check("data_dir", !data_dir.as_os_str().is_empty(), || "must not be empty".to_owned());
        let settings = Self {
            cluster,
            node,
            data_dir,
            log: LogSettings::resolve(raw.log.unwrap_or_default(), problems),
            admin: AdminSettings::resolve(&raw.admin.unwrap_or_default(), problems),
            probe: ProbeSettings::resolve(raw.probe.unwrap_or_default(), problems),
            enricher: EnricherSettings::resolve(raw.enricher.unwrap_or_default(), problems),
            indexer: IndexerSettings::resolve(raw.indexer.unwrap_or_default(), problems),
            bus: BusSettings::resolve(&raw.bus.unwrap_or_default(), problems),
            store: StoreSettings::resolve(&raw.store.unwrap_or_default(), problems),
        };
        settings.check_topics(problems);
        settings
    }

    /// What one role writes to, the next one reads: a topic that only one of them knows would fill, or stay empty.
    fn check_topics(&self, problems: &mut Problems) {
        let (enricher, indexer) = (&self.enricher, &self.indexer);
        for (key, topic, other_key, other) in [
            ("enricher.raw_topic", &*enricher.raw_topic, "probe.topic", &*self.probe.topic),
            ("indexer.enriched_topic", &*indexer.enriched_topic, "enricher.enriched_topic", &*enricher.enriched_topic),
            (
                "indexer.dead_letter_topic",
                &*indexer.dead_letter_topic,
                "enricher.dead_letter_topic",
                &*enricher.dead_letter_topic,
            ),
        ] {
            problems.check(key, topic == other, || format!("must be the same as {other_key}, which is `{other}`"));
        }
        let mut topics = [&enricher.raw_topic, &enricher.enriched_topic, &enricher.dead_letter_topic];
        topics.sort();
        let differ = topics.windows(2).all(|pair| pair[0] != pair[1]);
        problems.check("enricher", differ, || "raw_topic, enriched_topic and dead_letter_topic must differ".to_owned());
    }

    /// Returns the settings as the file would have to say them, with every default filled in.
    fn effective(&self) -> serde_json::Value {
        json!({
            "cluster": self.cluster,
            "node": self.node,
            "data_dir": self.data_dir,
            "log": self.log,
            "admin": self.admin,
            "probe": effective::probe(&self.probe),
            "enricher": effective::enricher(&self.enricher),
            "indexer": effective::indexer(&self.indexer),
            "bus": self.bus,
            "store": self.store,
        })
    }
}
