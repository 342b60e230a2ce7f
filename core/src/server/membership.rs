//! Who is in which channel: rooms, voice states and the ways to find them.
//!
//! Plain data with its indexes kept in step; it sends nothing and knows no connection. Everything
//! is keyed by the chat server that owns it, so that two chat servers may use equal ids.
//! Invariant between calls: every member is in exactly one room and under each of its index keys.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hasher};

use super::spread::Legs;
use crate::crypto::auth;
use crate::gateway::roster::Roster;
use crate::gateway::session::Session;
use crate::ids::{ChannelId, ControlId, GuildId, MemberId, RelayId, RelaySet, RoomId, UserId};
use crate::media::command::Permissions;
use crate::slab::Slab;
use crate::time::Timestamp;
use crate::wire::lvsp::VoiceFlags;
use crate::wire::secret::Secret;

/// A channel of one chat server.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) client: ControlId,
    pub(super) channel: ChannelId,
    pub(super) guild: Option<GuildId>,
    pub(super) bitrate: u32,
    /// What its voice clients may present in place of their voice state's token.
    pub(super) token: Secret,
    /// Its home: where its legs are as long as they are not too many.
    pub(super) relay: RelayId,
    /// In the order in which they were placed.
    pub(super) members: Vec<MemberId>,
    /// Whether the chat server stated it since it last identified.
    pub(super) confirmed: bool,
    /// What is known of its voice clients, while it has members.
    crowd: Option<Box<Crowd>>,
}

/// What a channel's voice clients know and are yet to be told.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    /// Who came and went, in a large channel.
    pub(super) gathered: Gathered,
    pub(super) roster: Roster,
    /// Where they are served.
    pub(super) legs: Legs,
}

impl Room {
    /// A channel without members, as it was stated.
    pub(super) fn new(
        client: ControlId,
        channel: ChannelId,
        guild: Option<GuildId>,
        (bitrate, token, relay): (u32, Secret, RelayId),
    ) -> Self {
        let members = Vec::new();
        Self {
            client,
            channel,
            guild,
            bitrate,
            token,
            relay,
            members,
            confirmed: true,
            crowd: None,
        }
    }

    /// The relays that have legs of it.
    pub(super) fn relays(&self) -> RelaySet {
        self.crowd.as_ref().map_or(RelaySet::EMPTY, |crowd| crowd.legs.relays())
    }

    pub(super) fn crowd(&mut self) -> &mut Crowd {
        self.crowd.get_or_insert_default()
    }
}

/// Arrivals and departures that are told together.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    pub(super) came: BTreeSet<UserId>,
    pub(super) went: BTreeSet<UserId>,
}

/// A user whom a chat server placed in a channel: what LVSP calls a voice state.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) client: ControlId,
    pub(super) room: RoomId,
    pub(super) user: UserId,
    pub(super) guild: Option<GuildId>,
    pub(super) session_id: Secret,
    pub(super) token: Secret,
    pub(super) flags: VoiceFlags,
    pub(super) confirmed: bool,
    /// After the client sent too many messages: no session begins before.
    pub(super) calm_until: Timestamp,
    /// The voice client's session, once it identified.
    pub(super) session: Option<Box<Session>>,
}

impl Member {
    fn credential_bytes(&self) -> usize {
        self.session_id.len() + self.token.len()
    }

    /// What the media plane enforces.
    pub(super) const fn permissions(&self) -> Permissions {
        Permissions {
            speak: self.may_speak() && !self.flags.self_mute,
            hear: !self.flags.deaf && !self.flags.self_deaf,
        }
    }

    /// Whether others should know this user's SSRC: everyone but those who are kept silent.
    pub(super) const fn may_speak(&self) -> bool {
        !self.flags.mute && !self.flags.suppress
    }
}

/// Where a user can be only once: in a guild, or in a call that stands for itself.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Scope {
    Guild(GuildId),
    Channel(ChannelId),
}

impl Scope {
    /// The first in order; the start of a range.
    const MIN: Self = Self::Guild(GuildId::MIN);

