//! Attempts → records: what happened to one flow key in one wall-clock window.
//!
//! Comes in: attempts that enter and leave a key, and what they bring. Goes out: raw records, not yet numbered.
//!
//! - A new key's first record is due [`FIRST_RECORD_MS`] after its first attempt, the next at the end of the window.
//! - A key that only has open, silent attempts gives one record a minute.
//! - Nothing is written before [`Windows::take_due`] asks for it: while the way out is blocked, keys go on adding up.
//! - An attempt entered with `counts` is in `flows_started` of exactly one record.

mod accumulator;
mod key;
#[cfg(test)]
mod tests;

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};

use flow::{Direction, Protocol, RawFlow, Stream, UnixMs};

use self::accumulator::Accumulator;
pub use self::accumulator::{Delta, GivenSample, Sample};
pub use self::key::FlowKey;
use crate::kernel::event::Owner;
use crate::overload::{Claim, Detail, Ladder};
use crate::slab::{Slab, SlabId};

/// Length of a window: the flush interval that Calico's flow logs have by default.
pub const WINDOW_MS: u64 = 15_000;
/// When a new key's first record is due. With the ticks of the pipeline it leaves within a second.
const FIRST_RECORD_MS: u64 = 800;
/// How often a key whose attempts are all silent is heard of.
const IDLE_MS: u64 = 60_000;

/// The place of an attempt in a key.
pub type KeyId = SlabId;

/// The table was full for a key of that claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyTableFull;

/// All flow keys that have something open or unwritten.
#[derive(Debug)]
pub struct Windows {
    stream: Stream,
    ladder: Ladder,
    by_key: HashMap<FlowKey, KeyId>,
    keys: Slab<Accumulator>,
    due: BTreeSet<(UnixMs, KeyId)>,
    shed: [u64; 4],
}

impl Windows {
    /// Makes an empty table for the records of a stream.
    #[must_use]
    pub fn new(stream: Stream, max_keys: usize) -> Self {
        Self {
            stream,
            ladder: Ladder::new(max_keys),
            by_key: HashMap::new(),
            keys: Slab::default(),
            due: BTreeSet::new(),
            shed: [0; 4],
        }
    }

    /// Lets an attempt that began at `start` enter a key. With `counts` it is one of the key's attempts started.
    ///
    /// # Errors
    /// Returns [`KeyTableFull`] if there is neither such a key nor room for one.
    pub fn enter(&mut self, key: &FlowKey, start: UnixMs, now: UnixMs, counts: bool) -> Result<KeyId, KeyTableFull> {
        let id = self.find_or_make(key, now)?;
        if let Some(accumulator) = self.keys.get_mut(id) {
            accumulator.enter(start, counts);
            self.wake(id, now);
        }
        Ok(id)
    }

    fn find_or_make(&mut self, key: &FlowKey, now: UnixMs) -> Result<KeyId, KeyTableFull> {
        if let Some(id) = self.by_key.get(key) {
            return Ok(*id);
        }
        let full = !self.ladder.admits(self.keys.len(), Claim::of(key.outcome, key.drop_reason.as_deref()));
        let detail = self.ladder.detail(self.keys.len());
        let key = if detail == Detail::Full { key.clone() } else { key.clone().shed(detail) };
        match self.by_key.entry(key) {
            Entry::Occupied(entry) => Ok(*entry.get()),
            Entry::Vacant(_) if full => Err(KeyTableFull),
            Entry::Vacant(entry) => {
                self.shed[detail as usize] += 1;
                let due = UnixMs(now.0 + FIRST_RECORD_MS).min(window_end(now));
                let id = self.keys.insert(Accumulator::new(entry.key().clone(), detail, now, due));
                entry.insert(id);
                self.due.insert((due, id));
                Ok(id)
            }
        }
    }

    /// Adds what an attempt brought since it last did.
    pub fn add(&mut self, id: KeyId, delta: &Delta, now: UnixMs) {
        if delta.is_zero() {
            return;
        }
        if let Some(accumulator) = self.keys.get_mut(id) {
            accumulator.add(delta);
            self.wake(id, now);
        }
    }

    /// Adds a look at a connection's round-trip times and sizes. Returns what to hand in with the next one.
    pub fn sample(&mut self, id: KeyId, sample: Sample, before: Option<GivenSample>) -> Option<GivenSample> {
        self.keys.get_mut(id).map(|accumulator| accumulator.sample(id, sample, before))
    }

    /// Adds the source port, the owner and the first ICMP message of an attempt.
    pub fn describe(&mut self, id: KeyId, port: u16, owner: Option<&Owner>, icmp: Option<(u8, u8)>) {
        if let Some(accumulator) = self.keys.get_mut(id) {
            accumulator.describe(port, owner, icmp);
        }
    }

