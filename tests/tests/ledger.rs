//! The laboratory's ledger equals the flow records, attempt by attempt and byte by byte, and both balances close.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "tests")]

use std::path::Path;

use flow::FlowRecord;
use lab::{Amount, Lab, Ledger, Scenario};
use tests::machine::{can_capture, scaled};
use tests::product::{Product, Scope, assert_closed, records};
use tests::truth::{differences_at_receiver, differences_at_source, differences_of_far_drops, wrong_names};

const NODES: [&str; 2] = ["node-a", "node-b"];

/// Room for the full counts: they make more unlike flows within a minute than the tables of a node hold by default.
const ROOM: [(&str, &str); 3] = [("max_keys", "262144"), ("max_attempts", "1048576"), ("kernel_flows", "1048576")];

/// Runs a scenario with a probe on each node and returns the ledger; the records are then in `work/<node>`.
fn run(work: &Path, scenario: &str, count: u64, older_than_the_probe: bool) -> Ledger {
    let mut lab = Lab::new(lab::Options::default()).unwrap();
    let scenario = Scenario::load(scenario).unwrap();
    let manifests = work.join("manifests");
    lab::manifests::copy_to(&manifests).unwrap();
    let start = |lab: &Lab| -> Vec<Product> {
        NODES
            .map(|node| Product::start(&Scope::Node(lab.node(node).unwrap()), &work.join(node), &manifests, &ROOM))
            .into()
    };
    let mut products = if older_than_the_probe { Vec::new() } else { start(&lab) };
    let mut running = lab.start(&scenario, Amount::Count(count)).unwrap();
    if older_than_the_probe {
        running.all_open().unwrap();
        products = start(&lab);
    }
    running.release().unwrap();
    let ledger = lab.finish(running).unwrap();
    let surprises = ledger.surprises();
    assert!(
        surprises.is_empty(),
        "{} attempts went otherwise than the lab promised: {:?}",
        surprises.len(),
        surprises[0]
    );
    // Datagrams without an answer are decided 10 s after the last one.
    tests::product::pause(std::time::Duration::from_secs(13));
    products.into_iter().for_each(Product::stop);
    lab.down().unwrap();
    ledger
}

/// Holds the records of a scenario against its ledger and returns them; none where this machine cannot capture.
fn check(scenario: &str, count: u64, older_than_the_probe: bool) -> Vec<FlowRecord> {
    if !can_capture(scenario) {
        return Vec::new();
    }
    let work = tempfile::tempdir().unwrap();
    let ledger = run(work.path(), scenario, count, older_than_the_probe);
    let stored: Vec<_> = NODES.iter().flat_map(|node| records(&work.path().join(node))).collect();
    let mut lines = differences_at_source(&ledger, &stored);
    lines.extend(differences_at_receiver(&ledger, &stored));
    lines.extend(differences_of_far_drops(&ledger, &stored));
    lines.extend(wrong_names(&stored));
    if !lines.is_empty() {
        // What the product itself says of it tells loss from miscounting; the directory is kept for a closer look.
        let kept = work.keep();
        for node in NODES {
            let (code, said) = tests::product::balances(&kept.join(node));
            eprintln!("{node}: reconcile exits {code:?}\n{said}");
        }
        panic!(
            "{} differences over {} attempts and {} records, kept in {}:\n{}",
            lines.len(),
            ledger.attempts.len(),
            stored.len(),
            kept.display(),
            lines[..lines.len().min(40)].join("\n")
        );
    }
    for node in NODES {
        assert_closed(&work.path().join(node));
    }
    eprintln!(
        "{scenario}: {} attempts, {} receipts, {} records: no difference",
        ledger.attempts.len(),
        ledger.receipts.len(),
        stored.len()
    );
    stored
}

/// Compares the fields that tell something with the golden file; `MILLRACE_REFRESH=1` writes it anew.
fn check_fields(records: &[FlowRecord]) {
    let (text, kinds) = tests::filled::by_kind(records);
    for (kind, names) in &kinds {
        if kind.starts_with("tcp established between pods") {
            assert!(names.len() >= 32, "{kind}: only {} fields tell something: {names:?}", names.len());
        }
    }
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/fields.txt");
    if std::env::var("MILLRACE_REFRESH").as_deref() == Ok("1") {
        std::fs::create_dir_all(golden.parent().unwrap()).unwrap();
        std::fs::write(&golden, &text).unwrap();
    }
    assert_eq!(text, std::fs::read_to_string(&golden).unwrap_or_default(), "MILLRACE_REFRESH=1 writes it anew");
}

/// All kinds at once are 70 times the count: as much as two cores carry within half a minute, with the laboratory, both
/// nodes and both stores on them. The full count comes in rounds of it, each from nothing.
#[test]
fn every_kind_of_attempt_is_recorded_once() {
    for _ in 0..scaled(10) {
        let records = check("everything", 1_000, false);
        if !records.is_empty() {
            check_fields(&records);
        }
    }
}

#[test]
fn connections_across_window_borders_are_counted_once() {
    check("windows", scaled(10_000), false);
}

#[test]
fn connections_older_than_the_probe_never_start() {
    check("preexisting", scaled(10_000), true);
}
