//! A call from beginning to end: join, talk, mute, move, leave.

use std::net::SocketAddr;
use std::time::Duration;

use lvsp_core::crypto::mode::Mode;
use lvsp_core::output::Event;
use lvsp_core::reasons::DropReason;
use serde_json::{Value, json};

use crate::people::{
    CHANNEL, GUILD, OTHER_CHANNEL, Voice, chat_server, join, place, removal, request, ticket,
};
use crate::world::{PeerId, World};

pub(crate) const AES: (u8, Mode) = (8, Mode::Aes256GcmRtpSize);
pub(crate) const XCHACHA: (u8, Mode) = (4, Mode::XChaCha20Poly1305RtpSize);

fn of_op(messages: &[Value], op: u64) -> Vec<&Value> {
    messages.iter().filter(|message| message["op"] == op).collect()
}

/// Tells the server that flags of a user changed.
fn flag(world: &mut World, chat: PeerId, user: u64, flags: &Value) {
    let mut info = json!({"user_id": user.to_string(), "channel_id": CHANNEL.to_string(),
        "guild_id": GUILD.to_string()});
    for (key, value) in flags.as_object().expect("flags") {
        info[key] = value.clone();
    }
    world.send(chat, &json!({"op": 6, "d": {"type": 1, "info": info}}));
}

/// Two clients of different versions and modes in one channel.
fn pair(world: &mut World) -> (PeerId, Voice, Voice) {
    let chat = chat_server(world);
    let ann = join(world, chat, 1001, CHANNEL, AES);
    let bob = join(world, chat, 1002, CHANNEL, XCHACHA);
    (chat, ann, bob)
}

// Clauses: L4.6, V2.13, V2.17, V3.1, V4.11
#[test]
fn two_clients_join_talk_and_leave() {
    let mut world = World::new();
    let (chat, mut ann, mut bob) = pair(&mut world);

    // Both know the other's SSRC before the first packet.
    let told_ann = world.take_all(ann.peer);
    assert_eq!(of_op(&told_ann, 11)[0]["d"]["user_ids"], json!(["1002"]));
    let speaking = &of_op(&told_ann, 5)[0]["d"];
    assert_eq!(*speaking, json!({"speaking": 0, "ssrc": bob.ssrc, "user_id": "1002"}));
    let told_bob = world.take_all(bob.peer);
    assert_eq!(of_op(&told_bob, 11)[0]["d"]["user_ids"], json!(["1001"]));
    assert_eq!(of_op(&told_bob, 5)[0]["d"]["ssrc"], ann.ssrc);
    assert!(told_bob.iter().all(|message| message.get("seq").is_none()), "no seq on version 4");
    assert_eq!(told_ann[0]["seq"], 1, "numbers begin at 1");

    for frame in 0..20u8 {
        let sent = ann.speak(&mut world, &[0xFC, frame]);
        assert_eq!(bob.hear(&sent), [(ann.ssrc, ann.sequence, vec![0xFC, frame])]);
        assert_eq!(sent.len(), 1, "never to the speaker itself");
        let sent = bob.speak(&mut world, &[0xFC, frame, 7]);
        assert_eq!(ann.hear(&sent), [(bob.ssrc, bob.sequence, vec![0xFC, frame, 7])]);
    }

    let gone = json!({"user_id": "1001", "channel_id": null, "guild_id": GUILD.to_string()});
    world.take_all(chat);
    world.send(chat, &json!({"op": 6, "d": {"type": 1, "info": gone}}));
    assert_eq!(world.closed(ann.peer), Some(Some(4014)));
    assert_eq!(world.take(chat)["d"]["info"]["channel_id"], Value::Null);
    let told_bob = world.take_all(bob.peer);
    assert_eq!(of_op(&told_bob, 13)[0]["d"]["user_id"], "1001");
    assert!(ann.speak(&mut world, b"late").is_empty());
    assert_eq!(world.server.session_count(), 1);
}

