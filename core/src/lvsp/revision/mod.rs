//! The revisions of LVSP: which one a control session speaks, and how it is read and written.
//!
//! | revision | body key | written from |
//! |---|---|---|
//! | draft | `info` | the draft of 2019, this server's own |
//! | litecord | `data` | the code of Litecord and its forks |
//! | document | `data` | the document of 2022 |
//!
//! The two later ones give the numbers 2 to 6 different meanings, so a wrong guess would destroy
//! what should be created. A revision is configured, or decided by messages that can mean only one
//! thing; until then what is ambiguous is refused, and what would be said differently waits.
//!
//! Here alone it is known which revision is spoken. Everybody else has commands and news.

mod document;
mod draft;
mod litecord;
#[cfg(test)]
mod tests;

use crate::command::{Command, Target};
use crate::config::Revision;
use crate::lvsp::outbox::Cause;
use crate::wire::json::WireError;
use crate::wire::lvsp::{
    ChannelInfo, ChatMessage, InfoData, InfoError, ServerMessage, VoiceFlagsUpdate, VoiceInfo, info,
};
use crate::wire::secret::Secret;

/// Something to tell a chat server, in no revision's form.
#[derive(Debug)]
pub(crate) enum News {
    /// A channel as it is in force, or its end.
    Channel {
        /// What is in force.
        info: ChannelInfo,
        /// What proves to the voice gateway that a client may enter it, beside its session id.
        token: Option<Secret>,
        /// Why it is told of.
        cause: Cause,
    },
    /// A voice state as it is in force; without a channel its end, with a token the answer to a
    /// request.
    Voice(VoiceInfo),
    /// The removal of somebody who was not there changed nothing.
    Absent(VoiceInfo),
    /// A refused order.
    Refused(InfoError),
}

/// Why an order is refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Refusal {
    /// The INFO type that it had.
    pub(crate) kind: Option<u32>,
    /// For people.
    pub(crate) why: String,
    /// The field at fault.
    pub(crate) field: Option<String>,
}

impl Refusal {
    pub(crate) fn new(kind: Option<u32>, why: impl Into<String>) -> Self {
        Self { kind, why: why.into(), field: None }
    }

    /// A field of a message was missing or wrong.
    pub(crate) fn from_wire(kind: Option<u32>, error: &WireError) -> Self {
        let field = error.field().map(str::to_owned);
        Self { kind, why: error.to_string(), field }
    }
}

/// A revision that was decided on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Dialect {
    Draft,
    /// `assign` says whether this chat server stands a CHANNEL_ASSIGN.
    Litecord {
        assign: bool,
    },
    Document,
}

/// Which revision one control session speaks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Speech {
    dialect: Option<Dialect>,
    assign: bool,
}

impl Speech {
    /// At IDENTIFY. `plain` says whether the token was the secret itself, as only the draft has it.
    pub(crate) const fn new(configured: Revision, assign: bool, plain: bool) -> Self {
        let dialect = match configured {
            Revision::Draft => Some(Dialect::Draft),
            Revision::Litecord => Some(Dialect::Litecord { assign }),
            Revision::Document => Some(Dialect::Document),
            Revision::Auto if plain => Some(Dialect::Draft),
            Revision::Auto => None,
        };
        Self { dialect, assign }
    }

    /// Whether the revision is known, so that everything can be said.
    pub(crate) const fn is_decided(&self) -> bool {
        self.dialect.is_some()
    }

    /// The revision that is spoken; [`Revision::Auto`] while that is not known.
    pub(crate) const fn revision(&self) -> Revision {
        match self.dialect {
            Some(Dialect::Draft) => Revision::Draft,
            Some(Dialect::Litecord { .. }) => Revision::Litecord,
            Some(Dialect::Document) => Revision::Document,
            None => Revision::Auto,
        }
    }

    /// Whether this chat server states everything again after IDENTIFY. `None` while that is not
    /// known.
    pub(crate) const fn restates(&self) -> Option<bool> {
        match self.dialect {
            Some(Dialect::Draft | Dialect::Document) => Some(true),
            Some(Dialect::Litecord { .. }) => Some(false),
            None => None,
        }
    }

    /// Whether this chat server reads a HEARTBEAT_ACK that it did not ask for.
    pub(crate) const fn hears_of_health(&self) -> bool {
        matches!(self.dialect, Some(Dialect::Litecord { .. }))
    }

    /// Reads an order, which may decide the revision.
    pub(crate) fn read(&mut self, message: ChatMessage) -> Result<Command, Refusal> {
        if self.dialect.is_none() {
            self.dialect = decide(&message, self.assign)?;
        }
        match self.dialect {
            Some(Dialect::Draft) => draft::read(message),
            Some(Dialect::Litecord { .. }) => litecord::read(message),
            // Undecided only by what every revision means alike.
            Some(Dialect::Document) | None => document::read(message),
        }
    }

    /// The form of some news; `None` where this revision has none for it.
    pub(crate) fn write(&self, news: News) -> Option<ServerMessage> {
        if let News::Refused(error) = news {
            return Some(ServerMessage::InfoError(error));
        }
        match self.dialect? {
            Dialect::Draft => draft::write(news),
            Dialect::Litecord { assign } => litecord::write(news, assign),
            Dialect::Document => document::write(news),
        }
    }
}

