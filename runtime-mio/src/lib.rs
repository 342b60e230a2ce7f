//! The operators' voice server: a hand-rolled event loop around [`lvsp_core`].
//!
//! One control thread (`control_thread`) owns the listeners, every TCP connection and the
//! `Server`; one media thread for each relay (`media_thread`) owns a UDP socket and a `Relay`.
//! Between them lie bounded queues (`queue`, `handovers`). Work per wake-up is bounded
//! ([`Budgets`]), so that no plane starves another, and counted ([`Watch`]). There is no protocol in
//! this crate: a line that mentions an opcode belongs into the core.
//!
//! [`Runtime::bind`] takes what a configuration file was turned into and [`Runtime::run`] serves
//! until its [`StopHandle`] says otherwise. [`supervision`] ties it to signals, certificate files and
//! the service manager. [`admin`] is what operators and their tools look at. [`demo`] is a host of
//! it, with clients on real sockets; [`load`] is a crowd of clients that measures one.
#![deny(unsafe_code)]

mod accept;
pub mod admin;
mod busyness;
mod capture;
mod certificate;
pub mod clock;
pub mod config;
mod control_thread;
pub mod demo;
pub mod development;
pub mod doctor;
mod entropy;
mod entry;
mod handovers;
pub mod healthcheck;
pub mod host;
mod inherited;
pub mod load;
mod logging;
mod media_thread;
pub mod memory;
mod observer;
mod options;
pub mod peers;
pub mod ports;
pub mod probe;
mod process;
mod progress;
mod pulse;
mod questions;
mod queue;
mod recording;
mod requests;
mod runtime;
mod sockets;
pub mod supervision;
#[allow(unsafe_code, reason = "what the standard library does not offer; the only such folder")]
mod sys;
mod tcp;
mod threads;
mod turns;

pub use certificate::{Certificate, CertificateFiles};
pub use entropy::OsEntropy;
pub use inherited::InheritError;
pub use observer::Observer;
pub use options::{BindError, Options};
pub use progress::Progress;
pub use pulse::Pulse;
pub use requests::StopHandle;
pub use runtime::Runtime;
pub use sockets::{Addresses, Sockets};
pub use turns::{Budgets, MediaTurnStats, TurnStats, Watch, Work};
