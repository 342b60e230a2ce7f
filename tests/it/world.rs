//! A server, its relays and any number of scripted peers, in virtual time and without sockets.
//!
//! Peers speak literal JSON over the client role of the transport, so that what is asserted here is
//! independent of the core's own codecs. Nothing sleeps: [`World::advance`] moves the clock from
//! deadline to deadline.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Duration;

use lvsp_core::config::{Config, ControlClient};
use lvsp_core::crypto::auth::ControlSecret;
use lvsp_core::entropy::SeededEntropy;
use lvsp_core::ids::{ConnId, RelayId, RelaySet};
use lvsp_core::limits::{LimitCounts, Limits};
use lvsp_core::media::{Filled, Handovers, Relay, TransmitBatch};
use lvsp_core::output::{Event, Output, Plane, Shutdown};
use lvsp_core::reasons::CloseReason;
use lvsp_core::server::Server;
use lvsp_core::time::Timestamp;
use lvsp_core::transport::{Transport, TransportConfig, TransportEvent};
use serde_json::Value;

pub(crate) const SECRET: &str = "an-example-secret-of-thirty-two-bytes!";

/// A scripted peer, by the order in which it connected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct PeerId(usize);

struct Peer {
    conn: ConnId,
    transport: Transport,
    inbox: VecDeque<Value>,
    /// The close code that it read; `Some(None)` is an end without a close frame.
    closed: Option<Option<u16>>,
    /// How the server ended the TCP connection, if it did.
    ended: Option<Shutdown>,
    /// How many more bytes it reads; `usize::MAX` for all there will be.
    allowance: usize,
    /// Bytes written since it connected.
    written: usize,
}

pub(crate) struct World {
    pub(crate) now: Timestamp,
    pub(crate) server: Server,
    pub(crate) relay: Relay,
    /// The others, where the configuration names more than one.
    pub(crate) other_relays: Vec<Relay>,
    pub(crate) events: Vec<Event>,
    peers: Vec<Peer>,
    batch: TransmitBatch,
    /// How TCP cuts what is carried, to show that it changes nothing.
    pub(crate) cut_at: Cut,
}

/// Where TCP cuts the bytes that are carried.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cut {
    Nowhere,
    /// Both ways into pieces of so many bytes.
    Every(usize),
    /// What one peer writes, behind so many bytes since it connected.
    Once {
        peer: usize,
        position: usize,
    },
}

/// Where all clients are; their ports differ.
pub(crate) const HOST: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 20));

impl World {
    pub(crate) fn new() -> Self {
        Self::with(|_| ())
    }

    /// A world whose configuration was changed.
    pub(crate) fn with(change: impl FnOnce(&mut Config)) -> Self {
        let now = Timestamp::from_millis(1_000);
        let secret = ControlSecret::new(SECRET.to_owned()).expect("long enough");
        let relay = SocketAddrV4::new(Ipv4Addr::new(203, 0, 113, 7), 50_000);
        let mut config = Config {
            control_clients: vec![ControlClient::new("default".to_owned(), secret)],
            ..Config::new("voice.example.org:443".to_owned(), vec![relay])
        };
        change(&mut config);
        let mut ids = (0u16..).map(RelayId).take(config.relays.len());
        let relay = |id| Relay::new(id, &config.limits, config.media);
        let first = ids.next().map(relay).expect("a relay");
        let other_relays = ids.map(relay).collect();
        let server = Server::new(config, Box::new(SeededEntropy::new(7)), now).expect("valid");
        Self {
            now,
            server,
            relay: first,
            other_relays,
            events: Vec::new(),
            peers: Vec::new(),
            batch: TransmitBatch::new(),
            cut_at: Cut::Nowhere,
        }
    }

    /// Opens a connection and upgrades it.
    pub(crate) fn connect(&mut self, plane: Plane, target: &str) -> PeerId {
        let number = u16::try_from(self.peers.len()).expect("few peers");
        self.connect_from(plane, target, SocketAddr::new(HOST, 10_000 + number))
    }

    /// The same from another address.
    pub(crate) fn connect_from(
        &mut self,
        plane: Plane,
        target: &str,
        address: SocketAddr,
    ) -> PeerId {
        let peer = self.dial(plane, target, address);
        self.pump();
        peer
    }

    /// Opens a connection to the gateway through a proxy, which changes what the client sends first.
    pub(crate) fn connect_through(
        &mut self,
        proxy: SocketAddr,
        change: impl FnOnce(String) -> String,
    ) -> PeerId {
        let peer = self.dial(Plane::Gateway, "/?v=8", proxy);
        let Peer { conn, transport, .. } = &mut self.peers[peer.0];
        let request = String::from_utf8(transport.outbound().to_vec()).expect("HTTP");
        transport.consume(request.len());
        self.server.handle_bytes(self.now, *conn, change(request).as_bytes());
        self.pump();
        peer
    }

