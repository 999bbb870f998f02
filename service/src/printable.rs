//! Text from elsewhere, made safe to print: a terminal obeys control characters, and a log line ends at a line break.

use std::fmt::{self, Write};

/// Displays a value with its control characters, and the characters that turn the direction of text, escaped.
#[derive(Debug, Clone, Copy)]
pub struct Printable<T>(pub T);

impl<T: fmt::Display> fmt::Display for Printable<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escaping(f), "{}", self.0)
    }
}

/// A writer that escapes what must not reach a terminal.
struct Escaping<'a, W>(&'a mut W);

impl<W: Write> Write for Escaping<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(at) = rest.find(is_unsafe) {
            let (safe, from) = rest.split_at(at);
            self.0.write_str(safe)?;
            let mut characters = from.chars();
            if let Some(character) = characters.next() {
                write!(self.0, "{}", character.escape_default())?;
            }
            rest = characters.as_str();
        }
        self.0.write_str(rest)
    }
}

/// Returns true for control characters (C0, DEL, C1), line and paragraph separators, and the marks that override the
/// direction of text and so can make a line read as something else.
pub(crate) fn is_unsafe(character: char) -> bool {
    character.is_control() || matches!(character, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Returns the text with at most `limit` characters, and an ellipsis if some were cut off.
pub(crate) fn shortened(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(input: &str, expected: &str) {
        assert_eq!(Printable(input).to_string(), expected);
    }

    #[test]
    fn what_a_terminal_would_obey_is_escaped() {
        check("plain text, ünïcode, 日本", "plain text, ünïcode, 日本");
        check("a\x1b[2Jb", "a\\u{1b}[2Jb");
        check("one\ntwo\r\t", "one\\ntwo\\r\\t");
        check("\u{9b}31m", "\\u{9b}31m");
        check("abc\u{202e}cba", "abc\\u{202e}cba");
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        assert_eq!(shortened("äöü", 3), "äöü");
        assert_eq!(shortened("äöüß", 3), "äöü…");
    }

    proptest! {
        #[test]
        fn nothing_unsafe_gets_through(text in any::<String>()) {
            prop_assert!(!Printable(&text).to_string().contains(is_unsafe));
        }
    }
}
