//! Binding sockets, starting threads, stopping them.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use ipnet::IpNet;
use lvsp_core::config::{Config, ConfigError, ControlClient, MediaConfig, Proxies};
use lvsp_core::ids::RelayId;
use lvsp_core::limits::Limits;
use lvsp_core::record::{RecordedRelay, RecordedServer};
use lvsp_core::transport::TlsIdentity;
use mio::{Poll, Waker};

use crate::accept;
use crate::clock;
use crate::control_thread::{ControlThread, Parts, WAKE};
use crate::entropy::OsEntropy;
use crate::host::{self, Holder, Protocol};
use crate::media_thread::{MediaParts, MediaThread};
use crate::observer::Observer;
use crate::pulse::Pulse;
use crate::questions::Desk;
use crate::queue::Queue;
use crate::recording::Sink;
use crate::sockets::{Addresses, Sockets};
use crate::sys;
use crate::turns::{Budgets, ControlCounters, Counters, MediaCounters, TurnStats, Watch};

/// Commands that may wait for one relay; when there are more, the control thread reads no more.
pub(crate) const COMMAND_QUEUE: usize = 32_768;
/// Events of all relays that may wait for the control thread.
pub(crate) const EVENT_QUEUE: usize = 16_384;

/// Everything that a server is started with.
#[derive(Debug)]
pub struct Options {
    /// Where chat servers connect. Port 0 takes a free one.
    pub control: SocketAddr,
    /// Networks that chat servers may connect from; empty for all.
    pub control_allow: Vec<IpNet>,
    /// Where voice clients connect.
    pub gateway: SocketAddr,
    /// Where media arrives; relay `n` listens on the port + `n`.
    pub media: SocketAddr,
    /// The address that clients send media to.
    pub public_ip: Ipv4Addr,
    /// Relays, each with a thread and a port of its own.
    pub relays: u16,
    /// `host:port` that clients dial; the gateway's own address where `None`.
    pub endpoint: Option<String>,
    /// The certificate of both listeners; `None` serves plain TCP.
    pub tls: Option<TlsIdentity>,
    /// The chat servers.
    pub control_clients: Vec<ControlClient>,
    /// How long calls go on without a chat server.
    pub grace: Duration,
    /// How long calls go on after a drain began.
    pub drain: Duration,
    /// Whether the gateway's versions before 4 are served.
    pub old_versions: bool,
    /// Proxies in front of the gateway.
    pub proxies: Proxies,
    /// How media is served. Whether loopback addresses are, follows from `media`.
    pub media_config: MediaConfig,
    /// How long datagrams may wait for others while many speak at a relay; zero for never.
    pub coalesce: Duration,
    /// Every bound of the core.
    pub limits: Limits,
    /// Work for each turn of each thread.
    pub budgets: Budgets,
    /// A folder for recordings of everything that the server and its relays are fed, and of what
    /// they answer: `server.lvsprec`, `relay-0.lvsprec` and so on, for
    /// [`lvsp_core::record::replay`]. They hold secrets and everybody's audio, and need plain TCP.
    pub record: Option<PathBuf>,
}

impl Options {
    /// Everything that keeps this from being served, as far as it shows without opening a socket.
    #[must_use]
    pub fn faults(self) -> Vec<BindError> {
        let port = if self.media.port() == 0 { 1 } else { self.media.port() };
        let ip = self.public_ip;
        let mut faults = Vec::new();
        let mut relays = Vec::new();
        for at in 0..self.relays {
            match port.checked_add(at) {
                Some(port) => relays.push(SocketAddrV4::new(ip, port)),
                None => {
                    faults.push(BindError::Ports(at));
                    break;
                }
            }
        }
        let gateway = self.gateway;
        // That there is no relay is found before.
        let none = relays.is_empty();
        let others = self.into_config(relays, gateway).faults().into_iter();
        let others = others.filter(|fault| !(none && *fault == ConfigError::NoRelay));
        faults.extend(others.map(BindError::from));
        faults
    }

    /// What the core is told, when the sockets' addresses are known.
    fn into_config(self, relays: Vec<SocketAddrV4>, gateway: SocketAddr) -> Config {
        Config {
            control_clients: self.control_clients,
            control_grace: self.grace,
            gateway_endpoint: self.endpoint.unwrap_or_else(|| gateway.to_string()),
            relays,
            old_versions: self.old_versions,
            proxies: self.proxies,
            media: self.media_config,
            drain: self.drain,
            limits: self.limits,
        }
    }
}

/// Why a server could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// A socket could not be bound.
    #[error("cannot listen on {key} = {address}")]
    Address {
        /// The configuration key.
        key: &'static str,
        /// Its value.
        address: SocketAddr,
        /// What the operating system said.
        source: io::Error,
    },
    /// A port number beyond the last.
    #[error("media.relays = {0}: relay {0} would need a port above 65535")]
    Ports(u16),
    /// What is inside TLS cannot be replayed.
    #[error("a recording needs plain TCP: set tls.off = true, or do not record")]
    RecordedTls,
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
    /// Other than one media socket for each relay.
    #[error("there must be one media socket for each relay, and at least one")]
    NoMedia,
    /// Something else that a server needs.
    #[error("cannot set up the event loop")]
    Io(#[from] io::Error),
}

