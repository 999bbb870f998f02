//! Sums by group: every group is asked for, page by page, so that nothing is estimated.
//!
//! Both products add in floating point. Whole numbers below 2^53 are added exactly; a sum beyond is named in the answer
//! as one that may be off.

use serde_json::{Map, Value, json};

use super::search::search;
use super::{Inner, conditions, names};
use crate::aggregate::{AggregateAnswer, AggregateQuery, AggregateRow, GroupBy, MAX_GROUPS, Sums};
use crate::error::StoreError;
use crate::query::Partial;

/// Groups asked for at once: the most that both products allow without another setting.
const AT_ONCE: usize = 5000;
/// Up to here a sum in floating point is exact.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Returns the sums.
pub(super) async fn aggregate(inner: &Inner, query: &AggregateQuery) -> Result<AggregateAnswer, StoreError> {
    query.filter.check_size().map_err(StoreError::InvalidQuery)?;
    let pattern = names::pattern(inner.prefix(), names::Kind::Flows);
    let limit = query.limit.min(MAX_GROUPS);
    let mut answer = AggregateAnswer::default();
    let mut groups = 0_u64;
    let mut after: Option<Value> = None;
    loop {
        let body = body(query, after.as_ref());
        let reply = search(inner, &pattern, &body, &mut answer.partial).await?;
        let rows = rows(query, &reply, &pattern, &mut answer.partial);
        groups += rows.len() as u64;
        for row in rows {
            answer.total.add(&row.sums);
            answer.rows.push(row);
        }
        if answer.rows.len() > limit + AT_ONCE {
            keep_most(&mut answer.rows, limit);
        }
        after = Some(reply["aggregations"]["groups"]["after_key"].clone()).filter(|key| !key.is_null());
        if after.is_none() {
            break;
        }
    }
    keep_most(&mut answer.rows, limit);
    answer.groups_left_out = groups - answer.rows.len() as u64;
    answer.partial.dedup();
    Ok(answer)
}

fn keep_most(rows: &mut Vec<AggregateRow>, limit: usize) {
    rows.sort_by(|a, b| b.sums.started.cmp(&a.sums.started).then_with(|| a.key.cmp(&b.key)));
    rows.truncate(limit);
}

fn body(query: &AggregateQuery, after: Option<&Value>) -> Value {
    let sum = |field: &str| json!({"sum": {"field": field}});
    let volumes = ["bytes_in", "bytes_out", "packets_in", "packets_out"];
    let volume_sums: Map<String, Value> = volumes.iter().map(|name| ((*name).to_owned(), sum(name))).collect();
    let mut sums = volume_sums.clone();
    for name in ["num_flows", "num_flows_started", "num_flows_completed", "num_flows_aborted"] {
        sums.insert(name.to_owned(), sum(name));
    }
    // What goes in at one end comes out at the other: records of the source are summed apart and turned.
    sums.insert("at_source".to_owned(), json!({"filter": {"term": {"reporter": "src"}}, "aggs": volume_sums}));
    let aggs = if query.group_by.is_empty() {
        json!({"all": {"filter": {"match_all": {}}, "aggs": sums}})
    } else {
        let sources: Vec<Value> = query.group_by.iter().enumerate().map(source).collect();
        let mut composite = json!({"size": AT_ONCE, "sources": sources});
        if let Some(after) = after {
            composite["after"] = after.clone();
        }
        json!({"groups": {"composite": composite, "aggs": sums}})
    };
    json!({
        "size": 0,
        "track_total_hits": false,
        "query": conditions::ranged(&query.filter, query.counting, query.from, query.to),
        "aggs": aggs,
    })
}

/// One field may be grouped by twice, so groups are named by their place.
fn source((at, group): (usize, &GroupBy)) -> Value {
    let name = format!("g{at}");
    json!({name: {"terms": {"field": group.field(), "missing_bucket": true}}})
}

fn rows(query: &AggregateQuery, reply: &Value, pattern: &str, partials: &mut Vec<Partial>) -> Vec<AggregateRow> {
    let aggregations = &reply["aggregations"];
    let mut row = |key: Vec<Option<String>>, bucket: &Value| {
        let sums = sums(bucket, pattern, partials);
        (sums.records > 0).then_some(AggregateRow { key, sums })
    };
    if query.group_by.is_empty() {
        return row(Vec::new(), &aggregations["all"]).into_iter().collect();
    }
    let buckets = aggregations["groups"]["buckets"].as_array().map_or(&[][..], Vec::as_slice);
    let key = |bucket: &Value| {
        let values =
            query.group_by.iter().enumerate().map(|(at, group)| text(*group, &bucket["key"][format!("g{at}")]));
        values.collect::<Vec<_>>()
    };
    buckets.iter().filter_map(|bucket| row(key(bucket), bucket)).collect()
}

fn text(group: GroupBy, value: &Value) -> Option<String> {
    match (group, value) {
        (_, Value::Null) => None,
        // One address has one spelling.
        (GroupBy::SourceIp | GroupBy::DestIp, Value::String(text)) => {
            Some(text.parse::<std::net::IpAddr>().map_or_else(|_| text.clone(), |ip| ip.to_string()))
        }
        (_, Value::String(text)) => Some(text.clone()),
        (_, other) => Some(other.to_string()),
    }
}

fn sums(bucket: &Value, pattern: &str, partials: &mut Vec<Partial>) -> Sums {
    let mut read = |bucket: &Value, name: &str| {
        let value = bucket[name]["value"].as_f64().unwrap_or(0.0);
        if value >= EXACT {
            let reason = format!("a sum of `{name}` is above 2^53 and may be off: ask for less time");
            partials.push(Partial { place: pattern.to_owned(), reason });
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a sum of whole numbers from 0 on")]
        let whole = value as u128;
        whole
    };
    let source = &bucket["at_source"];
    let mut turned = |inward: &str, outward: &str| {
        let (all_in, all_out) = (read(bucket, inward), read(bucket, outward));
        let (source_in, source_out) = (read(source, inward), read(source, outward));
        let to_dest = all_in.saturating_sub(source_in) + source_out;
        let to_source = all_out.saturating_sub(source_out) + source_in;
        (to_dest, to_source)
    };
    let (bytes_to_dest, bytes_to_source) = turned("bytes_in", "bytes_out");
    let (packets_to_dest, packets_to_source) = turned("packets_in", "packets_out");
    Sums {
        records: bucket["doc_count"].as_u64().unwrap_or(0),
        flows: read(bucket, "num_flows"),
        started: read(bucket, "num_flows_started"),
        completed: read(bucket, "num_flows_completed"),
        aborted: read(bucket, "num_flows_aborted"),
        bytes_to_dest,
        bytes_to_source,
        packets_to_dest,
        packets_to_source,
    }
}
