//! What becomes of channels: made, changed, destroyed, remembered for a while.

use super::Server;
use super::deadlines::Timer;
use super::membership::Room;
use super::tombstones::Tombstone;
use crate::ids::{ChannelId, ControlId, GuildId, RelayId, RoomId};
use crate::lvsp::outbox::Cause;
use crate::media::command::RelayCommand;
use crate::output::{Event, GoneReason};
use crate::reasons::Refused;
use crate::time::Timestamp;
use crate::wire::secret::Secret;

/// Bits a second of a channel whose chat server named none.
const DEFAULT_BITRATE: u32 = 64_000;
/// Length of a token of our own.
pub(super) const TOKEN_BYTES: usize = 64;
/// Length of a session id of our own.
pub(super) const SESSION_ID_BYTES: usize = 32;

/// What is stated about a channel.
pub(super) struct Stated {
    pub(super) channel: ChannelId,
    pub(super) guild: Option<GuildId>,
    pub(super) bitrate: Option<u32>,
    pub(super) token: Option<Secret>,
}

impl Server {
    pub(super) fn set_channel(
        &mut self,
        now: Timestamp,
        client: ControlId,
        stated: Stated,
    ) -> Result<RoomId, Refused> {
        let channel = stated.channel;
        let known = self.membership.room_of(client, channel);
        let kept = known.and_then(|id| self.membership.room(id)).map(|room| room.token.len());
        let token = stated.token.as_ref().map(Secret::len).or(kept).unwrap_or(TOKEN_BYTES);
        self.check_credentials(token.saturating_sub(kept.unwrap_or(0)))?;
        let (room, cause) = match known {
            Some(id) => (id, self.change_room(id, stated)),
            None => (self.make_room(client, stated)?, Cause::Created),
        };
        self.clear_tombstone(client, channel);
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
            self.stats.limits.channels += 1;
            return Err(Refused::Limit("channels"));
        }
        let relay = RelayId(u16::try_from(self.next_relay).unwrap_or(0));
        self.next_relay = (self.next_relay + 1) % self.config.relays.len();
        let token = match token {
            Some(given) => given,
            None => self.draw_token(),
        };
        let bitrate = bitrate.unwrap_or(DEFAULT_BITRATE);
        Ok(self.membership.add_room(Room::new(client, channel, guild, bitrate, token, relay)))
    }

    /// Whether session ids and tokens of so many bytes can be kept as well.
    pub(super) fn check_credentials(&mut self, bytes: usize) -> Result<(), Refused> {
        let kept = self.membership.credential_bytes();
        if kept + bytes > self.config.limits.credentials_total_bytes {
            self.stats.limits.credentials_total_bytes += 1;
            return Err(Refused::Limit("credentials_total_bytes"));
        }
        Ok(())
    }

    /// 256 random bits.
    pub(super) fn draw_token(&mut self) -> Secret {
        Secret::new(self.entropy.hex::<32>())
    }

    /// Changes what is stated.
    pub(super) fn change_room(&mut self, id: RoomId, stated: Stated) -> Cause {
        let Some(room) = self.membership.room_mut(id) else { return Cause::Unchanged };
        room.confirmed = true;
        let before = (room.guild, room.bitrate);
        // A channel belongs to one guild for good; it may become known late.
        room.guild = room.guild.or(stated.guild);
        room.bitrate = stated.bitrate.unwrap_or(room.bitrate);
        let (relays, bitrate) = (room.relays(), room.bitrate);
        let after = (room.guild, room.bitrate);
        if let Some(token) = stated.token {
            self.membership.set_token(id, token);
        }
        if before.0 != after.0 {
            self.adopt_guild(id);
        }
        if before.1 != bitrate {
            for relay in relays.iter() {
                self.relay(relay, RelayCommand::SetBitrate { room: id, bitrate });
            }
        }
        if before == after { Cause::Unchanged } else { Cause::Changed }
    }

    /// The members of a room count as its guild's from now on: who waits by the guild's id goes on.
    pub(super) fn adopt_guild(&mut self, id: RoomId) {
        let adopted = self.membership.adopt_guild(id);
        let Some(room) = self.membership.room(id) else { return };
        let (channel, guild, now) = (room.channel, room.guild, self.now);
        for user in adopted {
            self.retry_held(now, channel, guild, user);
        }
    }

    pub(super) fn destroy_channel(
        &mut self,
        now: Timestamp,
        client: ControlId,
        channel: ChannelId,
    ) {
        let mut tombstone = Tombstone { since: now, guild: None, users: Vec::new() };
        let mut cause = Cause::Unchanged;
        if let Some(id) = self.membership.room_of(client, channel) {
            cause = Cause::Changed;
            let room = self.membership.room(id);
            tombstone.guild = room.and_then(|room| room.guild);
            for member in room.map_or_else(Vec::new, |room| room.members.clone()) {
                tombstone.users.extend(self.membership.member(member).map(|member| member.user));
                self.remove_member(now, member, GoneReason::ChannelDestroyed);
            }
            self.drop_room(id);
            let until = now + self.config.limits.tombstone_ms.duration();
            self.timers.set(Timer::Tombstone(client, channel), until);
            self.tombstones.bury((client, channel), tombstone);
            while self.tombstones.size() > self.config.limits.tombstones {
                let Some((client, channel)) = self.tombstones.oldest() else { break };
                self.stats.limits.tombstones += 1;
                self.clear_tombstone(client, channel);
            }
        }
        self.tell_channel_gone(now, client, channel, cause);
    }

    /// Forgets a room without members.
    pub(super) fn drop_room(&mut self, id: RoomId) {
        self.timers.clear(Timer::Gather(id));
        if let Some(room) = self.membership.remove_room(id) {
            self.event(Event::ChannelDestroyed { client: room.client, channel: room.channel });
        }
    }

    pub(super) fn clear_tombstone(&mut self, client: ControlId, channel: ChannelId) {
        self.tombstones.forget((client, channel));
        self.timers.clear(Timer::Tombstone(client, channel));
    }
}
