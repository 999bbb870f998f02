//! More than the probe can take: what is lost is declared, attempt by attempt, and no denied attempt is among it.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use flow::Protocol;
use lab::{Lab, Ledger, Party, Scenario};
use serde_json::Value;
use tests::machine::{can_capture, scaled};
use tests::product::{Product, Scope, pause, reconcile, records};

/// Runs a scenario with one probe on the node of the senders; further lines are of the section `probe`.
fn run(work: &Path, scope: &str, scenario: &str, count: u64, probe: &[(&str, &str)]) -> Ledger {
    let mut lab = Lab::new(lab::Options::default()).unwrap();
    let manifests = work.join("manifests");
    lab::manifests::copy_to(&manifests).unwrap();
    let scope = lab.node(scope).map_or(Scope::Machine, Scope::Node);
    let product = Product::start(&scope, &work.join("data"), &manifests, probe);
    let ledger = lab.run(&Scenario::load(scenario).unwrap(), count).unwrap();
    // Drops wait for their attempts, and silent attempts for their end.
    pause(Duration::from_secs(13));
    product.stop();
    lab.down().unwrap();
    ledger
}

/// Sums a part of the accounts of one protocol and direction: a number, or all of an object's numbers.
fn account(report: &Value, protocol: &str, direction: &str, part: &str) -> u64 {
    let streams = report["streams"].as_array().unwrap();
    let accounts = streams.iter().flat_map(|stream| stream["attempts"]["accounts"].as_array().unwrap());
    let of = accounts.filter(|account| account["protocol"] == protocol && account["direction"] == direction);
    of.map(|account| match &account[part] {
        Value::Object(reasons) => reasons.values().filter_map(Value::as_u64).sum(),
        number => number.as_u64().unwrap_or(0),
    })
    .sum()
}

#[test]
fn declared_loss_is_exactly_what_is_missing() {
    if !can_capture("declared_loss_is_exactly_what_is_missing") {
        return;
    }
    let work = tempfile::tempdir().unwrap();
    let scenario = work.path().join("storm.yaml");
    std::fs::write(
        &scenario,
        "tasks:\n- {name: storm, from: toolbox, to: responders, transport: tcp, port: 443, expect: established, \
         rounds: 0, close: reset, families: [4], concurrency: 64}\n",
    )
    .unwrap();
    // A ring of one page holds some thirty events, and the reader looks every few milliseconds.
    let probe = [("ring_size", "4KiB")];
    let ledger = run(work.path(), "node-a", scenario.to_str().unwrap(), scaled(20_000), &probe);
    let attempts = ledger.attempts.len() as u64;
    let stored = records(&work.path().join("data"));
    let counted: u64 = stored.iter().filter(|r| r.reporter == "src").map(|r| r.num_flows_started).sum();
    let (code, report) = reconcile(&work.path().join("data"));
    let (seen, lost) = (account(&report, "tcp", "out", "seen"), account(&report, "tcp", "out", "lost"));
    let filtered = account(&report, "tcp", "out", "filtered");
    assert_eq!(code, Some(0), "declared loss is no open balance: {report:#}");
    assert!(lost > 0, "the ring did not overflow: {seen} seen, {counted} stored of {attempts}");
    // What others on this machine attempt meanwhile is seen, and left out or lost, too.
    let others = seen - attempts;
    assert!(others <= filtered + lost, "{others} attempts of others, {filtered} left out, {lost} lost");
    assert_eq!(seen, counted + filtered + lost, "{attempts} attempts, {others} of others");
    if others == filtered {
        assert_eq!(lost, attempts - counted, "declared loss against the lab's ledger");
    }
    eprintln!("{attempts} attempts, {counted} stored, {lost} declared lost, {filtered} of others left out");
}

#[test]
fn no_denied_attempt_is_given_up_for_allowed_ones() {
    if !can_capture("no_denied_attempt_is_given_up_for_allowed_ones") {
        return;
    }
    let work = tempfile::tempdir().unwrap();
    let crowd = scaled(10_000);
    let capacity = (2 * crowd / 10).to_string();
    let ledger = run(work.path(), "machine", "crowd", crowd, &[("max_keys", &capacity)]);
    let denied = ledger.attempts.iter().filter(|a| a.task.starts_with("denied")).count() as u64;
    assert_eq!(denied, 100);
    let stored = records(&work.path().join("data"));
    let mut recorded = BTreeMap::<(String, Option<String>), u64>::new();
    for record in stored.iter().filter(|r| r.reporter == "src" && r.source_namespace == "rogue") {
        let kind = (record.outcome.clone(), record.drop_reason.clone());
        *recorded.entry(kind).or_default() += record.num_flows_started;
    }
    recorded.retain(|_, attempts| *attempts > 0);
    let all = BTreeMap::from([(("dropped".to_owned(), Some("NETFILTER_DROP".to_owned())), denied)]);
    assert_eq!(recorded, all, "denied attempts as recorded");
    let rogue = |party: &Party| matches!(party, Party::Pod { namespace, .. } if namespace == "rogue");
    let allowed = ledger.attempts.iter().filter(|a| a.protocol == Protocol::TCP && !rogue(&a.source)).count() as u64;
    let counted: u64 = stored
        .iter()
        .filter(|r| r.reporter == "src" && r.source_namespace == "ops" && r.dest_port == Some(443))
        .map(|r| r.num_flows_started)
        .sum();
    let (code, report) = reconcile(&work.path().join("data"));
    assert_eq!(code, Some(0), "{report:#}");
    let lost = account(&report, "tcp", "out", "lost");
    assert_eq!(allowed, counted + lost, "allowed attempts are recorded, or declared lost");
    eprintln!("{allowed} allowed: {counted} recorded, {lost} declared lost; {denied} denied: all recorded");
}
