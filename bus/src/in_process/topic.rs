//! One topic: its partitions, its groups, and the bound that makes producers wait.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hasher};
use std::iter::Peekable;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::vec;

use tokio::sync::Notify;

use super::assign::{MemberId, assign};
use super::log::{Log, Removed};
use super::{Backlog, InvalidTopic, TopicSettings};
use crate::{BusError, Delivered, MAX_RECORD_BYTES, Record, Resume};

/// A topic and those who wait at it.
#[derive(Debug)]
pub(super) struct Topic {
    pub(super) name: Arc<str>,
    /// Held while a batch is appended, so that waiting producers come in turn and batches do not interleave.
    pub(super) turn: tokio::sync::Mutex<()>,
    /// Told when records were removed, or the topic was closed.
    pub(super) room: Notify,
    state: Mutex<State>,
}

/// What changes in a topic.
#[derive(Debug)]
pub(super) struct State {
    name: Arc<str>,
    max_records: usize,
    max_bytes: usize,
    closed: bool,
    logs: Vec<Log>,
    held: Removed,
    discarded: u64,
    groups: BTreeMap<String, Group>,
}

#[derive(Debug, Default)]
struct Group {
    members: Vec<Member>,
    cursors: Vec<Cursor>,
}

#[derive(Debug)]
struct Member {
    id: MemberId,
    wake: Arc<Notify>,
}

/// How far a group has come in one partition.
#[derive(Debug, Clone, Copy)]
struct Cursor {
    owner: Option<MemberId>,
    /// The next offset to deliver to the owner.
    next: u64,
    committed: u64,
    /// The end of what any member was ever given: no commit may lie past it.
    delivered: u64,
}

/// What is left of a batch to append.
pub(super) type Batch = Peekable<vec::IntoIter<Record>>;

/// What came of an attempt to append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Append {
    /// The next record, if any, is for another topic.
    Done,
    /// There is no room for the next record.
    Full,
    /// The topic takes no more.
    Closed,
}

impl Topic {
    pub(super) fn new(settings: &TopicSettings) -> Result<Self, InvalidTopic> {
        let name = settings.name.clone();
        if settings.partitions == 0 {
            return Err(InvalidTopic::NoPartitions(name));
        }
        if settings.max_records == 0 {
            return Err(InvalidTopic::NoRecords(name));
        }
        if settings.max_bytes < MAX_RECORD_BYTES {
            return Err(InvalidTopic::TooFewBytes { name, max_bytes: settings.max_bytes });
        }
        let name: Arc<str> = Arc::from(name);
        Ok(Self {
            name: Arc::clone(&name),
            turn: tokio::sync::Mutex::new(()),
            room: Notify::new(),
            state: Mutex::new(State {
                name,
                max_records: settings.max_records,
                max_bytes: settings.max_bytes,
                closed: false,
                logs: (0..settings.partitions).map(|_| Log::default()).collect(),
                held: Removed::default(),
                discarded: 0,
                groups: BTreeMap::new(),
            }),
        })
    }

    /// Locks the state. No lock is held across an await, and nothing in `State` panics half-way, so a poisoned lock
    /// still guards a whole state.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets no more records in and wakes all who wait.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        for group in state.groups.values() {
            group.wake_all();
        }
        drop(state);
        self.room.notify_waiters();
    }

    /// Commits for a group. Returns false if the partition is not this member's any more.
    pub(super) fn commit(&self, group: &str, member: MemberId, to: &Resume) -> Result<bool, BusError> {
        let (committed, made_room) = self.state().commit(group, member, to)?;
        if made_room {
            self.room.notify_waiters();
        }
        Ok(committed)
    }
}

impl State {
    /// Adds a group that starts at the first record that is still here.
    pub(super) fn register(&mut self, group: &str) {
        if !self.groups.contains_key(group) {
            let cursors = self.logs.iter().map(|log| Cursor::at(log.start())).collect();
            self.groups.insert(group.to_owned(), Group { members: Vec::new(), cursors });
        }
    }

    /// Adds a member to a group, which is registered if need be, and shares the partitions anew.
    pub(super) fn join(&mut self, group: &str, id: MemberId, wake: &Arc<Notify>) {
        self.register(group);
        if let Some(group) = self.groups.get_mut(group) {
            group.members.push(Member { id, wake: Arc::clone(wake) });
            group.rebalance();
        }
    }

    /// Removes a member; what it did not commit goes to the others again.
    pub(super) fn leave(&mut self, group: &str, id: MemberId) {
        if let Some(group) = self.groups.get_mut(group) {
            group.members.retain(|member| member.id != id);
            group.rebalance();
        }
    }

    /// Takes the records of this topic off the front of a batch, as far as there is room, and adds each to the partition
    /// of its key.
    pub(super) fn append(&mut self, batch: &mut Batch) -> Append {
        loop {
            let Some(size) = batch.peek().filter(|next| next.topic == self.name).map(Record::size) else {
                return Append::Done;
            };
            if self.closed {
                return Append::Closed;
            }
            if self.groups.is_empty() {
                self.make_way(size);
            }
            if self.held.records >= self.max_records || self.held.bytes + size > self.max_bytes {
                return Append::Full;
            }
            let Some(record) = batch.next() else { return Append::Done };
            self.add(record, size);
        }
    }

    fn add(&mut self, record: Record, size: usize) {
        let partition = partition_of(&record.key, self.logs.len());
        if let Some(log) = self.logs.get_mut(partition) {
            log.append(record);
            self.held.records += 1;
            self.held.bytes += size;
        }
        for group in self.groups.values() {
            group.wake_owner(partition);
        }
    }

