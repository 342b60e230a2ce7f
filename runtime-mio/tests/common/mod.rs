//! Peers over real sockets, each driven by the test's own thread.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]

pub mod process;
pub mod proxy;

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use lvsp_core::client::{ChatEvent, ChatServer, Role as _, Ticket, VoiceClient, VoiceEvent};
use lvsp_core::config::ControlClient;
use lvsp_core::crypto::auth::ControlSecret;
use lvsp_core::crypto::mode::Mode;
use lvsp_core::ids::{ChannelId, UserId};
use lvsp_core::limits::{Limits, Millis};
use lvsp_core::transport::{TlsIdentity, TlsTrust};
use lvsp_core::wire::gateway::Version;
use lvsp_core::wire::lvsp::{VoiceFlagsUpdate, VoiceRequest};
use lvsp_core::wire::secret::Secret;
use lvsp_mio::{Options, OsEntropy, clock};

pub const SECRET: &str = "0123456789abcdef0123456789abcdef";
pub const CHANNEL: u64 = 77;
/// A test that waits for longer than this has failed, on however busy a machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// One look at a socket.
const LOOK: Duration = Duration::from_millis(2);

/// A server on loopback and free ports whose deadlines no busy machine can miss.
pub fn options(tls: Option<TlsIdentity>) -> Options {
    let patient = Millis(600_000);
    let secret = ControlSecret::new(SECRET.to_owned()).expect("long enough");
    Options {
        tls,
        limits: Limits {
            first_byte_ms: patient,
            tls_ms: patient,
            upgrade_ms: patient,
            control_upgrade_ms: patient,
            identify_ms: patient,
            ..Limits::default()
        },
        ..Options::on_loopback(vec![ControlClient::new("test".to_owned(), secret)])
    }
}

/// Asks again and again until there is an answer.
pub fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
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

/// A TCP connection whose reads look and do not wait.
pub fn dial(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("it listens");
    stream.set_nodelay(true).expect("a socket");
    stream.set_read_timeout(Some(LOOK)).expect("a socket");
    stream
}

/// What to trust, given a CA as PEM.
pub fn trust(ca: &str) -> TlsTrust {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    TlsTrust::from_pem(ca.as_bytes(), now.as_secs()).expect("a CA")
}

/// Reads what there is; `None` for nothing yet.
pub fn look(stream: &mut impl Read) -> Option<Vec<u8>> {
    let mut buffer = vec![0; 16_384];
    match stream.read(&mut buffer) {
        Ok(count) => {
            buffer.truncate(count);
            Some(buffer)
        }
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => None,
        Err(error) => panic!("reading: {error}"),
    }
}

/// A chat server that is connected.
pub struct Chat {
    stream: TcpStream,
    role: ChatServer,
}

impl Chat {
    /// Connects and identifies, over TLS if there is a CA to trust.
    pub fn connect(address: SocketAddr, secret: &str, ca: Option<&str>) -> Self {
        let secret = Secret::new(secret.to_owned());
        let trust = ca.map(trust);
        let tls = trust.as_ref().map(|trust| (trust, "localhost"));
        let role = ChatServer::connect(secret, false, tls, "localhost", &mut OsEntropy)
            .expect("a name and a trust");
        let mut chat = Self { stream: dial(address), role };
        chat.wait("READY", |event| matches!(event, ChatEvent::Ready { .. }).then_some(()));
        chat
    }

    /// Places a user in the channel; what its voice client needs.
    pub fn place(&mut self, user: u64, session_id: Option<&str>) -> Ticket {
        let user = UserId::new(user).expect("not zero");
        self.request(CHANNEL, user, session_id.map(|id| Secret::new(id.to_owned())), None)
    }

    /// Places a user in another channel.
    pub fn place_in(&mut self, channel: u64, user: u64) -> Ticket {
        self.request(channel, UserId::new(user).expect("not zero"), None, None)
    }

    /// Changes a user's flags, and writes that.
    pub fn set_flags(&mut self, user: u64, flags: VoiceFlagsUpdate) {
        let (user, channel) = (UserId::new(user), ChannelId::new(CHANNEL));
        self.role.set_flags(user.expect("not zero"), channel.expect("not zero"), flags);
        let bytes = self.role.outbound().to_vec();
        self.stream.write_all(&bytes).expect("it reads");
        self.role.consume(bytes.len());
    }

    /// States a user that another process gave this ticket for.
    pub fn restate(&mut self, ticket: &Ticket) -> Ticket {
        let (session_id, token) = (ticket.session_id.clone(), ticket.token.clone());
        self.request(ticket.server_id, ticket.user, Some(session_id), Some(token))
    }

    fn request(
        &mut self,
        channel: u64,
        user: UserId,
        session_id: Option<Secret>,
        token: Option<Secret>,
    ) -> Ticket {
        let plain = VoiceRequest::new(user, ChannelId::new(channel).expect("not zero"));
        self.role.place(VoiceRequest { session_id, token, ..plain });
        self.wait("a voice state", |event| {
            let ChatEvent::VoiceState(info) = event else { return None };
            let (session_id, token) = (info.session_id, info.token?);
            Some(Ticket { server_id: channel, user, session_id, token })
        })
    }

    fn wait<T>(&mut self, what: &str, mut wanted: impl FnMut(ChatEvent) -> Option<T>) -> T {
        wait_for(what, || {
            self.attend();
            self.role.poll_event().and_then(&mut wanted)
        })
    }

