//! What happens when time passes.

use std::time::Duration;

use super::Server;
use crate::ids::{ChannelId, ConnId, ControlId, MemberId, RoomId};
use crate::output::GoneReason;
use crate::output::Plane;
use crate::reasons::CloseReason;
use crate::time::Timestamp;

/// Sessions are closed over this time after a drain, so that they do not return in one instant.
const DRAIN_SPREAD: Duration = Duration::from_secs(2);
/// Who has not gone so long after that is dropped. The next process may have to wait for the end of
/// this one, and songbird gives up 12 s after its connection ended.
const DRAIN_LINGER: Duration = Duration::from_secs(1);
/// Calls that nobody vouches for any more end over this time.
const GRACE_SPREAD: Duration = Duration::from_secs(30);

/// A wake-up this late means that the process did not run: peers could not be heard meanwhile.
const STALL: Duration = Duration::from_secs(2);

/// What a deadline is for. At most one of each is armed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Timer {
    /// First byte, TLS and upgrade.
    Handshake(ConnId),
    /// Identify or Resume.
    Identify(ConnId),
    /// An Identify that waits for its voice state.
    Hold(ConnId),
    /// An Identify that waits because the client sent too much before.
    Calm(ConnId),
    /// The gateway's heartbeats.
    Heartbeat(ConnId),
    /// The next Ping to a chat server.
    Ping(ConnId),
    /// Not one byte from a chat server.
    Silence(ConnId),
    /// The oldest byte that waits.
    SlowReader(ConnId),
    /// A closed connection that does not go.
    Linger(ConnId),
    /// The last notice before the process ends.
    DrainClose(ConnId),
    /// A voice state whose client did not come.
    Reservation(MemberId),
    /// The end of the resume window.
    Resume(MemberId),
    /// The end of a call that nobody vouches for.
    End(MemberId),
    /// An older control connection that was asked whether it lives.
    Takeover(ControlId),
    /// Arrivals and departures of a large channel that are told together.
    Gather(RoomId),
    /// An order that cannot be answered before the revision is known.
    Undecided(ControlId),
    /// The end of re-statements.
    Reconcile(ControlId),
    /// The end of the time without a chat server.
    Grace(ControlId),
    /// The end of a destroyed channel's memory.
    Tombstone(ControlId, ChannelId),
    /// The end of a drain's quiet part.
    Drain,
    /// The end of a drain.
    DrainEnd,
}

impl Timer {
    pub(super) const fn of_conn(conn: ConnId) -> [Self; 10] {
        [
            Self::Handshake(conn),
            Self::Identify(conn),
            Self::Hold(conn),
            Self::Calm(conn),
            Self::Heartbeat(conn),
            Self::Ping(conn),
            Self::Silence(conn),
            Self::SlowReader(conn),
            Self::Linger(conn),
            Self::DrainClose(conn),
        ]
    }

    /// Whether this deadline waits for something that a peer should do, so that time in which this
    /// process did not run must not count.
    const fn waits_for_a_peer(&self) -> bool {
        match self {
            Self::Handshake(_)
            | Self::Identify(_)
            | Self::Hold(_)
            | Self::Heartbeat(_)
            | Self::Silence(_)
            | Self::SlowReader(_)
            | Self::Reservation(_)
            | Self::Resume(_)
            | Self::End(_)
            | Self::Takeover(_)
            | Self::Reconcile(_)
            | Self::Grace(_) => true,
            Self::Ping(_)
            | Self::Linger(_)
            | Self::DrainClose(_)
            | Self::Calm(_)
            | Self::Gather(_)
            | Self::Undecided(_)
            | Self::Tombstone(..)
            | Self::Drain
            | Self::DrainEnd => false,
        }
    }

    pub(super) const fn of_member(member: MemberId) -> [Self; 3] {
        [Self::Reservation(member), Self::Resume(member), Self::End(member)]
    }
}

/// A drain under way.
#[derive(Debug)]
pub(super) struct Drain {
    /// Sessions are being closed and no connection is taken any more.
    pub(super) closing: bool,
}

