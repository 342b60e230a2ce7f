//! Who is in which channel: rooms, voice states and the ways to find them.
//!
//! Plain data with its indexes kept in step; it sends nothing and knows no connection. Everything
//! is keyed by the chat server that owns it, so that two chat servers may use equal ids.
//! Invariant between calls: every member is in exactly one room and under each of its index keys.

mod member;
mod room;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hasher};

use crate::crypto::auth;
use crate::gateway::session::Session;
use crate::ids::{ChannelId, ControlId, GuildId, MemberId, RoomId, UserId};
use crate::slab::Slab;
use crate::wire::secret::Secret;

pub(super) use member::{Member, Scope};
pub(super) use room::{Crowd, Gathered, Room};

/// All rooms and members.
#[derive(Debug, Default)]
pub(super) struct Membership {
    rooms: Slab<RoomId, Room>,
    members: Slab<MemberId, Member>,
    by_channel: BTreeMap<(ControlId, ChannelId), RoomId>,
    by_user: BTreeMap<(ControlId, UserId, Scope), MemberId>,
    /// By what a voice client names: `server_id` (the channel's id, or the guild's) and user.
    by_server: BTreeSet<(u64, UserId, MemberId)>,
    /// By a digest of the session id, for Resume, which names no user. Chat servers may give one id
    /// to several.
    by_session: BTreeSet<(u64, MemberId)>,
    /// Bytes of all session ids and tokens.
    credential_bytes: usize,
}

/// Why an Identify means nobody.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Mismatch {
    /// The user is not placed there, or not yet.
    Unknown,
    /// The user is, and has other secrets.
    Secrets,
}

impl Membership {
    pub(super) fn room(&self, id: RoomId) -> Option<&Room> {
        self.rooms.get(id)
    }

    pub(super) fn room_mut(&mut self, id: RoomId) -> Option<&mut Room> {
        self.rooms.get_mut(id)
    }

    pub(super) fn member(&self, id: MemberId) -> Option<&Member> {
        self.members.get(id)
    }

    pub(super) fn member_mut(&mut self, id: MemberId) -> Option<&mut Member> {
        self.members.get_mut(id)
    }

    /// A member's session, and what the channel's voice clients know.
    pub(super) fn session_and_crowd(&mut self, id: MemberId) -> Option<(&mut Session, &mut Crowd)> {
        let member = self.members.get_mut(id)?;
        let room = self.rooms.get_mut(member.room)?;
        Some((member.session.as_deref_mut()?, room.crowd()))
    }

    /// Takes a member's session away.
    pub(super) fn take_session(&mut self, id: MemberId) -> Option<Box<Session>> {
        let member = self.members.get_mut(id)?;
        let session = member.session.take()?;
        if let Some(room) = self.rooms.get_mut(member.room) {
            room.crowd().roster.forget(&session.known);
        }
        Some(session)
    }

    /// Of `users`, those whom a member's voice client believes present, or those whom it does not.
    pub(super) fn known_of(
        &self,
        id: MemberId,
        users: &BTreeSet<UserId>,
        believed_present: bool,
    ) -> Vec<UserId> {
        let select = || {
            let member = self.members.get(id)?;
            let known = &member.session.as_ref()?.known;
            let roster = &self.rooms.get(member.room)?.crowd.as_ref()?.roster;
            let others = users.iter().copied().filter(|user| *user != member.user);
            let selected = others.filter(|user| roster.knows(known, *user) == believed_present);
            Some(selected.collect())
        };
        select().unwrap_or_default()
    }

    /// The users whom a member's voice client believes present.
    pub(super) fn known_to(&self, id: MemberId) -> BTreeSet<UserId> {
        let known = |id| {
            let member = self.members.get(id)?;
            let roster = &self.rooms.get(member.room)?.crowd.as_ref()?.roster;
            Some(roster.users(&member.session.as_ref()?.known).collect())
        };
        known(id).unwrap_or_default()
    }

    pub(super) fn add_room(&mut self, room: Room) -> RoomId {
        let key = (room.client, room.channel);
        self.credential_bytes += room.token.len();
        let id = self.rooms.insert(room);
        self.by_channel.insert(key, id);
        id
    }

    /// Removes an empty room; its members must have been removed before.
    pub(super) fn remove_room(&mut self, id: RoomId) -> Option<Room> {
        let room = self.rooms.remove(id)?;
        debug_assert!(room.members.is_empty(), "members leave before their room goes");
        self.by_channel.remove(&(room.client, room.channel));
        self.credential_bytes -= room.token.len();
        Some(room)
    }

