//! Starting threads on sockets that are bound, and stopping them.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use lvsp_core::config::ConfigError;
use lvsp_core::ids::RelayId;
use lvsp_core::media::Relay;
use lvsp_core::media::command::{RelayCommand, RelayEvent};
use lvsp_core::record::{RecordedRelay, RecordedServer};
use mio::net::UdpSocket;
use mio::{Poll, Waker};

use crate::accept;
use crate::capture::Recorders;
use crate::clock;
use crate::control_thread::{ControlThread, Parts, WAKE};
use crate::entropy::OsEntropy;
use crate::host;
use crate::media_thread::{MediaParts, MediaThread};
use crate::observer::Observer;
use crate::options::{BindError, Options};
use crate::pulse::Pulse;
use crate::questions::Desk;
use crate::queue::Queue;
use crate::recording::Sink;
use crate::requests::{Requests, StopHandle};
use crate::sockets::{Addresses, Sockets};
use crate::sys;
use crate::turns::{ControlCounters, Counters, MediaCounters, TurnStats, Watch};

/// Commands that may wait for one relay; when there are more, the control thread reads no more.
pub(crate) const COMMAND_QUEUE: usize = 32_768;
/// Events of all relays that may wait for the control thread.
pub(crate) const EVENT_QUEUE: usize = 16_384;

/// A server whose sockets are bound.
pub struct Runtime {
    control: ControlThread,
    media: MediaPlane,
    requests: Arc<Requests>,
    observer: Observer,
    counters: Arc<Counters>,
    control_address: SocketAddr,
    gateway_address: SocketAddr,
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
        if sockets.media.len() != usize::from(options.relays) {
            return Err(BindError::NoMedia);
        }
        options.media_config.loopback = media.ip().is_loopback();
        let record = options.record.take();
        if record.is_some() && options.tls.is_some() {
            return Err(BindError::RecordedTls);
        }
        if let Some(warning) = host::open_files_warning(&options.limits) {
            tracing::warn!("{warning}");
        }

        let poll = Poll::new()?;
        let requests = Requests::new(Arc::new(Waker::new(poll.registry(), WAKE)?));
        let relay_events = Queue::new(EVENT_QUEUE, requests.waker());
        let media = MediaPlane::new(sockets.media, &options, &relay_events, record.as_deref())?;
        let desk = Desk::new(requests.waker());
        let counters = Arc::new(Counters {
            control: Arc::new(ControlCounters::default()),
            media: media.counters.clone(),
        });
        let public = media.public_addresses(options.public_ip);
        let addresses = media.addresses.iter().copied().zip(public.iter().copied()).collect();
        let watch = Watch(Arc::clone(&counters));
        let observer = Observer::new(Arc::clone(&desk), media.desks(), addresses, watch);
        let control = ControlThread::new(Parts {
            poll,
            control: sockets.control,
            gateway: sockets.gateway,
            relays: media.commands.clone(),
            relay_events,
            requests: Arc::clone(&requests),
            desk,
            budgets: options.budgets,
            counters: Arc::clone(&counters.control),
            limits: options.limits.clone(),
            connections_max: accept::connections_max(sys::descriptors_max()),
            control_allow: std::mem::take(&mut options.control_allow),
            sink: begin_recording(record.as_deref(), "server")?,
            server: server(options, public, gateway_address, record.is_some())?,
        })?;
        Ok(Self { control, media, requests, observer, counters, control_address, gateway_address })
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
        &self.media.addresses
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
        let media = self.media.threads.iter().map(|(_, waker)| Arc::clone(waker));
        let wakers = [self.requests.waker()].into_iter().chain(media).collect();
        Pulse::new(Arc::clone(&self.counters), wakers)
    }

    /// Serves, on this thread and one for each relay, until it is stopped or a drain is over.
    ///
    /// # Errors
    /// When the operating system refuses what an event loop needs.
    pub fn run(self) -> io::Result<TurnStats> {
        let watch = self.watch();
        let media = self.media.start()?;
        let served = self.control.run();
        media.stop()?;
        served?;
        Ok(watch.stats())
    }
}

