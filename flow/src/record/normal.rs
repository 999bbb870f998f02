//! The normal form of a flow record: what is the same after a way through any store.
//!
//! Stores give arrays back sorted or not, with repeats or without, cannot all tell an empty array from an absent one, and
//! may hold a number as text. None of that is a difference.

use std::net::IpAddr;

use serde_json::{Map, Value};

use super::FlowRecord;
use crate::fields::{self, FieldType};

impl FlowRecord {
    /// Returns the record in normal form: lists sorted, each entry once, and empty label lists absent. Two records say the
    /// same if their normal forms are equal.
    #[must_use]
    pub fn normal_form(mut self) -> Self {
        for labels in [&mut self.source_labels, &mut self.dest_labels] {
            if let Some(list) = labels {
                sort_unique(&mut list.labels);
            }
            *labels = labels.take().filter(|list| !list.labels.is_empty());
        }
        let policies = &mut self.policies;
        for list in [
            &mut policies.all_policies,
            &mut policies.enforced_policies,
            &mut policies.pending_policies,
            &mut policies.transit_policies,
            &mut policies.egress,
            &mut policies.ingress,
            &mut self.decided_by,
            &mut self.denied_by,
            &mut self.unknown_because,
            &mut self.dest_domains,
            &mut self.process_args,
        ] {
            sort_unique(list);
        }
        sort_unique(&mut self.nat_outgoing_ports);
        sort_unique(&mut self.original_source_ips);
        self
    }
}

fn sort_unique<T: Ord>(list: &mut Vec<T>) {
    list.sort_unstable();
    list.dedup();
}

/// Returns a stored document of any spelling in normal form, as the field table reads it: null, empty arrays and empty
/// objects are absent; arrays are sorted, each entry once, and a single value is an array where the field is one; numbers
/// and addresses are of one spelling, also where they stand in strings. What the table does not know stays as it is.
#[must_use]
pub fn normal_form(document: &Value) -> Value {
    match document {
        Value::Object(object) => Value::Object(normal_object(object, "")),
        other => other.clone(),
    }
}

fn normal_object(object: &Map<String, Value>, prefix: &str) -> Map<String, Value> {
    let mut normal = Map::new();
    for (name, value) in object {
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        let value = match (fields::field(&path), value) {
            (_, Value::Null) => continue,
            (Some(field), value) if field.array => normal_list(field.kind, value),
            (Some(field), Value::Object(inner)) if field.kind == FieldType::Object => {
                Value::Object(normal_object(inner, &path))
            }
            (Some(field), value) => normal_value(field.kind, value),
            (None, value) => value.clone(),
        };
        let empty = value.as_array().is_some_and(Vec::is_empty) || value.as_object().is_some_and(Map::is_empty);
        if !empty {
            normal.insert(name.clone(), value);
        }
    }
    normal
}

fn normal_list(kind: FieldType, value: &Value) -> Value {
    let entries = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
    let mut entries: Vec<Value> = entries.iter().filter(|e| !e.is_null()).map(|e| normal_value(kind, e)).collect();
    // Entries of one field are of one type: numbers by value, everything else by its text.
    entries.sort_by(|a, b| match (a.as_u64(), b.as_u64()) {
        (Some(a), Some(b)) => a.cmp(&b),
        _ => a.to_string().cmp(&b.to_string()),
    });
    entries.dedup();
    Value::Array(entries)
}

fn normal_value(kind: FieldType, value: &Value) -> Value {
    let text = match value {
        // Some stores answer one value as an array of one.
        Value::Array(entries) if entries.len() == 1 => return normal_value(kind, &entries[0]),
        Value::String(text) => text.as_str(),
        Value::Number(number) if kind == FieldType::Keyword => return Value::String(number.to_string()),
        Value::Number(number) => return whole(number).map_or_else(|| value.clone(), Value::from),
        other => return other.clone(),
    };
    match kind {
        FieldType::Long | FieldType::Seconds | FieldType::Milliseconds => {
            text.parse::<u64>().map_or_else(|_| value.clone(), Value::from)
        }
        FieldType::Ip => text.parse::<IpAddr>().map_or_else(|_| value.clone(), |ip| Value::String(ip.to_string())),
        FieldType::Keyword | FieldType::Object => value.clone(),
    }
}

/// Returns the whole number of a JSON number, also where a store wrote it as `3.0`.
fn whole(number: &serde_json::Number) -> Option<u64> {
    // Above 2^53 a float does not tell whole numbers apart.
    let exact = |float: f64| float.fract() == 0.0 && (0.0..9_007_199_254_740_992.0).contains(&float);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole and in range, as just checked")]
    number.as_u64().or_else(|| number.as_f64().filter(|float| exact(*float)).map(|float| float as u64))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn spellings_of_one_document_are_one() {
        let ours = json!({
            "seq": 7, "proto": "tcp", "dest_port": 80, "source_ip": "fd00::1",
            "source_labels": {"labels": ["a=1", "b=2"]},
            "policies": {"enforced_policies": ["0|default|default.x|allow|0"]},
        });
        let stored = json!({
            "seq": "7", "proto": ["tcp"], "dest_port": 80.0, "source_ip": "fd00:0:0::1", "dest_zone": null,
            "source_labels": {"labels": ["b=2", "a=1", "b=2"]}, "dest_labels": {"labels": []}, "decided_by": [],
            "policies": {"enforced_policies": "0|default|default.x|allow|0", "egress": []},
        });
        assert_eq!(normal_form(&stored), normal_form(&ours));
        assert_eq!(normal_form(&ours), ours);
    }

    #[test]
    fn other_documents_stay_other() {
        assert_ne!(normal_form(&json!({"seq": 7})), normal_form(&json!({"seq": 8})));
        assert_ne!(
            normal_form(&json!({"seq": 9_007_199_254_740_993_u64})),
            normal_form(&json!({"seq": 9_007_199_254_740_992_u64}))
        );
        assert_ne!(normal_form(&json!({"dest_zone": "-"})), normal_form(&json!({})));
        assert_eq!(normal_form(&json!({"unheard_of": [2, 1, null]})), json!({"unheard_of": [2, 1, null]}));
    }
}
