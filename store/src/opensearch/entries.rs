//! The streams of a cluster, and one of them entry by entry over all its indices.

use std::collections::BTreeMap;
use std::sync::Arc;

use flow::{Stream, UnixMs};
use serde_json::{Value, json};

use super::search::{hits, search};
use super::{Inner, documents, names, removal};
use crate::entry::{Entry, EntryKind, EntryPage, EntryQuery, Quantities, StreamList, StreamSummary};
use crate::error::StoreError;
use crate::query::{Cursor, MAX_PAGE, Partial};

const AT_ONCE: usize = 5000;
/// What one search may give at most, by the default of both products.
const MOST: usize = 10_000;

/// Returns the streams.
pub(super) async fn streams(inner: &Inner) -> Result<StreamList, StoreError> {
    let mut list = StreamList::default();
    let mut found: BTreeMap<Stream, StreamSummary> = BTreeMap::new();
    for kind in names::Kind::ALL {
        let pattern = names::pattern(inner.prefix(), kind);
        let dead = kind == names::Kind::DeadLetters;
        // A number with several dead letters counts once.
        let mut sources = vec![json!({"stream": {"terms": {"field": "stream"}}})];
        if dead {
            sources.push(json!({"seq": {"terms": {"field": "seq"}}}));
        }
        let aggs = json!({
            "last_seq": {"max": {"field": "seq"}},
            "last_end": {"max": {"field": "@timestamp"}},
        });
        let mut after = Value::Null;
        loop {
            let mut composite = json!({"size": AT_ONCE, "sources": sources});
            if !after.is_null() {
                composite["after"] = after;
            }
            let body = json!({"size": 0, "track_total_hits": false,
                "aggs": {"streams": {"composite": composite, "aggs": aggs}}});
            let answer = search(inner, &pattern, &body, &mut list.partial).await?;
            let groups = &answer["aggregations"]["streams"];
            for bucket in groups["buckets"].as_array().into_iter().flatten() {
                add(bucket, dead, &pattern, &mut found, &mut list.partial);
            }
            after = groups["after_key"].clone();
            if after.is_null() {
                break;
            }
        }
    }
    list.streams = found.into_values().collect();
    Ok(list)
}

fn add(
    bucket: &Value,
    dead: bool,
    pattern: &str,
    found: &mut BTreeMap<Stream, StreamSummary>,
    partials: &mut Vec<Partial>,
) {
    let name = bucket["key"]["stream"].as_str().unwrap_or_default();
    let Ok(stream) = name.parse::<Stream>() else {
        let reason = format!("`{}` is no stream", name.escape_debug());
        partials.push(Partial { place: pattern.to_owned(), reason });
        return;
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "numbers and times, from 0 on")]
    let number = |name: &str| bucket[name]["value"].as_f64().map(|value| value as u64);
    let summary = found.entry(stream.clone()).or_insert_with(|| StreamSummary {
        stream,
        stored: 0,
        dead_letters: 0,
        last_seq: 0,
        last_end: None,
    });
    if dead {
        summary.dead_letters += 1;
    } else {
        summary.stored += bucket["doc_count"].as_u64().unwrap_or(0);
        summary.last_end = summary.last_end.max(number("last_end").map(UnixMs));
    }
    summary.last_seq = summary.last_seq.max(number("last_seq").unwrap_or(0));
}

/// Returns one page of the entries of a stream.
pub(super) async fn entries(inner: &Inner, query: &EntryQuery) -> Result<EntryPage, StoreError> {
    let from = query.cursor.as_ref().map_or(Ok(0), parse)?;
    let limit = query.limit.clamp(1, MAX_PAGE);
    let mut page = EntryPage::default();
    // The highest number up to which every kind was read; a kind that was cut off ends the page.
    let mut bound = u64::MAX;
    for kind in names::Kind::ALL {
        let last = entries_of_kind(inner, kind, &query.stream, from, limit, &mut page).await?;
        bound = bound.min(last);
    }
    // Removed ranges come after: what was removed in between is then in one of the two.
    let place: Arc<str> = names::control_index(inner.prefix()).into();
    for run in removal::runs(inner, &query.stream, &mut page.partial).await? {
        // A range that began on an earlier page was given there.
        if run.first >= from {
            let kind = EntryKind::Removed { to: run.last };
            page.entries.push(Entry { seq: run.first, place: Arc::clone(&place), kind });
        }
    }
    page.entries.retain(|entry| entry.seq <= bound);
    page.entries.sort_by(|a, b| a.seq.cmp(&b.seq).then_with(|| a.place.cmp(&b.place)));
    page.next = (bound < u64::MAX).then(|| Cursor(format!("seq:{}", bound + 1)));
    Ok(page)
}

