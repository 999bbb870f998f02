//! Builds real laboratories: every promise of the scenarios is kept by the rules, and nothing is left behind.

#![expect(clippy::print_stderr, clippy::unwrap_used, reason = "a skipped test must say so; a test may panic")]

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use flow::Protocol;
use lab::names::LabId;
use lab::{Amount, Expected, Lab, Options, Party, Scenario, cgroup, netns, sweep, world};

/// Says whether laboratories can be built here; skips loudly if not, except where all tests must run.
fn root() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        assert!(
            std::env::var("CI").as_deref() != Ok("true"),
            "the laboratory needs root, and in CI nothing is skipped"
        );
        eprintln!("SKIPPED: the laboratory needs root");
    }
    root
}

fn options() -> Options {
    Options { binary: Some(PathBuf::from(env!("CARGO_BIN_EXE_lab"))), ..Options::default() }
}

fn nothing_is_left_of(id: &LabId) {
    let names: Vec<_> = netns::list().unwrap().into_iter().filter(|name| name.starts_with(&id.netns(""))).collect();
    assert!(names.is_empty(), "{names:?}");
    assert!(!cgroup::mount().unwrap().join(id.cgroup()).exists());
    assert!(!sweep::folder(id).exists());
    assert!(!sweep::found().unwrap().contains(id));
}

fn wait_until(what: &str, done: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(Instant::now() < deadline, "{what} did not come about");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

#[test]
fn applications_see_what_scenarios_promise_and_servers_receive_what_was_sent() {
    if !root() {
        return;
    }
    let mut lab = Lab::new(options()).unwrap();
    let id = lab.id().clone();
    let ledger = lab.run(&Scenario::load("everything").unwrap(), 20).unwrap();
    lab.down().unwrap();
    nothing_is_left_of(&id);

    assert!(ledger.attempts.len() > 1000, "{}", ledger.attempts.len());
    let surprises: Vec<_> = ledger.surprises().into_iter().take(5).collect();
    assert!(surprises.is_empty(), "{surprises:#?}");
    let mut seen = BTreeMap::<Expected, u64>::new();
    for attempt in &ledger.attempts {
        *seen.entry(attempt.expected).or_default() += 1;
    }
    assert_eq!(seen.len(), 13, "every promise but `preexisting` occurs: {seen:?}");

    for protocol in [Protocol::TCP, Protocol::UDP] {
        // `mute` takes datagrams in without being a receiver that any node knows.
        let received: Vec<_> =
            ledger.receipts.iter().filter(|r| r.protocol == protocol && r.receiver != mute()).collect();
        let sent: Vec<_> =
            ledger.attempts.iter().filter(|a| a.protocol == protocol && a.expected.reaches_receiver()).collect();
        assert_eq!(received.len(), sent.len(), "{protocol}");
        assert_eq!(
            received.iter().map(|r| r.bytes_received).sum::<u64>(),
            sent.iter().map(|a| a.bytes_sent).sum::<u64>(),
            "{protocol}"
        );
        assert_eq!(
            received.iter().map(|r| r.bytes_sent).sum::<u64>(),
            sent.iter().map(|a| a.bytes_received).sum::<u64>(),
            "{protocol}"
        );
    }
    // The service's translation takes turns.
    let behind = |name: &str| {
        ledger.receipts.iter().filter(|r| matches!(&r.receiver, Party::Pod { name: n, .. } if n == name)).count()
    };
    let backends = ["catalog-a", "catalog-b"].map(|app| behind(world::pod(app).unwrap().name));
    assert_eq!(backends, [20, 20]);
}

fn mute() -> Party {
    Party::Outside { name: "mute".to_owned() }
}

#[test]
fn gated_connections_open_first_and_go_on_when_told() {
    if !root() {
        return;
    }
    let mut lab = Lab::new(options()).unwrap();
    let mut running = lab.start(&Scenario::load("preexisting").unwrap(), Amount::Count(30)).unwrap();
    running.all_open().unwrap();
    let opened = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as u64;
    running.release().unwrap();
    let ledger = lab.finish(running).unwrap();
    assert_eq!(ledger.attempts.len(), 60);
    assert!(ledger.surprises().is_empty());
    assert!(ledger.attempts.iter().all(|a| a.start.0 <= opened && a.start.0 + a.closed_us.div_ceil(1000) >= opened));
    assert_eq!(ledger.groups().values().map(|totals| totals.attempts).sum::<u64>(), 60);
    lab.down().unwrap();
}

#[test]
fn steady_traffic_flows_until_stopped() {
    if !root() {
        return;
    }
    let mut lab = Lab::new(options()).unwrap();
    let mut running = lab.start(&Scenario::load("storefront").unwrap(), Amount::PerSecond(10.0)).unwrap();
    std::thread::park_timeout(Duration::from_secs(3));
    running.stop().unwrap();
    let ledger = lab.finish(running).unwrap();
    let surprises: Vec<_> = ledger.surprises().into_iter().take(5).collect();
    assert!(surprises.is_empty(), "{surprises:#?}");
    assert!(ledger.attempts.len() > 300, "{}", ledger.attempts.len());
}

#[test]
fn runs_may_overlap_and_pods_that_come_and_go_are_gone() {
    if !root() {
        return;
    }
    let mut lab = Lab::new(options()).unwrap();
    let mut steady = lab.start(&Scenario::load("storefront").unwrap(), Amount::PerSecond(5.0)).unwrap();
    let scenario = Scenario::load("everything").unwrap();
    let knocks = lab.run(&scenario.clone().only(|task| task.from == "rogue"), 3).unwrap();
    assert!(knocks.surprises().is_empty());
    let rogue = lab.pod("rogue").unwrap();
    assert!(rogue.cgroups[0].exists(), "the steady client still lives there");
    let visit = lab.run(&scenario.only(|task| task.from == "report"), 3).unwrap();
    assert_eq!((visit.attempts.len(), visit.surprises().len()), (6, 0));
    let report = lab.pod("report").unwrap();
    assert!(!report.cgroups[0].parent().unwrap().exists());
    steady.stop().unwrap();
    assert!(lab.finish(steady).unwrap().surprises().is_empty());
    assert!(!rogue.cgroups[0].exists());
}

#[test]
fn containers_live_where_kubelet_would_put_them() {
    if !root() {
        return;
    }
    let lab = Lab::new(options()).unwrap();
    for pod in world::PODS {
        let place = lab.pod(pod.app).unwrap();
        for (container, path) in pod.containers.iter().zip(&place.cgroups).filter(|(c, _)| !c.ports.is_empty()) {
            let processes = std::fs::read_to_string(path.join("cgroup.procs")).unwrap();
            let pid: u32 = processes.trim().parse().unwrap();
            let comm = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap();
            assert_eq!(comm.trim(), container.name);
            let inode = |path: &Path| std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(path).unwrap());
            let own = inode(Path::new(&format!("/proc/{pid}/ns/net")));
            assert_eq!(own, inode(&place.netns), "{}", pod.name);
        }
    }
}

