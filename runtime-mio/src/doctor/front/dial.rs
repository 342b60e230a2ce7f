//! Connects to the endpoint as a voice client does, and looks at what answers.
//!
//! Any certificate is taken here: what is wrong with it is judged afterwards, and nothing that is secret
//! is said to whoever answers.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, Stream};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

/// How long each step may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);
/// More of an answer is not read.
const ANSWER_BYTES: usize = 4_096;

/// Where to connect, and what to ask for there.
pub(super) struct Dial<'a> {
    pub(super) host: &'a str,
    pub(super) addresses: &'a [SocketAddr],
    /// Path and query of the request.
    pub(super) target: &'a str,
}

/// What answered.
#[derive(Debug)]
pub(super) struct Answer {
    /// Our own end of the connection.
    pub(super) local: SocketAddr,
    /// Whose address answered.
    pub(super) remote: SocketAddr,
    /// The chain that was presented; `None` where the answer is not TLS.
    pub(super) chain: Option<Vec<CertificateDer<'static>>>,
    /// The HTTP status line, if one came.
    pub(super) status: Option<String>,
}

impl Dial<'_> {
    /// Connects, speaks TLS or, where that is not spoken, goes without, and asks for an upgrade.
    pub(super) fn connect(&self) -> io::Result<Answer> {
        let (mut stream, remote) = self.open()?;
        let local = stream.local_addr()?;
        let mut session = self.session()?;
        match session.complete_io(&mut stream) {
            Ok(_) => {
                let chain = session.peer_certificates().unwrap_or_default();
                let chain = Some(chain.iter().map(|der| der.clone().into_owned()).collect());
                let status = self.ask(&mut Stream::new(&mut session, &mut stream));
                Ok(Answer { local, remote, chain, status })
            }
            // What is answered to a greeting in TLS is no TLS, or nothing at all.
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                let (mut stream, remote) = self.open()?;
                let local = stream.local_addr()?;
                let status = self.ask(&mut stream);
                Ok(Answer { local, remote, chain: None, status })
            }
            Err(error) => Err(io::Error::new(error.kind(), format!("no TLS handshake: {error}"))),
        }
    }

    /// The first address that takes a connection.
    fn open(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for address in self.addresses {
            match TcpStream::connect_timeout(address, PATIENCE) {
                Ok(stream) => {
                    stream.set_read_timeout(Some(PATIENCE))?;
                    stream.set_write_timeout(Some(PATIENCE))?;
                    return Ok((stream, *address));
                }
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    fn session(&self) -> io::Result<ClientConnection> {
        let provider = Arc::new(ring::default_provider());
        let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
            .with_no_client_auth();
        let name = ServerName::try_from(self.host.to_owned()).map_err(io::Error::other)?;
        ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)
    }

    /// Asks for an upgrade; the first line of the answer.
    fn ask(&self, stream: &mut (impl Read + Write)) -> Option<String> {
        let Self { host, target, .. } = self;
        // The key is that of RFC 6455, 1.3: nobody is to be told apart by it.
        let request = format!(
            "GET {target} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).ok()?;
        stream.flush().ok()?;
        let mut answer = Vec::new();
        let mut buffer = [0; 512];
        while answer.len() < ANSWER_BYTES && !answer.contains(&b'\n') {
            match stream.read(&mut buffer) {
                Ok(length @ 1..) => answer.extend_from_slice(&buffer[..length]),
                Ok(0) | Err(_) => break,
            }
        }
        let line = answer.split(|byte| *byte == b'\r').next()?;
        let line = String::from_utf8_lossy(line);
        line.starts_with("HTTP/").then(|| line.into_owned())
    }
}

/// Takes whatever certificate is presented.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
