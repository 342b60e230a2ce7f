//! The voice gateway's rules: what is refused with which code, what is tolerated, how it looks.

use std::time::Duration;

use lvsp_core::crypto::mode::Mode;
use lvsp_core::output::Shutdown;
use serde_json::{Value, json};

use crate::lifecycle::AES;
use crate::people::{
    CHANNEL, GUILD, chat_server, gateway, identify, join, place, restatement, select,
};
use crate::world::World;

/// What a client sends behind a proper Identify, and the close code that it gets.
// Clauses: V2.1, V2.9, V2.21
#[test]
fn mistakes_get_the_code_that_the_reference_names() {
    let udp = |mode: &str| {
        json!({"op": 1, "d": {"protocol": "udp",
            "data": {"address": "198.51.100.20", "port": 4000, "mode": mode}}})
    };
    let cases: [(&str, String, u16); 10] = [
        ("no JSON", "{\"op\":3,".to_owned(), 4002),
        ("an array", "[3,{\"t\":1}]".to_owned(), 4002),
        ("a key twice", "{\"op\":3,\"op\":3,\"d\":1}".to_owned(), 4002),
        ("too deep", format!("{{\"op\":3,\"d\":{}1{}}}", "[".repeat(20), "]".repeat(20)), 4002),
        ("a fraction", "{\"op\":1.0,\"d\":{}}".to_owned(), 4020),
        ("a missing field", "{\"op\":1,\"d\":{\"data\":{}}}".to_owned(), 4020),
        ("another's SSRC", json!({"op": 5, "d": {"speaking": 1, "ssrc": 4}}).to_string(), 4020),
        ("an unknown mode", udp("plain").to_string(), 4016),
        ("a mode not offered", udp("xsalsa20_poly1305").to_string(), 4016),
        (
            "an unknown protocol",
            json!({"op": 1, "d": {"protocol": "webrtc", "data": "a=ice-ufrag:x"}}).to_string(),
            4012,
        ),
    ];
    for (name, text, code) in cases {
        let mut world = World::new();
        let chat = chat_server(&mut world);
        let ann = place(&mut world, chat, 1001, CHANNEL);
        let mut bob = join(&mut world, chat, 1002, CHANNEL, AES);
        let cat = join(&mut world, chat, 1003, CHANNEL, AES);
        let peer = gateway(&mut world, 8);
        world.send(peer, &identify(&ann));
        assert_eq!(world.take(peer)["op"], 2);
        world.send_text(peer, &text);
        assert_eq!(world.closed(peer), Some(Some(code)), "{name}");
        assert_eq!(cat.hear(&bob.speak(&mut world, b"unaffected")).len(), 1, "{name}");
    }
}

// Clauses: V2.4
#[test]
fn a_wrong_secret_is_refused_with_4004() {
    for field in ["token", "session_id", "user_id"] {
        let mut world = World::new();
        let chat = chat_server(&mut world);
        let ann = place(&mut world, chat, 1001, CHANNEL);
        place(&mut world, chat, 1002, CHANNEL);
        let peer = gateway(&mut world, 8);
        let mut message = identify(&ann);
        message["d"][field] = json!("1002");
        world.send(peer, &message);
        assert_eq!(world.closed(peer), Some(Some(4004)), "{field}");
    }
}

// Clauses: V3.11
#[test]
fn a_stranger_is_not_told_which_guilds_are_known() {
    let mut world = World::new();
    let chat = chat_server(&mut world);
    let ann = place(&mut world, chat, 1001, CHANNEL);
    // A chat server that is new here is given time to state what a client asks for.
    world.advance(Duration::from_secs(31));
    for (server, user) in [(GUILD + 1, "1001"), (GUILD, "1002")] {
        let peer = gateway(&mut world, 8);
        let mut message = identify(&ann);
        message["d"]["server_id"] = json!(server.to_string());
        message["d"]["user_id"] = json!(user);
        world.send(peer, &message);
        assert_eq!(world.closed(peer), Some(Some(4004)), "{server} {user}");
    }
}

// Clauses: V2.2
#[test]
fn messages_before_identify_are_refused_but_heartbeats_answered() {
    let mut world = World::new();
    chat_server(&mut world);
    let peer = gateway(&mut world, 8);
    world.send(peer, &json!({"op": 3, "d": {"t": 5, "seq_ack": -1}}));
    assert_eq!(world.take(peer), json!({"op": 6, "d": {"t": 5}}));
    world.send(peer, &json!({"op": 5, "d": {"speaking": 1}}));
    assert_eq!(world.closed(peer), Some(Some(4003)));
}