/// What a message of an undecided session decides; nothing if every revision means the same by it.
fn decide(message: &ChatMessage, assign: bool) -> Result<Option<Dialect>, Refusal> {
    let data = match message {
        ChatMessage::InfoData(data) => data,
        ChatMessage::InfoChannel(_) | ChatMessage::InfoVoice(_) | ChatMessage::VstRequest(_) => {
            return Ok(Some(Dialect::Draft));
        }
        ChatMessage::Identify { .. }
        | ChatMessage::Resume { .. }
        | ChatMessage::Heartbeat { .. }
        | ChatMessage::UnknownInfo { .. }
        | ChatMessage::Unknown { .. } => return Ok(None),
    };
    let litecord = Dialect::Litecord { assign };
    match data.kind {
        // In every revision: make this channel.
        info::CHANNEL => Ok(None),
        3 if data.user_id.is_some() => Ok(Some(Dialect::Document)),
        3 | 4 => Ok(Some(litecord)),
        5 if data.names_a_session_alone() => Ok(Some(Dialect::Document)),
        kind => {
            let why = format!(
                "d.type {kind} means different things in the revisions of LVSP, and which one is \
                 spoken is not known yet: set the revision of this control client"
            );
            Err(Refusal { kind: Some(kind), why, field: Some("d.type".to_owned()) })
        }
    }
}

/// The refusal of a message that the session's revision does not have.
fn not_spoken(message: &ChatMessage) -> Refusal {
    match message {
        ChatMessage::InfoChannel(_) => missing_body("data", info::CHANNEL),
        ChatMessage::InfoVoice(_) => missing_body("data", info::VST),
        ChatMessage::InfoData(data) => missing_body("info", data.kind),
        ChatMessage::UnknownInfo { kind } => {
            Refusal::new(Some(*kind), format!("d.type {kind} is not known"))
        }
        ChatMessage::VstRequest(_) => {
            Refusal::new(None, "op 7 is not known in this revision: send INFO")
        }
        ChatMessage::Identify { .. } | ChatMessage::Resume { .. } => {
            Refusal::new(None, "already identified")
        }
        ChatMessage::Unknown { op } => Refusal::new(None, format!("op {op} is not known")),
        ChatMessage::Heartbeat { .. } => Refusal::new(None, "a heartbeat is no order"),
    }
}

fn missing_body(key: &str, kind: u32) -> Refusal {
    let error = WireError::Missing { field: format!("d.{key}") };
    Refusal::from_wire(Some(kind), &error)
}

// --- what the later revisions have in common ---

/// A field that this INFO type needs.
fn need<T>(data: &InfoData, value: Option<T>, key: &str) -> Result<T, Refusal> {
    value.ok_or_else(|| {
        let error = WireError::Missing { field: format!("d.data.{key}") };
        Refusal::from_wire(Some(data.kind), &error)
    })
}

fn set_channel(data: InfoData) -> Result<Command, Refusal> {
    let channel = need(&data, data.channel_id, "channel_id")?;
    let InfoData { guild_id: guild, bitrate, token, .. } = data;
    Ok(Command::SetChannel { channel, guild, bitrate, token })
}

fn destroy_channel(data: &InfoData) -> Result<Command, Refusal> {
    Ok(Command::DestroyChannel { channel: need(data, data.channel_id, "channel_id")? })
}

fn place(data: InfoData) -> Result<Command, Refusal> {
    let user = need(&data, data.user_id, "user_id")?;
    let channel = need(&data, data.channel_id, "channel_id")?;
    let InfoData { guild_id: guild, session_id, token, flags, .. } = data;
    Ok(Command::Place { user, channel, guild, session_id, token, flags })
}

fn set_flags(data: InfoData) -> Result<Command, Refusal> {
    let flags = data.flags;
    Ok(Command::SetFlags { target: target(data)?, flags })
}

fn remove(data: InfoData) -> Result<Command, Refusal> {
    Ok(Command::Remove { target: target(data)? })
}

fn target(data: InfoData) -> Result<Target, Refusal> {
    if data.session_id.is_none() {
        need(&data, data.user_id, "session_id")?;
    }
    let InfoData { session_id, user_id: user, guild_id: guild, channel_id: channel, .. } = data;
    Ok(Target { session_id, user, guild, channel })
}

fn unknown_kind(kind: u32) -> Refusal {
    let why = format!("d.type {kind} is not one that a chat server sends in this revision");
    Refusal { kind: Some(kind), why, field: Some("d.type".to_owned()) }
}

/// A channel in the later revisions.
fn channel_data(kind: u32, info: &ChannelInfo, token: Option<Secret>) -> ServerMessage {
    ServerMessage::InfoData(InfoData {
        channel_id: Some(info.id),
        guild_id: info.guild_id,
        bitrate: info.bitrate.filter(|_| !info.deleted),
        token,
        ..InfoData::new(kind)
    })
}

/// A voice state in the later revisions.
fn voice_data(kind: u32, voice: VoiceInfo) -> ServerMessage {
    ServerMessage::InfoData(InfoData {
        user_id: voice.user_id,
        channel_id: voice.channel_id,
        guild_id: voice.guild_id,
        session_id: Some(voice.session_id),
        token: voice.token,
        endpoint: voice.endpoint,
        flags: match voice.channel_id {
            Some(_) => VoiceFlagsUpdate::from(voice.flags),
            None => VoiceFlagsUpdate::default(),
        },
        reason: voice.reason,
        ..InfoData::new(kind)
    })
}