impl Server {
    /// Acts on every deadline up to `now`. Extra calls do nothing.
    ///
    /// A call that comes more than 2 s after [`Self::poll_timeout`] means that the process stood
    /// still: whatever is awaited of peers is then given so much more time.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        let now = self.advance(now);
        if let Some(late) = self.timers.next().map(|next| now.since(next)).filter(|l| *l > STALL) {
            // And a little more, for what arrived meanwhile and is yet to be read.
            self.timers.postpone(late + STALL, Timer::waits_for_a_peer);
        }
        while let Some(timer) = self.timers.pop_due(now) {
            self.fire(now, timer);
        }
    }

    fn fire(&mut self, now: Timestamp, timer: Timer) {
        match timer {
            Timer::Handshake(conn) => self.drop_conn(now, conn, CloseReason::HandshakeTimeout),
            Timer::Identify(conn) => self.close_conn(now, conn, CloseReason::IdentifyTimeout),
            Timer::Hold(conn) => self.end_hold(now, conn),
            Timer::Calm(conn) => self.end_calm(now, conn),
            Timer::Heartbeat(conn) | Timer::Silence(conn) => {
                self.drop_conn(now, conn, CloseReason::Silence);
            }
            Timer::Ping(conn) => self.ping(now, conn),
            Timer::SlowReader(conn) => self.drop_conn(now, conn, CloseReason::SlowReader),
            Timer::Linger(conn) => self.drop_conn(now, conn, CloseReason::PeerClosed),
            Timer::DrainClose(conn) => self.close_conn(now, conn, CloseReason::ShuttingDown),
            Timer::Reservation(member) => {
                self.remove_member(now, member, GoneReason::NeverConnected);
            }
            Timer::Resume(member) => self.remove_member(now, member, GoneReason::Lost),
            Timer::End(member) => self.remove_member(now, member, GoneReason::GraceEnded),
            Timer::Takeover(client) => self.take_over(now, client),
            Timer::Gather(room) => self.tell_gathered(now, room),
            Timer::Undecided(client) => self.note_undecided(client),
            Timer::Reconcile(client) => self.reconcile(now, client),
            Timer::Grace(client) => self.end_calls(now, client),
            Timer::Tombstone(client, channel) => self.clear_tombstone(client, channel),
            Timer::Drain => self.close_for_drain(now),
            Timer::DrainEnd => self.drop_stragglers(now),
        }
    }

    fn ping(&mut self, now: Timestamp, conn: ConnId) {
        let interval = self.config.limits.control_ping_ms.duration();
        if let Some(connection) = self.conns.get_mut(conn) {
            connection.transport.send_ping(b"");
            self.timers.set(Timer::Ping(conn), now + interval);
            self.settle(now, conn);
        }
        if let Some(client) = self.live_control(conn) {
            self.volunteer_health(now, client);
        }
    }

    /// No chat server came back: its calls end, one by one.
    fn end_calls(&mut self, now: Timestamp, client: ControlId) {
        let members: Vec<_> =
            self.membership.members_from(client, None).map(|(id, _)| id).collect();
        for member in members {
            let after = self.draw_delay(GRACE_SPREAD);
            self.timers.set(Timer::End(member), now + after);
        }
    }

    /// The chat server is back: calls that were about to end go on.
    pub(super) fn cancel_ends(&mut self, client: ControlId) {
        let members: Vec<_> =
            self.membership.members_from(client, None).map(|(id, _)| id).collect();
        for member in members {
            self.timers.clear(Timer::End(member));
        }
    }

    fn draw_delay(&mut self, spread: Duration) -> Duration {
        spread.mul_f64(f64::from(self.entropy.u32()) / f64::from(u32::MAX))
    }

    // --- drain ---

    /// Begins to stop: new voice states are refused and health is 0, while calls and resumes go on
    /// for [`Config::drain`](crate::config::Config::drain). Then no connection is taken any more,
    /// every session is told to resume elsewhere within 2 s, and 1 s later nobody is left.
    pub fn begin_drain(&mut self, now: Timestamp) {
        let now = self.advance(now);
        if self.drain.is_none() {
            self.drain = Some(Drain { closing: false });
            self.timers.set(Timer::Drain, now + self.config.drain);
            for client in (0u16..).take(self.controls.len()) {
                self.volunteer_health(now, ControlId(client));
            }
        }
    }

    fn close_for_drain(&mut self, now: Timestamp) {
        self.drain = Some(Drain { closing: true });
        let conns: Vec<_> = self.conns.iter().map(|(id, conn)| (id, conn.plane)).collect();
        for (conn, plane) in conns {
            let after = match plane {
                Plane::Gateway => self.draw_delay(DRAIN_SPREAD),
                Plane::Control => DRAIN_SPREAD,
            };
            self.timers.set(Timer::DrainClose(conn), now + after);
        }
        self.timers.set(Timer::DrainEnd, now + DRAIN_SPREAD + DRAIN_LINGER);
    }

    fn drop_stragglers(&mut self, now: Timestamp) {
        let conns: Vec<_> = self.conns.iter().map(|(id, _)| id).collect();
        for conn in conns {
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
