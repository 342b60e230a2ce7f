//! The control link at odd moments: taken over, resumed, lost and slow in every state.

use std::time::Duration;

use lvsp_core::command::Command;
use lvsp_core::crypto::auth::hmac_token;
use lvsp_core::ids::{ChannelId, ControlId, UserId};
use lvsp_core::limits::Millis;
use lvsp_core::output::{Event, Plane};
use lvsp_core::wire::lvsp::VoiceFlagsUpdate;
use serde_json::{Value, json};

use crate::lifecycle::AES;
use crate::people::{CHANNEL, chat_server, destruction, join, place, removal, request};
use crate::world::{PeerId, SECRET, World};

fn info(kind: u8, data: &Value) -> Value {
    json!({"op": 6, "d": {"type": kind, "data": data}})
}

/// Connects; the nonce of its HELLO.
fn dial(world: &mut World) -> (PeerId, String) {
    let chat = world.connect(Plane::Control, "/");
    let hello = world.take(chat);
    (chat, hello["d"]["nonce"].as_str().expect("a nonce").to_owned())
}

/// Identifies or resumes with the HMAC of the nonce, which decides no revision.
fn begin(world: &mut World, op: u8, more: &Value) -> PeerId {
    let (chat, nonce) = dial(world);
    let mut d = json!({"token": hmac_token(SECRET, &nonce)});
    d.as_object_mut().expect("an object").extend(more.as_object().expect("keys").clone());
    world.send(chat, &json!({"op": op, "d": d}));
    chat
}

/// Places users as an application in the same process does.
fn populate(world: &mut World, users: std::ops::RangeInclusive<u64>) {
    for user in users {
        let command = Command::Place {
            user: UserId::new(user).expect("not zero"),
            channel: ChannelId::new(CHANNEL).expect("not zero"),
            guild: None,
            session_id: None,
            token: None,
            flags: VoiceFlagsUpdate::default(),
        };
        world.server.handle_command(world.now, ControlId(0), command).expect("there is room");
    }
    world.pump();
}

fn numbers(told: &[Value]) -> Vec<u64> {
    told.iter().filter_map(|message| message["s"].as_u64()).collect()
}

// --- a session whose revision is not known ---

// Clauses: L2.1, L2.7, L5.7
#[test]
fn an_undecided_chat_server_is_told_all_that_it_asked_for_however_much_that_was() {
    for lost in [false, true] {
        let mut world = World::with(|config| config.limits.control_news_bytes = 16_384);
        let mut chat = begin(&mut world, 1, &json!({}));
        world.take(chat);
        for channel in 1..=100 {
            world.send(chat, &info(0, &json!({"channel_id": channel.to_string()})));
        }
        assert_eq!(world.closed(chat), None, "it had nothing to read");
        if lost {
            world.cut(chat);
            chat = begin(&mut world, 2, &json!({"seq": 0}));
            let ready = world.take(chat);
            assert_eq!((&ready["op"], &ready["d"]["resumed"]), (&json!(3), &json!(false)));
        }
        assert!(world.take_all(chat).is_empty(), "it cannot be said yet");
        world.send(chat, &info(3, &json!({"user_id": "7", "channel_id": "100"})));
        let told = world.take_all(chat);
        let channels: Vec<_> = told
            .iter()
            .filter(|message| message["d"]["type"] == 1)
            .map(|message| message["d"]["data"]["channel_id"].as_str().expect("an id").to_owned())
            .collect();
        let all: Vec<_> = (1..=100).map(|channel: u64| channel.to_string()).collect();
        assert_eq!(channels, all, "CHANNEL_ASSIGN for each");
        assert_eq!(told.last().expect("the answer")["d"]["type"], 4, "VOICE_STATE_DONE");
        assert!(told.iter().all(|message| message["op"] == 6), "one READY is enough");
        assert!(numbers(&told).into_iter().eq(1..=told.len() as u64), "from 1 on, without a gap");
    }
}

