//! Chat servers of the later revisions, modelled on what their code does.

use std::time::Duration;

use lvsp_core::config::{HealthScale, Revision};
use lvsp_core::crypto::auth::hmac_token;
use lvsp_core::output::{Event, Plane};
use serde_json::{Value, json};

use crate::lifecycle::AES;
use crate::people::{CHANNEL, GUILD, OTHER_CHANNEL, Voice, connect, ticket};
use crate::world::{PeerId, SECRET, World};

fn info(kind: u8, data: Value) -> Value {
    json!({"op": 6, "d": {"type": kind, "data": data}})
}

/// Connects and identifies with the HMAC of the nonce; READY.
fn identify(world: &mut World) -> (PeerId, Value) {
    let chat = world.connect(Plane::Control, "/");
    let hello = world.take(chat);
    let token = hmac_token(SECRET, hello["d"]["nonce"].as_str().expect("a nonce"));
    world.send(chat, &json!({"op": 1, "d": {"token": token}}));
    let ready = world.take(chat);
    (chat, ready)
}

fn speaking(revision: Revision) -> World {
    World::with(|config| config.control_clients[0].revision = revision)
}

/// The client of Litecord's code: every message that it would close on is a failure.
struct Litecord {
    chat: PeerId,
}

impl Litecord {
    fn new(world: &mut World) -> Self {
        let (chat, ready) = identify(world);
        let litecord = Self { chat };
        litecord.check(&ready);
        litecord
    }

    /// What makes the deployed code close with 4000, or raise.
    fn check(&self, message: &Value) {
        let number = |value: &Value| value.as_u64().expect("a number");
        match number(&message["op"]) {
            0 | 5 => {}
            3 => assert!(message["d"]["health"].is_number(), "READY without health: {message}"),
            6 => {
                let kind = number(&message["d"]["type"]);
                assert!(kind < 7, "it knows 0 to 6: {message}");
                assert_ne!(kind, 1, "it raises on CHANNEL_ASSIGN: {message}");
                assert!(message["d"]["data"].is_object(), "it reads the key data: {message}");
            }
            op => panic!("it closes on op {op}: {message}"),
        }
    }

    fn take_all(&self, world: &mut World) -> Vec<Value> {
        let told = world.take_all(self.chat);
        told.iter().for_each(|message| self.check(message));
        told
    }

    /// CHANNEL_REQ and VST_CREATE in one breath, as on every join; no answer is awaited.
    fn join(&self, world: &mut World, user: u64, channel: u64) {
        let ids = json!({"channel_id": channel.to_string(), "guild_id": GUILD.to_string()});
        world.send(self.chat, &info(0, ids.clone()));
        let mut create = ids;
        create["user_id"] = json!(user.to_string());
        world.send(self.chat, &info(4, create));
    }

    /// A join of which somebody passes on the answer.
    fn seat(&self, world: &mut World, user: u64, channel: u64) -> Voice {
        self.join(world, user, channel);
        let told = self.take_all(world);
        let answer = told.last().expect("a create is always answered");
        assert_eq!(answer["d"]["type"], 5, "VST_UPDATE: {answer}");
        assert_eq!(answer["d"]["data"]["endpoint"], "voice.example.org:443");
        let ticket = ticket(user, &answer["d"]["data"]);
        connect(world, ticket, AES.0, AES.1)
    }
}

// Clauses: L5.1, L5.3, L5.6
#[test]
fn litecord_joins_without_a_revision_configured_and_is_told_nothing_that_it_closes_on() {
    let mut world = World::new();
    let litecord = Litecord::new(&mut world);
    let mut ann = litecord.seat(&mut world, 1001, CHANNEL);
    let bob = litecord.seat(&mut world, 1002, CHANNEL);
    assert_eq!(bob.hear(&ann.speak(&mut world, b"hello")).len(), 1);
    assert_eq!(world.closed(litecord.chat), None);
}

/// The deployed code raises on CHANNEL_ASSIGN and closes with 4000. Configured wrongly, it is sent
/// one with every join.
// Clauses: L2.6, L5.3
#[test]
fn calls_survive_a_litecord_that_closes_on_each_assign() {
    let mut world = World::with(|config| {
        config.control_clients[0].revision = Revision::Litecord;
        config.control_clients[0].litecord_assign = true;
    });
    let mut voices = Vec::new();
    for user in [1001, 1002] {
        let (chat, _) = identify(&mut world);
        Litecord { chat }.join(&mut world, user, CHANNEL);
        let told = world.take_all(chat);
        assert_eq!(told[0]["d"]["type"], 1, "CHANNEL_ASSIGN: {}", told[0]);
        let ticket = ticket(user, &told[1]["d"]["data"]);
        world.close(chat, 4000);
        assert!(world.ended(chat).is_some());
        voices.push(connect(&mut world, ticket, AES.0, AES.1));
    }
    let sent = voices[0].speak(&mut world, b"all the same");
    assert_eq!(voices[1].hear(&sent).len(), 1);
}

