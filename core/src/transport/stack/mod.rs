//! One connection: TLS, upgrade and WebSocket on top of each other.
//!
//! Here: [`Transport`], its layers, what is sent and the end of a connection; what becomes of bytes
//! that arrive is in `intake`. Not here: deadlines
//! (armed by the owner from [`Stage`]), the total of waiting bytes (the owner checks
//! [`Transport::outbound`] after each call; one call adds no more than a small multiple of the
//! bytes given) and what a message means.
//!
//! ```text
//! AwaitFirstByte -> [Tls ->] Upgrade -> Open -> Closing -> Closed
//! ```
//! A trusted proxy says who its client is, before the first byte of that or in the upgrade; then the
//! transport rests until [`Transport::proceed`], so that the owner can let it wait for its turn.
//! Every stage may go to `Closed` directly. Invariant: a transport reports exactly one last event,
//! `Closed` or `Failed`, when it enters `Closed`; input after that is ignored, output is kept.

mod intake;

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use tungstenite::Message;

use super::pipe::Outbound;
use super::proxy_protocol::Preface;
use super::tls::TlsSession;
use super::upgrade::{self, ClientUpgrade, ServerUpgrade};
use super::websocket::WebSocket;
use super::{Stage, TlsError, TlsFailure, TlsIdentity, TlsTrust, TransportConfig, TransportEvent};
use crate::config::{ClientAddress, Proxies};
use crate::reasons::CloseReason;

/// One TCP connection's bytes as WebSocket messages, over memory.
///
/// Give it what the socket reads ([`Self::handle_bytes`]), take events until there are none, write
/// what waits ([`Self::outbound`], [`Self::consume`]), and close the socket when
/// [`Self::is_finished`].
pub struct Transport {
    tls: Option<TlsSession>,
    layer: Layer,
    /// What may come before the client's own bytes, until that is decided.
    preface: Option<Box<Preface>>,
    /// Whether it rests, and what arrived meanwhile.
    is_resting: bool,
    rested: Vec<u8>,
    /// Bytes that must still look like a TLS ClientHello: 2, 1, or 0 when seen or not asked for.
    unchecked: u8,
    is_silent: bool,
    /// Why TLS failed, if it did on the client's side.
    tls_failure: Option<Box<TlsFailure>>,
    config: TransportConfig,
    events: VecDeque<TransportEvent>,
    /// What the upper layers wrote during this call; empty between calls.
    plain: Vec<u8>,
    outbound: Outbound,
}

enum Layer {
    AwaitRequest(Box<ServerUpgrade>),
    AwaitResponse(Box<ClientUpgrade>),
    Open(Box<WebSocket>),
    Closing(Box<WebSocket>),
    Closed,
}

impl Transport {
    /// The server's side of a new connection, with TLS when there is an identity. The peer is the
    /// client itself.
    #[must_use]
    pub fn accept(tls: Option<&TlsIdentity>, config: TransportConfig) -> Self {
        Self::accept_by(tls, config, None)
    }

    /// The same where the peer is one of these proxies, which says who the client is
    /// ([`TransportEvent::Client`]).
    #[must_use]
    pub fn accept_from(
        proxies: &Arc<Proxies>,
        tls: Option<&TlsIdentity>,
        config: TransportConfig,
    ) -> Self {
        Self::accept_by(tls, config, Some(proxies))
    }

    fn accept_by(
        tls: Option<&TlsIdentity>,
        config: TransportConfig,
        proxies: Option<&Arc<Proxies>>,
    ) -> Self {
        let of_protocol = ClientAddress::ProxyProtocol;
        let (by_protocol, by_headers) = match proxies {
            Some(proxies) if proxies.client_address == of_protocol => (true, None),
            by_headers => (false, by_headers.cloned()),
        };
        let upgrade = ServerUpgrade::new(config.upgrade_bytes, config.upgrade_lines, by_headers);
        let mut transport = Self::new(Layer::AwaitRequest(Box::new(upgrade)), config);
        transport.preface = Some(Box::new(if by_protocol {
            Preface::header(config.proxy_header_bytes)
        } else {
            Preface::own()
        }));
        transport.is_silent = true;
        match tls.map(TlsSession::accept) {
            None => {}
            Some(Ok(session)) => {
                transport.tls = Some(session);
                transport.unchecked = 2;
            }
            // Only a configuration of the host's own making can be unusable.
            Some(Err(_)) => transport.fail(CloseReason::TlsFailed),
        }
        transport
    }

