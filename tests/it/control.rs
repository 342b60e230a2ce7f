//! LVSP: what a chat server may say, what it is told, how its link is lost and found.

use std::time::Duration;

use lvsp_core::output::{Plane, Shutdown};
use serde_json::{Value, json};

use crate::lifecycle::AES;
use crate::people::{
    CHANNEL, OTHER_CHANNEL, chat_server, destruction, gateway, identify, join, place, removal,
    request, restatement,
};
use crate::world::{PeerId, SECRET, World};

fn info(kind: u8, info: &Value) -> Value {
    json!({"op": 6, "d": {"type": kind, "info": info}})
}

fn resume_control(world: &mut World, seq: u64) -> PeerId {
    let chat = world.connect(Plane::Control, "/");
    assert_eq!(world.take(chat)["op"], 0);
    world.send(chat, &json!({"op": 2, "d": {"token": SECRET, "seq": seq}}));
    chat
}

// Clauses: L1.1, L1.12
#[test]
fn hello_identify_ready_heartbeat() {
    let mut world = World::new();
    let chat = world.connect(Plane::Control, "/anything");
    let hello = world.take(chat);
    assert_eq!(hello["op"], 0);
    assert_eq!(hello["d"]["heartbeat_interval"], 13_750);
    assert_eq!(hello["d"]["nonce"].as_str().expect("a string").len(), 10);
    world.send(chat, &json!({"op": 1, "d": {"token": SECRET}}));
    let ready = world.take(chat);
    assert_eq!((&ready["op"], &ready["d"]["resumed"]), (&json!(3), &json!(false)));
    assert_eq!(ready["d"]["health"], 1.0);
    world.send(chat, &json!({"op": 4, "d": {"s": 0}}));
    let ack = world.take(chat);
    assert_eq!((&ack["op"], &ack["d"]["s"]), (&json!(5), &json!(0)));
}

// Clauses: L1.8
#[test]
fn the_hmac_of_the_nonce_is_a_token_as_well_and_only_once() {
    let mut world = World::new();
    let chat = world.connect(Plane::Control, "/");
    let nonce = world.take(chat)["d"]["nonce"].as_str().expect("a string").to_owned();
    let token = lvsp_core::crypto::auth::hmac_token(SECRET, &nonce);
    world.send(chat, &json!({"op": 1, "d": {"token": token}}));
    assert_eq!(world.take(chat)["op"], 3);
    world.cut(chat);
    let replayed = world.connect(Plane::Control, "/");
    world.take(replayed);
    world.send(replayed, &json!({"op": 1, "d": {"token": token}}));
    assert_eq!(world.closed(replayed), Some(Some(4001)));
}

