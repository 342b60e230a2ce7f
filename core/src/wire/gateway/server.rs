//! What this server says to voice clients.
//!
//! Several libraries read only one exact form, so the writer is strict: below version 8 a message
//! has `op` and `d` and nothing else (songbird), Resumed has `"d":null` (songbird), acknowledgements
//! and `speaking` take the version's form, Ready repeats the heartbeat interval (discordgo), and
//! Session Description always states that there is no end-to-end encryption (songbird, discord.py,
//! JDA). The reader serves the client role.

use std::net::Ipv4Addr;

use serde::Serialize;

use crate::ids::{Ssrc, UserId};
use crate::wire::gateway::client::parse_speaking_value;
use crate::wire::gateway::{HeartbeatNonce, SpeakingValue, Version, opcode};
use crate::wire::json::{Envelope, NAME_BYTES, Object, Snowflake, WireError, to_text};
use crate::wire::secret::SecretKey;

/// A message to a voice client.
#[derive(Clone, Debug)]
pub enum ServerMessage {
    /// Opens the conversation.
    Hello {
        /// The version in force, echoed.
        version: Version,
        /// How often to send Heartbeat.
        heartbeat_interval_ms: u64,
    },
    /// Answers Identify.
    Ready {
        /// The session's audio SSRC.
        ssrc: Ssrc,
        /// Where to send media. Clients accept IPv4 only.
        ip: Ipv4Addr,
        /// Where to send media.
        port: u16,
        /// Encryption modes, the best first.
        modes: Vec<String>,
        /// As in Hello, for clients that read it here.
        heartbeat_interval_ms: u64,
    },
    /// Answers Heartbeat.
    HeartbeatAck {
        /// The heartbeat's own.
        nonce: HeartbeatNonce,
    },
    /// Answers Select Protocol.
    SessionDescription {
        /// The chosen encryption mode.
        mode: String,
        /// The session's key.
        secret_key: SecretKey,
        /// Names the media session in the client's logs.
        media_session_id: String,
    },
    /// States who speaks under which SSRC.
    Speaking {
        /// The speaker.
        user_id: UserId,
        /// The speaker's SSRC.
        ssrc: Ssrc,
        /// 1 microphone, 2 soundshare, 4 priority.
        flags: u8,
    },
    /// Answers Resume.
    Resumed,
    /// These users are in the channel.
    ClientsConnect {
        /// Who.
        user_ids: Vec<UserId>,
    },
    /// This user left the channel.
    ClientDisconnect {
        /// Who.
        user_id: UserId,
    },
    /// Answers the question for the server's version.
    BackendVersion {
        /// Version of the gateway.
        voice: String,
        /// Version of the media relay.
        rtc_worker: String,
    },
    /// Anything else (client role).
    Unknown {
        /// The opcode.
        op: u32,
    },
}

impl ServerMessage {
    /// Writes the message in the form of this version. `seq` is left out below version 8.
    #[must_use]
    pub fn encode(&self, version: Version, seq: Option<u16>) -> String {
        let seq = seq.filter(|_| version.numbered());
        match self {
            Self::Hello { version, heartbeat_interval_ms } if version.flat_hello() => {
                to_text(&FlatHello { heartbeat_interval: *heartbeat_interval_ms })
            }
            Self::Hello { version, heartbeat_interval_ms } => {
                let d = Hello { v: version.number(), heartbeat_interval: *heartbeat_interval_ms };
                encode(opcode::HELLO, d, seq)
            }
            Self::Ready { ssrc, ip, port, modes, heartbeat_interval_ms } => {
                let d = Ready {
                    ssrc: *ssrc,
                    ip: *ip,
                    port: *port,
                    modes,
                    experiments: [],
                    streams: [],
                    heartbeat_interval: *heartbeat_interval_ms,
                };
                encode(opcode::READY, d, seq)
            }
            Self::HeartbeatAck { nonce } if version.numbered() => {
                encode(opcode::HEARTBEAT_ACK, HeartbeatAck { t: nonce }, seq)
            }
            Self::HeartbeatAck { nonce } if version == Version::OLDEST => {
                encode(opcode::HEARTBEAT, nonce, seq)
            }
            Self::HeartbeatAck { nonce } => encode(opcode::HEARTBEAT_ACK, nonce, seq),
            Self::SessionDescription { mode, secret_key, media_session_id } => {
                let d = SessionDescription {
                    audio_codec: "opus",
                    video_codec: "H264",
                    media_session_id,
                    mode,
                    secret_key,
                    dave_protocol_version: 0,
                };
                encode(opcode::SESSION_DESCRIPTION, d, seq)
            }
            Self::Speaking { user_id, ssrc, flags } => {
                let speaking = SpeakingValue::new(*flags, version);
                let d = Speaking { speaking, ssrc: *ssrc, user_id: *user_id };
                encode(opcode::SPEAKING, d, seq)
            }
            Self::Resumed => encode(opcode::RESUMED, (), seq),
            Self::ClientsConnect { user_ids } => {
                encode(opcode::CLIENTS_CONNECT, ClientsConnect { user_ids }, seq)
            }
            Self::ClientDisconnect { user_id } => {
                encode(opcode::CLIENT_DISCONNECT, ClientDisconnect { user_id: *user_id }, seq)
            }
            Self::BackendVersion { voice, rtc_worker } => {
                encode(opcode::BACKEND_VERSION, BackendVersion { voice, rtc_worker }, seq)
            }
            Self::Unknown { op } => encode(*op, (), seq),
        }
    }