// Clauses: V2.7, V4.15
#[test]
fn every_mode_reaches_every_other() {
    let mut world = World::with(|config| config.media.legacy_modes = true);
    let chat = chat_server(&mut world);
    let mut voices: Vec<_> = Mode::ALL
        .into_iter()
        .zip(1001..)
        .map(|(mode, user)| join(&mut world, chat, user, CHANNEL, (8, mode)))
        .collect();
    for speaker in 0..voices.len() {
        let payload = [0xFC, u8::try_from(speaker).expect("seven")];
        let sent = voices[speaker].speak(&mut world, &payload);
        assert_eq!(sent.len(), voices.len() - 1);
        for (listener, voice) in voices.iter().enumerate().filter(|(at, _)| *at != speaker) {
            let heard = voice.hear(&sent);
            assert_eq!(heard.len(), 1, "{speaker} to {listener}");
            assert_eq!(heard[0].2, payload);
        }
    }
}

// Clauses: V4.11
#[test]
fn two_channels_never_hear_each_other() {
    let mut world = World::new();
    let chat = chat_server(&mut world);
    let mut ann = join(&mut world, chat, 1001, CHANNEL, AES);
    let mut cat = join(&mut world, chat, 1003, OTHER_CHANNEL, AES);
    let bob = join(&mut world, chat, 1002, CHANNEL, AES);
    let dan = join(&mut world, chat, 1004, OTHER_CHANNEL, AES);
    let sent = ann.speak(&mut world, b"one");
    assert_eq!((sent.len(), bob.hear(&sent).len()), (1, 1));
    let sent = cat.speak(&mut world, b"two");
    assert_eq!((sent.len(), dan.hear(&sent).len()), (1, 1));
    for (peer, stranger) in [(ann.peer, cat.ssrc), (bob.peer, cat.ssrc), (cat.peer, ann.ssrc)] {
        let told = world.take_all(peer);
        assert!(of_op(&told, 5).iter().all(|speaking| speaking["d"]["ssrc"] != stranger));
    }
}

// Clauses: L4.4, L4.5, V2.15, V4.11
#[test]
fn a_muted_speaker_is_silent_until_it_is_unmuted() {
    for kept_silent in ["mute", "suppress", "self_mute"] {
        let mut world = World::new();
        let (chat, mut ann, bob) = pair(&mut world);
        world.send(ann.peer, &json!({"op": 5, "d": {"speaking": 1, "delay": 0, "ssrc": ann.ssrc}}));
        world.take_all(bob.peer);
        world.take_all(chat);

        flag(&mut world, chat, 1001, &json!({kept_silent: true}));
        assert_eq!(world.take(chat)["d"]["info"][kept_silent], true, "what is now in force");
        assert_eq!(world.take(bob.peer)["d"]["speaking"], 0, "forced to 0");
        assert!(ann.speak(&mut world, b"unheard").is_empty());
        assert!(world.relay.stats().drops.of(DropReason::Muted) > 0);
        world.send(ann.peer, &json!({"op": 5, "d": {"speaking": 1, "delay": 0}}));
        assert!(world.take_all(bob.peer).is_empty(), "no speaking of one who is kept silent");

        flag(&mut world, chat, 1001, &json!({kept_silent: false}));
        let told = world.take_all(bob.peer);
        let speaking = of_op(&told, 5);
        assert_eq!(speaking.len(), 1, "{kept_silent}: what it stated is in force again");
        assert_eq!(speaking[0]["d"]["speaking"], 1);
        assert_eq!(bob.hear(&ann.speak(&mut world, b"heard")).len(), 1);
        assert!(world.take_all(bob.peer).is_empty(), "nothing is said twice");
    }
}

