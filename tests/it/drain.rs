//! A drain: what is refused, what goes on, and how it ends.

use std::time::Duration;

use lvsp_core::config::HealthScale;
use lvsp_core::output::{Plane, Shutdown};
use lvsp_core::reasons::Refused;
use serde_json::json;

use crate::lifecycle::AES;
use crate::people::{
    CHANNEL, OTHER_CHANNEL, Ticket, Voice, chat_server, connect, gateway, join, place, resume,
};
use crate::world::{HOST, PeerId, World};

fn begin(world: &mut World) {
    let now = world.now;
    world.server.begin_drain(now);
    world.pump();
}

/// Lets a world drain at once.
fn draining_at_once() -> World {
    World::with(|config| config.drain = Duration::ZERO)
}

// Clauses: L1.14, L7.3
#[test]
fn a_drain_refuses_new_voice_states_and_ends_sessions_with_4015() {
    let mut world = World::new();
    let chat = chat_server(&mut world);
    let mut ann = join(&mut world, chat, 1001, CHANNEL, AES);
    let bob = join(&mut world, chat, 1002, CHANNEL, AES);
    world.take_all(chat);
    assert!(world.server.is_ready());
    begin(&mut world);
    assert!(!world.server.is_ready());
    world.send(chat, &json!({"op": 4, "d": {"s": 0}}));
    assert_eq!(world.take(chat)["d"]["health"], 0.0);
    for (user, channel) in [(1003, CHANNEL), (1003, OTHER_CHANNEL), (1001, OTHER_CHANNEL)] {
        let d = json!({"user_id": user.to_string(), "channel_id": channel.to_string()});
        world.send(chat, &json!({"op": 7, "d": d}));
        let answer = world.take_all(chat).pop().expect("an answer").to_string();
        assert!(answer.contains("draining"), "{user} in {channel}: {answer}");
    }
    for _ in 0..29 {
        world.send(ann.peer, &json!({"op": 3, "d": 1}));
        assert_eq!(bob.hear(&ann.speak(&mut world, b"untouched")).len(), 1);
        world.advance(Duration::from_secs(1));
    }
    assert!(!world.server.is_drained());
    assert!(world.server.takes_connections());
    world.advance(Duration::from_secs(4));
    assert!(!world.server.takes_connections());
    assert_eq!(world.closed(ann.peer), Some(Some(4015)));
    assert_eq!(world.closed(bob.peer), Some(Some(4015)));
    assert!(world.server.is_drained());
}

#[test]
fn a_relay_that_is_behind_takes_the_health_away_until_it_caught_up() {
    let mut world = World::new();
    let chat = chat_server(&mut world);
    world.take_all(chat);
    let health = |world: &mut World| {
        world.send(chat, &json!({"op": 4, "d": {"s": 0}}));
        world.take_all(chat).pop().expect("an answer")["d"]["health"].clone()
    };
    assert_eq!(health(&mut world), 1.0);
    let now = world.now;
    world.relay.note_overflow(now, 1);
    world.pump();
    assert_eq!(health(&mut world), 0.0);
    world.advance(Duration::from_millis(3_001));
    assert_eq!(health(&mut world), 1.0);
}

// Clauses: L1.15
#[test]
fn a_chat_server_that_prefers_low_figures_is_told_its_worst() {
    let mut world = World::with(|config| config.control_clients[0].health = HealthScale::BestIs0);
    let chat = chat_server(&mut world);
    let health = |world: &mut World| {
        world.send(chat, &json!({"op": 4, "d": {"s": 0}}));
        world.take_all(chat).pop().expect("an answer")["d"]["health"].clone()
    };
    assert_eq!(health(&mut world), 0.0);
    begin(&mut world);
    assert_eq!(health(&mut world), 1.0);
}

// Clauses: L7.3
#[test]
fn resumes_statements_and_first_identifies_go_on_during_a_drain() {
    let mut world = World::new();
    let chat = chat_server(&mut world);
    let mut ann = join(&mut world, chat, 1001, CHANNEL, AES);
    let bob = join(&mut world, chat, 1002, CHANNEL, AES);
    let cid: Ticket = place(&mut world, chat, 1003, CHANNEL);
    begin(&mut world);

    world.cut(ann.peer);
    let again = gateway(&mut world, 8);
    world.send(again, &resume(&ann.ticket, None));
    assert_eq!(world.take(again), json!({"op": 9, "d": null}));
    assert_eq!(bob.hear(&ann.speak(&mut world, b"resumed")).len(), 1);

    let cid = connect(&mut world, cid, 8, AES.1);
    assert_eq!(cid.hear(&ann.speak(&mut world, b"to a latecomer")).len(), 1);

    let restated = place(&mut world, chat, 1002, CHANNEL);
    assert_eq!(restated.session_id, bob.ticket.session_id);
    world.cut(chat);
    let chat = chat_server(&mut world);
    place(&mut world, chat, 1002, CHANNEL);
    assert_eq!(world.closed(bob.peer), None);
}

// Clauses: V3.12
#[test]
fn clients_are_told_to_go_one_by_one_over_two_seconds() {
    let mut world = draining_at_once();
    let chat = chat_server(&mut world);
    let people: Vec<Voice> =
        (0..100).map(|n| join(&mut world, chat, 1001 + n, CHANNEL, AES)).collect();
    begin(&mut world);
    let mut gone = Vec::new();
    for _ in 0..8 {
        world.advance(Duration::from_millis(250));
        gone.push(people.iter().filter(|voice| world.closed(voice.peer).is_some()).count());
    }
    assert_eq!(gone.last(), Some(&100), "{gone:?}");
    let mut before = 0;
    for so_far in gone {
        assert!((1..=30).contains(&(so_far - before)), "{before} to {so_far} in a quarter second");
        before = so_far;
    }
    assert!(people.iter().all(|voice| world.closed(voice.peer) == Some(Some(4015))));
}

#[test]
fn nobody_is_taken_any_more_once_the_first_client_may_be_told_to_go() {
    let mut world = draining_at_once();
    let chat = chat_server(&mut world);
    let ann = join(&mut world, chat, 1001, CHANNEL, AES);
    begin(&mut world);
    world.advance(Duration::from_micros(1));
    assert_eq!(world.closed(ann.peer), None);
    for plane in [Plane::Control, Plane::Gateway] {
        let now = world.now;
        let refused = world.server.handle_accept(now, plane, (HOST, 9).into());
        assert_eq!(refused.expect_err("the listeners close"), Refused::Draining);
    }
}

// Clauses: V3.12
#[test]
fn who_does_not_go_is_dropped_three_seconds_after_the_calls_ended() {
    let mut world = draining_at_once();
    let chat = chat_server(&mut world);
    let ann = join(&mut world, chat, 1001, CHANNEL, AES);
    // One that says nothing and two that read nothing.
    let silent: PeerId = world.connect(Plane::Gateway, "/?v=8");
    world.set_reading(ann.peer, false);
    world.set_reading(chat, false);
    begin(&mut world);
    world.advance(Duration::from_millis(2_999));
    assert!(!world.server.is_drained());
    world.advance(Duration::from_millis(1));
    assert!(world.server.is_drained());
    assert_eq!(world.ended(ann.peer), Some(Shutdown::Abrupt));
    assert_eq!(world.ended(chat), Some(Shutdown::Abrupt));
    assert!(world.ended(silent).is_some());
}
