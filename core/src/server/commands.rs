//! What a [`Command`] changes, whoever gave it: LVSP or a host in process.

use std::time::Duration;

use super::Server;
use super::deadlines::Timer;
use super::membership::{Gathered, Member, Room, Scope};
use super::news::absent;
use crate::command::{Command, Target};
use crate::ids::{ChannelId, ControlId, GuildId, MemberId, RelayId, RoomId, UserId};
use crate::lvsp::outbox::Cause;
use crate::media::command::RelayCommand;
use crate::output::{Event, GoneReason};
use crate::reasons::{CloseReason, Refused};
use crate::time::Timestamp;
use crate::wire::lvsp::{VoiceFlags, VoiceFlagsUpdate};
use crate::wire::secret::Secret;

/// Bits a second of a channel whose chat server named none.
const DEFAULT_BITRATE: u32 = 64_000;
/// An Identify for an unknown voice state is worth waiting for while the chat server is this new.
const FRESH_CONTROL: Duration = Duration::from_secs(30);

/// What is remembered of a destroyed channel.
#[derive(Debug, Default)]
pub(super) struct Tombstone {
    guild: Option<GuildId>,
    users: Vec<UserId>,
}

/// What is stated about a channel.
struct Stated {
    channel: ChannelId,
    guild: Option<GuildId>,
    bitrate: Option<u32>,
    token: Option<Secret>,
}

/// Everything that places a user.
struct Placement {
    user: UserId,
    channel: ChannelId,
    guild: Option<GuildId>,
    session_id: Option<Secret>,
    token: Option<Secret>,
    flags: VoiceFlagsUpdate,
}

impl Server {
    /// Carries out a command on the channels of one chat server.
    ///
    /// Applications that drive channels in process call this; LVSP messages end here as well.
    /// What changed is told to that chat server and leaves as [`Event`]s.
    ///
    /// # Errors
    /// Why the command was refused; nothing changed then.
    pub fn handle_command(
        &mut self,
        now: Timestamp,
        client: ControlId,
        command: Command,
    ) -> Result<(), Refused> {
        let now = self.advance(now);
        if usize::from(client.0) >= self.controls.len() {
            return Err(Refused::Unknown("control client"));
        }
        match command {
            Command::SetChannel { channel, guild, bitrate, token } => {
                let stated = Stated { channel, guild, bitrate, token };
                self.set_channel(now, client, stated).map(|_| ())
            }
            Command::DestroyChannel { channel } => {
                self.destroy_channel(now, client, channel);
                Ok(())
            }
            Command::Place { user, channel, guild, session_id, token, flags } => {
                let placement = Placement { user, channel, guild, session_id, token, flags };
                self.place(now, client, placement)
            }
            Command::SetFlags { target, flags } => {
                let member =
                    self.find_one(client, &target).ok_or(Refused::Unknown("voice state"))?;
                self.restate(now, client, member);
                self.set_flags(now, member, flags);
                Ok(())
            }
            Command::Remove { target } => {
                self.remove(now, client, &target);
                Ok(())
            }
        }
    }

    fn set_channel(
        &mut self,
        now: Timestamp,
        client: ControlId,
        stated: Stated,
    ) -> Result<RoomId, Refused> {
        let channel = stated.channel;
        self.clear_tombstone(client, channel);
        let (room, cause) = match self.membership.room_of(client, channel) {
            Some(id) => (id, self.change_room(id, stated)),
            None => (self.make_room(client, stated)?, Cause::Created),
        };
        self.note_restatement(now, client);
        self.tell_channel(now, client, channel, cause);
        if cause != Cause::Unchanged {
            let bitrate = self.membership.room(room).map_or(DEFAULT_BITRATE, |room| room.bitrate);
            self.event(Event::ChannelUpdated { client, channel, bitrate });
        }
        Ok(room)
    }

    fn make_room(&mut self, client: ControlId, stated: Stated) -> Result<RoomId, Refused> {
        let Stated { channel, guild, bitrate, token } = stated;
        if self.membership.rooms_len() >= self.config.limits.channels {
            return Err(Refused::Limit("channels"));
        }
        let relay = RelayId(u16::try_from(self.next_relay).unwrap_or(0));
        self.next_relay = (self.next_relay + 1) % self.config.relays.len();
        let token = match token {
            Some(given) => given,
            None => self.draw_token(),
        };
        Ok(self.membership.add_room(Room {
            client,
            channel,
            guild,
            bitrate: bitrate.unwrap_or(DEFAULT_BITRATE),
            token,
            relay,
            members: Vec::new(),
            confirmed: true,
            gathered: Gathered::default(),
        }))
    }

