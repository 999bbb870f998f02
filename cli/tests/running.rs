//! `millrace run` as a process: it starts, says what it does, and ends in order.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod support;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use support::{RECORDS, Said, command, data, millrace, on, replay};

/// A process that is ended when the test is, however that ends.
struct Running(Option<Child>);

impl Running {
    fn start(command: &mut Command) -> Self {
        Self(Some(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()))
    }

    fn child(&mut self) -> &mut Child {
        self.0.as_mut().unwrap()
    }

    fn signal(&mut self, name: &str) {
        let pid = self.child().id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &pid]).status().unwrap().success());
    }

    fn said(mut self) -> Said {
        self.0.take().unwrap().wait_with_output().unwrap().into()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(90), "{what} did not come about");
        #[expect(clippy::disallowed_methods, reason = "a test without a runtime waits for another process")]
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Returns a replay that takes as long as the recording, some 30 s.
fn slow_replay(directory: &Path) -> Command {
    let mut command = replay(directory, &data("raw.jsonl"));
    command.env("MILLRACE_PROBE__REPLAY_PACE", "recorded").env("MILLRACE_PROBE__REPLAY_TIMES", "now");
    command
}

fn stored(directory: &Path) -> usize {
    on(directory, "flows --all --since 2026-03-10T00:00:00Z -o jsonl").out.lines().count()
}

#[test]
fn a_replay_ends_by_itself_and_shows_its_flows_where_asked() {
    let directory = tempfile::tempdir().unwrap();
    let output =
        replay(directory.path(), &data("raw.jsonl")).args(["--show", "always", "-o", "jsonl"]).output().unwrap();
    let said = Said::from(output).exits(0).complains(&["millrace runs", "raw.jsonl", "2.0 GiB or 3650 days"]);
    assert_eq!(said.out.lines().count(), RECORDS, "both ends are shown");
    assert_eq!(stored(directory.path()), RECORDS);
}

#[test]
fn a_signal_ends_it_in_order_and_the_balance_closes() {
    for signal in ["TERM", "INT"] {
        let directory = tempfile::tempdir().unwrap();
        let mut running = Running::start(&mut slow_replay(directory.path()));
        eventually("a stored record", || stored(directory.path()) > 0);
        on(directory.path(), "reconcile").exits(4).says(&["goes on"]);
        running.signal(signal);
        running.said().exits(0);
        let records = stored(directory.path());
        assert!(records > 0 && records < RECORDS, "{records}");
        on(directory.path(), "reconcile").exits(0);
    }
}

#[test]
fn it_ends_by_itself_when_told_for_how_long() {
    let directory = tempfile::tempdir().unwrap();
    let begun = Instant::now();
    Said::from(slow_replay(directory.path()).args(["--for", "1s"]).output().unwrap()).exits(0);
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    on(directory.path(), "reconcile").exits(0);
}

#[test]
fn a_killed_run_leaves_a_store_that_opens_and_a_stated_gap() {
    let directory = tempfile::tempdir().unwrap();
    let mut running = Running::start(&mut slow_replay(directory.path()));
    eventually("a stored record", || stored(directory.path()) > 0);
    running.signal("KILL");
    drop(running);
    assert!(stored(directory.path()) > 0);
    Said::from(replay(directory.path(), &data("raw.jsonl")).output().unwrap()).exits(0);
    on(directory.path(), "reconcile").exits(4).says(&["broke off", "indeterminate window"]);
}

#[test]
fn a_second_run_on_the_same_directory_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let running = Running::start(&mut slow_replay(directory.path()));
    eventually("a stored record", || stored(directory.path()) > 0);
    let output = replay(directory.path(), &data("raw.jsonl")).output().unwrap();
    Said::from(output).exits(5).complains(&["another process writes to", "choose another data directory"]);
    drop(running);
}

fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

