//! A chat server that was written from the draft alone, as its sentences can be read.

use std::time::Duration;

use lvsp_core::config::Revision;
use lvsp_core::output::Plane;
use serde_json::{Value, json};

use crate::lifecycle::AES;
use crate::people::{
    CHANNEL, GUILD, Ticket, chat_server, connect, gateway, identify, join, place, request,
    restatement, resume,
};
use crate::world::{PeerId, SECRET, World};

/// A channel without a guild, as all are in the draft.
const CALL: u64 = 900;

fn vst(info: &Value) -> Value {
    json!({"op": 6, "d": {"type": 1, "info": info}})
}

/// A chat server that asks for nothing beyond the draft.
fn draft_server(world: &mut World) -> PeerId {
    let chat = world.connect(Plane::Control, "/");
    world.take(chat);
    world.send(chat, &json!({"op": 1, "d": {"token": SECRET}}));
    assert_eq!(world.take(chat)["op"], 3);
    chat
}

/// The draft's INFO has no number, so that whoever knows the draft alone has none to give.
// Clauses: L1.12, L2.4
#[test]
fn a_chat_server_without_a_number_is_answered_and_resumes_with_the_whole_state() {
    let mut world = World::new();
    let chat = draft_server(&mut world);
    place(&mut world, chat, 1001, CHANNEL);
    for d in [json!({"s": null}), json!({})] {
        world.send(chat, &json!({"op": 4, "d": d}));
        let ack = world.take(chat);
        assert_eq!((&ack["op"], &ack["d"]["s"]), (&json!(5), &json!(0)), "{d}");
    }
    for d in [json!({"token": SECRET, "seq": null}), json!({"token": SECRET})] {
        world.cut(chat);
        let chat = world.connect(Plane::Control, "/");
        world.take(chat);
        world.send(chat, &json!({"op": 2, "d": d}));
        let told = world.take_all(chat);
        let kinds: Vec<_> = told.iter().map(|m| m["d"]["type"].as_u64()).collect();
        assert_eq!(kinds, [Some(0), Some(1), None], "{d}");
        assert_eq!(told[2]["d"]["resumed"], false);
    }
}

/// It builds each INFO from its own tables, so that nothing of ours beyond the draft comes back.
// Clauses: L3.2, L4.6
#[test]
fn a_peer_that_states_again_all_that_it_is_told_starts_no_loop() {
    const KEYS: [&str; 10] = [
        "id",
        "bitrate",
        "user_id",
        "channel_id",
        "session_id",
        "deaf",
        "mute",
        "self_deaf",
        "self_mute",
        "suppress",
    ];
    let mut world = World::new();
    let chat = draft_server(&mut world);
    let channel = |more: Value| {
        let mut info = json!({"id": CALL.to_string()});
        info.as_object_mut().expect("an object").extend(more.as_object().expect("keys").clone());
        json!({"op": 6, "d": {"type": 0, "info": info}})
    };
    let user = json!({"user_id": "1001", "channel_id": CALL.to_string()});
    let mut muted = user.clone();
    muted["mute"] = json!(true);
    for (order, answers) in [
        (channel(json!({"bitrate": 96_000})), 1),
        (json!({"op": 7, "d": user}), 1),
        (vst(&muted), 1),
        (vst(&json!({"user_id": "1001", "channel_id": null})), 1),
        (channel(json!({"deleted": true})), 1),
        (channel(json!({"deleted": true})), 0),
        (vst(&json!({"session_id": "of nobody"})), 0),
    ] {
        world.send(chat, &order);
        let mut told = world.take_all(chat);
        assert_eq!(told.len(), answers, "{order}");
        for message in told.drain(..) {
            let mut again = message["d"].clone();
            let deleted = again["info"]["deleted"] == true;
            let info = again["info"].as_object_mut().expect("an object");
            info.retain(|key, _| KEYS.contains(&key.as_str()) || (deleted && key == "deleted"));
            world.send(chat, &json!({"op": 6, "d": again}));
        }
        assert!(world.take_all(chat).is_empty(), "said again, it changes nothing: {order}");
    }
}

// Clauses: L4.6
#[test]
fn only_a_session_id_that_stands_alone_means_that_a_user_left() {
    let mut world = World::new();
    let chat = chat_server(&mut world);
    let ann = join(&mut world, chat, 1001, CHANNEL, AES);
    let session = json!(ann.ticket.session_id);
    world.take_all(chat);
    for more in [("user_id", json!("1001")), ("guild_id", json!(GUILD.to_string()))] {
        world.send(chat, &vst(&json!({"session_id": session, more.0: more.1})));
        assert_eq!(world.closed(ann.peer), None, "no flag was stated, and no leave: {more:?}");
    }
    assert!(world.take_all(chat).is_empty());
    world.send(chat, &vst(&json!({"session_id": session})));
    assert_eq!(world.closed(ann.peer), Some(Some(4014)));
}

