//! Part `probe`: what the user space of `millrace probe` costs an event and a record, and how much memory it holds.
//!
//! Its limit is a process that drains the same rings of the same hooks and throws away what it reads.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use flow::wire::{RawValue, decode_raw};
use flow::{LedgerRecord, Reporter};

use crate::arguments::{Arguments, Part};
use crate::contender;
use crate::load::Load;
use crate::measured::{Process, pause};
use crate::network::{MAX_ADDRESSES, Network};
use crate::product;
use crate::reader::{READY, Read};
use crate::report::{Goal, Measured, plain, spread_of};
use crate::statistics::{Spread, number, per};

/// Longest time that a start or an orderly end may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// After the load: the last sockets close, and what is due at once leaves.
const SETTLE: Duration = Duration::from_millis(1500);

/// How many flow keys the load makes: few bring many events together in each record, many bring many records.
#[derive(Debug, Clone, Copy)]
struct Width {
    name: &'static str,
    addresses: u32,
    ports: u32,
}

const FEW: Width = Width { name: "8 flow keys an end", addresses: 1, ports: 8 };
const MANY: Width = Width { name: "2 000 flow keys an end", addresses: MAX_ADDRESSES, ports: 8 };

/// What one turn of the probe measured.
#[derive(Debug, Clone, Copy)]
struct Turn {
    connections: u64,
    cpu: Duration,
    peak_bytes: u64,
    told: Told,
    /// Of the reader in the same round.
    events_each: f64,
}

/// What the probe wrote.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Told {
    records: u64,
    bytes: u64,
    /// Attempts started, at the initiator's and at the receiver's end.
    started: [u64; 2],
    lost: u64,
    unexplained: i128,
    closed: bool,
}

impl Turn {
    fn per_event(&self) -> f64 {
        per(micros(self.cpu), number(self.connections) * self.events_each)
    }

    fn per_record(&self) -> f64 {
        per(micros(self.cpu), number(self.told.records))
    }

    fn mebibytes(&self) -> f64 {
        number(self.peak_bytes) / f64::from(1 << 20)
    }
}

/// Measures the part.
pub(crate) fn measure(arguments: &Arguments) -> Measured {
    let mut measured = Measured::new(Part::Probe.name());
    if let Err(error) = turns(arguments, &mut measured) {
        measured.fail(format!("{error:#}"));
    }
    measured
}

fn turns(arguments: &Arguments, measured: &mut Measured) -> anyhow::Result<()> {
    let binary = product::binary(arguments.millrace.as_deref())?;
    let network = Network::new().context("cannot make the namespaces of the load")?;
    let connections = arguments.size(60_000, 2_000);
    let (mut readers, mut few, mut many) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..arguments.turns() {
        let load = |width: Width| Load::on(&network, connections, width.addresses, width.ports);
        let read = read(&load(FEW)).context("the reader")?;
        let events_each = per(number(read.events), number(connections));
        readers.push((per(number(read.cpu_us), number(read.events)), events_each));
        for (width, turns) in [(FEW, &mut few), (MANY, &mut many)] {
            let turn = probe(&binary, &load(width), connections, events_each).context(width.name)?;
            check(width, &turn, measured);
            turns.push(turn);
        }
    }
    tell(&readers, &few, &many, measured);
    Ok(())
}

fn read(load: &Load) -> anyhow::Result<Read> {
    let mut process = contender::start("reader", &[])?;
    let mut out = BufReader::new(process.child().stdout.take().context("it has no output")?);
    let mut line = String::new();
    out.read_line(&mut line)?;
    ensure!(line.trim() == READY, "it did not start");
    load.make(|| {})?;
    pause(Duration::from_millis(300));
    drop(process.child().stdin.take());
    line.clear();
    out.read_line(&mut line)?;
    let cost = process.end(PATIENCE)?;
    ensure!(cost.status.success(), "it ended with {}", cost.status);
    serde_json::from_str(&line).with_context(|| format!("its answer `{line}` cannot be read"))
}

fn probe(binary: &Path, load: &Load, connections: u64, events_each: f64) -> anyhow::Result<Turn> {
    let state = tempfile::tempdir()?;
    let output = state.path().join("raw.jsonl");
    let mut command = product::command(binary);
    command.arg("probe").args(["--node", "bench", "--cluster", "bench"]);
    let mut process = Process::start(command.arg("--data-dir").arg(state.path()).arg("--output").arg(&output))?;
    // The first ledger is written as soon as everything is learnt that was there before.
    let last = Instant::now() + PATIENCE;
    while output.metadata().map_or(0, |file| file.len()) == 0 {
        ensure!(!process.has_ended()?, "it ended at once");
        ensure!(Instant::now() < last, "it wrote no ledger within {PATIENCE:?}");
        pause(Duration::from_millis(20));
    }
    let before = process.cpu()?;
    load.make(|| {
        let _ = process.has_ended();
    })?;
    pause(SETTLE);
    ensure!(!process.has_ended()?, "it ended under load");
    process.terminate()?;
    let cost = process.end(PATIENCE)?;
    ensure!(cost.status.success(), "it ended with {}", cost.status);
    let told = written(&output)?;
    Ok(Turn { connections, cpu: cost.cpu.saturating_sub(before), peak_bytes: cost.peak_bytes, told, events_each })
}

