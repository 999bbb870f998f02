//! Exact sums by group: a day is summed by the numbers of what repeats, and only the groups are given their names.

use std::collections::HashMap;
use std::path::Path;

use rusqlite::{Connection, OptionalExtension, Row, params_from_iter};

use super::day::Day;
use super::dictionary::ip_of_bytes;
use super::directory;
use super::pages::{partial, ranged};
use super::schema::{self, engine_error};
use crate::aggregate::{AggregateAnswer, AggregateQuery, AggregateRow, GroupBy, MAX_GROUPS, Sums};
use crate::error::StoreError;
use crate::filter::Filter;
use crate::query::Partial;

/// Groups by number that are kept before they are given their names: bounds memory where every record is its own group.
const PENDING: usize = 65_536;

/// Context, source, dest, judgement, port: the numbers that a group can be told by; 0 where it is not asked for.
type Numbers = [i64; 5];

const COLUMNS: &str = "f.context, f.source, f.dest, f.judgement, f.dest_port, f.num_flows, f.num_flows_started, \
    f.num_flows_completed, f.num_flows_aborted, f.bytes_in, f.bytes_out, f.packets_in, f.packets_out";

/// Returns sums by group.
pub(super) fn aggregate(dir: &Path, query: &AggregateQuery) -> Result<AggregateAnswer, StoreError> {
    query.filter.check_size().map_err(StoreError::InvalidQuery)?;
    let mut groups = Groups::default();
    let mut partials = Vec::new();
    for day in directory::days_between(dir, query.from, query.to)? {
        if let Err(error) = add_day(dir, day, query, &mut groups) {
            partials.push(partial(day, &error));
        }
    }
    if groups.overflowed {
        let reason =
            format!("more than {MAX_GROUPS} groups: the total is exact, some groups are left out or too small");
        partials.push(Partial { place: dir.display().to_string(), reason });
    }
    let mut rows: Vec<AggregateRow> = groups.named.into_iter().map(|(key, sums)| AggregateRow { key, sums }).collect();
    rows.sort_by(|a, b| b.sums.started.cmp(&a.sums.started).then_with(|| a.key.cmp(&b.key)));
    let left_out = rows.len().saturating_sub(query.limit);
    rows.truncate(query.limit);
    Ok(AggregateAnswer { rows, groups_left_out: left_out as u64, total: groups.total, partial: partials })
}

#[derive(Default)]
struct Groups {
    named: HashMap<Vec<Option<String>>, Sums>,
    total: Sums,
    overflowed: bool,
}

impl Groups {
    fn add(&mut self, key: Vec<Option<String>>, sums: &Sums) {
        self.total.add(sums);
        if self.named.len() >= MAX_GROUPS && !self.named.contains_key(&key) {
            self.overflowed = true;
            return;
        }
        self.named.entry(key).or_default().add(sums);
    }
}

fn add_day(dir: &Path, day: Day, query: &AggregateQuery, groups: &mut Groups) -> Result<(), StoreError> {
    let path = dir.join(day.file_name());
    let Some(file) = schema::open_to_read(&path)? else { return Ok(()) };
    let conditions = ranged(&query.filter.clone().and(Filter::counting(query.counting)), query.from, query.to);
    let text = format!("SELECT {COLUMNS} FROM flows f WHERE {}", conditions.text);
    let mut names = Names::new(&file, &query.group_by);
    let mut read = || -> rusqlite::Result<()> {
        // Names are looked up in the same view of the file that the rows come from.
        let _view = file.unchecked_transaction()?;
        let mut pending: HashMap<Numbers, Sums> = HashMap::new();
        let mut statement = file.prepare(&text)?;
        let mut rows = statement.query(params_from_iter(&conditions.values))?;
        while let Some(row) = rows.next()? {
            let numbers = names.numbers(row)?;
            let sums = sums_of(row, names.at_source(row.get(0)?)?)?;
            pending.entry(numbers).or_default().add(&sums);
            if pending.len() >= PENDING {
                for (numbers, sums) in pending.drain() {
                    groups.add(names.key(numbers)?, &sums);
                }
            }
        }
        for (numbers, sums) in pending {
            groups.add(names.key(numbers)?, &sums);
        }
        Ok(())
    };
    read().map_err(|source| engine_error("sum", &path, source))
}

fn sums_of(row: &Row<'_>, at_source: bool) -> rusqlite::Result<Sums> {
    let number = |at: usize| row.get::<_, i64>(at).map(|n| u128::from(n.cast_unsigned()));
    let turn = |inward: u128, outward: u128| if at_source { (outward, inward) } else { (inward, outward) };
    let (bytes_to_dest, bytes_to_source) = turn(number(9)?, number(10)?);
    let (packets_to_dest, packets_to_source) = turn(number(11)?, number(12)?);
    Ok(Sums {
        records: 1,
        flows: number(5)?,
        started: number(6)?,
        completed: number(7)?,
        aborted: number(8)?,
        bytes_to_dest,
        bytes_to_source,
        packets_to_dest,
        packets_to_source,
    })
}