// Clauses: V2.2
#[test]
fn a_second_identify_is_refused_with_4005() {
    let mut world = World::new();
    let chat = chat_server(&mut world);
    let ann = join(&mut world, chat, 1001, CHANNEL, AES);
    world.send(ann.peer, &identify(&ann.ticket));
    assert_eq!(world.closed(ann.peer), Some(Some(4005)));
}

// Clauses: V1.1
#[test]
fn no_identify_in_time_is_4009() {
    let mut world = World::new();
    let peer = gateway(&mut world, 8);
    world.advance(Duration::from_millis(9_999));
    assert_eq!(world.closed(peer), None);
    world.advance(Duration::from_millis(1));
    assert_eq!(world.closed(peer), Some(Some(4009)));
}

// Clauses: V2.19
#[test]
fn what_an_audio_server_has_no_use_for_is_tolerated() {
    let mut world = World::new();
    let chat = chat_server(&mut world);
    let mut ann = join(&mut world, chat, 1001, CHANNEL, AES);
    let bob = join(&mut world, chat, 1002, CHANNEL, AES);
    world.take_all(ann.peer);
    for message in [
        json!({"op": 12, "d": {"audio_ssrc": ann.ssrc, "video_ssrc": 0, "rtx_ssrc": 0}}),
        json!({"op": 14, "d": {"codecs": []}}),
        json!({"op": 15, "d": {"any": 100, "pixelCounts": {}}}),
        json!({"op": 23, "d": {"transition_id": 10}}),
        json!({"op": 31, "d": {"transition_id": 10}}),
        json!({"op": 18, "d": {"user_id": "1001", "flags": null}}),
        json!({"op": 20, "d": {"user_id": "1001", "platform": 0}}),
        json!({"op": 77, "d": null}),
        json!({"op": 78}),
    ] {
        world.send(ann.peer, &message);
    }
    world.send_binary(ann.peer, &[26, 1, 2, 3]);
    world.send_binary(ann.peer, &[]);
    assert!(world.take_all(ann.peer).is_empty());
    assert_eq!(world.closed(ann.peer), None);
    assert_eq!(bob.hear(&ann.speak(&mut world, b"still here")).len(), 1);
    world.send(ann.peer, &json!({"op": 16, "d": {}}));
    let versions = world.take(ann.peer);
    assert!(versions["d"]["voice"].is_string() && versions["d"]["rtc_worker"].is_string());
}

// Clauses: V2.21
#[test]
fn speaking_may_name_no_ssrc_or_any_of_the_sessions_own() {
    let mut world = World::new();
    let chat = chat_server(&mut world);
    let ann = join(&mut world, chat, 1001, CHANNEL, AES);
    let bob = join(&mut world, chat, 1002, CHANNEL, AES);
    world.take_all(bob.peer);
    let named = [json!(ann.ssrc), json!(ann.ssrc + 3), json!(0), json!(null)];
    for (ssrc, speaking) in named.into_iter().zip([1, 0, 1, 0]) {
        world.send(ann.peer, &json!({"op": 5, "d": {"speaking": speaking, "ssrc": ssrc}}));
        let told = world.take(bob.peer);
        assert_eq!(
            told["d"],
            json!({"speaking": speaking, "ssrc": ann.ssrc, "user_id": "1001"}),
            "the session's SSRC, whatever the client wrote: {ssrc}"
        );
    }
}

// Clauses: V2.19
#[test]
fn a_client_without_a_route_loses_its_connection_and_keeps_its_session() {
    let mut world = World::new();
    let chat = chat_server(&mut world);
    let ann = join(&mut world, chat, 1001, CHANNEL, AES);
    world.send(ann.peer, &json!({"op": 32, "d": {}}));
    assert_eq!(world.ended(ann.peer), Some(Shutdown::Abrupt));
    let again = gateway(&mut world, 8);
    world.send(again, &crate::people::resume(&ann.ticket, None));
    assert_eq!(world.take(again)["op"], 9);
}

// Clauses: V2.11
#[test]
fn heartbeats_are_answered_in_the_form_of_the_version() {
    for (version, sent, answered) in [
        (
            8,
            json!({"t": 1_760_000_000_123_u64, "seq_ack": 10}),
            json!({"t": 1_760_000_000_123_u64}),
        ),
        (8, json!(-12), json!({"t": -12})),
        (4, json!(9_007_199_254_740_991_u64), json!(9_007_199_254_740_991_u64)),
        (4, json!({"t": 7}), json!(7)),
    ] {
        let mut world = World::new();
        let peer = gateway(&mut world, version);
        world.send(peer, &json!({"op": 3, "d": sent}));
        assert_eq!(world.take(peer), json!({"op": 6, "d": answered}));
    }
}