// Clauses: L2.4
#[test]
fn the_state_that_a_resume_could_not_say_is_told_once_the_revision_is_known() {
    let mut world = World::new();
    populate(&mut world, 1..=3);
    let chat = begin(&mut world, 2, &json!({"seq": 9}));
    assert_eq!(world.take(chat)["d"]["resumed"], false);
    assert!(world.take_all(chat).is_empty());
    world.send(chat, &info(3, &json!({"user_id": "4", "channel_id": CHANNEL.to_string()})));
    let told = world.take_all(chat);
    let kinds: Vec<_> = told.iter().map(|message| message["d"]["type"].as_u64()).collect();
    assert_eq!(kinds, [1, 4, 4, 4, 4].map(Some), "the channel, who was there, who came");
    // A link that is lost now goes on behind them.
    world.cut(chat);
    let chat = begin(&mut world, 2, &json!({"seq": 5}));
    let told = world.take_all(chat);
    assert_eq!((told.len(), &told[0]["d"]["resumed"]), (1, &json!(true)));
}

// Clauses: L5.7, L7.1
#[test]
fn what_is_refused_while_the_revision_is_unknown_is_told_at_once() {
    let mut world = World::new();
    let chat = begin(&mut world, 1, &json!({"features": ["errors"]}));
    world.take(chat);
    world.send(chat, &info(0, &json!({"channel_id": "77"})));
    world.send(chat, &info(6, &json!({"user_id": "7", "channel_id": "77"})));
    let told = world.take_all(chat);
    assert_eq!(told.len(), 1, "the channel waits: {told:?}");
    let message = told[0]["d"]["error"]["message"].as_str().expect("an error");
    assert!(message.contains("set the revision of this control client"), "{message}");
    world.send(chat, &info(3, &json!({"user_id": "7", "channel_id": "77"})));
    let told = world.take_all(chat);
    let kinds: Vec<_> = told.iter().map(|message| message["d"]["type"].as_u64()).collect();
    assert_eq!((kinds, numbers(&told)), (vec![Some(1), Some(4)], vec![2, 3]));
}

// Clauses: L5.8
#[test]
fn an_undecided_chat_server_that_resumes_is_still_waiting() {
    let mut world = World::new();
    let chat = begin(&mut world, 1, &json!({}));
    world.send(chat, &info(0, &json!({"channel_id": "77"})));
    world.advance(Duration::from_secs(3));
    world.cut(chat);
    let _again = begin(&mut world, 2, &json!({"seq": 0}));
    world.advance(Duration::from_secs(5));
    assert!(world.events.iter().any(|event| matches!(event, Event::ControlUndecided { .. })));
}

// --- who has the session ---

/// The oldest connection does not answer; meanwhile a third one comes and takes the session.
// Clauses: L1.11
#[test]
fn a_newcomer_that_waits_does_not_replace_whoever_came_after_it() {
    for ended in [false, true] {
        let mut world = World::new();
        let first = chat_server(&mut world);
        world.set_reading(first, false);
        let (second, _) = dial(&mut world);
        world.send(second, &json!({"op": 1, "d": {"token": SECRET}}));
        world.advance(Duration::from_secs(1));
        let third = if ended {
            // The first is known to be gone: the second has waited long enough.
            world.cut(first);
            world.advance(Duration::ZERO);
            assert_eq!(world.take(second)["op"], 3);
            second
        } else {
            let (third, _) = dial(&mut world);
            world.send(third, &json!({"op": 2, "d": {"token": SECRET, "seq": 0}}));
            assert_eq!(world.take(third)["op"], 3);
            assert_eq!(world.closed(second), Some(Some(4000)));
            third
        };
        world.set_reading(third, false);
        world.advance(Duration::from_secs(8));
        world.set_reading(third, true);
        assert_eq!(world.closed(third), None, "nobody asked it whether it lives");
        place(&mut world, third, 1001, CHANNEL);
    }
}

// Clauses: L1.4, L1.11
#[test]
fn what_closes_a_control_connection_says_why() {
    let said = |world: &mut World, peer: PeerId, message: &Value| {
        world.set_reading(peer, false);
        world.send(peer, message);
        String::from_utf8_lossy(&world.unread(peer)).into_owned()
    };
    let mut world = World::new();
    let (hasty, _) = dial(&mut world);
    let why = said(&mut world, hasty, &json!({"op": 1, "d": {"features": []}}));
    assert!(why.contains("d.token is missing"), "{why:?}");
    let (wrong, _) = dial(&mut world);
    let order = json!({"op": 2, "d": {"token": "a guess at the secret", "seq": "7"}});
    let why = said(&mut world, wrong, &order);
    assert!(why.contains("d.seq must be an integer") && !why.contains("guess"), "{why:?}");
    chat_server(&mut world);
    let (second, _) = dial(&mut world);
    let why = said(&mut world, second, &json!({"op": 1, "d": {"token": SECRET}}));
    assert!(why.contains("client default is already connected from 198.51.100.20:"), "{why:?}");
}

