//! What is bounded over all, and what happens to those who reach a bound.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use lvsp_core::limits::{Limits, Millis};
use lvsp_core::memory;
use lvsp_core::output::{Plane, Shutdown};
use lvsp_core::reasons::Refused;
use serde_json::json;

use crate::lifecycle::{AES, XCHACHA};
use crate::people::{
    CHANNEL, GUILD, OTHER_CHANNEL, chat_server, destruction, gateway, identify, join, place,
    removal, request, restatement, resume,
};
use crate::world::World;

fn world(limits: Limits) -> World {
    World::with(|config| config.limits = limits)
}

// Clauses: L7.1
#[test]
fn limits_refuse_without_closing() {
    let limits = Limits { members_per_channel: 1, ..Limits::default() };
    let mut world = world(limits);
    let chat = chat_server(&mut world);
    place(&mut world, chat, 1001, CHANNEL);
    world.send(chat, &request(1002, CHANNEL));
    assert!(world.take(chat).to_string().contains("members_per_channel"));
    assert_eq!(world.closed(chat), None);
}

// Clauses: V2.22
#[test]
fn one_session_too_many_is_told_to_try_later() {
    let mut world = world(Limits { sessions: 2, ..Limits::default() });
    let chat = chat_server(&mut world);
    let mut ann = join(&mut world, chat, 1001, CHANNEL, AES);
    let bob = join(&mut world, chat, 1002, CHANNEL, AES);
    let cat = place(&mut world, chat, 1003, CHANNEL);
    let late = gateway(&mut world, 8);
    world.send(late, &identify(&cat));
    assert_eq!(world.closed(late), Some(Some(1013)));
    assert_eq!(bob.hear(&ann.speak(&mut world, b"unaffected")).len(), 1);
    let anew = gateway(&mut world, 8);
    world.send(anew, &identify(&ann.ticket));
    assert_eq!(world.take(anew)["op"], 2, "in place of its own session");
    world.send(chat, &removal(1002));
    let again = gateway(&mut world, 8);
    world.send(again, &identify(&cat));
    assert_eq!(world.take(again)["op"], 2, "there is room");
}

#[test]
fn a_channel_that_is_made_again_is_waited_for_again() {
    let mut world = World::new();
    let chat = chat_server(&mut world);
    let ann = place(&mut world, chat, 1001, CHANNEL);
    world.send(chat, &destruction(CHANNEL));
    let again = json!({"id": CHANNEL.to_string(), "guild_id": GUILD.to_string()});
    world.send(chat, &json!({"op": 6, "d": {"type": 0, "info": again}}));
    let early = gateway(&mut world, 8);
    world.send(early, &identify(&ann));
    assert_eq!(world.closed(early), None, "its voice state may still come");
    world.send(chat, &restatement(&ann, CHANNEL));
    assert_eq!(world.take(early)["op"], 2, "and so it did");
}

#[test]
fn destroyed_channels_are_remembered_up_to_a_limit() {
    let mut world = world(Limits { tombstones: 2, ..Limits::default() });
    let chat = chat_server(&mut world);
    let mut tickets = Vec::new();
    for (user, channel) in [(1001, CHANNEL), (1002, OTHER_CHANNEL)] {
        tickets.push(place(&mut world, chat, user, channel));
        world.send(chat, &destruction(channel));
    }
    for (ticket, code) in tickets.iter().zip([4004, 4022]) {
        let late = gateway(&mut world, 8);
        world.send(late, &identify(ticket));
        world.advance(Duration::from_secs(3));
        assert_eq!(world.closed(late), Some(Some(code)));
    }
}

#[test]
fn a_refused_order_to_make_a_channel_again_leaves_it_remembered() {
    let mut world = world(Limits { channels: 1, ..Limits::default() });
    let chat = chat_server(&mut world);
    let ann = place(&mut world, chat, 1001, CHANNEL);
    world.send(chat, &destruction(CHANNEL));
    place(&mut world, chat, 1002, OTHER_CHANNEL);
    world.take_all(chat);
    let again = json!({"id": CHANNEL.to_string()});
    world.send(chat, &json!({"op": 6, "d": {"type": 0, "info": again}}));
    assert!(world.take(chat).to_string().contains("channels"));
    let late = gateway(&mut world, 8);
    world.send(late, &identify(&ann));
    assert_eq!(world.closed(late), Some(Some(4022)), "nothing changed by what was refused");
}

