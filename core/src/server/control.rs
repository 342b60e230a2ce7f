//! A chat server's connections and its session: HELLO to READY, heartbeats, RESUME, what it orders.
//!
//! Not here: what an order changes (`commands`) and what is told of it (`news`).

use std::collections::BTreeSet;
use std::time::Duration;

use super::Server;
use super::admission::AddressKey;
use super::connection::Machine;
use super::deadlines::Timer;
use super::membership::Scope;
use crate::config::{ControlAuth, ControlClient};
use crate::crypto::auth;
use crate::ids::{ConnId, ControlId};
use crate::lvsp::link::{Link, Resume, Stage, Step};
use crate::lvsp::revision::{Refusal, Speech};
use crate::lvsp::session::{Phase, Session};
use crate::output::{Event, Plane};
use crate::reasons::CloseReason;
use crate::time::Timestamp;
use crate::wire::lvsp::{ChatMessage, InfoError, ServerMessage, info};
use crate::wire::secret::Secret;

/// How long an older connection of the same chat server may take to show that it lives.
const TAKEOVER: Duration = Duration::from_secs(5);
/// A chat server whose revision is undecided may wait for an answer; after this long that is said.
const UNDECIDED: Duration = Duration::from_secs(5);
/// A move of the health figure that is worth an unasked-for message.
const HEALTH_STEP: f32 = 0.1;
/// The characters of HELLO's nonce.
const NONCE_ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// What the server keeps for one chat server.
#[derive(Debug, Default)]
pub(super) struct Control {
    pub(super) session: Option<Session<Scope>>,
    /// Since when its connection has been up.
    pub(super) connected_since: Option<Timestamp>,
    /// When its connection was lost last; nothing before that.
    pub(super) lost_at: Option<Timestamp>,
    /// A newer connection that waits until the older one has shown whether it lives.
    waiting: Option<Newcomer>,
    /// The health figure that it was last told, before it was put on its scale.
    health_told: f32,
    /// Kinds of orders that were refused in this session.
    refusals: BTreeSet<(Option<u32>, Option<String>)>,
    /// How many were.
    pub(super) refused: u64,
    /// Whether the time for re-statements ends before they may have.
    pub(super) cut_short: bool,
    /// When the present session began: re-statements count from here.
    pub(super) identified: Timestamp,
}

/// An identified connection.
#[derive(Clone, Copy, Debug)]
struct Newcomer {
    conn: ConnId,
    /// Whether it wants to be told of refused messages.
    errors: bool,
    /// Whether its token was the secret itself.
    plain: bool,
    /// Whether it wants to go on where an earlier session ended.
    resumes: bool,
}

impl Control {
    pub(super) fn conn(&self) -> Option<ConnId> {
        self.session.as_ref().and_then(|session| session.conn)
    }
}

impl Server {
    pub(super) fn control(&mut self, client: ControlId) -> &mut Control {
        &mut self.controls[usize::from(client.0)]
    }

    pub(super) fn control_opened(&mut self, now: Timestamp, conn: ConnId) {
        let nonce = self.draw_nonce();
        let hello = ServerMessage::Hello {
            heartbeat_interval_ms: self.config.limits.heartbeat_interval_ms.0,
            nonce: nonce.clone(),
        };
        if let Some(connection) = self.conns.get_mut(conn) {
            connection.machine = Machine::Control(Link::new(nonce));
        }
        let limits = &self.config.limits;
        self.timers.set(Timer::Identify(conn), now + limits.identify_ms.duration());
        self.timers.set(Timer::Ping(conn), now + limits.control_ping_ms.duration());
        self.send(now, conn, &hello.encode(None));
    }

    /// Ten characters of 62, without bias.
    fn draw_nonce(&mut self) -> String {
        let mut nonce = String::with_capacity(10);
        while nonce.len() < 10 {
            let byte = usize::from(self.entropy.bytes::<1>()[0]);
            if byte < 4 * NONCE_ALPHABET.len() {
                nonce.push(char::from(NONCE_ALPHABET[byte % NONCE_ALPHABET.len()]));
            }
        }
        nonce
    }

    /// A byte came from a chat server: the connection lives.
    pub(super) fn control_alive(&mut self, now: Timestamp, conn: ConnId) {
        let silence = self.config.limits.control_silence_ms.duration();
        self.timers.set(Timer::Silence(conn), now + silence);
        let Some(client) = self.live_control(conn) else { return };
        if let Some(Newcomer { conn: newcomer, .. }) = self.control(client).waiting.take() {
            self.timers.clear(Timer::Takeover(client));
            let name = &self.config.control_clients[usize::from(client.0)].name;
            let from = self.conns.get(conn).map(|connection| connection.peer);
            let text = match from {
                Some(address) => format!("client {name} is already connected from {address}"),
                None => format!("client {name} is already connected"),
            };
            self.close_conn_saying(now, newcomer, CloseReason::ControlReplaced, &text);
        }
    }

