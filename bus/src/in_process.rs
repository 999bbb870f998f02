//! The engine of a single process: topics in memory, bounded in records and in bytes.
//!
//! - A topic keeps what some group of it has still to commit, and a producer waits while that is at its bound.
//! - A topic without any group keeps its newest records up to the bound; older ones make way and are counted in
//!   [`Backlog::discarded`], as a broker's retention would do. So a group has to be registered (or have subscribed)
//!   before what it must not miss is sent.
//! - A group stays registered when its last member goes: its records wait for the next one.
//! - Closing is per topic, so that a pipeline ends from its source on: the topic's producers fail, its consumers are
//!   given the rest and then see the end.

mod assign;
mod consumer;
mod log;
mod producer;
mod topic;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::{BusError, MAX_RECORD_BYTES};

pub use consumer::InProcessConsumer;
pub use producer::InProcessProducer;
use topic::Topic;

/// What a topic is made with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSettings {
    /// Its name.
    pub name: String,
    /// Over how many partitions its keys are spread.
    pub partitions: u32,
    /// How many records it holds before a producer waits.
    pub max_records: usize,
    /// How many bytes of records it holds before a producer waits.
    pub max_bytes: usize,
}

impl TopicSettings {
    /// Makes the settings of a topic of one partition that holds up to 65,536 records and 32 MiB: some seconds of a
    /// busy node, and a fraction of the memory that one process may use.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), partitions: 1, max_records: 65_536, max_bytes: 32 * 1024 * 1024 }
    }
}

/// A topic that cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTopic {
    /// Two topics have the same name.
    #[error("topic `{0}` is declared twice")]
    Twice(String),
    /// There is nowhere to put a record.
    #[error("topic `{0}` has no partitions")]
    NoPartitions(String),
    /// It could hold no record.
    #[error("topic `{0}` may hold no records")]
    NoRecords(String),
    /// It could not hold the largest record that the bus takes, and its producer would wait for ever.
    #[error("topic `{name}` may hold {max_bytes} bytes; it needs room for one record of {MAX_RECORD_BYTES}")]
    TooFewBytes {
        /// The topic.
        name: String,
        /// What it was to be bounded by.
        max_bytes: usize,
    },
}

/// What a topic holds, seen from one group.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Records that the group was not yet given.
    pub undelivered: u64,
    /// Records that the group has not committed, the undelivered included.
    pub lag: u64,
    /// Records that the topic holds for all its groups.
    pub held_records: usize,
    /// Bytes that the topic holds for all its groups.
    pub held_bytes: usize,
    /// Records that made way while the topic had no group at all.
    pub discarded: u64,
}

/// The bus of one process. Clones are the same bus.
#[derive(Debug, Clone)]
pub struct InProcessBus {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    topics: BTreeMap<String, Arc<Topic>>,
    next_member: AtomicU64,
}

impl Shared {
    fn topic(&self, name: &str) -> Result<&Arc<Topic>, BusError> {
        self.topics.get(name).ok_or_else(|| BusError::UnknownTopic { topic: Arc::from(name) })
    }
}

impl InProcessBus {
    /// Makes a bus with these topics.
    ///
    /// # Errors
    /// A topic that is declared twice, or that could never take a record.
    pub fn new(topics: impl IntoIterator<Item = TopicSettings>) -> Result<Self, InvalidTopic> {
        let mut made = BTreeMap::new();
        for settings in topics {
            let name = settings.name.clone();
            if made.insert(name.clone(), Arc::new(Topic::new(&settings)?)).is_some() {
                return Err(InvalidTopic::Twice(name));
            }
        }
        Ok(Self { shared: Arc::new(Shared { topics: made, next_member: AtomicU64::new(0) }) })
    }

    /// Makes a producer for all topics.
    pub fn producer(&self) -> InProcessProducer {
        InProcessProducer::new(Arc::clone(&self.shared))
    }

    /// Registers a group, so that topics keep their records for it from now on, whether it has a member or not.
    ///
    /// # Errors
    /// [`BusError::UnknownTopic`]; nothing is registered then.
    pub fn register(&self, group: &str, topics: &[&str]) -> Result<(), BusError> {
        let found: Vec<_> = topics.iter().map(|name| self.shared.topic(name)).collect::<Result<_, _>>()?;
        for topic in found {
            topic.state().register(group);
        }
        Ok(())
    }

    /// Joins a group as a new member that reads these topics, registering the group if need be.
    ///
    /// # Errors
    /// [`BusError::UnknownTopic`]; nothing is joined then.
    pub fn subscribe(&self, group: &str, topics: &[&str]) -> Result<InProcessConsumer, BusError> {
        let mut found: Vec<Arc<Topic>> = Vec::with_capacity(topics.len());
        for name in topics {
            let topic = self.shared.topic(name)?;
            if !found.iter().any(|known| Arc::ptr_eq(known, topic)) {
                found.push(Arc::clone(topic));
            }
        }
        let member = self.shared.next_member.fetch_add(1, Ordering::Relaxed);
        Ok(InProcessConsumer::join(group, member, found))
    }

    /// Closes one topic: sending to it fails from now on, its consumers are given the rest and then see the end.
    ///
    /// # Errors
    /// [`BusError::UnknownTopic`].
    pub fn close_topic(&self, topic: &str) -> Result<(), BusError> {
        self.shared.topic(topic)?.close();
        Ok(())
    }

    /// Closes all topics.
    pub fn close(&self) {
        for topic in self.shared.topics.values() {
            topic.close();
        }
    }

    /// Returns what a topic holds, seen from a group; none if the topic or the group is not known.
    pub fn backlog(&self, topic: &str, group: &str) -> Option<Backlog> {
        self.shared.topics.get(topic)?.state().backlog(group)
    }
}

#[cfg(test)]
mod tests;
