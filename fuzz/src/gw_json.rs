//! A text message of the voice gateway, in both directions and every form of the versions.
//!
//! Held against a strict JSON reader: what is accepted is strict JSON that nests no deeper than it
//! may, what is written for it says only what it said, and a refusal names what is wrong. What is
//! written is read again and written alike. Reading holds a small multiple of the text.

use lvsp_core::wire::gateway::{ClientMessage, HeartbeatNonce, ServerMessage, Version};

use crate::agreement::{DEPTH, Kept, accepted_as_said, kept_what_was_said, refused_for_cause};
use crate::bounds::hold_within;

/// A number of each form that messages have.
const VERSIONS: [u8; 5] = [1, 3, 4, 8, 9];

/// What is kept of a client's message, and of a server's.
const CLIENT: &[Kept] = &[
    (
        "0",
        "d",
        &["server_id", "channel_id", "user_id", "session_id", "token", "max_dave_protocol_version"],
    ),
    ("1", "d.data", &["address", "port", "mode"]),
    ("3", "d", &["t", "seq_ack"]),
    ("5", "d", &["speaking", "ssrc"]),
    ("7", "d", &["server_id", "channel_id", "session_id", "token", "seq_ack"]),
];
const SERVER: &[Kept] = &[
    ("2", "d", &["ssrc", "ip", "port", "modes", "heartbeat_interval"]),
    ("4", "d", &["mode", "secret_key", "media_session_id"]),
    ("5", "d", &["user_id", "ssrc", "speaking"]),
    ("8", "d", &["v", "heartbeat_interval"]),
    ("11", "d", &["user_ids"]),
    ("13", "d", &["user_id"]),
    ("16", "d", &["voice", "rtc_worker"]),
];

/// The body of this target.
pub fn gw_json(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    // A list of names may have its most entries, and its memory grows by doubling.
    let memory = 4 * text.len() + 40 * 1_024;
    match hold_within(memory, || ClientMessage::parse(text, DEPTH)) {
        Ok(message) => client_message(text, &message),
        Err(error) => refused_for_cause(text, &error),
    }
    match hold_within(memory, || ServerMessage::parse(text, DEPTH)) {
        Ok((message, seq)) => server_message(text, &message, seq),
        Err(error) => refused_for_cause(text, &error),
    }
}

fn versions() -> impl Iterator<Item = Version> {
    VERSIONS.into_iter().filter_map(Version::new)
}

fn client_message(text: &str, message: &ClientMessage) {
    if let ClientMessage::Heartbeat { nonce, .. } = message {
        assert_eq!(HeartbeatNonce::from_json(nonce.as_json()).as_ref(), Some(nonce));
        assert!(text.contains(nonce.as_json()), "echoed byte for byte");
    }
    let newest = message.encode(Version::NEWEST);
    accepted_as_said(text, &newest);
    kept_what_was_said(text, &newest, CLIENT);
    for version in versions() {
        let written = message.encode(version);
        let again = ClientMessage::parse(&written, DEPTH).expect("we wrote it");
        assert_eq!(again.encode(version), written);
    }
}

fn server_message(text: &str, message: &ServerMessage, seq: Option<u16>) {
    let stated_version =
        matches!(message, ServerMessage::Hello { version, .. } if version.flat_hello());
    if !stated_version {
        let newest = message.encode(Version::NEWEST, seq);
        accepted_as_said(text, &newest);
        kept_what_was_said(text, &newest, SERVER);
    }
    for version in versions() {
        let written = message.encode(version, seq);
        let Ok((again, number)) = ServerMessage::parse(&written, DEPTH) else {
            assert!(stated_version, "only Hello before version 3 has no opcode: {written}");
            continue;
        };
        assert_eq!(number, seq.filter(|_| version.numbered()));
        assert_eq!(again.encode(version, number), written);
    }
}