    /// The chat server whose live connection this is.
    pub(super) fn live_control(&self, conn: ConnId) -> Option<ControlId> {
        match &self.conns.get(conn)?.machine {
            Machine::Control(Link { stage: Stage::Live(client), .. }) => Some(*client),
            Machine::Control(_) | Machine::Opening | Machine::Gateway(_) | Machine::Closing(_) => {
                None
            }
        }
    }

    pub(super) fn control_text(&mut self, now: Timestamp, conn: ConnId, text: &str) {
        let depth = self.config.limits.json_depth;
        let Some(Machine::Control(link)) = self.conns.get(conn).map(|c| &c.machine) else { return };
        let (nonce, stage) = (link.nonce.clone(), link.stage);
        match link.handle_text(text, depth) {
            Step::Identify { token, errors } => {
                self.control_identify(now, conn, &nonce, &token, errors);
            }
            Step::Resume(resume) => self.control_resume(now, conn, &nonce, &resume),
            Step::Heartbeat { s } => self.control_heartbeat(now, conn, stage, s),
            Step::Order(client, message) => self.obey(now, client, message),
            Step::Refuse(client, refusal) => self.refuse(now, client, refusal),
            Step::Fail { reason, why } => {
                self.stats.limits.json_depth += u64::from(reason == CloseReason::TooDeep);
                self.close_conn_saying(now, conn, reason, &why);
            }
        }
    }

    /// Carries out an order in the revision that the session speaks.
    fn obey(&mut self, now: Timestamp, client: ControlId, message: ChatMessage) {
        let kind = message.info_kind();
        let Some(session) = &mut self.control(client).session else { return };
        let decided_before = session.speech.is_decided();
        let order = session.read(message);
        let decides = session.speech.is_decided() && !decided_before;
        if decides {
            session.tell_owed();
            self.timers.clear(Timer::Undecided(client));
            self.pump_news(now, client);
        } else if !decided_before && self.timers.armed(Timer::Undecided(client)).is_none() {
            self.timers.set(Timer::Undecided(client), now + UNDECIDED);
        }
        let done = order.and_then(|command| {
            let done = self.handle_command(now, client, command);
            done.map_err(|refused| Refusal::new(kind, refused.to_string()))
        });
        if let Err(refusal) = done {
            self.refuse(now, client, refusal);
        }
    }

    /// Refuses an order alone. It is counted; of each kind the first one in a session is an event.
    fn refuse(&mut self, now: Timestamp, client: ControlId, refusal: Refusal) {
        let Refusal { kind, why, field } = refusal;
        self.stats.refused_orders += 1;
        let (kinds, waiting) =
            (self.config.limits.control_refusal_kinds, self.config.limits.control_refusals);
        let control = self.control(client);
        control.refused += 1;
        let key = (kind, field.clone());
        if !control.refusals.contains(&key) {
            if control.refusals.len() < kinds {
                control.refusals.insert(key);
                self.event(Event::ControlRefused { client, why: why.clone() });
            } else {
                self.stats.limits.control_refusal_kinds += 1;
            }
        }
        if let Some(session) = &mut self.control(client).session {
            let kind = kind.unwrap_or(info::VST);
            let (channel_id, user_id) = (None, None);
            let error = InfoError { kind, message: why, field, channel_id, user_id };
            if !session.mark_refusal(error, waiting) {
                self.stats.limits.control_refusals += 1;
            }
        }
        self.pump_news(now, client);
    }

    /// How many orders of a chat server were refused since it last identified.
    #[must_use]
    pub fn refused_orders(&self, client: ControlId) -> u64 {
        let control = self.controls.get(usize::from(client.0));
        control.map_or(0, |control| control.refused)
    }

    /// An order waits for an answer that differs between the revisions.
    pub(super) fn note_undecided(&mut self, client: ControlId) {
        self.event(Event::ControlUndecided { client });
    }

    fn client(&self, client: ControlId) -> &ControlClient {
        &self.config.control_clients[usize::from(client.0)]
    }

    fn control_heartbeat(&mut self, now: Timestamp, conn: ConnId, stage: Stage, s: u64) {
        let mut health = self.health();
        if let Stage::Live(client) = stage {
            if let Some(session) = &mut self.control(client).session {
                session.acknowledge(s);
            }
            health = self.tell_health(client);
        }
        self.send(now, conn, &ServerMessage::HeartbeatAck { s, health }.encode(None));
    }

