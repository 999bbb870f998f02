//! What was measured, to read and as JSON.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use anyhow::Context as _;
use serde::Serialize;

use crate::statistics::Spread;

/// Everything that one run measured.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    machine: Vec<String>,
    parts: Vec<Measured>,
}

/// What one part measured.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Measured {
    part: &'static str,
    /// Why it was left out, if it was.
    skipped: Option<String>,
    tables: Vec<Table>,
    figures: Vec<Figure>,
    notes: Vec<String>,
    /// What failed or was lost; not empty makes the whole run a failure.
    failures: Vec<String>,
}

/// Rows under one head; the first column names what the row is about.
#[derive(Debug, Serialize)]
pub(crate) struct Table {
    title: String,
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

/// One figure of the summary.
#[derive(Debug, Serialize)]
pub(crate) struct Figure {
    what: String,
    unit: &'static str,
    measured: Spread,
    goal: Goal,
    met: Option<bool>,
}

/// What a figure is held against.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Goal {
    /// Its median should be at most this.
    AtMost(f64),
    /// It should be at most this in every turn.
    NeverAbove(f64),
    /// Nothing was promised.
    Told,
}

impl Goal {
    /// Says whether a figure meets the goal; there is no answer where there is no goal.
    pub(crate) fn met_by(self, figure: Spread) -> Option<bool> {
        match self {
            Self::AtMost(most) => Some(figure.median <= most),
            Self::NeverAbove(most) => Some(figure.max <= most),
            Self::Told => None,
        }
    }
}

impl Measured {
    /// Begins the answer of a part.
    pub(crate) fn new(part: &'static str) -> Self {
        Self { part, ..Self::default() }
    }

    /// Returns the answer of a part that cannot be measured here.
    pub(crate) fn skipped(part: &'static str, why: String) -> Self {
        Self { part, skipped: Some(why), ..Self::default() }
    }

    /// Adds a table.
    pub(crate) fn table(&mut self, title: impl Into<String>, head: &[&str], rows: Vec<Vec<String>>) {
        let head = head.iter().map(|&text| text.to_owned()).collect();
        self.tables.push(Table { title: title.into(), head, rows });
    }

    /// Adds a figure to the summary, if it could be measured.
    pub(crate) fn figure(&mut self, what: impl Into<String>, unit: &'static str, measured: Option<Spread>, goal: Goal) {
        let what = what.into();
        match measured {
            Some(measured) => {
                let met = goal.met_by(measured);
                self.figures.push(Figure { what, unit, measured, goal, met });
            }
            None => self.failures.push(format!("{what} could not be measured")),
        }
    }

    /// Adds a line below the tables.
    pub(crate) fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    /// Says that a run failed or lost something.
    pub(crate) fn fail(&mut self, text: impl Into<String>) {
        self.failures.push(text.into());
    }

    /// Prints the part.
    pub(crate) fn print(&self) {
        say(&format!("\n== {} ==", self.part));
        if let Some(why) = &self.skipped {
            say(why);
            complain(why);
        }
        for table in &self.tables {
            say(&format!("\n{}", table.title));
            say(&in_columns(&table.head, &table.rows));
        }
        for note in &self.notes {
            say(&format!("- {note}"));
        }
        for failure in &self.failures {
            say(&format!("FAILED: {failure}"));
        }
    }
}

impl Report {
    /// Begins a report on a machine.
    pub(crate) fn new(machine: Vec<String>) -> Self {
        Self { machine, parts: Vec::new() }
    }

    /// Prints what is known before anything is measured.
    pub(crate) fn print_head(&self) {
        say("Each figure is the median of all turns, with the least and the most in brackets.");
        self.machine.iter().for_each(|line| say(line));
    }

    /// Adds a part.
    pub(crate) fn add(&mut self, part: Measured) {
        self.parts.push(part);
    }

    /// Says whether a run failed or lost something.
    pub(crate) fn failed(&self) -> bool {
        self.parts.iter().any(|part| !part.failures.is_empty())
    }

