//! One partition: a queue of records with dense offsets that is cut off at its front.

use std::collections::VecDeque;

use crate::Record;

/// The records of a partition from `start` to `end`.
#[derive(Debug, Default)]
pub(super) struct Log {
    start: u64,
    records: VecDeque<Record>,
}

/// How much was removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Removed {
    pub(super) records: usize,
    pub(super) bytes: usize,
}

impl Log {
    /// Returns the offset of the first record that is still here.
    pub(super) fn start(&self) -> u64 {
        self.start
    }

    /// Returns the offset that the next record will get.
    pub(super) fn end(&self) -> u64 {
        self.start + self.records.len() as u64
    }

    /// Returns the time of the first record that is still here.
    pub(super) fn oldest_ms(&self) -> Option<i64> {
        self.records.front().map(|record| record.timestamp_ms)
    }

    /// Adds a record at the end.
    pub(super) fn append(&mut self, record: Record) {
        self.records.push_back(record);
    }

    /// Returns the records from an offset on, with their offsets.
    pub(super) fn from(&self, offset: u64) -> impl Iterator<Item = (u64, &Record)> {
        let skip = offset.saturating_sub(self.start);
        let first = usize::try_from(skip).map_or(self.records.len(), |skip| skip.min(self.records.len()));
        let at = self.start + first as u64;
        self.records.range(first..).enumerate().map(move |(place, record)| (at + place as u64, record))
    }

    /// Removes the records before an offset.
    pub(super) fn trim_to(&mut self, offset: u64) -> Removed {
        let mut removed = Removed::default();
        while self.start < offset {
            let Some(record) = self.records.pop_front() else { break };
            self.start += 1;
            removed.records += 1;
            removed.bytes += record.size();
        }
        removed
    }
}
