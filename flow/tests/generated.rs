//! The committed reference files are what the code says. `MILLRACE_REFRESH=1` rewrites them.

#![expect(clippy::unwrap_used, reason = "a test may fail where it likes")]

use std::path::{Path, PathBuf};

use flow::{Schema, contract, fields};

fn check(name: &str, expected: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference").join(name);
    if std::env::var_os("MILLRACE_REFRESH").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, expected).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == expected, "docs/reference/{name} is not up to date: run `make docs`");
}

fn pretty(value: &serde_json::Value) -> String {
    let mut text = serde_json::to_string_pretty(value).unwrap();
    text.push('\n');
    text
}

fn schema_file(schema: Schema) -> PathBuf {
    Path::new("schemas").join(contract::file_name(schema))
}

#[test]
fn generated_fields_reference() {
    check("fields.md", &fields::markdown());
}

#[test]
fn generated_json_schemas() {
    for schema in Schema::ALL {
        check(schema_file(schema).to_str().unwrap(), &pretty(&contract::json_schema(schema)));
    }
}

#[test]
fn generated_async_api() {
    check("schemas/asyncapi.json", &pretty(&contract::async_api()));
}

#[test]
fn references_of_the_async_api_lead_somewhere() {
    fn visit(value: &serde_json::Value, root: &serde_json::Value) {
        match value {
            serde_json::Value::Object(object) => {
                if let Some(target) = object.get("$ref").and_then(|r| r.as_str()) {
                    match target.strip_prefix('#') {
                        Some(pointer) => assert!(root.pointer(pointer).is_some(), "{target} leads nowhere"),
                        None => {
                            let file = target.strip_prefix("./").unwrap();
                            assert!(Schema::ALL.into_iter().any(|s| contract::file_name(s) == file), "{target}");
                        }
                    }
                }
                object.values().for_each(|inner| visit(inner, root));
            }
            serde_json::Value::Array(list) => list.iter().for_each(|inner| visit(inner, root)),
            _ => {}
        }
    }
    let document = contract::async_api();
    visit(&document, &document);
}
