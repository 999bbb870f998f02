//! The merged settings: one tree of values, and where each came from.

use serde_json::{Map, Value};

use super::Problem;
use super::origin::{Origin, Origins, join};

/// Values and their origins.
#[derive(Debug, Clone)]
pub(super) struct Tree {
    pub(super) value: Value,
    pub(super) origins: Origins,
}

impl Default for Tree {
    fn default() -> Self {
        Self { value: Value::Object(Map::new()), origins: Origins::default() }
    }
}

impl Tree {
    /// Gives one key a value, over what was there.
    ///
    /// Returns a problem if a key on the way has a value of its own, which is given up then.
    pub(super) fn set(&mut self, path: &[&str], value: Value, origin: Origin) -> Option<Problem> {
        let (last, sections) = path.split_last()?;
        let mut problem = None;
        let mut at = &mut self.value;
        let mut key = String::new();
        for section in sections {
            key = join(&key, section);
            at = as_section(at).entry(*section).or_insert_with(|| Value::Object(Map::new()));
            if !matches!(at, Value::Object(_) | Value::Null) {
                problem = Some(not_a_section(&key, at, self.origins.of(&key)));
            }
        }
        as_section(at).insert((*last).to_owned(), value);
        self.origins.set(&join(&key, last), origin);
        problem
    }
}

/// Returns a value as a section; anything else gives way to an empty one.
fn as_section(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    value.as_object_mut().expect("it was made an object just now")
}

fn not_a_section(key: &str, value: &Value, origin: Origin) -> Problem {
    let kind = match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "a section",
    };
    Problem { key: key.to_owned(), reason: format!("must be a section with keys, but is {kind}"), origin }
}
