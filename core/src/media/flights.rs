//! Which datagrams of a batch leave together.
//!
//! Decided here: the order in which datagrams leave and which of them share one send. An operating
//! system that segments datagrams itself (`UDP_SEGMENT` on Linux) sends several to one address for
//! little more than the price of one, if all of them have one length but the last, which may be
//! shorter. Not here: how old they are (`outbox.rs`) and the sending (the host's).
//!
//! Between calls every position of the plan names a datagram of the batch that it was made for, at
//! most once; datagrams of one speaker to one receiver stay in their order.

use std::io;
use std::net::SocketAddr;

use crate::ids::LegId;
use crate::media::batch::TransmitBatch;
use crate::media::outbox::Sent;
use crate::slab::SlabId;

/// The most datagrams that share a send. Linux takes 64; more than a few gain little.
const TOGETHER: usize = 16;
/// The longest datagram that shares a send, in bytes: what every IPv6 path carries, because what
/// is segmented cannot be fragmented as well.
const SEGMENT_BYTES: usize = 1_200;
/// The most flights that are sent one by one before their ages are looked at again.
const AT_ONCE: usize = 64;
/// Where the SSRC of an RTP packet stands; it is clear in every mode.
const SSRC: std::ops::Range<usize> = 8..12;
const NONE: u32 = u32::MAX;

/// Datagrams to one address, all of one length but the last, which may be shorter: what
/// `UDP_SEGMENT` sends at once. Most flights have one.
#[derive(Clone, Copy, Debug)]
pub struct Flight<'a> {
    batch: &'a TransmitBatch,
    /// Never empty.
    positions: &'a [u32],
}

/// The flights that are still to be sent, in their order.
#[derive(Clone, Debug)]
pub struct Flights<'a> {
    batch: &'a TransmitBatch,
    order: &'a [u32],
    ends: std::slice::Iter<'a, u32>,
    start: u32,
}

/// Which datagrams share a flight, and in which order flights leave.
#[derive(Debug)]
pub(super) struct FlightPlan {
    together: usize,
    /// Positions in the batch, flight by flight.
    order: Vec<u32>,
    /// Where in the order each flight ends.
    ends: Vec<u32>,
    /// The last datagram for each leg, by the index of the leg.
    tails: Vec<Tail>,
    /// The next datagram for the same leg, for each datagram.
    nexts: Vec<u32>,
    /// The first datagram of each leg.
    heads: Vec<u32>,
    /// Which plan this is, so that tails need not be cleared.
    round: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct Tail {
    round: u32,
    position: u32,
}

impl<'a> Flight<'a> {
    /// Where it goes.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.batch.at(self.positions[0]).address
    }

    /// The leg that it is for.
    #[must_use]
    pub fn leg(&self) -> LegId {
        self.batch.at(self.positions[0]).leg
    }

    /// The length of each of its datagrams but the last, in bytes.
    #[must_use]
    pub fn segment_bytes(&self) -> usize {
        self.batch.at(self.positions[0]).bytes.len()
    }

    /// How many datagrams it has: at least one.
    #[expect(clippy::len_without_is_empty, reason = "a flight is never empty")]
    #[must_use]
    pub const fn len(&self) -> usize {
        self.positions.len()
    }

    /// Its datagrams, in their order.
    #[must_use]
    pub fn datagrams(&self) -> impl ExactSizeIterator<Item = &'a [u8]> + use<'a> {
        let batch = self.batch;
        self.positions.iter().map(move |position| batch.at(*position).bytes)
    }
}

impl Flights<'_> {
    /// Sends them one after the other, for hosts that cannot give many to the system at once. `send`
    /// sends one flight, all or nothing of it if it has one datagram. After 64 it is enough, because
    /// meanwhile those behind may have become too old.
    pub fn send_each(self, mut send: impl FnMut(&Flight<'_>) -> io::Result<()>) -> Sent {
        let mut sent = 0;
        for flight in self.take(AT_ONCE) {
            match send(&flight) {
                Ok(()) => sent += 1,
                Err(_) if sent > 0 => break,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Sent::Full,
                Err(_) => return Sent::Failed,
            }
        }
        Sent::Some(sent)
    }
}

impl<'a> Iterator for Flights<'a> {
    type Item = Flight<'a>;

    #[inline]
    fn next(&mut self) -> Option<Flight<'a>> {
        let end = *self.ends.next()?;
        let positions = &self.order[self.start as usize..end as usize];
        self.start = end;
        Some(Flight { batch: self.batch, positions })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.ends.size_hint()
    }
}

impl ExactSizeIterator for Flights<'_> {}

impl FlightPlan {
    pub(super) const fn new() -> Self {
        Self {
            together: TOGETHER,
            order: Vec::new(),
            ends: Vec::new(),
            tails: Vec::new(),
            nexts: Vec::new(),
            heads: Vec::new(),
            round: 0,
        }
    }

    /// From now on every datagram leaves alone.
    pub(super) const fn stop_joining(&mut self) {
        self.together = 1;
    }

