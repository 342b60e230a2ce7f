//! TLS over slices, by rustls.
//!
//! Here: [`TlsIdentity`] (server), [`TlsTrust`] (client role) and [`TlsSession`], which feeds and
//! drains one rustls connection. Not here: telling TLS from other bytes, and everything inside it
//! (`stack.rs`). rustls draws its own randomness: the one impure layer of the core.
//!
//! Invariant between calls: rustls holds no plaintext that was received and no ciphertext to send;
//! only an incomplete record. Feeding, processing and draining alternate in steps of one read, so
//! its "received plaintext buffer full" cannot occur. No clock: sessions are neither stored nor
//! resumed, so no answer of the server depends on the fixed time that rustls is given.

use std::fmt;
use std::io::{BufRead, Write};
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::NoServerSessionStorage;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::time_provider::TimeProvider;
use rustls::{
    CertificateError, CipherSuite, ClientConfig, ClientConnection, Connection, Error,
    InconsistentKeys, RootCertStore, ServerConfig, ServerConnection,
};

use super::{TlsError, TlsFailure};

/// A certificate chain with its private key, ready to accept connections. Cheap to clone.
///
/// Renewing a certificate means making a new identity; connections keep the one they began with.
#[derive(Clone)]
pub struct TlsIdentity(Arc<ServerConfig>);

impl TlsIdentity {
    /// Reads a certificate chain (the server's own certificate first) and its private key.
    ///
    /// # Errors
    /// When either is missing, unreadable or unusable, and when the key is not the certificate's.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        server_config(chain, key, Arc::new(FixedTime(0))).map(|config| Self(Arc::new(config)))
    }
}

/// Takes a configuration of the host's own making, for what [`TlsIdentity::from_pem`] does not
/// offer. Its clock, tickets and session storage are the host's to choose, and with them whether
/// the core still reads no clock.
impl From<Arc<ServerConfig>> for TlsIdentity {
    fn from(config: Arc<ServerConfig>) -> Self {
        Self(config)
    }
}

impl fmt::Debug for TlsIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsIdentity")
    }
}

/// The certificates that a client role trusts, and the time it checks others against. Cheap to
/// clone.
#[derive(Clone)]
pub struct TlsTrust(Arc<ClientConfig>);

impl TlsTrust {
    /// Trusts the certificates of `ca`: authorities, or one self-signed certificate.
    ///
    /// `unix_seconds` is the date that validity periods are checked against, for every connection
    /// made with this value; make a new one from time to time.
    ///
    /// # Errors
    /// When there is no certificate or one of them is unreadable.
    pub fn from_pem(ca: &[u8], unix_seconds: u64) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(ca)? {
            roots.add(certificate).map_err(|error| unusable(&error))?;
        }
        Self::of(roots, unix_seconds)
    }

    /// Trusts these certificates, as a system keeps them (DER). One that cannot be read is left
    /// out: some systems keep such.
    ///
    /// # Errors
    /// When none is left.
    pub fn from_der<'a>(
        authorities: impl IntoIterator<Item = &'a [u8]>,
        unix_seconds: u64,
    ) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        let (added, _) =
            roots.add_parsable_certificates(authorities.into_iter().map(CertificateDer::from));
        if added == 0 { Err(TlsError::NoCertificate) } else { Self::of(roots, unix_seconds) }
    }

    fn of(roots: RootCertStore, unix_seconds: u64) -> Result<Self, TlsError> {
        let mut config = ClientConfig::builder_with_details(
            Arc::new(rustls::crypto::ring::default_provider()),
            Arc::new(FixedTime(unix_seconds)),
        )
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(&error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
        config.resumption = Resumption::disabled();
        Ok(Self(Arc::new(config)))
    }
}

impl fmt::Debug for TlsTrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsTrust")
    }
}

/// One TLS connection.
pub(super) struct TlsSession {
    connection: Box<Connection>,
    records: Records,
    /// Why it failed, where this side is the client.
    failure: Option<Box<TlsFailure>>,
}