/// A bot has one session of the main gateway and is in a channel of every guild with it.
// Clauses: L4.4, L3.5, V3.3
#[test]
fn of_voice_states_with_one_session_id_the_one_that_is_named_changes() {
    for first_in_guild in [false, true] {
        let mut world = World::new();
        let chat = chat_server(&mut world);
        let bot = Ticket { user: 1001, session_id: "shared".into(), token: "secret".into() };
        let mut orders = [restatement(&bot, CALL), restatement(&bot, CHANNEL)];
        orders[0]["d"]["guild_id"] = Value::Null;
        if first_in_guild {
            orders.reverse();
        }
        orders.iter().for_each(|order| world.send(chat, order));
        world.take_all(chat);
        for channel in [CALL, CHANNEL] {
            let info = json!({"user_id": "1001", "channel_id": channel.to_string(),
                "session_id": "shared", "mute": true});
            world.send(chat, &vst(&info));
            let told = world.take(chat)["d"]["info"].clone();
            assert_eq!(told["channel_id"], channel.to_string(), "{told}");
        }
        for server in [CALL, GUILD] {
            let mut hello = identify(&bot);
            hello["d"]["server_id"] = json!(server.to_string());
            let peer = gateway(&mut world, 8);
            world.send(peer, &hello);
            assert_eq!(world.take(peer)["op"], 2, "{server}");
            world.cut(peer);
            let mut again = resume(&bot, None);
            again["d"]["server_id"] = json!(server.to_string());
            let peer = gateway(&mut world, 8);
            world.send(peer, &again);
            assert_eq!(world.take(peer)["op"], 9, "{server}");
        }
        let info = json!({"user_id": "1001", "channel_id": null, "guild_id": GUILD.to_string(),
            "session_id": "shared"});
        world.send(chat, &vst(&info));
        let gone = world.take_all(chat);
        assert_eq!((gone.len(), &gone[0]["d"]["info"]["guild_id"]), (1, &json!(GUILD.to_string())));
        assert_eq!(world.server.census().voice_states, 1, "it stays in the other call");
    }
}

/// Go and C write strings that were not set as `""`: as secrets they would let everybody in.
// Clauses: L3.3
#[test]
fn an_empty_session_id_or_token_is_one_that_was_not_given() {
    let mut world = World::new();
    let chat = chat_server(&mut world);
    let nothing = Ticket { user: 1001, session_id: String::new(), token: String::new() };
    for _ in 0..2 {
        world.send(chat, &restatement(&nothing, CHANNEL));
        let state = world.take_all(chat).pop().expect("an answer")["d"]["info"].clone();
        assert_eq!(state["session_id"].as_str().map(str::len), Some(32));
        assert_eq!(state["token"].as_str().map(str::len), Some(64));
    }
    let stranger = gateway(&mut world, 8);
    world.send(stranger, &identify(&nothing));
    assert_eq!(world.closed(stranger), Some(Some(4004)));

    let mut world = World::with(|config| config.control_clients[0].revision = Revision::Document);
    let chat = draft_server(&mut world);
    let channel = json!({"channel_id": CHANNEL.to_string(), "token": ""});
    world.send(chat, &json!({"op": 6, "d": {"type": 0, "data": channel}}));
    assert_eq!(world.take(chat)["d"]["data"]["token"].as_str().map(str::len), Some(64));
}

// Clauses: L4.7
#[test]
fn a_user_who_is_asked_for_again_has_its_time_to_come_anew() {
    let mut world = World::new();
    let chat = chat_server(&mut world);
    place(&mut world, chat, 1001, CHANNEL);
    world.advance(Duration::from_secs(59));
    // It tries once more: the answer must not be worth a second only.
    let again = place(&mut world, chat, 1001, CHANNEL);
    world.advance(Duration::from_secs(59));
    assert!(world.take_all(chat).is_empty());
    connect(&mut world, again, AES.0, AES.1);
    world.send(chat, &request(1002, CHANNEL));
    world.take_all(chat);
    world.advance(Duration::from_secs(60));
    assert_eq!(world.take(chat)["d"]["info"]["reason"], "never_connected");
}
