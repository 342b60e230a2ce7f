//! The control plane's task: listeners, TCP connections and the `Server`.
//!
//! Each turn does a bounded amount of work in a fixed order: requests of the application, accept,
//! read, relay events, deadlines; then every output of the server, with relay commands queued
//! before any byte is written; then writes. What a budget cut off goes on in the next turn.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use lvsp_core::ids::{ConnId, RelayId};
use lvsp_core::media::command::{RelayCommand, RelayEvent};
use lvsp_core::output::{Event, Output, Plane};
use lvsp_core::record::RecordedServer;
use lvsp_core::time::Timestamp;
use tokio::net::TcpStream;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{broadcast, mpsc};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::clock::Clock;
use crate::handle::{Request, Signals};
use crate::listeners::{Arrival, Listeners};
use crate::ready::Bell;
use crate::recording::Sink;
use crate::tcp::{self, Progress, Tcp};

/// Requests of the application obeyed in one turn.
const REQUESTS: usize = 64;
/// Connections accepted in one turn.
const ACCEPTS: usize = 32;
/// Reads in one turn; one for each connection.
const READS: usize = 128;
/// Bytes of one read.
const READ_BYTES: usize = 16 * 1024;
/// Events of relays heard in one turn.
const RELAY_EVENTS: usize = 1_024;
/// Connections written to in one turn.
const WRITES: usize = 1_024;
/// Bytes written to one connection in one turn.
const WRITE_BYTES: usize = 256 * 1024;
/// A command that found its queue full is tried again after this long.
const RETRY: Duration = Duration::from_millis(1);

/// What serves the control plane; a future that ends when the server is stopped or drained.
#[must_use = "nobody is served before it is polled"]
pub struct Control {
    server: RecordedServer,
    listeners: Listeners,
    connections: Vec<Option<Tcp>>,
    free: Vec<usize>,
    /// The keys are ids that the server gave out.
    by_conn: HashMap<ConnId, usize>,
    /// Connections with bytes to write, or that may be over when all is written.
    writing: VecDeque<ConnId>,
    relays: Vec<mpsc::Sender<RelayCommand>>,
    /// Commands that did not fit into a relay's queue. Nothing is read while there is one.
    stalled: VecDeque<(RelayId, RelayCommand)>,
    relay_events: mpsc::Receiver<(RelayId, RelayEvent)>,
    requests: mpsc::Receiver<Request>,
    signals: Arc<Signals>,
    events: broadcast::Sender<Event>,
    clock: Clock,
    alarm: Pin<Box<Sleep>>,
    buffer: Box<[u8]>,
    sink: Option<Sink>,
    /// A relay's task is gone, and with it everybody's media.
    broken: bool,
}

/// What the control task is made of.
pub(crate) struct Parts {
    pub(crate) server: RecordedServer,
    pub(crate) listeners: Listeners,
    pub(crate) relays: Vec<mpsc::Sender<RelayCommand>>,
    pub(crate) relay_events: mpsc::Receiver<(RelayId, RelayEvent)>,
    pub(crate) requests: mpsc::Receiver<Request>,
    pub(crate) signals: Arc<Signals>,
    pub(crate) events: broadcast::Sender<Event>,
    pub(crate) clock: Clock,
    pub(crate) sink: Option<Sink>,
}

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Control").field("server", &self.server).finish_non_exhaustive()
    }
}

