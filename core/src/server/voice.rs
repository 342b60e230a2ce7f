//! What a voice client's messages do, and the beginning and end of its session.
//!
//! Not here: whose session an Identify asks for (`identify`), Resume (`resume`), what others are
//! told (`presence`).

use std::net::SocketAddr;

use super::Server;
use super::connection::{Connection, Machine};
use super::deadlines::Timer;
use crate::crypto::cipher::MediaKey;
use crate::crypto::mode::Mode;
use crate::gateway::link::{Link, Stage, Step};
use crate::gateway::session::Session;
use crate::ids::{ConnId, MemberId, Ssrc};
use crate::media::command::RelayCommand;
use crate::output::Event;
use crate::reasons::CloseReason;
use crate::time::Timestamp;
use crate::wire::gateway::{ClientMessage, HeartbeatNonce, ServerMessage, Version};
use crate::wire::secret::SecretKey;

/// What the server calls itself when a client asks for backend versions.
const BACKEND: &str = concat!("lvsp-", env!("CARGO_PKG_VERSION"));
/// The oldest gateway version that is served to everybody. Newer ones than are known are served as
/// the newest.
const OLDEST: u8 = 4;

impl Server {
    pub(super) fn session(&self, member: MemberId) -> Option<&Session> {
        self.membership.member(member)?.session.as_deref()
    }

    pub(super) fn session_mut(&mut self, member: MemberId) -> Option<&mut Session> {
        self.membership.member_mut(member)?.session.as_deref_mut()
    }

    pub(super) fn gateway_opened(&mut self, now: Timestamp, conn: ConnId, target: &str) {
        let version = Version::from_target(target);
        let served = |version: &Version| self.config.old_versions || version.number() >= OLDEST;
        let Some(version) = version.filter(served) else {
            let text = "gateway version 4 to 9 is needed, as in /?v=8";
            return self.close_conn_saying(now, conn, CloseReason::BadRequest, text);
        };
        let limits = &self.config.limits;
        let link = Link::new(now, version, limits, self.config.media.legacy_modes);
        if let Some(connection) = self.conns.get_mut(conn) {
            connection.machine = Machine::Gateway(link);
        }
        self.timers.set(Timer::Identify(conn), now + limits.identify_ms.duration());
        let heartbeat_interval_ms = limits.heartbeat_interval_ms.0;
        self.reply(now, conn, &ServerMessage::Hello { version, heartbeat_interval_ms });
    }

    /// Sends a message that is neither numbered nor kept.
    pub(super) fn reply(&mut self, now: Timestamp, conn: ConnId, message: &ServerMessage) {
        if let Some(version) = self.link(conn).map(|link| link.version) {
            self.send(now, conn, &message.encode(version, None));
        }
    }

    pub(super) fn link(&mut self, conn: ConnId) -> Option<&mut Link> {
        match &mut self.conns.get_mut(conn)?.machine {
            Machine::Gateway(link) => Some(link),
            Machine::Opening | Machine::Control(_) | Machine::Closing(_) => None,
        }
    }

    pub(super) fn gateway_text(&mut self, now: Timestamp, conn: ConnId, text: &str) {
        let depth = self.config.limits.json_depth;
        let Some(link) = self.link(conn) else { return };
        match ClientMessage::parse(text, depth) {
            Ok(message) => {
                let step = link.handle_message(now, message);
                self.gateway_step(now, conn, step);
            }
            Err(error) => {
                let reason = error.close_reason();
                self.stats.limits.json_depth += u64::from(reason == CloseReason::TooDeep);
                self.close_conn_saying(now, conn, reason, &error.to_string());
            }
        }
    }

    pub(super) fn gateway_binary(&mut self, now: Timestamp, conn: ConnId) {
        let Some(link) = self.link(conn) else { return };
        let step = link.handle_binary(now);
        self.gateway_step(now, conn, step);
    }