    /// 256 random bits.
    fn draw_token(&mut self) -> Secret {
        Secret::new(self.entropy.hex::<32>())
    }

    /// Changes what is stated.
    fn change_room(&mut self, id: RoomId, stated: Stated) -> Cause {
        let Some(room) = self.membership.room_mut(id) else { return Cause::Unchanged };
        room.confirmed = true;
        let before = (room.guild, room.bitrate);
        room.guild = stated.guild.or(room.guild);
        room.bitrate = stated.bitrate.unwrap_or(room.bitrate);
        if let Some(token) = stated.token {
            room.token = token;
        }
        let (relay, bitrate) = (room.relay, room.bitrate);
        let after = (room.guild, room.bitrate);
        if before.1 != bitrate {
            self.relay(relay, RelayCommand::SetBitrate { room: id, bitrate });
        }
        if before == after { Cause::Unchanged } else { Cause::Changed }
    }

    fn destroy_channel(&mut self, now: Timestamp, client: ControlId, channel: ChannelId) {
        let mut tombstone = Tombstone::default();
        if let Some(id) = self.membership.room_of(client, channel) {
            let room = self.membership.room(id);
            tombstone.guild = room.and_then(|room| room.guild);
            for member in room.map_or_else(Vec::new, |room| room.members.clone()) {
                tombstone.users.extend(self.membership.member(member).map(|member| member.user));
                self.remove_member(now, member, GoneReason::ChannelDestroyed);
            }
            self.drop_room(id);
            let until = now + self.config.limits.tombstone_ms.duration();
            self.tombstones.insert((client, channel), tombstone);
            self.timers.set(Timer::Tombstone(client, channel), until);
        }
        self.tell_channel_gone(now, client, channel);
    }

    /// Forgets a room without members.
    pub(super) fn drop_room(&mut self, id: RoomId) {
        self.timers.clear(Timer::Gather(id));
        if let Some(room) = self.membership.remove_room(id) {
            self.event(Event::ChannelDestroyed { client: room.client, channel: room.channel });
        }
    }

    pub(super) fn clear_tombstone(&mut self, client: ControlId, channel: ChannelId) {
        self.tombstones.remove(&(client, channel));
        self.timers.clear(Timer::Tombstone(client, channel));
    }

    /// Whether a voice client asks for a channel that was destroyed a moment ago.
    pub(super) fn is_buried(&self, server_id: u64, user: UserId) -> bool {
        self.tombstones.iter().any(|((_, channel), tombstone)| {
            channel.as_u64() == server_id
                || (tombstone.guild.map(GuildId::as_u64) == Some(server_id)
                    && tombstone.users.contains(&user))
        })
    }

    fn place(
        &mut self,
        now: Timestamp,
        client: ControlId,
        placement: Placement,
    ) -> Result<(), Refused> {
        let Placement { user, channel, guild, .. } = placement;
        let room = self.membership.room_of(client, channel);
        let known_guild = room.and_then(|id| self.membership.room(id)).and_then(|room| room.guild);
        let guild = guild.or(known_guild);
        let present = self.membership.member_of(client, user, Scope::of(guild, channel));
        let here = present.filter(|id| self.membership.member(*id).map(|m| m.room) == room);
        if let Some(member) = here {
            self.place_again(now, client, member, placement);
            return Ok(());
        }
        self.check_room_for(room, present.is_some())?;
        let stated = Stated { channel, guild, bitrate: None, token: None };
        let room = match room {
            // Known as it is: nothing to tell.
            Some(room) if guild == known_guild => {
                self.change_room(room, stated);
                self.note_restatement(now, client);
                room
            }
            Some(_) | None => self.set_channel(now, client, stated)?,
        };
        // A move: what the chat server does not say anew goes along.
        let mut flags = VoiceFlags::default();
        if let Some(old) = present {
            flags = self.membership.member(old).map(|member| member.flags).unwrap_or_default();
            self.remove_member(now, old, GoneReason::Moved);
        }
        flags.apply(placement.flags);
        let session_id = match placement.session_id {
            Some(given) => given,
            None => Secret::new(self.entropy.hex::<16>()),
        };
        let token = match placement.token {
            Some(given) => given,
            None => self.draw_token(),
        };
        let member = Member {
            client,
            room,
            user,
            guild,
            session_id,
            token,
            flags,
            confirmed: true,
            calm_until: Timestamp::ZERO,
            session: None,
        };
        let Some(id) = self.membership.add_member(member) else {
            return Err(Refused::Unknown("channel"));
        };
        let limits = &self.config.limits;
        self.timers.set(Timer::Reservation(id), now + limits.reservation_ms.duration());
        self.tell_voice_state(now, id, true);
        self.retry_held(now, channel, guild, user);
        Ok(())
    }

