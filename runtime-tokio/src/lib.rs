//! The voice server as a part of a Tokio application: sockets around [`lvsp_core`].
//!
//! [`Builder`] binds the sockets, [`Server::run`] is the future to spawn, and a [`Handle`] gives
//! orders, hears events and reads figures from anywhere in the application. There is no protocol in
//! this crate: a line that mentions an opcode belongs into the core.
//!
//! ```
//! use lvsp_core::config::{Config, ControlClient};
//! use lvsp_core::crypto::auth::ControlSecret;
//! use lvsp_core::ids::{ChannelId, UserId};
//! use lvsp_tokio::{Builder, Placement};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let secret = ControlSecret::new("at least thirty-two random bytes".to_owned())?;
//! let config = Config {
//!     control_clients: vec![ControlClient::new("default".to_owned(), secret)],
//!     // Port 0: the port that the socket gets. A real server names its public address.
//!     ..Config::new(String::new(), vec!["127.0.0.1:0".parse()?])
//! };
//! let any: std::net::SocketAddr = "127.0.0.1:0".parse()?;
//! let (server, handle) = Builder::new(config).gateway(any).media(any).bind()?;
//! let server = tokio::spawn(server.run());
//!
//! let (user, channel) = (UserId::new(1).unwrap(), ChannelId::new(2).unwrap());
//! let ticket = handle.place(Placement::new(user, channel)).await?;
//! assert!(ticket.token.is_some() && ticket.endpoint.is_some(), "what the client needs");
//!
//! handle.shutdown();
//! # handle.stop();
//! server.await?;
//! # Ok(()) }) }
//! ```
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
