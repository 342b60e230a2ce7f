//! Bytes of one TCP connection <-> WebSocket messages.
//!
//! Here: TLS ([`TlsIdentity`], [`TlsTrust`]), the HTTP upgrade and WebSocket framing, all over
//! memory, joined in [`Transport`]. Not here: sockets, deadlines (the server arms them from
//! [`Stage`]) and the meaning of a message; no file of this folder knows an opcode of a protocol
//! above WebSocket.
//!
//! Invariant: what a transport reports depends on the bytes it was given and not on how they were
//! split. Two things are drawn by libraries instead of [`crate::entropy`]: the bytes inside TLS and
//! the mask bytes of frames in the client role.

mod event;
mod forwarded;
mod gate;
mod pipe;
mod proxy_protocol;
mod stack;
#[cfg(feature = "tls")]
mod tls;
#[cfg(not(feature = "tls"))]
#[path = "tls_absent.rs"]
mod tls;
mod upgrade;
mod websocket;

pub use event::{Stage, TransportConfig, TransportEvent};
pub use stack::Transport;
pub use tls::{TlsIdentity, TlsTrust};

/// Why TLS material or a connection attempt was refused. Always the host's own input, never a peer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The certificates' PEM text cannot be decoded.
    #[error("not readable as PEM: {0}")]
    Pem(String),
    /// The PEM text holds no certificate.
    #[error("no certificate in the PEM text")]
    NoCertificate,
    /// The private key's PEM text cannot be decoded.
    #[error("not readable as PEM: {0}")]
    KeyPem(String),
    /// The PEM text holds no private key.
    #[error("no private key in the PEM text")]
    NoKey,
    /// The private key is of no kind that can be used.
    #[error("no usable private key: {0}")]
    UnusableKey(String),
    /// The private key belongs to another certificate.
    #[error("the private key does not belong to the certificate")]
    KeyMismatch,
    /// The certificate is not usable.
    #[error("not usable for TLS: {0}")]
    Unusable(String),
    /// The server name is neither a DNS name nor an IP address.
    #[error("{0:?} is not a server name")]
    ServerName(String),
    /// The host or target cannot stand in an HTTP request.
    #[error("the host or target cannot stand in an HTTP request")]
    Request,
    /// The crate was built without the feature `tls`.
    #[error("built without the feature `tls`")]
    NotBuilt,
}

/// Why a TLS handshake that this side began failed, for people to be told what to change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TlsFailure {
    /// The peer's certificate has expired.
    #[error("the certificate has expired")]
    Expired,
    /// The peer's certificate is not valid yet.
    #[error("the certificate is not valid yet")]
    NotYetValid,
    /// The peer's certificate is for other names.
    #[error("the certificate is for another name")]
    OtherName,
    /// The peer's certificate does not lead to an authority that is trusted.
    #[error("the certificate is of an authority that is not trusted")]
    UnknownAuthority,
    /// What the peer answered is not TLS.
    #[error("the answer is not TLS")]
    NotTls,
    /// Anything else, in the library's words.
    #[error("{0}")]
    Other(String),
}

impl TlsError {
    /// Whether the private key's text is at fault, and not the certificate's.
    #[must_use]
    pub const fn is_of_key(&self) -> bool {
        matches!(self, Self::KeyPem(_) | Self::NoKey | Self::UnusableKey(_) | Self::KeyMismatch)
    }
}
