//! Binding sockets and putting a server together.

use std::io;
use std::net::{SocketAddr, SocketAddrV4};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lvsp_core::config::{Config, ConfigError, ControlClient};
use lvsp_core::crypto::auth::ControlSecret;
use lvsp_core::entropy::Entropy;
use lvsp_core::ids::RelayId;
use lvsp_core::output::Plane;
use lvsp_core::record::{RecordedRelay, RecordedServer};
use lvsp_core::transport::TlsIdentity;
use tokio::net::{TcpListener, TcpSocket, UdpSocket};
use tokio::sync::{broadcast, mpsc};

use crate::clock::Clock;
use crate::control::{self, Control};
use crate::entropy::OsEntropy;
use crate::handle::{Addresses, Handle, Shared, Signals};
use crate::handovers::Inbox;
use crate::listeners::Listeners;
use crate::media::{self, Media};
use crate::recording::Sink;
use crate::server::Server;
use crate::udp;

/// Commands that may wait for one relay; when there are more, the control task reads no more.
const COMMAND_QUEUE: usize = 65_536;
/// Events of all relays that may wait for the control task.
const RELAY_EVENT_QUEUE: usize = 65_536;
/// Questions that may wait for one relay.
const QUESTION_QUEUE: usize = 16;
/// The longest queue that an application may ask for.
const QUEUE_MAX: usize = 1 << 20;
/// A frame of voice lasts 20 ms: what waits half as long cannot be late by a frame.
const COALESCE_MAX: Duration = Duration::from_millis(10);
/// Connections that may wait in the backlog of each listener.
const BACKLOG: u32 = 1_024;

/// Where TCP connections come in: an address to bind, or a listener that is bound already.
#[derive(Debug)]
#[non_exhaustive]
pub enum Listen {
    /// Bind this address. Port 0 takes a free one.
    Address(SocketAddr),
    /// A listener of the standard library, from another process say.
    Std(std::net::TcpListener),
    /// A listener of Tokio.
    Tokio(TcpListener),
}

/// Where datagrams come in: an address to bind, or a socket that is bound already.
#[derive(Debug)]
#[non_exhaustive]
pub enum Receive {
    /// Bind this address. Port 0 takes a free one.
    Address(SocketAddr),
    /// A socket of the standard library, from another process say.
    Std(std::net::UdpSocket),
    /// A socket of Tokio.
    Tokio(UdpSocket),
}

macro_rules! sources {
    ($source:ident: $std:ty, $tokio:ty) => {
        impl From<SocketAddr> for $source {
            fn from(address: SocketAddr) -> Self {
                Self::Address(address)
            }
        }

        impl From<$std> for $source {
            fn from(socket: $std) -> Self {
                Self::Std(socket)
            }
        }

        impl $source {
            /// The address that is to be bound.
            const fn address(&self) -> Option<SocketAddr> {
                match self {
                    Self::Address(address) => Some(*address),
                    Self::Std(_) | Self::Tokio(_) => None,
                }
            }
        }

        impl From<$tokio> for $source {
            fn from(socket: $tokio) -> Self {
                Self::Tokio(socket)
            }
        }
    };
}

sources! { Listen: std::net::TcpListener, TcpListener }
sources! { Receive: std::net::UdpSocket, UdpSocket }

impl Listen {
    fn open(self) -> io::Result<TcpListener> {
        match self {
            Self::Address(address) => {
                let socket =
                    if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
                #[cfg(unix)]
                socket.set_reuseaddr(true)?;
                socket.bind(address)?;
                socket.listen(BACKLOG)
            }
            Self::Std(listener) => {
                listener.set_nonblocking(true)?;
                TcpListener::from_std(listener)
            }
            Self::Tokio(listener) => Ok(listener),
        }
    }
}

impl Receive {
    fn open(self) -> io::Result<UdpSocket> {
        let socket = match self {
            Self::Address(address) => std::net::UdpSocket::bind(address)?,
            Self::Std(socket) => socket,
            Self::Tokio(socket) => return Ok(socket),
        };
        socket.set_nonblocking(true)?;
        UdpSocket::from_std(socket)
    }
}