    fn check_room_for(&self, room: Option<RoomId>, moves: bool) -> Result<(), Refused> {
        if self.drain.is_some() {
            return Err(Refused::Draining);
        }
        let limits = &self.config.limits;
        if !moves && self.membership.members_len() >= limits.voice_states {
            return Err(Refused::Limit("voice_states"));
        }
        let members = room.and_then(|id| self.membership.room(id)).map_or(0, |r| r.members.len());
        if members >= limits.members_per_channel {
            return Err(Refused::Limit("members_per_channel"));
        }
        Ok(())
    }

    /// The user is where it is placed already: a re-statement, perhaps with other flags.
    fn place_again(
        &mut self,
        now: Timestamp,
        client: ControlId,
        id: MemberId,
        placement: Placement,
    ) {
        self.restate(now, client, id);
        if let Some(member) = self.membership.member(id) {
            let session_id = placement.session_id.unwrap_or_else(|| member.session_id.clone());
            let token = placement.token.unwrap_or_else(|| member.token.clone());
            self.membership.set_credentials(id, session_id, token);
        }
        self.apply_flags(now, id, placement.flags);
        self.tell_voice_state(now, id, true);
    }

    fn set_flags(&mut self, now: Timestamp, id: MemberId, update: VoiceFlagsUpdate) {
        if self.apply_flags(now, id, update) {
            self.tell_voice_state(now, id, false);
        }
    }

    /// Enforces changed flags in the media plane and tells the others; whether any changed.
    fn apply_flags(&mut self, now: Timestamp, id: MemberId, update: VoiceFlagsUpdate) -> bool {
        let Some(member) = self.membership.member_mut(id) else { return false };
        let (before, could_speak) = (member.flags, member.may_speak());
        member.flags.apply(update);
        if member.flags == before {
            return false;
        }
        let permissions = member.permissions();
        let may_speak = member.may_speak();
        let media = member.session.as_ref().map(|session| (session.relay, session.leg));
        if let Some((relay, leg)) = media {
            self.relay(relay, RelayCommand::SetPermissions { leg, permissions });
        }
        if !permissions.speak {
            self.announce_speaking(now, id, 0);
        }
        if may_speak && !could_speak {
            self.announce_ssrc(now, id);
        }
        true
    }

    /// The voice state that a chat server means, if it means exactly one.
    fn find_one(&self, client: ControlId, target: &Target) -> Option<MemberId> {
        let mut all = self.find(client, target);
        if all.len() == 1 { all.pop() } else { None }
    }

    fn find(&self, client: ControlId, target: &Target) -> Vec<MemberId> {
        if let Some(session_id) = &target.session_id
            && let Some(id) = self.membership.member_of_session(client, session_id.expose())
        {
            return vec![id];
        }
        let Some(user) = target.user else { return Vec::new() };
        self.membership
            .members_of_user(client, user)
            .into_iter()
            .filter(|id| {
                let Some(member) = self.membership.member(*id) else { return false };
                let channel = self.membership.room(member.room).map(|room| room.channel);
                target.guild.is_none_or(|guild| member.guild == Some(guild))
                    && target.channel.is_none_or(|wanted| channel == Some(wanted))
            })
            .collect()
    }

    /// Removes whom the target names; nobody is success as well: already gone.
    fn remove(&mut self, now: Timestamp, client: ControlId, target: &Target) {
        self.note_restatement(now, client);
        let found = self.find(client, target);
        if found.is_empty()
            && let Some(user_id) = target.user
        {
            self.tell_absent(now, client, absent(target, user_id));
        }
        for id in found {
            self.remove_member(now, id, GoneReason::Removed);
        }
    }

