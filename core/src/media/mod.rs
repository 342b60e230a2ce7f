//! The media plane: one [`relay::Relay`] per UDP socket opens each packet once and seals a copy
//! for every other leg of its room.
//!
//! The host's loop at a relay, in this order:
//!
//! 1. take a batch of datagrams from the socket;
//! 2. apply every queued [`command::RelayCommand`], so that no datagram meets a relay that has not
//!    yet heard of its session;
//! 3. hand each datagram to [`relay::Relay::handle_datagram`] and fill the
//!    [`fanout::Fanout`] into a [`batch::TransmitBatch`]; send and clear the batch when it is full,
//!    and at the end of the turn ([`Forwarding`] does all of that in one call for each datagram, and
//!    drops what has become too old);
//! 4. take the relay's events until there are none.
//!
//! A room that is larger than a core has legs on several relays. What is said at one of them leaves
//! its fan-out as a [`Handover`] as well, once for each of the others; their hosts take it together
//! with the datagrams, in step 1, and give it to [`relay::Relay::handle_handover`] in step 3.
//!
//! Media is never queued here: what is not filled, or what the socket refuses, is dropped and
//! counted. Who may be in which room is not decided here but by the control plane, which speaks
//! to a relay only through commands.

mod addresses;
pub mod batch;
mod binding;
mod coalescer;
pub mod command;
pub mod fanout;
mod flights;
pub(crate) mod forwarding;
mod handover;
pub mod inspect;
mod intake;
mod leg;
mod news;
mod outbox;
mod rate;
mod reception;
pub mod relay;
mod room;
mod shedding;

pub use batch::TransmitBatch;
pub use coalescer::Coalescer;
pub use fanout::{Fanout, Filled};
pub use flights::{Flight, Flights};
pub use forwarding::{FillsBatch, Forwarding, Forwards};
pub use handover::{Handover, Handovers};
pub use outbox::{Outbox, Sent};
pub use relay::Relay;

#[cfg(test)]
mod tests;
