//! What a chat server's messages do, and what it is told.

use std::time::Duration;

use super::Server;
use super::connection::{AddressKey, BACK_OFF, Failures, Machine};
use super::deadlines::Timer;
use super::membership::Scope;
use crate::crypto::auth;
use crate::ids::{ConnId, ControlId, MemberId, RoomId};
use crate::lvsp::link::{Link, Resume, Stage, Step};
use crate::lvsp::session::{Dump, Session};
use crate::output::{Event, Plane};
use crate::reasons::CloseReason;
use crate::time::Timestamp;
use crate::wire::lvsp::{ChannelInfo, InfoError, ServerMessage, VoiceInfo, info};
use crate::wire::secret::Secret;

/// How long an older connection of the same chat server may take to show that it lives.
const TAKEOVER: Duration = Duration::from_secs(5);
/// The characters of HELLO's nonce.
const NONCE_ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// What the server keeps for one chat server.
#[derive(Debug, Default)]
pub(super) struct Control {
    pub(super) session: Option<Session<Scope>>,
    /// Since when its connection has been up.
    pub(super) connected_since: Option<Timestamp>,
    /// A newer connection that waits until the older one has shown whether it lives.
    waiting: Option<(ConnId, bool)>,
    /// When the present session began: re-statements count from here.
    pub(super) identified: Timestamp,
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
        if let Some((newcomer, _)) = self.control(client).waiting.take() {
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
    fn live_control(&self, conn: ConnId) -> Option<ControlId> {
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
        let nonce = link.nonce.clone();
        match (link.handle_text(text, depth), link.stage) {
            (Step::Nothing, _) => {}
            (Step::Identify { token, errors }, _) => {
                self.control_identify(now, conn, &nonce, &token, errors);
            }
            (Step::Resume(resume), _) => self.control_resume(now, conn, &nonce, &resume),
            (Step::Heartbeat { s }, stage) => self.control_heartbeat(now, conn, stage, s),
            (Step::Command { kind, command }, Stage::Live(client)) => {
                if let Err(refused) = self.handle_command(now, client, command) {
                    self.refuse(now, client, Some(kind), refused.to_string());
                }
            }
            (Step::Refuse { kind, why }, Stage::Live(client)) => {
                self.refuse(now, client, kind, why);
            }
            (Step::Command { .. } | Step::Refuse { .. }, Stage::Fresh | Stage::Waiting(_)) => {
                self.close_conn(now, conn, CloseReason::ControlGeneral);
            }
            (Step::Fail { reason, why }, _) => self.close_conn_saying(now, conn, reason, &why),
        }
    }

    fn control_heartbeat(&mut self, now: Timestamp, conn: ConnId, stage: Stage, s: u64) {
        if let Stage::Live(client) = stage
            && let Some(session) = &mut self.control(client).session
        {
            session.acknowledge(s);
        }
        let health = self.health();
        self.send(now, conn, &ServerMessage::HeartbeatAck { s, health }.encode(None));
    }

    /// Which chat server this token proves, compared with every secret in constant time.
    fn authenticate(&self, nonce: &str, token: &Secret) -> Option<ControlId> {
        let mut found = None;
        for (client, index) in self.config.control_clients.iter().zip(0u16..) {
            let plain = client.secret.matches_plain(token.expose());
            if plain | auth::verify_hmac(&client.secret, nonce, token.expose()) {
                found = Some(ControlId(index));
            }
        }
        found
    }

    fn fail_authentication(&mut self, now: Timestamp, conn: ConnId) {
        if let Some(connection) = self.conns.get(conn) {
            let key = AddressKey::new(Plane::Control, connection.peer.ip());
            self.failures.retain(|_, failures| now.since(failures.since) <= BACK_OFF);
            let failures = self.failures.entry(key).or_insert(Failures { count: 0, since: now });
            failures.count += 1;
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
        let Some(client) = self.authenticate(nonce, token) else {
            return self.fail_authentication(now, conn);
        };
        self.authenticated(conn);
        match self.control(client).conn() {
            None => self.begin_control(now, client, conn, errors),
            Some(older) => self.await_takeover(now, client, conn, older, errors),
        }
    }

    /// Asks the older connection whether it lives. A byte from it within the time ends the
    /// newcomer, see [`Self::control_alive`].
    fn await_takeover(
        &mut self,
        now: Timestamp,
        client: ControlId,
        conn: ConnId,
        older: ConnId,
        errors: bool,
    ) {
        self.set_control_stage(conn, Stage::Waiting(client));
        if let Some((earlier, _)) = self.control(client).waiting.replace((conn, errors)) {
            self.close_conn(now, earlier, CloseReason::ControlReplaced);
        }
        if let Some(connection) = self.conns.get_mut(older) {
            connection.transport.send_ping(b"alive?");
            self.settle(now, older);
        }
        self.timers.set(Timer::Takeover(client), now + TAKEOVER);
    }

    /// The older connection stayed silent: the newer one takes its place.
    pub(super) fn take_over(&mut self, now: Timestamp, client: ControlId) {
        let Some((conn, errors)) = self.control(client).waiting.take() else { return };
        if let Some(older) = self.control(client).conn() {
            self.drop_conn(now, older, CloseReason::ControlReplaced);
        }
        self.begin_control(now, client, conn, errors);
    }

    fn begin_control(&mut self, now: Timestamp, client: ControlId, conn: ConnId, errors: bool) {
        let id = Secret::new(self.entropy.hex::<16>());
        let session = Session::new(id, conn, errors, &self.config.limits);
        let control = self.control(client);
        control.session = Some(session);
        control.identified = now;
        self.unconfirm(now, client);
        self.control_ready(now, client, conn, false);
    }

    fn control_resume(&mut self, now: Timestamp, conn: ConnId, nonce: &str, resume: &Resume) {
        let Some(client) = self.authenticate(nonce, &resume.token) else {
            return self.fail_authentication(now, conn);
        };
        let errors = resume.errors;
        self.authenticated(conn);
        let Some(session) = &mut self.control(client).session else {
            return self.begin_control(now, client, conn, errors);
        };
        let same = resume.session.as_ref().is_none_or(|id| {
            auth::verify_token(session.id.expose().as_bytes(), id.expose().as_bytes())
        });
        let replay = if same { session.replay(now, resume.seq) } else { None };
        if let Some(older) = session.conn.replace(conn) {
            self.set_control_stage(older, Stage::Fresh);
            self.drop_conn(now, older, CloseReason::ControlReplaced);
        }
        if let Some(session) = &mut self.control(client).session {
            session.errors = errors;
        }
        match replay {
            Some(texts) => {
                for text in texts {
                    self.send(now, conn, &text);
                }
                self.control_ready(now, client, conn, true);
            }
            None => self.begin_dump(now, client, conn),
        }
    }

    /// Sends READY; from here on the connection may give orders.
    fn control_ready(&mut self, now: Timestamp, client: ControlId, conn: ConnId, resumed: bool) {
        self.set_control_stage(conn, Stage::Live(client));
        self.control(client).connected_since = Some(now);
        self.timers.clear(Timer::Grace(client));
        self.cancel_ends(client);
        let health = self.health();
        let Some(session) = &self.controls[usize::from(client.0)].session else { return };
        let ready = ServerMessage::Ready { health, session: session.id.clone(), resumed };
        self.send(now, conn, &ready.encode(None));
        self.event(Event::ControlConnected { client, resumed });
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
                if control.waiting.is_some_and(|(waiting, _)| waiting == conn) {
                    control.waiting = None;
                    self.timers.clear(Timer::Takeover(client));
                }
            }
            Stage::Live(client) => {
                let control = self.control(client);
                control.connected_since = None;
                if let Some(session) = &mut control.session {
                    session.conn = None;
                }
                self.timers.set(Timer::Grace(client), now + self.config.control_grace);
                self.event(Event::ControlLost { client });
            }
        }
    }