    /// Prints all figures beside their goals.
    pub(crate) fn print_summary(&self) {
        say("\n== summary ==");
        let mut rows = Vec::new();
        for part in &self.parts {
            if let Some(why) = &part.skipped {
                rows.push(vec![why.clone(), "-".to_owned(), "-".to_owned(), "skipped".to_owned()]);
            }
            for figure in &part.figures {
                let goal = match figure.goal {
                    Goal::AtMost(most) | Goal::NeverAbove(most) => format!("≤ {} {}", plain(most), figure.unit),
                    Goal::Told => "-".to_owned(),
                };
                let met = match figure.met {
                    Some(true) => "met",
                    Some(false) => "MISSED",
                    None => "-",
                };
                rows.push(vec![
                    figure.what.clone(),
                    format!("{} {}", spread(figure.measured), figure.unit),
                    goal,
                    met.to_owned(),
                ]);
            }
            rows.extend(part.failures.iter().map(|failure| {
                vec![format!("{}: {failure}", part.part), "-".to_owned(), "-".to_owned(), "FAILED".to_owned()]
            }));
        }
        let head = ["figure", "measured", "goal", ""].map(str::to_owned);
        say(&in_columns(&head, &rows));
    }

    /// Writes everything to a file.
    pub(crate) fn write_json(&self, path: &Path) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        fs::write(path, text + "\n").with_context(|| format!("cannot write `{}`", path.display()))
    }
}

/// Writes a spread as `median (min–max)`.
pub(crate) fn spread(spread: Spread) -> String {
    format!("{} ({}–{})", plain(spread.median), plain(spread.min), plain(spread.max))
}

/// Writes the spread of some numbers, or a dash.
pub(crate) fn spread_of(numbers: impl IntoIterator<Item = f64>) -> String {
    Spread::of(numbers).map_or_else(|| "-".to_owned(), spread)
}

/// Writes a number with about three digits that count.
pub(crate) fn plain(number: f64) -> String {
    match number.abs() {
        size if size >= 100.0 => grouped(number),
        size if size >= 10.0 => format!("{number:.1}"),
        0.0 => "0".to_owned(),
        _ => format!("{number:.2}"),
    }
}

/// Writes a whole number with a space between thousands.
fn grouped(number: f64) -> String {
    let digits = format!("{:.0}", number.abs());
    let mut text = if number < 0.0 { "-".to_owned() } else { String::new() };
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// Lays rows out in columns: the first to the left, numbers to the right.
fn in_columns(head: &[String], rows: &[Vec<String>]) -> String {
    let width = |at: usize| {
        let cells = std::iter::once(head).chain(rows.iter().map(Vec::as_slice)).filter_map(|row| row.get(at));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |row: &[String]| {
        let cells =
            row.iter().zip(&widths).enumerate().map(|(at, (cell, &width))| {
                if at == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
            });
        format!("  {}", cells.collect::<Vec<_>>().join("  ")).trim_end().to_owned()
    };
    let rule = format!("  {}", "-".repeat(widths.iter().sum::<usize>() + 2 * widths.len().saturating_sub(1)));
    [line(head), rule].into_iter().chain(rows.iter().map(|row| line(row))).collect::<Vec<_>>().join("\n")
}

/// Prints a line. A reader that went away is no reason to stop: the JSON file may still be wanted.
pub(crate) fn say(line: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Prints a line about the run itself.
pub(crate) fn complain(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_about_three_digits() {
        for (number, text) in
            [(0.0, "0"), (0.126, "0.13"), (9.99, "9.99"), (12.34, "12.3"), (999.6, "1 000"), (-1234567.0, "-1 234 567")]
        {
            assert_eq!(plain(number), text);
        }
    }

    #[test]
    fn a_goal_is_met_at_its_edge() {
        let figure = Spread { median: 12.0, min: 11.0, max: 20.0 };
        assert_eq!(Goal::AtMost(12.0).met_by(figure), Some(true));
        assert_eq!(Goal::AtMost(11.99).met_by(figure), Some(false));
        assert_eq!(Goal::NeverAbove(20.0).met_by(figure), Some(true));
        assert_eq!(Goal::NeverAbove(12.0).met_by(figure), Some(false));
        assert_eq!(Goal::Told.met_by(figure), None);
    }

    #[test]
    fn columns_stand_under_their_heads() {
        let head = ["what", "n"].map(str::to_owned);
        let rows = vec![vec!["a".to_owned(), "100".to_owned()], vec!["longer".to_owned(), "µ".to_owned()]];
        let lines: Vec<String> = in_columns(&head, &rows).lines().map(str::to_owned).collect();
        assert_eq!(lines, ["  what      n", "  -----------", "  a       100", "  longer    µ"]);
    }

    #[test]
    fn what_was_lost_fails_the_report_and_a_missed_goal_does_not() {
        let mut report = Report::new(Vec::new());
        let mut part = Measured::new("run");
        part.figure("memory", "MiB", Spread::of([400.0]), Goal::AtMost(300.0));
        report.add(part);
        assert!(!report.failed());
        let mut part = Measured::new("run");
        part.fail("3 of 10 records are missing");
        report.add(part);
        assert!(report.failed());
    }
}