    /// Lets an attempt leave without an end: it goes on under another key.
    pub fn leave(&mut self, id: KeyId, start: UnixMs) {
        if let Some(accumulator) = self.keys.get_mut(id) {
            accumulator.leave(start);
        }
    }

    /// Lets an attempt end.
    pub fn complete(&mut self, id: KeyId, start: UnixMs, aborted: bool, now: UnixMs) {
        if let Some(accumulator) = self.keys.get_mut(id) {
            accumulator.leave(start);
            accumulator.complete(aborted);
            self.wake(id, now);
        }
    }

    /// Brings forward the next record of a key that was silent.
    fn wake(&mut self, id: KeyId, now: UnixMs) {
        let Some(accumulator) = self.keys.get_mut(id) else { return };
        let end = window_end(now);
        if accumulator.due > end {
            self.due.remove(&(accumulator.due, id));
            accumulator.due = end;
            self.due.insert((end, id));
        }
    }

    /// Moves up to `limit` records that are due at `now` into `records`, oldest first. Returns true if more are due.
    pub fn take_due(&mut self, now: UnixMs, limit: usize, records: &mut Vec<RawFlow>) -> bool {
        let mut left = limit;
        while let Some((due, id)) = self.due.first().copied()
            && due <= now
        {
            if left == 0 {
                return true;
            }
            self.due.pop_first();
            left -= usize::from(self.write(id, due, now, records));
        }
        false
    }

    /// Moves every record with something in it into `records`, due or not: the last flush.
    pub fn take_all(&mut self, now: UnixMs, records: &mut Vec<RawFlow>) {
        for id in std::mem::take(&mut self.due).into_iter().map(|(_, id)| id) {
            if let Some(accumulator) = self.keys.get_mut(id)
                && accumulator.changed()
            {
                records.push(accumulator.write(&self.stream, now));
            }
            self.forget(id);
        }
    }

    /// Writes the record of a key if it has something to say, and plans the next. Returns true if it wrote.
    fn write(&mut self, id: KeyId, due: UnixMs, now: UnixMs, records: &mut Vec<RawFlow>) -> bool {
        let pressed = self.detail() >= Detail::WithoutContainers;
        let Some(accumulator) = self.keys.get_mut(id) else { return false };
        let changed = accumulator.changed();
        let silent_ms = now.0.saturating_sub(accumulator.since.0);
        let speaks = changed || (accumulator.open_count() > 0 && silent_ms >= IDLE_MS);
        if speaks {
            // A window's record ends with the window even if it is written a little later, and a late one when it is
            // written: it covers more.
            let end = if now.0 - due.0 < WINDOW_MS { due } else { now };
            records.push(accumulator.write(&self.stream, end));
        }
        let open = accumulator.open_count() > 0;
        // Under pressure a key that has told all makes room at once; else it stays until a whole window was silent, so
        // that steady traffic gives one record a window.
        let stays = open || (speaks && !pressed);
        if !stays {
            self.forget(id);
            return speaks;
        }
        let next = if !changed && open { UnixMs(accumulator.since.0 + IDLE_MS) } else { window_end(now) };
        let next = next.max(UnixMs(now.0 + 1));
        accumulator.due = next;
        self.due.insert((next, id));
        speaks
    }

    fn forget(&mut self, id: KeyId) {
        if let Some(accumulator) = self.keys.remove(id) {
            self.by_key.remove(&accumulator.key);
        }
    }

    /// Counts the attempts started that no record counts yet, by protocol class and direction.
    #[must_use]
    pub fn unwritten(&self) -> HashMap<(Protocol, Direction), u64> {
        let mut sums = HashMap::new();
        for (_, accumulator) in self.keys.iter().filter(|(_, a)| a.unwritten() > 0) {
            let account = (accumulator.key.protocol.class(), accumulator.key.direction());
            *sums.entry(account).or_default() += accumulator.unwritten();
        }
        sums
    }

    /// Returns how many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Says whether there are no keys.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Returns the detail that the next new key would get.
    #[must_use]
    pub fn detail(&self) -> Detail {
        self.ladder.detail(self.keys.len())
    }

    /// Returns how many keys were made at each level of detail.
    #[must_use]
    pub fn made(&self) -> [u64; 4] {
        self.shed
    }

    /// Returns when the next record is due.
    #[must_use]
    pub fn next_due(&self) -> Option<UnixMs> {
        self.due.first().map(|(due, _)| *due)
    }
}

/// Returns the end of the window that a time lies in: the next multiple of the window's length.
#[must_use]
pub fn window_end(at: UnixMs) -> UnixMs {
    UnixMs((at.0 / WINDOW_MS + 1) * WINDOW_MS)
}
