//! Manifests that are wrong on purpose: typed reports with a place, no panic, bounded work.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;

/// One whole cluster, of every kind that is read.
const GOOD: &str = include_str!("cluster.yaml");

#[test]
fn the_good_one_is_good() {
    let (objects, reports) = parsed(GOOD);
    assert_eq!(reports, [""; 0]);
    assert_eq!(objects.len(), 11);
}

#[test]
fn bombs_of_aliases_depth_and_width_are_refused() {
    let laughs = (1..12).fold("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned(), |text, n| {
        let last = n - 1;
        text + &format!("a{n}: &a{n} [{}]\n", vec![format!("*a{last}"); 10].join(", "))
    });
    let nested = format!("a: {}{}", "[".repeat(100_000), "]".repeat(100_000));
    let indented: String = (0..5_000).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    let wide = format!("[{}]", "1,".repeat(3_000_000));
    let merges = (0..20_000).fold("a: &a {k: v}\n".to_owned(), |text, n| text + &format!("b{n}: {{<<: *a}}\n"));
    let marks = "---\nx\n".repeat(100_000);
    let started = Instant::now();
    for (name, text) in [
        ("laughs", laughs),
        ("nested", nested),
        ("indented", indented),
        ("wide", wide),
        ("merges", merges),
        ("marks", marks),
    ] {
        for file in ["a.yaml", "a.json"] {
            let (objects, invalid) = parse(file, text.as_bytes(), Limits::default());
            assert!(objects.is_empty(), "{name}");
            assert!((1..=101).contains(&invalid.len()), "{name} in {file}: {} reports", invalid.len());
            let longest = invalid.iter().map(|report| report.to_string().len()).max();
            assert!(longest < Some(600), "{name} in {file}: {longest:?}");
        }
    }
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
}

#[test]
fn bytes_that_are_no_text() {
    for bytes in [&b"\xff\xfe{\x00}\x00"[..], b"kind: \xc3\x28", b"\n\n\x80", b"\x00\x00\x00"] {
        let (objects, invalid) = parse("a.yaml", bytes, Limits::default());
        assert!(objects.is_empty() && invalid.len() == 1, "{bytes:?}: {invalid:?}");
        assert!(invalid[0].line > 0);
    }
}

/// Every scalar, list and map of the good cluster replaced by everything that it should not be.
#[test]
fn every_field_with_every_wrong_value() {
    let wrong: Vec<serde_json::Value> = vec![
        serde_json::json!(null),
        serde_json::json!(true),
        serde_json::json!(-1),
        serde_json::json!(1.5),
        serde_json::json!(u64::MAX),
        serde_json::json!(""),
        serde_json::json!("-"),
        serde_json::json!("\u{202e}\u{0}\n\u{1b}[31m"),
        serde_json::json!("x".repeat(100_000)),
        serde_json::json!([]),
        serde_json::json!([[null, {"a": []}]]),
        serde_json::json!({}),
        serde_json::json!({"": {"": 7}}),
    ];
    let mut tried = 0;
    for document in GOOD.split("---\n") {
        let good: serde_json::Value = serde_saphyr::from_str(document).unwrap();
        let places = places(&good);
        for place in &places {
            for value in &wrong {
                let mut bad = good.clone();
                *bad.pointer_mut(place).unwrap() = value.clone();
                let text = serde_json::to_vec(&bad).unwrap();
                for file in ["a.json", "a.yaml"] {
                    let (objects, invalid) = parse(file, &text, Limits::default());
                    let read = objects.len() + usize::from(!objects.other_kinds.is_empty());
                    assert!(read + invalid.len() == 1 || bad.is_null(), "{place} {value}: {invalid:?}");
                    for report in &invalid {
                        assert!(report.line == 1 && !report.to_string().contains(char::is_control), "{report}");
                        assert!(report.to_string().len() < 2_000, "{report}");
                    }
                    tried += 1;
                }
            }
        }
    }
    assert!(tried > 1_000, "{tried}");
}

fn places(value: &serde_json::Value) -> Vec<String> {
    let mut all = vec![String::new()];
    match value {
        serde_json::Value::Object(fields) => {
            for (name, inner) in fields {
                let name = name.replace('~', "~0").replace('/', "~1");
                all.extend(places(inner).into_iter().map(|rest| format!("/{name}{rest}")));
            }
        }
        serde_json::Value::Array(items) => {
            for (place, inner) in items.iter().enumerate() {
                all.extend(places(inner).into_iter().map(|rest| format!("/{place}{rest}")));
            }
        }
        _ => {}
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn cut_off_anywhere(at in 0..GOOD.len()) {
        // Cut at a whole character; what is before the cut document still loads.
        let cut = (0..=at).rev().find(|at| GOOD.is_char_boundary(*at)).unwrap();
        let whole = GOOD[..cut].matches("---\n").count();
        let (objects, _) = parsed(&GOOD[..cut]);
        prop_assert!(objects.len() >= whole, "{} of {whole}", objects.len());
    }

    #[test]
    fn with_bytes_changed(changes in proptest::collection::vec((0..GOOD.len(), any::<u8>()), 1..20)) {
        let mut bytes = GOOD.as_bytes().to_vec();
        for (at, byte) in changes {
            bytes[at] = byte;
        }
        for file in ["a.yaml", "a.json"] {
            let (_, invalid) = parse(file, &bytes, Limits::default());
            for report in invalid {
                prop_assert!(!report.to_string().contains(char::is_control));
            }
        }
    }

    #[test]
    fn with_lines_moved(lines in Just(GOOD.lines().collect::<Vec<_>>()).prop_shuffle()) {
        let (objects, reports) = parsed(&lines.join("\n"));
        prop_assert!(objects.len() <= 11 && reports.len() <= 101);
    }

    #[test]
    fn any_text_at_all(text in "\\PC{0,200}|[-:\\[\\]{}&*!|>'\"%@`#, \n\ta]{0,200}") {
        parsed(&text);
    }
}
