//! The smallest host: sockets of the standard library, one thread, plain TCP.
//!
//! ```sh
//! cargo run -p lvsp-core --example smallest_host             # serves until it is interrupted
//! cargo run -p lvsp-core --example smallest_host -- --check  # a chat server places a caller, verdict
//! ```
//!
//! It is complete but for what a public server needs besides: a certificate (`Server::set_tls`),
//! bounded work in each turn, a pace for newcomers (`Pace`), and a
//! better way to wait than to look every five milliseconds. `docs/embedding.md` explains each line.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::missing_errors_doc,
    clippy::print_stdout,
    missing_docs,
    unreachable_pub,
    dead_code,
    reason = "a host owns what the core must not have; another example borrows this one"
)]

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use lvsp_core::config::{Config, ControlClient, MediaConfig};
use lvsp_core::crypto::auth::ControlSecret;
use lvsp_core::entropy::Entropy;
use lvsp_core::ids::{ConnId, RelayId};
use lvsp_core::media::{Forwarding, Outbox, Relay};
use lvsp_core::output::{Output, Plane};
use lvsp_core::server::Server;
use lvsp_core::time::Timestamp;

#[path = "support/peers.rs"]
pub mod peers;

/// Nothing waits longer than this, because TCP sockets are only looked at.
const LOOK: Duration = Duration::from_millis(5);

pub struct Host {
    server: Server,
    relay: Relay,
    listeners: [(TcpListener, Plane); 2],
    streams: BTreeMap<ConnId, TcpStream>,
    udp: UdpSocket,
    outbox: Outbox,
    start: Instant,
}

