//! What the terminal can do, and text that is safe to show on one.
//!
//! Names, labels and reasons come from the outside. A terminal obeys control characters, so no such character ever
//! leaves this program: [`printable`] writes them as escapes.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, IsTerminal};

use clap::ValueEnum;
use unicode_width::UnicodeWidthStr;

/// When output is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum ColourChoice {
    /// On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What standard output can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Terminal {
    /// True if a person reads it.
    pub(crate) interactive: bool,
    /// True if colours may be used.
    pub(crate) colours: bool,
    /// Columns; absent where nothing has to be cut.
    pub(crate) width: Option<usize>,
}

impl Terminal {
    /// Looks at standard output and the environment (`NO_COLOR`, `TERM`, `COLUMNS`).
    pub(crate) fn of_stdout(choice: ColourChoice) -> Self {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let interactive = io::stdout().is_terminal();
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let colours = match choice {
            ColourChoice::Always => true,
            ColourChoice::Never => false,
            ColourChoice::Auto => interactive && !dumb && !set("NO_COLOR"),
        };
        let asked = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse::<usize>().ok());
        let width = asked.or_else(|| interactive.then(terminal_columns).flatten()).filter(|columns| *columns >= 40);
        Self { interactive, colours, width }
    }
}

fn terminal_columns() -> Option<usize> {
    terminal_size::terminal_size().map(|(width, _)| usize::from(width.0))
}

/// What a piece of text stands for; the colours follow from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Tone {
    /// Nothing special.
    #[default]
    Plain,
    /// A heading.
    Heading,
    /// As it should be.
    Good,
    /// Worth a look.
    Warning,
    /// Not as it should be.
    Bad,
    /// Of less interest.
    Faint,
}

impl Tone {
    /// Returns the control sequences around text of this tone.
    pub(crate) fn around(self) -> (&'static str, &'static str) {
        match self {
            Self::Plain => ("", ""),
            Self::Heading => ("\x1b[1m", "\x1b[0m"),
            Self::Good => ("\x1b[32m", "\x1b[0m"),
            Self::Warning => ("\x1b[33m", "\x1b[0m"),
            Self::Bad => ("\x1b[31m", "\x1b[0m"),
            Self::Faint => ("\x1b[2m", "\x1b[0m"),
        }
    }
}

/// Says whether a terminal may obey the character, or show the text around it in another order or not at all.
pub(crate) fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{200b}'..='\u{200f}' // zero width, marks of direction
            | '\u{2028}'..='\u{202e}' // line and paragraph separator, direction
            | '\u{2060}'..='\u{206f}' // invisible operators, isolates
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{061c}' | '\u{00ad}'
            | '\u{e0000}'..='\u{e007f}') // tags
}

/// Returns the text with every unsafe character written as an escape (`\x1b`, `\u{202e}`).
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\n' => safe.push_str("\\n"),
            '\r' => safe.push_str("\\r"),
            '\t' => safe.push_str("\\t"),
            c if is_unsafe(c) => {
                let code = u32::from(c);
                let written =
                    if code < 0x100 { write!(safe, "\\x{code:02x}") } else { write!(safe, "\\u{{{code:x}}}") };
                written.expect("writing to a String does not fail");
            }
            c => safe.push(c),
        }
    }
    Cow::Owned(safe)
}

/// Returns how many columns printable text takes.
pub(crate) fn columns(text: &str) -> usize {
    text.width()
}

/// Cuts printable text to a number of columns; what is missing shows as `…`.
pub(crate) fn cut(text: &str, width: usize) -> Cow<'_, str> {
    if columns(text) <= width {
        return Cow::Borrowed(text);
    }
    let mut kept = String::new();
    for c in text.chars() {
        kept.push(c);
        if columns(&kept) + 1 > width {
            kept.pop();
            break;
        }
    }
    if width > 0 {
        kept.push('…');
    }
    Cow::Owned(kept)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_written_as_an_escape() {
        let check = |text: &str, expected: &str| assert_eq!(printable(text), expected, "{text:?}");
        check("frontend-7d9", "frontend-7d9");
        check("\u{1b}[31mred\u{1b}[0m", "\\x1b[31mred\\x1b[0m");
        check("\u{9b}2J", "\\x9b2J");
        check("a\u{202e}b\u{2066}c", "a\\u{202e}b\\u{2066}c");
        check("one\ntwo\r\tthree\u{7f}", "one\\ntwo\\r\\tthree\\x7f");
        check("grüße 流", "grüße 流");
    }

    #[test]
    fn cut_text_says_that_it_was_cut() {
        let check = |text: &str, width: usize, expected: &str| assert_eq!(cut(text, width), expected);
        check("frontend", 8, "frontend");
        check("frontend", 5, "fron…");
        check("frontend", 1, "…");
        check("frontend", 0, "");
        check("流流流", 5, "流流…");
        check("流流流", 4, "流…");
    }

    proptest! {
        #[test]
        fn printable_text_holds_nothing_unsafe(text in any::<String>()) {
            assert!(!printable(&text).chars().any(is_unsafe));
        }

        #[test]
        fn cut_text_fits(text in any::<String>(), width in 0_usize..40) {
            let safe = printable(&text);
            assert!(columns(&cut(&safe, width)) <= width);
        }
    }
}
