//! The voice server's process: the core, its queues, and threads that take turns when they like.
//!
//! Here: the process and its control thread. The media threads are in `stations`, what is configured
//! in `configure`.

mod configure;
mod stations;

use std::collections::{BTreeMap, VecDeque};

use lvsp_core::entropy::SeededEntropy;
use lvsp_core::ids::{ConnId, RelayId};
use lvsp_core::limits::Limits;
use lvsp_core::media::TransmitBatch;
use lvsp_core::media::command::RelayEvent;
use lvsp_core::memory::Ceiling;
use lvsp_core::output::{Event, Output, Shutdown};
use lvsp_core::server::Server;

use crate::Gauge;
use crate::dice::Dice;
use crate::kit::{self, Kit, SECOND, Who};
use crate::network::{Piece, Way, Wire};
use configure::configure;
use stations::{Inbox, Station};

pub(crate) use stations::PORT;

pub(crate) const SECRET: &str = "a-shared-secret-of-the-simulated-world";

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
        let station = |id| Station::new(RelayId(id), &limits, media);
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

    pub(crate) fn stall_server(&mut self, until: u64) {
        self.server_stalled = self.server_stalled.max(until);
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