// Clauses: L5.1
#[test]
fn two_joins_in_a_row_are_two_answers() {
    let mut world = speaking(Revision::Litecord);
    let litecord = Litecord::new(&mut world);
    litecord.join(&mut world, 1001, CHANNEL);
    litecord.join(&mut world, 1002, CHANNEL);
    let told = litecord.take_all(&mut world);
    let users: Vec<_> = told.iter().map(|m| m["d"]["data"]["user_id"].clone()).collect();
    assert_eq!(users, ["1001", "1002"]);
    let numbers: Vec<_> = told.iter().map(|m| m["s"].as_u64()).collect();
    assert_eq!(numbers, [Some(1), Some(2)]);
    // It joins the same user again and again.
    litecord.join(&mut world, 1001, CHANNEL);
    let again = litecord.take_all(&mut world);
    assert_eq!(again[0]["d"]["data"]["token"], told[0]["d"]["data"]["token"]);
}

// Clauses: L1.13, L5.3
#[test]
fn litecord_sleeps_its_interval_in_seconds_and_keeps_its_connection() {
    let mut world = speaking(Revision::Litecord);
    let litecord = Litecord::new(&mut world);
    // 13,750 seconds to its first heartbeat, which says 0 as always.
    for _ in 0..13_750 / 50 {
        world.advance(Duration::from_secs(50));
    }
    world.send(litecord.chat, &json!({"op": 4, "d": {"s": 0}}));
    let told = litecord.take_all(&mut world);
    assert_eq!(told.last().expect("an answer")["op"], 5);
    assert_eq!(world.closed(litecord.chat), None);
}

// Clauses: L2.6
#[test]
fn calls_outlive_a_litecord_that_never_comes_back_until_the_grace_ends() {
    let mut world = speaking(Revision::Litecord);
    let litecord = Litecord::new(&mut world);
    let mut ann = litecord.seat(&mut world, 1001, CHANNEL);
    let bob = litecord.seat(&mut world, 1002, CHANNEL);
    world.cut(litecord.chat);
    for _ in 0..29 {
        world.advance(Duration::from_secs(10));
        for voice in [&ann, &bob] {
            world.send(voice.peer, &json!({"op": 3, "d": 1}));
        }
        assert_eq!(bob.hear(&ann.speak(&mut world, b"still here")).len(), 1);
    }
    world.advance(Duration::from_secs(41));
    assert_eq!(
        (world.closed(ann.peer), world.closed(bob.peer)),
        (Some(Some(4022)), Some(Some(4022)))
    );
}

// Clauses: L6.3
#[test]
fn a_litecord_that_restarts_states_nothing_again_and_nobody_goes_for_that() {
    let mut world = speaking(Revision::Litecord);
    let litecord = Litecord::new(&mut world);
    let mut ann = litecord.seat(&mut world, 1001, CHANNEL);
    let bob = litecord.seat(&mut world, 1002, CHANNEL);
    world.cut(litecord.chat);
    let litecord = Litecord::new(&mut world);
    for _ in 0..40 {
        world.advance(Duration::from_secs(10));
        for voice in [&ann, &bob] {
            world.send(voice.peer, &json!({"op": 3, "d": 1}));
        }
        assert_eq!(bob.hear(&ann.speak(&mut world, b"still here")).len(), 1);
    }
    // The end of its voice client is what ends a voice state.
    world.cut(ann.peer);
    world.advance(Duration::from_secs(91));
    let told = litecord.take_all(&mut world);
    let left = told.last().expect("VST_LEAVE");
    assert_eq!((&left["d"]["type"], &left["d"]["data"]["reason"]), (&json!(6), &json!("lost")));
}

// Clauses: L6.3
#[test]
fn an_undecided_litecord_that_says_nothing_loses_nobody_either() {
    let mut world = World::new();
    let litecord = Litecord::new(&mut world);
    let ann = litecord.seat(&mut world, 1001, CHANNEL);
    world.cut(litecord.chat);
    let _silent = Litecord::new(&mut world);
    for _ in 0..40 {
        world.advance(Duration::from_secs(10));
        world.send(ann.peer, &json!({"op": 3, "d": 1}));
    }
    assert_eq!(world.closed(ann.peer), None);
}

