//! Hundreds of malformed replay lines, manifests and settings: each is told with its place, and nothing panics.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod support;

use std::path::Path;

use support::{Said, command, data, file, millrace, on, replay};

/// Returns a valid line, and what is wrong in many ways.
fn malformed_lines() -> Vec<String> {
    let raw = std::fs::read_to_string(data("raw.jsonl")).unwrap();
    let good = raw.lines().next().unwrap();
    let mut lines: Vec<String> = Vec::new();
    // Cut off anywhere.
    lines.extend((1..good.len()).step_by(good.len() / 150).map(|end| good[..end].to_owned()));
    // A field gone, or of another kind.
    let value: serde_json::Value = serde_json::from_str(good).unwrap();
    let optional = ["source_ports", "process", "tcp", "translated", "original"];
    for name in value.as_object().unwrap().keys() {
        if !optional.contains(&name.as_str()) {
            let mut without = value.clone();
            without.as_object_mut().unwrap().remove(name);
            lines.push(without.to_string());
        }
        for wrong in ["true", "\"\u{1b}[2J\"", "-1", "1e400", "{}", "[]", "null", "1.5", "184467440737095516160"] {
            let whole = format!("\"{name}\":{}", value[name]);
            let changed = good.replacen(&whole, &format!("\"{name}\":{wrong}"), 1);
            if changed != *good {
                lines.push(changed);
            }
        }
    }
    // What cannot be.
    for (from, to) in [
        ("\"flows_started\":2", "\"flows_started\":3"),
        ("\"flows_completed\":2", "\"flows_completed\":9"),
        ("\"source_ports\":[40000,40013]", "\"source_ports\":[40013,40000]"),
        ("\"protocol\":6", "\"protocol\":1"),
        ("\"source_ip\":\"10.20.1.11\"", "\"source_ip\":\"::ffff:10.20.1.11\""),
        ("\"source_ip\":\"10.20.1.11\"", "\"source_ip\":\"10.20.1.999\""),
        ("\"schema\":\"raw-flow/1\"", "\"schema\":\"raw-flow/2\""),
        ("\"schema\":\"raw-flow/1\"", "\"schema\":\"flow/1\""),
        ("\"reporter\":\"src\"", "\"reporter\":\"SRC\""),
        ("\"outcome\":\"established\"", "\"outcome\":\"fine\""),
        ("\"outcome\":\"established\"", "\"outcome\":\"pending\""),
        ("local/node-a/", "local/node a/"),
        ("local/node-a/", "local/node-a/x"),
        ("\"end_time\":", "\"end_time\":0,\"end_time\":"),
    ] {
        let changed = good.replacen(from, to, 1);
        assert_ne!(changed, good, "{from}");
        lines.push(changed);
    }
    lines.extend(
        ["null", "[]", "7", "\"x\"", "{", "}", "{}", "\u{feff}{}", "{\"a\":{\"a\":{\"a\":1}}}", "<xml/>"]
            .map(str::to_owned),
    );
    lines.push("[".repeat(100_000));
    lines.push(format!("{{\"schema\":\"{}\"}}", "x".repeat(2_000_000)));
    lines
}

#[test]
fn malformed_lines_are_counted_told_by_number_and_skipped() {
    let lines = malformed_lines();
    assert!(lines.len() >= 300, "{}", lines.len());
    let directory = tempfile::tempdir().unwrap();
    let good = std::fs::read_to_string(data("raw.jsonl")).unwrap();
    let raw = file(directory.path(), "raw.jsonl", format!("{}\n{good}", lines.join("\n")));
    let state = directory.path().join("state");
    let said = Said::from(replay(&state, &raw).output().unwrap()).exits(0);
    assert!(!said.err.contains("panicked"), "{}", said.err);
    assert!(said.err.contains("skipping a line that is no raw record"), "{}", said.err);
    let stored = on(&state, "flows --all --since 2026-03-10T00:00:00Z -o jsonl").exits(0).out.lines().count();
    assert!((support::RECORDS..support::RECORDS + 20).contains(&stored), "{stored}");
    on(&state, "reconcile").exits(0);
}

#[test]
fn each_malformed_line_is_told_with_its_place_where_that_is_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let good = std::fs::read_to_string(data("raw.jsonl")).unwrap();
    let first = good.lines().next().unwrap();
    let mut refused = 0;
    for line in malformed_lines() {
        let raw = file(directory.path(), "raw.jsonl", format!("{first}\n{line}\n"));
        let output = command()
            .args(["probe", "--output", "/dev/null", "--log-level", "error", "--replay"])
            .arg(&raw)
            .arg("--data-dir")
            .arg(directory.path())
            .env("MILLRACE_PROBE__REPLAY_STRICT", "true")
            .output()
            .unwrap();
        let said = Said::from(output);
        assert!(!said.err.contains("panicked") && !said.err.contains('\u{1b}'), "{said:#?}");
        match said.code {
            Some(0) => {}
            Some(5) => {
                assert!(said.err.contains("line 2 of") && said.err.contains("raw.jsonl"), "{said:#?}");
                refused += 1;
            }
            code => panic!("exit {code:?}: {said:#?}"),
        }
    }
    assert!(refused >= 300, "{refused}");
}

