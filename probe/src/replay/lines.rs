//! Lines of a file, one at a time, in bounded memory.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

/// The longest line that is read: as long as the longest value.
pub(super) const MAX_LINE_BYTES: usize = flow::wire::MAX_VALUE_BYTES;

/// The lines of a file.
pub(super) struct Lines {
    file: BufReader<File>,
    line: Vec<u8>,
    text: String,
    number: u64,
}

impl Lines {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = BufReader::with_capacity(64 * 1024, File::open(path)?);
        Ok(Self { file, line: Vec::new(), text: String::new(), number: 0 })
    }

    /// Returns the next line and its number, from 1; without text if it is too long. What is no UTF-8 is replaced, and
    /// then is no JSON either.
    pub(super) fn next_line(&mut self) -> io::Result<Option<(u64, Option<&str>)>> {
        self.line.clear();
        let mut too_long = false;
        loop {
            let chunk = self.file.fill_buf()?;
            if chunk.is_empty() {
                if self.line.is_empty() && !too_long {
                    return Ok(None);
                }
                break;
            }
            let end = chunk.iter().position(|b| *b == b'\n');
            let part = &chunk[..end.unwrap_or(chunk.len())];
            if self.line.len() + part.len() > MAX_LINE_BYTES {
                too_long = true;
                self.line.clear();
            } else if !too_long {
                self.line.extend_from_slice(part);
            }
            let read = part.len() + usize::from(end.is_some());
            self.file.consume(read);
            if end.is_some() {
                break;
            }
        }
        self.number += 1;
        if too_long {
            return Ok(Some((self.number, None)));
        }
        self.text.clear();
        self.text.push_str(&String::from_utf8_lossy(&self.line));
        Ok(Some((self.number, Some(&self.text))))
    }
}
