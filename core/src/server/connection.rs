//! TCP connections: accepting, reading, writing, closing. What a message means is decided
//! elsewhere.
//!
//! A connection leaves in one of two ways. `close_conn` says why (a close frame), waits for what
//! is queued to be written, and lingers for a few seconds at most. `drop_conn` ends it at once,
//! without a word. Either way its voice session is detached before, never destroyed.

use std::net::SocketAddr;

use super::Server;
use super::admission::AddressKey;
use super::deadlines::Timer;
use super::origin::Origin;
use crate::gateway;
use crate::ids::{ConnId, MemberId};
use crate::lvsp;
use crate::output::{Event, Output, Plane, Shutdown};
use crate::reasons::{CloseReason, Refused};
use crate::time::Timestamp;
use crate::transport::{Stage, Transport, TransportConfig, TransportEvent};
use crate::wire::close;

/// What a connection speaks, once it is open.
#[derive(Debug)]
pub(super) enum Machine {
    Opening,
    Control(lvsp::link::Link),
    Gateway(gateway::link::Link),
    /// Said goodbye; whatever still comes is ignored.
    Closing(CloseReason),
}

/// One accepted TCP connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) transport: Transport,
    pub(super) plane: Plane,
    pub(super) peer: SocketAddr,
    pub(super) origin: Origin,
    /// What it is counted by until it has identified, and what it waits for, if it does.
    pub(super) counted: AddressKey,
    pub(super) waits_for: Option<AddressKey>,
    /// When it came, or was no longer made to wait.
    pub(super) accepted: Timestamp,
    pub(super) machine: Machine,
    /// The voice state that it serves, on the gateway.
    pub(super) member: Option<MemberId>,
    pub(super) authenticated: bool,
    /// How far its opening was when last looked at, and since when: what a stranger is judged by.
    stage: Stage,
    pub(super) progressed: Timestamp,
    pub(super) write_announced: bool,
    /// Memory of what waits and of what has not wholly arrived, as it was last counted.
    outbound_held: usize,
    inbound_held: usize,
    /// Bytes ever written, to know the age of the oldest byte that waits.
    written: u64,
    /// Everything up to this position must be written by the slow-reader deadline.
    mark: u64,
}

impl Connection {
    /// Where the client connects from, as far as that is known; without a port if a proxy says it.
    pub(super) fn client(&self) -> Option<SocketAddr> {
        match self.origin {
            Origin::Peer => Some(self.peer),
            Origin::Client(ip) => Some(SocketAddr::new(ip, 0)),
            Origin::Proxy => None,
        }
    }

    /// How far its opening has come.
    pub(super) const fn stage(&self) -> Stage {
        self.stage
    }
}

impl Server {
    /// Takes a connection that the host accepted.
    ///
    /// # Errors
    /// Why the connection is not wanted; the host closes it.
    pub fn handle_accept(
        &mut self,
        now: Timestamp,
        plane: Plane,
        peer: SocketAddr,
    ) -> Result<ConnId, Refused> {
        let now = self.advance(now);
        self.admit(now, plane, peer)?;
        let limits = &self.config.limits;
        let message_bytes = match plane {
            Plane::Control => limits.control_message_unidentified_bytes,
            Plane::Gateway => limits.gateway_message_unidentified_bytes,
        };
        let mut config = TransportConfig::new(limits, message_bytes);
        if plane == Plane::Control {
            let message = limits.control_outbound_message_bytes;
            config.outbound_bytes = config.outbound_bytes.min(message);
        }
        let first_byte = limits.first_byte_ms.duration();
        let (transport, origin) = self.transport_of(plane, peer, config);
        let counted = AddressKey::new(plane, peer.ip());
        let conn = self.conns.insert(Connection {
            transport,
            plane,
            peer,
            origin,
            counted,
            waits_for: None,
            accepted: now,
            machine: Machine::Opening,
            member: None,
            authenticated: false,
            stage: Stage::AwaitFirstByte,
            progressed: now,
            write_announced: false,
            outbound_held: 0,
            inbound_held: 0,
            written: 0,
            mark: 0,
        });
        self.count_unauthenticated(counted);
        self.timers.set(Timer::Handshake(conn), now + first_byte);
        Ok(conn)
    }

    /// Takes bytes that the host read. Any number, split anywhere.
    pub fn handle_bytes(&mut self, now: Timestamp, conn: ConnId, bytes: &[u8]) {
        let now = self.advance(now);
        let Some(connection) = self.conns.get_mut(conn) else { return };
        connection.transport.handle_bytes(bytes);
        if connection.plane == Plane::Control && !bytes.is_empty() {
            self.control_alive(now, conn);
        }
        self.take_events(now, conn);
    }

