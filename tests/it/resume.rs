//! Lost connections: heartbeats, voice resume, the windows of time.

use std::time::Duration;

use lvsp_core::output::Shutdown;
use serde_json::{Value, json};

use crate::lifecycle::{AES, XCHACHA};
use crate::people::{CHANNEL, Voice, chat_server, gateway, join, removal, resume};
use crate::world::{PeerId, World};

fn beat(world: &mut World, voice: &Voice) {
    world.send(voice.peer, &json!({"op": 3, "d": 1}));
}

/// Lets time pass while the given clients beat.
fn pass(world: &mut World, seconds: u64, beating: &[&Voice]) {
    for _ in 0..seconds {
        for voice in beating {
            beat(world, voice);
        }
        world.advance(Duration::from_secs(1));
    }
}

/// Ann, whose heartbeats will stop, and Bob.
fn pair(world: &mut World, version: (u8, lvsp_core::crypto::mode::Mode)) -> (PeerId, Voice, Voice) {
    let chat = chat_server(world);
    let ann = join(world, chat, 1001, CHANNEL, version);
    let bob = join(world, chat, 1002, CHANNEL, XCHACHA);
    world.take_all(bob.peer);
    (chat, ann, bob)
}

/// Toggles Bob's speaking so that everybody else gets one numbered message.
fn toggle(world: &mut World, bob: &Voice, flags: u8) {
    world.send(bob.peer, &json!({"op": 5, "d": {"speaking": flags, "delay": 0}}));
}

fn numbers(messages: &[Value]) -> Vec<u64> {
    messages.iter().filter_map(|message| message["seq"].as_u64()).collect()
}

// Clauses: V2.12
#[test]
fn silence_ends_the_connection_without_a_close_frame_while_media_flows() {
    let mut world = World::new();
    let (_, mut ann, bob) = pair(&mut world, AES);
    beat(&mut world, &ann);
    pass(&mut world, 46, &[&bob]);
    assert_eq!(world.ended(ann.peer), None);
    world.advance(Duration::from_millis(249));
    assert_eq!(world.ended(ann.peer), None);
    world.advance(Duration::from_millis(1));
    assert_eq!(world.ended(ann.peer), Some(Shutdown::Abrupt));
    assert_eq!(world.closed(ann.peer), Some(None), "no close frame");
    assert_eq!(bob.hear(&ann.speak(&mut world, b"media goes on")).len(), 1);
    assert!(world.take_all(bob.peer).iter().all(|message| message["op"] != 13));
}

// Clauses: V3.3
#[test]
fn a_resume_within_the_window_replays_each_message_once() {
    let mut world = World::new();
    let (_, mut ann, mut bob) = pair(&mut world, AES);
    toggle(&mut world, &bob, 1);
    let before = numbers(&world.take_all(ann.peer));
    let last = *before.last().expect("op 11 and 5 were numbered");
    assert_eq!(before, (1..=last).collect::<Vec<_>>());

    pass(&mut world, 46, &[&bob]);
    world.advance(Duration::from_millis(250));
    assert_eq!(world.ended(ann.peer), Some(Shutdown::Abrupt));
    for flags in [0, 1, 0] {
        toggle(&mut world, &bob, flags);
    }
    pass(&mut world, 89, &[&bob]);
    let again = gateway(&mut world, 8);
    world.send(again, &resume(&ann.ticket, Some(last)));
    assert_eq!(world.take(again), json!({"op": 9, "d": null}));
    let replayed = world.take_all(again);
    assert_eq!(numbers(&replayed), [last + 1, last + 2, last + 3]);
    let flags: Vec<_> = replayed.iter().map(|message| message["d"]["speaking"].clone()).collect();
    assert_eq!(flags, [0, 1, 0]);

    // SSRC, key and address are what they were, and so is the counting.
    assert_eq!(bob.hear(&ann.speak(&mut world, b"from me")).len(), 1);
    assert_eq!(ann.hear(&bob.speak(&mut world, b"to me")).len(), 1);
    world.take_all(again);
    toggle(&mut world, &bob, 2);
    let more = world.take_all(again);
    assert_eq!(more.len(), 1);
    assert!(more[0]["seq"].as_u64() > Some(last + 3));
}

// Clauses: V2.17, V3.3, V3.6
#[test]
fn a_resume_after_the_window_is_refused_and_the_others_know() {
    let mut world = World::new();
    let (chat, ann, bob) = pair(&mut world, AES);
    world.take_all(chat);
    pass(&mut world, 46, &[&bob]);
    world.advance(Duration::from_millis(250));
    assert_eq!(world.ended(ann.peer), Some(Shutdown::Abrupt));
    pass(&mut world, 89, &[&bob]);
    assert!(world.take_all(bob.peer).iter().all(|message| message["op"] != 13));
    pass(&mut world, 2, &[&bob]);
    let told = world.take_all(bob.peer);
    assert_eq!(told.iter().filter(|message| message["op"] == 13).count(), 1);
    let lost = world.take_all(chat).pop().expect("the chat server is told");
    assert_eq!(lost["d"]["info"]["reason"], "lost");
    assert_eq!(lost["d"]["info"]["channel_id"], Value::Null);
    let again = gateway(&mut world, 8);
    world.send(again, &resume(&ann.ticket, Some(1)));
    assert_eq!(world.closed(again), Some(Some(4006)));
}

