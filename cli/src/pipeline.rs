//! Everything in one process, on one screen.
//!
//! ```text
//!  kernel or file ──▶ probe ──▶ raw topic ──▶ enricher ──▶ enriched topic ──▶ indexer ──▶ store
//!                                                ▲    └──▶ dead letters ─────────▲
//!                              folder of manifests
//! ```
//!
//! It ends from its source on: a stage that has ended closes what it wrote to, and the next one ends when it has read
//! that to its end. So nothing that was begun is lost, unless the end is asked for twice.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bus::InProcessBus;
use enricher::{Enricher, EnricherMetrics, Folder};
use indexer::caps;
use indexer::{DeadLetterIndexer, Indexer, IndexerMetrics};
use probe::metrics::ProbeMetrics;
use probe::pipeline::ProbeError;
use service::admin::Admin;
use service::health::Health;
use service::metrics::{Metrics, MetricsBuilder};
use service::shutdown::{Ended, Shutdown, Stages, Token};
use store::{SqliteStore, StoreError};
use tokio::task::JoinHandle;

use crate::failure::Failure;
use crate::settings::Settings;
use crate::{command, source};

/// How long an orderly end may take. Supervisors wait longer (Kubernetes 30 s, systemd 90 s), and what is on the bus by
/// then is stored within seconds.
const END_WITHIN: Duration = Duration::from_secs(25);
/// A role whose backlog neither empties nor changes for so long is not ready: a batch takes milliseconds.
const STANDSTILL: Duration = Duration::from_secs(30);
/// How often the backlogs are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// All roles, wired and not yet running.
pub(crate) struct Pipeline {
    settings: Settings,
    bus: InProcessBus,
    store: SqliteStore,
    folder: Folder,
    admin: Option<Admin>,
    health: Health,
    metrics: Metrics,
    roles: RoleMetrics,
}

/// The metrics of each role.
pub(crate) struct RoleMetrics {
    probe: ProbeMetrics,
    enricher: EnricherMetrics,
    indexer: IndexerMetrics,
}

impl RoleMetrics {
    /// Registers the metrics of all roles.
    pub(crate) fn register(builder: &mut MetricsBuilder) -> Self {
        Self {
            probe: ProbeMetrics::register(builder.component(probe::metrics::COMPONENT)),
            enricher: EnricherMetrics::register(builder.component(enricher::metrics::COMPONENT)),
            indexer: IndexerMetrics::register(builder.component(indexer::metrics::COMPONENT)),
        }
    }
}

impl Pipeline {
    /// Takes what the roles need from the system, what fails soonest first. Nothing runs yet, but the topics keep what
    /// is sent from now on.
    ///
    /// # Errors
    /// Returns a failure with its fix if an address or the data directory cannot be had.
    pub(crate) async fn new(settings: Settings) -> Result<Self, Failure> {
        let mut builder = MetricsBuilder::new(env!("CARGO_PKG_VERSION"), "probe,enricher,indexer".to_owned());
        let roles = RoleMetrics::register(&mut builder);
        let admin = match settings.admin.listen {
            Some(address) => Some(Admin::bind(address).await.map_err(|error| {
                Failure::failed(error)
                    .fix("set admin.listen (MILLRACE_ADMIN__LISTEN, --admin) to another address, or to off")
            })?),
            None => None,
        };
        let options = settings.store.options(&settings.data_dir);
        let store = tokio::task::spawn_blocking(|| SqliteStore::open(options))
            .await?
            .map_err(|error| explain(error, &settings))?;
        let enricher = &settings.enricher;
        let topics = [&enricher.raw_topic, &enricher.enriched_topic, &enricher.dead_letter_topic];
        let bus = InProcessBus::new(topics.map(|name| settings.bus.topic(name))).map_err(Failure::usage)?;
        let (folder, metrics) = (enricher.folder.clone(), roles.enricher.clone());
        let folder = tokio::task::spawn_blocking(|| Folder::open(folder, metrics)).await?;
        let metrics = builder.build();
        Ok(Self { settings, bus, store, folder, admin, health: Health::new(), metrics, roles })
    }

    /// Returns the store, to be read while the pipeline runs.
    pub(crate) fn store(&self) -> SqliteStore {
        self.store.clone()
    }

