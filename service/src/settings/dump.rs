//! The settings in force, each with its source.

use std::fmt::{self, Write};

use serde_json::{Map, Value, json};

use super::origin::{Origin, Origins, join};
use crate::printable::is_unsafe;

/// What `config dump` prints. Displays as YAML that can be loaded again, the sources as comments.
#[derive(Debug, Clone)]
pub struct Dump {
    effective: Value,
    origins: Vec<(String, Origin)>,
}

impl Dump {
    pub(super) fn new(effective: Value, origins: &Origins) -> Self {
        let mut found = Vec::new();
        each_leaf("", &effective, &mut |key| found.push((key.to_owned(), origins.of(key))));
        Self { effective, origins: found }
    }

    /// Returns the settings and, by key, their sources.
    pub fn to_json(&self) -> Value {
        let sources: Map<String, Value> =
            self.origins.iter().map(|(key, origin)| (key.clone(), origin.to_string().into())).collect();
        json!({ "settings": self.effective, "sources": sources })
    }

    fn origin(&self, key: &str) -> Origin {
        self.origins.iter().find(|(known, _)| known == key).map(|(_, origin)| origin.clone()).unwrap_or_default()
    }

    fn write(
        &self,
        f: &mut fmt::Formatter<'_>,
        parent: &str,
        section: &Map<String, Value>,
        depth: usize,
    ) -> fmt::Result {
        for (name, value) in section {
            let key = join(parent, name);
            let indent = "  ".repeat(depth);
            let name = Scalar(name);
            match value {
                Value::Object(inner) if !inner.is_empty() => {
                    writeln!(f, "{indent}{name}:")?;
                    self.write(f, &key, inner, depth + 1)?;
                    continue;
                }
                Value::String(text) => write!(f, "{indent}{name}: {}", Scalar(text))?,
                other => write!(f, "{indent}{name}: {}", Json(other))?,
            }
            writeln!(f, "  # {}", self.origin(&key))?;
        }
        Ok(())
    }
}

impl fmt::Display for Dump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.effective {
            Value::Object(section) => self.write(f, "", section, 0),
            other => writeln!(f, "{other}"),
        }
    }
}

/// Calls for each key that has a value rather than keys of its own.
fn each_leaf(parent: &str, value: &Value, call: &mut impl FnMut(&str)) {
    match value {
        Value::Object(section) if !section.is_empty() => {
            for (name, value) in section {
                each_leaf(&join(parent, name), value, call);
            }
        }
        _ => call(parent),
    }
}

/// A string as YAML: plain where that is certain to be read as a string, else in quotes as JSON has them.
struct Scalar<'a>(&'a str);

impl fmt::Display for Scalar<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0;
        let plain = text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '/')
            && text.chars().all(|each| each.is_ascii_alphanumeric() || matches!(each, '_' | '-' | '.' | '/'))
            && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"]
                .contains(&text.to_ascii_lowercase().as_str());
        if plain {
            return f.write_str(text);
        }
        write!(f, "{}", Json(&Value::from(text)))
    }
}

/// A value as JSON, which is YAML as well, with nothing in it that a terminal would obey.
struct Json<'a>(&'a Value);

impl fmt::Display for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // JSON escapes the characters below the space. The others that are not safe can stand in strings only, where the
        // same escape is understood.
        for each in self.0.to_string().chars() {
            if is_unsafe(each) {
                write!(f, "\\u{:04x}", u32::from(each))?;
            } else {
                f.write_char(each)?;
            }
        }
        Ok(())
    }
}
