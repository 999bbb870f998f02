//! Part `run`: `millrace run` from a replay to SQLite, beside what only its last step costs.
//!
//! Contenders take turns on the same records: the product, as a process of its own; the store alone, which is the limit;
//! and a bare insert of the records' bytes into one table, which is what SQLite itself costs.

pub(crate) mod blobs;
mod enrichment;
pub(crate) mod stages;
mod stored;

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde::de::DeserializeOwned;

use crate::arguments::{Arguments, Part};
use crate::contender;
use crate::input::Input;
use crate::measured::Process;
use crate::product;
use crate::report::{Goal, Measured, plain, spread_of};
use crate::statistics::{Spread, number, per};

use blobs::Inserted;
use stages::Spent;

/// The longest that one turn of the product may take.
const PATIENCE: Duration = Duration::from_secs(600);
/// As many records a transaction as the indexer takes by default.
const BATCH: usize = 2_000;

/// What one turn of one contender measured.
#[derive(Debug, Clone, Copy)]
struct Turn {
    records: u64,
    wall: Duration,
    cpu: Duration,
    peak_bytes: u64,
    disk_bytes: u64,
}

impl Turn {
    fn per_second(&self) -> f64 {
        number(self.records) / self.wall.as_secs_f64()
    }

    fn per_cpu_second(&self) -> f64 {
        number(self.records) / self.cpu.as_secs_f64()
    }

    fn cpu_us(&self) -> f64 {
        per(self.cpu.as_secs_f64() * 1e6, number(self.records))
    }

    fn mebibytes(&self) -> f64 {
        number(self.peak_bytes) / f64::from(1 << 20)
    }

    fn disk(&self) -> f64 {
        per(number(self.disk_bytes), number(self.records))
    }
}

/// All turns.
#[derive(Debug, Default)]
struct Turns {
    run: Vec<Turn>,
    store: Vec<Turn>,
    blobs: Vec<Turn>,
    stages: Vec<Spent>,
}

/// Measures the part.
pub(crate) fn measure(arguments: &Arguments) -> Measured {
    let mut measured = Measured::new(Part::Run.name());
    if let Err(error) = turns(arguments, &mut measured) {
        measured.fail(format!("{error:#}"));
    }
    measured
}

fn turns(arguments: &Arguments, measured: &mut Measured) -> anyhow::Result<()> {
    let binary = product::binary(arguments.millrace.as_deref())?;
    let place = tempfile::Builder::new().prefix("millrace-bench-").tempdir()?;
    let input = Input::generate(place.path(), arguments.size(200_000, 5_000)).context("cannot make the input")?;
    let mut all = Turns::default();
    for _ in 0..arguments.turns() {
        let state = tempfile::tempdir_in(place.path())?;
        all.run.push(run(&binary, &input, state.path()).context("millrace run")?);
        for wrong in stored::check(state.path(), &input)? {
            measured.fail(format!("millrace run: {wrong}"));
        }
        let (spent, turn) = contend::<Spent>("stages", &input, place.path()).context("the store alone")?;
        ensure!(spent.created == input.records, "the store alone: {} of {} were stored", spent.created, input.records);
        all.store.push(Turn { wall: spent.write_wall(), cpu: spent.write(), ..turn });
        all.stages.push(spent);
        let (inserted, turn) = contend::<Inserted>("blobs", &input, place.path()).context("the bare insert")?;
        all.blobs.push(Turn { wall: inserted.wall(), cpu: inserted.cpu(), ..turn });
    }
    tell(&input, &all, measured);
    Ok(())
}

fn run(binary: &Path, input: &Input, state: &Path) -> anyhow::Result<Turn> {
    let mut command = product::command(binary);
    command.arg("run").arg("--replay").arg(&input.raw).arg("--manifests").arg(&input.manifests);
    command.args(["--admin", "off", "--show", "never", "--cluster", "bench"]).arg("--data-dir").arg(state);
    let cost = Process::start(&mut command)?.end(PATIENCE)?;
    ensure!(cost.status.success(), "it ended with {}", cost.status);
    let (records, disk_bytes) = (input.records, bytes_below(state)?);
    Ok(Turn { records, wall: cost.wall, cpu: cost.cpu, peak_bytes: cost.peak_bytes, disk_bytes })
}

