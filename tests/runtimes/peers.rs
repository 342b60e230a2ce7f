//! Peers on real sockets of loopback, all driven by the test's thread: nothing here waits by itself.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::sync::LazyLock;
use std::thread;
use std::time::{Duration, Instant};

use lvsp_core::client::{ChatEvent, ChatServer, Frame, Role, Ticket, VoiceClient, VoiceEvent};
use lvsp_core::config::ControlClient;
use lvsp_core::crypto::auth::ControlSecret;
use lvsp_core::crypto::mode::Mode;
use lvsp_core::entropy::SeededEntropy;
use lvsp_core::ids::{ChannelId, GuildId, UserId};
use lvsp_core::limits::{Limits, Millis};
use lvsp_core::time::Timestamp;
use lvsp_core::wire::gateway::Version;
use lvsp_core::wire::lvsp::{VoiceFlagsUpdate, VoiceRequest};
use lvsp_core::wire::secret::Secret;
use socket2::{Domain, SockRef, Socket, Type};

pub(crate) const SECRET: &str = "0123456789abcdef0123456789abcdef";
/// A test that waits for longer than this has failed, on however busy a machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Limits whose deadlines no busy machine can miss.
pub(crate) fn patient_limits() -> Limits {
    let patient = Millis(600_000);
    Limits {
        first_byte_ms: patient,
        tls_ms: patient,
        upgrade_ms: patient,
        identify_ms: patient,
        outbound_age_ms: patient,
        // Late voice counts as lost here, and nobody waits for a busy machine.
        media_latency_ms: Millis(10_000),
        media_behind_ms: Millis(10_000),
        ..Limits::default()
    }
}

pub(crate) fn chat_servers() -> Vec<ControlClient> {
    let secret = ControlSecret::new(SECRET.to_owned()).expect("long enough");
    vec![ControlClient::new("test".to_owned(), secret)]
}

pub(crate) fn channel(number: u64) -> ChannelId {
    ChannelId::new(number).expect("not zero")
}

pub(crate) fn user(number: u64) -> UserId {
    UserId::new(number).expect("not zero")
}

/// The peers' clock.
fn now() -> Timestamp {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    Timestamp::from_millis(1_000) + START.elapsed()
}

/// Asks again and again until there is an answer.
#[track_caller]
pub(crate) fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(begun.elapsed() < PATIENCE, "waited in vain for {what}");
        // Leave the processor to whoever is waited for.
        thread::sleep(Duration::from_micros(200));
    }
}

/// A TCP connection that never blocks.
pub(crate) struct Link {
    stream: TcpStream,
    /// Whether the peer reads what the server writes.
    reads: bool,
    pub(crate) ended: bool,
    /// Whether a write found that the connection is gone.
    pub(crate) broken: bool,
}

impl Link {
    pub(crate) fn dial(address: SocketAddr) -> Self {
        Self::dial_from(Ipv4Addr::LOCALHOST, address)
    }

    /// Dials from an address of this machine.
    pub(crate) fn dial_from(ip: Ipv4Addr, address: SocketAddr) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.bind(&SocketAddr::from((ip, 0)).into()).expect("an address of loopback");
        socket.connect(&address.into()).expect("it listens");
        let stream = TcpStream::from(socket);
        stream.set_nodelay(true).expect("a socket");
        stream.set_nonblocking(true).expect("a socket");
        Self { stream, reads: true, ended: false, broken: false }
    }

    /// Writes what the socket takes; how many bytes.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> usize {
        match self.stream.write(bytes) {
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            Err(_) => {
                self.broken = true;
                bytes.len()
            }
        }
    }

    /// Reads what there is. An end or an error is the end.
    pub(crate) fn read(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        let mut buffer = [0; 16_384];
        while self.reads && !self.ended {
            match self.stream.read(&mut buffer) {
                Ok(0) => self.ended = true,
                Ok(count) => all.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => self.ended = true,
            }
        }
        all
    }

    /// Moves what there is to move between a role and the connection, and does what is due.
    fn carry(&mut self, role: &mut impl Role) {
        let written = self.write(role.outbound());
        role.consume(written);
        let bytes = self.read();
        role.handle_bytes(now(), &bytes);
        if self.ended {
            role.handle_eof(now());
        }
        role.handle_timeout(now());
    }

    /// Reads no more, and leaves the server little room for what it writes.
    pub(crate) fn stop_reading(&mut self) {
        self.reads = false;
        SockRef::from(&self.stream).set_recv_buffer_size(4_096).expect("a socket");
    }

    /// Says that nothing more will be written, and goes on reading.
    pub(crate) fn half_close(&self) {
        self.stream.shutdown(Shutdown::Write).expect("it is open");
    }

    /// Breaks the connection.
    pub(crate) fn cut(&self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

/// A chat server.
pub(crate) struct Chat {
    role: ChatServer,
    pub(crate) link: Link,
    address: SocketAddr,
    pub(crate) events: Vec<ChatEvent>,
}

impl Chat {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let secret = Secret::new(SECRET.to_owned());
        let entropy = &mut SeededEntropy::new(1);
        let role = ChatServer::connect(secret, true, None, "localhost", entropy).expect("plain");
        Self { role, link: Link::dial(address), address, events: Vec::new() }
    }

    /// Connects again and takes the session up.
    pub(crate) fn reconnect(&mut self) {
        self.link = Link::dial(self.address);
        let entropy = &mut SeededEntropy::new(2);
        self.role.reconnect(None, "localhost", entropy).expect("plain");
    }

    pub(crate) fn step(&mut self) {
        self.link.carry(&mut self.role);
        while let Some(event) = self.role.poll_event() {
            self.events.push(event);
        }
    }

    pub(crate) fn place(&mut self, number: u64, in_channel: u64) {
        self.role.place(VoiceRequest {
            guild_id: GuildId::new(GUILD),
            ..VoiceRequest::new(user(number), channel(in_channel))
        });
    }

    pub(crate) fn set_flags(&mut self, number: u64, in_channel: u64, flags: VoiceFlagsUpdate) {
        self.role.set_flags(user(number), channel(in_channel), flags);
    }

    pub(crate) fn remove(&mut self, number: u64) {
        self.role.remove(user(number));
    }

    pub(crate) fn set_channel(&mut self, number: u64, bitrate: u32) {
        self.role.set_channel(channel(number), GuildId::new(GUILD), bitrate);
    }

    /// How many bytes of orders wait for the socket.
    pub(crate) fn backlog(&self) -> usize {
        self.role.outbound().len()
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.events.iter().any(|event| matches!(event, ChatEvent::Ready { .. }))
    }

    /// What the voice client of a user in a channel needs, once the server has said it.
    pub(crate) fn ticket(&self, number: u64, in_channel: u64) -> Option<Ticket> {
        self.events.iter().rev().find_map(|event| {
            let ChatEvent::VoiceState(info) = event else { return None };
            if info.user_id != Some(user(number)) || info.channel_id != Some(channel(in_channel)) {
                return None;
            }
            let (session_id, token) = (info.session_id.clone(), info.token.clone()?);
            Some(Ticket { server_id: GUILD, user: user(number), session_id, token })
        })
    }
}

