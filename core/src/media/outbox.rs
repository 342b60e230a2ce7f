//! Sealed copies on their way to the socket.
//!
//! Every copy is as old as the datagram that it was made of. What is older than the latency budget
//! when its turn comes is dropped: late voice is useless, and sending it would make the next ones
//! late as well. For the same reason nothing waits for a full socket.
//!
//! Between calls there is one arrival for each copy of the batch, in the order of the batch.

use std::net::SocketAddr;
use std::time::Duration;

use crate::media::batch::TransmitBatch;
use crate::media::fanout::Filled;
use crate::time::Timestamp;

/// A batch, and how old what is in it is.
#[derive(Debug)]
pub struct Outbox {
    batch: TransmitBatch,
    arrivals: Vec<Timestamp>,
    latency: Duration,
}

/// What became of datagrams that the host gave to its socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sent {
    /// So many of them, from the front, are on their way: at least one.
    Some(usize),
    /// The socket has no room.
    Full,
    /// The first of them cannot be sent, which says nothing about the others.
    Failed,
}

/// What was not sent: for `Relay::note_unsent` and `Relay::note_too_late`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[must_use = "what is not sent is counted"]
pub struct Unsent {
    /// Copies that the socket did not take.
    pub refused: u64,
    /// Copies that were too old.
    pub too_late: u64,
}

impl std::ops::AddAssign for Unsent {
    fn add_assign(&mut self, other: Self) {
        self.refused += other.refused;
        self.too_late += other.too_late;
    }
}

impl Outbox {
    /// An empty one; `latency` is how old a copy may be when it is sent.
    #[must_use]
    pub fn new(latency: Duration) -> Self {
        let batch = TransmitBatch::new();
        Self { batch, arrivals: Vec::new(), latency }
    }

    /// Whether something that arrived at `arrival` is too old.
    #[must_use]
    pub fn is_late(&self, now: Timestamp, arrival: Timestamp) -> bool {
        now.since(arrival) > self.latency
    }

    /// Takes what a datagram that arrived at `arrival` leads to, as far as there is room: `fill` is
    /// [`Fanout::fill`](crate::media::Fanout::fill) of its fan-out.
    pub fn fill(
        &mut self,
        arrival: Timestamp,
        fill: impl FnOnce(&mut TransmitBatch) -> Filled,
    ) -> Filled {
        let filled = fill(&mut self.batch);
        self.arrivals.resize(self.batch.len(), arrival);
        filled
    }

    /// Sends everything and is empty afterwards. `send` gives datagrams to the socket, from the
    /// front and as many at once as it likes; `clock` is read before each time.
    pub fn send(
        &mut self,
        clock: impl Fn() -> Timestamp,
        mut send: impl FnMut(&mut dyn Iterator<Item = (SocketAddr, &[u8])>) -> Sent,
    ) -> Unsent {
        let mut unsent = Unsent::default();
        let mut at = 0;
        while at < self.batch.len() {
            let now = clock();
            let late = self.arrivals[at..].iter().take_while(|then| self.is_late(now, **then));
            let late = late.count();
            unsent.too_late += late as u64;
            at += late;
            if at == self.batch.len() {
                break;
            }
            let rest = (at..self.batch.len()).filter_map(|position| self.batch.get(position));
            match send(&mut rest.map(|copy| (copy.address, copy.bytes))) {
                Sent::Some(count) => at += count.max(1),
                Sent::Full => {
                    unsent.refused += (self.batch.len() - at) as u64;
                    break;
                }
                // One receiver's trouble (refused, unreachable) is not the others'.
                Sent::Failed => {
                    unsent.refused += 1;
                    at += 1;
                }
            }
        }
        self.batch.clear();
        self.arrivals.clear();
        unsent
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use crate::config::MediaConfig;
    use crate::ids::{LegId, RelayId, RoomId, Ssrc};
    use crate::limits::Limits;
    use crate::media::Relay;
    use crate::media::command::{Permissions, RelayCommand};
    use crate::slab::Slab;
    use crate::wire::discovery;

    use super::*;

    const BUDGET: Duration = Duration::from_millis(100);

    /// An outbox with one reply for each of these arrivals, in milliseconds.
    fn outbox(arrivals: &[u64]) -> Outbox {
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
        let mut outbox = Outbox::new(BUDGET);
        for (arrival, port) in arrivals.iter().zip(1_000..) {
            let mut request = [0; discovery::LEN];
            discovery::write_request(&mut request, Ssrc(4));
            let from = SocketAddr::from(([127, 0, 0, 1], port));
            let mut fanout = relay.handle_datagram(Timestamp::ZERO, from, &mut request);
            let arrival = Timestamp::from_millis(*arrival);
            let filled = outbox.fill(arrival, |batch| fanout.fill(batch));
            assert_eq!(filled, Filled::Done);
        }
        outbox
    }

    #[test]
    fn copies_older_than_the_budget_are_dropped_and_the_others_sent() {
        let mut outbox = outbox(&[0, 50, 150, 160]);
        let mut ports = Vec::new();
        let unsent = outbox.send(
            || Timestamp::from_millis(200),
            |datagrams| {
                ports.extend(datagrams.map(|(to, _)| to.port()));
                Sent::Some(ports.len())
            },
        );
        assert_eq!(unsent, Unsent { refused: 0, too_late: 2 });
        assert_eq!(ports, [1_002, 1_003]);
        assert!(outbox.batch.is_empty() && outbox.arrivals.is_empty());
    }

    #[test]
    fn copies_that_grow_old_between_two_system_calls_are_dropped() {
        let mut outbox = outbox(&[0, 0, 0]);
        let time = Cell::new(100);
        let unsent = outbox.send(
            || Timestamp::from_millis(time.get()),
            |datagrams| {
                assert_eq!(datagrams.count(), 3);
                time.set(101);
                Sent::Some(1)
            },
        );
        assert_eq!(unsent, Unsent { refused: 0, too_late: 2 });
    }

    #[test]
    fn an_error_costs_one_copy_and_a_full_socket_the_rest() {
        let mut outbox = outbox(&[0, 0, 0, 0]);
        let mut calls = 0;
        let unsent = outbox.send(
            || Timestamp::ZERO,
            |_| {
                calls += 1;
                if calls == 1 { Sent::Failed } else { Sent::Full }
            },
        );
        assert_eq!((calls, unsent), (2, Unsent { refused: 4, too_late: 0 }));
    }
}
