//! What chat servers say.

use serde::Serialize;

use crate::ids::{ChannelId, GuildId, UserId};
use crate::wire::json::{Envelope, Object, WireError};
use crate::wire::lvsp::{ChannelInfo, DataBody, InfoBody, InfoData, envelope, info, opcode};
use crate::wire::secret::Secret;

/// A message from a chat server.
#[derive(Clone, Debug)]
pub enum ChatMessage {
    /// Opens a control session.
    Identify {
        /// The shared secret, or its HMAC of the nonce in Hello.
        token: Secret,
        /// What the chat server can do; unknown ones are ignored.
        features: Vec<String>,
    },
    /// Continues a control session.
    Resume {
        /// As in Identify.
        token: Secret,
        /// The newest INFO that arrived; 0 for none. `None` if the chat server does not know.
        seq: Option<u64>,
        /// The session, as Ready named it.
        session: Option<Secret>,
        /// As in Identify.
        features: Vec<String>,
    },
    /// Keeps the connection alive and acknowledges.
    Heartbeat {
        /// The newest INFO that arrived; 0 for none.
        s: u64,
    },
    /// States a channel.
    InfoChannel(ChannelInfo),
    /// States a change of a voice state.
    InfoVoice(VoiceUpdate),
    /// Asks for a voice state.
    VstRequest(VoiceRequest),
    /// An INFO of the revisions after the draft.
    InfoData(InfoData),
    /// An INFO of another type.
    UnknownInfo {
        /// The type.
        kind: u32,
    },
    /// Anything else.
    Unknown {
        /// The opcode.
        op: u32,
    },
}

/// Where a voice state is said to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Place {
    /// Nothing was said.
    #[default]
    Unstated,
    /// Nowhere: the user left (`null`).
    Gone,
    /// In this channel.
    In(ChannelId),
}

/// A change of a voice state, named by user or by session.
#[derive(Clone, Debug, Default)]
pub struct VoiceUpdate {
    /// Whose voice state.
    pub user_id: Option<UserId>,
    /// Where it is now.
    pub channel_id: Place,
    /// The channel's guild.
    pub guild_id: Option<GuildId>,
    /// The voice state's session.
    pub session_id: Option<Secret>,
    /// The flags that are stated.
    pub flags: VoiceFlagsUpdate,
}

/// A request for a voice state.
#[derive(Clone, Debug, Serialize)]
pub struct VoiceRequest {
    /// Whose.
    pub user_id: UserId,
    /// Where.
    pub channel_id: ChannelId,
    /// The channel's guild.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guild_id: Option<GuildId>,
    /// A session id of the chat server's choice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<Secret>,
    /// A token that was given earlier, stated again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<Secret>,
    /// The flags that are stated.
    #[serde(flatten)]
    pub flags: VoiceFlagsUpdate,
}

impl VoiceRequest {
    /// A user in a channel without a guild, with secrets that the voice server makes, and neither
    /// muted nor deafened.
    #[must_use]
    pub fn new(user_id: UserId, channel_id: ChannelId) -> Self {
        Self {
            user_id,
            channel_id,
            guild_id: None,
            session_id: None,
            token: None,
            flags: VoiceFlagsUpdate::default(),
        }
    }
}

/// The flags of a voice state, as far as stated.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct VoiceFlagsUpdate {
    /// Deafened by a moderator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deaf: Option<bool>,
    /// Muted by a moderator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mute: Option<bool>,
    /// Deafened by the user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub self_deaf: Option<bool>,
    /// Muted by the user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub self_mute: Option<bool>,
    /// In the audience.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suppress: Option<bool>,
}

impl VoiceFlagsUpdate {
    pub(super) fn parse(object: &Object<'_>) -> Result<Self, WireError> {
        Ok(Self {
            deaf: object.optional_bool("deaf")?,
            mute: object.optional_bool("mute")?,
            self_deaf: object.optional_bool("self_deaf")?,
            self_mute: object.optional_bool("self_mute")?,
            suppress: object.optional_bool("suppress")?,
        })
    }
}

/// Keys of a voice state from a chat server.
const VOICE_KEYS: &[&str] = &[
    "user_id",
    "channel_id",
    "guild_id",
    "session_id",
    "token",
    "deaf",
    "mute",
    "self_deaf",
    "self_mute",
    "suppress",
];

