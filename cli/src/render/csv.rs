//! CSV by RFC 4180, safe to open in a spreadsheet: a field that begins like a formula is given a leading apostrophe,
//! and control characters are written as escapes.

use crate::terminal::printable;

/// Returns the first line: names of columns, which are ours and so go out as they are (`@timestamp`).
pub(crate) fn header<S: AsRef<str>>(names: &[S]) -> String {
    names.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(",") + "\r\n"
}

/// Returns one line of values with its line end.
pub(crate) fn line<S: AsRef<str>>(fields: &[S]) -> String {
    let mut line = String::new();
    for (place, field) in fields.iter().enumerate() {
        if place > 0 {
            line.push(',');
        }
        push_field(&mut line, field.as_ref());
    }
    line.push_str("\r\n");
    line
}

fn push_field(line: &mut String, field: &str) {
    let safe = printable(field);
    // A lone `-` is our word for "not applicable" and no formula.
    let formula = safe != "-" && safe.starts_with(['=', '+', '-', '@', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}']);
    let quoted = formula || safe.contains(['"', ',', ';', '\'']) || safe.starts_with(' ') || safe.ends_with(' ');
    if !quoted {
        line.push_str(&safe);
        return;
    }
    line.push('"');
    if formula {
        line.push('\'');
    }
    line.push_str(&safe.replace('"', "\"\""));
    line.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_quoted_and_formulas_are_not() {
        let check = |field: &str, expected: &str| assert_eq!(line(&[field]), format!("{expected}\r\n"), "{field:?}");
        check("frontend", "frontend");
        check("", "");
        check("-", "-");
        check("a,b", "\"a,b\"");
        check("say \"hi\"", "\"say \"\"hi\"\"\"");
        check("=cmd|'/c calc'!A1", "\"'=cmd|'/c calc'!A1\"");
        check("+1", "\"'+1\"");
        check("-x", "\"'-x\"");
        check("@sum", "\"'@sum\"");
        check("\t=1", "\\t=1");
        check("a\r\nb", "a\\r\\nb");
        assert_eq!(line(&["a", "b"]), "a,b\r\n");
    }
}
