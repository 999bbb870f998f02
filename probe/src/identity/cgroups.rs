//! Which cgroup id is which directory: learnt by an initial walk and kept up by the kernel's events.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use super::path::{self, PodContainer};
use crate::kernel::event::KernelNs;

/// How long a removed directory is still known: records of a pod that died at once are on their way for that long.
const KEEP_REMOVED_MS: u64 = 5 * 60_000;
/// Upper bound of directories kept; a node has some thousand at most, the rest is somebody's loop of `mkdir`.
const MAX_CGROUPS: usize = 65_536;

/// One directory.
#[derive(Debug, Clone)]
pub(super) struct Cgroup {
    /// The pod that it belongs to, if it is one's.
    pub pod: Option<Arc<PodContainer>>,
    /// True if it lies under the probe's `cgroup_root`.
    pub inside: bool,
    /// True for the root of the hierarchy: kernel sockets and, on hybrid hosts, everything.
    pub root: bool,
    removed: bool,
}

/// The directories by id.
#[derive(Debug)]
pub(super) struct Cgroups {
    root: String,
    known: HashMap<u64, Cgroup>,
    removed: VecDeque<(KernelNs, u64)>,
    refused: u64,
}

impl Cgroups {
    pub(super) fn new(cgroup_root: &str) -> Self {
        let root = cgroup_root.trim_matches('/').to_owned();
        Self { root, known: HashMap::new(), removed: VecDeque::new(), refused: 0 }
    }

    /// Says whether the whole hierarchy belongs to this node.
    pub(super) fn everything(&self) -> bool {
        self.root.is_empty()
    }

    pub(super) fn made(&mut self, id: u64, path: &str) {
        if self.known.len() >= MAX_CGROUPS && !self.known.contains_key(&id) {
            self.refused += 1;
            return;
        }
        let inside = self.holds(path);
        let pod = path::parse(path).map(Arc::new);
        self.known.insert(id, Cgroup { pod, inside, root: path.trim_matches('/').is_empty(), removed: false });
    }

    /// Says whether a path of the hierarchy is this node's root or below it.
    pub(super) fn holds(&self, path: &str) -> bool {
        let below = path.trim_matches('/').strip_prefix(self.root.as_str());
        self.everything() || below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    pub(super) fn removed(&mut self, id: u64, at: KernelNs) {
        if let Some(cgroup) = self.known.get_mut(&id)
            && !cgroup.removed
        {
            cgroup.removed = true;
            self.removed.push_back((at, id));
        }
    }

    pub(super) fn get(&self, id: u64) -> Option<&Cgroup> {
        self.known.get(&id)
    }

    /// Says whether any directory of the pod is still there.
    pub(super) fn pod_lives(&self, pod_uid: &str) -> bool {
        self.known.values().any(|c| !c.removed && c.pod.as_ref().is_some_and(|p| p.pod_uid == pod_uid))
    }

    /// Returns the UIDs of the pods that have a directory.
    pub(super) fn living_pods(&self) -> HashSet<&str> {
        let pods = self.known.values().filter(|c| !c.removed).filter_map(|c| c.pod.as_ref());
        pods.map(|p| p.pod_uid.as_str()).collect()
    }

    /// Forgets what was removed long ago.
    pub(super) fn tidy(&mut self, now: KernelNs) {
        while let Some((at, id)) = self.removed.front().copied()
            && now.ms_since(at) >= KEEP_REMOVED_MS
        {
            self.removed.pop_front();
            // An id that was made anew in the meantime is somebody else's now.
            if self.known.get(&id).is_some_and(|c| c.removed) {
                self.known.remove(&id);
            }
        }
    }

    /// Returns how many directories are known, and how many found no room.
    pub(super) fn sizes(&self) -> (usize, u64) {
        (self.known.len(), self.refused)
    }
}