// Clauses: L5.1, L5.3
#[test]
fn litecord_moves_mutes_and_removes_by_its_own_numbers() {
    let mut world = speaking(Revision::Litecord);
    let litecord = Litecord::new(&mut world);
    let mut ann = litecord.seat(&mut world, 1001, CHANNEL);
    let bob = litecord.seat(&mut world, 1002, CHANNEL);
    let state = json!({"user_id": "1001", "channel_id": CHANNEL.to_string(), "mute": true});
    world.send(litecord.chat, &info(5, state));
    assert_eq!(litecord.take_all(&mut world)[0]["d"]["data"]["mute"], true);
    assert!(ann.speak(&mut world, b"unheard").is_empty());

    let mut ann = litecord.seat(&mut world, 1001, OTHER_CHANNEL);
    assert!(ann.speak(&mut world, b"elsewhere, and muted still").is_empty());
    world.send(litecord.chat, &info(6, json!({"session_id": bob.ticket.session_id})));
    assert_eq!(world.closed(bob.peer), Some(Some(4014)));
    world.send(litecord.chat, &info(3, json!({"channel_id": OTHER_CHANNEL.to_string()})));
    assert_eq!(world.closed(ann.peer), Some(Some(4022)));
    let told = litecord.take_all(&mut world);
    let kinds: Vec<_> = told.iter().map(|m| m["d"]["type"].as_u64().expect("a type")).collect();
    assert_eq!(kinds, [6, 6, 3], "two leaves, then the channel's end");
}

// Clauses: L1.15, L5.3, L5.5
#[test]
fn a_patched_litecord_is_assigned_its_channels_and_hears_of_health_unasked() {
    let mut world = World::with(|config| {
        config.control_clients[0].revision = Revision::Litecord;
        config.control_clients[0].litecord_assign = true;
        config.control_clients[0].health = HealthScale::BestIs0;
    });
    let (chat, ready) = identify(&mut world);
    assert_eq!(ready["d"]["health"], 0.0, "its best figure");
    world.send(chat, &info(0, json!({"channel_id": "77"})));
    let assigned = world.take(chat);
    assert_eq!(
        (&assigned["d"]["type"], &assigned["d"]["data"]["channel_id"]),
        (&json!(1), &json!("77"))
    );
    let now = world.now;
    world.server.begin_drain(now);
    world.pump();
    let unasked = world.take(chat);
    assert_eq!((&unasked["op"], &unasked["d"]["health"]), (&json!(5), &json!(1.0)), "its worst");
}

// Clauses: L5.1, L5.2
#[test]
fn a_document_client_waits_for_each_answer_and_shares_the_channels_token() {
    let mut world = speaking(Revision::Document);
    let (chat, _) = identify(&mut world);
    let channel = json!({"channel_id": CHANNEL.to_string(), "guild_id": GUILD.to_string()});
    for _ in 0..2 {
        // It asks for every join, and waits.
        world.send(chat, &info(0, channel.clone()));
        assert_eq!(world.take(chat)["d"]["type"], 1);
    }
    world.send(chat, &info(0, channel.clone()));
    let token = world.take(chat)["d"]["data"]["token"].as_str().expect("a token").to_owned();
    let mut create = channel;
    create["user_id"] = json!("1001");
    world.send(chat, &info(3, create.clone()));
    let done = world.take(chat);
    assert_eq!(done["d"]["type"], 4, "VOICE_STATE_DONE");
    for key in ["user_id", "channel_id", "guild_id"] {
        assert_eq!(done["d"]["data"][key], create[key]);
    }
    // What it passes on is the channel's token, the only one that the document knows.
    let mut ticket = ticket(1001, &done["d"]["data"]);
    ticket.token = token;
    let ann = connect(&mut world, ticket, AES.0, AES.1);
    for left in ["removed", "gone already"] {
        world.send(chat, &info(5, json!({"session_id": ann.ticket.session_id})));
        let answer = world.take(chat);
        assert_eq!(answer["d"]["type"], 5, "it waits for the answer: {left}");
        assert_eq!(answer["d"]["data"]["session_id"], ann.ticket.session_id);
        let names = answer["d"]["data"].get("user_id").is_some();
        assert_eq!(names, left == "removed", "nobody knows any more whose it was");
    }
    assert_eq!(world.closed(ann.peer), Some(Some(4014)));
    world.send(chat, &info(2, json!({"channel_id": CHANNEL.to_string()})));
    assert_eq!(world.take(chat)["d"]["type"], 2);
}

// Clauses: L5.7, L5.8
#[test]
fn an_undecided_document_client_is_named_after_five_seconds_and_answered_once_decided() {
    let mut world = World::new();
    let (chat, _) = identify(&mut world);
    world.send(chat, &info(0, json!({"channel_id": "77"})));
    let undecided = |world: &World| {
        world.events.iter().any(|event| matches!(event, Event::ControlUndecided { .. }))
    };
    world.advance(Duration::from_millis(4_999));
    assert!(world.take_all(chat).is_empty() && !undecided(&world));
    world.advance(Duration::from_millis(1));
    assert!(undecided(&world));
    world.send(chat, &info(6, json!({"user_id": "7", "channel_id": "77"})));
    assert!(world.take_all(chat).is_empty(), "6 may mean leave or update: refused");
    assert_eq!(world.closed(chat), None);
    world.send(chat, &info(3, json!({"user_id": "7", "channel_id": "77"})));
    let told = world.take_all(chat);
    let kinds: Vec<_> = told.iter().map(|m| (m["d"]["type"].as_u64(), m["s"].as_u64())).collect();
    assert_eq!(kinds, [(Some(1), Some(1)), (Some(4), Some(2))], "numbered when they are sent");
}

