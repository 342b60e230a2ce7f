//! What voice clients say.
//!
//! The reader is as lenient as the listed client libraries need and no more; each leniency has a
//! row with the library's name in the tests. Bodies of video and end-to-end encryption messages are
//! not inspected: an audio server has no use for them.

use serde::Serialize;

use crate::ids::{ChannelId, UserId};
use crate::wire::gateway::{Empty, HeartbeatNonce, SpeakingValue, Version, opcode};
use crate::wire::json::{Envelope, NAME_BYTES, Object, WireError};
use crate::wire::secret::Secret;

/// Longest session description of a browser.
const SDP_BYTES: usize = 20_480;

/// A message from a voice client.
#[derive(Clone, Debug)]
pub enum ClientMessage {
    /// Opens a session.
    Identify {
        /// The guild, or the channel of a direct or group call.
        server_id: u64,
        /// The channel (version 9 only).
        channel_id: Option<ChannelId>,
        /// Who says to be speaking.
        user_id: UserId,
        /// The voice state's session id.
        session_id: Secret,
        /// The voice state's token.
        token: Secret,
        /// Newest end-to-end encryption the client can do; 0 is none.
        max_dave_protocol_version: u16,
    },
    /// Chooses transport and encryption.
    SelectProtocol {
        /// `udp` or `webrtc`.
        protocol: String,
        /// The client's address as it believes. Never to be trusted.
        address: Option<String>,
        /// The client's port as it believes.
        port: Option<u16>,
        /// The encryption mode; absent for `webrtc`.
        mode: Option<String>,
    },
    /// Keeps the connection alive.
    Heartbeat {
        /// To be echoed.
        nonce: HeartbeatNonce,
        /// The newest numbered message that arrived.
        seq_ack: Option<u16>,
    },
    /// States whether the client is speaking.
    Speaking {
        /// 1 microphone, 2 soundshare, 4 priority.
        flags: u8,
        /// The SSRC the client believes to have.
        ssrc: Option<u32>,
    },
    /// Continues a session on a new connection.
    Resume {
        /// As in Identify.
        server_id: u64,
        /// As in Identify.
        channel_id: Option<ChannelId>,
        /// As in Identify.
        session_id: Secret,
        /// As in Identify.
        token: Secret,
        /// The newest numbered message that arrived.
        seq_ack: Option<u16>,
    },
    /// Asks for the server's version.
    BackendVersion,
    /// States video streams (not served).
    Video,
    /// States codecs (not served).
    SessionUpdate,
    /// States which streams are wanted (not served).
    MediaSinkWants,
    /// Reports that no media path was found.
    NoRoute,
    /// Part of end-to-end encryption (not served).
    TransitionReady,
    /// Part of end-to-end encryption (not served).
    InvalidCommit,
    /// Anything else.
    Unknown {
        /// The opcode.
        op: u32,
    },
}

impl ClientMessage {
    /// Reads a text message whose JSON nests at most `depth` deep.
    ///
    /// # Errors
    /// When the text is not such a message; see [`WireError::is_decode`] for the close code.
    pub fn parse(text: &str, depth: usize) -> Result<Self, WireError> {
        let root = Object::root(text, depth, &["op", "d"])?;
        Ok(match root.integer("op")? {
            opcode::IDENTIFY => Self::parse_identify(&root)?,
            opcode::SELECT_PROTOCOL => Self::parse_select_protocol(&root)?,
            opcode::HEARTBEAT => Self::parse_heartbeat(&root)?,
            opcode::SPEAKING => Self::parse_speaking(&root)?,
            opcode::RESUME => Self::parse_resume(&root)?,
            opcode::VIDEO => Self::Video,
            opcode::SESSION_UPDATE => Self::SessionUpdate,
            opcode::MEDIA_SINK_WANTS => Self::MediaSinkWants,
            opcode::BACKEND_VERSION => Self::BackendVersion,
            opcode::TRANSITION_READY => Self::TransitionReady,
            opcode::INVALID_COMMIT => Self::InvalidCommit,
            opcode::NO_ROUTE => Self::NoRoute,
            op => Self::Unknown { op },
        })
    }

