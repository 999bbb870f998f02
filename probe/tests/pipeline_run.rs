//! The whole probe, from its source to the bus: a file is replayed, and, where the kernel lets it, sockets of this very
//! process are watched.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a test may fail where it likes")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::time::Duration;

use bus::{Consumer, InProcessBus, TopicSettings};
use flow::digest::{Chain, GENESIS};
use flow::wire::{Headers, RawValue, check_identity, decode_raw};
use flow::{LedgerRecord, Outcome, RawFlow, Reporter};
use probe::metrics::{COMPONENT, ProbeMetrics};
use probe::observe::account_of;
use probe::pipeline::{self, Place, ProbeError, Summary};
use probe::settings::{ProbeSettings, RawProbeSettings};
use service::health::Health;
use service::metrics::MetricsBuilder;
use service::settings::Problems;
use service::shutdown::Shutdown;

const TOPIC: &str = "millrace.flows.raw.v1";

/// What one run left on the bus.
#[derive(Default)]
struct Run {
    flows: Vec<RawFlow>,
    ledgers: Vec<LedgerRecord>,
}

impl Run {
    /// Checks what must hold of every stream: dense numbers, chained digests, accounts that close.
    fn check(&self) {
        let mut streams: Vec<_> = self.ledgers.iter().map(|l| l.stream.clone()).collect();
        streams.sort();
        streams.dedup();
        for stream in streams {
            let flows: Vec<_> = self.flows.iter().filter(|f| f.stream == stream).collect();
            let ledgers: Vec<_> = self.ledgers.iter().filter(|l| l.stream == stream).collect();
            let mut seqs: Vec<_> = flows.iter().map(|f| f.seq).chain(ledgers.iter().map(|l| l.seq)).collect();
            seqs.sort_unstable();
            assert_eq!(seqs, (0..seqs.len() as u64).collect::<Vec<_>>());
            let mut before = GENESIS.to_owned();
            for ledger in &ledgers {
                let mut chain = Chain::after(&before);
                flows.iter().filter(|f| (ledger.from_seq..ledger.seq).contains(&f.seq)).for_each(|f| chain.add(*f));
                before = chain.finish();
                assert_eq!(ledger.digest, before);
                for account in &ledger.attempts {
                    assert_eq!(account.unexplained(), 0, "{account:?}");
                    let counted: u64 = flows
                        .iter()
                        .filter(|f| f.seq < ledger.seq && account_of(f) == (account.protocol, account.direction))
                        .map(|f| f.counters.flows_started)
                        .sum();
                    assert_eq!(account.started, counted, "{account:?}");
                }
            }
            assert!(ledgers.last().unwrap().closing);
        }
    }
}

fn settings(raw: RawProbeSettings) -> ProbeSettings {
    let mut problems = Problems::default();
    let settings = ProbeSettings::resolve(raw, &mut problems);
    problems.into_result(settings).unwrap()
}

async fn drain(bus: &InProcessBus) -> Run {
    let mut consumer = bus.subscribe("test", &[TOPIC]).unwrap();
    let mut run = Run::default();
    loop {
        let delivered = consumer.poll(10_000, Duration::from_millis(100)).await.unwrap();
        if delivered.is_empty() {
            return run;
        }
        for each in delivered {
            let pairs = each.record.headers.iter().map(|h| (h.name.as_ref(), h.value.as_ref()));
            let headers = Headers::parse(pairs).unwrap();
            match decode_raw(&each.record.value).unwrap() {
                RawValue::Flow(flow) => {
                    check_identity(&headers, &flow.stream, flow.seq).unwrap();
                    run.flows.push(*flow);
                }
                RawValue::Ledger(ledger) => {
                    check_identity(&headers, &ledger.stream, ledger.seq).unwrap();
                    run.ledgers.push(*ledger);
                }
            }
        }
    }
}

async fn run(data_dir: &Path, raw: RawProbeSettings, stop: &Shutdown) -> (Result<Summary, ProbeError>, Run) {
    let bus = InProcessBus::new([TopicSettings::named(TOPIC)]).unwrap();
    bus.register("test", &[TOPIC]).unwrap();
    let metrics = ProbeMetrics::register(MetricsBuilder::new("0", String::new()).component(COMPONENT));
    let place = Place { cluster: "c".to_owned(), node: "n".to_owned(), data_dir: data_dir.to_owned() };
    let health = Health::new();
    let result = pipeline::run(place, settings(raw), bus.producer(), metrics, &health, stop.token()).await;
    (result, drain(&bus).await)
}