    fn gateway_step(&mut self, now: Timestamp, conn: ConnId, step: Step) {
        match step {
            Step::Nothing => self.stats.tolerated_messages += 1,
            Step::Heartbeat { nonce, seq_ack } => self.heartbeat(now, conn, nonce, seq_ack),
            Step::Identify { user, credentials } => self.identify(now, conn, user, credentials),
            Step::Resume { credentials, seq_ack } => {
                self.resume(now, conn, &credentials, seq_ack);
            }
            Step::Select { mode, claimed } => self.select(now, conn, mode, claimed),
            Step::Speaking { flags, ssrc } => self.speaking(now, conn, flags, ssrc),
            Step::BackendVersion => {
                let (voice, rtc_worker) = (BACKEND.to_owned(), BACKEND.to_owned());
                self.reply(now, conn, &ServerMessage::BackendVersion { voice, rtc_worker });
            }
            Step::NoRoute => self.close_conn(now, conn, CloseReason::PeerClosed),
            Step::Fail(CloseReason::RateLimited) => {
                self.stats.limits.message_burst += 1;
                self.stats.limits.message_refill_per_s += 1;
                self.send_off(now, conn);
            }
            Step::Fail(reason) => {
                let selects = reason == CloseReason::SelectLimited;
                self.stats.limits.select_protocol_per_minute += u64::from(selects);
                self.close_conn(now, conn, reason);
            }
        }
    }

    /// The client states its speaking flags. Some leave the SSRC out or write 0; whoever writes
    /// one has to write its own, because the others would take that user for this one.
    fn speaking(&mut self, now: Timestamp, conn: ConnId, flags: u8, named: Option<Ssrc>) {
        let Some(member) = self.member_of_conn(conn) else { return };
        let Some(ssrc) = self.session(member).map(|session| session.ssrc) else { return };
        let own = |named: Ssrc| named.0 == 0 || named.session_base() == ssrc;
        if named.is_none_or(own) {
            self.client_speaks(now, member, flags);
        } else {
            let text = "d.ssrc must be the session's own";
            self.close_conn_saying(now, conn, CloseReason::BadRequest, text);
        }
    }

    /// The client sends far too much: its session ends, and its next Identify has to wait.
    fn send_off(&mut self, now: Timestamp, conn: ConnId) {
        let calm = self.config.limits.message_calm_ms.duration();
        match self.member_of_conn(conn) {
            Some(id) => {
                if let Some(member) = self.membership.member_mut(id) {
                    member.calm_until = now + calm;
                }
                self.end_session(now, id, CloseReason::RateLimited);
                self.reserve(now, id);
            }
            None => self.close_conn(now, conn, CloseReason::RateLimited),
        }
    }

    fn member_of_conn(&self, conn: ConnId) -> Option<MemberId> {
        self.conns.get(conn)?.member
    }

    fn heartbeat(
        &mut self,
        now: Timestamp,
        conn: ConnId,
        nonce: HeartbeatNonce,
        seq_ack: Option<u16>,
    ) {
        if let Some(member) = self.member_of_conn(conn) {
            self.arm_heartbeat(now, conn);
            self.with_session(member, |session, _| session.beat(now, seq_ack));
        }
        self.reply(now, conn, &ServerMessage::HeartbeatAck { nonce });
    }

    fn arm_heartbeat(&mut self, now: Timestamp, conn: ConnId) {
        let silence = self.config.limits.heartbeat_silence_ms.duration();
        self.timers.set(Timer::Heartbeat(conn), now + silence);
    }

    // --- the beginning and the end of a session ---

    pub(super) fn begin_session(&mut self, now: Timestamp, conn: ConnId, id: MemberId) {
        let replaces = self.session(id).is_some();
        if !replaces && self.legs.len() >= self.config.limits.sessions {
            self.stats.limits.sessions += 1;
            return self.close_conn(now, conn, CloseReason::Overloaded);
        }
        // One session for each voice state: the newest Identify wins.
        self.end_session(now, id, CloseReason::SessionInvalid);
        let Some(version) = self.link(conn).map(|link| link.version) else { return };
        let Some(member) = self.membership.member(id) else { return };
        let (room, permissions) = (member.room, member.permissions());
        let Some(bitrate) = self.membership.room(room).map(|room| room.bitrate) else { return };
        let Some(relay) = self.relay_for(room) else { return };
        let ssrc = self.draw_ssrc();
        let leg = self.legs.insert(id);
        let telling = |connection: &Connection| connection.origin.telling_address(connection.peer);
        let peer = self.conns.get(conn).and_then(telling);
        self.relay(relay, RelayCommand::Open { leg, room, ssrc, peer, bitrate, permissions });
        // Behind that, so that nothing is handed over before the leg is there.
        self.leg_opened(room, relay);
        let session = Session::new(version, conn, relay, leg, ssrc, &self.config.limits);
        if let Some(member) = self.membership.member_mut(id) {
            member.session = Some(Box::new(session));
        }
        self.timers.clear(Timer::Reservation(id));
        self.attach(now, conn, id);
        let address = self.config.relays[usize::from(relay.0)];
        self.reply(
            now,
            conn,
            &ServerMessage::Ready {
                ssrc,
                ip: *address.ip(),
                port: address.port(),
                modes: Mode::offered(self.config.media.legacy_modes)
                    .iter()
                    .map(|mode| mode.name().to_owned())
                    .collect(),
                heartbeat_interval_ms: self.config.limits.heartbeat_interval_ms.0,
            },
        );
    }

