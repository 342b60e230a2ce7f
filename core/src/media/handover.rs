//! A packet on its way from the speaker's relay to another one that has legs of the same room.
//!
//! Decided here: how many of them may wait for a relay. Not here: who may speak (the speaker's relay,
//! `intake.rs`), who hears (`fanout.rs`), which relays there are (the control plane, through commands).
//!
//! Between calls of a list the entries that were not taken yet cover its memory from the position on,
//! without gaps, in order.

use crate::ids::RoomId;
use crate::media::fanout::HEAD_BYTES;
use crate::time::Timestamp;

/// What waits for one relay, at most: bytes, and packets. At 20 speakers with packets of usual length
/// that is more than a second, ten times the latency budget.
const ARENA_BYTES: usize = 256 * 1_024;
const ENTRIES: usize = 1_024;

/// A packet that its speaker's relay has opened and accepted.
#[derive(Clone, Copy, Debug)]
pub struct Handover<'a> {
    pub(crate) room: RoomId,
    /// When its datagram arrived.
    pub(crate) arrival: Timestamp,
    /// When it was handed over.
    pub(crate) handed: Timestamp,
    /// The head that all copies have.
    pub(crate) head: [u8; HEAD_BYTES],
    pub(crate) payload: &'a [u8],
}

impl Handover<'_> {
    /// When its datagram arrived at the speaker's relay: its copies are as old as that.
    #[must_use]
    pub const fn arrival(&self) -> Timestamp {
        self.arrival
    }
}

/// Packets that wait for one relay, in order. All memory is allocated at once.
///
/// It is plain data: hosts whose relays have threads of their own keep one behind a lock for each
/// relay, fill it from the other threads, and take everything by swapping it with an empty one.
///
/// ```
/// use lvsp_core::media::{Filled, Handovers, Relay, TransmitBatch};
/// use lvsp_core::time::Timestamp;
///
/// /// What other relays said, to the legs of their rooms at this one.
/// fn take(relay: &mut Relay, waiting: &mut Handovers, batch: &mut TransmitBatch, now: Timestamp) {
///     while let Some(handover) = waiting.take() {
///         let mut fanout = relay.handle_handover(now, &handover);
///         while let Filled::BatchFull = fanout.fill(batch) {
///             // Send everything.
///             batch.clear();
///         }
///     }
/// }
/// ```
#[derive(Debug)]
pub struct Handovers {
    arena: Vec<u8>,
    entries: Vec<Entry>,
    /// Position of the entry that is taken next, and of its bytes.
    next: usize,
    start: usize,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    room: RoomId,
    arrival: Timestamp,
    handed: Timestamp,
    head: [u8; HEAD_BYTES],
    /// Where its payload ends in the arena; it begins where the one before ends.
    end: usize,
}

impl Default for Handovers {
    fn default() -> Self {
        Self::new()
    }
}

impl Handovers {
    /// Memory of one list, in bytes.
    pub const BYTES: usize = ARENA_BYTES + ENTRIES * size_of::<Entry>();

    /// An empty list.
    #[must_use]
    pub fn new() -> Self {
        Self {
            arena: Vec::with_capacity(ARENA_BYTES),
            entries: Vec::with_capacity(ENTRIES),
            next: 0,
            start: 0,
        }
    }

    /// A list without memory, which takes nothing: of a relay that is the only one.
    #[must_use]
    pub const fn closed() -> Self {
        Self { arena: Vec::new(), entries: Vec::new(), next: 0, start: 0 }
    }

    /// Appends a packet; `false` when there is no room for it. There is none either for what was taken,
    /// before everything was.
    pub fn push(&mut self, handover: &Handover<'_>) -> bool {
        let Handover { room, arrival, handed, head, payload } = *handover;
        if self.is_empty() {
            self.clear();
        }
        let end = self.arena.len() + payload.len();
        if end > self.arena.capacity() || self.entries.len() == self.entries.capacity() {
            return false;
        }
        self.arena.extend_from_slice(payload);
        self.entries.push(Entry { room, arrival, handed, head, end });
        true
    }

    /// The packet that waits for the longest.
    pub fn take(&mut self) -> Option<Handover<'_>> {
        let Entry { room, arrival, handed, head, end } = *self.entries.get(self.next)?;
        let payload = &self.arena[self.start..end];
        self.next += 1;
        self.start = end;
        Some(Handover { room, arrival, handed, head, payload })
    }

    /// How many packets wait.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.entries.len() - self.next
    }

    /// Whether no packet waits.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets everything and keeps the memory.
    pub fn clear(&mut self) {
        self.arena.clear();
        self.entries.clear();
        self.next = 0;
        self.start = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slab::Slab;

    fn packet(number: u8, payload: &[u8]) -> Handover<'_> {
        let room = Slab::<RoomId, ()>::default().insert(());
        let at = Timestamp::from_millis(number.into());
        Handover { room, arrival: at, handed: at, head: [number; HEAD_BYTES], payload }
    }

    #[test]
    fn packets_are_taken_in_order_and_as_they_were_put_in() {
        let mut list = Handovers::new();
        for number in 0..100_u8 {
            assert!(list.push(&packet(number, &vec![number; number.into()])));
        }
        assert_eq!(list.len(), 100);
        for number in 0..100_u8 {
            let taken = list.take().expect("it waits");
            assert_eq!(taken.arrival(), Timestamp::from_millis(number.into()));
            assert_eq!(taken.head, [number; HEAD_BYTES]);
            assert_eq!(taken.payload, vec![number; number.into()]);
        }
        assert!(list.take().is_none());
        assert!(list.is_empty());
    }

    #[test]
    fn a_full_list_refuses_and_goes_on_when_it_is_empty() {
        for (bytes, expected) in [(1_340, ARENA_BYTES / 1_340), (10, ENTRIES)] {
            let mut list = Handovers::new();
            let memory = (list.arena.capacity(), list.entries.capacity());
            let payload = vec![7; bytes];
            for _ in 0..3 {
                let taken = (0..).take_while(|_| list.push(&packet(1, &payload))).count();
                assert_eq!(taken, expected, "packets of {bytes} bytes");
                assert!(list.take().is_some());
                assert!(!list.push(&packet(1, &payload)), "not before everything was taken");
                while list.take().is_some() {}
            }
            assert_eq!((list.arena.capacity(), list.entries.capacity()), memory, "never more");
        }
    }
}
