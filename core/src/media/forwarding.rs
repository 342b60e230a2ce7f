//! The step of a host's media loop: from a datagram to its copies at the socket.
//!
//! Decided here: in which order that is done, when the clock is read, and when a relay is told of what
//! was not sent. Not here: which datagrams are taken (`intake.rs`), who gets copies (`fanout.rs`), and
//! what leaves together or not at all (`outbox.rs`).
//!
//! Between calls the relay knows of every copy that was not sent.

use std::net::SocketAddr;
use std::time::Duration;

use crate::ids::{LegId, RelaySet};
use crate::media::batch::TransmitBatch;
use crate::media::fanout::{Fanout, Filled};
use crate::media::flights::Flights;
use crate::media::handover::{Handover, Handovers};
use crate::media::outbox::{Lost, Outbox, Sent};
use crate::media::relay::Relay;
use crate::time::Timestamp;

/// A relay at work for a host: it is made in every turn, given what was received, and flushed.
///
/// `clock` is read when it is made and whenever something was sent. `send` gives flights to the socket,
/// from the front and as many at once as it likes.
///
/// ```
/// use std::net::UdpSocket;
/// use std::time::Duration;
///
/// use lvsp_core::media::{Forwarding, Outbox, Relay};
/// use lvsp_core::time::Timestamp;
///
/// // Of a host that sends its datagrams one by one: see `Outbox::stop_joining`.
/// fn turn(relay: &mut Relay, outbox: &mut Outbox, udp: &UdpSocket, clock: impl Fn() -> Timestamp) {
///     let mut packet = [0; 2_048];
///     let mut forwarding = Forwarding::new(relay, outbox, &clock, |flights| {
///         flights.send_each(|flight| {
///             flight.datagrams().try_for_each(|bytes| udp.send_to(bytes, flight.address()).map(drop))
///         })
///     });
///     while let Ok((length, from)) = udp.recv_from(&mut packet) {
///         forwarding.datagram(clock(), from, &mut packet[..length]);
///     }
///     forwarding.flush();
/// }
/// # let mut outbox = Outbox::new(Duration::from_millis(100));
/// # outbox.stop_joining();
/// ```
#[derive(Debug)]
pub struct Forwarding<'h, R, C, S> {
    relay: &'h mut R,
    outbox: &'h mut Outbox,
    clock: C,
    send: S,
    /// Whether nothing else was received with the datagram.
    alone: bool,
    /// The time, as it was last read.
    now: Timestamp,
}

