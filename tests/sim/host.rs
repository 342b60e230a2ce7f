//! The voice server's process: the core, its queues, and two threads that take turns when they like.

use std::collections::{BTreeMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Duration;

use lvsp_core::config::{Config, ControlAuth, ControlClient, MediaConfig, Proxies, Revision};
use lvsp_core::crypto::auth::ControlSecret;
use lvsp_core::entropy::SeededEntropy;
use lvsp_core::ids::{ConnId, RelayId};
use lvsp_core::limits::{Limits, Millis};
use lvsp_core::media::command::{RelayCommand, RelayEvent};
use lvsp_core::media::{Filled, Handovers, Relay, TransmitBatch};
use lvsp_core::memory::Ceiling;
use lvsp_core::output::{Event, Output, Shutdown};
use lvsp_core::server::Server;

use crate::Gauge;
use crate::dice::Dice;
use crate::kit::{self, Kit, SECOND, Who};
use crate::network::{Piece, Way, Wire};
use crate::oracle::{Accepted, Oracle};
use crate::plan::Knobs;

pub(crate) const SECRET: &str = "a-shared-secret-of-the-simulated-world";

/// Of the first relay; the others have the next ones.
pub(crate) const PORT: u16 = 50_000;
/// Datagrams that the system holds for a media thread; what comes on top is lost.
const SOCKET: usize = 256;
/// Datagrams that a media thread takes in a turn.
const BUDGET: usize = 64;

#[derive(Debug)]
enum Input {
    Piece(Wire, Piece),
    Relay(RelayId, RelayEvent),
}

/// What the control thread did within a second.
#[derive(Default)]
struct Busy {
    second: u64,
    turns: u32,
    events: u32,
}

impl Busy {
    fn begin(&mut self, second: u64) -> &mut Self {
        if self.second != second {
            *self = Self { second, ..Self::default() };
        }
        self
    }
}

/// A relay, its queue and its socket.
struct Station {
    relay: Relay,
    commands: VecDeque<RelayCommand>,
    socket: VecDeque<(SocketAddr, Vec<u8>)>,
    stalled: u64,
    /// When its next turn is due, so that none is asked for twice.
    due: Option<u64>,
}

/// What waits for a relay of what others hand to it.
#[derive(Default)]
struct Inbox {
    list: Handovers,
    /// Who said each of them, in order, and where that was.
    accepted: VecDeque<Accepted>,
}

pub(crate) struct Host {
    server: Server,
    stations: Vec<Station>,
    /// By relay.
    inboxes: Vec<Inbox>,
    /// The inbox that is emptied.
    taken: Inbox,
    gauge: Option<Gauge>,
    /// Bytes that both hold, where somebody measures, and the most that they may.
    held: i64,
    ceiling: u64,
    conns: BTreeMap<Wire, ConnId>,
    wires: BTreeMap<ConnId, Wire>,
    inbox: VecDeque<Input>,
    batch: TransmitBatch,
    limits: Limits,
    grace_us: u64,
    dice: Dice,
    server_stalled: u64,
    /// When the next turn is due, so that none is asked for twice.
    server_due: Option<u64>,
    busy: Busy,
}

impl Host {
    /// The `generation`th process.
    pub(crate) fn start(kit: &Kit, generation: u64) -> Self {
        let config = configure(&kit.knobs);
        let limits = config.limits.clone();
        let (media, relays) = (config.media, config.relays.len());
        let ceiling = Ceiling::of(&limits, config.control_clients.len(), relays).bytes();
        let entropy = SeededEntropy::new(Dice::new(kit.seed, &[4, generation]).u64());
        #[expect(clippy::expect_used, reason = "knobs stay within the legal ranges")]
        let server =
            Server::new(config, Box::new(entropy), kit.timestamp()).expect("it can be served");
        let station = |id| Station {
            relay: Relay::new(RelayId(id), &limits, media),
            commands: VecDeque::new(),
            socket: VecDeque::new(),
            stalled: 0,
            due: None,
        };
        Self {
            server,
            stations: (0u16..).take(relays).map(station).collect(),
            inboxes: (0..relays).map(|_| Inbox::default()).collect(),
            taken: Inbox::default(),
            gauge: kit.gauge,
            held: 0,
            ceiling,
            conns: BTreeMap::new(),
            wires: BTreeMap::new(),
            inbox: VecDeque::new(),
            batch: TransmitBatch::new(),
            grace_us: kit.knobs.grace_s * SECOND,
            limits,
            dice: Dice::new(kit.seed, &[5, generation]),
            server_stalled: 0,
            server_due: None,
            busy: Busy::default(),
        }
    }

    /// Lets the core do something. What it comes to hold by that is counted where somebody measures.
    fn core<T>(&mut self, work: impl FnOnce(&mut Server, &mut [Station]) -> T) -> T {
        let (server, stations) = (&mut self.server, self.stations.as_mut_slice());
        let Some(gauge) = self.gauge else { return work(server, stations) };
        let (mut work, mut result) = (Some(work), None);
        self.held += gauge(&mut || result = work.take().map(|work| work(server, stations)));
        #[expect(clippy::expect_used, reason = "a gauge that does nothing measures nothing")]
        result.expect("a gauge does what it measures")
    }

    // --- what comes in ---

    pub(crate) fn take_pieces(&mut self, kit: &mut Kit, wire: Wire, pieces: Vec<Piece>) {
        self.inbox.extend(pieces.into_iter().map(|piece| Input::Piece(wire, piece)));
        self.wake_server(kit);
    }

    pub(crate) fn take_datagram(
        &mut self,
        kit: &mut Kit,
        (from, to): (SocketAddr, SocketAddr),
        bytes: Vec<u8>,
    ) {
        let at = usize::from(to.port().wrapping_sub(PORT));
        let Some(station) = self.stations.get_mut(at) else { return };
        if station.socket.len() < SOCKET {
            station.socket.push_back((from, bytes));
        }
        self.wake_relay(kit, at);
    }

    pub(crate) fn stall_server(&mut self, until: u64) {
        self.server_stalled = self.server_stalled.max(until);
    }

    pub(crate) fn stall_relay(&mut self, until: u64) {
        self.stations.iter_mut().for_each(|station| station.stalled = station.stalled.max(until));
    }

    /// Somebody has read, so there is room to write.
    pub(crate) fn writable(&mut self, kit: &mut Kit) {
        self.wake_server(kit);
    }

    pub(crate) fn begin_drain(&mut self, kit: &mut Kit) {
        self.core(|server, _| server.begin_drain(kit.timestamp()));
        self.wake_server(kit);
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.server.is_draining()
    }

    pub(crate) fn is_drained(&self) -> bool {
        self.server.is_drained()
    }

    fn wake_server(&mut self, kit: &mut Kit) {
        let lag = self.dice.exponential(kit.knobs.server_lag_us);
        self.plan_server_turn(kit, kit.now + lag);
    }

    fn plan_server_turn(&mut self, kit: &mut Kit, at: u64) {
        let at = at.max(self.server_stalled).max(kit.now);
        if self.server_due.is_none_or(|due| at < due) {
            self.server_due = Some(at);
            kit.agenda.add(at, kit::Event::ServerTurn);
        }
    }

    fn wake_relay(&mut self, kit: &mut Kit, relay: usize) {
        let lag = self.dice.exponential(kit.knobs.relay_lag_us);
        let Some(station) = self.stations.get_mut(relay) else { return };
        let at = (kit.now + lag).max(station.stalled);
        if station.due.is_none_or(|due| at < due) {
            station.due = Some(at);
            kit.agenda.add(at, kit::Event::RelayTurn(relay));
        }
    }

    // --- the control thread ---

    /// `present` says whether a voice's client is connected without trouble.
    pub(crate) fn server_turn(&mut self, kit: &mut Kit, present: impl Fn(usize) -> bool) {
        if self.server_due.is_none_or(|due| due > kit.now) {
            return; // an earlier turn has done it
        }
        self.server_due = None;
        if kit.now < self.server_stalled {
            return self.plan_server_turn(kit, self.server_stalled);
        }
        let now = kit.timestamp();
        while let Some(input) = self.inbox.pop_front() {
            match input {
                Input::Piece(wire, piece) => self.handle_piece(kit, wire, piece),
                Input::Relay(relay, event) => {
                    self.core(|server, _| server.handle_relay_event(now, relay, event));
                }
            }
            self.take_outputs(kit, &present);
        }
        if self.server.poll_timeout().is_some_and(|at| at <= now) {
            self.core(|server, _| server.handle_timeout(now));
            self.take_outputs(kit, &present);
            if self.server.poll_timeout().is_some_and(|at| at <= now) {
                kit.oracle.fault("a deadline is in the past after handling it (I8)".to_owned());
            }
        }
        self.write_all(kit);
        self.take_outputs(kit, &present);
        self.check_census(kit);
        if let Some(at) = self.server.poll_timeout() {
            self.plan_server_turn(kit, at.as_micros());
        }
        self.count_turn(kit);
    }

    /// I8, I10: turns come to an end, and there is not ever more to log.
    fn count_turn(&mut self, kit: &mut Kit) {
        self.busy.begin(kit.now / SECOND).turns += 1;
        if self.busy.turns > 10_000 {
            kit.oracle.fault("more than 10,000 turns within a second (I8)".to_owned());
        }
        if self.busy.events > 1_000 {
            kit.oracle.fault("more than 1,000 events within a second (I10)".to_owned());
        }
    }

    fn handle_piece(&mut self, kit: &mut Kit, wire: Wire, piece: Piece) {
        let now = kit.timestamp();
        match (piece, self.conns.get(&wire).copied()) {
            (Piece::Open, _) => {
                let (plane, address) = kit.network.origin(wire);
                match self.core(|server, _| server.handle_accept(now, plane, address)) {
                    Ok(conn) => {
                        self.conns.insert(wire, conn);
                        self.wires.insert(conn, wire);
                    }
                    Err(_) => kit.network.close(kit.now, &mut kit.agenda, wire, Way::Down),
                }
            }
            (Piece::Bytes(bytes), Some(conn)) => {
                self.core(|server, _| server.handle_bytes(now, conn, &bytes));
                if kit.network.who(wire) == Who::Chat {
                    kit.oracle.arrived(wire, bytes.len(), self.server.is_draining());
                }
            }
            (Piece::End, Some(conn)) => {
                self.core(|server, _| server.handle_eof(now, conn));
                self.forget(conn);
            }
            (Piece::Bytes(_) | Piece::End, None) => {}
        }
    }

    fn forget(&mut self, conn: ConnId) -> Option<Wire> {
        let wire = self.wires.remove(&conn)?;
        self.conns.remove(&wire);
        Some(wire)
    }

    fn take_outputs(&mut self, kit: &mut Kit, present: &impl Fn(usize) -> bool) {
        while let Some(output) = self.core(|server, _| server.poll_output()) {
            match output {
                Output::Write(_) => {}
                Output::Relay(relay, command) => {
                    kit.oracle.command(&command);
                    let at = usize::from(relay.0);
                    self.stations[at].commands.push_back(command);
                    self.wake_relay(kit, at);
                }
                Output::Close { conn, how } => {
                    let Some(wire) = self.forget(conn) else { continue };
                    match how {
                        Shutdown::Graceful => {
                            kit.network.close(kit.now, &mut kit.agenda, wire, Way::Down)
                        }
                        Shutdown::Abrupt => kit.network.cut(kit.now, &mut kit.agenda, wire),
                    }
                }
                Output::Event(event) => {
                    self.busy.begin(kit.now / SECOND).events += 1;
                    if let Event::ControlConnected { conn, .. } = event {
                        kit.oracle.listens_to(conn, self.wires.get(&conn).copied());
                    }
                    kit.trace.note(kit.now, format!("{event:?}"));
                    kit.tell(|| format!("event {event:?}"));
                    kit.oracle.event(kit.now, &event, self.grace_us, present);
                    self.core(|_, _| drop(event));
                }
            }
        }
    }

    /// Writes what the far ends' systems take.
    fn write_all(&mut self, kit: &mut Kit) {
        for (conn, wire) in self.wires.clone() {
            let waiting = self.server.outbound(conn);
            let length = waiting.len().min(kit.network.room(wire));
            if length == 0 {
                continue;
            }
            let bytes = waiting[..length].to_vec();
            self.core(|server, _| server.consume(kit.timestamp(), conn, length));
            kit.network.send(kit.now, &mut kit.agenda, wire, Way::Down, &bytes);
        }
    }

    /// Whether something waits for this wire to be read.
    pub(crate) fn waits_for(&self, wire: Wire) -> bool {
        self.conns.get(&wire).is_some_and(|conn| !self.server.outbound(*conn).is_empty())
    }

    /// I7: every bound holds at every step, and so does what follows from all of them.
    fn check_census(&self, kit: &mut Kit) {
        let (census, limits) = (self.server.census(), &self.limits);
        let one_message = 8 * 1_024;
        for (what, is, bound) in [
            ("connections", census.connections, self.wires.len().min(limits.connections)),
            ("unauthenticated", census.unauthenticated, limits.unauthenticated + 16),
            ("sessions", census.sessions, limits.sessions),
            ("channels", census.channels, limits.channels),
            ("voice states", census.voice_states, limits.voice_states),
            ("outbound bytes", census.outbound_bytes, limits.outbound_total_bytes + one_message),
            ("inbound bytes", census.inbound_bytes, limits.inbound_total_bytes),
            ("replay bytes", census.replay_bytes, limits.replay_total_bytes + one_message),
            ("news bytes", census.news_bytes, limits.control_news_bytes),
            ("credential bytes", census.credential_bytes, limits.credentials_total_bytes),
            ("destroyed channels", census.buried, limits.tombstones),
        ] {
            if is > bound {
                kit.oracle.fault(format!("{is} {what}, where {bound} are allowed (I7)"));
            }
        }
        let held = u64::try_from(self.held).unwrap_or_default();
        kit.held_max = kit.held_max.max(held);
        if held > self.ceiling {
            let ceiling = self.ceiling;
            kit.oracle.fault(format!("{held} bytes are held, and {ceiling} are the most (I7)"));
        }
    }

    // --- the media threads ---

    /// What it sends: to which address, and what.
    pub(crate) fn relay_turn(&mut self, kit: &mut Kit, at: usize) -> Vec<(SocketAddr, Vec<u8>)> {
        let Some(station) = self.stations.get_mut(at) else { return Vec::new() };
        if station.due.is_none_or(|due| due > kit.now) {
            return Vec::new(); // an earlier turn has done it
        }
        station.due = None;
        if kit.now < station.stalled {
            self.wake_relay(kit, at);
            return Vec::new();
        }
        let now = kit.timestamp();
        // The rule: a batch first, then every command that is queued, then the batch.
        let taken: Vec<_> = station.socket.drain(..station.socket.len().min(BUDGET)).collect();
        std::mem::swap(&mut self.taken, &mut self.inboxes[at]);
        for command in std::mem::take(&mut self.stations[at].commands) {
            self.core(|_, stations| stations[at].relay.handle_command(now, command));
        }
        let mut sent = Vec::new();
        for (from, mut bytes) in taken {
            self.handle_datagram(kit, at, (from, &mut bytes), &mut sent);
        }
        self.handle_handovers(kit, at, &mut sent);
        let mut news = false;
        while let Some(event) = self.core(|_, stations| stations[at].relay.poll_event()) {
            self.inbox.push_back(Input::Relay(self.stations[at].relay.id(), event));
            news = true;
        }
        if news {
            self.wake_server(kit);
        }
        if !self.stations[at].socket.is_empty() {
            self.wake_relay(kit, at);
        }
        sent
    }

    fn handle_datagram(
        &mut self,
        kit: &mut Kit,
        at: usize,
        (from, bytes): (SocketAddr, &mut [u8]),
        sent: &mut Vec<(SocketAddr, Vec<u8>)>,
    ) {
        kit.oracle.received(from, bytes.len());
        let accepted = kit.oracle.accepted(rtp_ssrc(bytes));
        let mut fanout = self.stations[at].relay.handle_datagram(kit.timestamp(), from, bytes);
        let mut others = Vec::new();
        if let Some((to, handover)) = fanout.take_handover() {
            for relay in to.iter() {
                let inbox = &mut self.inboxes[usize::from(relay.0)];
                if inbox.list.push(&handover) {
                    inbox.accepted.push_back(accepted);
                }
                others.push(usize::from(relay.0));
            }
        }
        let fill = |batch: &mut TransmitBatch| fanout.fill(batch);
        send(fill, &mut self.batch, (&mut kit.oracle, accepted), sent);
        drop(fanout);
        for relay in others {
            self.wake_relay(kit, relay);
        }
    }

    fn handle_handovers(
        &mut self,
        kit: &mut Kit,
        at: usize,
        sent: &mut Vec<(SocketAddr, Vec<u8>)>,
    ) {
        let now = kit.timestamp();
        let Self { taken: Inbox { list, accepted }, stations, batch, .. } = self;
        while let (Some(handover), Some(accepted)) = (list.take(), accepted.pop_front()) {
            let mut fanout = stations[at].relay.handle_handover(now, &handover);
            let (before, fill) = (sent.len(), |batch: &mut TransmitBatch| fanout.fill(batch));
            send(fill, batch, (&mut kit.oracle, accepted), sent);
            kit.oracle.carried += (sent.len() - before) as u64;
        }
    }

    /// What is left when everybody has gone (I6).
    pub(crate) fn leftovers(&self) -> Vec<String> {
        let census = self.server.census();
        let tables = [
            ("sessions", census.sessions),
            ("voice states", census.voice_states),
            ("legs", self.stations.iter().map(|station| station.relay.leg_count()).sum()),
            (
                "addresses of legs",
                self.stations.iter().map(|station| station.relay.address_count()).sum(),
            ),
            ("SSRCs", census.ssrcs),
            ("held Identifies", census.held),
            ("replay bytes", census.replay_bytes),
        ];
        tables
            .iter()
            .filter(|(_, size)| *size > 0)
            .map(|(what, size)| format!("{size} {what}"))
            .collect()
    }
}

/// Fills and empties the batch until everything is sent.
fn send(
    mut fill: impl FnMut(&mut TransmitBatch) -> Filled,
    batch: &mut TransmitBatch,
    (oracle, accepted): (&mut Oracle, Accepted),
    sent: &mut Vec<(SocketAddr, Vec<u8>)>,
) {
    loop {
        let filled = fill(batch);
        for copy in batch.entries() {
            oracle.sent(accepted, copy.leg, copy.address, copy.bytes);
            sent.push((copy.address, copy.bytes.to_vec()));
        }
        batch.clear();
        if filled == Filled::Done {
            return;
        }
    }
}

fn rtp_ssrc(bytes: &[u8]) -> Option<u32> {
    let rtp = bytes.first()? >> 6 == 2;
    let ssrc = bytes.get(8..12)?.try_into().ok()?;
    rtp.then_some(u32::from_be_bytes(ssrc))
}

fn configure(knobs: &Knobs) -> Config {
    let small = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
    // What is written at once has to fit in what may wait.
    let at_once = |value: u64| small(value.min(knobs.outbound_bytes / 2));
    #[expect(clippy::expect_used, reason = "a constant")]
    let secret = ControlSecret::new(SECRET.to_owned()).expect("long enough");
    let mut client = ControlClient::new("default".to_owned(), secret);
    client.auth = ControlAuth::Hmac;
    client.revision = match knobs.revision {
        0 => Revision::Draft,
        1 => Revision::Litecord,
        _ => Revision::Document,
    };
    Config {
        control_clients: vec![client],
        control_grace: Duration::from_secs(knobs.grace_s),
        gateway_endpoint: "voice.example.org:443".to_owned(),
        relays: (PORT..)
            .take(small(knobs.relays.max(1)))
            .map(|port| SocketAddrV4::new(Ipv4Addr::new(203, 0, 113, 7), port))
            .collect(),
        old_versions: false,
        proxies: Proxies::default(),
        media: MediaConfig::default(),
        drain: Duration::from_secs(knobs.drain_s),
        limits: Limits {
            // As many as this world needs, so that the memory ceiling is near.
            sessions: 16,
            connections: 128,
            channels: 8,
            voice_states: 16,
            members_per_channel: 16,
            legs_per_relay: 2,
            credentials_total_bytes: 65_536,
            resume_messages: small(knobs.resume_messages),
            resume_bytes: at_once(knobs.resume_bytes),
            replay_total_bytes: small(knobs.replay_total_bytes),
            resume_window_ms: Millis(knobs.resume_window_ms),
            outbound_bytes: small(knobs.outbound_bytes),
            outbound_age_ms: Millis(knobs.outbound_age_ms),
            outbound_total_bytes: small(knobs.outbound_total_bytes),
            reservation_ms: Millis(knobs.reservation_ms),
            unauthenticated: small(knobs.unauthenticated),
            control_replay_messages: small(knobs.control_replay_messages),
            control_replay_bytes: small(knobs.control_replay_bytes),
            control_replay_ms: Millis(knobs.control_replay_ms),
            control_dump_bytes: at_once(knobs.control_dump_bytes),
            reconcile_ms: Millis(knobs.reconcile_ms),
            tombstone_ms: Millis(knobs.tombstone_ms),
            gather_above_members: small(knobs.gather_above_members),
            key_soft_packets: knobs.key_soft_packets,
            ..Limits::default()
        },
    }
}