// Clauses: V3.3, V3.6
#[test]
fn what_seq_ack_may_say_on_resume() {
    for (seq_ack, replays) in
        [(Some(0), true), (None, true), (Some(2), true), (Some(60_000), false)]
    {
        let mut world = World::new();
        let (_, ann, bob) = pair(&mut world, AES);
        toggle(&mut world, &bob, 1);
        let all = numbers(&world.take_all(ann.peer));
        world.cut(ann.peer);
        let again = gateway(&mut world, 8);
        world.send(again, &resume(&ann.ticket, seq_ack));
        if replays {
            assert_eq!(world.take(again)["op"], 9);
            let after = seq_ack.unwrap_or(0);
            let expected: Vec<_> = all.into_iter().filter(|seq| *seq > after).collect();
            assert_eq!(numbers(&world.take_all(again)), expected, "{seq_ack:?}");
        } else {
            assert_eq!(world.closed(again), Some(Some(4006)), "{seq_ack:?}");
        }
    }
}

// Clauses: V3.1
#[test]
fn what_a_heartbeat_acknowledged_is_not_replayed() {
    let mut world = World::new();
    let (_, ann, bob) = pair(&mut world, AES);
    toggle(&mut world, &bob, 1);
    let all = numbers(&world.take_all(ann.peer));
    let acknowledged = all[all.len() - 2];
    world.send(ann.peer, &json!({"op": 3, "d": {"t": 1, "seq_ack": acknowledged}}));
    world.cut(ann.peer);
    let again = gateway(&mut world, 8);
    world.send(again, &resume(&ann.ticket, None));
    assert_eq!(world.take(again)["op"], 9);
    assert_eq!(numbers(&world.take_all(again)), [acknowledged + 1]);
}

// Clauses: V3.5
#[test]
fn version_4_is_told_the_whole_state_again() {
    let mut world = World::new();
    let chat = chat_server(&mut world);
    let ann = join(&mut world, chat, 1001, CHANNEL, XCHACHA);
    let bob = join(&mut world, chat, 1002, CHANNEL, AES);
    let cat = join(&mut world, chat, 1003, CHANNEL, AES);
    world.cut(ann.peer);
    world.send(chat, &removal(1003));
    assert_eq!(world.closed(cat.peer), Some(Some(4014)));
    let again = gateway(&mut world, 4);
    world.send(again, &resume(&ann.ticket, None));
    assert_eq!(world.take(again), json!({"op": 9, "d": null}));
    assert_eq!(world.take(again), json!({"op": 13, "d": {"user_id": "1003"}}));
    assert_eq!(world.take(again), json!({"op": 11, "d": {"user_ids": ["1002"]}}));
    assert_eq!(world.take(again)["d"]["ssrc"], bob.ssrc);
    assert!(world.take_all(again).is_empty());
}

/// What a peer wrote to a connection that has broken without its knowing is lost.
// Clauses: V3.5
#[test]
fn version_4_is_told_again_of_departures_that_it_may_not_have_read() {
    let mut world = World::new();
    let chat = chat_server(&mut world);
    let ann = join(&mut world, chat, 1001, CHANNEL, XCHACHA);
    let bob = join(&mut world, chat, 1002, CHANNEL, AES);
    let departures = |world: &mut World, peer| {
        let mut told = world.take_all(peer);
        told.retain(|message| message["op"] == 13);
        told
    };
    let resume_ann = |world: &mut World| {
        let again = gateway(world, 4);
        world.send(again, &resume(&ann.ticket, None));
        again
    };
    world.send(chat, &removal(1002));
    assert_eq!(world.closed(bob.peer), Some(Some(4014)));
    let gone = json!({"op": 13, "d": {"user_id": "1002"}});
    assert_eq!(departures(&mut world, ann.peer), std::slice::from_ref(&gone));
    let again = resume_ann(&mut world);
    let lost = "the first may have been lost";
    assert_eq!(departures(&mut world, again), std::slice::from_ref(&gone), "{lost}");
    let beat = |world: &mut World, peer, seconds| {
        for _ in 0..seconds {
            world.advance(Duration::from_secs(1));
            world.send(peer, &json!({"op": 3, "d": 1}));
        }
    };
    beat(&mut world, again, 46);
    let third = resume_ann(&mut world);
    assert_eq!(departures(&mut world, third), [gone], "and the second");
    beat(&mut world, third, 47);
    let fourth = resume_ann(&mut world);
    assert!(departures(&mut world, fourth).is_empty(), "who beats so much later has read it");
}

