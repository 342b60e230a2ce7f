//! What this server says to chat servers.
//!
//! Every INFO carries its number `s` at the root. Keys beyond the draft are additions that a peer
//! knowing only the draft ignores.

use serde::Serialize;

use crate::ids::{ChannelId, GuildId, UserId};
use crate::wire::json::{Envelope, NAME_BYTES, Object, WireError};
use crate::wire::lvsp::{
    ChannelInfo, DataBody, FEATURE_ERRORS, InfoBody, InfoData, VoiceFlagsUpdate, envelope, info,
    opcode,
};
use crate::wire::secret::Secret;

/// A message to a chat server.
#[derive(Clone, Debug)]
pub enum ServerMessage {
    /// Opens the conversation and lists what this server can do.
    Hello {
        /// How often to send HEARTBEAT.
        heartbeat_interval_ms: u64,
        /// What the chat server may compute its token from.
        nonce: String,
    },
    /// Answers IDENTIFY and RESUME.
    Ready {
        /// How well this server is, 0 to 1.
        health: f32,
        /// Names the control session, for RESUME.
        session: Secret,
        /// Whether everything missed has been sent again.
        resumed: bool,
    },
    /// Answers HEARTBEAT.
    HeartbeatAck {
        /// The heartbeat's own.
        s: u64,
        /// How well this server is, 0 to 1.
        health: f32,
    },
    /// States a channel as it is in force.
    InfoChannel(ChannelInfo),
    /// States a voice state as it is in force.
    InfoVoice(VoiceInfo),
    /// Either of both in the revisions after the draft.
    InfoData(InfoData),
    /// Reports a refusal, to chat servers with the feature `errors`.
    InfoError(InfoError),
    /// An INFO of another type (client role).
    UnknownInfo {
        /// The type.
        kind: u32,
    },
    /// Anything else (client role).
    Unknown {
        /// The opcode.
        op: u32,
    },
}

/// A voice state.
#[derive(Clone, Debug, Serialize)]
pub struct VoiceInfo {
    /// Whose; `None` only of a session id that nobody has, which is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    /// Where; `None` when it is gone.
    pub channel_id: Option<ChannelId>,
    /// The channel's guild.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guild_id: Option<GuildId>,
    /// Its session.
    pub session_id: Secret,
    /// Its flags.
    #[serde(flatten)]
    pub flags: VoiceFlags,
    /// What the voice client has to show; only in answers to requests and in state dumps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<Secret>,
    /// Where the voice client has to connect; only together with `token`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Why it is gone, if that was this server's doing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The flags of a voice state.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct VoiceFlags {
    /// Deafened by a moderator.
    pub deaf: bool,
    /// Muted by a moderator.
    pub mute: bool,
    /// Deafened by the user.
    pub self_deaf: bool,
    /// Muted by the user.
    pub self_mute: bool,
    /// In the audience.
    pub suppress: bool,
}

impl VoiceFlags {
    /// Changes the flags that `update` states.
    pub fn apply(&mut self, update: VoiceFlagsUpdate) {
        let change = |flag: &mut bool, stated: Option<bool>| *flag = stated.unwrap_or(*flag);
        change(&mut self.deaf, update.deaf);
        change(&mut self.mute, update.mute);
        change(&mut self.self_deaf, update.self_deaf);
        change(&mut self.self_mute, update.self_mute);
        change(&mut self.suppress, update.suppress);
    }
}

/// A refusal of one message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InfoError {
    /// The INFO type that was refused.
    pub kind: u32,
    /// Why, for people.
    pub message: String,
    /// The field at fault.
    pub field: Option<String>,
    /// The channel it was about.
    pub channel_id: Option<ChannelId>,
    /// The user it was about.
    pub user_id: Option<UserId>,
}

const VOICE_KEYS: &[&str] = &[
    "user_id",
    "channel_id",
    "guild_id",
    "session_id",
    "deaf",
    "mute",
    "self_deaf",
    "self_mute",
    "suppress",
    "token",
    "endpoint",
    "reason",
];