impl BindError {
    /// What more is known of the cause, and what to do: who holds a port that is in use.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let Self::Address { key, address, source } = self else { return None };
        let protocol = if *key == "media.listen" { Protocol::Udp } else { Protocol::Tcp };
        let kind = source.kind();
        if kind == io::ErrorKind::AddrInUse {
            return Some(match host::holder(protocol, *address) {
                Some(Holder { pid, name }) => format!(
                    "process {pid} ({name}) holds the port: stop it, or give {key} another port"
                ),
                None => format!(
                    "another process holds the port (as root, `ss -lntup` names it): stop it, or \
                     give {key} another port"
                ),
            });
        }
        if kind == io::ErrorKind::AddrNotAvailable {
            let ip = address.ip();
            return Some(format!(
                "no interface of this host has {ip}: give {key} one that it has, or 0.0.0.0 for all"
            ));
        }
        (kind == io::ErrorKind::PermissionDenied).then(|| {
            format!(
                "ports below 1024 need the capability CAP_NET_BIND_SERVICE or a socket unit \
                 (deploy/): give {key} a higher port otherwise"
            )
        })
    }
}

/// What other threads ask of the control thread.
#[derive(Debug)]
pub(crate) struct Requests {
    drain: AtomicBool,
    stop: AtomicBool,
    tls: Mutex<Option<TlsIdentity>>,
    waker: Arc<Waker>,
}

impl Requests {
    pub(crate) fn stops(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    pub(crate) fn take_drain(&self) -> bool {
        self.drain.swap(false, Ordering::AcqRel)
    }

    pub(crate) fn take_tls(&self) -> Option<TlsIdentity> {
        self.tls.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Stops a running server, or gives it a new certificate. Cheap to clone.
#[derive(Clone, Debug)]
pub struct StopHandle(Arc<Requests>);

impl StopHandle {
    /// Begins a drain; [`Runtime::run`] returns when it is over.
    pub fn drain(&self) {
        self.0.drain.store(true, Ordering::Release);
        self.wake();
    }

    /// Makes [`Runtime::run`] return at once.
    pub fn stop(&self) {
        self.0.stop.store(true, Ordering::Release);
        self.wake();
    }

    /// Serves another certificate on connections accepted from now on.
    pub fn set_tls(&self, identity: TlsIdentity) {
        *self.0.tls.lock().unwrap_or_else(PoisonError::into_inner) = Some(identity);
        self.wake();
    }

    fn wake(&self) {
        if let Err(error) = self.0.waker.wake() {
            tracing::error!(%error, "cannot wake the control thread");
        }
    }
}

/// A server whose sockets are bound.
pub struct Runtime {
    control: ControlThread,
    media: Vec<(MediaThread, Arc<Waker>)>,
    stop_media: Arc<AtomicBool>,
    requests: Arc<Requests>,
    observer: Observer,
    counters: Arc<Counters>,
    control_address: SocketAddr,
    gateway_address: SocketAddr,
    media_addresses: Vec<SocketAddr>,
}

impl std::fmt::Debug for Runtime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runtime")
            .field("control", &self.control_address)
            .field("gateway", &self.gateway_address)
            .finish_non_exhaustive()
    }
}

impl Runtime {
    /// Binds every socket. Nobody is served before [`Self::run`].
    ///
    /// # Errors
    /// The first socket that could not be bound, by its configuration key.
    pub fn bind(options: Options) -> Result<Self, BindError> {
        let sockets = Sockets::bind(&options)?;
        Self::with_sockets(sockets, options)
    }

