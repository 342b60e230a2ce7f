//! The voice server as a part of a Tokio application: sockets around [`lvsp_core`].
//!
//! [`Builder`] binds the sockets, [`Server::run`] is the future to spawn, and a [`Handle`] gives
//! orders, hears events and reads figures from anywhere in the application. There is no protocol in
//! this crate: a line that mentions an opcode belongs into the core.
//!
//! ```
//! use lvsp_tokio::lvsp_core::config::Config;
//! use lvsp_tokio::lvsp_core::ids::{ChannelId, UserId};
//! use lvsp_tokio::{Builder, Placement};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! // What voice clients are told. Left open here: a real server names its endpoint, as in
//! // "voice.example.org:443", and its public address.
//! let config = Config::new(String::new(), vec!["127.0.0.1:0".parse()?]);
//! let any: std::net::SocketAddr = "127.0.0.1:0".parse()?;
//! let (server, handle) = Builder::new(config).gateway(any).media(any).bind()?;
//! let server = tokio::spawn(server.run());
//!
//! let (user, channel) = (UserId::try_from(1)?, ChannelId::try_from(2)?);
//! let ticket = handle.place(Placement::new(user, channel)).await?;
//! assert!(ticket.token.is_some() && ticket.endpoint.is_some(), "what the client needs");
//!
//! handle.shutdown();
//! # handle.stop();
//! server.await?;
//! # Ok(()) }) }
//! ```
//!
//! Chat servers connect where [`Builder::control`] says, each with a secret of
//! [`Config::control_clients`](lvsp_core::config::Config::control_clients). Client libraries speak TLS
//! alone: [`Builder::tls`]. [`Handle::explain`] says why one member does not hear another. The core is
//! [re-exported](lvsp_core), so that an application needs no dependency on it.
//!
//! # Features
//!
//! | feature | by default | |
//! |---|---|---|
//! | `tls` | yes | TLS on both listeners, by rustls |
//! | `legacy-modes` | yes | the xsalsa20 transport modes of old client libraries, where the configuration offers them |
//!
//! # What is bounded
//!
//! Each turn of a task does a bounded amount of work of each kind and then yields. Every channel is
//! bounded: orders ([`Builder::request_queue`]) make their senders wait; commands to a relay make
//! the control plane stop reading; events ([`Builder::event_queue`]) are missed by whoever is too
//! slow, by count ([`News::Missed`]). What peers can make grow is bounded by
//! [`Limits`](lvsp_core::limits::Limits).
//!
//! # Cancellation
//!
//! The futures hold everything and spawn nothing. Dropping one closes its sockets; clients see
//! broken connections. [`Handle::shutdown`] says goodbye to them first.
#![forbid(unsafe_code)]

/// Its code is compiled as the examples are.
#[cfg(all(doctest, feature = "tls"))]
#[doc = include_str!("../README.md")]
mod readme {}

mod builder;
mod clock;
mod control;
mod entropy;
mod handle;
mod handovers;
mod listeners;
mod media;
mod ready;
mod recording;
mod server;
mod tcp;
mod udp;

pub use builder::{BuildError, Builder, Listen, Receive};
pub use control::Control;
pub use handle::{
    Addresses, Handle, HandleError, News, Placement, RelayFigures, Stats, Subscription,
};
pub use media::Media;
pub use server::Server;

pub use lvsp_core;