#[test]
fn credentials_of_a_user_and_of_the_channel_made_for_it_fit_together_or_not_at_all() {
    // Six users in channels of their own take 960 bytes. A seventh takes 96 and its channel 64:
    // each would fit alone.
    let mut world = world(Limits { credentials_total_bytes: 1_100, ..Limits::default() });
    let chat = chat_server(&mut world);
    for n in 1..=6 {
        place(&mut world, chat, n, n);
    }
    world.send(chat, &request(7, 7));
    assert!(world.take(chat).to_string().contains("credentials_total_bytes"));
    assert_eq!(world.server.census().credential_bytes, 960);
    assert_eq!(world.server.census().channels, 6);
}

// Clauses: V3.8
#[test]
fn of_detached_sessions_the_oldest_loses_its_replay_first() {
    let mut world = world(Limits { replay_total_bytes: 2_048, ..Limits::default() });
    let chat = chat_server(&mut world);
    let ann = join(&mut world, chat, 1001, CHANNEL, AES);
    let bob = join(&mut world, chat, 1002, CHANNEL, AES);
    let cat = join(&mut world, chat, 1003, CHANNEL, XCHACHA);
    for voice in [&ann, &bob] {
        let seen = world.take_all(voice.peer).last().expect("it was told of others")["seq"].clone();
        world.send(voice.peer, &json!({"op": 3, "d": {"t": 1, "seq_ack": seen}}));
    }
    world.cut(ann.peer);
    world.advance(Duration::from_secs(1));
    world.cut(bob.peer);
    // About 140 bytes each for both of them, places included: more than the total, less than twice
    // that.
    for n in 0..10u8 {
        world.send(cat.peer, &json!({"op": 5, "d": {"speaking": n % 2, "delay": 0}}));
    }
    let back = gateway(&mut world, 8);
    world.send(back, &resume(&ann.ticket, None));
    assert_eq!(world.closed(back), Some(Some(4006)), "detached first");
    let back = gateway(&mut world, 8);
    world.send(back, &resume(&bob.ticket, None));
    assert_eq!(world.take(back)["op"], 9);
    assert!(world.take_all(back).len() >= 9, "all that it missed");
}

// Clauses: V2.3
#[test]
fn after_a_flood_of_messages_the_next_identify_waits() {
    let mut world = World::new();
    let chat = chat_server(&mut world);
    let ann = join(&mut world, chat, 1001, CHANNEL, AES);
    let bob = join(&mut world, chat, 1002, CHANNEL, AES);
    world.take_all(bob.peer);
    for _ in 0..130 {
        world.send(ann.peer, &json!({"op": 5, "d": {"speaking": 0, "delay": 0}}));
    }
    assert_eq!(world.closed(ann.peer), Some(Some(4021)));
    assert_eq!(world.take(bob.peer)["op"], 13, "its session is over");

    let back = gateway(&mut world, 8);
    world.send(back, &resume(&ann.ticket, None));
    assert_eq!(world.closed(back), Some(Some(4006)));
    let back = gateway(&mut world, 8);
    world.send(back, &identify(&ann.ticket));
    world.advance(Duration::from_millis(9_999));
    assert!(world.take_all(back).is_empty());
    world.advance(Duration::from_millis(1));
    assert_eq!(world.take(back)["op"], 2);
}

#[test]
fn a_stall_of_the_process_drops_nobody_but_those_who_stay_silent_after_it() {
    let mut world = World::new();
    let chat = chat_server(&mut world);
    let ann = join(&mut world, chat, 1001, CHANNEL, AES);
    let bob = join(&mut world, chat, 1002, CHANNEL, AES);
    let stranger = gateway(&mut world, 8);
    // Stopped for two minutes: nothing is read and no deadline is looked at.
    world.now = world.now + Duration::from_secs(120);
    world.server.handle_timeout(world.now);
    world.pump();
    for peer in [chat, ann.peer, bob.peer, stranger] {
        assert_eq!(world.ended(peer), None);
    }
    world.advance(Duration::from_secs(13));
    assert_eq!(world.closed(stranger), Some(Some(4009)), "it had ten seconds of its own");
    world.send(bob.peer, &json!({"op": 3, "d": 1}));
    world.advance(Duration::from_secs(40));
    assert_eq!(world.ended(ann.peer), Some(Shutdown::Abrupt), "silent ever since");
    assert_eq!(world.ended(bob.peer), None);
}