#[tokio::test]
async fn a_replayed_file_keeps_its_nodes_and_closes() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("sample.jsonl");
    let record = |node: &str, seq: u64| {
        format!(
            r#"{{"schema":"raw-flow/1","stream":"old/{node}/5","seq":{seq},"start_time":1000,"end_time":2000,"reporter":"src","protocol":6,"source_ip":"10.0.0.1","original":{{"ip":"10.0.0.2","port":80}},"local":{{"identity":"none"}},"outcome":"established","counters":{{"bytes_in":1,"bytes_out":2,"packets_in":3,"packets_out":4,"flows":1,"flows_started":1,"flows_completed":1,"flows_aborted":0}},"oldest_start":1000,"newest_start":1000}}"#
        )
    };
    let mut lines: Vec<String> = (7..1_500).map(|seq| record(if seq % 2 == 0 { "a" } else { "b" }, seq)).collect();
    lines.insert(3, "{ this is no record".to_owned());
    lines.insert(9, String::new());
    std::fs::write(&file, lines.join("\n")).unwrap();

    let raw = RawProbeSettings { replay: Some(file.clone()), ..RawProbeSettings::default() };
    let (summary, run_) = run(dir.path(), raw, &Shutdown::new()).await;
    let summary = summary.unwrap();
    assert_eq!((summary.flows, summary.ledgers), (1_493, 2));
    assert_eq!(summary.replayed.unwrap().malformed, 1);
    run_.check();
    let mut nodes: Vec<_> = run_.flows.iter().map(|f| f.stream.node().to_owned()).collect();
    nodes.sort();
    nodes.dedup();
    assert_eq!(nodes, ["a", "b"]);
    assert!(run_.flows.iter().all(|f| f.stream.cluster() == "c" && f.end_time.0 == 2000));
    assert!(!dir.path().join("probe-state.json").exists());

    let raw = RawProbeSettings { replay: Some(file), replay_strict: Some(true), ..RawProbeSettings::default() };
    let (summary, run_) = run(dir.path(), raw, &Shutdown::new()).await;
    let error = summary.unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.starts_with("line 4 of"), "{source}");
    assert_eq!(run_.flows.len(), 3, "what came before is handed over");
    run_.check();
}

/// Makes traffic that every outcome of loopback covers, and returns how many TCP connections were established.
fn traffic(rounds: u32) -> u64 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let accept = std::thread::spawn(move || {
        for _ in 0..rounds {
            let (mut stream, _) = listener.accept().unwrap();
            let mut bytes = [0; 100];
            stream.read_exact(&mut bytes).unwrap();
            stream.write_all(&bytes).unwrap();
        }
    });
    for _ in 0..rounds {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.write_all(&[7; 100]).unwrap();
        let mut bytes = [0; 100];
        stream.read_exact(&mut bytes).unwrap();
        assert_eq!(stream.read(&mut bytes).unwrap(), 0);
    }
    accept.join().unwrap();
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    let (a, b) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
    a.connect(b.local_addr().unwrap()).unwrap();
    a.send(b"hello").unwrap();
    let mut bytes = [0; 9];
    let (_, from) = b.recv_from(&mut bytes).unwrap();
    b.send_to(b"world", from).unwrap();
    a.recv(&mut bytes).unwrap();
    u64::from(port)
}

#[tokio::test(flavor = "multi_thread")]
async fn this_processs_own_sockets_are_told_and_the_account_closes() {
    let dir = tempfile::tempdir().unwrap();
    for incarnation in 0..2 {
        let stop = Shutdown::new();
        let asks = stop.clone();
        let traffic = std::thread::spawn(move || {
            let (wait, never) = std::sync::mpsc::channel::<()>();
            let pause = |ms| {
                let _ = never.recv_timeout(Duration::from_millis(ms));
            };
            pause(1_500);
            // In a process of its own: the probe leaves its own traffic out.
            let child = std::process::Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "traffic_of_a_child", "--nocapture", "--include-ignored"])
                .output()
                .unwrap();
            pause(2_500);
            asks.request();
            drop(wait);
            let text = String::from_utf8(child.stdout).unwrap();
            let port = text.lines().find_map(|l| l.split("port=").nth(1)).unwrap_or_else(|| panic!("{text}"));
            port.trim().parse::<u16>().unwrap()
        });
        let raw = RawProbeSettings { keep_loopback: Some(true), ..RawProbeSettings::default() };
        let (summary, run_) = run(dir.path(), raw, &stop).await;
        let summary = match summary {
            Err(ProbeError::Kernel(error)) if std::env::var("CI").is_err() => {
                println!("SKIPPED: the kernel cannot be watched here: {error}");
                return;
            }
            summary => summary.unwrap(),
        };
        let port = traffic.join().unwrap();
        assert_eq!((summary.flows, summary.ledgers), (run_.flows.len() as u64, run_.ledgers.len() as u64));
        run_.check();

        let sum = |reporter: Reporter, outcome: Outcome, part: fn(&RawFlow) -> u64| -> u64 {
            let to_port =
                |f: &&RawFlow| f.destination().unwrap().port == Some(port) && f.protocol == flow::Protocol::TCP;
            let found = run_.flows.iter().filter(to_port).filter(|f| (f.reporter, f.outcome) == (reporter, outcome));
            found.map(part).sum()
        };
        for reporter in [Reporter::Src, Reporter::Dst] {
            assert_eq!(sum(reporter, Outcome::Established, |f| f.counters.flows_started), 50, "{reporter:?}");
            assert_eq!(sum(reporter, Outcome::Established, |f| f.counters.bytes_in), 5_000, "{reporter:?}");
            assert_eq!(sum(reporter, Outcome::Established, |f| f.counters.bytes_out), 5_000, "{reporter:?}");
            assert_eq!(sum(reporter, Outcome::Established, |f| f.counters.flows_completed), 50, "{reporter:?}");
        }
        assert_eq!(sum(Reporter::Src, Outcome::Refused, |f| f.counters.flows_started), 1);

        let first = &run_.ledgers[0];
        match incarnation {
            0 => assert_eq!(first.predecessor, None),
            _ => assert!(first.predecessor.as_ref().is_some_and(|p| p.closed && p.next_seq > 1)),
        }
    }
}

/// No test of its own: what the watched child does.
#[test]
#[ignore = "run by another test in a process of its own"]
fn traffic_of_a_child() {
    println!("port={}", traffic(50));
}
