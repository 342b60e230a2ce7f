//! The chat server's side of LVSP, draft revision.
//!
//! ```text
//! connect ─▶ HELLO ─▶ IDENTIFY (or RESUME, after reconnect) ─▶ READY ─▶ orders, INFO, heartbeats
//! ```

use std::collections::VecDeque;

use crate::crypto::auth;
use crate::entropy::Entropy;
use crate::ids::{ChannelId, GuildId, UserId};
use crate::time::Timestamp;
use crate::transport::{TlsError, TlsTrust};
use crate::wire::lvsp::{
    ChannelInfo, ChatMessage, FEATURE_ERRORS, Place, ServerMessage, VoiceFlagsUpdate, VoiceInfo,
    VoiceRequest, VoiceUpdate,
};
use crate::wire::secret::Secret;

use super::JSON_DEPTH;
use super::role::sealed::{Connection, ConnectionEvent, Machine};

/// What a voice server said.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ChatEvent {
    /// Orders may be given.
    Ready {
        /// Whether everything missed has arrived before.
        resumed: bool,
        /// How well the voice server is, 0 to 1.
        health: f32,
    },
    /// How well the voice server is by now, 0 to 1.
    Health(f32),
    /// A channel as it is in force.
    Channel(ChannelInfo),
    /// A voice state as it is in force; without a channel it is gone.
    VoiceState(VoiceInfo),
    /// An order was refused.
    Refused(String),
    /// The connection ended.
    Closed {
        /// The close code, if there was a close frame.
        code: Option<u16>,
    },
}

/// Where a voice server takes control connections.
const TARGET: &str = "/";

/// A chat server's control session. [`Role`](super::Role) moves its bytes.
#[derive(Debug)]
pub struct ChatServer {
    connection: Connection,
    secret: Secret,
    /// Answer HELLO's nonce with an HMAC instead of the secret itself.
    hmac: bool,
    session: Option<Secret>,
    /// The newest number that arrived.
    seq: u64,
    events: VecDeque<ChatEvent>,
}

impl ChatServer {
    /// Begins a connection to a voice server. `tls` is what to trust and the server's name;
    /// `None` speaks plain TCP.
    ///
    /// # Errors
    /// When the trust or the name cannot be used.
    pub fn connect(
        secret: Secret,
        hmac: bool,
        tls: Option<(&TlsTrust, &str)>,
        host: &str,
        entropy: &mut (dyn Entropy + Send),
    ) -> Result<Self, TlsError> {
        let connection = Connection::open(tls, host, TARGET, entropy)?;
        Ok(Self { connection, secret, hmac, session: None, seq: 0, events: VecDeque::new() })
    }

    /// Begins a new connection that takes the session up again.
    ///
    /// # Errors
    /// When the trust or the name cannot be used.
    pub fn reconnect(
        &mut self,
        tls: Option<(&TlsTrust, &str)>,
        host: &str,
        entropy: &mut (dyn Entropy + Send),
    ) -> Result<(), TlsError> {
        self.connection = Connection::open(tls, host, TARGET, entropy)?;
        Ok(())
    }

    /// Creates a channel or changes it.
    pub fn set_channel(&mut self, id: ChannelId, guild_id: Option<GuildId>, bitrate: u32) {
        let bitrate = Some(bitrate);
        self.say(&ChatMessage::InfoChannel(ChannelInfo { id, guild_id, bitrate, deleted: false }));
    }

    /// Ends a channel and its calls.
    pub fn destroy_channel(&mut self, id: ChannelId) {
        let info = ChannelInfo { id, guild_id: None, bitrate: None, deleted: true };
        self.say(&ChatMessage::InfoChannel(info));
    }

    /// Places a user in a channel, or moves it there. The answer is a [`ChatEvent::VoiceState`]
    /// with what the voice client needs.
    pub fn place(&mut self, request: VoiceRequest) {
        self.say(&ChatMessage::VstRequest(request));
    }

    /// Changes what a user may do.
    pub fn set_flags(&mut self, user: UserId, channel: ChannelId, flags: VoiceFlagsUpdate) {
        self.update(user, Place::In(channel), flags);
    }

    /// Removes a user from every channel.
    pub fn remove(&mut self, user: UserId) {
        self.update(user, Place::Gone, VoiceFlagsUpdate::default());
    }

    fn update(&mut self, user: UserId, channel_id: Place, flags: VoiceFlagsUpdate) {
        self.say(&ChatMessage::InfoVoice(VoiceUpdate {
            user_id: Some(user),
            channel_id,
            guild_id: None,
            session_id: None,
            flags,
        }));
    }

    /// What the voice server said.
    pub fn poll_event(&mut self) -> Option<ChatEvent> {
        self.events.pop_front()
    }

    fn say(&mut self, message: &ChatMessage) {
        self.connection.say(&message.encode());
    }

    fn hear(&mut self, now: Timestamp, text: &str) {
        let Ok((message, s)) = ServerMessage::parse(text, JSON_DEPTH) else { return };
        self.seq = s.unwrap_or(self.seq);
        match message {
            ServerMessage::Hello { heartbeat_interval_ms, nonce } => {
                self.connection.begin_heartbeats(now, heartbeat_interval_ms);
                self.introduce(&nonce);
            }
            ServerMessage::Ready { health, session, resumed } => {
                if !resumed && self.session.is_none() {
                    self.seq = 0;
                }
                self.session = Some(session);
                self.events.push_back(ChatEvent::Ready { resumed, health });
            }
            ServerMessage::InfoChannel(info) => self.events.push_back(ChatEvent::Channel(info)),
            ServerMessage::InfoVoice(info) => self.events.push_back(ChatEvent::VoiceState(info)),
            ServerMessage::InfoError(error) => {
                self.events.push_back(ChatEvent::Refused(error.message));
            }
            ServerMessage::HeartbeatAck { health, .. } => {
                self.events.push_back(ChatEvent::Health(health));
            }
            ServerMessage::InfoData(_)
            | ServerMessage::UnknownInfo { .. }
            | ServerMessage::Unknown { .. } => {}
        }
    }

    fn introduce(&mut self, nonce: &str) {
        let token = if self.hmac {
            Secret::new(auth::hmac_token(self.secret.expose(), nonce))
        } else {
            self.secret.clone()
        };
        let features = vec![FEATURE_ERRORS.to_owned()];
        let message = match &self.session {
            None => ChatMessage::Identify { token, features },
            Some(session) => {
                let session = Some(session.clone());
                ChatMessage::Resume { token, seq: Some(self.seq), session, features }
            }
        };
        self.say(&message);
    }
}

impl Machine for ChatServer {
    fn connection(&self) -> &Connection {
        &self.connection
    }

    fn connection_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }

    fn take(&mut self, now: Timestamp, event: ConnectionEvent) {
        match event {
            // The server speaks first.
            ConnectionEvent::Opened => {}
            ConnectionEvent::Message(text) => self.hear(now, &text),
            ConnectionEvent::Closed { code } => self.events.push_back(ChatEvent::Closed { code }),
        }
    }

    fn say_heartbeat(&mut self, _now: Timestamp) {
        self.say(&ChatMessage::Heartbeat { s: self.seq });
    }
}