    /// Ties a connection to a member's session.
    pub(super) fn attach(&mut self, now: Timestamp, conn: ConnId, member: MemberId) {
        if let Some(link) = self.link(conn) {
            link.stage = Stage::Identified;
        }
        if let Some(connection) = self.conns.get_mut(conn) {
            connection.member = Some(member);
        }
        self.authenticated(conn);
        self.arm_heartbeat(now, conn);
    }

    /// Four numbers, `4·r` and up, that no session of this process has.
    fn draw_ssrc(&mut self) -> Ssrc {
        loop {
            let r = self.entropy.u32() >> 3;
            let ssrc = Ssrc(r << 2);
            if r != 0 && self.ssrcs.insert(ssrc) {
                return ssrc;
            }
        }
    }

    // --- Select Protocol ---

    fn select(&mut self, now: Timestamp, conn: ConnId, mode: Mode, claimed: Option<SocketAddr>) {
        let Some(id) = self.member_of_conn(conn) else { return };
        let Some(session) = self.session(id) else { return };
        let (relay, leg, was_live) = (session.relay, session.leg, session.live);
        // Always a new key: discord.js starts its nonces anew with every Session Description.
        let key = MediaKey::generate(self.entropy.as_mut());
        let secret_key = *key.expose();
        let nonce_prefix = self.entropy.bytes();
        self.relay(relay, RelayCommand::SetKey { leg, mode, key, nonce_prefix, claimed });
        let media_session_id = self.entropy.hex::<16>();
        self.reply(
            now,
            conn,
            &ServerMessage::SessionDescription {
                mode: mode.name().to_owned(),
                secret_key: SecretKey::new(secret_key),
                media_session_id,
            },
        );
        if !was_live {
            self.go_live(now, id);
        }
    }

    fn go_live(&mut self, now: Timestamp, id: MemberId) {
        if let Some(session) = self.session_mut(id) {
            session.live = true;
        }
        self.introduce(now, id);
        let Some(member) = self.membership.member(id) else { return };
        let (client, user) = (member.client, member.user);
        let Some(channel) = self.membership.room(member.room).map(|room| room.channel) else {
            return;
        };
        self.event(Event::MemberConnected { client, channel, user });
    }

    /// Ends a member's session, if it has one: media first, then what others know, then its
    /// connection.
    pub(super) fn end_session(&mut self, now: Timestamp, id: MemberId, reason: CloseReason) {
        let Some(session) = self.membership.take_session(id) else { return };
        self.forget_replay(id, &session);
        self.timers.clear(Timer::Resume(id));
        self.relay(session.relay, RelayCommand::Close { leg: session.leg });
        if let Some(room) = self.membership.member(id).map(|member| member.room) {
            self.leg_closed(room, session.relay);
        }
        self.legs.remove(session.leg);
        self.ssrcs.remove(&session.ssrc);
        if session.live {
            self.say_goodbye(now, id);
        }
        if let Some(conn) = session.conn {
            if let Some(connection) = self.conns.get_mut(conn) {
                connection.member = None;
            }
            self.close_conn(now, conn, reason);
        }
    }

    /// The session cannot go on as it is (its nonces are used up): 4015, and the Resume that
    /// follows gets 4006, after which most libraries identify again.
    pub(super) fn renew_session(&mut self, now: Timestamp, id: MemberId) {
        self.end_session(now, id, CloseReason::Renew);
        self.reserve(now, id);
    }

    /// A client's media comes from where its gateway connection does not.
    pub(super) fn note_foreign(&mut self, id: MemberId, address: SocketAddr) {
        let Some(member) = self.membership.member(id) else { return };
        let (client, user) = (member.client, member.user);
        if let Some(channel) = self.membership.room(member.room).map(|room| room.channel) {
            self.event(Event::ForeignAddress { client, channel, user, address });
        }
    }

    /// Gives the voice client of a voice state time to come.
    pub(super) fn reserve(&mut self, now: Timestamp, id: MemberId) {
        if self.membership.member(id).is_some() {
            let wait = self.config.limits.reservation_ms.duration();
            self.timers.set(Timer::Reservation(id), now + wait);
        }
    }
}