    /// Adds to `into` up to `max` records for a member, looking at its partitions from the `first` on.
    pub(super) fn deliver(&mut self, group: &str, id: MemberId, first: usize, max: usize, into: &mut Vec<Delivered>) {
        let Some(group) = self.groups.get_mut(group) else { return };
        let partitions = self.logs.len();
        for step in 0..partitions {
            let partition = (first + step) % partitions;
            let (Some(cursor), Some(log)) = (group.cursors.get_mut(partition), self.logs.get(partition)) else {
                continue;
            };
            if cursor.owner != Some(id) || into.len() >= max {
                continue;
            }
            let Ok(number) = u32::try_from(partition) else { continue };
            let room = max - into.len();
            for (offset, record) in log.from(cursor.next).take(room) {
                into.push(Delivered { partition: number, offset, record: record.clone() });
                cursor.next = offset + 1;
            }
            cursor.delivered = cursor.delivered.max(cursor.next);
        }
    }

    /// Returns true if the topic is closed and this member was given all that its partitions hold.
    pub(super) fn is_drained(&self, group: &str, id: MemberId) -> bool {
        let Some(group) = self.groups.get(group) else { return self.closed };
        self.closed
            && group
                .cursors
                .iter()
                .zip(&self.logs)
                .all(|(cursor, log)| cursor.owner != Some(id) || cursor.next >= log.end())
    }

    /// Returns how many records of a member's partitions its group has not committed.
    pub(super) fn lag(&self, group: &str, id: MemberId) -> u64 {
        self.groups.get(group).map_or(0, |group| {
            let owned = group.cursors.iter().zip(&self.logs).filter(|(cursor, _)| cursor.owner == Some(id));
            owned.map(|(cursor, log)| log.end().saturating_sub(cursor.committed)).sum()
        })
    }

    pub(super) fn backlog(&self, group: &str) -> Option<Backlog> {
        let group = self.groups.get(group)?;
        let mut backlog = Backlog {
            held_records: self.held.records,
            held_bytes: self.held.bytes,
            discarded: self.discarded,
            ..Backlog::default()
        };
        for (cursor, log) in group.cursors.iter().zip(&self.logs) {
            backlog.undelivered += log.end().saturating_sub(cursor.next);
            backlog.lag += log.end().saturating_sub(cursor.committed);
        }
        Some(backlog)
    }

    fn commit(&mut self, group: &str, member: MemberId, to: &Resume) -> Result<(bool, bool), BusError> {
        let unknown = || BusError::UnknownPartition { topic: Arc::clone(&to.topic), partition: to.partition };
        let index = usize::try_from(to.partition).map_err(|_| unknown())?;
        if index >= self.logs.len() {
            return Err(unknown());
        }
        let cursor = self.groups.get_mut(group).and_then(|group| group.cursors.get_mut(index));
        let Some(cursor) = cursor.filter(|cursor| cursor.owner == Some(member)) else { return Ok((false, false)) };
        if to.next > cursor.delivered {
            return Err(BusError::NotDelivered {
                topic: Arc::clone(&self.name),
                partition: to.partition,
                next: to.next,
                end: cursor.delivered,
            });
        }
        cursor.committed = cursor.committed.max(to.next);
        // What is committed need not be delivered again, even if the partition went away and came back in between.
        cursor.next = cursor.next.max(cursor.committed);
        Ok((true, self.trim(index)))
    }

    /// Removes what all groups have committed; returns true if that was anything.
    fn trim(&mut self, partition: usize) -> bool {
        let cursors = self.groups.values().filter_map(|group| group.cursors.get(partition));
        let Some(lowest) = cursors.map(|cursor| cursor.committed).min() else { return false };
        let Some(log) = self.logs.get_mut(partition) else { return false };
        let removed = log.trim_to(lowest);
        self.held.less(removed);
        removed.records > 0
    }

    /// Removes the oldest records of a topic that nobody reads until one of `size` bytes has room.
    fn make_way(&mut self, size: usize) {
        while self.held.records >= self.max_records || self.held.bytes + size > self.max_bytes {
            let oldest = self.logs.iter_mut().filter(|log| log.oldest_ms().is_some()).min_by_key(|log| log.oldest_ms());
            let Some(log) = oldest else { return };
            let removed = log.trim_to(log.start() + 1);
            self.held.less(removed);
            self.discarded += removed.records as u64;
        }
    }
}

impl Group {
    fn rebalance(&mut self) {
        let members: Vec<_> = self.members.iter().map(|member| member.id).collect();
        let before: Vec<_> = self.cursors.iter().map(|cursor| cursor.owner).collect();
        for (cursor, owner) in self.cursors.iter_mut().zip(assign(&before, &members)) {
            if cursor.owner != owner {
                cursor.owner = owner;
                cursor.next = cursor.committed;
            }
        }
        self.wake_all();
    }

    fn wake_all(&self) {
        for member in &self.members {
            member.wake.notify_one();
        }
    }

    fn wake_owner(&self, partition: usize) {
        let owner = self.cursors.get(partition).and_then(|cursor| cursor.owner);
        if let Some(member) = self.members.iter().find(|member| Some(member.id) == owner) {
            member.wake.notify_one();
        }
    }
}

impl Cursor {
    fn at(offset: u64) -> Self {
        Self { owner: None, next: offset, committed: offset, delivered: offset }
    }
}

impl Removed {
    fn less(&mut self, other: Self) {
        self.records = self.records.saturating_sub(other.records);
        self.bytes = self.bytes.saturating_sub(other.bytes);
    }
}

/// Returns the partition of a key. It need not be the same in the next process: the topic ends with this one.
fn partition_of(key: &[u8], partitions: usize) -> usize {
    let mut hasher = DefaultHasher::new();
    hasher.write(key);
    // The remainder is less than a number that is a `usize`.
    usize::try_from(hasher.finish() % partitions as u64).unwrap_or(0)
}
