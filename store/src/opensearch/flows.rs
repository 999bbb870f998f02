//! Flow records by time, page by page. A page goes on behind the last record of the one before, by a key that no two
//! records of an index share, so that nothing has to be kept open between two pages.

use serde_json::{Value, json};

use super::search::{hits, search};
use super::{Inner, conditions, documents, names};
use crate::error::StoreError;
use crate::query::{Cursor, FlowPage, FlowQuery, MAX_PAGE, Order, Partial};

/// Returns one page.
pub(super) async fn by_time(inner: &Inner, query: &FlowQuery) -> Result<FlowPage, StoreError> {
    query.filter.check_size().map_err(StoreError::InvalidQuery)?;
    let (word, order) = if query.order == Order::NewestFirst { ("newest", "desc") } else { ("oldest", "asc") };
    let after = query.cursor.as_ref().map(|cursor| parse(cursor, word)).transpose()?;
    let limit = query.limit.clamp(1, MAX_PAGE);
    let mut body = json!({
        "size": limit,
        "track_total_hits": false,
        "query": conditions::ranged(&query.filter, query.counting, query.from, query.to),
        "sort": [
            {"@timestamp": {"order": order}},
            {"seq": {"order": order}},
            {"stream": {"order": order}},
        ],
    });
    if let Some(after) = after {
        body["search_after"] = after;
    }
    let mut page = FlowPage::default();
    let pattern = names::pattern(inner.prefix(), names::Kind::Flows);
    let answer = search(inner, &pattern, &body, &mut page.partial).await?;
    let hits = hits(&answer);
    for hit in hits {
        take(hit, &mut page);
    }
    if hits.len() == limit {
        page.next = hits.last().and_then(|hit| cursor(word, &hit["sort"]));
    }
    Ok(page)
}

/// Adds a hit to a page; one that cannot be read is named.
pub(super) fn take(hit: &Value, page: &mut FlowPage) {
    match documents::flow(&hit["_source"]) {
        Ok(record) => page.records.push(record),
        Err(reason) => {
            let place = hit["_index"].as_str().unwrap_or_default().to_owned();
            page.partial.push(Partial { place, reason: format!("document {} cannot be read: {reason}", hit["_id"]) });
        }
    }
}

fn cursor(word: &str, sort: &Value) -> Option<Cursor> {
    let time = sort[0].as_str().map(str::to_owned).or_else(|| sort[0].as_u64().map(|ms| ms.to_string()))?;
    Some(Cursor(format!("{word}:{time}:{}:{}", sort[1].as_u64()?, sort[2].as_str()?)))
}

fn parse(cursor: &Cursor, word: &str) -> Result<Value, StoreError> {
    let read = || {
        let mut parts = cursor.as_str().splitn(4, ':');
        if parts.next() != Some(word) {
            return None;
        }
        let time: i64 = parts.next()?.parse().ok()?;
        let seq: i64 = parts.next()?.parse().ok()?;
        let stream: flow::Stream = parts.next()?.parse().ok()?;
        Some(json!([time, seq, stream]))
    };
    read().ok_or_else(|| StoreError::InvalidQuery("the cursor is not one of this order".to_owned()))
}
