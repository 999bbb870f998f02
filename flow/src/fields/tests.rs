use std::collections::BTreeSet;

use super::*;
use crate::FlowRecord;

fn top_level() -> BTreeSet<&'static str> {
    FIELDS.iter().map(|field| field.name).filter(|name| !name.contains('.')).collect()
}

#[test]
fn each_field_stands_once() {
    let names: BTreeSet<&str> = FIELDS.iter().map(|field| field.name).collect();
    assert_eq!(names.len(), FIELDS.len());
}

#[test]
fn is_the_shape_of_the_record() {
    let record: BTreeSet<&str> =
        FlowRecord::FIELD_NAMES.iter().map(|name| if *name == "timestamp" { "@timestamp" } else { name }).collect();
    assert_eq!(top_level(), record);
}

#[test]
fn has_all_documented_fields_of_calico() {
    let calico = FIELDS.iter().filter(|f| f.origin == Origin::Calico && !f.name.contains('.')).count();
    assert_eq!(calico, 52, "the documentation counts 52 top-level fields");
}

#[test]
fn is_the_shape_of_the_json_schema() {
    let schema = serde_json::to_value(schemars::schema_for!(FlowRecord)).unwrap();
    let properties = |value: &serde_json::Value| -> BTreeSet<String> {
        value["properties"].as_object().unwrap().keys().cloned().collect()
    };
    let named: BTreeSet<String> = top_level().into_iter().map(str::to_owned).collect();
    assert_eq!(properties(&schema), named);
    for (object, definition) in [("source_labels", "Labels"), ("dest_labels", "Labels"), ("policies", "Policies")] {
        let prefix = format!("{object}.");
        let inner: BTreeSet<String> =
            FIELDS.iter().filter_map(|f| f.name.strip_prefix(&prefix)).map(str::to_owned).collect();
        assert_eq!(properties(&schema["$defs"][definition]), inner, "{object}");
    }
    let required: BTreeSet<&str> =
        schema["required"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    for field in FIELDS.iter().filter(|f| !f.name.contains('.') && f.name != "policies") {
        let optional = matches!(field.empty, Empty::Absent | Empty::NoSource);
        assert_eq!(required.contains(field.name), !optional, "{} and what stands without a value", field.name);
    }
}

#[test]
fn types_are_those_of_the_json_schema() {
    let schema = serde_json::to_value(schemars::schema_for!(FlowRecord)).unwrap();
    for field in FIELDS.iter().filter(|f| !f.name.contains('.')) {
        let property = &schema["properties"][field.name];
        let text = property.to_string();
        assert_eq!(text.contains("\"array\""), field.array, "{} {text}", field.name);
        let expected = match field.kind {
            FieldType::Keyword if field.name == "stream" => "#/$defs/Stream",
            FieldType::Keyword => "\"string\"",
            FieldType::Ip => "\"ip\"",
            FieldType::Seconds | FieldType::Long => "\"integer\"",
            FieldType::Milliseconds => "#/$defs/UnixMs",
            FieldType::Object => "$ref",
        };
        assert!(text.contains(expected), "{} should have {expected}: {text}", field.name);
    }
}

#[test]
fn closed_lists_are_told_in_full() {
    let told = |name: &str, words: &[&str]| {
        let meaning = field(name).unwrap().meaning;
        for word in words {
            assert!(meaning.contains(&format!("`{word}`")), "{name} does not tell of {word}");
        }
        assert_eq!(meaning.matches("`, `").count() + 1, words.len(), "{name} tells of more: {meaning}");
    };
    told("outcome", &crate::Outcome::ALL.map(crate::Outcome::as_str));
    told("unknown_because", &crate::Unknown::ALL.map(crate::Unknown::as_str));
}
