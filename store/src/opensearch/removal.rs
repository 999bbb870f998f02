//! Retention by whole days. Which numbers of which stream go is written down in a small index before the day goes, so
//! that a balance can tell what was removed from what was lost.

use std::collections::{BTreeMap, BTreeSet};

use flow::{Stream, UnixMs};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use opensearch::http::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::connection::Body;
use super::search::{hits, search};
use super::{Inner, OpenSearchStore, names};
use crate::error::{Fate, StoreError};
use crate::query::Partial;

const AT_ONCE: usize = 5000;

/// What a removal took away.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RemovedDays {
    /// The days, oldest first, as `2026-11-25`.
    pub days: Vec<String>,
    /// Records, ledgers and dead letters that lay in them.
    pub records: u64,
}

/// A range of numbers of a stream, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Run {
    pub(super) first: u64,
    pub(super) last: u64,
}

impl OpenSearchStore {
    /// Removes the days that end before a time, each as a whole; never the day of `now` nor one after it. Idempotent:
    /// after a failure the next call goes on.
    ///
    /// # Errors
    /// Returns [`StoreError`] if not all of it could be removed.
    pub async fn remove_days(&self, before: UnixMs, now: UnixMs) -> Result<RemovedDays, StoreError> {
        let inner = &self.inner;
        let first_kept = day_of_time(inner, before)?.min(day_of_time(inner, now)?);
        let mut days: BTreeMap<Date, Vec<String>> = BTreeMap::new();
        for kind in names::Kind::ALL {
            let pattern = names::pattern(inner.prefix(), kind);
            let found = inner.get(&format!("{pattern}/_settings?filter_path=*.settings.index.uuid")).await?;
            for index in found.as_object().into_iter().flat_map(|found| found.keys()) {
                if let Some(day) = names::day_of(inner.prefix(), kind, index).filter(|day| *day < first_kept) {
                    days.entry(day).or_default().push(index.clone());
                }
            }
        }
        let mut removed = RemovedDays::default();
        for (day, indices) in days {
            removed.records += remove_day(inner, day, &indices).await?;
            removed.days.push(day.to_string());
        }
        Ok(removed)
    }
}

fn day_of_time(inner: &Inner, time: UnixMs) -> Result<Date, StoreError> {
    let day = i64::try_from(time.0).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    let day = day.map(|time| time.to_zoned(TimeZone::UTC).date());
    day.ok_or_else(|| inner.connection.error("remove days", Fate::Invalid, format!("{} is no time", time.0)))
}

async fn remove_day(inner: &Inner, day: Date, indices: &[String]) -> Result<u64, StoreError> {
    let names = indices.join(",");
    // What was written last must be seen by what is counted.
    inner.connection.json(Method::Post, &format!("{names}/_refresh"), Body::None).await?;
    let count = inner.get(&format!("{names}/_count")).await?["count"].as_u64().unwrap_or(0);
    let mut runs = Vec::new();
    for stream in streams(inner, &names).await? {
        runs.extend(runs_of(inner, &names, &stream).await?.into_iter().map(|run| (stream.clone(), run)));
    }
    record(inner, day, count, &runs).await?;
    inner.connection.json(Method::Delete, &names, Body::None).await?;
    indices.iter().for_each(|index| inner.forget_index(index));
    tracing::info!(%day, records = count, "a day is past its retention and was removed");
    Ok(count)
}

/// Asks one question that must be answered whole: what is not seen here would look lost later.
async fn whole(inner: &Inner, names: &str, body: &Value) -> Result<Value, StoreError> {
    let mut partials = Vec::new();
    let answer = search(inner, names, body, &mut partials).await?;
    match partials.first() {
        None => Ok(answer),
        Some(Partial { place, reason }) => {
            let text = format!("`{place}`: {reason}: nothing is removed before all of it can be read");
            Err(inner.connection.error("remove a day", Fate::Transient, text))
        }
    }
}