/// What a step of a TLS connection came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TlsStep {
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
    pub(super) const fn held(&self) -> usize {
        self.records.held
    }

    /// The server's side.
    pub(super) fn accept(identity: &TlsIdentity) -> Result<Self, TlsError> {
        ServerConnection::new(Arc::clone(&identity.0))
            .map(|connection| Self::new(connection.into()))
            .map_err(|error| unusable(&error))
    }

    /// The client's side.
    pub(super) fn connect(trust: &TlsTrust, server_name: &str) -> Result<Self, TlsError> {
        let name = ServerName::try_from(server_name.to_owned())
            .map_err(|_| TlsError::ServerName(server_name.to_owned()))?;
        ClientConnection::new(Arc::clone(&trust.0), name)
            .map(|connection| Self::new(connection.into()))
            .map_err(|error| unusable(&error))
    }

    /// Why it failed, where this side is the client.
    pub(super) const fn take_failure(&mut self) -> Option<Box<TlsFailure>> {
        self.failure.take()
    }

    /// Whether application data may not flow yet.
    pub(super) fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// Takes part of `input`, appends what it decrypts to (at most one read of rustls, some
    /// 16 KiB) to `plaintext` and what must be sent to `ciphertext`.
    ///
    /// The plaintext is good even when the step failed: it stood before the bad record.
    pub(super) fn feed(
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
    pub(super) fn seal(&mut self, plaintext: &[u8], ciphertext: &mut Vec<u8>) {
        for chunk in plaintext.chunks(RECORD_BYTES) {
            let written = self.connection.writer().write_all(chunk);
            debug_assert!(written.is_ok(), "a drained rustls takes a record");
            self.drain(ciphertext);
        }
    }

    /// Says that nothing more will be sent.
    pub(super) fn finish(&mut self, ciphertext: &mut Vec<u8>) {
        self.connection.send_close_notify();
        self.drain(ciphertext);
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

/// Type, version and length of a record.
const RECORD_HEAD_BYTES: usize = 5;

/// The time that rustls is told. Of the server's side nothing depends on it: rustls asks when a
/// client offers to resume a session, and then finds no session.
#[derive(Debug)]
struct FixedTime(u64);

impl TimeProvider for FixedTime {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(std::time::Duration::from_secs(self.0)))
    }
}

fn server_config(
    chain: &[u8],
    key: &[u8],
    time: Arc<dyn TimeProvider>,
) -> Result<ServerConfig, TlsError> {
    let mut provider = rustls::crypto::ring::default_provider();
    provider
        .cipher_suites
        .sort_by_key(|suite| suite.suite() != CipherSuite::TLS13_AES_128_GCM_SHA256);
    let chain = certificates(chain)?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| {
        if matches!(error, pem::Error::NoItemsFound) {
            TlsError::NoKey
        } else {
            TlsError::KeyPem(error.to_string())
        }
    })?;
    let key = provider
        .key_provider
        .load_private_key(key)
        .map_err(|error| TlsError::UnusableKey(error.to_string()))?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        // Unknown: a kind of key that cannot be compared. None of this provider's is.
        Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
        Err(Error::InconsistentKeys(_)) => return Err(TlsError::KeyMismatch),
        Err(error) => return Err(unusable(&error)),
    }
    let mut config = ServerConfig::builder_with_details(Arc::new(provider), time)
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(&error))?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    // Processors have instructions for SHA-256, and not for the SHA-384 that most clients put first:
    // a handshake derives a dozen keys.
    config.ignore_client_order = true;
    Ok(config)
}

fn certificates(pem_text: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found = CertificateDer::pem_slice_iter(pem_text)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| pem(&error))?;
    if found.is_empty() { Err(TlsError::NoCertificate) } else { Ok(found) }
}

fn pem(error: &pem::Error) -> TlsError {
    TlsError::Pem(error.to_string())
}

fn unusable(error: &Error) -> TlsError {
    TlsError::Unusable(error.to_string())
}

/// How much is encrypted between two drains: one TLS record, far below the 64 KiB rustls takes.
const RECORD_BYTES: usize = 16_384;

#[cfg(test)]
mod tests {
    use rustls::server::ServerSessionMemoryCache;
    use rustls::version::{TLS12, TLS13};
    use rustls::{HandshakeKind, SupportedProtocolVersion};

    use super::*;

    #[derive(Debug)]
    struct NoTime;