    /// A connection whose client has not been heard yet.
    fn dial(&mut self, plane: Plane, target: &str, address: SocketAddr) -> PeerId {
        let conn = self.server.handle_accept(self.now, plane, address).expect("admitted");
        let config = TransportConfig::new(&Limits::default(), 1 << 20);
        let transport = Transport::connect(None, "localhost", target, [7; 16], config)
            .expect("a plain connection needs nothing");
        self.peers.push(Peer {
            conn,
            transport,
            inbox: VecDeque::new(),
            closed: None,
            ended: None,
            allowance: usize::MAX,
            written: 0,
        });
        PeerId(self.peers.len() - 1)
    }

    /// Moves bytes, commands and events until nothing is left to do.
    pub(crate) fn pump(&mut self) {
        for _ in 0..10_000 {
            let mut idle = !self.act_on_outputs();
            if self.server.is_behind() {
                self.server.handle_timeout(self.now);
                idle = false;
            }
            for at in 0..self.peers.len() {
                idle &= !self.carry(at);
            }
            for relay in [&mut self.relay].into_iter().chain(&mut self.other_relays) {
                while let Some(event) = relay.poll_event() {
                    self.server.handle_relay_event(self.now, relay.id(), event);
                    idle = false;
                }
            }
            // As hosts do that take the outputs of a whole turn at its end.
            self.server.handle_timeout(self.now);
            if idle {
                return;
            }
        }
        panic!("the world does not come to rest");
    }

    fn act_on_outputs(&mut self) -> bool {
        let mut acted = false;
        while let Some(output) = self.server.poll_output() {
            acted = true;
            match output {
                Output::Write(_) => {}
                Output::Relay(relay, command) => {
                    let now = self.now;
                    self.relay_of(relay).handle_command(now, command);
                }
                Output::Close { conn, how } => {
                    if let Some(peer) = self.peers.iter_mut().find(|peer| peer.conn == conn) {
                        peer.ended = Some(how);
                        peer.transport.handle_eof();
                        collect(peer);
                    }
                }
                Output::Event(event) => self.events.push(event),
            }
        }
        acted
    }

    /// Carries bytes both ways between one peer and the server.
    fn carry(&mut self, at: usize) -> bool {
        let peer = &mut self.peers[at];
        if peer.ended.is_some() {
            return false;
        }
        let mut moved = false;
        let out = peer.transport.outbound().to_vec();
        peer.transport.consume(out.len());
        let (done, whole) = (peer.written, 1 << 20);
        peer.written += out.len();
        let (head, tail) = match self.cut_at {
            Cut::Once { peer, position } if peer == at => {
                out.split_at(position.saturating_sub(done).min(out.len()))
            }
            Cut::Nowhere | Cut::Every(_) | Cut::Once { .. } => out.split_at(0),
        };
        let chunk = if let Cut::Every(bytes) = self.cut_at { bytes } else { whole };
        for piece in head.chunks(whole).chain(tail.chunks(chunk)) {
            self.server.handle_bytes(self.now, peer.conn, piece);
            moved = true;
        }
        if peer.allowance > 0 {
            let waiting = self.server.outbound(peer.conn);
            let text = waiting[..waiting.len().min(peer.allowance)].to_vec();
            if peer.allowance != usize::MAX {
                peer.allowance -= text.len();
            }
            self.server.consume(self.now, peer.conn, text.len());
            for piece in text.chunks(chunk) {
                peer.transport.handle_bytes(piece);
                moved = true;
            }
            collect(peer);
        }
        moved
    }

    /// How many bytes each peer has written.
    pub(crate) fn written(&self) -> Vec<usize> {
        self.peers.iter().map(|peer| peer.written).collect()
    }

    /// Lets time pass, from deadline to deadline.
    pub(crate) fn advance(&mut self, by: Duration) {
        let target = self.now + by;
        for _ in 0..100_000 {
            match self.server.poll_timeout() {
                Some(at) if at <= target => {
                    self.now = self.now.max(at);
                    self.server.handle_timeout(self.now);
                    self.pump();
                    assert!(
                        self.server.poll_timeout().is_none_or(|next| next > self.now),
                        "no deadline is in the past after handling it"
                    );
                }
                Some(_) | None => {
                    self.now = target;
                    return;
                }
            }
        }
        panic!("deadlines do not end");
    }

    pub(crate) fn send(&mut self, peer: PeerId, message: &Value) {
        self.send_text(peer, &message.to_string());
    }

    /// Sends messages that arrive at once.
    pub(crate) fn send_together(&mut self, peer: PeerId, messages: &[Value]) {
        let transport = &mut self.peers[peer.0].transport;
        messages.iter().for_each(|message| transport.send_text(&message.to_string()));
        self.pump();
    }

    pub(crate) fn send_text(&mut self, peer: PeerId, text: &str) {
        self.peers[peer.0].transport.send_text(text);
        self.pump();
    }

    pub(crate) fn send_binary(&mut self, peer: PeerId, bytes: &[u8]) {
        self.peers[peer.0].transport.send_binary(bytes);
        self.pump();
    }

