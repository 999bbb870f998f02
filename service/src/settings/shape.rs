//! What the raw type looks like, read from its JSON Schema: which keys there are, and what each takes.

use std::collections::BTreeSet;

use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value};

use super::file::bounds;
use super::origin::join;

/// Up to how many known keys are listed where none is similar.
const MAX_LISTED: usize = 16;

/// From which likeness on a key is suggested. By trial: `nodde` for `node` has 0.95, `retention` for `record` 0.6.
const LIKENESS: f64 = 0.8;

/// The longest name, in bytes, that is compared with the known ones.
const MAX_COMPARED: usize = 64;

/// References that are followed in a row; a schema that refers to itself must end somewhere.
const MAX_REFERENCES: usize = 16;

/// The schema of a raw type.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    schema: Value,
}

/// A key that the raw type does not have.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unknown {
    pub(super) key: String,
    pub(super) reason: String,
}

/// What one key takes: all the schemas that may apply to its value.
#[derive(Debug)]
pub(super) struct Slot<'a> {
    shape: &'a Shape,
    schemas: Vec<&'a Map<String, Value>>,
}

impl Shape {
    pub(super) fn of<R: JsonSchema>() -> Self {
        Self { schema: SchemaGenerator::default().into_root_schema_for::<R>().to_value() }
    }

    pub(super) fn into_schema(self) -> Value {
        self.schema
    }

    /// Returns what the key at a path takes; an unknown key takes anything.
    pub(super) fn at(&self, path: &[&str]) -> Slot<'_> {
        path.iter().fold(self.root(), |slot, key| slot.key(key))
    }

    /// Takes the keys that the raw type does not have out of the tree.
    pub(super) fn take_unknown(&self, tree: &mut Value) -> Vec<Unknown> {
        let mut unknown = Vec::new();
        self.root().take_unknown("", tree, &mut unknown);
        unknown
    }

    fn root(&self) -> Slot<'_> {
        let mut schemas = Vec::new();
        self.collect(&self.schema, MAX_REFERENCES, &mut schemas);
        Slot { shape: self, schemas }
    }

    /// Adds a schema and all that it is made of.
    fn collect<'a>(&'a self, schema: &'a Value, depth: usize, into: &mut Vec<&'a Map<String, Value>>) {
        let (Some(object), Some(depth)) = (schema.as_object(), depth.checked_sub(1)) else { return };
        into.push(object);
        if let Some(reference) = object.get("$ref").and_then(Value::as_str) {
            let target = reference.strip_prefix('#').and_then(|pointer| self.schema.pointer(pointer));
            if let Some(target) = target {
                self.collect(target, depth, into);
            }
        }
        for word in ["allOf", "anyOf", "oneOf"] {
            for part in object.get(word).and_then(Value::as_array).into_iter().flatten() {
                self.collect(part, depth, into);
            }
        }
    }

    /// Returns the keys of all sections in full: `section.key`.
    fn keys(&self) -> Vec<String> {
        let root = self.root();
        let keys_of =
            |section: &&str| root.key(section).known().into_iter().map(|key| join(section, key)).collect::<Vec<_>>();
        root.known().iter().flat_map(keys_of).collect()
    }
}

impl<'a> Slot<'a> {
    fn of(shape: &'a Shape, parts: impl Iterator<Item = &'a Value>) -> Self {
        let mut schemas = Vec::new();
        for part in parts {
            shape.collect(part, MAX_REFERENCES, &mut schemas);
        }
        Self { shape, schemas }
    }

    fn key(&self, key: &str) -> Self {
        let named = self.schemas.iter().filter_map(|schema| schema.get("properties")?.get(key));
        let other = self.schemas.iter().filter_map(|schema| schema.get("additionalProperties"));
        Self::of(self.shape, named.chain(other))
    }

    fn element(&self) -> Self {
        Self::of(self.shape, self.schemas.iter().filter_map(|schema| schema.get("items")))
    }

    fn known(&self) -> BTreeSet<&'a str> {
        let sections = self.schemas.iter().filter_map(|schema| schema.get("properties")?.as_object());
        sections.flat_map(|section| section.keys().map(String::as_str)).collect()
    }

    /// Returns true if the raw type refuses keys that it does not know.
    fn is_closed(&self) -> bool {
        self.schemas.iter().any(|schema| schema.get("additionalProperties") == Some(&Value::Bool(false)))
    }

    fn takes(&self, kind: &str) -> bool {
        self.schemas.iter().filter_map(|schema| schema.get("type")).any(|types| match types {
            Value::String(name) => name == kind,
            Value::Array(names) => names.iter().any(|name| name == kind),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => false,
        })
    }

    /// Reads a text from the environment or a flag as what the key takes.
    ///
    /// What does not fit stays text: reading the raw type then says what is wrong with it.
    pub(super) fn read(&self, text: &str) -> Value {
        if self.takes("string") {
            return text.into();
        }
        if self.takes("array") && !text.trim_start().starts_with('[') {
            let element = self.element();
            let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
            return Value::Array(parts.map(|part| element.read(part)).collect());
        }
        serde_saphyr::from_str_with_options(text, bounds()).unwrap_or_else(|_| text.into())
    }

    fn take_unknown(&self, parent: &str, tree: &mut Value, unknown: &mut Vec<Unknown>) {
        match tree {
            Value::Object(section) => {
                let known = self.known();
                let closed = self.is_closed();
                section.retain(|name, value| {
                    let key = join(parent, name);
                    if closed && !known.contains(name.as_str()) {
                        let reason = self.reason(name, parent, &known);
                        unknown.push(Unknown { key, reason });
                        return false;
                    }
                    self.key(name).take_unknown(&key, value, unknown);
                    true
                });
            }
            Value::Array(items) => {
                let element = self.element();
                for (index, item) in items.iter_mut().enumerate() {
                    element.take_unknown(&format!("{parent}[{index}]"), item, unknown);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    /// Says that a key is unknown, and which one was likely meant.
    fn reason(&self, name: &str, parent: &str, known: &BTreeSet<&str>) -> String {
        let meant = |key: &str| format!("unknown key; did you mean `{key}`?");
        // Longer than any key: comparing costs more the longer it is, and tells nothing.
        if name.len() > MAX_COMPARED {
            return "unknown key".to_owned();
        }
        let keys = self.shape.keys();
        // `probe.window` written as one key, `PROBE_WINDOW` with one underscore too few.
        let flat = |key: &str| key.replace(['.', '-'], "_");
        if let Some(same) = keys.iter().find(|key| parent.is_empty() && flat(key) == flat(name)) {
            return meant(same);
        }
        let likeness = known.iter().map(|known| (strsim::jaro_winkler(name, known), known));
        let near =
            likeness.filter(|(likeness, _)| *likeness >= LIKENESS).max_by(|one, other| one.0.total_cmp(&other.0));
        if let Some((_, near)) = near {
            return meant(&join(parent, near));
        }
        if let Some(elsewhere) = keys.iter().find(|key| key.ends_with(&format!(".{name}"))) {
            return meant(elsewhere);
        }
        if (1..=MAX_LISTED).contains(&known.len()) {
            let list: Vec<_> = known.iter().copied().collect();
            return format!("unknown key; known here: {}", list.join(", "));
        }
        "unknown key".to_owned()
    }
}