    fn refuse(&mut self, now: Timestamp, client: ControlId, kind: Option<u32>, why: String) {
        let wants = self.control(client).session.as_ref().is_some_and(|session| session.errors);
        if wants {
            let refusal = InfoError {
                kind: kind.unwrap_or(info::VST),
                message: why.clone(),
                field: None,
                channel_id: None,
                user_id: None,
            };
            self.inform(now, client, &ServerMessage::InfoError(refusal));
        }
        self.event(Event::ControlRefused { client, why });
    }

    /// Tells a chat server something: numbered, kept for RESUME, sent when it is connected.
    pub(super) fn inform(&mut self, now: Timestamp, client: ControlId, info: &ServerMessage) {
        let Some(session) = &mut self.control(client).session else { return };
        let conn = session.conn;
        if let (Some(text), Some(conn)) = (session.number(now, info), conn) {
            self.send(now, conn, &text);
        }
    }

    pub(super) fn channel_info(&self, room: RoomId) -> Option<ServerMessage> {
        let room = self.membership.room(room)?;
        Some(ServerMessage::InfoChannel(ChannelInfo {
            id: room.channel,
            guild_id: room.guild,
            bitrate: Some(room.bitrate),
            deleted: false,
        }))
    }

    /// A voice state as the chat server is told it; with what the voice client needs to connect
    /// if `credentials`.
    pub(super) fn voice_info(&self, member: MemberId, credentials: bool) -> Option<ServerMessage> {
        let member = self.membership.member(member)?;
        let room = self.membership.room(member.room)?;
        Some(ServerMessage::InfoVoice(VoiceInfo {
            user_id: member.user,
            channel_id: Some(room.channel),
            guild_id: member.guild,
            session_id: member.session_id.clone(),
            flags: member.flags,
            token: credentials.then(|| member.token.clone()),
            endpoint: credentials.then(|| self.config.gateway_endpoint.clone()),
            reason: None,
        }))
    }

