//! Where a user is, when what its chat server says of guilds and channels comes in an odd order.

use serde_json::json;

use crate::lifecycle::AES;
use crate::people::{
    CHANNEL, GUILD, Ticket, chat_server, connect, gateway, identify, join, place, removal, request,
    restatement, ticket,
};
use crate::world::{PeerId, World};

const OF_GUILD: u64 = 72;

/// Places a user in a channel whose guild is not named.
fn place_alone(world: &mut World, chat: PeerId, user: u64, channel: u64) -> Ticket {
    let d = json!({"user_id": user.to_string(), "channel_id": channel.to_string()});
    world.send(chat, &json!({"op": 7, "d": d}));
    let state = world.take_all(chat).pop().expect("an answer");
    ticket(user, &state["d"]["info"])
}

fn name_guild(world: &mut World, chat: PeerId, channel: u64) {
    let info = json!({"id": channel.to_string(), "guild_id": GUILD.to_string()});
    world.send(chat, &json!({"op": 6, "d": {"type": 0, "info": info}}));
}

// Clauses: L3.1, L3.5, L6.1
#[test]
fn a_request_that_names_the_guild_late_means_the_same_voice_state() {
    let mut world = World::new();
    let chat = chat_server(&mut world);
    let first = place_alone(&mut world, chat, 1001, CHANNEL);
    let mut again = identify(&first);
    again["d"]["server_id"] = json!(CHANNEL.to_string());
    let ann = gateway(&mut world, 8);
    world.send(ann, &again);
    world.take(ann);
    world.send(chat, &request(1001, CHANNEL));
    let state = world.take_all(chat).pop().expect("an answer")["d"]["info"].clone();
    assert_eq!(state["session_id"], first.session_id);
    assert_eq!(state["guild_id"], GUILD.to_string());
    assert_eq!((world.closed(ann), world.server.census().voice_states), (None, 1));
    connect(&mut world, first, AES.0, AES.1);
}

// Clauses: L3.6
#[test]
fn a_user_in_two_channels_that_turn_out_to_be_of_one_guild_stays_where_it_was_asked_for_last() {
    let mut world = World::new();
    let chat = chat_server(&mut world);
    let alone = place_alone(&mut world, chat, 1001, CHANNEL);
    let elsewhere = join(&mut world, chat, 1001, OF_GUILD, AES);
    name_guild(&mut world, chat, CHANNEL);
    world.take_all(chat);
    world.send(chat, &request(1001, CHANNEL));
    let told = world.take_all(chat);
    assert_eq!(told.len(), 1, "nothing says that the user is gone: {told:?}");
    assert_eq!(told[0]["d"]["info"]["session_id"], alone.session_id);
    assert_eq!(told[0]["d"]["info"]["guild_id"], GUILD.to_string());
    assert_eq!(world.closed(elsewhere.peer), Some(Some(4014)), "a move");
    assert_eq!(world.server.census().voice_states, 1);
    connect(&mut world, alone, AES.0, AES.1);
}

// Clauses: V2.5
#[test]
fn an_identify_that_waits_by_its_guild_goes_on_when_the_channels_guild_is_named() {
    let mut world = World::new();
    let early = gateway(&mut world, 8);
    let ann = Ticket { user: 1001, session_id: "kept".into(), token: "as well".into() };
    world.send(early, &identify(&ann));
    let chat = chat_server(&mut world);
    let mut stated = restatement(&ann, CHANNEL);
    stated["d"]["guild_id"] = json!(null);
    world.send(chat, &stated);
    assert!(world.take_all(early).is_empty(), "nobody has said yet that it is that guild's");
    name_guild(&mut world, chat, CHANNEL);
    assert_eq!(world.take(early)["op"], 2);
}

/// A world whose chat server has so much to read that what comes now waits in marks.
fn with_a_slow_reader() -> (World, PeerId) {
    let mut world = World::with(|config| config.limits.control_dump_bytes = 4_096);
    let chat = chat_server(&mut world);
    place(&mut world, chat, 1001, OF_GUILD);
    world.set_reading(chat, false);
    (2..40).for_each(|user| world.send(chat, &request(user, OF_GUILD)));
    (world, chat)
}

// Clauses: L3.2
#[test]
fn a_request_is_answered_though_the_guild_becomes_known_before_the_answer_is_read() {
    let (mut world, chat) = with_a_slow_reader();
    let d = json!({"user_id": "1002", "channel_id": CHANNEL.to_string()});
    world.send(chat, &json!({"op": 7, "d": d}));
    name_guild(&mut world, chat, CHANNEL);
    world.set_reading(chat, true);
    let told = world.take_all(chat);
    let answers = told.iter().filter(|message| message["d"]["info"]["user_id"] == "1002");
    assert_eq!(answers.count(), 1);
}

// Clauses: L4.3
#[test]
fn a_channel_is_told_before_whoever_is_in_it_whatever_waited_to_be_told_before() {
    let (mut world, chat) = with_a_slow_reader();
    world.send(chat, &removal(1001));
    world.send(chat, &request(1001, CHANNEL));
    world.set_reading(chat, true);
    let told = world.take_all(chat);
    let at = |key: &str, id: u64| {
        let id = id.to_string();
        told.iter().rposition(|message| message["d"]["info"][key] == id.as_str())
    };
    let (channel, state) = (at("id", CHANNEL), at("user_id", 1001));
    assert!(channel.is_some() && channel < state, "{channel:?}, {state:?}");
}
