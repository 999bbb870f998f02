//! Flow records page by page, in the three orders.

use std::path::Path;

use flow::FlowRecord;
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::conditions::Conditions;
use super::day::Day;
use super::directory;
use super::rows::{self, StoredFlow};
use super::schema::{self, engine_error};
use crate::error::{Fate, StoreError};
use crate::filter::Filter;
use crate::query::{Cursor, FlowPage, FlowQuery, MAX_PAGE, Order, Partial};

/// Where a page ended, by the order it was made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Newest { end_ms: i64, arrival: i64 },
    Oldest { end_ms: i64, arrival: i64 },
    Stored { arrival: i64 },
}

/// Returns one page of flow records.
pub(super) fn flows(dir: &Path, query: &FlowQuery) -> Result<FlowPage, StoreError> {
    query.filter.check_size().map_err(StoreError::InvalidQuery)?;
    let cursor = query.cursor.as_ref().map(|cursor| parse(cursor, query.order)).transpose()?;
    match query.order {
        Order::NewestFirst | Order::OldestFirst => by_time(dir, query, cursor),
        Order::Stored => by_arrival(dir, query, cursor),
    }
}

/// Returns the cursor behind all that is stored.
pub(super) fn end(dir: &Path) -> Result<Cursor, StoreError> {
    let mut last = 0;
    for day in directory::days(dir)? {
        // A day that cannot be read has nothing to follow either; asking for its records says so.
        last = last.max(newest_arrival(dir, day).unwrap_or(0));
    }
    Ok(Place::Stored { arrival: last }.cursor())
}

fn by_time(dir: &Path, query: &FlowQuery, cursor: Option<Place>) -> Result<FlowPage, StoreError> {
    let newest = query.order == Order::NewestFirst;
    let mut days = directory::days_between(dir, query.from, query.to)?;
    if newest {
        days.reverse();
    }
    let limit = query.limit.clamp(1, MAX_PAGE);
    let mut page = FlowPage::default();
    let mut last = None;
    for day in days {
        let mut conditions = conditions(query);
        let order = if newest {
            if let Some(Place::Newest { end_ms, arrival }) = cursor {
                conditions.and("f.end_ms <= ?", end_ms);
                conditions.and("(f.end_ms < ?", end_ms);
                conditions.text.push_str(" OR f.arrival < ?)");
                conditions.values.push(Value::Integer(arrival));
            }
            "f.end_ms DESC, f.arrival DESC"
        } else {
            if let Some(Place::Oldest { end_ms, arrival }) = cursor {
                conditions.and("f.end_ms >= ?", end_ms);
                conditions.and("(f.end_ms > ?", end_ms);
                conditions.text.push_str(" OR f.arrival > ?)");
                conditions.values.push(Value::Integer(arrival));
            }
            "f.end_ms, f.arrival"
        };
        // One more than asked for says whether another page follows.
        let wanted = limit + 1 - page.records.len();
        let read = read_day(dir, day, conditions, order, wanted, &mut page.partial, |flow| {
            if page.records.len() < limit {
                last = Some((flow.record.timestamp.0.cast_signed(), flow.arrival));
            }
            page.records.push(flow.record);
        });
        if let Err(error) = read {
            page.partial.push(partial(day, &error));
        }
        if page.records.len() > limit {
            page.records.truncate(limit);
            page.next = last.map(|(end_ms, arrival)| {
                let place = if newest { Place::Newest { end_ms, arrival } } else { Place::Oldest { end_ms, arrival } };
                place.cursor()
            });
            break;
        }
    }
    Ok(page)
}

/// Days are written one after the other, and numbers grow in the order of commits: what lies at or below the highest
/// number seen is committed in every day before the days are read.
fn by_arrival(dir: &Path, query: &FlowQuery, cursor: Option<Place>) -> Result<FlowPage, StoreError> {
    let after = match cursor {
        Some(Place::Stored { arrival }) => arrival,
        _ => 0,
    };
    let mut page = FlowPage::default();
    let mut ceiling = after;
    let mut grown = Vec::new();
    for day in directory::days(dir)? {
        match newest_arrival(dir, day) {
            Ok(last) if last > after => {
                ceiling = ceiling.max(last);
                grown.push(day);
            }
            Ok(_) => {}
            Err(error) => page.partial.push(partial(day, &error)),
        }
    }
    let limit = query.limit.clamp(1, MAX_PAGE);
    let mut found: Vec<(i64, FlowRecord)> = Vec::new();
    let mut wait = false;
    for day in grown {
        let mut conditions = conditions(query);
        conditions.and("f.arrival > ?", after);
        conditions.and("f.arrival <= ?", ceiling);
        let read = read_day(dir, day, conditions, "f.arrival", limit + 1, &mut page.partial, |flow| {
            found.push((flow.arrival, flow.record));
        });
        if let Err(error) = read {
            wait |= error.fate() == Fate::Transient;
            page.partial.push(partial(day, &error));
        }
    }
    if wait {
        // A follower that went on would never see what could not be read just now.
        page.next = Some(Place::Stored { arrival: after }.cursor());
        return Ok(page);
    }
    found.sort_by_key(|(arrival, _)| *arrival);
    let complete = found.len() <= limit;
    found.truncate(limit);
    let last = if complete { ceiling } else { found.last().map_or(ceiling, |(arrival, _)| *arrival) };
    page.records = found.into_iter().map(|(_, record)| record).collect();
    page.next = Some(Place::Stored { arrival: last }.cursor());
    Ok(page)
}

