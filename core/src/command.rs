//! Typed commands: how channels and voice states are made, whoever gives the orders.
//!
//! An LVSP session is turned into these, and a host that drives channels in process calls
//! `Server::handle_command` with them. They are declarative and idempotent: saying a thing twice
//! is saying it once.

use crate::ids::{ChannelId, GuildId, UserId};
pub use crate::wire::lvsp::{VoiceFlagsUpdate, VoiceInfo};
pub use crate::wire::secret::Secret;

/// An order of a chat server.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Command {
    /// Create a channel, or change it.
    SetChannel {
        /// The channel.
        channel: ChannelId,
        /// Its guild; `None` leaves what is known, and a channel without one stands for itself.
        guild: Option<GuildId>,
        /// Bits a second; `None` leaves what is in force (64,000 at first).
        bitrate: Option<u32>,
        /// What voice clients of this channel may present in place of their voice state's token.
        /// `None` leaves what is known; drawn by the server at first.
        token: Option<Secret>,
    },
    /// End a channel and every call in it.
    DestroyChannel {
        /// The channel.
        channel: ChannelId,
    },
    /// Place a user in a channel, which is created if need be. A user who is in another channel
    /// of the same guild moves.
    Place {
        /// The user.
        user: UserId,
        /// The channel.
        channel: ChannelId,
        /// Its guild, if it has one.
        guild: Option<GuildId>,
        /// What the voice client will present. Drawn by the server where `None`.
        session_id: Option<Secret>,
        /// What the voice client will present. Drawn by the server where `None`.
        token: Option<Secret>,
        /// Flags to begin with, or to change.
        flags: VoiceFlagsUpdate,
    },
    /// Change what a user may do.
    SetFlags {
        /// Whose flags.
        target: Target,
        /// The flags that change.
        flags: VoiceFlagsUpdate,
    },
    /// Remove a user from where it is.
    Remove {
        /// Who.
        target: Target,
    },
}

/// Names one voice state: by its session id, or by user and place.
#[derive(Clone, Debug, Default)]
pub struct Target {
    /// The session id, which alone is enough.
    pub session_id: Option<Secret>,
    /// The user.
    pub user: Option<UserId>,
    /// The guild in which it is.
    pub guild: Option<GuildId>,
    /// The channel in which it is.
    pub channel: Option<ChannelId>,
}

impl Target {
    /// The voice state of a user in a channel.
    #[must_use]
    pub const fn member(channel: ChannelId, user: UserId) -> Self {
        Self { session_id: None, user: Some(user), guild: None, channel: Some(channel) }
    }

    /// The voice state that a voice client presents by this session id.
    #[must_use]
    pub const fn session(session_id: Secret) -> Self {
        Self { session_id: Some(session_id), user: None, guild: None, channel: None }
    }
}
