//! Conversations with the client libraries: what each one must be told, literally.
//!
//! What they say stands in `libraries`. `"*"` stands for any value; every other value and every key
//! must be exactly as written, because several libraries refuse a message with a key too many.

use std::net::SocketAddr;

use lvsp_core::output::Plane;
use serde_json::{Value, json};

use crate::libraries::{Profile, profiles};
use crate::people::{CHANNEL, GUILD, Ticket, Voice, chat_server, place};
use crate::world::{HOST, PeerId, World};

/// Where the client is, whatever its Select Protocol says.
const ADDRESS: SocketAddr = SocketAddr::new(HOST, 40_001);

const MODES: [&str; 2] = ["aead_aes256_gcm_rtpsize", "aead_xchacha20_poly1305_rtpsize"];
const OLD_MODES: [&str; 5] = [
    "aead_aes256_gcm",
    "xsalsa20_poly1305_lite_rtpsize",
    "xsalsa20_poly1305_lite",
    "xsalsa20_poly1305_suffix",
    "xsalsa20_poly1305",
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

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).expect("a row of the table is JSON")
}

/// A listener of version 8 to tell of the profile's client, and the other way round.
fn listener(world: &mut World, chat: PeerId) -> Voice {
    let mode = lvsp_core::crypto::mode::Mode::Aes256GcmRtpSize;
    crate::people::join(world, chat, 2002, CHANNEL, (8, mode))
}

/// One client of a library, and somebody else in its channel.
struct Scene<'p> {
    world: World,
    profile: &'p Profile,
    other: Voice,
    ticket: Ticket,
    peer: PeerId,
    ssrc: u64,
}

impl<'p> Scene<'p> {
    fn new(profile: &'p Profile) -> Self {
        let mut world = World::with(|config| {
            config.old_versions = profile.old_versions;
            config.media.legacy_modes = profile.legacy_modes;
        });
        let chat = chat_server(&mut world);
        let other = listener(&mut world, chat);
        let ticket = place(&mut world, chat, 1001, CHANNEL);
        let peer = world.connect(Plane::Gateway, profile.target);
        Self { world, profile, other, ticket, peer, ssrc: 0 }
    }

    /// A message of the profile with the values of this conversation.
    fn fill(&self, text: &str) -> String {
        text.replace("GUILD", &GUILD.to_string())
            .replace("PLACE", &CHANNEL.to_string())
            .replace("USER", "1001")
            .replace("SESSION", &self.ticket.session_id)
            .replace("TOKEN", &self.ticket.token)
            .replace("SSRC", &self.ssrc.to_string())
    }

    fn say(&mut self, text: &str) {
        let text = self.fill(text);
        self.world.send_text(self.peer, &text);
    }

    #[track_caller]
    fn expect(&mut self, expected: &Value) -> Value {
        let found = self.world.take(self.peer);
        let Profile { library, file, .. } = self.profile;
        assert!(same(expected, &found), "{library} ({file}): expected {expected}, found {found}");
        found
    }

    /// From Hello to the other's SSRC.
    fn arrive(&mut self) {
        let profile = self.profile;
        self.expect(&parsed(profile.hello));
        self.say(profile.identify);
        let old: &[&str] = if profile.legacy_modes { &OLD_MODES } else { &[] };
        let modes: Vec<_> = MODES.iter().chain(old).collect();
        let ready = json!({"op": 2, "d": {"ssrc": "*", "ip": "203.0.113.7", "port": 50_000,
            "modes": modes, "experiments": [], "streams": [], "heartbeat_interval": 13_750}});
        self.ssrc = self.expect(&ready)["d"]["ssrc"].as_u64().expect("a number");

        let mut request = vec![0, 1, 0, 70];
        request.extend(u32::try_from(self.ssrc).expect("32 bits").to_be_bytes());
        request.resize(profile.discovery, 0xAA);
        assert_eq!(self.world.datagram(ADDRESS, request).len(), 1, "{}", profile.library);

        self.say(profile.select);
        let mode = &parsed(profile.select)["d"]["data"]["mode"];
        let description = json!({"op": 4, "d": {"audio_codec": "opus", "video_codec": "H264",
            "media_session_id": "*", "mode": mode, "secret_key": "*", "dave_protocol_version": 0}});
        let description = self.expect(&description);
        assert_eq!(description["d"]["secret_key"].as_array().map(Vec::len), Some(32));
        self.expect_presence();
        profile.behind_select.iter().for_each(|text| self.say(text));
    }

