//! Messages between voice clients and this server (the voice gateway).
//!
//! Here: versions, opcodes and the two directions, [`ClientMessage`] and [`ServerMessage`], each
//! both readable and writable (the second way serves the client role). Not here: which message is
//! legal when, numbering and replay (`crate::gateway`), and binary messages (there are none without
//! end-to-end encryption).

use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

mod client;
mod server;

pub use client::ClientMessage;
pub use server::ServerMessage;

/// The gateway version that a client asked for with `?v=`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Version(u8);

impl Version {
    /// What a client without `v` speaks (discordgo).
    pub const OLDEST: Self = Self(1);
    /// The newest version known; larger ones are treated as this.
    pub const NEWEST: Self = Self(9);

    /// The version of this number; `None` for zero.
    #[must_use]
    pub fn new(number: u8) -> Option<Self> {
        (number > 0).then(|| Self(number).min(Self::NEWEST))
    }

    /// Reads the version from a request target such as `/?v=8`.
    ///
    /// Without `v` it is [`Version::OLDEST`]; other parameters are ignored. `None` if `v` is not
    /// a positive number.
    #[must_use]
    pub fn from_target(target: &str) -> Option<Self> {
        let (_, query) = target.split_once('?').unwrap_or_default();
        let Some(text) = query.split('&').find_map(|pair| pair.strip_prefix("v=")) else {
            return Some(Self::OLDEST);
        };
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        Self::new(text.parse().unwrap_or(u8::MAX))
    }

    /// The number.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }

    /// Whether messages are numbered for replay and heartbeats are objects (from version 8).
    #[must_use]
    pub const fn numbered(self) -> bool {
        self.0 >= 8
    }

    /// Whether Identify and Resume name the channel (from version 9).
    #[must_use]
    pub const fn names_channel(self) -> bool {
        self.0 >= 9
    }

    /// Whether Hello stands alone, without opcode (before version 3).
    #[must_use]
    pub const fn flat_hello(self) -> bool {
        self.0 < 3
    }

    /// Whether `speaking` is a boolean (before version 4).
    #[must_use]
    pub const fn boolean_speaking(self) -> bool {
        self.0 < 4
    }
}

/// The opcodes that are read or written.
pub mod opcode {
    #![allow(missing_docs, reason = "the names are those of the protocol")]
    pub const IDENTIFY: u32 = 0;
    pub const SELECT_PROTOCOL: u32 = 1;
    pub const READY: u32 = 2;
    pub const HEARTBEAT: u32 = 3;
    pub const SESSION_DESCRIPTION: u32 = 4;
    pub const SPEAKING: u32 = 5;
    pub const HEARTBEAT_ACK: u32 = 6;
    pub const RESUME: u32 = 7;
    pub const HELLO: u32 = 8;
    pub const RESUMED: u32 = 9;
    pub const CLIENTS_CONNECT: u32 = 11;
    pub const VIDEO: u32 = 12;
    pub const CLIENT_DISCONNECT: u32 = 13;
    pub const SESSION_UPDATE: u32 = 14;
    pub const MEDIA_SINK_WANTS: u32 = 15;
    pub const BACKEND_VERSION: u32 = 16;
    pub const TRANSITION_READY: u32 = 23;
    pub const INVALID_COMMIT: u32 = 31;
    pub const NO_ROUTE: u32 = 32;
}

/// What a heartbeat carries: the JSON text of a number or string, echoed byte for byte.
///
/// Clients send unix milliseconds, unix seconds, random 53-bit numbers and (NetCord) negative ones.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HeartbeatNonce(Box<str>);

impl HeartbeatNonce {
    /// Longest nonce, quotation marks of a string not counted.
    const BYTES: usize = 32;

    /// The nonce that is this number.
    #[must_use]
    pub fn from_u64(number: u64) -> Self {
        Self(number.to_string().into())
    }

    /// The nonce of this JSON text; `None` if it is no number or string, or is too long.
    #[must_use]
    pub fn from_json(text: &str) -> Option<Self> {
        let first = text.bytes().next()?;
        let short = match first {
            b'"' => text.len() <= Self::BYTES + 2,
            b'-' | b'0'..=b'9' => text.len() <= Self::BYTES,
            _ => false,
        };
        (short && serde_json::from_str::<&RawValue>(text).is_ok()).then(|| Self(text.into()))
    }

    /// The JSON text.
    #[must_use]
    pub fn as_json(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HeartbeatNonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for HeartbeatNonce {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: &RawValue = serde_json::from_str(&self.0).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

/// `speaking` in the form that the version wants.
#[derive(Serialize)]
#[serde(untagged)]
enum SpeakingValue {
    Boolean(bool),
    Flags(u8),
}

impl SpeakingValue {
    const fn new(flags: u8, version: Version) -> Self {
        if version.boolean_speaking() { Self::Boolean(flags != 0) } else { Self::Flags(flags) }
    }
}

/// The body of a message that has nothing to say.
#[derive(Serialize)]
struct Empty {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_version_is_read_from_the_query() {
        for (target, number) in [
            ("/?v=8", Some(8)),
            ("/?encoding=json&v=4", Some(4)),
            ("/", Some(1)),
            ("/?encoding=json", Some(1)),
            ("", Some(1)),
            ("/?v=9", Some(9)),
            ("/?v=10", Some(9)),
            ("/?v=99999999999999999999", Some(9)),
            ("/?v=0", None),
            ("/?v=", None),
            ("/?v=+8", None),
            ("/?v=eight", None),
        ] {
            assert_eq!(Version::from_target(target).map(Version::number), number, "{target}");
        }
    }

    #[test]
    fn a_nonce_is_a_short_number_or_string() {
        for text in ["1", "-5", "1.5", "1e3", r#""abc""#, r#""\"""#] {
            assert_eq!(HeartbeatNonce::from_json(text).unwrap().as_json(), text);
        }
        for text in ["", "null", "true", "[1]", "{}", "01", "--", "1 2", r#"""""#] {
            assert_eq!(HeartbeatNonce::from_json(text), None, "{text}");
        }
        assert_eq!(HeartbeatNonce::from_json(&"1".repeat(33)), None);
    }

    proptest! {
        #[test]
        fn any_target_is_accepted_or_refused(target in any::<String>()) {
            let _ = Version::from_target(&target);
        }
    }
}