    /// A relay by its id.
    pub(crate) fn relay_of(&mut self, id: RelayId) -> &mut Relay {
        match usize::from(id.0).checked_sub(1) {
            None => &mut self.relay,
            Some(at) => &mut self.other_relays[at],
        }
    }

    /// How often each limit was reached, in the server and in its relays.
    pub(crate) fn counts(&self) -> LimitCounts {
        let mut counts = self.server.stats().limits;
        for relay in [&self.relay].into_iter().chain(&self.other_relays) {
            counts.add(&relay.stats().limits);
        }
        counts
    }

    /// The next message that the peer got.
    #[track_caller]
    pub(crate) fn take(&mut self, peer: PeerId) -> Value {
        self.peers[peer.0].inbox.pop_front().expect("a message is waiting")
    }

    /// Everything that the peer got and did not take yet.
    pub(crate) fn take_all(&mut self, peer: PeerId) -> Vec<Value> {
        self.peers[peer.0].inbox.drain(..).collect()
    }

    /// The close code that the peer read: `Some(None)` for an end without a close frame.
    pub(crate) fn closed(&self, peer: PeerId) -> Option<Option<u16>> {
        self.peers[peer.0].closed
    }

    pub(crate) fn ended(&self, peer: PeerId) -> Option<Shutdown> {
        self.peers[peer.0].ended
    }

    /// The peer closes its connection with this code.
    pub(crate) fn close(&mut self, peer: PeerId, code: u16) {
        self.peers[peer.0].transport.close(code, "");
        self.pump();
    }

    /// The peer's TCP connection breaks.
    pub(crate) fn cut(&mut self, peer: PeerId) {
        let peer = &mut self.peers[peer.0];
        peer.ended = Some(Shutdown::Abrupt);
        self.server.handle_eof(self.now, peer.conn);
        self.pump();
    }

    pub(crate) fn set_reading(&mut self, peer: PeerId, reads: bool) {
        self.allow(peer, if reads { usize::MAX } else { 0 });
    }

    /// Lets a peer read so many bytes more and then stop.
    pub(crate) fn allow(&mut self, peer: PeerId, bytes: usize) {
        self.peers[peer.0].allowance = bytes;
        self.pump();
    }

    /// How many bytes wait for a peer.
    pub(crate) fn waiting(&self, peer: PeerId) -> usize {
        self.server.outbound(self.peers[peer.0].conn).len()
    }

    /// The bytes that wait for a peer, as they are on the wire.
    pub(crate) fn unread(&self, peer: PeerId) -> Vec<u8> {
        self.server.outbound(self.peers[peer.0].conn).to_vec()
    }

    /// Gives a datagram to the first relay; what is sent in turn.
    pub(crate) fn datagram(
        &mut self,
        from: SocketAddr,
        bytes: Vec<u8>,
    ) -> Vec<(SocketAddr, Vec<u8>)> {
        self.datagram_to(RelayId(0), from, bytes)
    }

    /// Gives a datagram to a relay; what that and the others send in turn.
    pub(crate) fn datagram_to(
        &mut self,
        id: RelayId,
        from: SocketAddr,
        mut bytes: Vec<u8>,
    ) -> Vec<(SocketAddr, Vec<u8>)> {
        self.batch.clear();
        let now = self.now;
        let mut batch = std::mem::take(&mut self.batch);
        let mut fanout = self.relay_of(id).handle_datagram(now, from, &mut bytes);
        let mut handed = Handovers::new();
        let mut others = RelaySet::EMPTY;
        if let Some((to, handover)) = fanout.take_handover() {
            assert!(!to.contains(id), "nothing is handed to the relay that has it");
            assert!(to.iter().all(|_| handed.push(&handover)), "there is room");
            others = to;
        }
        assert_eq!(fanout.fill(&mut batch), Filled::Done, "small rooms fit");
        drop(fanout);
        for other in others.iter() {
            let handover = handed.take().expect("one for each");
            let mut fanout = self.relay_of(other).handle_handover(now, &handover);
            assert_eq!(fanout.fill(&mut batch), Filled::Done, "small rooms fit");
        }
        self.batch = batch;
        let sent = self.batch.entries().map(|copy| (copy.address, copy.bytes.to_vec())).collect();
        self.pump();
        sent
    }
}

fn collect(peer: &mut Peer) {
    while let Some(event) = peer.transport.poll_event() {
        match event {
            TransportEvent::Text(text) => {
                peer.inbox.push_back(serde_json::from_str(&text).expect("the server sends JSON"));
            }
            TransportEvent::Closed { code } => peer.closed = Some(code),
            TransportEvent::Failed(CloseReason::BadUpgrade) => peer.closed = Some(None),
            TransportEvent::Failed(reason) => panic!("the peer's transport failed: {reason:?}"),
            TransportEvent::Client(_)
            | TransportEvent::Opened { .. }
            | TransportEvent::Binary(_)
            | TransportEvent::Pong => {}
        }
    }
}