    fn parse_identify(root: &Object<'_>) -> Result<Self, WireError> {
        let keys = &[
            "server_id",
            "channel_id",
            "user_id",
            "session_id",
            "token",
            "max_dave_protocol_version",
            "max_secure_frames_version", // its older name
        ];
        let d = root.object("d", keys)?;
        let dave = match d.optional_integer("max_dave_protocol_version")? {
            Some(version) => Some(version),
            None => d.optional_integer("max_secure_frames_version")?,
        };
        Ok(Self::Identify {
            server_id: d.id("server_id")?,
            channel_id: d.optional_id("channel_id")?,
            user_id: d.id("user_id")?,
            session_id: d.secret("session_id")?,
            token: d.secret("token")?,
            max_dave_protocol_version: dave.unwrap_or(0),
        })
    }

    fn parse_select_protocol(root: &Object<'_>) -> Result<Self, WireError> {
        let d = root.object("d", &["protocol", "data"])?;
        let protocol = d.string("protocol", NAME_BYTES)?;
        // For WebRTC it is a string; an unknown protocol is refused by its name, not by its body.
        let is_text = d.value("data").is_none_or(|text| text.starts_with('"'));
        if protocol != "udp" && is_text {
            d.optional_string("data", SDP_BYTES)?;
            return Ok(Self::SelectProtocol { protocol, address: None, port: None, mode: None });
        }
        let data = d.object("data", &["address", "port", "mode"])?;
        Ok(Self::SelectProtocol {
            protocol,
            address: data.optional_string("address", NAME_BYTES)?,
            port: data.optional_integer("port")?,
            mode: data.optional_string("mode", NAME_BYTES)?,
        })
    }

    fn parse_heartbeat(root: &Object<'_>) -> Result<Self, WireError> {
        const EXPECTED: &str = "a number or string of at most 32 bytes";
        let text = root.raw("d").ok_or_else(|| WireError::Missing { field: "d".to_owned() })?;
        if !text.starts_with('{') {
            let nonce = HeartbeatNonce::from_json(text);
            let nonce = nonce.ok_or_else(|| root.wrong("d", EXPECTED))?;
            return Ok(Self::Heartbeat { nonce, seq_ack: None });
        }
        let d = root.object("d", &["t", "seq_ack"])?;
        let text = d.raw("t").ok_or_else(|| WireError::Missing { field: "d.t".to_owned() })?;
        let nonce = HeartbeatNonce::from_json(text).ok_or_else(|| d.wrong("t", EXPECTED))?;
        Ok(Self::Heartbeat { nonce, seq_ack: parse_seq_ack(&d, "seq_ack")? })
    }

    fn parse_speaking(root: &Object<'_>) -> Result<Self, WireError> {
        let d = root.object("d", &["speaking", "ssrc"])?;
        let flags = parse_speaking_value(&d)?;
        Ok(Self::Speaking { flags, ssrc: d.optional_integer("ssrc")? })
    }

    fn parse_resume(root: &Object<'_>) -> Result<Self, WireError> {
        let keys = &["server_id", "channel_id", "session_id", "token", "seq_ack", "seq"];
        let d = root.object("d", keys)?;
        // disgo names it `seq`.
        let key = if d.raw("seq_ack").is_some() { "seq_ack" } else { "seq" };
        Ok(Self::Resume {
            server_id: d.id("server_id")?,
            channel_id: d.optional_id("channel_id")?,
            session_id: d.secret("session_id")?,
            token: d.secret("token")?,
            seq_ack: parse_seq_ack(&d, key)?,
        })
    }