// --- what is told over a slow or broken link ---

// Clauses: L2.6
#[test]
fn calls_do_not_end_while_a_chat_server_that_came_back_reads_what_it_missed() {
    let mut world = World::with(|config| {
        config.control_grace = Duration::from_secs(10);
        config.limits.control_dump_bytes = 4_096;
        config.limits.reservation_ms = Millis(3_600_000);
    });
    let chat = chat_server(&mut world);
    populate(&mut world, 1..=150);
    let ann = join(&mut world, chat, 1001, CHANNEL, AES);
    world.cut(chat);
    world.advance(Duration::from_secs(9));
    let (chat, _) = dial(&mut world);
    world.allow(chat, 1_000);
    world.send(chat, &json!({"op": 2, "d": {"token": SECRET, "seq": 9_999}}));
    for _ in 0..40 {
        world.allow(chat, 800);
        world.send(ann.peer, &json!({"op": 3, "d": 1}));
        world.advance(Duration::from_secs(1));
    }
    assert!(world.take_all(chat).iter().all(|message| message["op"] == 6), "it reads still");
    assert_eq!((world.closed(chat), world.closed(ann.peer)), (None, None));
    assert_eq!(world.server.census().voice_states, 151);
}

// Clauses: L2.5, L6.2
#[test]
fn a_channel_that_is_not_stated_again_is_told_as_gone() {
    let mut world = World::new();
    let chat = chat_server(&mut world);
    place(&mut world, chat, 1001, CHANNEL);
    world.send(chat, &removal(1001));
    world.cut(chat);
    let chat = chat_server(&mut world);
    world.cut(chat);
    let (chat, _) = dial(&mut world);
    world.send(chat, &json!({"op": 2, "d": {"token": SECRET, "seq": 9_999}}));
    assert_eq!(world.take(chat)["d"]["info"]["id"], CHANNEL.to_string(), "it is there still");
    world.take(chat);
    world.advance(Duration::from_secs(30));
    let told = world.take_all(chat);
    assert_eq!(told.len(), 1);
    let gone = json!({"id": CHANNEL.to_string(), "deleted": true});
    assert_eq!(told[0]["d"]["info"], gone);
    assert_eq!(world.server.census().channels, 0);
}

// Clauses: L2.1, L2.8
#[test]
fn numbers_go_on_behind_a_state_that_is_empty() {
    let mut world = World::new();
    let chat = chat_server(&mut world);
    place(&mut world, chat, 1001, CHANNEL);
    world.send(chat, &destruction(CHANNEL));
    world.take_all(chat);
    world.cut(chat);
    let (chat, _) = dial(&mut world);
    world.send(chat, &json!({"op": 2, "d": {"token": SECRET, "seq": 9_999}}));
    assert_eq!(world.take(chat)["d"]["resumed"], false);
    world.send(chat, &request(1001, CHANNEL));
    assert_eq!(numbers(&world.take_all(chat)), [5, 6], "the session is the same");
}

/// A dump is not kept: whoever loses its link during one gets it from the beginning.
// Clauses: L2.4
#[test]
fn a_link_lost_during_a_state_dump_starts_it_again() {
    let mut world = World::with(|config| config.limits.control_dump_bytes = 4_096);
    populate(&mut world, 1..=60);
    let (chat, _) = dial(&mut world);
    world.allow(chat, 2_000);
    world.send(chat, &json!({"op": 2, "d": {"token": SECRET, "seq": 9_999}}));
    // It has everything that was written so far.
    let waiting = String::from_utf8_lossy(&world.unread(chat)).into_owned();
    let newest = waiting.rsplit(r#""s":"#).next().and_then(|text| text.split('}').next());
    let seq: u64 = newest.expect("a number").parse().expect("digits");
    assert!(seq < 60, "the dump goes on");
    world.cut(chat);
    let (chat, _) = dial(&mut world);
    world.send(chat, &json!({"op": 2, "d": {"token": SECRET, "seq": seq}}));
    let told = world.take_all(chat);
    let ready = told.last().expect("READY");
    assert_eq!((told.len(), &ready["d"]["resumed"]), (1 + 60 + 1, &json!(false)));
    assert!(numbers(&told).windows(2).all(|pair| pair[0] + 1 == pair[1]));
}
