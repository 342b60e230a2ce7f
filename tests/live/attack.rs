//! Strangers: garbage datagrams at the media port, bad and slow connections at the gateway. Each
//! kind has a thread of its own and is spread evenly over the attack's time.
//!
//! Datagrams look like everything that the port serves, half of them under SSRCs of members, which
//! a stranger would have to guess. Connections come from many addresses of this host.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use lvsp_core::client::{Role as _, Ticket, VoiceClient};
use lvsp_core::crypto::mode::Mode;
use lvsp_core::entropy::{Entropy, SeededEntropy};
use lvsp_core::ids::{Ssrc, UserId};
use lvsp_core::transport::TlsTrust;
use lvsp_core::wire::discovery;
use lvsp_core::wire::gateway::Version;
use lvsp_core::wire::secret::Secret;
use lvsp_mio::peers::Connection;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

/// Sockets that datagrams come from.
const UDP_SOCKETS: usize = 8;
/// Addresses that connections come from, `127.0.1.1` and up.
const ADDRESSES: usize = 64;
/// A slow connection writes one byte in this time.
const DRIBBLE: Duration = Duration::from_secs(1);
const STEP: Duration = Duration::from_millis(2);

/// What to do, and to whom.
pub(crate) struct Plan {
    pub(crate) gateway: SocketAddr,
    pub(crate) media: SocketAddr,
    pub(crate) trust: TlsTrust,
    /// Numbers of members.
    pub(crate) ssrcs: Vec<Ssrc>,
    pub(crate) datagrams: u64,
    pub(crate) connections: u64,
    pub(crate) time: Duration,
    pub(crate) seed: u64,
}

/// What was done so far.
#[derive(Default, Debug)]
pub(crate) struct Counters {
    pub(crate) datagrams: AtomicU64,
    pub(crate) datagram_bytes: AtomicU64,
    /// Bytes of datagrams that came back.
    pub(crate) reflected_bytes: AtomicU64,
    pub(crate) connections: AtomicU64,
    /// Connections that could not be opened here: too few descriptors, say.
    pub(crate) not_opened: AtomicU64,
    /// Connections that the server ended.
    pub(crate) turned_away: AtomicU64,
}

/// An attack under way.
pub(crate) struct Attack {
    pub(crate) counters: Arc<Counters>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Result<()>>>,
}

impl Attack {
    /// Begins.
    pub(crate) fn begin(plan: Plan) -> Result<Self> {
        let counters = Arc::new(Counters::default());
        let stop = Arc::new(AtomicBool::new(false));
        let plan = Arc::new(plan);
        let mut threads = Vec::new();
        for (name, run) in [("datagrams", flood as Part), ("connections", crowd as Part)] {
            let (plan, counters, stop) = (plan.clone(), counters.clone(), stop.clone());
            let builder = thread::Builder::new().name(name.to_owned());
            threads.push(builder.spawn(move || run(&plan, &counters, &stop))?);
        }
        Ok(Self { counters, stop, threads })
    }

    /// Whether everything was sent and opened.
    pub(crate) fn is_over(&self) -> bool {
        self.threads.iter().all(JoinHandle::is_finished)
    }

