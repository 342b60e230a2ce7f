//! A voice client: the gateway from Identify to Resume, and the UDP session behind it.
//!
//! ```text
//! connect ─▶ Identify ─▶ Ready ─▶ discovery ─▶ Select Protocol ─▶ Session Description ─▶ Connected
//! reconnect ─▶ Resume ─▶ Resumed (same SSRC, key and counters)
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use crate::crypto::mode::Mode;
use crate::entropy::Entropy;
use crate::ids::{Ssrc, UserId};
use crate::time::Timestamp;
use crate::transport::{TlsError, TlsTrust};
use crate::wire::discovery;
use crate::wire::gateway::{ClientMessage, HeartbeatNonce, ServerMessage, Version};
use crate::wire::secret::Secret;

use super::JSON_DEPTH;
use super::role::sealed::{Connection, ConnectionEvent, Machine};
use super::voice_media::{Frame, Media};

const DISCOVERY_INTERVAL: Duration = Duration::from_secs(1);
const DISCOVERY_TRIES: u32 = 10;

/// What a voice client needs to connect: the chat server passes it on.
#[derive(Clone, Debug)]
pub struct Ticket {
    /// The guild's id, or the channel's in a call without one.
    pub server_id: u64,
    /// Who connects.
    pub user: UserId,
    /// The voice state's session id.
    pub session_id: Secret,
    /// The voice state's token.
    pub token: Secret,
}

/// What happened to a voice client.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum VoiceEvent {
    /// It has a key: frames may be sent and arrive.
    Connected {
        /// Its own number.
        ssrc: Ssrc,
    },
    /// The session goes on over the new connection.
    Resumed,
    /// Somebody's speaking flags.
    Speaking {
        /// Who.
        user: UserId,
        /// That user's number.
        ssrc: Ssrc,
        /// The flags.
        flags: u8,
    },
    /// These users are present.
    ClientsConnect(Vec<UserId>),
    /// This user is gone.
    ClientDisconnect(UserId),
    /// Audio.
    Frame(Frame),
    /// The server does not answer discovery requests.
    Unreachable,
    /// The gateway connection ended; [`VoiceClient::reconnect`] may resume.
    Closed {
        /// The close code, if there was a close frame.
        code: Option<u16>,
    },
}

/// How a session's numbered messages arrived: each number should come once and in order, over
/// resumes as well.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Numbering {
    /// Messages that carried a number.
    pub arrived: u64,
    /// Numbers that were skipped.
    pub missed: u64,
    /// Messages that came with a number of earlier ones.
    pub repeated: u64,
}

impl Numbering {
    /// Holds a number against the newest one; what is the newest then. Numbers begin with 1, and
    /// 1 follows the largest.
    fn note(&mut self, newest: Option<u16>, seq: u16) -> u16 {
        self.arrived += 1;
        let expected = newest.unwrap_or(0).checked_add(1).unwrap_or(1);
        let ahead = seq.wrapping_sub(expected);
        // Half of the numbers lie ahead of the expected one, half behind it.
        if ahead < 0x8000 {
            self.missed += u64::from(ahead);
            return seq;
        }
        self.repeated += 1;
        newest.unwrap_or(0)
    }
}

#[derive(Debug)]
struct Discovery {
    tries: u32,
    again: Timestamp,
}

/// One voice client. [`Role`](super::Role) moves its bytes and datagrams.
#[derive(Debug)]
pub struct VoiceClient {
    ticket: Ticket,
    version: Version,
    mode: Mode,
    connection: Connection,
    resuming: bool,
    /// Where RTP sequence and timestamp begin.
    start: (u16, u32),
    ssrc: Ssrc,
    server: Option<SocketAddr>,
    /// As the server sees it.
    address: Option<SocketAddr>,
    discovery: Option<Discovery>,
    media: Option<Media>,
    users: BTreeMap<u32, UserId>,
    /// The newest number that arrived.
    seq: Option<u16>,
    numbering: Numbering,
    transmits: VecDeque<(SocketAddr, Vec<u8>)>,
    events: VecDeque<VoiceEvent>,
}

