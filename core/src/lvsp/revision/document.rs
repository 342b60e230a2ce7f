//! The document of 2022.
//!
//! | type | name | by |
//! |---|---|---|
//! | 0 | CHANNEL_REQ | chat server, which waits for the answer |
//! | 1 | CHANNEL_ASSIGN | voice server: the answer |
//! | 2 | CHANNEL_DESTROY | both |
//! | 3 | VOICE_STATE_CREATE | chat server |
//! | 4 | VOICE_STATE_DONE | voice server: the answer |
//! | 5 | VOICE_STATE_DESTROY | both |
//! | 6 | VOICE_STATE_UPDATE | both |

use super::{
    News, Refusal, channel_data, destroy_channel, not_spoken, place, remove, set_channel,
    set_flags, unknown_kind, voice_data,
};
use crate::command::Command;
use crate::wire::lvsp::{ChatMessage, ServerMessage};

const CHANNEL_REQ: u32 = 0;
const CHANNEL_ASSIGN: u32 = 1;
const CHANNEL_DESTROY: u32 = 2;
const VOICE_STATE_CREATE: u32 = 3;
const VOICE_STATE_DONE: u32 = 4;
const VOICE_STATE_DESTROY: u32 = 5;
const VOICE_STATE_UPDATE: u32 = 6;

pub(super) fn read(message: ChatMessage) -> Result<Command, Refusal> {
    let ChatMessage::InfoData(data) = message else { return Err(not_spoken(&message)) };
    match data.kind {
        CHANNEL_REQ => set_channel(data),
        CHANNEL_DESTROY => destroy_channel(&data),
        VOICE_STATE_CREATE => place(data),
        VOICE_STATE_DESTROY => remove(data),
        VOICE_STATE_UPDATE => set_flags(data),
        kind => Err(unknown_kind(kind)),
    }
}

pub(super) fn write(news: News) -> Option<ServerMessage> {
    match news {
        News::Channel { info, .. } if info.deleted => {
            Some(channel_data(CHANNEL_DESTROY, &info, None))
        }
        News::Channel { info, token, .. } => Some(channel_data(CHANNEL_ASSIGN, &info, token)),
        News::Voice(voice) if voice.channel_id.is_none() => {
            Some(voice_data(VOICE_STATE_DESTROY, voice))
        }
        News::Voice(voice) if voice.token.is_some() => Some(voice_data(VOICE_STATE_DONE, voice)),
        News::Voice(voice) => Some(voice_data(VOICE_STATE_UPDATE, voice)),
        News::Absent(voice) => Some(voice_data(VOICE_STATE_DESTROY, voice)),
        News::Refused(error) => Some(ServerMessage::InfoError(error)),
    }
}