#[test]
fn over_the_total_the_idlest_stranger_of_the_fullest_address_makes_room() {
    let mut world = world(Limits { unauthenticated: 3, ..Limits::default() });
    let from = |host: u8, port| SocketAddr::new(IpAddr::from([203, 0, 113, host]), port);
    let accept =
        |world: &mut World, address| world.server.handle_accept(world.now, Plane::Gateway, address);
    let first = accept(&mut world, from(1, 1)).expect("there is room");
    let second = accept(&mut world, from(1, 2)).expect("there is room");
    let third = accept(&mut world, from(2, 1)).expect("there is room");
    assert_eq!(accept(&mut world, from(3, 1)), Err(Refused::TooManyUnauthenticated), "all are new");

    world.now = world.now + Duration::from_millis(1_000);
    world.server.handle_bytes(world.now, first, b"GET / HTTP/1.1\r\n");
    world.now = world.now + Duration::from_millis(1_500);
    let fourth = accept(&mut world, from(3, 1)).expect("the second connection made room");
    assert_eq!(world.server.connection_count(), 3);
    for conn in [first, third, fourth] {
        world.server.handle_bytes(world.now, conn, b"X");
    }
    let refusal = accept(&mut world, from(3, 2));
    assert_eq!(refusal, Err(Refused::TooManyUnauthenticated), "the first moved lately");
    world.server.handle_eof(world.now, second);
}

#[test]
fn a_share_of_strangers_is_all_that_one_address_gets() {
    let world = &mut world(Limits { unauthenticated_per_address: 2, ..Limits::default() });
    // A host can ask before: what it is told is what becomes of the connection.
    let accept = |world: &mut World, host| {
        let peer = SocketAddr::from(([203, 0, 113, host], 1));
        let has_room = world.server.has_room_for(peer);
        let accepted = world.server.handle_accept(world.now, Plane::Gateway, peer);
        assert_eq!(has_room, accepted.is_ok(), "{accepted:?}");
        accepted
    };
    let first = accept(world, 1).expect("there is room");
    accept(world, 1).expect("there is room");
    assert_eq!(accept(world, 1), Err(Refused::TooManyFromAddress));
    accept(world, 2).expect("another address");
    let chat = SocketAddr::from(([203, 0, 113, 2], 1));
    world.server.handle_accept(world.now, Plane::Control, chat).expect("another plane");
    accept(world, 2).expect("chat servers have a share of their own");
    world.server.handle_eof(world.now, first);
    accept(world, 1).expect("there is room again");
}

#[test]
fn a_wait_for_calm_of_nothing_is_no_wait() {
    let mut world = world(Limits { message_calm_ms: Millis(0), ..Limits::default() });
    let chat = chat_server(&mut world);
    let ann = join(&mut world, chat, 1001, CHANNEL, AES);
    for _ in 0..130 {
        world.send(ann.peer, &json!({"op": 5, "d": {"speaking": 0, "delay": 0}}));
    }
    let back = gateway(&mut world, 8);
    world.send(back, &identify(&ann.ticket));
    assert_eq!(world.take(back)["op"], 2);
}

#[test]
fn one_address_may_hold_any_number_of_sessions() {
    let mut world = world(Limits { unauthenticated_per_address: 2, ..Limits::default() });
    let chat = chat_server(&mut world);
    for user in 1..=30 {
        join(&mut world, chat, user, CHANNEL, AES);
    }
    assert_eq!(world.server.session_count(), 30, "all of them came from one address");
}