    /// The client's side of a new connection. `tls` is what to trust and the name the certificate
    /// must carry; `key` (from [`crate::entropy::Entropy`]) is sent as `Sec-WebSocket-Key`.
    ///
    /// # Errors
    /// When `server_name` is not a name, or `host` or `target` cannot stand in a request.
    pub fn connect(
        tls: Option<(&TlsTrust, &str)>,
        host: &str,
        target: &str,
        key: [u8; 16],
        config: TransportConfig,
    ) -> Result<Self, TlsError> {
        let request = upgrade::request(host, target, key)
            .filter(|request| request.len() <= config.upgrade_bytes.min(REQUEST_BYTES))
            .ok_or(TlsError::Request)?;
        let (bytes, lines) = (config.upgrade_bytes, config.upgrade_lines);
        let upgrade = ClientUpgrade::new(target, key, bytes, lines);
        let mut transport = Self::new(Layer::AwaitResponse(Box::new(upgrade)), config);
        transport.tls =
            tls.map(|(trust, server_name)| TlsSession::connect(trust, server_name)).transpose()?;
        transport.plain.extend_from_slice(request.as_bytes());
        transport.settle();
        Ok(transport)
    }

    fn new(layer: Layer, config: TransportConfig) -> Self {
        Self {
            tls: None,
            layer,
            preface: None,
            is_resting: false,
            rested: Vec::new(),
            unchecked: 0,
            is_silent: false,
            tls_failure: None,
            config,
            events: VecDeque::new(),
            plain: Vec::new(),
            outbound: Outbound::default(),
        }
    }

    /// Takes the end of the peer's bytes. What waits in [`Self::outbound`] may still be written.
    pub fn handle_eof(&mut self) {
        if !self.is_closed() {
            self.finish(TransportEvent::Closed { code: None });
            // Nobody is left to read an alert.
            self.tls = None;
        }
    }

    /// The next event, or `None` when there is none until the next input.
    pub fn poll_event(&mut self) -> Option<TransportEvent> {
        let event = self.events.pop_front();
        if self.events.is_empty() {
            self.events.shrink_to(KEPT_EVENTS);
        }
        event
    }

    /// Sends a text message. Without effect unless the stage is [`Stage::Open`]; a message over
    /// `outbound_bytes` fails the connection as [`CloseReason::SlowReader`].
    pub fn send_text(&mut self, text: &str) {
        self.send(|| Message::Text(text.into()));
    }

    /// Sends a binary message, under the conditions of [`Self::send_text`].
    pub fn send_binary(&mut self, bytes: &[u8]) {
        self.send(|| Message::Binary(Bytes::copy_from_slice(bytes)));
    }

    /// Sends a ping with up to 125 bytes (the rest is cut off), under the conditions of
    /// [`Self::send_text`].
    pub fn send_ping(&mut self, bytes: &[u8]) {
        let cut = &bytes[..bytes.len().min(CONTROL_BYTES)];
        self.send(|| Message::Ping(Bytes::copy_from_slice(cut)));
    }

    /// Begins the closing handshake: the close frame goes out, messages that still arrive are
    /// dropped, and the peer's close frame ends it. Before the upgrade it ends the connection at
    /// once. Without effect when closing has begun.
    pub fn close(&mut self, code: u16, reason: &str) {
        match std::mem::replace(&mut self.layer, Layer::Closed) {
            Layer::Open(mut socket) => {
                socket.close(code, reason, &mut self.plain);
                self.layer = Layer::Closing(socket);
            }
            closing @ (Layer::Closing(_) | Layer::Closed) => self.layer = closing,
            Layer::AwaitRequest(_) | Layer::AwaitResponse(_) => {
                self.finish(TransportEvent::Closed { code: None });
            }
        }
        self.settle();
    }

    /// The bytes that wait to be written to the TCP connection.
    #[must_use]
    pub fn outbound(&self) -> &[u8] {
        self.outbound.waiting()
    }