    /// Acts on what a transport has to say. A chat server's orders may each lead to much: when that
    /// is enough for now, the rest is put off like deadlines are.
    pub(super) fn take_events(&mut self, now: Timestamp, conn: ConnId) {
        while let Some(connection) = self.conns.get_mut(conn) {
            if connection.plane == Plane::Control && self.outputs.len() > self.config.limits.outputs
            {
                self.put_off();
                self.timers.set(Timer::Unheard(conn), now);
                break;
            }
            if connection.waits_for.is_some() && connection.transport.stage() != Stage::Closed {
                break;
            }
            let Some(event) = connection.transport.poll_event() else { break };
            self.handle_event(now, conn, event);
        }
        self.settle(now, conn);
        self.note_inbound(now, conn);
    }

    /// Accounts for what has not wholly arrived. Over the total whoever holds most of it goes: so
    /// that clients which begin messages and do not end them cannot keep others from speaking.
    fn note_inbound(&mut self, now: Timestamp, conn: ConnId) {
        let Some(connection) = self.conns.get_mut(conn) else { return };
        let held = connection.transport.inbound_held();
        let before = std::mem::replace(&mut connection.inbound_held, held);
        self.inbound_total = self.inbound_total + held - before;
        while self.inbound_total > self.config.limits.inbound_total_bytes {
            self.stats.limits.inbound_total_bytes += 1;
            let held = |connection: &Connection| connection.inbound_held;
            if !self.drop_largest(now, held, CloseReason::Overloaded) {
                return;
            }
        }
    }

    /// Drops the connection that holds most of something; whether there was one.
    fn drop_largest(
        &mut self,
        now: Timestamp,
        held: impl Fn(&Connection) -> usize,
        reason: CloseReason,
    ) -> bool {
        let largest = self.conns.iter().max_by_key(|(_, connection)| held(connection));
        let Some(conn) = largest.map(|(conn, _)| conn) else { return false };
        self.drop_conn(now, conn, reason);
        true
    }

    /// Takes the end of the peer's bytes, or an error of the socket. The id is dead afterwards.
    pub fn handle_eof(&mut self, now: Timestamp, conn: ConnId) {
        let now = self.advance(now);
        self.end_conn(now, conn, CloseReason::PeerClosed, None);
    }

    /// The bytes that wait to be written to a connection.
    #[must_use]
    pub fn outbound(&self, conn: ConnId) -> &[u8] {
        self.conns.get(conn).map_or(&[], |connection| connection.transport.outbound())
    }

    /// Says that the first `written` bytes of [`Self::outbound`] were written.
    pub fn consume(&mut self, now: Timestamp, conn: ConnId, written: usize) {
        let now = self.advance(now);
        let Some(connection) = self.conns.get_mut(conn) else { return };
        let written = written.min(connection.transport.outbound().len());
        connection.transport.consume(written);
        connection.written += written as u64;
        if connection.written >= connection.mark {
            self.timers.clear(Timer::SlowReader(conn));
        }
        self.note_backlog(now, conn);
        self.pump_conn(now, conn);
        self.settle(now, conn);
    }

    fn handle_event(&mut self, now: Timestamp, conn: ConnId, event: TransportEvent) {
        let Some(connection) = self.conns.get(conn) else { return };
        if let Machine::Closing(_) = connection.machine {
            return;
        }
        match (event, connection.plane) {
            (TransportEvent::Client(client), _) => self.client_said(conn, client),
            (TransportEvent::Opened { .. }, Plane::Control) => self.control_opened(now, conn),
            (TransportEvent::Opened { target }, Plane::Gateway) => {
                self.gateway_opened(now, conn, &target);
            }
            (TransportEvent::Text(text), Plane::Control) => self.control_text(now, conn, &text),
            (TransportEvent::Text(text), Plane::Gateway) => self.gateway_text(now, conn, &text),
            (TransportEvent::Binary(_), Plane::Control) => self.close_conn_saying(
                now,
                conn,
                CloseReason::Decode,
                "messages are JSON in text frames",
            ),
            (TransportEvent::Binary(_), Plane::Gateway) => self.gateway_binary(now, conn),
            (TransportEvent::Pong, _) => {}
            (TransportEvent::Closed { .. }, _) => {
                self.leave(now, conn, CloseReason::PeerClosed);
            }
            (TransportEvent::Failed(reason), _) => {
                self.count_failure(conn, reason);
                self.note_refused_proxy(conn, reason);
                self.leave(now, conn, reason);
            }
        }
    }

