//! Records of a while ago are joined with what held then, and with what was learnt since of that time.

use super::*;
use crate::History;

fn pod(name: &str, start: Option<&str>) -> String {
    let start = start.map_or_else(String::new, |start| format!("startTime: '{start}', "));
    format!(
        "---\n{{apiVersion: v1, kind: Pod, metadata: {{name: {name}, namespace: shop, uid: uid-{name}}}, \
         status: {{{start}podIPs: [{{ip: 10.0.0.1}}]}}}}\n"
    )
}

fn history(steps: &[(&str, &str)]) -> History {
    let mut steps = steps.iter().map(|(from, yaml)| (at(from), Arc::new(snapshot(yaml))));
    let (from, first) = steps.next().unwrap();
    steps.fold(History::new(first, from), |history, (from, next)| history.with(next, from))
}

fn held(history: &History, when: &str) -> String {
    word(history.at(at(when)).address(ip("10.0.0.1")))
}

#[test]
fn the_snapshot_of_the_time_counts() {
    let a = pod("a", None);
    let history = history(&[("2026-01-01T12:00:00Z", &a), ("2026-01-01T12:01:00Z", "")]);
    assert_eq!(held(&history, "2026-01-01T11:00:00Z"), "pod a", "the first stands for all time before it");
    assert_eq!(held(&history, "2026-01-01T12:00:59Z"), "pod a");
    assert_eq!(held(&history, "2026-01-01T12:01:00Z"), "nobody");
}

#[test]
fn a_pod_read_after_it_began_to_speak() {
    let b = pod("b", Some("2026-01-01T12:00:30Z"));
    let history = history(&[("2026-01-01T12:00:00Z", ""), ("2026-01-01T12:01:00Z", &b)]);
    assert_eq!(held(&history, "2026-01-01T12:00:40Z"), "pod b");
    assert_eq!(held(&history, "2026-01-01T12:00:10Z"), "nobody");
}

#[test]
fn a_successor_read_late_takes_over_from_its_start() {
    let (a, b) = (pod("a", None), pod("b", Some("2026-01-01T12:00:30Z")));
    let history = history(&[("2026-01-01T12:00:00Z", &a), ("2026-01-01T12:01:00Z", &b)]);
    assert_eq!(held(&history, "2026-01-01T12:00:20Z"), "pod a");
    assert_eq!(held(&history, "2026-01-01T12:00:31Z"), "ambiguous, pods", "clocks may differ");
    assert_eq!(held(&history, "2026-01-01T12:00:32Z"), "pod b");
    assert_eq!(held(&history, "2026-01-01T12:01:30Z"), "pod b");
}

#[test]
fn a_uid_is_found_in_any_snapshot() {
    let (a, b) = (pod("a", None), pod("b", None));
    let history = history(&[("2026-01-01T12:00:00Z", &a), ("2026-01-01T12:01:00Z", &b)]);
    for when in ["2026-01-01T12:00:30Z", "2026-01-01T12:01:30Z"] {
        let view = history.at(at(when));
        assert!(view.pod("uid-a").is_some() && view.pod("uid-b").is_some() && view.pod("uid-c").is_none());
    }
}

#[test]
fn history_is_bounded_and_keeps_the_newest() {
    let first = History::new(Arc::new(snapshot("")), UnixMs(0));
    let last =
        (1..100).fold(first, |history, n| history.with(Arc::new(snapshot(&pod(&format!("p{n}"), None))), UnixMs(n)));
    assert_eq!(word(last.at(UnixMs(99)).address(ip("10.0.0.1"))), "pod p99");
    assert_eq!(word(last.at(UnixMs(0)).address(ip("10.0.0.1"))), "pod p84", "the oldest that is kept");
}

#[test]
fn a_clock_that_goes_back_does_not_reorder() {
    let (a, b) = (pod("a", None), pod("b", None));
    let history = history(&[("2026-01-01T12:00:00Z", &a), ("2026-01-01T11:00:00Z", &b)]);
    assert_eq!(held(&history, "2026-01-01T12:00:00Z"), "pod b");
    assert_eq!(held(&history, "2026-01-01T11:30:00Z"), "pod a");
}
