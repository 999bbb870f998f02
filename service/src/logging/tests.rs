use std::io::Write;
use std::sync::{Arc, Mutex};

use tracing::{debug, error, info, info_span, warn};

use super::*;

/// Collects what is written.
#[derive(Clone, Default)]
struct Page(Arc<Mutex<Vec<u8>>>);

impl Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Returns what is logged at a level in one form.
fn logged(level: &str, human: bool, colour: bool, what: impl FnOnce()) -> String {
    let page = Page::default();
    let writer = page.clone();
    let settings = LogSettings { level: level.to_owned(), format: LogFormat::Auto };
    tracing::subscriber::with_default(settings.subscriber(human, colour, move || writer.clone()), what);
    let bytes = page.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

/// Returns a line without its time, which comes first.
fn without_time(line: &str) -> &str {
    line.split_once(' ').unwrap().1
}

#[test]
fn people_read_level_component_message_and_fields() {
    let line = logged("info", true, false, || {
        let error = io::Error::other("disk full");
        warn!(error = &error as &dyn std::error::Error, topic = "a b", tries = 3, "cannot commit offsets");
    });
    assert_eq!(without_time(&line), " WARN service: cannot commit offsets error=disk full topic=\"a b\" tries=3\n");
}

#[test]
fn spans_say_where() {
    let line = logged("info", true, false, || {
        info_span!("stage", name = "enricher").in_scope(|| info!("started"));
    });
    assert_eq!(without_time(&line), " INFO service: stage{name=enricher}: started\n");
}

#[test]
fn a_terminal_never_gets_what_it_would_obey() {
    let hostile = "x\x1b[2J\x07\nFAKE LINE\u{9b}31m";
    let lines = logged("info", true, true, || {
        info!(pod = hostile, shown = %hostile, debugged = ?hostile, "{hostile}");
        info_span!("s", name = %hostile).in_scope(|| error!("in span"));
    });
    assert_eq!(lines.lines().count(), 2, "{lines:?}");
    let uncoloured = lines.replace("\x1b[32m", "").replace("\x1b[31m", "").replace("\x1b[0m", "");
    assert!(!uncoloured.contains(|each: char| each.is_control() && each != '\n'), "{lines:?}");
}

#[test]
fn programs_read_one_object_a_line() {
    let lines = logged("info", false, false, || {
        info!(pod = "x\x1b[2J\n", count = 3, "seen");
        info!("again");
    });
    let objects: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(objects.len(), 2);
    assert_eq!(objects[0]["message"], "seen");
    assert_eq!(objects[0]["pod"], "x\x1b[2J\n");
    assert_eq!(objects[0]["count"], 3);
    assert_eq!(objects[0]["level"], "INFO");
    assert!(!lines.contains('\x1b'));
}

#[test]
fn levels_are_chosen_by_component() {
    let log = || {
        debug!("mine");
        debug!(target: "other::part", "theirs");
    };
    assert_eq!(logged("info", true, false, log), "");
    assert_eq!(logged("info,service=debug", true, false, log).lines().count(), 1);
    assert_eq!(logged("debug", true, false, log).lines().count(), 2);
}

#[test]
fn a_wrong_level_is_a_problem() {
    let resolve = |level: &str| {
        let mut problems = Problems::default();
        let raw = RawLogSettings { level: Some(level.to_owned()), format: None };
        LogSettings::resolve(raw, &mut problems);
        problems.iter().next().map(|problem| problem.reason.clone())
    };
    for good in ["info", "warn,probe=debug", "off", "probe=trace"] {
        assert_eq!(resolve(good), None, "{good}");
    }
    for bad in ["loud", "info,probe=lots", "", "probe", "[=info", "info,,"] {
        assert!(resolve(bad).is_some(), "{bad}");
    }
    assert_eq!(
        resolve("loud").unwrap(),
        "`loud` is no level; use error, warn, info, debug, trace or off, alone or as `component=level`"
    );
}
