//! Tables that can grow: rows come in batches, columns keep their place, and on a terminal no row breaks.

use std::io::{self, Write};

use crate::terminal::{Terminal, Tone, columns, cut, printable};

/// Columns that may be cut keep at least this many places.
const LEAST_WIDTH: usize = 8;
const GAP: usize = 2;

/// To which side a column leans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// A column of a table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    title: &'static str,
    align: Align,
    may_cut: bool,
    expected: usize,
}

impl Column {
    /// Makes a column of text.
    pub(crate) const fn text(title: &'static str) -> Self {
        Self { title, align: Align::Left, may_cut: false, expected: 0 }
    }

    /// Makes a column of numbers.
    pub(crate) const fn number(title: &'static str) -> Self {
        Self { title, align: Align::Right, may_cut: false, expected: 0 }
    }

    /// Lets the column be cut where the terminal is too narrow.
    pub(crate) const fn may_cut(mut self) -> Self {
        self.may_cut = true;
        self
    }

    /// Sets the width that cells usually have, so that rows that come later stay aligned.
    pub(crate) const fn expect(mut self, width: usize) -> Self {
        self.expected = width;
        self
    }
}

/// One place of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    /// Makes a cell; what a terminal would obey is written as an escape.
    pub(crate) fn new(text: impl AsRef<str>) -> Self {
        Self { text: printable(text.as_ref()).into_owned(), tone: Tone::Plain }
    }

    /// Makes a cell of a tone.
    pub(crate) fn toned(text: impl AsRef<str>, tone: Tone) -> Self {
        Self { tone, ..Self::new(text) }
    }
}

/// A table under way.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<Column>,
    widths: Vec<usize>,
    terminal: Terminal,
    header_written: bool,
}

impl Table {
    /// Makes a table that has written nothing yet.
    pub(crate) fn new(columns: &[Column], terminal: Terminal) -> Self {
        let widths = columns.iter().map(|c| c.expected.max(c.title.len())).collect();
        Self { columns: columns.to_vec(), widths, terminal, header_written: false }
    }

    /// Writes rows, before the first the titles. Columns only ever grow.
    ///
    /// # Errors
    /// Returns what the writer returned.
    pub(crate) fn write(&mut self, out: &mut dyn Write, rows: &[Vec<Cell>]) -> io::Result<()> {
        for row in rows {
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = (*width).max(columns(&cell.text));
            }
        }
        let widths = self.fitting();
        if !self.header_written {
            self.header_written = true;
            let titles: Vec<Cell> = self.columns.iter().map(|c| Cell::toned(c.title, Tone::Heading)).collect();
            self.line(out, &widths, &titles)?;
        }
        for row in rows {
            self.line(out, &widths, row)?;
        }
        Ok(())
    }

    /// Narrows the columns that may be cut, widest first, until a row fits.
    fn fitting(&self) -> Vec<usize> {
        let mut widths = self.widths.clone();
        let Some(room) = self.terminal.width else { return widths };
        let gaps = GAP * widths.len().saturating_sub(1);
        while widths.iter().sum::<usize>() + gaps > room {
            let cuttable = |place: &usize| self.columns[*place].may_cut && widths[*place] > LEAST_WIDTH;
            let Some(widest) = (0..widths.len()).filter(cuttable).max_by_key(|place| widths[*place]) else { break };
            widths[widest] -= 1;
        }
        widths
    }

    fn line(&self, out: &mut dyn Write, widths: &[usize], row: &[Cell]) -> io::Result<()> {
        let mut line = String::new();
        for (place, cell) in row.iter().enumerate() {
            let column = self.columns[place];
            let text = if column.may_cut { cut(&cell.text, widths[place]) } else { cell.text.as_str().into() };
            let blank = " ".repeat(widths[place].saturating_sub(columns(&text)));
            let (begin, end) = if self.terminal.colours { cell.tone.around() } else { ("", "") };
            if place > 0 {
                line.push_str(&" ".repeat(GAP));
            }
            match column.align {
                Align::Left => line.extend([begin, &text, end, &blank]),
                Align::Right => line.extend([&blank, begin, &text, end]),
            }
        }
        out.write_all(line.trim_end().as_bytes())?;
        out.write_all(b"\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 3] = [Column::text("NAME").may_cut(), Column::number("COUNT"), Column::text("WHY")];

    fn written(width: Option<usize>, colours: bool, rows: &[[&str; 3]]) -> String {
        let mut table = Table::new(&COLUMNS, Terminal { interactive: width.is_some(), colours, width });
        let rows: Vec<Vec<Cell>> = rows.iter().map(|row| row.iter().map(Cell::new).collect()).collect();
        let mut out = Vec::new();
        table.write(&mut out, &rows).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn columns_stand_below_each_other() {
        let rows = [["frontend", "12", "x"], ["db", "1234567", ""]];
        let expected = "NAME        COUNT  WHY\nfrontend       12  x\ndb        1234567\n";
        assert_eq!(written(None, false, &rows), expected);
    }

    #[test]
    fn a_narrow_terminal_cuts_what_may_be_cut() {
        let rows = [["a-very-long-workload-name", "12", "NETFILTER_DROP"]];
        let text = written(Some(40), false, &rows);
        assert!(text.lines().all(|line| columns(line) <= 40), "{text}");
        assert!(text.contains("a-very-long-work…"), "{text}");
        assert!(text.contains("NETFILTER_DROP"), "{text}");
    }

    #[test]
    fn later_rows_stay_aligned_and_have_no_second_header() {
        let mut table = Table::new(&COLUMNS, Terminal { interactive: false, colours: false, width: None });
        let mut out = Vec::new();
        table.write(&mut out, &[vec![Cell::new("frontend"), Cell::new("1"), Cell::new("x")]]).unwrap();
        table.write(&mut out, &[vec![Cell::new("db"), Cell::new("2"), Cell::new("y")]]).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "NAME      COUNT  WHY\nfrontend      1  x\ndb            2  y\n");
    }

    #[test]
    fn hostile_cells_are_shown_as_escapes() {
        assert!(written(None, false, &[["\u{1b}]0;x\u{7}", "1", "\n"]]).contains("\\x1b]0;x\\x07"));
        assert!(written(None, true, &[["a", "1", "b"]]).starts_with("\u{1b}[1mNAME"));
    }
}
