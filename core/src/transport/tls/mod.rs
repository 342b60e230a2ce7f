//! TLS over slices, by rustls.
//!
//! Here: [`TlsIdentity`] (server), [`TlsTrust`] (client role) and what rustls is told of them. One
//! connection is in `session`. Not here: telling TLS from other bytes, and everything inside it
//! (`stack`). rustls draws its own randomness: the one impure layer of the core.
//!
//! No clock: sessions are neither stored nor resumed, so no answer of the server depends on the fixed
//! time that rustls is given.

mod session;

use std::fmt;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::NoServerSessionStorage;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::time_provider::TimeProvider;
use rustls::{CipherSuite, ClientConfig, Error, InconsistentKeys, RootCertStore, ServerConfig};

use super::TlsError;

pub(super) use session::{TlsSession, TlsStep};

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

#[cfg(test)]
mod tests;
