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

pub use lvsp_core::client::Role;

pub use payload::Payload;
pub use sockets::{Connection, Socket};
