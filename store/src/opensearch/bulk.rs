//! Writing: bulk requests of `create`, and an answer an item.

use std::collections::{HashMap, HashSet, VecDeque};

use bytes::Bytes;
use opensearch::http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::classify::{Class, classify};
use super::connection::{Body, Reply};
use super::{Inner, documents, names};
use crate::document::{Answer, Document};
use crate::error::{Fate, StoreError};
use crate::limits;

/// What is asked for of an answer; the rest would be moved for nothing.
const BULK: &str = "_bulk?filter_path=items.*._index,items.*._id,items.*.status,items.*.error.type,\
    items.*.error.reason,items.*.error.caused_by.type,items.*.error.caused_by.reason";

/// One item on its way.
struct Item<'a> {
    at: usize,
    index: String,
    id: String,
    line: String,
    document: &'a Document,
}

/// Index and id: what an item of an answer is told by.
type Key = (String, String);

#[derive(Deserialize)]
struct BulkReply {
    items: Vec<HashMap<String, ItemReply>>,
}

#[derive(Deserialize)]
struct ItemReply {
    #[serde(rename = "_index")]
    index: String,
    #[serde(rename = "_id")]
    id: String,
    status: u16,
    error: Option<ItemError>,
}

#[derive(Deserialize)]
struct ItemError {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    reason: Option<String>,
    caused_by: Option<Box<ItemError>>,
}

/// Writes a batch.
pub(super) async fn write(inner: &Inner, batch: &[Document]) -> Result<Vec<Answer>, StoreError> {
    let mut answers = vec![Answer::Transient("not sent".to_owned()); batch.len()];
    let mut items = Vec::with_capacity(batch.len());
    for (at, document) in batch.iter().enumerate() {
        match item(inner.prefix(), at, document) {
            Ok(item) => items.push(item),
            Err(reason) => answers[at] = Answer::Rejected(reason),
        }
    }
    let indices: HashSet<&str> = items.iter().map(|item| item.index.as_str()).collect();
    inner.make_indices(&indices).await?;
    let settings = inner.connection.settings();
    let mut open: VecDeque<&[Item<'_>]> = parts(&items, settings.bulk_bytes, settings.bulk_documents).into();
    let mut first = true;
    while let Some(part) = open.pop_front() {
        match send(inner, part).await {
            Ok(Some(written)) => {
                for (item, answer) in part.iter().zip(written) {
                    answers[item.at] = answer;
                }
            }
            Ok(None) if part.len() > 1 => {
                let (left, right) = part.split_at(part.len() / 2);
                open.push_front(right);
                open.push_front(left);
                continue;
            }
            Ok(None) => {
                let bytes = part[0].line.len();
                let reason = format!("{bytes} bytes are more than the cluster takes (`http.max_content_length`)");
                answers[part[0].at] = Answer::Rejected(reason);
            }
            // What was answered before stays answered: only the rest is sent again.
            Err(error) if !first => {
                let text = error.to_string();
                let failed = |_| match error.fate() {
                    Fate::Transient => Answer::Transient(text.clone()),
                    Fate::Blocked | Fate::Invalid => Answer::Blocked(text.clone()),
                };
                for item in part.iter().chain(open.into_iter().flatten()) {
                    answers[item.at] = failed(());
                }
                break;
            }
            Err(error) => return Err(error),
        }
        first = false;
    }
    Ok(answers)
}

fn item<'a>(prefix: &str, at: usize, document: &'a Document) -> Result<Item<'a>, String> {
    limits::check(document)?;
    let time = document.time();
    let index = names::index(prefix, names::Kind::of(document), time)
        .ok_or_else(|| format!("time {} lies beyond the year 9999", time.0))?;
    let id = names::id(document);
    let source = documents::encode(document).map_err(|error| error.to_string())?;
    let action = json!({"create": {"_index": index, "_id": id}});
    Ok(Item { at, index, id, line: format!("{action}\n{source}\n"), document })
}