impl ChatMessage {
    /// Reads a text message whose JSON nests at most `depth` deep.
    ///
    /// # Errors
    /// When the text is not such a message; see [`WireError::is_decode`] for the close code.
    pub fn parse(text: &str, depth: usize) -> Result<Self, WireError> {
        let (root, op) = envelope(text, depth, &["op", "d"])?;
        Ok(match op {
            opcode::IDENTIFY => {
                let d = root.object("d", &["token", "features"])?;
                Self::Identify { token: d.secret("token")?, features: d.names("features")? }
            }
            opcode::RESUME => {
                let d = root.object("d", &["token", "seq", "session", "features"])?;
                Self::Resume {
                    token: d.secret("token")?,
                    seq: d.optional_integer("seq")?,
                    session: d.optional_secret("session")?,
                    features: d.names("features")?,
                }
            }
            opcode::HEARTBEAT => {
                let s = root.object("d", &["s"])?.optional_integer("s")?;
                Self::Heartbeat { s: s.unwrap_or(0) }
            }
            opcode::INFO => Self::parse_info(&root)?,
            opcode::VST_REQUEST => {
                let d = root.object("d", VOICE_KEYS)?;
                Self::VstRequest(VoiceRequest {
                    user_id: d.id("user_id")?,
                    channel_id: d.id("channel_id")?,
                    guild_id: d.optional_id("guild_id")?,
                    session_id: d.optional_secret("session_id")?,
                    token: d.optional_secret("token")?,
                    flags: VoiceFlagsUpdate::parse(&d)?,
                })
            }
            op => Self::Unknown { op },
        })
    }

    fn parse_info(root: &Object<'_>) -> Result<Self, WireError> {
        let d = root.object("d", &["type", "info", "data"])?;
        let kind = d.integer("type")?;
        if d.raw("info").is_none() && d.raw("data").is_some() {
            return Ok(Self::InfoData(InfoData::parse(kind, &d)?));
        }
        Ok(match kind {
            info::CHANNEL => Self::InfoChannel(ChannelInfo::parse(&d)?),
            info::VST => {
                let voice = d.object("info", VOICE_KEYS)?;
                let channel_id = if voice.is_null("channel_id") {
                    Place::Gone
                } else {
                    voice.optional_id("channel_id")?.map_or(Place::Unstated, Place::In)
                };
                Self::InfoVoice(VoiceUpdate {
                    user_id: voice.optional_id("user_id")?,
                    channel_id,
                    guild_id: voice.optional_id("guild_id")?,
                    session_id: voice.optional_secret("session_id")?,
                    flags: VoiceFlagsUpdate::parse(&voice)?,
                })
            }
            kind => Self::UnknownInfo { kind },
        })
    }

    /// The type of an INFO, or the one that answers a request for a voice state.
    #[must_use]
    pub const fn info_kind(&self) -> Option<u32> {
        match self {
            Self::InfoChannel(_) => Some(info::CHANNEL),
            Self::InfoVoice(_) | Self::VstRequest(_) => Some(info::VST),
            Self::InfoData(data) => Some(data.kind),
            Self::UnknownInfo { kind } => Some(*kind),
            Self::Identify { .. }
            | Self::Resume { .. }
            | Self::Heartbeat { .. }
            | Self::Unknown { .. } => None,
        }
    }

    /// Writes the message (client role).
    #[must_use]
    pub fn encode(&self) -> String {
        match self {
            Self::Identify { token, features } => {
                Envelope::new(opcode::IDENTIFY, Identify { token, features }).encode()
            }
            Self::Resume { token, seq, session, features } => {
                let d = Resume { token, seq: *seq, session, features };
                Envelope::new(opcode::RESUME, d).encode()
            }
            Self::Heartbeat { s } => Envelope::new(opcode::HEARTBEAT, Heartbeat { s: *s }).encode(),
            Self::InfoChannel(channel) => encode_info(info::CHANNEL, channel),
            Self::InfoVoice(update) => encode_info(info::VST, Update::new(update)),
            Self::InfoData(data) => encode_data(data),
            Self::VstRequest(request) => Envelope::new(opcode::VST_REQUEST, request).encode(),
            Self::UnknownInfo { kind } => encode_info(*kind, ()),
            Self::Unknown { op } => Envelope::new(*op, ()).encode(),
        }
    }
}