    /// Moves bytes both ways: whoever is asked whether it lives answers.
    pub fn attend(&mut self) {
        let bytes = self.role.outbound().to_vec();
        self.stream.write_all(&bytes).expect("it reads");
        self.role.consume(bytes.len());
        if let Some(bytes) = look(&mut self.stream) {
            assert!(!bytes.is_empty(), "the server ended the connection");
            self.role.handle_bytes(clock::now(), &bytes);
        }
    }
}

/// A voice client over any stream, with a UDP socket.
pub struct Voice<S> {
    pub stream: S,
    pub role: VoiceClient,
    udp: UdpSocket,
    /// Everything that the server wrote.
    pub heard: Vec<u8>,
    /// What becomes of the datagrams that it sends.
    pub way: Way,
}

/// What becomes of a client's datagrams.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// They arrive.
    Open,
    /// None does.
    Closed,
    /// The last byte of each changes.
    Damaged,
    /// Its SSRC is 77.
    Stray,
}

impl<S: Read + Write> Voice<S> {
    /// A client that speaks plainly into `stream`.
    pub fn new(stream: S, ticket: Ticket) -> Self {
        let version = Version::new(8).expect("not zero");
        let mode = Mode::Aes256GcmRtpSize;
        let role = VoiceClient::connect(ticket, version, mode, None, "localhost", &mut OsEntropy)
            .expect("a name");
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
        udp.set_read_timeout(Some(LOOK)).expect("a socket");
        Self { stream, role, udp, heard: Vec::new(), way: Way::Open }
    }

    /// Joins: upgrade, Identify, discovery, Select Protocol, Session Description.
    pub fn join(&mut self) {
        self.wait("Session Description", |event| {
            matches!(event, VoiceEvent::Connected { .. }).then_some(())
        });
    }

    /// Begins a new connection that resumes the session.
    pub fn reconnect(&mut self, stream: S) {
        self.role.reconnect(None, "localhost", &mut OsEntropy).expect("a name");
        self.stream = stream;
    }

    /// Carries bytes and datagrams until the wanted event.
    pub fn wait<T>(&mut self, what: &str, mut wanted: impl FnMut(VoiceEvent) -> Option<T>) -> T {
        wait_for(what, || {
            self.carry();
            self.role.poll_event().and_then(&mut wanted)
        })
    }

    /// Carries what there is of bytes and datagrams, both ways.
    pub fn carry(&mut self) {
        let bytes = self.role.outbound().to_vec();
        self.stream.write_all(&bytes).expect("it reads");
        self.role.consume(bytes.len());
        if let Some(bytes) = look(&mut self.stream) {
            assert!(!bytes.is_empty(), "the server ended the connection");
            self.heard.extend_from_slice(&bytes);
            self.role.handle_bytes(clock::now(), &bytes);
        }
        self.role.handle_timeout(clock::now());
        while let Some((to, mut datagram)) = self.role.poll_transmit() {
            match self.way {
                Way::Open => {}
                Way::Closed => continue,
                Way::Damaged => *datagram.last_mut().expect("not empty") ^= 1,
                Way::Stray => datagram[8..12].copy_from_slice(&77_u32.to_be_bytes()),
            }
            self.udp.send_to(&datagram, to).expect("loopback");
        }
        let mut datagram = [0; 2_048];
        if let Ok(length) = self.udp.recv(&mut datagram) {
            self.role.handle_datagram(&mut datagram[..length]);
        }
    }
}

/// A TLS connection that puts every byte of its application data into a record of its own, and
/// every record into a write of its own.
pub struct OneByteRecords {
    session: rustls::ClientConnection,
    socket: TcpStream,
    /// Called after each record of application data that was written.
    after_record: Box<dyn FnMut()>,
    /// How many it were.
    pub records: u64,
}

impl OneByteRecords {
    /// Connects and shakes hands.
    pub fn connect(address: SocketAddr, ca: &str, after_record: Box<dyn FnMut()>) -> Self {
        let mut socket = TcpStream::connect(address).expect("it listens");
        socket.set_nodelay(true).expect("a socket");
        let mut session = tls_session(ca);
        session.complete_io(&mut socket).expect("a handshake");
        socket.set_read_timeout(Some(LOOK)).expect("a socket");
        Self { session, socket, after_record, records: 0 }
    }
}

/// A TLS client that trusts one CA.
pub fn tls_session(ca: &str) -> rustls::ClientConnection {
    use rustls::pki_types::pem::PemObject;

    let mut roots = rustls::RootCertStore::empty();
    let ca = rustls::pki_types::CertificateDer::from_pem_slice(ca.as_bytes()).expect("PEM");
    roots.add(ca).expect("a CA");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = "localhost".try_into().expect("a name");
    rustls::ClientConnection::new(Arc::new(config), name).expect("a session")
}

impl Read for OneByteRecords {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.session.reader().read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                result => return result,
            }
            self.session.read_tls(&mut self.socket)?;
            self.session.process_new_packets().map_err(io::Error::other)?;
        }
    }
}

impl Write for OneByteRecords {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for byte in bytes {
            self.session.writer().write_all(&[*byte])?;
            self.records += 1;
            self.flush()?;
            (self.after_record)();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        while self.session.wants_write() {
            self.session.write_tls(&mut self.socket)?;
        }
        Ok(())
    }
}