async fn streams(inner: &Inner, names: &str) -> Result<BTreeSet<String>, StoreError> {
    let mut streams = BTreeSet::new();
    let mut after = Value::Null;
    loop {
        let mut composite = json!({"size": AT_ONCE, "sources": [{"stream": {"terms": {"field": "stream"}}}]});
        if !after.is_null() {
            composite["after"] = after;
        }
        let answer = whole(inner, names, &json!({"size": 0, "aggs": {"g": {"composite": composite}}})).await?;
        let groups = &answer["aggregations"]["g"];
        let buckets = groups["buckets"].as_array().into_iter().flatten();
        streams.extend(buckets.filter_map(|bucket| bucket["key"]["stream"].as_str().map(str::to_owned)));
        after = groups["after_key"].clone();
        if after.is_null() {
            return Ok(streams);
        }
    }
}

/// Returns the numbers of a stream that lie in some indices, as ranges.
async fn runs_of(inner: &Inner, names: &str, stream: &str) -> Result<Vec<Run>, StoreError> {
    let mut runs: Vec<Run> = Vec::new();
    let mut after = Value::Null;
    loop {
        let mut composite = json!({"size": AT_ONCE, "sources": [{"seq": {"terms": {"field": "seq"}}}]});
        if !after.is_null() {
            composite["after"] = after;
        }
        let query = json!({"term": {"stream": {"value": stream}}});
        let body = json!({"size": 0, "query": query, "aggs": {"g": {"composite": composite}}});
        let answer = whole(inner, names, &body).await?;
        let groups = &answer["aggregations"]["g"];
        for bucket in groups["buckets"].as_array().into_iter().flatten() {
            let Some(seq) = bucket["key"]["seq"].as_u64() else { continue };
            join(&mut runs, Run { first: seq, last: seq });
        }
        after = groups["after_key"].clone();
        if after.is_null() {
            return Ok(runs);
        }
    }
}

/// Adds a range that begins at or behind those before.
fn join(runs: &mut Vec<Run>, run: Run) {
    match runs.last_mut() {
        Some(last) if run.first <= last.last.saturating_add(1) => last.last = last.last.max(run.last),
        _ => runs.push(run),
    }
}

/// Writes down what is about to go. The ids come from the content, so that a second try writes the same.
async fn record(inner: &Inner, day: Date, count: u64, runs: &[(String, Run)]) -> Result<(), StoreError> {
    let index = names::control_index(inner.prefix());
    inner.make_indices(&[index.as_str()].into()).await?;
    let total = json!({"day": day.to_string(), "records": count, "kind": "day"});
    let mut lines = vec![(id(&[&day.to_string()]), total)];
    for (stream, run) in runs {
        let day = day.to_string();
        let id = id(&[&day, stream, &run.first.to_string()]);
        lines.push((id, json!({"stream": stream, "day": day, "kind": "run", "first": run.first, "last": run.last})));
    }
    for part in lines.chunks(AT_ONCE) {
        let text: String = part
            .iter()
            .map(|(id, line)| format!("{}\n{line}\n", json!({"index": {"_index": index, "_id": id}})))
            .collect();
        let path = "_bulk?refresh=true&filter_path=errors,items.*.error";
        let answer = inner.connection.json(Method::Post, path, Body::Lines(text.into())).await?;
        if answer["errors"] != false {
            let text = format!("what goes could not be written down: {}", answer["items"][0]);
            return Err(inner.connection.error("remove a day", Fate::Transient, text));
        }
    }
    Ok(())
}

fn id(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize()[..20].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns the ranges that retention took from a stream, in order, those that touch as one.
pub(super) async fn runs(inner: &Inner, stream: &Stream, partials: &mut Vec<Partial>) -> Result<Vec<Run>, StoreError> {
    let mut runs = Vec::new();
    let mut after: Option<Value> = None;
    loop {
        let mut body = json!({
            "size": AT_ONCE,
            "query": {"term": {"stream": {"value": stream}}},
            "sort": [{"first": "asc"}, {"last": "asc"}, {"day": "asc"}],
        });
        if let Some(after) = &after {
            body["search_after"] = after.clone();
        }
        let answer = search(inner, &names::control_index(inner.prefix()), &body, partials).await?;
        let found = hits(&answer);
        for hit in found {
            if let (Some(first), Some(last)) = (hit["sort"][0].as_u64(), hit["sort"][1].as_u64()) {
                join(&mut runs, Run { first, last });
            }
        }
        if found.len() < AT_ONCE {
            return Ok(runs);
        }
        after = found.last().map(|hit| hit["sort"].clone());
    }
}
