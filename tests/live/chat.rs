//! The chat server: it knows who is to be where, as its database has it, and states that again
//! whenever the voice server has lost it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use lvsp_core::client::{ChatEvent, ChatServer, Role as _, Ticket};
use lvsp_core::ids::{ChannelId, GuildId, UserId};
use lvsp_core::time::Timestamp;
use lvsp_core::transport::TlsTrust;
use lvsp_core::wire::lvsp::{VoiceFlagsUpdate, VoiceInfo, VoiceRequest};
use lvsp_core::wire::secret::Secret;
use lvsp_mio::peers::Connection;
use lvsp_mio::{OsEntropy, clock};
use mio::{Registry, Token};

use crate::judge::Seat;
use crate::server::SECRET;

/// The guild of all channels.
pub(crate) const GUILD: GuildId = match GuildId::new(900) {
    Some(id) => id,
    None => panic!("ids count from 1"),
};
const BITRATE: u32 = 64_000;
/// From a lost connection to the next try.
const RETRY: Duration = Duration::from_millis(250);
/// How long a connection may take until READY.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the chat server passes on to its users.
pub(crate) enum ChatNews {
    /// Where a user's client is to connect, and with what.
    Ticket(Ticket, SocketAddr),
    /// A user is out of voice, though nobody asked for that.
    Out(UserId),
}

/// A voice state as the database has it.
struct State {
    channel: ChannelId,
    flags: VoiceFlagsUpdate,
    /// The session id and token of its call.
    call: Option<(Secret, Secret)>,
}

/// A connection to the voice server under way.
struct Link {
    role: ChatServer,
    connection: Connection,
    ready: bool,
    /// How well the voice server is, as it said last.
    health: f32,
    since: Timestamp,
}

/// The chat server.
pub(crate) struct Chat {
    control: SocketAddr,
    token: Token,
    states: BTreeMap<UserId, State>,
    /// Whose clients wait for a ticket.
    asked: BTreeSet<UserId>,
    link: Option<Link>,
    /// The session to take up again.
    session: Option<ChatServer>,
    again: Option<Timestamp>,
    news: Vec<ChatNews>,
    /// Orders that the voice server refused, in its words.
    pub(crate) refused: Vec<String>,
}

impl Chat {
    pub(crate) fn new(control: SocketAddr, token: Token) -> Self {
        Self {
            control,
            token,
            states: BTreeMap::new(),
            asked: BTreeSet::new(),
            link: None,
            session: None,
            again: Some(Timestamp::ZERO),
            news: Vec::new(),
            refused: Vec::new(),
        }
    }

    /// Whether orders can be given.
    pub(crate) fn is_ready(&self) -> bool {
        self.link.as_ref().is_some_and(|link| link.ready)
    }

    /// How well the voice server is, 0 to 1, as long as orders can be given.
    pub(crate) fn health(&self) -> Option<f32> {
        self.link.as_ref().filter(|link| link.ready).map(|link| link.health)
    }

    /// A channel is no longer this voice server's.
    pub(crate) fn give_up(&mut self, channel: ChannelId) {
        self.states.retain(|_, state| state.channel != channel);
    }

    /// A user's client wants to be in its channel, and needs a ticket.
    pub(crate) fn join(&mut self, seat: &Seat) {
        let flags = VoiceFlagsUpdate {
            mute: Some(seat.muted),
            deaf: Some(seat.deafened),
            ..VoiceFlagsUpdate::default()
        };
        let call = self.states.remove(&seat.user).and_then(|state| state.call);
        self.states.insert(seat.user, State { channel: seat.channel, flags, call });
        self.asked.insert(seat.user);
        self.place(seat.user);
    }

    /// Its process is killed: the kernel ends its connection, what was not in its database is
    /// forgotten. It is back after `away`.
    pub(crate) fn crash(&mut self, away: Duration) {
        self.link = None;
        self.session = None;
        self.again = Some(clock::now() + away);
    }

    // --- sockets ---

    /// Moves bytes both ways.
    pub(crate) fn serve(&mut self) {
        let Some(link) = &mut self.link else { return };
        let read = link.connection.read(&mut link.role);
        let mut ended = read.is_err();
        while let Some(event) = self.link.as_mut().and_then(|link| link.role.poll_event()) {
            ended |= matches!(event, ChatEvent::Closed { .. });
            self.hear(event);
        }
        let written = self.link.as_mut().map(|link| link.connection.write(&mut link.role));
        if ended || written.is_some_and(|written| written.is_err()) {
            self.lose();
        }
    }

