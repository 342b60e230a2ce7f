//! A generational slab: dense storage whose stale ids miss instead of naming a newcomer.
//!
//! Every id handed to a host (`ConnId`, `LegId`, ...) comes from here. Removing an entry bumps its
//! slot's generation, so a late input for a reused slot finds nothing. Iteration is in slot order
//! and therefore deterministic.

use std::marker::PhantomData;

/// Position and generation of one entry. Wrapped by the typed ids of [`crate::ids`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Key {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

/// A typed id that is a slab key.
pub trait SlabId: Copy {
    /// Wraps a key.
    fn from_key(key: Key) -> Self;
    /// The wrapped key.
    fn key(self) -> Key;
}

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    value: Option<T>,
}

/// Values of type `T` under ids of type `I`.
#[derive(Debug)]
pub struct Slab<I, T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
    len: usize,
    id: PhantomData<I>,
}

impl<I, T> Default for Slab<I, T> {
    fn default() -> Self {
        Self { slots: Vec::new(), free: Vec::new(), len: 0, id: PhantomData }
    }
}

impl<I: SlabId, T> Slab<I, T> {
    /// Stores `value` and returns its id.
    pub fn insert(&mut self, value: T) -> I {
        let index = self.free.pop().unwrap_or_else(|| {
            if self.slots.len() == self.slots.capacity() {
                // A quarter and not twice as much: slabs are the largest tables that there are.
                self.slots.reserve_exact(self.slots.len() / 4 + 4);
            }
            self.slots.push(Slot { generation: 0, value: None });
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        });
        let slot = &mut self.slots[index as usize];
        slot.value = Some(value);
        self.len += 1;
        I::from_key(Key { index, generation: slot.generation })
    }

    /// Removes and returns the entry, if `id` still names one.
    pub fn remove(&mut self, id: I) -> Option<T> {
        let Key { index, generation } = id.key();
        let slot = self.slots.get_mut(index as usize)?;
        if slot.generation != generation {
            return None;
        }
        let value = slot.value.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(index);
        self.len -= 1;
        Some(value)
    }

    /// The entry, if `id` still names one.
    pub fn get(&self, id: I) -> Option<&T> {
        let Key { index, generation } = id.key();
        let slot = self.slots.get(index as usize)?;
        if slot.generation == generation { slot.value.as_ref() } else { None }
    }

    /// The entry, mutably, if `id` still names one.
    pub fn get_mut(&mut self, id: I) -> Option<&mut T> {
        let Key { index, generation } = id.key();
        let slot = self.slots.get_mut(index as usize)?;
        if slot.generation == generation { slot.value.as_mut() } else { None }
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Ids and entries in slot order.
    pub fn iter(&self) -> impl Iterator<Item = (I, &T)> {
        self.iter_after(None)
    }

    /// As [`Self::iter`], of the slots behind that of `after`, which may be gone: for whoever looks at
    /// a few entries at a time.
    pub fn iter_after(&self, after: Option<I>) -> impl Iterator<Item = (I, &T)> {
        let start = after.map_or(0, |id| id.key().index as usize + 1).min(self.slots.len());
        self.slots[start..].iter().zip(u32::try_from(start).unwrap_or(u32::MAX)..).filter_map(
            |(slot, index)| {
                let key = Key { index, generation: slot.generation };
                slot.value.as_ref().map(|value| (I::from_key(key), value))
            },
        )
    }

    /// Ids in slot order.
    pub fn ids(&self) -> impl Iterator<Item = I> {
        self.iter().map(|(id, _)| id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::ConnId;

    #[test]
    fn a_stale_id_misses_the_entry_that_reuses_its_slot() {
        let mut slab: Slab<ConnId, &str> = Slab::default();
        let first = slab.insert("first");
        assert_eq!(slab.remove(first), Some("first"));
        let second = slab.insert("second");
        assert_eq!(first.key().index, second.key().index, "the slot is reused");
        assert_eq!(slab.get(first), None);
        assert_eq!(slab.remove(first), None);
        assert_eq!(slab.get(second), Some(&"second"));
        assert_eq!(slab.len(), 1);
    }

    #[test]
    fn iteration_follows_slot_order() {
        let mut slab: Slab<ConnId, u8> = Slab::default();
        let ids: Vec<_> = (0..4).map(|n| slab.insert(n)).collect();
        slab.remove(ids[1]);
        assert_eq!(slab.iter().map(|(_, n)| *n).collect::<Vec<_>>(), [0, 2, 3]);
        let after = |id| slab.iter_after(Some(id)).map(|(_, n)| *n).collect::<Vec<_>>();
        assert_eq!(after(ids[0]), [2, 3]);
        assert_eq!(after(ids[1]), [2, 3], "one that is gone still marks a place");
        assert_eq!(after(ids[3]), [0; 0]);
    }
}