// Clauses: L1.3, L1.4, L1.9
#[test]
fn mistakes_before_ready_close_with_the_code_of_the_draft() {
    let cases = [
        ("wrong token", r#"{"op":1,"d":{"token":"wrong"}}"#, 4001),
        ("wrong token to resume", r#"{"op":2,"d":{"token":"wrong","seq":0}}"#, 4001),
        ("no JSON", "hello", 4002),
        ("an array", "[1,{}]", 4002),
        ("no op", r#"{"d":{}}"#, 4002),
        ("no token", r#"{"op":1,"d":{}}"#, 4000),
        ("an order", r#"{"op":7,"d":{"user_id":"1","channel_id":"2"}}"#, 4000),
    ];
    for (name, text, code) in cases {
        let mut world = World::new();
        let chat = world.connect(Plane::Control, "/");
        world.take(chat);
        world.send_text(chat, text);
        assert_eq!(world.closed(chat), Some(Some(code)), "{name}");
    }
}

// Clauses: L1.5, L7.1
#[test]
fn mistakes_after_ready_are_refused_alone_and_name_the_field() {
    let mut world = World::new();
    let chat = chat_server(&mut world);
    for (text, named) in [
        (r#"{"op":99,"d":{}}"#, "99"),
        (r#"{"op":6,"d":{"type":5,"info":{}}}"#, "5"),
        (r#"{"op":7,"d":{"user_id":"1"}}"#, "channel_id"),
        (r#"{"op":7,"d":{"user_id":"0","channel_id":"2"}}"#, "user_id"),
        (r#"{"op":6,"d":{"type":1,"info":{"user_id":"9","mute":true}}}"#, "voice state"),
    ] {
        world.send_text(chat, text);
        assert_eq!(world.closed(chat), None, "{text}");
        let refusal = world.take(chat).to_string();
        assert!(refusal.contains("error") && refusal.contains(named), "{text}: {refusal}");
    }
    world.send_text(chat, "{");
    assert_eq!(world.closed(chat), Some(Some(4002)), "only text that is no JSON closes");
}

// Clauses: L1.9
#[test]
fn an_address_that_fails_five_times_is_refused_for_a_minute() {
    let mut world = World::new();
    let stranger = "198.51.100.20:9".parse().expect("an address");
    for _ in 0..5 {
        let chat = world.connect(Plane::Control, "/");
        world.send(chat, &json!({"op": 1, "d": {"token": "guess"}}));
        assert_eq!(world.closed(chat), Some(Some(4001)));
    }
    let now = world.now;
    assert!(world.server.handle_accept(now, Plane::Control, stranger).is_err());
    world.advance(Duration::from_secs(61));
    let now = world.now;
    assert!(world.server.handle_accept(now, Plane::Control, stranger).is_ok());
}

// Clauses: L3.2, L4.1, L4.2
#[test]
fn channels_are_created_updated_and_destroyed() {
    let mut world = World::new();
    let chat = chat_server(&mut world);
    let channel = json!({"id": CHANNEL.to_string(), "bitrate": 96_000});
    world.send(chat, &info(0, &channel));
    let answer = world.take(chat);
    assert_eq!((&answer["s"], &answer["d"]["type"]), (&json!(1), &json!(0)));
    assert_eq!(answer["d"]["info"]["bitrate"], 96_000);
    world.send(chat, &info(0, &channel));
    assert!(world.take_all(chat).is_empty(), "a statement that changes nothing is not answered");
    let ann = join(&mut world, chat, 1001, CHANNEL, AES);
    world.take_all(chat);
    world.send(chat, &destruction(CHANNEL));
    assert_eq!(world.closed(ann.peer), Some(Some(4022)));
    let told = world.take_all(chat);
    assert_eq!(told[0]["d"]["info"]["channel_id"], Value::Null);
    assert_eq!(told[1]["d"]["info"]["deleted"], true);
    let late = gateway(&mut world, 8);
    world.send(late, &identify(&ann.ticket));
    assert_eq!(world.closed(late), Some(Some(4022)), "a tombstone answers, nobody waits");
    let late = gateway(&mut world, 8);
    world.send(late, &crate::people::resume(&ann.ticket, None));
    assert_eq!(world.closed(late), Some(Some(4006)));
    world.advance(Duration::from_secs(61));
    let late = gateway(&mut world, 8);
    world.send(late, &identify(&ann.ticket));
    assert_eq!(world.closed(late), Some(Some(4004)), "a minute later nobody remembers");
    join(&mut world, chat, 1001, CHANNEL, AES);
}

// Clauses: L3.2, L3.3, L4.3, L4.9
#[test]
fn a_join_into_an_unknown_channel_creates_it_first() {
    let mut world = World::new();
    let chat = chat_server(&mut world);
    let request = json!({"user_id": "1001", "channel_id": CHANNEL.to_string()});
    world.send(chat, &json!({"op": 7, "d": request}));
    let (channel, state) = (world.take(chat), world.take(chat));
    assert_eq!(
        (&channel["d"]["type"], &channel["d"]["info"]["bitrate"]),
        (&json!(0), &json!(64_000))
    );
    let state = &state["d"]["info"];
    for key in ["deaf", "mute", "self_deaf", "self_mute", "suppress"] {
        assert_eq!(state[key], false, "{key}");
    }
    assert_eq!(state["endpoint"], "voice.example.org:443");
    assert_eq!(state["session_id"].as_str().expect("a string").len(), 32);
    assert_eq!(state["token"].as_str().expect("a string").len(), 64);
    // Saying it again changes nothing and is answered all the same.
    world.send(chat, &json!({"op": 7, "d": request}));
    assert_eq!(world.take(chat)["d"]["info"], *state);
    assert!(world.take_all(chat).is_empty());
}

// Clauses: L4.6
#[test]
fn leaving_twice_is_leaving_once() {
    let mut world = World::new();
    let chat = chat_server(&mut world);
    let ticket = place(&mut world, chat, 1001, CHANNEL);
    let by_session = info(1, &json!({"session_id": ticket.session_id}));
    for order in [removal(1001), by_session] {
        world.send(chat, &restatement(&ticket, CHANNEL));
        world.take_all(chat);
        world.send(chat, &order);
        let gone = world.take(chat)["d"]["info"].clone();
        assert_eq!((&gone["user_id"], &gone["channel_id"]), (&json!("1001"), &json!(null)));
        world.send(chat, &order);
        assert!(world.take_all(chat).is_empty(), "nothing changed, and nothing was wrong");
    }
}

// Clauses: L4.7
#[test]
fn a_client_that_never_comes_is_reported() {
    let mut world = World::new();
    let chat = chat_server(&mut world);
    place(&mut world, chat, 1001, CHANNEL);
    world.advance(Duration::from_secs(59));
    assert!(world.take_all(chat).is_empty());
    world.advance(Duration::from_secs(1));
    let gone = world.take(chat);
    assert_eq!(gone["d"]["info"]["reason"], "never_connected");
}

// Clauses: L2.1, L2.3
#[test]
fn a_lost_link_resumes_with_what_was_missed_in_order_and_then_ready() {
    let mut world = World::new();
    let chat = chat_server(&mut world);
    for user in [1001, 1002, 1003] {
        place(&mut world, chat, user, CHANNEL);
    }
    world.cut(chat);
    world.advance(Duration::from_secs(61));
    let chat = resume_control(&mut world, 4);
    let told = world.take_all(chat);
    let numbers: Vec<_> = told.iter().filter_map(|message| message["s"].as_u64()).collect();
    assert_eq!(numbers, [5, 6, 7], "with the original numbers");
    assert!(told[..3].iter().all(|message| message["d"]["info"]["reason"] == "never_connected"));
    assert_eq!((&told[3]["op"], &told[3]["d"]["resumed"]), (&json!(3), &json!(true)));
    assert_eq!(told.len(), 4);
}

// Clauses: L2.4
#[test]
fn a_resume_that_is_not_possible_gets_the_whole_state() {
    let mut world = World::new();
    let chat = chat_server(&mut world);
    let mut ann = join(&mut world, chat, 1001, CHANNEL, AES);
    let bob = join(&mut world, chat, 1002, CHANNEL, AES);
    place(&mut world, chat, 1003, OTHER_CHANNEL);
    world.cut(chat);
    let chat = resume_control(&mut world, 9_999);
    let told = world.take_all(chat);
    let kinds: Vec<_> = told.iter().map(|m| m["d"]["type"].as_u64()).collect();
    assert_eq!(kinds, [Some(0), Some(0), Some(1), Some(1), Some(1), None]);
    assert!(told[2]["d"]["info"]["token"].is_string(), "dumps hold the tokens");
    assert_eq!(told[5]["d"]["resumed"], false);
    assert_eq!(bob.hear(&ann.speak(&mut world, b"not touched")).len(), 1);
}

// Clauses: L6.1, L6.2
#[test]
fn after_a_new_identify_what_is_stated_again_lives_and_the_rest_goes() {
    let mut world = World::new();
    let chat = chat_server(&mut world);
    let mut ann = join(&mut world, chat, 1001, CHANNEL, AES);
    let bob = join(&mut world, chat, 1002, CHANNEL, AES);
    let cat = join(&mut world, chat, 1003, CHANNEL, AES);
    world.cut(chat);
    let chat = chat_server(&mut world);
    for voice in [&ann, &bob] {
        world.send(chat, &restatement(&voice.ticket, CHANNEL));
    }
    for _ in 0..31 {
        for voice in [&ann, &bob, &cat] {
            world.send(voice.peer, &json!({"op": 3, "d": 1}));
        }
        assert_eq!(bob.hear(&ann.speak(&mut world, b"without a gap")).len(), 1);
        world.advance(Duration::from_secs(1));
    }
    assert_eq!(world.closed(cat.peer), Some(Some(4015)));
    assert_eq!((world.closed(ann.peer), world.closed(bob.peer)), (None, None));
    let back = gateway(&mut world, 8);
    world.send(back, &crate::people::resume(&cat.ticket, None));
    assert_eq!(world.closed(back), Some(Some(4006)), "so that its library asks to join again");
}

// Clauses: L6.2
#[test]
fn restatements_without_end_keep_nobody_else_for_more_than_five_minutes() {
    let mut world = World::new();
    let chat = chat_server(&mut world);
    let ann = join(&mut world, chat, 1001, CHANNEL, AES);
    let cat = join(&mut world, chat, 1003, CHANNEL, AES);
    world.cut(chat);
    let chat = chat_server(&mut world);
    let again = request(1001, CHANNEL);
    for second in 0..300u32 {
        assert_eq!(world.closed(cat.peer), None, "after {second} s");
        if second % 20 == 0 {
            world.send(chat, &again);
        }
        for voice in [&ann, &cat] {
            world.send(voice.peer, &json!({"op": 3, "d": 1}));
        }
        world.advance(Duration::from_secs(1));
    }
    assert_eq!(world.closed(cat.peer), Some(Some(4015)));
    assert_eq!(world.closed(ann.peer), None);
}

// Clauses: L1.11
#[test]
fn a_second_connection_waits_until_the_first_has_shown_that_it_lives() {
    // It lives: it answers the Ping, and the newcomer is told.
    let mut world = World::new();
    let first = chat_server(&mut world);
    let second = world.connect(Plane::Control, "/");
    world.take(second);
    world.send(second, &json!({"op": 1, "d": {"token": SECRET}}));
    assert_eq!(world.closed(second), Some(Some(4000)));
    assert_eq!(world.closed(first), None);

    // So is one that resumes what is not this session.
    let mut world = World::new();
    let first = chat_server(&mut world);
    let resume = json!({"op": 2, "d": {"token": SECRET, "seq": 0, "session": "of somebody else"}});
    let second = world.connect(Plane::Control, "/");
    world.take(second);
    world.send(second, &resume);
    assert_eq!((world.closed(first), world.closed(second)), (None, Some(Some(4000))));
    world.set_reading(first, false);
    let second = world.connect(Plane::Control, "/");
    world.take(second);
    world.send(second, &resume);
    world.advance(Duration::from_secs(5));
    let ready = world.take(second);
    assert_eq!((&ready["op"], &ready["d"]["resumed"]), (&json!(3), &json!(false)));
    assert_eq!(world.ended(first), Some(Shutdown::Abrupt));

    // It does not read: five seconds later the newcomer takes over.
    let mut world = World::new();
    let first = chat_server(&mut world);
    world.set_reading(first, false);
    let second = world.connect(Plane::Control, "/");
    world.take(second);
    world.send(second, &json!({"op": 1, "d": {"token": SECRET}}));
    world.advance(Duration::from_millis(4_999));
    assert!(world.take_all(second).is_empty());
    world.advance(Duration::from_millis(1));
    assert_eq!(world.take(second)["op"], 3);
    assert_eq!(world.ended(first), Some(Shutdown::Abrupt));
}

// Clauses: L1.13
#[test]
fn a_missing_heartbeat_never_closes_a_chat_server_that_answers_pings() {
    let mut world = World::new();
    let chat = chat_server(&mut world);
    world.advance(Duration::from_secs(600));
    assert_eq!(world.closed(chat), None);
    world.set_reading(chat, false);
    world.advance(Duration::from_secs(61));
    assert!(world.ended(chat).is_some(), "not one byte for a minute");
}