    /// Does what is due.
    pub(crate) fn tick(&mut self, registry: &Registry, trust: &TlsTrust) -> Result<()> {
        let now = clock::now();
        if self.again.is_some_and(|at| at <= now) {
            self.again = None;
            self.connect(registry, trust)?;
        }
        let Some(link) = &mut self.link else { return Ok(()) };
        if !link.ready && now.since(link.since) > PATIENCE {
            self.lose();
            return Ok(());
        }
        link.role.handle_timeout(now);
        self.serve();
        Ok(())
    }

    /// What its users have to know.
    pub(crate) fn take_news(&mut self) -> Vec<ChatNews> {
        std::mem::take(&mut self.news)
    }

    fn connect(&mut self, registry: &Registry, trust: &TlsTrust) -> Result<()> {
        let host = self.control.ip().to_string();
        let tls = Some((trust, host.as_str()));
        let role = match self.session.take() {
            Some(mut role) => {
                role.reconnect(tls, &host, &mut OsEntropy)?;
                role
            }
            None => {
                let secret = Secret::new(SECRET.to_owned());
                ChatServer::connect(secret, true, tls, &host, &mut OsEntropy)?
            }
        };
        let since = clock::now();
        match Connection::open(self.control) {
            Ok(mut connection) => {
                connection.register(registry, self.token)?;
                self.link = Some(Link { role, connection, ready: false, health: 0.0, since });
            }
            Err(_) => {
                self.session = Some(role);
                self.again = Some(since + RETRY);
            }
        }
        Ok(())
    }

    fn lose(&mut self) {
        if let Some(link) = self.link.take() {
            self.session = Some(link.role);
            self.again = Some(clock::now() + RETRY);
        }
    }

    // --- orders and answers ---

    fn place(&mut self, user: UserId) {
        let Some(link) = self.link.as_mut().filter(|link| link.ready) else { return };
        let Some(state) = self.states.get(&user) else { return };
        let (session_id, token) = state.call.clone().unzip();
        link.role.set_channel(state.channel, Some(GUILD), BITRATE);
        link.role.place(VoiceRequest {
            guild_id: Some(GUILD),
            session_id,
            token,
            flags: state.flags,
            ..VoiceRequest::new(user, state.channel)
        });
    }

    fn hear(&mut self, event: ChatEvent) {
        match event {
            ChatEvent::Ready { health, .. } => {
                if let Some(link) = &mut self.link {
                    link.ready = true;
                    link.health = health;
                }
                // What was written last may not have arrived, so everything is stated again.
                for user in self.states.keys().copied().collect::<Vec<_>>() {
                    self.place(user);
                }
            }
            ChatEvent::VoiceState(info) => self.note_state(info),
            ChatEvent::Health(health) => {
                if let Some(link) = &mut self.link {
                    link.health = health;
                }
            }
            ChatEvent::Refused(words) => self.refused.push(words),
            ChatEvent::Channel(_) | ChatEvent::Closed { .. } | _ => {}
        }
    }

    fn note_state(&mut self, info: VoiceInfo) {
        let Some(user) = info.user_id else { return };
        let Some(state) = self.states.get_mut(&user) else { return };
        let known = state.call.as_ref();
        if info.reason.is_some() {
            let ours = known.is_some_and(|(id, _)| id.expose() == info.session_id.expose());
            if ours {
                self.states.remove(&user);
                self.news.push(ChatNews::Out(user));
            }
            return;
        }
        let endpoint = info.endpoint.and_then(|endpoint| endpoint.parse().ok());
        let (Some(token), Some(gateway)) = (info.token, endpoint) else { return };
        let session_id = info.session_id;
        let is_news = known.is_none_or(|(id, secret)| {
            id.expose() != session_id.expose() || secret.expose() != token.expose()
        });
        state.call = Some((session_id.clone(), token.clone()));
        if self.asked.remove(&user) || is_news {
            let ticket = Ticket { server_id: GUILD.as_u64(), user, session_id, token };
            self.news.push(ChatNews::Ticket(ticket, gateway));
        }
    }
}
