//! Sealed copies on their way to the socket.
//!
//! Every copy is as old as the datagram that it was made of. What is older than the latency budget
//! when its turn comes is dropped: late voice is useless, and sending it would make the next ones
//! late as well. For the same reason nothing waits for a full socket. Whose copies were not sent is
//! remembered until the relay is told.
//!
//! Not here: which copies leave together (`flights.rs`), and when they do (`forwarding.rs`).
//!
//! Between calls there is one arrival for each copy of the batch, in the order of the batch.

use std::ops::Range;
use std::time::Duration;

use crate::ids::LegId;
use crate::media::batch::{ENTRIES, TransmitBatch};
use crate::media::fanout::Filled;
use crate::media::flights::{FlightPlan, Flights};
use crate::time::Timestamp;

/// A batch, and how old what is in it is. [`Forwarding`](crate::media::Forwarding) fills and sends it.
#[derive(Debug)]
pub struct Outbox {
    batch: TransmitBatch,
    arrivals: Vec<Timestamp>,
    /// How many datagrams what is in the batch was made of, at most.
    sources: usize,
    plan: FlightPlan,
    /// Flights that failed although each of their datagrams could be sent.
    failed_joins: u32,
    latency: Duration,
    /// What was not sent and how it came, until the relay is told: behind every datagram, of whose copies each
    /// leg of a room has one, so that this is no longer than a full batch and the legs of a room.
    unsent: Vec<(LegId, Lost)>,
}

/// How many copies of a datagram that nobody waits behind leave first.
const FIRST_GROUP: usize = 16;
/// After so many of them none is tried any more.
const FAILED_JOINS_MAX: u32 = 16;

/// What became of the flights that the host gave to its socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sent {
    /// So many of them, from the front, are on their way: at least one.
    Some(usize),
    /// The socket has no room.
    Full,
    /// The first of them cannot be sent, which says nothing about the others.
    Failed,
}

/// How a copy was lost on its way to the socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Lost {
    /// The socket did not take it.
    Refused,
    /// It was older than the latency budget.
    TooLate,
}

impl Outbox {
    /// An empty one; `latency` is how old a copy may be when it is sent.
    #[must_use]
    pub fn new(latency: Duration) -> Self {
        Self {
            batch: TransmitBatch::new(),
            arrivals: Vec::new(),
            sources: 0,
            plan: FlightPlan::new(),
            failed_joins: 0,
            latency,
            unsent: Vec::with_capacity(2 * ENTRIES),
        }
    }

    /// From now on every flight has one datagram: for hosts that cannot send several at once.
    pub const fn stop_joining(&mut self) {
        self.plan.stop_joining();
    }

    /// Whether something that arrived at `arrival` is too old.
    #[must_use]
    pub fn is_late(&self, now: Timestamp, arrival: Timestamp) -> bool {
        now.since(arrival) > self.latency
    }

    /// Takes what a datagram that arrived at `arrival` leads to, as far as there is room: `fill` is
    /// [`Fanout::fill`](crate::media::Fanout::fill) of its fan-out.
    #[inline]
    pub(super) fn fill(
        &mut self,
        arrival: Timestamp,
        fill: impl FnOnce(&mut TransmitBatch) -> Filled,
    ) -> Filled {
        let filled = fill(&mut self.batch);
        self.sources += 1;
        self.arrivals.resize(self.batch.len(), arrival);
        filled
    }

    /// From now on it is full at few copies, and after it was sent at twice as many: the first copies are
    /// on their way while the others are still being sealed.
    pub(super) fn begin_groups(&mut self) {
        self.batch.set_room(FIRST_GROUP);
    }

    /// From now on it is full when its batch is.
    pub(super) fn end_groups(&mut self) {
        self.batch.set_room(usize::MAX);
    }