/// Runs one of the limits on a fresh directory. Its answer says how long the writing took; the turn has the rest.
fn contend<T: DeserializeOwned>(name: &str, input: &Input, place: &Path) -> anyhow::Result<(T, Turn)> {
    let state = tempfile::tempdir_in(place)?;
    let paths = [("--raw", input.raw.as_path()), ("--manifests", &input.manifests), ("--state", state.path())];
    let arguments: Vec<String> =
        paths.iter().flat_map(|(name, path)| [(*name).to_owned(), path.display().to_string()]).collect();
    let (answer, cost) = contender::answer(contender::start(name, &arguments)?, || {})?;
    let disk_bytes = bytes_below(state.path())?;
    let turn = Turn { records: input.records, wall: cost.wall, cpu: cost.cpu, peak_bytes: cost.peak_bytes, disk_bytes };
    Ok((answer, turn))
}

/// Returns how many bytes the files of a directory have.
fn bytes_below(directory: &Path) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(directory)? {
        bytes += entry?.metadata()?.len();
    }
    Ok(bytes)
}

fn tell(input: &Input, all: &Turns, measured: &mut Measured) {
    let rows = [
        ("millrace run (whole process)", &all.run),
        ("the store alone (writes)", &all.store),
        ("a bare insert of the JSON (writes)", &all.blobs),
    ]
    .map(|(name, turns)| {
        let of = |value: fn(&Turn) -> f64| spread_of(turns.iter().map(value));
        vec![
            name.to_owned(),
            of(Turn::per_second),
            of(Turn::per_cpu_second),
            of(Turn::cpu_us),
            of(Turn::mebibytes),
            of(Turn::disk),
        ]
    });
    measured.table(
        format!(
            "{} raw records ({} B each) of 1 000 pods, replay to SQLite",
            input.records,
            input.bytes / input.records
        ),
        &["contender", "records/s", "records/CPU-s", "CPU µs a record", "peak MiB", "B a record on disk"],
        rows.to_vec(),
    );
    let records = number(input.records);
    let stage = |name: &str, value: fn(&Spent) -> u64| {
        vec![name.to_owned(), spread_of(all.stages.iter().map(|spent| number(value(spent)) / records))]
    };
    measured.table(
        "where the CPU goes, each stage by itself on one thread",
        &["stage", "CPU µs a record"],
        vec![
            stage("replay: read and decode the line", |spent| spent.read_us),
            stage("replay: encode it for the bus", |spent| spent.encode_us),
            stage("enricher: decode, join, judge, encode", |spent| spent.enrich_us),
            stage("indexer: decode and check", |spent| spent.prepare_us),
            stage("store: write", |spent| spent.write_us),
            stage("sum", Spent::sum),
            vec!["millrace run, all of it".to_owned(), spread_of(all.run.iter().map(Turn::cpu_us))],
        ],
    );
    let values = |turns: &[Turn], value: fn(&Turn) -> f64| turns.iter().map(value).collect::<Vec<f64>>();
    let of = |numbers: Vec<f64>| Spread::of(numbers);
    let ratio =
        |limit: &[Turn], value: fn(&Turn) -> f64| Spread::of_ratios(&values(&all.run, value), &values(limit, value));
    measured.figure(
        "peak memory of `millrace run`",
        "MiB",
        of(values(&all.run, Turn::mebibytes)),
        Goal::NeverAbove(300.0),
    );
    measured.figure("records a second, replay to SQLite", "", of(values(&all.run, Turn::per_second)), Goal::Told);
    measured.figure("records a CPU-second", "", of(values(&all.run, Turn::per_cpu_second)), Goal::Told);
    measured.figure("bytes on disk a record", "B", of(values(&all.run, Turn::disk)), Goal::Told);
    measured.figure("records/s / the store alone", "×", ratio(&all.store, Turn::per_second), Goal::Told);
    measured.figure("records/CPU-s / the store alone", "×", ratio(&all.store, Turn::per_cpu_second), Goal::Told);
    measured.figure("records/s / a bare insert", "×", ratio(&all.blobs, Turn::per_second), Goal::Told);
    measured.note(format!(
        "checked in each turn: {} streams without gap, every record's counts by pair of pods, one record in a thousand field \
         by field",
        input.nodes
    ));
    measured.note(format!(
        "the whole process includes start, {} B of manifests and the orderly end; the limits count only their writes",
        plain(number(fs::metadata(input.manifests.join("cluster.yaml")).map_or(0, |file| file.len())))
    ));
}
