//! Listens in the server's place for a moment, to see how a connection to the endpoint arrives there.
//!
//! The server's own code reads what arrives, once for each way in which a proxy may say who its client
//! is. A connection of somebody else meanwhile is ended as a stopping server would end it.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use lvsp_core::config::{ClientAddress, Proxies};
use lvsp_core::limits::Limits;
use lvsp_core::reasons::CloseReason;
use lvsp_core::transport::{TlsIdentity, Transport, TransportConfig, TransportEvent};

use super::dial::{Answer, Dial, PATIENCE};

/// How often the listener is looked at.
const LOOK: Duration = Duration::from_millis(5);
/// A message that nobody waits for.
const MESSAGE_BYTES: usize = 8_192;
/// Connections that are looked at for one of ours.
const CONNECTIONS_MAX: usize = 16;

/// How our connection arrived at the server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Arrival {
    /// From our own socket.
    Direct,
    /// From somebody in between, who says in this way that we are its client.
    Named(SocketAddr, ClientAddress, IpAddr),
    /// From somebody in between, who says nothing of us.
    Silent(SocketAddr),
}

/// How one connection began.
struct Begun {
    peer: SocketAddr,
    /// Whether it is ours for sure.
    is_ours: bool,
    client: Option<IpAddr>,
    refused: Option<CloseReason>,
}

/// What is listened with.
pub(super) struct Place<'a> {
    pub(super) listener: &'a TcpListener,
    pub(super) tls: Option<&'a TlsIdentity>,
    /// The way that the configuration names.
    pub(super) expected: ClientAddress,
}

impl Place<'_> {
    /// Connects through the endpoint, once without believing anybody, and then in each way. What
    /// answered, and how it arrived; `None` when nothing of it did.
    pub(super) fn observe(
        &self,
        dial: &Dial<'_>,
        mark: &str,
    ) -> io::Result<(Answer, Option<Arrival>)> {
        let (answer, begun) = self.once(dial, mark, None)?;
        let Some(begun) = begun else { return Ok((answer, None)) };
        if begun.peer == answer.local {
            return Ok((answer, Some(Arrival::Direct)));
        }
        let others =
            [ClientAddress::XForwardedFor, ClientAddress::Forwarded, ClientAddress::ProxyProtocol];
        let others = others.into_iter().filter(|other| *other != self.expected);
        let mut best = answer;
        for how in [self.expected].into_iter().chain(others) {
            let trusted = vec![IpNet::from(begun.peer.ip())];
            let proxies = Arc::new(Proxies { trusted, client_address: how });
            let Ok((answer, Some(again))) = self.once(dial, mark, Some(&proxies)) else { continue };
            if let (Some(client), None) = (again.client, again.refused) {
                return Ok((answer, Some(Arrival::Named(again.peer, how, client))));
            }
            if answer.chain.is_some() {
                best = answer;
            }
        }
        Ok((best, Some(Arrival::Silent(begun.peer))))
    }

    /// One connection.
    fn once(
        &self,
        dial: &Dial<'_>,
        mark: &str,
        proxies: Option<&Arc<Proxies>>,
    ) -> io::Result<(Answer, Option<Begun>)> {
        self.listener.set_nonblocking(true)?;
        thread::scope(|scope| {
            let dialling = scope.spawn(|| dial.connect());
            let mut looks = Vec::new();
            let end = Instant::now() + 3 * PATIENCE;
            while !dialling.is_finished() && Instant::now() < end {
                match self.listener.accept() {
                    Ok((stream, peer)) if looks.len() < CONNECTIONS_MAX => {
                        let transport = self.transport(proxies);
                        looks.push(scope.spawn(move || begin(stream, peer, transport, mark)));
                    }
                    Ok(_) => {}
                    Err(_) => thread::sleep(LOOK),
                }
            }
            let answer = dialling.join().map_err(|_| io::Error::other("a panic"))?;
            let begun = looks.into_iter().filter_map(|look| look.join().ok()?.ok());
            let mut begun: Vec<_> = begun.collect();
            // Of one that was refused nothing tells whose it is; it came when ours did.
            let ours = begun.iter().position(|one| one.is_ours);
            let at = ours.or_else(|| begun.iter().position(|one| one.refused.is_some()));
            Ok((answer?, at.map(|at| begun.swap_remove(at))))
        })
    }

    fn transport(&self, proxies: Option<&Arc<Proxies>>) -> Transport {
        let config = TransportConfig::new(&Limits::default(), MESSAGE_BYTES);
        match proxies {
            Some(proxies) => Transport::accept_from(proxies, self.tls, config),
            None => Transport::accept(self.tls, config),
        }
    }
}

/// Takes a connection as far as its upgrade.
fn begin(
    mut stream: TcpStream,
    peer: SocketAddr,
    mut transport: Transport,
    mark: &str,
) -> io::Result<Begun> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut begun = Begun { peer, is_ours: false, client: None, refused: None };
    let mut buffer = [0; 4_096];
    loop {
        let mut is_over = false;
        while let Some(event) = transport.poll_event() {
            match event {
                TransportEvent::Client(client) => {
                    begun.client = client;
                    transport.proceed();
                }
                TransportEvent::Opened { target } => {
                    begun.is_ours = target.contains(mark);
                    is_over = true;
                }
                TransportEvent::Failed(reason) => {
                    begun.refused = Some(reason);
                    is_over = true;
                }
                TransportEvent::Closed { .. } => is_over = true,
                TransportEvent::Text(_) | TransportEvent::Binary(_) | TransportEvent::Pong => {}
            }
        }
        let written = transport.outbound().len();
        stream.write_all(transport.outbound())?;
        transport.consume(written);
        if is_over {
            return Ok(begun);
        }
        match stream.read(&mut buffer)? {
            0 => transport.handle_eof(),
            length => transport.handle_bytes(&buffer[..length]),
        }
    }
}