    /// Plans for those datagrams of a batch that are to be kept. `may_repeat` says whether a leg
    /// may have more than one of them.
    pub(super) fn make(
        &mut self,
        batch: &TransmitBatch,
        may_repeat: bool,
        keep: impl Fn(usize) -> bool,
    ) {
        self.order.clear();
        self.ends.clear();
        // A batch has at most u32::MAX bytes.
        let kept = (0..batch.len()).filter(|position| keep(*position)).map(|at| at as u32);
        if self.together == 1 || !may_repeat {
            self.order.extend(kept);
            self.ends.extend(1..=self.order.len() as u32);
            return;
        }
        self.chain(batch, kept);
        for at in 0..self.heads.len() {
            self.join(batch, self.heads[at]);
        }
    }

    /// Links the datagrams of each leg.
    fn chain(&mut self, batch: &TransmitBatch, kept: impl Iterator<Item = u32>) {
        self.heads.clear();
        self.nexts.clear();
        self.nexts.resize(batch.len(), NONE);
        self.round = self.round.wrapping_add(1);
        if self.round == 0 {
            self.tails.clear();
            self.round = 1;
        }
        for position in kept {
            let leg = batch.at(position).leg.key().index as usize;
            if leg >= self.tails.len() {
                self.tails.resize(leg + 1, Tail::default());
            }
            let before =
                std::mem::replace(&mut self.tails[leg], Tail { round: self.round, position });
            if before.round == self.round {
                self.nexts[before.position as usize] = position;
            } else {
                self.heads.push(position);
            }
        }
    }

    /// Makes flights of the datagrams of one leg.
    fn join(&mut self, batch: &TransmitBatch, head: u32) {
        let mut next = head;
        while next != NONE {
            let first = next;
            next = self.nexts[first as usize];
            if next != NONE && goes_before(batch, next, first) {
                self.order.extend([next, first]);
                next = self.nexts[next as usize];
            } else {
                self.order.push(first);
                next = self.follow(batch, first, next);
            }
            self.ends.push(self.order.len() as u32);
        }
    }

    /// Lets `next` and what comes behind it leave with `first`, as far as their lengths allow.
    /// Returns what is left.
    fn follow(&mut self, batch: &TransmitBatch, first: u32, mut next: u32) -> u32 {
        let first = batch.at(first);
        let mut room = self.together - 1;
        while next != NONE && room > 0 {
            let this = batch.at(next);
            let length = this.bytes.len();
            if this.address != first.address
                || length > first.bytes.len()
                || first.bytes.len() > SEGMENT_BYTES
            {
                break;
            }
            self.order.push(next);
            next = self.nexts[next as usize];
            room -= 1;
            if length < first.bytes.len() {
                break;
            }
        }
        next
    }

    /// How many flights there are.
    pub(super) const fn len(&self) -> usize {
        self.ends.len()
    }

    /// The positions of the datagrams of a flight.
    pub(super) fn positions(&self, flight: usize) -> &[u32] {
        &self.order[self.start(flight)..self.ends[flight] as usize]
    }

    /// How many datagrams this flight and those behind it have.
    pub(super) fn datagrams_from(&self, flight: usize) -> usize {
        self.order.len() - self.start(flight)
    }

    /// This flight and those behind it.
    pub(super) fn flights_from<'a>(
        &'a self,
        batch: &'a TransmitBatch,
        flight: usize,
    ) -> Flights<'a> {
        let start = self.start(flight) as u32;
        Flights { batch, order: &self.order, ends: self.ends[flight..].iter(), start }
    }

    /// One datagram of a flight, alone.
    pub(super) fn alone<'a>(
        &'a self,
        batch: &'a TransmitBatch,
        flight: usize,
        datagram: usize,
    ) -> Flights<'a> {
        let order = &self.positions(flight)[datagram..=datagram];
        Flights { batch, order, ends: [1].iter(), start: 0 }
    }

    fn start(&self, flight: usize) -> usize {
        flight.checked_sub(1).map_or(0, |before| self.ends[before] as usize)
    }
}

