//! Flight recorders: the headers of one leg's datagrams, of what arrived a moment ago and of everything
//! for as long as somebody asked for.
//!
//! What is said is never in them: of media the header that is clear on the wire is kept, and how long
//! the datagram was. A media thread always keeps the headers of what arrived last, whoever of its
//! members sent it: one for each datagram and none for its copies, so that this costs next to nothing.
//! Copies are noted while a recorder runs. All memory is allocated at once; when it is full the oldest
//! header goes.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use lvsp_core::ids::LegId;
use lvsp_core::media::inspect::clear_bytes;
use lvsp_core::media::{Flights, Relay};
use lvsp_core::time::Timestamp;

use crate::threads::lock;

/// Recorders at once, over all relays.
pub(crate) const RECORDERS_MAX: usize = 4;
/// Headers that one keeps: those of the last 20 seconds of a talk between two.
pub(crate) const HEADERS_MAX: usize = 2_048;
/// Headers of what arrived last that each relay keeps: 8 seconds of ten who talk.
pub(crate) const PAST_MAX: usize = 4_096;
/// The longest clear header: that of RTP with 15 CSRCs and an extension.
const CLEAR_MAX: usize = 76;

/// The header of one datagram.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Header {
    /// When it arrived, or left.
    pub(crate) at: Timestamp,
    /// The client's end.
    pub(crate) peer: SocketAddr,
    /// Whether the server sent it.
    pub(crate) outgoing: bool,
    /// How long it was.
    pub(crate) length: u16,
    clear: [u8; CLEAR_MAX],
    clear_length: u8,
}

impl Header {
    fn new(at: Timestamp, peer: SocketAddr, outgoing: bool, datagram: &[u8]) -> Self {
        let kept = clear_bytes(datagram).min(datagram.len()).min(CLEAR_MAX);
        let mut clear = [0; CLEAR_MAX];
        clear[..kept].copy_from_slice(&datagram[..kept]);
        let length = u16::try_from(datagram.len()).unwrap_or(u16::MAX);
        let clear_length = u8::try_from(kept).unwrap_or(u8::MAX);
        Self { at, peer, outgoing, length, clear, clear_length }
    }

    /// Its bytes that are clear on the wire.
    pub(crate) fn clear(&self) -> &[u8] {
        &self.clear[..usize::from(self.clear_length)]
    }
}

/// What one recorder has seen.
#[derive(Debug)]
struct Recording {
    number: usize,
    leg: LegId,
    headers: VecDeque<Header>,
    /// Headers that made room for others.
    lost: u64,
}

/// The recorders of one media thread.
#[derive(Debug)]
pub(crate) struct Recorders {
    on: AtomicBool,
    list: Mutex<Vec<Recording>>,
    /// What arrived last.
    past: Mutex<VecDeque<(LegId, Header)>>,
}

impl Default for Recorders {
    fn default() -> Self {
        let past = Mutex::new(VecDeque::with_capacity(PAST_MAX));
        Self { on: AtomicBool::default(), list: Mutex::default(), past }
    }
}

impl Recorders {
    /// Whether a recorder runs.
    #[inline]
    pub(crate) fn are_on(&self) -> bool {
        self.on.load(Ordering::Relaxed)
    }

    /// Notes a datagram that arrived, before it is opened. Strangers' are not kept: they would drive
    /// everything else out.
    pub(crate) fn note_received(
        &self,
        relay: &Relay,
        at: Timestamp,
        from: SocketAddr,
        datagram: &[u8],
    ) {
        let Some(leg) = relay.claimed_leg(from, datagram) else { return };
        let from = SocketAddr::new(from.ip().to_canonical(), from.port());
        let header = Header::new(at, from, false, datagram);
        if self.are_on() {
            self.note(leg, || header);
        }
        self.keep(leg, header);
    }

    fn keep(&self, leg: LegId, header: Header) {
        let mut past = lock(&self.past);
        if past.len() == PAST_MAX {
            past.pop_front();
        }
        past.push_back((leg, header));
    }

    /// What a leg sent lately, as far as it is kept, in memory for a whole recording.
    fn past_of(&self, leg: LegId) -> VecDeque<Header> {
        let mut headers = VecDeque::with_capacity(HEADERS_MAX);
        let past = lock(&self.past);
        let newest_first = past.iter().rev().filter(|(of, _)| *of == leg);
        for (_, header) in newest_first.take(HEADERS_MAX) {
            headers.push_front(*header);
        }
        headers
    }

    /// Notes so many flights, from the front, that the socket took.
    #[cold]
    pub(crate) fn note_sent(&self, at: Timestamp, flights: Flights<'_>, count: usize) {
        for flight in flights.take(count) {
            for datagram in flight.datagrams() {
                self.note(flight.leg(), || Header::new(at, flight.address(), true, datagram));
            }
        }
    }

    fn note(&self, leg: LegId, header: impl Fn() -> Header) {
        for recording in lock(&self.list).iter_mut().filter(|recording| recording.leg == leg) {
            if recording.headers.len() == HEADERS_MAX {
                recording.headers.pop_front();
                recording.lost += 1;
            }
            recording.headers.push_back(header());
        }
    }
}

/// Counts the recorders of all relays.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shelf {
    taken: Arc<AtomicUsize>,
    next: Arc<AtomicUsize>,
}