impl ServerMessage {
    /// Writes the message, numbered `s` if it is an INFO that is replayed.
    #[must_use]
    pub fn encode(&self, s: Option<u64>) -> String {
        match self {
            Self::Hello { heartbeat_interval_ms, nonce } => {
                let heartbeat_interval = *heartbeat_interval_ms;
                let d = Hello { heartbeat_interval, nonce, features: [FEATURE_ERRORS] };
                encode(opcode::HELLO, d, s)
            }
            Self::Ready { health, session, resumed } => {
                let d = Ready { health: finite(*health), session, resumed: *resumed };
                encode(opcode::READY, d, s)
            }
            Self::HeartbeatAck { s: heartbeat, health } => {
                let d = HeartbeatAck { s: *heartbeat, health: finite(*health) };
                encode(opcode::HEARTBEAT_ACK, d, s)
            }
            Self::InfoChannel(channel) => encode_info(info::CHANNEL, channel, s),
            Self::InfoVoice(voice) => encode_info(info::VST, voice, s),
            Self::InfoData(data) => encode(opcode::INFO, DataBody { r#type: data.kind, data }, s),
            Self::InfoError(error) => {
                let InfoError { kind, message, field, channel_id, user_id } = error;
                let (channel_id, user_id) = (*channel_id, *user_id);
                let error = ErrorBody { message, field, channel_id, user_id };
                encode(opcode::INFO, ErrorInfo { r#type: *kind, error }, s)
            }
            Self::UnknownInfo { kind } => encode_info(*kind, (), s),
            Self::Unknown { op } => encode(*op, (), s),
        }
    }

    /// Reads a message and its number (client role).
    ///
    /// # Errors
    /// When the text is not such a message.
    pub fn parse(text: &str, depth: usize) -> Result<(Self, Option<u64>), WireError> {
        let (root, op) = envelope(text, depth, &["op", "d", "s"])?;
        let s = root.optional_integer("s")?;
        let message = match op {
            opcode::HELLO => {
                let d = root.object("d", &["heartbeat_interval", "nonce"])?;
                Self::Hello {
                    heartbeat_interval_ms: d.integer("heartbeat_interval")?,
                    nonce: d.optional_string("nonce", NAME_BYTES)?.unwrap_or_default(),
                }
            }
            opcode::READY => {
                let d = root.object("d", &["health", "session", "resumed"])?;
                Self::Ready {
                    health: d.number("health")?,
                    session: d.secret("session")?,
                    resumed: d.optional_bool("resumed")?.unwrap_or(false),
                }
            }
            opcode::HEARTBEAT_ACK => {
                let d = root.object("d", &["s", "health"])?;
                Self::HeartbeatAck { s: d.integer("s")?, health: d.number("health")? }
            }
            opcode::INFO => Self::parse_info(&root)?,
            op => Self::Unknown { op },
        };
        Ok((message, s))
    }

    fn parse_info(root: &Object<'_>) -> Result<Self, WireError> {
        let d = root.object("d", &["type", "info", "data", "error"])?;
        let kind = d.integer("type")?;
        if d.raw("data").is_some() {
            return Ok(Self::InfoData(InfoData::parse(kind, &d)?));
        }
        if d.value("error").is_some() {
            let error = d.object("error", &["message", "field", "channel_id", "user_id"])?;
            return Ok(Self::InfoError(InfoError {
                kind,
                message: error.string("message", NAME_BYTES)?,
                field: error.optional_string("field", NAME_BYTES)?,
                channel_id: error.optional_id("channel_id")?,
                user_id: error.optional_id("user_id")?,
            }));
        }
        Ok(match kind {
            info::CHANNEL => Self::InfoChannel(ChannelInfo::parse(&d)?),
            info::VST => {
                let voice = d.object("info", VOICE_KEYS)?;
                let flag = |key| voice.optional_bool(key).map(|flag| flag.unwrap_or(false));
                Self::InfoVoice(VoiceInfo {
                    user_id: voice.optional_id("user_id")?,
                    channel_id: voice.optional_id("channel_id")?,
                    guild_id: voice.optional_id("guild_id")?,
                    session_id: voice.secret("session_id")?,
                    flags: VoiceFlags {
                        deaf: flag("deaf")?,
                        mute: flag("mute")?,
                        self_deaf: flag("self_deaf")?,
                        self_mute: flag("self_mute")?,
                        suppress: flag("suppress")?,
                    },
                    token: voice.optional_secret("token")?,
                    endpoint: voice.optional_string("endpoint", NAME_BYTES)?,
                    reason: voice.optional_string("reason", NAME_BYTES)?,
                })
            }
            kind => Self::UnknownInfo { kind },
        })
    }
}

fn encode<T: Serialize>(op: u32, d: T, s: Option<u64>) -> String {
    Envelope { op, d, seq: None, s }.encode()
}

fn encode_info<T: Serialize>(kind: u32, info: T, s: Option<u64>) -> String {
    encode(opcode::INFO, InfoBody { r#type: kind, info }, s)
}

/// JSON has no other numbers.
const fn finite(health: f32) -> f32 {
    if health.is_finite() { health } else { 0.0 }
}

#[derive(Serialize)]
struct Hello<'a> {
    heartbeat_interval: u64,
    nonce: &'a str,
    features: [&'static str; 1],
}

#[derive(Serialize)]
struct Ready<'a> {
    health: f32,
    session: &'a Secret,
    resumed: bool,
}

#[derive(Serialize)]
struct HeartbeatAck {
    s: u64,
    health: f32,
}

#[derive(Serialize)]
struct ErrorInfo<'a> {
    r#type: u32,
    error: ErrorBody<'a>,
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: &'a Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel_id: Option<ChannelId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<UserId>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EXACT: &[&str] = &[
        r#"{"op":0,"d":{"heartbeat_interval":13750,"nonce":"k3J9xQ2mZp","features":["errors"]}}"#,
        r#"{"op":3,"d":{"health":0.97,"session":"x","resumed":false}}"#,
        r#"{"op":5,"d":{"s":3,"health":1.0}}"#,
        r#"{"op":6,"d":{"type":0,"info":{"id":"5","bitrate":64000}},"s":1}"#,
        r#"{"op":6,"d":{"type":0,"info":{"id":"5","guild_id":"6","deleted":true}},"s":2}"#,
        r#"{"op":6,"d":{"type":1,"info":{"user_id":"7","channel_id":"5","session_id":"x","deaf":false,"mute":true,"self_deaf":false,"self_mute":false,"suppress":false,"token":"t","endpoint":"voice.example.org:443"}},"s":3}"#,
        r#"{"op":6,"d":{"type":1,"info":{"user_id":"7","channel_id":null,"session_id":"x","deaf":false,"mute":false,"self_deaf":false,"self_mute":false,"suppress":false,"reason":"lost"}},"s":4}"#,
        r#"{"op":6,"d":{"type":1,"error":{"message":"limit reached","user_id":"7"}},"s":5}"#,
        r#"{"op":6,"d":{"type":1,"data":{"channel_id":"5","guild_id":"6","token":"t","bitrate":64000}},"s":6}"#,
        r#"{"op":6,"d":{"type":6,"data":{"user_id":"7","session_id":"x","reason":"lost"}},"s":7}"#,
        r#"{"op":6,"d":{"type":9,"info":null}}"#,
        r#"{"op":99,"d":null}"#,
    ];

    #[test]
    fn each_message_is_read_and_written_back() {
        for text in EXACT {
            let (message, s) =
                ServerMessage::parse(text, 16).unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(message.encode(s), *text);
        }
    }

    #[test]
    fn a_health_that_is_no_number_is_written_as_zero() {
        let text = ServerMessage::HeartbeatAck { s: 1, health: f32::NAN }.encode(None);
        assert_eq!(text, r#"{"op":5,"d":{"s":1,"health":0.0}}"#);
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in any::<String>()) {
            let _ = ServerMessage::parse(&text, 16);
        }

        #[test]
        fn any_health_is_read_back(health in 0.0_f32..=1.0, s: u64) {
            let text = ServerMessage::HeartbeatAck { s, health }.encode(None);
            let again = ServerMessage::parse(&text, 16).map(|(message, s)| message.encode(s));
            prop_assert_eq!(again, Ok(text));
        }
    }
}
