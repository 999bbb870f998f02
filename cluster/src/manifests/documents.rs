//! Cuts a file into documents and reads each by itself, so that a broken one does not take the others with it.

use serde_json::Value;
use serde_saphyr::Spanned;

use super::{InvalidReason, Limits};
use crate::border::{Decoded, InvalidObject, decode, name_of};
use crate::objects::{Object, ObjectName};

/// What stands in a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Content {
    /// The objects that are used, each with the line it begins at.
    pub(super) objects: Vec<(u32, Object)>,
    /// Kinds that are not used.
    pub(super) other_kinds: Vec<String>,
    /// What could not be used.
    pub(super) invalid: Vec<Rejected>,
    /// True if a part of the file could not even be read, so that it may hold any object.
    pub(super) broken: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rejected {
    pub(super) line: u32,
    pub(super) object: Option<ObjectName>,
    pub(super) reason: InvalidReason,
}

/// Which notation a file is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Notation {
    Yaml,
    Json,
}

/// Reads the text of a file.
pub(super) fn read(bytes: &[u8], notation: Notation, limits: &Limits) -> Content {
    let mut reader = Reader { limits, content: Content::default() };
    match std::str::from_utf8(bytes) {
        Err(error) => {
            let before = &bytes[..error.valid_up_to()];
            let line = before.iter().filter(|byte| **byte == b'\n').count();
            reader.break_off(line_number(line), InvalidReason::NotText);
        }
        Ok(text) => {
            let text = text.strip_prefix('\u{feff}').unwrap_or(text);
            match notation {
                Notation::Yaml => reader.yaml(text),
                Notation::Json => reader.json(text),
            }
        }
    }
    reader.content
}

struct Reader<'a> {
    limits: &'a Limits,
    content: Content,
}

impl Reader<'_> {
    fn yaml(&mut self, text: &str) {
        for (first_line, document) in split(text) {
            if self.full() {
                return;
            }
            let value = match serde_saphyr::from_str_with_options::<Value>(document, options(self.limits)) {
                Ok(value) => value,
                Err(error) => {
                    let line = error.location().map_or(1, |location| location.line()).max(1);
                    let line = first_line.saturating_add(u32::try_from(line).unwrap_or(u32::MAX) - 1);
                    let text = error.without_snippet().to_string();
                    self.break_off(line, InvalidReason::Syntax(one_line(&text)));
                    continue;
                }
            };
            if value.is_null() {
                continue;
            }
            let begin = first_line + leading_lines(document);
            if is_list(&value) {
                let lines = item_lines(document, first_line, self.limits);
                self.list(value, begin, &lines);
            } else {
                self.one(value, begin);
            }
        }
    }

    fn json(&mut self, text: &str) {
        let mut values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
        loop {
            let before = values.byte_offset();
            let blank = text[before..].len() - text[before..].trim_start().len();
            let begin = line_at(text, before + blank);
            match values.next() {
                None => return,
                Some(_) if self.full() => return,
                Some(Ok(value)) if is_list(&value) => self.list(value, begin, &[]),
                Some(Ok(value)) => self.one(value, begin),
                Some(Err(error)) => {
                    // The message ends in `at line … column …`, which the report says itself.
                    let message = error.to_string();
                    let message = message.split(" at line ").next().unwrap_or_default();
                    let line = u32::try_from(error.line()).unwrap_or(u32::MAX).max(1);
                    return self.break_off(line, InvalidReason::Syntax(one_line(message)));
                }
            }
        }
    }

    /// Unpacks a list. Items of `<Kind>List` may leave out what the list says for all.
    fn list(&mut self, mut list: Value, begin: u32, lines: &[u32]) {
        let kind = list.get("kind").and_then(Value::as_str).unwrap_or_default();
        let item_kind = kind.strip_suffix("List").filter(|kind| !kind.is_empty()).map(str::to_owned);
        let version = list.get("apiVersion").and_then(Value::as_str).map(str::to_owned);
        let Some(Value::Array(items)) = list.get_mut("items").map(Value::take) else { return };
        for (place, mut item) in items.into_iter().enumerate() {
            if self.full() {
                return;
            }
            if let (Value::Object(fields), Some(kind), Some(version)) = (&mut item, &item_kind, &version) {
                fields.entry("kind").or_insert_with(|| Value::String(kind.clone()));
                fields.entry("apiVersion").or_insert_with(|| Value::String(version.clone()));
            }
            self.one(item, lines.get(place).copied().unwrap_or(begin));
        }
    }

    fn one(&mut self, value: Value, line: u32) {
        let object = name_of(&value);
        match decode(value) {
            Ok(Decoded::Object(object)) => self.content.objects.push((line, object)),
            Ok(Decoded::OtherKind(kind)) => self.content.other_kinds.push(kind),
            Err(invalid) => {
                self.content.broken |= invalid == InvalidObject::NotAnObject;
                self.reject(line, object, invalid.into());
            }
        }
    }

    fn break_off(&mut self, line: u32, reason: InvalidReason) {
        self.content.broken = true;
        self.reject(line, None, reason);
    }

    fn reject(&mut self, line: u32, object: Option<ObjectName>, reason: InvalidReason) {
        self.content.invalid.push(Rejected { line, object, reason });
    }

    /// Says whether the file has had its share of reports or objects; what follows is left out, and that is reported.
    fn full(&mut self) -> bool {
        let objects = self.content.objects.len() + self.content.other_kinds.len();
        let over = if objects >= self.limits.objects {
            Some(("objects", self.limits.objects))
        } else if self.content.invalid.len() >= self.limits.reports {
            Some(("bad documents", self.limits.reports))
        } else {
            None
        };
        let Some((what, limit)) = over else { return false };
        self.break_off(0, InvalidReason::Limit { what, limit: limit as u64 });
        true
    }
}

