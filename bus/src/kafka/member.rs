//! What a consumer's thread and its caller share: records that are ready, partitions that are ours, and what went wrong.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::{BusError, Delivered, Resume};

/// A partition of a topic.
pub(super) type Place = (Arc<str>, u32);

/// The shared state with its bells.
#[derive(Debug, Default)]
pub(super) struct Member {
    state: Mutex<State>,
    /// Rung when there is something new for the caller. It keeps one permit.
    pub(super) news: Notify,
    /// Rung when the caller took records, or closed.
    room: Condvar,
    /// Held while positions are committed and while partitions are given away, so that a position is never committed
    /// for a partition that is somebody else's by then: the broker itself checks the member, not the partition.
    pub(super) ownership: Mutex<()>,
}

/// What changes.
#[derive(Debug, Default)]
pub(super) struct State {
    ready: VecDeque<Delivered>,
    ready_bytes: usize,
    owned: BTreeMap<Place, Owned>,
    /// The end of what this member was ever given: no commit may lie past it.
    delivered: BTreeMap<Place, u64>,
    /// What stops reading until somebody acts.
    fault: Option<BusError>,
    /// What is to be told once.
    trouble: Option<BusError>,
    closed: bool,
}

/// How far a group has come in a partition that is ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Owned {
    /// Where the group goes on, as far as we know.
    pub(super) committed: u64,
    /// True if the group had a position when we were given the partition, or has committed one since.
    pub(super) kept: bool,
    /// The next offset to come.
    pub(super) next: u64,
}

impl Member {
    /// Locks the state. Nothing in it panics half-way, so a poisoned lock still guards a whole state.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the thread.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.room.notify_all();
    }

    /// Adds a record that came. One that came before what is expected is a partition that is not what it was.
    pub(super) fn push(&self, group: &Arc<str>, one: Delivered) {
        let mut state = self.state();
        let place = (Arc::clone(&one.record.topic), one.partition);
        let Some(owned) = state.owned.get_mut(&place) else {
            // Cannot be: what is read and who owns it is settled on one thread. To read on would stall without a word.
            let (topic, partition) = place;
            let reason = format!("a record of partition {partition} of topic `{topic}` came, which is not ours");
            state.fault.get_or_insert(BusError::Refused { reason });
            drop(state);
            self.news.notify_one();
            return;
        };
        if one.offset < owned.next {
            let (topic, partition) = place;
            let (next, end) = (owned.next, one.offset);
            let replaced = BusError::TopicReplaced { topic, partition, group: Arc::clone(group), next, end };
            state.fault.get_or_insert(replaced);
        } else {
            owned.next = one.offset + 1;
            state.ready_bytes += one.record.size();
            state.ready.push_back(one);
        }
        drop(state);
        self.news.notify_one();
    }

    /// Notes what stops reading.
    pub(super) fn fault(&self, error: BusError) {
        tracing::error!(%error, "reading from kafka stops");
        self.state().fault.get_or_insert(error);
        self.news.notify_one();
    }

    /// Notes what is to be told once.
    pub(super) fn trouble(&self, error: BusError) {
        self.state().trouble = Some(error);
        self.news.notify_one();
    }

    /// Waits until the caller has taken down to `bytes`; false if that was not within `wait`.
    pub(super) fn wait_for_room(&self, bytes: usize, wait: Duration) -> bool {
        let full = |state: &mut State| state.ready_bytes >= bytes && !state.closed;
        let waited = self.room.wait_timeout_while(self.state(), wait, full);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// Waits a while; true if the member was closed by then.
    pub(super) fn wait_for_end(&self, wait: Duration) -> bool {
        let waited = self.room.wait_timeout_while(self.state(), wait, |state| !state.closed);
        waited.unwrap_or_else(PoisonError::into_inner).0.closed
    }

    /// Takes up to `max` records, or tells what is wrong; none of both if there is nothing.
    pub(super) fn take(&self, max: usize) -> Result<Vec<Delivered>, BusError> {
        let mut state = self.state();
        if let Some(fault) = &state.fault {
            return Err(fault.clone());
        }
        let count = max.min(state.ready.len());
        if count == 0 {
            return state.trouble.take().map_or(Ok(Vec::new()), Err);
        }
        let taken: Vec<_> = state.ready.drain(..count).collect();
        for one in &taken {
            state.ready_bytes = state.ready_bytes.saturating_sub(one.record.size());
            let place = (Arc::clone(&one.record.topic), one.partition);
            let end = state.delivered.entry(place).or_default();
            *end = (*end).max(one.offset + 1);
        }
        drop(state);
        self.room.notify_one();
        Ok(taken)
    }
}

impl State {
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    pub(super) fn ready_bytes(&self) -> usize {
        self.ready_bytes
    }

    pub(super) fn owned(&self) -> &BTreeMap<Place, Owned> {
        &self.owned
    }

    /// Notes that a partition is ours from now on.
    pub(super) fn gain(&mut self, place: Place, owned: Owned) {
        self.owned.insert(place, owned);
    }

    /// Notes that a partition is not ours any more: what was read ahead of it is another member's to read.
    pub(super) fn lose(&mut self, place: &Place) {
        self.owned.remove(place);
        self.ready.retain(|one| one.partition != place.1 || one.record.topic != place.0);
        self.ready_bytes = self.ready.iter().map(|one| one.record.size()).sum();
    }