fn parse(cursor: &Cursor) -> Result<u64, StoreError> {
    let number = cursor.as_str().strip_prefix("seq:").and_then(|text| text.parse().ok());
    number.ok_or_else(|| StoreError::InvalidQuery("the cursor is not one of entries".to_owned()))
}

/// Adds the entries of one kind; returns the number up to which all of them were added.
async fn entries_of_kind(
    inner: &Inner,
    kind: names::Kind,
    stream: &Stream,
    from: u64,
    limit: usize,
    page: &mut EntryPage,
) -> Result<u64, StoreError> {
    // One more than asked for says whether others follow; there may be several of one number.
    let size = (limit + 1).clamp(20, MOST);
    let range = json!({"range": {"seq": {"gte": from.min(i64::MAX.cast_unsigned())}}});
    let mut found = ask(inner, kind, stream, range, size, &mut page.partial).await?;
    let mut bound = u64::MAX;
    if found.len() == size {
        let last = found.last().map_or(0, |hit| seq_of(hit).unwrap_or(0));
        found.retain(|hit| seq_of(hit).is_some_and(|seq| seq < last));
        if found.is_empty() {
            // All of one number: these together, and no further.
            let term = json!({"term": {"seq": last}});
            found = ask(inner, kind, stream, term, MOST, &mut page.partial).await?;
            bound = last;
        } else {
            bound = last - 1;
        }
    }
    if kind == names::Kind::DeadLetters {
        found = one_a_number(found);
    }
    for hit in &found {
        let place: Arc<str> = hit["_index"].as_str().unwrap_or_default().into();
        let Some(seq) = seq_of(hit) else {
            page.partial.push(Partial { place: place.to_string(), reason: format!("{} has no number", hit["_id"]) });
            continue;
        };
        let read = entry_kind(kind, &hit["_source"]);
        page.entries.push(Entry { seq, place, kind: read.unwrap_or_else(|reason| EntryKind::Unreadable { reason }) });
    }
    Ok(bound)
}

async fn ask(
    inner: &Inner,
    kind: names::Kind,
    stream: &Stream,
    which: Value,
    size: usize,
    partials: &mut Vec<Partial>,
) -> Result<Vec<Value>, StoreError> {
    let body = json!({
        "size": size,
        "track_total_hits": false,
        "query": {"bool": {"filter": [{"term": {"stream": {"value": stream}}}, which]}},
        "sort": [{"seq": "asc"}, {"@timestamp": "asc"}],
        // Long values are of no use to a balance.
        "_source": {"includes": [
            "@timestamp", "seq", "reporter", "proto", "outcome", "num_flows_started", "bytes_in", "bytes_out",
            "packets_in", "packets_out", "ledger", "reason", "value",
        ]},
    });
    let answer = search(inner, &names::pattern(inner.prefix(), kind), &body, partials).await?;
    Ok(hits(&answer).to_vec())
}

fn seq_of(hit: &Value) -> Option<u64> {
    hit["sort"][0].as_u64()
}

/// One entry a number and index, however many dead letters it has; one that says `conflict` comes before others.
fn one_a_number(found: Vec<Value>) -> Vec<Value> {
    let mut kept: BTreeMap<(u64, String), Value> = BTreeMap::new();
    for hit in found {
        let key = (seq_of(&hit).unwrap_or(0), hit["_index"].as_str().unwrap_or_default().to_owned());
        match kept.get(&key) {
            Some(_) if hit["_source"]["reason"] != "conflict" => {}
            _ => {
                kept.insert(key, hit);
            }
        }
    }
    kept.into_values().collect()
}

fn entry_kind(kind: names::Kind, source: &Value) -> Result<EntryKind, String> {
    match kind {
        names::Kind::Flows => quantities(&flow::record::normal_form(source)).map(EntryKind::Flow),
        names::Kind::Ledger => documents::ledger(source).map(|ledger| EntryKind::Ledger(Box::new(ledger))),
        names::Kind::DeadLetters => Ok(EntryKind::DeadLetter {
            reason: source["reason"].as_str().ok_or("`reason` is missing")?.to_owned(),
            value: documents::letter_value(source)?,
        }),
    }
}

fn quantities(source: &Value) -> Result<Quantities, String> {
    let text = |name: &str| source[name].as_str().map(Arc::from).ok_or_else(|| format!("`{name}` is missing"));
    let number = |name: &str| source[name].as_u64().ok_or_else(|| format!("`{name}` is missing"));
    Ok(Quantities {
        end_time: UnixMs(number("@timestamp")?),
        reporter: text("reporter")?,
        proto: text("proto")?,
        outcome: text("outcome")?,
        started: number("num_flows_started")?,
        bytes_in: number("bytes_in")?,
        bytes_out: number("bytes_out")?,
        packets_in: number("packets_in")?,
        packets_out: number("packets_out")?,
    })
}
