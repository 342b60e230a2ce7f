//! The pure core of a self-hosted voice server for Discord-compatible chat servers.
//!
//! Bytes, datagrams and the current time go in; bytes, datagrams, deadlines and events come out.
//! There is no socket, clock, thread, lock, log line, file or global in this crate: the same
//! inputs, times and entropy give the same outputs. What drives it is a *host*: the `lvsp-mio`
//! binary, an async runtime, a test in virtual time.
//!
//! Two machines do the work. [`server::Server`] owns everything rare and complicated: chat servers
//! (LVSP), voice clients (the voice gateway), channels. [`media::Relay`] owns everything frequent
//! and simple: one UDP socket's packets, opened once and sealed for each receiver. Between them
//! pass plain values, [`media::command::RelayCommand`] and [`media::command::RelayEvent`].
//!
//! # The run loop
//!
//! 1. Wait until a socket is ready or [`server::Server::poll_timeout`] is reached.
//! 2. Take a bounded batch of datagrams from the UDP socket, *then* apply every queued
//!    `RelayCommand`, *then* handle the batch, filling one `TransmitBatch`, and send it.
//! 3. Feed relay events and TCP bytes to the server, unless it
//!    [is behind](server::Server::is_behind), then `handle_timeout`.
//! 4. Take `poll_output` until `None`; queue relay commands at once.
//! 5. Only then write `outbound` bytes: so no datagram meets a relay that has not heard of its
//!    session.
//!
//! [`embedding`] explains each step, and `examples/smallest_host.rs` is a whole host. Applications in
//! Tokio take the crate `lvsp-tokio`, which has the sockets and the loop.
//!
//! # Features
//!
//! | feature | by default | |
//! |---|---|---|
//! | `tls` | yes | TLS inside the core's transport, by rustls |
//! | `legacy-modes` | yes | the four xsalsa20 transport modes of old client libraries, where the configuration offers them |
//! | `ring` | no | the AEAD modes by ring, several times faster than RustCrypto's portable code |
//! | `record` | no | recording what a host feeds to the machines, and replaying it |
#![forbid(unsafe_code)]

/// A page of the documentation: nothing is in it. Its code is compiled as the examples are.
#[cfg(any(doc, doctest))]
#[doc = include_str!("../embedding.md")]
pub mod embedding {}

pub mod client;
pub mod command;
pub mod config;
pub mod crypto;
pub mod entropy;
pub mod explain;
mod gateway;
pub mod ids;
pub mod limits;
mod lvsp;
pub mod media;
pub mod memory;
pub mod output;
pub mod pace;
pub mod parking;
pub mod reasons;
#[cfg(feature = "record")]
pub mod record;
mod replay_log;
pub mod server;
pub mod slab;
pub mod stats;
pub mod time;
mod timers;
pub mod transport;
pub mod wire;
