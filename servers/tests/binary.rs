//! The binary says where its servers are, and takes them along however it ends.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use servers::Product;

/// A product, its name on the command line, and what its line begins with.
const KAFKA: (Product, &str, &str) = (Product::Kafka, "kafka", "KAFKA_BOOTSTRAP=");
const ELASTICSEARCH: (Product, &str, &str) = (Product::Elasticsearch9, "elasticsearch", "ELASTICSEARCH_URL=http://");

#[test]
fn servers_end_with_the_closed_input_of_the_binary() {
    ends_with("servers_end_with_the_closed_input", KAFKA, |_, input| drop(input));
}

#[test]
fn servers_end_when_the_binary_is_killed() {
    ends_with("servers_end_when_the_binary_is_killed", KAFKA, killed);
}

/// Elasticsearch is two processes, of which the second is not our child.
#[test]
fn both_processes_of_elasticsearch_end_when_the_binary_is_killed() {
    ends_with("both_processes_of_elasticsearch_end", ELASTICSEARCH, killed);
}

#[test]
fn servers_end_with_sigterm_to_the_binary() {
    ends_with("servers_end_with_sigterm", KAFKA, |child, input| {
        kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM).unwrap();
        child.wait().unwrap();
        drop(input);
    });
}

fn killed(child: &mut Child, input: ChildStdin) {
    child.kill().unwrap();
    child.wait().unwrap();
    drop(input);
}

fn ends_with(test: &str, (product, name, prefix): (Product, &str, &str), end: impl FnOnce(&mut Child, ChildStdin)) {
    if !servers::can_run(test, &[product]) {
        return;
    }
    let mut child = Command::new(env!("CARGO_BIN_EXE_servers"))
        .args(["up", name, "--format", "env"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = lines.next().unwrap().unwrap();
    let address = line.strip_prefix(prefix).unwrap().to_owned();
    assert!(TcpStream::connect(&address).is_ok(), "{address} does not listen");
    // Waiting for a child closes its input, which is one of the ends itself: so it is held apart.
    let input = child.stdin.take().unwrap();
    end(&mut child, input);
    child.wait().unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect(&address).is_ok() {
        assert!(Instant::now() < deadline, "{product} at {address} outlived the binary");
    }
}