/// Cuts items into requests.
fn parts<'a, 'd>(items: &'a [Item<'d>], most_bytes: usize, most: usize) -> Vec<&'a [Item<'d>]> {
    let mut parts = Vec::new();
    let (mut begin, mut bytes) = (0, 0);
    for (at, item) in items.iter().enumerate() {
        if at > begin && (bytes + item.line.len() > most_bytes || at - begin >= most) {
            parts.push(&items[begin..at]);
            (begin, bytes) = (at, 0);
        }
        bytes += item.line.len();
    }
    if begin < items.len() {
        parts.push(&items[begin..]);
    }
    parts
}

/// Sends one request; none if it was too large.
async fn send(inner: &Inner, items: &[Item<'_>]) -> Result<Option<Vec<Answer>>, StoreError> {
    let mut body = String::with_capacity(items.iter().map(|item| item.line.len()).sum());
    items.iter().for_each(|item| body.push_str(&item.line));
    let reply = inner.connection.send(Method::Post, BULK, Body::Lines(Bytes::from(body))).await?;
    if reply.status == 413 {
        return Ok(None);
    }
    if reply.status != 200 {
        return Err(inner.connection.refused(&reply, "write"));
    }
    let keys: Vec<Key> = items.iter().map(|item| (item.index.clone(), item.id.clone())).collect();
    let unknown = |(fate, text)| inner.connection.error("write", fate, text);
    let classes = judge(&keys, &reply).map_err(unknown)?;
    let mut answers = Vec::with_capacity(items.len());
    let mut known = Vec::new();
    for (at, (class, text)) in classes.into_iter().enumerate() {
        answers.push(match class {
            Class::Created => Answer::Created,
            Class::Exists => {
                known.push(at);
                Answer::Transient("not yet compared with what is stored".to_owned())
            }
            Class::Transient => Answer::Transient(text),
            Class::Blocked(fix) => {
                // A mapping or an index that was seen may be another one by now.
                inner.forget_index(&items[at].index);
                Answer::Blocked(format!("{text}: {}", fix.text()))
            }
            Class::Permanent | Class::TooLarge => Answer::Rejected(text),
        });
    }
    compare(inner, items, &known, &mut answers).await;
    Ok(Some(answers))
}

/// Reads the answer to a request, item by item and by id. A count or an id that does not match makes all of it unknown.
fn judge(keys: &[Key], reply: &Reply) -> Result<Vec<(Class, String)>, (Fate, String)> {
    let read: BulkReply = serde_json::from_slice(&reply.body)
        .map_err(|error| (Fate::Transient, format!("the answer cannot be read: {error}")))?;
    if read.items.len() != keys.len() {
        let text = format!("{} answers for {} items: none of them is believed", read.items.len(), keys.len());
        return Err((Fate::Blocked, text));
    }
    let mut places: HashMap<(&str, &str), VecDeque<usize>> = HashMap::with_capacity(keys.len());
    for (at, (index, id)) in keys.iter().enumerate() {
        places.entry((index, id)).or_default().push_back(at);
    }
    let mut classes = vec![(Class::Transient, String::new()); keys.len()];
    for item in &read.items {
        let Some(item) = item.get("create") else {
            return Err((Fate::Blocked, "the answer has another action than `create`".to_owned()));
        };
        // Items of one id are done one after the other, in the order of the request.
        let Some(at) = places.get_mut(&(item.index.as_str(), item.id.as_str())).and_then(VecDeque::pop_front) else {
            let text = format!("an answer for `{}` in `{}`, which was not asked", item.id, item.index);
            return Err((Fate::Blocked, text));
        };
        let (kind, reason) = item.error.as_ref().map_or(("", String::new()), |error| (&error.kind, error.text()));
        let class = classify(item.status, kind, &reason);
        classes[at] = (class, format!("`{}`: HTTP {} {kind} {reason}", item.index, item.status));
    }
    Ok(classes)
}

impl ItemError {
    /// Returns the reason with what lies below it, shortened.
    fn text(&self) -> String {
        let mut text = self.reason.clone().unwrap_or_default();
        if let Some(cause) = &self.caused_by {
            text.push_str(": ");
            text.push_str(&cause.text());
        }
        flow::printable(&text, 500)
    }
}

/// Tells duplicates from conflicts: what is stored is read and compared.
async fn compare(inner: &Inner, items: &[Item<'_>], known: &[usize], answers: &mut [Answer]) {
    for part in known.chunks(500) {
        let docs: Vec<Value> =
            part.iter().map(|at| json!({"_index": items[*at].index, "_id": items[*at].id})).collect();
        let path = "_mget?_source_includes=@timestamp,num_flows_started,bytes_in,bytes_out,packets_in,packets_out,outcome,ledger";
        let found = match inner.connection.json(Method::Post, path, Body::Json(&json!({ "docs": docs }))).await {
            Ok(found) => found,
            Err(error) => {
                for at in part {
                    answers[*at] = match error.fate() {
                        Fate::Transient => Answer::Transient(error.to_string()),
                        Fate::Blocked | Fate::Invalid => Answer::Blocked(error.to_string()),
                    };
                }
                continue;
            }
        };
        let stored: HashMap<(&str, &str), &Value> = found["docs"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|doc| doc["found"] == true)
            .filter_map(|doc| Some(((doc["_index"].as_str()?, doc["_id"].as_str()?), &doc["_source"])))
            .collect();
        for at in part {
            let item = &items[*at];
            answers[*at] = match stored.get(&(item.index.as_str(), item.id.as_str())) {
                None => Answer::Transient(format!("`{}` is there and cannot be read yet", item.id)),
                Some(source) => match documents::is_same(item.document, source) {
                    Ok(true) => Answer::Duplicate,
                    Ok(false) => Answer::Conflict,
                    Err(reason) => {
                        tracing::error!(index = item.index, id = item.id, reason, "a stored document cannot be read");
                        Answer::Conflict
                    }
                },
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(ids: &[&str]) -> Vec<Key> {
        ids.iter().map(|id| ("x".to_owned(), (*id).to_owned())).collect()
    }

    fn reply(items: &Value) -> Reply {
        Reply { status: 200, body: Bytes::from(json!({ "items": items }).to_string()) }
    }

    fn created(id: &str) -> Value {
        json!({"create": {"_index": "x", "_id": id, "status": 201}})
    }

    #[test]
    fn items_are_told_by_id_and_not_by_place() {
        let refused = json!({"create": {"_index": "x", "_id": "a", "status": 400,
            "error": {"type": "mapper_parsing_exception", "reason": "failed to parse"}}});
        let classes = judge(&keys(&["a", "b"]), &reply(&json!([created("b"), refused]))).unwrap();
        assert_eq!(classes[0].0, Class::Permanent);
        assert_eq!(classes[1].0, Class::Created);
    }

    #[test]
    fn one_id_twice_is_answered_in_order() {
        let again = json!({"create": {"_index": "x", "_id": "a", "status": 409,
            "error": {"type": "version_conflict_engine_exception", "reason": "exists"}}});
        let classes = judge(&keys(&["a", "a"]), &reply(&json!([created("a"), again]))).unwrap();
        assert_eq!((classes[0].0, classes[1].0), (Class::Created, Class::Exists));
    }

    #[test]
    fn an_answer_that_does_not_match_is_unknown_as_a_whole() {
        let two = keys(&["a", "b"]);
        let cases = [
            (reply(&json!([created("a")])), Fate::Blocked),
            (reply(&json!([created("a"), created("a")])), Fate::Blocked),
            (reply(&json!([created("a"), created("c")])), Fate::Blocked),
            (reply(&json!([created("a"), {"index": {"_index": "x", "_id": "b", "status": 201}}])), Fate::Blocked),
            (Reply { status: 200, body: Bytes::from_static(b"{\"items\":[{\"crea") }, Fate::Transient),
            (Reply { status: 200, body: Bytes::from_static(b"<html>") }, Fate::Transient),
        ];
        for (reply, fate) in cases {
            assert_eq!(judge(&two, &reply).unwrap_err().0, fate, "{reply:?}");
        }
    }

    #[test]
    fn what_lies_below_an_error_is_judged_too() {
        let limit = json!({"create": {"_index": "x", "_id": "a", "status": 400, "error": {
            "type": "mapper_parsing_exception", "reason": "failed",
            "caused_by": {"type": "illegal_argument_exception", "reason": "Limit of total fields [1000] has been exceeded"}}}});
        let classes = judge(&keys(&["a"]), &reply(&json!([limit]))).unwrap();
        assert!(matches!(classes[0].0, Class::Blocked(_)), "{classes:?}");
    }
}
