//! One TCP connection of the control thread: readiness, bounded reads and writes.
//!
//! Readiness is edge-triggered: once the poll said that a socket is readable it is so until a read
//! finds less than it has room for, however many turns that takes.

use std::io::{Read, Write};

use lvsp_core::ids::ConnId;
use lvsp_core::output::Plane;
use lvsp_runtime_common::tcp::{self, Progress};
use mio::net::TcpStream;

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
        let progress = tcp::read(|| self.stream.read(buffer));
        self.drained = match progress {
            Progress::Bytes(count) => count < buffer.len() && !self.ending,
            Progress::Blocked | Progress::HalfClosed | Progress::Broken => true,
        };
        progress
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Progress {
        let progress = tcp::write(|| self.stream.write(bytes));
        if progress == Progress::Blocked {
            self.writable = false;
        }
        progress
    }
}
