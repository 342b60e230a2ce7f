//! What a voice client says and hears on the gateway.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use lvsp_core::output::Plane;
use serde_json::{Value, json};

use super::{PATIENCE_US, Session, Voice};
use crate::kit::{GUILD, Kit, MILLI, Ticket, Who, host_of};
use crate::link::{Heard, Link};
use crate::media::Media;
use crate::network::{Way, Wire};
use crate::profile::{BACK_OFF_MS, Next};

impl Voice {
    /// Its chat server says where to connect.
    pub(crate) fn take_ticket(&mut self, kit: &mut Kit, ticket: Ticket) {
        if self.gone || self.wanted.is_none() {
            return;
        }
        self.hang_up(kit);
        self.ticket = Some(ticket);
        self.patience = Some(kit.now + PATIENCE_US);
        self.wake_in(kit, PATIENCE_US);
        self.connect(kit, false);
    }

    pub(super) fn connect(&mut self, kit: &mut Kit, resuming: bool) {
        self.resuming = resuming;
        self.beat = None;
        self.unanswered = 0;
        let address = SocketAddr::new(host_of(self.index), 50_000);
        let target = format!("/?v={}", self.profile.version());
        self.link = Some(Link::open(kit, Who::Voice(self.index), Plane::Gateway, address, &target));
    }

    pub(crate) fn is_link(&self, wire: Wire) -> bool {
        self.link.as_ref().is_some_and(|link| link.wire == wire)
    }

    /// Its TCP connection breaks.
    pub(crate) fn cut(&mut self, kit: &mut Kit) {
        if let Some(link) = self.link.take() {
            link.drop(kit);
            self.closed(kit, None);
        }
    }

    pub(crate) fn hear_bytes(&mut self, kit: &mut Kit, bytes: &[u8]) {
        let Some(link) = &mut self.link else { return };
        let heard = link.hear(kit, bytes);
        self.hear_all(kit, heard);
    }

    pub(crate) fn hear_end(&mut self, kit: &mut Kit) {
        let Some(link) = &mut self.link else { return };
        let heard = link.end(kit);
        self.hear_all(kit, heard);
        if self.link.take().is_some() {
            self.closed(kit, None);
        }
    }

    fn hear_all(&mut self, kit: &mut Kit, heard: Vec<Heard>) {
        for heard in heard {
            match heard {
                Heard::Opened => self.introduce(kit),
                Heard::Message(message) => self.hear(kit, &message),
                Heard::Closed(code) => {
                    if let Some(link) = self.link.take() {
                        kit.network.close(kit.now, &mut kit.agenda, link.wire, Way::Up);
                        self.closed(kit, code);
                    }
                }
            }
        }
    }

    fn closed(&mut self, kit: &mut Kit, code: Option<u16>) {
        self.beat = None;
        if code == Some(4_015) {
            self.renewed = Some(kit.now);
        }
        let was_live = self.live_since.take().is_some();
        let mut next = self.profile.after(code, self.resuming);
        if next == Next::Resume && !(was_live || self.resuming) {
            next = Next::Identify;
        }
        if was_live {
            self.attempts = 0;
        }
        if self.attempts >= BACK_OFF_MS.len() {
            next = Next::Leave;
        }
        match next {
            Next::Resume | Next::Identify => {
                let wait = BACK_OFF_MS[self.attempts] * MILLI;
                self.attempts += 1;
                self.retry = Some((kit.now + wait, next));
                self.wake_in(kit, wait);
            }
            Next::Rejoin => {
                self.hang_up(kit);
                if self.wanted.is_some() {
                    self.ask(kit, self.wanted);
                }
            }
            Next::Leave => self.out(kit),
        }
        if self.wanted.is_some() && self.patience.is_none() {
            self.patience = Some(kit.now + PATIENCE_US);
            self.wake_in(kit, PATIENCE_US);
        }
    }

    fn introduce(&mut self, kit: &mut Kit) {
        let Some(Ticket { session_id, token, .. }) = self.ticket.clone() else { return };
        let mut d =
            json!({"server_id": GUILD.to_string(), "session_id": session_id, "token": token});
        let op = if self.resuming {
            if let Some(seq) = self.session.as_ref().and_then(|session| session.seq) {
                d["seq_ack"] = json!(seq);
            }
            7
        } else {
            self.session = None;
            d["user_id"] = json!(self.user().to_string());
            0
        };
        self.say(kit, &json!({"op": op, "d": d}));
    }

    pub(crate) fn say(&mut self, kit: &mut Kit, message: &Value) {
        if let Some(link) = &mut self.link {
            link.say(kit, message);
        }
    }

