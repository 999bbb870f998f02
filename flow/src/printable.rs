//! Foreign text made fit for error messages and logs.

/// Returns at most `max` characters of a text, with everything that could steer a terminal or a log replaced: control
/// characters, line separators, and the marks that change the direction of writing.
#[must_use]
pub fn printable(text: &str, max: usize) -> String {
    let steers = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    let mut kept: String =
        text.chars().take(max).map(|c| if steers(c) { char::REPLACEMENT_CHARACTER } else { c }).collect();
    if text.chars().nth(max).is_some() {
        kept.push('…');
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_text_and_drops_what_steers() {
        assert_eq!(printable("pod `web-1`", 40), "pod `web-1`");
        assert_eq!(printable("a\u{1b}[31m\nb\u{202e}c", 40), "a\u{fffd}[31m\u{fffd}b\u{fffd}c");
        assert_eq!(printable("äöü", 2), "äö…");
    }
}
