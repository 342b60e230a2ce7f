//! Rules of the protocol documents that no scenario elsewhere shows by the way.

use std::time::Duration;

use lvsp_core::output::Plane;
use serde_json::{Value, json};

use crate::lifecycle::AES;
use crate::people::{
    CHANNEL, chat_server, connect, gateway, identify, join, place, restatement, resume, ticket,
};
use crate::world::{SECRET, World};

// Clauses: L1.2
#[test]
fn a_chat_server_that_does_not_identify_is_closed_after_ten_seconds() {
    let mut world = World::new();
    let chat = world.connect(Plane::Control, "/");
    world.advance(Duration::from_millis(9_999));
    assert_eq!(world.closed(chat), None);
    world.advance(Duration::from_millis(1));
    assert_eq!(world.closed(chat), Some(Some(4000)));
}

// Clauses: L1.3
#[test]
fn what_is_no_message_closes_a_control_connection_at_any_time() {
    let deep = format!(r#"{{"op":4,"d":{}1{}}}"#, "[".repeat(20), "]".repeat(20));
    for text in ["nothing", "[]", r#"{"op":4}"#, r#"{"op":4,"op":4,"d":{"s":0}}"#, deep.as_str()] {
        for identified in [false, true] {
            let mut world = World::new();
            let chat = if identified {
                chat_server(&mut world)
            } else {
                world.connect(Plane::Control, "/")
            };
            world.send_text(chat, text);
            assert_eq!(world.closed(chat), Some(Some(4002)), "{text}");
        }
    }
    let mut world = World::new();
    let chat = chat_server(&mut world);
    world.send_text(chat, r#"{"op":4,"d":{"s":0,"unheard of":[1]},"more":{}}"#);
    assert_eq!(world.take(chat)["op"], 5, "unknown keys are ignored");
}

// Clauses: L1.6, V1.5
#[test]
fn messages_are_short_before_identification_and_longer_after() {
    let padded = |bytes: usize| json!({"op": 4, "d": {"s": 0}, "pad": "x".repeat(bytes)});
    for (plane, before, after) in
        [(Plane::Control, 4_096, 262_144), (Plane::Gateway, 8_192, 65_536)]
    {
        let mut world = World::new();
        let chat = chat_server(&mut world);
        let stranger = world.connect(plane, "/?v=8");
        world.send(stranger, &padded(before));
        assert_eq!(world.closed(stranger), Some(Some(1009)), "{plane:?}");
        let known = match plane {
            Plane::Control => chat,
            Plane::Gateway => join(&mut world, chat, 1001, CHANNEL, AES).peer,
        };
        let mut beat = padded(after - 100);
        if plane == Plane::Gateway {
            beat["op"] = json!(3);
            beat["d"] = json!({"t": 1});
        }
        world.take_all(known);
        world.send(known, &beat);
        assert_eq!(world.closed(known), None, "{plane:?}");
        assert!(!world.take_all(known).is_empty(), "it is answered");
        world.send(known, &padded(after));
        assert_eq!(world.closed(known), Some(Some(1009)), "{plane:?}");
    }
}

// Clauses: L1.7
#[test]
fn ids_may_be_integers_and_are_never_zero() {
    let mut world = World::new();
    let chat = chat_server(&mut world);
    world.send(chat, &json!({"op": 7, "d": {"user_id": 1001, "channel_id": CHANNEL}}));
    let told = world.take_all(chat);
    assert_eq!(told[1]["d"]["info"]["channel_id"], CHANNEL.to_string(), "told as strings");
    for bad in [json!("0"), json!(0), json!(""), json!("12345678901234567890123"), json!(1.5)] {
        world.send(chat, &json!({"op": 7, "d": {"user_id": bad, "channel_id": CHANNEL}}));
        let refusal = world.take(chat);
        assert_eq!(refusal["d"]["error"]["field"], "d.user_id", "{refusal}");
    }
}

// Clauses: L1.10, L7.1, L7.2
#[test]
fn refusals_are_told_to_those_who_asked_for_them() {
    for asks in [false, true] {
        let mut world = World::new();
        let chat = world.connect(Plane::Control, "/");
        world.take(chat);
        let features = if asks { json!(["errors", "unheard of"]) } else { json!([]) };
        world.send(chat, &json!({"op": 1, "d": {"token": SECRET, "features": features}}));
        world.take(chat);
        world.send(chat, &json!({"op": 7, "d": {"user_id": "7"}}));
        let told = world.take_all(chat);
        assert_eq!(told.len(), usize::from(asks));
        if asks {
            let error = json!({"type": 1, "error": {"message": "d.channel_id is missing",
                "field": "d.channel_id"}});
            assert_eq!(told[0], json!({"op": 6, "d": error, "s": 1}));
        }
        assert_eq!(world.server.refused_orders(lvsp_core::ids::ControlId(0)), 1);
    }
}

// Clauses: L2.2
#[test]
fn what_a_heartbeat_acknowledged_is_not_kept() {
    let mut world = World::new();
    let chat = chat_server(&mut world);
    for user in 1..=5 {
        place(&mut world, chat, user, CHANNEL);
    }
    world.send(chat, &json!({"op": 4, "d": {"s": 3}}));
    world.cut(chat);
    // Behind 3 all is here; behind 2 it is not any more.
    for (seq, resumed) in [(3, true), (2, false)] {
        let chat = world.connect(Plane::Control, "/");
        world.send(chat, &json!({"op": 2, "d": {"token": SECRET, "seq": seq}}));
        let told = world.take_all(chat);
        assert_eq!(told.last().expect("READY")["d"]["resumed"], resumed, "after {seq}");
        world.cut(chat);
    }
    // 300 seconds later nothing is.
    world.advance(Duration::from_secs(61));
    let chat = world.connect(Plane::Control, "/");
    world.send(chat, &json!({"op": 2, "d": {"token": SECRET, "seq": 8}}));
    world.cut(chat);
    world.advance(Duration::from_secs(301));
    let chat = world.connect(Plane::Control, "/");
    world.send(chat, &json!({"op": 2, "d": {"token": SECRET, "seq": 9}}));
    assert_eq!(world.take_all(chat).last().expect("READY")["d"]["resumed"], false);
}

// Clauses: L3.1, L3.2, L3.3, L4.4
#[test]
fn changes_of_flags_name_no_secret_and_leave_the_rest() {
    let mut world = World::new();
    let chat = chat_server(&mut world);
    place(&mut world, chat, 1001, CHANNEL);
    let state = |flags: Value| {
        let mut info = json!({"user_id": "1001", "channel_id": CHANNEL.to_string()});
        info.as_object_mut().expect("an object").extend(flags.as_object().expect("flags").clone());
        json!({"op": 6, "d": {"type": 1, "info": info}})
    };
    world.send(chat, &state(json!({"mute": true})));
    let told = world.take(chat)["d"]["info"].clone();
    assert_eq!((&told["mute"], &told["deaf"]), (&json!(true), &json!(false)));
    assert!(told.get("token").is_none() && told.get("endpoint").is_none());
    world.send(chat, &state(json!({"deaf": true})));
    let told = world.take(chat)["d"]["info"].clone();
    assert_eq!((&told["mute"], &told["deaf"]), (&json!(true), &json!(true)), "mute stays");
    world.send(chat, &state(json!({"deaf": true})));
    assert!(world.take_all(chat).is_empty(), "nothing changed");
}

// Clauses: L4.8, V2.17
#[test]
fn a_client_that_vanishes_is_told_as_lost_after_the_time_to_resume() {
    let mut world = World::new();
    let chat = chat_server(&mut world);
    let ann = join(&mut world, chat, 1001, CHANNEL, AES);
    let bob = join(&mut world, chat, 1002, CHANNEL, AES);
    world.take_all(chat);
    world.take_all(bob.peer);
    world.cut(ann.peer);
    for _ in 0..89 {
        world.send(bob.peer, &json!({"op": 3, "d": 1}));
        world.advance(Duration::from_secs(1));
    }
    assert!(world.take_all(chat).is_empty());
    assert!(world.take_all(bob.peer).iter().all(|message| message["op"] == 6));
    world.advance(Duration::from_secs(1));
    assert_eq!(world.take(chat)["d"]["info"]["reason"], "lost");
    assert_eq!(world.take(bob.peer)["d"], json!({"user_id": "1001"}));
}

// Clauses: L3.3, L5.4, L6.4
#[test]
fn a_restarted_server_gets_its_clients_back_by_what_is_stated_again() {
    let mut before = World::new();
    let chat = chat_server(&mut before);
    let ann = place(&mut before, chat, 1001, CHANNEL);

    // Another process: the client comes first, with the ticket that it has.
    let mut world = World::new();
    let early = gateway(&mut world, 8);
    world.send(early, &identify(&ann));
    assert!(world.take_all(early).is_empty(), "it waits");
    let chat = chat_server(&mut world);
    world.send(chat, &restatement(&ann, CHANNEL));
    assert_eq!(world.take(early)["op"], 2);

    let late = gateway(&mut world, 8);
    let mut stranger = identify(&ann);
    stranger["d"]["user_id"] = json!("1002");
    world.send(late, &stranger);
    world.advance(Duration::from_millis(2_999));
    assert_eq!(world.closed(late), None);
    world.advance(Duration::from_millis(1));
    assert_eq!(world.closed(late), Some(Some(4004)), "three seconds for one whom nobody states");
}

// Clauses: L3.5
#[test]
fn a_channel_without_a_guild_stands_for_itself() {
    let mut world = World::new();
    let chat = chat_server(&mut world);
    for channel in [71, 72] {
        world.send(chat, &json!({"op": 7, "d": {"user_id": "1001", "channel_id": channel}}));
        let state = world.take_all(chat).pop().expect("an answer");
        let mut ticket = identify(&ticket(1001, &state["d"]["info"]));
        ticket["d"]["server_id"] = json!(channel.to_string());
        let peer = gateway(&mut world, 8);
        world.send(peer, &ticket);
        assert_eq!(world.take(peer)["op"], 2, "one user in two calls");
    }
}

// Clauses: V3.4
#[test]
fn a_resumed_session_keeps_its_key_its_number_and_its_counters() {
    let mut world = World::new();
    let chat = chat_server(&mut world);
    let mut ann = join(&mut world, chat, 1001, CHANNEL, AES);
    let mut bob = join(&mut world, chat, 1002, CHANNEL, AES);
    let mut suffixes = Vec::new();
    for round in 0..3 {
        assert_eq!(bob.hear(&ann.speak(&mut world, b"under the first key")).len(), 1);
        let sent = bob.speak(&mut world, b"as well");
        assert_eq!(ann.hear(&sent).len(), 1, "round {round}");
        let packet = &sent[0].1;
        suffixes.push(packet[packet.len() - 4..].to_vec());
        world.cut(ann.peer);
        let again = gateway(&mut world, 8);
        world.send(again, &resume(&ann.ticket, None));
        assert_eq!(world.take(again)["op"], 9);
        ann.peer = again;
    }
    suffixes.dedup();
    assert_eq!(suffixes.len(), 3, "no nonce twice");
}

// Clauses: L3.4
#[test]
fn a_token_is_good_for_any_number_of_identifies() {
    let mut world = World::new();
    let chat = chat_server(&mut world);
    let ticket = place(&mut world, chat, 1001, CHANNEL);
    for _ in 0..5 {
        connect(&mut world, ticket.clone(), AES.0, AES.1);
    }
    assert_eq!(world.server.session_count(), 1);
}