    pub(super) fn of(guild: Option<GuildId>, channel: ChannelId) -> Self {
        guild.map_or(Self::Channel(channel), Self::Guild)
    }
}

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
    /// who are placed elsewhere in it already.
    pub(super) fn adopt_guild(&mut self, room: RoomId) {
        let Some(Room { client, channel, guild: Some(guild), members, .. }) = self.rooms.get(room)
        else {
            return;
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
        }
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

    /// The voice state that a chat server names by session id alone.
    pub(super) fn member_of_session(
        &self,
        client: ControlId,
        session_id: &Secret,
    ) -> Option<MemberId> {
        self.of_session(session_id).find(|id| {
            self.members.get(*id).is_some_and(|member| {
                member.client == client
                    && auth::verify_token(
                        member.session_id.expose().as_bytes(),
                        session_id.expose().as_bytes(),
                    )
            })
        })
    }

    /// The member whom an Identify means, by its secrets; `Err(true)` when the user is known there
    /// but the secrets are wrong, `Err(false)` when nobody of that name is.
    pub(super) fn identify(
        &self,
        server_id: u64,
        user: UserId,
        session_id: &Secret,
        token: &Secret,
    ) -> Result<MemberId, bool> {
        let mut candidates = self
            .by_server
            .range((server_id, user, MemberId::MIN)..)
            .take_while(|(server, of, _)| (*server, *of) == (server_id, user))
            .map(|(_, _, id)| *id)
            .peekable();
        candidates.peek().ok_or(false)?;
        self.matching(candidates, session_id, token).ok_or(true)
    }

    /// The member whom a Resume means.
    pub(super) fn resume(
        &self,
        server_id: u64,
        session_id: &Secret,
        token: &Secret,
    ) -> Option<MemberId> {
        let id = self.matching(self.of_session(session_id), session_id, token)?;
        let member = self.members.get(id)?;
        let channel = self.rooms.get(member.room)?.channel;
        server_ids(member.guild, channel).any(|known| known == server_id).then_some(id)
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CLIENT: ControlId = ControlId(0);

    fn member(room: RoomId, user: u64, guild: Option<GuildId>, session_id: u8) -> Member {
        Member {
            client: CLIENT,
            room,
            user: UserId::new(user).expect("not zero"),
            guild,
            session_id: secret(session_id),
            token: Secret::from("token"),
            flags: VoiceFlags::default(),
            confirmed: true,
            calm_until: Timestamp::ZERO,
            session: None,
        }
    }

    fn secret(number: u8) -> Secret {
        Secret::new(number.to_string())
    }

    fn room(channel: u64, guild: Option<GuildId>) -> Room {
        Room {
            client: CLIENT,
            channel: ChannelId::new(channel).expect("not zero"),
            guild,
            bitrate: 64_000,
            token: Secret::from("another token"),
            relay: RelayId(0),
            members: Vec::new(),
            confirmed: true,
            crowd: None,
        }
    }

    impl Membership {
        /// Every member is in its room and under each of its keys, and nothing else is anywhere.
        fn check(&self) {
            for (id, member) in self.members.iter() {
                let room = &self.rooms.get(member.room).expect("a member has a room");
                let place = Scope::of(member.guild, room.channel);
                assert!(room.members.contains(&id));
                assert_eq!(self.member_of(member.client, member.user, place), Some(id));
                assert!(self.by_session.contains(&(digest(&member.session_id), id)));
                for server in server_ids(member.guild, room.channel) {
                    assert!(self.by_server.contains(&(server, member.user, id)));
                }
            }
            let members = self.members.len();
            assert_eq!(self.by_user.len(), members);
            assert_eq!(self.by_session.len(), members);
            assert_eq!(
                self.rooms.iter().map(|(_, room)| room.members.len()).sum::<usize>(),
                members
            );
            let servers = self.members.iter().map(|(_, member)| {
                let channel = self.rooms.get(member.room).expect("a member has a room").channel;
                server_ids(member.guild, channel).count()
            });
            assert_eq!(self.by_server.len(), servers.sum::<usize>());
            let held = self.members.iter().map(|(_, member)| member.credential_bytes());
            let tokens = self.rooms.iter().map(|(_, room)| room.token.len());
            assert_eq!(self.credential_bytes, held.chain(tokens).sum::<usize>());
            assert_eq!(self.by_channel.len(), self.rooms.len());
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Place { user: u64, channel: usize, session_id: u8 },
        Remove { user: u64, channel: usize },
        Restate { user: u64, channel: usize, session_id: u8 },
        NameGuild { channel: usize },
    }

    fn step() -> impl Strategy<Value = Step> {
        let (user, channel) = (1..4_u64, 0..3_usize);
        prop_oneof![
            3 => (user.clone(), channel.clone(), 0..4_u8).prop_map(|(user, channel, session_id)| {
                Step::Place { user, channel, session_id }
            }),
            2 => (user.clone(), channel.clone()).prop_map(|(user, channel)| {
                Step::Remove { user, channel }
            }),
            2 => (user, channel.clone(), 0..4_u8).prop_map(|(user, channel, session_id)| {
                Step::Restate { user, channel, session_id }
            }),
            1 => channel.prop_map(|channel| Step::NameGuild { channel }),
        ]
    }

    proptest! {
        #[test]
        fn indexes_agree_with_members_after_any_history(
            steps in prop::collection::vec(step(), 0..40),
        ) {
            let guild = GuildId::new(9);
            let mut all = Membership::default();
            // One channel of the guild from the start; the others may turn out to be of it.
            let rooms = [(1, guild), (2, None), (3, None)]
                .map(|(channel, guild)| all.add_room(room(channel, guild)));
            for step in steps {
                let find = |all: &Membership, user: u64, channel: usize| {
                    let room = all.room(rooms[channel]).expect("no room goes");
                    let user = UserId::new(user).expect("not zero");
                    let here = |id: &MemberId| all.member(*id).is_some_and(|m| m.user == user);
                    room.members.iter().copied().find(here)
                };
                match step {
                    Step::Place { user, channel, session_id } => {
                        let known = all.room(rooms[channel]).expect("no room goes");
                        let (guild, id) = (known.guild, known.channel);
                        let user_id = UserId::new(user).expect("not zero");
                        let there = all.member_of(CLIENT, user_id, Scope::of(guild, id));
                        if there.is_none() && find(&all, user, channel).is_none() {
                            all.add_member(member(rooms[channel], user, guild, session_id));
                        }
                    }
                    Step::Remove { user, channel } => {
                        if let Some(id) = find(&all, user, channel) {
                            all.remove_member(id);
                        }
                    }
                    Step::Restate { user, channel, session_id } => {
                        if let Some(id) = find(&all, user, channel) {
                            all.set_credentials(id, secret(session_id), Secret::from("new"));
                        }
                    }
                    Step::NameGuild { channel } => {
                        all.room_mut(rooms[channel]).expect("no room goes").guild = guild;
                        all.adopt_guild(rooms[channel]);
                    }
                }
                all.check();
            }
        }
    }
}
