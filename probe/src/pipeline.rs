//! The probe on one screen.
//!
//! ```text
//!  kernel  ──▶ observe ──▶ tick ──▶ number ─┐
//!                                           ├─▶ bounded channel ──▶ encode ──▶ send ──▶ acknowledged ──▶ state file
//!  file    ──▶ decode ─────────────▶ number ┘
//!  (a thread of its own)                        (this task)
//! ```

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use bus::{BusError, Producer};
use flow::stream::InvalidStream;
use flow::{Predecessor, Stream, UnixMs};
use service::health::{Condition, Health};
use service::retry::GaveUp;
use service::shutdown::{Shutdown, Token};
use tokio::sync::{mpsc, oneshot};

use crate::attempt::AdmitRules;
use crate::capture::Capture;
use crate::clock;
use crate::identity::{Identities, walk};
use crate::kernel::conntrack::Conntrack;
use crate::kernel::{HookState, Kernel, KernelError, KernelOptions, cgroup2_mount, kernel_now};
use crate::ledger::state;
use crate::metrics::{ProbeMetrics, set};
use crate::observe::Observer;
use crate::publish::{Batch, Publisher, QUEUE_BATCHES};
use crate::replay::{Replay, ReplayError, Replayed};
use crate::settings::{Aggregation, KernelSettings, ProbeSettings, Source};

/// The name of the condition that says whether events are captured.
pub const CONDITION: &str = "probe";
/// How long the capture may stand still before the process counts as stuck.
const STUCK_AFTER: std::time::Duration = std::time::Duration::from_secs(60);

/// Who the probe is and where it keeps its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The cluster.
    pub cluster: String,
    /// The node.
    pub node: String,
    /// The directory of the state file.
    pub data_dir: PathBuf,
}

/// What the probe did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Its stream; replayed records have streams of the same epoch, one for each node.
    pub stream: Stream,
    /// Flow records acknowledged by the bus.
    pub flows: u64,
    /// Ledger records acknowledged by the bus.
    pub ledgers: u64,
    /// What was replayed, if it was a replay.
    pub replayed: Option<Replayed>,
}

