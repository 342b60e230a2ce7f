//! Who is where, whatever happens to the control link: re-statement, state dumps, slow readers.

use std::collections::BTreeMap;
use std::time::Duration;

use lvsp_core::command::Command;
use lvsp_core::config::{ControlClient, Revision};
use lvsp_core::crypto::auth::ControlSecret;
use lvsp_core::ids::{ChannelId, ControlId, GuildId, UserId};
use lvsp_core::limits::Millis;
use lvsp_core::output::Plane;
use lvsp_core::wire::lvsp::VoiceFlagsUpdate;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::lifecycle::AES;
use crate::people::{
    CHANNEL, GUILD, chat_server, connect, destruction, join, removal, request, ticket,
};
use crate::world::{PeerId, SECRET, World};

const STATES: u64 = 50_000;

/// Connects with an IDENTIFY or a RESUME.
fn connect_control(world: &mut World, message: &Value) -> PeerId {
    let chat = world.connect(Plane::Control, "/");
    assert_eq!(world.take(chat)["op"], 0);
    world.send(chat, message);
    chat
}

/// A world with many voice states, fifty to a channel, and room for them to wait.
fn crowd() -> World {
    let mut world = World::with(|config| config.limits.reservation_ms = Millis(3_600_000));
    for user in 1..=STATES {
        let command = Command::Place {
            user: UserId::new(user).expect("not zero"),
            channel: ChannelId::new(1 + user / 50).expect("not zero"),
            guild: GuildId::new(GUILD),
            session_id: None,
            token: None,
            flags: VoiceFlagsUpdate::default(),
        };
        world.server.handle_command(world.now, ControlId(0), command).expect("there is room");
        world.pump();
    }
    world
}

/// Reads a megabyte a second until nothing comes; never more than a little waits.
fn read_slowly(world: &mut World, chat: PeerId) -> Vec<Value> {
    let mut told = Vec::new();
    while world.waiting(chat) > 0 {
        assert!(world.waiting(chat) < 66 * 1_024, "{} bytes wait", world.waiting(chat));
        world.allow(chat, 50_000);
        world.advance(Duration::from_millis(50));
        told.extend(world.take_all(chat));
    }
    assert_eq!(world.ended(chat), None, "a slow reader is not dropped for a large state");
    told
}

// Clauses: L2.4, L2.5
#[test]
fn a_dump_of_fifty_thousand_states_waits_for_its_slow_reader() {
    let mut world = crowd();
    let resume = json!({"op": 2, "d": {"token": SECRET, "seq": 77}});
    let chat = world.connect(Plane::Control, "/");
    world.take(chat);
    world.allow(chat, 0);
    world.send(chat, &resume);
    let told = read_slowly(&mut world, chat);
    let ready = told.last().expect("READY");
    assert_eq!((&ready["op"], &ready["d"]["resumed"]), (&json!(3), &json!(false)));
    let states = told.iter().filter(|message| message["d"]["type"] == 1).count();
    let channels = told.iter().filter(|message| message["d"]["type"] == 0).count();
    assert_eq!((channels as u64, states as u64), (1 + STATES / 50, STATES));
    let numbers = told.iter().filter_map(|message| message["s"].as_u64());
    assert!(numbers.eq(1..=(channels + states) as u64), "numbered in order");
}

// Clauses: L2.5
#[test]
fn a_burst_of_restatements_is_answered_as_fast_as_it_is_read() {
    let mut world = crowd();
    let chat = chat_server(&mut world);
    world.allow(chat, 0);
    for _ in 0..2 {
        for user in 1..=STATES {
            world.send(chat, &request(user, 1 + user / 50));
        }
    }
    let told = read_slowly(&mut world, chat);
    let mut users: Vec<_> = told
        .iter()
        .map(|message| message["d"]["info"]["user_id"].as_str().expect("a user").to_owned())
        .collect();
    let answers = users.len() as u64;
    users.sort();
    users.dedup();
    assert_eq!(users.len() as u64, STATES, "everybody is answered");
    assert!(answers < STATES + 1_000, "and asked twice before it was read, once: {answers}");
}

