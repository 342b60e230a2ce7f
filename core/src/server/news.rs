//! What a chat server is told, and when.
//!
//! Whoever changes something marks what it changed; what is in force is looked up and written as
//! soon as little waits on the connection. So a burst of orders and a slow reader cost no more than
//! there are channels and voice states. The same pump writes what a RESUME missed and state dumps.

use super::Server;
use super::membership::{Member, Scope};
use crate::ids::{ChannelId, ConnId, ControlId, MemberId, RoomId, UserId};
use crate::lvsp::outbox::{Cause, Mark, Subject};
use crate::lvsp::revision::News;
use crate::lvsp::session::{Dump, Phase};
use crate::output::GoneReason;
use crate::reasons::CloseReason;
use crate::time::Timestamp;
use crate::wire::lvsp::{ChannelInfo, VoiceFlags, VoiceInfo};

impl Server {
    /// Marks something that a chat server is to be told, and tells it if there is room.
    fn mark(&mut self, now: Timestamp, client: ControlId, subject: Subject<Scope>, mark: Mark) {
        if let Some(session) = &mut self.control(client).session {
            session.mark(subject, mark);
            self.pump_news(now, client);
            self.limit_news(now, client);
        }
    }

    /// A chat server that makes more news than it reads loses its connection, and is told everything
    /// that is in force when it resumes, which takes no memory until then. One whose revision is not
    /// known had nothing to read: it is told so once that is.
    fn limit_news(&mut self, now: Timestamp, client: ControlId) {
        let most = self.config.limits.control_news_bytes;
        let Some(session) = &mut self.control(client).session else { return };
        if session.held_news() <= most {
            return;
        }
        session.forget_news();
        if !session.speech.is_decided() {
            return;
        }
        let conn = session.conn;
        self.stats.limits.control_news_bytes += 1;
        if let Some(conn) = conn {
            self.close_conn(now, conn, CloseReason::SlowReader);
        }
    }

    pub(super) fn tell_channel(
        &mut self,
        now: Timestamp,
        client: ControlId,
        channel: ChannelId,
        cause: Cause,
    ) {
        self.mark(now, client, Subject::Channel(channel), Mark::Channel(cause));
    }

    /// Tells that a channel is gone; [`Cause::Unchanged`] if it was not there.
    pub(super) fn tell_channel_gone(
        &mut self,
        now: Timestamp,
        client: ControlId,
        channel: ChannelId,
        cause: Cause,
    ) {
        self.mark(now, client, Subject::Channel(channel), Mark::ChannelGone(cause));
    }

    /// Tells of a voice state as it is in force; `full` with what its voice client needs.
    pub(super) fn tell_voice_state(&mut self, now: Timestamp, id: MemberId, full: bool) {
        let Some((client, subject)) = self.subject_of(id) else { return };
        self.mark(now, client, subject, Mark::Voice { full });
    }

    fn subject_of(&self, id: MemberId) -> Option<(ControlId, Subject<Scope>)> {
        let member = self.membership.member(id)?;
        let channel = self.membership.room(member.room)?.channel;
        Some((member.client, Subject::Voice(member.user, Scope::of(member.guild, channel))))
    }

    /// Tells that a voice state is gone.
    pub(super) fn tell_gone(
        &mut self,
        now: Timestamp,
        member: &Member,
        channel: ChannelId,
        reason: GoneReason,
    ) {
        let gone = VoiceInfo {
            user_id: Some(member.user),
            channel_id: None,
            guild_id: member.guild,
            session_id: member.session_id.clone(),
            flags: member.flags,
            token: None,
            endpoint: None,
            reason: Some(reason.name().to_owned()),
        };
        let subject = Subject::Voice(member.user, Scope::of(member.guild, channel));
        self.mark(now, member.client, subject, Mark::VoiceGone(Box::new(gone)));
    }

