//! A chat server that does everything right, over each revision of LVSP, whatever happens to its
//! link. Its states are in a database: it still has them after a crash.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use lvsp_core::crypto::auth::hmac_token;
use lvsp_core::output::Plane;
use serde_json::{Value, json};

use crate::host::SECRET;
use crate::kit::{Event, GUILD, Kit, MILLI, SECOND, Ticket, Who, channel_id, user_of, voice_of};
use crate::link::{Heard, Link};
use crate::network::Wire;
use crate::oracle::{DEAF, MUTE, Order, SUPPRESS};
use crate::plan::Knobs;

/// How long a client waits for its chat server's messages.
const SIGNALLING_US: u64 = 5 * MILLI;
const HEARTBEAT_US: u64 = 13_750 * MILLI;

/// A user's voice state.
#[derive(Clone, Debug)]
struct State {
    channel: u64,
    flags: u64,
    ticket: Option<Ticket>,
}

#[derive(Debug)]
struct Session {
    name: String,
    /// The newest number; after a state dump without any, the next one may be any.
    seq: Option<u64>,
}

#[derive(Debug)]
pub(crate) struct Chat {
    revision: u64,
    /// It is like the deployed Litecord; see [`Knobs::forgetful`].
    pub(crate) forgetful: bool,
    states: BTreeMap<u64, State>,
    /// Whose client waits for an answer.
    asked: BTreeSet<u64>,
    link: Option<Link>,
    /// Whether READY has come.
    pub(crate) ready: bool,
    session: Option<Session>,
    /// Numbers read between IDENTIFY or RESUME and READY.
    early: Vec<u64>,
    /// When it connects again.
    again: Option<u64>,
    beat: u64,
    /// Whether moderators repeat what it may have lost.
    watched: bool,
}

impl Chat {
    pub(crate) fn new(knobs: &Knobs) -> Self {
        let revision = knobs.revision;
        Self {
            revision,
            forgetful: revision == 1 && knobs.forgetful == 1,
            states: BTreeMap::new(),
            asked: BTreeSet::new(),
            link: None,
            ready: false,
            session: None,
            early: Vec::new(),
            again: Some(0),
            beat: 0,
            watched: false,
        }
    }

    // --- what users and moderators want ---

    /// Op 4 of a client.
    pub(crate) fn ask(&mut self, kit: &mut Kit, voice: usize, channel: Option<u64>) {
        let user = user_of(voice);
        let Some(channel) = channel else { return self.leave(kit, user) };
        let known = self.states.get(&user).cloned();
        // Whoever is known keeps its flags, wherever it goes.
        let all = known.is_none();
        let flags = known.as_ref().map_or(0, |state| state.flags);
        let ticket = known.filter(|state| state.channel == channel).and_then(|state| state.ticket);
        self.states.insert(user, State { channel, flags, ticket });
        self.asked.insert(user);
        self.place(kit, user, all);
    }

    fn leave(&mut self, kit: &mut Kit, user: u64) {
        if self.states.remove(&user).is_some() {
            self.remove(kit, user);
        }
    }

    pub(crate) fn set_flags(&mut self, kit: &mut Kit, voice: usize, flags: u64) {
        let user = user_of(voice);
        let Some(state) = self.states.get_mut(&user) else { return };
        state.flags = flags;
        let mut data = flag_fields(flags);
        data["user_id"] = json!(user.to_string());
        self.order(kit, Order::Flags { user, flags }, [1, 5, 6], &data);
    }

    pub(crate) fn destroy(&mut self, kit: &mut Kit, channel: u64) {
        let here = |state: &State| state.channel == channel;
        let users: Vec<u64> =
            self.states.iter().filter(|(_, s)| here(s)).map(|(u, _)| *u).collect();
        for user in users {
            self.states.remove(&user);
            kit.add_in(SIGNALLING_US, Event::Out(voice_of(user).unwrap_or_default()));
        }
        let id = channel_id(channel).to_string();
        let data = match self.revision {
            0 => json!({"id": id, "deleted": true}),
            _ => json!({"channel_id": id}),
        };
        self.order(kit, Order::Destroy { channel }, [0, 3, 2], &data);
    }

    /// Whether a user is in voice, as far as this chat server knows.
    pub(crate) fn knows(&self, user: u64) -> Option<(u64, u64)> {
        self.states.get(&user).map(|state| (state.channel, state.flags))
    }

    /// From now on moderators see to it that flags are as they want them, whenever they can.
    pub(crate) fn watch(&mut self, kit: &mut Kit) {
        self.watched = true;
        self.look_again(kit);
    }

    /// Moderators look whether everything is as they want it.
    fn look_again(&mut self, kit: &mut Kit) {
        for (user, state) in self.states.clone() {
            self.set_flags(kit, voice_of(user).unwrap_or_default(), state.flags);
        }
    }

    // --- orders ---