impl<'h, R, C, S> Forwarding<'h, R, C, S>
where
    R: Forwards,
    C: Fn() -> Timestamp,
    S: FnMut(Flights<'_>) -> Sent,
{
    /// Lets a relay work with what its host has: one outbox, a clock that does not jump, a socket.
    pub fn new(relay: &'h mut R, outbox: &'h mut Outbox, clock: C, send: S) -> Self {
        let now = clock();
        Self { relay, outbox, clock, send, alone: false, now }
    }

    /// As many datagrams were received together. Copies of one that came alone leave in groups, the first
    /// of which is on its way while the others are still being sealed; where there are several, all are
    /// sealed first, so that what is for one receiver leaves together.
    #[must_use]
    pub const fn of(mut self, datagrams: usize) -> Self {
        self.alone = datagrams == 1;
        self
    }

    /// The relay, to be looked at.
    pub const fn relay(&self) -> &R {
        self.relay
    }

    /// Handles a datagram that arrived at `arrival`, which is opened in place: its copies are in the
    /// outbox afterwards, or on their way already. For hosts of one relay: if a room has legs at others,
    /// these do not get the packet, which is counted.
    pub fn datagram(&mut self, arrival: Timestamp, from: SocketAddr, packet: &mut [u8]) {
        self.shared_datagram(arrival, from, packet, |to, _| to);
    }

    /// As [`Self::datagram`], for hosts of several relays. `hand_over` puts a packet into the list
    /// ([`Handovers`]) of each of the relays named, and says which of these had no room for it.
    #[inline]
    pub fn shared_datagram(
        &mut self,
        arrival: Timestamp,
        from: SocketAddr,
        packet: &mut [u8],
        hand_over: impl FnOnce(RelaySet, &Handover<'_>) -> RelaySet,
    ) {
        let Self { relay, outbox, clock, send, alone, now } = self;
        let begun = *now;
        let mut fanout = relay.handle_aged_datagram(begun, begun.since(arrival), from, packet);
        let mut full = None;
        // The other relays work on it meanwhile.
        if let Some((to, handover)) = fanout.take_handover() {
            let refused = hand_over(to, &handover);
            full = fanout.speaker().filter(|_| !refused.is_empty()).map(|leg| (leg, refused));
        }
        // What is answered although it is late is not to be found late again.
        let arrival = if outbox.is_late(begun, arrival) { begun } else { arrival };
        let fill = |batch: &mut TransmitBatch| fanout.fill(batch);
        let sent = carry(outbox, (arrival, *alone), fill, clock, send);
        drop(fanout);
        if let Some((leg, refused)) = full {
            relay.note_not_handed_over(begun, leg, refused);
        }
        self.note_sent(sent);
    }

    /// Gives up to `most` packets of other relays to the legs here; how many it were.
    pub fn handovers(&mut self, waiting: &mut Handovers, most: usize) -> usize {
        for count in 0..most {
            let alone = count == 0 && waiting.len() == 1;
            let Some(handover) = waiting.take() else { return count };
            let Self { relay, outbox, clock, send, now, .. } = self;
            let mut fanout = relay.handle_handover(*now, &handover);
            let fill = |batch: &mut TransmitBatch| fanout.fill(batch);
            let sent = carry(outbox, (handover.arrival(), alone), fill, clock, send);
            drop(fanout);
            self.note_sent(sent);
        }
        most
    }

    /// Sends what is in the outbox: at the end of every turn, before anything waits.
    pub fn flush(mut self) {
        self.outbox.send(&self.clock, &mut self.send);
        self.tell_unsent();
    }

    /// Something was sent meanwhile, which is what takes long.
    #[inline]
    fn note_sent(&mut self, sent: Option<Timestamp>) {
        if let Some(now) = sent {
            self.now = now;
            self.tell_unsent();
        }
    }

    /// Tells the relay whose copies were not sent.
    fn tell_unsent(&mut self) {
        let Self { relay, outbox, now, .. } = self;
        for (leg, how) in outbox.take_unsent() {
            match how {
                Lost::Refused => relay.note_unsent(*now, leg),
                Lost::TooLate => relay.note_too_late(*now, leg),
            }
        }
    }
}

/// Fills a fan-out into an outbox, which is sent whenever it is full; when that was last done, if it was.
#[inline]
fn carry(
    outbox: &mut Outbox,
    (arrival, alone): (Timestamp, bool),
    mut fill: impl FnMut(&mut TransmitBatch) -> Filled,
    clock: &impl Fn() -> Timestamp,
    send: &mut impl FnMut(Flights<'_>) -> Sent,
) -> Option<Timestamp> {
    let mut sent = None;
    if alone {
        outbox.begin_groups();
    }
    while let Filled::BatchFull = outbox.fill(arrival, &mut fill) {
        outbox.send(clock, &mut *send);
        sent = Some(clock());
    }
    outbox.end_groups();
    sent
}

/// A relay that a [`Forwarding`] lets work: [`Relay`], or one that records. Its methods are the relay's
/// own.
pub trait Forwards {
    /// What a datagram leads to.
    type Fanout<'a>: FillsBatch<'a>
    where
        Self: 'a;

    /// See [`Relay::handle_aged_datagram`].
    fn handle_aged_datagram<'a>(
        &'a mut self,
        now: Timestamp,
        age: Duration,
        from: SocketAddr,
        packet: &'a mut [u8],
    ) -> Self::Fanout<'a>;

    /// See [`Relay::handle_handover`].
    fn handle_handover<'a>(
        &'a mut self,
        now: Timestamp,
        handover: &Handover<'a>,
    ) -> Self::Fanout<'a>;

    /// See [`Relay::note_unsent`].
    fn note_unsent(&mut self, now: Timestamp, leg: LegId);

    /// See [`Relay::note_too_late`].
    fn note_too_late(&mut self, now: Timestamp, leg: LegId);

    /// See [`Relay::note_not_handed_over`].
    fn note_not_handed_over(&mut self, now: Timestamp, speaker: LegId, full: RelaySet);
}

/// A [`Fanout`], or one that is recorded. Its methods are the fan-out's own.
pub trait FillsBatch<'a> {
    /// See [`Fanout::fill`].
    fn fill(&mut self, batch: &mut TransmitBatch) -> Filled;

    /// See [`Fanout::take_handover`].
    fn take_handover(&mut self) -> Option<(RelaySet, Handover<'a>)>;

    /// See [`Fanout::speaker`].
    fn speaker(&self) -> Option<LegId>;
}

/// Writes both traits for a relay and its fan-out, whose own methods have the same names.
macro_rules! forwards {
    ($relay:ty, $fanout:ident) => {
        impl $crate::media::Forwards for $relay {
            type Fanout<'a> = $fanout<'a>;

            #[inline]
            fn handle_aged_datagram<'a>(
                &'a mut self,
                now: Timestamp,
                age: Duration,
                from: SocketAddr,
                packet: &'a mut [u8],
            ) -> $fanout<'a> {
                self.handle_aged_datagram(now, age, from, packet)
            }

            #[inline]
            fn handle_handover<'a>(
                &'a mut self,
                now: Timestamp,
                handover: &Handover<'a>,
            ) -> $fanout<'a> {
                self.handle_handover(now, handover)
            }

            fn note_unsent(&mut self, now: Timestamp, leg: LegId) {
                self.note_unsent(now, leg);
            }

            fn note_too_late(&mut self, now: Timestamp, leg: LegId) {
                self.note_too_late(now, leg);
            }

            fn note_not_handed_over(&mut self, now: Timestamp, speaker: LegId, full: RelaySet) {
                self.note_not_handed_over(now, speaker, full);
            }
        }

        impl<'a> $crate::media::FillsBatch<'a> for $fanout<'a> {
            #[inline]
            fn fill(&mut self, batch: &mut TransmitBatch) -> Filled {
                self.fill(batch)
            }

            #[inline]
            fn take_handover(&mut self) -> Option<(RelaySet, Handover<'a>)> {
                self.take_handover()
            }

            fn speaker(&self) -> Option<LegId> {
                $fanout::speaker(self)
            }
        }
    };
}

forwards! { Relay, Fanout }

#[cfg(feature = "record")]
pub(crate) use forwards;