    /// Ends a voice state: its session, its media, and what others know of it.
    pub(super) fn remove_member(&mut self, now: Timestamp, id: MemberId, reason: GoneReason) {
        let close = match reason {
            GoneReason::Removed | GoneReason::Moved => CloseReason::Disconnected,
            GoneReason::ChannelDestroyed | GoneReason::GraceEnded => CloseReason::ChannelDestroyed,
            GoneReason::NotRestated => CloseReason::Renew,
            GoneReason::NeverConnected | GoneReason::Lost => CloseReason::SessionInvalid,
        };
        self.end_session(now, id, close);
        let Some(member) = self.membership.remove_member(id) else { return };
        for timer in Timer::of_member(id) {
            self.timers.clear(timer);
        }
        let (client, user, guild) = (member.client, member.user, member.guild);
        if let Some(channel) = self.membership.room(member.room).map(|room| room.channel) {
            if reason != GoneReason::Moved {
                self.tell_gone(now, &member, channel, reason);
            }
            self.event(Event::MemberGone { client, guild, channel, user, reason });
        }
    }

    // --- re-statement after an IDENTIFY ---

    /// Marks everything of a chat server unconfirmed: it has to be stated again.
    pub(super) fn unconfirm(&mut self, now: Timestamp, client: ControlId) {
        let rooms: Vec<_> = self.membership.rooms_from(client, None).collect();
        let members: Vec<_> =
            self.membership.members_from(client, None).map(|(id, _)| id).collect();
        if rooms.is_empty() && members.is_empty() {
            return;
        }
        for room in rooms {
            if let Some(room) = self.membership.room_mut(room) {
                room.confirmed = false;
            }
        }
        for member in members {
            if let Some(member) = self.membership.member_mut(member) {
                member.confirmed = false;
            }
        }
        let wait = self.config.limits.reconcile_ms.duration();
        self.timers.set(Timer::Reconcile(client), now + wait);
    }

    fn restate(&mut self, now: Timestamp, client: ControlId, id: MemberId) {
        if let Some(member) = self.membership.member_mut(id) {
            member.confirmed = true;
            let room = member.room;
            if let Some(room) = self.membership.room_mut(room) {
                room.confirmed = true;
            }
        }
        self.note_restatement(now, client);
    }

    /// The chat server is still stating: the rest has time, up to a point.
    fn note_restatement(&mut self, now: Timestamp, client: ControlId) {
        if self.timers.armed(Timer::Reconcile(client)).is_none() {
            return;
        }
        let limits = &self.config.limits;
        let (wait, total) = (limits.reconcile_ms.duration(), limits.reconcile_total_ms.duration());
        let latest = self.control(client).identified + total;
        self.timers.set(Timer::Reconcile(client), latest.min(now + wait));
    }

    /// What was not stated again goes, unless this chat server states nothing again.
    pub(super) fn reconcile(&mut self, now: Timestamp, client: ControlId) {
        let session = self.control(client).session.as_ref();
        match session.map(|session| session.speech.restates()) {
            Some(Some(true)) | None => {}
            Some(Some(false)) => return,
            Some(None) => {
                let wait = self.config.limits.reconcile_ms.duration();
                return self.timers.set(Timer::Reconcile(client), now + wait);
            }
        }
        let members: Vec<_> =
            self.membership.members_from(client, None).map(|(id, _)| id).collect();
        for id in members {
            if self.membership.member(id).is_some_and(|member| !member.confirmed) {
                self.remove_member(now, id, GoneReason::NotRestated);
            }
        }
        let rooms: Vec<_> = self.membership.rooms_from(client, None).collect();
        for id in rooms {
            let stale = |room: &Room| !room.confirmed && room.members.is_empty();
            if self.membership.room(id).is_some_and(stale) {
                self.drop_room(id);
            }
        }
    }

    /// Whether an Identify for an unknown voice state should wait for a chat server.
    pub(super) fn may_still_come(&self, now: Timestamp) -> bool {
        self.controls.iter().any(|control| {
            control.connected_since.is_none_or(|since| now.since(since) < FRESH_CONTROL)
        })
    }
}
