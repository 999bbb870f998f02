//! The streams of a directory, entry by entry over all its days, and its dead letters.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use flow::{RecordId, Stream, UnixMs};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::control::Control;
use super::day::Day;
use super::directory;
use super::pages::partial;
use super::schema::{self, engine_error};
use crate::document::{DeadLetter, Stage};
use crate::entry::{Entry, EntryKind, EntryPage, EntryQuery, MAX_LETTER_BYTES, Quantities, StreamList, StreamSummary};
use crate::error::StoreError;
use crate::query::{Cursor, DeadLetterPage, DeadLetterQuery, MAX_PAGE, Partial};

/// The most bytes of dead letters on one page.
const PAGE_BYTES: usize = 16 * 1024 * 1024;

/// Returns the streams.
pub(super) fn streams(dir: &Path) -> Result<StreamList, StoreError> {
    let mut list = StreamList::default();
    let mut found: BTreeMap<Stream, StreamSummary> = BTreeMap::new();
    for day in directory::days(dir)? {
        if let Err(error) = streams_of_day(dir, day, &mut found, &mut list.partial) {
            list.partial.push(partial(day, &error));
        }
    }
    list.streams = found.into_values().collect();
    Ok(list)
}

fn streams_of_day(
    dir: &Path,
    day: Day,
    found: &mut BTreeMap<Stream, StreamSummary>,
    partials: &mut Vec<Partial>,
) -> Result<(), StoreError> {
    let path = dir.join(day.file_name());
    let Some(file) = schema::open_to_read(&path)? else { return Ok(()) };
    let mut read = || -> rusqlite::Result<()> {
        let _view = file.unchecked_transaction()?;
        for (text, dead) in [
            (
                "SELECT t.stream, count(*), max(r.seq), max(r.end_ms) FROM flows r JOIN streams t ON t.id = r.stream GROUP BY r.stream",
                false,
            ),
            (
                "SELECT t.stream, count(*), max(r.seq), max(r.end_ms) FROM ledgers r JOIN streams t ON t.id = r.stream GROUP BY r.stream",
                false,
            ),
            (
                "SELECT t.stream, count(DISTINCT r.seq), max(r.seq), NULL FROM dead_letters r JOIN streams t ON t.id = r.stream GROUP BY r.stream",
                true,
            ),
        ] {
            let mut statement = file.prepare(text)?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let name: String = row.get(0)?;
                let Ok(stream) = name.parse::<Stream>() else {
                    let reason = format!("`{}` is no stream", name.escape_debug());
                    partials.push(Partial { place: day.file_name(), reason });
                    continue;
                };
                let count = row.get::<_, i64>(1)?.cast_unsigned();
                let last_end = row.get::<_, Option<i64>>(3)?.map(|ms| UnixMs(ms.cast_unsigned()));
                let summary = found.entry(stream.clone()).or_insert_with(|| StreamSummary {
                    stream,
                    stored: 0,
                    dead_letters: 0,
                    last_seq: 0,
                    last_end: None,
                });
                if dead {
                    summary.dead_letters += count;
                } else {
                    summary.stored += count;
                }
                summary.last_seq = summary.last_seq.max(row.get::<_, i64>(2)?.cast_unsigned());
                summary.last_end = summary.last_end.max(last_end);
            }
        }
        Ok(())
    };
    read().map_err(|source| engine_error("list the streams", &path, source))
}

/// Returns one page of the entries of a stream.
pub(super) fn entries(dir: &Path, query: &EntryQuery) -> Result<EntryPage, StoreError> {
    let from = query.cursor.as_ref().map_or(Ok(0), parse_entry_cursor)?;
    let limit = query.limit.clamp(1, MAX_PAGE);
    let mut page = EntryPage::default();
    // The highest number up to which every source was read; a source that was cut off ends it.
    let mut bound = u64::MAX;
    let name = query.stream.to_string();
    for day in directory::days(dir)? {
        match entries_of_day(dir, day, &name, from, limit, &mut page.entries) {
            Ok(Some(last)) => bound = bound.min(last),
            Ok(None) => {}
            Err(error) => page.partial.push(partial(day, &error)),
        }
    }
    // Removed ranges come after the days were read: what was removed in between is then in one of the two.
    if let Some(control) = Control::open_to_read(dir)? {
        let place: Arc<str> = super::control::FILE.into();
        for run in control.runs(&name)? {
            // A range that began on an earlier page was given there.
            if run.first >= from {
                let kind = EntryKind::Removed { to: run.last };
                page.entries.push(Entry { seq: run.first, place: Arc::clone(&place), kind });
            }
        }
    }
    page.entries.retain(|entry| entry.seq <= bound);
    page.entries.sort_by(|a, b| a.seq.cmp(&b.seq).then_with(|| a.place.cmp(&b.place)));
    page.next = (bound < u64::MAX).then(|| Cursor(format!("seq:{}", bound + 1)));
    Ok(page)
}

