//! One client role with its sockets and a poll of its own, for a thread of its own.
//!
//! Each turn writes what there is, waits, and reads until nothing is left, so that it does not
//! matter which socket woke it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use lvsp_core::time::Timestamp;
use mio::{Events, Poll, Token};

use crate::clock;
use crate::peers::{Connection, Role, Socket};

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
    connection: Connection,
    socket: Option<Socket>,
    poll: Poll,
    events: Events,
}

impl<R: Role> Peer<R> {
    /// Connects to a listener.
    pub(super) fn connect(role: R, server: SocketAddr) -> io::Result<Self> {
        let mut connection = Connection::open(server)?;
        let poll = Poll::new()?;
        connection.register(poll.registry(), Token(0))?;
        let events = Events::with_capacity(8);
        Ok(Self { role, connection, socket: None, poll, events })
    }

    /// Adds a UDP socket.
    pub(super) fn with_socket(mut self) -> io::Result<Self> {
        let mut socket = Socket::bind(IpAddr::V4(Ipv4Addr::LOCALHOST))?;
        socket.register(self.poll.registry(), Token(1))?;
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
        self.connection.read(&mut self.role)?;
        if let Some(socket) = &self.socket {
            socket.read(&mut self.role)?;
        }
        self.role.handle_timeout(clock::now());
        self.write()
    }

    fn write(&mut self) -> io::Result<()> {
        self.connection.write(&mut self.role)?;
        self.socket.as_ref().map_or(Ok(()), |socket| socket.write(&mut self.role))
    }
}