/// Why a server could not be put together.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// No gateway listener was given.
    #[error("no gateway listener: call Builder::gateway, or no voice client can connect")]
    NoGateway,
    /// As many media sockets are needed as the configuration names relays.
    #[error(
        "the configuration names {relays} relays and {sockets} media sockets were given: call \
         Builder::media once for each relay"
    )]
    Sockets {
        /// Relays of the configuration.
        relays: usize,
        /// Sockets that were given.
        sockets: usize,
    },
    /// What is inside TLS cannot be replayed.
    #[error("a recording needs plain TCP: give either a certificate or a folder for recordings")]
    RecordedTls,
    /// A listener for chat servers, and none that could identify.
    #[error(
        "Builder::control was called and the configuration names no chat server: add one to \
         Config::control_clients, or give orders by the Handle alone"
    )]
    NoChatServer,
    /// A socket could not be bound or watched.
    #[error("cannot open the {what} socket{}", at(*address))]
    Socket {
        /// Which: `control`, `gateway` or `media`.
        what: &'static str,
        /// The address that was to be bound; `None` for a socket that was bound already.
        address: Option<SocketAddr>,
        /// What the operating system said.
        source: io::Error,
    },
    /// A recording could not be begun.
    #[error("cannot record into {}", path.display())]
    Record {
        /// The folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The core refused the configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

fn at(address: Option<SocketAddr>) -> String {
    address.map_or_else(String::new, |address| format!(" at {address}"))
}

/// Puts a [`Server`] together. The front page of the crate has an example.
#[derive(Debug)]
#[must_use = "nothing is bound before `bind`"]
pub struct Builder {
    config: Config,
    control: Option<Listen>,
    gateway: Option<Listen>,
    media: Vec<Receive>,
    tls: Option<TlsIdentity>,
    event_queue: usize,
    request_queue: usize,
    coalesce: Duration,
    record: Option<PathBuf>,
}

impl Builder {
    /// Begins with what the core is told.
    ///
    /// Three things are filled in by [`Self::bind`] where they are left open: an empty
    /// `gateway_endpoint` becomes the gateway listener's own address, a relay address with port 0 gets
    /// the port of its media socket, and where `control_clients` is empty and no chat server can
    /// connect, the channels belong to a client called `application`. `media.loopback` follows from the
    /// media sockets.
    pub const fn new(config: Config) -> Self {
        Self {
            config,
            control: None,
            gateway: None,
            media: Vec::new(),
            tls: None,
            event_queue: 1_024,
            request_queue: 64,
            coalesce: Duration::from_millis(2),
            record: None,
        }
    }

    /// Where chat servers connect. Without it there is no LVSP, and [`Handle`] gives all orders.
    pub fn control(mut self, listen: impl Into<Listen>) -> Self {
        self.control = Some(listen.into());
        self
    }

    /// Where voice clients connect.
    pub fn gateway(mut self, listen: impl Into<Listen>) -> Self {
        self.gateway = Some(listen.into());
        self
    }

    /// Where media arrives: once for each relay of the configuration, in its order.
    pub fn media(mut self, receive: impl Into<Receive>) -> Self {
        self.media.push(receive.into());
        self
    }

    /// The certificate of both TCP listeners; without one they serve plain TCP.
    pub fn tls(mut self, identity: TlsIdentity) -> Self {
        self.tls = Some(identity);
        self
    }

    /// How many events may wait for a slow subscriber: 1,024 unless this says otherwise, from 1 to
    /// 1,048,576, rounded up to a power of two.
    pub fn event_queue(mut self, events: usize) -> Self {
        self.event_queue = events.clamp(1, QUEUE_MAX);
        self
    }

    /// How many orders of all [`Handle`]s may wait for the server: 64 unless this says otherwise,
    /// from 1 to 1,048,576. Whoever gives more waits for room.
    pub fn request_queue(mut self, requests: usize) -> Self {
        self.request_queue = requests.clamp(1, QUEUE_MAX);
        self
    }

    /// How long datagrams may wait for others while many speak at a relay, which saves processor
    /// time: 2 ms unless this says otherwise, at most 10 ms, zero for never.
    pub fn coalesce(mut self, longest: Duration) -> Self {
        self.coalesce = longest.min(COALESCE_MAX);
        self
    }

    /// Records everything that the server and its relays are fed, and what they answer, into
    /// `server.lvsprec`, `relay-0.lvsprec` and so on in this folder, for
    /// [`lvsp_core::record::replay`]. For finding faults: files are written from within the
    /// server's tasks, and they hold secrets and everybody's audio.
    pub fn record(mut self, folder: impl Into<PathBuf>) -> Self {
        self.record = Some(folder.into());
        self
    }

    /// Binds what is not bound yet. Nobody is served before the server is run.
    ///
    /// # Errors
    /// When something is missing, a socket cannot be bound, or the configuration cannot be served.
    ///
    /// # Panics
    /// Outside of a Tokio runtime with IO and time enabled.
    pub fn bind(mut self) -> Result<(Server, Handle), BuildError> {
        let relays = self.config.relays.len();
        if relays != self.media.len() {
            return Err(BuildError::Sockets { relays, sockets: self.media.len() });
        }
        if self.tls.is_some() && self.record.is_some() {
            return Err(BuildError::RecordedTls);
        }
        if self.control.is_some() && self.config.control_clients.is_empty() {
            return Err(BuildError::NoChatServer);
        }
        let listen = |what, listen: Listen| named(what, listen.address(), listen.open());
        let control = self.control.take().map(|control| listen("control", control)).transpose()?;
        let gateway = listen("gateway", self.gateway.take().ok_or(BuildError::NoGateway)?)?;
        let media = self.media.drain(..).map(|receive| {
            let address = receive.address();
            named("media", address, receive.open())
        });
        let media = media.collect::<Result<Vec<_>, _>>()?;
        let bound = control.as_ref().map(TcpListener::local_addr).transpose();
        let addresses = Addresses {
            control: named("control", None, bound)?,
            gateway: named("gateway", None, gateway.local_addr())?,
            media: named("media", None, media.iter().map(UdpSocket::local_addr).collect())?,
        };
        self.fill_in(&addresses);
        let listeners = control.map(|listener| (listener, Plane::Control)).into_iter();
        let listeners = listeners.chain([(gateway, Plane::Gateway)]).collect();
        self.assemble(listeners, media, addresses)
    }

    /// Fills in what the configuration left open.
    fn fill_in(&mut self, addresses: &Addresses) {
        if self.config.control_clients.is_empty() {
            let client = ControlClient::new("application".to_owned(), unknown_secret());
            self.config.control_clients.push(client);
        }
        if self.config.gateway_endpoint.is_empty() {
            self.config.gateway_endpoint = addresses.gateway.to_string();
        }
        for (relay, bound) in self.config.relays.iter_mut().zip(&addresses.media) {
            if relay.port() == 0 {
                *relay = SocketAddrV4::new(*relay.ip(), bound.port());
            }
        }
        self.config.media.loopback = addresses.media.iter().any(|bound| bound.ip().is_loopback());
    }

    fn sink(&self, name: &str) -> Result<Option<Sink>, BuildError> {
        let Some(folder) = &self.record else { return Ok(None) };
        let sink = Sink::create(folder, name);
        sink.map(Some).map_err(|source| BuildError::Record { path: folder.clone(), source })
    }

    fn assemble(
        self,
        listeners: Vec<(TcpListener, Plane)>,
        sockets: Vec<UdpSocket>,
        addresses: Addresses,
    ) -> Result<(Server, Handle), BuildError> {
        let clock = Clock::start();
        let record = self.record.is_some();
        let limits = self.config.limits.clone();
        let (events_in, relay_events) = mpsc::channel(RELAY_EVENT_QUEUE);
        let (mut commands, mut questions, mut tasks) = (Vec::new(), Vec::new(), Vec::new());
        let shared = sockets.iter().filter(|_| sockets.len() > 1);
        let inboxes: Vec<_> = shared.map(|_| Arc::<Inbox>::default()).collect();
        for (socket, id) in sockets.into_iter().zip(0u16..) {
            udp::configure(&socket);
            let (command, orders) = mpsc::channel(COMMAND_QUEUE);
            let (question, asked) = mpsc::channel(QUESTION_QUEUE);
            tasks.push(Media::new(media::Parts {
                relay: RecordedRelay::new(RelayId(id), &limits, self.config.media, record),
                socket,
                commands: orders,
                events: events_in.clone(),
                questions: asked,
                inboxes: inboxes.clone(),
                clock,
                latency: limits.media_latency_ms.duration(),
                coalesce: self.coalesce,
                sink: self.sink(&format!("relay-{id}"))?,
            }));
            commands.push(command);
            questions.push(question);
        }
        let sink = self.sink("server")?;
        let entropy = Box::new(OsEntropy);
        let mut server = RecordedServer::new(self.config, entropy, clock.now(), record)?;
        server.set_tls(self.tls);
        let signals = Arc::new(Signals::default());
        let (events, _) = broadcast::channel(self.event_queue);
        let (request, requests) = mpsc::channel(self.request_queue);
        let shared = Shared {
            signals: Arc::clone(&signals),
            events: events.downgrade(),
            relays: questions,
            addresses,
            clock,
        };
        let control = Control::new(control::Parts {
            server,
            listeners: Listeners::new(listeners, &limits),
            relays: commands,
            relay_events,
            requests,
            signals,
            events,
            clock,
            sink,
        });
        Ok((Server::new(control, tasks), Handle::new(shared, request)))
    }
}

fn named<T>(
    what: &'static str,
    address: Option<SocketAddr>,
    result: io::Result<T>,
) -> Result<T, BuildError> {
    result.map_err(|source| BuildError::Socket { what, address, source })
}

/// One that is told to nobody: whoever has it gives orders in process.
fn unknown_secret() -> ControlSecret {
    let entropy: &mut (dyn Entropy + Send) = &mut OsEntropy;
    #[expect(clippy::expect_used, reason = "64 digits are more than the 32 bytes it must have")]
    ControlSecret::new(entropy.hex::<32>()).expect("long enough")
}
