//! Dead letters, oldest first.

use serde_json::{Value, json};

use super::search::{hits, search};
use super::{Inner, conditions, documents, names};
use crate::error::StoreError;
use crate::query::{Cursor, DeadLetterPage, DeadLetterQuery, MAX_PAGE, Partial};

/// The most bytes of values on one page.
const PAGE_BYTES: usize = 16 << 20;
/// Letters asked for at once: each may be as long as a broker lets it.
const AT_ONCE: usize = 50;

/// Returns one page.
pub(super) async fn page(inner: &Inner, query: &DeadLetterQuery) -> Result<DeadLetterPage, StoreError> {
    let mut after = query.cursor.as_ref().map(parse).transpose()?;
    let limit = if query.limit == 0 { MAX_PAGE } else { query.limit.min(MAX_PAGE) };
    let pattern = names::pattern(inner.prefix(), names::Kind::DeadLetters);
    let range = conditions::range(query.from, query.to).unwrap_or_else(|| json!({"match_all": {}}));
    let mut page = DeadLetterPage::default();
    let (mut taken, mut bytes) = (0, 0);
    loop {
        let wanted = AT_ONCE.min(limit - taken);
        let mut body = json!({
            "size": wanted,
            "track_total_hits": false,
            "query": range,
            "sort": [{"@timestamp": "asc"}, {"key": "asc"}],
        });
        if let Some(after) = &after {
            body["search_after"] = after.clone();
        }
        let answer = search(inner, &pattern, &body, &mut page.partial).await?;
        let found = hits(&answer);
        for hit in found {
            match documents::letter(&hit["_source"]) {
                Ok(letter) => {
                    bytes += letter.value.len();
                    page.letters.push(letter);
                }
                Err(reason) => {
                    let place = hit["_index"].as_str().unwrap_or_default().to_owned();
                    page.partial.push(Partial { place, reason: format!("letter {}: {reason}", hit["_id"]) });
                }
            }
        }
        taken += found.len();
        if found.len() < wanted {
            return Ok(page);
        }
        after = found.last().map(|hit| hit["sort"].clone());
        if taken >= limit || bytes >= PAGE_BYTES {
            page.next = after.as_ref().and_then(cursor);
            return Ok(page);
        }
    }
}

fn cursor(sort: &Value) -> Option<Cursor> {
    let time = sort[0].as_str().map(str::to_owned).or_else(|| sort[0].as_u64().map(|ms| ms.to_string()))?;
    Some(Cursor(format!("letter:{time}:{}", sort[1].as_str()?)))
}

fn parse(cursor: &Cursor) -> Result<Value, StoreError> {
    let read = || {
        let (time, key) = cursor.as_str().strip_prefix("letter:")?.split_once(':')?;
        let time: i64 = time.parse().ok()?;
        Some(json!([time, key]))
    };
    read().ok_or_else(|| StoreError::InvalidQuery("the cursor is not one of dead letters".to_owned()))
}