    // --- the state dump ---

    fn begin_dump(&mut self, now: Timestamp, client: ControlId, conn: ConnId) {
        self.set_control_stage(conn, Stage::Live(client));
        if let Some(session) = &mut self.control(client).session {
            session.dump = Some(Dump::Channels(None));
        }
        self.pump_dump(now, conn);
    }

    /// Writes the next messages of a state dump while little waits on the connection; READY
    /// after the last.
    pub(super) fn pump_dump(&mut self, now: Timestamp, conn: ConnId) {
        let Some(client) = self.live_control(conn) else { return };
        let room_for = self.config.limits.control_dump_bytes;
        while self.outbound(conn).len() < room_for {
            let Some(session) = &self.controls[usize::from(client.0)].session else { return };
            let Some(cursor) = session.dump else { return };
            let (info, next) = self.dump_step(client, cursor);
            let Some(session) = &mut self.control(client).session else { return };
            session.dump = next;
            if let Some(text) = info.map(|info| session.number_dumped(&info)) {
                self.send(now, conn, &text);
            }
            if next.is_none() {
                return self.control_ready(now, client, conn, false);
            }
        }
    }

    /// The message at the cursor, and the cursor behind it.
    fn dump_step(
        &self,
        client: ControlId,
        cursor: Dump<Scope>,
    ) -> (Option<ServerMessage>, Option<Dump<Scope>>) {
        match cursor {
            Dump::Channels(after) => match self.membership.rooms_from(client, after).next() {
                Some(room) => {
                    let channel = self.membership.room(room).map(|room| room.channel);
                    (self.channel_info(room), Some(Dump::Channels(channel)))
                }
                None => (None, Some(Dump::VoiceStates(None))),
            },
            Dump::VoiceStates(after) => match self.membership.members_from(client, after).next() {
                Some((member, position)) => {
                    (self.voice_info(member, true), Some(Dump::VoiceStates(Some(position))))
                }
                None => (None, None),
            },
        }
    }
}