// Clauses: V3.6
#[test]
fn a_version_9_client_that_resumes_in_another_channel_is_refused() {
    for (channel, resumes) in [(CHANNEL + 1, false), (CHANNEL, true)] {
        let mut world = World::new();
        let chat = chat_server(&mut world);
        let ann = join(&mut world, chat, 1001, CHANNEL, (9, AES.1));
        world.cut(ann.peer);
        let again = gateway(&mut world, 9);
        let mut message = resume(&ann.ticket, None);
        message["d"]["channel_id"] = json!(channel.to_string());
        world.send(again, &message);
        if resumes {
            assert_eq!(world.take(again)["op"], 9);
        } else {
            assert_eq!(world.closed(again), Some(Some(4006)));
        }
    }
}

// Clauses: V3.7
#[test]
fn of_two_sockets_that_resume_the_newest_wins() {
    let mut world = World::new();
    let (_, ann, _) = pair(&mut world, AES);
    world.take_all(ann.peer);
    let (first, second) = (gateway(&mut world, 8), gateway(&mut world, 8));
    world.send(first, &resume(&ann.ticket, None));
    assert_eq!(world.take(first)["op"], 9);
    assert_eq!(world.closed(ann.peer), Some(Some(4006)), "the old socket, not the session");
    world.send(second, &resume(&ann.ticket, None));
    assert_eq!(world.take(second)["op"], 9);
    assert_eq!(world.closed(first), Some(Some(4006)));
    assert_eq!(world.server.session_count(), 2);
}

// Clauses: L3.4
#[test]
fn a_ticket_stays_good_for_another_identify_while_the_voice_state_lives() {
    let mut world = World::new();
    let (_, ann, bob) = pair(&mut world, AES);
    world.cut(ann.peer);
    let mut again = crate::people::connect(&mut world, ann.ticket, 8, AES.1);
    assert_eq!(bob.hear(&again.speak(&mut world, b"back")).len(), 1);
}

// Clauses: V3.2, V3.3
#[test]
fn numbers_go_past_65535_skip_0_and_survive_any_resume() {
    let mut world = World::with(|config| {
        config.limits.message_burst = 100_000;
        config.limits.message_refill_per_s = 100_000;
    });
    let (_, ann, bob) = pair(&mut world, AES);
    let mut peer = ann.peer;
    let mut heard = numbers(&world.take_all(peer));
    for n in 0..70_000u32 {
        toggle(&mut world, &bob, (n % 2 == 0).into());
        if n % 997 == 0 {
            // The connection breaks, sometimes before what was sent last arrived.
            let arrived = numbers(&world.take_all(peer));
            heard.extend(arrived);
            world.cut(peer);
            toggle(&mut world, &bob, 2);
            let last = heard.last().copied();
            peer = gateway(&mut world, 8);
            world.send(peer, &resume(&ann.ticket, last));
            assert_eq!(world.take(peer)["op"], 9, "after {last:?}");
        } else if n % 500 == 0 {
            heard.extend(numbers(&world.take_all(peer)));
            let last = heard.last().copied();
            world.send(peer, &json!({"op": 3, "d": {"t": 1, "seq_ack": last}}));
            assert_eq!(world.take(peer)["op"], 6);
        }
    }
    heard.extend(numbers(&world.take_all(peer)));
    assert!(heard.len() > 70_000, "{}", heard.len());
    let expected = (0..heard.len() as u64).map(|position| position % 65_535 + 1);
    assert!(heard.into_iter().eq(expected), "each once, in order, never 0");
}

// Clauses: V3.9, V4.14
#[test]
fn a_session_that_must_be_renewed_gets_4015_then_4006_and_its_ticket_stays_good() {
    let mut world = World::with(|config| {
        config.limits.key_soft_packets = 1_024;
        config.limits.key_hard_packets = 2_048;
    });
    let (_, ann, mut bob) = pair(&mut world, AES);
    for n in 0..2_048u32 {
        bob.speak(&mut world, b"until the key is used up");
        if n % 200 == 0 {
            world.advance(Duration::from_secs(5));
            for voice in [&ann, &bob] {
                beat(&mut world, voice);
            }
        }
        if world.closed(ann.peer).is_some() {
            break;
        }
    }
    assert_eq!(world.closed(ann.peer), Some(Some(4015)));
    let back = gateway(&mut world, 8);
    world.send(back, &resume(&ann.ticket, None));
    assert_eq!(world.closed(back), Some(Some(4006)));
    let again = crate::people::connect(&mut world, ann.ticket, 8, AES.1);
    world.advance(Duration::from_secs(2));
    assert_eq!(again.hear(&bob.speak(&mut world, b"under a new key")).len(), 1);
}
