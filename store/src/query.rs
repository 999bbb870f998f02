//! Asking for flow records and dead letters, page by page.

use flow::{FlowRecord, UnixMs};
use serde::Serialize;

use crate::document::DeadLetter;
use crate::filter::Filter;

/// The largest page that a store gives; larger limits are cut to it.
pub const MAX_PAGE: usize = 10_000;

/// Which records take part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Counting {
    /// Those that count attempts once: reporter `src`, and reporter `dst` where the source is `net` or `ns`.
    #[default]
    Attempts,
    /// All: the same attempt may come from both of its ends. Sums over these double.
    Records,
}

/// In which order records come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Order {
    /// By their own end, latest first.
    #[default]
    NewestFirst,
    /// By their own end, earliest first.
    OldestFirst,
    /// As they were stored: the order to follow a store by. Its cursor never passes a record that is not yet stored.
    Stored,
}

/// Where to go on. Opaque: made by a store, and understood by that store alone, in the order it was made for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct Cursor(pub(crate) String);

impl Cursor {
    /// Takes a cursor as [`Cursor::as_str`] gave it; whether it is one is seen when it is used.
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// Returns the cursor as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A question for flow records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowQuery {
    /// Records whose end is at this time or later.
    pub from: Option<UnixMs>,
    /// Records whose end is before this time.
    pub to: Option<UnixMs>,
    /// What must hold.
    pub filter: Filter,
    /// Which records take part.
    pub counting: Counting,
    /// In which order.
    pub order: Order,
    /// How many at most, up to [`MAX_PAGE`].
    pub limit: usize,
    /// Where to go on.
    pub cursor: Option<Cursor>,
}

impl Default for FlowQuery {
    fn default() -> Self {
        Self {
            from: None,
            to: None,
            filter: Filter::everything(),
            counting: Counting::default(),
            order: Order::default(),
            limit: 1000,
            cursor: None,
        }
    }
}

/// A part of the store that could not be read, so that the answer may lack something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Partial {
    /// The file or index.
    pub place: String,
    /// Why it could not be read.
    pub reason: String,
}

/// One page of flow records.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FlowPage {
    /// The records, in the order asked for.
    pub records: Vec<FlowRecord>,
    /// Where to go on; absent if this was the last page. In [`Order::Stored`] it is always there, and leads to what is
    /// stored later.
    pub next: Option<Cursor>,
    /// What could not be read.
    pub partial: Vec<Partial>,
}

/// A question for dead letters.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeadLetterQuery {
    /// Those of messages at this time or later.
    pub from: Option<UnixMs>,
    /// Those of messages before this time.
    pub to: Option<UnixMs>,
    /// How many at most, up to [`MAX_PAGE`]; 0 is [`MAX_PAGE`].
    pub limit: usize,
    /// Where to go on.
    pub cursor: Option<Cursor>,
}

/// One page of dead letters, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeadLetterPage {
    /// The dead letters.
    pub letters: Vec<DeadLetter>,
    /// Where to go on; absent if this was the last page.
    pub next: Option<Cursor>,
    /// What could not be read.
    pub partial: Vec<Partial>,
}

/// What the store is, how much it holds, and how much it may hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StoreState {
    /// The engine: `sqlite`.
    pub engine: &'static str,
    /// Where it is: a directory or an address.
    pub place: String,
    /// Bytes on disk.
    pub bytes: u64,
    /// Cap in bytes, if it has one.
    pub cap_bytes: Option<u64>,
    /// Cap in days, if it has one.
    pub cap_days: Option<u64>,
    /// The days that it holds records of, oldest first, as `2026-11-25`.
    pub days: Vec<String>,
    /// Records that retention took away since the store was made.
    pub removed_records: u64,
    /// Files that were torn and set aside; each is a loss that the balance shows.
    pub set_aside: Vec<String>,
    /// A cursor of [`Order::Stored`] behind all that is stored now: where to begin to follow.
    pub end: Cursor,
}
