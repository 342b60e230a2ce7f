//! Mumble's control connection: TLS, messages of Protocol Buffers with a head of six bytes.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use lvsp_core::time::Timestamp;
use lvsp_mio::clock;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme, StreamOwned,
};

use super::voice::Crypt;

const VERSION: u16 = 0;
const AUTHENTICATE: u16 = 2;
const PING: u16 = 3;
const REJECT: u16 = 4;
const SERVER_SYNC: u16 = 5;
const CRYPT_SETUP: u16 = 15;
/// 1.3.4, as the protocol counts.
const CLIENT_VERSION: u64 = 0x01_03_04;
/// The largest message that is read. The server's own are far smaller.
const MESSAGE_BYTES: usize = 1 << 20;
/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two pings; the server is told to wait for 60 s.
const PING_INTERVAL: Duration = Duration::from_secs(5);

/// A client's control connection.
pub(super) struct Control {
    stream: StreamOwned<ClientConnection, TcpStream>,
    ping_at: Timestamp,
}

impl Control {
    /// Connects and logs in, waiting for it.
    pub(super) fn log_in(
        server: SocketAddr,
        config: &Arc<ClientConfig>,
        name: &str,
    ) -> Result<(Self, Crypt)> {
        let socket = TcpStream::connect(server)
            .with_context(|| format!("cannot reach mumble-server at {server}"))?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let host = ServerName::try_from("localhost").context("a name")?;
        let tls = ClientConnection::new(Arc::clone(config), host)?;
        let mut stream = StreamOwned::new(tls, socket);
        let mut version = Vec::new();
        write_number(1, CLIENT_VERSION, &mut version);
        write_bytes(2, b"lvsp-compare", &mut version);
        let mut login = Vec::new();
        write_bytes(1, name.as_bytes(), &mut login);
        write_number(5, 1, &mut login);
        stream.write_all(&[message(VERSION, &version), message(AUTHENTICATE, &login)].concat())?;
        let crypt = await_sync(&mut stream).context("mumble-server's answer to the login")?;
        stream.sock.set_nonblocking(true)?;
        Ok((Self { stream, ping_at: clock::now() + PING_INTERVAL }, crypt))
    }

    /// Reads whatever has arrived, and sends a ping if one is due.
    pub(super) fn serve(&mut self, now: Timestamp) -> Result<()> {
        let mut buffer = [0; 16_384];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => bail!("mumble-server ended a connection"),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error).context("a connection to mumble-server"),
            }
        }
        if self.ping_at <= now {
            self.ping_at = now + PING_INTERVAL;
            let mut ping = Vec::new();
            write_number(1, now.as_micros(), &mut ping);
            self.stream.write_all(&message(PING, &ping))?;
        }
        Ok(())
    }
}

/// Reads messages up to the one that ends a login.
fn await_sync(stream: &mut impl Read) -> Result<Crypt> {
    let mut crypt = None;
    loop {
        let mut head = [0; 6];
        stream.read_exact(&mut head)?;
        let [a, b, length @ ..] = head;
        let length = u32::from_be_bytes(length) as usize;
        if length > MESSAGE_BYTES {
            bail!("a message of {length} bytes");
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body)?;
        match u16::from_be_bytes([a, b]) {
            CRYPT_SETUP => crypt = read_crypt(&body),
            REJECT => bail!("rejected: {}", String::from_utf8_lossy(&body)),
            SERVER_SYNC => return crypt.context("no keys before the end of the login"),
            _ => {}
        }
    }
}

/// Key, client's nonce, server's nonce: fields 1 to 3, each of 16 bytes.
fn read_crypt(mut body: &[u8]) -> Option<Crypt> {
    let mut fields = [[0; 16]; 3];
    for (number, field) in (1..).zip(&mut fields) {
        let (head, rest) = body.split_first_chunk()?;
        if *head != [number << 3 | 2, 16] {
            return None;
        }
        let (value, rest) = rest.split_first_chunk()?;
        (*field, body) = (*value, rest);
    }
    let [key, client, server] = fields;
    Some(Crypt::new(&key, &client, &server))
}

fn message(kind: u16, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
    [&kind.to_be_bytes(), length.to_be_bytes().as_slice(), body].concat()
}

fn write_number(field: u8, number: u64, into: &mut Vec<u8>) {
    into.push(field << 3);
    write_varint(number, into);
}

fn write_bytes(field: u8, bytes: &[u8], into: &mut Vec<u8>) {
    into.push(field << 3 | 2);
    write_varint(bytes.len() as u64, into);
    into.extend_from_slice(bytes);
}

fn write_varint(mut number: u64, into: &mut Vec<u8>) {
    while number >= 0x80 {
        into.push(number as u8 | 0x80);
        number >>= 7;
    }
    into.push(number as u8);
}

/// For a server that makes its own certificate, and a connection whose safety is of no interest.
pub(super) fn trusting() -> Result<Arc<ClientConfig>> {
    let provider = Arc::new(ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
        .with_no_client_auth();
    config.resumption = rustls::client::Resumption::disabled();
    Ok(Arc::new(config))
}

#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic: that is its verdict")]
mod tests {
    use super::*;

    #[test]
    fn a_login_ends_with_the_servers_sync_and_has_its_keys() {
        let mut setup = Vec::new();
        (1..4).for_each(|field| write_bytes(field, &[field; 16], &mut setup));
        let answer = |kinds: &[u16]| {
            let body = |kind: u16| if kind == CRYPT_SETUP { setup.as_slice() } else { b"x" };
            let all: Vec<_> = kinds.iter().flat_map(|kind| message(*kind, body(*kind))).collect();
            await_sync(&mut all.as_slice()).map(drop).map_err(|error| format!("{error:#}"))
        };
        assert_eq!(answer(&[VERSION, CRYPT_SETUP, 7, 9, SERVER_SYNC]), Ok(()));
        assert!(answer(&[VERSION, SERVER_SYNC]).unwrap_err().contains("no keys"));
        assert_eq!(answer(&[VERSION, REJECT]).unwrap_err(), "rejected: x");
        assert!(answer(&[CRYPT_SETUP]).is_err(), "it ends too soon");
    }
}