    /// Returns where the admin server listens.
    pub(crate) fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(Admin::address)
    }

    /// Runs until the end is asked for, or the source is at its end, and everything that was begun is stored.
    ///
    /// # Errors
    /// Returns a failure with its fix if a stage failed or had to be given up.
    pub(crate) async fn run(self, stop: Token) -> Result<(), Failure> {
        let Self { settings, bus, store, folder, admin, health, metrics, roles } = self;
        let (probe, enricher, indexer) = (settings.probe.clone(), &settings.enricher, &settings.indexer);
        let raw = bus.subscribe(&enricher.group, &[&enricher.raw_topic])?;
        let enriched = bus.subscribe(&indexer.group, &[&indexer.enriched_topic])?;
        let letters = bus.subscribe(&indexer.dead_letter_group, &[&indexer.dead_letter_topic])?;
        // Before anybody can ask: the probe loads its programs for seconds on a busy machine, and is not ready meanwhile.
        let _ = health.condition(probe::pipeline::CONDITION);
        let serving = Shutdown::new();
        let admin = admin.map(|admin| tokio::spawn(admin.serve(health.clone(), metrics, serving.token())));
        let watched = [
            watch(&bus, "enricher", &enricher.group, &enricher.raw_topic, &health),
            watch(&bus, "indexer", &indexer.group, &indexer.enriched_topic, &health),
        ];

        let mut stages = Stages::new();
        let (place, producer, seen) = (source::place(&settings), bus.producer(), health.clone());
        let written = Arc::clone(&enricher.raw_topic);
        stages.start("probe", |stop| {
            let probing = async move { probe::pipeline::run(place, probe, producer, roles.probe, &seen, stop).await };
            closing(bus.clone(), Some(written), probing)
        });
        let enriching = Enricher::new(enricher, raw, bus.producer(), folder.histories(), roles.enricher);
        let written = Arc::clone(&enricher.enriched_topic);
        stages.start("enricher", |stop| closing(bus.clone(), Some(written), enriching.run(only_at_once(stop))));
        stages.start("manifests", |stop| unfailing(folder.run(stop)));
        let (condition, counts) = (health.condition("store"), roles.indexer.clone());
        let indexing = Indexer::new(indexer, enriched, bus.producer(), store.clone(), counts, condition);
        let written = Arc::clone(&indexer.dead_letter_topic);
        stages.start("indexer", |stop| closing(bus.clone(), Some(written), indexing.run(only_at_once(stop))));
        let (condition, counts) = (health.condition("dead letters"), roles.indexer.clone());
        let burying = DeadLetterIndexer::new(indexer, letters, store.clone(), counts, condition);
        stages.start("dead letters", |stop| closing(bus.clone(), None, burying.run(only_at_once(stop))));
        let (every, counts) = (indexer.caps_interval, roles.indexer);
        stages.start("caps", |stop| unfailing(caps::keep(store, every, counts, stop)));

        let ended = stages.run(stop, END_WITHIN).await;
        watched.iter().for_each(JoinHandle::abort);
        serving.request();
        if let Some(admin) = admin {
            admin.await?.context("the admin server ended")?;
        }
        outcome(ended, &settings)
    }
}

/// Runs a stage and then closes the topic that it is the last to write to, however it ended: who reads it sees its end.
async fn closing<T, E>(
    bus: InProcessBus,
    written: Option<Arc<str>>,
    stage: impl Future<Output = Result<T, E>>,
) -> Result<(), E> {
    let result = stage.await;
    if let Some(topic) = written
        && let Err(error) = bus.close_topic(&topic)
    {
        tracing::error!(%error, %topic, "cannot close a topic");
    }
    result.map(drop)
}

/// Runs a stage that has no way to fail.
async fn unfailing(stage: impl Future<Output = ()>) -> Result<(), Infallible> {
    stage.await;
    Ok(())
}

/// Returns a token for a stage that ends when its topic does: only the end at once stops it before.
fn only_at_once(stop: Token) -> Token {
    let at_once = Shutdown::new();
    let token = at_once.token();
    tokio::spawn(async move {
        stop.requested_now().await;
        at_once.request_now();
    });
    token
}

/// Says that a role makes progress, as long as its backlog is empty or changes.
fn watch(bus: &InProcessBus, role: &'static str, group: &str, topic: &str, health: &Health) -> JoinHandle<()> {
    let heartbeat = health.progress(role, STANDSTILL);
    let (bus, group, topic) = (bus.clone(), group.to_owned(), topic.to_owned());
    tokio::spawn(async move {
        let mut before = None;
        loop {
            let backlog = bus.backlog(&topic, &group);
            let empty = backlog.is_none_or(|backlog| backlog.lag == 0);
            if empty || backlog != before {
                heartbeat.beat();
            }
            before = backlog;
            tokio::time::sleep(LOOK_EVERY).await;
        }
    })
}

fn outcome(ended: Ended, settings: &Settings) -> Result<(), Failure> {
    // The first stage is the one nearest the source; what failed behind it often failed because of it.
    let mut failed = ended.failed.into_iter();
    if let Some((stage, error)) = failed.next() {
        for (stage, error) in failed {
            tracing::error!(stage, %error, "stage failed as well");
        }
        return Err(match error.downcast::<ProbeError>() {
            Ok(error) => command::probe::explain(*error, &settings.data_dir),
            Err(error) => Failure::failed(anyhow::Error::from_boxed(error).context(format!("the {stage} failed"))),
        });
    }
    if !ended.given_up.is_empty() {
        let stages = ended.given_up.join(", ");
        return Err(Failure::failed(anyhow::anyhow!("ended before all was stored: {stages} given up"))
            .fix("`millrace reconcile` shows the gap; let it end in order with one SIGTERM and 30 s"));
    }
    Ok(())
}

/// Adds to a failure of the store what the operator can do about it.
fn explain(error: StoreError, settings: &Settings) -> Failure {
    let directory = settings.data_dir.display();
    let fix = match &error {
        StoreError::InUse(_) | StoreError::Newer { .. } => return Failure::failed(error),
        _ => format!(
            "give a directory that can be written with --data-dir (now {directory}); `millrace doctor` looks at it"
        ),
    };
    Failure::failed(error).fix(fix)
}
