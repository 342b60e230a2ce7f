//! What the code of Litecord and its forks speaks.
//!
//! | type | name | by |
//! |---|---|---|
//! | 0 | CHANNEL_REQ | chat server |
//! | 1 | CHANNEL_ASSIGN | voice server; the deployed code raises and closes on it |
//! | 2 | CHANNEL_UPDATE | both |
//! | 3 | CHANNEL_DESTROY | both |
//! | 4 | VST_CREATE | chat server |
//! | 5 | VST_UPDATE | both; also the answer to VST_CREATE, which has no number of its own |
//! | 6 | VST_LEAVE | both |

use super::{
    News, Refusal, channel_data, destroy_channel, not_spoken, place, remove, set_channel,
    set_flags, unknown_kind, voice_data,
};
use crate::command::Command;
use crate::lvsp::outbox::Cause;
use crate::wire::lvsp::{ChatMessage, ServerMessage};

const CHANNEL_REQ: u32 = 0;
const CHANNEL_ASSIGN: u32 = 1;
const CHANNEL_UPDATE: u32 = 2;
const CHANNEL_DESTROY: u32 = 3;
const VST_CREATE: u32 = 4;
const VST_UPDATE: u32 = 5;
const VST_LEAVE: u32 = 6;

pub(super) fn read(message: ChatMessage) -> Result<Command, Refusal> {
    let ChatMessage::InfoData(data) = message else { return Err(not_spoken(&message)) };
    match data.kind {
        CHANNEL_REQ | CHANNEL_UPDATE => set_channel(data),
        CHANNEL_DESTROY => destroy_channel(&data),
        VST_CREATE => place(data),
        VST_UPDATE => set_flags(data),
        VST_LEAVE => remove(data),
        kind => Err(unknown_kind(kind)),
    }
}

/// `assign` says whether the chat server stands a CHANNEL_ASSIGN.
pub(super) fn write(news: News, assign: bool) -> Option<ServerMessage> {
    match news {
        News::Channel { info, .. } if info.deleted => {
            Some(channel_data(CHANNEL_DESTROY, &info, None))
        }
        News::Channel { info, cause: Cause::Changed, .. } => {
            Some(channel_data(CHANNEL_UPDATE, &info, None))
        }
        News::Channel { info, token, .. } => {
            assign.then(|| channel_data(CHANNEL_ASSIGN, &info, token))
        }
        News::Voice(voice) if voice.channel_id.is_none() => Some(voice_data(VST_LEAVE, voice)),
        News::Voice(voice) => Some(voice_data(VST_UPDATE, voice)),
        News::Absent(voice) => Some(voice_data(VST_LEAVE, voice)),
        News::Refused(error) => Some(ServerMessage::InfoError(error)),
    }
}
