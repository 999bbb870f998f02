//! Flow records as they are stored, one after the other, until the end is asked for.

use std::collections::HashSet;
use std::io::{self, BufWriter, Write};
use std::time::Duration;

use flow::{FlowRecord, Stream};
use service::shutdown::Token;
use store::{Cursor, FlowQuery, FlowStore, Order, Partial};

use crate::failure::Failure;
use crate::render::flow::FlowWriter;
use crate::selection::Selection;

/// How often a followed store is asked for more; records leave the probe within a second.
const EVERY: Duration = Duration::from_millis(250);
/// Records a page: enough to align columns by, few enough to show at once.
pub(crate) const PAGE: usize = 1000;

/// Where records are shown, and what could not be read on the way.
pub(crate) struct Shown {
    out: BufWriter<io::Stdout>,
    writer: FlowWriter,
    partial: Vec<Partial>,
}

impl Shown {
    /// Shows records on standard output.
    pub(crate) fn on_stdout(writer: FlowWriter) -> Self {
        Self { out: BufWriter::new(io::stdout()), writer, partial: Vec::new() }
    }

    /// Shows records.
    ///
    /// # Errors
    /// Returns what standard output returned.
    pub(crate) fn write(&mut self, records: &[FlowRecord]) -> io::Result<()> {
        self.writer.write(&mut self.out, records)
    }

    /// Makes what was shown visible.
    ///
    /// # Errors
    /// Returns what standard output returned.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// Shows what stands at the end.
    ///
    /// # Errors
    /// Returns what standard output returned.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        self.writer.finish(&mut self.out)?;
        self.out.flush()
    }

    /// Returns how many records were shown.
    pub(crate) fn written(&self) -> u64 {
        self.writer.written()
    }

    /// Remembers what could not be read, each part once.
    pub(crate) fn note(&mut self, partial: Vec<Partial>) {
        for part in partial {
            if !self.partial.contains(&part) {
                self.partial.push(part);
            }
        }
    }

    /// Returns what could not be read.
    pub(crate) fn partial(&self) -> &[Partial] {
        &self.partial
    }
}

/// Returns the store's question for a selection.
pub(crate) fn question(selection: &Selection, order: Order, limit: usize) -> FlowQuery {
    FlowQuery {
        from: selection.from,
        to: selection.to,
        filter: selection.filter.clone(),
        counting: selection.counting,
        order,
        limit,
        cursor: None,
    }
}

/// Shows what is stored behind a cursor (without one, all of it) and what comes, until the end is asked for; what was
/// stored by then is still shown. Records in `seen` are passed over once.
///
/// # Errors
/// Returns a failure if the store cannot be read or standard output not be written.
pub(crate) async fn follow(
    store: &impl FlowStore,
    selection: &Selection,
    behind: Option<Cursor>,
    mut seen: HashSet<(Stream, u64)>,
    shown: &mut Shown,
    stop: &Token,
) -> Result<(), Failure> {
    let mut query = question(selection, Order::Stored, PAGE);
    query.cursor = behind;
    loop {
        let last_look = stop.is_requested();
        let mut page = store.flows(&query).await?;
        let caught_up = page.records.len() < query.limit;
        query.cursor = page.next.or(query.cursor);
        page.records.retain(|record| seen.is_empty() || !seen.remove(&(record.stream.clone(), record.seq)));
        shown.write(&page.records)?;
        shown.note(page.partial);
        if caught_up {
            shown.flush()?;
            if last_look {
                return Ok(());
            }
            stop.unless_requested(tokio::time::sleep(EVERY)).await;
        }
    }
}