// Clauses: V2.7, V2.8
#[test]
fn ready_and_session_description_have_what_every_library_needs() {
    let mut world = World::new();
    let chat = chat_server(&mut world);
    let ann = place(&mut world, chat, 1001, CHANNEL);
    let peer = gateway(&mut world, 4);
    world.send(peer, &identify(&ann));
    let ready = world.take(peer);
    let keys: Vec<_> = ready.as_object().expect("an object").keys().collect();
    assert_eq!(keys, ["d", "op"], "songbird drops a message with any other key");
    let d = &ready["d"];
    assert_eq!(d["ip"], "203.0.113.7");
    assert_eq!(d["port"], 50_000);
    assert_eq!(d["modes"], json!(["aead_aes256_gcm_rtpsize", "aead_xchacha20_poly1305_rtpsize"]));
    assert!(d["heartbeat_interval"].as_u64().expect("discordgo needs it") > 0);
    assert_eq!((&d["streams"], &d["experiments"]), (&json!([]), &json!([])));
    let ssrc = d["ssrc"].as_u64().expect("a number");
    assert!(ssrc > 0 && ssrc < 1 << 31 && ssrc.is_multiple_of(4));
}

// Clauses: V2.10
#[test]
fn each_select_protocol_gets_a_new_key_and_too_many_end() {
    let mut world = World::new();
    let chat = chat_server(&mut world);
    let ann = join(&mut world, chat, 1001, CHANNEL, AES);
    let mut keys = Vec::new();
    let again = json!({"op": 1, "d": {"protocol": "udp", "data": {"address": "198.51.100.1",
        "port": 4000, "mode": "aead_aes256_gcm_rtpsize"}}});
    world.take_all(ann.peer);
    for _ in 0..4 {
        world.send(ann.peer, &again);
        keys.push(world.take(ann.peer)["d"]["secret_key"].to_string());
    }
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 4, "the same key twice would repeat nonces");
    world.send(ann.peer, &again);
    assert_eq!(world.closed(ann.peer), Some(Some(4020)));
}

// Clauses: V2.3
#[test]
fn a_flood_of_messages_is_4021() {
    let mut world = World::new();
    let chat = chat_server(&mut world);
    let ann = join(&mut world, chat, 1001, CHANNEL, AES);
    let mut speak = || world.send(ann.peer, &json!({"op": 5, "d": {"speaking": 1}}));
    // Identify and Select Protocol count as well.
    (2..120).for_each(|_| speak());
    assert_eq!(world.closed(ann.peer), None);
    world.advance(Duration::from_millis(50));
    world.send(ann.peer, &json!({"op": 5, "d": {"speaking": 0}}));
    assert_eq!(world.closed(ann.peer), None, "20 a second");
    world.send(ann.peer, &json!({"op": 5, "d": {"speaking": 1}}));
    assert_eq!(world.closed(ann.peer), Some(Some(4021)));
    let again = gateway(&mut world, 8);
    world.send(again, &identify(&ann.ticket));
    world.advance(Duration::from_millis(9_999));
    assert!(world.take_all(again).is_empty() && world.closed(again).is_none());
    world.advance(Duration::from_millis(1));
    assert_eq!(world.take(again)["op"], 2);
}

// Clauses: L6.4, V2.5
#[test]
fn an_identify_waits_for_a_chat_server_that_is_about_to_state_it() {
    let mut world = World::new();
    let ticket = crate::people::Ticket {
        user: 1001,
        session_id: "kept-by-the-chat-server".to_owned(),
        token: "kept-as-well".to_owned(),
    };
    let peer = gateway(&mut world, 8);
    world.send(peer, &identify(&ticket));
    assert!(world.take_all(peer).is_empty());
    let chat = chat_server(&mut world);
    world.send(chat, &restatement(&ticket, CHANNEL));
    assert_eq!(world.take(peer)["op"], 2, "Ready");

    let other = gateway(&mut world, 8);
    world.send(other, &identify(&crate::people::Ticket { user: 1009, ..ticket }));
    world.advance(Duration::from_millis(2_999));
    assert_eq!(world.closed(other), None);
    world.advance(Duration::from_millis(1));
    assert_eq!(world.closed(other), Some(Some(4004)));
}

