//! Conversations of the client libraries: what each one says, literally, and what it must be told.
//!
//! Each profile names the library, its version and the file that the messages were read in.
//! `"*"` stands for any value; every other value and every key must be exactly as written, because
//! several libraries refuse a message with a key too many.

use std::net::SocketAddr;

use lvsp_core::output::Plane;
use serde_json::{Value, json};

use crate::people::{CHANNEL, GUILD, chat_server, place};
use crate::world::{HOST, PeerId, World};

/// What a library does with the voice gateway.
struct Profile {
    library: &'static str,
    file: &'static str,
    target: &'static str,
    /// Waits for Hello before it identifies.
    identify: &'static str,
    select: &'static str,
    /// Between Select Protocol and its Session Description, or right behind it.
    behind_select: &'static [&'static str],
    heartbeats: &'static [(&'static str, &'static str)],
    speaking: &'static str,
    resume: &'static str,
    hello: &'static str,
    resumed: &'static str,
    old_versions: bool,
    legacy_modes: bool,
}

const HELLO_8: &str = r#"{"op":8,"d":{"v":8,"heartbeat_interval":13750}}"#;
const HELLO_4: &str = r#"{"op":8,"d":{"v":4,"heartbeat_interval":13750}}"#;
const RESUMED: &str = r#"{"op":9,"d":null}"#;