    /// Reads a message and its number (client role).
    ///
    /// # Errors
    /// When the text is not such a message.
    pub fn parse(text: &str, depth: usize) -> Result<(Self, Option<u16>), WireError> {
        let root = Object::root(text, depth, &["op", "d", "seq"])?;
        let seq = root.optional_integer("seq")?;
        Ok((Self::parse_body(&root)?, seq))
    }

    fn parse_body(root: &Object<'_>) -> Result<Self, WireError> {
        Ok(match root.integer("op")? {
            opcode::HELLO => {
                let d = root.object("d", &["v", "heartbeat_interval"])?;
                let number = d.optional_integer("v")?.unwrap_or(Version::OLDEST.number());
                Self::Hello {
                    version: Version::new(number).ok_or_else(|| d.wrong("v", "positive"))?,
                    heartbeat_interval_ms: d.integer("heartbeat_interval")?,
                }
            }
            opcode::READY => {
                let d = root.object("d", &["ssrc", "ip", "port", "modes", "heartbeat_interval"])?;
                let ip = d.string("ip", NAME_BYTES)?;
                Self::Ready {
                    ssrc: Ssrc(d.integer("ssrc")?),
                    ip: ip.parse().map_err(|_| d.wrong("ip", "an IPv4 address"))?,
                    port: d.integer("port")?,
                    modes: d.names("modes")?,
                    heartbeat_interval_ms: d.optional_integer("heartbeat_interval")?.unwrap_or(0),
                }
            }
            op @ (opcode::HEARTBEAT_ACK | opcode::HEARTBEAT) => match parse_ack(root)? {
                Some(nonce) => Self::HeartbeatAck { nonce },
                None => Self::Unknown { op },
            },
            opcode::SESSION_DESCRIPTION => {
                let d = root.object("d", &["mode", "secret_key", "media_session_id"])?;
                Self::SessionDescription {
                    mode: d.string("mode", NAME_BYTES)?,
                    secret_key: parse_key(&d)?,
                    media_session_id: d
                        .optional_string("media_session_id", NAME_BYTES)?
                        .unwrap_or_default(),
                }
            }
            opcode::SPEAKING => {
                let d = root.object("d", &["user_id", "ssrc", "speaking"])?;
                Self::Speaking {
                    user_id: d.id("user_id")?,
                    ssrc: Ssrc(d.integer("ssrc")?),
                    flags: parse_speaking_value(&d)?,
                }
            }
            opcode::RESUMED => Self::Resumed,
            opcode::CLIENTS_CONNECT => {
                let d = root.object("d", &["user_ids"])?;
                let ids: Option<Vec<UserId>> = d
                    .names("user_ids")?
                    .iter()
                    .map(|id| crate::wire::json::parse_id(id).and_then(UserId::from_raw))
                    .collect();
                let user_ids = ids.ok_or_else(|| d.wrong("user_ids", "a list of snowflakes"))?;
                Self::ClientsConnect { user_ids }
            }
            opcode::CLIENT_DISCONNECT => {
                Self::ClientDisconnect { user_id: root.object("d", &["user_id"])?.id("user_id")? }
            }
            opcode::BACKEND_VERSION => {
                let d = root.object("d", &["voice", "rtc_worker"])?;
                Self::BackendVersion {
                    voice: d.string("voice", NAME_BYTES)?,
                    rtc_worker: d.string("rtc_worker", NAME_BYTES)?,
                }
            }
            op => Self::Unknown { op },
        })
    }
}