// Clauses: V2.6
#[test]
fn a_new_identify_takes_the_session_over() {
    let mut world = World::new();
    let chat = chat_server(&mut world);
    let ann = join(&mut world, chat, 1001, CHANNEL, AES);
    let bob = join(&mut world, chat, 1002, CHANNEL, AES);
    let mut again =
        crate::people::connect(&mut world, ann.ticket.clone(), 8, Mode::Aes256GcmRtpSize);
    assert_eq!(world.closed(ann.peer), Some(Some(4006)));
    assert_ne!(ann.ssrc, again.ssrc);
    assert_eq!(bob.hear(&again.speak(&mut world, b"here again")).len(), 1);
}

// Clauses: V1.2
#[test]
fn versions_that_are_none_are_refused_and_newer_ones_served_as_the_newest() {
    let mut world = World::new();
    for target in ["/?v=0", "/?v=", "/?v=eight"] {
        let peer = world.connect(lvsp_core::output::Plane::Gateway, target);
        assert_eq!(world.closed(peer), Some(Some(4020)), "{target}");
        assert!(world.take_all(peer).is_empty());
    }
    let newest = world.connect(lvsp_core::output::Plane::Gateway, "/?v=12");
    assert_eq!(world.take(newest)["d"]["v"], 9);
}

// Clauses: V2.4
#[test]
fn a_version_9_client_must_name_the_right_channel() {
    for (channel, ready) in [(CHANNEL, true), (CHANNEL + 1, false)] {
        let mut world = World::new();
        let chat = chat_server(&mut world);
        let ann = place(&mut world, chat, 1001, CHANNEL);
        let peer = gateway(&mut world, 9);
        let mut message = identify(&ann);
        message["d"]["channel_id"] = json!(channel.to_string());
        world.send(peer, &message);
        if ready {
            assert_eq!(world.take(peer)["op"], 2);
        } else {
            assert_eq!(world.closed(peer), Some(Some(4004)));
        }
    }
}

// Clauses: V3.10
#[test]
fn a_client_that_does_not_read_is_dropped_and_its_session_kept() {
    let mut world = World::new();
    let chat = chat_server(&mut world);
    let ann = join(&mut world, chat, 1001, CHANNEL, AES);
    let bob = join(&mut world, chat, 1002, CHANNEL, AES);
    world.set_reading(ann.peer, false);
    world.send(bob.peer, &json!({"op": 5, "d": {"speaking": 1}}));
    world.advance(Duration::from_secs(11));
    assert_eq!(world.ended(ann.peer), Some(Shutdown::Abrupt));
    assert_eq!(world.server.session_count(), 2, "it can be resumed");
}

// Clauses: V4.13
#[test]
fn both_sides_may_speak_first_and_little_endian_counters_are_heard() {
    for library in ["Koe", "disgo", "discordgo", "NetCord"] {
        let mut world = World::new();
        let chat = chat_server(&mut world);
        let mut ann = join(&mut world, chat, 1001, CHANNEL, AES);
        let mut bob = join(&mut world, chat, 1002, CHANNEL, AES);
        ann.little_endian = true;
        for frame in 0..300u16 {
            world.advance(Duration::from_millis(20));
            let payload = frame.to_be_bytes();
            assert_eq!(ann.hear(&bob.speak(&mut world, &payload)).len(), 1, "{library}");
            assert_eq!(bob.hear(&ann.speak(&mut world, &payload)).len(), 1, "{library}");
        }
    }
}

#[test]
fn a_reselected_mode_is_used_at_once() {
    let mut world = World::new();
    let chat = chat_server(&mut world);
    let mut ann = join(&mut world, chat, 1001, CHANNEL, AES);
    let bob = join(&mut world, chat, 1002, CHANNEL, AES);
    world.take_all(bob.peer);
    let mode = Mode::XChaCha20Poly1305RtpSize;
    let cipher = select(&mut world, bob.peer, bob.address, mode);
    let sent = ann.speak(&mut world, b"under the new key");
    let (_, mut packet) = sent.into_iter().next().expect("bob is bound");
    assert!(cipher.open(&mut packet, 16).is_ok());
}

// Clauses: V3.6
#[test]
fn resumes_of_strangers_are_4006_at_once() {
    let mut world = World::new();
    chat_server(&mut world);
    let peer = gateway(&mut world, 8);
    let d: Value = json!({"server_id": GUILD.to_string(), "session_id": "nobody",
        "token": "nothing", "seq_ack": 1});
    world.send(peer, &json!({"op": 7, "d": d}));
    assert_eq!(world.closed(peer), Some(Some(4006)));
}