    pub(super) fn set_speaking(&mut self, kit: &mut Kit, flags: u64) {
        let Some(ssrc) = self.session.as_ref().filter(|s| s.media.is_some()).map(|s| s.ssrc) else {
            return;
        };
        self.say(kit, &json!({"op": 5, "d": {"speaking": flags, "delay": 0, "ssrc": ssrc}}));
    }

    fn hear(&mut self, kit: &mut Kit, message: &Value) {
        self.number(kit, message);
        let d = &message["d"];
        match message["op"].as_u64() {
            Some(8) => {
                let interval = d["heartbeat_interval"].as_u64().unwrap_or(13_750) * MILLI;
                let interval =
                    interval.saturating_add_signed(interval as i64 * self.drift / 1_000_000);
                self.beat = Some((kit.now + interval, interval));
                self.wake_in(kit, interval);
            }
            Some(2) => self.ready(kit, d),
            Some(4) => self.described(kit, d),
            Some(5) => self.speaking(d),
            Some(6) => self.unanswered = 0,
            Some(9) => self.arrived(kit),
            Some(11) => self.present(d, true),
            Some(13) => self.present(d, false),
            _ => {}
        }
    }

    /// I1: numbers follow each other, over resumes as well.
    fn number(&mut self, kit: &mut Kit, message: &Value) {
        let (Some(seq), Some(session)) = (message["seq"].as_u64(), &mut self.session) else {
            return;
        };
        let expected = match session.seq {
            Some(u16::MAX) => 1,
            Some(last) => last + 1,
            None => 1,
        };
        if seq != u64::from(expected) {
            let user = self.index;
            kit.oracle.fault(format!("voice {user} got number {seq} instead of {expected} (I1)"));
        }
        session.seq = Some(expected);
    }

    fn ready(&mut self, kit: &mut Kit, d: &Value) {
        let number = |value: &Value| value.as_u64().unwrap_or_default();
        let ip: Option<IpAddr> = d["ip"].as_str().and_then(|text| text.parse().ok());
        let (Some(ip), ssrc) = (ip, number(&d["ssrc"]) as u32) else {
            return kit.oracle.fault(format!("an unusable Ready: {d}"));
        };
        kit.oracle.ready(ssrc, self.user());
        self.session = Some(Session {
            ssrc,
            relay: SocketAddr::new(ip, number(&d["port"]) as u16),
            media: None,
            keys: 0,
            seq: None,
            users: BTreeMap::new(),
            present: BTreeSet::new(),
            discovery: Some((0, 0)),
        });
        self.discover(kit);
    }

    fn described(&mut self, kit: &mut Kit, d: &Value) {
        let bytes = d["secret_key"].as_array().cloned().unwrap_or_default();
        let key: Vec<u8> =
            bytes.iter().filter_map(|byte| u8::try_from(byte.as_u64()?).ok()).collect();
        kit.oracle.keyed(&key);
        let (Some(session), Ok(key)) = (&mut self.session, key.try_into()) else { return };
        session.keys += 1;
        session.media =
            Media::new(kit, self.profile, session.ssrc, session.keys, key, &mut self.dice);
        self.arrived(kit);
    }

    fn arrived(&mut self, kit: &Kit) {
        self.live_since = Some(kit.now);
        self.attempts = 0;
        self.resuming = false;
        if self.is_on_its_way() {
            self.patience = None;
        }
    }

    fn speaking(&mut self, d: &Value) {
        let user = d["user_id"].as_str().and_then(|text| text.parse().ok());
        if let (Some(session), Some(user), Some(ssrc)) =
            (&mut self.session, user, d["ssrc"].as_u64())
        {
            session.users.insert(ssrc as u32, user);
        }
    }

    fn present(&mut self, d: &Value, here: bool) {
        let Some(session) = &mut self.session else { return };
        let id = |value: &Value| value.as_str().and_then(|text| text.parse::<u64>().ok());
        if here {
            session.present.extend(d["user_ids"].as_array().into_iter().flatten().filter_map(id));
        } else if let Some(user) = id(&d["user_id"]) {
            session.present.remove(&user);
            session.users.retain(|_, other| *other != user);
        }
    }

    pub(super) fn heartbeat(&mut self, kit: &mut Kit) {
        let Some((at, interval)) = self.beat else { return };
        if at > kit.now {
            return;
        }
        if self.unanswered >= 3 && self.profile.notices_missed_answers() {
            return self.cut(kit);
        }
        self.unanswered += 1;
        self.beat = Some((kit.now + interval, interval));
        self.wake_in(kit, interval);
        let t = kit.now / MILLI;
        let message = if self.profile.version() >= 8 {
            let seq = self.session.as_ref().and_then(|session| session.seq);
            json!({"op": 3, "d": {"t": t, "seq_ack": seq.map_or(-1, i64::from)}})
        } else {
            json!({"op": 3, "d": t})
        };
        self.say(kit, &message);
    }
}