/// Whether a longer datagram may leave before a shorter one, so that both share a flight. Those of
/// one speaker stay in order.
fn goes_before(batch: &TransmitBatch, longer: u32, shorter: u32) -> bool {
    let (longer, shorter) = (batch.at(longer), batch.at(shorter));
    longer.address == shorter.address
        && longer.bytes.len() > shorter.bytes.len()
        && longer.bytes.len() <= SEGMENT_BYTES
        && longer.bytes.get(SSRC) != shorter.bytes.get(SSRC)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ids::LegId;
    use crate::slab::Slab;

    /// A batch of datagrams: receiver, speaker, length.
    fn batch(datagrams: &[(usize, u8, usize)]) -> TransmitBatch {
        let mut ids: Slab<LegId, ()> = Slab::default();
        let legs: Vec<LegId> = (0..8).map(|_| ids.insert(())).collect();
        let mut batch = TransmitBatch::new();
        for (receiver, speaker, length) in datagrams {
            let address = SocketAddr::from(([192, 0, 2, 1], 1_000 + *receiver as u16));
            assert!(batch.push(&vec![*speaker; *length], legs[*receiver], address));
        }
        batch
    }

    /// The flights, as receivers with the positions that go to them.
    fn flights(datagrams: &[(usize, u8, usize)]) -> Vec<Vec<u32>> {
        let batch = batch(datagrams);
        let mut plan = FlightPlan::new();
        plan.make(&batch, true, |_| true);
        (0..plan.len()).map(|flight| plan.positions(flight).to_vec()).collect()
    }

    #[test]
    fn datagrams_for_one_receiver_leave_together_the_shorter_one_last() {
        let two_speakers = [(0, 1, 100), (1, 1, 100), (0, 2, 120), (1, 2, 90)];
        assert_eq!(flights(&two_speakers), [vec![2, 0], vec![1, 3]]);
        let equal = [(0, 1, 100), (0, 2, 100), (0, 3, 100), (0, 4, 60), (0, 5, 100)];
        assert_eq!(flights(&equal), [vec![0, 1, 2, 3], vec![4]]);
    }

    #[test]
    fn one_speakers_datagrams_keep_their_order() {
        assert_eq!(flights(&[(0, 1, 60), (0, 1, 100)]), [[0], [1]]);
        assert_eq!(flights(&[(0, 1, 100), (0, 1, 60)]), [[0, 1]]);
    }

    #[test]
    fn datagrams_that_a_path_may_not_carry_whole_leave_alone() {
        assert_eq!(flights(&[(0, 1, 1_201), (0, 2, 1_201)]), [[0], [1]]);
        assert_eq!(flights(&[(0, 1, 60), (0, 2, 1_201)]), [[0], [1]]);
        assert_eq!(flights(&[(0, 1, 1_200), (0, 2, 1_200)]), [[0, 1]]);
    }

    #[test]
    fn where_joining_does_not_work_every_datagram_leaves_alone() {
        let batch = batch(&[(0, 1, 100), (0, 2, 100)]);
        let mut plan = FlightPlan::new();
        plan.stop_joining();
        plan.make(&batch, true, |_| true);
        assert_eq!(plan.len(), 2);
    }

    #[test]
    fn sending_one_by_one_ends_at_the_first_that_is_not_taken_or_after_64() {
        let datagrams: Vec<_> = (0..100).map(|n| (n % 8, 1, 100)).collect();
        let batch = batch(&datagrams);
        let mut plan = FlightPlan::new();
        plan.make(&batch, false, |_| true);
        let send = |taken: usize, error: io::ErrorKind| {
            let mut left = taken;
            plan.flights_from(&batch, 0).send_each(|_| {
                left = left.checked_sub(1).ok_or(error)?;
                Ok(())
            })
        };
        assert_eq!(send(100, io::ErrorKind::WouldBlock), Sent::Some(AT_ONCE));
        assert_eq!(send(3, io::ErrorKind::WouldBlock), Sent::Some(3));
        assert_eq!(send(0, io::ErrorKind::WouldBlock), Sent::Full);
        assert_eq!(send(0, io::ErrorKind::NetworkUnreachable), Sent::Failed);
    }

    #[test]
    fn rounds_that_wrap_do_not_meet_old_tails() {
        let batch = batch(&[(0, 1, 100), (0, 2, 100)]);
        let mut plan = FlightPlan::new();
        plan.round = u32::MAX - 1;
        for _ in 0..3 {
            plan.make(&batch, true, |_| true);
            assert_eq!((plan.len(), plan.positions(0)), (1, &[0, 1][..]));
        }
        assert_eq!(plan.round, 2);
    }

    proptest! {
        #[test]
        fn each_kept_datagram_leaves_once_and_the_kernel_takes_every_flight(
            datagrams in prop::collection::vec(
                (0..8usize, 0..4u8, prop_oneof![Just(60usize), 50..70usize, 1_190..1_210usize]),
                0..150,
            ),
            kept: u64,
        ) {
            let batch = batch(&datagrams);
            let keep = |position: usize| kept >> (position % 64) & 1 == 1;
            let mut plan = FlightPlan::new();
            plan.make(&batch, true, keep);
            let mut seen = vec![false; datagrams.len()];
            let mut latest = std::collections::HashMap::new();
            for flight in 0..plan.len() {
                let positions = plan.positions(flight);
                prop_assert!((1..=TOGETHER).contains(&positions.len()));
                let (receiver, _, first) = datagrams[positions[0] as usize];
                for (at, position) in positions.iter().enumerate() {
                    let (to, speaker, length) = datagrams[*position as usize];
                    prop_assert!(keep(*position as usize));
                    prop_assert!(!std::mem::replace(&mut seen[*position as usize], true));
                    prop_assert_eq!(to, receiver);
                    let last = at + 1 == positions.len();
                    prop_assert!(length == first || (last && length < first));
                    prop_assert!(positions.len() == 1 || first <= SEGMENT_BYTES);
                    let before = latest.insert((to, speaker), *position);
                    prop_assert!(before < Some(*position), "one speaker's order");
                }
            }
            prop_assert!((0..datagrams.len()).all(|position| seen[position] == keep(position)));
        }
    }
}
