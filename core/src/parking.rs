//! Gateway connections before the server sees them: when the next may come, and who waits, accepted
//! but unread, for room in its address's share ([`Limits::unauthenticated_per_address`]).
//!
//! Here: who waits, who is next, and who has to go. Not here: whether an address has room
//! ([`Server::has_room_for`](crate::server::Server::has_room_for)), and sockets.
//!
//! Invariant: a ticket stands in the queue of its address and leads to a socket, or is nowhere. No
//! queue is empty, and there are no more sockets than places.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::ops::Bound;
use std::time::Duration;

use crate::ids::Network;
use crate::limits::Limits;
use crate::pace::Pace;
use crate::time::Timestamp;

/// Bytes of a place, beside the socket itself.
pub const PLACE_BYTES: usize = 224;

/// Where gateway connections of a host wait whose address has used up its share.
///
/// Behind one address there may be thousands of honest clients, all back at once after a restart.
/// They cannot stay in the accept backlog: there is one for all addresses, so others would wait
/// behind them. Here each address has a queue of its own, and the addresses take turns. A socket
/// that waits is not read, so it costs its descriptor and its place; what is dropped here is closed
/// by its own `Drop`. Those who wait and those in the backlog come at one [`Pace`].
///
/// ```
/// use lvsp_core::limits::Limits;
/// use lvsp_core::parking::Parking;
/// use lvsp_core::time::Timestamp;
///
/// let (now, peer) = (Timestamp::ZERO, "192.0.2.7:50000".parse().unwrap());
/// let mut parking = Parking::new(&Limits::default());
/// assert_eq!(parking.pass(now, peer, "first", true), Some("first"), "there is room");
/// assert_eq!(parking.pass(now, peer, "second", false), None, "it waits");
/// assert_eq!(parking.take(now, |_| true), Some(("second", peer)));
/// ```
#[derive(Debug)]
pub struct Parking<S> {
    pace: Pace,
    /// By ticket, so that the oldest is the first.
    waiting: BTreeMap<u64, Waiting<S>>,
    /// The tickets of each address, the oldest first.
    queues: BTreeMap<Network, VecDeque<u64>>,
    next_ticket: u64,
    limit: usize,
    places: usize,
    patience: Duration,
    /// Whose turn it was last.
    last: Option<Network>,
    /// Whether those who wait are asked before the backlog is.
    is_first: bool,
    counts: ParkingCounts,
}

#[derive(Debug)]
struct Waiting<S> {
    socket: S,
    peer: SocketAddr,
    until: Timestamp,
}

/// What became of connections over their address's share, for
/// [`Server::note_parked`](crate::server::Server::note_parked).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[must_use = "what had to wait is counted"]
pub struct ParkingCounts {
    /// Connections that came when their address had no room.
    pub over_share: u64,
    /// Those that had no place to wait, or lost it to another.
    pub turned_away: u64,
    /// Those that waited in vain.
    pub too_late: u64,
}

impl<S> Parking<S> {
    /// An empty one, of so many places as [`Limits::parked`] and at the pace of
    /// [`Limits::handshakes_per_s`]. A connection waits no longer than [`Limits::upgrade_ms`].
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        Self {
            pace: Pace::new(limits.handshakes_per_s),
            waiting: BTreeMap::new(),
            queues: BTreeMap::new(),
            next_ticket: 0,
            limit: limits.parked,
            places: limits.parked,
            patience: limits.upgrade_ms.duration(),
            last: None,
            is_first: false,
            counts: ParkingCounts::default(),
        }
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nobody waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// When the next connection may come: not before this one is to be accepted.
    #[must_use]
    pub const fn opens_at(&self) -> Timestamp {
        self.pace.next()
    }

    /// A connection came and is wanted, from here or from the backlog.
    pub fn note_opened(&mut self, now: Timestamp) {
        self.pace.take(now);
    }

    /// Begins a turn of the host: who has waited for too long is dropped. In every other turn in
    /// which one may come, those who wait come before those in the backlog, so that neither keeps
    /// the other out.
    pub fn begin_turn(&mut self, now: Timestamp) {
        self.drop_late(now);
        self.is_first ^= self.opens_at() <= now;
    }

    /// Whether those who wait come before those in the backlog, in this turn.
    #[must_use]
    pub const fn is_first(&self) -> bool {
        self.is_first
    }

    /// Lets a connection pass that was just accepted, or keeps it: when its address has no room, or
    /// others of its address wait already.
    pub fn pass(
        &mut self,
        now: Timestamp,
        peer: SocketAddr,
        socket: S,
        has_room: bool,
    ) -> Option<S> {
        let network = Network::of(peer.ip());
        let ahead = self.queues.get(&network).map_or(0, VecDeque::len);
        if has_room && ahead == 0 {
            return Some(socket);
        }
        self.counts.over_share += 1;
        if self.make_place(ahead) {
            let ticket = self.next_ticket;
            self.next_ticket += 1;
            let until = now + self.patience;
            self.waiting.insert(ticket, Waiting { socket, peer, until });
            self.queues.entry(network).or_default().push_back(ticket);
        } else {
            self.counts.turned_away += 1;
        }
        None
    }

