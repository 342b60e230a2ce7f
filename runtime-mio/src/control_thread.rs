//! The control thread: listeners, TCP connections and the `Server`.
//!
//! Each turn does a bounded amount of work ([`Budgets`]) in a fixed order: accept, read, relay
//! events, deadlines; then every output of the server, with relay commands queued before any byte
//! is written; then writes. What a budget cut off goes on in the next turn.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use lvsp_core::ids::{ConnId, RelayId};
use lvsp_core::media::command::{RelayCommand, RelayEvent};
use lvsp_core::output::{Output, Plane};
use lvsp_core::server::Server;
use lvsp_core::time::Timestamp;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

use crate::clock;
use crate::logging;
use crate::queue::Queue;
use crate::runtime::Requests;
use crate::tcp::{self, Progress, Tcp};

pub(crate) const WAKE: Token = Token(0);
const CONTROL: Token = Token(1);
const GATEWAY: Token = Token(2);
/// Tokens of connections begin here.
const CONNECTIONS: usize = 3;
/// Bytes of one read.
const READ_BYTES: usize = 16 * 1024;
/// After the process ran out of descriptors, accepting rests for this long.
const ACCEPT_REST: Duration = Duration::from_millis(100);

/// The most that one turn of the control thread does of each kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Budgets {
    /// Connections accepted.
    pub accepts: usize,
    /// Reads, of at most 16 KiB each; one for each connection.
    pub reads: usize,
    /// Events of relays.
    pub relay_events: usize,
    /// Bytes written to one connection.
    pub write_bytes: usize,
}

impl Default for Budgets {
    fn default() -> Self {
        Self { accepts: 32, reads: 128, relay_events: 1_024, write_bytes: 256 * 1024 }
    }
}

/// The most that any turn did of each kind, to hold against [`Budgets`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TurnStats {
    /// Turns so far.
    pub turns: u64,
    /// Most connections accepted in one turn.
    pub accepts_max: usize,
    /// Most reads in one turn.
    pub reads_max: usize,
    /// Most events of relays in one turn.
    pub relay_events_max: usize,
    /// Most bytes written to one connection in one turn.
    pub write_bytes_max: usize,
}

struct Listener {
    socket: TcpListener,
    plane: Plane,
    ready: bool,
}

/// What the thread is made of.
pub(crate) struct ControlThread {
    server: Server,
    poll: Poll,
    listeners: [Listener; 2],
    accept_after: Timestamp,
    connections: Vec<Option<Tcp>>,
    free: Vec<usize>,
    /// The keys are ids that the server gave out.
    by_conn: HashMap<ConnId, usize>,
    /// Connections that may be read from.
    ready: VecDeque<usize>,
    /// Connections with bytes to write.
    writing: VecDeque<ConnId>,
    relays: Vec<Arc<Queue<RelayCommand>>>,
    /// Commands that did not fit into a relay's queue. Nothing is read while there is one.
    stalled: VecDeque<(RelayId, RelayCommand)>,
    relay_events: Arc<Queue<(RelayId, RelayEvent)>>,
    taken: VecDeque<(RelayId, RelayEvent)>,
    requests: Arc<Requests>,
    budgets: Budgets,
    stats: TurnStats,
    buffer: Vec<u8>,
}

/// What a control thread is given.
pub(crate) struct Parts {
    pub(crate) server: Server,
    pub(crate) poll: Poll,
    pub(crate) control: TcpListener,
    pub(crate) gateway: TcpListener,
    pub(crate) relays: Vec<Arc<Queue<RelayCommand>>>,
    pub(crate) relay_events: Arc<Queue<(RelayId, RelayEvent)>>,
    pub(crate) requests: Arc<Requests>,
    pub(crate) budgets: Budgets,
}

impl ControlThread {
    pub(crate) fn new(mut parts: Parts) -> io::Result<Self> {
        let registry = parts.poll.registry();
        registry.register(&mut parts.control, CONTROL, Interest::READABLE)?;
        registry.register(&mut parts.gateway, GATEWAY, Interest::READABLE)?;
        let listener = |socket, plane| Listener { socket, plane, ready: true };
        Ok(Self {
            server: parts.server,
            poll: parts.poll,
            listeners: [
                listener(parts.control, Plane::Control),
                listener(parts.gateway, Plane::Gateway),
            ],
            accept_after: Timestamp::ZERO,
            connections: Vec::new(),
            free: Vec::new(),
            by_conn: HashMap::new(),
            ready: VecDeque::new(),
            writing: VecDeque::new(),
            relays: parts.relays,
            stalled: VecDeque::new(),
            relay_events: parts.relay_events,
            taken: VecDeque::new(),
            requests: parts.requests,
            budgets: parts.budgets,
            stats: TurnStats::default(),
            buffer: vec![0; READ_BYTES],
        })
    }

