//! The books between poll and commit: which records are finished, and how far a group may commit.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::{Delivered, Position, Resume};

/// Tracks delivered records that are finished in any order, and gives the position up to which *all* are finished.
///
/// A record that is never finished holds its partition back for ever: that is the point. Memory grows with the number of
/// records between the lowest unfinished and the highest delivered, so whoever polls has to bound that (see
/// [`Watermark::in_flight`]).
#[derive(Debug, Default)]
pub struct Watermark {
    topics: BTreeMap<Arc<str>, BTreeMap<u32, Partition>>,
}

#[derive(Debug)]
struct Partition {
    /// Delivered records from the lowest unfinished on, by offset. Offsets need not be dense: a broker leaves holes
    /// where it compacted or kept marks of its own.
    open: VecDeque<Open>,
    /// The offset after the highest delivered.
    end: u64,
    /// What was last handed out by [`Watermark::advanced`].
    handed_out: Option<u64>,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    offset: u64,
    finished: bool,
}

impl Watermark {
    /// Makes an empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes that the records were delivered and are now being worked on.
    pub fn begin(&mut self, delivered: &[Delivered]) {
        for one in delivered {
            self.begin_at(&one.record.topic, one.partition, one.offset);
        }
    }

    /// Notes that the record at a position was delivered.
    ///
    /// An offset at or below one that was delivered before means that the partition was read again from there (it went
    /// to another member and came back): all that was known from there on is forgotten, since all of it comes again.
    pub fn begin_at(&mut self, topic: &Arc<str>, partition: u32, offset: u64) {
        // Looked up by reference first: the name is shared, not copied, and in the usual case not even that.
        if !self.topics.contains_key(topic) {
            self.topics.insert(Arc::clone(topic), BTreeMap::new());
        }
        let Some(partitions) = self.topics.get_mut(topic) else { return };
        let tracked = partitions.entry(partition).or_insert_with(|| Partition::starting_at(offset));
        tracked.begin(offset);
    }

    /// Notes that the record at a position is finished: stored, sent on, or declared lost with its reason.
    ///
    /// Returns false if it was not being worked on: finished before, or forgotten.
    pub fn finish(&mut self, position: &Position) -> bool {
        self.topics
            .get_mut(&position.topic)
            .and_then(|partitions| partitions.get_mut(&position.partition))
            .is_some_and(|partition| partition.finish(position.offset))
    }

    /// Notes that all of a batch is finished; returns what to commit, as [`Watermark::advanced`] does.
    pub fn finish_all(&mut self, delivered: &[Delivered]) -> Vec<Resume> {
        for one in delivered {
            self.finish(&one.position());
        }
        self.advanced()
    }

    /// Returns, for each partition that moved on since the last call, where its group may resume: the lowest unfinished
    /// offset, or the one after the last delivered if all are finished.
    ///
    /// A commit that fails must be tried again with the same positions, or with those of a later call to
    /// [`Watermark::positions`].
    pub fn advanced(&mut self) -> Vec<Resume> {
        let mut advanced = Vec::new();
        for (topic, partitions) in &mut self.topics {
            for (number, partition) in partitions {
                let next = partition.next();
                if partition.handed_out.is_none_or(|last| next > last) {
                    partition.handed_out = Some(next);
                    advanced.push(Resume { topic: Arc::clone(topic), partition: *number, next });
                }
            }
        }
        advanced
    }

    /// Returns where the group may resume in each partition that is known, moved on or not.
    pub fn positions(&self) -> Vec<Resume> {
        self.topics
            .iter()
            .flat_map(|(topic, partitions)| {
                partitions.iter().map(|(number, partition)| Resume {
                    topic: Arc::clone(topic),
                    partition: *number,
                    next: partition.next(),
                })
            })
            .collect()
    }

    /// Forgets a partition that now belongs to another member.
    pub fn forget(&mut self, topic: &str, partition: u32) {
        if let Some(partitions) = self.topics.get_mut(topic) {
            partitions.remove(&partition);
            if partitions.is_empty() {
                self.topics.remove(topic);
            }
        }
    }

    /// Returns how many records are remembered: those not finished, and those finished that wait for one before them.
    pub fn in_flight(&self) -> usize {
        self.topics.values().flat_map(BTreeMap::values).map(|partition| partition.open.len()).sum()
    }
}

impl Partition {
    fn starting_at(offset: u64) -> Self {
        // Nothing is finished yet, so the place where reading began is not news.
        Self { open: VecDeque::new(), end: offset, handed_out: Some(offset) }
    }

    fn begin(&mut self, offset: u64) {
        if offset < self.end {
            let keep = self.open.partition_point(|open| open.offset < offset);
            self.open.truncate(keep);
            // What is before the front was finished; reading again from before it makes it unfinished again.
            if keep == 0 {
                self.handed_out = Some(offset);
            }
        }
        self.open.push_back(Open { offset, finished: false });
        self.end = offset.saturating_add(1);
    }

    fn finish(&mut self, offset: u64) -> bool {
        let Ok(place) = self.open.binary_search_by_key(&offset, |open| open.offset) else { return false };
        let Some(open) = self.open.get_mut(place) else { return false };
        let news = !open.finished;
        open.finished = true;
        while self.open.front().is_some_and(|open| open.finished) {
            self.open.pop_front();
        }
        news
    }

    fn next(&self) -> u64 {
        self.open.front().map_or(self.end, |open| open.offset)
    }
}

#[cfg(test)]
mod tests;