    /// Drops the first `n` bytes of [`Self::outbound`], which were written; all when it has fewer.
    pub fn consume(&mut self, n: usize) {
        self.outbound.consume(n);
    }

    /// Bytes that are held of what has arrived and is not complete.
    #[must_use]
    pub fn inbound_held(&self) -> usize {
        let tls = self.tls.as_ref().map_or(0, TlsSession::held);
        let before = self.preface.as_ref().map_or(0, |preface| preface.held());
        before
            + self.rested.len()
            + tls
            + match &self.layer {
                Layer::AwaitRequest(upgrade) => upgrade.held(),
                Layer::Open(socket) | Layer::Closing(socket) => socket.held(),
                Layer::AwaitResponse(_) | Layer::Closed => 0,
            }
    }

    /// Memory that is set aside for [`Self::outbound`], in bytes.
    #[must_use]
    pub const fn outbound_held(&self) -> usize {
        self.outbound.held()
    }

    /// Changes the largest incoming message, from the next frame on.
    pub fn set_message_limit(&mut self, bytes: usize) {
        self.config.message_bytes = bytes;
        match &mut self.layer {
            Layer::Open(socket) | Layer::Closing(socket) => socket.set_message_limit(bytes),
            Layer::AwaitRequest(_) | Layer::AwaitResponse(_) | Layer::Closed => {}
        }
    }

    /// How far the connection has come.
    #[must_use]
    pub fn stage(&self) -> Stage {
        match self.layer {
            Layer::AwaitRequest(_) if self.is_silent => Stage::AwaitFirstByte,
            Layer::AwaitRequest(_) | Layer::AwaitResponse(_) => {
                let is_handshaking = self.tls.as_ref().is_some_and(TlsSession::is_handshaking);
                if is_handshaking { Stage::Tls } else { Stage::Upgrade }
            }
            Layer::Open(_) => Stage::Open,
            Layer::Closing(_) => Stage::Closing,
            Layer::Closed => Stage::Closed,
        }
    }

    /// Why TLS failed, after a failure as [`CloseReason::TlsFailed`] on the client's side.
    #[must_use]
    pub fn tls_failure(&self) -> Option<&TlsFailure> {
        self.tls_failure.as_deref()
    }

    /// Whether the connection is over and everything was written: time to close the socket.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.is_closed() && self.outbound().is_empty()
    }

    const fn is_closed(&self) -> bool {
        matches!(self.layer, Layer::Closed)
    }

    fn send(&mut self, message: impl FnOnce() -> Message) {
        if let Layer::Open(socket) = &mut self.layer {
            if let Err(reason) = socket.send(message(), &mut self.plain) {
                self.fail(reason);
            }
            self.settle();
        }
    }

    fn fail(&mut self, reason: CloseReason) {
        self.finish(TransportEvent::Failed(reason));
    }

    /// The one way into `Closed`.
    fn finish(&mut self, last: TransportEvent) {
        self.layer = Layer::Closed;
        self.events.push_back(last);
    }

    /// Moves what the upper layers wrote to the output, through TLS if there is one.
    fn settle(&mut self) {
        match &mut self.tls {
            None => self.outbound.tail().append(&mut self.plain),
            Some(session) => {
                session.seal(&self.plain, self.outbound.tail());
                if matches!(self.layer, Layer::Closed) {
                    session.finish(self.outbound.tail());
                    self.tls = None;
                }
            }
        }
        self.outbound.fit();
        // An idle connection keeps no scratch memory.
        self.plain = Vec::new();
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport")
            .field("stage", &self.stage())
            .field("has_tls", &self.tls.is_some())
            .field("events", &self.events.len())
            .field("outbound_bytes", &self.outbound().len())
            .finish_non_exhaustive()
    }
}

/// Largest payload of a control frame (RFC 6455 section 5.5).
const CONTROL_BYTES: usize = 125;

/// Largest request of the client role: rustls holds it during the handshake, up to 64 KiB.
const REQUEST_BYTES: usize = 32_768;

/// Room for events that an idle connection keeps.
const KEPT_EVENTS: usize = 4;

#[cfg(test)]
mod tests;
