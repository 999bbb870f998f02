//! The committed index templates are what the code says. `MILLRACE_REFRESH=1` rewrites them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use std::path::Path;

use flow::fields::{FIELDS, FieldType};
use serde_json::Value;
use store::opensearch::templates::{Flavour, Template, all};

#[test]
fn generated_index_templates() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../index-templates");
    let refresh = std::env::var_os("MILLRACE_REFRESH").is_some();
    for flavour in Flavour::ALL {
        let folder = root.join(flavour.folder());
        if refresh {
            let _ = std::fs::remove_dir_all(&folder);
            std::fs::create_dir_all(&folder).unwrap();
        }
        let mut names = Vec::new();
        for Template { endpoint, name, body } in all(flavour, "millrace") {
            let file = format!("{}.{name}.json", endpoint.trim_start_matches('_'));
            let expected = format!("{}\n", serde_json::to_string_pretty(&body).unwrap());
            if refresh {
                std::fs::write(folder.join(&file), &expected).unwrap();
            }
            let committed = std::fs::read_to_string(folder.join(&file)).unwrap_or_default();
            assert!(
                committed == expected,
                "index-templates/{}/{file} is not up to date: run `make docs`",
                flavour.folder()
            );
            names.push(file);
        }
        for entry in std::fs::read_dir(&folder).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(names.contains(&name), "index-templates/{}/{name} is made by nothing", flavour.folder());
        }
    }
}

#[test]
fn every_field_of_the_table_is_mapped_and_nothing_else() {
    for flavour in Flavour::ALL {
        let templates = all(flavour, "millrace");
        let flows = templates.iter().find(|template| template.name == "millrace-flows-mappings").unwrap();
        let mappings = &flows.body["template"]["mappings"];
        assert_eq!(mappings["dynamic"], "strict");
        let mut mapped = Vec::new();
        for (name, property) in mappings["properties"].as_object().unwrap() {
            mapped.push(name.clone());
            let inner = property["properties"].as_object().into_iter().flatten();
            mapped.extend(inner.map(|(inner, _)| format!("{name}.{inner}")));
        }
        let mut fields: Vec<&str> = FIELDS.iter().map(|field| field.name).collect();
        mapped.sort();
        fields.sort_unstable();
        assert_eq!(mapped, fields, "{flavour:?}");
        for field in FIELDS.iter().filter(|field| field.kind != FieldType::Object) {
            let pointer = format!("/properties/{}", field.name.replace('.', "/properties/"));
            let kind = mappings.pointer(&pointer).map(|property| property["type"].clone());
            assert_eq!(kind, Some(Value::from(field.kind.index_type())), "{}", field.name);
        }
    }
}

#[test]
fn derived_source_is_asked_for_where_it_is() {
    let derived =
        |flavour| all(flavour, "x").iter().any(|template| template.body.to_string().contains("derived_source"));
    assert_eq!(Flavour::ALL.map(derived), [true, false, false]);
}