impl Host {
    /// Binds everything. Port 0 takes a free one.
    pub fn bind(secret: &str, control: u16, gateway: u16, media: u16) -> Result<Self, String> {
        let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let fail = |error: io::Error| error.to_string();
        let control = TcpListener::bind(at(control)).map_err(fail)?;
        let gateway = TcpListener::bind(at(gateway)).map_err(fail)?;
        let udp = UdpSocket::bind(at(media)).map_err(fail)?;
        control.set_nonblocking(true).map_err(fail)?;
        gateway.set_nonblocking(true).map_err(fail)?;

        let secret = ControlSecret::new(secret.to_owned()).map_err(|error| error.to_string())?;
        let endpoint = gateway.local_addr().map_err(fail)?.to_string();
        let port = udp.local_addr().map_err(fail)?.port();
        let config = Config {
            control_clients: vec![ControlClient::new("example".to_owned(), secret)],
            // This host serves its own machine alone, or loopback addresses would be refused.
            media: MediaConfig { loopback: true, ..MediaConfig::default() },
            ..Config::new(endpoint, vec![SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)])
        };
        let relay = Relay::new(RelayId(0), &config.limits, config.media);
        let mut outbox = Outbox::new(config.limits.media_latency_ms.duration());
        // The standard library sends datagrams one by one.
        outbox.stop_joining();
        let server = Server::new(config, Box::new(OsEntropy), Timestamp::ZERO);
        Ok(Self {
            server: server.map_err(|error| error.to_string())?,
            relay,
            listeners: [(control, Plane::Control), (gateway, Plane::Gateway)],
            streams: BTreeMap::new(),
            udp,
            outbox,
            start: Instant::now(),
        })
    }

    /// Where chat servers and voice clients connect.
    pub fn addresses(&self) -> io::Result<[SocketAddr; 2]> {
        Ok([self.listeners[0].0.local_addr()?, self.listeners[1].0.local_addr()?])
    }

    fn now(&self) -> Timestamp {
        Timestamp::ZERO + self.start.elapsed()
    }

    /// One turn of the loop: media, then TCP in, then deadlines, then outputs, then TCP out.
    pub fn turn(&mut self) -> io::Result<()> {
        self.wait_for_a_datagram()?;
        while let Some(event) = self.relay.poll_event() {
            self.server.handle_relay_event(self.now(), RelayId(0), event);
        }
        if !self.server.is_behind() {
            self.accept();
            self.read();
        }
        self.server.handle_timeout(self.now());
        self.act();
        self.write();
        Ok(())
    }

    /// The only place where the thread waits: until a datagram comes or a deadline is reached.
    fn wait_for_a_datagram(&mut self) -> io::Result<()> {
        let deadline = self.server.poll_timeout().map_or(LOOK, |at| at.since(self.now()));
        // Zero would wait for ever.
        let wait = deadline.clamp(Duration::from_millis(1), LOOK);
        self.udp.set_read_timeout(Some(wait))?;
        let mut buffer = [0; 2_048];
        // Nothing in time, or the echo of a datagram that somebody did not want.
        let Ok((length, from)) = self.udp.recv_from(&mut buffer) else { return Ok(()) };
        // Every command that the server gave before is obeyed already: see `act`.
        let Self { relay, outbox, udp, start, .. } = self;
        let clock = || Timestamp::ZERO + start.elapsed();
        let mut forwarding = Forwarding::new(relay, outbox, clock, |flights| {
            flights.send_each(|flight| {
                let mut datagrams = flight.datagrams();
                datagrams.try_for_each(|bytes| udp.send_to(bytes, flight.address()).map(drop))
            })
        });
        forwarding.datagram(clock(), from, &mut buffer[..length]);
        forwarding.flush();
        Ok(())
    }

    fn accept(&mut self) {
        for (listener, plane) in &self.listeners {
            let Ok((stream, peer)) = listener.accept() else { continue };
            if stream.set_nonblocking(true).is_ok()
                && let Ok(conn) = self.server.handle_accept(self.now(), *plane, peer)
            {
                self.streams.insert(conn, stream);
            }
        }
    }

    fn read(&mut self) {
        let mut buffer = [0; 16_384];
        let conns = self.streams.keys().copied().collect::<Vec<_>>();
        for conn in conns {
            let Some(stream) = self.streams.get_mut(&conn) else { continue };
            match stream.read(&mut buffer) {
                Ok(length) if length > 0 => {
                    self.server.handle_bytes(self.now(), conn, &buffer[..length]);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Ok(_) | Err(_) => self.end(conn),
            }
        }
    }

    /// Does what the server asks, all of it before a byte is written.
    fn act(&mut self) {
        while let Some(output) = self.server.poll_output() {
            match output {
                // Below, every connection is looked at.
                Output::Write(_) => {}
                Output::Close { conn, .. } => drop(self.streams.remove(&conn)),
                // With relays on other threads this would be a queue.
                Output::Relay(_, command) => self.relay.handle_command(self.now(), command),
                Output::Event(event) => println!("{event:?}"),
            }
        }
    }

    fn write(&mut self) {
        let conns = self.streams.keys().copied().collect::<Vec<_>>();
        for conn in conns {
            let Some(stream) = self.streams.get_mut(&conn) else { continue };
            let bytes = self.server.outbound(conn);
            match stream.write(bytes) {
                Ok(written) => self.server.consume(self.now(), conn, written),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => self.end(conn),
            }
        }
        self.act();
    }

    fn end(&mut self, conn: ConnId) {
        if let Some(mut stream) = self.streams.remove(&conn) {
            // The reason why it was closed may wait still.
            let _ = stream.write(self.server.outbound(conn));
        }
        self.server.handle_eof(self.now(), conn);
    }
}

/// Keys are drawn from here: it must be the operating system's generator.
pub struct OsEntropy;

impl Entropy for OsEntropy {
    fn fill(&mut self, buffer: &mut [u8]) {
        #[expect(clippy::expect_used, reason = "serving with a predictable key would be worse")]
        getrandom::fill(buffer).expect("the operating system gives random bytes");
    }
}

fn main() -> Result<(), String> {
    let check = std::env::args().any(|argument| argument == "--check");
    let ports = if check { [0; 3] } else { [6_000, 8_443, 50_000] };
    let entropy: &mut (dyn Entropy + Send) = &mut OsEntropy;
    let secret = entropy.hex::<32>();
    let mut host = Host::bind(&secret, ports[0], ports[1], ports[2])?;
    let [control, gateway] = host.addresses().map_err(|error| error.to_string())?;
    println!("chat servers: ws://{control}/ with {secret}; voice clients: ws://{gateway}/");
    let checker = check.then(|| thread::spawn(move || peers::call(control, &secret)));
    while !checker.as_ref().is_some_and(JoinHandle::is_finished) {
        host.turn().map_err(|error| error.to_string())?;
    }
    match checker.map(JoinHandle::join) {
        Some(Ok(Ok(()))) => println!("PASS: a chat server placed a caller, who got a key"),
        Some(Ok(Err(why))) => return Err(format!("FAIL: {why}")),
        Some(Err(_)) | None => return Err("FAIL: the check ended early".to_owned()),
    }
    Ok(())
}