    /// Serves on sockets that are open already; the addresses of `options` are not looked at.
    ///
    /// # Errors
    /// When there is not one media socket for each relay, or what a server needs is refused.
    pub fn with_sockets(sockets: Sockets, mut options: Options) -> Result<Self, BindError> {
        let Addresses { control: control_address, gateway: gateway_address, media } =
            sockets.addresses()?;
        let Sockets { control, gateway, media: sockets } = sockets;
        if sockets.len() != usize::from(options.relays) {
            return Err(BindError::NoMedia);
        }
        options.media_config.loopback = media.ip().is_loopback();
        let record = options.record.take();
        if record.is_some() && options.tls.is_some() {
            return Err(BindError::RecordedTls);
        }
        let sink = |name: &str| begin_recording(record.as_deref(), name);

        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKE)?);
        let relay_events = Queue::new(EVENT_QUEUE, Arc::clone(&waker));
        let stop_media = Arc::new(AtomicBool::new(false));
        let mut relays = Vec::new();
        let mut media: Vec<(MediaThread, Arc<Waker>)> = Vec::new();
        let mut public = Vec::new();
        let mut media_counters = Vec::new();
        let mut media_addresses = Vec::new();
        for (socket, id) in sockets.into_iter().zip(0u16..) {
            let address = socket.local_addr()?;
            media_addresses.push(address);
            public.push(SocketAddrV4::new(options.public_ip, address.port()));
            let counters = Arc::new(MediaCounters::default());
            let (thread, commands, waker) = MediaThread::new(MediaParts {
                relay: RecordedRelay::new(
                    RelayId(id),
                    &options.limits,
                    options.media_config,
                    record.is_some(),
                ),
                socket,
                commands: COMMAND_QUEUE,
                events: Arc::clone(&relay_events),
                stop: Arc::clone(&stop_media),
                budgets: options.budgets,
                counters: Arc::clone(&counters),
                latency: options.limits.media_latency_ms.duration(),
                coalesce: options.coalesce,
                sink: sink(&format!("relay-{id}"))?,
            })?;
            relays.push(commands);
            media.push((thread, waker));
            media_counters.push(counters);
        }
        let inboxes = media.iter().map(|(thread, _)| thread.inbox()).collect::<Vec<_>>();
        for (thread, _) in &mut media {
            thread.set_inboxes(inboxes.clone());
        }
        let connections_max = accept::connections_max(sys::descriptors_max());
        if let Some(warning) = host::open_files_warning(&options.limits) {
            tracing::warn!("{warning}");
        }
        let (budgets, tls) = (options.budgets, options.tls.clone());
        let control_allow = options.control_allow.clone();
        let limits = options.limits.clone();
        let observed = media_addresses.iter().copied().zip(public.iter().copied()).collect();
        let config = options.into_config(public, gateway_address);
        let entropy = Box::new(OsEntropy);
        let mut server = RecordedServer::new(config, entropy, clock::now(), record.is_some())?;
        server.set_tls(tls);
        let desk = Desk::new(Arc::clone(&waker));
        let requests = Arc::new(Requests {
            drain: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            tls: Mutex::new(None),
            waker,
        });
        let counters = Arc::new(ControlCounters::default());
        let parts = Parts {
            server,
            poll,
            control,
            gateway,
            relays,
            relay_events,
            requests: Arc::clone(&requests),
            desk: Arc::clone(&desk),
            budgets,
            counters: Arc::clone(&counters),
            limits,
            connections_max,
            control_allow,
            sink: sink("server")?,
        };
        let counters = Arc::new(Counters { control: counters, media: media_counters });
        let desks = media.iter().map(|(thread, _)| (thread.desk(), thread.recorders())).collect();
        let observer = Observer::new(desk, desks, observed, Watch(Arc::clone(&counters)));
        let control = ControlThread::new(parts)?;
        Ok(Self {
            control,
            media,
            stop_media,
            requests,
            observer,
            counters,
            control_address,
            gateway_address,
            media_addresses,
        })
    }

    /// Where chat servers connect.
    #[must_use]
    pub const fn control_address(&self) -> SocketAddr {
        self.control_address
    }

    /// Where voice clients connect.
    #[must_use]
    pub const fn gateway_address(&self) -> SocketAddr {
        self.gateway_address
    }

    /// Where media arrives, by relay.
    #[must_use]
    pub fn media_addresses(&self) -> &[SocketAddr] {
        &self.media_addresses
    }

    /// What stops it.
    #[must_use]
    pub fn stop_handle(&self) -> StopHandle {
        StopHandle(Arc::clone(&self.requests))
    }

    /// What tells how it fares.
    #[must_use]
    pub fn watch(&self) -> Watch {
        Watch(Arc::clone(&self.counters))
    }

    /// What others ask it by, while it runs.
    #[must_use]
    pub fn observer(&self) -> Observer {
        self.observer.clone()
    }

    /// What tells whether its threads make progress.
    #[must_use]
    pub fn pulse(&self) -> Pulse {
        let media = self.media.iter().map(|(_, waker)| Arc::clone(waker));
        let wakers = [Arc::clone(&self.requests.waker)].into_iter().chain(media).collect();
        Pulse::new(Arc::clone(&self.counters), wakers)
    }

    /// Serves, on this thread and one for each relay, until it is stopped or a drain is over.
    ///
    /// # Errors
    /// When the operating system refuses what an event loop needs.
    pub fn run(self) -> io::Result<TurnStats> {
        let watch = self.watch();
        let mut threads = Vec::new();
        let mut wakers = Vec::new();
        for (at, (media, waker)) in self.media.into_iter().enumerate() {
            let builder = thread::Builder::new().name(format!("media-{at}"));
            threads.push(builder.spawn(move || media.run())?);
            wakers.push(waker);
        }
        let served = self.control.run();
        self.stop_media.store(true, Ordering::Release);
        for waker in wakers {
            waker.wake()?;
        }
        for thread in threads {
            match thread.join() {
                Ok(result) => result?,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        served?;
        Ok(watch.stats())
    }
}

fn begin_recording(folder: Option<&Path>, name: &str) -> Result<Option<Sink>, BindError> {
    let Some(folder) = folder else { return Ok(None) };
    let sink = Sink::create(folder, name);
    sink.map(Some).map_err(|source| BindError::Record { path: folder.to_owned(), source })
}