    /// Sends everything and is empty afterwards. `send` gives flights to the socket, from the
    /// front and as many at once as it likes; `clock` is read before each time.
    ///
    /// A flight of several datagrams that fails is tried again one by one. When that has worked 16
    /// times, this host cannot send several at once, and every datagram leaves alone from then on.
    pub(super) fn send(
        &mut self,
        clock: impl Fn() -> Timestamp,
        mut send: impl FnMut(Flights<'_>) -> Sent,
    ) {
        self.plan(clock());
        let mut at = 0;
        while at < self.plan.len() {
            if self.has_late(clock(), at) {
                self.give_up(at..at + 1, Lost::TooLate);
                at += 1;
                continue;
            }
            match send(self.plan.flights_from(&self.batch, at)) {
                Sent::Some(count) => at += count.max(1),
                Sent::Full => {
                    self.give_up(at..self.plan.len(), Lost::Refused);
                    break;
                }
                // One receiver's trouble (refused, unreachable) is not the others'.
                Sent::Failed => {
                    self.send_apart(at, &mut send);
                    at += 1;
                }
            }
        }
        self.batch.clear();
        self.batch.set_room(2 * self.batch.room());
        self.arrivals.clear();
        self.sources = 0;
    }

    /// What was not sent since this was last asked: whose it was, and how it was lost.
    #[inline]
    pub(super) fn take_unsent(&mut self) -> impl Iterator<Item = (LegId, Lost)> + '_ {
        self.unsent.drain(..)
    }

    /// Decides what leaves, and together with what. Copies that are too late already do not.
    fn plan(&mut self, now: Timestamp) {
        let Self { batch, arrivals, sources, plan, latency, unsent, .. } = self;
        let late = |position: usize| now.since(arrivals[position]) > *latency;
        plan.make(batch, *sources > 1, |position| !late(position));
        if plan.datagrams_from(0) < batch.len() {
            let entries = batch.entries().enumerate().filter(|(position, _)| late(*position));
            unsent.extend(entries.map(|(_, copy)| (copy.leg, Lost::TooLate)));
        }
    }

    fn has_late(&self, now: Timestamp, flight: usize) -> bool {
        let mut arrivals = self.plan.positions(flight).iter().map(|at| self.arrivals[*at as usize]);
        arrivals.any(|arrival| self.is_late(now, arrival))
    }

    /// Remembers whose datagrams these flights have.
    #[cold]
    fn give_up(&mut self, flights: Range<usize>, how: Lost) {
        let Self { batch, plan, unsent, .. } = self;
        let positions = flights.flat_map(|flight| plan.positions(flight));
        unsent.extend(positions.map(|position| (batch.at(*position).leg, how)));
    }

