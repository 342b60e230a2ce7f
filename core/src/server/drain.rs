//! How a server stops: quietly first, then by telling everybody to resume elsewhere.
//!
//! Here: the two parts of a drain, and what a host may ask about it. Not here: refusing new voice
//! states (`placement`) and connections (`admission`).

use super::Server;
use super::deadlines::Timer;
use crate::output::Plane;
use crate::reasons::CloseReason;
use crate::time::Timestamp;

/// A drain under way.
#[derive(Debug)]
pub(super) struct Drain {
    /// Sessions are being closed and no connection is taken any more.
    closing: bool,
}

impl Server {
    /// Begins to stop: new voice states are refused and health is 0, while calls and resumes go on
    /// for [`Config::drain`](crate::config::Config::drain). Then no connection is taken any more,
    /// every session is told to resume elsewhere within
    /// [`drain_spread_ms`](crate::limits::Limits::drain_spread_ms), and
    /// [`drain_linger_ms`](crate::limits::Limits::drain_linger_ms) later nobody is left.
    pub fn begin_drain(&mut self, now: Timestamp) {
        let now = self.advance(now);
        if self.drain.is_none() {
            self.drain = Some(Drain { closing: false });
            self.timers.set(Timer::Drain, now + self.config.drain);
            self.volunteer_health_to_all(now);
        }
    }

    /// The quiet part is over.
    pub(super) fn close_for_drain(&mut self, now: Timestamp) {
        self.drain = Some(Drain { closing: true });
        let spread = self.config.limits.drain_spread_ms.duration();
        let conns: Vec<_> = self.conns.iter().map(|(id, conn)| (id, conn.plane)).collect();
        for (conn, plane) in conns {
            let after = match plane {
                Plane::Gateway => self.draw_delay(spread),
                Plane::Control => spread,
            };
            self.timers.set(Timer::DrainClose(conn), now + after);
        }
        let linger = self.config.limits.drain_linger_ms.duration();
        self.timers.set(Timer::DrainEnd, now + spread + linger);
    }

    /// Time is up for whoever did not go.
    pub(super) fn drop_stragglers(&mut self, now: Timestamp) {
        let conns: Vec<_> = self.conns.iter().map(|(id, _)| id).collect();
        for conn in conns {
            self.stats.limits.drain_linger_ms += 1;
            self.drop_conn(now, conn, CloseReason::ShuttingDown);
        }
    }

    /// Whether new voice states are taken: what a readiness check should be told. Calls go on, and
    /// clients resume, while they are not.
    #[must_use]
    pub const fn is_ready(&self) -> bool {
        self.drain.is_none()
    }

    /// Whether a drain has begun.
    #[must_use]
    pub const fn is_draining(&self) -> bool {
        self.drain.is_some()
    }

    /// Whether connections are still taken: until the quiet part of a drain is over. Then a host
    /// closes its listeners, so that the next process can open them.
    #[must_use]
    pub fn takes_connections(&self) -> bool {
        self.drain.as_ref().is_none_or(|drain| !drain.closing)
    }

    /// Whether a drain is over and the process can end.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.drain.as_ref().is_some_and(|drain| drain.closing) && self.conns.is_empty()
    }
}