    /// Adds a member to its room. `None`, and nothing is stored, when the room is gone.
    pub(super) fn add_member(&mut self, member: Member) -> Option<MemberId> {
        let room_id = member.room;
        let room = self.rooms.get_mut(room_id)?;
        let (client, user, guild) = (member.client, member.user, member.guild);
        let session = digest(&member.session_id);
        self.credential_bytes += member.credential_bytes();
        let id = self.members.insert(member);
        room.members.push(id);
        let channel = room.channel;
        self.by_user.insert((client, user, Scope::of(guild, channel)), id);
        for server in server_ids(guild, channel) {
            self.by_server.insert((server, user, id));
        }
        self.by_session.insert((session, id));
        Some(id)
    }

    pub(super) fn remove_member(&mut self, id: MemberId) -> Option<Member> {
        let member = self.members.remove(id)?;
        self.credential_bytes -= member.credential_bytes();
        if let Some(room) = self.rooms.get_mut(member.room) {
            room.members.retain(|other| *other != id);
            if room.members.is_empty() {
                room.members = Vec::new();
                room.crowd = None;
            }
            let channel = room.channel;
            let key = (member.client, member.user, Scope::of(member.guild, channel));
            if self.by_user.get(&key) == Some(&id) {
                self.by_user.remove(&key);
            }
            for server in server_ids(member.guild, channel) {
                self.by_server.remove(&(server, member.user, id));
            }
        }
        self.by_session.remove(&(digest(&member.session_id), id));
        Some(member)
    }

    /// The guild of a room became known: its members count as the guild's from now on, but for those
    /// who are placed elsewhere in it already. Whose place that changed.
    pub(super) fn adopt_guild(&mut self, room: RoomId) -> Vec<UserId> {
        let mut adopted = Vec::new();
        let Some(Room { client, channel, guild: Some(guild), members, .. }) = self.rooms.get(room)
        else {
            return adopted;
        };
        let (client, channel, guild) = (*client, *channel, *guild);
        for id in members {
            let Some(member) = self.members.get_mut(*id) else { continue };
            let new = (client, member.user, Scope::Guild(guild));
            if member.guild.is_some() || self.by_user.contains_key(&new) {
                continue;
            }
            member.guild = Some(guild);
            self.by_user.remove(&(client, member.user, Scope::Channel(channel)));
            self.by_user.insert(new, *id);
            self.by_server.insert((guild.as_u64(), member.user, *id));
            adopted.push(member.user);
        }
        adopted
    }

    /// Replaces what the client must present, keeping the indexes in step.
    pub(super) fn set_credentials(&mut self, id: MemberId, session_id: Secret, token: Secret) {
        let Some(member) = self.members.get_mut(id) else { return };
        self.by_session.remove(&(digest(&member.session_id), id));
        self.by_session.insert((digest(&session_id), id));
        self.credential_bytes -= member.credential_bytes();
        member.session_id = session_id;
        member.token = token;
        self.credential_bytes += member.credential_bytes();
    }

    /// Replaces a channel's token.
    pub(super) fn set_token(&mut self, id: RoomId, token: Secret) {
        if let Some(room) = self.rooms.get_mut(id) {
            self.credential_bytes = self.credential_bytes + token.len() - room.token.len();
            room.token = token;
        }
    }

    /// Bytes of all session ids and tokens.
    pub(super) const fn credential_bytes(&self) -> usize {
        self.credential_bytes
    }

    pub(super) fn room_of(&self, client: ControlId, channel: ChannelId) -> Option<RoomId> {
        self.by_channel.get(&(client, channel)).copied()
    }

    pub(super) fn member_of(
        &self,
        client: ControlId,
        user: UserId,
        scope: Scope,
    ) -> Option<MemberId> {
        self.by_user.get(&(client, user, scope)).copied()
    }

    /// Every voice state of a user at one chat server.
    pub(super) fn members_of_user(&self, client: ControlId, user: UserId) -> Vec<MemberId> {
        self.by_user
            .range((client, user, Scope::MIN)..)
            .take_while(|((c, u, _), _)| *c == client && *u == user)
            .map(|(_, id)| *id)
            .collect()
    }

    /// The voice states of one chat server that have this session id.
    pub(super) fn members_of_session(
        &self,
        client: ControlId,
        session_id: &Secret,
    ) -> impl Iterator<Item = MemberId> {
        self.of_session(session_id).filter(move |id| {
            self.members.get(*id).is_some_and(|member| {
                member.client == client
                    && auth::verify_token(
                        member.session_id.expose().as_bytes(),
                        session_id.expose().as_bytes(),
                    )
            })
        })
    }