// Clauses: L5.6
#[test]
fn the_revision_outlives_a_resume() {
    let mut world = World::new();
    let litecord = Litecord::new(&mut world);
    litecord.join(&mut world, 1001, CHANNEL);
    litecord.take_all(&mut world);
    world.cut(litecord.chat);
    world.advance(Duration::from_secs(61));
    let chat = world.connect(Plane::Control, "/");
    let nonce = world.take(chat)["d"]["nonce"].as_str().expect("a nonce").to_owned();
    world.send(chat, &json!({"op": 2, "d": {"token": hmac_token(SECRET, &nonce), "seq": 1}}));
    let told = world.take_all(chat);
    assert_eq!(told[0]["d"]["type"], 6, "VST_LEAVE: its voice client never came");
    assert_eq!(told[1]["d"]["resumed"], true);
}

// Clauses: L2.4, L2.8
#[test]
fn a_resume_at_a_voice_server_that_restarted_is_never_called_one() {
    let revisions = [Revision::Auto, Revision::Litecord, Revision::Document];
    for (revision, seq) in
        revisions.into_iter().flat_map(|revision| [(revision, 0), (revision, 17)])
    {
        let mut world = speaking(revision);
        let chat = world.connect(Plane::Control, "/");
        let nonce = world.take(chat)["d"]["nonce"].as_str().expect("a nonce").to_owned();
        let token = hmac_token(SECRET, &nonce);
        let resume =
            json!({"op": 2, "d": {"token": token, "seq": seq, "session": "of another life"}});
        world.send(chat, &resume);
        let told = world.take_all(chat);
        assert_eq!(told.len(), 1, "there is no state: {told:?}");
        assert_eq!(told[0]["d"]["resumed"], false, "{revision:?}");
        let kind = if revision == Revision::Document { 3 } else { 4 };
        let create = json!({"user_id": "1001", "channel_id": CHANNEL.to_string()});
        world.send(chat, &info(kind, create));
        assert_eq!(world.take(chat)["s"], 1, "numbers begin anew: {revision:?}");
    }
}

// Clauses: L1.8
#[test]
fn a_plain_token_is_refused_where_the_hmac_is_insisted_on() {
    let mut world = World::with(|config| {
        config.control_clients[0].auth = lvsp_core::config::ControlAuth::Hmac;
    });
    let chat = world.connect(Plane::Control, "/");
    world.take(chat);
    world.send(chat, &json!({"op": 1, "d": {"token": SECRET}}));
    assert_eq!(world.closed(chat), Some(Some(4001)));
    identify(&mut world);
}

// Clauses: L1.10, L7.2
#[test]
fn refusals_are_events_once_a_kind_and_counted_always() {
    let mut world = speaking(Revision::Litecord);
    let litecord = Litecord::new(&mut world);
    for _ in 0..5 {
        world.send(litecord.chat, &info(4, json!({"user_id": "7"})));
        world.send(litecord.chat, &info(9, json!({})));
    }
    let told = world.events.iter().filter(|event| matches!(event, Event::ControlRefused { .. }));
    assert_eq!(told.count(), 2);
    assert_eq!(world.server.refused_orders(lvsp_core::ids::ControlId(0)), 10);
    assert!(litecord.take_all(&mut world).is_empty(), "it did not ask to be told");
    assert_eq!(world.closed(litecord.chat), None);
}

#[test]
fn a_chat_server_that_closes_at_each_assignment_loses_no_call() {
    let mut world = World::with(|config| {
        config.control_clients[0].revision = Revision::Litecord;
        config.control_clients[0].litecord_assign = true;
    });
    let mut spoken = 0;
    for channel in ["77", "78", "79"] {
        let (chat, _) = identify(&mut world);
        world.send(chat, &info(0, json!({"channel_id": channel})));
        let assigned = world.take(chat);
        assert_eq!(assigned["d"]["type"], 1, "CHANNEL_ASSIGN");
        // Its code calls a dict, and its connection ends.
        world.cut(chat);
        world.advance(Duration::from_secs(10));
        spoken += 1;
        let census = world.server.census();
        assert_eq!((census.channels, census.connections), (spoken, 0), "what it made stays");
    }
    world.advance(Duration::from_secs(299));
    assert_eq!(world.server.census().channels, 3);
}