    /// Answers a removal of somebody who is not there: already gone is success.
    pub(super) fn tell_absent(&mut self, now: Timestamp, client: ControlId, gone: VoiceInfo) {
        let user = gone.user_id;
        let mark = Mark::VoiceGone(Box::new(gone));
        let Some(user) = user else { return self.remark(now, client, mark) };
        self.mark(now, client, Subject::Absent(user), mark);
    }

    /// Answers something that is about no object, unless too many of these wait.
    fn remark(&mut self, now: Timestamp, client: ControlId, mark: Mark) {
        let most = self.config.limits.control_refusals;
        let Some(session) = &mut self.control(client).session else { return };
        if !session.remark(mark, most) {
            self.stats.limits.control_refusals += 1;
        }
        self.pump_news(now, client);
    }

    /// Writes what there is to write to a chat server while little waits on its connection.
    pub(super) fn pump_news(&mut self, now: Timestamp, client: ControlId) {
        let limits = &self.config.limits;
        // One that catches up does not use up what may wait on all connections.
        let room_for = limits.control_dump_bytes.min(limits.outbound_total_bytes / 2);
        while let Some(conn) = self.control(client).conn() {
            if self.outbound(conn).len() >= room_for {
                self.stats.limits.control_dump_bytes += 1;
                return;
            }
            let more = self.write_news(now, client, conn);
            if let Some(session) = &mut self.control(client).session {
                let evictions = session.take_evictions();
                self.stats.limits.control_replay_messages += evictions.messages;
                self.stats.limits.control_replay_bytes += evictions.bytes;
                self.stats.limits.control_replay_ms += evictions.age;
            }
            if !more {
                return;
            }
        }
    }

    /// The connection has room again.
    pub(super) fn pump_conn(&mut self, now: Timestamp, conn: ConnId) {
        if let Some(client) = self.live_control(conn) {
            self.pump_news(now, client);
        }
    }

    /// Takes one step of what is being written; whether there may be another.
    fn write_news(&mut self, now: Timestamp, client: ControlId, conn: ConnId) -> bool {
        let Some(session) = &mut self.control(client).session else { return false };
        let text = match session.phase {
            Phase::Replay(after) => session.replay_next(now, after),
            Phase::Dump { cursor, late } => {
                let (news, next) = self.dump_step(client, cursor);
                let Some(session) = &mut self.control(client).session else { return false };
                match next {
                    Some(cursor) => session.phase = Phase::Dump { cursor, late },
                    None if late => session.phase = Phase::Live,
                    None => {
                        self.control_ready(now, client, conn, false);
                        return true;
                    }
                }
                news.and_then(|news| session.number_dumped(news))
            }
            Phase::Settle { resumed } => match session.take_mark() {
                Some((subject, mark)) => self.write_mark(now, client, subject, mark),
                None => {
                    self.control_ready(now, client, conn, resumed);
                    return true;
                }
            },
            Phase::Live => match session.take_mark() {
                Some((subject, mark)) => self.write_mark(now, client, subject, mark),
                None => return false,
            },
        };
        if let Some(text) = text {
            self.send(now, conn, &text);
        }
        true
    }

    /// What is in force now of what was marked, numbered.
    fn write_mark(
        &mut self,
        now: Timestamp,
        client: ControlId,
        subject: Subject<Scope>,
        mark: Mark,
    ) -> Option<String> {
        let news = match (subject, mark) {
            (Subject::Channel(channel), Mark::Channel(cause)) => {
                self.channel_news(self.membership.room_of(client, channel)?, cause)?
            }
            (Subject::Channel(channel), Mark::ChannelGone(cause)) => News::Channel {
                info: ChannelInfo { id: channel, guild_id: None, bitrate: None, deleted: true },
                token: None,
                cause,
            },
            (Subject::Voice(user, scope), Mark::Voice { full }) => {
                let member = self.marked_member(client, user, scope)?;
                if self.is_before_its_channel(client, member) {
                    // Behind the channel, which is in the queue already.
                    self.control(client).session.as_mut()?.mark(subject, Mark::Voice { full });
                    return None;
                }
                self.voice_news(member, full)?
            }
            (Subject::Absent(_) | Subject::Remark(_), Mark::VoiceGone(gone)) => News::Absent(*gone),
            (_, Mark::VoiceGone(gone)) => News::Voice(*gone),
            (_, Mark::Refusal(refusal)) => News::Refused(*refusal),
            (_, Mark::Channel(_) | Mark::ChannelGone(_) | Mark::Voice { .. }) => return None,
        };
        self.control(client).session.as_mut()?.number(now, news)
    }

