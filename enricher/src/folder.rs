//! The metadata from a folder of manifests: read at the start, looked at again every two seconds, swapped in whole.
//!
//! The folder is polled: a notification would come for every file by itself, and not at all from some mounts.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cluster::manifests::{self, InvalidManifest, Limits, Scan};
use cluster::{History, Objects, PrivateRanges, Snapshot};
use flow::UnixMs;
use service::shutdown::Token;
use tokio::sync::watch;

use crate::metrics::EnricherMetrics;

/// How soon a file that was just being written is looked at again.
const UNSETTLED_PAUSE: Duration = Duration::from_millis(250);
/// Reports of one reading that are logged; the rest is counted.
const MAX_LOGGED: usize = 50;

/// Where the metadata comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderSettings {
    /// The folder; without one, nothing but the host is known.
    pub dir: Option<PathBuf>,
    /// How often it is looked at.
    pub interval: Duration,
    /// Which addresses are private.
    pub private_ranges: PrivateRanges,
}

/// A folder that has been read once and is to be watched.
#[derive(Debug)]
pub struct Folder {
    settings: FolderSettings,
    reader: Option<manifests::Folder>,
    histories: watch::Sender<Arc<History>>,
    reported: BTreeSet<InvalidManifest>,
    metrics: EnricherMetrics,
}

impl Folder {
    /// Reads the folder for the first time. This blocks: it is done once, before anything runs.
    #[must_use]
    pub fn open(settings: FolderSettings, metrics: EnricherMetrics) -> Self {
        let mut reader = settings.dir.as_ref().map(|dir| manifests::Folder::new(dir, Limits::default()));
        let scan = reader.as_mut().map(manifests::Folder::read).unwrap_or_default();
        let objects = scan.objects.clone();
        let snapshot = Arc::new(Snapshot::new(objects, settings.private_ranges));
        let (histories, _) = watch::channel(Arc::new(History::new(Arc::clone(&snapshot), now())));
        let mut folder = Self { settings, reader, histories, reported: BTreeSet::new(), metrics };
        folder.report(&scan);
        folder.note(&snapshot);
        folder
    }

    /// Returns where new histories appear.
    #[must_use]
    pub fn histories(&self) -> watch::Receiver<Arc<History>> {
        self.histories.subscribe()
    }

    /// Returns what could not be used at the last reading.
    #[must_use]
    pub fn invalid(&self) -> &BTreeSet<InvalidManifest> {
        &self.reported
    }

    /// Watches the folder until the end is asked for.
    pub async fn run(mut self, stop: Token) {
        let Some(mut reader) = self.reader.take() else { return stop.requested().await };
        let mut pause = self.settings.interval;
        while stop.unless_requested(tokio::time::sleep(pause)).await.is_some() {
            let read = tokio::task::spawn_blocking(move || {
                let scan = reader.reread(now());
                (reader, scan)
            });
            let scan;
            match read.await {
                Ok((back, found)) => (reader, scan) = (back, found),
                Err(error) => {
                    tracing::error!(%error, "the reader of the manifests broke; the last snapshot stays in force");
                    return stop.requested().await;
                }
            }
            pause = if scan.unsettled { UNSETTLED_PAUSE.min(self.settings.interval) } else { self.settings.interval };
            if scan.changed {
                self.take_over(scan).await;
            }
        }
    }

    async fn take_over(&mut self, scan: Scan) {
        self.report(&scan);
        let private_ranges = self.settings.private_ranges;
        let objects: Objects = scan.objects;
        let indexed = tokio::task::spawn_blocking(move || Arc::new(Snapshot::new(objects, private_ranges))).await;
        let Ok(snapshot) = indexed else { return tracing::error!("cannot index the manifests") };
        // Only the reports may have changed, or the order of the files.
        if snapshot.hash() == self.histories.borrow().latest().hash() {
            return;
        }
        self.note(&snapshot);
        tracing::info!(objects = snapshot.objects().len(), snapshot = %snapshot.hash(), "metadata changed");
        self.histories.send_modify(|history| *history = Arc::new(history.with(snapshot, now())));
    }

    /// Logs what is new among the reports: each is said once, until it is gone and comes back.
    fn report(&mut self, scan: &Scan) {
        let current: BTreeSet<InvalidManifest> = scan.invalid.iter().cloned().collect();
        let new: Vec<&InvalidManifest> = current.difference(&self.reported).collect();
        for report in new.iter().take(MAX_LOGGED) {
            tracing::warn!(%report, "manifest cannot be used");
        }
        if let Some(more @ 1..) = new.len().checked_sub(MAX_LOGGED) {
            tracing::warn!(more, "further manifests cannot be used");
        }
        self.metrics.invalid_manifests.set(i64::try_from(current.len()).unwrap_or(i64::MAX));
        self.reported = current;
    }

    fn note(&self, snapshot: &Snapshot) {
        let objects = snapshot.objects();
        self.metrics.snapshots.inc();
        self.metrics.objects.set(i64::try_from(objects.len()).unwrap_or(i64::MAX));
        let others: u64 = objects.other_kinds.values().sum();
        self.metrics.other_objects.set(i64::try_from(others).unwrap_or(i64::MAX));
    }
}

fn now() -> UnixMs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMs(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