    /// Counts the limit that a transport ran into, if it was one.
    fn count_failure(&mut self, conn: ConnId, reason: CloseReason) {
        let Some(connection) = self.conns.get(conn) else { return };
        let (plane, identified) = (connection.plane, connection.authenticated);
        let counts = &mut self.stats.limits;
        let count = match (reason, plane) {
            (CloseReason::HandshakeTooBig, _) => &mut counts.tls_handshake_bytes,
            (CloseReason::ProxyHeaderTooBig, _) => &mut counts.proxy_header_bytes,
            (CloseReason::HeadTooBig, _) => &mut counts.upgrade_bytes,
            (CloseReason::HeadTooLong, _) => &mut counts.upgrade_lines,
            (CloseReason::MessageTooBig, Plane::Control) if identified => {
                &mut counts.control_message_bytes
            }
            (CloseReason::MessageTooBig, Plane::Control) => {
                &mut counts.control_message_unidentified_bytes
            }
            (CloseReason::MessageTooBig, Plane::Gateway) if identified => {
                &mut counts.gateway_message_bytes
            }
            (CloseReason::MessageTooBig, Plane::Gateway) => {
                &mut counts.gateway_message_unidentified_bytes
            }
            (CloseReason::SlowReader, Plane::Control) => &mut counts.control_outbound_message_bytes,
            (CloseReason::SlowReader, Plane::Gateway) => &mut counts.outbound_bytes,
            (_, Plane::Control | Plane::Gateway) => return,
        };
        *count += 1;
    }

    /// Queues a text message.
    pub(super) fn send(&mut self, now: Timestamp, conn: ConnId, text: &str) {
        let Some(connection) = self.conns.get_mut(conn) else { return };
        if let Machine::Closing(_) = connection.machine {
            return;
        }
        connection.transport.send_text(text);
        self.settle(now, conn);
    }

    /// Closes with the code that the plane has for `reason`; without one, drops.
    pub(super) fn close_conn(&mut self, now: Timestamp, conn: ConnId, reason: CloseReason) {
        self.close_conn_saying(now, conn, reason, "");
    }

    /// Closes with a text of its own in place of the code's usual one.
    pub(super) fn close_conn_saying(
        &mut self,
        now: Timestamp,
        conn: ConnId,
        reason: CloseReason,
        text: &str,
    ) {
        let Some(connection) = self.conns.get_mut(conn) else { return };
        if let Machine::Closing(_) = connection.machine {
            return;
        }
        let code = match connection.plane {
            Plane::Control => close::control(reason),
            Plane::Gateway => close::gateway(reason),
        };
        match code {
            Some((code, usual)) => {
                let text = if text.is_empty() { usual } else { text };
                connection.transport.close(code, text);
                self.leave(now, conn, reason);
            }
            None => self.drop_conn(now, conn, reason),
        }
    }

    /// Ends the connection at once, without a close frame.
    pub(super) fn drop_conn(&mut self, now: Timestamp, conn: ConnId, reason: CloseReason) {
        self.end_conn(now, conn, reason, Some(Shutdown::Abrupt));
    }

    /// Stops listening to the connection; what is queued is still written.
    fn leave(&mut self, now: Timestamp, conn: ConnId, reason: CloseReason) {
        self.detach_conn(now, conn);
        if let Some(connection) = self.conns.get_mut(conn) {
            connection.machine = Machine::Closing(reason);
            let linger = self.config.limits.linger_ms.duration();
            self.timers.set(Timer::Linger(conn), now + linger);
            self.settle(now, conn);
        }
    }

    /// After anything that may have changed a connection: deadlines, notice of bytes to write,
    /// the end when all is said.
    pub(super) fn settle(&mut self, now: Timestamp, conn: ConnId) {
        self.note_backlog(now, conn);
        let Some(connection) = self.conns.get_mut(conn) else { return };
        if !connection.transport.outbound().is_empty() && !connection.write_announced {
            connection.write_announced = true;
            self.outputs.push_back(Output::Write(conn));
        }
        let limits = &self.config.limits;
        let stage = connection.transport.stage();
        if connection.stage != stage {
            connection.stage = stage;
            connection.progressed = now;
        }
        let handshake = match stage {
            _ if connection.waits_for.is_some() => Some(limits.upgrade_ms),
            Stage::AwaitFirstByte => Some(limits.first_byte_ms),
            Stage::Tls => Some(limits.tls_ms),
            Stage::Upgrade if connection.plane == Plane::Control => Some(limits.control_upgrade_ms),
            Stage::Upgrade => Some(limits.upgrade_ms),
            Stage::Open | Stage::Closing | Stage::Closed => None,
        };
        match handshake {
            Some(limit) => {
                let at = connection.accepted + limit.duration();
                self.timers.set(Timer::Handshake(conn), at);
            }
            None => self.timers.clear(Timer::Handshake(conn)),
        }
        if connection.transport.is_finished() {
            let reason = match connection.machine {
                Machine::Closing(reason) => reason,
                Machine::Opening | Machine::Control(_) | Machine::Gateway(_) => {
                    CloseReason::PeerClosed
                }
            };
            self.end_conn(now, conn, reason, Some(Shutdown::Graceful));
        }
    }

