//! The chat server of a swarm: it states channels and places members, and ends the calls.

use std::io;

use anyhow::{Context, Result, bail};
use lvsp_core::client::{ChatEvent, ChatServer, Connected as _, Role as _, Ticket};
use lvsp_core::ids::{ChannelId, GuildId, UserId};
use lvsp_core::reasons::CloseReason;
use lvsp_core::time::Timestamp;
use lvsp_core::wire::close;
use lvsp_core::wire::lvsp::{VoiceFlagsUpdate, VoiceInfo, VoiceRequest};
use mio::{Registry, Token};

use super::door::Door;
use crate::entropy::OsEntropy;
use crate::peers::Connection;

/// Ids count from these. No snowflake of today is as small.
const GUILD: u64 = 8_100_000_000;
const CHANNELS: u64 = 8_200_000_000;
const USERS: u64 = 8_300_000_000;
const BITRATE: u32 = 64_000;

/// A member that may connect.
pub(super) struct Placed {
    pub(super) member: usize,
    pub(super) ticket: Ticket,
    /// Where to, as `host:port`.
    pub(super) endpoint: String,
}

/// A control session.
pub(super) struct Chat {
    role: ChatServer,
    connection: Connection,
    ready: bool,
}

impl Chat {
    /// Begins to connect.
    pub(super) fn connect(door: &Door, registry: &Registry, token: Token) -> Result<Self> {
        let tls = door.tls(&door.host);
        let secret = door.secret.clone();
        let role = ChatServer::connect(secret, true, tls, &door.host, &mut OsEntropy)
            .context("--control")?;
        let mut connection = Connection::open(door.control).map_err(|error| absent(door, error))?;
        connection.register(registry, token)?;
        let mut chat = Self { role, connection, ready: false };
        chat.write(door)?;
        Ok(chat)
    }

    /// Whether orders may be given.
    pub(super) const fn is_ready(&self) -> bool {
        self.ready
    }

    pub(super) fn has_to_write(&self) -> bool {
        !self.role.outbound().is_empty()
    }

    /// States so many channels.
    pub(super) fn state_channels(&mut self, count: usize) {
        for channel in (0..count).filter_map(channel_id) {
            self.role.set_channel(channel, GuildId::new(GUILD), BITRATE);
        }
    }

    /// Ends so many channels and their calls.
    pub(super) fn end_channels(&mut self, count: usize) {
        for channel in (0..count).filter_map(channel_id) {
            self.role.destroy_channel(channel);
        }
    }

    /// Asks for a member's place, among the speakers or the audience of a stage.
    pub(super) fn place(&mut self, member: usize, channel: usize, is_audience: bool) {
        let user = UserId::new(USERS + member as u64);
        let (Some(user_id), Some(channel_id)) = (user, channel_id(channel)) else { return };
        self.role.place(VoiceRequest {
            guild_id: GuildId::new(GUILD),
            flags: VoiceFlagsUpdate {
                suppress: is_audience.then_some(true),
                ..VoiceFlagsUpdate::default()
            },
            ..VoiceRequest::new(user_id, channel_id)
        });
    }

    /// Does what is due.
    pub(super) fn tick(&mut self, now: Timestamp, door: &Door) -> Result<()> {
        if self.role.poll_timeout().is_some_and(|due| due <= now) {
            self.role.handle_timeout(now);
        }
        self.write(door)
    }

    pub(super) fn write(&mut self, door: &Door) -> Result<()> {
        self.connection.write(&mut self.role).map_err(|error| absent(door, error))
    }

    /// Takes what arrived: members that were placed.
    pub(super) fn read(&mut self, door: &Door) -> Result<Vec<Placed>> {
        self.connection.read(&mut self.role).map_err(|error| absent(door, error))?;
        let mut placed = Vec::new();
        while let Some(event) = self.role.poll_event() {
            match event {
                ChatEvent::Ready { .. } => self.ready = true,
                ChatEvent::VoiceState(info) => placed.extend(self::placed(info)),
                ChatEvent::Refused(why) => bail!("the server refused an order: {why}"),
                ChatEvent::Closed { code: Some(close::CONTROL_GENERAL) } if !self.ready => bail!(
                    "another chat server, probe or load is connected to {} under this secret: add \
                     a [[control.client]] with a name and a secret of its own to the server's \
                     configuration, and give that secret here",
                    door.control
                ),
                ChatEvent::Closed { code } => bail!("{}", ending(door, code, self.role.failure())),
                ChatEvent::Channel(_) | _ => {}
            }
        }
        Ok(placed)
    }
}

/// Why the control connection ended, in words.
fn ending(door: &Door, code: Option<u16>, failure: Option<CloseReason>) -> String {
    let Door { control, host, .. } = door;
    match (code, failure) {
        (Some(close::CONTROL_AUTHENTICATION_FAILED), _) => format!(
            "the server at {control} refused the secret: it must be that of control.secret in the \
             server's configuration"
        ),
        (Some(code), _) => format!("the server at {control} closed with code {code}"),
        (None, Some(CloseReason::TlsFailed)) => format!(
            "the certificate of {control} is not trusted: --ca must be the authority that signed \
             it, and it must be for {host:?}: --name gives another name than that of --control"
        ),
        (None, Some(reason)) => format!(
            "no control connection to {control}: {}; does this port speak TLS (--ca) or not \
             (--plain)?",
            reason.name()
        ),
        (None, None) => format!(
            "the server at {control} ended the connection; does this port speak TLS (--ca) or not \
             (--plain), and is it that of control.listen?"
        ),
    }
}

fn absent(door: &Door, error: io::Error) -> anyhow::Error {
    anyhow::Error::new(error).context(format!(
        "cannot reach the server at {} (--control): is it running, and is that its control.listen?",
        door.control
    ))
}

fn channel_id(channel: usize) -> Option<ChannelId> {
    ChannelId::new(CHANNELS + channel as u64)
}

/// The ticket in a voice state, if it is one of ours and came with one.
fn placed(info: VoiceInfo) -> Option<Placed> {
    let user = info.user_id?;
    let member = usize::try_from(user.as_u64().checked_sub(USERS)?).ok()?;
    let (token, endpoint) = (info.token?, info.endpoint?);
    let ticket = Ticket { server_id: GUILD, user, session_id: info.session_id, token };
    Some(Placed { member, ticket, endpoint })
}
