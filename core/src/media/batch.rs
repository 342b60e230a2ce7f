//! The caller's list of datagrams that are ready to be sent.
//!
//! All bytes lie in one contiguous arena, all entries in one list; both are allocated once. A
//! copy is sealed in place: space is reserved, written, and only then committed. What is *not*
//! here: sending, and any order by receiver (the host's).
//!
//! Between calls the entries cover the used part of the arena without gaps, in order.

use std::net::SocketAddr;

use crate::ids::LegId;

/// Largest datagram that the relay takes in or gives out, in bytes.
pub const DATAGRAM_BYTES: usize = 1_500;

const ARENA_BYTES: usize = 256 * 1_024;
pub(super) const ENTRIES: usize = 2_048;

/// Sealed datagrams, ready for the socket.
#[derive(Debug)]
pub struct TransmitBatch {
    arena: Box<[u8]>,
    used: usize,
    entries: Vec<Entry>,
    entries_max: usize,
    /// At how many entries it is full, for now.
    room: usize,
}

/// One datagram of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmit<'a> {
    /// Where it goes. IPv4 receivers have IPv4 addresses here, even when the socket is IPv6.
    pub address: SocketAddr,
    /// The leg that it is for.
    pub leg: LegId,
    /// The UDP payload.
    pub bytes: &'a [u8],
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    offset: u32,
    length: u32,
    leg: LegId,
    address: SocketAddr,
}

impl Default for TransmitBatch {
    fn default() -> Self {
        Self::new()
    }
}

impl TransmitBatch {
    /// An empty batch of the usual size: 256 KiB and 2,048 datagrams.
    #[must_use]
    pub fn new() -> Self {
        Self::with_capacity(ARENA_BYTES, ENTRIES)
    }

    /// An empty batch of another size. It holds at least one datagram of any length, because a
    /// fan-out could otherwise never be filled, and at most 4 GiB.
    #[must_use]
    pub fn with_capacity(bytes: usize, datagrams: usize) -> Self {
        let bytes = bytes.clamp(DATAGRAM_BYTES, u32::MAX as usize);
        let entries_max = datagrams.max(1);
        Self {
            arena: vec![0; bytes].into_boxed_slice(),
            used: 0,
            entries: Vec::with_capacity(entries_max),
            entries_max,
            room: entries_max,
        }
    }

    /// The datagrams in the order in which they were filled.
    #[must_use]
    pub fn entries(&self) -> impl ExactSizeIterator<Item = Transmit<'_>> {
        self.entries.iter().map(|entry| self.transmit(entry))
    }

    /// The datagram at this position. Hosts use it to send in an order of their own.
    #[must_use]
    pub fn get(&self, position: usize) -> Option<Transmit<'_>> {
        self.entries.get(position).map(|entry| self.transmit(entry))
    }

    /// The datagram at a position that is known to have one.
    #[inline]
    pub(super) fn at(&self, position: u32) -> Transmit<'_> {
        self.transmit(&self.entries[position as usize])
    }

    /// How many datagrams there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no datagram.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many bytes the datagrams have together.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.used
    }

    /// Forgets all datagrams and keeps the memory.
    pub fn clear(&mut self) {
        self.used = 0;
        self.entries.clear();
    }

    /// At how many datagrams it is full.
    pub(super) const fn room(&self) -> usize {
        self.room
    }

    /// Lets it be full at so many datagrams, of those that it was made for.
    pub(super) fn set_room(&mut self, datagrams: usize) {
        self.room = datagrams.clamp(1, self.entries_max);
    }

    /// Space for one datagram of up to `length` bytes, or `None` when the batch is full. Nothing
    /// is taken until [`Self::commit`].
    pub(crate) fn reserve(&mut self, length: usize) -> Option<&mut [u8]> {
        if self.entries.len() >= self.room {
            return None;
        }
        self.arena.get_mut(self.used..self.used.checked_add(length)?)
    }

    /// Makes the first `length` bytes of the space reserved last into a datagram.
    pub(crate) fn commit(&mut self, length: usize, leg: LegId, address: SocketAddr) {
        debug_assert!(self.used + length <= self.arena.len(), "only reserved space is committed");
        debug_assert!(self.entries.len() < self.entries_max, "only reserved space is committed");
        // The arena is at most u32::MAX bytes long.
        let (offset, stored) = (self.used as u32, length as u32);
        self.entries.push(Entry { offset, length: stored, leg, address });
        self.used += length;
    }

    /// Appends a finished datagram; `false` when the batch is full.
    pub(crate) fn push(&mut self, bytes: &[u8], leg: LegId, address: SocketAddr) -> bool {
        let Some(space) = self.reserve(bytes.len()) else { return false };
        space.copy_from_slice(bytes);
        self.commit(bytes.len(), leg, address);
        true
    }

    fn transmit(&self, entry: &Entry) -> Transmit<'_> {
        let start = entry.offset as usize;
        Transmit {
            address: entry.address,
            leg: entry.leg,
            bytes: &self.arena[start..start + entry.length as usize],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slab::Slab;

    fn somewhere() -> (LegId, SocketAddr) {
        (Slab::default().insert(()), SocketAddr::from(([192, 0, 2, 1], 4_000)))
    }

    #[test]
    fn entries_come_back_in_order_and_clear_keeps_the_memory() {
        let (leg, address) = somewhere();
        let mut batch = TransmitBatch::new();
        assert!(batch.push(b"one", leg, address));
        batch.reserve(100).expect("there is room")[..2].copy_from_slice(b"22");
        batch.commit(2, leg, address);
        let bytes: Vec<_> = batch.entries().map(|transmit| transmit.bytes).collect();
        assert_eq!(bytes, [b"one".as_slice(), b"22"]);
        assert_eq!((batch.len(), batch.bytes()), (2, 5));
        assert_eq!(batch.get(1).map(|transmit| transmit.bytes), Some(b"22".as_slice()));
        batch.clear();
        assert!(batch.is_empty());
        assert_eq!(batch.get(0), None);
    }

    #[test]
    fn a_batch_is_full_by_count_or_by_bytes() {
        let (leg, address) = somewhere();
        let mut few = TransmitBatch::with_capacity(10_000, 2);
        assert!(few.push(b"a", leg, address) && few.push(b"b", leg, address));
        assert!(!few.push(b"c", leg, address), "two datagrams were allowed");
        let mut small = TransmitBatch::with_capacity(0, 10);
        assert!(small.push(&[0; DATAGRAM_BYTES], leg, address), "one datagram always fits");
        assert!(!small.push(&[0], leg, address), "no byte is left");
    }
}