fn options(limits: &Limits) -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_documents: 1,
            max_depth: 64,
            max_nodes: limits.document_nodes,
            max_events: limits.document_nodes.saturating_mul(2),
            max_aliases: 10_000,
            max_anchors: 1_000,
            max_total_scalar_bytes: usize::try_from(limits.file_bytes).unwrap_or(usize::MAX),
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: limits.document_nodes / 10,
            max_replay_stack_depth: 16,
        },
        with_snippet: false,
    }
}

/// Cuts a text at its document marks. A mark at the begin of a line ends a document even within a quoted or block
/// scalar, so that no line of a document can be taken for one.
fn split(text: &str) -> impl Iterator<Item = (u32, &str)> {
    let mut documents = Vec::new();
    let (mut begin, mut first_line) = (0, 1_u32);
    let mut offset = 0;
    for (line, number) in text.split_inclusive('\n').zip(1_u32..) {
        let mark = ["---", "..."].into_iter().find_map(|mark| line.strip_prefix(mark));
        if mark.is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n'])) {
            documents.push((first_line, &text[begin..offset]));
            (begin, first_line) = (offset + 3, number);
        }
        offset += line.len();
    }
    documents.push((first_line, &text[begin..]));
    documents.into_iter().filter(|(_, document)| !is_blank(document))
}

/// Says whether a document has no content: blank lines, comments and directives only.
fn is_blank(document: &str) -> bool {
    document.lines().all(is_blank_line)
}

fn is_blank_line(line: &str) -> bool {
    let line = line.trim();
    line.is_empty() || line.starts_with('#') || line.starts_with('%')
}

/// Returns how many lines stand before the content.
fn leading_lines(document: &str) -> u32 {
    u32::try_from(document.lines().take_while(|line| is_blank_line(line)).count()).unwrap_or(u32::MAX)
}

fn is_list(value: &Value) -> bool {
    let kind = value.get("kind").and_then(Value::as_str);
    kind.is_some_and(|kind| kind.ends_with("List")) && value.get("items").is_some_and(Value::is_array)
}

#[derive(serde::Deserialize)]
struct Items {
    items: Vec<Spanned<serde::de::IgnoredAny>>,
}

/// Returns the line of each item of a list, read a second time for it; nothing if that fails.
fn item_lines(document: &str, first_line: u32, limits: &Limits) -> Vec<u32> {
    let Ok(list) = serde_saphyr::from_str_with_options::<Items>(document, options(limits)) else { return Vec::new() };
    let line = |item: &Spanned<_>| u32::try_from(item.referenced.line()).unwrap_or(u32::MAX).max(1);
    list.items.iter().map(|item| first_line.saturating_add(line(item) - 1)).collect()
}

fn line_at(text: &str, offset: usize) -> u32 {
    line_number(text[..offset].bytes().filter(|byte| *byte == b'\n').count())
}

fn line_number(lines_before: usize) -> u32 {
    u32::try_from(lines_before).unwrap_or(u32::MAX).saturating_add(1)
}

fn one_line(text: &str) -> String {
    let words = text.split(|c: char| c.is_control()).filter(|part| !part.is_empty());
    words.collect::<Vec<_>>().join(" ").chars().take(200).collect()
}
