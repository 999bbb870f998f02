//! Flow records as they were stored. Every shard numbers what it takes, without gaps; a cursor holds the last number seen
//! of each shard, and goes only as far as the shard has everything.

use std::collections::BTreeMap;

use opensearch::http::Method;
use serde_json::{Value, json};

use super::connection::Body;
use super::search::hits;
use super::{Inner, conditions, flows, names};
use crate::error::StoreError;
use crate::query::{Cursor, FlowPage, FlowQuery, MAX_PAGE, Partial};

/// Shards in one cursor; beyond that the oldest are forgotten, whose records are past every retention.
const MOST_SHARDS: usize = 2000;

/// The last number of each shard, by index and shard.
type Positions = BTreeMap<(String, u64), i64>;

/// Returns the cursor behind all that is stored.
pub(super) async fn end(inner: &Inner) -> Result<Cursor, StoreError> {
    Ok(cursor(&checkpoints(inner).await?))
}

/// Returns one page.
pub(super) async fn page(inner: &Inner, query: &FlowQuery) -> Result<FlowPage, StoreError> {
    query.filter.check_size().map_err(StoreError::InvalidQuery)?;
    let mut positions = query.cursor.as_ref().map(parse).transpose()?.unwrap_or_default();
    let limit = query.limit.clamp(1, MAX_PAGE);
    let mut grown = checkpoints(inner).await?;
    grown.retain(|shard, last| *last > positions.get(shard).copied().unwrap_or(-1));
    let mut page = FlowPage::default();
    if !grown.is_empty() {
        // What lies at or below a checkpoint can be found after this.
        let mut indices: Vec<&str> = grown.keys().map(|(index, _)| index.as_str()).collect();
        indices.dedup();
        let path = format!("{}/_refresh?ignore_unavailable=true", indices.join(","));
        inner.connection.json(Method::Post, &path, Body::None).await?;
    }
    for ((index, shard), last) in grown {
        let left = limit - page.records.len();
        if left == 0 {
            break;
        }
        let after = positions.get(&(index.clone(), shard)).copied().unwrap_or(-1);
        let mut all = conditions::ranged(&query.filter, query.counting, query.from, query.to);
        if let Some(filters) = all["bool"]["filter"].as_array_mut() {
            filters.push(json!({"range": {"_seq_no": {"gt": after, "lte": last}}}));
        }
        let body = json!({"size": left, "track_total_hits": false, "query": all, "sort": [{"_seq_no": "asc"}]});
        let path = format!("{index}/_search?ignore_unavailable=true&preference=_shards:{shard}");
        let answer = inner.connection.json(Method::Post, &path, Body::Json(&body)).await?;
        if answer["_shards"]["failed"].as_u64() != Some(0) || answer["timed_out"] == true {
            // A follower that went on would never see what could not be read just now.
            page.partial.push(Partial { place: index, reason: format!("shard {shard} could not be asked") });
            continue;
        }
        let found = hits(&answer);
        found.iter().for_each(|hit| flows::take(hit, &mut page));
        let reached = match found.last().and_then(|hit| hit["sort"][0].as_i64()) {
            Some(number) if found.len() == left => number,
            _ => last,
        };
        positions.insert((index, shard), reached);
    }
    while positions.len() > MOST_SHARDS {
        positions.pop_first();
    }
    page.next = Some(cursor(&positions));
    Ok(page)
}

/// Returns how far each shard has everything.
async fn checkpoints(inner: &Inner) -> Result<Positions, StoreError> {
    let pattern = names::pattern(inner.prefix(), names::Kind::Flows);
    let path = format!(
        "{pattern}/_stats/docs?level=shards&filter_path=indices.*.shards.*.routing.primary,indices.*.shards.*.seq_no"
    );
    let stats = inner.get(&path).await?;
    let mut positions = Positions::new();
    for (index, value) in stats["indices"].as_object().into_iter().flatten() {
        for (shard, copies) in value["shards"].as_object().into_iter().flatten() {
            let primary = copies.as_array().into_iter().flatten().find(|copy| copy["routing"]["primary"] == true);
            let checkpoint = primary.and_then(|copy: &Value| copy["seq_no"]["global_checkpoint"].as_i64());
            if let (Ok(shard), Some(checkpoint)) = (shard.parse(), checkpoint) {
                positions.insert((index.clone(), shard), checkpoint);
            }
        }
    }
    Ok(positions)
}

fn cursor(positions: &Positions) -> Cursor {
    let parts: Vec<String> = positions.iter().map(|((index, shard), last)| format!("{index}/{shard}={last}")).collect();
    Cursor(format!("stored:{}", parts.join(",")))
}

fn parse(cursor: &Cursor) -> Result<Positions, StoreError> {
    let part = |text: &str| {
        let (shard, last) = text.rsplit_once('=')?;
        let (index, shard) = shard.rsplit_once('/')?;
        Some(((index.to_owned(), shard.parse().ok()?), last.parse().ok()?))
    };
    let read = || -> Option<Positions> {
        let text = cursor.as_str().strip_prefix("stored:")?;
        text.split(',').filter(|text| !text.is_empty()).map(part).collect()
    };
    read().ok_or_else(|| StoreError::InvalidQuery("the cursor is not one of this order".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_written() {
        let positions = Positions::from([(("m-flows-2026.11.25".to_owned(), 1), 7), (("x".to_owned(), 0), -1)]);
        assert_eq!(parse(&cursor(&positions)).unwrap(), positions);
        assert_eq!(parse(&cursor(&Positions::new())).unwrap(), Positions::new());
        for text in ["", "newest:1", "stored:-", "stored:a=1", "stored:a/b=1", "stored:a/1=x"] {
            assert!(parse(&Cursor::from_text(text)).is_err(), "{text}");
        }
    }
}
