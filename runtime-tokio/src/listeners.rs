//! The listeners: when a connection is accepted, and when it has to wait.
//!
//! A connection that is not accepted waits in the kernel's backlog, where it costs nothing. Gateway
//! connections are taken at the pace of `limits.handshakes_per_s`; chat servers are not kept
//! waiting by clients. Who is over its address's share waits beside the backlog ([`Parking`]), so
//! that others need not wait behind. Not here: who is over it (`Server::has_room_for`).

use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::time::Duration;

use lvsp_core::limits::Limits;
use lvsp_core::output::Plane;
use lvsp_core::parking::{Parking, ParkingCounts};
use lvsp_core::time::Timestamp;
use tokio::net::{TcpListener, TcpStream};

/// After an accept failed, for want of descriptors say, accepting rests for this long.
const REST: Duration = Duration::from_millis(100);
/// Such a failure is logged this often.
const WARNING_INTERVAL: Duration = Duration::from_secs(10);

/// What became of a connection that was taken from a backlog or from those that were parked.
pub(crate) enum Arrival {
    /// It is the server's to judge.
    Come(TcpStream, SocketAddr, Plane),
    /// It waits for room in its address's share, or found no place for that.
    Parked,
}

/// The listeners, until they are closed.
#[derive(Debug)]
pub(crate) struct Listeners {
    open: Vec<(TcpListener, Plane)>,
    /// Which one is asked first in this turn, so that neither keeps the other waiting.
    first: usize,
    parking: Parking<TcpStream>,
    /// No accepting before this.
    rest_until: Timestamp,
    warn_after: Timestamp,
}

impl Listeners {
    pub(crate) fn new(open: Vec<(TcpListener, Plane)>, limits: &Limits) -> Self {
        Self {
            open,
            first: 0,
            parking: Parking::new(limits),
            rest_until: Timestamp::ZERO,
            warn_after: Timestamp::ZERO,
        }
    }

    /// When a connection that has to wait now may be accepted, or something is to be done about
    /// those that are parked; `None` when none has to.
    pub(crate) fn next_at(
        &self,
        now: Timestamp,
        has_room: impl Fn(SocketAddr) -> bool,
    ) -> Option<Timestamp> {
        let due = self.open.iter().map(|(_, plane)| self.due(*plane)).filter(|due| *due > now);
        due.chain(self.parking.next_at(has_room)).min()
    }

    fn due(&self, plane: Plane) -> Timestamp {
        match plane {
            Plane::Control => self.rest_until,
            Plane::Gateway => self.rest_until.max(self.parking.opens_at()),
        }
    }

    /// Begins a turn.
    pub(crate) fn begin_turn(&mut self, now: Timestamp) {
        self.parking.begin_turn(now);
    }

    /// The next connection, if one may come now. Addresses without room in their share have theirs
    /// parked.
    pub(crate) fn accept(
        &mut self,
        now: Timestamp,
        cx: &mut Context<'_>,
        has_room: impl Fn(SocketAddr) -> bool,
    ) -> Option<Arrival> {
        let first = if self.parking.is_first() { self.unpark(now, &has_room) } else { None };
        first
            .or_else(|| self.accept_new(now, cx, &has_room))
            .or_else(|| self.unpark(now, &has_room))
    }

    fn unpark(&mut self, now: Timestamp, has_room: impl Fn(SocketAddr) -> bool) -> Option<Arrival> {
        let (stream, peer) = self.parking.take(now, has_room)?;
        Some(Arrival::Come(stream, peer, Plane::Gateway))
    }

    /// The next connection from a backlog.
    fn accept_new(
        &mut self,
        now: Timestamp,
        cx: &mut Context<'_>,
        has_room: impl Fn(SocketAddr) -> bool,
    ) -> Option<Arrival> {
        for step in 0..self.open.len() {
            let at = (self.first + step) % self.open.len();
            let (listener, plane) = &self.open[at];
            if self.due(*plane) > now {
                continue;
            }
            match listener.poll_accept(cx) {
                Poll::Ready(Ok((stream, peer))) => {
                    let plane = *plane;
                    self.first = (at + 1) % self.open.len();
                    if plane == Plane::Control {
                        return Some(Arrival::Come(stream, peer, plane));
                    }
                    let passed = self.parking.pass(now, peer, stream, has_room(peer));
                    return Some(
                        passed.map_or(Arrival::Parked, |stream| Arrival::Come(stream, peer, plane)),
                    );
                }
                Poll::Ready(Err(error)) => {
                    // Either that connection is gone already, or there are no descriptors: nothing
                    // that asking again at once would help. One who is parked gives up its own.
                    self.rest_until = now + REST;
                    self.parking.turn_one_away();
                    if now >= self.warn_after {
                        self.warn_after = now + WARNING_INTERVAL;
                        tracing::warn!(%error, "cannot accept a connection");
                    }
                    return None;
                }
                Poll::Pending => {}
            }
        }
        None
    }

    /// How many connections were over their address's share, since this was last asked.
    pub(crate) fn take_parked(&mut self) -> ParkingCounts {
        self.parking.take_counts()
    }

    /// An accepted connection is wanted. Others do not count for the pace: a stranger who is
    /// refused or parked a thousand times a second does not keep others waiting.
    pub(crate) fn note_opened(&mut self, now: Timestamp, plane: Plane) {
        if plane == Plane::Gateway {
            self.parking.note_opened(now);
        }
    }

    /// Closes all: the ports can be opened again. Who waits in a backlog or is parked is turned away.
    pub(crate) fn close(&mut self) {
        self.open.clear();
        self.parking.clear();
    }
}