    impl TimeProvider for NoTime {
        fn current_time(&self) -> Option<UnixTime> {
            panic!("the server asked for the time")
        }
    }

    fn material() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(["voice.test".to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    /// Runs both sides until neither sends anything; gives what the server decrypted.
    fn converse(client: &mut TlsSession, server: &mut TlsSession) -> Result<Vec<u8>, TlsStep> {
        let (mut received, mut ignored) = (Vec::new(), Vec::new());
        let (mut up, mut down) = (Vec::new(), Vec::new());
        client.drain(&mut up);
        while !up.is_empty() || !down.is_empty() {
            let (sent, answered) = (std::mem::take(&mut up), std::mem::take(&mut down));
            let mut input = &sent[..];
            while !input.is_empty() {
                match server.feed(&mut input, &mut received, &mut down) {
                    TlsStep::Progress => {}
                    step @ (TlsStep::PeerClosed | TlsStep::Failed) => return Err(step),
                }
            }
            let mut input = &answered[..];
            while !input.is_empty() {
                match client.feed(&mut input, &mut ignored, &mut up) {
                    TlsStep::Progress => {}
                    step @ (TlsStep::PeerClosed | TlsStep::Failed) => return Err(step),
                }
            }
        }
        Ok(received)
    }

    /// A client that is willing to resume, unlike [`TlsTrust::from_pem`].
    fn resuming_client(chain: &str, version: &'static SupportedProtocolVersion) -> TlsTrust {
        let mut trusted = RootCertStore::empty();
        trusted.add(certificates(chain.as_bytes()).unwrap().remove(0)).unwrap();
        let config = ClientConfig::builder_with_details(
            Arc::new(rustls::crypto::ring::default_provider()),
            Arc::new(FixedTime(1_700_000_000)),
        )
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(trusted)
        .with_no_client_auth();
        TlsTrust(Arc::new(config))
    }

    fn connect(trust: &TlsTrust, identity: &TlsIdentity) -> HandshakeKind {
        let mut server = TlsSession::accept(identity).unwrap();
        let mut client = TlsSession::connect(trust, "voice.test").unwrap();
        client.connection.writer().write_all(b"hello").unwrap();
        assert_eq!(converse(&mut client, &mut server).unwrap(), b"hello");
        assert!(!server.is_handshaking() && !client.is_handshaking());
        server.connection.handshake_kind().unwrap()
    }

    #[test]
    fn a_full_handshake_never_asks_the_server_for_the_time() {
        let (chain, key) = material();
        for version in [&TLS13, &TLS12] {
            let config = server_config(chain.as_bytes(), key.as_bytes(), Arc::new(NoTime));
            let identity = TlsIdentity::from(Arc::new(config.unwrap()));
            let trust = resuming_client(&chain, version);
            for _ in 0..2 {
                assert_eq!(connect(&trust, &identity), HandshakeKind::Full);
            }
        }
    }

    #[test]
    fn an_offer_to_resume_leads_to_a_full_handshake() {
        let (chain, key) = material();
        for version in [&TLS13, &TLS12] {
            let trust = resuming_client(&chain, version);
            let time = Arc::new(FixedTime(1_700_000_000));
            let mut other = server_config(chain.as_bytes(), key.as_bytes(), time).unwrap();
            other.session_storage = ServerSessionMemoryCache::new(8);
            other.send_tls13_tickets = 2;
            let other = TlsIdentity::from(Arc::new(other));
            assert_eq!(connect(&trust, &other), HandshakeKind::Full);
            assert_eq!(connect(&trust, &other), HandshakeKind::Resumed);
            let ours = TlsIdentity::from_pem(chain.as_bytes(), key.as_bytes()).unwrap();
            assert_eq!(connect(&trust, &ours), HandshakeKind::Full);
        }
    }

    #[test]
    fn an_untrusted_or_outdated_certificate_fails_the_client() {
        let ((chain, key), (other, _)) = (material(), material());
        let identity = TlsIdentity::from_pem(chain.as_bytes(), key.as_bytes()).unwrap();
        for (ca, time) in [(&other, 1_700_000_000), (&chain, 1)] {
            let trust = TlsTrust::from_pem(ca.as_bytes(), time).unwrap();
            let mut server = TlsSession::accept(&identity).unwrap();
            let mut client = TlsSession::connect(&trust, "voice.test").unwrap();
            assert_eq!(converse(&mut client, &mut server), Err(TlsStep::Failed));
        }
    }

    #[test]
    fn a_client_tells_what_is_wrong_with_a_certificate() {
        let ((chain, key), (other, _)) = (material(), material());
        let identity = TlsIdentity::from_pem(chain.as_bytes(), key.as_bytes()).unwrap();
        // rcgen's certificates are valid from 1975 to 4096.
        let (now, late) = (1_700_000_000, 80_000_000_000);
        for (ca, time, name, failure) in [
            (&other, now, "voice.test", TlsFailure::UnknownAuthority),
            (&chain, 1, "voice.test", TlsFailure::NotYetValid),
            (&chain, late, "voice.test", TlsFailure::Expired),
            (&chain, now, "other.test", TlsFailure::OtherName),
        ] {
            let trust = TlsTrust::from_pem(ca.as_bytes(), time).unwrap();
            let mut server = TlsSession::accept(&identity).unwrap();
            let mut client = TlsSession::connect(&trust, name).unwrap();
            assert_eq!(client.take_failure(), None);
            assert_eq!(converse(&mut client, &mut server), Err(TlsStep::Failed));
            assert_eq!(client.take_failure().as_deref(), Some(&failure));
            assert_eq!(server.take_failure(), None, "servers keep nothing of it");
        }
        let trust = TlsTrust::from_pem(chain.as_bytes(), now).unwrap();
        let mut client = TlsSession::connect(&trust, "voice.test").unwrap();
        let answer = &mut &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..];
        assert_eq!(client.feed(answer, &mut Vec::new(), &mut Vec::new()), TlsStep::Failed);
        assert_eq!(client.take_failure().as_deref(), Some(&TlsFailure::NotTls));
    }

    #[test]
    fn what_a_system_trusts_is_taken_as_far_as_it_can_be_read() {
        let (chain, _) = material();
        let der = certificates(chain.as_bytes()).unwrap().remove(0);
        assert!(TlsTrust::from_der([&b"nonsense"[..], &der], 0).is_ok());
        assert_eq!(TlsTrust::from_der([&b"x"[..]], 0).unwrap_err(), TlsError::NoCertificate);
    }

    #[test]
    fn a_key_of_another_certificate_is_named_as_such() {
        let ((chain, _), (_, key)) = (material(), material());
        let error = TlsIdentity::from_pem(chain.as_bytes(), key.as_bytes()).unwrap_err();
        assert_eq!(error, TlsError::KeyMismatch);
        assert_eq!(error.to_string(), "the private key does not belong to the certificate");
    }

    #[test]
    fn missing_material_is_named() {
        let (chain, key) = material();
        let from = |chain: &str, key: &str| {
            TlsIdentity::from_pem(chain.as_bytes(), key.as_bytes()).unwrap_err()
        };
        assert_eq!(from("", &key), TlsError::NoCertificate);
        assert_eq!(from(&chain, ""), TlsError::NoKey);
        assert!(matches!(from("-----BEGIN CERTIFICATE-----\n*", &key), TlsError::Pem(_)));
        assert!(matches!(from(&chain, "-----BEGIN PRIVATE KEY-----\n*"), TlsError::KeyPem(_)));
        assert_eq!(TlsTrust::from_pem(b"", 0).unwrap_err(), TlsError::NoCertificate);
    }

    #[test]
    fn damaged_material_is_told_apart_by_whose_it_is() {
        let (chain, key) = material();
        // PEM around what is neither a certificate nor a key.
        let damaged = |label| format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n");
        let from = |chain: &str, key: &str| {
            TlsIdentity::from_pem(chain.as_bytes(), key.as_bytes()).unwrap_err()
        };
        let certificate = from(&damaged("CERTIFICATE"), &key);
        assert!(matches!(certificate, TlsError::Unusable(_)) && !certificate.is_of_key());
        let key = from(&chain, &damaged("PRIVATE KEY"));
        assert!(matches!(key, TlsError::UnusableKey(_)) && key.is_of_key());
    }
}