fn malformed_manifests() -> Vec<String> {
    let pods = std::fs::read_to_string(data("manifests/pods.yaml")).unwrap();
    let pod = pods.split("---\n").next().unwrap();
    let mut manifests: Vec<String> = Vec::new();
    let cut = |end: &usize| pod.is_char_boundary(*end);
    manifests.extend((1..pod.len()).step_by(pod.len() / 60).filter(cut).map(|end| pod[..end].to_owned()));
    for line in pod.lines().filter(|line| line.contains(": ")) {
        let (key, _) = line.split_once(": ").unwrap();
        for wrong in ["[", "{}", "- x", "*nowhere", "!!binary x", "\"\\x1b[2J\"", "999999999999999999999"] {
            manifests.push(pod.replacen(line, &format!("{key}: {wrong}"), 1));
        }
    }
    manifests.extend(["\t", "a: b: c", "%YAML 9", "&a [*a]", "kind: Pod", "? x", "'"].map(str::to_owned));
    manifests
}

#[test]
fn malformed_manifests_are_told_with_their_place() {
    let manifests = malformed_manifests();
    assert!(manifests.len() >= 150, "{}", manifests.len());
    let directory = tempfile::tempdir().unwrap();
    let folder = directory.path().join("manifests");
    std::fs::create_dir(&folder).unwrap();
    for (number, manifest) in manifests.iter().enumerate() {
        file(&folder, &format!("bad-{number}.yaml"), manifest);
    }
    file(&folder, "latin.yaml", b"kind: \xff");
    let said = millrace(&format!("config check --manifests {}", folder.display())).exits(3);
    assert!(!said.err.contains("panicked") && !said.err.contains('\u{1b}'), "{}", said.err);
    assert!(said.err.contains("bad-1") && said.err.contains("latin.yaml"), "{}", said.err);
    // A run goes on with what can be read.
    let state = directory.path().join("state");
    let output = replay(&state, &data("raw.jsonl")).env("MILLRACE_ENRICHER__MANIFESTS", &folder).output().unwrap();
    Said::from(output).exits(0);
    good_manifests_are_right();
}

fn good_manifests_are_right() {
    millrace(&format!("config check --manifests {}", data("manifests").display())).exits(0).says(&["manifests"]);
}

#[test]
fn no_value_of_a_setting_breaks_the_program() {
    let schema: serde_json::Value = serde_json::from_str(&millrace("config schema").exits(0).out).unwrap();
    let sections = ["log", "admin", "probe", "enricher", "bus", "store", "indexer"];
    let mut keys: Vec<String> = vec!["cluster".into(), "node".into(), "data_dir".into()];
    for section in sections {
        let property = &schema["properties"][section];
        let reference = property["$ref"].as_str().or(property["anyOf"][0]["$ref"].as_str()).unwrap();
        let target = schema.pointer(reference.trim_start_matches('#')).unwrap();
        keys.extend(target["properties"].as_object().unwrap().keys().map(|key| format!("{section}.{key}")));
    }
    let values = ["", "-1", "a b", "\u{1b}[2J", "99999999999999999999", "[1, 2]", "{a: 1}", "*x", "\u{202e}", "1e999"];
    let mut refused = 0;
    for key in &keys {
        for value in values {
            let name = format!("MILLRACE_{}", key.replace('.', "__").to_uppercase());
            let output = command().args(["config", "check"]).env(&name, value).output().unwrap();
            let said = Said::from(output);
            assert!(!said.err.contains("panicked") && !said.err.contains('\u{1b}'), "{name}={value:?}: {said:#?}");
            match said.code {
                Some(0) => {}
                Some(2) => {
                    assert!(said.err.contains(key.as_str()) || said.err.contains(&name), "{name}={value:?}: {said:#?}");
                    refused += 1;
                }
                code => panic!("{name}={value:?}: exit {code:?}: {said:#?}"),
            }
        }
    }
    assert!(refused >= 200, "{refused}");
}

#[test]
fn no_settings_file_breaks_the_program() {
    let directory = tempfile::tempdir().unwrap();
    let shown = millrace("config dump").exits(0).out;
    let check = |content: &[u8]| {
        let path: &Path = &file(directory.path(), "millrace.yaml", content);
        let said = millrace(&format!("config check --config {}", path.display()));
        assert!(matches!(said.code, Some(0 | 2)) && !said.err.contains("panicked"), "{said:#?}");
        said.code == Some(2)
    };
    let mut refused = 0;
    for end in (0..shown.len()).step_by(shown.len() / 60).filter(|end| shown.is_char_boundary(*end)) {
        refused += usize::from(check(&shown.as_bytes()[..end]));
        refused += usize::from(check(format!("{}\u{0}{}", &shown[..end], &shown[end..]).as_bytes()));
        refused += usize::from(check(format!("{}[{}", &shown[..end], &shown[end..]).as_bytes()));
    }
    assert!(refused >= 60, "{refused}");
    assert!(check("x: ".repeat(1_000_000).as_bytes()), "a file beyond all bounds");
    assert!(check("[".repeat(100_000).as_bytes()), "nesting beyond all bounds");
}