    /// Serves until a stop was asked for or a drain is over.
    pub(crate) fn run(mut self) -> io::Result<TurnStats> {
        let mut events = Events::with_capacity(1_024);
        loop {
            match self.poll.poll(&mut events, self.timeout()) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => other?,
            }
            for event in &events {
                self.note_readiness(event);
            }
            self.turn();
            if self.requests.stops() || self.server.is_drained() {
                return Ok(self.stats);
            }
        }
    }

    /// How long the poll may sleep.
    fn timeout(&self) -> Option<Duration> {
        let now = clock::now();
        if !self.stalled.is_empty() {
            return Some(Duration::from_millis(1));
        }
        let accepts = now >= self.accept_after && self.listeners.iter().any(|l| l.ready);
        if accepts || !self.ready.is_empty() || !self.writing.is_empty() || !self.taken.is_empty() {
            return Some(Duration::ZERO);
        }
        // A microsecond more, so that the deadline has passed when the poll returns.
        let after = |at: Timestamp| at.since(now) + Duration::from_micros(1);
        let rest = self.listeners.iter().any(|l| l.ready).then(|| after(self.accept_after));
        let deadline = self.server.poll_timeout().map(after);
        [rest, deadline].into_iter().flatten().min()
    }

    fn note_readiness(&mut self, event: &mio::event::Event) {
        match event.token() {
            WAKE => {}
            CONTROL => self.listeners[0].ready = true,
            GATEWAY => self.listeners[1].ready = true,
            Token(token) => {
                let at = token - CONNECTIONS;
                let Some(Some(tcp)) = self.connections.get_mut(at) else { return };
                if event.is_readable() || event.is_read_closed() || event.is_error() {
                    tcp.readable = true;
                    if !std::mem::replace(&mut tcp.queued, true) {
                        self.ready.push_back(at);
                    }
                }
                if event.is_writable() {
                    tcp.writable = true;
                    self.writing.push_back(tcp.conn);
                }
            }
        }
    }

    fn turn(&mut self) {
        self.stats.turns += 1;
        self.obey_requests();
        if self.push_stalled() {
            self.accept();
            self.read();
        }
        self.hear_relays();
        self.server.handle_timeout(clock::now());
        self.act();
        self.write();
    }

    fn obey_requests(&mut self) {
        if self.requests.take_drain() {
            self.server.begin_drain(clock::now());
        }
        if let Some(identity) = self.requests.take_tls() {
            self.server.set_tls(Some(identity));
        }
    }

    // --- in ---

    fn accept(&mut self) {
        let now = clock::now();
        if now < self.accept_after {
            return;
        }
        let mut accepted = 0;
        for at in 0..self.listeners.len() {
            while self.listeners[at].ready && accepted < self.budgets.accepts {
                match self.listeners[at].socket.accept() {
                    Ok((stream, peer)) => {
                        accepted += 1;
                        self.admit(now, stream, peer, self.listeners[at].plane);
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        self.listeners[at].ready = false;
                    }
                    Err(error) if is_exhausted(&error) => {
                        tracing::warn!(%error, "cannot accept: out of descriptors");
                        self.accept_after = now + ACCEPT_REST;
                        return;
                    }
                    // That connection is gone already.
                    Err(error) => tracing::debug!(%error, "accepting"),
                }
            }
        }
        self.stats.accepts_max = self.stats.accepts_max.max(accepted);
    }

    fn admit(
        &mut self,
        now: Timestamp,
        mut stream: TcpStream,
        peer: std::net::SocketAddr,
        plane: Plane,
    ) {
        if let Err(error) = tcp::configure(&stream) {
            tracing::debug!(%error, %peer, "configuring a connection");
        }
        let conn = match self.server.handle_accept(now, plane, peer) {
            Ok(conn) => conn,
            Err(refused) => return tracing::debug!(%refused, %peer, ?plane, "connection refused"),
        };
        let at = self.free.pop().unwrap_or_else(|| {
            self.connections.push(None);
            self.connections.len() - 1
        });
        let interest = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) =
            self.poll.registry().register(&mut stream, Token(at + CONNECTIONS), interest)
        {
            tracing::error!(%error, "cannot watch a connection");
            self.free.push(at);
            return self.server.handle_eof(now, conn);
        }
        self.connections[at] = Some(Tcp::new(conn, stream));
        self.by_conn.insert(conn, at);
    }

    fn read(&mut self) {
        let rounds = self.ready.len().min(self.budgets.reads);
        for _ in 0..rounds {
            let Some(at) = self.ready.pop_front() else { break };
            let Some(Some(tcp)) = self.connections.get_mut(at) else { continue };
            tcp.queued = false;
            let conn = tcp.conn;
            match tcp.read(&mut self.buffer) {
                Progress::Bytes(count) => {
                    tcp.queued = true;
                    self.ready.push_back(at);
                    self.server.handle_bytes(clock::now(), conn, &self.buffer[..count]);
                }
                Progress::Blocked => {}
                Progress::Ended => {
                    self.server.handle_eof(clock::now(), conn);
                    self.forget(conn);
                }
            }
        }
        self.stats.reads_max = self.stats.reads_max.max(rounds);
    }

    fn hear_relays(&mut self) {
        if self.taken.is_empty() {
            self.relay_events.take_all(&mut self.taken);
        }
        let count = self.taken.len().min(self.budgets.relay_events);
        for (relay, event) in self.taken.drain(..count) {
            self.server.handle_relay_event(clock::now(), relay, event);
        }
        self.stats.relay_events_max = self.stats.relay_events_max.max(count);
    }

    // --- out ---

    /// Takes every output. Relay commands are queued here, before any byte is written.
    fn act(&mut self) {
        while let Some(output) = self.server.poll_output() {
            match output {
                Output::Write(conn) => self.writing.push_back(conn),
                Output::Relay(relay, command) => {
                    self.stalled.push_back((relay, command));
                    self.push_stalled();
                }
                Output::Close { conn, .. } => self.forget(conn),
                Output::Event(event) => logging::event(&event),
            }
        }
    }

    /// Queues commands in their order; whether all of them fitted.
    fn push_stalled(&mut self) -> bool {
        while let Some((relay, command)) = self.stalled.pop_front() {
            let Some(queue) = self.relays.get(usize::from(relay.0)) else { continue };
            if let Err(command) = queue.push(command) {
                self.stalled.push_front((relay, command));
                return false;
            }
        }
        true
    }

    fn write(&mut self) {
        if !self.stalled.is_empty() {
            // A command must be queued before the bytes that provoke its datagram.
            return;
        }
        for _ in 0..self.writing.len() {
            let Some(conn) = self.writing.pop_front() else { break };
            self.write_to(conn);
        }
        // Writing may have let the server say more, or end connections.
        self.act();
    }

    fn write_to(&mut self, conn: ConnId) {
        let Some(&at) = self.by_conn.get(&conn) else { return };
        let Some(Some(tcp)) = self.connections.get_mut(at) else { return };
        let mut written = 0;
        while tcp.writable && written < self.budgets.write_bytes {
            let bytes = self.server.outbound(conn);
            let bytes = &bytes[..bytes.len().min(self.budgets.write_bytes - written)];
            if bytes.is_empty() {
                break;
            }
            match tcp.write(bytes) {
                Progress::Bytes(count) => {
                    written += count;
                    self.server.consume(clock::now(), conn, count);
                }
                Progress::Blocked => {}
                Progress::Ended => {
                    self.server.handle_eof(clock::now(), conn);
                    return self.forget(conn);
                }
            }
        }
        if tcp.writable && !self.server.outbound(conn).is_empty() {
            self.writing.push_back(conn);
        }
        self.stats.write_bytes_max = self.stats.write_bytes_max.max(written);
    }

    fn forget(&mut self, conn: ConnId) {
        let Some(at) = self.by_conn.remove(&conn) else { return };
        if let Some(mut tcp) = self.connections[at].take() {
            // Closing the descriptor would do; an error means that it is gone already.
            let _ = self.poll.registry().deregister(&mut tcp.stream);
            let _ = tcp.stream.shutdown(std::net::Shutdown::Write);
            self.free.push(at);
        }
    }
}

fn is_exhausted(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM))
}
