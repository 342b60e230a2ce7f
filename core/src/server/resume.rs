//! Sessions without a connection: how they are taken up again, and what is kept for that.
//!
//! Decided here: whether a Resume is possible, and whose messages are forgotten when too much is
//! kept over all. Not here: numbering and replay of one session (`gateway::session`).
//!
//! Between calls `Replays::bytes` is the sum over all sessions, and at most the limit.

use std::collections::BTreeSet;

use super::Server;
use super::deadlines::Timer;
use super::membership::Crowd;
use crate::gateway::link::{Credentials, Link};
use crate::gateway::session::Session;
use crate::ids::{ConnId, MemberId};
use crate::output::Event;
use crate::reasons::CloseReason;
use crate::time::Timestamp;
use crate::wire::gateway::ServerMessage;

/// What is kept for the resumes of all sessions.
#[derive(Debug, Default)]
pub(super) struct Replays {
    bytes: usize,
    /// Sessions without a connection, those that lost it first in front.
    detached: BTreeSet<(Timestamp, MemberId)>,
}

impl Replays {
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Server {
    pub(super) fn resume(
        &mut self,
        now: Timestamp,
        conn: ConnId,
        credentials: &Credentials,
        seq_ack: Option<u16>,
    ) {
        let Credentials { server_id, channel_id, session_id, token } = credentials;
        let found = self.membership.resume(*server_id, session_id, token);
        let member = found.filter(|id| self.names_channel_of(conn, *id, *channel_id));
        let Some(version) = self.link(conn).map(|link| link.version) else { return };
        let same_form = |id: &MemberId| {
            self.session(*id).is_some_and(|s| s.version.numbered() == version.numbered())
        };
        let missed = member.filter(same_form).and_then(|id| {
            let missed = self.with_session(id, |session, _| session.replay(now, seq_ack))?;
            Some((id, missed?))
        });
        let Some((id, missed)) = missed else {
            self.stats.resumes_refused += 1;
            return self.close_conn(now, conn, CloseReason::SessionInvalid);
        };
        self.stats.resumes += 1;
        self.replace_conn(now, id, conn);
        if let Some(session) = self.session_mut(id) {
            session.version = version;
        }
        self.timers.clear(Timer::Resume(id));
        self.attach(now, conn, id);
        self.reply(now, conn, &ServerMessage::Resumed);
        for text in missed {
            self.send(now, conn, &text);
        }
        if !version.numbered() {
            self.reintroduce(now, id);
        }
    }

    /// Gives a session to a newer connection; the one that it had is closed.
    fn replace_conn(&mut self, now: Timestamp, id: MemberId, conn: ConnId) {
        let Some(session) = self.session_mut(id) else { return };
        let (older, since) = (session.conn.replace(conn), session.detached.take());
        if let Some(since) = since {
            self.replays.detached.remove(&(since, id));
        }
        if let Some(older) = older {
            if let Some(connection) = self.conns.get_mut(older) {
                connection.member = None;
            }
            self.close_conn(now, older, CloseReason::SessionInvalid);
        }
    }

    /// A gateway connection ended; its session can be resumed for a while.
    pub(super) fn gateway_lost(
        &mut self,
        now: Timestamp,
        conn: ConnId,
        link: Link,
        member: Option<MemberId>,
    ) {
        if let Some((user, credentials)) = link.held {
            self.forget_held(conn, (credentials.server_id, user));
        }
        let Some(id) = member else { return };
        let Some(session) = self.session_mut(id) else { return };
        if session.conn != Some(conn) {
            return;
        }
        session.conn = None;
        session.detached = Some(now);
        self.replays.detached.insert((now, id));
        let window = self.config.limits.resume_window_ms.duration();
        self.timers.set(Timer::Resume(id), now + window);
        let Some(member) = self.membership.member(id) else { return };
        let (client, user) = (member.client, member.user);
        if let Some(channel) = self.membership.room(member.room).map(|room| room.channel) {
            self.event(Event::MemberDetached { client, channel, user });
        }
    }

    /// Lets something be done to a session that may change what it keeps.
    pub(super) fn with_session<T>(
        &mut self,
        id: MemberId,
        change: impl FnOnce(&mut Session, &mut Crowd) -> T,
    ) -> Option<T> {
        let (session, crowd) = self.membership.session_and_crowd(id)?;
        let before = session.kept_bytes();
        let result = change(session, crowd);
        let after = session.kept_bytes();
        let evictions = session.take_evictions();
        self.replays.bytes = self.replays.bytes + after - before;
        self.stats.limits.resume_messages += evictions.messages;
        self.stats.limits.resume_bytes += evictions.bytes;
        Some(result)
    }

    /// A session is over: what it kept is gone.
    pub(super) fn forget_replay(&mut self, id: MemberId, session: &Session) {
        self.replays.bytes -= session.kept_bytes();
        if let Some(since) = session.detached {
            self.replays.detached.remove(&(since, id));
        }
    }

    /// Brings what is kept over all back under its limit after `writer` kept more.
    pub(super) fn trim_replays(&mut self, writer: MemberId) {
        while self.replays.bytes > self.config.limits.replay_total_bytes {
            let victim = self.replays.detached.pop_first().map_or(writer, |(_, id)| id);
            self.stats.limits.replay_total_bytes += 1;
            self.with_session(victim, |session, _| session.forget_kept());
            if victim == writer {
                return;
            }
        }
    }
}
