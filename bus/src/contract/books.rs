//! Books over what was delivered to whom, for the checks with many producers and consumers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

use super::work::number;
use crate::Delivered;

/// What came, by key.
#[derive(Debug, Default)]
pub(super) struct Books(Mutex<BTreeMap<Bytes, BTreeSet<u64>>>);

impl Books {
    /// Notes what one consumer was given in one poll, and checks the order within each key.
    pub(super) fn enter(&self, polled: &[Delivered]) {
        let mut last: BTreeMap<(u32, &Bytes), u64> = BTreeMap::new();
        let mut books = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for delivered in polled {
            let (key, number) = (&delivered.record.key, number(delivered));
            let before = last.insert((delivered.partition, key), number);
            assert!(before.is_none_or(|before| before < number), "key {key:?}: {number} came after {before:?}");
            books.entry(key.clone()).or_default().insert(number);
        }
    }

    /// Returns how many different records came.
    pub(super) fn distinct(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().map(BTreeSet::len).sum()
    }
}
