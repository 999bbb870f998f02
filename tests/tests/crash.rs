//! SIGKILL under load: nothing doubled, the gap stated as an indeterminate window, the data directory always opens.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

use std::collections::BTreeSet;
use std::time::Duration;

use lab::{Amount, Lab, Scenario};
use tests::machine::{can_capture, scaled};
use tests::product::{Product, Scope, pause, reconcile, records};

#[test]
fn a_kill_doubles_nothing_and_its_gap_is_stated() {
    if !can_capture("a_kill_doubles_nothing_and_its_gap_is_stated") {
        return;
    }
    let kills = scaled(10).max(3);
    let work = tempfile::tempdir().unwrap();
    let manifests = work.path().join("manifests");
    lab::manifests::copy_to(&manifests).unwrap();
    let mut lab = Lab::new(lab::Options::default()).unwrap();
    let place = lab.node("node-a").unwrap();
    let scope = Scope::Node(place);
    let mut running = lab.start(&Scenario::load("storefront").unwrap(), Amount::PerSecond(50.0)).unwrap();
    let data = work.path().join("data");
    for kill in 0..kills {
        let product = Product::start(&scope, &data, &manifests, &[]);
        // At another point of the second each time: before, while and after batches are written.
        pause(Duration::from_millis(2_300 + 370 * (kill % 7)));
        assert_eq!(product.kill(), data);
    }
    let last = Product::start(&scope, &data, &manifests, &[]);
    pause(Duration::from_secs(3));
    running.stop().unwrap();
    lab.finish(running).unwrap();
    last.stop();
    lab.down().unwrap();

    let stored = records(&data);
    let ids: BTreeSet<_> = stored.iter().map(|record| (record.stream.to_string(), record.seq)).collect();
    assert_eq!(ids.len(), stored.len(), "records are doubled");
    let streams: BTreeSet<_> = stored.iter().map(|record| record.stream.to_string()).collect();
    assert_eq!(streams.len() as u64, kills + 1, "an incarnation has no records: {streams:?}");

    let (code, report) = reconcile(&data);
    assert_eq!(code, Some(4), "a gap is neither closed nor open: {report:#}");
    assert_eq!(report["totals"]["unexplained"], 0, "{report:#}");
    assert_eq!(report["totals"]["findings"], 0, "{report:#}");
    assert_eq!(report["windows"].as_array().unwrap().len() as u64, kills, "one window a kill: {report:#}");
    eprintln!("{kills} kills: {} records, none doubled, {kills} windows stated", stored.len());
}
