//! One search: what was found, and which shards could not be asked.

use opensearch::http::Method;
use serde_json::Value;

use super::Inner;
use super::connection::Body;
use crate::error::StoreError;
use crate::query::Partial;

/// Asks all indices of a pattern; a shard that failed is named.
pub(super) async fn search(
    inner: &Inner,
    pattern: &str,
    body: &Value,
    partials: &mut Vec<Partial>,
) -> Result<Value, StoreError> {
    let path =
        format!("{pattern}/_search?ignore_unavailable=true&allow_no_indices=true&allow_partial_search_results=true");
    let answer = inner.connection.json(Method::Post, &path, Body::Json(body)).await?;
    partials.extend(partial(pattern, &answer));
    Ok(answer)
}

/// Names what an answer lacks.
fn partial(pattern: &str, answer: &Value) -> Vec<Partial> {
    let shards = &answer["_shards"];
    let mut partials: Vec<Partial> = shards["failures"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|failure| {
            let place = failure["index"].as_str().unwrap_or(pattern);
            let reason = &failure["reason"];
            let text = |name: &str| reason[name].as_str().unwrap_or_default();
            let reason =
                flow::printable(&format!("shard {}: {} {}", failure["shard"], text("type"), text("reason")), 300);
            Partial { place: place.to_owned(), reason }
        })
        .collect();
    let failed = shards["failed"].as_u64().unwrap_or(0);
    if failed > 0 && partials.is_empty() {
        partials.push(Partial { place: pattern.to_owned(), reason: format!("{failed} shards could not be asked") });
    }
    if answer["timed_out"] == true {
        partials.push(Partial { place: pattern.to_owned(), reason: "the search ran out of time".to_owned() });
    }
    partials
}

/// Returns the hits of an answer.
pub(super) fn hits(answer: &Value) -> &[Value] {
    answer["hits"]["hits"].as_array().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn failed_shards_are_named() {
        let whole = json!({"timed_out": false, "_shards": {"total": 2, "failed": 0}});
        assert_eq!(partial("x-*", &whole), []);
        let failed = json!({"_shards": {"failed": 1, "failures": [
            {"shard": 0, "index": "x-1", "reason": {"type": "node_closed", "reason": "gone"}}]}});
        let expected = Partial { place: "x-1".to_owned(), reason: "shard 0: node_closed gone".to_owned() };
        assert_eq!(partial("x-*", &failed), [expected]);
        assert_eq!(partial("x-*", &json!({"_shards": {"failed": 3}})).len(), 1);
        assert_eq!(partial("x-*", &json!({"timed_out": true})).len(), 1);
    }
}
