//! The listeners: when a connection is accepted, and when it has to wait.
//!
//! A connection that is not accepted waits in the kernel's backlog, where it costs nothing. Gateway
//! connections wait for their turn in a second and for a descriptor; chat servers wait for neither,
//! so that clients cannot keep them out. Who is over its address's share waits beside the backlog
//! ([`Parking`]): there is one backlog for all addresses, so others would wait behind.
//!
//! Not here: who is over it (`Server::has_room_for`), and how many are taken in one turn
//! (`control_thread`).

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use lvsp_core::limits::Limits;
use lvsp_core::output::Plane;
use lvsp_core::parking::{Parking, ParkingCounts};
use lvsp_core::time::Timestamp;
use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};

/// After the process ran out of descriptors, accepting rests for this long.
const REST: Duration = Duration::from_millis(100);
/// A lack of descriptors is logged this often.
const WARNING_INTERVAL: Duration = Duration::from_secs(10);
/// Descriptors that are kept from gateway connections: for chat servers, media, files and signals.
const SPARE_DESCRIPTORS: usize = 256;
/// Gateway connections that are taken however few descriptors there are.
const CONNECTIONS_MIN: usize = 16;

/// How many gateway connections there may be at once where a process may have so many descriptors.
pub(crate) fn connections_max(descriptors: usize) -> usize {
    descriptors.saturating_sub(SPARE_DESCRIPTORS).max(CONNECTIONS_MIN)
}

/// How many descriptors a process needs for so many gateway connections.
pub(crate) const fn descriptors_for(connections: usize) -> usize {
    connections.saturating_add(SPARE_DESCRIPTORS)
}

struct Listener {
    socket: TcpListener,
    plane: Plane,
    /// Whether its backlog may hold a connection.
    ready: bool,
}

/// What became of a connection that was taken from a backlog or from those that were parked.
pub(crate) enum Arrival {
    /// It is the server's to judge.
    Come(TcpStream, SocketAddr, Plane),
    /// It waits for room in its address's share, or found no place for that.
    Parked,
}

/// Both listeners, until they are closed.
pub(crate) struct Listeners {
    open: Vec<Listener>,
    /// Which one is asked first in this turn, so that neither keeps the other waiting.
    first: usize,
    /// Whether a gateway connection may have been kept waiting by the pace.
    held_back: bool,
    /// Connections that were, since that was last asked.
    paced: u64,
    gateway_connections: usize,
    connections_max: usize,
    parking: Parking<TcpStream>,
    /// No accepting before this.
    rest_until: Timestamp,
    warn_after: Timestamp,
    /// A descriptor to let go of when there is no other.
    reserve: Option<File>,
}

impl Listeners {
    /// Watches both; the token of each is its position here.
    pub(crate) fn new(
        registry: &Registry,
        sockets: [(TcpListener, Plane, Token); 2],
        limits: &Limits,
        connections_max: usize,
    ) -> io::Result<Self> {
        let mut open = Vec::new();
        for (mut socket, plane, token) in sockets {
            registry.register(&mut socket, token, Interest::READABLE)?;
            open.push(Listener { socket, plane, ready: true });
        }
        let mut parking = Parking::new(limits);
        parking.set_places(connections_max);
        Ok(Self {
            open,
            first: 0,
            held_back: false,
            paced: 0,
            gateway_connections: 0,
            connections_max,
            parking,
            rest_until: Timestamp::ZERO,
            warn_after: Timestamp::ZERO,
            reserve: reserve(),
        })
    }

    /// The poll said that the listener of this plane has connections.
    pub(crate) fn note_ready(&mut self, plane: Plane) {
        for listener in self.open.iter_mut().filter(|listener| listener.plane == plane) {
            listener.ready = true;
        }
    }

    /// When the next connection may be accepted, if one may be waiting, or something is to be done
    /// about those that are parked.
    pub(crate) fn next_at(&self, has_room: impl Fn(SocketAddr) -> bool) -> Option<Timestamp> {
        let due = self.open.iter().filter_map(|listener| self.due(listener));
        due.chain(self.parking.next_at(has_room)).min()
    }

    /// When this listener may be asked.
    fn due(&self, listener: &Listener) -> Option<Timestamp> {
        let is_full = self.gateway_connections >= self.connections_max;
        match listener.plane {
            _ if !listener.ready => None,
            Plane::Control => Some(self.rest_until),
            Plane::Gateway if is_full => None,
            Plane::Gateway => Some(self.rest_until.max(self.parking.opens_at())),
        }
    }

    /// Begins a turn: the other listener is asked first.
    pub(crate) fn begin_turn(&mut self, now: Timestamp) {
        self.first ^= 1;
        self.parking.begin_turn(now);
    }

