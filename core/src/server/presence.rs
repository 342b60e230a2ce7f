//! Who is told of whom: ops 5, 11 and 13.
//!
//! A receiver knows a speaker's SSRC by op 5 alone, and libraries discard audio of an SSRC that
//! they cannot name. So everybody who may speak is announced, silent, as soon as there is a
//! session description on both sides; media is never held for it.

use super::Server;
use super::deadlines::Timer;
use super::membership::Gathered;
use crate::ids::{MemberId, RoomId, UserId};
use crate::time::Timestamp;
use crate::wire::gateway::ServerMessage;

/// Microphone and soundshare. Priority (4) is a permission that LVSP does not know.
const ALLOWED_FLAGS: u8 = 0b011;
const MICROPHONE: u8 = 1;

impl Server {
    /// Sends a message that must not be missed: numbered and kept where the version can.
    fn tell(&mut self, now: Timestamp, id: MemberId, message: &ServerMessage) {
        let numbered = self.with_session(id, |session, crowd| {
            (session.number(now, message, &mut crowd.roster), session.conn)
        });
        self.trim_replays(id);
        if let Some((Some(text), Some(conn))) = numbered {
            self.send(now, conn, &text);
        }
    }

    /// The others of the same room who have a key, whether connected at present or detached.
    fn others(&self, id: MemberId) -> Vec<MemberId> {
        let Some(member) = self.membership.member(id) else { return Vec::new() };
        let Some(room) = self.membership.room(member.room) else { return Vec::new() };
        let live = |other: &MemberId| self.session(*other).is_some_and(|session| session.live);
        room.members.iter().copied().filter(|other| *other != id && live(other)).collect()
    }

    fn tell_others(&mut self, now: Timestamp, id: MemberId, message: &ServerMessage) {
        for other in self.others(id) {
            self.tell(now, other, message);
        }
    }

    fn user(&self, id: MemberId) -> Option<UserId> {
        self.membership.member(id).map(|member| member.user)
    }

    /// What op 5 says of a member; `None` for one who may not speak or has no session.
    fn speaking_of(&self, id: MemberId) -> Option<ServerMessage> {
        let member = self.membership.member(id)?;
        let session = member.session.as_ref().filter(|_| member.may_speak())?;
        Some(ServerMessage::Speaking {
            user_id: member.user,
            ssrc: session.ssrc,
            flags: session.speaking,
        })
    }

    /// A member got its key: it learns of everybody present, and they of it.
    pub(super) fn introduce(&mut self, now: Timestamp, id: MemberId) {
        self.tell_of_all(now, id);
        if let Some(user) = self.user(id) {
            let came = |gathered: &mut Gathered| {
                gathered.went.remove(&user);
                gathered.came.insert(user);
            };
            if !self.gather(now, id, came) {
                let arrival = ServerMessage::ClientsConnect { user_ids: vec![user] };
                self.tell_others(now, id, &arrival);
            }
        }
        self.announce_ssrc(now, id);
    }

    /// In a large channel, notes an arrival or departure to be told with others. Whether it is one,
    /// or was a moment ago and has something yet to be told, which must not overtake.
    fn gather(&mut self, now: Timestamp, id: MemberId, note: impl FnOnce(&mut Gathered)) -> bool {
        let limits = &self.config.limits;
        let (above, wait) = (limits.gather_above_members, limits.gather_ms.duration());
        let Some(room_id) = self.membership.member(id).map(|member| member.room) else {
            return false;
        };
        let gathers = self.timers.armed(Timer::Gather(room_id)).is_some();
        let Some(room) = self.membership.room_mut(room_id) else { return false };
        if room.members.len() <= above && !gathers {
            return false;
        }
        note(&mut room.crowd().gathered);
        self.stats.limits.gather_above_members += 1;
        if !gathers {
            self.timers.set(Timer::Gather(room_id), now + wait);
        }
        true
    }

    /// Tells everybody in a large channel who came and went since the last time, as far as they
    /// do not know.
    pub(super) fn tell_gathered(&mut self, now: Timestamp, room: RoomId) {
        let Some(room) = self.membership.room_mut(room) else { return };
        let Gathered { came, went } = std::mem::take(&mut room.crowd().gathered);
        for id in room.members.clone() {
            if !self.session(id).is_some_and(|session| session.live) {
                continue;
            }
            for user_id in self.membership.known_of(id, &went, true) {
                self.tell(now, id, &ServerMessage::ClientDisconnect { user_id });
            }
            let user_ids = self.membership.known_of(id, &came, false);
            if !user_ids.is_empty() {
                self.tell(now, id, &ServerMessage::ClientsConnect { user_ids });
            }
        }
    }