// Clauses: L2.7
#[test]
fn a_chat_server_that_makes_more_news_than_it_reads_is_told_everything_anew() {
    let mut world = World::with(|config| {
        config.limits.control_news_bytes = 65_536;
        config.limits.control_dump_bytes = 4_096;
    });
    let chat = chat_server(&mut world);
    world.allow(chat, 0);
    for user in 1..=200 {
        world.send(chat, &request(user, CHANNEL));
        world.send(chat, &removal(user));
        if user == 50 {
            world.send(chat, &request(1_001, CHANNEL));
        }
    }
    world.allow(chat, usize::MAX);
    assert_eq!(world.closed(chat), Some(Some(4000)));
    let seq = world.take_all(chat).iter().filter_map(|message| message["s"].as_u64()).max();
    let resume = json!({"op": 2, "d": {"token": SECRET, "seq": seq.expect("it was told some")}});
    let chat = connect_control(&mut world, &resume);
    let told = world.take_all(chat);
    let states: Vec<_> = told.iter().filter(|m| m["d"]["type"] == 1).collect();
    assert_eq!(states.len(), 2, "1001 and who was placed last, nobody who came and went");
    assert!(states.iter().all(|state| state["d"]["info"]["token"].is_string()));
    assert_eq!(states[1]["d"]["info"]["user_id"], "1001");
    assert_eq!(told[0]["s"].as_u64(), seq.map(|seq| seq + 1), "numbers go on without a gap");
    assert_eq!(told.last().expect("READY")["d"]["resumed"], false);
}

// Clauses: L6.1
#[test]
fn what_a_restarted_chat_server_states_again_is_heard_without_a_gap() {
    let mut world = World::new();
    let chat = chat_server(&mut world);
    let mut ann = join(&mut world, chat, 1001, CHANNEL, AES);
    let bob = join(&mut world, chat, 1002, CHANNEL, AES);
    world.cut(chat);
    assert_eq!(bob.hear(&ann.speak(&mut world, b"without")).len(), 1);
    let chat = chat_server(&mut world);
    assert_eq!(bob.hear(&ann.speak(&mut world, b"a gap")).len(), 1);
    for user in [1001, 1002] {
        world.send(chat, &request(user, CHANNEL));
    }
    let told = world.take_all(chat);
    assert_eq!(told[0]["d"]["info"]["token"], ann.ticket.token, "the token is the one it had");
    for _ in 0..60 {
        world.advance(Duration::from_secs(1));
        for voice in [&ann, &bob] {
            world.send(voice.peer, &json!({"op": 3, "d": 1}));
        }
        assert_eq!(bob.hear(&ann.speak(&mut world, b"of any kind")).len(), 1);
    }
}

// Clauses: L3.7
#[test]
fn two_chat_servers_have_channels_of_their_own_even_with_equal_ids() {
    const OTHER: &str = "another secret of more than 32 bytes";
    let mut world = World::with(|config| {
        let secret = ControlSecret::new(OTHER.to_owned()).expect("long enough");
        config.control_clients.push(ControlClient::new("other".to_owned(), secret));
    });
    let mut seats = Vec::new();
    let mut chats = Vec::new();
    for token in [SECRET, OTHER] {
        let chat = connect_control(&mut world, &json!({"op": 1, "d": {"token": token}}));
        world.take_all(chat);
        for user in [1001, 1002] {
            world.send(chat, &request(user, CHANNEL));
            let state = world.take_all(chat).pop().expect("an answer");
            let ticket = ticket(user, &state["d"]["info"]);
            let mut voice = connect(&mut world, ticket, AES.0, AES.1);
            // The same user and channel of two chat servers are two people in two places.
            voice.address.set_port(voice.address.port() + 100 * seats.len() as u16);
            voice.speak(&mut world, b"from here");
            seats.push(voice);
        }
        chats.push(chat);
    }
    let sent = seats[0].speak(&mut world, b"hello");
    assert_eq!(sent.len(), 1, "one listener, of its own chat server");
    assert_eq!(seats[1].hear(&sent).len(), 1);
    world.send(chats[1], &destruction(CHANNEL));
    assert_eq!(world.closed(seats[2].peer), Some(Some(4022)));
    assert_eq!(world.closed(seats[0].peer), None);
}

/// What a chat server and its link go through.
#[derive(Clone, Debug)]
enum Step {
    Place(u64, u64),
    Mute(u64, bool),
    Leave(u64),
    Destroy(u64),
    Lose,
    Resume,
    Identify,
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let (user, channel) = (1..6u64, 11..14u64);
    prop_oneof![
        4 => (user.clone(), channel.clone()).prop_map(|(user, channel)| Step::Place(user, channel)),
        2 => (user.clone(), any::<bool>()).prop_map(|(user, mute)| Step::Mute(user, mute)),
        2 => user.prop_map(Step::Leave),
        1 => channel.prop_map(Step::Destroy),
        2 => Just(Step::Lose),
        2 => Just(Step::Resume),
        1 => Just(Step::Identify),
        1 => (1..400u64).prop_map(Step::Pass),
    ]
}

