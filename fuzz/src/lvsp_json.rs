//! A message of the control protocol, in both directions.
//!
//! Held against a strict JSON reader, as in `gw_json`, and read again from what is written.

use lvsp_core::wire::lvsp::{ChatMessage, ServerMessage};

use crate::agreement::{DEPTH, Kept, accepted_as_said, kept_what_was_said, refused_for_cause};
use crate::bounds::hold_within;

/// What is kept of a chat server's message.
const CHAT: &[Kept] = &[
    ("1", "d", &["token", "features"]),
    ("2", "d", &["token", "seq", "session", "features"]),
    ("4", "d", &["s"]),
    ("6", "d", &["type"]),
    ("6/0", "d.info", CHANNEL),
    ("6/1", "d.info", VOICE),
    ("6", "d.data", DATA),
    (
        "7",
        "d",
        &[
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
        ],
    ),
];
/// What is kept of this server's.
const SERVER: &[Kept] = &[
    ("0", "d", &["heartbeat_interval", "nonce"]),
    ("3", "d", &["health", "session", "resumed"]),
    ("5", "d", &["s", "health"]),
    ("6", "d", &["type"]),
    ("6/0", "d.info", CHANNEL),
    ("6/1", "d.info", VOICE),
    ("6", "d.error", &["message", "field", "channel_id", "user_id"]),
    ("6", "d.data", DATA),
];
const CHANNEL: &[&str] = &["id", "guild_id", "bitrate", "deleted"];
const VOICE: &[&str] = &[
    "user_id",
    "channel_id",
    "guild_id",
    "session_id",
    "deaf",
    "mute",
    "self_deaf",
    "self_mute",
    "suppress",
];
const DATA: &[&str] = &[
    "user_id",
    "channel_id",
    "guild_id",
    "session_id",
    "token",
    "endpoint",
    "bitrate",
    "deaf",
    "mute",
    "self_deaf",
    "self_mute",
    "suppress",
    "reason",
];

/// The body of this target.
pub fn lvsp_json(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    // A list of names may have its most entries, and its memory grows by doubling.
    let memory = 4 * text.len() + 40 * 1_024;
    match hold_within(memory, || ChatMessage::parse(text, DEPTH)) {
        Ok(message) => {
            let written = message.encode();
            accepted_as_said(text, &written);
            kept_what_was_said(text, &written, CHAT);
            let again = ChatMessage::parse(&written, DEPTH).expect("we wrote it");
            assert_eq!(again.encode(), written);
            assert_eq!(again.info_kind(), message.info_kind());
            if let (ChatMessage::InfoData(said), ChatMessage::InfoData(again)) = (message, again) {
                assert_eq!(said.names_a_session_alone(), again.names_a_session_alone());
            }
        }
        Err(error) => refused_for_cause(text, &error),
    }
    match hold_within(memory, || ServerMessage::parse(text, DEPTH)) {
        Ok((message, s)) => {
            let written = message.encode(s);
            accepted_as_said(text, &written);
            kept_what_was_said(text, &written, SERVER);
            let (again, number) = ServerMessage::parse(&written, DEPTH).expect("we wrote it");
            assert_eq!(number, s);
            assert_eq!(again.encode(s), written);
        }
        Err(error) => refused_for_cause(text, &error),
    }
}
