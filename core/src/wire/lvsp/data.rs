//! INFO as the revisions after the draft have it: any of these fields under `data`, in both
//! directions. Which type needs which is the revision's business (`crate::lvsp`).

use serde::Serialize;

use crate::ids::{ChannelId, GuildId, UserId};
use crate::wire::json::{NAME_BYTES, Object, WireError};
use crate::wire::lvsp::{VoiceFlags, VoiceFlagsUpdate};
use crate::wire::secret::Secret;

/// The body of an INFO with `data`.
#[derive(Clone, Debug, Serialize)]
pub struct InfoData {
    /// The INFO type; revisions give the numbers different meanings.
    #[serde(skip)]
    pub kind: u32,
    /// Whose voice state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    /// Which channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel_id: Option<ChannelId>,
    /// The channel's guild.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guild_id: Option<GuildId>,
    /// The voice state's session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<Secret>,
    /// What a voice client has to show.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<Secret>,
    /// Where a voice client has to connect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Bits a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bitrate: Option<u32>,
    /// The flags that are stated.
    #[serde(flatten)]
    pub flags: VoiceFlagsUpdate,
    /// Why a voice state is gone, if that was the voice server's doing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

const KEYS: &[&str] = &[
    "user_id",
    "channel_id",
    "guild_id",
    "session_id",
    "token",
    "endpoint",
    "bitrate",
    "reason",
    "deaf",
    "mute",
    "self_deaf",
    "self_mute",
    "suppress",
];

impl InfoData {
    /// An INFO of this type without any field.
    #[must_use]
    pub const fn new(kind: u32) -> Self {
        Self {
            kind,
            user_id: None,
            channel_id: None,
            guild_id: None,
            session_id: None,
            token: None,
            endpoint: None,
            bitrate: None,
            flags: VoiceFlagsUpdate {
                deaf: None,
                mute: None,
                self_deaf: None,
                self_mute: None,
                suppress: None,
            },
            reason: None,
        }
    }

    /// Whether the session id is all that it says.
    #[must_use]
    pub fn names_a_session_alone(&self) -> bool {
        self.session_id.is_some()
            && self.user_id.is_none()
            && self.channel_id.is_none()
            && self.guild_id.is_none()
            && self.flags == VoiceFlagsUpdate::default()
    }

    pub(super) fn parse(kind: u32, d: &Object<'_>) -> Result<Self, WireError> {
        let data = d.object("data", KEYS)?;
        Ok(Self {
            kind,
            user_id: data.optional_id("user_id")?,
            channel_id: data.optional_id("channel_id")?,
            guild_id: data.optional_id("guild_id")?,
            session_id: data.optional_secret("session_id")?,
            token: data.optional_secret("token")?,
            endpoint: data.optional_string("endpoint", NAME_BYTES)?,
            bitrate: data.optional_integer("bitrate")?,
            flags: VoiceFlagsUpdate::parse(&data)?,
            reason: data.optional_string("reason", NAME_BYTES)?,
        })
    }
}

impl From<VoiceFlags> for VoiceFlagsUpdate {
    fn from(flags: VoiceFlags) -> Self {
        Self {
            deaf: Some(flags.deaf),
            mute: Some(flags.mute),
            self_deaf: Some(flags.self_deaf),
            self_mute: Some(flags.self_mute),
            suppress: Some(flags.suppress),
        }
    }
}
