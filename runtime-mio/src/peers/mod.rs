//! The client roles of [`lvsp_core::client`] on real sockets: for the demonstration, and for tests
//! that attack or break a server from outside.
//!
//! Decided here: how bytes and datagrams move between a role and its sockets. Not here: what they
//! mean (the roles), and when they move: whoever drives a role has its own poll, for one role
//! (`demo`) or for hundreds.
//!
//! Readiness is edge-triggered, so [`Connection::read`] and [`Socket::read`] go on until there is
//! nothing left, and may be called at any time.

mod payload;
mod sockets;

pub use payload::Payload;
pub use sockets::{Connection, Socket};

use std::net::SocketAddr;

use lvsp_core::client::{ChatServer, VoiceClient};
use lvsp_core::time::Timestamp;

/// What the client roles have in common.
pub trait Role {
    /// Takes bytes of the TCP connection.
    fn handle_bytes(&mut self, now: Timestamp, bytes: &[u8]);
    /// Takes the end of the TCP connection.
    fn handle_eof(&mut self, now: Timestamp);
    /// Does what is due.
    fn handle_timeout(&mut self, now: Timestamp);
    /// Bytes to write to the TCP connection.
    fn outbound(&self) -> &[u8];
    /// Says that the first `written` of them were written.
    fn consume(&mut self, written: usize);
    /// When [`Self::handle_timeout`] should be called.
    fn poll_timeout(&self) -> Option<Timestamp>;

    /// Takes a datagram. Only a role with a UDP socket has something to do here.
    fn handle_datagram(&mut self, _packet: &mut [u8]) {}

    /// The next datagram to send, and where to.
    fn poll_transmit(&mut self) -> Option<(SocketAddr, Vec<u8>)> {
        None
    }
}

impl Role for ChatServer {
    fn handle_bytes(&mut self, now: Timestamp, bytes: &[u8]) {
        self.handle_bytes(now, bytes);
    }

    fn handle_eof(&mut self, now: Timestamp) {
        self.handle_eof(now);
    }

    fn handle_timeout(&mut self, now: Timestamp) {
        self.handle_timeout(now);
    }

    fn outbound(&self) -> &[u8] {
        self.outbound()
    }

    fn consume(&mut self, written: usize) {
        self.consume(written);
    }

    fn poll_timeout(&self) -> Option<Timestamp> {
        self.poll_timeout()
    }
}

impl Role for VoiceClient {
    fn handle_bytes(&mut self, now: Timestamp, bytes: &[u8]) {
        self.handle_bytes(now, bytes);
    }

    fn handle_eof(&mut self, now: Timestamp) {
        self.handle_eof(now);
    }

    fn handle_timeout(&mut self, now: Timestamp) {
        self.handle_timeout(now);
    }

    fn outbound(&self) -> &[u8] {
        self.outbound()
    }

    fn consume(&mut self, written: usize) {
        self.consume(written);
    }

    fn poll_timeout(&self) -> Option<Timestamp> {
        self.poll_timeout()
    }

    fn handle_datagram(&mut self, packet: &mut [u8]) {
        self.handle_datagram(packet);
    }

    fn poll_transmit(&mut self) -> Option<(SocketAddr, Vec<u8>)> {
        self.poll_transmit()
    }
}
