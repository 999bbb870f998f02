//! What outlives the days: which numbers retention took away, how far arrival numbers were given, and which files are
//! about to be removed. One small file beside the days.

use std::path::{Path, PathBuf};

use flow::Stream;
use rusqlite::{Connection, OptionalExtension, params};

use super::day::Day;
use super::schema::{self, engine_error, is_corrupt};
use crate::error::StoreError;

/// Streams of which nothing is stored any more whose removal stays known.
const GONE_STREAMS: usize = 1000;

/// Name of the file.
pub(super) const FILE: &str = "store.sqlite";

const TABLES: &str = "
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS removed (
  stream TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, PRIMARY KEY (stream, first)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS removing (day INTEGER PRIMARY KEY);
CREATE TABLE IF NOT EXISTS numbers (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
COMMIT;
";

/// A range of numbers of a stream, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Run {
    pub(super) first: u64,
    pub(super) last: u64,
}

/// What a removal takes away.
#[derive(Debug, Default)]
pub(super) struct Removal {
    /// The numbers, by stream.
    pub(super) runs: Vec<(String, Run)>,
    /// How many rows.
    pub(super) records: u64,
    /// Highest arrival number among them.
    pub(super) last_arrival: i64,
    /// The day, if its whole file goes.
    pub(super) whole_day: Option<Day>,
}

/// The control file.
#[derive(Debug)]
pub(super) struct Control {
    connection: Connection,
    path: PathBuf,
}

impl Control {
    /// Opens the control file to write; one that is torn is put aside as `moved` says.
    pub(super) fn open(
        dir: &Path,
        set_aside: &mut dyn FnMut(&Path) -> Result<(), StoreError>,
    ) -> Result<Self, StoreError> {
        let path = dir.join(FILE);
        let failed = |source| engine_error("open the control file", &path, source);
        let connect = || -> rusqlite::Result<Connection> {
            let connection = Connection::open(&path)?;
            connection.busy_timeout(std::time::Duration::from_secs(5))?;
            connection.pragma_update(None, "journal_mode", "WAL")?;
            // Few writes, and each says that something is gone for good: these reach the disk.
            connection.pragma_update(None, "synchronous", "FULL")?;
            connection.execute_batch(TABLES)?;
            connection.query_row("SELECT count(*) FROM removed, numbers", [], |_| Ok(()))?;
            Ok(connection)
        };
        match connect() {
            Ok(connection) => Ok(Self { connection, path }),
            Err(error) if is_corrupt(&error) => {
                set_aside(&path)?;
                Ok(Self { connection: connect().map_err(failed)?, path })
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// Opens the control file to read; none if there is none yet.
    pub(super) fn open_to_read(dir: &Path) -> Result<Option<Self>, StoreError> {
        let path = dir.join(FILE);
        if !path.exists() {
            return Ok(None);
        }
        let connection = schema::open_plain_to_read(&path)?;
        Ok(connection.map(|connection| Self { connection, path }))
    }

    fn failed(&self, source: rusqlite::Error) -> StoreError {
        engine_error("use the control file", &self.path, source)
    }

    /// Writes down what is about to be taken away, before it is.
    pub(super) fn record(&mut self, removal: &Removal) -> Result<(), StoreError> {
        let mut write = || -> rusqlite::Result<()> {
            let transaction = self.connection.transaction()?;
            for (stream, run) in &removal.runs {
                add_run(&transaction, stream, *run)?;
            }
            let mut raise = transaction.prepare_cached(
                "INSERT INTO numbers (name, value) VALUES ('arrival', ?1)
                 ON CONFLICT (name) DO UPDATE SET value = max(value, excluded.value)",
            )?;
            raise.execute([removal.last_arrival])?;
            let mut add = transaction.prepare_cached(
                "INSERT INTO numbers (name, value) VALUES ('removed_records', ?1)
                 ON CONFLICT (name) DO UPDATE SET value = value + excluded.value",
            )?;
            add.execute([i64::try_from(removal.records).unwrap_or(i64::MAX)])?;
            if let Some(day) = removal.whole_day {
                transaction.execute("INSERT OR IGNORE INTO removing (day) VALUES (?1)", [day.number()])?;
            }
            drop((raise, add));
            transaction.commit()
        };
        write().map_err(|error| self.failed(error))
    }

    /// Returns the days whose files were about to be removed.
    pub(super) fn removing(&self) -> Result<Vec<Day>, StoreError> {
        let read = || -> rusqlite::Result<Vec<Day>> {
            let mut statement = self.connection.prepare("SELECT day FROM removing")?;
            let rows = statement.query_map([], |row| row.get(0).map(Day::from_number))?;
            rows.collect()
        };
        read().map_err(|error| self.failed(error))
    }

    /// Says that a day's file is gone.
    pub(super) fn removed(&self, day: Day) -> Result<(), StoreError> {
        let done = self.connection.execute("DELETE FROM removing WHERE day = ?1", [day.number()]);
        done.map(|_| ()).map_err(|error| self.failed(error))
    }

    /// Forgets what was removed of streams that the store holds nothing of any more, but for the newest of them: the
    /// stream after may still speak of the one before, and what retention took must not look like a loss then.
    pub(super) fn keep_only(&mut self, streams: &[String]) -> Result<(), StoreError> {
        let mut write = || -> rusqlite::Result<()> {
            let transaction = self.connection.transaction()?;
            let known: Vec<String> = transaction
                .prepare("SELECT DISTINCT stream FROM removed")?
                .query_map([], |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            let mut gone: Vec<&String> = known.iter().filter(|stream| !streams.contains(stream)).collect();
            gone.sort_by_key(|stream| std::cmp::Reverse(stream.parse().map_or(0, |stream: Stream| stream.epoch())));
            for stream in gone.into_iter().skip(GONE_STREAMS) {
                transaction.execute("DELETE FROM removed WHERE stream = ?1", [stream])?;
            }
            transaction.commit()
        };
        write().map_err(|error| self.failed(error))
    }

    /// Returns the ranges that retention took from a stream, in order.
    pub(super) fn runs(&self, stream: &str) -> Result<Vec<Run>, StoreError> {
        let read = || -> rusqlite::Result<Vec<Run>> {
            let mut statement =
                self.connection.prepare_cached("SELECT first, last FROM removed WHERE stream = ?1 ORDER BY first")?;
            let rows = statement.query_map([stream], read_run)?;
            rows.collect()
        };
        read().map_err(|error| self.failed(error))
    }

    /// Returns a number that outlives the days: `arrival`, `removed_records`.
    pub(super) fn number(&self, name: &str) -> Result<i64, StoreError> {
        let read =
            self.connection.query_row("SELECT value FROM numbers WHERE name = ?1", [name], |row| row.get(0)).optional();
        read.map(Option::unwrap_or_default).map_err(|error| self.failed(error))
    }
}

fn read_run(row: &rusqlite::Row<'_>) -> rusqlite::Result<Run> {
    Ok(Run { first: row.get::<_, i64>(0)?.cast_unsigned(), last: row.get::<_, i64>(1)?.cast_unsigned() })
}

/// Adds a range, and joins it with those that it touches.
fn add_run(file: &Connection, stream: &str, run: Run) -> rusqlite::Result<()> {
    let touching = params![stream, run.first.saturating_sub(1).cast_signed(), run.last.saturating_add(1).cast_signed()];
    let mut joined = run;
    let mut find =
        file.prepare_cached("SELECT first, last FROM removed WHERE stream = ?1 AND last >= ?2 AND first <= ?3")?;
    for other in find.query_map(touching, read_run)? {
        let other = other?;
        joined = Run { first: joined.first.min(other.first), last: joined.last.max(other.last) };
    }
    file.prepare_cached("DELETE FROM removed WHERE stream = ?1 AND last >= ?2 AND first <= ?3")?.execute(touching)?;
    file.prepare_cached("INSERT OR REPLACE INTO removed (stream, first, last) VALUES (?1, ?2, ?3)")?
        .execute(params![stream, joined.first.cast_signed(), joined.last.cast_signed()])?;
    Ok(())
}