fn encode_data(data: &InfoData) -> String {
    Envelope::new(opcode::INFO, DataBody { r#type: data.kind, data }).encode()
}

fn encode_info<T: Serialize>(kind: u32, info: T) -> String {
    Envelope::new(opcode::INFO, InfoBody { r#type: kind, info }).encode()
}

#[derive(Serialize)]
struct Identify<'a> {
    token: &'a Secret,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    features: &'a [String],
}

#[derive(Serialize)]
struct Resume<'a> {
    token: &'a Secret,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: &'a Option<Secret>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    features: &'a [String],
}

#[derive(Serialize)]
struct Heartbeat {
    s: u64,
}

#[derive(Serialize)]
struct Update<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<UserId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel_id: Option<Option<ChannelId>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    guild_id: Option<GuildId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: &'a Option<Secret>,
    #[serde(flatten)]
    flags: VoiceFlagsUpdate,
}

impl<'a> Update<'a> {
    const fn new(update: &'a VoiceUpdate) -> Self {
        Self {
            user_id: update.user_id,
            channel_id: match update.channel_id {
                Place::Unstated => None,
                Place::Gone => Some(None),
                Place::In(channel) => Some(Some(channel)),
            },
            guild_id: update.guild_id,
            session_id: &update.session_id,
            flags: update.flags,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EXACT: &[&str] = &[
        r#"{"op":1,"d":{"token":"t"}}"#,
        r#"{"op":1,"d":{"token":"t","features":["errors","other"]}}"#,
        r#"{"op":2,"d":{"token":"t"}}"#,
        r#"{"op":2,"d":{"token":"t","seq":7}}"#,
        r#"{"op":2,"d":{"token":"t","seq":7,"session":"x","features":["errors"]}}"#,
        r#"{"op":4,"d":{"s":0}}"#,
        r#"{"op":6,"d":{"type":0,"info":{"id":"5","guild_id":"6","bitrate":64000}}}"#,
        r#"{"op":6,"d":{"type":0,"info":{"id":"5","deleted":true}}}"#,
        r#"{"op":6,"d":{"type":1,"info":{"user_id":"7","channel_id":null}}}"#,
        r#"{"op":6,"d":{"type":1,"info":{"user_id":"7","channel_id":"5","mute":true}}}"#,
        r#"{"op":6,"d":{"type":1,"info":{"session_id":"x","self_deaf":false}}}"#,
        r#"{"op":7,"d":{"user_id":"7","channel_id":"5"}}"#,
        r#"{"op":7,"d":{"user_id":"7","channel_id":"5","guild_id":"6","session_id":"x","token":"y","deaf":true,"mute":true,"self_deaf":true,"self_mute":true,"suppress":true}}"#,
        r#"{"op":6,"d":{"type":4,"data":{"user_id":"7","channel_id":"5","guild_id":"6"}}}"#,
        r#"{"op":6,"d":{"type":5,"data":{"session_id":"x"}}}"#,
        r#"{"op":6,"d":{"type":9,"info":null}}"#,
        r#"{"op":99,"d":null}"#,
    ];

    #[test]
    fn each_message_is_read_and_written_back() {
        for text in EXACT {
            let message = ChatMessage::parse(text, 16).unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(message.encode(), *text);
        }
    }

    #[test]
    fn bad_fields_are_named_and_texts_that_are_no_messages_are_decode_errors() {
        for (text, decode, error) in [
            ("[]", true, "not a JSON object"),
            (r#"{"op":1}"#, true, "not an object with op and d"),
            (r#"{"d":{}}"#, true, "not an object with op and d"),
            (r#"{"op":1,"d":[]}"#, false, "d must be an object"),
            (r#"{"op":1,"d":{}}"#, false, "d.token is missing"),
            (r#"{"op":2,"d":{"token":"t","seq":1.0}}"#, false, "d.seq must be an integer in range"),
            (r#"{"op":6,"d":{"type":0}}"#, false, "d.info is missing"),
            (r#"{"op":6,"d":{"type":0,"data":[]}}"#, false, "d.data must be an object"),
            (
                r#"{"op":6,"d":{"type":4,"data":{"user_id":0}}}"#,
                false,
                "d.data.user_id must be a snowflake: a string of 1 to 20 digits, not zero",
            ),
            (r#"{"op":6,"d":{"type":0,"info":{"bitrate":1}}}"#, false, "d.info.id is missing"),
            (
                r#"{"op":6,"d":{"type":1,"info":{"mute":1}}}"#,
                false,
                "d.info.mute must be a boolean",
            ),
            (r#"{"op":6,"d":{"type":0,"info":[]}}"#, false, "d.info must be an object"),
            (
                r#"{"op":6,"d":{"type":0,"info":{"id":"1","id":"1"}}}"#,
                true,
                "d.info.id is given twice",
            ),
        ] {
            let found = ChatMessage::parse(text, 16).expect_err(text);
            assert_eq!(
                (found.is_decode(), found.to_string()),
                (decode, error.to_owned()),
                "{text}"
            );
        }
    }

    #[test]
    fn debug_output_holds_no_secret() {
        for text in [r#"{"op":1,"d":{"token":"hush"}}"#, r#"{"op":2,"d":{"token":"hush","seq":1}}"#]
        {
            assert!(!format!("{:?}", ChatMessage::parse(text, 16)).contains("hush"));
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in any::<String>()) {
            let _ = ChatMessage::parse(&text, 16);
        }

        #[test]
        fn any_update_is_read_back(
            user in 1_u64.., channel in proptest::option::of(1_u64..), gone: bool, mute: Option<bool>,
        ) {
            let channel = channel.and_then(ChannelId::new);
            let message = ChatMessage::InfoVoice(VoiceUpdate {
                user_id: UserId::new(user),
                channel_id: channel.map_or(if gone { Place::Gone } else { Place::Unstated }, Place::In),
                flags: VoiceFlagsUpdate { mute, ..VoiceFlagsUpdate::default() },
                ..VoiceUpdate::default()
            });
            let text = message.encode();
            let again = ChatMessage::parse(&text, 16).map(|message| message.encode());
            prop_assert_eq!(again, Ok(text));
        }
    }
}
