//! A voice client and the human behind it, as far as libraries differ in it by profile.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::{IpAddr, SocketAddr};

use lvsp_core::output::Plane;
use serde_json::{Value, json};

use crate::dice::Dice;
use crate::kit::{Event, GUILD, Kit, MILLI, SECOND, Ticket, Who, host_of, user_of};
use crate::link::{Heard, Link};
use crate::media::{Media, payload, read_payload};
use crate::network::{Way, Wire};
use crate::profile::{BACK_OFF_MS, Next, Profile};

const FRAME_US: u64 = 20 * MILLI;
/// How long a human looks at "connecting" before trying again.
const PATIENCE_US: u64 = 5 * SECOND;

/// What a client keeps over a Resume.
pub(crate) struct Session {
    pub(crate) ssrc: u32,
    relay: SocketAddr,
    pub(crate) media: Option<Media>,
    /// How many keys it was given.
    keys: u32,
    /// The newest number that arrived.
    seq: Option<u16>,
    /// Whose an SSRC is, by op 5.
    users: BTreeMap<u32, u64>,
    /// Who is present, by ops 11 and 13.
    pub(crate) present: BTreeSet<u64>,
    /// Discovery requests sent, and when the next one is due; `None` once there was an answer.
    discovery: Option<(u32, u64)>,
}

impl Session {
    /// Other people's SSRCs, as far as it was told.
    pub(crate) fn others(&self) -> impl Iterator<Item = u32> {
        self.users.keys().copied().filter(|ssrc| *ssrc != self.ssrc)
    }

    /// Whether it was told who speaks as whom.
    pub(crate) fn knows(&self, user: u64) -> bool {
        self.users.values().any(|other| *other == user)
    }
}

pub(crate) struct Voice {
    pub(crate) index: usize,
    pub(crate) profile: Profile,
    /// Where its user wants to be.
    pub(crate) wanted: Option<u64>,
    ticket: Option<Ticket>,
    pub(crate) link: Option<Link>,
    resuming: bool,
    pub(crate) session: Option<Session>,
    /// Since when it is through with its handshake.
    pub(crate) live_since: Option<u64>,
    /// When its session was last ended to be made anew.
    pub(crate) renewed: Option<u64>,
    retry: Option<(u64, Next)>,
    attempts: usize,
    /// When its user loses patience.
    patience: Option<u64>,
    beat: Option<(u64, u64)>,
    unanswered: u32,
    port: u16,
    pub(crate) dice: Dice,
    /// Clock error, in parts per million.
    drift: i64,
    frames: u64,
    next_frame: u64,
    said: u32,
    /// What it heard, by user and number.
    pub(crate) heard: HashSet<(u64, u32)>,
    /// Whether the machine is there at all.
    gone: bool,
}

impl Voice {
    pub(crate) fn new(kit: &mut Kit, index: usize, profile: Profile) -> Self {
        let mut dice = Dice::new(kit.seed, &[6, index as u64]);
        let most = kit.knobs.drift_ppm;
        let drift = dice.between(0, 2 * most) as i64 - most as i64;
        kit.oracle.member_address(host_of(index));
        Self {
            index,
            profile,
            wanted: None,
            ticket: None,
            link: None,
            resuming: false,
            session: None,
            live_since: None,
            renewed: None,
            retry: None,
            attempts: 0,
            patience: None,
            beat: None,
            unanswered: 0,
            port: 40_000,
            dice,
            drift,
            frames: 0,
            next_frame: 0,
            said: 0,
            heard: HashSet::new(),
            gone: false,
        }
    }

    pub(crate) const fn user(&self) -> u64 {
        user_of(self.index)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::new(host_of(self.index), self.port)
    }

    /// How many frames it has said so far.
    pub(crate) const fn said(&self) -> u32 {
        self.said
    }

    /// Whether what it was told last leads to where its user wants to be: a user who moves sees it
    /// in an earlier channel until then, and has to ask again if the order was lost.
    pub(crate) fn is_on_its_way(&self) -> bool {
        self.ticket.as_ref().map(|ticket| ticket.channel) == self.wanted
    }

    /// Whether it has been through with its handshake for a while.
    pub(crate) fn is_settled(&self, now: u64) -> bool {
        self.live_since.is_some_and(|since| since + SECOND < now)
    }

    // --- its user ---

    pub(crate) fn want(&mut self, kit: &mut Kit, channel: Option<u64>) {
        self.wanted = channel;
        if channel.is_none() {
            self.hang_up(kit);
        }
        self.ask(kit, channel);
    }

    fn ask(&mut self, kit: &mut Kit, channel: Option<u64>) {
        if self.gone {
            return;
        }
        if channel.is_some() {
            self.patience = Some(kit.now + PATIENCE_US);
            self.wake_in(kit, PATIENCE_US);
        }
        kit.add_in(5 * MILLI, Event::Ask { voice: self.index, channel });
    }

    pub(crate) fn talk(&mut self, kit: &mut Kit, frames: u64) {
        if self.frames == 0 {
            self.next_frame = kit.now;
            self.set_speaking(kit, 1);
        }
        self.frames += frames;
        self.wake_in(kit, 0);
    }

    /// It is thrown out of voice; its user does not give up.
    pub(crate) fn out(&mut self, kit: &mut Kit) {
        self.hang_up(kit);
        if self.wanted.is_some() {
            self.patience = Some(kit.now + 3 * SECOND);
            self.wake_in(kit, 3 * SECOND);
        }
    }