impl Future for Control {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        // Before anything is looked at, so that nothing is missed that comes meanwhile.
        this.signals.ready.set_task(cx.waker());
        let more = this.turn(cx);
        if this.signals.stops() || this.broken || this.server.is_drained() {
            return Poll::Ready(());
        }
        if more || this.set_alarm(cx) {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

impl Control {
    pub(crate) fn new(parts: Parts) -> Self {
        Self {
            server: parts.server,
            listeners: parts.listeners,
            connections: Vec::new(),
            free: Vec::new(),
            by_conn: HashMap::new(),
            writing: VecDeque::new(),
            relays: parts.relays,
            stalled: VecDeque::new(),
            relay_events: parts.relay_events,
            requests: parts.requests,
            signals: parts.signals,
            events: parts.events,
            clock: parts.clock,
            alarm: Box::pin(sleep_until(Instant::now())),
            buffer: vec![0; READ_BYTES].into_boxed_slice(),
            sink: parts.sink,
            broken: false,
        }
    }

    pub(crate) fn begin_shutdown(&self) {
        self.signals.ask_to_drain();
    }

    /// Has the task woken at the next deadline; whether that has come.
    fn set_alarm(&mut self, cx: &mut Context<'_>) -> bool {
        let now = self.clock.now();
        let stalls = !self.stalled.is_empty();
        let retry = stalls.then(|| now + RETRY);
        let has_room = |peer| self.server.has_room_for(peer);
        // Nobody is accepted while a command has to wait.
        let accept = if stalls { None } else { self.listeners.next_at(now, has_room) };
        let deadlines = [self.server.poll_timeout(), accept, retry];
        let Some(next) = deadlines.into_iter().flatten().min() else { return false };
        self.alarm.as_mut().reset(self.clock.instant(next));
        self.alarm.as_mut().poll(cx).is_ready()
    }

    /// One turn; whether something is left that nobody would wake this task for.
    fn turn(&mut self, cx: &mut Context<'_>) -> bool {
        let mut more = false;
        if self.signals.take_drain() {
            self.server.begin_drain(self.clock.now());
        }
        if self.push_stalled() && !self.server.is_behind() {
            more |= self.obey(cx);
            more |= self.accept(cx);
            self.read();
        }
        more |= self.hear_relays(cx);
        self.server.handle_timeout(self.clock.now());
        if !self.server.takes_connections() {
            self.listeners.close();
        }
        self.act();
        self.write();
        self.save();
        // While a command has to wait, so does everything else, for the alarm.
        let waits = self.signals.ready.len() > 0 || !self.writing.is_empty();
        more || (waits && self.stalled.is_empty())
    }

    // --- in ---

    /// Obeys requests of the application; whether there may be more.
    fn obey(&mut self, cx: &mut Context<'_>) -> bool {
        for _ in 0..REQUESTS {
            let Poll::Ready(Some(request)) = self.requests.poll_recv(cx) else { return false };
            request.carry_out(&mut self.server, self.clock.now());
        }
        true
    }

    /// Accepts connections; whether there may be more.
    fn accept(&mut self, cx: &mut Context<'_>) -> bool {
        let now = self.clock.now();
        self.listeners.begin_turn(now);
        let mut accepted = 0;
        while accepted < ACCEPTS
            && let Some(arrival) =
                self.listeners.accept(now, cx, |peer| self.server.has_room_for(peer))
        {
            accepted += 1;
            if let Arrival::Come(stream, peer, plane) = arrival {
                self.admit(now, stream, peer, plane);
            }
        }
        self.server.note_parked(self.listeners.take_parked());
        accepted == ACCEPTS
    }

    fn admit(&mut self, now: Timestamp, stream: TcpStream, peer: SocketAddr, plane: Plane) {
        if let Err(error) = tcp::configure(&stream) {
            tracing::debug!(%error, %peer, "configuring a connection");
        }
        let conn = match self.server.handle_accept(now, plane, peer) {
            Ok(conn) => conn,
            Err(refused) => return tracing::debug!(%refused, %peer, ?plane, "connection refused"),
        };
        let place = self.free.pop().unwrap_or_else(|| {
            self.connections.push(None);
            self.connections.len() - 1
        });
        self.listeners.note_opened(now, plane);
        let bell = Bell::new(&self.signals.ready, place);
        bell.list();
        self.connections[place] = Some(Tcp::new(conn, stream, bell));
        self.by_conn.insert(conn, place);
    }

    fn read(&mut self) {
        for _ in 0..self.signals.ready.len().min(READS) {
            let Some(place) = self.signals.ready.pop() else { break };
            // A bell may ring for a connection that is over.
            let Some(Some(tcp)) = self.connections.get_mut(place) else { continue };
            tcp.bell.unlist();
            let conn = tcp.conn;
            if tcp.blocked {
                tcp.blocked = false;
                self.writing.push_back(conn);
            }
            if tcp.half_closed {
                continue;
            }
            match tcp.read(&mut self.buffer) {
                Progress::Bytes(count) => {
                    tcp.bell.list();
                    self.server.handle_bytes(self.clock.now(), conn, &self.buffer[..count]);
                }
                Progress::Blocked => {}
                Progress::HalfClosed => {
                    tcp.half_closed = true;
                    self.writing.push_back(conn);
                }
                Progress::Broken => self.end(conn),
            }
        }
    }

    /// Hears relays; whether there may be more.
    fn hear_relays(&mut self, cx: &mut Context<'_>) -> bool {
        for _ in 0..RELAY_EVENTS {
            let Poll::Ready(Some((relay, event))) = self.relay_events.poll_recv(cx) else {
                return false;
            };
            self.server.handle_relay_event(self.clock.now(), relay, event);
        }
        true
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
                // An error says that nobody listens.
                Output::Event(event) => drop(self.events.send(event)),
            }
        }
    }