/// The nonce of an acknowledgement in either form; `None` if there is none (a server's op 3 asks
/// for a heartbeat).
fn parse_ack(root: &Object<'_>) -> Result<Option<HeartbeatNonce>, WireError> {
    let Some(text) = root.raw("d") else { return Ok(None) };
    if text.starts_with('{') {
        let d = root.object("d", &["t"])?;
        return Ok(d.raw("t").and_then(HeartbeatNonce::from_json));
    }
    Ok(HeartbeatNonce::from_json(text))
}

fn parse_key(d: &Object<'_>) -> Result<SecretKey, WireError> {
    const EXPECTED: &str = "an array of 32 integers from 0 to 255";
    let text = d.raw("secret_key");
    let text = text.ok_or_else(|| WireError::Missing { field: "d.secret_key".to_owned() })?;
    serde_json::from_str(text).map(SecretKey::new).map_err(|_| d.wrong("secret_key", EXPECTED))
}

fn encode<T: Serialize>(op: u32, d: T, seq: Option<u16>) -> String {
    Envelope { op, d, seq, s: None }.encode()
}

/// Hello before version 3.
#[derive(Serialize)]
struct FlatHello {
    heartbeat_interval: u64,
}

#[derive(Serialize)]
struct Hello {
    v: u8,
    heartbeat_interval: u64,
}

#[derive(Serialize)]
struct Ready<'a> {
    ssrc: Ssrc,
    ip: Ipv4Addr,
    port: u16,
    modes: &'a [String],
    experiments: [u8; 0],
    streams: [u8; 0],
    heartbeat_interval: u64,
}

#[derive(Serialize)]
struct HeartbeatAck<'a> {
    t: &'a HeartbeatNonce,
}

#[derive(Serialize)]
struct SessionDescription<'a> {
    audio_codec: &'static str,
    video_codec: &'static str,
    media_session_id: &'a str,
    mode: &'a str,
    secret_key: &'a SecretKey,
    dave_protocol_version: u8,
}

#[derive(Serialize)]
struct Speaking {
    speaking: SpeakingValue,
    ssrc: Ssrc,
    user_id: UserId,
}

#[derive(Serialize)]
struct ClientsConnect<'a> {
    user_ids: &'a [UserId],
}

#[derive(Serialize)]
struct ClientDisconnect {
    user_id: UserId,
}

