//! The control thread: listeners, TCP connections and the `Server`.
//!
//! Each turn does a bounded amount of work ([`Budgets`]) in a fixed order: accept, read, relay
//! events, deadlines; then every output of the server, with relay commands queued before any byte
//! is written; then writes. What a budget cut off goes on in the next turn.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use lvsp_core::ids::{ConnId, RelayId};
use lvsp_core::limits::Limits;
use lvsp_core::media::command::{RelayCommand, RelayEvent};
use lvsp_core::output::{Output, Plane};
use lvsp_core::record::RecordedServer;
use lvsp_core::server::Server;
use lvsp_core::time::Timestamp;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

use crate::accept::{Arrival, Listeners};
use crate::busyness::BusyMeter;
use crate::clock;
use crate::logging::Log;
use crate::questions::Desk;
use crate::queue::Queue;
use crate::recording::Sink;
use crate::requests::Requests;
use crate::sys;
use crate::tcp::{Progress, Tcp};
use crate::turns::{Budgets, ControlCounters};

pub(crate) const WAKE: Token = Token(0);
const CONTROL: Token = Token(1);
const GATEWAY: Token = Token(2);
/// Tokens of connections begin here.
const CONNECTIONS: usize = 3;
/// Bytes of one read.
const READ_BYTES: usize = 16 * 1024;

/// What the thread is made of.
pub(crate) struct ControlThread {
    server: RecordedServer,
    poll: Poll,
    listeners: Listeners,
    connections: Vec<Option<Tcp>>,
    free: Vec<usize>,
    /// The keys are ids that the server gave out.
    by_conn: HashMap<ConnId, usize>,
    /// Connections that may be read from.
    ready: VecDeque<usize>,
    /// Connections with bytes to write, or that may be over when all is written.
    writing: VecDeque<ConnId>,
    relays: Vec<Arc<Queue<RelayCommand>>>,
    /// Commands that did not fit into a relay's queue. Nothing is read while there is one.
    stalled: VecDeque<(RelayId, RelayCommand)>,
    relay_events: Arc<Queue<(RelayId, RelayEvent)>>,
    taken: VecDeque<(RelayId, RelayEvent)>,
    requests: Arc<Requests>,
    /// What others want to know of the server.
    desk: Arc<Desk<Server>>,
    budgets: Budgets,
    counters: Arc<ControlCounters>,
    busy: BusyMeter,
    buffer: Vec<u8>,
    /// Networks that chat servers may connect from; empty for all.
    control_allow: Vec<IpNet>,
    log: Log,
    sink: Option<Sink>,
}

/// What a control thread is given.
pub(crate) struct Parts {
    pub(crate) server: RecordedServer,
    pub(crate) poll: Poll,
    pub(crate) control: TcpListener,
    pub(crate) gateway: TcpListener,
    pub(crate) relays: Vec<Arc<Queue<RelayCommand>>>,
    pub(crate) relay_events: Arc<Queue<(RelayId, RelayEvent)>>,
    pub(crate) requests: Arc<Requests>,
    pub(crate) desk: Arc<Desk<Server>>,
    pub(crate) budgets: Budgets,
    pub(crate) counters: Arc<ControlCounters>,
    /// What is taken of gateway connections.
    pub(crate) limits: Limits,
    /// Gateway connections at once.
    pub(crate) connections_max: usize,
    pub(crate) control_allow: Vec<IpNet>,
    /// Where the server's recording goes.
    pub(crate) sink: Option<Sink>,
}

impl ControlThread {
    pub(crate) fn new(parts: Parts) -> io::Result<Self> {
        let listeners = Listeners::new(
            parts.poll.registry(),
            [(parts.control, Plane::Control, CONTROL), (parts.gateway, Plane::Gateway, GATEWAY)],
            &parts.limits,
            parts.connections_max,
        )?;
        let busy = BusyMeter::new(1 + parts.relays.len());
        Ok(Self {
            server: parts.server,
            poll: parts.poll,
            listeners,
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
            desk: parts.desk,
            budgets: parts.budgets,
            counters: parts.counters,
            busy,
            buffer: vec![0; READ_BYTES],
            control_allow: parts.control_allow,
            log: Log::default(),
            sink: parts.sink,
        })
    }