/// Which of a row's numbers tells a group.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Context(&'static str),
    Source(&'static str),
    Dest(&'static str),
    Judgement(&'static str),
    SourceIp,
    DestIp,
    DestPort,
}

fn by(group: GroupBy) -> By {
    match group {
        GroupBy::SourceNamespace => By::Source("SELECT namespace FROM endpoints WHERE id = ?1"),
        GroupBy::SourceName => By::Source("SELECT name FROM endpoints WHERE id = ?1"),
        GroupBy::SourceNameAggr => By::Source("SELECT name_aggr FROM endpoints WHERE id = ?1"),
        GroupBy::SourceType => By::Source("SELECT type FROM endpoints WHERE id = ?1"),
        GroupBy::SourceIp => By::SourceIp,
        GroupBy::DestNamespace => By::Dest("SELECT namespace FROM endpoints WHERE id = ?1"),
        GroupBy::DestName => By::Dest("SELECT name FROM endpoints WHERE id = ?1"),
        GroupBy::DestNameAggr => By::Dest("SELECT name_aggr FROM endpoints WHERE id = ?1"),
        GroupBy::DestType => By::Dest("SELECT type FROM endpoints WHERE id = ?1"),
        GroupBy::DestIp => By::DestIp,
        GroupBy::DestPort => By::DestPort,
        GroupBy::ServiceNamespace => By::Context("SELECT dest_service_namespace FROM contexts WHERE id = ?1"),
        GroupBy::ServiceName => By::Context("SELECT dest_service_name FROM contexts WHERE id = ?1"),
        GroupBy::Protocol => By::Context("SELECT proto FROM contexts WHERE id = ?1"),
        GroupBy::Outcome => By::Context("SELECT outcome FROM contexts WHERE id = ?1"),
        GroupBy::DropReason => By::Context("SELECT drop_reason FROM contexts WHERE id = ?1"),
        GroupBy::Action => By::Judgement("SELECT action FROM judgements WHERE id = ?1"),
        GroupBy::Verdict => By::Judgement("SELECT verdict FROM judgements WHERE id = ?1"),
        GroupBy::Enforcement => By::Judgement("SELECT enforcement FROM judgements WHERE id = ?1"),
        GroupBy::Reporter => By::Context("SELECT reporter FROM contexts WHERE id = ?1"),
        GroupBy::Host => By::Context("SELECT host FROM contexts WHERE id = ?1"),
        GroupBy::Cluster => By::Context("SELECT cluster FROM contexts WHERE id = ?1"),
    }
}

/// Gives numbers of one file their names.
struct Names<'f> {
    file: &'f Connection,
    by: Vec<By>,
    at_source: HashMap<i64, bool>,
}

impl<'f> Names<'f> {
    fn new(file: &'f Connection, group_by: &[GroupBy]) -> Self {
        Self { file, by: group_by.iter().map(|group| by(*group)).collect(), at_source: HashMap::new() }
    }

    fn numbers(&self, row: &Row<'_>) -> rusqlite::Result<Numbers> {
        let mut numbers = Numbers::default();
        for by in &self.by {
            let at = match by {
                By::Context(_) => 0,
                By::Source(_) | By::SourceIp => 1,
                By::Dest(_) | By::DestIp => 2,
                By::Judgement(_) => 3,
                By::DestPort => 4,
            };
            // A port is at least 0, so that an absent one has a number of its own.
            numbers[at] = row.get::<_, Option<i64>>(at)?.unwrap_or(-1);
        }
        Ok(numbers)
    }

    /// Says whether the records of a context were reported at the initiator.
    fn at_source(&mut self, context: i64) -> rusqlite::Result<bool> {
        if let Some(known) = self.at_source.get(&context) {
            return Ok(*known);
        }
        let reporter = self.text("SELECT reporter FROM contexts WHERE id = ?1", context)?;
        let at_source = reporter.as_deref() == Some("src");
        self.at_source.insert(context, at_source);
        Ok(at_source)
    }

    fn key(&self, numbers: Numbers) -> rusqlite::Result<Vec<Option<String>>> {
        let [context, source, dest, judgement, port] = numbers;
        let name = |by: &By| match by {
            By::Context(text) => self.text(text, context),
            By::Source(text) => self.text(text, source),
            By::Dest(text) => self.text(text, dest),
            By::Judgement(text) => self.text(text, judgement),
            By::SourceIp => self.ip(source),
            By::DestIp => self.ip(dest),
            By::DestPort => Ok((port >= 0).then(|| port.to_string())),
        };
        self.by.iter().map(name).collect()
    }

    fn text(&self, query: &str, number: i64) -> rusqlite::Result<Option<String>> {
        let found = self.file.prepare_cached(query)?.query_row([number], |row| row.get(0)).optional()?;
        Ok(found.flatten())
    }

    fn ip(&self, number: i64) -> rusqlite::Result<Option<String>> {
        let mut find = self.file.prepare_cached("SELECT ip FROM endpoints WHERE id = ?1")?;
        let bytes: Option<Option<Vec<u8>>> = find.query_row([number], |row| row.get(0)).optional()?;
        Ok(bytes.flatten().and_then(|bytes| ip_of_bytes(&bytes)).map(|ip| ip.to_string()))
    }
}