// Clauses: V2.13
#[test]
fn a_newcomer_is_told_who_is_speaking_at_that_moment() {
    let mut world = World::new();
    let (chat, ann, bob) = pair(&mut world);
    world.send(ann.peer, &json!({"op": 5, "d": {"speaking": 1, "delay": 0, "ssrc": ann.ssrc}}));
    let cat = join(&mut world, chat, 1003, CHANNEL, AES);
    let told = world.take_all(cat.peer);
    assert_eq!(
        of_op(&told, 5).iter().map(|speaking| speaking["d"].clone()).collect::<Vec<_>>(),
        [
            json!({"speaking": 1, "ssrc": ann.ssrc, "user_id": "1001"}),
            json!({"speaking": 0, "ssrc": bob.ssrc, "user_id": "1002"}),
        ]
    );
}

// Clauses: L4.5, V4.11
#[test]
fn a_deafened_listener_gets_nothing() {
    for deaf in ["deaf", "self_deaf"] {
        let mut world = World::new();
        let (chat, mut ann, bob) = pair(&mut world);
        flag(&mut world, chat, 1002, &json!({deaf: true}));
        assert!(ann.speak(&mut world, b"unheard").is_empty());
        flag(&mut world, chat, 1002, &json!({deaf: false}));
        assert_eq!(bob.hear(&ann.speak(&mut world, b"heard")).len(), 1);
    }
}

// Clauses: V2.14
#[test]
fn only_those_who_may_speak_are_announced() {
    let mut world = World::new();
    let chat = chat_server(&mut world);
    let bob = join(&mut world, chat, 1002, CHANNEL, AES);
    let mut order = request(1001, CHANNEL);
    order["d"]["suppress"] = json!(true);
    world.take_all(chat);
    world.send(chat, &order);
    let info = world.take(chat)["d"]["info"].clone();
    world.take_all(bob.peer);
    let ann = crate::people::connect(&mut world, ticket(1001, &info), 8, Mode::Aes256GcmRtpSize);
    let told = world.take_all(bob.peer);
    assert_eq!(of_op(&told, 11).len(), 1);
    assert!(of_op(&told, 5).is_empty(), "a listener of a stage costs the others nothing");
    flag(&mut world, chat, 1001, &json!({"suppress": false}));
    assert_eq!(
        world.take(bob.peer)["d"],
        json!({"speaking": 0, "ssrc": ann.ssrc, "user_id": "1001"})
    );
}

// Clauses: V2.16
#[test]
fn audio_without_an_op_5_is_announced_once() {
    let mut world = World::new();
    let (_, mut ann, bob) = pair(&mut world);
    world.take_all(bob.peer);
    for _ in 0..3 {
        ann.speak(&mut world, b"eris never says that it speaks");
    }
    let told = world.take_all(bob.peer);
    assert_eq!(of_op(&told, 5).len(), 1);
    assert_eq!(told[0]["d"]["speaking"], 1);
}

// Clauses: V2.15
#[test]
fn priority_is_stripped_without_a_permission() {
    let mut world = World::new();
    let (_, ann, bob) = pair(&mut world);
    world.take_all(bob.peer);
    world.send(ann.peer, &json!({"op": 5, "d": {"speaking": 7, "delay": 0, "ssrc": ann.ssrc}}));
    assert_eq!(world.take(bob.peer)["d"]["speaking"], 3);
}

// Clauses: L3.6
#[test]
fn a_move_is_one_step_with_new_credentials() {
    let mut world = World::new();
    let (chat, mut ann, bob) = pair(&mut world);
    let old = ann.ticket.clone();
    world.take_all(chat);
    world.take_all(bob.peer);
    let new = place(&mut world, chat, 1001, OTHER_CHANNEL);
    assert_eq!(world.closed(ann.peer), Some(Some(4014)));
    assert_ne!(old.token, new.token);
    assert_ne!(old.session_id, new.session_id);
    assert!(ann.speak(&mut world, b"still in the old channel?").is_empty());
    assert_eq!(of_op(&world.take_all(bob.peer), 13).len(), 1);
    let mut ann = crate::people::connect(&mut world, new, 8, Mode::Aes256GcmRtpSize);
    assert!(ann.speak(&mut world, b"alone").is_empty());
    assert!(world.take_all(chat).iter().all(|m| m["d"]["info"]["channel_id"] != Value::Null));
}

