//! The settings file: YAML within strict bounds, each value with its line and column.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::{DuplicateKeyPolicy, Location, Spanned};

use super::origin::{Origin, Origins, join};
use super::tree::Tree;
use super::{MAX_FILE_BYTES, Problem};

/// Reads a settings file; a problem names the place in it.
pub(super) fn read(path: &Path) -> Result<Tree, Problem> {
    let whole = |reason: String| Problem {
        key: String::new(),
        reason,
        origin: Origin::File { path: path.to_owned(), line: 0, column: 0 },
    };
    let bytes = read_bounded(path).map_err(|error| whole(format!("cannot be read: {error}")))?;
    if bytes.len() > MAX_FILE_BYTES {
        return Err(whole(format!("has more than {MAX_FILE_BYTES} bytes")));
    }
    let text = String::from_utf8(bytes).map_err(|error| whole(format!("is not UTF-8: {}", error.utf8_error())))?;
    parse(path, &text)
}

/// Reads one byte more than is allowed at most, so that an endless file ends too.
fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_FILE_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Reads the text of a settings file.
pub(super) fn parse(path: &Path, text: &str) -> Result<Tree, Problem> {
    let origin = |at: Location| Origin::File { path: path.to_owned(), line: at.line(), column: at.column() };
    let root: Spanned<Node> = serde_saphyr::from_str_with_options(text, bounds()).map_err(|error| Problem {
        key: String::new(),
        reason: error.without_snippet().to_string(),
        origin: origin(error.location().unwrap_or(Location::UNKNOWN)),
    })?;
    let at = root.referenced;
    let mut origins = Origins::default();
    match root.value.into_value("", &mut |key, at| origins.add(key, origin(at))) {
        // A file of comments only.
        Value::Null => Ok(Tree::default()),
        value @ Value::Object(_) => Ok(Tree { value, origins }),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Err(Problem {
            key: String::new(),
            reason: "must be a mapping of keys to values".to_owned(),
            origin: origin(at),
        }),
    }
}

/// Returns bounds far above what settings need and far below what hurts.
pub(super) fn bounds() -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: 32,
            max_nodes: 50_000,
            max_events: 200_000,
            max_aliases: 100,
            max_anchors: 100,
            max_documents: 1,
            max_total_scalar_bytes: MAX_FILE_BYTES,
        },
        // `no` is a country, `on` a zone: only `true` and `false` are booleans.
        strict_booleans: true,
        duplicate_keys: DuplicateKeyPolicy::Error,
        with_snippet: false,
    }
}

/// A YAML value that knows where its parts are.
enum Node {
    Scalar(Value),
    List(Vec<Spanned<Node>>),
    Section(Vec<(String, Spanned<Node>)>),
}

impl Node {
    /// Returns the plain value and tells the place of each of its keys and elements.
    fn into_value(self, key: &str, place: &mut impl FnMut(String, Location)) -> Value {
        match self {
            Self::Scalar(value) => value,
            Self::List(items) => {
                let items = items.into_iter().enumerate().map(|(index, item)| {
                    let key = format!("{key}[{index}]");
                    place(key.clone(), item.referenced);
                    item.value.into_value(&key, place)
                });
                Value::Array(items.collect())
            }
            Self::Section(entries) => {
                let mut section = Map::new();
                for (name, node) in entries {
                    let key = join(key, &name);
                    place(key.clone(), node.referenced);
                    let value = node.value.into_value(&key, place);
                    // `key:` with nothing behind it is a key that is not set: its lines are commented out.
                    if !value.is_null() {
                        section.insert(name, value);
                    }
                }
                Value::Object(section)
            }
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Scalar(Value::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Node, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("a number must be finite"))?;
        Ok(Node::Scalar(Value::Number(number)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_string<E>(self, value: String) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut section = Vec::new();
        while let Some((name, value)) = entries.next_entry::<String, _>()? {
            section.push((name, value));
        }
        Ok(Node::Section(section))
    }
}
