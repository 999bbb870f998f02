//! The embedded engine: a data directory with one SQLite file a day (`flows-2026-11-25.sqlite`, the day of a record's own
//! end, UTC).
//!
//! - **One writer**, held by a lock that ends with the process; any number of readers in any process, which never wait
//!   for it (write-ahead log).
//! - **After SIGKILL** at any point the directory opens and holds every batch that was answered: a commit is in the
//!   operating system's hands. After a power failure the newest commits may be missing, as a gap that the balance shows;
//!   the files are whole. A file that is torn all the same is set aside as `….corrupt-N`, loudly, and a new one begun.
//! - **Once**: ends, label sets, contexts and judgements are stored once a file and referred to. A record is written
//!   unless its stream and number are there.
//! - **Caps** in bytes and days: the oldest go first, and what went is written down (see [`Removed`]).
//!
//! Questions open the files of the days that they need, one after the other, so that open files are few.

mod conditions;
mod content;
mod control;
mod day;
mod dictionary;
mod directory;
mod entries;
mod pages;
mod retention;
mod rows;
mod schema;
mod sums;
mod writer;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

pub use retention::Removed;

use crate::aggregate::{AggregateAnswer, AggregateQuery};
use crate::document::{Answer, Document};
use crate::entry::{EntryPage, EntryQuery, StreamList};
use crate::error::StoreError;
use crate::query::{DeadLetterPage, DeadLetterQuery, FlowPage, FlowQuery, StoreState};
use crate::{FlowStore, sqlite::writer::Writer};

/// Cap in bytes where none is given: 2 GiB.
pub const DEFAULT_CAP_BYTES: u64 = 2 << 30;
/// Cap in days where none is given.
pub const DEFAULT_CAP_DAYS: u64 = 8;

/// Where the store is and how much it may hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The directory.
    pub dir: PathBuf,
    /// The most bytes that its days take; what is beyond goes at the next [`SqliteStore::enforce_caps`].
    pub cap_bytes: u64,
    /// The most days that it holds, at least 1.
    pub cap_days: u64,
}

impl Options {
    /// Returns the options for a directory with the caps of the documentation.
    #[must_use]
    pub fn in_dir(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), cap_bytes: DEFAULT_CAP_BYTES, cap_days: DEFAULT_CAP_DAYS }
    }
}

/// A data directory, opened to write or to read. Clones share it.
#[derive(Debug, Clone)]
pub struct SqliteStore {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    options: Options,
    /// Absent where the store was opened to read.
    writer: Option<Mutex<Writer>>,
}

impl SqliteStore {
    /// Opens a directory to write and to read, and makes it if there is none. Blocks for as long as the disk takes.
    ///
    /// # Errors
    /// Returns [`StoreError::InUse`] if another process writes to it, [`StoreError::Newer`] if a newer build made it,
    /// or what the system says.
    pub fn open(options: Options) -> Result<Self, StoreError> {
        let writer = Writer::open(&options.dir)?;
        Ok(Self { inner: Arc::new(Inner { options, writer: Some(Mutex::new(writer)) }) })
    }

    /// Opens a directory to read, beside a process that may be writing to it. A directory that does not exist is empty.
    #[must_use]
    pub fn open_to_read(options: Options) -> Self {
        Self { inner: Arc::new(Inner { options, writer: None }) }
    }

    /// Removes what is beyond the caps; to be called about once a minute.
    ///
    /// # Errors
    /// Returns [`StoreError`] if not all of it could be removed; the next call goes on.
    pub async fn enforce_caps(&self) -> Result<Removed, StoreError> {
        self.with_writer(Writer::enforce).await
    }

    /// Returns how many torn files were set aside since the store was opened; 0 where it was opened to read.
    #[must_use]
    pub fn set_aside_total(&self) -> u64 {
        let Some(writer) = &self.inner.writer else { return 0 };
        writer.lock().map_or(0, |writer| writer.set_aside)
    }

    /// Returns the directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.inner.options.dir
    }

    async fn with_writer<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Writer, &Options) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.blocking(move |inner| {
            let Some(writer) = &inner.writer else {
                return Err(StoreError::ReadOnly(inner.options.dir.display().to_string()));
            };
            let mut writer = writer.lock().unwrap_or_else(|poisoned| {
                // The transaction of whoever panicked was rolled back; what it remembered of the file may be wrong.
                writer.clear_poison();
                let mut writer = poisoned.into_inner();
                writer.forget();
                writer
            });
            work(&mut writer, &inner.options)
        })
        .await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let inner = Arc::clone(&self.inner);
        match tokio::task::spawn_blocking(move || work(&inner)).await {
            Ok(answer) => answer,
            Err(error) => Err(StoreError::Cancelled(error.to_string())),
        }
    }

    async fn asking<Q: Clone + Send + 'static, T: Send + 'static>(
        &self,
        query: &Q,
        ask: fn(&Path, &Q) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let query = query.clone();
        self.blocking(move |inner| ask(&inner.options.dir, &query)).await
    }
}

impl FlowStore for SqliteStore {
    async fn write(&self, batch: Arc<[Document]>) -> Result<Vec<Answer>, StoreError> {
        self.with_writer(move |writer, _| writer.write(&batch)).await
    }

    async fn flows(&self, query: &FlowQuery) -> Result<FlowPage, StoreError> {
        self.asking(query, pages::flows).await
    }

    async fn aggregate(&self, query: &AggregateQuery) -> Result<AggregateAnswer, StoreError> {
        self.asking(query, sums::aggregate).await
    }

    async fn streams(&self) -> Result<StreamList, StoreError> {
        self.asking(&(), |dir, ()| entries::streams(dir)).await
    }

    async fn entries(&self, query: &EntryQuery) -> Result<EntryPage, StoreError> {
        self.asking(query, entries::entries).await
    }

    async fn dead_letters(&self, query: &DeadLetterQuery) -> Result<DeadLetterPage, StoreError> {
        self.asking(query, entries::dead_letters).await
    }

    async fn state(&self) -> Result<StoreState, StoreError> {
        self.blocking(|inner| state(&inner.options)).await
    }
}

fn state(options: &Options) -> Result<StoreState, StoreError> {
    let dir = &options.dir;
    let days = directory::days(dir)?;
    let removed = match control::Control::open_to_read(dir)? {
        Some(control) => control.number("removed_records")?.cast_unsigned(),
        None => 0,
    };
    Ok(StoreState {
        engine: "sqlite",
        place: dir.display().to_string(),
        bytes: days.iter().map(|day| directory::size_of(&dir.join(day.file_name()))).sum(),
        cap_bytes: Some(options.cap_bytes),
        cap_days: Some(options.cap_days),
        days: days.iter().map(ToString::to_string).collect(),
        removed_records: removed,
        set_aside: directory::set_aside_files(dir)?,
        end: pages::end(dir)?,
    })
}