    fn tell_of_all(&mut self, now: Timestamp, id: MemberId) {
        let others = self.others(id);
        let user_ids: Vec<_> = others.iter().filter_map(|other| self.user(*other)).collect();
        if !user_ids.is_empty() {
            self.tell(now, id, &ServerMessage::ClientsConnect { user_ids });
        }
        for other in others {
            if let Some(speaking) = self.speaking_of(other) {
                self.tell(now, id, &speaking);
            }
        }
    }

    /// After a Resume without numbers (before version 8): the whole state again.
    pub(super) fn reintroduce(&mut self, now: Timestamp, id: MemberId) {
        let others = self.others(id);
        let present: Vec<_> = others.iter().filter_map(|other| self.user(*other)).collect();
        let mut gone = self.membership.known_to(id);
        gone.retain(|user| !present.contains(user));
        for user_id in gone {
            self.tell(now, id, &ServerMessage::ClientDisconnect { user_id });
        }
        if self.session(id).is_some_and(|session| session.live) {
            self.tell_of_all(now, id);
        }
    }

    /// Ties a member's SSRC to its user for everybody else, if it may speak.
    fn announce_ssrc(&mut self, now: Timestamp, id: MemberId) {
        let live = self.session(id).is_some_and(|session| session.live);
        if let Some(speaking) = self.speaking_of(id).filter(|_| live) {
            if let Some(session) = self.session_mut(id) {
                session.announced.get_or_insert(now);
            }
            self.tell_others(now, id, &speaking);
        }
    }

    /// The client set its speaking flags.
    pub(super) fn client_speaks(&mut self, now: Timestamp, id: MemberId, flags: u8) {
        let flags = flags & ALLOWED_FLAGS;
        if let Some(session) = self.session_mut(id) {
            if session.stated != flags {
                session.stated_at = None;
            }
            session.stated = flags;
            session.stated_at.get_or_insert(now);
        }
        self.tell_speaking(now, id);
    }

    /// What a member may do changed: the others are told of one who may speak from now on, and of
    /// flags that differ from what they know.
    pub(super) fn permissions_changed(&mut self, now: Timestamp, id: MemberId, appears: bool) {
        if !appears {
            return self.tell_speaking(now, id);
        }
        let flags = self.flags_in_force(id);
        if let Some(session) = self.session_mut(id) {
            session.speaking = flags;
        }
        self.announce_ssrc(now, id);
    }

    /// The flags that a client stated, or none while it may not speak.
    fn flags_in_force(&self, id: MemberId) -> u8 {
        let speaks = self.membership.member(id).filter(|member| member.permissions().speak);
        speaks.and_then(|member| member.session.as_ref()).map_or(0, |session| session.stated)
    }

    /// Tells the others of a member's speaking flags, if they do not know them.
    fn tell_speaking(&mut self, now: Timestamp, id: MemberId) {
        let flags = self.flags_in_force(id);
        let Some(session) = self.session_mut(id) else { return };
        if session.speaking == flags {
            return;
        }
        session.speaking = flags;
        let (live, ssrc) = (session.live, session.ssrc);
        if let Some(user_id) = self.user(id).filter(|_| live) {
            self.tell_others(now, id, &ServerMessage::Speaking { user_id, ssrc, flags });
        }
    }

    /// Audio came from a member. eris never says that it speaks; the others are told once.
    pub(super) fn member_heard(&mut self, now: Timestamp, id: MemberId) {
        let Some(session) = self.session_mut(id).filter(|session| session.stated == 0) else {
            return;
        };
        session.stated = MICROPHONE;
        session.stated_at = None;
        self.tell_speaking(now, id);
    }

    /// Tells the others that a member is gone.
    pub(super) fn say_goodbye(&mut self, now: Timestamp, id: MemberId) {
        let Some(user_id) = self.user(id) else { return };
        let went = |gathered: &mut Gathered| {
            gathered.came.remove(&user_id);
            gathered.went.insert(user_id);
        };
        if !self.gather(now, id, went) {
            self.tell_others(now, id, &ServerMessage::ClientDisconnect { user_id });
        }
    }
}
