//! Every limit bites, and is counted under its name when it does.
//!
//! One scenario for each limit, with the limit made small where that is quicker. What happens to
//! the peer is told by other tests; here it is whether the counter of that very limit moved.

mod worlds;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use lvsp_core::config::{ClientAddress, Proxies};
use lvsp_core::limits::{Limits, Millis};
use lvsp_core::output::Plane;
use lvsp_core::parking::Parking;
use serde_json::json;

use crate::lifecycle::AES;
use crate::people::{CHANNEL, chat_server, gateway, identify, join, place};
use crate::world::World;
use worlds::*;

/// Brings a world to where the limit was reached.
type Scenario = fn() -> World;

const SCENARIOS: &[(&str, Scenario)] = &[
    ("unauthenticated", || strangers(|l| l.unauthenticated = 1, [1, 2], Plane::Gateway)),
    ("unauthenticated_idle_ms", || strangers(|l| l.unauthenticated = 1, [1, 2], Plane::Gateway)),
    ("unauthenticated_per_address", || {
        strangers(|l| l.unauthenticated_per_address = 1, [1, 1], Plane::Gateway)
    }),
    ("control_unauthenticated", || {
        strangers(|l| l.control_unauthenticated = 1, [1, 2], Plane::Control)
    }),
    ("control_unauthenticated_per_address", || {
        strangers(|l| l.control_unauthenticated_per_address = 1, [1, 1], Plane::Control)
    }),
    ("connections", || {
        strangers(|l| (l.connections, l.sessions) = (2, 1), [1, 2, 3], Plane::Gateway)
    }),
    ("parked", || {
        let mut world = World::new();
        let mut parking = Parking::new(&Limits { parked: 0, ..Limits::default() });
        let peer = SocketAddr::from(([203, 0, 113, 1], 50_000));
        parking.pass(world.now, peer, (), false);
        world.server.note_parked(parking.take_counts());
        world
    }),
    ("handshakes_per_s", || {
        let mut world = World::new();
        world.server.note_paced(1);
        world
    }),
    ("first_byte_ms", || unfinished(Plane::Gateway, b"", 5_000)),
    ("tls_ms", || {
        let mut world = over_tls();
        raw(&mut world, Plane::Gateway, &[0x16, 0x03]);
        pass(&mut world, 10_000);
        world
    }),
    ("upgrade_ms", || unfinished(Plane::Gateway, b"GET / HTTP/1.1\r\n", 15_000)),
    ("control_upgrade_ms", || unfinished(Plane::Control, b"GET / HTTP/1.1\r\n", 10_000)),
    ("identify_ms", || {
        let mut world = World::new();
        gateway(&mut world, 8);
        pass(&mut world, 10_000);
        world
    }),
    ("tls_handshake_bytes", || {
        let mut world = over_tls();
        let mut hello = vec![0x16, 0x03, 0x01, 0x40, 0x00, 0x01, 0x00, 0x3F, 0xFC];
        hello.resize(16_000, 0);
        raw(&mut world, Plane::Gateway, &hello);
        raw(&mut world, Plane::Gateway, &[hello.as_slice(), &[0; 1_000]].concat());
        world
    }),
    ("proxy_header_bytes", || {
        let trusted = vec!["203.0.113.0/24".parse().expect("a network")];
        let client_address = ClientAddress::ProxyProtocol;
        let mut world = World::with(|config| {
            config.proxies = Proxies { trusted, client_address };
        });
        let header = [b"\r\n\r\n\0\r\nQUIT\n".as_slice(), &[0x21, 0x11, 0x10, 0x00]].concat();
        raw(&mut world, Plane::Gateway, &header);
        world
    }),
    ("upgrade_bytes", || unfinished(Plane::Gateway, &[b'G'; 20_000], 0)),
    ("upgrade_lines", || unfinished(Plane::Gateway, &b"G: T\r\n".repeat(70), 0)),
    ("identify_hold_ms", || {
        let mut world = World::new();
        let peer = gateway(&mut world, 8);
        world.send(peer, &identify(&unknown()));
        pass(&mut world, 3_000);
        world
    }),
    ("gateway_message_unidentified_bytes", || {
        let mut world = World::new();
        let peer = gateway(&mut world, 8);
        world.send_text(peer, &"x".repeat(8_193));
        world
    }),
    ("gateway_message_bytes", || {
        let (mut world, _, [ann, _]) = call(|_| ());
        world.send_text(ann.peer, &"x".repeat(65_537));
        world
    }),
    ("control_message_unidentified_bytes", || {
        let mut world = World::new();
        let chat = world.connect(Plane::Control, "/");
        world.send_text(chat, &"x".repeat(4_097));
        world
    }),
    ("control_message_bytes", || {
        let mut world = World::new();
        let chat = chat_server(&mut world);
        world.send_text(chat, &"x".repeat(262_145));
        world
    }),
    ("control_outbound_message_bytes", || {
        let mut world = limited(|l| l.control_outbound_message_bytes = 4_096);
        let chat = chat_server(&mut world);
        // Characters that are six bytes each in JSON.
        let id = "\u{1}".repeat(1_000);
        world.send(
            chat,
            &json!({"op": 7, "d": {"user_id": "1", "channel_id": "2",
            "session_id": id}}),
        );
        world
    }),
    ("inbound_total_bytes", || {
        let mut world = limited(|l| l.inbound_total_bytes = 65_536);
        (0..5).for_each(|_| raw(&mut world, Plane::Gateway, &[b'G'; 16_000]));
        world
    }),
    ("json_depth", || {
        let mut world = World::new();
        let peer = gateway(&mut world, 8);
        world.send_text(peer, &format!(r#"{{"op":3,"d":{}{}}}"#, "[".repeat(20), "]".repeat(20)));
        world
    }),
    ("message_burst", || flooded(130)),
    ("message_refill_per_s", || flooded(130)),
    ("message_calm_ms", || {
        let (mut world, _, [ann, _]) = call(|_| ());
        chatter(&mut world, &ann, 130);
        let back = gateway(&mut world, 8);
        world.send(back, &identify(&ann.ticket));
        world
    }),
    ("select_protocol_per_minute", || {
        let (mut world, _, [ann, _]) = call(|l| l.select_protocol_per_minute = 1);
        world.send(
            ann.peer,
            &json!({"op": 1, "d": {"protocol": "udp", "data": {
            "address": "198.51.100.20", "port": 1, "mode": AES.1.name()}}}),
        );
        world
    }),
    ("sessions", || {
        let mut world = limited(|l| l.sessions = 1);
        let chat = chat_server(&mut world);
        join(&mut world, chat, 1001, CHANNEL, AES);
        let ticket = place(&mut world, chat, 1002, CHANNEL);
        let peer = gateway(&mut world, 8);
        world.send(peer, &identify(&ticket));
        world
    }),
    ("heartbeat_silence_ms", || silent_call(46_250)),
    ("resume_window_ms", || silent_call(46_250 + 90_000)),
    ("resume_messages", || chattered(|l| l.resume_messages = 1, 9)),
    ("resume_bytes", || chattered(|l| l.resume_bytes = 1_024, 20)),
    ("replay_total_bytes", || chattered(|l| l.replay_total_bytes = 1_024, 20)),
    ("outbound_bytes", || {
        unread(|l| {
            (l.outbound_bytes, l.resume_bytes, l.control_dump_bytes) = (16_384, 8_192, 8_192)
        })
    }),
    ("outbound_total_bytes", || unread(|l| l.outbound_total_bytes = 65_536)),
    ("outbound_age_ms", || {
        let mut world = unread(|_| ());
        pass(&mut world, 10_000);
        world
    }),
    ("linger_ms", || {
        let (mut world, _, [ann, _]) = call(|_| ());
        world.set_reading(ann.peer, false);
        world.send_text(ann.peer, "no JSON");
        pass(&mut world, 5_000);
        world
    }),
    ("reservation_ms", || {
        let mut world = World::new();
        let chat = chat_server(&mut world);
        place(&mut world, chat, 1001, CHANNEL);
        pass(&mut world, 60_000);
        world
    }),
    ("gather_above_members", || call(|l| l.gather_above_members = 1).0),
    ("gather_ms", || {
        let mut world = call(|l| l.gather_above_members = 1).0;
        pass(&mut world, 100);
        world
    }),
    ("control_ping_ms", || {
        let mut world = World::new();
        chat_server(&mut world);
        pass(&mut world, 20_000);
        world
    }),
    ("control_silence_ms", || {
        let mut world = limited(|l| l.outbound_age_ms = Millis(600_000));
        let chat = chat_server(&mut world);
        world.set_reading(chat, false);
        pass(&mut world, 60_000);
        world
    }),
    ("control_replay_messages", || placed(|l| l.control_replay_messages = 1, 3)),
    ("control_replay_bytes", || placed(|l| l.control_replay_bytes = 1_024, 5)),
    ("control_replay_ms", || {
        let mut world = limited(|l| l.control_replay_ms = Millis(1_000));
        let chat = chat_server(&mut world);
        place(&mut world, chat, 1001, CHANNEL);
        pass(&mut world, 2_000);
        place(&mut world, chat, 1002, CHANNEL);
        world
    }),
    ("control_failures", || guessed(|l| l.control_failures = 1, [1, 1])),
    ("control_failures_ms", || guessed(|l| l.control_failures = 1, [1, 1])),
    ("control_failure_addresses", || guessed(|l| l.control_failure_addresses = 1, [1, 2])),
    ("control_refusal_kinds", || refused(|l| l.control_refusal_kinds = 1, true)),
    ("control_refusals", || {
        refused(|l| (l.control_refusals, l.control_dump_bytes) = (1, 4_096), false)
    }),
    ("control_news_bytes", || burst(|l| l.control_news_bytes = 16_384)),
    ("control_dump_bytes", || burst(|_| ())),
    ("reconcile_ms", || {
        let mut world = returned(|_| ());
        pass(&mut world, 30_000);
        world
    }),
    ("reconcile_total_ms", || {
        let mut world = returned(|l| l.reconcile_total_ms = Millis(1_000));
        let chat = world.connect(Plane::Control, "/");
        world.cut(chat);
        pass(&mut world, 30_000);
        world
    }),
    ("grace_spread_ms", || {
        let mut world = World::with(|config| config.control_grace = Duration::from_secs(1));
        let chat = chat_server(&mut world);
        place(&mut world, chat, 1001, CHANNEL);
        world.cut(chat);
        pass(&mut world, 31_000);
        world
    }),
    ("drain_spread_ms", || {
        let (mut world, _, _) = call(|_| ());
        world.server.begin_drain(world.now);
        pass(&mut world, 32_000);
        world
    }),
    ("drain_linger_ms", || {
        let (mut world, _, members) = call(|_| ());
        world.set_reading(members[0].peer, false);
        world.server.begin_drain(world.now);
        pass(&mut world, 34_000);
        world
    }),
    ("stall_ms", || {
        let (mut world, _, _) = call(|_| ());
        world.now = world.now + Duration::from_secs(120);
        world.server.handle_timeout(world.now);
        world
    }),
    ("outputs", || {
        let mut world = limited(|l| l.outputs = 16);
        let chat = chat_server(&mut world);
        (1..=40).for_each(|user| drop(place(&mut world, chat, user, CHANNEL)));
        pass(&mut world, 59_900);
        world.now = world.now + Duration::from_millis(200);
        world.server.handle_timeout(world.now);
        assert!(world.server.poll_timeout().expect("the rest") <= world.now);
        while world.server.poll_timeout().is_some_and(|next| next <= world.now) {
            world.pump();
            world.server.handle_timeout(world.now);
        }
        assert_eq!(world.server.census().voice_states, 0, "put off and not forgotten");
        world
    }),
    ("tombstone_ms", || {
        let mut world = destroyed(|_| ());
        pass(&mut world, 60_000);
        world
    }),
    ("tombstones", || destroyed(|l| l.tombstones = 1)),
    ("channels", || placed_apart(|l| l.channels = 1)),
    ("voice_states", || placed_apart(|l| l.voice_states = 1)),
    ("members_per_channel", || placed_together(|l| l.members_per_channel = 1)),
    ("credentials_total_bytes", || placed_together(|l| l.credentials_total_bytes = 1_024)),
    ("legs_per_relay", || {
        let mut world = crate::spread::world(2, 2);
        crate::spread::stage(&mut world, 3);
        world
    }),
    ("discovery_burst", || rediscovered(20)),
    ("discovery_per_s", || rediscovered(20)),
    ("ping_per_s", || {
        let (mut world, _, [ann, _]) = call(|_| ());
        for _ in 0..6 {
            world.datagram(ann.address, vec![0x13, 0x37, 0xCA, 0xFE, 1, 2, 3, 4]);
        }
        world
    }),
    ("sender_packet_burst", || spoken(501, 1)),
    ("sender_packets_per_s", || spoken(501, 1)),
    ("sender_bps", || spoken(60, 1_200)),
    ("payload_bytes", || spoken(1, 1_337)),
    ("rebinds_per_minute", || moved(|l| l.rebinds_per_minute = 1, 1_100)),
    ("rebind_interval_ms", || moved(|_| (), 500)),
    ("media_latency_ms", || {
        let mut world = World::new();
        let mut late = vec![0x80; 100];
        let from = SocketAddr::from(([198, 51, 100, 20], 5));
        let age = Duration::from_millis(101);
        drop(world.relay.handle_aged_datagram(world.now, age, from, &mut late));
        world
    }),
    ("media_behind_ms", || {
        let (mut world, _, [ann, _]) = call(|_| ());
        world.relay.note_overflow(world.now, 1);
        let age = Duration::from_millis(21);
        let mut packet = [0; 60];
        packet[..2].copy_from_slice(&[0x80, 0x78]);
        packet[8..12].copy_from_slice(&ann.ssrc.to_be_bytes());
        drop(world.relay.handle_aged_datagram(world.now, age, ann.address, &mut packet));
        world
    }),
    ("key_soft_packets", || keys_used(1_100)),
    ("key_hard_packets", || keys_used(2_100)),
];

#[test]
fn each_limit_is_counted_under_its_name_when_it_is_reached() {
    let counted: BTreeSet<_> = World::new().counts().iter().map(|(key, _)| key).collect();
    let tried: BTreeSet<_> = SCENARIOS.iter().map(|(key, _)| *key).collect();
    assert_eq!(counted, tried, "one scenario for each limit that is counted");
    let mut silent = Vec::new();
    for (key, scenario) in SCENARIOS {
        let count = scenario().counts().iter().find(|(name, _)| name == key);
        if count.is_none_or(|(_, count)| count == 0) {
            silent.push(*key);
        }
    }
    assert!(silent.is_empty(), "not counted: {silent:?}");
}

#[test]
fn a_call_within_its_limits_reaches_none() {
    let (mut world, _, [mut ann, mut bob]) = call(|_| ());
    for second in 0..60 {
        for _ in 0..50 {
            ann.speak(&mut world, b"about so much");
            bob.speak(&mut world, b"or so");
        }
        if second % 10 == 0 {
            for voice in [&ann, &bob] {
                world.send(voice.peer, &json!({"op": 3, "d": second}));
            }
        }
        pass(&mut world, 1_000);
    }
    let reached: Vec<_> = world.counts().iter().filter(|(_, count)| *count > 0).collect();
    assert_eq!(reached, [("control_ping_ms", 3)]);
}
