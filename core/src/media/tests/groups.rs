//! When the copies of a datagram leave.

use std::time::Duration;

use super::*;
use crate::media::{Flights, Forwarding, Outbox, Sent};

/// What is given to the socket at once when each of these packets came with so many others to a room of
/// `members`: how many copies.
fn sends(members: usize, packets: u16, received: usize) -> Vec<usize> {
    let mut fixture = Fixture::new();
    let room = fixture.room();
    let mut speaker = fixture.join(room, AES);
    for _ in 1..members {
        fixture.join(room, AES);
    }
    let mut outbox = Outbox::new(Duration::from_millis(100));
    let mut sends = Vec::new();
    let send = |flights: Flights<'_>| {
        let count = flights.len();
        sends.push(flights.map(|flight| flight.len()).sum());
        Sent::Some(count)
    };
    let forwarding = Forwarding::new(&mut fixture.relay, &mut outbox, || NOW, send);
    let mut forwarding = forwarding.of(received);
    for sequence in 0..packets {
        forwarding.datagram(NOW, speaker.address, &mut speaker.packet(sequence, b"opus"));
    }
    forwarding.flush();
    sends
}

#[test]
fn the_first_copies_of_a_datagram_that_came_alone_leave_while_the_others_are_sealed() {
    assert_eq!(sends(201, 1, 1), [16, 32, 64, 88]);
    assert_eq!(sends(101, 1, 1), [16, 32, 52]);
    assert_eq!(sends(11, 1, 1), [10]);
}

#[test]
fn copies_of_datagrams_that_came_together_leave_together() {
    assert_eq!(sends(101, 2, 2), [200]);
}

#[test]
fn a_datagram_alone_does_not_change_what_comes_after_it() {
    let mut outbox = Outbox::new(Duration::from_millis(100));
    let mut fixture = Fixture::new();
    let room = fixture.room();
    let mut speaker = fixture.join(room, AES);
    for _ in 0..100 {
        fixture.join(room, AES);
    }
    let mut give = |received, sequence| {
        let mut sends = Vec::new();
        let send = |flights: Flights<'_>| {
            sends.push(flights.len());
            Sent::Some(flights.len())
        };
        let forwarding = Forwarding::new(&mut fixture.relay, &mut outbox, || NOW, send);
        let mut forwarding = forwarding.of(received);
        forwarding.datagram(NOW, speaker.address, &mut speaker.packet(sequence, b"opus"));
        forwarding.flush();
        sends
    };
    assert_eq!(give(1, 0), [16, 32, 52]);
    assert_eq!(give(2, 1), [100]);
    assert_eq!(give(1, 2), [16, 32, 52]);
}
