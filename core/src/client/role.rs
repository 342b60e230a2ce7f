//! What both roles have in common: one connection with its heartbeats, driven in the same way.
//!
//! Here: how a connection begins, lives and ends. Not here: what is said on it, which each role adds
//! through [`sealed::Machine`].

use std::net::SocketAddr;
use std::time::Duration;

use crate::entropy::Entropy;
use crate::limits::Limits;
use crate::reasons::CloseReason;
use crate::time::Timestamp;
use crate::transport::{
    Stage, TlsError, TlsFailure, TlsTrust, Transport, TransportConfig, TransportEvent,
};
use sealed::{Connection, ConnectionEvent, Machine};

/// The largest message that a server sends: a list of everybody in a large channel.
const MESSAGE_BYTES: usize = 1 << 20;

/// The client's side of a protocol, for whoever moves its bytes.
///
/// Bytes, datagrams and the time go in; bytes, datagrams and deadlines come out, and events, which
/// each role has of its own. So one loop drives any of them, and what stands between a role and its
/// sockets, such as a wire that loses datagrams, can be one as well.
pub trait Role {
    /// Takes bytes of the TCP connection.
    fn handle_bytes(&mut self, now: Timestamp, bytes: &[u8]);
    /// Takes the end of the TCP connection.
    fn handle_eof(&mut self, now: Timestamp);
    /// Does what is due: heartbeats, and what a role repeats.
    fn handle_timeout(&mut self, now: Timestamp);
    /// Bytes to write to the TCP connection.
    fn outbound(&self) -> &[u8];
    /// Says that the first `written` of them were written.
    fn consume(&mut self, written: usize);
    /// When [`Self::handle_timeout`] should be called.
    fn poll_timeout(&self) -> Option<Timestamp>;
    /// Takes a datagram from the UDP socket; it is opened in place. A role without one takes none.
    fn handle_datagram(&mut self, packet: &mut [u8]);
    /// The next datagram to send, and where to.
    fn poll_transmit(&mut self) -> Option<(SocketAddr, Vec<u8>)>;
}

/// How the newest connection of a role is, for whoever has to say what is wrong with it.
pub trait Connected: Role {
    /// How far it has come.
    fn stage(&self) -> Stage;
    /// Whether the server has said Hello on it.
    fn is_greeted(&self) -> bool;
    /// Why this side ended it, if it did: a certificate that is not trusted, say.
    fn failure(&self) -> Option<CloseReason>;
    /// Why TLS failed, when that is [`Self::failure`].
    fn tls_failure(&self) -> Option<&TlsFailure>;
}

impl<M: Machine> Role for M {
    fn handle_bytes(&mut self, now: Timestamp, bytes: &[u8]) {
        self.connection_mut().transport.handle_bytes(bytes);
        take_events(self, now);
    }

    fn handle_eof(&mut self, now: Timestamp) {
        self.connection_mut().transport.handle_eof();
        take_events(self, now);
    }

    fn handle_timeout(&mut self, now: Timestamp) {
        if self.connection_mut().takes_heartbeat(now) {
            self.say_heartbeat(now);
        }
        self.repeat(now);
    }

    fn outbound(&self) -> &[u8] {
        self.connection().transport.outbound()
    }

    fn consume(&mut self, written: usize) {
        self.connection_mut().transport.consume(written);
    }

    fn poll_timeout(&self) -> Option<Timestamp> {
        let heartbeat = self.connection().heartbeat.map(|(at, _)| at);
        [heartbeat, self.repeats_at()].into_iter().flatten().min()
    }

    fn handle_datagram(&mut self, packet: &mut [u8]) {
        self.take_datagram(packet);
    }

    fn poll_transmit(&mut self) -> Option<(SocketAddr, Vec<u8>)> {
        self.next_datagram()
    }
}

impl<M: Machine> Connected for M {
    fn stage(&self) -> Stage {
        self.connection().transport.stage()
    }