/// Reads what the probe wrote: all of it must be what it should be.
fn written(output: &Path) -> anyhow::Result<Told> {
    let mut told = Told::default();
    for line in BufReader::new(File::open(output)?).lines() {
        let line = line?;
        match decode_raw(line.as_bytes())? {
            RawValue::Flow(record) => {
                told.records += 1;
                told.bytes += line.len() as u64 + 1;
                let ours = record.destination().is_some_and(|to| to.ip.to_string().starts_with("10.94."));
                let end = match record.reporter {
                    Reporter::Src => 0,
                    Reporter::Dst => 1,
                    Reporter::Fwd => continue,
                };
                told.started[end] += if ours { record.counters.flows_started } else { 0 };
            }
            RawValue::Ledger(ledger) if ledger.closing => told.close(&ledger),
            RawValue::Ledger(_) => {}
        }
    }
    Ok(told)
}

impl Told {
    fn close(&mut self, ledger: &LedgerRecord) {
        self.closed = true;
        self.lost = ledger.attempts.iter().flat_map(|account| account.lost.values()).sum();
        self.unexplained = ledger.attempts.iter().map(|account| account.unexplained().abs()).sum();
    }
}

fn check(width: Width, turn: &Turn, measured: &mut Measured) {
    let Told { started, lost, unexplained, closed, .. } = turn.told;
    if started != [turn.connections; 2] || lost > 0 || unexplained > 0 || !closed {
        let account = if closed { "closed" } else { "not closed" };
        measured.fail(format!(
            "{}: of {} connections {started:?} attempts are in records (initiator, receiver); {lost} lost, {unexplained} \
             unexplained, account {account}",
            width.name, turn.connections
        ));
    }
}

fn tell(readers: &[(f64, f64)], few: &[Turn], many: &[Turn], measured: &mut Measured) {
    let limit: Vec<f64> = readers.iter().map(|(us, _)| *us).collect();
    let mut rows = vec![vec![
        "a reader that only drains".to_owned(),
        spread_of(readers.iter().map(|(_, events)| *events)),
        spread_of(limit.iter().copied()),
        "-".to_owned(),
        "-".to_owned(),
        "-".to_owned(),
        "-".to_owned(),
    ]];
    for (width, turns) in [(FEW, few), (MANY, many)] {
        let of = |value: fn(&Turn) -> f64| spread_of(turns.iter().map(value));
        rows.push(vec![
            format!("millrace probe, {}", width.name),
            "the same".to_owned(),
            of(Turn::per_event),
            of(|turn| number(turn.told.records)),
            of(Turn::per_record),
            of(|turn| per(number(turn.told.bytes), number(turn.told.records))),
            of(Turn::mebibytes),
        ]);
    }
    measured.table(
        format!("user space, {} connections a turn", plain(few.first().map_or(0.0, |turn| number(turn.connections)))),
        &[
            "contender",
            "events a connection",
            "CPU µs an event",
            "records",
            "CPU µs a record",
            "B a record",
            "peak MiB",
        ],
        rows,
    );
    let per_event = |turns: &[Turn]| turns.iter().map(Turn::per_event).collect::<Vec<f64>>();
    let of = |numbers: Vec<f64>| Spread::of(numbers);
    let peaks = few.iter().chain(many).map(Turn::mebibytes).collect();
    measured.figure("peak memory of `millrace probe`, all turns", "MiB", of(peaks), Goal::NeverAbove(64.0));
    for (width, turns) in [(FEW, few), (MANY, many)] {
        let what = |unit: &str| format!("user space CPU {unit}, {}", width.name);
        measured.figure(what("an event"), "µs", of(per_event(turns)), Goal::Told);
        measured.figure(what("a record"), "µs", of(turns.iter().map(Turn::per_record).collect()), Goal::Told);
        let ratio = Spread::of_ratios(&per_event(turns), &limit);
        measured.figure(what("/ a reader that only drains"), "×", ratio, Goal::Told);
    }
    measured.note(
        "CPU is everything from the start of the load to the orderly end: events, records, JSON, file, last account",
    );
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_that_are_in_no_record_fail_the_part() {
        let failed = |told: Told| {
            let turn = Turn { connections: 5, cpu: Duration::ZERO, peak_bytes: 0, told, events_each: 4.0 };
            let mut measured = Measured::new("probe");
            check(FEW, &turn, &mut measured);
            let mut report = crate::report::Report::new(Vec::new());
            report.add(measured);
            report.failed()
        };
        let whole = Told { started: [5, 5], closed: true, ..Told::default() };
        assert!(!failed(whole));
        assert!(failed(Told { started: [5, 4], ..whole }));
        assert!(failed(Told { closed: false, ..whole }));
        assert!(failed(Told { lost: 1, ..whole }));
    }
}