    fn place(&mut self, kit: &mut Kit, user: u64, all: bool) {
        let Some(state) = self.states.get(&user).cloned() else { return };
        let (channel, guild) = (channel_id(state.channel).to_string(), GUILD.to_string());
        let mut data = if all { flag_fields(state.flags) } else { json!({}) };
        data["user_id"] = json!(user.to_string());
        data["channel_id"] = json!(channel);
        data["guild_id"] = json!(guild);
        if let Some(Ticket { session_id, token, .. }) = &state.ticket {
            data["session_id"] = json!(session_id);
            data["token"] = json!(token);
        }
        let order =
            Order::Place { user, channel: state.channel, flags: all.then_some(state.flags) };
        if self.revision == 0 {
            self.send(kit, order, &json!({"op": 7, "d": data}));
        } else {
            let ids = json!({"channel_id": channel, "guild_id": guild});
            self.send_quietly(kit, &json!({"op": 6, "d": {"type": 0, "data": ids}}));
            self.order(kit, order, [0, 4, 3], &data);
        }
    }

    fn remove(&mut self, kit: &mut Kit, user: u64) {
        let mut data = json!({"user_id": user.to_string(), "guild_id": GUILD.to_string()});
        if self.revision == 0 {
            data["channel_id"] = Value::Null;
        }
        self.order(kit, Order::Remove { user }, [1, 6, 5], &data);
    }

    /// An INFO, whose number differs by revision.
    fn order(&mut self, kit: &mut Kit, order: Order, kinds: [u64; 3], data: &Value) {
        let key = if self.revision == 0 { "info" } else { "data" };
        let kind = kinds[self.revision.min(2) as usize];
        self.send(kit, order, &json!({"op": 6, "d": {"type": kind, key: data}}));
    }

    /// Says something if there is somebody to say it to. If not, the next READY states everything.
    fn send(&mut self, kit: &mut Kit, order: Order, message: &Value) {
        self.send_quietly(kit, message);
        if self.ready
            && let Some(link) = &self.link
        {
            kit.oracle.ordered(link.wire, link.written(), order);
        }
    }

    fn send_quietly(&mut self, kit: &mut Kit, message: &Value) {
        if self.ready
            && let Some(link) = &mut self.link
        {
            link.say(kit, message);
        }
    }

    /// Everything that holds, and who is known to be gone.
    fn state_all(&mut self, kit: &mut Kit, voices: usize) {
        for user in (0..voices).map(user_of) {
            if self.states.contains_key(&user) {
                self.place(kit, user, true);
            } else {
                self.remove(kit, user);
            }
        }
    }

    // --- the link ---

    pub(crate) fn cut(&mut self, kit: &mut Kit, away_us: u64) {
        if let Some(link) = self.link.take() {
            link.drop(kit);
        }
        self.lost(kit, away_us);
    }

    /// Whatever was not in its database is forgotten.
    pub(crate) fn crash(&mut self, kit: &mut Kit, away_us: u64) {
        self.session = None;
        self.cut(kit, away_us);
    }

    fn lost(&mut self, kit: &mut Kit, away_us: u64) {
        kit.trouble(away_us);
        if self.forgetful {
            self.session = None;
        }
        self.link = None;
        self.ready = false;
        self.early.clear();
        self.again = Some(kit.now + away_us);
        kit.add_in(away_us, Event::ChatTimer);
    }

