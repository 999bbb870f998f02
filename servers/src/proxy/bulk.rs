//! The lines of a bulk request and the items of its answer: read, taken out, put back. Pure.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// One operation of a bulk request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item<'a> {
    /// Its place in the request, from 0.
    pub position: usize,
    /// `create`, `index`, `update` or `delete`.
    pub action: &'a str,
    /// The index that its line names.
    pub index: Option<&'a str>,
    /// The document id that its line names.
    pub id: Option<&'a str>,
    /// The document; empty for `delete`.
    pub source: &'a [u8],
}

/// An operation with the bytes that make it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Operation<'a> {
    action: String,
    index: Option<String>,
    id: Option<String>,
    head: &'a [u8],
    source: &'a [u8],
}

/// What is told of an item that the server did not see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) error: String,
}

impl Operation<'_> {
    pub(super) fn item(&self, position: usize) -> Item<'_> {
        let (index, id) = (self.index.as_deref(), self.id.as_deref());
        Item { position, action: &self.action, index, id, source: self.source }
    }

    fn result(&self, refusal: &Refusal) -> Value {
        let Refusal { status, error } = refusal;
        let result = json!({
            "_index": self.index, "_id": self.id, "status": status,
            "error": { "type": error, "reason": "injected by the fault proxy" }
        });
        let mut item = Map::new();
        item.insert(self.action.clone(), result);
        Value::Object(item)
    }
}

/// Reads a request, or returns none if its lines are no bulk operations.
pub(super) fn parse(body: &[u8]) -> Option<Vec<Operation<'_>>> {
    let mut lines = body.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    let mut operations = Vec::new();
    while let Some(head) = lines.next() {
        let object: Map<String, Value> = serde_json::from_slice(head).ok()?;
        let (action, meta) = object.into_iter().next()?;
        let source = match action.as_str() {
            "create" | "index" | "update" => lines.next()?,
            "delete" => &[],
            _ => return None,
        };
        let text = |name: &str| meta.get(name).and_then(Value::as_str).map(str::to_owned);
        let (index, id) = (text("_index"), text("_id"));
        operations.push(Operation { action, index, id, head, source });
    }
    (!operations.is_empty()).then_some(operations)
}

/// Returns the request without the refused operations; empty if none is left.
pub(super) fn without(operations: &[Operation<'_>], refused: &BTreeMap<usize, Refusal>) -> Vec<u8> {
    let mut body = Vec::new();
    for (_, operation) in operations.iter().enumerate().filter(|(at, _)| !refused.contains_key(at)) {
        body.extend_from_slice(operation.head);
        body.push(b'\n');
        if operation.action != "delete" {
            body.extend_from_slice(operation.source);
            body.push(b'\n');
        }
    }
    body
}

/// Puts the refused items into an answer to the others, at their places. No answer: all were refused.
pub(super) fn splice(
    answer: Option<Value>,
    operations: &[Operation<'_>],
    refused: &BTreeMap<usize, Refusal>,
) -> Option<Value> {
    let mut answer = answer.unwrap_or_else(|| json!({ "took": 0, "errors": false, "items": [] }));
    let items = answer.get_mut("items")?.as_array_mut()?;
    let mut real = std::mem::take(items).into_iter();
    for (at, operation) in operations.iter().enumerate() {
        match refused.get(&at) {
            Some(refusal) => items.push(operation.result(refusal)),
            None => items.push(real.next()?),
        }
    }
    if !refused.is_empty() {
        *answer.get_mut("errors")? = Value::Bool(true);
    }
    Some(answer)
}

/// Returns the items of an answer.
pub(super) fn items(answer: &mut Value) -> Option<&mut Vec<Value>> {
    answer.get_mut("items")?.as_array_mut()
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: &[u8] = b"{\"create\":{\"_index\":\"i\",\"_id\":\"a\"}}\n{\"n\":1}\n{\"delete\":{\"_id\":\"b\"}}\n\
        {\"index\":{}}\n{\"n\":3}\n";

    fn refusals(at: &[usize]) -> BTreeMap<usize, Refusal> {
        at.iter().map(|at| (*at, Refusal { status: 429, error: "rejected".to_owned() })).collect()
    }

    #[test]
    fn operations_are_read_with_their_documents() {
        let operations = parse(REQUEST).unwrap();
        let seen: Vec<_> = operations.iter().enumerate().map(|(at, operation)| operation.item(at)).collect();
        assert_eq!(
            seen,
            [
                Item { position: 0, action: "create", index: Some("i"), id: Some("a"), source: b"{\"n\":1}" },
                Item { position: 1, action: "delete", index: None, id: Some("b"), source: b"" },
                Item { position: 2, action: "index", index: None, id: None, source: b"{\"n\":3}" },
            ]
        );
    }

    #[test]
    fn what_is_no_bulk_request_is_not_read() {
        for body in [b"".as_slice(), b"{}", b"\x1f\x8b", b"{\"create\":{}}\n", b"{\"other\":{}}\n{}\n"] {
            assert_eq!(parse(body), None, "{body:?}");
        }
    }

    #[test]
    fn refused_operations_are_taken_out() {
        let operations = parse(REQUEST).unwrap();
        assert_eq!(without(&operations, &refusals(&[])), REQUEST);
        assert_eq!(without(&operations, &refusals(&[0, 2])), b"{\"delete\":{\"_id\":\"b\"}}\n");
        assert_eq!(without(&operations, &refusals(&[0, 1, 2])), b"");
    }

    #[test]
    fn refused_items_are_put_back_at_their_places() {
        let operations = parse(REQUEST).unwrap();
        let real = json!({ "took": 3, "errors": false, "items": [{ "delete": { "status": 200 } }] });
        let answer = splice(Some(real), &operations, &refusals(&[0, 2])).unwrap();
        assert_eq!(answer["errors"], true);
        let items = answer["items"].as_array().unwrap();
        assert_eq!(items[0]["create"]["status"], 429);
        assert_eq!(items[0]["create"]["_id"], "a");
        assert_eq!(items[0]["create"]["error"]["type"], "rejected");
        assert_eq!(items[1]["delete"]["status"], 200);
        assert_eq!(items[2]["index"]["status"], 429);
        let all = splice(None, &operations, &refusals(&[0, 1, 2])).unwrap();
        assert_eq!(all["items"].as_array().unwrap().len(), 3);
    }

    #[test]
    fn an_answer_that_does_not_fit_is_not_spliced() {
        let operations = parse(REQUEST).unwrap();
        assert_eq!(splice(Some(json!({ "error": "x" })), &operations, &refusals(&[0])), None);
        assert_eq!(splice(Some(json!({ "items": [] , "errors": false })), &operations, &refusals(&[0])), None);
    }
}
