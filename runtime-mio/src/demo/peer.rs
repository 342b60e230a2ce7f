//! Sockets for one client role: a TCP connection and, for a voice client, a UDP socket.
//!
//! Decided here: when bytes move. Not here: what they mean (the roles of [`lvsp_core::client`]),
//! and what is done with them (`chat.rs`, `caller.rs`).
//!
//! Each turn writes what there is, waits, and reads until nothing is left, so that it does not
//! matter which socket woke it.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use lvsp_core::time::Timestamp;
use mio::net::{TcpStream, UdpSocket};
use mio::{Events, Interest, Poll, Token};

use crate::clock;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Asked of the kernel: a second of everybody's talk waits while this process is not scheduled.
const SOCKET_BUFFER_BYTES: usize = 1 << 20;

/// What the client roles have in common.
pub(super) trait Role {
    fn handle_bytes(&mut self, now: Timestamp, bytes: &[u8]);
    fn handle_eof(&mut self, now: Timestamp);
    fn handle_timeout(&mut self, now: Timestamp);
    fn outbound(&self) -> &[u8];
    fn consume(&mut self, written: usize);
    fn poll_timeout(&self) -> Option<Timestamp>;

    /// Only a role with a UDP socket has something to do here.
    fn handle_datagram(&mut self, _packet: &mut [u8]) {}

    fn poll_transmit(&mut self) -> Option<(SocketAddr, Vec<u8>)> {
        None
    }
}

/// How a connection ended, in words.
pub(super) fn ending(code: Option<u16>) -> String {
    match code {
        Some(code) => format!("the server closed its connection with code {code}"),
        None => "its connection broke".to_owned(),
    }
}

/// A role with its sockets.
pub(super) struct Peer<R> {
    pub(super) role: R,
    stream: TcpStream,
    socket: Option<UdpSocket>,
    poll: Poll,
    events: Events,
    ended: bool,
}

impl<R: Role> Peer<R> {
    /// Connects to a listener.
    pub(super) fn connect(role: R, server: SocketAddr) -> io::Result<Self> {
        let stream = std::net::TcpStream::connect_timeout(&server, CONNECT_TIMEOUT)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        let poll = Poll::new()?;
        let both = Interest::READABLE | Interest::WRITABLE;
        poll.registry().register(&mut stream, Token(0), both)?;
        let events = Events::with_capacity(8);
        Ok(Self { role, stream, socket: None, poll, events, ended: false })
    }

    /// Adds a UDP socket.
    pub(super) fn with_socket(mut self) -> io::Result<Self> {
        let mut socket = UdpSocket::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        socket2::SockRef::from(&socket).set_recv_buffer_size(SOCKET_BUFFER_BYTES)?;
        self.poll.registry().register(&mut socket, Token(1), Interest::READABLE)?;
        self.socket = Some(socket);
        Ok(self)
    }

    /// Moves bytes and datagrams both ways, waiting for them until `until` at the latest.
    pub(super) fn turn(&mut self, until: Timestamp) -> io::Result<()> {
        self.write()?;
        let until = self.role.poll_timeout().map_or(until, |due| until.min(due));
        let wait = until.since(clock::now());
        match self.poll.poll(&mut self.events, Some(wait)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => other?,
        }
        self.read_stream()?;
        self.read_datagrams()?;
        self.role.handle_timeout(clock::now());
        self.write()
    }

    fn write(&mut self) -> io::Result<()> {
        while !self.role.outbound().is_empty() && !self.ended {
            match self.stream.write(self.role.outbound()) {
                Ok(written) => self.role.consume(written),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        if let Some(socket) = &self.socket {
            while let Some((to, datagram)) = self.role.poll_transmit() {
                socket.send_to(&datagram, to)?;
            }
        }
        Ok(())
    }

    fn read_stream(&mut self) -> io::Result<()> {
        let mut buffer = [0; 4_096];
        while !self.ended {
            match self.stream.read(&mut buffer) {
                Ok(0) => {
                    self.ended = true;
                    self.role.handle_eof(clock::now());
                }
                Ok(length) => self.role.handle_bytes(clock::now(), &buffer[..length]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn read_datagrams(&mut self) -> io::Result<()> {
        let Some(socket) = &self.socket else { return Ok(()) };
        let mut buffer = [0; 2_048];
        loop {
            match socket.recv_from(&mut buffer) {
                Ok((length, _)) => self.role.handle_datagram(&mut buffer[..length]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }
}