    pub(crate) fn timer(&mut self, kit: &mut Kit) {
        if self.again.is_some_and(|at| at <= kit.now) {
            self.again = None;
            let address = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)), 50_000);
            self.link = Some(Link::open(kit, Who::Chat, Plane::Control, address, "/"));
        }
        if self.ready && self.beat <= kit.now && !self.forgetful {
            let seq = self.session.as_ref().and_then(|session| session.seq).unwrap_or(0);
            self.send_quietly(kit, &json!({"op": 4, "d": {"s": seq}}));
            self.beat = kit.now + HEARTBEAT_US;
            kit.add_in(HEARTBEAT_US, Event::ChatTimer);
        }
    }

    pub(crate) fn is_link(&self, wire: Wire) -> bool {
        self.link.as_ref().is_some_and(|link| link.wire == wire)
    }

    pub(crate) fn hear_bytes(&mut self, kit: &mut Kit, bytes: &[u8], voices: usize) {
        let Some(link) = &mut self.link else { return };
        let heard = link.hear(kit, bytes);
        self.hear_all(kit, heard, voices);
    }

    pub(crate) fn hear_end(&mut self, kit: &mut Kit, voices: usize) {
        let Some(link) = &mut self.link else { return };
        let heard = link.end(kit);
        self.hear_all(kit, heard, voices);
        self.lost(kit, SECOND);
    }

    fn hear_all(&mut self, kit: &mut Kit, heard: Vec<Heard>, voices: usize) {
        for heard in heard {
            match heard {
                Heard::Opened => {}
                Heard::Message(message) => self.hear(kit, &message, voices),
                Heard::Closed(_) => return self.lost(kit, SECOND),
            }
        }
    }

    fn hear(&mut self, kit: &mut Kit, message: &Value, voices: usize) {
        match message["op"].as_u64() {
            Some(0) => self.introduce(kit, message),
            Some(3) => self.begin(kit, message, voices),
            Some(6) => self.info(kit, message),
            Some(5) => {}
            _ => kit.oracle.fault(format!("LVSP knows no {message}")),
        }
    }

    fn introduce(&mut self, kit: &mut Kit, hello: &Value) {
        let token = hmac_token(SECRET, hello["d"]["nonce"].as_str().unwrap_or_default());
        let message = match &self.session {
            None => json!({"op": 1, "d": {"token": token}}),
            Some(Session { name, seq }) => {
                json!({"op": 2, "d": {"token": token, "seq": seq.unwrap_or(0), "session": name}})
            }
        };
        if let Some(link) = &mut self.link {
            link.say(kit, &message);
        }
    }

    fn begin(&mut self, kit: &mut Kit, ready: &Value, voices: usize) {
        let resumed = ready["d"]["resumed"] == true;
        let name = ready["d"]["session"].as_str().unwrap_or_default().to_owned();
        let known = self.session.take();
        let begun = known.as_ref().is_none_or(|session| session.name != name);
        let before = match known {
            Some(session) if resumed => session.seq,
            // What the session had told before is void, but its numbers go on.
            _ => (begun).then_some(0),
        };
        self.session = Some(Session { name, seq: before });
        for s in std::mem::take(&mut self.early) {
            self.count(kit, s);
        }
        self.ready = true;
        self.beat = kit.now + HEARTBEAT_US;
        kit.add_in(HEARTBEAT_US, Event::ChatTimer);
        // What was written last may not have arrived: all orders may be given twice.
        if !self.forgetful {
            self.state_all(kit, voices);
        } else if self.watched {
            self.look_again(kit);
        }
    }

    fn info(&mut self, kit: &mut Kit, message: &Value) {
        let Some(s) = message["s"].as_u64() else {
            return kit.oracle.fault(format!("an INFO without number: {message}"));
        };
        if self.ready {
            self.count(kit, s);
        } else {
            self.early.push(s);
        }
        let data = if self.revision == 0 { &message["d"]["info"] } else { &message["d"]["data"] };
        let user = data["user_id"].as_str().and_then(|text| text.parse::<u64>().ok());
        if let Some(user) = user {
            self.news(kit, user, data);
        }
    }

    /// I1: each number once, in order.
    fn count(&mut self, kit: &mut Kit, s: u64) {
        let Some(session) = &mut self.session else { return };
        if session.seq.is_some_and(|seq| s != seq + 1) {
            kit.oracle.fault(format!("LVSP number {s} behind {:?} (I1)", session.seq));
        }
        session.seq = Some(s);
    }

    /// A voice state ended. It was a predecessor's if an order to place the user waits for its answer.
    fn gone(&mut self, kit: &mut Kit, user: u64, data: &Value) {
        let ticket = self.states.get(&user).and_then(|state| state.ticket.as_ref());
        let ours = ticket.is_some_and(|ticket| data["session_id"] == ticket.session_id.as_str());
        let expected = matches!(data["reason"].as_str(), Some("removed" | "channel_destroyed"));
        if ours && !expected && !self.asked.contains(&user) {
            self.states.remove(&user);
            kit.add_in(SIGNALLING_US, Event::Out(voice_of(user).unwrap_or_default()));
        }
    }

    fn news(&mut self, kit: &mut Kit, user: u64, data: &Value) {
        if data["reason"].is_string() {
            return self.gone(kit, user, data);
        }
        let Some(voice) = voice_of(user) else { return };
        let Some(state) = self.states.get_mut(&user) else {
            // The order to place it was under way when the user was taken for gone.
            if !self.forgetful {
                self.remove(kit, user);
            }
            return;
        };
        let text = |key: &str| data[key].as_str().map(ToOwned::to_owned);
        if text("channel_id") != Some(channel_id(state.channel).to_string()) {
            return; // of a move that was overtaken
        }
        let (Some(session_id), Some(token)) = (text("session_id"), text("token")) else { return };
        let ticket = Ticket { channel: state.channel, session_id, token };
        let news = state.ticket.as_ref() != Some(&ticket);
        state.ticket = Some(ticket.clone());
        if self.asked.remove(&user) || news {
            kit.add_in(SIGNALLING_US, Event::Ticket { voice, ticket });
        }
    }
}

fn flag_fields(flags: u64) -> Value {
    json!({"mute": flags & MUTE != 0, "deaf": flags & DEAF != 0, "suppress": flags & SUPPRESS != 0})
}