/// Returns the conditions of a question on one flow row.
fn conditions(query: &FlowQuery) -> Conditions {
    ranged(&query.filter.clone().and(Filter::counting(query.counting)), query.from, query.to)
}

/// Returns a filter with a range of time.
pub(super) fn ranged(filter: &Filter, from: Option<flow::UnixMs>, to: Option<flow::UnixMs>) -> Conditions {
    let mut conditions = Conditions::of(filter);
    // A time beyond the column's range is beyond every record.
    let bound = |time: flow::UnixMs| i64::try_from(time.0).unwrap_or(i64::MAX);
    if let Some(from) = from {
        conditions.and("f.end_ms >= ?", bound(from));
    }
    if let Some(to) = to {
        conditions.and("f.end_ms < ?", bound(to));
    }
    conditions
}

fn read_day(
    dir: &Path,
    day: Day,
    mut conditions: Conditions,
    order: &str,
    wanted: usize,
    partials: &mut Vec<Partial>,
    mut take: impl FnMut(StoredFlow),
) -> Result<(), StoreError> {
    let path = dir.join(day.file_name());
    let Some(file) = schema::open_to_read(&path)? else { return Ok(()) };
    let text = format!("{} WHERE {} ORDER BY {order} LIMIT ?", rows::select_text(), conditions.text);
    conditions.values.push(Value::Integer(i64::try_from(wanted).unwrap_or(i64::MAX)));
    let mut read = || -> rusqlite::Result<()> {
        let mut statement = file.prepare(&text)?;
        let mut found = statement.query(params_from_iter(&conditions.values))?;
        while let Some(row) = found.next()? {
            match rows::read(row) {
                Ok(flow) => take(flow),
                // Somebody edited the file: this record is named, the others are given.
                Err(error) => partials.push(Partial {
                    place: day.file_name(),
                    reason: format!("row {} cannot be read: {error}", row.get::<_, i64>(0).unwrap_or(-1)),
                }),
            }
        }
        Ok(())
    };
    read().map_err(|source| engine_error("read", &path, source))
}

fn newest_arrival(dir: &Path, day: Day) -> Result<i64, StoreError> {
    let path = dir.join(day.file_name());
    let Some(file) = schema::open_to_read(&path)? else { return Ok(0) };
    newest(&file).map_err(|source| engine_error("read", &path, source))
}

fn newest(file: &Connection) -> rusqlite::Result<i64> {
    let newest: Option<i64> = file.query_row("SELECT max(arrival) FROM flows", [], |row| row.get(0))?;
    Ok(newest.unwrap_or(0))
}

/// Names a day that could not be read.
pub(super) fn partial(day: Day, error: &StoreError) -> Partial {
    Partial { place: day.file_name(), reason: error.to_string() }
}

impl Place {
    fn cursor(self) -> Cursor {
        Cursor(match self {
            Self::Newest { end_ms, arrival } => format!("newest:{end_ms}:{arrival}"),
            Self::Oldest { end_ms, arrival } => format!("oldest:{end_ms}:{arrival}"),
            Self::Stored { arrival } => format!("stored:{arrival}"),
        })
    }
}

fn parse(cursor: &Cursor, order: Order) -> Result<Place, StoreError> {
    let mut parts = cursor.as_str().split(':');
    let kind = parts.next().unwrap_or_default();
    let numbers: Vec<i64> = parts.map_while(|part| part.parse().ok()).collect();
    let place = match (order, kind, numbers.as_slice()) {
        (Order::NewestFirst, "newest", [end_ms, arrival]) => Place::Newest { end_ms: *end_ms, arrival: *arrival },
        (Order::OldestFirst, "oldest", [end_ms, arrival]) => Place::Oldest { end_ms: *end_ms, arrival: *arrival },
        (Order::Stored, "stored", [arrival]) => Place::Stored { arrival: *arrival },
        _ => return Err(StoreError::InvalidQuery("the cursor is not one of this order".to_owned())),
    };
    Ok(place)
}
