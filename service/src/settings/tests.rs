use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::*;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Raw {
    cluster: Option<String>,
    node: Option<String>,
    probe: RawProbe,
    store: Option<RawStore>,
    /// Any names.
    labels: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct RawProbe {
    window: Option<Period>,
    ring: Option<Size>,
    ports: Option<Vec<u16>>,
    aggregation: Option<Aggregation>,
    loopback: Option<bool>,
    share: Option<f64>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct RawStore {
    password: Option<Secret>,
    tables: Option<Vec<RawTable>>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct RawTable {
    name: Option<String>,
    rows: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Aggregation {
    None,
    SourcePort,
}

/// A settings file that goes away with the test.
struct Yaml(tempfile::NamedTempFile);

impl Yaml {
    fn new(text: impl AsRef<[u8]>) -> Self {
        let mut file = tempfile::Builder::new().prefix("settings").suffix(".yaml").tempfile().unwrap();
        file.write_all(text.as_ref()).unwrap();
        Self(file)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn sources(&self) -> Sources {
        Sources::default().file(self.path())
    }

    /// Loads it and returns the problems, a line each, with a short name for the file.
    fn problems(&self) -> Vec<String> {
        problems(&self.sources(), self.path())
    }
}

fn problems(sources: &Sources, file: &Path) -> Vec<String> {
    let problems = load::<Raw>(sources).unwrap().problems;
    problems.iter().map(|problem| problem.to_string().replace(&*file.to_string_lossy(), "f.yaml")).collect()
}

fn clean(sources: &Sources) -> Raw {
    let (raw, problems) = load::<Raw>(sources).unwrap().into_parts();
    assert!(problems.is_empty(), "{problems}");
    raw
}

fn environment(pairs: &[(&str, &str)]) -> Sources {
    Sources::default().environment("MILLRACE_", pairs.iter().map(|(name, value)| (name.into(), value.into())))
}

fn seconds(seconds: u64) -> Option<Period> {
    Some(Period::new(Duration::from_secs(seconds)))
}

#[test]
fn nothing_given_is_all_defaults() {
    assert_eq!(clean(&Sources::default()), Raw::default());
    for empty in ["", "# only comments\n", "probe:\n", "probe: {}\nstore:\n", "---\n"] {
        let raw = clean(&Yaml::new(empty).sources());
        assert_eq!(raw.probe, RawProbe::default(), "{empty}");
    }
}

#[test]
fn later_sources_win_key_by_key() {
    let file = Yaml::new("cluster: file\nnode: file\nprobe:\n  window: 10s\n  ring: 1MiB\n  loopback: true\n");
    let raw = clean(
        &file
            .sources()
            .environment(
                "MILLRACE_",
                [("MILLRACE_NODE".into(), "env".into()), ("MILLRACE_PROBE__WINDOW".into(), "20s".into())],
            )
            .flag("probe.window", "--window", "30s")
            .flag("probe.ports", "--port", json!([80, 443])),
    );
    assert_eq!(raw.cluster.as_deref(), Some("file"));
    assert_eq!(raw.node.as_deref(), Some("env"));
    assert_eq!(raw.probe.window, seconds(30));
    assert_eq!(raw.probe.ring, Some(Size::bytes(1 << 20)));
    assert_eq!(raw.probe.ports, Some(vec![80, 443]));
    assert_eq!(raw.probe.loopback, Some(true));
}

#[test]
fn text_is_read_as_what_the_key_wants() {
    let raw = clean(&environment(&[
        ("MILLRACE_NODE", "1234"),
        ("MILLRACE_CLUSTER", "true"),
        ("MILLRACE_PROBE__PORTS", "80, 443,"),
        ("MILLRACE_PROBE__LOOPBACK", "true"),
        ("MILLRACE_PROBE__SHARE", "0.5"),
        ("MILLRACE_PROBE__RING", "65536"),
        ("MILLRACE_PROBE__AGGREGATION", "source-port"),
        ("MILLRACE_STORE__PASSWORD", "0123"),
        ("MILLRACE_LABELS__ZONE", "7"),
        ("MILLRACE_STORE__TABLES", "[{name: a, rows: 3}]"),
    ]));
    assert_eq!(raw.node.as_deref(), Some("1234"));
    assert_eq!(raw.cluster.as_deref(), Some("true"));
    assert_eq!(raw.probe.ports, Some(vec![80, 443]));
    assert_eq!(raw.probe.loopback, Some(true));
    assert_eq!(raw.probe.share, Some(0.5));
    assert_eq!(raw.probe.ring, Some(Size::bytes(65536)));
    assert_eq!(raw.probe.aggregation, Some(Aggregation::SourcePort));
    let store = raw.store.unwrap();
    assert_eq!(store.password, Some(Secret::new("0123")));
    assert_eq!(raw.labels.get("zone").map(String::as_str), Some("7"));
    assert_eq!(store.tables, Some(vec![RawTable { name: Some("a".to_owned()), rows: Some(3) }]));
}

#[test]
fn every_problem_is_found_at_once_with_its_place() {
    let file = Yaml::new(
        "clustr: x\nprobe:\n  window: soon\n  rings: 1\n  ports: [80, http, 443, 70000]\n  aggregation: some\n\
         store:\n  tables:\n    - rows: 1\n    - rows: many\n      nmae: a\nwindow: 15s\n",
    );
    let sources = file
        .sources()
        .environment("MILLRACE_", [("MILLRACE_PROBE__LOOPBACK".into(), "perhaps".into())])
        .flag("probe.share", "--share", "half");
    assert_eq!(
        problems(&sources, file.path()),
        [
            "clustr (f.yaml:1:9): unknown key; did you mean `cluster`?",
            "probe.rings (f.yaml:4:10): unknown key; did you mean `probe.ring`?",
            "store.tables[1].nmae (f.yaml:11:13): unknown key; did you mean `store.tables[1].name`?",
            "window (f.yaml:12:9): unknown key; did you mean `probe.window`?",
            "probe.aggregation (f.yaml:6:16): unknown variant `some`, expected `none` or `source-port`",
            "probe.loopback (environment MILLRACE_PROBE__LOOPBACK): invalid type: string \"perhaps\", expected a boolean",
            "probe.ports[1] (f.yaml:5:15): invalid type: string \"http\", expected u16",
            "probe.ports[3] (f.yaml:5:26): invalid value: integer `70000`, expected u16",
            "probe.share (flag --share): invalid type: string \"half\", expected f64",
            "probe.window (f.yaml:3:11): `soon` needs a number and a unit, such as `30s`, `15m` or `8d`",
            "store.tables[1].rows (f.yaml:10:13): invalid type: string \"many\", expected u32",
        ]
    );
}

#[test]
fn what_is_wrong_does_not_take_what_is_right_with_it() {
    let file = Yaml::new("node: n1\nprobe: {window: soon, ring: 1MiB, ports: [1, x, 3]}\n");
    let raw = load::<Raw>(&file.sources()).unwrap().raw;
    assert_eq!(raw.node.as_deref(), Some("n1"));
    assert_eq!(
        raw.probe,
        RawProbe { ring: Some(Size::bytes(1 << 20)), ports: Some(vec![1, 3]), ..RawProbe::default() }
    );
}

#[test]
fn a_value_in_place_of_a_section_is_named() {
    assert_eq!(
        Yaml::new("probe: 5\n").problems(),
        ["probe (f.yaml:1:8): invalid type: integer `5`, expected struct RawProbe"]
    );
    let file = Yaml::new("probe: 5\n");
    let sources = file.sources().flag("probe.window", "--window", "1s");
    assert_eq!(problems(&sources, file.path()), ["probe (f.yaml:1:8): must be a section with keys, but is a number"]);
}

#[test]
fn unknown_keys_far_from_any_list_what_there_is() {
    assert_eq!(
        Yaml::new("probe: {xyzzy: 1}\n").problems(),
        ["probe.xyzzy (f.yaml:1:16): unknown key; known here: aggregation, loopback, ports, ring, share, window"]
    );
}

#[test]
fn a_key_that_is_not_nested_is_understood() {
    assert_eq!(
        Yaml::new("probe.window: 1s\n").problems(),
        ["probe.window (f.yaml:1:15): unknown key; did you mean `probe.window`?"]
    );
    assert_eq!(
        problems(&environment(&[("MILLRACE_PROBE_WINDOW", "1s")]), Path::new("-")),
        ["probe_window (environment MILLRACE_PROBE_WINDOW): unknown key; did you mean `probe.window`?"]
    );
}

#[test]
fn names_are_free_where_the_type_leaves_them_free() {
    let raw = clean(&Yaml::new("labels: {anything: x, else.entirely: y, country: no}\n").sources());
    assert_eq!(raw.labels.len(), 3);
}

#[test]
fn a_file_that_cannot_be_used_is_one_problem() {
    let missing = Sources::default().file("/nonexistent/f.yaml");
    assert_eq!(
        problems(&missing, Path::new("-")),
        ["/nonexistent/f.yaml: cannot be read: No such file or directory (os error 2)"]
    );
    assert_eq!(Yaml::new("- 1\n").problems(), ["f.yaml:1:1: must be a mapping of keys to values"]);
    assert_eq!(
        Yaml::new([b'a', b':', b' ', 0xff]).problems(),
        ["f.yaml: is not UTF-8: invalid utf-8 sequence of 1 bytes from index 3"]
    );
    let big = "#".repeat(MAX_FILE_BYTES + 1);
    assert_eq!(Yaml::new(big).problems(), ["f.yaml: has more than 1048576 bytes"]);
    assert_eq!(
        problems(&Sources::default().file("/dev/zero"), Path::new("/dev/zero")),
        ["f.yaml: has more than 1048576 bytes"]
    );
}

#[test]
fn malformed_yaml_names_the_line() {
    for (text, line) in [
        ("a: [1, 2\n", 1),
        ("cluster: x\ncluster: y\n", 2),
        ("cluster: 'x\n", 1),
        ("cluster: x\n\tnode: y\n", 2),
        ("a: *nowhere\n", 1),
        ("? [a]\n: b\n", 1),
        ("cluster: a\n---\ncluster: b\n", 2),
        ("probe: {share: .nan}\n", 1),
        ("'': 1\n", 1),
    ] {
        let problems = Yaml::new(text).problems();
        assert_eq!(problems.len(), 1, "{text:?}: {problems:?}");
        let place = problems[0].split(':').nth(1).unwrap().parse::<u64>();
        assert!(place.is_ok_and(|found| found.abs_diff(line) <= 1), "{text:?}: {problems:?}");
    }
}

#[test]
fn bombs_do_not_go_off() {
    let mut laughs = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let inner = vec![format!("*a{}", level - 1); 10].join(", ");
        laughs.push_str(&format!("a{level}: &a{level} [{inner}]\n"));
    }
    let deep = format!("a: {}{}\n", "[".repeat(5000), "]".repeat(5000));
    let block_deep: String = (0..2000).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    let wide = format!("a: [{}]\n", "1,".repeat(400_000));
    let started = std::time::Instant::now();
    for (name, text) in [("laughs", laughs), ("deep", deep), ("block", block_deep), ("wide", wide)] {
        let problems = Yaml::new(text).problems();
        assert!(!problems.is_empty() && problems[0].starts_with("f.yaml"), "{name}: {problems:?}");
    }
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[test]
fn a_thousand_misfits_end_with_a_bounded_report() {
    let keys: String = (0..1000).map(|index| format!("  - {{rows: x{index}}}\n")).collect();
    let file = Yaml::new(format!("store:\n  tables:\n{keys}"));
    let problems = load::<Raw>(&file.sources()).unwrap().problems;
    assert_eq!(problems.iter().count(), 100);
    assert_eq!(problems.to_string().lines().count(), 52);
    let unknown: String = (0..20_000).map(|index| format!("k{index}: 1\n")).collect();
    let started = std::time::Instant::now();
    let problems = Yaml::new(unknown).problems();
    assert_eq!(problems.len(), 20_000);
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[test]
fn hostile_keys_and_values_are_shown_harmless() {
    let shown = Yaml::new("\"a\\e[2J\\nb\": 1\nprobe: {window: \"\\e]0;x\\a\"}\n").problems().join("\n");
    assert!(!shown.contains(|each: char| each.is_control() && each != '\n'), "{shown:?}");
    assert!(shown.contains("a\\u{1b}[2J\\nb"), "{shown}");
    let long = format!("node: {{{}: 1}}\n", "x".repeat(900));
    assert!(Yaml::new(long).problems()[0].len() < 700);
}

#[test]
fn a_secret_is_never_shown() {
    let file = Yaml::new("store: {password: hunter2}\n");
    let (raw, problems) = load::<Raw>(&file.sources()).unwrap().into_parts();
    assert_eq!(raw.store.as_ref().unwrap().password.as_ref().unwrap().expose(), "hunter2");
    let dump = problems.dump(serde_json::to_value(&raw).unwrap());
    for shown in [format!("{raw:?}"), dump.to_string(), dump.to_json().to_string()] {
        assert!(shown.contains("***") && !shown.contains("hunter2"), "{shown}");
    }
    for wrong in ["4711", "47.11", "-4711", "[4711]", "{a: 4711}"] {
        let problems = Yaml::new(format!("store: {{password: {wrong}}}\n")).problems();
        assert!(problems.len() == 1 && !problems[0].contains("47"), "{problems:?}");
    }
}

#[test]
fn the_dump_names_sources_and_loads_again() {
    let file =
        Yaml::new("cluster: prod\nprobe:\n  window: 10s\n  ports: [80]\nlabels: {a: \"yes\", b: \"x: y\\u0085\"}\n");
    let sources = file.sources().flag("node", "--node", "n 1");
    let (raw, problems) = load::<Raw>(&sources).unwrap().into_parts();
    let dump = problems.dump(serde_json::to_value(&raw).unwrap());
    let text = dump.to_string().replace(&*file.path().to_string_lossy(), "f.yaml");
    assert!(text.contains("cluster: prod  # f.yaml:1:10\n"), "{text}");
    assert!(text.contains("node: \"n 1\"  # flag --node\n"), "{text}");
    assert!(text.contains("  loopback: null  # default\n"), "{text}");
    assert!(text.contains("  ports: [80]  # f.yaml:4:10\n"), "{text}");
    assert_eq!(dump.to_json()["sources"]["node"], json!("flag --node"));
    assert_eq!(clean(&Yaml::new(text).sources()), raw);
}

#[test]
fn problems_of_resolving_know_their_source_too() {
    let file = Yaml::new("probe: {window: 1s}\n");
    let mut problems = load::<Raw>(&file.sources()).unwrap().problems;
    assert_eq!(problems.in_range("probe.share", 7, &(1..=5)), 5);
    assert_eq!(problems.take::<u8, _>("probe.window", Err("too short")), None);
    assert!(problems.check("node", true, String::new));
    let shown = problems.to_string().replace(&*file.path().to_string_lossy(), "f.yaml");
    assert_eq!(
        shown,
        "2 settings are wrong:\n  probe.share (default): must lie between 1 and 5, but is 7\n  \
         probe.window (f.yaml:1:17): too short"
    );
    assert!(problems.into_result(()).is_err());
    assert!(Problems::default().into_result(()).is_ok());
}

#[test]
fn the_schema_describes_every_key() {
    let schema = schema::<Raw>();
    assert_eq!(schema["additionalProperties"], Value::Bool(false));
    assert!(schema["properties"]["probe"].is_object());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn no_file_breaks_it(text in "[a-z:{}\\[\\],&*!|>'\"#%@ \n0-9.~-]{0,80}") {
        let _ = file::parse(Path::new("f"), &text);
    }

    #[test]
    fn no_variable_breaks_it(name in "MILLRACE_[A-Z_]{0,20}", value in any::<String>()) {
        let _ = load::<Raw>(&environment(&[(&name, &value)])).unwrap();
    }

    #[test]
    fn any_text_survives_the_dump(text in any::<String>(), key in any::<String>()) {
        prop_assume!(!key.is_empty());
        let dump = Problems::default().dump(json!({ "labels": { key.clone(): text.clone() }, "list": [text.clone()] })).to_string();
        prop_assert!(!dump.contains(|each: char| each.is_control() && each != '\n'));
        let tree = file::parse(Path::new("f"), &dump).unwrap();
        prop_assert_eq!(&tree.value["list"][0], &tree.value["labels"][&key]);
        prop_assert_eq!(&tree.value["labels"][&key], &Value::from(text));
    }
}
