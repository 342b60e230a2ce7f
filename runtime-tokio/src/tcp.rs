//! One TCP connection: reads and writes that never wait, and who is told when they can go on.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use lvsp_core::ids::ConnId;
use socket2::{SockRef, TcpKeepalive};
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

/// How a read or write ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Progress {
    /// So many bytes; there may be more.
    Bytes(usize),
    /// Nothing for now. The bell rings when there is.
    Blocked,
    /// The peer sends no more.
    HalfClosed,
    /// The connection is broken.
    Broken,
}

impl Tcp {
    pub(crate) fn new(conn: ConnId, stream: TcpStream, bell: Arc<Bell>) -> Self {
        let waker = Waker::from(Arc::clone(&bell));
        Self { conn, stream, bell, waker, half_closed: false, blocked: false }
    }

    /// Reads once.
    pub(crate) fn read(&self, buffer: &mut [u8]) -> Progress {
        match settle(|| self.stream.try_read(buffer)) {
            Progress::Bytes(0) => Progress::HalfClosed,
            Progress::Blocked => self.wait(TcpStream::poll_read_ready),
            progress @ (Progress::Bytes(_) | Progress::HalfClosed | Progress::Broken) => progress,
        }
    }

    /// Writes once.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Progress {
        let progress = match settle(|| self.stream.try_write(bytes)) {
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

/// Small messages leave at once, and a peer that is gone is noticed within a minute.
pub(crate) fn configure(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(30))
        .with_interval(Duration::from_secs(10))
        .with_retries(3);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(Duration::from_secs(30)))?;
    Ok(())
}
