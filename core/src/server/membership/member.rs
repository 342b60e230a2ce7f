//! A user in a channel, and where a user can be only once.

use crate::gateway::session::Session;
use crate::ids::{ChannelId, ControlId, GuildId, RoomId, UserId};
use crate::media::command::Permissions;
use crate::time::Timestamp;
use crate::wire::lvsp::VoiceFlags;
use crate::wire::secret::Secret;

/// A user whom a chat server placed in a channel: what LVSP calls a voice state.
#[derive(Debug)]
pub(in crate::server) struct Member {
    pub(in crate::server) client: ControlId,
    pub(in crate::server) room: RoomId,
    pub(in crate::server) user: UserId,
    pub(in crate::server) guild: Option<GuildId>,
    pub(in crate::server) session_id: Secret,
    pub(in crate::server) token: Secret,
    pub(in crate::server) flags: VoiceFlags,
    pub(in crate::server) confirmed: bool,
    /// After the client sent too many messages: no session begins before.
    pub(in crate::server) calm_until: Timestamp,
    /// The voice client's session, once it identified.
    pub(in crate::server) session: Option<Box<Session>>,
}

impl Member {
    pub(super) fn credential_bytes(&self) -> usize {
        self.session_id.len() + self.token.len()
    }

    /// What the media plane enforces.
    pub(in crate::server) const fn permissions(&self) -> Permissions {
        Permissions {
            speak: self.may_speak() && !self.flags.self_mute,
            hear: !self.flags.deaf && !self.flags.self_deaf,
        }
    }

    /// Whether others should know this user's SSRC: everyone but those who are kept silent.
    pub(in crate::server) const fn may_speak(&self) -> bool {
        !self.flags.mute && !self.flags.suppress
    }
}

/// Where a user can be only once: in a guild, or in a call that stands for itself.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(in crate::server) enum Scope {
    Guild(GuildId),
    Channel(ChannelId),
}

impl Scope {
    /// The first in order; the start of a range.
    pub(super) const MIN: Self = Self::Guild(GuildId::MIN);

    pub(in crate::server) fn of(guild: Option<GuildId>, channel: ChannelId) -> Self {
        guild.map_or(Self::Channel(channel), Self::Guild)
    }
}