impl VoiceClient {
    /// Begins a connection to the voice gateway. `tls` is what to trust and the server's name;
    /// `None` speaks plain TCP.
    ///
    /// # Errors
    /// When the trust or the name cannot be used.
    pub fn connect(
        ticket: Ticket,
        version: Version,
        mode: Mode,
        tls: Option<(&TlsTrust, &str)>,
        host: &str,
        entropy: &mut (dyn Entropy + Send),
    ) -> Result<Self, TlsError> {
        let [a, b] = entropy.bytes();
        Ok(Self {
            ticket,
            version,
            mode,
            connection: open(version, tls, host, entropy)?,
            resuming: false,
            start: (u16::from_be_bytes([a, b]), entropy.u32()),
            ssrc: Ssrc(0),
            server: None,
            address: None,
            discovery: None,
            media: None,
            users: BTreeMap::new(),
            seq: None,
            numbering: Numbering::default(),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
        })
    }

    /// Begins a new connection that takes the session up again, with its key and counters.
    ///
    /// # Errors
    /// When the trust or the name cannot be used.
    pub fn reconnect(
        &mut self,
        tls: Option<(&TlsTrust, &str)>,
        host: &str,
        entropy: &mut (dyn Entropy + Send),
    ) -> Result<(), TlsError> {
        self.connection = open(self.version, tls, host, entropy)?;
        self.resuming = true;
        Ok(())
    }

    /// Says which speaking flags hold.
    pub fn set_speaking(&mut self, flags: u8) {
        self.say(&ClientMessage::Speaking { flags, ssrc: Some(self.ssrc.0) });
    }

    /// Sends an Opus frame of [`FRAME_INTERVAL`](super::FRAME_INTERVAL). Nothing happens before [`VoiceEvent::Connected`].
    pub fn send_frame(&mut self, opus: &[u8]) {
        if let (Some(media), Some(server)) = (&mut self.media, self.server)
            && let Some(packet) = media.seal(opus)
        {
            self.transmits.push_back((server, packet));
        }
    }

    /// How the numbered messages of this session arrived so far.
    #[must_use]
    pub const fn numbering(&self) -> Numbering {
        self.numbering
    }

    /// Where media is sent to, once Ready has told.
    #[must_use]
    pub const fn media_address(&self) -> Option<SocketAddr> {
        self.server
    }

    /// The address of this client as the server sees its datagrams, once discovery has told.
    #[must_use]
    pub const fn discovered_address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// What happened.
    pub fn poll_event(&mut self) -> Option<VoiceEvent> {
        self.events.pop_front()
    }

    fn say(&mut self, message: &ClientMessage) {
        self.connection.say(&message.encode(self.version));
    }

    fn discover(&mut self, now: Timestamp) {
        let (Some(discovery), Some(server)) = (&mut self.discovery, self.server) else { return };
        if discovery.tries == DISCOVERY_TRIES {
            self.discovery = None;
            return self.events.push_back(VoiceEvent::Unreachable);
        }
        discovery.tries += 1;
        discovery.again = now + DISCOVERY_INTERVAL;
        let mut request = [0; discovery::LEN];
        discovery::write_request(&mut request, self.ssrc);
        self.transmits.push_back((server, request.to_vec()));
    }

    /// Identifies or resumes, at once: no library waits for Hello.
    fn introduce(&mut self) {
        let Ticket { server_id, user, session_id, token } = self.ticket.clone();
        let message = if self.resuming {
            let seq_ack = self.seq;
            ClientMessage::Resume { server_id, channel_id: None, session_id, token, seq_ack }
        } else {
            ClientMessage::Identify {
                server_id,
                channel_id: None,
                user_id: user,
                session_id,
                token,
                max_dave_protocol_version: 0,
            }
        };
        self.say(&message);
    }