#[test]
fn whoever_holds_most_of_what_is_unfinished_goes() {
    let mut world = world(Limits { inbound_total_bytes: 65_536, ..Limits::default() });
    let chat = chat_server(&mut world);
    let ann = join(&mut world, chat, 1001, CHANNEL, AES);
    let from = SocketAddr::from(([203, 0, 113, 1], 1));
    let mut begin = |bytes: usize| {
        let conn = world.server.handle_accept(world.now, Plane::Gateway, from).expect("admitted");
        world.server.handle_bytes(world.now, conn, &vec![b'G'; bytes]);
        conn
    };
    let small = begin(100);
    let largest = begin(16_000);
    for _ in 0..4 {
        begin(15_000);
    }
    assert_eq!(world.server.connection_count(), 7, "of eight");
    world.server.handle_bytes(world.now, largest, b"G");
    assert_eq!(world.server.census().inbound_bytes, 60_100);
    world.server.handle_eof(world.now, small);
    assert_eq!(world.server.census().inbound_bytes, 60_000);
    world.send(ann.peer, &json!({"op": 3, "d": 7}));
    assert_eq!(world.take_all(ann.peer).pop().expect("an answer")["op"], 6, "others go on");
}

#[test]
fn the_refusal_of_an_address_lasts_from_its_last_failure() {
    let mut world = World::new();
    let from = SocketAddr::from(([203, 0, 113, 1], 1));
    for second in [0, 14, 14, 14, 14] {
        world.advance(Duration::from_secs(second));
        let chat = world.connect_from(Plane::Control, "/", from);
        world.send(chat, &json!({"op": 1, "d": {"token": "guess"}}));
    }
    for (second, refused) in [(0, true), (60, true), (1, false)] {
        world.advance(Duration::from_secs(second));
        let taken = world.server.handle_accept(world.now, Plane::Control, from);
        assert_eq!(taken == Err(Refused::BackOff), refused, "{second} s later");
    }
}

#[test]
fn orders_that_lead_to_too_much_at_once_are_put_off_and_obeyed_all_the_same() {
    let mut world = world(Limits { outputs: 16, ..Limits::default() });
    let chat = chat_server(&mut world);
    for user in 1001..1040 {
        join(&mut world, chat, user, CHANNEL, AES);
    }
    let other = place(&mut world, chat, 1001, OTHER_CHANNEL);
    world.send_together(chat, &[destruction(CHANNEL), destruction(OTHER_CHANNEL)]);
    assert!(world.counts().outputs > 0, "the second order was put off");
    let late = gateway(&mut world, 8);
    world.send(late, &identify(&other));
    assert_eq!(world.closed(late), Some(Some(4022)), "and obeyed: the channel is gone");
    assert_eq!(world.server.census().voice_states, 0);
}

#[test]
fn what_is_held_stays_below_the_ceiling_of_the_limits() {
    let limits = Limits {
        sessions: 8,
        connections: 20,
        unauthenticated: 10,
        channels: 4,
        voice_states: 20,
        members_per_channel: 8,
        outbound_total_bytes: 65_536,
        inbound_total_bytes: 65_536,
        replay_total_bytes: 16_384,
        credentials_total_bytes: 4_096,
        tombstones: 4,
        control_news_bytes: 16_384,
        control_replay_bytes: 4_096,
        outputs: 16,
        ..Limits::default()
    };
    let ceiling = memory::Ceiling::of(&limits, 1, 1).bytes();
    let mut world = world(limits);
    let chat = chat_server(&mut world);
    let mut most = [0; 2];
    let from = SocketAddr::from(([203, 0, 113, 1], 1));
    for n in 1..=60 {
        let channel = 70 + n % 6;
        let order = json!({"user_id": n.to_string(), "channel_id": channel.to_string()});
        world.send(chat, &json!({"op": 7, "d": order}));
        if let Ok(conn) = world.server.handle_accept(world.now, Plane::Gateway, from) {
            world.server.handle_bytes(world.now, conn, &[b'G'; 12_000]);
        }
        if n % 7 == 0 {
            world.send(chat, &destruction(channel));
        }
        let census = world.server.census();
        most = [most[0].max(census.voice_states), most[1].max(census.buried)];
        let held = memory::held(&census);
        assert!(held <= ceiling, "{held} bytes held, where {ceiling} are the most");
    }
    assert!(most.iter().all(|most| *most > 0), "voice states and destroyed channels: {most:?}");
    let counts = world.counts();
    assert!(counts.channels > 0 && counts.inbound_total_bytes > 0, "limits were met");
}
