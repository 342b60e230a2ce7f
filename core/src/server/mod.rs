//! The control plane: owns connections, voice sessions, channels and voice states.
//!
//! The only place where the machines meet: it feeds bytes to `transport`, messages to
//! `lvsp::link` and `gateway::link`, reads what they ask for and acts on `membership`, other
//! sessions and the relays. It forwards no media; that is [`crate::media`].
//!
//! | file | decides |
//! |---|---|
//! | `connection` | reading, writing and closing TCP connections |
//! | `admission` | who may connect, and who has to go for it |
//! | `origin` | whose connection a proxy's is, and who waits for room in its share |
//! | `control` | a chat server's connections and session, what it orders |
//! | `news` | what it is told, and when |
//! | `commands` | which [`Command`](crate::command::Command) changes what |
//! | `channels`, `placement` | what becomes of channels and of voice states |
//! | `restatement` | what goes when a chat server identified anew |
//! | `identify` | whose session a voice client asks for |
//! | `voice` | what its messages do; the beginning and end of a session |
//! | `resume` | how a session goes on after its connection, and what is kept for that |
//! | `spread` | which relays the legs of a room are on |
//! | `presence` | who is told of whom |
//! | `deadlines` | what happens when time passes |
//! | `drain` | how a server stops |
//! | `membership` | who is where: data only |
//! | `tombstones` | which channels were destroyed a moment ago: data only |
//! | `census`, `views` | how much there is of everything, and what, for whoever watches |
//!
//! Inputs are legal in any order and any number. After each, take [`Server::poll_output`] until
//! `None`, deliver relay commands, and only then write [`Server::outbound`] bytes: so no datagram
//! can reach a relay that has not heard of its session.

mod admission;
mod census;
mod channels;
mod commands;
mod connection;
mod control;
mod deadlines;
mod drain;
mod identify;
mod membership;
mod news;
mod origin;
mod placement;
mod presence;
mod restatement;
mod resume;
mod spread;
mod tombstones;
mod views;
mod voice;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::config::{Config, ConfigError, Proxies};
use crate::entropy::Entropy;
use crate::ids::{ConnId, LegId, MemberId, RelayId, Ssrc, UserId};
use crate::media::command::{RelayCommand, RelayEvent};
use crate::output::{Event, Output};
use crate::parking::ParkingCounts;
use crate::slab::Slab;
use crate::stats::ServerStats;
use crate::time::Timestamp;
use crate::timers::Timers;
use crate::transport::TlsIdentity;

use admission::{AddressKey, Failures};
use connection::Connection;
use control::Control;
use deadlines::Timer;
use drain::Drain;
use membership::Membership;
use resume::Replays;
use tombstones::Tombstones;

pub use views::{ChannelView, ControlView, MemberState, MemberView, SessionView};

/// A relay that says nothing more is no longer behind after this long; it says so once a second.
const BEHIND_MEMORY: Duration = Duration::from_secs(3);

/// The control plane of one voice server. See the [module](self) for the rules of use.
pub struct Server {
    config: Config,
    tls: Option<TlsIdentity>,
    entropy: Box<dyn Entropy + Send>,
    conns: Slab<ConnId, Connection>,
    /// Connections that have not identified, by plane and address.
    unauthenticated: BTreeMap<AddressKey, usize>,
    /// Connections through proxies that wait for room in their client's share, the oldest first.
    waiting: BTreeMap<AddressKey, VecDeque<ConnId>>,
    proxies: Arc<Proxies>,
    /// Recent failures to identify on the control plane.
    failures: BTreeMap<AddressKey, Failures>,
    /// Memory of what waits to be written, over all connections.
    outbound_total: usize,
    /// Bytes of what has not wholly arrived, over all connections.
    inbound_total: usize,
    stats: ServerStats,
    replays: Replays,
    membership: Membership,
    /// By `ControlId`.
    controls: Vec<Control>,
    legs: Slab<LegId, MemberId>,
    ssrcs: BTreeSet<Ssrc>,
    /// Identifies that wait for their voice state, by what they name.
    held: BTreeMap<(u64, UserId), Vec<ConnId>>,
    /// Channels that were destroyed a moment ago.
    tombstones: Tombstones,
    /// The relay that the next room is put on.
    next_relay: usize,
    host_load: f32,
    /// Until when a relay counts as behind.
    behind_until: Timestamp,
    drain: Option<Drain>,
    timers: Timers<Timer>,
    /// Whether the last call left deadlines due because it led to so much.
    overdue: bool,
    outputs: VecDeque<Output>,
    /// The largest time seen: time never goes back.
    now: Timestamp,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("connections", &self.conns.len())
            .field("rooms", &self.membership.rooms_len())
            .field("members", &self.membership.members_len())
            .finish_non_exhaustive()
    }
}

