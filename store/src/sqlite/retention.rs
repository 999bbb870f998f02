//! The caps: whole oldest days go first, then the oldest part of the day that is left. What goes is written down before
//! it does, so that the balance knows it from a loss.

use rusqlite::{Connection, params};
use tracing::info;

use super::Options;
use super::control::{Removal, Run};
use super::day::Day;
use super::directory;
use super::schema::engine_error;
use super::writer::Writer;
use crate::error::StoreError;

/// The oldest part of a day that goes at once, as a part of the time that the day's records cover.
const SLICE: u64 = 8;
/// What of the last day always stays, in milliseconds: the newest minute.
const KEPT_MS: u64 = 60_000;

/// What the caps took away.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Removed {
    /// Whole days, as `2026-11-25`.
    pub days: Vec<String>,
    /// Records, ledgers and dead letters.
    pub records: u64,
    /// Bytes of the directory's days afterwards.
    pub bytes: u64,
}

impl Writer {
    /// Removes what is beyond the caps.
    ///
    /// Age is counted from the newest day stored, not from the clock: a clock that jumps ahead must not empty the store.
    pub(super) fn enforce(&mut self, options: &Options) -> Result<Removed, StoreError> {
        let mut removed = Removed::default();
        let mut days = directory::days(&self.dir)?;
        let Some(newest) = days.last().copied() else { return Ok(removed) };
        let too_old = |day: &Day| u64::from(newest.number() - day.number()) >= options.cap_days;
        let old: Vec<Day> = days.iter().copied().filter(too_old).collect();
        for day in old {
            self.remove_day(day, &mut removed)?;
            days.retain(|kept| *kept != day);
        }
        while days.len() > 1 && self.bytes(&days) > options.cap_bytes {
            let oldest = days.remove(0);
            self.remove_day(oldest, &mut removed)?;
        }
        while self.bytes(&days) > options.cap_bytes && self.remove_slice(newest, &mut removed)? {}
        removed.bytes = self.bytes(&days);
        if removed.records > 0 {
            self.forget_gone_streams(&days)?;
            info!(
                records = removed.records, days = ?removed.days, bytes_left = removed.bytes,
                "removed the oldest records: the store is at its cap"
            );
        }
        Ok(removed)
    }

    fn bytes(&self, days: &[Day]) -> u64 {
        days.iter().map(|day| directory::size_of(&self.path_of(*day))).sum()
    }

    fn remove_day(&mut self, day: Day, removed: &mut Removed) -> Result<(), StoreError> {
        let file = self.day(day)?;
        let found = removal(&file.connection, None);
        let mut found = found.map_err(|source| engine_error("list what is removed", &file.path, source))?;
        found.whole_day = Some(day);
        self.control.record(&found)?;
        self.close(day);
        directory::remove(&self.path_of(day))?;
        self.control.removed(day)?;
        removed.days.push(day.to_string());
        removed.records += found.records;
        Ok(())
    }

    /// Removes the oldest part of a day; returns whether there was anything old enough to go.
    fn remove_slice(&mut self, day: Day, removed: &mut Removed) -> Result<bool, StoreError> {
        let file = self.day(day)?;
        let path = file.path.clone();
        let failed = |source| engine_error("remove the oldest records", &path, source);
        let Some(cut) = cut_of(&file.connection).map_err(failed)? else { return Ok(false) };
        let found = removal(&file.connection, Some(cut)).map_err(failed)?;
        if found.records == 0 {
            return Ok(false);
        }
        self.control.record(&found)?;
        let file = self.day(day)?;
        delete_before(&mut file.connection, cut).map_err(failed)?;
        removed.records += found.records;
        Ok(true)
    }

    fn forget_gone_streams(&mut self, days: &[Day]) -> Result<(), StoreError> {
        let mut streams = Vec::new();
        for day in days {
            let file = self.day(*day)?;
            let list = || -> rusqlite::Result<Vec<String>> {
                let mut statement = file.connection.prepare("SELECT stream FROM streams")?;
                let rows = statement.query_map([], |row| row.get(0))?;
                rows.collect()
            };
            streams.extend(list().map_err(|source| engine_error("list the streams", &file.path, source))?);
        }
        self.control.keep_only(&streams)
    }
}