    /// The next connection whose address has room, if one may come now: the oldest of its address.
    /// The addresses take turns, so that none of them has to wait behind all of another.
    pub fn take(
        &mut self,
        now: Timestamp,
        has_room: impl Fn(SocketAddr) -> bool,
    ) -> Option<(S, SocketAddr)> {
        if self.opens_at() > now {
            return None;
        }
        let network = self.next(has_room)?;
        self.last = Some(network);
        let Waiting { socket, peer, .. } = self.remove(network, VecDeque::pop_front)?;
        Some((socket, peer))
    }

    /// When [`Self::take`] has something to give, or somebody has waited for too long; `None` when
    /// nobody waits.
    #[must_use]
    pub fn next_at(&self, has_room: impl Fn(SocketAddr) -> bool) -> Option<Timestamp> {
        let (_, oldest) = self.waiting.first_key_value()?;
        let next = self.next(has_room).map(|_| self.opens_at());
        next.into_iter().chain([oldest.until]).min()
    }

    /// Says how many the host has descriptors for, if that is less than the limit. Who stands in
    /// too much goes, as if others came.
    pub fn set_places(&mut self, places: usize) {
        self.places = places.min(self.limit);
        while self.waiting.len() > self.places {
            self.turn_one_away();
        }
    }

    /// Drops the last who came of the address of which most wait: somebody needs its descriptor.
    pub fn turn_one_away(&mut self) {
        if let Some((network, _)) = self.fullest() {
            self.counts.turned_away += 1;
            self.remove(network, VecDeque::pop_back);
        }
    }

    fn drop_late(&mut self, now: Timestamp) {
        while let Some(oldest) = self.waiting.first_entry()
            && oldest.get().until <= now
        {
            self.counts.too_late += 1;
            let network = Network::of(oldest.get().peer.ip());
            self.remove(network, VecDeque::pop_front);
        }
    }

    /// Drops everybody.
    pub fn clear(&mut self) {
        self.waiting.clear();
        self.queues.clear();
    }

    /// What was counted since this was last asked.
    pub fn take_counts(&mut self) -> ParkingCounts {
        std::mem::take(&mut self.counts)
    }

    /// Finds a place for somebody of an address of which `ahead` wait; whether there is one. Over
    /// the limit it is taken from an address of which clearly more wait: so nobody can fill all
    /// places from one address, and two that are even do not rob each other.
    fn make_place(&mut self, ahead: usize) -> bool {
        if self.waiting.len() < self.places {
            return true;
        }
        let has_more = self.fullest().is_some_and(|(_, most)| most > ahead + 1);
        if has_more {
            self.turn_one_away();
        }
        has_more
    }

    fn fullest(&self) -> Option<(Network, usize)> {
        let lengths = self.queues.iter().map(|(network, queue)| (*network, queue.len()));
        lengths.max_by_key(|(_, length)| *length)
    }

    /// The address whose turn it is, of those that have room.
    fn next(&self, has_room: impl Fn(SocketAddr) -> bool) -> Option<Network> {
        let after = self.last.map_or(Bound::Unbounded, Bound::Excluded);
        let mut around = self.queues.range((after, Bound::Unbounded)).chain(&self.queues);
        let is_next = |queue: &VecDeque<u64>| {
            let front = queue.front().and_then(|ticket| self.waiting.get(ticket));
            front.is_some_and(|waiting| has_room(waiting.peer))
        };
        around.find(|(_, queue)| is_next(queue)).map(|(network, _)| *network)
    }

