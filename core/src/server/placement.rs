//! What becomes of voice states: users are placed, moved, muted and removed.

use super::Server;
use super::channels::{SESSION_ID_BYTES, Stated, TOKEN_BYTES};
use super::deadlines::Timer;
use super::membership::{Member, Scope};
use super::news::absent;
use crate::command::Target;
use crate::ids::{ChannelId, ControlId, GuildId, MemberId, RoomId, UserId};
use crate::media::command::RelayCommand;
use crate::output::{Event, GoneReason};
use crate::reasons::{CloseReason, Refused};
use crate::time::Timestamp;
use crate::wire::lvsp::{VoiceFlags, VoiceFlagsUpdate};
use crate::wire::secret::Secret;

/// Everything that places a user.
pub(super) struct Placement {
    pub(super) user: UserId,
    pub(super) channel: ChannelId,
    pub(super) guild: Option<GuildId>,
    pub(super) session_id: Option<Secret>,
    pub(super) token: Option<Secret>,
    pub(super) flags: VoiceFlagsUpdate,
}

impl Server {
    pub(super) fn place(
        &mut self,
        now: Timestamp,
        client: ControlId,
        placement: Placement,
    ) -> Result<(), Refused> {
        let Placement { user, channel, guild, .. } = placement;
        let room = self.membership.room_of(client, channel);
        let known_guild = room.and_then(|id| self.membership.room(id)).and_then(|room| room.guild);
        // A channel belongs to one guild, whatever is said later.
        let guild = known_guild.or(guild);
        let present = self.membership.member_of(client, user, Scope::of(guild, channel));
        // It may have been placed there when the guild was not known.
        let alone = self.membership.member_of(client, user, Scope::Channel(channel));
        let is_here = |id: &MemberId| self.membership.member(*id).map(|m| m.room) == room;
        if let Some(here) = present.into_iter().chain(alone).find(is_here) {
            let elsewhere = present.filter(|id| *id != here);
            return self.stay(now, client, here, elsewhere, guild, placement);
        }
        self.check_room_for(room, present.is_some())?;
        let session_id = placement.session_id.as_ref().map_or(SESSION_ID_BYTES, Secret::len);
        let token = placement.token.as_ref().map_or(TOKEN_BYTES, Secret::len);
        // A channel that has to be made for the user gets a token as well.
        let of_channel = if room.is_none() { TOKEN_BYTES } else { 0 };
        self.check_credentials(session_id + token + of_channel)?;
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
        let member = self.new_member(client, room, guild, flags, placement);
        let Some(id) = self.membership.add_member(member) else {
            return Err(Refused::Unknown("channel"));
        };
        let limits = &self.config.limits;
        self.timers.set(Timer::Reservation(id), now + limits.reservation_ms.duration());
        self.tell_voice_state(now, id, true);
        self.retry_held(now, channel, guild, user);
        Ok(())
    }

    /// The user is where it is placed already. It may be elsewhere as well, in a channel that turned
    /// out to be of the same guild: there it was before.
    fn stay(
        &mut self,
        now: Timestamp,
        client: ControlId,
        here: MemberId,
        elsewhere: Option<MemberId>,
        guild: Option<GuildId>,
        placement: Placement,
    ) -> Result<(), Refused> {
        self.check_credentials_again(here, &placement)?;
        if let Some(elsewhere) = elsewhere {
            self.remove_member(now, elsewhere, GoneReason::Moved);
        }
        let Some(member) = self.membership.member(here) else { return Ok(()) };
        let (room, is_of_guild) = (member.room, member.guild == guild);
        if self.membership.room(room).is_some_and(|room| room.guild != guild) {
            let stated = Stated { channel: placement.channel, guild, bitrate: None, token: None };
            self.set_channel(now, client, stated)?;
        } else if !is_of_guild {
            self.adopt_guild(room);
        }
        self.place_again(now, client, here, placement);
        Ok(())
    }

    /// A voice state with the secrets that its chat server gave, or with new ones.
    fn new_member(
        &mut self,
        client: ControlId,
        room: RoomId,
        guild: Option<GuildId>,
        flags: VoiceFlags,
        placement: Placement,
    ) -> Member {
        let session_id = match placement.session_id {
            Some(given) => given,
            None => Secret::new(self.entropy.hex::<16>()),
        };
        let token = match placement.token {
            Some(given) => given,
            None => self.draw_token(),
        };
        Member {
            client,
            room,
            user: placement.user,
            guild,
            session_id,
            token,
            flags,
            confirmed: true,
            calm_until: Timestamp::ZERO,
            session: None,
        }
    }