/// Returns the time before which a part of the day goes: an eighth of what it covers, in whole minutes, never the newest.
fn cut_of(file: &Connection) -> rusqlite::Result<Option<i64>> {
    let range = file.query_row(
        "SELECT min(first), max(last) FROM (
           SELECT min(end_ms) AS first, max(end_ms) AS last FROM flows
           UNION ALL SELECT min(end_ms), max(end_ms) FROM ledgers
           UNION ALL SELECT min(time_ms), max(time_ms) FROM dead_letters)",
        [],
        |row| Ok((row.get::<_, Option<i64>>(0)?, row.get::<_, Option<i64>>(1)?)),
    )?;
    let (Some(first), Some(last)) = range else { return Ok(None) };
    let (first, last) = (first.cast_unsigned(), last.cast_unsigned());
    let part = ((last - first) / SLICE).max(KEPT_MS);
    let cut = (first + part) / KEPT_MS * KEPT_MS;
    Ok((cut > first && cut <= last.saturating_sub(KEPT_MS)).then_some(cut.cast_signed()))
}

/// Lists what a day holds, or what it holds from before a time.
fn removal(file: &Connection, before: Option<i64>) -> rusqlite::Result<Removal> {
    let streams: Vec<(i64, String)> = file
        .prepare("SELECT id, stream FROM streams")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    // Each part comes in the order of an index and the parts are merged: no sorting, no memory. The time is asked for
    // only where it matters, since it is in no index beside the number.
    let (numbers, cut) = match before {
        None => (
            "SELECT seq FROM flows WHERE stream = ?1 UNION ALL SELECT seq FROM ledgers WHERE stream = ?1
             UNION ALL SELECT seq FROM dead_letters WHERE stream = ?1 AND ?2 > 0 ORDER BY 1",
            i64::MAX,
        ),
        Some(cut) => (
            "SELECT seq FROM flows WHERE stream = ?1 AND end_ms < ?2
             UNION ALL SELECT seq FROM ledgers WHERE stream = ?1 AND end_ms < ?2
             UNION ALL SELECT seq FROM dead_letters WHERE stream = ?1 AND time_ms < ?2 ORDER BY 1",
            cut,
        ),
    };
    let mut found = Removal::default();
    let mut statement = file.prepare(numbers)?;
    for (id, stream) in streams {
        let mut rows = statement.query(params![id, cut])?;
        let mut open: Option<Run> = None;
        while let Some(row) = rows.next()? {
            let seq = row.get::<_, i64>(0)?.cast_unsigned();
            found.records += 1;
            match &mut open {
                Some(run) if seq <= run.last.saturating_add(1) => run.last = run.last.max(seq),
                _ => {
                    found.runs.extend(open.take().map(|run| (stream.clone(), run)));
                    open = Some(Run { first: seq, last: seq });
                }
            }
        }
        found.runs.extend(open.map(|run| (stream, run)));
    }
    let foreign = "SELECT count(*) FROM dead_letters WHERE stream = 0 AND time_ms < ?1";
    found.records += file.query_row(foreign, [cut], |row| row.get::<_, i64>(0))?.cast_unsigned();
    let newest: Option<i64> = file.query_row("SELECT max(arrival) FROM flows", [], |row| row.get(0))?;
    found.last_arrival = newest.unwrap_or(0);
    Ok(found)
}

fn delete_before(file: &mut Connection, cut: i64) -> rusqlite::Result<()> {
    let transaction = file.transaction()?;
    transaction.execute("DELETE FROM flows WHERE end_ms < ?1", [cut])?;
    transaction.execute("DELETE FROM ledgers WHERE end_ms < ?1", [cut])?;
    transaction.execute("DELETE FROM dead_letters WHERE time_ms < ?1", [cut])?;
    transaction.commit()?;
    // Both answer with rows that have to be taken for the work to be done.
    for pragma in ["PRAGMA incremental_vacuum", "PRAGMA wal_checkpoint(TRUNCATE)"] {
        let mut statement = file.prepare(pragma)?;
        let mut rows = statement.query([])?;
        while rows.next()?.is_some() {}
    }
    Ok(())
}