/// The core's control plane, as these options have it.
fn server(
    mut options: Options,
    public: Vec<SocketAddrV4>,
    gateway: SocketAddr,
    is_recorded: bool,
) -> Result<RecordedServer, ConfigError> {
    let tls = options.tls.take();
    let config = options.into_config(public, gateway);
    let mut server = RecordedServer::new(config, Box::new(OsEntropy), clock::now(), is_recorded)?;
    server.set_tls(tls);
    Ok(server)
}

/// The media threads of a server before they run, in the order of their relays; and what others
/// have of each.
struct MediaPlane {
    threads: Vec<(MediaThread, Arc<Waker>)>,
    commands: Vec<Arc<Queue<RelayCommand>>>,
    counters: Vec<Arc<MediaCounters>>,
    /// Where media arrives.
    addresses: Vec<SocketAddr>,
    stop: Arc<AtomicBool>,
}

impl MediaPlane {
    /// A thread for each socket.
    fn new(
        sockets: Vec<UdpSocket>,
        options: &Options,
        events: &Arc<Queue<(RelayId, RelayEvent)>>,
        record: Option<&Path>,
    ) -> Result<Self, BindError> {
        let stop = Arc::new(AtomicBool::new(false));
        let mut plane = Self {
            threads: Vec::new(),
            commands: Vec::new(),
            counters: Vec::new(),
            addresses: Vec::new(),
            stop: Arc::clone(&stop),
        };
        for (socket, id) in sockets.into_iter().zip((0u16..).map(RelayId)) {
            let address = socket.local_addr()?;
            let counters = Arc::new(MediaCounters::default());
            let is_recorded = record.is_some();
            let (thread, commands, waker) = MediaThread::new(MediaParts {
                relay: RecordedRelay::new(id, &options.limits, options.media_config, is_recorded),
                socket,
                commands: COMMAND_QUEUE,
                events: Arc::clone(events),
                stop: Arc::clone(&stop),
                budgets: options.budgets,
                counters: Arc::clone(&counters),
                latency: options.limits.media_latency_ms.duration(),
                coalesce: options.coalesce,
                sink: begin_recording(record, &format!("relay-{}", id.0))?,
            })?;
            plane.threads.push((thread, waker));
            plane.commands.push(commands);
            plane.counters.push(counters);
            plane.addresses.push(address);
        }
        let inboxes: Vec<_> = plane.threads.iter().map(|(thread, _)| thread.inbox()).collect();
        for (thread, _) in &mut plane.threads {
            thread.set_inboxes(inboxes.clone());
        }
        Ok(plane)
    }

    /// Where clients send media to.
    fn public_addresses(&self, ip: Ipv4Addr) -> Vec<SocketAddrV4> {
        self.addresses.iter().map(|address| SocketAddrV4::new(ip, address.port())).collect()
    }

    /// Where each thread is asked, and has legs recorded.
    fn desks(&self) -> Vec<(Arc<Desk<Relay>>, Arc<Recorders>)> {
        self.threads.iter().map(|(thread, _)| (thread.desk(), thread.recorders())).collect()
    }

    /// Lets them run.
    fn start(self) -> io::Result<RunningMedia> {
        let mut threads = Vec::new();
        for (at, (thread, waker)) in self.threads.into_iter().enumerate() {
            let builder = thread::Builder::new().name(format!("media-{at}"));
            threads.push((builder.spawn(move || thread.run())?, waker));
        }
        Ok(RunningMedia { threads, stop: self.stop })
    }
}

/// Media threads that run.
struct RunningMedia {
    threads: Vec<(JoinHandle<io::Result<()>>, Arc<Waker>)>,
    stop: Arc<AtomicBool>,
}

impl RunningMedia {
    /// Ends them, and waits until they have ended.
    fn stop(self) -> io::Result<()> {
        self.stop.store(true, Ordering::Release);
        for (_, waker) in &self.threads {
            waker.wake()?;
        }
        for (thread, _) in self.threads {
            match thread.join() {
                Ok(result) => result?,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        Ok(())
    }
}

fn begin_recording(folder: Option<&Path>, name: &str) -> Result<Option<Sink>, BindError> {
    let Some(folder) = folder else { return Ok(None) };
    let sink = Sink::create(folder, name);
    sink.map(Some).map_err(|source| BindError::Record { path: folder.to_owned(), source })
}