const PROFILES: &[Profile] = &[
    Profile {
        library: "@discordjs/voice 0.19.2",
        file: "src/networking/Networking.ts, VoiceWebSocket.ts",
        target: "/?v=8",
        identify: r#"{"op":0,"d":{"server_id":"GUILD","user_id":"USER","session_id":"SESSION","token":"TOKEN","max_dave_protocol_version":1}}"#,
        select: r#"{"op":1,"d":{"protocol":"udp","data":{"address":"198.51.100.20","port":40001,"mode":"aead_aes256_gcm_rtpsize"}}}"#,
        behind_select: &[],
        heartbeats: &[(
            r#"{"op":3,"d":{"t":1760000000123,"seq_ack":-1}}"#,
            r#"{"op":6,"d":{"t":1760000000123}}"#,
        )],
        speaking: r#"{"op":5,"d":{"speaking":1,"delay":0,"ssrc":SSRC}}"#,
        resume: r#"{"op":7,"d":{"server_id":"GUILD","session_id":"SESSION","token":"TOKEN","seq_ack":-1}}"#,
        hello: HELLO_8,
        resumed: RESUMED,
        old_versions: false,
        legacy_modes: false,
    },
    Profile {
        library: "songbird 0.6.1 (serenity-voice-model 0.3.0)",
        file: "src/driver/connection/mod.rs, ws.rs",
        target: "/?v=4",
        identify: r#"{"op":0,"d":{"max_dave_protocol_version":1,"server_id":"GUILD","session_id":"SESSION","token":"TOKEN","user_id":"USER"}}"#,
        select: r#"{"op":1,"d":{"protocol":"udp","data":{"address":"198.51.100.20","mode":"aead_xchacha20_poly1305_rtpsize","port":40001}}}"#,
        behind_select: &[],
        heartbeats: &[(r#"{"op":3,"d":9007199254740991}"#, r#"{"op":6,"d":9007199254740991}"#)],
        speaking: r#"{"op":5,"d":{"delay":0,"speaking":1,"ssrc":SSRC,"user_id":null}}"#,
        resume: r#"{"op":7,"d":{"server_id":"GUILD","session_id":"SESSION","token":"TOKEN"}}"#,
        hello: HELLO_4,
        resumed: RESUMED,
        old_versions: false,
        legacy_modes: false,
    },
    Profile {
        library: "discord.py 2.7.1",
        file: "discord/gateway.py, voice_state.py",
        target: "/?v=8",
        identify: r#"{"op":0,"d":{"server_id":"GUILD","user_id":"USER","session_id":"SESSION","token":"TOKEN","max_dave_protocol_version":0}}"#,
        select: r#"{"op":1,"d":{"protocol":"udp","data":{"address":"198.51.100.20","port":40001,"mode":"aead_xchacha20_poly1305_rtpsize"}}}"#,
        behind_select: &[],
        heartbeats: &[(
            r#"{"op":3,"d":{"t":1760000000123,"seq_ack":-1}}"#,
            r#"{"op":6,"d":{"t":1760000000123}}"#,
        )],
        speaking: r#"{"op":5,"d":{"speaking":1,"delay":0,"ssrc":SSRC}}"#,
        resume: r#"{"op":7,"d":{"token":"TOKEN","server_id":"GUILD","session_id":"SESSION","seq_ack":-1}}"#,
        hello: HELLO_8,
        resumed: RESUMED,
        old_versions: false,
        legacy_modes: false,
    },
    Profile {
        library: "eris 0.18.0",
        file: "lib/voice/VoiceConnection.js",
        target: "/?v=4",
        identify: r#"{"op":0,"d":{"server_id":"GUILD","user_id":"USER","session_id":"SESSION","token":"TOKEN"}}"#,
        select: r#"{"op":1,"d":{"protocol":"udp","data":{"address":"198.51.100.20","port":40001,"mode":"xsalsa20_poly1305"}}}"#,
        behind_select: &[],
        heartbeats: &[(r#"{"op":3,"d":1760000000123}"#, r#"{"op":6,"d":1760000000123}"#)],
        speaking: r#"{"op":5,"d":{"speaking":1,"delay":0,"ssrc":SSRC}}"#,
        resume: r#"{"op":7,"d":{"server_id":"GUILD","session_id":"SESSION","token":"TOKEN"}}"#,
        hello: HELLO_4,
        resumed: RESUMED,
        old_versions: false,
        legacy_modes: true,
    },
    Profile {
        library: "JDA 6.4.2",
        file: "internal/audio/AudioWebSocket.java",
        target: "/?v=8",
        identify: r#"{"op":0,"d":{"server_id":"GUILD","user_id":"USER","session_id":"SESSION","token":"TOKEN","max_dave_protocol_version":0}}"#,
        select: r#"{"op":1,"d":{"protocol":"udp","data":{"address":"198.51.100.20","port":40001,"mode":"aead_aes256_gcm_rtpsize"}}}"#,
        behind_select: &[],
        heartbeats: &[
            (r#"{"op":3,"d":{"t":1760000000123}}"#, r#"{"op":6,"d":{"t":1760000000123}}"#),
            (r#"{"op":3,"d":1760000000124}"#, r#"{"op":6,"d":{"t":1760000000124}}"#),
        ],
        speaking: r#"{"op":5,"d":{"speaking":1,"delay":0,"ssrc":SSRC}}"#,
        resume: r#"{"op":7,"d":{"server_id":"GUILD","session_id":"SESSION","token":"TOKEN"}}"#,
        hello: HELLO_8,
        resumed: RESUMED,
        old_versions: false,
        legacy_modes: false,
    },
    Profile {
        library: "Koe (Lavalink), repository head",
        file: "core/gateway/MediaGatewayV8Connection.java",
        target: "/?v=8",
        identify: r#"{"op":0,"d":{"server_id":"GUILD","user_id":"USER","session_id":"SESSION","token":"TOKEN","video":true,"max_dave_protocol_version":0}}"#,
        select: r#"{"op":1,"d":{"protocol":"udp","codecs":[{"name":"opus","type":"audio","priority":1000,"payload_type":120}],"rtc_connection_id":"3f6a1c1e-6a52-4b0e-8a59-3d3c1b6f8b11","address":"198.51.100.20","port":40001,"mode":"aead_aes256_gcm_rtpsize","data":{"address":"198.51.100.20","port":40001,"mode":"aead_aes256_gcm_rtpsize"}}}"#,
        behind_select: &[
            r#"{"op":5,"d":{"speaking":0,"delay":0,"ssrc":SSRC}}"#,
            r#"{"op":12,"d":{"audio_ssrc":SSRC,"video_ssrc":0,"rtx_ssrc":0}}"#,
            r#"{"op":15,"d":{"any":100}}"#,
        ],
        heartbeats: &[(
            r#"{"op":3,"d":{"t":1760000000123,"seq_ack":0}}"#,
            r#"{"op":6,"d":{"t":1760000000123}}"#,
        )],
        speaking: r#"{"op":5,"d":{"speaking":1,"delay":0,"ssrc":SSRC}}"#,
        resume: r#"{"op":7,"d":{"server_id":"GUILD","session_id":"SESSION","token":"TOKEN","video":true,"seq_ack":0}}"#,
        hello: HELLO_8,
        resumed: RESUMED,
        old_versions: false,
        legacy_modes: false,
    },
    Profile {
        library: "disgo, repository head",
        file: "voice/gateway.go, gateway_messages.go",
        target: "/?v=8",
        identify: r#"{"op":0,"d":{"server_id":"GUILD","user_id":"USER","session_id":"SESSION","token":"TOKEN","max_dave_protocol_version":0}}"#,
        select: r#"{"op":1,"d":{"protocol":"udp","data":{"address":"198.51.100.20","port":40001,"mode":"aead_aes256_gcm_rtpsize"}}}"#,
        behind_select: &[],
        heartbeats: &[(
            r#"{"op":3,"d":{"t":1760000000123,"seq_ack":0}}"#,
            r#"{"op":6,"d":{"t":1760000000123}}"#,
        )],
        speaking: r#"{"op":5,"d":{"speaking":1,"delay":0,"ssrc":SSRC}}"#,
        resume: r#"{"op":7,"d":{"server_id":"GUILD","session_id":"SESSION","token":"TOKEN","seq":0}}"#,
        hello: HELLO_8,
        resumed: RESUMED,
        old_versions: false,
        legacy_modes: false,
    },
    Profile {
        library: "discordgo 0.29.0",
        file: "voice.go",
        target: "/",
        identify: r#"{"op":0,"d":{"server_id":"GUILD","user_id":"USER","session_id":"SESSION","token":"TOKEN"}}"#,
        select: r#"{"op":1,"d":{"protocol":"udp","data":{"address":"198.51.100.20","port":40001,"mode":"aead_aes256_gcm_rtpsize"}}}"#,
        behind_select: &[],
        heartbeats: &[(r#"{"op":3,"d":1760000000}"#, r#"{"op":3,"d":1760000000}"#)],
        speaking: r#"{"op":5,"d":{"speaking":true,"delay":0}}"#,
        resume: "",
        hello: r#"{"heartbeat_interval":13750}"#,
        resumed: "",
        old_versions: true,
        legacy_modes: false,
    },
];

/// Whether a message is exactly as expected; `"*"` is any value.
fn same(expected: &Value, found: &Value) -> bool {
    match (expected, found) {
        (Value::String(any), _) if any == "*" => true,
        (Value::Object(expected), Value::Object(found)) => {
            expected.len() == found.len()
                && expected
                    .iter()
                    .all(|(key, value)| found.get(key).is_some_and(|f| same(value, f)))
        }
        (Value::Array(expected), Value::Array(found)) => {
            expected.len() == found.len() && expected.iter().zip(found).all(|(a, b)| same(a, b))
        }
        _ => expected == found,
    }
}

#[track_caller]
fn expect(world: &mut World, peer: PeerId, profile: &Profile, expected: &Value) -> Value {
    let found = world.take(peer);
    assert!(
        same(expected, &found),
        "{} ({}): expected {expected}, found {found}",
        profile.library,
        profile.file
    );
    found
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).expect("a row of the table is JSON")
}

/// A listener of version 8 to tell of the profile's client, and the other way round.
fn listener(world: &mut World, chat: PeerId) -> crate::people::Voice {
    let mode = lvsp_core::crypto::mode::Mode::Aes256GcmRtpSize;
    crate::people::join(world, chat, 2002, CHANNEL, (8, mode))
}

fn converse(profile: &Profile) {
    let mut world = World::with(|config| {
        config.old_versions = profile.old_versions;
        config.media.legacy_modes = profile.legacy_modes;
    });
    let chat = chat_server(&mut world);
    let other = listener(&mut world, chat);
    let ticket = place(&mut world, chat, 1001, CHANNEL);
    let fill = |text: &str, ssrc: u64| {
        text.replace("GUILD", &GUILD.to_string())
            .replace("USER", "1001")
            .replace("SESSION", &ticket.session_id)
            .replace("TOKEN", &ticket.token)
            .replace("SSRC", &ssrc.to_string())
    };

    let peer = world.connect(Plane::Gateway, profile.target);
    expect(&mut world, peer, profile, &parsed(profile.hello));
    world.send_text(peer, &fill(profile.identify, 0));
    let mut modes =
        vec!["aead_aes256_gcm_rtpsize".to_owned(), "aead_xchacha20_poly1305_rtpsize".to_owned()];
    if profile.legacy_modes {
        let old = [
            "aead_aes256_gcm",
            "xsalsa20_poly1305_lite_rtpsize",
            "xsalsa20_poly1305_lite",
            "xsalsa20_poly1305_suffix",
            "xsalsa20_poly1305",
        ];
        modes.extend(old.map(str::to_owned));
    }
    let ready = json!({"op": 2, "d": {"ssrc": "*", "ip": "203.0.113.7", "port": 50_000,
        "modes": modes, "experiments": [], "streams": [], "heartbeat_interval": 13_750}});
    let ready = expect(&mut world, peer, profile, &ready);
    let ssrc = ready["d"]["ssrc"].as_u64().expect("a number");

    let address = SocketAddr::new(HOST, 40_001);
    let mut request = vec![0, 1, 0, 70];
    request.extend(u32::try_from(ssrc).expect("32 bits").to_be_bytes());
    request.resize(74, 0xAA);
    assert_eq!(world.datagram(address, request).len(), 1, "{}", profile.library);

    world.send_text(peer, profile.select);
    let description = json!({"op": 4, "d": {"audio_codec": "opus", "video_codec": "H264",
        "media_session_id": "*", "mode": parsed(profile.select)["d"]["data"]["mode"],
        "secret_key": "*", "dave_protocol_version": 0}});
    let description = expect(&mut world, peer, profile, &description);
    assert_eq!(description["d"]["secret_key"].as_array().map(Vec::len), Some(32));
    expect_presence(&mut world, peer, profile, other.ssrc);
    for text in profile.behind_select {
        world.send_text(peer, &fill(text, ssrc));
    }
    for (beat, ack) in profile.heartbeats {
        world.send_text(peer, beat);
        expect(&mut world, peer, profile, &parsed(ack));
    }

    world.take_all(other.peer);
    world.send_text(peer, &fill(profile.speaking, ssrc));
    let speaking = world.take(other.peer);
    assert_eq!(speaking["d"], json!({"speaking": 1, "ssrc": ssrc, "user_id": "1001"}));
    world.send(other.peer, &json!({"op": 5, "d": {"speaking": 1, "delay": 0}}));
    let numbered = profile.target.contains('8');
    let value = if profile.target == "/" { json!(true) } else { json!(1) };
    let d = json!({"speaking": value, "ssrc": other.ssrc, "user_id": "2002"});
    expect(&mut world, peer, profile, &numbered_message(5, d, numbered));
    assert_eq!(world.closed(peer), None, "{}", profile.library);

    if !profile.resume.is_empty() {
        world.cut(peer);
        let again = world.connect(Plane::Gateway, profile.target);
        expect(&mut world, again, profile, &parsed(profile.hello));
        world.send_text(again, &fill(profile.resume, ssrc));
        expect(&mut world, again, profile, &parsed(profile.resumed));
        expect_presence(&mut world, again, profile, other.ssrc);
    }
}

fn numbered_message(op: u64, d: Value, numbered: bool) -> Value {
    let mut message = json!({"op": op, "d": d});
    if numbered {
        message["seq"] = json!("*");
    }
    message
}

/// Right behind the Session Description: who is there, and whose SSRC is whose.
fn expect_presence(world: &mut World, peer: PeerId, profile: &Profile, ssrc: u32) {
    let numbered = profile.target.contains('8');
    let connect = numbered_message(11, json!({"user_ids": ["2002"]}), numbered);
    expect(world, peer, profile, &connect);
    let d = json!({"speaking": "*", "ssrc": ssrc, "user_id": "2002"});
    expect(world, peer, profile, &numbered_message(5, d, numbered));
}

// Clauses: V1.3, V2.7, V2.8, V2.11, V2.13, V2.20, V3.1
#[test]
fn every_library_is_told_what_it_understands() {
    PROFILES.iter().for_each(converse);
}

// Clauses: V1.3
#[test]
fn clients_without_a_version_are_refused_unless_old_versions_are_served() {
    for target in ["/", "/?v=3", "/?v=1"] {
        let mut world = World::new();
        let peer = world.connect(Plane::Gateway, target);
        assert_eq!(world.closed(peer), Some(Some(4020)), "{target}");
        let mut world = World::with(|config| config.old_versions = true);
        let peer = world.connect(Plane::Gateway, target);
        let hello = world.take(peer);
        assert_eq!(hello.get("op").is_some(), target == "/?v=3", "flat before version 3: {hello}");
    }
}