/// Why the probe could not start or had to end.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// Cluster or node cannot be part of a stream.
    #[error("cannot name the stream of this probe")]
    Stream(#[from] InvalidStream),
    /// The kernel side cannot work.
    #[error("cannot watch the kernel")]
    Kernel(#[from] KernelError),
    /// The node's network namespace cannot be found.
    #[error("`{0}` is no network namespace")]
    HostNetns(PathBuf),
    /// The file cannot be replayed.
    #[error("cannot replay")]
    Replay(#[from] ReplayError),
    /// The bus fails for good.
    #[error("cannot hand records to the bus")]
    Bus(#[source] GaveUp<BusError>),
    /// The capture thread cannot be started.
    #[error("cannot start the capture thread")]
    Thread(#[source] std::io::Error),
    /// The capture thread ended without a result: a defect of ours.
    #[error("the capture thread broke off")]
    BrokeOff,
}

/// Runs the probe until the end is asked for, or its file is replayed.
///
/// # Errors
/// Returns [`ProbeError`] if it cannot start, or if the bus fails for good.
pub async fn run<P: Producer>(
    place: Place,
    settings: ProbeSettings,
    producer: P,
    metrics: ProbeMetrics,
    health: &Health,
    stop: Token,
) -> Result<Summary, ProbeError> {
    let (sender, batches) = mpsc::channel(QUEUE_BATCHES);
    let predecessor = predecessor(&place, &settings.source);
    let epoch = clock::unix_now().0.max(predecessor.as_ref().map_or(0, |p| p.stream.epoch() + 1));
    let stream = Stream::new(&place.cluster, &place.node, epoch)?;
    // An orderly end goes on trying to hand over what is left; only an end at once gives up.
    let at_once = Shutdown::new();
    let publisher = Publisher {
        producer,
        topic: Arc::from(settings.topic.as_str()),
        data_dir: matches!(settings.source, Source::Kernel(_)).then(|| place.data_dir.clone()),
        metrics: metrics.clone(),
        stop: at_once.token(),
    };
    let (ask, asked) = std::sync::mpsc::channel();
    let (tell, told) = oneshot::channel();
    let condition = health.condition(CONDITION);
    let work: Box<dyn FnOnce() -> Result<Option<Replayed>, ReplayError> + Send> = match settings.source {
        Source::Kernel(kernel) => {
            let capture = start_capture(&kernel, &stream, predecessor, metrics, sender, health, condition)?;
            Box::new(move || {
                capture.run(&asked);
                Ok(None)
            })
        }
        Source::Replay(replay) => {
            let replay = Replay::new(replay, &place.cluster, epoch, metrics, sender);
            condition.ready();
            Box::new(move || replay.run(&asked).map(Some))
        }
    };
    let thread = thread::Builder::new().name("probe".to_owned()).spawn(move || {
        // Nobody listens only if this task is gone, and the process with it.
        let _ = tell.send(work());
    });
    thread.map_err(ProbeError::Thread)?;
    tracing::info!(stream = %stream, "the probe runs");
    let pass_on = async {
        stop.requested().await;
        // An error means that the thread has ended by itself.
        let _ = ask.send(());
        stop.requested_now().await;
        at_once.request_now();
        std::future::pending::<Infallible>().await
    };
    let published = tokio::select! {
        published = publisher.run(batches) => published,
        never = pass_on => match never {},
    };
    let replayed = told.await.map_err(|_| ProbeError::BrokeOff)?;
    let published = published.map_err(ProbeError::Bus)?;
    let summary = Summary { stream, flows: published.flows, ledgers: published.ledgers, replayed: replayed? };
    tracing::info!(flows = summary.flows, ledgers = summary.ledgers, "the probe has ended");
    Ok(summary)
}

/// Returns what the incarnation before left, unless it was another node's.
fn predecessor(place: &Place, source: &Source) -> Option<Predecessor> {
    if matches!(source, Source::Replay(_)) {
        return None;
    }
    match state::read(&place.data_dir) {
        Ok(Some(state)) if state.stream.cluster() == place.cluster && state.stream.node() == place.node => {
            Some(state.into())
        }
        Ok(_) => None,
        Err(error) => {
            let source = std::error::Error::source(&error).map(ToString::to_string);
            tracing::warn!(%error, source, "nothing is known of the incarnation before");
            None
        }
    }
}

/// Loads the programs and makes everything ready to run.
fn start_capture(
    settings: &KernelSettings,
    stream: &Stream,
    predecessor: Option<Predecessor>,
    metrics: ProbeMetrics,
    out: mpsc::Sender<Batch>,
    health: &Health,
    condition: Condition,
) -> Result<Capture, ProbeError> {
    let mount = cgroup2_mount().unwrap_or_else(|| PathBuf::from("/sys/fs/cgroup"));
    let host_netns_file = host_netns_file(settings.host_netns.as_deref());
    let host_netns = walk::netns_of(&host_netns_file).ok_or_else(|| ProbeError::HostNetns(host_netns_file.clone()))?;
    let mut identities = Identities::new(&below(&mount, settings.cgroup_root.as_deref()), host_netns);
    if settings.host_netns.is_none() {
        walk::addresses_of(1).into_iter().for_each(|ip| identities.learn_host_address(ip, kernel_now()));
    }
    let options = KernelOptions {
        cgroup_root: mount.clone(),
        ring_bytes: settings.ring_bytes,
        drop_ring_bytes: settings.drop_ring_bytes,
        flows_max: settings.kernel_flows,
        drops_max: settings.kernel_drops,
        ..KernelOptions::default()
    };
    // Before the hooks, so that the translation of every connection they tell of is heard.
    let conntrack = open_conntrack(&host_netns_file);
    let (kernel, reports) = Kernel::start(&options)?;
    let mut refused = Vec::new();
    for report in &reports {
        if let HookState::Refused(error) = &report.state {
            tracing::warn!(hook = report.hook.name(), %error, without = report.hook.without(), "the kernel refuses a hook");
            refused.push(report.hook.name());
        }
    }
    set(&metrics.hooks_refused, refused.len() as u64);
    let rules = AdmitRules {
        own_pid: std::process::id(),
        keep_loopback: settings.keep_loopback,
        keep_source_ports: settings.aggregation == Aggregation::None,
        max_attempts: settings.max_attempts,
    };
    let begin = UnixMs(stream.epoch());
    let clock = clock::measure();
    let observer = Observer::new(stream.clone(), begin, rules, settings.max_keys, identities, clock);
    Ok(Capture {
        kernel,
        conntrack,
        resync: Some(Instant::now()),
        resynced: Instant::now(),
        events: Vec::new(),
        observer,
        metrics,
        out,
        cgroup_mount: mount,
        scan_interval: settings.scan_interval,
        predecessor,
        condition,
        refused,
        heartbeat: health.liveness("probe", STUCK_AFTER),
    })
}

/// Opens connection tracking in the node's namespace, if that can be had.
fn open_conntrack(host_netns: &Path) -> Option<Conntrack> {
    match Conntrack::open(host_netns) {
        Ok(conntrack) => Some(conntrack),
        Err(error) => {
            let source = std::error::Error::source(&error).map(ToString::to_string);
            tracing::warn!(%error, source, "destinations are told as the sockets asked for them, translated or not");
            None
        }
    }
}

/// Returns the file of the node's network namespace: process 1's. That may be out of reach, also for root in a
/// sandbox; then our own namespace is the best guess.
fn host_netns_file(setting: Option<&Path>) -> PathBuf {
    let guess = || {
        let first = Path::new("/proc/1/ns/net");
        if walk::netns_of(first).is_some() { first } else { Path::new("/proc/self/ns/net") }
    };
    setting.unwrap_or_else(guess).to_owned()
}

/// Returns the path of a cgroup from the root of the hierarchy, however it was given.
fn below(mount: &Path, cgroup_root: Option<&Path>) -> String {
    let root = cgroup_root.unwrap_or(Path::new("/"));
    let inside = root.strip_prefix(mount).unwrap_or(root);
    format!("/{}", inside.to_string_lossy().trim_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cgroup_root_is_given_either_way() {
        let mount = Path::new("/sys/fs/cgroup/unified");
        assert_eq!(below(mount, None), "/");
        assert_eq!(below(mount, Some(Path::new("/"))), "/");
        assert_eq!(below(mount, Some(mount)), "/");
        assert_eq!(below(mount, Some(Path::new("/lab/node-a/"))), "/lab/node-a");
        assert_eq!(below(mount, Some(Path::new("/sys/fs/cgroup/unified/lab/node-a"))), "/lab/node-a");
    }
}
