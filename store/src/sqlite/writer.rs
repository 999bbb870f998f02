//! The one writer of a data directory: batches into day files, each day one transaction.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use flow::{FlowRecord, LedgerRecord};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use tracing::{error, info};

use super::control::Control;
use super::day::Day;
use super::dictionary::Dictionaries;
use super::directory::{self, io_error};
use super::rows;
use super::schema::{self, engine_error, is_corrupt_store};
use crate::document::{Answer, DeadLetter, Document};
use crate::error::StoreError;
use crate::limits;

/// Records come in the order of time, so that two days are open around midnight; more are those of late records.
const OPEN_DAYS: usize = 3;
const LOCK: &str = "writer.lock";

/// Writes to a data directory; there is one at a time, held by a lock that ends with the process.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) dir: PathBuf,
    pub(super) control: Control,
    /// Open days, the last used at the end.
    open: Vec<(Day, DayFile)>,
    /// The next number in the order of storing, over all days.
    next_arrival: i64,
    /// Files set aside since this writer was opened.
    pub(super) set_aside: u64,
    _lock: File,
}

/// A day file opened to write.
#[derive(Debug)]
pub(super) struct DayFile {
    pub(super) connection: Connection,
    pub(super) path: PathBuf,
    dictionaries: Dictionaries,
}

impl Writer {
    /// Opens the directory: makes it, takes the lock, finishes what a crash interrupted, sets torn files aside.
    pub(super) fn open(dir: &Path) -> Result<Self, StoreError> {
        fs::create_dir_all(dir).map_err(|source| io_error("make the directory", dir, source))?;
        let lock = take_lock(dir)?;
        let mut set_aside = 0;
        let mut aside = |path: &Path| set_file_aside(path, "control file", &mut set_aside);
        let control = Control::open(dir, &mut aside)?;
        let mut writer =
            Self { dir: dir.to_owned(), control, open: Vec::new(), next_arrival: 1, set_aside, _lock: lock };
        for day in writer.control.removing()? {
            directory::remove(&writer.path_of(day))?;
            writer.control.removed(day)?;
        }
        let mut last = writer.control.number("arrival")?;
        for day in directory::days(dir)? {
            let file = writer.day(day)?;
            let newest = file.connection.query_row("SELECT max(arrival) FROM flows", [], |row| row.get(0));
            let newest: Option<i64> = newest.map_err(|source| engine_error("read", &file.path, source))?;
            last = last.max(newest.unwrap_or(0));
        }
        writer.next_arrival = last.saturating_add(1);
        Ok(writer)
    }

    /// Writes a batch.
    pub(super) fn write(&mut self, batch: &[Document]) -> Result<Vec<Answer>, StoreError> {
        let mut answers: Vec<Answer> = Vec::with_capacity(batch.len());
        let mut by_day: BTreeMap<Day, Vec<usize>> = BTreeMap::new();
        for (at, document) in batch.iter().enumerate() {
            answers.push(match place_of(document) {
                Ok(day) => {
                    by_day.entry(day).or_default().push(at);
                    // Stays only if a bug skipped the item: it is sent again, never taken for stored.
                    Answer::Transient("not yet written".to_owned())
                }
                Err(reason) => Answer::Rejected(reason),
            });
        }
        for (day, items) in by_day {
            let written = match self.write_day(day, batch, &items) {
                Err(error) if is_corrupt_store(&error) => {
                    self.set_day_aside(day, &error)?;
                    self.write_day(day, batch, &items)?
                }
                written => written?,
            };
            for (at, answer) in items.into_iter().zip(written) {
                answers[at] = answer;
            }
        }
        Ok(answers)
    }

    fn write_day(&mut self, day: Day, batch: &[Document], items: &[usize]) -> Result<Vec<Answer>, StoreError> {
        let mut arrival = self.next_arrival;
        let file = self.day(day)?;
        let written = file.write(items.iter().map(|at| &batch[*at]), &mut arrival);
        let answers = written.map_err(|source| {
            file.dictionaries.forget();
            engine_error("write", &file.path, source)
        })?;
        self.next_arrival = arrival;
        Ok(answers)
    }

    /// Returns the file of a day, opened to write; one that is torn is set aside and begun anew.
    pub(super) fn day(&mut self, day: Day) -> Result<&mut DayFile, StoreError> {
        if let Some(at) = self.open.iter().position(|(open, _)| *open == day) {
            let last = self.open.len() - 1;
            self.open[at..].rotate_left(1);
            return Ok(&mut self.open[last].1);
        }
        let path = self.path_of(day);
        let connection = match schema::open_to_write(&path) {
            Err(error) if is_corrupt_store(&error) => {
                self.set_day_aside(day, &error)?;
                schema::open_to_write(&path)?
            }
            opened => opened?,
        };
        if self.open.len() >= OPEN_DAYS {
            self.open.remove(0);
        }
        self.open.push((day, DayFile { connection, path, dictionaries: Dictionaries::default() }));
        let last = self.open.len() - 1;
        Ok(&mut self.open[last].1)
    }