fn parse_entry_cursor(cursor: &Cursor) -> Result<u64, StoreError> {
    let number = cursor.as_str().strip_prefix("seq:").and_then(|text| text.parse().ok());
    number.ok_or_else(|| StoreError::InvalidQuery("the cursor is not one of entries".to_owned()))
}

/// Adds the entries of one day; returns the last number if there are more.
fn entries_of_day(
    dir: &Path,
    day: Day,
    stream: &str,
    from: u64,
    limit: usize,
    entries: &mut Vec<Entry>,
) -> Result<Option<u64>, StoreError> {
    let path = dir.join(day.file_name());
    let Some(file) = schema::open_to_read(&path)? else { return Ok(None) };
    let mut read = || -> rusqlite::Result<Option<u64>> {
        let view = file.unchecked_transaction()?;
        let find = "SELECT id FROM streams WHERE stream = ?1";
        let Some(id) = view.query_row(find, [stream], |row| row.get::<_, i64>(0)).optional()? else { return Ok(None) };
        let mut source =
            Source { file: &view, stream: id, from, limit, place: day.file_name().into(), entries, bound: None };
        source.flows()?;
        source.ledgers()?;
        source.dead_letters()?;
        Ok(source.bound)
    };
    read().map_err(|source| engine_error("read the stream", &path, source))
}

/// One stream in one day file.
struct Source<'a> {
    file: &'a Connection,
    stream: i64,
    from: u64,
    limit: usize,
    place: Arc<str>,
    entries: &'a mut Vec<Entry>,
    bound: Option<u64>,
}

impl Source<'_> {
    fn flows(&mut self) -> rusqlite::Result<()> {
        let mut contexts: HashMap<i64, [Arc<str>; 3]> = HashMap::new();
        let file = self.file;
        self.each(
            "SELECT seq, context, end_ms, num_flows_started, bytes_in, bytes_out, packets_in, packets_out
             FROM flows WHERE stream = ?1 AND seq >= ?2 ORDER BY seq LIMIT ?3",
            |row| {
                let context: i64 = row.get(1)?;
                let known = contexts.get(&context).cloned();
                let words = match known {
                    Some(words) => words,
                    None => match words_of(file, context)? {
                        Some(words) => {
                            contexts.insert(context, words.clone());
                            words
                        }
                        None => return Ok(EntryKind::Unreadable { reason: format!("context {context} is missing") }),
                    },
                };
                let [reporter, proto, outcome] = words;
                let number = |at: usize| row.get::<_, i64>(at).map(i64::cast_unsigned);
                Ok(EntryKind::Flow(Quantities {
                    end_time: UnixMs(number(2)?),
                    reporter,
                    proto,
                    outcome,
                    started: number(3)?,
                    bytes_in: number(4)?,
                    bytes_out: number(5)?,
                    packets_in: number(6)?,
                    packets_out: number(7)?,
                }))
            },
        )
    }

    fn ledgers(&mut self) -> rusqlite::Result<()> {
        self.each("SELECT seq, ledger FROM ledgers WHERE stream = ?1 AND seq >= ?2 ORDER BY seq LIMIT ?3", |row| {
            let text: String = row.get(1)?;
            Ok(match serde_json::from_str(&text) {
                Ok(ledger) => EntryKind::Ledger(Box::new(ledger)),
                Err(error) => EntryKind::Unreadable { reason: format!("the ledger is not readable: {error}") },
            })
        })
    }

    /// One entry a number, however many dead letters it has; one that says `conflict` comes before others.
    fn dead_letters(&mut self) -> rusqlite::Result<()> {
        let text = format!(
            "SELECT seq, reason, CASE WHEN length(value) <= {MAX_LETTER_BYTES} THEN value ELSE x'' END,
               max(reason = 'conflict')
             FROM dead_letters WHERE stream = ?1 AND seq >= ?2 GROUP BY seq ORDER BY seq LIMIT ?3"
        );
        self.each(&text, |row| Ok(EntryKind::DeadLetter { reason: row.get(1)?, value: row.get(2)? }))
    }

    fn each(
        &mut self,
        text: &str,
        mut kind: impl FnMut(&Row<'_>) -> rusqlite::Result<EntryKind>,
    ) -> rusqlite::Result<()> {
        let mut statement = self.file.prepare(text)?;
        let from = self.from.min(i64::MAX.cast_unsigned()).cast_signed();
        let wanted = i64::try_from(self.limit).unwrap_or(i64::MAX);
        let mut rows = statement.query(params![self.stream, from, wanted])?;
        let (mut count, mut last) = (0, 0);
        while let Some(row) = rows.next()? {
            last = row.get::<_, i64>(0)?.cast_unsigned();
            count += 1;
            let kind = match kind(row) {
                Err(error @ rusqlite::Error::SqliteFailure(..)) => return Err(error),
                Err(error) => EntryKind::Unreadable { reason: error.to_string() },
                Ok(kind) => kind,
            };
            self.entries.push(Entry { seq: last, place: Arc::clone(&self.place), kind });
        }
        if count == self.limit {
            self.bound = Some(self.bound.map_or(last, |bound| bound.min(last)));
        }
        Ok(())
    }
}