    fn check_room_for(&mut self, room: Option<RoomId>, moves: bool) -> Result<(), Refused> {
        if self.drain.is_some() {
            return Err(Refused::Draining);
        }
        let limits = &self.config.limits;
        if !moves && self.membership.members_len() >= limits.voice_states {
            self.stats.limits.voice_states += 1;
            return Err(Refused::Limit("voice_states"));
        }
        let members = room.and_then(|id| self.membership.room(id)).map_or(0, |r| r.members.len());
        if members >= limits.members_per_channel {
            self.stats.limits.members_per_channel += 1;
            return Err(Refused::Limit("members_per_channel"));
        }
        Ok(())
    }

    /// Whether what is stated again of somebody who is there can be kept.
    fn check_credentials_again(
        &mut self,
        id: MemberId,
        placement: &Placement,
    ) -> Result<(), Refused> {
        let Some(member) = self.membership.member(id) else { return Ok(()) };
        let longer = |given: &Option<Secret>, kept: &Secret| {
            given.as_ref().map_or(0, |given| given.len().saturating_sub(kept.len()))
        };
        let bytes = longer(&placement.session_id, &member.session_id)
            + longer(&placement.token, &member.token);
        self.check_credentials(bytes)
    }

    /// A re-statement, perhaps with other flags and secrets.
    fn place_again(
        &mut self,
        now: Timestamp,
        client: ControlId,
        id: MemberId,
        placement: Placement,
    ) {
        self.restate(now, client, id);
        if self.session(id).is_none() {
            // Its client is about to come, or to try once more.
            self.reserve(now, id);
        }
        if let Some(member) = self.membership.member(id) {
            let session_id = placement.session_id.unwrap_or_else(|| member.session_id.clone());
            let token = placement.token.unwrap_or_else(|| member.token.clone());
            self.membership.set_credentials(id, session_id, token);
        }
        self.apply_flags(now, id, placement.flags);
        self.tell_voice_state(now, id, true);
    }

    pub(super) fn set_flags(
        &mut self,
        now: Timestamp,
        client: ControlId,
        target: &Target,
        update: VoiceFlagsUpdate,
    ) -> Result<(), Refused> {
        let id = self.find_one(client, target).ok_or(Refused::Unknown("voice state"))?;
        self.restate(now, client, id);
        if self.apply_flags(now, id, update) {
            self.tell_voice_state(now, id, false);
        }
        Ok(())
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
        self.permissions_changed(now, id, may_speak && !could_speak);
        true
    }

    /// The voice state that a chat server means, if it means exactly one.
    pub(super) fn find_one(&self, client: ControlId, target: &Target) -> Option<MemberId> {
        let mut all = self.find(client, target);
        if all.len() == 1 { all.pop() } else { None }
    }

    fn find(&self, client: ControlId, target: &Target) -> Vec<MemberId> {
        let is_meant = |id: &MemberId| {
            let Some(member) = self.membership.member(*id) else { return false };
            let channel = self.membership.room(member.room).map(|room| room.channel);
            target.user.is_none_or(|user| member.user == user)
                && target.guild.is_none_or(|guild| member.guild == Some(guild))
                && target.channel.is_none_or(|wanted| channel == Some(wanted))
        };
        if let Some(session_id) = &target.session_id {
            // One session of a chat server may be in several channels, as bots are.
            let of_session = self.membership.members_of_session(client, session_id);
            let found: Vec<_> = of_session.filter(is_meant).collect();
            if !found.is_empty() {
                return found;
            }
        }
        let Some(user) = target.user else { return Vec::new() };
        self.membership.members_of_user(client, user).into_iter().filter(is_meant).collect()
    }

    /// Removes whom the target names; nobody is success as well: already gone.
    pub(super) fn remove(&mut self, now: Timestamp, client: ControlId, target: &Target) {
        self.note_restatement(now, client);
        let found = self.find(client, target);
        if found.is_empty() {
            self.tell_absent(now, client, absent(target));
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
}