    /// Closes a day's file, if it is open.
    pub(super) fn close(&mut self, day: Day) {
        self.open.retain(|(open, _)| *open != day);
    }

    /// Forgets what a panic may have left half done.
    pub(super) fn forget(&mut self) {
        self.open.clear();
    }

    pub(super) fn path_of(&self, day: Day) -> PathBuf {
        self.dir.join(day.file_name())
    }

    pub(super) fn set_day_aside(&mut self, day: Day, why: &StoreError) -> Result<(), StoreError> {
        self.close(day);
        set_file_aside(&self.path_of(day), &why.to_string(), &mut self.set_aside)
    }
}

impl DayFile {
    fn write<'a>(
        &mut self,
        items: impl Iterator<Item = &'a Document>,
        arrival: &mut i64,
    ) -> rusqlite::Result<Vec<Answer>> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut answers = Vec::with_capacity(items.size_hint().0);
        for document in items {
            answers.push(match document {
                Document::Flow(record) => write_flow(&transaction, &mut self.dictionaries, record, arrival)?,
                Document::Ledger(ledger) => write_ledger(&transaction, &mut self.dictionaries, ledger)?,
                Document::DeadLetter(letter) => write_dead_letter(&transaction, &mut self.dictionaries, letter)?,
            });
        }
        transaction.commit()?;
        Ok(answers)
    }
}

fn write_flow(
    file: &Connection,
    dictionaries: &mut Dictionaries,
    record: &FlowRecord,
    arrival: &mut i64,
) -> rusqlite::Result<Answer> {
    let stream = dictionaries.stream(file, &record.stream.to_string())?;
    let references = dictionaries.references(file, record)?;
    if rows::insert(file, *arrival, stream, references, record)? {
        *arrival += 1;
        return Ok(Answer::Created);
    }
    let same = rows::same_quantities(file, stream, record)?;
    Ok(if same { Answer::Duplicate } else { Answer::Conflict })
}

fn write_ledger(file: &Connection, dictionaries: &mut Dictionaries, ledger: &LedgerRecord) -> rusqlite::Result<Answer> {
    let stream = dictionaries.stream(file, &ledger.stream.to_string())?;
    let seq = ledger.seq.cast_signed();
    let text =
        serde_json::to_string(ledger).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
    let mut insert =
        file.prepare_cached("INSERT OR IGNORE INTO ledgers (stream, seq, end_ms, ledger) VALUES (?1, ?2, ?3, ?4)")?;
    if insert.execute(params![stream, seq, ledger.end_time.0.cast_signed(), text])? == 1 {
        return Ok(Answer::Created);
    }
    let mut find = file.prepare_cached("SELECT ledger FROM ledgers WHERE stream = ?1 AND seq = ?2")?;
    let stored: Option<String> = find.query_row(params![stream, seq], |row| row.get(0)).optional()?;
    let same = stored.and_then(|text| serde_json::from_str::<LedgerRecord>(&text).ok()).is_some_and(|l| l == *ledger);
    Ok(if same { Answer::Duplicate } else { Answer::Conflict })
}

fn write_dead_letter(
    file: &Connection,
    dictionaries: &mut Dictionaries,
    letter: &DeadLetter,
) -> rusqlite::Result<Answer> {
    // Numbers of streams begin at 1; a foreign letter has none, and must still be found again by its position.
    let (stream, seq) = match &letter.id {
        Some(id) => (dictionaries.stream(file, &id.stream.to_string())?, id.seq.cast_signed()),
        None => (0, -1),
    };
    let mut insert = file.prepare_cached(
        "INSERT OR IGNORE INTO dead_letters
           (stream, seq, stage, reason, detail, topic, partition, position, time_ms, value)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?;
    let written = insert.execute(params![
        stream,
        seq,
        letter.stage.label(),
        letter.reason,
        letter.detail,
        letter.topic,
        letter.partition,
        letter.offset.cast_signed(),
        letter.timestamp.0.cast_signed(),
        letter.value
    ])?;
    Ok(if written == 1 { Answer::Created } else { Answer::Duplicate })
}

/// Returns the day that a document belongs to.
///
/// # Errors
/// Returns why it can never be stored.
fn place_of(document: &Document) -> Result<Day, String> {
    limits::check(document)?;
    let time = document.time();
    Day::of(time).ok_or_else(|| format!("time {} lies beyond the year 9999", time.0))
}

fn take_lock(dir: &Path) -> Result<File, StoreError> {
    let path = dir.join(LOCK);
    let opened = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let file = opened.map_err(|source| io_error("open the lock", &path, source))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse(dir.display().to_string())),
        Err(TryLockError::Error(source)) => Err(io_error("lock", &path, source)),
    }
}

fn set_file_aside(path: &Path, why: &str, counter: &mut u64) -> Result<(), StoreError> {
    let target = directory::set_aside(path)?;
    *counter += 1;
    error!(
        file = %path.display(), set_aside = %target.display(), why,
        "a file of the store is torn: it is set aside, what it held is missing from every answer"
    );
    info!(file = %path.display(), "a new file is begun");
    Ok(())
}
