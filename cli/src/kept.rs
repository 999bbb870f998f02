//! What the store keeps: opening it to read, and saying honestly what is not in it.

use std::io::{self, Write};

use flow::UnixMs;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use service::exit::Exit;
use store::{FlowStore, Partial, SqliteStore, StoreState};

use crate::arguments::{GlobalArguments, NameArguments};
use crate::failure::Failure;
use crate::render::quantity;
use crate::settings;
use crate::terminal::printable;

/// Opens the store of the settings to read.
///
/// # Errors
/// Returns a usage failure for wrong settings.
pub(crate) fn open(global: &GlobalArguments) -> Result<SqliteStore, Failure> {
    let settings = settings::load(global, &NameArguments::default())?;
    Ok(SqliteStore::open_to_read(settings.store.options(&settings.data_dir)))
}

/// Remarks on standard error, beside the answer.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    lines: Vec<String>,
}

impl Notes {
    /// Prints them.
    pub(crate) fn print(&self) {
        for line in &self.lines {
            Self::line(line);
        }
    }

    /// Prints names and values below each other.
    pub(crate) fn heading(lines: &[(&str, &str)]) {
        let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
        for (name, value) in lines {
            let _ = writeln!(io::stderr(), "{name:width$}  {}", printable(value));
        }
    }

    /// Prints one remark.
    pub(crate) fn line(text: &str) {
        // A closed standard error leaves nobody to tell.
        let _ = writeln!(io::stderr(), "note: {}", printable(text));
    }
}

/// Says what range is kept, if the question reaches further back; on a terminal also how much is kept at all.
///
/// # Errors
/// Returns a failure if the store cannot be looked at.
pub(crate) async fn notes(store: &impl FlowStore, from: Option<UnixMs>, interactive: bool) -> Result<Notes, Failure> {
    let state = store.state().await?;
    let mut notes = Notes::default();
    match (state.days.first(), from) {
        (None, _) => notes.lines.push(format!("{} holds no flows yet; `millrace run` writes them", state.place)),
        (Some(first), Some(from)) if begin_of(first).is_some_and(|begin| from < begin) => {
            notes.lines.push(format!("kept are the days {} (UTC); nothing is known of what is older", range(&state)));
        }
        (Some(_), _) if interactive => notes.lines.push(holdings(&state)),
        (Some(_), _) => {}
    }
    for file in &state.set_aside {
        notes.lines.push(format!("{file} was damaged and set aside: `millrace reconcile` shows what is lost"));
    }
    Ok(notes)
}

/// Says what the store holds and what it may hold, in one line.
pub(crate) fn holdings(state: &StoreState) -> String {
    format!("{}: {}, {}", state.place, range(state), cap(state))
}

fn range(state: &StoreState) -> String {
    match (state.days.first(), state.days.last()) {
        (Some(first), Some(last)) if first == last => first.clone(),
        (Some(first), Some(last)) => format!("{first} to {last}"),
        _ => "nothing yet".to_owned(),
    }
}

fn cap(state: &StoreState) -> String {
    let used = quantity::bytes(state.bytes.into());
    match (state.cap_bytes, state.cap_days) {
        (Some(bytes), Some(days)) => format!("{used} of {} or {days} days", quantity::bytes(bytes.into())),
        (Some(bytes), None) => format!("{used} of {}", quantity::bytes(bytes.into())),
        (None, Some(days)) => format!("{used}, {days} days"),
        (None, None) => used,
    }
}

fn begin_of(day: &str) -> Option<UnixMs> {
    let date: Date = day.parse().ok()?;
    let begin = date.to_zoned(TimeZone::UTC).ok()?.timestamp().as_millisecond();
    u64::try_from(begin).ok().map(UnixMs)
}

/// Returns 0, or 4 with a remark for each part of the store that could not be read.
pub(crate) fn exit_of(partial: &[Partial]) -> Exit {
    for part in partial {
        Notes::line(&format!("the answer is partial: {} could not be read: {}", part.place, part.reason));
    }
    if partial.is_empty() { Exit::Yes } else { Exit::Undecided }
}
