//! Whose session a voice client asks for, and what happens while that is not known.
//!
//! Decided here: Identify is accepted, refused or waits. Not here: the session that begins
//! (`voice`), taking up an earlier one (`resume`).

use super::Server;
use super::deadlines::Timer;
use super::membership::Mismatch;
use crate::gateway::link::{Credentials, Stage};
use crate::ids::{ChannelId, ConnId, GuildId, MemberId, UserId};
use crate::reasons::CloseReason;
use crate::time::Timestamp;

impl Server {
    pub(super) fn identify(
        &mut self,
        now: Timestamp,
        conn: ConnId,
        user: UserId,
        credentials: Credentials,
    ) {
        let Credentials { server_id, channel_id, session_id, token } = &credentials;
        match self.membership.identify(*server_id, user, session_id, token) {
            Ok(member) if self.names_channel_of(conn, member, *channel_id) => {
                match self.membership.member(member).map(|member| member.calm_until) {
                    Some(until) if until > now => self.calm(conn, until, user, credentials),
                    Some(_) | None => self.begin_session(now, conn, member),
                }
            }
            Err(Mismatch::Unknown) if self.tombstones.answers(*server_id, user) => {
                self.close_conn(now, conn, CloseReason::ChannelDestroyed);
            }
            Err(Mismatch::Unknown) if self.may_still_come(now) => {
                self.hold(now, conn, user, credentials);
            }
            Ok(_) | Err(Mismatch::Secrets | Mismatch::Unknown) => {
                self.close_conn(now, conn, CloseReason::AuthenticationFailed);
            }
        }
    }

    /// From version 9 on a client names its channel, and must name the right one.
    pub(super) fn names_channel_of(
        &mut self,
        conn: ConnId,
        member: MemberId,
        named: Option<ChannelId>,
    ) -> bool {
        let names = self.link(conn).is_some_and(|link| link.version.names_channel());
        let Some(named) = named.filter(|_| names) else { return true };
        let room = self.membership.member(member).map(|member| member.room);
        room.and_then(|room| self.membership.room(room)).is_some_and(|room| room.channel == named)
    }

    /// Lets an Identify wait for its voice state: the chat server may be about to state it.
    fn hold(&mut self, now: Timestamp, conn: ConnId, user: UserId, credentials: Credentials) {
        let Some(link) = self.link(conn) else { return };
        link.stage = Stage::Held;
        let key = (credentials.server_id, user);
        link.held = Some((user, credentials));
        self.held.entry(key).or_default().push(conn);
        let wait = self.config.limits.identify_hold_ms.duration();
        self.timers.clear(Timer::Identify(conn));
        self.timers.set(Timer::Hold(conn), now + wait);
    }

    /// Nobody placed the user in time: its Identify waits no longer.
    pub(super) fn end_hold(&mut self, now: Timestamp, conn: ConnId) {
        let held = self.link(conn).and_then(|link| link.held.take());
        if let Some((user, credentials)) = held {
            self.forget_held(conn, (credentials.server_id, user));
        }
        self.close_conn(now, conn, CloseReason::AuthenticationFailed);
    }

    /// Lets an Identify wait: the client sent far too much a moment ago.
    fn calm(&mut self, conn: ConnId, until: Timestamp, user: UserId, credentials: Credentials) {
        self.stats.limits.message_calm_ms += 1;
        let Some(link) = self.link(conn) else { return };
        link.stage = Stage::Held;
        link.held = Some((user, credentials));
        self.timers.clear(Timer::Identify(conn));
        self.timers.set(Timer::Calm(conn), until);
    }

    /// The wait after too many messages is over.
    pub(super) fn end_calm(&mut self, now: Timestamp, conn: ConnId) {
        let Some(link) = self.link(conn) else { return };
        link.stage = Stage::Fresh;
        if let Some((user, credentials)) = link.held.take() {
            self.identify(now, conn, user, credentials);
        }
    }

    pub(super) fn forget_held(&mut self, conn: ConnId, key: (u64, UserId)) {
        if let Some(conns) = self.held.get_mut(&key) {
            conns.retain(|other| *other != conn);
            if conns.is_empty() {
                self.held.remove(&key);
            }
        }
    }

    /// A voice state appeared: those who waited for it are tried again.
    pub(super) fn retry_held(
        &mut self,
        now: Timestamp,
        channel: ChannelId,
        guild: Option<GuildId>,
        user: UserId,
    ) {
        let servers = [Some(channel.as_u64()), guild.map(GuildId::as_u64)];
        for server_id in servers.into_iter().flatten() {
            for conn in self.held.remove(&(server_id, user)).unwrap_or_default() {
                let Some(link) = self.link(conn) else { continue };
                link.stage = Stage::Fresh;
                if let Some((user, credentials)) = link.held.take() {
                    self.timers.clear(Timer::Hold(conn));
                    self.identify(now, conn, user, credentials);
                }
            }
        }
    }
}