    /// The health figure on a chat server's scale, which it is about to be told.
    fn tell_health(&mut self, client: ControlId) -> f32 {
        let health = self.health();
        self.control(client).health_told = health;
        self.client(client).health.apply(health)
    }

    /// Tells a chat server that reads it how this server is, if that changed much.
    pub(super) fn volunteer_health(&mut self, now: Timestamp, client: ControlId) {
        let moved = (self.health() - self.control(client).health_told).abs() > HEALTH_STEP;
        let Some(session) = &self.control(client).session else { return };
        let (hears, conn) = (session.speech.hears_of_health(), session.conn);
        if let Some(conn) = conn.filter(|_| moved && hears) {
            let health = self.tell_health(client);
            self.send(now, conn, &ServerMessage::HeartbeatAck { s: 0, health }.encode(None));
        }
    }

    /// Tells every chat server that reads it, if it changed much.
    pub(super) fn volunteer_health_to_all(&mut self, now: Timestamp) {
        for client in (0u16..).take(self.controls.len()) {
            self.volunteer_health(now, ControlId(client));
        }
    }

    /// Which chat server this token proves, and whether it is the secret itself. Compared with
    /// every secret, in constant time.
    fn authenticate(&self, nonce: &str, token: &Secret) -> Option<(ControlId, bool)> {
        let mut found = None;
        for (client, index) in self.config.control_clients.iter().zip(0u16..) {
            let allowed = client.auth == ControlAuth::Any;
            let plain = client.secret.matches_plain(token.expose()) & allowed;
            if plain | auth::verify_hmac(&client.secret, nonce, token.expose()) {
                found = Some((ControlId(index), plain));
            }
        }
        found
    }

    fn fail_authentication(&mut self, now: Timestamp, conn: ConnId) {
        if let Some(peer) = self.conns.get(conn).map(|connection| connection.peer.ip()) {
            self.note_failure(now, AddressKey::new(Plane::Control, peer));
        }
        self.close_conn(now, conn, CloseReason::AuthenticationFailed);
    }

    fn control_identify(
        &mut self,
        now: Timestamp,
        conn: ConnId,
        nonce: &str,
        token: &Secret,
        errors: bool,
    ) {
        let Some((client, plain)) = self.authenticate(nonce, token) else {
            return self.fail_authentication(now, conn);
        };
        self.authenticated(conn);
        let newcomer = Newcomer { conn, errors, plain, resumes: false };
        match self.control(client).conn() {
            None => self.identify_control(now, client, newcomer),
            Some(older) => self.await_takeover(now, client, newcomer, older),
        }
    }

    /// Asks the older connection whether it lives. A byte from it within the time ends the
    /// newcomer, see [`Self::control_alive`].
    fn await_takeover(
        &mut self,
        now: Timestamp,
        client: ControlId,
        newcomer: Newcomer,
        older: ConnId,
    ) {
        self.set_control_stage(newcomer.conn, Stage::Waiting(client));
        if let Some(earlier) = self.control(client).waiting.replace(newcomer) {
            self.close_conn(now, earlier.conn, CloseReason::ControlReplaced);
        }
        if let Some(connection) = self.conns.get_mut(older) {
            connection.transport.send_ping(b"alive?");
            self.settle(now, older);
        }
        self.timers.set(Timer::Takeover(client), now + TAKEOVER);
    }

    /// The older connection stayed silent: the newer one takes its place.
    pub(super) fn take_over(&mut self, now: Timestamp, client: ControlId) {
        let Some(newcomer) = self.control(client).waiting.take() else { return };
        if let Some(older) = self.control(client).conn() {
            self.drop_conn(now, older, CloseReason::ControlReplaced);
        }
        if newcomer.resumes {
            self.resume_control(now, client, newcomer, None);
        } else {
            self.identify_control(now, client, newcomer);
        }
    }

    /// A session in place of an earlier one: what that stated has to be stated again.
    fn identify_control(&mut self, now: Timestamp, client: ControlId, newcomer: Newcomer) {
        self.come_back(now, client);
        self.begin_control(now, client, newcomer);
        self.unconfirm(now, client);
        self.control_ready(now, client, newcomer.conn, false);
    }

    /// A connection takes the session: nobody else waits for it any more, and no call ends for want of
    /// a chat server.
    fn come_back(&mut self, now: Timestamp, client: ControlId) {
        self.timers.clear(Timer::Takeover(client));
        if let Some(waiting) = self.control(client).waiting.take() {
            self.close_conn(now, waiting.conn, CloseReason::ControlReplaced);
        }
        self.timers.clear(Timer::Grace(client));
        self.cancel_ends(client);
    }