    /// Serves until a stop was asked for or a drain is over.
    pub(crate) fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(1_024);
        self.counters.set_ready(true);
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
                self.counters.set_ready(false);
                return Ok(());
            }
        }
    }

    /// How long the poll may sleep.
    fn timeout(&self) -> Option<Duration> {
        let now = clock::now();
        if !self.stalled.is_empty() {
            return Some(Duration::from_millis(1));
        }
        if !self.ready.is_empty() || !self.writing.is_empty() || !self.taken.is_empty() {
            return Some(Duration::ZERO);
        }
        let has_room = |peer| self.server.has_room_for(peer);
        let next = [self.listeners.next_at(has_room), self.server.poll_timeout()];
        let next = next.into_iter().flatten().min()?;
        if next <= now {
            return Some(Duration::ZERO);
        }
        // A microsecond more, so that the time has come when the poll returns.
        Some(next.since(now) + Duration::from_micros(1))
    }

    fn note_readiness(&mut self, event: &mio::event::Event) {
        match event.token() {
            WAKE => {}
            CONTROL => self.listeners.note_ready(Plane::Control),
            GATEWAY => self.listeners.note_ready(Plane::Gateway),
            Token(token) => {
                let at = token - CONNECTIONS;
                let Some(Some(tcp)) = self.connections.get_mut(at) else { return };
                if event.is_readable() || event.is_read_closed() || event.is_error() {
                    tcp.ending |= event.is_read_closed() || event.is_error();
                    if !std::mem::replace(&mut tcp.queued, true) {
                        self.ready.push_back(at);
                    }
                }
                if event.is_writable() && !std::mem::replace(&mut tcp.writable, true) {
                    self.writing.push_back(tcp.conn);
                }
            }
        }
    }

    fn turn(&mut self) {
        let begun = clock::now();
        self.obey_requests();
        if self.push_stalled() && !self.server.is_behind() {
            self.accept();
            self.read();
        }
        self.hear_relays();
        self.server.handle_timeout(clock::now());
        if !self.server.takes_connections() {
            self.listeners.close(self.poll.registry());
        }
        self.act();
        self.write();
        self.note_load();
        self.desk.answer(&self.server);
        self.save();
        self.counters.note_turn(clock::now().since(begun));
    }

    /// Tells the server how busy this process is; chat servers learn it with their next heartbeat.
    fn note_load(&mut self) {
        let now = clock::now();
        if self.busy.is_due(now)
            && let Some(used) = sys::processor_time()
            && let Some(load) = self.busy.look(now, used)
        {
            self.server.set_host_load(load);
        }
    }

    fn obey_requests(&mut self) {
        if self.requests.take_drain() {
            self.server.begin_drain(clock::now());
            self.counters.set_ready(self.server.is_ready());
        }
        if let Some(identity) = self.requests.take_tls() {
            self.server.set_tls(Some(identity));
        }
    }

    // --- in ---

    fn accept(&mut self) {
        let now = clock::now();
        self.listeners.begin_turn(now);
        let mut accepted = 0;
        while accepted < self.budgets.accepts
            && let Some(arrival) = self.listeners.accept(now, |peer| self.server.has_room_for(peer))
        {
            accepted += 1;
            if let Arrival::Come(stream, peer, plane) = arrival {
                self.admit(now, stream, peer, plane);
            }
        }
        self.server.note_paced(self.listeners.take_paced());
        self.server.note_parked(self.listeners.take_parked());
        self.counters.accepts.note(accepted);
    }

    /// Whether chat servers may connect from there.
    fn is_allowed(&self, peer: SocketAddr) -> bool {
        let ip = peer.ip().to_canonical();
        self.control_allow.is_empty() || self.control_allow.iter().any(|net| net.contains(&ip))
    }

    fn admit(&mut self, now: Timestamp, mut stream: TcpStream, peer: SocketAddr, plane: Plane) {
        if plane == Plane::Control && !self.is_allowed(peer) {
            self.server.note_not_allowed();
            return self.log.not_allowed(now, peer);
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
        self.listeners.note_opened(now, plane);
        self.connections[at] = Some(Tcp::new(conn, plane, stream));
        self.by_conn.insert(conn, at);
    }

    fn read(&mut self) {
        let rounds = self.ready.len().min(self.budgets.reads);
        for _ in 0..rounds {
            let Some(at) = self.ready.pop_front() else { break };
            let Some(Some(tcp)) = self.connections.get_mut(at) else { continue };
            tcp.queued = false;
            if tcp.half_closed {
                continue;
            }
            let conn = tcp.conn;
            match tcp.read(&mut self.buffer) {
                Progress::Bytes(count) => {
                    if !tcp.drained {
                        tcp.queued = true;
                        self.ready.push_back(at);
                    }
                    self.server.handle_bytes(clock::now(), conn, &self.buffer[..count]);
                }
                Progress::Blocked => {}
                Progress::HalfClosed => {
                    tcp.half_closed = true;
                    self.writing.push_back(conn);
                }
                Progress::Broken => self.end(conn),
            }
        }
        self.counters.reads.note(rounds);
    }

    fn hear_relays(&mut self) {
        if self.taken.is_empty() {
            self.relay_events.take_all(&mut self.taken);
        }
        let count = self.taken.len().min(self.budgets.relay_events);
        for (relay, event) in self.taken.drain(..count) {
            self.server.handle_relay_event(clock::now(), relay, event);
        }
        self.counters.relay_events.note(count);
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
                Output::Event(event) => self.log.event(clock::now(), &event, &self.server),
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
        let rounds = self.writing.len().min(self.budgets.writes);
        for _ in 0..rounds {
            let Some(conn) = self.writing.pop_front() else { break };
            self.write_to(conn);
        }
        self.counters.writes.note(rounds);
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
                Progress::HalfClosed | Progress::Broken => return self.end(conn),
            }
        }
        self.counters.write_bytes.note(written);
        let waits = !self.server.outbound(conn).is_empty();
        if waits && tcp.writable {
            self.writing.push_back(conn);
        }
        if tcp.half_closed && !waits {
            self.end(conn);
        }
    }

    fn save(&mut self) {
        if let Some(sink) = &mut self.sink
            && !sink.write(&self.server.take_recording())
        {
            self.sink = None;
            self.server.stop_recording();
        }
    }

    /// The connection is over, and the server does not know yet.
    fn end(&mut self, conn: ConnId) {
        self.server.handle_eof(clock::now(), conn);
        self.forget(conn);
    }

    /// Closes the connection.
    fn forget(&mut self, conn: ConnId) {
        let Some(at) = self.by_conn.remove(&conn) else { return };
        if let Some(mut tcp) = self.connections[at].take() {
            // Closing the descriptor would do; an error means that it is gone already.
            let _ = self.poll.registry().deregister(&mut tcp.stream);
            let _ = tcp.stream.shutdown(std::net::Shutdown::Write);
            self.free.push(at);
            self.listeners.note_closed(tcp.plane);
        }
    }
}