    fn is_greeted(&self) -> bool {
        self.connection().heartbeat.is_some()
    }

    fn failure(&self) -> Option<CloseReason> {
        self.connection().failure
    }

    fn tls_failure(&self) -> Option<&TlsFailure> {
        self.connection().transport.tls_failure()
    }
}

fn take_events(machine: &mut impl Machine, now: Timestamp) {
    while let Some(event) = machine.connection_mut().poll_event() {
        machine.take(now, event);
    }
}

impl Connection {
    /// Begins a connection. `tls` is what to trust and the server's name; `None` speaks plain TCP.
    pub(super) fn open(
        tls: Option<(&TlsTrust, &str)>,
        host: &str,
        target: &str,
        entropy: &mut (dyn Entropy + Send),
    ) -> Result<Self, TlsError> {
        let config = TransportConfig::new(&Limits::default(), MESSAGE_BYTES);
        let transport = Transport::connect(tls, host, target, entropy.bytes(), config)?;
        Ok(Self { transport, heartbeat: None, failure: None })
    }

    /// The server said how often it wants to hear a heartbeat.
    pub(super) fn begin_heartbeats(&mut self, now: Timestamp, interval_ms: u64) {
        let interval = Duration::from_millis(interval_ms);
        self.heartbeat = Some((now + interval, interval));
    }

    /// Whether a heartbeat is due, which is sent then; the next one comes an interval later.
    fn takes_heartbeat(&mut self, now: Timestamp) -> bool {
        let Some((at, interval)) = self.heartbeat else { return false };
        if at <= now {
            self.heartbeat = Some((now + interval, interval));
        }
        at <= now
    }

    /// Sends a message.
    pub(super) fn say(&mut self, text: &str) {
        self.transport.send_text(text);
    }

    fn poll_event(&mut self) -> Option<ConnectionEvent> {
        loop {
            let code = match self.transport.poll_event()? {
                TransportEvent::Opened { .. } => return Some(ConnectionEvent::Opened),
                TransportEvent::Text(text) => return Some(ConnectionEvent::Message(text)),
                TransportEvent::Client(_) | TransportEvent::Binary(_) | TransportEvent::Pong => {
                    continue;
                }
                TransportEvent::Closed { code } => code,
                TransportEvent::Failed(reason) => {
                    self.failure = Some(reason);
                    None
                }
            };
            self.heartbeat = None;
            return Some(ConnectionEvent::Closed { code });
        }
    }
}

/// What the roles of this folder are made of; nobody else can name it.
pub(super) mod sealed {
    use super::{CloseReason, Duration, SocketAddr, Timestamp, Transport};

    /// One connection to a server.
    #[derive(Debug)]
    pub struct Connection {
        pub(super) transport: Transport,
        /// When the next heartbeat is due, and how long from one to the next.
        pub(super) heartbeat: Option<(Timestamp, Duration)>,
        /// Why this side ended it, if it did.
        pub(super) failure: Option<CloseReason>,
    }

    /// What happened on it.
    #[derive(Debug)]
    pub enum ConnectionEvent {
        /// Messages may be sent.
        Opened,
        /// A message came.
        Message(String),
        /// It ended, with this code if there was a close frame.
        Closed { code: Option<u16> },
    }

    /// What a role adds to its connection.
    pub trait Machine {
        fn connection(&self) -> &Connection;
        fn connection_mut(&mut self) -> &mut Connection;
        fn take(&mut self, now: Timestamp, event: ConnectionEvent);
        fn say_heartbeat(&mut self, now: Timestamp);

        /// Does what is due beside heartbeats.
        fn repeat(&mut self, _now: Timestamp) {}

        /// When that is.
        fn repeats_at(&self) -> Option<Timestamp> {
            None
        }

        fn take_datagram(&mut self, _packet: &mut [u8]) {}

        fn next_datagram(&mut self) -> Option<(SocketAddr, Vec<u8>)> {
            None
        }
    }
}