    /// The voice state that was marked under this scope.
    fn marked_member(&self, client: ControlId, user: UserId, scope: Scope) -> Option<MemberId> {
        self.membership.member_of(client, user, scope).or_else(|| {
            // The guild of its channel became known meanwhile.
            let Scope::Channel(channel) = scope else { return None };
            let room = self.membership.room_of(client, channel)?;
            let guild = self.membership.room(room)?.guild;
            let moved = self.membership.member_of(client, user, Scope::of(guild, channel))?;
            (self.membership.member(moved)?.room == room).then_some(moved)
        })
    }

    /// Whether a voice state is about to be told before the channel that it is in.
    fn is_before_its_channel(&mut self, client: ControlId, member: MemberId) -> bool {
        let room = self.membership.member(member).map(|member| member.room);
        let channel = room.and_then(|room| self.membership.room(room)).map(|room| room.channel);
        let session = self.control(client).session.as_ref();
        session.zip(channel).is_some_and(|(session, channel)| session.is_to_tell_of(channel))
    }

    fn channel_news(&self, room: RoomId, cause: Cause) -> Option<News> {
        let room = self.membership.room(room)?;
        let (id, guild_id, bitrate) = (room.channel, room.guild, Some(room.bitrate));
        let info = ChannelInfo { id, guild_id, bitrate, deleted: false };
        Some(News::Channel { info, token: Some(room.token.clone()), cause })
    }

    /// A voice state; with what its voice client needs to connect if `full`.
    fn voice_news(&self, member: MemberId, full: bool) -> Option<News> {
        self.voice_info(member, full).map(News::Voice)
    }

    pub(super) fn voice_info(&self, member: MemberId, full: bool) -> Option<VoiceInfo> {
        let member = self.membership.member(member)?;
        let room = self.membership.room(member.room)?;
        Some(VoiceInfo {
            user_id: Some(member.user),
            channel_id: Some(room.channel),
            guild_id: member.guild,
            session_id: member.session_id.clone(),
            flags: member.flags,
            token: full.then(|| member.token.clone()),
            endpoint: full.then(|| self.config.gateway_endpoint.clone()),
            reason: None,
        })
    }

    /// The news at the cursor of a state dump, and the cursor behind it.
    fn dump_step(
        &self,
        client: ControlId,
        cursor: Dump<Scope>,
    ) -> (Option<News>, Option<Dump<Scope>>) {
        match cursor {
            Dump::Channels(after) => match self.membership.rooms_from(client, after).next() {
                Some(room) => {
                    let channel = self.membership.room(room).map(|room| room.channel);
                    (self.channel_news(room, Cause::Created), Some(Dump::Channels(channel)))
                }
                None => (None, Some(Dump::VoiceStates(None))),
            },
            Dump::VoiceStates(after) => match self.membership.members_from(client, after).next() {
                Some((member, position)) => {
                    (self.voice_news(member, true), Some(Dump::VoiceStates(Some(position))))
                }
                None => (None, None),
            },
        }
    }
}

/// A voice state that is not there, as the answer to its removal.
pub(super) fn absent(target: &crate::command::Target) -> VoiceInfo {
    VoiceInfo {
        user_id: target.user,
        channel_id: None,
        guild_id: target.guild,
        session_id: target.session_id.clone().unwrap_or_default(),
        flags: VoiceFlags::default(),
        token: None,
        endpoint: None,
        reason: Some(GoneReason::Removed.name().to_owned()),
    }
}
