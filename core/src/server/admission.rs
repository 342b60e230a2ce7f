//! Who may connect, and who has to go for it.
//!
//! Here: what an address may have of connections that have not identified, and how many of these
//! there may be at all; addresses that guess secrets. Not here: whose address a connection counts
//! under when it comes through a proxy, and who waits for room in a share (`origin`); what becomes
//! of those that are taken (`connection`).
//!
//! Between calls: every connection that has not identified is counted under exactly one address.

use std::net::{IpAddr, SocketAddr};

use super::Server;
use super::connection::Connection;
use crate::ids::Network;
use crate::output::Plane;
use crate::reasons::{CloseReason, Refused};
use crate::time::Timestamp;

/// What an address is counted by, on each plane.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct AddressKey {
    plane: Plane,
    network: Network,
}

impl AddressKey {
    pub(super) fn new(plane: Plane, ip: IpAddr) -> Self {
        Self { plane, network: Network::of(ip) }
    }
}

/// Recent failures of one address to identify on the control plane.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failures {
    count: u64,
    /// When the first of them was; when the last was, once there are as many as are allowed.
    since: Timestamp,
}

impl Server {
    /// Whether the address of a gateway client has room in its share of those that have not
    /// identified ([`unauthenticated_per_address`](crate::limits::Limits::unauthenticated_per_address)).
    /// Who comes without it is refused, or waits with the host ([`Parking`](crate::parking::Parking)).
    /// A trusted proxy always has: its clients wait here for room in their own shares.
    #[must_use]
    pub fn has_room_for(&self, peer: SocketAddr) -> bool {
        let key = AddressKey::new(Plane::Gateway, peer.ip());
        self.is_proxy(Plane::Gateway, peer) || self.has_share_left(key)
    }

    fn unidentified_of(&self, key: AddressKey) -> usize {
        self.unauthenticated.get(&key).copied().unwrap_or(0)
    }

    /// Whether a connection may come. In a crowd of strangers another one has to go for it.
    pub(super) fn admit(
        &mut self,
        now: Timestamp,
        plane: Plane,
        peer: SocketAddr,
    ) -> Result<(), Refused> {
        if !self.takes_connections() {
            return Err(Refused::Draining);
        }
        let key = AddressKey::new(plane, peer.ip());
        if self.has_to_back_off(now, key) {
            self.stats.limits.control_failures += 1;
            return Err(Refused::BackOff);
        }
        let unidentified = if self.is_proxy(plane, peer) { 0 } else { self.unidentified_of(key) };
        let (limits, counts) = (&self.config.limits, &mut self.stats.limits);
        if self.conns.len() >= limits.connections {
            counts.connections += 1;
            return Err(Refused::TooManyConnections);
        }
        let (per_address, per_address_count, total, total_count) = match plane {
            Plane::Control => (
                limits.control_unauthenticated_per_address,
                &mut counts.control_unauthenticated_per_address,
                limits.control_unauthenticated,
                &mut counts.control_unauthenticated,
            ),
            Plane::Gateway => (
                limits.unauthenticated_per_address,
                &mut counts.unauthenticated_per_address,
                limits.unauthenticated,
                &mut counts.unauthenticated,
            ),
        };
        if unidentified >= per_address {
            *per_address_count += 1;
            return Err(Refused::TooManyFromAddress);
        }
        let of_plane = self.unauthenticated.iter().filter(|(other, _)| other.plane == plane);
        if of_plane.map(|(_, count)| count).sum::<usize>() >= total {
            *total_count += 1;
            if !self.evict_idler(now, plane) {
                self.stats.limits.unauthenticated_idle_ms += 1;
                return Err(Refused::TooManyUnauthenticated);
            }
        }
        Ok(())
    }

    /// Drops the connection that has stood still for longest, of the address with the most
    /// connections that have not identified; whether there was one. A connection that moved lately
    /// may be in mid-handshake and stays.
    fn evict_idler(&mut self, now: Timestamp, plane: Plane) -> bool {
        let of_plane = self.unauthenticated.iter().filter(|(key, _)| key.plane == plane);
        let Some(fullest) = of_plane.max_by_key(|(_, count)| **count).map(|(key, _)| *key) else {
            return false;
        };
        let idle_for = self.config.limits.unauthenticated_idle_ms.duration();
        let idle = |connection: &Connection| {
            !connection.authenticated
                && connection.counted == fullest
                && now.since(connection.progressed) >= idle_for
        };
        let candidates = self.conns.iter().filter(|(_, connection)| idle(connection));
        let idlest = candidates.min_by_key(|(_, connection)| connection.progressed);
        let Some(conn) = idlest.map(|(conn, _)| conn) else { return false };
        self.drop_conn(now, conn, CloseReason::Overloaded);
        true
    }

    /// Whether an address, which is no proxy's, has room for one more that has not identified.
    pub(super) fn has_share_left(&self, key: AddressKey) -> bool {
        self.unidentified_of(key) < self.config.limits.unauthenticated_per_address
    }

    /// Counts one who has not identified under its address.
    pub(super) fn count_unauthenticated(&mut self, key: AddressKey) {
        *self.unauthenticated.entry(key).or_default() += 1;
    }

    /// One who had not identified did, or is gone: its place goes to one who waits.
    pub(super) fn release_unauthenticated(&mut self, key: AddressKey) {
        if let Some(count) = self.unauthenticated.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                self.unauthenticated.remove(&key);
            }
        }
        self.seat_next(key);
    }

    /// Whether an address guessed so often lately that it has to wait.
    fn has_to_back_off(&mut self, now: Timestamp, key: AddressKey) -> bool {
        let limits = &self.config.limits;
        let Some(failures) = self.failures.get(&key) else { return false };
        if now.since(failures.since) > limits.control_failures_ms.duration() {
            self.failures.remove(&key);
            return false;
        }
        failures.count >= limits.control_failures
    }

    /// So many failures within the time, and the address is refused for as long from the last of
    /// them on.
    pub(super) fn note_failure(&mut self, now: Timestamp, key: AddressKey) {
        let limits = &self.config.limits;
        let window = limits.control_failures_ms.duration();
        self.failures.retain(|_, failures| now.since(failures.since) <= window);
        if self.failures.len() >= limits.control_failure_addresses
            && !self.failures.contains_key(&key)
        {
            let first = self.failures.iter().min_by_key(|(_, failures)| failures.since);
            if let Some(first) = first.map(|(key, _)| *key) {
                self.failures.remove(&first);
                self.stats.limits.control_failure_addresses += 1;
            }
        }
        let failures = self.failures.entry(key).or_insert(Failures { count: 0, since: now });
        failures.count += 1;
        if failures.count == limits.control_failures {
            failures.since = now;
            self.stats.limits.control_failures_ms += 1;
        }
    }
}
