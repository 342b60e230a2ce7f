//! One TCP connection: reads and writes that never wait, and who is told when they can go on.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use lvsp_core::ids::ConnId;
use lvsp_runtime_common::tcp::{self, Progress};
use tokio::net::TcpStream;

use crate::ready::Bell;

/// A connection and what is known of it.
#[derive(Debug)]
pub(crate) struct Tcp {
    pub(crate) conn: ConnId,
    stream: TcpStream,
    pub(crate) bell: Arc<Bell>,
    waker: Waker,
    /// The peer sends no more. It may still read, so what waits for it is written first.
    pub(crate) half_closed: bool,
    /// The socket was full when it was last written to.
    pub(crate) blocked: bool,
}

impl Tcp {
    pub(crate) fn new(conn: ConnId, stream: TcpStream, bell: Arc<Bell>) -> Self {
        let waker = Waker::from(Arc::clone(&bell));
        Self { conn, stream, bell, waker, half_closed: false, blocked: false }
    }

    /// Reads once.
    pub(crate) fn read(&self, buffer: &mut [u8]) -> Progress {
        match tcp::read(|| self.stream.try_read(buffer)) {
            Progress::Blocked => self.wait(TcpStream::poll_read_ready),
            progress @ (Progress::Bytes(_) | Progress::HalfClosed | Progress::Broken) => progress,
        }
    }

    /// Writes once.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Progress {
        let progress = match tcp::write(|| self.stream.try_write(bytes)) {
            Progress::Blocked => self.wait(TcpStream::poll_write_ready),
            progress @ (Progress::Bytes(_) | Progress::HalfClosed | Progress::Broken) => progress,
        };
        self.blocked = progress == Progress::Blocked;
        progress
    }

    /// Has the bell rung when the socket is ready.
    fn wait(
        &self,
        ready: impl FnOnce(&TcpStream, &mut Context<'_>) -> Poll<io::Result<()>>,
    ) -> Progress {
        match ready(&self.stream, &mut Context::from_waker(&self.waker)) {
            Poll::Pending => Progress::Blocked,
            // It has just become so.
            Poll::Ready(Ok(())) => {
                self.bell.list();
                Progress::Blocked
            }
            Poll::Ready(Err(_)) => Progress::Broken,
        }
    }
}
