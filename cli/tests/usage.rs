//! What the program says of itself, and to those who hold it wrong.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod support;

use support::{command, file, millrace};

#[test]
fn usage_errors_exit_2_and_name_what_is_wrong() {
    let cases = [
        ("", "Usage: millrace"),
        ("fly", "unrecognized subcommand 'fly'"),
        ("flow", "similar subcommand"),
        ("flows --nope", "unexpected argument '--nope'"),
        ("flows --namespce shop", "'--namespace'"),
        ("flows --since soon", "`soon` is no time"),
        ("flows --since 5m --until 10m", "--since is not before --until"),
        ("flows --port 70000", "70000"),
        ("flows --address 10.0.0.0/40", "give an address"),
        ("flows --protocol teleport", "give tcp, udp"),
        ("flows --outcome fine", "established"),
        ("flows --action maybe", "allow"),
        ("flows --first 3 --last 3", "cannot be used with"),
        ("flows --follow --first 3", "cannot be used with"),
        ("flows --follow -o json", "use -o jsonl"),
        ("flows --last 0", "0 is not in"),
        ("flows --last 1000000", "1000000 is not in"),
        ("flows -o xml", "possible values"),
        ("summary --top 0", "0 is not in"),
        ("probe --for 5", "needs a number and a unit"),
        ("probe --for 0s", "longer than nothing"),
        ("probe --replay a --cgroup-root b", "cannot be used with"),
        ("completions tcsh", "possible values"),
        ("config", "Usage: millrace config"),
        ("doctor --json=yes", "unexpected value"),
        ("--color sometimes doctor", "possible values"),
    ];
    for (line, expected) in cases {
        let said = millrace(line).exits(2).complains(&[expected]);
        assert_eq!(said.out, "", "`{line}`: an error belongs on standard error");
    }
}

#[test]
fn help_and_version_are_answers() {
    millrace("--version").exits(0).says(&[concat!("millrace ", env!("CARGO_PKG_VERSION"))]);
    millrace("--help").exits(0).says(&["Exit codes", "MILLRACE_SECTION__KEY", "NO_COLOR", "Commands:"]);
    for command in ["probe", "flows", "summary", "doctor", "config", "completions", "man"] {
        millrace(&format!("{command} --help")).exits(0).says(&["Usage: millrace", command, "--data-dir"]);
        millrace(&format!("help {command}")).exits(0);
    }
}

#[test]
fn completions_know_the_commands() {
    for (shell, mark) in [("bash", "_millrace()"), ("zsh", "#compdef millrace"), ("fish", "complete -c millrace")] {
        millrace(&format!("completions {shell}")).exits(0).says(&[mark, "reconcile", "flows", "from-namespace"]);
    }
}

#[test]
fn the_manual_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let pages = directory.path().join("man1");
    millrace(&format!("man --out {}", pages.display())).exits(0);
    for name in ["millrace.1", "millrace-run.1", "millrace-flows.1", "millrace-config-check.1"] {
        let page = std::fs::read_to_string(pages.join(name)).unwrap();
        assert!(page.contains(".TH") && page.contains("SYNOPSIS"), "{name}");
    }
    millrace("man").exits(0).says(&[".TH millrace 1"]);
}

#[test]
fn every_wrong_setting_is_said_at_once_with_its_place() {
    let directory = tempfile::tempdir().unwrap();
    let yaml = "cluster: 'a b'\nlogg: { level: info }\nlog: { levl: debug }\nadmin: { listen: everywhere }\nstore:\n  cap_bytes: 5\n  cap_days: 0\nenricher: { batch_records: many }\n";
    let path = file(directory.path(), "millrace.yaml", yaml);
    let output = command()
        .args(["config", "check", "--config"])
        .arg(&path)
        .args(["--log-level", "loud", "--node", "x/y"])
        .env_remove("MILLRACE_ADMIN__LISTEN")
        .env("MILLRACE_PROBE__MAX_KEYS", "1")
        .env("MILLRACE_PROBE__TOPICS", "t")
        .output()
        .unwrap();
    support::Said::from(output).exits(2).complains(&[
        "11 settings are wrong",
        "cluster",
        "did you mean `log`",
        "did you mean `log.level`",
        "millrace.yaml:4:",
        "admin.listen",
        "store.cap_bytes",
        "store.cap_days",
        "enricher.batch_records",
        "flag --log-level",
        "flag --node",
        "environment MILLRACE_PROBE__MAX_KEYS",
        "did you mean `probe.topic`",
        "fix: `millrace config schema`",
    ]);
}