// Clauses: L2.6
#[test]
fn media_flows_while_the_control_link_is_lost() {
    let mut world = World::new();
    let (chat, mut ann, bob) = pair(&mut world);
    world.cut(chat);
    for _ in 0..20 {
        for voice in [&ann, &bob] {
            world.send(voice.peer, &json!({"op": 3, "d": 1}));
        }
        assert_eq!(bob.hear(&ann.speak(&mut world, b"still here")).len(), 1);
        world.advance(Duration::from_secs(13));
    }
}

// Clauses: L2.6
#[test]
fn calls_end_when_no_chat_server_comes_back_within_the_grace_time() {
    let mut world = World::new();
    let (chat, ann, bob) = pair(&mut world);
    world.cut(chat);
    for _ in 0..26 {
        for voice in [&ann, &bob] {
            world.send(voice.peer, &json!({"op": 3, "d": 1}));
        }
        world.advance(Duration::from_secs(13));
    }
    assert_eq!(world.closed(ann.peer), Some(Some(4022)));
    assert_eq!(world.closed(bob.peer), Some(Some(4022)));
    assert_eq!(world.server.session_count(), 0);
}

// Clauses: V4.6
#[test]
fn media_from_elsewhere_than_the_gateway_connection_is_told_of() {
    let mut world = World::new();
    let (_, mut ann, _) = pair(&mut world);
    assert!(!world.events.iter().any(|event| matches!(event, Event::ForeignAddress { .. })));
    ann.address = SocketAddr::from(([203, 0, 113, 66], 4_000));
    ann.speak(&mut world, b"from a victim's address");
    let told = |event: &Event| {
        matches!(event, Event::ForeignAddress { user, address, .. }
            if user.as_u64() == 1001 && *address == ann.address)
    };
    assert!(world.events.iter().any(told));
}

// Clauses: V2.18
#[test]
fn in_a_large_channel_arrivals_and_departures_are_told_together() {
    let mut world = World::with(|config| config.limits.gather_above_members = 3);
    let chat = chat_server(&mut world);
    let ann = join(&mut world, chat, 1001, CHANNEL, AES);
    let bob = join(&mut world, chat, 1002, CHANNEL, AES);
    let cat = join(&mut world, chat, 1003, CHANNEL, AES);
    world.take_all(ann.peer);
    let mut dan = join(&mut world, chat, 1004, CHANNEL, XCHACHA);
    let eve = join(&mut world, chat, 1005, CHANNEL, XCHACHA);
    let told = world.take_all(ann.peer);
    assert_eq!(of_op(&told, 11).len(), 0, "not yet");
    assert_eq!(of_op(&told, 5).len(), 2, "but whose SSRC is whose, before the first packet");
    assert_eq!(ann.hear(&dan.speak(&mut world, b"media waits for nothing")).len(), 1);
    let newcomer = world.take_all(eve.peer);
    let all = json!(["1001", "1002", "1003", "1004"]);
    assert_eq!(of_op(&newcomer, 11)[0]["d"]["user_ids"], all, "a newcomer knows everybody at once");

    world.send(chat, &removal(1003));
    world.take_all(ann.peer);
    world.advance(Duration::from_millis(100));
    let told = world.take_all(ann.peer);
    assert_eq!(of_op(&told, 11).len(), 1);
    assert_eq!(of_op(&told, 11)[0]["d"]["user_ids"], json!(["1004", "1005"]));
    assert_eq!(of_op(&told, 13)[0]["d"]["user_id"], "1003");
    assert!(of_op(&world.take_all(eve.peer), 11).is_empty(), "it knows them already");
    assert_eq!(world.closed(cat.peer), Some(Some(4014)));
    assert_eq!(of_op(&world.take_all(bob.peer), 13).len(), 1);
}