    /// Writes the message in the form of this version (client role).
    #[must_use]
    pub fn encode(&self, version: Version) -> String {
        match self {
            Self::Identify {
                server_id,
                channel_id,
                user_id,
                session_id,
                token,
                max_dave_protocol_version,
            } => {
                let d = IdentifyBody {
                    server_id: server_id.to_string(),
                    channel_id: channel_id.filter(|_| version.names_channel()),
                    user_id: *user_id,
                    session_id,
                    token,
                    max_dave_protocol_version: *max_dave_protocol_version,
                };
                Envelope::new(opcode::IDENTIFY, d).encode()
            }
            Self::SelectProtocol { protocol, address, port, mode } => {
                let data = SelectData { address, port, mode };
                let d = SelectBody { protocol, data };
                Envelope::new(opcode::SELECT_PROTOCOL, d).encode()
            }
            Self::Heartbeat { nonce, seq_ack } if version.numbered() => {
                let d = HeartbeatBody { t: nonce, seq_ack: *seq_ack };
                Envelope::new(opcode::HEARTBEAT, d).encode()
            }
            Self::Heartbeat { nonce, .. } => Envelope::new(opcode::HEARTBEAT, nonce).encode(),
            Self::Speaking { flags, ssrc } => {
                let speaking = SpeakingValue::new(*flags, version);
                let d = SpeakingBody { speaking, delay: 0, ssrc: *ssrc };
                Envelope::new(opcode::SPEAKING, d).encode()
            }
            Self::Resume { server_id, channel_id, session_id, token, seq_ack } => {
                let d = ResumeBody {
                    server_id: server_id.to_string(),
                    channel_id: channel_id.filter(|_| version.names_channel()),
                    session_id,
                    token,
                    seq_ack: seq_ack.filter(|_| version.numbered()),
                };
                Envelope::new(opcode::RESUME, d).encode()
            }
            Self::BackendVersion => encode_empty(opcode::BACKEND_VERSION),
            Self::Video => encode_empty(opcode::VIDEO),
            Self::SessionUpdate => encode_empty(opcode::SESSION_UPDATE),
            Self::MediaSinkWants => encode_empty(opcode::MEDIA_SINK_WANTS),
            Self::NoRoute => encode_empty(opcode::NO_ROUTE),
            Self::TransitionReady => encode_empty(opcode::TRANSITION_READY),
            Self::InvalidCommit => encode_empty(opcode::INVALID_COMMIT),
            Self::Unknown { op } => encode_empty(*op),
        }
    }
}

/// `speaking` as a boolean (discordgo) or as flags.
pub(super) fn parse_speaking_value(d: &Object<'_>) -> Result<u8, WireError> {
    match d.raw("speaking") {
        Some("true") => Ok(1),
        Some("false") => Ok(0),
        _ => d.integer("speaking"),
    }
}

/// Clients that have seen no numbered message say -1, 0, null or nothing.
fn parse_seq_ack(d: &Object<'_>, key: &str) -> Result<Option<u16>, WireError> {
    match d.value(key) {
        Some("-1" | "0") => Ok(None),
        _ => d.optional_integer(key).map(|seq| seq.filter(|seq| *seq != 0)),
    }
}

fn encode_empty(op: u32) -> String {
    Envelope::new(op, Empty {}).encode()
}

#[derive(Serialize)]
struct IdentifyBody<'a> {
    server_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel_id: Option<ChannelId>,
    user_id: UserId,
    session_id: &'a Secret,
    token: &'a Secret,
    max_dave_protocol_version: u16,
}

#[derive(Serialize)]
struct SelectBody<'a> {
    protocol: &'a str,
    data: SelectData<'a>,
}

#[derive(Serialize)]
struct SelectData<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    address: &'a Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: &'a Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: &'a Option<String>,
}

#[derive(Serialize)]
struct HeartbeatBody<'a> {
    t: &'a HeartbeatNonce,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq_ack: Option<u16>,
}

#[derive(Serialize)]
struct SpeakingBody {
    speaking: SpeakingValue,
    delay: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    ssrc: Option<u32>,
}

#[derive(Serialize)]
struct ResumeBody<'a> {
    server_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel_id: Option<ChannelId>,
    session_id: &'a Secret,
    token: &'a Secret,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq_ack: Option<u16>,
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