    fn begin_control(&mut self, now: Timestamp, client: ControlId, newcomer: Newcomer) {
        let Newcomer { conn, errors, plain, .. } = newcomer;
        let id = Secret::new(self.entropy.hex::<16>());
        let ControlClient { revision, litecord_assign, .. } = *self.client(client);
        let speech = Speech::new(revision, litecord_assign, plain);
        let session = Session::new(id, conn, errors, speech, &self.config.limits);
        let control = self.control(client);
        control.session = Some(session);
        control.identified = now;
        control.refusals.clear();
        control.refused = 0;
    }

    fn control_resume(&mut self, now: Timestamp, conn: ConnId, nonce: &str, resume: &Resume) {
        let Some((client, plain)) = self.authenticate(nonce, &resume.token) else {
            return self.fail_authentication(now, conn);
        };
        self.authenticated(conn);
        let newcomer = Newcomer { conn, errors: resume.errors, plain, resumes: true };
        let session = self.control(client).session.as_ref();
        let is_this = |ours: &Secret, named: &Secret| {
            auth::verify_token(ours.expose().as_bytes(), named.expose().as_bytes())
        };
        let named = session.zip(resume.session.as_ref());
        let same = named.is_none_or(|(session, named)| is_this(&session.id, named));
        match session.and_then(|session| session.conn) {
            // Somebody else with the same secret: whoever is there already is asked first.
            Some(older) if !same => self.await_takeover(now, client, newcomer, older),
            Some(_) | None => {
                // Nothing goes on that began before this process did.
                let seq = session.filter(|_| same).and(resume.seq);
                self.resume_control(now, client, newcomer, seq);
            }
        }
    }

    /// Gives the session to a newer connection, which has everything up to `seq`.
    fn resume_control(
        &mut self,
        now: Timestamp,
        client: ControlId,
        newcomer: Newcomer,
        seq: Option<u64>,
    ) {
        let conn = newcomer.conn;
        self.come_back(now, client);
        if self.control(client).session.is_none() {
            self.begin_control(now, client, newcomer);
        }
        let Some(session) = &mut self.control(client).session else { return };
        session.errors = newcomer.errors;
        session.catch_up(now, seq);
        if let Some(older) = session.conn.replace(conn).filter(|older| *older != conn) {
            self.set_control_stage(older, Stage::Fresh);
            self.drop_conn(now, older, CloseReason::ControlReplaced);
        }
        self.set_control_stage(conn, Stage::Live(client));
        self.pump_news(now, client);
    }

    /// Sends READY.
    pub(super) fn control_ready(
        &mut self,
        now: Timestamp,
        client: ControlId,
        conn: ConnId,
        resumed: bool,
    ) {
        self.set_control_stage(conn, Stage::Live(client));
        self.stats.control_resumes += u64::from(resumed);
        self.control(client).connected_since = Some(now);
        let health = self.tell_health(client);
        let Some(session) = &mut self.control(client).session else { return };
        session.phase = Phase::Live;
        let waits = session.is_withholding();
        let ready = ServerMessage::Ready { health, session: session.id.clone(), resumed };
        if waits {
            self.timers.set(Timer::Undecided(client), now + UNDECIDED);
        }
        self.send(now, conn, &ready.encode(None));
        self.event(Event::ControlConnected { client, conn, resumed });
    }

    fn set_control_stage(&mut self, conn: ConnId, stage: Stage) {
        if let Some(connection) = self.conns.get_mut(conn)
            && let Machine::Control(link) = &mut connection.machine
        {
            link.stage = stage;
        }
    }

    /// The connection of a chat server ended. Nothing stops for that: calls go on.
    pub(super) fn control_lost(&mut self, now: Timestamp, conn: ConnId, stage: Stage) {
        match stage {
            Stage::Fresh => {}
            Stage::Waiting(client) => {
                let control = self.control(client);
                if control.waiting.is_some_and(|newcomer| newcomer.conn == conn) {
                    control.waiting = None;
                    self.timers.clear(Timer::Takeover(client));
                }
            }
            Stage::Live(client) => {
                let control = self.control(client);
                control.connected_since = None;
                control.lost_at = Some(now);
                if let Some(session) = &mut control.session {
                    session.conn = None;
                }
                if control.waiting.is_some() {
                    // Whoever waits to see whether it lives has seen.
                    self.timers.set(Timer::Takeover(client), now);
                }
                self.timers.clear(Timer::Undecided(client));
                self.timers.set(Timer::Grace(client), now + self.config.control_grace);
                self.event(Event::ControlLost { client, conn });
            }
        }
    }
}
