//! What becomes of bytes that arrive: a proxy's header, TLS, the upgrade and frames, in this order.
//!
//! Each step takes what is its own and hands on the rest, so that nothing depends on where the bytes
//! were split. Between calls nothing that has arrived waits to be looked at, but for what the machine
//! of a step holds until it is complete, and for what comes while the transport rests.

use std::net::IpAddr;

use super::{Layer, Transport};
use crate::reasons::CloseReason;
use crate::transport::TransportEvent;
use crate::transport::proxy_protocol::PrefaceStep;
use crate::transport::tls::{TlsSession, TlsStep};
use crate::transport::upgrade::{self, UpgradeStep};
use crate::transport::websocket::{WebSocket, WebSocketEvent};

impl Transport {
    /// Takes bytes of the TCP connection: any bytes, split in any way. Ignored after the last event.
    pub fn handle_bytes(&mut self, bytes: &[u8]) {
        if bytes.is_empty() || self.is_closed() {
            return;
        }
        let mut bytes = bytes;
        if let Some(preface) = &mut self.preface {
            // A proxy's header is not the client's first byte.
            self.is_silent &= preface.is_header();
            match preface.handle(&mut bytes) {
                PrefaceStep::More => return,
                PrefaceStep::Own(held) => {
                    self.preface = None;
                    self.handle_own(&held);
                }
                PrefaceStep::Client(client) => {
                    self.preface = None;
                    self.rest(client);
                }
                PrefaceStep::Failed(reason, line) => {
                    // The proxy passes the answer on; nobody has begun to speak TLS.
                    self.preface = None;
                    return self.refuse_in_plain(reason, line);
                }
            }
        }
        if self.is_resting {
            return self.keep(bytes);
        }
        self.handle_own(bytes);
    }

    /// Goes on after [`TransportEvent::Client`], with what arrived since.
    pub fn proceed(&mut self) {
        self.is_resting = false;
        let bytes = std::mem::take(&mut self.rested);
        self.handle_own(&bytes);
    }

    /// Ends the connection with an answer for people who look at it, past TLS.
    fn refuse_in_plain(&mut self, reason: CloseReason, line: &str) {
        self.tls = None;
        upgrade::answer(&mut self.plain, "400 Bad Request", "", line);
        self.fail(reason);
        self.settle();
    }

    /// Says whose connection it is, and rests until [`Self::proceed`].
    fn rest(&mut self, client: Option<IpAddr>) {
        self.events.push_back(TransportEvent::Client(client));
        self.is_resting = true;
    }

    /// Keeps what arrives while it rests: no more than a client says before it has an answer.
    fn keep(&mut self, bytes: &[u8]) {
        if self.rested.len() + bytes.len() > self.config.upgrade_bytes {
            self.rested = Vec::new();
            self.fail(CloseReason::HeadTooBig);
            return self.settle();
        }
        self.rested.extend_from_slice(bytes);
    }

    /// Takes bytes of the client itself.
    fn handle_own(&mut self, bytes: &[u8]) {
        if bytes.is_empty() || self.is_closed() {
            return;
        }
        self.is_silent = false;
        if self.tls.is_some() {
            self.handle_ciphertext(bytes);
        } else {
            self.handle_plaintext(bytes);
            self.settle();
        }
    }

    fn handle_ciphertext(&mut self, mut bytes: &[u8]) {
        let mut plaintext = Vec::new();
        while !bytes.is_empty() && !self.is_closed() {
            if !self.starts_like_tls(bytes) {
                // Nobody on this connection speaks TLS: the answer goes out as plain text.
                return self.refuse_in_plain(CloseReason::NotTls, "this port speaks TLS");
            }
            let Some(session) = &mut self.tls else { return };
            // One byte at a time until the start is known to be TLS.
            let checked = if self.unchecked > 0 { 1 } else { bytes.len() };
            self.unchecked = self.unchecked.saturating_sub(1);
            let (mut input, rest) = bytes.split_at(checked);
            plaintext.clear();
            let step = session.feed(&mut input, &mut plaintext, self.outbound.tail());
            bytes = if rest.is_empty() { input } else { rest };
            self.handle_plaintext(&plaintext);
            if self.is_handshake_too_big() {
                self.tls = None;
                self.fail(CloseReason::HandshakeTooBig);
                return self.settle();
            }
            match step {
                TlsStep::Progress => self.settle(),
                TlsStep::PeerClosed => {
                    if !self.is_closed() {
                        self.finish(TransportEvent::Closed { code: None });
                    }
                    self.settle();
                }
                TlsStep::Failed => {
                    // The alert is in the output and must stay the last thing there.
                    self.tls_failure = self.tls.as_mut().and_then(TlsSession::take_failure);
                    self.tls = None;
                    self.plain.clear();
                    if !self.is_closed() {
                        self.fail(CloseReason::TlsFailed);
                    }
                }
            }
        }
    }

    /// Whether a client does not come to an end of its handshake.
    fn is_handshake_too_big(&self) -> bool {
        matches!(self.layer, Layer::AwaitRequest(_))
            && self.tls.as_ref().is_some_and(|tls| {
                tls.is_handshaking() && tls.held() > self.config.tls_handshake_bytes
            })
    }

    /// Whether the next byte can stand where it does in a TLS connection: record type 22, then
    /// the major version 3.
    fn starts_like_tls(&self, bytes: &[u8]) -> bool {
        match self.unchecked {
            2 => bytes.first() == Some(&0x16),
            1 => bytes.first() == Some(&0x03),
            _ => true,
        }
    }

    fn handle_plaintext(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let is_server = matches!(self.layer, Layer::AwaitRequest(_));
            let step = match &mut self.layer {
                Layer::AwaitRequest(machine) => machine.handle(&mut bytes, &mut self.plain),
                Layer::AwaitResponse(machine) => machine.handle(&mut bytes),
                Layer::Open(_) | Layer::Closing(_) => return self.handle_frames(bytes),
                Layer::Closed => return,
            };
            match step {
                UpgradeStep::More => {}
                UpgradeStep::Opened { target, client } => {
                    if let Some(client) = client {
                        self.rest(client);
                    }
                    let (message, outbound) =
                        (self.config.message_bytes, self.config.outbound_bytes);
                    let socket = if is_server { WebSocket::server } else { WebSocket::client };
                    self.layer = Layer::Open(Box::new(socket(message, outbound)));
                    self.events.push_back(TransportEvent::Opened { target });
                }
                UpgradeStep::Rejected(reason) => self.fail(reason),
            }
        }
    }

    fn handle_frames(&mut self, mut bytes: &[u8]) {
        loop {
            let (socket, is_open) = match &mut self.layer {
                Layer::Open(socket) => (socket, true),
                Layer::Closing(socket) => (socket, false),
                Layer::AwaitRequest(_) | Layer::AwaitResponse(_) | Layer::Closed => return,
            };
            let Some(event) = socket.handle(&mut bytes, &mut self.plain) else { return };
            let event = match event {
                WebSocketEvent::Text(text) => TransportEvent::Text(text),
                WebSocketEvent::Binary(bytes) => TransportEvent::Binary(bytes),
                WebSocketEvent::Pong => TransportEvent::Pong,
                WebSocketEvent::Closed { code } => {
                    return self.finish(TransportEvent::Closed { code: Some(code) });
                }
                WebSocketEvent::Failed(reason) => return self.fail(reason),
            };
            // After close() nobody waits for messages any more.
            if is_open {
                self.events.push_back(event);
            }
        }
    }
}
