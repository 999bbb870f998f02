//! The second source: raw records from a file of JSON lines, as another probe wrote them.
//!
//! A record keeps what it says and whose node said it, but gets a stream and number of this incarnation:
//! `cluster/<the record's node>/<our epoch>`. Each such stream gets ledger records made for it, so that its balances
//! close: *seen* is what the records count as started. Ledger records in the file speak of other numbers and are passed
//! over. A line that is no raw record is counted, said with its number, and skipped, or ends the replay if it is strict.

mod lines;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use flow::wire::{DecodeError, RawValue, decode_raw};
use flow::{AttemptAccount, InvalidRecord, RawFlow, Stream, UnixMs};
use tokio::sync::mpsc;

use self::lines::Lines;
use crate::clock;
use crate::ledger::Account;
use crate::metrics::ProbeMetrics;
use crate::numbers::Numbers;
use crate::observe::account_of;
use crate::publish::{BATCH_RECORDS, Batch};
use crate::settings::{ReplayPace, ReplaySettings, ReplayTimes};

/// How often ledger records are written.
const LEDGER_EVERY: Duration = Duration::from_secs(10);
/// Nodes that one file may speak of.
const MAX_NODES: usize = 1_024;
/// Malformed lines that are said one by one; further ones are only counted.
const MAX_SAID: u64 = 20;
/// Once a batch has waited this long it goes, full or not.
const BATCH_AGE: Duration = Duration::from_millis(100);

/// Why a replay ended early.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The file cannot be read.
    #[error("cannot read `{file}`")]
    Read {
        /// The file.
        file: PathBuf,
        /// What the system said.
        #[source]
        error: std::io::Error,
    },
    /// A line is no raw record, and the replay is strict.
    #[error("line {line} of `{file}` is no raw record")]
    Line {
        /// The file.
        file: PathBuf,
        /// Number of the line, from 1.
        line: u64,
        /// What is wrong with it.
        #[source]
        error: LineError,
    },
}

/// Why a line is no raw record.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// It is longer than any record.
    #[error("longer than {} bytes", lines::MAX_LINE_BYTES)]
    TooLong,
    /// It cannot be decoded.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// With the times of now it cannot be.
    #[error(transparent)]
    Invalid(#[from] InvalidRecord),
    /// The file speaks of too many nodes.
    #[error("node `{0}` is one too many: a replay takes {MAX_NODES}")]
    TooManyNodes(String),
}

/// What a replay did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Replayed {
    /// Records handed on.
    pub records: u64,
    /// Ledger records passed over.
    pub ledgers: u64,
    /// Lines that are no raw record.
    pub malformed: u64,
}

/// A replay, ready to run on a thread of its own.
pub(crate) struct Replay {
    settings: ReplaySettings,
    cluster: String,
    epoch: u64,
    metrics: ProbeMetrics,
    out: mpsc::Sender<Batch>,
    streams: BTreeMap<String, ReplayedStream>,
    done: Replayed,
}

/// A stream in the making.
struct ReplayedStream {
    numbers: Numbers,
    started: BTreeMap<Account, u64>,
}

/// The replay was told to stop, or nobody takes its records any more.
struct Stopped;

impl Replay {
    pub(crate) fn new(
        settings: ReplaySettings,
        cluster: &str,
        epoch: u64,
        metrics: ProbeMetrics,
        out: mpsc::Sender<Batch>,
    ) -> Self {
        let (cluster, streams, done) = (cluster.to_owned(), BTreeMap::new(), Replayed::default());
        Self { settings, cluster, epoch, metrics, out, streams, done }
    }

    /// Replays the file, or what of it comes before `stop` gets a message or is dropped.
    ///
    /// # Errors
    /// Returns [`ReplayError`] if the file cannot be read, or at the first malformed line of a strict replay. What came
    /// before is handed over and accounted for in either case.
    pub(crate) fn run(mut self, stop: &Receiver<()>) -> Result<Replayed, ReplayError> {
        let result = self.replay(stop);
        self.write_ledgers(true);
        result.map(|()| self.done)
    }

    fn replay(&mut self, stop: &Receiver<()>) -> Result<(), ReplayError> {
        let shift = self.shift()?;
        let mut lines = self.open()?;
        let mut batch = Batch::default();
        let (mut batch_begun, mut ledger) = (Instant::now(), Instant::now() + LEDGER_EVERY);
        let mut pace = Pace::new(self.settings.pace);
        while let Some((line, text)) = lines.next_line().map_err(|error| self.unreadable(error))? {
            let mut record = match self.read(text, shift) {
                Ok(Some(record)) => record,
                Ok(None) => continue,
                Err(error) => {
                    if let Err(strict) = self.malformed(line, error) {
                        let _ = self.send(&mut batch);
                        return Err(strict);
                    }
                    continue;
                }
            };
            if let Some(wait) = pace.wait_for(record.end_time, Instant::now()) {
                if self.send(&mut batch).is_err() || wait_or_stop(stop, wait).is_err() {
                    return Ok(());
                }
            } else if wait_or_stop(stop, Duration::ZERO).is_err() {
                break;
            }
            if batch.flows.is_empty() {
                batch_begun = Instant::now();
            }
            self.number(&mut record);
            batch.flows.push(record);
            let old = batch_begun.elapsed() >= BATCH_AGE;
            if (old || batch.flows.len() >= BATCH_RECORDS) && self.send(&mut batch).is_err() {
                return Ok(());
            }
            if Instant::now() >= ledger {
                ledger = Instant::now() + LEDGER_EVERY;
                if self.send(&mut batch).is_err() {
                    return Ok(());
                }
                self.write_ledgers(false);
            }
        }
        let _ = self.send(&mut batch);
        Ok(())
    }

