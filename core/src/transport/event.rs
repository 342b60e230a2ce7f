//! What a transport is told and what it tells.
//!
//! Here: [`TransportConfig`], [`Stage`] and [`TransportEvent`]. Not here: how they come about
//! (`stack`).
//!
//! Invariant: no `Debug` text holds what a peer or the server said.

use std::fmt;
use std::net::IpAddr;

use bytes::Bytes;

use crate::limits::Limits;
use crate::reasons::CloseReason;

/// The bounds of one transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransportConfig {
    /// HTTP head, in bytes.
    pub upgrade_bytes: usize,
    /// HTTP head, in lines.
    pub upgrade_lines: usize,
    /// Header of the PROXY protocol, in bytes.
    pub proxy_header_bytes: usize,
    /// The client's side of the TLS handshake, in bytes.
    pub tls_handshake_bytes: usize,
    /// Incoming message, in bytes, until [`super::Transport::set_message_limit`].
    pub message_bytes: usize,
    /// Outgoing message with its frame, in bytes.
    pub outbound_bytes: usize,
}

impl TransportConfig {
    /// Takes the bounds of `limits`, and the message limit of the plane and state at hand.
    #[must_use]
    pub const fn new(limits: &Limits, message_bytes: usize) -> Self {
        Self {
            upgrade_bytes: limits.upgrade_bytes,
            upgrade_lines: limits.upgrade_lines,
            proxy_header_bytes: limits.proxy_header_bytes,
            tls_handshake_bytes: limits.tls_handshake_bytes,
            message_bytes,
            outbound_bytes: limits.outbound_bytes,
        }
    }
}

/// How far a transport has come.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Stage {
    /// Accepted; nothing has arrived.
    AwaitFirstByte,
    /// In the TLS handshake.
    Tls,
    /// Before the end of the HTTP upgrade.
    Upgrade,
    /// Messages flow.
    Open,
    /// We sent a close frame and wait for the peer's.
    Closing,
    /// Over; what is left in [`super::Transport::outbound`] is still to be written.
    Closed,
}

/// What happened on a transport. Its `Debug` text never holds what a message says. Exhaustive on
/// purpose: whoever speaks over one has to decide about each.
#[derive(Clone, PartialEq, Eq)]
pub enum TransportEvent {
    /// The proxy at the other end said who its client is, or did not. Nothing more comes before
    /// [`super::Transport::proceed`].
    Client(Option<IpAddr>),
    /// The upgrade is done: messages flow.
    Opened {
        /// Path and query of the request, as the peer wrote them.
        target: String,
    },
    /// A whole text message.
    Text(String),
    /// A whole binary message.
    Binary(Bytes),
    /// A pong arrived.
    Pong,
    /// The connection ended in an orderly way or at the peer's will. The last event.
    Closed {
        /// The code of the peer's close frame (1005 when it carried none), or `None` when the
        /// connection ended without one.
        code: Option<u16>,
    },
    /// The connection was ended here because of what the peer did. The last event.
    Failed(CloseReason),
}

impl fmt::Debug for TransportEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(ip) => write!(f, "Client({ip:?})"),
            Self::Opened { target } => write!(f, "Opened({} bytes of target)", target.len()),
            Self::Text(text) => write!(f, "Text({} bytes)", text.len()),
            Self::Binary(bytes) => write!(f, "Binary({} bytes)", bytes.len()),
            Self::Pong => f.write_str("Pong"),
            Self::Closed { code } => write!(f, "Closed({code:?})"),
            Self::Failed(reason) => write!(f, "Failed({reason:?})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_text_holds_no_payload() {
        let events = [
            TransportEvent::Text("secret".to_owned()),
            TransportEvent::Binary(Bytes::from_static(b"secret")),
            TransportEvent::Opened { target: "/secret".to_owned() },
            TransportEvent::Closed { code: Some(1_000) },
        ];
        assert_eq!(
            format!("{events:?}"),
            "[Text(6 bytes), Binary(6 bytes), Opened(7 bytes of target), Closed(Some(1000))]"
        );
    }
}