#[test]
fn a_killed_laboratory_leaves_nothing_behind() {
    if !root() {
        return;
    }
    for (id, signal) in [("kill9", "KILL"), ("term1", "TERM"), ("intr1", "INT")] {
        let id = LabId::parse(id).unwrap();
        let mut up = Command::new(env!("CARGO_BIN_EXE_lab"))
            .args(["up", "--rate", "5", "--id", &id.to_string()])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let root = cgroup::mount().unwrap().join(id.cgroup());
        let client = root
            .join("node-b")
            .join(cgroup::container_path(world::pod("rogue").unwrap(), &world::pod("rogue").unwrap().containers[0]));
        wait_until("traffic", || client.exists());
        assert!(sweep::found().unwrap().contains(&id));
        assert!(!sweep::clean(false).unwrap().contains(&id), "a living laboratory is left alone");
        let killed = Command::new("kill").args([&format!("-{signal}"), &up.id().to_string()]).status().unwrap();
        assert!(killed.success());
        let status = up.wait().unwrap();
        assert_eq!(status.signal(), (signal == "KILL").then_some(9), "{status}");
        wait_until("the guard's sweep", || !sweep::found().unwrap().contains(&id));
        wait_until("the end of the cgroup", || !root.exists());
        nothing_is_left_of(&id);
    }
}

#[test]
fn laboratories_live_side_by_side() {
    if !root() {
        return;
    }
    let scenario = Scenario::load("everything").unwrap().only(|task| task.name.starts_with("established"));
    let (mut one, mut two) = (Lab::new(options()).unwrap(), Lab::new(options()).unwrap());
    assert_ne!(one.id(), two.id());
    assert!(matches!(Lab::new(Options { id: Some(one.id().clone()), ..options() }), Err(lab::LabError::Taken(_))));
    assert!(one.run(&scenario, 5).unwrap().surprises().is_empty());
    one.down().unwrap();
    assert!(two.run(&scenario, 5).unwrap().surprises().is_empty());
}
