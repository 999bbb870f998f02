//! JSON that is safe on a terminal: what one would obey is written as `\uXXXX`, which is the same JSON.

use std::fmt::Write as _;

use serde::Serialize;

use crate::terminal::is_unsafe;

/// Returns a value as one line of JSON.
///
/// # Errors
/// Returns what the value's own serialisation returned.
pub(crate) fn line<T: Serialize>(value: &T) -> Result<String, serde_json::Error> {
    serde_json::to_string(value).map(|text| escape(&text))
}

/// Returns a value as JSON with indentation.
///
/// # Errors
/// Returns what the value's own serialisation returned.
pub(crate) fn pretty<T: Serialize>(value: &T) -> Result<String, serde_json::Error> {
    serde_json::to_string_pretty(value).map(|text| escape(&text))
}

/// The encoder escapes everything below U+0020; what it leaves stands inside strings, where an escape means the same.
/// The line breaks of indentation stay.
fn escape(text: &str) -> String {
    if !text.chars().any(|c| c != '\n' && is_unsafe(c)) {
        return text.to_owned();
    }
    let mut safe = String::with_capacity(text.len() + 32);
    for c in text.chars() {
        if c == '\n' || !is_unsafe(c) {
            safe.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            write!(safe, "\\u{unit:04x}").expect("writing to a String does not fail");
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::*;

    #[test]
    fn escapes_mean_the_same() {
        assert_eq!(line(&"a\u{1b}[2J\u{9b}\u{202e}\u{7f}").unwrap(), "\"a\\u001b[2J\\u009b\\u202e\\u007f\"");
    }

    proptest! {
        #[test]
        fn json_is_safe_and_reads_back(text in any::<String>()) {
            for written in [line(&text).unwrap(), pretty(&text).unwrap()] {
                assert!(!written.chars().any(|c| c != '\n' && is_unsafe(c)));
                assert_eq!(serde_json::from_str::<String>(&written).unwrap(), text);
            }
        }
    }
}