#[test]
fn the_admin_server_tells_health_and_metrics() {
    let directory = tempfile::tempdir().unwrap();
    let address = free_address();
    let mut running = Running::start(slow_replay(directory.path()).args(["--admin", &address]));
    eventually("the admin server", || TcpStream::connect(&address).is_ok());
    eventually("readiness", || get(&address, "/readyz").starts_with("HTTP/1.1 200"));
    let ready = get(&address, "/readyz");
    for part in ["probe: ready", "enricher: ready", "indexer: ready"] {
        assert!(ready.contains(part), "{part} is not in {ready}");
    }
    assert!(get(&address, "/livez").starts_with("HTTP/1.1 200"));
    let metrics = get(&address, "/metrics");
    for part in ["millrace_build_info", "millrace_probe_", "millrace_enricher_", "millrace_indexer_", "# EOF"] {
        assert!(metrics.contains(part), "{part} is not in {metrics}");
    }
    running.signal("TERM");
    running.said().exits(0);
}

#[test]
fn an_address_in_use_names_the_setting() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let directory = tempfile::tempdir().unwrap();
    let output = replay(directory.path(), &data("raw.jsonl")).args(["--admin", &address]).output().unwrap();
    Said::from(output).exits(5).complains(&[&address, "admin.listen"]);
}

#[test]
fn following_shows_what_comes_and_ends_with_a_signal() {
    let directory = tempfile::tempdir().unwrap();
    let shown = directory.path().join("shown.jsonl");
    let state = directory.path().join("state");
    let mut command = command();
    command.args(["flows", "--follow", "--all", "-o", "jsonl", "--since", "2026-03-10T00:00:00Z", "--data-dir"]);
    let mut following = Running(Some(
        command.arg(&state).stdout(std::fs::File::create(&shown).unwrap()).stderr(Stdio::piped()).spawn().unwrap(),
    ));
    Said::from(replay(&state, &data("raw.jsonl")).output().unwrap()).exits(0);
    let lines = || std::fs::read_to_string(&shown).unwrap().lines().map(str::to_owned).collect::<Vec<_>>();
    eventually("every record", || lines().len() >= RECORDS);
    let lines = lines();
    let mut ids: Vec<(String, u64)> = lines
        .iter()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .map(|record| (record["stream"].as_str().unwrap().to_owned(), record["seq"].as_u64().unwrap()))
        .collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), RECORDS, "each record is shown once");
    following.signal("INT");
    following.said().exits(0);
}

#[test]
fn what_cannot_be_replayed_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let output = replay(directory.path(), Path::new("/does/not/exist.jsonl")).output().unwrap();
    Said::from(output).exits(5).complains(&["/does/not/exist.jsonl", "No such file", "fix:"]);
    let output = command()
        .args(["run", "--replay", "/dev/null", "--manifests", "/does/not/exist", "--data-dir"])
        .arg(directory.path())
        .output()
        .unwrap();
    Said::from(output).exits(2).complains(&["/does/not/exist", "is no directory", "--manifests"]);
    let output = command().args(["run", "--replay", "/dev/null", "--data-dir", "/proc/millrace"]).output().unwrap();
    Said::from(output).exits(5).complains(&["/proc/millrace", "--data-dir"]);
}

#[test]
fn the_demo_needs_nothing_and_leaves_nothing() {
    let temporary = tempfile::tempdir().unwrap();
    let output = command().args(["demo", "--for", "4s"]).env("TMPDIR", temporary.path()).output().unwrap();
    let said = Said::from(output).exits(0);
    said.says(&[
        "rogue/rogue",
        "NETFILTER_DROP",
        "storefront/frontend-",
        "Attempts by pair and outcome",
        "closed",
        "0 unexplained",
    ]);
    assert_eq!(std::fs::read_dir(temporary.path()).unwrap().count(), 0, "nothing stays behind");
}

#[test]
fn the_probe_alone_writes_what_can_be_replayed() {
    let directory = tempfile::tempdir().unwrap();
    let raw = directory.path().join("raw.jsonl");
    millrace(&format!("probe --replay {} --output {}", data("raw.jsonl").display(), raw.display())).exits(0);
    let state = directory.path().join("state");
    Said::from(replay(&state, &raw).output().unwrap()).exits(0);
    assert_eq!(stored(&state), RECORDS);
    on(&state, "reconcile").exits(0);
}
