//! A TLS 1.3 handshake over memory: what every join costs a server at least.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lvsp_mio::development;
use nix::time::{ClockId, clock_gettime};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::NoServerSessionStorage;
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};

/// Both sides of a handshake with an ECDSA certificate on P-256, as lvsp-mio has it: no tickets, no
/// stored sessions.
pub(crate) struct Handshake {
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
}

impl Handshake {
    pub(crate) fn new() -> Result<Self> {
        let files = development::files(&["localhost"])?;
        let chain = CertificateDer::pem_slice_iter(files.certificate.as_bytes())
            .collect::<Result<Vec<_>, _>>()?;
        let key = PrivateKeyDer::from_pem_slice(files.key.as_bytes())?;
        let provider = Arc::new(ring::default_provider());
        let mut server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        server.send_tls13_tickets = 0;
        server.session_storage = Arc::new(NoServerSessionStorage {});
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(files.ca.as_bytes())?)?;
        let mut client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        client.resumption = rustls::client::Resumption::disabled();
        Ok(Self { client: Arc::new(client), server: Arc::new(server) })
    }

    /// Processor time of the server's side of one handshake, the mean of `count`.
    pub(crate) fn server_time(&self, count: u32) -> Result<Duration> {
        let mut sum = Duration::ZERO;
        for _ in 0..count {
            sum += self.once()?;
        }
        Ok(sum / count)
    }

    fn once(&self) -> Result<Duration> {
        let name = ServerName::try_from("localhost").context("a name")?;
        let mut client = ClientConnection::new(Arc::clone(&self.client), name)?;
        let begun = thread_time()?;
        let mut server = ServerConnection::new(Arc::clone(&self.server))?;
        let mut sum = thread_time()?.saturating_sub(begun);
        while client.is_handshaking() || server.is_handshaking() {
            let mut said = Vec::new();
            client.write_tls(&mut said)?;
            let begun = thread_time()?;
            let mut answer = Vec::new();
            let mut input = said.as_slice();
            while !input.is_empty() {
                server.read_tls(&mut input)?;
                server.process_new_packets()?;
            }
            while server.wants_write() {
                server.write_tls(&mut answer)?;
            }
            sum += thread_time()?.saturating_sub(begun);
            ensure!(!said.is_empty() || !answer.is_empty(), "the handshake stands still");
            let mut input = answer.as_slice();
            while !input.is_empty() {
                client.read_tls(&mut input)?;
                client.process_new_packets()?;
            }
        }
        Ok(sum)
    }
}

/// Processor time of this thread so far.
fn thread_time() -> Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?.into())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic: that is its verdict")]
mod tests {
    use super::*;

    #[test]
    fn a_handshake_ends_and_takes_time() {
        assert!(Handshake::new().unwrap().server_time(2).unwrap() > Duration::ZERO);
    }
}