/// The guild of all channels.
pub(crate) const GUILD: u64 = 500;

/// A voice client.
pub(crate) struct Voice {
    pub(crate) role: VoiceClient,
    pub(crate) link: Link,
    pub(crate) udp: UdpSocket,
    gateway: SocketAddr,
    pub(crate) events: Vec<VoiceEvent>,
    pub(crate) frames: VecDeque<Frame>,
    /// Datagrams that arrived, of any kind.
    pub(crate) datagrams: usize,
    /// Where the server's media socket is, once a datagram was sent there.
    pub(crate) media: Option<SocketAddr>,
}

impl Voice {
    pub(crate) fn connect(gateway: SocketAddr, ticket: Ticket) -> Self {
        Self::connect_from(Ipv4Addr::LOCALHOST, gateway, ticket)
    }

    /// Connects from an address of this machine.
    pub(crate) fn connect_from(ip: Ipv4Addr, gateway: SocketAddr, ticket: Ticket) -> Self {
        // Users differ in all that an entropy decides.
        let entropy = &mut SeededEntropy::new(ticket.user.as_u64());
        let version = Version::new(8).expect("not zero");
        let mode = Mode::Aes256GcmRtpSize;
        let role =
            VoiceClient::connect(ticket, version, mode, None, "localhost", entropy).expect("plain");
        let udp = UdpSocket::bind((ip, 0)).expect("a socket");
        udp.set_nonblocking(true).expect("a socket");
        Self {
            role,
            link: Link::dial_from(ip, gateway),
            udp,
            gateway,
            events: Vec::new(),
            frames: VecDeque::new(),
            datagrams: 0,
            media: None,
        }
    }

    /// Connects again and takes the session up.
    pub(crate) fn reconnect(&mut self) {
        self.link = Link::dial(self.gateway);
        let entropy = &mut SeededEntropy::new(3);
        self.role.reconnect(None, "localhost", entropy).expect("plain");
    }

    pub(crate) fn step(&mut self) {
        self.link.carry(&mut self.role);
        while let Some((to, datagram)) = self.role.poll_transmit() {
            self.media = Some(to);
            self.udp.send_to(&datagram, to).expect("loopback");
        }
        self.receive();
        while let Some(event) = self.role.poll_event() {
            if let VoiceEvent::Frame(frame) = event {
                self.frames.push_back(frame);
            } else {
                self.events.push(event);
            }
        }
    }

    fn receive(&mut self) {
        let mut datagram = [0; 2_048];
        loop {
            match self.udp.recv(&mut datagram) {
                Ok(length) => {
                    self.datagrams += 1;
                    self.role.handle_datagram(&mut datagram[..length]);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => panic!("receiving: {error}"),
            }
        }
    }

    /// Whether it has its key.
    pub(crate) fn is_connected(&self) -> bool {
        self.events.iter().any(|event| matches!(event, VoiceEvent::Connected { .. }))
    }

    pub(crate) fn has_resumed(&self) -> bool {
        self.events.contains(&VoiceEvent::Resumed)
    }

    /// The code with which its first gateway connection ended, if it has.
    pub(crate) fn closed(&self) -> Option<Option<u16>> {
        self.events.iter().find_map(|event| {
            let VoiceEvent::Closed { code } = event else { return None };
            Some(*code)
        })
    }
}
