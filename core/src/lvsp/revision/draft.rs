//! The draft of 2019: INFO with `info`, types CHANNEL and VST, and op 7 to ask for a voice state.

use super::{News, Refusal, not_spoken};
use crate::command::{Command, Target};
use crate::lvsp::outbox::Cause;
use crate::wire::lvsp::{ChatMessage, Place, ServerMessage, VoiceFlagsUpdate, VoiceUpdate};

pub(super) fn read(message: ChatMessage) -> Result<Command, Refusal> {
    match message {
        ChatMessage::InfoChannel(stated) if stated.deleted => {
            Ok(Command::DestroyChannel { channel: stated.id })
        }
        ChatMessage::InfoChannel(stated) => Ok(Command::SetChannel {
            channel: stated.id,
            guild: stated.guild_id,
            bitrate: stated.bitrate,
            token: None,
        }),
        ChatMessage::InfoVoice(update) => Ok(voice_command(update)),
        ChatMessage::VstRequest(request) => Ok(Command::Place {
            user: request.user_id,
            channel: request.channel_id,
            guild: request.guild_id,
            session_id: request.session_id,
            token: request.token,
            flags: request.flags,
        }),
        ChatMessage::Identify { .. }
        | ChatMessage::Resume { .. }
        | ChatMessage::Heartbeat { .. }
        | ChatMessage::InfoData(_)
        | ChatMessage::UnknownInfo { .. }
        | ChatMessage::Unknown { .. } => Err(not_spoken(&message)),
    }
}

/// A voice state with `channel_id: null` is a leave; so is a session id that stands alone.
fn voice_command(update: VoiceUpdate) -> Command {
    let leaves = match update.channel_id {
        Place::Gone => true,
        Place::Unstated => {
            update.session_id.is_some()
                && update.user_id.is_none()
                && update.guild_id.is_none()
                && update.flags == VoiceFlagsUpdate::default()
        }
        Place::In(_) => false,
    };
    let target = Target {
        session_id: update.session_id,
        user: update.user_id,
        guild: update.guild_id,
        channel: match update.channel_id {
            Place::In(channel) => Some(channel),
            Place::Gone | Place::Unstated => None,
        },
    };
    if leaves {
        Command::Remove { target }
    } else {
        Command::SetFlags { target, flags: update.flags }
    }
}

/// What was stated and is so already, gone included, is not answered: a chat server that takes our
/// INFO for news and states it again would start a loop.
pub(super) fn write(news: News) -> Option<ServerMessage> {
    match news {
        News::Channel { cause: Cause::Unchanged, .. } | News::Absent(_) => None,
        News::Channel { info, .. } => Some(ServerMessage::InfoChannel(info)),
        News::Voice(voice) => Some(ServerMessage::InfoVoice(voice)),
        News::Refused(error) => Some(ServerMessage::InfoError(error)),
    }
}