/// The revisions in which everything is stated again after an IDENTIFY.
#[derive(Clone, Copy, Debug)]
enum Form {
    Draft,
    Document,
}

impl Form {
    const fn revision(self) -> Revision {
        match self {
            Self::Draft => Revision::Draft,
            Self::Document => Revision::Document,
        }
    }

    /// A user in a channel; flags that are not stated stay as they are in force.
    fn place(self, user: u64, channel: u64, mute: Option<bool>) -> Value {
        let mut message = request(user, channel);
        if let Some(mute) = mute {
            message["d"]["mute"] = json!(mute);
        }
        match self {
            Self::Draft => message,
            Self::Document => json!({"op": 6, "d": {"type": 3, "data": message["d"]}}),
        }
    }

    fn mute(self, user: u64, channel: u64, mute: bool) -> Value {
        let state =
            json!({"user_id": user.to_string(), "channel_id": channel.to_string(), "mute": mute});
        match self {
            Self::Draft => json!({"op": 6, "d": {"type": 1, "info": state}}),
            Self::Document => json!({"op": 6, "d": {"type": 6, "data": state}}),
        }
    }

    fn leave(self, user: u64) -> Value {
        let user = user.to_string();
        match self {
            Self::Draft => {
                json!({"op": 6, "d": {"type": 1, "info": {"user_id": user, "channel_id": null}}})
            }
            Self::Document => json!({"op": 6, "d": {"type": 5, "data": {"user_id": user}}}),
        }
    }

    fn destroy(self, channel: u64) -> Value {
        let channel = channel.to_string();
        match self {
            Self::Draft => {
                json!({"op": 6, "d": {"type": 0, "info": {"id": channel, "deleted": true}}})
            }
            Self::Document => json!({"op": 6, "d": {"type": 2, "data": {"channel_id": channel}}}),
        }
    }

    /// The voice state that a message is about, if it is about one.
    fn state_in(self, message: &Value) -> Option<&Value> {
        let (kinds, key): (&[u64], _) = match self {
            Self::Draft => (&[1], "info"),
            Self::Document => (&[4, 5, 6], "data"),
        };
        let kind = message["d"]["type"].as_u64()?;
        kinds.contains(&kind).then(|| &message["d"][key])
    }
}

/// A chat server: what it holds true, what it has not said yet, and what it was told.
struct Model {
    form: Form,
    chat: Option<PeerId>,
    states: BTreeMap<u64, (u64, bool)>,
    unsaid: Vec<Value>,
    view: BTreeMap<u64, (u64, bool)>,
    seq: u64,
}

impl Model {
    const fn new(form: Form) -> Self {
        Self {
            form,
            chat: None,
            states: BTreeMap::new(),
            unsaid: Vec::new(),
            view: BTreeMap::new(),
            seq: 0,
        }
    }

    fn say(&mut self, world: &mut World, message: Value) {
        match self.chat {
            Some(chat) => world.send(chat, &message),
            None => self.unsaid.push(message),
        }
    }

    fn change(&mut self, world: &mut World, step: &Step) {
        let form = self.form;
        match *step {
            Step::Place(user, channel) => {
                let known = self.states.get(&user).map(|(_, muted)| *muted);
                self.states.insert(user, (channel, known.unwrap_or(false)));
                // What is not stated stays as it is in force, also in a state that the voice server
                // holds still and this one has forgotten.
                let stated = if known.is_none() { Some(false) } else { None };
                self.say(world, form.place(user, channel, stated));
            }
            Step::Mute(user, mute) => {
                if let Some((channel, muted)) = self.states.get_mut(&user) {
                    *muted = mute;
                    let message = form.mute(user, *channel, mute);
                    self.say(world, message);
                }
            }
            Step::Leave(user) => {
                self.states.remove(&user);
                self.say(world, form.leave(user));
            }
            Step::Destroy(channel) => {
                self.states.retain(|_, (place, _)| *place != channel);
                self.say(world, form.destroy(channel));
            }
            Step::Lose => {
                if let Some(chat) = self.chat.take() {
                    self.listen(world, chat);
                    world.cut(chat);
                }
            }
            Step::Resume if self.chat.is_none() => self.resume(world, self.seq),
            Step::Identify if self.chat.is_none() => self.identify(world),
            Step::Resume | Step::Identify => {}
            Step::Pass(seconds) => world.advance(Duration::from_secs(seconds)),
        }
        if let Some(chat) = self.chat {
            self.listen(world, chat);
        }
    }

