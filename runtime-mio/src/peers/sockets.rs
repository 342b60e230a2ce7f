//! A TCP connection and a UDP socket, each of one role.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr};

use mio::net::{TcpStream, UdpSocket};
use mio::{Interest, Registry, Token};

use super::Role;
use crate::clock;

/// Asked of the kernel: a second of everybody's talk waits while this process is not scheduled.
const SOCKET_BUFFER_BYTES: usize = 1 << 20;

/// A TCP connection of a role.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    ended: bool,
}

impl Connection {
    /// Begins to connect. Whether it comes about, reads and writes tell.
    ///
    /// # Errors
    /// When there is no descriptor, or no way to the server.
    pub fn open(server: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(server)?;
        stream.set_nodelay(true)?;
        Ok(Self::over(stream))
    }

    /// A connection that somebody else has begun.
    #[must_use]
    pub const fn over(stream: TcpStream) -> Self {
        Self { stream, ended: false }
    }

    /// Whether the connection has come about.
    ///
    /// # Errors
    /// Why it never will.
    pub fn is_connected(&self) -> io::Result<bool> {
        match self.stream.take_error()? {
            Some(error) => Err(error),
            None => Ok(self.stream.peer_addr().is_ok()),
        }
    }

    /// Watches it for everything.
    ///
    /// # Errors
    /// When the poll refuses.
    pub fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(&mut self.stream, token, Interest::READABLE | Interest::WRITABLE)
    }

    /// Writes what the role has to say, as far as there is room for it.
    ///
    /// # Errors
    /// When the connection broke.
    pub fn write(&mut self, role: &mut impl Role) -> io::Result<()> {
        while !role.outbound().is_empty() && !self.ended {
            match self.stream.write(role.outbound()) {
                Ok(written) => role.consume(written),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if is_not_yet(&error) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Gives the role everything that has arrived, the end included.
    ///
    /// # Errors
    /// When the connection broke, or never came about.
    pub fn read(&mut self, role: &mut impl Role) -> io::Result<()> {
        let mut buffer = [0; 4_096];
        while !self.ended {
            match self.stream.read(&mut buffer) {
                Ok(0) => {
                    self.ended = true;
                    role.handle_eof(clock::now());
                }
                Ok(length) => role.handle_bytes(clock::now(), &buffer[..length]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if is_not_yet(&error) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// A UDP socket of a role.
#[derive(Debug)]
pub struct Socket(UdpSocket);

impl Socket {
    /// Binds a free port.
    ///
    /// # Errors
    /// When there is no such address, or no descriptor.
    pub fn bind(address: IpAddr) -> io::Result<Self> {
        let socket = UdpSocket::bind(SocketAddr::new(address, 0))?;
        socket2::SockRef::from(&socket).set_recv_buffer_size(SOCKET_BUFFER_BYTES)?;
        Ok(Self(socket))
    }

    /// Watches it for datagrams.
    ///
    /// # Errors
    /// When the poll refuses.
    pub fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(&mut self.0, token, Interest::READABLE)
    }

    /// Sends what the role has to send.
    ///
    /// # Errors
    /// When the socket refuses a datagram; those behind it wait for the next call.
    pub fn write(&self, role: &mut impl Role) -> io::Result<()> {
        while let Some((to, datagram)) = role.poll_transmit() {
            self.send(&datagram, to)?;
        }
        Ok(())
    }

    /// Sends one datagram.
    ///
    /// # Errors
    /// When the socket refuses it.
    pub fn send(&self, datagram: &[u8], to: SocketAddr) -> io::Result<()> {
        self.0.send_to(datagram, to).map(drop)
    }

    /// Gives the role every datagram that has arrived.
    ///
    /// # Errors
    /// When the socket tells of a failure; datagrams behind it wait for the next call.
    pub fn read(&self, role: &mut impl Role) -> io::Result<()> {
        let mut buffer = [0; 2_048];
        loop {
            match self.0.recv_from(&mut buffer) {
                Ok((length, _)) => role.handle_datagram(&mut buffer[..length]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }
}

/// Whether there is only nothing to do for now. Some systems say so of a connection under way by
/// an error of its own.
fn is_not_yet(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected)
}
