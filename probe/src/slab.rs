//! A table with stable, generational ids: an id of a removed entry never names its successor.

/// The id of an entry in a [`Slab`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlabId {
    slot: u32,
    generation: u32,
}

/// Entries in slots that are used again.
#[derive(Debug)]
pub struct Slab<T> {
    slots: Vec<(u32, Option<T>)>,
    free: Vec<u32>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { slots: Vec::new(), free: Vec::new() }
    }
}

impl<T> Slab<T> {
    /// Returns the number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Says whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Puts an entry in and returns its id.
    pub fn insert(&mut self, value: T) -> SlabId {
        if let Some(slot) = self.free.pop() {
            let place = &mut self.slots[slot as usize];
            place.1 = Some(value);
            return SlabId { slot, generation: place.0 };
        }
        let slot = u32::try_from(self.slots.len()).expect("tables are bounded far below 2^32 entries");
        self.slots.push((0, Some(value)));
        SlabId { slot, generation: 0 }
    }

    /// Returns an entry, unless it was removed.
    #[must_use]
    pub fn get(&self, id: SlabId) -> Option<&T> {
        let (generation, value) = self.slots.get(id.slot as usize)?;
        if *generation == id.generation { value.as_ref() } else { None }
    }

    /// Returns an entry to change, unless it was removed.
    pub fn get_mut(&mut self, id: SlabId) -> Option<&mut T> {
        let (generation, value) = self.slots.get_mut(id.slot as usize)?;
        if *generation == id.generation { value.as_mut() } else { None }
    }

    /// Takes an entry out.
    pub fn remove(&mut self, id: SlabId) -> Option<T> {
        let (generation, value) = self.slots.get_mut(id.slot as usize)?;
        if *generation != id.generation {
            return None;
        }
        let value = value.take()?;
        *generation = generation.wrapping_add(1);
        self.free.push(id.slot);
        Some(value)
    }

    /// Walks over all entries.
    pub fn iter(&self) -> impl Iterator<Item = (SlabId, &T)> {
        self.slots.iter().zip(0u32..).filter_map(|((generation, value), slot)| {
            value.as_ref().map(|value| (SlabId { slot, generation: *generation }, value))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_id_never_names_the_successor() {
        let mut slab = Slab::default();
        let a = slab.insert("a");
        assert_eq!(slab.remove(a), Some("a"));
        let b = slab.insert("b");
        assert_eq!((slab.get(a), slab.get(b)), (None, Some(&"b")));
        assert_eq!(slab.remove(a), None);
        assert_eq!(slab.len(), 1);
    }
}
