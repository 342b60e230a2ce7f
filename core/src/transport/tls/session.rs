//! One TLS connection: feeds and drains rustls.
//!
//! Invariant between calls: rustls holds no plaintext that was received and no ciphertext to send;
//! only an incomplete record. Feeding, processing and draining alternate in steps of one read, so
//! its "received plaintext buffer full" cannot occur.

use std::io::{BufRead, Write};
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{CertificateError, ClientConnection, Connection, Error, ServerConnection};

use super::{TlsIdentity, TlsTrust, unusable};
use crate::transport::{TlsError, TlsFailure};

/// How much is encrypted between two drains: one TLS record, far below the 64 KiB rustls takes.
const RECORD_BYTES: usize = 16_384;

/// Type, version and length of a record.
const RECORD_HEAD_BYTES: usize = 5;

/// One TLS connection.
pub(in crate::transport) struct TlsSession {
    connection: Box<Connection>,
    records: Records,
    /// Why it failed, where this side is the client.
    failure: Option<Box<TlsFailure>>,
}

/// What a step of a TLS connection came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::transport) enum TlsStep {
    /// Some input was taken.
    Progress,
    /// The peer has ended its side; what it sends from now on is not read.
    PeerClosed,
    /// The connection is unusable; an alert that says why is in the ciphertext.
    Failed,
}

impl TlsSession {
    fn new(connection: Connection) -> Self {
        Self { connection: Box::new(connection), records: Records::default(), failure: None }
    }

    /// Bytes that rustls holds of what was received: all of the handshake, then the record that is
    /// not complete.
    pub(in crate::transport) const fn held(&self) -> usize {
        self.records.held
    }

    /// The server's side.
    pub(in crate::transport) fn accept(identity: &TlsIdentity) -> Result<Self, TlsError> {
        ServerConnection::new(Arc::clone(&identity.0))
            .map(|connection| Self::new(connection.into()))
            .map_err(|error| unusable(&error))
    }

    /// The client's side.
    pub(in crate::transport) fn connect(
        trust: &TlsTrust,
        server_name: &str,
    ) -> Result<Self, TlsError> {
        let name = ServerName::try_from(server_name.to_owned())
            .map_err(|_| TlsError::ServerName(server_name.to_owned()))?;
        ClientConnection::new(Arc::clone(&trust.0), name)
            .map(|connection| Self::new(connection.into()))
            .map_err(|error| unusable(&error))
    }

    /// Why it failed, where this side is the client.
    pub(in crate::transport) const fn take_failure(&mut self) -> Option<Box<TlsFailure>> {
        self.failure.take()
    }

    /// Whether application data may not flow yet.
    pub(in crate::transport) fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// Takes part of `input`, appends what it decrypts to (at most one read of rustls, some
    /// 16 KiB) to `plaintext` and what must be sent to `ciphertext`.
    ///
    /// The plaintext is good even when the step failed: it stood before the bad record.
    pub(in crate::transport) fn feed(
        &mut self,
        input: &mut &[u8],
        plaintext: &mut Vec<u8>,
        ciphertext: &mut Vec<u8>,
    ) -> TlsStep {
        let before = *input;
        let handshaking = self.is_handshaking();
        let step = match self.connection.read_tls(input) {
            Ok(0) => TlsStep::PeerClosed,
            Err(_) => TlsStep::Failed,
            Ok(_) => match self.connection.process_new_packets() {
                Ok(state) if state.peer_has_closed() => TlsStep::PeerClosed,
                Ok(_) => TlsStep::Progress,
                Err(error) => {
                    if matches!(*self.connection, Connection::Client(_)) {
                        self.failure = Some(Box::new(failure(error, handshaking)));
                    }
                    TlsStep::Failed
                }
            },
        };
        self.records.note(&before[..before.len() - input.len()], handshaking);
        if handshaking && !self.is_handshaking() {
            self.records.held = self.records.partial;
        }
        let mut reader = self.connection.reader();
        while let Ok(chunk) = reader.fill_buf() {
            let length = chunk.len();
            if length == 0 {
                break;
            }
            plaintext.extend_from_slice(chunk);
            reader.consume(length);
        }
        self.drain(ciphertext);
        step
    }

    /// Encrypts `plaintext` and appends it to `ciphertext`. During the handshake it waits inside.
    pub(in crate::transport) fn seal(&mut self, plaintext: &[u8], ciphertext: &mut Vec<u8>) {
        for chunk in plaintext.chunks(RECORD_BYTES) {
            let written = self.connection.writer().write_all(chunk);
            debug_assert!(written.is_ok(), "a drained rustls takes a record");
            self.drain(ciphertext);
        }
    }

    /// Says that nothing more will be sent.
    pub(in crate::transport) fn finish(&mut self, ciphertext: &mut Vec<u8>) {
        self.connection.send_close_notify();
        self.drain(ciphertext);
    }

    #[cfg(test)]
    pub(super) fn handshake_kind(&self) -> Option<rustls::HandshakeKind> {
        self.connection.handshake_kind()
    }

    fn drain(&mut self, ciphertext: &mut Vec<u8>) {
        while self.connection.wants_write() {
            if self.connection.write_tls(ciphertext).is_err() {
                debug_assert!(false, "writing to a vector does not fail");
                return;
            }
        }
    }
}

/// What a client is to be told of a failure.
fn failure(error: Error, handshaking: bool) -> TlsFailure {
    use CertificateError as Why;

    if handshaking && matches!(error, Error::InvalidMessage(_)) {
        return TlsFailure::NotTls;
    }
    let Error::InvalidCertificate(why) = error else { return TlsFailure::Other(error.to_string()) };
    if matches!(why, Why::Expired | Why::ExpiredContext { .. }) {
        TlsFailure::Expired
    } else if matches!(why, Why::NotValidYet | Why::NotValidYetContext { .. }) {
        TlsFailure::NotYetValid
    } else if matches!(why, Why::NotValidForName | Why::NotValidForNameContext { .. }) {
        TlsFailure::OtherName
    } else if matches!(why, Why::UnknownIssuer | Why::BadSignature) {
        // The latter: of an authority that has the name of one that is trusted, and another key.
        TlsFailure::UnknownAuthority
    } else {
        TlsFailure::Other(why.to_string())
    }
}

/// Where TLS records end, to know how much of one rustls holds.
#[derive(Default)]
struct Records {
    /// Bytes of the record that is not complete.
    partial: usize,
    /// Its length, once its head of five bytes is there.
    length: usize,
    /// What rustls holds.
    held: usize,
}

impl Records {
    fn note(&mut self, mut bytes: &[u8], handshaking: bool) {
        let count = bytes.len();
        while let Some((&byte, rest)) = bytes.split_first() {
            if self.partial < RECORD_HEAD_BYTES {
                self.partial += 1;
                // The last two bytes of the head are the length of what follows.
                self.length = self.length << 8 & 0xFFFF | usize::from(byte);
                bytes = rest;
            } else {
                let missing = RECORD_HEAD_BYTES + self.length - self.partial;
                let (taken, rest) = bytes.split_at(missing.min(bytes.len()));
                self.partial += taken.len();
                bytes = rest;
            }
            if self.partial >= RECORD_HEAD_BYTES && self.partial == RECORD_HEAD_BYTES + self.length
            {
                self.partial = 0;
            }
        }
        self.held = if handshaking { self.held + count } else { self.partial };
    }
}
