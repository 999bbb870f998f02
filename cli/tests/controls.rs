//! The controls: each kind of damage to the store is found, and named by stream and number.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod support;

use std::path::{Path, PathBuf};

use rusqlite::Connection;
use support::{Said, filled, on};

/// Returns the day file that holds the recording.
fn day_file(directory: &Path) -> PathBuf {
    directory.join("flows-2026-03-10.sqlite")
}

/// Damages the store, reconciles, and expects a finding for a number.
fn check(damage: &str, named: &str) -> Said {
    let directory = filled();
    on(directory.path(), "reconcile").exits(0);
    let connection = Connection::open(day_file(directory.path())).unwrap();
    assert!(connection.execute(damage, []).unwrap() > 0, "`{damage}` changed nothing");
    drop(connection);
    let said = on(directory.path(), "reconcile").exits(1).says(&["open", named]);
    let report: serde_json::Value =
        serde_json::from_str(&on(directory.path(), "reconcile --json").exits(1).out).unwrap();
    assert_eq!(report["conclusion"], "open");
    said
}

const STREAM: &str = "(SELECT id FROM streams WHERE stream LIKE 'local/node-a/%')";

#[test]
fn a_deleted_record_is_named() {
    check(&format!("DELETE FROM flows WHERE seq = 7 AND stream = {STREAM}"), "#7: record 7 is missing");
}

#[test]
fn several_deleted_records_are_named_as_a_range() {
    check(&format!("DELETE FROM flows WHERE seq BETWEEN 3 AND 5 AND stream = {STREAM}"), "records 3 to 5 are missing");
}

#[test]
fn a_changed_quantity_is_named_by_its_ledger() {
    check(
        &format!("UPDATE flows SET bytes_in = bytes_in + 1 WHERE seq = 7 AND stream = {STREAM}"),
        "is not what it was",
    );
}

#[test]
fn an_invented_attempt_is_named_by_its_ledger() {
    check(
        &format!("UPDATE flows SET num_flows_started = num_flows_started + 1 WHERE seq = 7 AND stream = {STREAM}"),
        "attempts",
    );
}

#[test]
fn a_renumbered_record_is_named() {
    check(&format!("UPDATE flows SET seq = 900 WHERE seq = 7 AND stream = {STREAM}"), "record 7 is missing");
}