impl Server {
    /// A server that has seen nothing yet.
    ///
    /// `entropy` must be the operating system's generator wherever real people speak: keys, tokens
    /// and session ids are drawn from it.
    ///
    /// # Errors
    /// When the configuration cannot be served; see [`Config::validate`].
    pub fn new(
        config: Config,
        entropy: Box<dyn Entropy + Send>,
        now: Timestamp,
    ) -> Result<Self, ConfigError> {
        config.validate()?;
        let controls = config.control_clients.iter().map(|_| Control::default()).collect();
        let proxies = Arc::new(config.proxies.clone());
        Ok(Self {
            config,
            tls: None,
            entropy,
            conns: Slab::default(),
            unauthenticated: BTreeMap::new(),
            waiting: BTreeMap::new(),
            proxies,
            failures: BTreeMap::new(),
            outbound_total: 0,
            inbound_total: 0,
            stats: ServerStats::default(),
            replays: Replays::default(),
            membership: Membership::default(),
            controls,
            legs: Slab::default(),
            ssrcs: BTreeSet::new(),
            held: BTreeMap::new(),
            tombstones: Tombstones::default(),
            next_relay: 0,
            host_load: 0.0,
            behind_until: Timestamp::ZERO,
            drain: None,
            timers: Timers::default(),
            overdue: false,
            outputs: VecDeque::new(),
            now,
        })
    }

    /// Sets the certificate for connections accepted from now on; `None` serves plain TCP.
    pub fn set_tls(&mut self, identity: Option<TlsIdentity>) {
        self.tls = identity;
    }

    /// Tells how busy the host is: the largest of its shares of CPU, bandwidth and receive-buffer
    /// drops, 0 to 1. Chat servers are told with the next health figure.
    pub fn set_host_load(&mut self, load: f32) {
        self.host_load = if load.is_finite() { load.clamp(0.0, 1.0) } else { 1.0 };
    }

    /// Takes news from a relay.
    pub fn handle_relay_event(&mut self, now: Timestamp, relay: RelayId, event: RelayEvent) {
        let now = self.advance(now);
        let leg = match event {
            RelayEvent::Bound { leg, .. }
            | RelayEvent::Heard { leg }
            | RelayEvent::Exhausted { leg } => leg,
            RelayEvent::Behind => return self.note_behind(now),
        };
        let Some(&member) = self.legs.get(leg) else { return };
        debug_assert!(
            self.session(member).is_none_or(|session| session.relay == relay),
            "a leg lives on one relay"
        );
        match event {
            RelayEvent::Heard { .. } => self.member_heard(now, member),
            RelayEvent::Exhausted { .. } => self.renew_session(now, member),
            RelayEvent::Bound { address, foreign: true, .. } => self.note_foreign(member, address),
            RelayEvent::Bound { foreign: false, .. } | RelayEvent::Behind => {}
        }
    }

    /// A relay has more to do than it can: nothing more is to be given to this server for a while.
    fn note_behind(&mut self, now: Timestamp) {
        self.behind_until = now + BEHIND_MEMORY;
        self.volunteer_health_to_all(now);
    }

    /// The next action for the host; `None` when there is none for now.
    pub fn poll_output(&mut self) -> Option<Output> {
        let output = self.outputs.pop_front()?;
        if let Output::Write(conn) = output
            && let Some(connection) = self.conns.get_mut(conn)
        {
            connection.write_announced = false;
        }
        Some(output)
    }

    /// When [`Self::handle_timeout`] should be called at the latest. Cached: asking is free.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        self.timers.next()
    }

    /// What it has done so far.
    #[must_use]
    pub const fn stats(&self) -> &ServerStats {
        &self.stats
    }

    /// Counts connections that the host let wait in the backlog for
    /// [`handshakes_per_s`](crate::limits::Limits::handshakes_per_s).
    pub const fn note_paced(&mut self, connections: u64) {
        self.stats.limits.handshakes_per_s += connections;
    }

    /// Counts connections over their address's share that waited with the host, or did not get to.
    pub const fn note_parked(&mut self, counts: ParkingCounts) {
        let limits = &mut self.stats.limits;
        limits.unauthenticated_per_address += counts.over_share;
        limits.parked += counts.turned_away;
        limits.upgrade_ms += counts.too_late;
    }

    /// Counts a connection of a chat server that the host refused for where it came from.
    pub const fn note_not_allowed(&mut self) {
        self.stats.not_allowed += 1;
    }

    /// How many voice sessions there are, detached ones included.
    #[must_use]
    pub fn session_count(&self) -> usize {
        self.legs.len()
    }

    /// How many TCP connections there are.
    #[must_use]
    pub fn connection_count(&self) -> usize {
        self.conns.len()
    }

    /// How able this server is to take more, 0 (not at all) to 1: what chat servers are told.
    #[must_use]
    pub fn health(&self) -> f32 {
        if self.drain.is_some() || self.now < self.behind_until {
            return 0.0;
        }
        #[expect(clippy::cast_precision_loss, reason = "a share needs no more than 24 bits")]
        let sessions = self.legs.len() as f32 / self.config.limits.sessions as f32;
        (1.0 - self.host_load.max(sessions)).clamp(0.0, 1.0)
    }

    /// Moves time forward; events of relay threads may carry an earlier time.
    fn advance(&mut self, now: Timestamp) -> Timestamp {
        self.now = self.now.max(now);
        self.now
    }

    fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    fn relay(&mut self, relay: RelayId, command: RelayCommand) {
        self.outputs.push_back(Output::Relay(relay, command));
    }
}
