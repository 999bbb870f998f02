//! Which fields of a flow record say something, by kind of flow: the golden file that documents how rich records are.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use flow::FlowRecord;
use serde_json::Value;

/// Returns the fields that say something: neither absent nor `-`, `*`, `unknown` or empty. Nested ones have a dot.
#[must_use]
pub fn filled(record: &FlowRecord) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    collect("", &serde_json::to_value(record).unwrap(), &mut names);
    names
}

fn collect(path: &str, value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::Null => {}
        Value::String(text) if matches!(text.as_str(), "" | "-" | "*" | "unknown") => {}
        Value::Array(items) if items.is_empty() => {}
        Value::Object(members) => {
            for (name, member) in members {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                collect(&path, member, names);
            }
        }
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            names.insert(path.to_owned());
        }
    }
}

/// Returns the kind of a record that counts attempts, in plain words; nothing for one that counts none, or that was
/// written while a connection was open: TCP's own statistics come with its end.
fn kind(record: &FlowRecord) -> Option<String> {
    let open =
        record.outcome == "established" && record.proto == "tcp" && record.num_flows_completed < record.num_flows;
    if record.num_flows_started == 0 || open {
        return None;
    }
    let ends = match (record.source_type.as_str(), record.dest_type.as_str()) {
        ("wep", "wep") => "between pods",
        ("wep", "hep") => "from pod to host",
        ("hep", "wep") => "from host to pod",
        ("wep", "ns") => "from pod to network set",
        ("wep", "net") => "from pod to outside",
        ("net" | "ns", "wep") => "from outside to pod",
        _ => return None,
    };
    let service = if record.dest_service_name == "-" { "" } else { " through a service" };
    Some(format!("{} {} {ends}{service}, reporter {}", record.proto, record.outcome, record.reporter))
}

/// Returns the text of the golden file: for each kind of flow, the fields that say something in each of its records.
#[must_use]
pub fn by_kind(records: &[FlowRecord]) -> (String, BTreeMap<String, BTreeSet<String>>) {
    let mut kinds = BTreeMap::<String, BTreeSet<String>>::new();
    for record in records {
        let Some(kind) = kind(record) else { continue };
        let names = filled(record);
        kinds.entry(kind).and_modify(|common| common.retain(|name| names.contains(name))).or_insert(names);
    }
    let mut text =
        String::from("# Fields that say something in every record of a kind, from the lab's scenario `everything`.\n");
    for (kind, names) in &kinds {
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        write!(text, "\n{kind}: {} fields\n  {}\n", names.len(), names.join("\n  ")).unwrap();
    }
    (text, kinds)
}