    /// The member whom an Identify means, by its secrets.
    pub(super) fn identify(
        &self,
        server_id: u64,
        user: UserId,
        session_id: &Secret,
        token: &Secret,
    ) -> Result<MemberId, Mismatch> {
        let mut candidates = self
            .by_server
            .range((server_id, user, MemberId::MIN)..)
            .take_while(|(server, of, _)| (*server, *of) == (server_id, user))
            .map(|(_, _, id)| *id)
            .peekable();
        candidates.peek().ok_or(Mismatch::Unknown)?;
        self.matching(candidates, session_id, token).ok_or(Mismatch::Secrets)
    }

    /// The member whom a Resume means.
    pub(super) fn resume(
        &self,
        server_id: u64,
        session_id: &Secret,
        token: &Secret,
    ) -> Option<MemberId> {
        // Before the secrets are looked at: one session id may be that of several.
        let is_there = |id: &MemberId| {
            let member = self.members.get(*id);
            let room = member.and_then(|member| self.rooms.get(member.room));
            member.zip(room).is_some_and(|(member, room)| {
                server_ids(member.guild, room.channel).any(|known| known == server_id)
            })
        };
        self.matching(self.of_session(session_id).filter(is_there), session_id, token)
    }

    /// Who may have this session id.
    fn of_session(&self, session_id: &Secret) -> impl Iterator<Item = MemberId> {
        let wanted = digest(session_id);
        let from = self.by_session.range((wanted, MemberId::MIN)..);
        from.take_while(move |(digest, _)| *digest == wanted).map(|(_, id)| *id)
    }

    fn matching(
        &self,
        mut ids: impl Iterator<Item = MemberId>,
        session_id: &Secret,
        token: &Secret,
    ) -> Option<MemberId> {
        ids.find(|id| {
            self.members.get(*id).is_some_and(|member| {
                let session = auth::verify_token(
                    member.session_id.expose().as_bytes(),
                    session_id.expose().as_bytes(),
                );
                let matches = |expected: &Secret| {
                    auth::verify_token(expected.expose().as_bytes(), token.expose().as_bytes())
                };
                let channel = self.rooms.get(member.room).is_some_and(|room| matches(&room.token));
                session & (matches(&member.token) | channel)
            })
        })
    }

    /// The rooms of one chat server behind `channel`, in the order of their channels' ids.
    pub(super) fn rooms_from(
        &self,
        client: ControlId,
        channel: Option<ChannelId>,
    ) -> impl Iterator<Item = RoomId> {
        use std::ops::Bound::{Excluded, Included, Unbounded};
        let from = channel.map_or(Included((client, ChannelId::MIN)), |id| Excluded((client, id)));
        self.by_channel
            .range((from, Unbounded))
            .take_while(move |((owner, _), _)| *owner == client)
            .map(|(_, id)| *id)
    }

    /// The voice states of one chat server behind `after`, in the order of users.
    pub(super) fn members_from(
        &self,
        client: ControlId,
        after: Option<(UserId, Scope)>,
    ) -> impl Iterator<Item = (MemberId, (UserId, Scope))> {
        use std::ops::Bound::{Excluded, Included, Unbounded};
        let least = Included((client, UserId::MIN, Scope::MIN));
        let from = after.map_or(least, |(user, scope)| Excluded((client, user, scope)));
        self.by_user
            .range((from, Unbounded))
            .take_while(move |((owner, _, _), _)| *owner == client)
            .map(|((_, user, scope), id)| (*id, (*user, *scope)))
    }

    /// The rooms behind this one, which may be gone, in the order of their ids.
    pub(super) fn rooms_after(
        &self,
        after: Option<RoomId>,
    ) -> impl Iterator<Item = (RoomId, &Room)> {
        self.rooms.iter_after(after)
    }

    /// The members behind this one, who may be gone, in the order of their ids.
    pub(super) fn members_after(
        &self,
        after: Option<MemberId>,
    ) -> impl Iterator<Item = (MemberId, &Member)> {
        self.members.iter_after(after)
    }

    pub(super) fn rooms_len(&self) -> usize {
        self.rooms.len()
    }

    pub(super) fn members_len(&self) -> usize {
        self.members.len()
    }
}

/// What a voice client may write as `server_id`: the channel's id and, if known, the guild's.
fn server_ids(guild: Option<GuildId>, channel: ChannelId) -> impl Iterator<Item = u64> {
    let guild = guild.map(GuildId::as_u64).filter(|id| *id != channel.as_u64());
    std::iter::once(channel.as_u64()).chain(guild)
}

/// What a session id is found by. Equal digests are told apart by the ids themselves.
fn digest(session_id: &Secret) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(session_id.expose().as_bytes());
    hasher.finish()
}

#[cfg(test)]
mod tests;
