//! What happens when time passes.

use std::time::Duration;

use super::Server;
use super::connection::Connection;
use crate::ids::{ChannelId, ConnId, ControlId, MemberId, RoomId};
use crate::output::{GoneReason, Plane};
use crate::reasons::CloseReason;
use crate::time::Timestamp;
use crate::transport::Stage;

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
    /// Orders that arrived and were put off.
    Unheard(ConnId),
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
    /// All that a connection may have, to be cleared at its end.
    pub(super) const fn of_conn(conn: ConnId) -> [Self; 11] {
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
            Self::Unheard(conn),
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
            | Self::Unheard(_)
            | Self::Calm(_)
            | Self::Gather(_)
            | Self::Undecided(_)
            | Self::Tombstone(..)
            | Self::Drain
            | Self::DrainEnd => false,
        }
    }

    /// All that a voice state may have.
    pub(super) const fn of_member(member: MemberId) -> [Self; 3] {
        [Self::Reservation(member), Self::Resume(member), Self::End(member)]
    }
}

impl Server {
    /// Acts on every deadline up to `now`. Extra calls do nothing.
    ///
    /// A call that comes more than [`stall_ms`](crate::limits::Limits::stall_ms) after
    /// [`Self::poll_timeout`] means that the process stood still: whatever is awaited of peers is
    /// then given so much more time. When a call leads to more than
    /// [`outputs`](crate::limits::Limits::outputs) actions, the deadlines that are left stay due:
    /// [`Self::poll_timeout`] says so, take the outputs and call again.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        let now = self.advance(now);
        let stall = self.config.limits.stall_ms.duration();
        let late = self.timers.next().filter(|_| !self.overdue).map(|next| now.since(next));
        if let Some(late) = late.filter(|late| *late > stall) {
            self.stats.limits.stall_ms += 1;
            // And a little more, for what arrived meanwhile and is yet to be read.
            self.timers.postpone(late + stall, Timer::waits_for_a_peer);
        }
        self.overdue = false;
        let before = self.outputs.len();
        // What was put off meanwhile is due already, and waits for the outputs to be taken.
        while !self.overdue && self.timers.next().is_some_and(|next| next <= now) {
            if self.outputs.len() - before > self.config.limits.outputs {
                return self.put_off();
            }
            if let Some(timer) = self.timers.pop_due(now) {
                self.count_deadline(timer);
                self.fire(now, timer);
            }
        }
        self.overdue = false;
    }

    /// Leaves the rest to the next call.
    pub(super) const fn put_off(&mut self) {
        self.stats.limits.outputs += 1;
        self.overdue = true;
    }

    /// Whether the last calls left something to be done because they led to so much. Hosts read
    /// from no connection meanwhile: take the outputs and call [`Self::handle_timeout`].
    #[must_use]
    pub const fn is_behind(&self) -> bool {
        self.overdue
    }

    /// Counts the limit that a deadline stands for, where it is reached whenever that passes.
    fn count_deadline(&mut self, timer: Timer) {
        let stage = |conn| {
            self.conns.get(conn).map(|conn: &Connection| {
                // One that waits for room has as long as for its upgrade.
                let waits = conn.waits_for.is_some();
                (if waits { Stage::Upgrade } else { conn.stage() }, conn.plane)
            })
        };
        let stage = if let Timer::Handshake(conn) = timer { stage(conn) } else { None };
        let counts = &mut self.stats.limits;
        let count = match timer {
            Timer::Handshake(_) => match stage {
                Some((Stage::AwaitFirstByte, _)) => &mut counts.first_byte_ms,
                Some((Stage::Tls, _)) => &mut counts.tls_ms,
                Some((_, Plane::Control)) => &mut counts.control_upgrade_ms,
                Some((_, Plane::Gateway)) => &mut counts.upgrade_ms,
                None => return,
            },
            Timer::Identify(_) => &mut counts.identify_ms,
            Timer::Hold(_) => &mut counts.identify_hold_ms,
            Timer::Heartbeat(_) => &mut counts.heartbeat_silence_ms,
            Timer::Ping(_) => &mut counts.control_ping_ms,
            Timer::Silence(_) => &mut counts.control_silence_ms,
            Timer::SlowReader(_) => &mut counts.outbound_age_ms,
            Timer::Linger(_) => &mut counts.linger_ms,
            Timer::DrainClose(_) => &mut counts.drain_spread_ms,
            Timer::Reservation(_) => &mut counts.reservation_ms,
            Timer::Resume(_) => {
                self.stats.resumes_expired += 1;
                &mut counts.resume_window_ms
            }
            Timer::End(_) => {
                self.stats.grace_ended += 1;
                &mut counts.grace_spread_ms
            }
            Timer::Gather(_) => &mut counts.gather_ms,
            Timer::Tombstone(..) => &mut counts.tombstone_ms,
            Timer::Calm(_)
            | Timer::Unheard(_)
            | Timer::Takeover(_)
            | Timer::Undecided(_)
            | Timer::Reconcile(_)
            | Timer::Grace(_)
            | Timer::Drain
            | Timer::DrainEnd => return,
        };
        *count += 1;
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
            Timer::Unheard(conn) => self.take_events(now, conn),
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
        let spread = self.config.limits.grace_spread_ms.duration();
        let members: Vec<_> =
            self.membership.members_from(client, None).map(|(id, _)| id).collect();
        for member in members {
            let after = self.draw_delay(spread);
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

    /// A part of `spread`, so that what happens to many does not happen to all at once.
    pub(super) fn draw_delay(&mut self, spread: Duration) -> Duration {
        spread.mul_f64(f64::from(self.entropy.u32()) / f64::from(u32::MAX))
    }
}
