//! The chat server's side of LVSP, draft revision.
//!
//! ```text
//! connect ─▶ HELLO ─▶ IDENTIFY (or RESUME, after reconnect) ─▶ READY ─▶ orders, INFO, heartbeats
//! ```

use std::collections::VecDeque;
use std::time::Duration;

use crate::crypto::auth;
use crate::entropy::Entropy;
use crate::ids::{ChannelId, GuildId, UserId};
use crate::reasons::CloseReason;
use crate::time::Timestamp;
use crate::transport::{Stage, TlsError, TlsFailure, TlsTrust, Transport, TransportEvent};
use crate::wire::lvsp::{
    ChannelInfo, ChatMessage, FEATURE_ERRORS, Place, ServerMessage, VoiceFlagsUpdate, VoiceInfo,
    VoiceRequest, VoiceUpdate,
};
use crate::wire::secret::Secret;

use super::{JSON_DEPTH, transport_config};

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

/// A chat server's control session.
#[derive(Debug)]
pub struct ChatServer {
    transport: Transport,
    secret: Secret,
    /// Answer HELLO's nonce with an HMAC instead of the secret itself.
    hmac: bool,
    session: Option<Secret>,
    /// The newest number that arrived.
    seq: u64,
    heartbeat: Option<(Timestamp, Duration)>,
    events: VecDeque<ChatEvent>,
    /// Why this side ended the newest connection, if it did.
    failure: Option<CloseReason>,
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
        let transport = Transport::connect(tls, host, "/", entropy.bytes(), transport_config())?;
        let events = VecDeque::new();
        let (session, heartbeat, failure) = (None, None, None);
        Ok(Self { transport, secret, hmac, session, seq: 0, heartbeat, events, failure })
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
        self.transport = Transport::connect(tls, host, "/", entropy.bytes(), transport_config())?;
        self.heartbeat = None;
        self.failure = None;
        Ok(())
    }

    // --- inputs ---

    /// Takes bytes of the TCP connection.
    pub fn handle_bytes(&mut self, now: Timestamp, bytes: &[u8]) {
        self.transport.handle_bytes(bytes);
        self.take_events(now);
    }

    /// Takes the end of the TCP connection.
    pub fn handle_eof(&mut self, now: Timestamp) {
        self.transport.handle_eof();
        self.take_events(now);
    }

    /// Sends a heartbeat when one is due.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        if let Some((at, interval)) = self.heartbeat
            && at <= now
        {
            self.heartbeat = Some((now + interval, interval));
            self.say(&ChatMessage::Heartbeat { s: self.seq });
        }
    }

    // --- orders ---

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

    // --- outputs ---

    /// Bytes to write to the TCP connection.
    #[must_use]
    pub fn outbound(&self) -> &[u8] {
        self.transport.outbound()
    }

    /// Says that the first `written` of them were written.
    pub fn consume(&mut self, written: usize) {
        self.transport.consume(written);
    }

    /// When [`Self::handle_timeout`] should be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        self.heartbeat.map(|(at, _)| at)
    }

    /// Why this side ended the newest connection, if it did: a certificate that is not trusted, say.
    #[must_use]
    pub const fn failure(&self) -> Option<CloseReason> {
        self.failure
    }

    /// Why TLS failed, when that is [`Self::failure`].
    #[must_use]
    pub fn tls_failure(&self) -> Option<&TlsFailure> {
        self.transport.tls_failure()
    }

    /// How far the newest connection has come.
    #[must_use]
    pub fn stage(&self) -> Stage {
        self.transport.stage()
    }

    /// Whether the server has said HELLO on the newest connection.
    #[must_use]
    pub const fn is_greeted(&self) -> bool {
        self.heartbeat.is_some()
    }

    /// What the voice server said.
    pub fn poll_event(&mut self) -> Option<ChatEvent> {
        self.events.pop_front()
    }

    fn say(&mut self, message: &ChatMessage) {
        self.transport.send_text(&message.encode());
    }

    fn take_events(&mut self, now: Timestamp) {
        while let Some(event) = self.transport.poll_event() {
            match event {
                TransportEvent::Text(text) => self.hear(now, &text),
                TransportEvent::Closed { code } => self.close(code),
                TransportEvent::Failed(reason) => {
                    self.failure = Some(reason);
                    self.close(None);
                }
                TransportEvent::Client(_)
                | TransportEvent::Opened { .. }
                | TransportEvent::Binary(_)
                | TransportEvent::Pong => {}
            }
        }
    }

    fn close(&mut self, code: Option<u16>) {
        self.heartbeat = None;
        self.events.push_back(ChatEvent::Closed { code });
    }

    fn hear(&mut self, now: Timestamp, text: &str) {
        let Ok((message, s)) = ServerMessage::parse(text, JSON_DEPTH) else { return };
        self.seq = s.unwrap_or(self.seq);
        match message {
            ServerMessage::Hello { heartbeat_interval_ms, nonce } => {
                let interval = Duration::from_millis(heartbeat_interval_ms);
                self.heartbeat = Some((now + interval, interval));
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
                ChatMessage::Resume { token, seq: self.seq, session, features }
            }
        };
        self.say(&message);
    }
}
