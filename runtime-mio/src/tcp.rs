//! One TCP connection of the control thread: readiness, bounded reads and writes.
//!
//! Readiness is edge-triggered: once the poll said that a socket is readable it is so until a read
//! finds less than it has room for, however many turns that takes.

use std::io::{self, Read, Write};
use std::time::Duration;

use lvsp_core::ids::ConnId;
use lvsp_core::output::Plane;
use mio::net::{TcpListener, TcpStream};
use socket2::{SockRef, TcpKeepalive};

/// A connection and what is known of its readiness.
#[derive(Debug)]
pub(crate) struct Tcp {
    pub(crate) conn: ConnId,
    pub(crate) plane: Plane,
    pub(crate) stream: TcpStream,
    /// Whether the poll saw the end of the peer's bytes, or an error: read until it shows.
    pub(crate) ending: bool,
    /// Whether the last read found everything that there was.
    pub(crate) drained: bool,
    pub(crate) writable: bool,
    /// Whether it stands in the list of connections with work.
    pub(crate) queued: bool,
    /// The peer sends no more. It may still read, so what waits for it is written first.
    pub(crate) half_closed: bool,
}

/// How a read or write ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Progress {
    /// So many bytes; there may be more.
    Bytes(usize),
    /// Nothing for now.
    Blocked,
    /// The peer sends no more.
    HalfClosed,
    /// The connection is broken.
    Broken,
}

impl Tcp {
    pub(crate) const fn new(conn: ConnId, plane: Plane, stream: TcpStream) -> Self {
        Self {
            conn,
            plane,
            stream,
            ending: false,
            drained: false,
            writable: true,
            queued: false,
            half_closed: false,
        }
    }

    /// Reads once. A read that leaves room in `buffer` found the socket empty, and what comes
    /// later is a new edge: a message costs one turn, not a second one that finds nothing.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Progress {
        let progress = settle(|| self.stream.read(buffer));
        self.drained = match progress {
            Progress::Bytes(count) => count < buffer.len() && !self.ending,
            Progress::Blocked | Progress::HalfClosed | Progress::Broken => true,
        };
        if progress == Progress::Bytes(0) { Progress::HalfClosed } else { progress }
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Progress {
        let progress = settle(|| self.stream.write(bytes));
        if progress == Progress::Blocked {
            self.writable = false;
        }
        progress
    }
}

fn settle(mut operation: impl FnMut() -> io::Result<usize>) -> Progress {
    loop {
        match operation() {
            Ok(count) => return Progress::Bytes(count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Progress::Blocked,
            Err(_) => return Progress::Broken,
        }
    }
}

/// Small messages leave at once, and a peer that is gone is noticed within a minute. Said to the
/// listener, it holds for every connection: the kernel hands it on, and an accept is one call.
pub(crate) fn configure(listener: &TcpListener) -> io::Result<()> {
    let socket = SockRef::from(listener);
    socket.set_tcp_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(30))
        .with_interval(Duration::from_secs(10))
        .with_retries(3);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(Duration::from_secs(30)))?;
    Ok(())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_silent_peer_is_asked_and_given_up_by_the_kernel() {
        let listener = TcpListener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        configure(&listener).unwrap();
        let _peer = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, _) = listener.accept().unwrap();
        let socket = SockRef::from(&stream);
        assert!(socket.keepalive().unwrap() && socket.tcp_nodelay().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(30));
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), Duration::from_secs(10));
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), 3);
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(Duration::from_secs(30)));
    }
}