    /// The next connection, if one may come now. Addresses without room in their share have theirs
    /// parked.
    pub(crate) fn accept(
        &mut self,
        now: Timestamp,
        has_room: impl Fn(SocketAddr) -> bool,
    ) -> Option<Arrival> {
        let first = if self.parking.is_first() { self.unpark(now, &has_room) } else { None };
        first.or_else(|| self.accept_new(now, &has_room)).or_else(|| self.unpark(now, &has_room))
    }

    fn unpark(&mut self, now: Timestamp, has_room: impl Fn(SocketAddr) -> bool) -> Option<Arrival> {
        let (stream, peer) = self.parking.take(now, has_room)?;
        Some(Arrival::Come(stream, peer, Plane::Gateway))
    }

    /// The next connection from a backlog.
    fn accept_new(
        &mut self,
        now: Timestamp,
        has_room: impl Fn(SocketAddr) -> bool,
    ) -> Option<Arrival> {
        for step in 0..self.open.len() {
            let at = (self.first + step) % self.open.len();
            while self.due(&self.open[at]).is_some_and(|due| due <= now) {
                let listener = &mut self.open[at];
                match listener.socket.accept() {
                    Ok((stream, peer)) => {
                        if listener.plane == Plane::Control {
                            return Some(Arrival::Come(stream, peer, Plane::Control));
                        }
                        self.paced += u64::from(std::mem::take(&mut self.held_back));
                        let passed = self.parking.pass(now, peer, stream, has_room(peer));
                        return Some(passed.map_or(Arrival::Parked, |stream| {
                            Arrival::Come(stream, peer, Plane::Gateway)
                        }));
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        listener.ready = false;
                        self.held_back &= listener.plane == Plane::Control;
                    }
                    Err(error) if is_exhausted(&error) => {
                        self.turn_away(now, at, &error);
                        return None;
                    }
                    // That connection is gone already. One error ends the turn: there may be many.
                    Err(error) => {
                        tracing::debug!(%error, "accepting");
                        return None;
                    }
                }
            }
            let listener = &self.open[at];
            let has_room = self.gateway_connections < self.connections_max;
            let waits = listener.ready && has_room && self.parking.opens_at() > now;
            self.held_back |= listener.plane == Plane::Gateway && waits;
        }
        None
    }

    /// How many connections were kept waiting by the pace, since this was last asked.
    pub(crate) const fn take_paced(&mut self) -> u64 {
        std::mem::replace(&mut self.paced, 0)
    }

    /// How many connections were over their address's share, since this was last asked.
    pub(crate) fn take_parked(&mut self) -> ParkingCounts {
        self.parking.take_counts()
    }

    /// An accepted connection is wanted. Others do not count for the pace: a stranger who is
    /// refused or parked a thousand times a second does not keep others waiting.
    pub(crate) fn note_opened(&mut self, now: Timestamp, plane: Plane) {
        if plane == Plane::Gateway {
            self.gateway_connections += 1;
            self.share_descriptors();
            self.parking.note_opened(now);
            if self.gateway_connections == self.connections_max && self.may_warn(now) {
                let connections = self.connections_max;
                tracing::warn!(connections, "newcomers wait; raise the limit of open files");
            }
        }
    }

    /// A connection that was wanted is over.
    pub(crate) fn note_closed(&mut self, plane: Plane) {
        if plane == Plane::Gateway {
            self.gateway_connections = self.gateway_connections.saturating_sub(1);
            self.share_descriptors();
        }
    }

    /// Who is parked has the descriptors that connections leave.
    fn share_descriptors(&mut self) {
        self.parking.set_places(self.connections_max.saturating_sub(self.gateway_connections));
    }

    /// Closes both: the next process can open them, and who waits in a backlog or is parked is turned
    /// away. Where a service manager holds them too, who is in a backlog waits for the next process.
    pub(crate) fn close(&mut self, registry: &Registry) {
        for mut listener in self.open.drain(..) {
            if let Err(error) = registry.deregister(&mut listener.socket) {
                tracing::debug!(%error, "closing a listener");
            }
        }
        self.parking.clear();
    }

    /// Out of descriptors: whoever waited longest learns it at once, by the reserved descriptor.
    /// One who is parked gives up its own.
    fn turn_away(&mut self, now: Timestamp, at: usize, error: &io::Error) {
        self.rest_until = now + REST;
        self.parking.turn_one_away();
        if self.reserve.take().is_some() {
            drop(self.open[at].socket.accept());
        }
        self.reserve = reserve();
        if self.may_warn(now) {
            tracing::warn!(%error, "cannot accept connections; raise the limit of open files");
        }
    }

    fn may_warn(&mut self, now: Timestamp) -> bool {
        let may = now >= self.warn_after;
        if may {
            self.warn_after = now + WARNING_INTERVAL;
        }
        may
    }
}

fn reserve() -> Option<File> {
    File::open("/dev/null").ok()
}

