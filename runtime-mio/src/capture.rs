//! Flight recorders: the headers of one leg's datagrams, for as long as somebody asked for.
//!
//! What is said is never in them: of media the header that is clear on the wire is kept, and how long
//! the datagram was. A media thread of which nothing is recorded pays for a load of a flag for each
//! batch of datagrams. All memory of a recorder is allocated when it begins; when it is full the oldest
//! header goes.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lvsp_core::ids::LegId;
use lvsp_core::media::inspect::clear_bytes;
use lvsp_core::media::{Flights, Relay};
use lvsp_core::time::Timestamp;

/// Recorders at once, over all relays.
pub(crate) const RECORDERS_MAX: usize = 4;
/// Headers that one keeps: those of the last 20 seconds of a talk between two.
pub(crate) const HEADERS_MAX: usize = 2_048;
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
#[derive(Debug, Default)]
pub(crate) struct Recorders {
    on: AtomicBool,
    list: Mutex<Vec<Recording>>,
}

impl Recorders {
    /// Whether anything is recorded.
    #[inline]
    pub(crate) fn are_on(&self) -> bool {
        self.on.load(Ordering::Relaxed)
    }

    /// Notes a datagram that arrived, before it is opened.
    #[cold]
    pub(crate) fn note_received(
        &self,
        relay: &Relay,
        at: Timestamp,
        from: SocketAddr,
        datagram: &[u8],
    ) {
        if let Some(leg) = relay.claimed_leg(from, datagram) {
            let from = SocketAddr::new(from.ip().to_canonical(), from.port());
            self.note(leg, || Header::new(at, from, false, datagram));
        }
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
        for recording in self.lock().iter_mut().filter(|recording| recording.leg == leg) {
            if recording.headers.len() == HEADERS_MAX {
                recording.headers.pop_front();
                recording.lost += 1;
            }
            recording.headers.push_back(header());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Recording>> {
        // A panic ends the process, so nobody sees a list that a panicking thread left.
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts the recorders of all relays.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shelf {
    taken: Arc<AtomicUsize>,
    next: Arc<AtomicUsize>,
}

impl Shelf {
    /// Begins to record a leg; `None` when as many recorders run as may.
    pub(crate) fn begin(&self, recorders: &Arc<Recorders>, leg: LegId) -> Option<Recorder> {
        let more = |taken| (taken < RECORDERS_MAX).then_some(taken + 1);
        self.taken.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).ok()?;
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let headers = VecDeque::with_capacity(HEADERS_MAX);
        let mut list = recorders.lock();
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
        let mut list = self.recorders.lock();
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