#[derive(Serialize)]
struct BackendVersion<'a> {
    voice: &'a str,
    rtc_worker: &'a str,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn version(number: u8) -> Version {
        Version::new(number).unwrap()
    }

    fn user(number: u64) -> UserId {
        UserId::new(number).unwrap()
    }

    fn samples() -> Vec<(ServerMessage, &'static str)> {
        vec![
            (
                ServerMessage::Hello { version: version(8), heartbeat_interval_ms: 13_750 },
                r#"{"op":8,"d":{"v":8,"heartbeat_interval":13750}}"#,
            ),
            (
                ServerMessage::Ready {
                    ssrc: Ssrc(8),
                    ip: Ipv4Addr::new(203, 0, 113, 7),
                    port: 50_001,
                    modes: vec!["m".to_owned()],
                    heartbeat_interval_ms: 13_750,
                },
                r#"{"op":2,"d":{"ssrc":8,"ip":"203.0.113.7","port":50001,"modes":["m"],"experiments":[],"streams":[],"heartbeat_interval":13750}}"#,
            ),
            (
                ServerMessage::HeartbeatAck { nonce: HeartbeatNonce::from_u64(5) },
                r#"{"op":6,"d":{"t":5}}"#,
            ),
            (
                ServerMessage::SessionDescription {
                    mode: "m".to_owned(),
                    secret_key: SecretKey::new([1; 32]),
                    media_session_id: "8e".to_owned(),
                },
                r#"{"op":4,"d":{"audio_codec":"opus","video_codec":"H264","media_session_id":"8e","mode":"m","secret_key":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1],"dave_protocol_version":0}}"#,
            ),
            (
                ServerMessage::Speaking { user_id: user(82), ssrc: Ssrc(8), flags: 1 },
                r#"{"op":5,"d":{"speaking":1,"ssrc":8,"user_id":"82"}}"#,
            ),
            (ServerMessage::Resumed, r#"{"op":9,"d":null}"#),
            (
                ServerMessage::ClientsConnect { user_ids: vec![user(82)] },
                r#"{"op":11,"d":{"user_ids":["82"]}}"#,
            ),
            (
                ServerMessage::ClientDisconnect { user_id: user(82) },
                r#"{"op":13,"d":{"user_id":"82"}}"#,
            ),
            (
                ServerMessage::BackendVersion { voice: "1".to_owned(), rtc_worker: "2".to_owned() },
                r#"{"op":16,"d":{"voice":"1","rtc_worker":"2"}}"#,
            ),
            (ServerMessage::Unknown { op: 77 }, r#"{"op":77,"d":null}"#),
        ]
    }

    #[test]
    fn each_message_has_its_exact_form_and_is_read_back() {
        for (message, text) in samples() {
            assert_eq!(message.encode(version(8), None), text);
            let (again, seq) = ServerMessage::parse(text, 16).unwrap();
            assert_eq!((again.encode(version(8), None), seq), (text.to_owned(), None));
            let numbered = message.encode(version(8), Some(65_535));
            assert!(numbered.ends_with(r#","seq":65535}"#), "{numbered}");
            assert_eq!(ServerMessage::parse(&numbered, 16).unwrap().1, Some(65_535));
        }
    }

    #[test]
    fn below_version_8_there_is_no_number() {
        for (message, _) in samples() {
            assert_eq!(message.encode(version(4), Some(1)), message.encode(version(4), None));
        }
    }

    #[test]
    fn acknowledgements_and_speaking_take_the_form_of_the_version() {
        let ack = ServerMessage::HeartbeatAck { nonce: HeartbeatNonce::from_json("-1").unwrap() };
        assert_eq!(ack.encode(version(9), None), r#"{"op":6,"d":{"t":-1}}"#);
        assert_eq!(ack.encode(version(7), None), r#"{"op":6,"d":-1}"#);
        assert_eq!(ack.encode(version(2), None), r#"{"op":6,"d":-1}"#);
        assert_eq!(ack.encode(version(1), None), r#"{"op":3,"d":-1}"#);
        let hello = |number| {
            let version = version(number);
            ServerMessage::Hello { version, heartbeat_interval_ms: 9 }.encode(version, None)
        };
        assert_eq!(hello(3), r#"{"op":8,"d":{"v":3,"heartbeat_interval":9}}"#);
        assert_eq!(hello(2), r#"{"heartbeat_interval":9}"#);
        let speaking = ServerMessage::Speaking { user_id: user(1), ssrc: Ssrc(8), flags: 4 };
        assert!(speaking.encode(version(3), None).contains(r#""speaking":true"#));
        assert!(speaking.encode(version(4), None).contains(r#""speaking":4"#));
    }

    #[test]
    fn a_key_that_is_missing_and_one_that_is_wrong_are_told_apart() {
        for (key, error) in [
            ("", "d.secret_key is missing"),
            (r#","secret_key":null"#, "d.secret_key must be an array of 32 integers from 0 to 255"),
        ] {
            let text = format!(r#"{{"op":4,"d":{{"mode":"m"{key}}}}}"#);
            assert_eq!(ServerMessage::parse(&text, 16).unwrap_err().to_string(), error);
        }
    }

    #[test]
    fn debug_output_holds_no_key() {
        let (message, _) = samples().remove(3);
        assert!(!format!("{message:?}").contains("1, 1"));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in any::<String>()) {
            let _ = ServerMessage::parse(&text, 16);
        }

        #[test]
        fn any_body_is_read_or_refused(op in 0_u8..33, body in r#"[{}\[\]",:a-z_0-9.\\-]{0,40}"#) {
            let _ = ServerMessage::parse(&format!(r#"{{"op":{op},"d":{body}}}"#), 16);
        }
    }
}