fn words_of(file: &Connection, context: i64) -> rusqlite::Result<Option<[Arc<str>; 3]>> {
    let mut find = file.prepare_cached("SELECT reporter, proto, outcome FROM contexts WHERE id = ?1")?;
    find.query_row([context], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?])).optional()
}

/// Returns one page of dead letters.
pub(super) fn dead_letters(dir: &Path, query: &DeadLetterQuery) -> Result<DeadLetterPage, StoreError> {
    let after = query.cursor.as_ref().map(parse_letter_cursor).transpose()?;
    let limit = if query.limit == 0 { MAX_PAGE } else { query.limit.min(MAX_PAGE) };
    let mut page = DeadLetterPage::default();
    let (mut bytes, mut last) = (0, None);
    for day in directory::days_between(dir, query.from, query.to)? {
        let read = letters_of_day(dir, day, query, after, |id, letter| {
            if page.letters.len() >= limit || bytes >= PAGE_BYTES {
                page.next = last.map(|(ms, id): (u64, i64)| Cursor(format!("letter:{ms}:{id}")));
                return false;
            }
            bytes += letter.value.len();
            last = Some((letter.timestamp.0, id));
            page.letters.push(letter);
            true
        });
        if let Err(error) = read {
            page.partial.push(partial(day, &error));
        }
        if page.next.is_some() {
            break;
        }
    }
    Ok(page)
}

fn parse_letter_cursor(cursor: &Cursor) -> Result<(i64, i64), StoreError> {
    let invalid = || StoreError::InvalidQuery("the cursor is not one of dead letters".to_owned());
    let (time, id) =
        cursor.as_str().strip_prefix("letter:").and_then(|text| text.split_once(':')).ok_or_else(invalid)?;
    Ok((time.parse().map_err(|_| invalid())?, id.parse().map_err(|_| invalid())?))
}

fn letters_of_day(
    dir: &Path,
    day: Day,
    query: &DeadLetterQuery,
    after: Option<(i64, i64)>,
    mut take: impl FnMut(i64, DeadLetter) -> bool,
) -> Result<(), StoreError> {
    let path = dir.join(day.file_name());
    let Some(file) = schema::open_to_read(&path)? else { return Ok(()) };
    let bound = |time: Option<UnixMs>, other: i64| time.map_or(other, |t| i64::try_from(t.0).unwrap_or(i64::MAX));
    let (after_ms, after_id) = after.unwrap_or((-1, -1));
    let mut read = || -> rusqlite::Result<()> {
        let mut statement = file.prepare(
            "SELECT d.id, t.stream, d.seq, d.stage, d.reason, d.detail, d.topic, d.partition, d.position, d.time_ms, d.value
             FROM dead_letters d LEFT JOIN streams t ON t.id = d.stream
             WHERE d.time_ms >= ?1 AND d.time_ms < ?2 AND (d.time_ms > ?3 OR (d.time_ms = ?3 AND d.id > ?4))
             ORDER BY d.time_ms, d.id",
        )?;
        let mut rows = statement.query(params![bound(query.from, 0), bound(query.to, i64::MAX), after_ms, after_id])?;
        while let Some(row) = rows.next()? {
            if !take(row.get(0)?, letter(row)?) {
                break;
            }
        }
        Ok(())
    };
    read().map_err(|source| engine_error("read the dead letters", &path, source))
}

fn letter(row: &Row<'_>) -> rusqlite::Result<DeadLetter> {
    let stream: Option<String> = row.get(1)?;
    let seq = row.get::<_, i64>(2)?.cast_unsigned();
    let id = stream.and_then(|stream| stream.parse().ok()).map(|stream| RecordId { stream, seq });
    Ok(DeadLetter {
        id,
        stage: Stage::parse(&row.get::<_, String>(3)?),
        reason: row.get(4)?,
        detail: row.get(5)?,
        topic: row.get(6)?,
        partition: row.get(7)?,
        offset: row.get::<_, i64>(8)?.cast_unsigned(),
        timestamp: UnixMs(row.get::<_, i64>(9)?.cast_unsigned()),
        value: row.get(10)?,
    })
}