    /// Leaves its session behind without a word to anybody but TCP.
    fn hang_up(&mut self, kit: &mut Kit) {
        if let Some(link) = self.link.take() {
            link.drop(kit);
        }
        self.session = None;
        self.ticket = None;
        self.live_since = None;
        self.retry = None;
        self.patience = None;
        self.beat = None;
        self.attempts = 0;
    }

    // --- its machine ---

    /// It loses its power: nobody is told.
    pub(crate) fn vanish(&mut self, kit: &mut Kit) {
        if let Some(link) = self.link.take() {
            kit.network.vanish(link.wire);
        }
        self.hang_up(kit);
        self.frames = 0;
        self.gone = true;
    }

    pub(crate) fn come_back(&mut self, kit: &mut Kit) {
        self.gone = false;
        self.ask(kit, self.wanted);
    }

    pub(crate) fn rebind(&mut self) {
        self.port += 1;
    }

    // --- the gateway ---

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

    fn connect(&mut self, kit: &mut Kit, resuming: bool) {
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

    fn set_speaking(&mut self, kit: &mut Kit, flags: u64) {
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

    fn discover(&mut self, kit: &mut Kit) {
        let Some(session) = &mut self.session else { return };
        let Some((tries, at)) = &mut session.discovery else { return };
        if *tries >= self.profile.discovery_tries() || *at > kit.now {
            return;
        }
        *tries += 1;
        *at = kit.now + SECOND;
        let mut request = vec![0, 1, 0, 70];
        request.extend(session.ssrc.to_be_bytes());
        request.resize(74, 0);
        self.transmit(kit, &request);
        self.wake_in(kit, SECOND);
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

    // --- voice ---

    pub(crate) fn transmit(&self, kit: &mut Kit, bytes: &[u8]) {
        let from = self.address();
        self.transmit_from(kit, from, bytes);
    }

    pub(crate) fn transmit_from(&self, kit: &mut Kit, from: SocketAddr, bytes: &[u8]) {
        let Some(to) = self.session.as_ref().map(|session| session.relay) else { return };
        for (at, bytes) in kit.network.datagram(kit.now, self.index, Way::Up, bytes) {
            kit.agenda.add(at, Event::ToRelay { from, to, bytes });
        }
    }

    fn send_frame(&mut self, kit: &mut Kit) {
        let user = self.user();
        let Some(media) = self.session.as_mut().and_then(|session| session.media.as_mut()) else {
            return;
        };
        let length = if self.dice.below(16) == 0 {
            self.dice.between(200, 1_200)
        } else {
            self.dice.between(20, 160)
        };
        self.said += 1;
        let packet = media.seal(kit, &payload(user, self.said, length as usize));
        self.transmit(kit, &packet);
    }

    pub(crate) fn hear_datagram(&mut self, kit: &mut Kit, to: SocketAddr, mut bytes: Vec<u8>) {
        if to != self.address() || self.gone {
            return; // the router has forgotten that port
        }
        kit.trace.note(kit.now, &bytes);
        let Some(session) = &mut self.session else { return };
        let Some(media) = &mut session.media else { return self.discovered(kit, &bytes) };
        let Some((ssrc, payload)) = media.open(&mut bytes) else { return };
        let Some((user, n)) = read_payload(&payload) else {
            return kit.oracle.fault(format!("voice {} got a damaged payload (I3)", self.index));
        };
        if session.users.get(&ssrc).is_some_and(|named| *named != user) {
            kit.oracle.fault(format!("a frame of {user} came under another's SSRC (I3)"));
        }
        if !self.heard.insert((user, n)) {
            kit.oracle.fault(format!("voice {} heard frame {n} of {user} twice (I3)", self.index));
        }
    }

    fn discovered(&mut self, kit: &mut Kit, bytes: &[u8]) {
        let Some(session) = &mut self.session else { return };
        if bytes.len() != 74 || bytes[1] != 2 || session.discovery.take().is_none() {
            return;
        }
        let text: String =
            bytes[8..72].iter().take_while(|b| **b != 0).map(|b| char::from(*b)).collect();
        let port = u16::from_be_bytes([bytes[72], bytes[73]]);
        let data = json!({"address": text, "port": port, "mode": self.profile.mode().name()});
        self.say(kit, &json!({"op": 1, "d": {"protocol": "udp", "data": data}}));
    }

    // --- time ---

    fn wake_in(&self, kit: &mut Kit, micros: u64) {
        kit.add_in(micros, Event::VoiceTimer(self.index));
    }

    pub(crate) fn timer(&mut self, kit: &mut Kit) {
        if self.gone {
            return;
        }
        self.heartbeat(kit);
        if let Some((at, next)) = self.retry
            && at <= kit.now
        {
            self.retry = None;
            self.connect(kit, next == Next::Resume);
        }
        self.discover(kit);
        if self.patience.is_some_and(|at| at <= kit.now) {
            // Somebody hangs up and joins again.
            self.hang_up(kit);
            self.ask(kit, None);
            self.ask(kit, self.wanted);
        }
        self.speak(kit);
    }

    fn heartbeat(&mut self, kit: &mut Kit) {
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

    fn speak(&mut self, kit: &mut Kit) {
        while self.frames > 0 && self.next_frame <= kit.now {
            self.frames -= 1;
            let step = FRAME_US.saturating_add_signed(FRAME_US as i64 * self.drift / 1_000_000);
            self.next_frame += step;
            self.send_frame(kit);
            if self.frames == 0 {
                self.set_speaking(kit, 0);
            } else {
                self.wake_in(kit, self.next_frame.saturating_sub(kit.now));
            }
        }
    }
}