    /// Queues commands in their order; whether all of them fitted.
    fn push_stalled(&mut self) -> bool {
        while let Some((relay, command)) = self.stalled.pop_front() {
            let Some(queue) = self.relays.get(usize::from(relay.0)) else { continue };
            match queue.try_send(command) {
                Ok(()) => {}
                Err(TrySendError::Full(command)) => {
                    self.stalled.push_front((relay, command));
                    return false;
                }
                Err(TrySendError::Closed(_)) => {
                    if !std::mem::replace(&mut self.broken, true) {
                        tracing::error!(relay = relay.0, "a relay's task ended before its server");
                    }
                }
            }
        }
        true
    }

    fn write(&mut self) {
        if !self.stalled.is_empty() {
            // A command must be queued before the bytes that provoke its datagram.
            return;
        }
        for _ in 0..self.writing.len().min(WRITES) {
            let Some(conn) = self.writing.pop_front() else { break };
            self.write_to(conn);
        }
        // Writing may have let the server say more, or end connections.
        self.act();
    }

    fn write_to(&mut self, conn: ConnId) {
        let Some(&place) = self.by_conn.get(&conn) else { return };
        let Some(Some(tcp)) = self.connections.get_mut(place) else { return };
        let mut written = 0;
        while !tcp.blocked && written < WRITE_BYTES {
            let bytes = self.server.outbound(conn);
            let bytes = &bytes[..bytes.len().min(WRITE_BYTES - written)];
            if bytes.is_empty() {
                break;
            }
            match tcp.write(bytes) {
                Progress::Bytes(count) => {
                    written += count;
                    self.server.consume(self.clock.now(), conn, count);
                }
                Progress::Blocked => {}
                Progress::HalfClosed | Progress::Broken => return self.end(conn),
            }
        }
        let waits = !self.server.outbound(conn).is_empty();
        if waits && !tcp.blocked {
            self.writing.push_back(conn);
        }
        if tcp.half_closed && !waits {
            self.end(conn);
        }
    }

    /// The connection is over, and the server does not know yet.
    fn end(&mut self, conn: ConnId) {
        self.server.handle_eof(self.clock.now(), conn);
        self.forget(conn);
    }

    /// Closes the connection.
    fn forget(&mut self, conn: ConnId) {
        if let Some(place) = self.by_conn.remove(&conn) {
            self.connections[place] = None;
            self.free.push(place);
        }
    }

    fn save(&mut self) {
        let Some(sink) = &mut self.sink else { return };
        if !sink.write(&self.server.take_recording()) {
            self.sink = None;
            self.server.stop_recording();
        }
    }
}