impl Shelf {
    /// Begins to record a leg, with what it sent lately; `None` when as many recorders run as may.
    pub(crate) fn begin(&self, recorders: &Arc<Recorders>, leg: LegId) -> Option<Recorder> {
        let more = |taken| (taken < RECORDERS_MAX).then_some(taken + 1);
        self.taken.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).ok()?;
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        // Held from before it is copied, so that nothing that arrives meanwhile is left out.
        let mut list = lock(&recorders.list);
        let headers = recorders.past_of(leg);
        list.push(Recording { number, leg, headers, lost: 0 });
        recorders.on.store(true, Ordering::Relaxed);
        drop(list);
        Some(Recorder { number, recorders: Arc::clone(recorders), shelf: self.clone() })
    }
}

/// A recorder that runs; dropping it ends it.
#[derive(Debug)]
pub(crate) struct Recorder {
    number: usize,
    recorders: Arc<Recorders>,
    shelf: Shelf,
}

impl Recorder {
    /// What it has seen, oldest first, and how many headers before that were lost.
    pub(crate) fn finish(self) -> (Vec<Header>, u64) {
        let taken = self.take();
        taken.map_or_else(|| (Vec::new(), 0), |taken| (taken.headers.into(), taken.lost))
    }

    fn take(&self) -> Option<Recording> {
        let mut list = lock(&self.recorders.list);
        let at = list.iter().position(|recording| recording.number == self.number)?;
        let taken = list.swap_remove(at);
        self.recorders.on.store(!list.is_empty(), Ordering::Relaxed);
        Some(taken)
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.take();
        self.shelf.taken.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use lvsp_core::slab::Slab;

    use super::*;

    fn datagram(sequence: u8, length: usize) -> Vec<u8> {
        let mut datagram = vec![0xEE; length];
        datagram[..12].copy_from_slice(&[0x80, 120, 0, sequence, 0, 0, 0, 0, 0, 0, 0, 4]);
        datagram
    }

    #[test]
    fn a_header_holds_nothing_of_what_is_said() {
        let peer = SocketAddr::from(([192, 0, 2, 1], 5_000));
        let header = Header::new(Timestamp::ZERO, peer, true, &datagram(1, 300));
        assert_eq!((header.length, header.clear()), (300, &datagram(1, 12)[..]));
        let mut with_extension = datagram(1, 300);
        with_extension[0] = 0x9F;
        let header = Header::new(Timestamp::ZERO, peer, true, &with_extension);
        assert_eq!(header.clear().len(), 12 + 4 * 15 + 4);
        let stranger = Header::new(Timestamp::ZERO, peer, false, &[1; 300]);
        assert_eq!((stranger.length, stranger.clear()), (300, &[][..]));
    }

    #[test]
    fn a_recorder_keeps_the_newest_headers_of_its_leg_alone_and_ends() {
        let (shelf, recorders) = (Shelf::default(), Arc::new(Recorders::default()));
        let mut legs = Slab::<LegId, ()>::default();
        let (one, other) = (legs.insert(()), legs.insert(()));
        assert!(!recorders.are_on());
        let recorder = shelf.begin(&recorders, one).unwrap();
        assert!(recorders.are_on());
        let peer = SocketAddr::from(([192, 0, 2, 1], 5_000));
        let header = |n: u64| Header::new(Timestamp::from_micros(n), peer, true, &datagram(1, 99));
        recorders.note(other, || header(0));
        for number in 0..HEADERS_MAX as u64 + 3 {
            recorders.note(one, || header(number));
        }
        let (headers, lost) = recorder.finish();
        assert_eq!((headers.len(), lost), (HEADERS_MAX, 3));
        assert_eq!(headers[0], header(3));
        assert!(!recorders.are_on());
    }

    #[test]
    fn what_arrived_before_it_was_asked_for_is_there_as_far_as_there_is_room() {
        let (shelf, recorders) = (Shelf::default(), Arc::new(Recorders::default()));
        let mut legs = Slab::<LegId, ()>::default();
        let (one, other) = (legs.insert(()), legs.insert(()));
        let peer = SocketAddr::from(([192, 0, 2, 1], 5_000));
        let header = |n: u64| Header::new(Timestamp::from_micros(n), peer, false, &datagram(1, 99));
        for number in 0..PAST_MAX as u64 {
            recorders.keep(if number % 1_024 == 0 { one } else { other }, header(number));
        }
        let recorder = shelf.begin(&recorders, one).unwrap();
        recorders.note(one, || header(9_999));
        let seen =
            |headers: Vec<Header>| headers.iter().map(|h| h.at.as_micros()).collect::<Vec<_>>();
        assert_eq!(seen(recorder.finish().0), [0, 1_024, 2_048, 3_072, 9_999]);
        recorders.keep(other, header(5_000));
        assert_eq!(seen(shelf.begin(&recorders, one).unwrap().finish().0), [1_024, 2_048, 3_072]);
        let busy = shelf.begin(&recorders, other).unwrap().finish().0;
        assert_eq!((busy.len(), busy.last()), (HEADERS_MAX, Some(&header(5_000))));
    }

    #[test]
    fn so_many_recorders_run_at_once_and_one_that_is_dropped_makes_room() {
        let (shelf, recorders) = (Shelf::default(), Arc::new(Recorders::default()));
        let leg = Slab::<LegId, ()>::default().insert(());
        let mut running: Vec<_> =
            (0..RECORDERS_MAX).map(|_| shelf.begin(&recorders, leg).unwrap()).collect();
        assert!(shelf.begin(&recorders, leg).is_none());
        running.pop();
        running.push(shelf.begin(&recorders, leg).unwrap());
        running.clear();
        assert!(!recorders.are_on());
    }
}