    /// Right behind the Session Description: who is there, and whose SSRC is whose.
    fn expect_presence(&mut self) {
        let numbered = self.profile.numbered();
        self.expect(&numbered_message(11, json!({"user_ids": ["2002"]}), numbered));
        let d = json!({"speaking": "*", "ssrc": self.other.ssrc, "user_id": "2002"});
        self.expect(&numbered_message(5, d, numbered));
    }

    /// Heartbeats, speaking in both directions, and a frame.
    fn stay(&mut self) {
        let profile = self.profile;
        for (beat, ack) in profile.heartbeats {
            self.say(beat);
            self.expect(&parsed(ack));
        }
        self.world.take_all(self.other.peer);
        self.say(profile.speaking);
        let speaking = self.world.take(self.other.peer);
        let d = json!({"speaking": 1, "ssrc": self.ssrc, "user_id": "1001"});
        assert_eq!(speaking["d"], d, "{}", profile.library);
        self.world.send(self.other.peer, &json!({"op": 5, "d": {"speaking": 1, "delay": 0}}));
        let value = if profile.old_versions { json!(true) } else { json!(1) };
        let d = json!({"speaking": value, "ssrc": self.other.ssrc, "user_id": "2002"});
        self.expect(&numbered_message(5, d, profile.numbered()));
        let sent = self.other.speak(&mut self.world, b"a frame");
        let to: Vec<_> = sent.iter().map(|(to, _)| *to).collect();
        assert_eq!(to, [ADDRESS], "{}", profile.library);
        assert_eq!(self.world.closed(self.peer), None, "{}", profile.library);
    }

    /// Another connection takes the session up.
    fn come_back(&mut self) {
        let profile = self.profile;
        self.world.cut(self.peer);
        self.peer = self.world.connect(Plane::Gateway, profile.target);
        self.expect(&parsed(profile.hello));
        self.say(profile.resume);
        self.expect(&parsed(profile.resumed));
        if !profile.numbered() {
            return self.expect_presence();
        }
        // Op 11 was number 1, two ops 5 came behind it.
        let missed = self.world.take_all(self.peer);
        let numbers: Vec<_> = missed.iter().filter_map(|m| m["seq"].as_u64()).collect();
        let expected: Vec<_> = (self.acknowledged() + 1..=3).collect();
        assert_eq!(numbers, expected, "{}", profile.library);
    }

    /// The newest number that the client says to have, in a heartbeat or when it resumes.
    fn acknowledged(&self) -> u64 {
        let resume = self.fill(self.profile.resume);
        let sent = self.profile.heartbeats.iter().map(|(beat, _)| *beat).chain([resume.as_str()]);
        sent.map(|text| parsed(text)["d"]["seq_ack"].as_u64().unwrap_or(0)).max().unwrap_or(0)
    }
}

fn numbered_message(op: u64, d: Value, numbered: bool) -> Value {
    let mut message = json!({"op": op, "d": d});
    if numbered {
        message["seq"] = json!("*");
    }
    message
}

// Clauses: V1.3, V2.7, V2.8, V2.11, V2.13, V2.20, V3.1, V4.1, V4.4
#[test]
fn every_library_is_told_what_it_understands() {
    for profile in profiles() {
        let mut scene = Scene::new(profile);
        scene.arrive();
        scene.stay();
        if !profile.resume.is_empty() {
            scene.come_back();
        }
    }
}

// Clauses: V2.4, V2.9, V2.19
#[test]
fn a_browser_is_told_at_once_that_webrtc_is_not_served() {
    let mut world = World::new();
    let chat = chat_server(&mut world);
    let ticket = place(&mut world, chat, 1001, CHANNEL);
    let peer = world.connect(Plane::Gateway, "/?v=9");
    assert_eq!(world.take(peer)["d"]["v"], 9);
    world.send(
        peer,
        &json!({"op": 0, "d": {"server_id": GUILD.to_string(), "channel_id": CHANNEL.to_string(),
            "user_id": "1001", "session_id": ticket.session_id, "token": ticket.token,
            "video": true, "streams": [{"type": "screen", "rid": 100, "quality": 100}],
            "max_dave_protocol_version": 1}}),
    );
    assert_eq!(world.take(peer)["op"], 2);
    world.send(peer, &json!({"op": 16, "d": {}}));
    assert_eq!(world.take(peer)["op"], 16);
    let sdp =
        "a=extmap-allow-mixed\na=ice-ufrag:tK/L\na=ice-pwd:secret\na=rtpmap:111 opus/48000/2\n";
    world.send(
        peer,
        &json!({"op": 1, "d": {"protocol": "webrtc", "data": sdp, "sdp": sdp, "codecs": [],
            "rtc_connection_id": "d6b92f06-d2c9-4d2b-8c57-c2b8d5e6f3a1"}}),
    );
    assert_eq!(world.closed(peer), Some(Some(4012)));
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