    fn open(&self) -> Result<Lines, ReplayError> {
        Lines::open(&self.settings.file).map_err(|error| self.unreadable(error))
    }

    fn unreadable(&self, error: std::io::Error) -> ReplayError {
        ReplayError::Read { file: self.settings.file.clone(), error }
    }

    /// Returns by how many milliseconds all times move. A replay at the recorded pace begins now; a fast one ends now,
    /// so that none of its records lies in the future.
    fn shift(&self) -> Result<i128, ReplayError> {
        if self.settings.times == ReplayTimes::Recorded {
            return Ok(0);
        }
        let mut anchor: Option<UnixMs> = None;
        let mut lines = self.open()?;
        while let Some((_, text)) = lines.next_line().map_err(|error| self.unreadable(error))? {
            let Some(Ok(RawValue::Flow(record))) = text.map(|text| decode_raw(text.as_bytes())) else { continue };
            anchor = Some(anchor.map_or(record.end_time, |a| a.max(record.end_time)));
            if self.settings.pace == ReplayPace::Recorded {
                break;
            }
        }
        let now = i128::from(clock::unix_now().0);
        Ok(anchor.map_or(0, |anchor| now - i128::from(anchor.0)))
    }

    /// Reads a line; `None` for what is passed over. The record has its own stream and number still: it may yet be thrown
    /// away, if the stop comes while it waits for its time.
    fn read(&mut self, text: Option<&str>, shift: i128) -> Result<Option<RawFlow>, LineError> {
        let text = text.ok_or(LineError::TooLong)?;
        if text.trim().is_empty() {
            return Ok(None);
        }
        let mut record = match decode_raw(text.as_bytes())? {
            RawValue::Flow(record) => *record,
            RawValue::Ledger(_) => {
                self.done.ledgers += 1;
                return Ok(None);
            }
        };
        for time in [&mut record.start_time, &mut record.end_time, &mut record.oldest_start, &mut record.newest_start] {
            *time = UnixMs(u64::try_from((i128::from(time.0) + shift).max(0)).unwrap_or(u64::MAX));
        }
        record.validate()?;
        self.ensure_stream(record.stream.node())?;
        Ok(Some(record))
    }

    /// Numbers and counts a record that is surely handed over: every number given is in the closing ledger record.
    fn number(&mut self, record: &mut RawFlow) {
        let stream = self.streams.get_mut(record.stream.node()).expect("reading the record made its stream");
        stream.numbers.number(record);
        let started = stream.started.entry(account_of(record)).or_default();
        *started = started.saturating_add(record.counters.flows_started);
        self.done.records += 1;
    }

    fn ensure_stream(&mut self, node: &str) -> Result<(), LineError> {
        if !self.streams.contains_key(node) {
            let too_many = || LineError::TooManyNodes(node.to_owned());
            if self.streams.len() >= MAX_NODES {
                return Err(too_many());
            }
            let stream = Stream::new(&self.cluster, node, self.epoch).map_err(|_| too_many())?;
            let numbers = Numbers::new(stream, UnixMs(self.epoch));
            self.streams.insert(node.to_owned(), ReplayedStream { numbers, started: BTreeMap::new() });
        }
        Ok(())
    }

    fn malformed(&mut self, line: u64, error: LineError) -> Result<(), ReplayError> {
        self.done.malformed += 1;
        self.metrics.replay_malformed.inc();
        let file = self.settings.file.clone();
        if self.settings.strict {
            return Err(ReplayError::Line { file, line, error });
        }
        if self.done.malformed <= MAX_SAID {
            tracing::warn!(file = %file.display(), line, %error, "skipping a line that is no raw record");
        }
        Ok(())
    }

    fn send(&self, batch: &mut Batch) -> Result<(), Stopped> {
        if batch.flows.is_empty() {
            return Ok(());
        }
        self.out.blocking_send(std::mem::take(batch)).map_err(|_| Stopped)
    }

    fn write_ledgers(&mut self, closing: bool) {
        let now = clock::unix_now();
        for stream in self.streams.values_mut() {
            let accounts = stream.started.iter().map(|((protocol, direction), started)| AttemptAccount {
                protocol: *protocol,
                direction: *direction,
                seen: *started,
                started: *started,
                pending: 0,
                lost: BTreeMap::new(),
                filtered: BTreeMap::new(),
            });
            let ledger = stream.numbers.ledger(now, accounts.collect(), 0, closing, None);
            if self.out.blocking_send(Batch { flows: Vec::new(), ledger: Some(ledger) }).is_err() {
                return;
            }
        }
    }
}

/// When the next record is to go.
struct Pace {
    pace: ReplayPace,
    first: Option<(UnixMs, Instant)>,
}

impl Pace {
    fn new(pace: ReplayPace) -> Self {
        Self { pace, first: None }
    }

    /// Returns how long a record of that time has still to wait, if at all.
    fn wait_for(&mut self, time: UnixMs, now: Instant) -> Option<Duration> {
        if self.pace == ReplayPace::Fast {
            return None;
        }
        let (first, begun) = *self.first.get_or_insert((time, now));
        let due = Duration::from_millis(time.0.saturating_sub(first.0));
        due.checked_sub(now.duration_since(begun)).filter(|wait| !wait.is_zero())
    }
}

fn wait_or_stop(stop: &Receiver<()>, wait: Duration) -> Result<(), Stopped> {
    match stop.recv_timeout(wait) {
        Err(RecvTimeoutError::Timeout) => Ok(()),
        Ok(()) | Err(RecvTimeoutError::Disconnected) => Err(Stopped),
    }
}
