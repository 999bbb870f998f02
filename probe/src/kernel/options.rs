//! How the kernel side is to be started.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use super::hook::Hook;

/// Sizes, hooks and the place of the cgroup2 tree. The default suits a node with tens of thousands of connections a
/// second; tests make rings and tables small to force losses.
#[derive(Debug, Clone)]
pub struct KernelOptions {
    /// Root of the mounted cgroup2 tree; hooks on it see all sockets below.
    pub cgroup_root: PathBuf,
    /// Hooks to attach.
    pub hooks: BTreeSet<Hook>,
    /// Bytes of the ring for events; a power of two, at least a page.
    pub ring_bytes: u32,
    /// Bytes of the ring for drops; likewise.
    pub drop_ring_bytes: u32,
    /// Bytes of the ring for cgroups; likewise.
    pub cgroup_ring_bytes: u32,
    /// Most datagram flows at one time. An entry takes about 180 bytes, only while it is used.
    pub flows_max: u32,
    /// Most different drops at one time. An entry takes about 130 bytes, only while it is used.
    pub drops_max: u32,
}

impl Default for KernelOptions {
    fn default() -> Self {
        Self {
            cgroup_root: cgroup2_mount().unwrap_or_else(|| PathBuf::from("/sys/fs/cgroup")),
            hooks: Hook::ALL.iter().copied().filter(|&hook| hook != Hook::Empty).collect(),
            // 8 MiB hold 60,000 events: 100 ms at 600,000 events a second.
            ring_bytes: 8 << 20,
            drop_ring_bytes: 2 << 20,
            cgroup_ring_bytes: 1 << 20,
            flows_max: 262_144,
            drops_max: 65_536,
        }
    }
}

impl KernelOptions {
    /// Returns options that attach these hooks and no others.
    #[must_use]
    pub fn with_hooks(hooks: impl IntoIterator<Item = Hook>) -> Self {
        Self { hooks: hooks.into_iter().collect(), ..Self::default() }
    }
}

/// Returns where the cgroup2 tree is mounted: `/sys/fs/cgroup` on most hosts, a directory below on hybrid ones.
#[must_use]
pub fn cgroup2_mount() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    mounts.lines().find_map(cgroup2_of_line)
}

/// Reads one line of mountinfo: `… root mount-point options… - type source options`.
fn cgroup2_of_line(line: &str) -> Option<PathBuf> {
    let (left, right) = line.split_once(" - ")?;
    if right.split(' ').next()? != "cgroup2" {
        return None;
    }
    let mut fields = left.split(' ').skip(3);
    (fields.next()? == "/").then_some(())?;
    fields.next().map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_unified_tree_on_a_hybrid_host() {
        let hybrid = "35 24 0:30 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw";
        assert_eq!(cgroup2_of_line(hybrid), Some(PathBuf::from("/sys/fs/cgroup/unified")));
        let old = "36 24 0:31 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory";
        assert_eq!(cgroup2_of_line(old), None);
        let part = "37 24 0:30 /kubepods /mnt/part rw - cgroup2 cgroup2 rw";
        assert_eq!(cgroup2_of_line(part), None);
        assert_eq!(cgroup2_of_line("nonsense"), None);
    }
}