    fn resume(&mut self, world: &mut World, seq: u64) {
        let resume = json!({"op": 2, "d": {"token": SECRET, "seq": seq}});
        let chat = connect_control(world, &resume);
        let known = std::mem::take(&mut self.view);
        let told = self.listen(world, chat);
        if told.last().expect("READY")["d"]["resumed"] == true {
            // It goes on from what it knew.
            self.view = known;
            told.iter().for_each(|message| self.note(message));
        }
        self.chat = Some(chat);
        for message in std::mem::take(&mut self.unsaid) {
            self.say(world, message);
        }
    }

    /// After a restart: everything is stated anew.
    fn identify(&mut self, world: &mut World) {
        let chat = connect_control(world, &json!({"op": 1, "d": {"token": SECRET}}));
        self.chat = Some(chat);
        self.unsaid.clear();
        self.view.clear();
        for (user, (channel, muted)) in self.states.clone() {
            self.say(world, self.form.place(user, channel, Some(muted)));
        }
        self.listen(world, chat);
    }

    fn listen(&mut self, world: &mut World, chat: PeerId) -> Vec<Value> {
        let told = world.take_all(chat);
        told.iter().for_each(|message| self.note(message));
        told
    }

    fn note(&mut self, message: &Value) {
        self.seq = message["s"].as_u64().unwrap_or(self.seq);
        if let Some(info) = self.form.state_in(message) {
            let number = |key: &str| info[key].as_str().and_then(|text| text.parse::<u64>().ok());
            let user = number("user_id").expect("a user");
            match number("channel_id") {
                Some(channel) => {
                    let muted = info["mute"].as_bool().expect("a flag");
                    self.view.insert(user, (channel, muted));
                }
                None => drop(self.view.remove(&user)),
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    // Clauses: L2.3, L3.1, L6.2
    #[test]
    fn any_history_of_the_link_ends_in_what_was_stated_last(
        form in prop_oneof![Just(Form::Draft), Just(Form::Document)],
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let mut world = World::with(|config| {
            config.control_clients[0].revision = form.revision();
            config.limits.reservation_ms = Millis(3_600_000);
            config.control_grace = Duration::from_secs(86_400);
        });
        let mut model = Model::new(form);
        model.identify(&mut world);
        for step in &steps {
            model.change(&mut world, step);
        }
        if model.chat.is_none() {
            model.change(&mut world, &Step::Resume);
        }
        model.change(&mut world, &Step::Pass(400));
        prop_assert_eq!(&model.view, &model.states, "what it was told");
        // And what is in force, by a dump.
        model.change(&mut world, &Step::Lose);
        model.resume(&mut world, u64::MAX);
        prop_assert_eq!(&model.view, &model.states, "what is in force");
    }
}

// Clauses: L3.5
#[test]
fn a_guild_that_becomes_known_late_changes_nobodys_place() {
    let mut world = World::new();
    let chat = chat_server(&mut world);
    let user = json!({"user_id": "1001", "channel_id": CHANNEL.to_string()});
    world.send(chat, &json!({"op": 7, "d": user}));
    let first = world.take_all(chat).pop().expect("an answer");
    let channel = json!({"id": CHANNEL.to_string(), "guild_id": GUILD.to_string()});
    world.send(chat, &json!({"op": 6, "d": {"type": 0, "info": channel}}));
    world.send(chat, &request(1001, CHANNEL));
    let again = world.take_all(chat).pop().expect("an answer");
    assert_eq!(first["d"]["info"]["session_id"], again["d"]["info"]["session_id"], "one state");
    // By the guild's id, as client libraries name it.
    connect(&mut world, ticket(1001, &again["d"]["info"]), AES.0, AES.1);
    world.send(chat, &request(1001, CHANNEL + 7));
    let moved = world.take_all(chat).pop().expect("an answer");
    assert_ne!(first["d"]["info"]["session_id"], moved["d"]["info"]["session_id"], "a move");
}
