//! A chat server and a voice client on blocking sockets, one at a time: what the examples call
//! with. `lvsp_core::client` has the roles; here are only their sockets.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use lvsp_core::client::{ChatEvent, ChatServer, Role as _, Ticket, VoiceClient, VoiceEvent};
use lvsp_core::crypto::mode::Mode;
use lvsp_core::ids::{ChannelId, UserId};
use lvsp_core::time::Timestamp;
use lvsp_core::wire::gateway::Version;
use lvsp_core::wire::lvsp::VoiceRequest;
use lvsp_core::wire::secret::Secret;

use super::OsEntropy;

/// How long a read waits for something to come.
const LOOK: Duration = Duration::from_millis(2);
/// How long a step of a call may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Why a call did not come about, in words.
pub type Failure = String;

fn words(error: impl std::fmt::Display) -> Failure {
    error.to_string()
}

fn dial(address: SocketAddr) -> Result<TcpStream, Failure> {
    let stream = TcpStream::connect(address).map_err(words)?;
    stream.set_nodelay(true).map_err(words)?;
    stream.set_read_timeout(Some(LOOK)).map_err(words)?;
    Ok(stream)
}

/// What there is to read after a moment; the end of the connection is a failure.
fn read(stream: &mut TcpStream) -> Result<Vec<u8>, Failure> {
    let mut buffer = vec![0; 16_384];
    match stream.read(&mut buffer) {
        Ok(0) => Err("the server ended the connection".to_owned()),
        Ok(length) => {
            buffer.truncate(length);
            Ok(buffer)
        }
        Err(error) if is_nothing_yet(&error) => Ok(Vec::new()),
        Err(error) => Err(words(error)),
    }
}

fn is_nothing_yet(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// Has a chat server place a user: what the voice client needs, and where it connects.
pub fn place(
    control: SocketAddr,
    secret: &str,
    user: UserId,
    channel: ChannelId,
) -> Result<(Ticket, SocketAddr), Failure> {
    let until = Instant::now() + PATIENCE;
    let secret = Secret::from(secret);
    let mut chat =
        ChatServer::connect(secret, true, None, "localhost", &mut OsEntropy).map_err(words)?;
    let mut link = dial(control)?;
    while Instant::now() < until {
        let written = link.write(chat.outbound()).map_err(words)?;
        chat.consume(written);
        chat.handle_bytes(Timestamp::ZERO, &read(&mut link)?);
        match chat.poll_event() {
            Some(ChatEvent::Ready { .. }) => chat.place(VoiceRequest::new(user, channel)),
            Some(ChatEvent::VoiceState(info)) => {
                let (session_id, token) = (info.session_id, info.token.ok_or("no token")?);
                // A channel without a guild stands for itself.
                let ticket = Ticket { server_id: channel.as_u64(), user, session_id, token };
                let endpoint = info.endpoint.ok_or("no endpoint")?;
                return Ok((ticket, endpoint.parse().map_err(words)?));
            }
            Some(ChatEvent::Refused(why)) => return Err(why),
            _ => {}
        }
    }
    Err("the server did not place the user".to_owned())
}

/// A voice client in a call.
#[derive(Debug)]
pub struct Caller {
    pub role: VoiceClient,
    link: TcpStream,
    udp: UdpSocket,
    events: VecDeque<VoiceEvent>,
    start: Instant,
}

impl Caller {
    /// Connects with a ticket and waits until it has a key.
    pub fn join(ticket: Ticket, gateway: SocketAddr) -> Result<Self, Failure> {
        let version = Version::new(8).ok_or("no such version")?;
        let (mode, entropy) = (Mode::Aes256GcmRtpSize, &mut OsEntropy);
        let role = VoiceClient::connect(ticket, version, mode, None, "localhost", entropy);
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).map_err(words)?;
        udp.set_read_timeout(Some(LOOK)).map_err(words)?;
        let mut caller = Self {
            role: role.map_err(words)?,
            link: dial(gateway)?,
            udp,
            events: VecDeque::new(),
            start: Instant::now(),
        };
        while caller.start.elapsed() < PATIENCE {
            match caller.turn()? {
                Some(VoiceEvent::Connected { .. }) => return Ok(caller),
                Some(VoiceEvent::Closed { code }) => return Err(format!("closed: {code:?}")),
                _ => {}
            }
        }
        Err("the voice client got no key".to_owned())
    }

    /// Carries what there is to carry; what happened.
    pub fn turn(&mut self) -> Result<Option<VoiceEvent>, Failure> {
        let now = Timestamp::ZERO + self.start.elapsed();
        let written = self.link.write(self.role.outbound()).map_err(words)?;
        self.role.consume(written);
        while let Some((to, datagram)) = self.role.poll_transmit() {
            self.udp.send_to(&datagram, to).map_err(words)?;
        }
        self.role.handle_bytes(now, &read(&mut self.link)?);
        let mut buffer = [0; 2_048];
        match self.udp.recv(&mut buffer) {
            Ok(length) => self.role.handle_datagram(&mut buffer[..length]),
            Err(error) if is_nothing_yet(&error) => {}
            Err(error) => return Err(words(error)),
        }
        self.role.handle_timeout(now);
        while let Some(event) = self.role.poll_event() {
            self.events.push_back(event);
        }
        Ok(self.events.pop_front())
    }
}

/// A user is placed in a channel, connects and gets a key.
pub fn call(control: SocketAddr, secret: &str) -> Result<(), Failure> {
    let (user, channel) = UserId::new(1).zip(ChannelId::new(2)).ok_or("an id of zero")?;
    let (ticket, gateway) = place(control, secret, user, channel)?;
    Caller::join(ticket, gateway).map(drop)
}
