//! What the threads of the peers tell the director, and nothing else passes between them.

use std::net::SocketAddr;

use lvsp_core::client::Ticket;
use lvsp_core::ids::UserId;
use lvsp_core::time::Timestamp;

/// One thing that happened.
pub(super) enum News {
    /// The chat server got what a caller needs to connect: what it would pass on to the user.
    Placed { ticket: Ticket, gateway: SocketAddr },
    /// The voice server confirmed a mute.
    Muted(UserId),
    /// A caller is connected and knows everybody in its channel.
    Introduced(UserId),
    /// A caller has said everything.
    Spoke(UserId),
    /// A frame arrived.
    Heard(Heard),
    /// A connection ended that should not have.
    Ended { who: &'static str, why: String },
}

/// A frame as it arrived.
pub(super) struct Heard {
    pub(super) listener: UserId,
    /// Whose the SSRC is, as the gateway announced it.
    pub(super) named: Option<UserId>,
    pub(super) payload: Vec<u8>,
    pub(super) at: Timestamp,
}