    /// Sorts positions into those to commit and those whose partition is not ours. What is committed already is neither.
    pub(super) fn sort(&self, positions: &[Resume]) -> Result<(Vec<Resume>, Vec<Resume>), BusError> {
        let (mut ours, mut lost) = (Vec::new(), Vec::new());
        for position in positions {
            let place = (Arc::clone(&position.topic), position.partition);
            let Some(owned) = self.owned.get(&place) else {
                lost.push(position.clone());
                continue;
            };
            let end = self.delivered.get(&place).copied().unwrap_or(0).max(owned.committed);
            if position.next > end {
                let (topic, partition) = place;
                return Err(BusError::NotDelivered { topic, partition, next: position.next, end });
            }
            if position.next > owned.committed {
                ours.push(position.clone());
            }
        }
        Ok((ours, lost))
    }

    /// Notes what was committed.
    pub(super) fn committed(&mut self, positions: &[Resume]) {
        for position in positions {
            if let Some(owned) = self.owned.get_mut(&(Arc::clone(&position.topic), position.partition)) {
                owned.committed = owned.committed.max(position.next);
                owned.kept = true;
            }
        }
    }
}

/// Says where to begin in a partition, or why not to.
///
/// `committed` is the group's position, `begin` and `end` what the partition has.
pub(super) fn begin_at(
    group: &Arc<str>,
    place: &Place,
    committed: Option<u64>,
    begin: u64,
    end: u64,
) -> Result<Owned, BusError> {
    let ((topic, partition), group) = (place.clone(), Arc::clone(group));
    match committed {
        None => Ok(Owned { committed: begin, kept: false, next: begin }),
        Some(next) if next > end => Err(BusError::TopicReplaced { topic, partition, group, next, end }),
        Some(from) if from < begin => Err(BusError::OffsetsLost { topic, partition, group, from, to: begin }),
        Some(next) => Ok(Owned { committed: next, kept: true, next }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Record;

    fn one(partition: u32, offset: u64) -> Delivered {
        let record =
            Record { topic: "t".into(), key: "k".into(), headers: Vec::new(), value: "v".into(), timestamp_ms: 0 };
        Delivered { partition, offset, record }
    }

    fn to(partition: u32, next: u64) -> Resume {
        Resume { topic: "t".into(), partition, next }
    }

    fn member() -> Member {
        let member = Member::default();
        for partition in [0, 1] {
            member.state().gain(("t".into(), partition), Owned { committed: 0, kept: false, next: 0 });
        }
        member
    }

    #[test]
    fn a_lost_partition_takes_its_records_along_and_refuses_commits() {
        let (member, group) = (member(), Arc::from("g"));
        for offset in 0..3 {
            member.push(&group, one(0, offset));
            member.push(&group, one(1, offset));
        }
        assert_eq!(member.take(2).unwrap(), [one(0, 0), one(1, 0)]);
        member.state().lose(&("t".into(), 0));
        assert_eq!(member.take(9).unwrap(), [one(1, 1), one(1, 2)]);
        assert_eq!(member.state().ready_bytes(), 0);
        let sorted = member.state().sort(&[to(0, 1), to(1, 3)]).unwrap();
        assert_eq!(sorted, (vec![to(1, 3)], vec![to(0, 1)]));
    }

    #[test]
    fn commits_go_neither_back_nor_past_what_was_delivered() {
        let (member, group) = (member(), Arc::from("g"));
        member.push(&group, one(0, 0));
        member.push(&group, one(0, 1));
        member.take(1).unwrap();
        assert!(matches!(member.state().sort(&[to(0, 2)]), Err(BusError::NotDelivered { next: 2, end: 1, .. })));
        member.state().committed(&[to(0, 1)]);
        assert_eq!(member.state().sort(&[to(0, 1), to(0, 0)]).unwrap(), (vec![], vec![]));
    }

    #[test]
    fn an_offset_that_goes_back_is_another_topic() {
        let (member, group) = (member(), Arc::from("g"));
        member.push(&group, one(0, 7));
        member.push(&group, one(0, 3));
        for _ in 0..2 {
            let error = member.take(9).unwrap_err();
            assert!(matches!(error, BusError::TopicReplaced { next: 8, end: 3, .. }), "{error:?}");
        }
    }

    #[test]
    fn trouble_is_told_once_and_after_what_was_read() {
        let (member, group) = (member(), Arc::from("g"));
        member.push(&group, one(0, 0));
        member.trouble(BusError::Unavailable { reason: "down".to_owned() });
        assert_eq!(member.take(9).unwrap().len(), 1);
        member.take(9).unwrap_err();
        assert_eq!(member.take(9), Ok(vec![]));
    }

    #[test]
    fn where_to_begin() {
        let (group, place) = (Arc::from("g"), ("t".into(), 0));
        let begin = |committed, begin, end| begin_at(&group, &place, committed, begin, end);
        assert_eq!(begin(None, 3, 9), Ok(Owned { committed: 3, kept: false, next: 3 }));
        for at in [3, 5, 9] {
            assert_eq!(begin(Some(at), 3, 9), Ok(Owned { committed: at, kept: true, next: at }));
        }
        assert!(matches!(begin(Some(2), 3, 9), Err(BusError::OffsetsLost { from: 2, to: 3, .. })));
        assert!(matches!(begin(Some(10), 3, 9), Err(BusError::TopicReplaced { next: 10, end: 9, .. })));
    }
}