    fn hear(&mut self, now: Timestamp, text: &str) {
        let Ok((message, seq)) = ServerMessage::parse(text, JSON_DEPTH) else { return };
        if let Some(seq) = seq {
            self.seq = Some(self.numbering.note(self.seq, seq));
        }
        match message {
            ServerMessage::Hello { heartbeat_interval_ms, .. } => {
                self.connection.begin_heartbeats(now, heartbeat_interval_ms);
            }
            ServerMessage::Ready { ssrc, ip, port, .. } => {
                self.ssrc = ssrc;
                self.server = Some(SocketAddr::from((ip, port)));
                self.discovery = Some(Discovery { tries: 0, again: now });
                self.discover(now);
            }
            ServerMessage::SessionDescription { mode, secret_key, .. } => {
                let mode = Mode::from_name(&mode).unwrap_or(self.mode);
                self.media = Media::new(mode, *secret_key.expose(), self.ssrc, self.start);
                self.events.push_back(VoiceEvent::Connected { ssrc: self.ssrc });
            }
            ServerMessage::Speaking { user_id, ssrc, flags } => {
                self.users.insert(ssrc.0, user_id);
                self.events.push_back(VoiceEvent::Speaking { user: user_id, ssrc, flags });
            }
            ServerMessage::Resumed => self.events.push_back(VoiceEvent::Resumed),
            ServerMessage::ClientsConnect { user_ids } => {
                self.events.push_back(VoiceEvent::ClientsConnect(user_ids));
            }
            ServerMessage::ClientDisconnect { user_id } => {
                self.users.retain(|_, user| *user != user_id);
                self.events.push_back(VoiceEvent::ClientDisconnect(user_id));
            }
            ServerMessage::HeartbeatAck { .. }
            | ServerMessage::BackendVersion { .. }
            | ServerMessage::Unknown { .. } => {}
        }
    }
}

impl Machine for VoiceClient {
    fn connection(&self) -> &Connection {
        &self.connection
    }

    fn connection_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }

    fn take(&mut self, now: Timestamp, event: ConnectionEvent) {
        match event {
            ConnectionEvent::Opened => self.introduce(),
            ConnectionEvent::Message(text) => self.hear(now, &text),
            ConnectionEvent::Closed { code } => {
                self.discovery = None;
                self.events.push_back(VoiceEvent::Closed { code });
            }
        }
    }

    fn say_heartbeat(&mut self, now: Timestamp) {
        let nonce = HeartbeatNonce::from_u64(now.as_micros() / 1_000);
        self.say(&ClientMessage::Heartbeat { nonce, seq_ack: self.seq });
    }

    /// Asks again where it is.
    fn repeat(&mut self, now: Timestamp) {
        if self.repeats_at().is_some_and(|at| at <= now) {
            self.discover(now);
        }
    }

    fn repeats_at(&self) -> Option<Timestamp> {
        self.discovery.as_ref().map(|discovery| discovery.again)
    }

    fn take_datagram(&mut self, packet: &mut [u8]) {
        if let Some(media) = &self.media {
            if let Some(mut frame) = media.open(packet) {
                frame.user = self.users.get(&frame.ssrc.0).copied();
                self.events.push_back(VoiceEvent::Frame(frame));
            }
        } else if let Some((ssrc, address)) = discovery::parse_response(packet)
            && ssrc == self.ssrc
            && self.discovery.take().is_some()
        {
            self.address = Some(address);
            self.say(&ClientMessage::SelectProtocol {
                protocol: "udp".to_owned(),
                address: Some(address.ip().to_string()),
                port: Some(address.port()),
                mode: Some(self.mode.name().to_owned()),
            });
        }
    }

    fn next_datagram(&mut self) -> Option<(SocketAddr, Vec<u8>)> {
        self.transmits.pop_front()
    }
}

fn open(
    version: Version,
    tls: Option<(&TlsTrust, &str)>,
    host: &str,
    entropy: &mut (dyn Entropy + Send),
) -> Result<Connection, TlsError> {
    Connection::open(tls, host, &format!("/?v={}", version.number()), entropy)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Missed and repeated numbers among these.
    fn irregular(numbers: &[u16]) -> (u64, u64) {
        let mut numbering = Numbering::default();
        let mut newest = None;
        for seq in numbers {
            newest = Some(numbering.note(newest, *seq));
        }
        assert_eq!(numbering.arrived, numbers.len() as u64);
        (numbering.missed, numbering.repeated)
    }

    #[test]
    fn skipped_and_repeated_numbers_are_counted() {
        assert_eq!(irregular(&[1, 2, 3]), (0, 0));
        assert_eq!(irregular(&[2, 3]), (1, 0));
        assert_eq!(irregular(&[1, 2, 5, 6]), (2, 0));
        assert_eq!(irregular(&[1, 2, 3, 2, 3, 4]), (0, 2));
        let wrap: Vec<u16> = (1..=u16::MAX).chain([1, 2]).collect();
        assert_eq!(irregular(&wrap), (0, 0));
    }
}
