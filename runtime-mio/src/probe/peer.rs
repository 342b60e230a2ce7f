//! One TCP connection of a probe with its role, and how far it has come.

use std::io;
use std::net::SocketAddr;

use lvsp_core::client::{ChatEvent, ChatServer, Connected, Ticket, VoiceClient, VoiceEvent};
use lvsp_core::time::Timestamp;
use mio::{Registry, Token};

use crate::peers::Connection;

/// A role that tells a probe what it heard.
pub(super) trait Telling: Connected {
    /// Takes what happened, until there is nothing more.
    fn take_events(&mut self, news: &mut News);
}

/// What was heard of a server so far.
#[derive(Debug, Default)]
pub(super) struct News {
    /// READY has come, or a Session Description.
    pub(super) ready: bool,
    /// Voice states with what their clients need, and where those connect.
    pub(super) placed: Vec<(Ticket, String)>,
    /// Frames of others.
    pub(super) frames: Vec<Vec<u8>>,
    /// An order was refused.
    pub(super) refused: Option<String>,
    /// The connection ended, with this close code if any.
    pub(super) ended: Option<Option<u16>>,
}

/// A role with its connection.
pub(super) struct Peer<R> {
    pub(super) role: R,
    pub(super) connection: Connection,
    pub(super) news: News,
    /// What the operating system says of the connection.
    pub(super) broken: Option<io::Error>,
}

impl<R: Telling> Peer<R> {
    /// Begins to connect.
    pub(super) fn open(
        role: R,
        address: SocketAddr,
        registry: &Registry,
        token: Token,
    ) -> io::Result<Self> {
        let mut connection = Connection::open(address)?;
        connection.register(registry, token)?;
        Ok(Self { role, connection, news: News::default(), broken: None })
    }

    /// Reads, does what is due and writes.
    pub(super) fn turn(&mut self, now: Timestamp) {
        let Self { role, connection, news, broken, .. } = self;
        if broken.is_some() || news.ended.is_some() {
            return;
        }
        let mut carry = || {
            if !connection.is_connected()? {
                return Ok(());
            }
            connection.read(role)?;
            if role.poll_timeout().is_some_and(|due| due <= now) {
                role.handle_timeout(now);
            }
            connection.write(role)
        };
        let carried = carry();
        role.take_events(news);
        // What was said before the connection broke says more than how it broke.
        if let Err(error) = carried
            && news.ended.is_none()
        {
            *broken = Some(error);
        }
    }

    /// Whether nothing more will come.
    pub(super) const fn is_over(&self) -> bool {
        self.broken.is_some() || self.news.ended.is_some()
    }
}

impl Telling for ChatServer {
    fn take_events(&mut self, news: &mut News) {
        while let Some(event) = self.poll_event() {
            match event {
                ChatEvent::Ready { .. } => news.ready = true,
                ChatEvent::VoiceState(info) => {
                    if let (Some(user), Some(channel), Some(token), Some(endpoint)) =
                        (info.user_id, info.channel_id, info.token, info.endpoint)
                    {
                        let (server_id, session_id) = (channel.as_u64(), info.session_id);
                        news.placed.push((Ticket { server_id, user, session_id, token }, endpoint));
                    }
                }
                ChatEvent::Refused(why) => news.refused = Some(why),
                ChatEvent::Closed { code } => news.ended = Some(code),
                ChatEvent::Channel(_) | _ => {}
            }
        }
    }
}

impl Telling for VoiceClient {
    fn take_events(&mut self, news: &mut News) {
        while let Some(event) = self.poll_event() {
            match event {
                VoiceEvent::Connected { .. } => news.ready = true,
                VoiceEvent::Frame(frame) => news.frames.push(frame.payload),
                VoiceEvent::Closed { code } => news.ended = Some(code),
                VoiceEvent::Resumed
                | VoiceEvent::Speaking { .. }
                | VoiceEvent::ClientsConnect(_)
                | VoiceEvent::ClientDisconnect(_)
                | VoiceEvent::Unreachable
                | _ => {}
            }
        }
    }
}
