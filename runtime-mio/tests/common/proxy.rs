//! A small proxy: it passes TCP connections on, may speak TLS to its clients, and may say who they
//! are.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use lvsp_mio::development::Files;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// What a proxy says of its client.
#[derive(Clone, Copy)]
pub enum Says {
    Nothing,
    /// A line of the PROXY protocol before everything else.
    Line,
    /// A header of the request, up to the client's address.
    Header(&'static str),
}

/// A running proxy. It ends with the test.
pub struct Proxy {
    pub address: SocketAddr,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Leads to `to`. With `tls` it presents that certificate and passes on what is inside.
    pub fn start(to: SocketAddr, says: Says, tls: Option<&Files>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let tls = tls.map(|files| Arc::new(presenting(files)));
        let ended = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&ended);
        let thread = thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if is_over.load(Ordering::Acquire) {
                    break;
                }
                let tls = tls.clone();
                // One that breaks off is no fault of the proxy's.
                thread::spawn(move || carry(client, to, says, tls).ok());
            }
        });
        Self { address, ended, thread: Some(thread) }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Release);
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn presenting(files: &Files) -> ServerConfig {
    let chain = CertificateDer::pem_slice_iter(files.certificate.as_bytes());
    let chain = chain.collect::<Result<_, _>>().expect("PEM");
    let key = PrivateKeyDer::from_pem_slice(files.key.as_bytes()).expect("PEM");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("its own versions")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("a certificate")
}

fn carry(
    client: TcpStream,
    to: SocketAddr,
    says: Says,
    tls: Option<Arc<ServerConfig>>,
) -> io::Result<()> {
    let from = client.peer_addr()?;
    let mut server = TcpStream::connect(to)?;
    if let Says::Line = says {
        write!(server, "PROXY TCP4 {} {} {} {}\r\n", from.ip(), to.ip(), from.port(), to.port())?;
    }
    match (tls, says) {
        (None, Says::Nothing | Says::Line) => pass(&client, &server),
        (None, Says::Header(header)) => exchange(client, server, header, from),
        (Some(tls), says) => {
            let session = ServerConnection::new(tls).map_err(io::Error::other)?;
            let header = match says {
                Says::Header(header) => header,
                Says::Nothing | Says::Line => "",
            };
            exchange(StreamOwned::new(session, client), server, header, from)
        }
    }
}

/// Passes bytes on in both directions until either end is over.
fn pass(client: &TcpStream, server: &TcpStream) -> io::Result<()> {
    let (mut from, mut to) = (client.try_clone()?, server.try_clone()?);
    let upwards = thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
    let _ = io::copy(&mut &*server, &mut &*client);
    let _ = client.shutdown(Shutdown::Both);
    upwards.join().map_err(|_| io::Error::other("a panic"))
}

/// Passes a request on with a header more, and its answer's head back.
fn exchange(
    mut client: impl Read + Write,
    mut server: TcpStream,
    header: &str,
    from: SocketAddr,
) -> io::Result<()> {
    let mut request = head(&mut client)?;
    if !header.is_empty() {
        let end = request.len() - 2;
        request.truncate(end);
        write!(request, "{header}{}\r\n\r\n", from.ip())?;
    }
    server.write_all(&request)?;
    let answer = head(&mut server)?;
    client.write_all(&answer)?;
    client.flush()
}

/// What arrives up to an empty line.
fn head(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(head)
}