    /// Accounts for bytes that wait and ends connections whose peer does not read.
    fn note_backlog(&mut self, now: Timestamp, conn: ConnId) {
        let Some(connection) = self.conns.get_mut(conn) else { return };
        let waiting = connection.transport.outbound().len();
        let queued = connection.written + waiting as u64;
        let held = connection.transport.outbound_held();
        let before = std::mem::replace(&mut connection.outbound_held, held);
        self.outbound_total = self.outbound_total + held - before;
        let limits = &self.config.limits;
        if waiting > limits.outbound_bytes {
            self.stats.limits.outbound_bytes += 1;
            return self.drop_conn(now, conn, CloseReason::SlowReader);
        }
        if waiting > 0 && self.timers.armed(Timer::SlowReader(conn)).is_none() {
            connection.mark = queued;
            self.timers.set(Timer::SlowReader(conn), now + limits.outbound_age_ms.duration());
        }
        while self.outbound_total > self.config.limits.outbound_total_bytes {
            self.stats.limits.outbound_total_bytes += 1;
            let held = |connection: &Connection| connection.outbound_held;
            if !self.drop_largest(now, held, CloseReason::SlowReader) {
                return;
            }
        }
    }

    /// The connection identified: other limits hold from here on.
    pub(super) fn authenticated(&mut self, conn: ConnId) {
        let Some(connection) = self.conns.get_mut(conn) else { return };
        let limits = &self.config.limits;
        connection.transport.set_message_limit(match connection.plane {
            Plane::Control => limits.control_message_bytes,
            Plane::Gateway => limits.gateway_message_bytes,
        });
        if !connection.authenticated {
            connection.authenticated = true;
            let key = connection.counted;
            self.release_unauthenticated(key);
        }
        self.timers.clear(Timer::Identify(conn));
        self.timers.clear(Timer::Hold(conn));
    }

    /// Forgets a connection; `how` is `None` when the host already knows that it is over.
    fn end_conn(
        &mut self,
        now: Timestamp,
        conn: ConnId,
        reason: CloseReason,
        how: Option<Shutdown>,
    ) {
        let reason = match self.conns.get(conn).map(|connection| &connection.machine) {
            Some(Machine::Closing(said)) => *said,
            Some(Machine::Opening | Machine::Control(_) | Machine::Gateway(_)) | None => reason,
        };
        self.detach_conn(now, conn);
        let Some(connection) = self.conns.remove(conn) else { return };
        self.outbound_total -= connection.outbound_held;
        self.inbound_total -= connection.inbound_held;
        if let Some(key) = connection.waits_for {
            self.give_up_waiting(conn, key);
        }
        self.stats.closes.count(reason, 1);
        if !connection.authenticated {
            self.release_unauthenticated(connection.counted);
        }
        for timer in Timer::of_conn(conn) {
            self.timers.clear(timer);
        }
        let (plane, peer) = (connection.plane, connection.client().unwrap_or(connection.peer));
        self.event(Event::ConnectionClosed { plane, conn, peer, reason });
        if let Some(how) = how {
            self.outputs.push_back(Output::Close { conn, how });
        }
    }

    /// Parts a connection from the session that it served.
    fn detach_conn(&mut self, now: Timestamp, conn: ConnId) {
        let Some(connection) = self.conns.get_mut(conn) else { return };
        match std::mem::replace(&mut connection.machine, Machine::Closing(CloseReason::PeerClosed))
        {
            Machine::Control(link) => self.control_lost(now, conn, link.stage),
            Machine::Gateway(link) => {
                let member = connection.member.take();
                self.gateway_lost(now, conn, link, member);
            }
            Machine::Closing(reason) => connection.machine = Machine::Closing(reason),
            Machine::Opening => {}
        }
    }
}
