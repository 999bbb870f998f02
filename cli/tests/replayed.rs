//! A recording goes through the whole pipeline, and the store is asked in every way.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod support;

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::Value;
use support::{RECORDS, Said, command, data, file, filled, golden, on, replay, without_epoch};

const SINCE: &str = "2026-03-10T00:00:00Z";

fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn every_record_is_stored_named_and_accounted_for() {
    let directory = filled();
    let records = json_lines(&on(directory.path(), &format!("flows --since {SINCE} --all -o jsonl")).exits(0).out);
    assert_eq!(records.len(), RECORDS);
    let rogue: Vec<&Value> = records.iter().filter(|record| record["source_namespace"] == "rogue").collect();
    assert!(rogue.iter().any(|record| record["drop_reason"] == "NETFILTER_DROP"), "{rogue:#?}");
    let frontend = records.iter().find(|record| record["source_name_aggr"] == "frontend-6b7d9c5f4-*").unwrap();
    assert_eq!(frontend["source_labels"]["labels"][0], "app=frontend");
    assert_eq!(frontend["verdict"], "unknown");
    assert!(records.iter().any(|record| record["dest_service_name"] == "backend"));
    assert!(records.iter().any(|record| record["dest_name_aggr"] == "telephony"));
    on(directory.path(), "reconcile").exits(0).says(&["closed", "local/node-a/", "local/node-b/", "0 unexplained"]);
    let report: Value = serde_json::from_str(&on(directory.path(), "reconcile --json").exits(0).out).unwrap();
    assert_eq!(report["conclusion"], "closed");
    assert_eq!(report["totals"]["unexplained"], 0);
    assert_eq!(report["totals"]["streams"], 2);
}

#[test]
fn flows_in_every_format() {
    let directory = filled();
    let path = directory.path();
    let ask = |line: &str| without_epoch(path, &on(path, line).exits(0).out);
    golden("flows.table.txt", &ask(&format!("flows --since {SINCE} --from-namespace rogue --all")));
    golden("flows.wide.txt", &ask(&format!("flows --since {SINCE} --outcome dropped,refused --all -o wide")));
    golden("flows.jsonl", &ask(&format!("flows --since {SINCE} --to-port 22 --all -o jsonl")));
    golden("flows.json", &ask(&format!("flows --since {SINCE} --to-port 22 --all -o json")));
    golden("flows.csv", &ask(&format!("flows --since {SINCE} --protocol icmp -o csv")));
    golden("summary.txt", &ask(&format!("summary --since {SINCE}")));
    golden("summary.csv", &ask(&format!("summary --since {SINCE} --action deny -o csv")));
    golden("reconcile.txt", &ask("reconcile"));
    let [jsonpb, jsonl] = ["jsonpb", "jsonl"].map(|format| ask(&format!("flows --since {SINCE} -o {format}")));
    assert_eq!(jsonpb, jsonl);
}

#[test]
fn filters_select() {
    let directory = filled();
    let count = |line: &str| {
        json_lines(&on(directory.path(), &format!("flows --since {SINCE} -o jsonl {line}")).exits(0).out).len()
    };
    let all = count("--all");
    assert_eq!(all, RECORDS);
    let attempts = count("");
    assert!(attempts < all, "each attempt is counted once by default");
    assert_eq!(count("--all --namespace nowhere"), 0);
    assert_eq!(count("--all --reporter src") + count("--reporter dst"), all);
    assert_eq!(count("--all --node node-a") + count("--all --node node-b"), all);
    assert_eq!(count("--all --protocol tcp") + count("--all --protocol udp,icmp"), all);
    assert_eq!(count("--from-ip 198.51.100.0/24"), 2);
    assert_eq!(count("--from-type net"), 2);
    assert_eq!(count("--all --label fw-zone=untrusted"), count("--all --namespace rogue"));
    assert_eq!(count("--first 3"), 3);
    assert_eq!(count("--last 5"), 5);
    assert_eq!(count("--until 2026-03-10T08:30:10Z --all"), count("--until 2026-03-10T08:30:10Z --first 1000 --all"));
}

#[test]
fn what_is_older_than_kept_is_said_with_the_range() {
    let directory = filled();
    let said = on(directory.path(), "flows --since 2020-01-01").exits(0);
    said.complains(&["kept are the days 2026-03-10", "nothing is known of what is older"]);
    let empty = tempfile::tempdir().unwrap();
    on(empty.path(), "flows").exits(0).complains(&["holds no flows yet"]);
    on(empty.path(), "reconcile").exits(4).complains(&["no stream is stored"]);
    let elsewhere = empty.path().join("not/there");
    on(&elsewhere, "flows").exits(0).complains(&["holds no flows yet"]);
    assert!(!elsewhere.exists(), "asking makes no directory");
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let directory = filled();
    for format in ["table", "wide", "json", "jsonl", "csv"] {
        let mut child = command()
            .args(["flows", "--all", "--since", SINCE, "-o", format, "--data-dir"])
            .arg(directory.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut first = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
        let said = Said::from(child.wait_with_output().unwrap()).exits(0);
        assert!(!said.err.contains("millrace:"), "{format}: {said:#?}");
    }
}

#[test]
fn hostile_names_reach_no_terminal() {
    let directory = tempfile::tempdir().unwrap();
    let hostile = r#""process":{"name":"\u001b[2J\u009b31m\u202e=x","#;
    let raw = std::fs::read_to_string(data("raw.jsonl")).unwrap().replace(r#""process":{"name":"nginx","#, hostile);
    assert!(raw.contains(hostile));
    let raw = file(directory.path(), "hostile.jsonl", raw);
    let state = directory.path().join("state");
    Said::from(replay(&state, &raw).output().unwrap()).exits(0);
    for format in ["table", "wide", "json", "jsonl", "csv"] {
        let said = on(&state, &format!("flows --since {SINCE} --all -o {format}")).exits(0);
        let unsafe_character = |c: &char| (c.is_control() && *c != '\n' && *c != '\r') || *c == '\u{202e}';
        assert_eq!(said.out.chars().find(unsafe_character), None, "{format}");
    }
    let records = json_lines(&on(&state, &format!("flows --since {SINCE} --all -o jsonl")).out);
    assert!(
        records.iter().any(|record| record["process_name"] == "\u{1b}[2J\u{9b}31m\u{202e}=x"),
        "JSON loses nothing"
    );
}

#[test]
fn colours_only_where_they_are_wanted() {
    let directory = filled();
    let coloured = |line: &str| on(directory.path(), line).out.contains('\u{1b}');
    assert!(!coloured("flows"));
    assert!(!coloured("reconcile"));
    assert!(coloured("flows --color always"));
    assert!(coloured("reconcile --color always"));
    assert!(!coloured("flows --color always -o jsonl"));
}

#[test]
fn a_narrow_width_breaks_no_line() {
    let directory = filled();
    let output = command()
        .args(["flows", "--since", SINCE, "--data-dir"])
        .arg(directory.path())
        .env("COLUMNS", "100")
        .output()
        .unwrap();
    let said = Said::from(output).exits(0);
    assert!(said.out.lines().all(|line| line.chars().count() <= 100), "{}", said.out);
}