    /// Ends it; connections that are still open are closed.
    pub(crate) fn end(self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            match thread.join() {
                Ok(result) => result?,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        Ok(())
    }
}

type Part = fn(&Plan, &Counters, &AtomicBool) -> Result<()>;

/// How many of `all` are due after this share of the time.
fn due(all: u64, elapsed: Duration, time: Duration) -> u64 {
    let micros = |duration: Duration| duration.as_micros().max(1);
    let due = u128::from(all) * micros(elapsed) / micros(time);
    u64::try_from(due).unwrap_or(all).min(all)
}

// --- datagrams ---

fn flood(plan: &Plan, counters: &Counters, stop: &AtomicBool) -> Result<()> {
    let mut sockets = Vec::new();
    for _ in 0..UDP_SOCKETS {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.set_nonblocking(true)?;
        sockets.push(socket);
    }
    let mut random = SeededEntropy::new(plan.seed);
    let began = Instant::now();
    let mut sent = 0;
    // A little longer than it sends, for what comes back.
    while !stop.load(Ordering::Relaxed) && began.elapsed() < plan.time + Duration::from_secs(1) {
        let due = due(plan.datagrams, began.elapsed(), plan.time);
        while sent < due {
            let datagram = garbage(&mut random, &plan.ssrcs);
            sent += 1;
            let socket = &sockets[usize::try_from(sent).unwrap_or(0) % UDP_SOCKETS];
            if socket.send_to(&datagram, plan.media).is_ok() {
                counters.datagrams.fetch_add(1, Ordering::Relaxed);
                counters.datagram_bytes.fetch_add(datagram.len() as u64, Ordering::Relaxed);
            }
        }
        let mut buffer = [0; 2_048];
        for socket in &sockets {
            while let Ok(length) = socket.recv(&mut buffer) {
                counters.reflected_bytes.fetch_add(length as u64, Ordering::Relaxed);
            }
        }
        thread::sleep(STEP);
    }
    Ok(())
}

/// Something like what the port serves, and not quite.
fn garbage(random: &mut SeededEntropy, ssrcs: &[Ssrc]) -> Vec<u8> {
    let draw = random.next_u64();
    let length = usize::try_from(draw >> 32).unwrap_or(0) % 400;
    let mut datagram = vec![0; length.max(12)];
    random.fill(&mut datagram);
    let guessed = usize::try_from(draw >> 8).unwrap_or(0) % (2 * ssrcs.len()).max(1);
    let ssrc = ssrcs.get(guessed).copied().unwrap_or_else(|| {
        let (_, bytes) = datagram.split_at(8);
        Ssrc(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    });
    match draw % 6 {
        0 => datagram.truncate(length),
        // Audio, with and without an extension, and control packets.
        1 => datagram[..2].copy_from_slice(&[0x80, 0x78]),
        2 => datagram[..2].copy_from_slice(&[0x90, 0x78]),
        3 => datagram[..2].copy_from_slice(&[0x81, 0xc9]),
        4 => {
            datagram.resize(discovery::LEN, 0);
            if let Ok(request) = datagram.as_mut_slice().try_into() {
                discovery::write_request(request, ssrc);
            }
            return datagram;
        }
        // As long as a keep-alive.
        _ => datagram.truncate(8),
    }
    if datagram.len() >= 12 {
        datagram[8..12].copy_from_slice(&ssrc.0.to_be_bytes());
    }
    datagram
}

// --- connections ---

/// What is wrong with a connection.
#[derive(Clone, Copy)]
enum Vice {
    /// It says nothing.
    Silent,
    /// Random bytes.
    Garbage,
    /// The beginning of a handshake, and no more.
    Stalled,
    /// The same, a byte a second.
    Slow,
    /// HTTP without TLS.
    Plain,
    /// Everything right but the token.
    WrongToken,
    /// It is reset at once.
    Reset,
}

const VICES: &[Vice] = &[
    Vice::Silent,
    Vice::Garbage,
    Vice::Stalled,
    Vice::Slow,
    Vice::Plain,
    Vice::WrongToken,
    Vice::Reset,
];

/// A connection of a stranger.
enum Stranger {
    /// It writes these bytes, so many of them in a step.
    Writer { stream: TcpStream, bytes: Vec<u8>, slow: bool },
    /// It speaks the protocol.
    Client { client: Box<VoiceClient>, connection: Connection },
}

impl Stranger {
    /// Reads and writes; an error when the connection is over.
    fn serve(&mut self) -> io::Result<()> {
        match self {
            Self::Writer { stream, bytes, slow } => {
                drain(stream)?;
                if *slow {
                    return Ok(());
                }
                write(stream, bytes, usize::MAX)
            }
            Self::Client { client, connection } => {
                connection.read(client.as_mut())?;
                connection.write(client.as_mut())?;
                // Its client library would leave now.
                match client.poll_event() {
                    Some(_) => Err(ErrorKind::ConnectionAborted.into()),
                    None => Ok(()),
                }
            }
        }
    }

    /// Writes the next byte of a slow one.
    fn dribble(&mut self) -> io::Result<()> {
        match self {
            Self::Writer { stream, bytes, slow: true } => write(stream, bytes, 1),
            Self::Writer { .. } | Self::Client { .. } => Ok(()),
        }
    }
}

fn drain(stream: &mut TcpStream) -> io::Result<()> {
    let mut buffer = [0; 4_096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

fn write(stream: &mut TcpStream, bytes: &mut Vec<u8>, most: usize) -> io::Result<()> {
    let length = bytes.len().min(most);
    match stream.write(&bytes[..length]) {
        Ok(written) => drop(bytes.drain(..written)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => {}
        Err(error) => return Err(error),
    }
    Ok(())
}

fn crowd(plan: &Plan, counters: &Counters, stop: &AtomicBool) -> Result<()> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1_024);
    let mut random = SeededEntropy::new(plan.seed ^ 0x5eed);
    let mut strangers: Vec<Option<Stranger>> = Vec::new();
    let began = Instant::now();
    let mut dribbled = began;
    while !stop.load(Ordering::Relaxed) && began.elapsed() < plan.time {
        let due = due(plan.connections, began.elapsed(), plan.time);
        while (strangers.len() as u64) < due {
            let token = Token(strangers.len());
            let stranger = match open(plan, &mut random, token, poll.registry()) {
                Ok(stranger) => stranger,
                Err(_) => {
                    counters.not_opened.fetch_add(1, Ordering::Relaxed);
                    None
                }
            };
            counters.connections.fetch_add(1, Ordering::Relaxed);
            strangers.push(stranger);
        }
        match poll.poll(&mut events, Some(STEP)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            other => other?,
        }
        for event in &events {
            step(&mut strangers[event.token().0], counters, Stranger::serve);
        }
        if dribbled.elapsed() > DRIBBLE {
            dribbled = Instant::now();
            strangers.iter_mut().for_each(|one| step(one, counters, Stranger::dribble));
        }
    }
    Ok(())
}

fn step(
    slot: &mut Option<Stranger>,
    counters: &Counters,
    act: impl FnOnce(&mut Stranger) -> io::Result<()>,
) {
    if let Some(stranger) = slot
        && act(stranger).is_err()
    {
        *slot = None;
        counters.turned_away.fetch_add(1, Ordering::Relaxed);
    }
}

/// Begins a connection; none is left of one that is reset.
fn open(
    plan: &Plan,
    random: &mut SeededEntropy,
    token: Token,
    registry: &mio::Registry,
) -> Result<Option<Stranger>> {
    let vice = VICES[token.0 % VICES.len()];
    let mut stream = dial(plan.gateway, token.0)?;
    if matches!(vice, Vice::Reset) {
        let socket = socket2::SockRef::from(&stream);
        socket.set_linger(Some(Duration::ZERO))?;
        return Ok(None);
    }
    let both = Interest::READABLE | Interest::WRITABLE;
    let bytes = match vice {
        Vice::Silent | Vice::Reset => Vec::new(),
        Vice::Garbage => {
            let mut bytes = vec![0; 256];
            random.fill(&mut bytes);
            bytes
        }
        Vice::Stalled | Vice::Slow => client(plan, random)?.outbound().to_vec(),
        Vice::Plain => b"GET /?v=8 HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
        Vice::WrongToken => {
            let client = Box::new(client(plan, random)?);
            let mut connection = Connection::over(stream);
            connection.register(registry, token)?;
            return Ok(Some(Stranger::Client { client, connection }));
        }
    };
    registry.register(&mut stream, token, both)?;
    let slow = matches!(vice, Vice::Slow);
    Ok(Some(Stranger::Writer { stream, bytes, slow }))
}

/// A client that nobody has placed.
fn client(plan: &Plan, random: &mut SeededEntropy) -> Result<VoiceClient> {
    let user = UserId::new(random.next_u64() | 1).context("an odd number")?;
    let secret = |random: &mut SeededEntropy| {
        let random: &mut (dyn Entropy + Send) = random;
        Secret::new(random.hex::<16>())
    };
    let (session_id, token) = (secret(random), secret(random));
    let ticket = Ticket { server_id: 900, user, session_id, token };
    let host = plan.gateway.ip().to_string();
    let tls = Some((&plan.trust, host.as_str()));
    let version = Version::new(8).context("versions count from 1")?;
    Ok(VoiceClient::connect(ticket, version, Mode::Aes256GcmRtpSize, tls, &host, random)?)
}

/// Begins a TCP connection from one of many addresses of this host.
fn dial(gateway: SocketAddr, number: usize) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    if gateway.ip().is_loopback() {
        let last = u8::try_from(1 + number % ADDRESSES).unwrap_or(1);
        let from = SocketAddr::from((Ipv4Addr::new(127, 0, 1, last), 0));
        socket.bind(&SockAddr::from(from))?;
    }
    match socket.connect(&SockAddr::from(gateway)) {
        Ok(()) => {}
        // Linux's word for a connection under way.
        Err(error) if error.raw_os_error() == Some(115) => {}
        Err(error) if error.kind() == ErrorKind::WouldBlock => {}
        Err(error) => return Err(error),
    }
    Ok(TcpStream::from_std(socket.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_is_spread_evenly_and_never_more_than_all() {
        let time = Duration::from_secs(10);
        assert_eq!(due(1_000, Duration::from_secs(5), time), 500);
        assert_eq!(due(1_000, Duration::from_secs(11), time), 1_000);
    }

    #[test]
    fn garbage_is_of_every_kind_and_the_same_for_the_same_seed() {
        let make = |seed| {
            let mut random = SeededEntropy::new(seed);
            (0..600).map(|_| garbage(&mut random, &[Ssrc(4)])).collect::<Vec<_>>()
        };
        let all = make(1);
        assert_eq!(all, make(1));
        let requests = all.iter().filter(|bytes| bytes.starts_with(&[0, 1, 0, 70])).count();
        let audio = all.iter().filter(|bytes| bytes.starts_with(&[0x80, 0x78])).count();
        let known = all.iter().filter(|bytes| bytes.get(8..12) == Some(&[0, 0, 0, 4])).count();
        assert!(requests > 50 && audio > 50 && known > 50, "{requests} {audio} {known}");
    }
}