fn is_exhausted(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_descriptors_are_kept_for_everything_else() {
        assert_eq!(connections_max(20_000), 19_744);
        assert_eq!(connections_max(64), 16);
        assert_eq!(connections_max(usize::MAX), usize::MAX - 256);
    }

    /// Listeners on free ports, and where they listen: control, gateway.
    fn listeners(poll: &mio::Poll, per_s: u64, most: usize) -> (Listeners, [SocketAddr; 2]) {
        let sockets = [Plane::Control, Plane::Gateway].map(|plane| {
            let socket = TcpListener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
            (socket, plane, Token(plane as usize))
        });
        let addresses = [&sockets[0].0, &sockets[1].0].map(|s| s.local_addr().unwrap());
        let limits = Limits { handshakes_per_s: per_s, ..Limits::default() };
        (Listeners::new(poll.registry(), sockets, &limits, most).unwrap(), addresses)
    }

    /// The planes of those who come now, when addresses have room in their share or not.
    fn come(listeners: &mut Listeners, now: Timestamp, has_room: bool) -> Vec<Plane> {
        let mut planes = Vec::new();
        while let Some(arrival) = listeners.accept(now, |_| has_room) {
            if let Arrival::Come(_, _, plane) = arrival {
                listeners.note_opened(now, plane);
                planes.push(plane);
            }
        }
        planes
    }

    #[test]
    fn who_is_parked_comes_at_the_pace_and_leaves_descriptors_to_others() {
        let poll = mio::Poll::new().unwrap();
        let (mut listeners, [control, gateway]) = listeners(&poll, 1, 3);
        let _peers: Vec<_> = [gateway, gateway, gateway, gateway, control]
            .map(|address| std::net::TcpStream::connect(address).unwrap())
            .into();
        let at = Timestamp::from_millis;
        assert_eq!(come(&mut listeners, at(10_000), false), [Plane::Control]);
        let counts = ParkingCounts { over_share: 4, turned_away: 1, too_late: 0 };
        assert_eq!(listeners.take_parked(), counts, "there are descriptors for three");
        assert_eq!(
            listeners.next_at(|_| false),
            Some(at(25_000)),
            "when they have waited for long"
        );
        assert_eq!(listeners.next_at(|_| true), Some(Timestamp::ZERO), "at once, by the pace");
        assert_eq!(come(&mut listeners, at(10_001), true), [Plane::Gateway]);
        assert_eq!(come(&mut listeners, at(10_002), true), [], "the pace is one a second");
        assert_eq!(listeners.next_at(|_| true), Some(at(10_991)));
        // Another one comes who was not parked, and needs a descriptor.
        listeners.note_opened(at(10_002), Plane::Gateway);
        assert_eq!(listeners.take_parked().turned_away, 1);
        assert_eq!(listeners.parking.len(), 1);
        listeners.close(poll.registry());
        assert!(listeners.parking.is_empty(), "nobody waits for a server that takes nobody");
    }

    #[test]
    fn gateway_connections_wait_for_their_pace_and_for_room_and_chat_servers_for_neither() {
        let poll = mio::Poll::new().unwrap();
        let (mut listeners, [control, gateway]) = listeners(&poll, 1, 2);
        let _peers: Vec<_> = [control, control, gateway, gateway, gateway]
            .map(|address| std::net::TcpStream::connect(address).unwrap())
            .into();
        let mut take = |now: u64| {
            let now = Timestamp::from_millis(now);
            (come(&mut listeners, now, true), listeners.next_at(|_| true))
        };
        let (planes, next) = take(10_000);
        assert_eq!(planes, [Plane::Control, Plane::Control, Plane::Gateway]);
        assert_eq!(next, Some(Timestamp::from_millis(10_990)), "a second, less the slack");
        assert_eq!(take(10_500).0, []);
        assert_eq!(take(11_000), (vec![Plane::Gateway], None), "there is room for two");
        assert_eq!(listeners.take_paced(), 1, "the second one had to wait");
        listeners.note_closed(Plane::Gateway);
        assert_eq!(come(&mut listeners, Timestamp::from_millis(20_000), true), [Plane::Gateway]);
        assert_eq!(listeners.take_paced(), 0, "this one waited for room");
    }

    #[test]
    fn closed_listeners_accept_nothing_and_leave_their_ports() {
        let poll = mio::Poll::new().unwrap();
        let (mut listeners, addresses) = listeners(&poll, 1, 1);
        let _waiting = std::net::TcpStream::connect(addresses[1]).unwrap();
        listeners.close(poll.registry());
        listeners.begin_turn(Timestamp::from_millis(1));
        assert_eq!(come(&mut listeners, Timestamp::from_millis(1), true), []);
        assert_eq!(listeners.next_at(|_| true), None);
        for address in addresses {
            TcpListener::bind(address).unwrap();
        }
    }
}