#[test]
fn a_settings_file_that_is_none_is_said_with_its_name() {
    millrace("config check --config /does/not/exist.yaml")
        .exits(2)
        .complains(&["/does/not/exist.yaml", "No such file"]);
    millrace("flows --config /does/not/exist.yaml").exits(2);
    let directory = tempfile::tempdir().unwrap();
    for content in ["a: [", "- 1\n- 2\n", "text", "a: 1\na: 2\n", "\u{0}", "a: &x [*x]\n"] {
        let path = file(directory.path(), "bad.yaml", content);
        millrace(&format!("config check --config {}", path.display())).exits(2).complains(&["bad.yaml"]);
    }
    let path = file(directory.path(), "latin.yaml", b"cluster: \xe9");
    millrace(&format!("config check --config {}", path.display())).exits(2).complains(&["UTF-8"]);
}

#[test]
fn the_settings_shown_are_settings_that_load() {
    let directory = tempfile::tempdir().unwrap();
    let shown = millrace("config dump --cluster east --node n1").exits(0).says(&["cluster: east  # flag --cluster"]);
    let path = file(directory.path(), "dump.yaml", shown.out);
    millrace(&format!("config check --config {}", path.display())).exits(0).says(&["the settings are right"]);
    let json: serde_json::Value = serde_json::from_str(&millrace("config dump --json").exits(0).out).unwrap();
    assert_eq!(json["settings"]["store"]["cap_days"], 8);
    assert_eq!(json["sources"]["store.cap_days"], "default");
    let schema: serde_json::Value = serde_json::from_str(&millrace("config schema").exits(0).out).unwrap();
    assert_eq!(schema["additionalProperties"], false);
}

#[test]
fn doctor_answers_line_by_line_and_as_json() {
    let directory = tempfile::tempdir().unwrap();
    let said = support::on(directory.path(), "doctor");
    assert!(matches!(said.code, Some(0 | 1)), "{said:#?}");
    for check in
        ["kernel", "btf", "CAP_BPF", "CAP_PERFMON", "CAP_NET_ADMIN", "cgroup v2", "clock", "settings", "free space"]
    {
        assert!(said.out.contains(check), "{check} is not in {said:#?}");
    }
    let said = support::on(directory.path(), "doctor --json");
    let report: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(report["ok"], said.code == Some(0));
    for check in report["checks"].as_array().unwrap() {
        let state = check["state"].as_str().unwrap();
        assert!(check["name"].is_string() && check["found"].is_string(), "{check}");
        assert_eq!(check["fix"].is_string(), state != "ok", "what is not ok has a fix, and nothing else: {check}");
    }
    // Wrong settings are a finding of the doctor, not the end of it.
    let output = command().args(["doctor"]).env("MILLRACE_LOGG", "x").output().unwrap();
    support::Said::from(output).exits(1).says(&["fail  settings", "did you mean"]);
}

#[test]
fn hostile_text_in_arguments_and_settings_reaches_no_terminal() {
    let output = command().args(["config", "check", "--node", "\u{1b}[2Jx"]).output().unwrap();
    let said = support::Said::from(output).exits(2);
    assert!(!said.err.contains('\u{1b}'), "{said:#?}");
    let output = command().args(["config", "check"]).env("MILLRACE_LOG__\u{1b}[31m", "x").output().unwrap();
    let said = support::Said::from(output).exits(2);
    assert!(!said.err.contains('\u{1b}'), "{said:#?}");
}