    /// Sends the datagrams of a flight that failed one by one.
    #[cold]
    fn send_apart(&mut self, flight: usize, send: &mut impl FnMut(Flights<'_>) -> Sent) {
        let count = self.plan.positions(flight).len();
        if count == 1 {
            return self.give_up(flight..flight + 1, Lost::Refused);
        }
        let mut sent = 0;
        for datagram in 0..count {
            if matches!(send(self.plan.alone(&self.batch, flight, datagram)), Sent::Some(_)) {
                sent += 1;
            } else {
                let position = self.plan.positions(flight)[datagram];
                self.unsent.push((self.batch.at(position).leg, Lost::Refused));
            }
        }
        self.failed_joins += u32::from(sent > 0);
        if self.failed_joins == FAILED_JOINS_MAX {
            self.plan.stop_joining();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::net::SocketAddr;

    use crate::config::MediaConfig;
    use crate::ids::{LegId, RelayId, RoomId, Ssrc};
    use crate::limits::Limits;
    use crate::media::Relay;
    use crate::media::command::{Permissions, RelayCommand};
    use crate::slab::Slab;
    use crate::wire::discovery;

    use super::*;

    const BUDGET: Duration = Duration::from_millis(100);

    /// An outbox with one reply for each of these arrivals, in milliseconds, each to a port of its
    /// own.
    fn outbox(arrivals: &[u64]) -> Outbox {
        let mut outbox = Outbox::new(BUDGET);
        fill(&mut outbox, arrivals.iter().copied().zip(1_000..));
        outbox
    }

    /// One reply for each of these arrivals and ports.
    fn fill(outbox: &mut Outbox, arrivals: impl Iterator<Item = (u64, u16)>) {
        let loopback = MediaConfig { loopback: true, ..MediaConfig::default() };
        let mut relay = Relay::new(RelayId(0), &Limits::default(), loopback);
        let leg = Slab::<LegId, ()>::default().insert(());
        let room = Slab::<RoomId, ()>::default().insert(());
        let permissions = Permissions { speak: true, hear: true };
        let open = RelayCommand::Open {
            leg,
            room,
            ssrc: Ssrc(4),
            peer: None,
            bitrate: 64_000,
            permissions,
        };
        relay.handle_command(Timestamp::ZERO, open);
        for (arrival, port) in arrivals {
            let mut request = [0; discovery::LEN];
            discovery::write_request(&mut request, Ssrc(4));
            let from = SocketAddr::from(([127, 0, 0, 1], port));
            let mut fanout = relay.handle_datagram(Timestamp::ZERO, from, &mut request);
            let arrival = Timestamp::from_millis(arrival);
            let filled = outbox.fill(arrival, |batch| fanout.fill(batch));
            assert_eq!(filled, Filled::Done);
        }
    }

    #[test]
    fn copies_older_than_the_budget_are_dropped_and_the_others_sent() {
        let mut outbox = outbox(&[0, 50, 150, 160]);
        let mut ports = Vec::new();
        outbox.send(
            || Timestamp::from_millis(200),
            |datagrams| {
                ports.extend(datagrams.map(|flight| flight.address().port()));
                Sent::Some(ports.len())
            },
        );
        assert_eq!(counts(&mut outbox), (0, 2));
        assert_eq!(ports, [1_002, 1_003]);
        assert!(outbox.batch.is_empty() && outbox.arrivals.is_empty());
    }

    #[test]
    fn copies_that_grow_old_between_two_system_calls_are_dropped() {
        let mut outbox = outbox(&[0, 0, 0]);
        let time = Cell::new(100);
        outbox.send(
            || Timestamp::from_millis(time.get()),
            |datagrams| {
                assert_eq!(datagrams.len(), 3);
                time.set(101);
                Sent::Some(1)
            },
        );
        assert_eq!(counts(&mut outbox), (0, 2));
    }

    #[test]
    fn an_error_costs_one_copy_and_a_full_socket_the_rest() {
        let mut outbox = outbox(&[0, 0, 0, 0]);
        let mut calls = 0;
        outbox.send(
            || Timestamp::ZERO,
            |_| {
                calls += 1;
                if calls == 1 { Sent::Failed } else { Sent::Full }
            },
        );
        assert_eq!((calls, counts(&mut outbox)), (2, (4, 0)));
    }

    /// How many copies were refused and how many were too late.
    fn counts(outbox: &mut Outbox) -> (usize, usize) {
        let lost: Vec<_> = outbox.take_unsent().map(|(_, how)| how).collect();
        let of = |wanted| lost.iter().filter(|how| **how == wanted).count();
        (of(Lost::Refused), of(Lost::TooLate))
    }

    /// A host that sends `limit` datagrams at once: how many it was given in how many flights, and how
    /// many were refused.
    fn send(outbox: &mut Outbox, limit: usize) -> (usize, usize, usize) {
        let (mut datagrams, mut flights) = (0, 0);
        outbox.send(
            || Timestamp::ZERO,
            |mut all| {
                let flight = all.next().expect("a flight");
                if flight.len() > limit {
                    return Sent::Failed;
                }
                datagrams += flight.len();
                flights += 1;
                Sent::Some(1)
            },
        );
        (datagrams, flights, counts(outbox).0)
    }

    #[test]
    fn a_flight_that_fails_is_sent_one_by_one_and_joining_is_given_up_in_the_end() {
        let mut outbox = Outbox::new(BUDGET);
        for round in 1..=FAILED_JOINS_MAX + 1 {
            fill(&mut outbox, [(0, 1_000); 2].into_iter());
            assert_eq!(send(&mut outbox, 1), (2, 2, 0), "round {round}");
        }
        fill(&mut outbox, [(0, 1_000); 2].into_iter());
        assert_eq!(send(&mut outbox, 2).1, 2, "every datagram leaves alone now");
    }

    #[test]
    fn a_receiver_that_cannot_be_sent_to_does_not_end_joining() {
        let mut outbox = Outbox::new(BUDGET);
        for _ in 0..2 * FAILED_JOINS_MAX {
            fill(&mut outbox, [(0, 1_000); 2].into_iter());
            assert_eq!(send(&mut outbox, 0).2, 2);
        }
        fill(&mut outbox, [(0, 1_000); 2].into_iter());
        assert_eq!(send(&mut outbox, 2).1, 1, "both leave together");
    }
}
