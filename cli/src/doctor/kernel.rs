//! What the kernel offers.

use super::{Check, Host};

/// Everything works from here on: the drop reason is an argument of `kfree_skb`.
const FULL: (u32, u32) = (5, 17);
/// The least the probe loads on: socket storage and the ring buffer in tracing programs.
const LEAST: (u32, u32) = (5, 11);

pub(super) fn version(host: &Host) -> Check {
    const NAME: &str = "kernel";
    let Some(release) = host.read("/proc/sys/kernel/osrelease") else {
        return Check::fail(NAME, "/proc/sys/kernel/osrelease cannot be read", "mount /proc; the probe needs Linux");
    };
    match numbers(&release) {
        None => Check::warn(
            NAME,
            format!("{release}: not a version that is known"),
            "the probe decides by trying: see the log of `millrace run`",
        ),
        Some(version) if version >= FULL => Check::ok(NAME, release),
        Some(version) if version >= LEAST => Check::warn(
            NAME,
            format!("{release}: drops have no reason before 5.17"),
            "a kernel from 5.17 on; everything else works",
        ),
        Some(_) => Check::fail(
            NAME,
            format!("{release}: the probe needs 5.11 (RHEL 8 with its backports may do: the probe decides by trying)"),
            "a kernel from 5.17 on",
        ),
    }
}

fn numbers(release: &str) -> Option<(u32, u32)> {
    let mut parts = release.split(['.', '-', '+']);
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

pub(super) fn btf(host: &Host) -> Check {
    const NAME: &str = "btf";
    const PATH: &str = "/sys/kernel/btf/vmlinux";
    match std::fs::File::open(host.path(PATH)) {
        Ok(_) => Check::ok(NAME, PATH),
        Err(error) => Check::fail(
            NAME,
            format!("{PATH}: {error}; without type information the probe loads nothing"),
            "a kernel built with CONFIG_DEBUG_INFO_BTF=y (all large distributions since 2020); in a container mount /sys",
        ),
    }
}

pub(super) fn lockdown(host: &Host) -> Check {
    const NAME: &str = "lockdown";
    match host.read("/sys/kernel/security/lockdown") {
        Some(text) if text.contains("[confidentiality]") => Check::fail(
            NAME,
            "confidentiality: the kernel lets no program read its memory, also not as root",
            "boot with lockdown=integrity or without lockdown=",
        ),
        Some(text) => Check::ok(NAME, chosen(&text).unwrap_or("unknown").to_owned()),
        None => Check::ok(NAME, "none (not shown by this kernel)"),
    }
}

/// Returns the word in brackets, as the kernel marks the setting that holds.
fn chosen(text: &str) -> Option<&str> {
    text.split_once('[')?.1.split_once(']').map(|(word, _)| word)
}

pub(super) fn pid_namespace(host: &Host) -> Check {
    const NAME: &str = "pid namespace";
    // The inode of the first PID namespace is fixed in the kernel (PROC_PID_INIT_INO).
    const FIRST: &str = "pid:[4026531836]";
    match std::fs::read_link(host.path("/proc/self/ns/pid")) {
        Ok(link) if link.as_os_str() == FIRST => Check::ok(NAME, "the host's"),
        Ok(_) => Check::warn(
            NAME,
            "not the host's: sockets older than the probe are not seen, process ids are those of this namespace",
            "in Kubernetes `hostPID: true`, with a container runtime --pid=host",
        ),
        Err(error) => Check::warn(NAME, format!("/proc/self/ns/pid: {error}"), "mount /proc"),
    }
}

pub(super) fn cgroup(host: &Host) -> Check {
    const NAME: &str = "cgroup v2";
    const LOST: &str = "pods are told apart by network namespace and address only, UDP is not counted";
    let mounts = host.read("/proc/self/mountinfo").unwrap_or_default();
    match cgroup2_mounts(&mounts).first().copied() {
        Some("/sys/fs/cgroup") => Check::ok(NAME, "/sys/fs/cgroup"),
        Some(place) => Check::warn(
            NAME,
            format!(
                "{place}, beside v1 (hybrid): sockets of containers that only v1 groups are named by their network namespace"
            ),
            "boot with systemd.unified_cgroup_hierarchy=1; set probe.cgroup_root if the mount is not found",
        ),
        None => Check::fail(
            NAME,
            format!("not mounted: {LOST}"),
            "mount -t cgroup2 none /sys/fs/cgroup, or boot with systemd.unified_cgroup_hierarchy=1; in a container mount the host's",
        ),
    }
}

/// Returns the mount points of cgroup v2, the usual one first.
fn cgroup2_mounts(mountinfo: &str) -> Vec<&str> {
    let mut places: Vec<&str> = mountinfo
        .lines()
        .filter_map(|line| {
            let (before, after) = line.split_once(" - ")?;
            (after.split(' ').next() == Some("cgroup2")).then(|| before.split(' ').nth(4)).flatten()
        })
        .collect();
    places.sort_by_key(|place| (*place != "/sys/fs/cgroup", place.len()));
    places
}

pub(super) fn tracefs(host: &Host) -> Check {
    const NAME: &str = "tracefs";
    let mounted = ["/sys/kernel/tracing/events", "/sys/kernel/debug/tracing/events"];
    match mounted.iter().find(|place| host.path(place).is_dir()) {
        Some(place) => Check::ok(NAME, place.trim_end_matches("/events")),
        None => Check::ok(NAME, "not mounted; not needed"),
    }
}

pub(super) fn conntrack(host: &Host) -> Check {
    const NAME: &str = "conntrack";
    const LOST: &str = "the original destination of translated connections (services) may be missing";
    let Some(count) = host.read("/proc/sys/net/netfilter/nf_conntrack_count") else {
        return Check::ok(NAME, "not in use here: nothing translates addresses in this network namespace");
    };
    let used: u64 = count.parse().unwrap_or(0);
    let most: u64 = host.read("/proc/sys/net/netfilter/nf_conntrack_max").and_then(|max| max.parse().ok()).unwrap_or(0);
    let events = host.read("/proc/sys/net/netfilter/nf_conntrack_events");
    if events.as_deref() == Some("0") {
        return Check::warn(NAME, format!("events are off: {LOST}"), "sysctl -w net.netfilter.nf_conntrack_events=1");
    }
    if most > 0 && used.saturating_mul(10) >= most.saturating_mul(9) {
        return Check::warn(
            NAME,
            format!("{used} of {most} entries in use: the kernel drops new connections when it is full"),
            "sysctl -w net.netfilter.nf_conntrack_max=… with a larger number",
        );
    }
    Check::ok(NAME, format!("{used} of {most} entries in use"))
}
