use std::fs;

use super::*;

/// A host that consists of the files given.
fn host(files: &[(&str, &str)]) -> (tempfile::TempDir, Host) {
    let root = tempfile::tempdir().unwrap();
    for (path, content) in files {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    let host = Host { root: root.path().to_owned() };
    (root, host)
}

fn check(files: &[(&str, &str)], look: fn(&Host) -> Check, expected: State) {
    let (_root, host) = host(files);
    let check = look(&host);
    assert_eq!(check.state, expected, "{check:?}");
    assert_eq!(check.fix.is_some(), expected != State::Ok, "what is not ok has a fix: {check:?}");
}

#[test]
fn kernels_by_version() {
    const PATH: &str = "proc/sys/kernel/osrelease";
    check(&[(PATH, "6.18.44-fc-v595\n")], kernel::version, State::Ok);
    check(&[(PATH, "5.17.0")], kernel::version, State::Ok);
    check(&[(PATH, "5.15.0-91-generic")], kernel::version, State::Warn);
    check(&[(PATH, "4.18.0-553.el8")], kernel::version, State::Fail);
    check(&[(PATH, "custom")], kernel::version, State::Warn);
    check(&[], kernel::version, State::Fail);
}

#[test]
fn type_information_and_lockdown() {
    check(&[("sys/kernel/btf/vmlinux", "")], kernel::btf, State::Ok);
    check(&[], kernel::btf, State::Fail);
    check(&[("sys/kernel/security/lockdown", "none [integrity] confidentiality\n")], kernel::lockdown, State::Ok);
    check(&[("sys/kernel/security/lockdown", "none integrity [confidentiality]\n")], kernel::lockdown, State::Fail);
    check(&[], kernel::lockdown, State::Ok);
}

#[test]
fn control_groups_by_where_they_are_mounted() {
    const PATH: &str = "proc/self/mountinfo";
    let unified = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
    let hybrid = "31 30 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n32 30 0:28 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n";
    check(&[(PATH, unified)], kernel::cgroup, State::Ok);
    check(&[(PATH, hybrid)], kernel::cgroup, State::Warn);
    check(&[(PATH, "32 30 0:28 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n")], kernel::cgroup, State::Fail);
    check(&[], kernel::cgroup, State::Fail);
}

#[test]
fn tracing_is_optional() {
    check(&[("sys/kernel/tracing/events/enable", "0")], kernel::tracefs, State::Ok);
    check(&[], kernel::tracefs, State::Ok);
}

#[test]
fn connection_tracking_by_fill_and_events() {
    const COUNT: &str = "proc/sys/net/netfilter/nf_conntrack_count";
    const MAX: &str = "proc/sys/net/netfilter/nf_conntrack_max";
    const EVENTS: &str = "proc/sys/net/netfilter/nf_conntrack_events";
    check(&[], kernel::conntrack, State::Ok);
    check(&[(COUNT, "12"), (MAX, "262144"), (EVENTS, "2")], kernel::conntrack, State::Ok);
    check(&[(COUNT, "12"), (MAX, "262144"), (EVENTS, "0")], kernel::conntrack, State::Warn);
    check(&[(COUNT, "262000"), (MAX, "262144"), (EVENTS, "1")], kernel::conntrack, State::Warn);
}

#[test]
fn capabilities_by_name() {
    let states = |effective: &str, bounding: &str| -> Vec<(&str, State)> {
        let status = format!("Name:\tmillrace\nCapEff:\t{effective}\nCapBnd:\t{bounding}\n");
        let (_root, host) = host(&[("proc/self/status", &status)]);
        capabilities::check(&host).into_iter().map(|check| (check.name, check.state)).collect()
    };
    let all = [("CAP_BPF", State::Ok), ("CAP_PERFMON", State::Ok), ("CAP_NET_ADMIN", State::Ok)];
    assert_eq!(states("000001ffffffffff", "000001ffffffffff"), all);
    // The three alone.
    assert_eq!(states("000000c000001000", "000001ffffffffff"), all);
    // CAP_SYS_ADMIN contains two of them.
    let admin = [("CAP_BPF", State::Ok), ("CAP_PERFMON", State::Ok), ("CAP_NET_ADMIN", State::Fail)];
    assert_eq!(states("0000000000200000", "000001ffffffffff"), admin);
    let none = [("CAP_BPF", State::Fail), ("CAP_PERFMON", State::Fail), ("CAP_NET_ADMIN", State::Fail)];
    assert_eq!(states("0000000000000000", "0000000000000000"), none);
}

#[test]
fn the_clock_and_who_keeps_it() {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    const RTC: &str = "sys/class/rtc/rtc0/since_epoch";
    check(&[(RTC, &now.to_string()), ("proc/812/comm", "chronyd\n")], clock::check, State::Ok);
    check(&[("run/systemd/timesync/synchronized", ""), ("proc/1/comm", "init\n")], clock::check, State::Ok);
    check(&[(RTC, &(now - 3600).to_string()), ("proc/812/comm", "chronyd\n")], clock::check, State::Warn);
    check(&[("proc/1/comm", "init\n")], clock::check, State::Warn);
}