    fn remove(
        &mut self,
        network: Network,
        choose: impl FnOnce(&mut VecDeque<u64>) -> Option<u64>,
    ) -> Option<Waiting<S>> {
        let queue = self.queues.get_mut(&network)?;
        let ticket = choose(queue);
        if queue.is_empty() {
            self.queues.remove(&network);
        }
        self.waiting.remove(&ticket?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Millis;

    const NOW: Timestamp = Timestamp::from_millis(1_000);

    fn parking(parked: usize) -> Parking<u32> {
        let (handshakes_per_s, upgrade_ms) = (10, Millis(15_000));
        Parking::new(&Limits { parked, handshakes_per_s, upgrade_ms, ..Limits::default() })
    }

    /// A peer of the address with this number.
    fn peer(address: u8) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, address], 50_000))
    }

    /// Parks sockets with these numbers, which have their address in the hundreds.
    fn park(parking: &mut Parking<u32>, sockets: impl IntoIterator<Item = u32>) {
        for socket in sockets {
            let address = u8::try_from(socket / 100).unwrap();
            assert_eq!(parking.pass(NOW, peer(address), socket, false), None);
        }
    }

    fn take_all(parking: &mut Parking<u32>) -> Vec<u32> {
        std::iter::from_fn(|| parking.take(NOW, |_| true)).map(|(socket, _)| socket).collect()
    }

    #[test]
    fn who_finds_room_passes_unless_others_of_its_address_wait() {
        let mut parking = parking(10);
        assert_eq!(parking.pass(NOW, peer(1), 100, true), Some(100));
        park(&mut parking, [101]);
        assert_eq!(parking.pass(NOW, peer(1), 102, true), None, "it came later");
        assert_eq!(parking.pass(NOW, peer(2), 200, true), Some(200), "another address");
        assert_eq!(take_all(&mut parking), [101, 102]);
        assert_eq!(parking.pass(NOW, peer(1), 103, true), Some(103), "nobody waits");
        let counts = ParkingCounts { over_share: 2, ..ParkingCounts::default() };
        assert_eq!(parking.take_counts(), counts);
        assert_eq!(parking.take_counts(), ParkingCounts::default(), "counted once");
    }

    #[test]
    fn addresses_take_turns_and_those_without_room_are_passed_over() {
        let mut parking = parking(100);
        park(&mut parking, (100..110).chain([200, 201, 300]));
        let mut next = |full: u8| parking.take(NOW, |at| at != peer(full)).map(|next| next.0);
        assert_eq!([0; 3].map(&mut next), [Some(100), Some(200), Some(300)]);
        assert_eq!([2; 2].map(&mut next), [Some(101), Some(102)], "the second has no room");
        assert_eq!([1; 2].map(&mut next), [Some(201), None], "only the first is left");
        assert_eq!(take_all(&mut parking), (103..110).collect::<Vec<_>>());
        assert!(parking.is_empty() && parking.next_at(|_| true).is_none());
    }

    #[test]
    fn over_the_limit_the_fullest_address_makes_place_for_those_with_fewer() {
        let mut parking = parking(6);
        park(&mut parking, 100..108);
        assert_eq!(
            (parking.len(), parking.take_counts().turned_away),
            (6, 2),
            "its own are refused"
        );
        park(&mut parking, [200, 201, 202, 203, 204]);
        assert_eq!((parking.len(), parking.take_counts().turned_away), (6, 5));
        assert_eq!(take_all(&mut parking), [100, 200, 101, 201, 102, 202], "the first who came");
    }

    #[test]
    fn who_waits_too_long_is_dropped() {
        let mut parking = parking(10);
        park(&mut parking, [200]);
        let later = NOW + Duration::from_secs(5);
        assert_eq!(parking.pass(later, peer(1), 100, false), None);
        let end = NOW + Duration::from_secs(15);
        assert_eq!(parking.next_at(|_| false), Some(end));
        parking.begin_turn(Timestamp::from_micros(end.as_micros() - 1));
        assert_eq!(parking.len(), 2);
        parking.begin_turn(end);
        assert_eq!((parking.len(), parking.take_counts().too_late), (1, 1));
        assert_eq!(parking.next_at(|_| false), Some(end + Duration::from_secs(5)));
        assert_eq!(take_all(&mut parking), [100]);
    }

    #[test]
    fn places_follow_the_descriptors_that_there_are() {
        let mut parking = parking(6);
        park(&mut parking, [100, 101, 102, 200, 201]);
        parking.set_places(3);
        assert_eq!(parking.len(), 3);
        park(&mut parking, [300]);
        assert_eq!(take_all(&mut parking), [100, 200, 300], "one of each");
        parking.set_places(100);
        park(&mut parking, 100..110);
        assert_eq!(parking.len(), 6, "the limit holds");
        parking.turn_one_away();
        assert_eq!(parking.len(), 5);
        parking.clear();
        assert!(take_all(&mut parking).is_empty() && parking.fullest().is_none());
    }

    #[test]
    fn without_places_nobody_waits() {
        let mut parking = parking(0);
        park(&mut parking, [100, 200]);
        let counts = ParkingCounts { over_share: 2, turned_away: 2, too_late: 0 };
        assert_eq!((parking.len(), parking.take_counts()), (0, counts));
    }

    #[test]
    fn who_waits_comes_at_the_pace_of_all() {
        let mut parking = parking(10);
        park(&mut parking, [100, 101]);
        assert!(parking.next_at(|_| true) <= Some(NOW), "the first may come at once");
        parking.note_opened(NOW);
        let next = NOW + Duration::from_millis(90);
        assert_eq!(parking.next_at(|_| true), Some(next), "ten a second, less the slack");
        assert_eq!(parking.next_at(|_| false), Some(NOW + Duration::from_secs(15)));
        assert_eq!(parking.take(NOW, |_| true), None);
        assert_eq!(parking.take(next, |_| true), Some((100, peer(1))));
    }

    #[test]
    fn every_other_turn_in_which_one_may_come_is_theirs() {
        let mut parking = parking(10);
        let mut now = NOW;
        let mut turn = |comes: bool| {
            parking.begin_turn(now);
            if comes {
                parking.note_opened(now);
            }
            now = now + Duration::from_millis(50);
            parking.is_first()
        };
        assert_eq!(
            [true, false, true, false, true].map(&mut turn),
            [true, true, false, false, true]
        );
        assert_eq!([false, false, false].map(&mut turn), [true, false, true], "nobody comes");
    }
}
