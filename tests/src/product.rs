//! `millrace run` for one node of the laboratory: started, stopped, killed, and what it stored.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use flow::FlowRecord;
use lab::NodePlace;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use store::sqlite::{Options, SqliteStore};
use store::{Counting, Cursor, FlowQuery, FlowStore as _, Order};

use crate::machine::binary;

/// How long a start or an orderly end may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A running `millrace run`; killed when dropped.
pub struct Product {
    child: Child,
    data_dir: PathBuf,
    log: PathBuf,
}

/// What a probe is to take for its node.
#[derive(Debug, Clone)]
pub enum Scope {
    /// A node of the laboratory; all else is outside.
    Node(NodePlace),
    /// The whole machine, the laboratory's nodes with it.
    Machine,
}

impl Product {
    /// Starts the binary and waits until it is ready. `probe` are further lines of the section `probe`.
    ///
    /// # Panics
    /// If it ends early or does not get ready; the message holds its log.
    #[must_use]
    pub fn start(scope: &Scope, data_dir: &Path, manifests: &Path, probe: &[(&str, &str)]) -> Self {
        fs::create_dir_all(data_dir).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let node = match scope {
            Scope::Node(place) => place.name.as_str(),
            Scope::Machine => "machine",
        };
        let mut settings = format!(
            "cluster: lab\nnode: {node}\ndata_dir: {}\nadmin:\n  listen: 127.0.0.1:{port}\nprobe:\n  aggregation: source-port\n",
            data_dir.display(),
        );
        if let Scope::Node(NodePlace { netns, cgroup_root, .. }) = scope {
            writeln!(settings, "  cgroup_root: {}\n  host_netns: {}", cgroup_root.display(), netns.display()).unwrap();
        }
        for (key, value) in probe {
            writeln!(settings, "  {key}: {value}").unwrap();
        }
        writeln!(settings, "enricher:\n  manifests: {}", manifests.display()).unwrap();
        let config = data_dir.with_extension("yaml");
        fs::write(&config, settings).unwrap();
        let log = data_dir.with_extension("log");
        let file = fs::OpenOptions::new().create(true).append(true).open(&log).unwrap();
        let child = Command::new(binary("millrace"))
            .arg("run")
            .arg("--config")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap();
        let mut product = Self { child, data_dir: data_dir.to_owned(), log };
        product.wait_ready(port);
        product
    }

    fn wait_ready(&mut self, port: u16) {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("millrace run ended with {status} before it was ready:\n{}", self.log());
            }
            if answer(port, "/readyz").is_some_and(|text| text.starts_with("HTTP/1.1 200")) {
                return;
            }
            assert!(Instant::now() < until, "millrace run did not get ready:\n{}", self.log());
            pause(Duration::from_millis(50));
        }
    }

    /// Returns its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns what it logged and printed.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Ends it in order and waits for its closing ledger to be stored.
    ///
    /// # Panics
    /// If it does not exit with 0.
    pub fn stop(mut self) {
        self.signal(Signal::SIGTERM);
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                assert!(status.success(), "millrace run ended with {status}:\n{}", self.log());
                return;
            }
            assert!(Instant::now() < until, "millrace run did not end:\n{}", self.log());
            pause(Duration::from_millis(20));
        }
    }

    /// Kills it with SIGKILL and returns where its data is.
    pub fn kill(mut self) -> PathBuf {
        self.signal(Signal::SIGKILL);
        self.child.wait().unwrap();
        self.data_dir.clone()
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
    }
}

impl Drop for Product {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Waits on a channel that nobody sends to: a sleep that the house rules allow on a test's own thread.
pub fn pause(time: Duration) {
    let (_sender, receiver) = std::sync::mpsc::channel::<()>();
    let _ = receiver.recv_timeout(time);
}

/// Returns an answer of the admin port, headers and all.
#[must_use]
pub fn answer(port: u16, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    Some(text)
}

/// Returns every stored flow record of a data directory, in the order of storing.
///
/// # Panics
/// If a part of it cannot be read.
#[must_use]
pub fn records(data_dir: &Path) -> Vec<FlowRecord> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let store = SqliteStore::open_to_read(Options::in_dir(data_dir));
    let mut all = Vec::new();
    let mut cursor: Option<Cursor> = None;
    loop {
        let query = FlowQuery {
            counting: Counting::Records,
            order: Order::Stored,
            limit: store::MAX_PAGE,
            cursor: cursor.clone(),
            ..FlowQuery::default()
        };
        let page = runtime.block_on(store.flows(&query)).unwrap();
        assert!(page.partial.is_empty(), "part of the store cannot be read: {:?}", page.partial);
        let done = page.records.is_empty();
        all.extend(page.records);
        cursor = page.next;
        if done || cursor.is_none() {
            return all;
        }
    }
}

/// Runs a command of the binary on a data directory.
#[must_use]
pub fn millrace(data_dir: &Path, arguments: &[&str]) -> Output {
    Command::new(binary("millrace")).args(arguments).arg("--data-dir").arg(data_dir).output().unwrap()
}

/// Returns the exit code of `millrace reconcile` and its report.
///
/// # Panics
/// If it prints no report.
#[must_use]
pub fn reconcile(data_dir: &Path) -> (Option<i32>, serde_json::Value) {
    let output = millrace(data_dir, &["reconcile", "--json"]);
    let report = serde_json::from_slice(&output.stdout);
    let report =
        report.unwrap_or_else(|error| panic!("no report ({error}): {}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code(), report)
}

/// Asserts that both balances of a data directory close with nothing unexplained.
///
/// # Panics
/// If they do not; the message holds the whole report.
pub fn assert_closed(data_dir: &Path) {
    let (code, report) = balances(data_dir);
    assert_eq!(code, Some(0), "the balance of `{}` is open:\n{report}", data_dir.display());
}

/// Returns the exit code of `millrace reconcile` over a data directory, and what it says.
#[must_use]
pub fn balances(data_dir: &Path) -> (Option<i32>, String) {
    let output = millrace(data_dir, &["reconcile"]);
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    (output.status.code(), said.into_owned())
}
