//! The listeners: when a connection is accepted, and when it has to wait.
//!
//! A connection that is not accepted waits in the kernel's backlog, where it costs nothing. Gateway
//! connections are taken at the pace of `limits.handshakes_per_s`; chat servers are not kept
//! waiting by clients. Not here: who is over its share (`Server::handle_accept`).

use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::time::Duration;

use lvsp_core::output::Plane;
use lvsp_core::pace::Pace;
use lvsp_core::time::Timestamp;
use tokio::net::{TcpListener, TcpStream};

/// After an accept failed, for want of descriptors say, accepting rests for this long.
const REST: Duration = Duration::from_millis(100);
/// Such a failure is logged this often.
const WARNING_INTERVAL: Duration = Duration::from_secs(10);

/// The listeners, until they are closed.
#[derive(Debug)]
pub(crate) struct Listeners {
    open: Vec<(TcpListener, Plane)>,
    /// Which one is asked first in this turn, so that neither keeps the other waiting.
    first: usize,
    pace: Pace,
    /// No accepting before this.
    rest_until: Timestamp,
    warn_after: Timestamp,
}

impl Listeners {
    pub(crate) fn new(open: Vec<(TcpListener, Plane)>, handshakes_per_s: u64) -> Self {
        Self {
            open,
            first: 0,
            pace: Pace::new(handshakes_per_s),
            rest_until: Timestamp::ZERO,
            warn_after: Timestamp::ZERO,
        }
    }

    /// When a connection that has to wait now may be accepted; `None` when none has to.
    pub(crate) fn next_at(&self, now: Timestamp) -> Option<Timestamp> {
        let due = self.open.iter().map(|(_, plane)| self.due(*plane));
        due.filter(|due| *due > now).min()
    }

    fn due(&self, plane: Plane) -> Timestamp {
        match plane {
            Plane::Control => self.rest_until,
            Plane::Gateway => self.rest_until.max(self.pace.next()),
        }
    }

    /// The next connection, if there is one that may be accepted now.
    pub(crate) fn accept(
        &mut self,
        now: Timestamp,
        cx: &mut Context<'_>,
    ) -> Option<(TcpStream, SocketAddr, Plane)> {
        for step in 0..self.open.len() {
            let at = (self.first + step) % self.open.len();
            let (listener, plane) = &self.open[at];
            if self.due(*plane) > now {
                continue;
            }
            match listener.poll_accept(cx) {
                Poll::Ready(Ok((stream, peer))) => {
                    let plane = *plane;
                    self.first = (at + 1) % self.open.len();
                    return Some((stream, peer, plane));
                }
                Poll::Ready(Err(error)) => {
                    // Either that connection is gone already, or there are no descriptors: nothing
                    // that asking again at once would help.
                    self.rest_until = now + REST;
                    if now >= self.warn_after {
                        self.warn_after = now + WARNING_INTERVAL;
                        tracing::warn!(%error, "cannot accept a connection");
                    }
                    return None;
                }
                Poll::Pending => {}
            }
        }
        None
    }

    /// An accepted connection is wanted. Others do not count for the pace: a stranger who is
    /// refused a thousand times a second does not keep others waiting.
    pub(crate) fn note_opened(&mut self, now: Timestamp, plane: Plane) {
        if plane == Plane::Gateway {
            self.pace.take(now);
        }
    }

    /// Closes all: the ports can be opened again. Who waits in a backlog is turned away.
    pub(crate) fn close(&mut self) {
        self.open.clear();
    }
}
