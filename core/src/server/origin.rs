//! Where connections come from: their peer's address, or what a trusted proxy says.
//!
//! A proxy's connections are many clients'. Until it has said whose one is, it is counted under the
//! proxy, which has no share of its own that could be used up. Then it is counted under the client's
//! address, and has to wait for room in that one's share: nothing more of it is looked at, and it has
//! [`upgrade_ms`](crate::limits::Limits::upgrade_ms) for that. Who connects by itself waits in the
//! same way, but with the host ([`Parking`](crate::parking::Parking)), before the server sees it.
//!
//! Invariant: a connection that waits stands in the queue of the address that it waits for.

use std::net::{IpAddr, SocketAddr};

use super::Server;
use super::admission::AddressKey;
use super::deadlines::Timer;
use crate::config::ClientAddress;
use crate::ids::ConnId;
use crate::output::{Event, Plane};
use crate::reasons::CloseReason;
use crate::transport::{Transport, TransportConfig};

/// What is known of where a connection comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Origin {
    /// From its peer.
    Peer,
    /// From a proxy that has not said whose it is, or cannot.
    Proxy,
    /// From there, by a proxy's word.
    Client(IpAddr),
}

impl Origin {
    /// The client's address, where it says something about the client: one of a private network,
    /// or that of a proxy, does not.
    pub(super) fn telling_address(self, peer: SocketAddr) -> Option<IpAddr> {
        let ip = match self {
            Self::Peer => peer.ip(),
            Self::Client(ip) => ip,
            Self::Proxy => return None,
        };
        let ip = ip.to_canonical();
        let private = match ip {
            IpAddr::V4(v4) => v4.is_loopback() || v4.is_private() || v4.is_link_local(),
            IpAddr::V6(v6) => {
                v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local()
            }
        };
        (!private).then_some(ip)
    }
}

impl Server {
    /// Whether the peer of a connection is a proxy that is believed.
    pub(super) fn is_proxy(&self, plane: Plane, peer: SocketAddr) -> bool {
        plane == Plane::Gateway && self.proxies.trusts(peer.ip())
    }

    /// The transport of a new connection, and whose it is as far as that is known.
    pub(super) fn transport_of(
        &self,
        plane: Plane,
        peer: SocketAddr,
        config: TransportConfig,
    ) -> (Transport, Origin) {
        let tls = self.tls.as_ref();
        if self.is_proxy(plane, peer) {
            (Transport::accept_from(&self.proxies, tls, config), Origin::Proxy)
        } else {
            (Transport::accept(tls, config), Origin::Peer)
        }
    }

    /// A proxy said whose a connection is, or that it cannot say.
    pub(super) fn client_said(&mut self, conn: ConnId, client: Option<IpAddr>) {
        let Some(connection) = self.conns.get_mut(conn) else { return };
        let Some(ip) = client else {
            connection.transport.proceed();
            self.stats.proxied_silent += 1;
            // By the PROXY protocol that is an answer: so a proxy looks whether we are well.
            if self.proxies.client_address != ClientAddress::ProxyProtocol {
                let proxy = connection.peer;
                self.event(Event::ProxySilent { proxy });
            }
            return;
        };
        connection.origin = Origin::Client(ip);
        self.stats.proxied_named += 1;
        if self.proxies.trusts(ip) {
            // Somebody on a proxy's own host: it goes on as one of the proxy's.
            connection.transport.proceed();
            return;
        }
        let key = AddressKey::new(connection.plane, ip);
        if self.has_share_left(key) && !self.waiting.contains_key(&key) {
            self.seat(conn, key);
            return;
        }
        if let Some(connection) = self.conns.get_mut(conn) {
            connection.waits_for = Some(key);
        }
        self.waiting.entry(key).or_default().push_back(conn);
        self.stats.limits.unauthenticated_per_address += 1;
    }

    /// A proxy's connection was ended for how it began.
    pub(super) fn note_refused_proxy(&mut self, conn: ConnId, reason: CloseReason) {
        let of_proxy = matches!(
            reason,
            CloseReason::UntrustedProxy
                | CloseReason::BadProxyHeader
                | CloseReason::ProxyHeaderTooBig
        );
        if let Some(connection) = self.conns.get(conn).filter(|_| of_proxy) {
            let proxy = connection.peer;
            self.stats.proxied_refused += 1;
            self.event(Event::ProxyRefused { proxy, reason });
        }
    }

    /// Gives one who waits the place that became free at this address.
    pub(super) fn seat_next(&mut self, key: AddressKey) {
        if !self.has_share_left(key) {
            return;
        }
        let Some(queue) = self.waiting.get_mut(&key) else { return };
        let next = queue.pop_front();
        if queue.is_empty() {
            self.waiting.remove(&key);
        }
        let Some(conn) = next else { return };
        let now = self.now;
        if let Some(connection) = self.conns.get_mut(conn) {
            connection.waits_for = None;
            // It begins now, as one that waited with the host does.
            connection.accepted = now;
        }
        self.seat(conn, key);
        // Not from here: what it has to say may end it, which makes place for the next one.
        self.timers.set(Timer::Unheard(conn), now);
        self.overdue = true;
    }

    /// Takes one who waits from its queue: it is over.
    pub(super) fn give_up_waiting(&mut self, conn: ConnId, key: AddressKey) {
        if let Some(queue) = self.waiting.get_mut(&key) {
            queue.retain(|other| *other != conn);
            if queue.is_empty() {
                self.waiting.remove(&key);
            }
        }
    }

    /// Counts a connection under its client's address from here on, and lets it go on.
    fn seat(&mut self, conn: ConnId, key: AddressKey) {
        let Some(connection) = self.conns.get_mut(conn) else { return };
        connection.transport.proceed();
        let before = std::mem::replace(&mut connection.counted, key);
        if !connection.authenticated {
            self.count_unauthenticated(key);
            self.release_unauthenticated(before);
        }
    }
}
