//! Messages between chat servers and this server (the control protocol).
//!
//! Here: opcodes and the two directions, [`ChatMessage`] and [`ServerMessage`], each both readable
//! and writable (the second way serves the client role). INFO comes in two shapes: `info` in the
//! draft, `data` ([`InfoData`]) in the revisions after it. Not here: what an INFO type means in
//! which revision, which message is legal when, numbering and replay (`crate::lvsp`), and checking
//! of tokens.

use serde::Serialize;

use crate::ids::{ChannelId, GuildId};
use crate::wire::json::{Object, WireError};

mod chat;
mod data;
mod server;

pub use chat::{ChatMessage, Place, VoiceFlagsUpdate, VoiceRequest, VoiceUpdate};
pub use data::InfoData;
pub use server::{InfoError, ServerMessage, VoiceFlags, VoiceInfo};

/// The feature of a chat server that reads error INFOs.
pub const FEATURE_ERRORS: &str = "errors";

/// The opcodes.
pub mod opcode {
    #![allow(missing_docs, reason = "the names are those of the protocol")]
    pub const HELLO: u32 = 0;
    pub const IDENTIFY: u32 = 1;
    pub const RESUME: u32 = 2;
    pub const READY: u32 = 3;
    pub const HEARTBEAT: u32 = 4;
    pub const HEARTBEAT_ACK: u32 = 5;
    pub const INFO: u32 = 6;
    pub const VST_REQUEST: u32 = 7;
}

/// The INFO types of the draft.
pub mod info {
    #![allow(missing_docs, reason = "the names are those of the protocol")]
    pub const CHANNEL: u32 = 0;
    pub const VST: u32 = 1;
}

/// What is said about a channel, in both directions.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ChannelInfo {
    /// The channel.
    pub id: ChannelId,
    /// Its guild, if it has one and the chat server named it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guild_id: Option<GuildId>,
    /// Bits a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bitrate: Option<u32>,
    /// Whether the channel is gone.
    #[serde(skip_serializing_if = "is_false")]
    pub deleted: bool,
}

impl ChannelInfo {
    fn parse(d: &Object<'_>) -> Result<Self, WireError> {
        let info = d.object("info", &["id", "guild_id", "bitrate", "deleted"])?;
        Ok(Self {
            id: info.id("id")?,
            guild_id: info.optional_id("guild_id")?,
            bitrate: info.optional_integer("bitrate")?,
            deleted: info.optional_bool("deleted")?.unwrap_or(false),
        })
    }
}

/// The body of INFO in the draft.
#[derive(Serialize)]
struct InfoBody<T> {
    r#type: u32,
    info: T,
}

/// The body of INFO in the revisions after it.
#[derive(Serialize)]
struct DataBody<'a> {
    r#type: u32,
    data: &'a InfoData,
}

/// Reads the envelope. A text without `op` or `d` is not a message at all.
fn envelope<'a>(
    text: &'a str,
    depth: usize,
    keys: &'static [&'static str],
) -> Result<(Object<'a>, u32), WireError> {
    let root = Object::root(text, depth, keys)?;
    if root.raw("op").is_none() || root.raw("d").is_none() {
        return Err(WireError::NotAMessage);
    }
    let op = root.integer("op")?;
    Ok((root, op))
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it by reference")]
const fn is_false(value: &bool) -> bool {
    !*value
}
