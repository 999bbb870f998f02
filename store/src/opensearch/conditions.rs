//! The typed filter as a query: a tree of values, never text.

use flow::UnixMs;
use ipnet::IpNet;
use serde_json::{Value, json};

use crate::filter::{EndTest, Filter, Side, Text};
use crate::query::Counting;

/// Returns the query of a filter with a range of time.
pub(super) fn ranged(filter: &Filter, counting: Counting, from: Option<UnixMs>, to: Option<UnixMs>) -> Value {
    let mut all = vec![query(filter), query(&Filter::counting(counting))];
    all.extend(range(from, to));
    json!({"bool": {"filter": all}})
}

/// Returns the query of a range of time.
pub(super) fn range(from: Option<UnixMs>, to: Option<UnixMs>) -> Option<Value> {
    // A time beyond signed numbers is beyond every record.
    let bound = |time: UnixMs| time.0.min(i64::MAX.cast_unsigned());
    let mut bounds = serde_json::Map::new();
    if let Some(from) = from {
        bounds.insert("gte".to_owned(), json!(bound(from)));
    }
    if let Some(to) = to {
        bounds.insert("lt".to_owned(), json!(bound(to)));
    }
    (!bounds.is_empty()).then(|| {
        bounds.insert("format".to_owned(), json!("epoch_millis"));
        json!({"range": {"@timestamp": bounds}})
    })
}

fn query(filter: &Filter) -> Value {
    match filter {
        Filter::All(parts) => all(&parts.iter().map(query).collect::<Vec<_>>()),
        Filter::Any(parts) => any(&parts.iter().map(query).collect::<Vec<_>>()),
        Filter::Not(part) => json!({"bool": {"must_not": [query(part)]}}),
        Filter::End(Side::Source, tests) => end("source", tests),
        Filter::End(Side::Dest, tests) => end("dest", tests),
        Filter::End(Side::Either, tests) => any(&[end("source", tests), end("dest", tests)]),
        Filter::Keyword(keyword, wanted) => text(keyword.field(), wanted),
    }
}

fn all(parts: &[Value]) -> Value {
    if parts.is_empty() { json!({"match_all": {}}) } else { json!({"bool": {"filter": parts}}) }
}

fn any(parts: &[Value]) -> Value {
    if parts.is_empty() {
        json!({"match_none": {}})
    } else {
        json!({"bool": {"should": parts, "minimum_should_match": 1}})
    }
}

fn end(side: &str, tests: &[EndTest]) -> Value {
    all(&tests.iter().map(|test| end_test(side, test)).collect::<Vec<_>>())
}

fn end_test(side: &str, test: &EndTest) -> Value {
    let field = |name: &str| format!("{side}_{name}");
    match test {
        EndTest::Namespace(wanted) => text(&field("namespace"), wanted),
        EndTest::Name(wanted) => any(&[text(&field("name"), wanted), text(&field("name_aggr"), wanted)]),
        EndTest::Type(wanted) => text(&field("type"), wanted),
        EndTest::Address(net) => network(&field("ip"), *net),
        EndTest::Port(port) => json!({"term": {field("port"): {"value": port}}}),
        EndTest::Label(wanted) => text(&field("labels.labels"), wanted),
        EndTest::OwnerKind(wanted) => text(&field("owner_kind"), wanted),
        EndTest::OwnerName(wanted) => text(&field("owner_name"), wanted),
        EndTest::Node(wanted) => text(&field("node"), wanted),
        EndTest::Zone(wanted) => text(&field("zone"), wanted),
    }
}

fn text(field: &str, text: &Text) -> Value {
    match text {
        Text::Exact(exact) => json!({"term": {field: {"value": exact}}}),
        Text::Prefix(prefix) => json!({"prefix": {field: {"value": prefix}}}),
    }
}

/// Both products keep an IPv4 address as an IPv6 one: a network of IPv6 that holds them all means none of them here.
fn network(field: &str, net: IpNet) -> Value {
    let term = |net: &str| json!({"term": {field: {"value": net}}});
    let within = term(&format!("{}/{}", net.network(), net.prefix_len()));
    match net {
        IpNet::V4(_) => within,
        IpNet::V6(_) => json!({"bool": {"filter": [within], "must_not": [term("0.0.0.0/0")]}}),
    }
}
