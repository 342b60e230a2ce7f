//! The table: what happens to calls, described once and run against every runtime.
//!
//! Each run is recorded, and each recording is fed to a new `Server` or `Relay`, which has to
//! answer the same, byte for byte.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, UdpSocket};

use lvsp_core::client::{ChatEvent, VoiceEvent};
use lvsp_core::limits::{Limits, Millis};
use lvsp_core::record::replay;
use lvsp_core::transport::{Transport, TransportConfig, TransportEvent};
use lvsp_core::wire::lvsp::VoiceFlagsUpdate;

use crate::drivers::{DRIVERS, PROXY};
use crate::peers::{Link, Voice, patient_limits, user};
use crate::stage::Stage;

pub(crate) const CHANNEL: u64 = 71;
const OTHER_CHANNEL: u64 = 72;
pub(crate) const ANN: u64 = 1_001;
pub(crate) const BOB: u64 = 1_002;
pub(crate) const CEM: u64 = 1_003;

struct Scenario {
    name: &'static str,
    limits: fn(&mut Limits),
    relays: u16,
    play: fn(&mut Stage),
}

const fn scenario(name: &'static str, play: fn(&mut Stage)) -> Scenario {
    Scenario { name, limits: |_| (), relays: 1, play }
}

const TABLE: [Scenario; 14] = [
    scenario("join", join),
    scenario("talk", talk),
    scenario("leave", leave),
    scenario("resume", resume),
    scenario("mute", mute),
    scenario("move", move_over),
    scenario("control link lost", control_link_lost),
    Scenario {
        name: "slow reader",
        limits: |limits| limits.outbound_age_ms = Millis(300),
        relays: 1,
        play: slow_reader,
    },
    scenario("oversized frame", oversized_frame),
    scenario("garbage datagrams", garbage_datagrams),
    Scenario {
        name: "a channel on two relays",
        limits: |limits| limits.legs_per_relay = 2,
        relays: 2,
        play: two_relays,
    },
    Scenario {
        name: "all back at once",
        limits: |limits| limits.unauthenticated_per_address = 8,
        relays: 1,
        play: all_back_at_once,
    },
    Scenario {
        name: "crowded address",
        limits: |limits| (limits.unauthenticated_per_address, limits.parked) = (8, 50),
        relays: 1,
        play: crowded_address,
    },
    Scenario {
        name: "behind a proxy",
        limits: |limits| limits.unauthenticated_per_address = 4,
        relays: 1,
        play: behind_a_proxy,
    },
];

#[test]
fn every_scenario_goes_the_same_in_every_runtime_and_can_be_replayed() {
    for driver in &DRIVERS {
        for Scenario { name, limits, relays, play } in &TABLE {
            // Seen when it fails.
            println!("{}: {name}", driver.name);
            let folder = tempfile::tempdir().expect("a folder");
            let mut all = patient_limits();
            limits(&mut all);
            let mut stage = Stage::open(driver, all, *relays, folder.path());
            play(&mut stage);
            stage.close();
            for machine in ["server", "relay-0", "relay-1"].iter().take(1 + usize::from(*relays)) {
                let path = folder.path().join(machine).with_extension("lvsprec");
                let recording = std::fs::read(path).expect("a recording");
                let replayed =
                    replay(&recording).unwrap_or_else(|error| panic!("{machine}: {error}"));
                assert!(replayed.inputs > 2 && replayed.outputs > 2, "{machine}: {replayed:?}");
                assert_eq!(replayed.rest, 0, "{machine}: the recording is whole");
            }
        }
    }
}

fn join(stage: &mut Stage) {
    stage.join(ANN, CHANNEL);
    stage.join(BOB, CHANNEL);
    let told = |who: u64| {
        move |stage: &mut Stage| {
            let other = if who == ANN { BOB } else { ANN };
            let present = VoiceEvent::ClientsConnect(vec![user(other)]);
            stage.voices[&who].events.contains(&present).then_some(())
        }
    };
    stage.wait("who came to be told", told(ANN));
    stage.wait("who was there to be told", told(BOB));
}

fn talk(stage: &mut Stage) {
    for user in [ANN, BOB, CEM] {
        stage.join(user, CHANNEL);
    }
    for _ in 0..5 {
        stage.heard_by(ANN, &[BOB, CEM]);
        stage.heard_by(BOB, &[ANN, CEM]);
        stage.heard_by(CEM, &[ANN, BOB]);
    }
    let own = |listener: &u64| {
        let frames = &stage.voices[listener].frames;
        frames.iter().any(|frame| frame.user == Some(user(*listener)))
    };
    assert!(![ANN, BOB, CEM].iter().any(own), "nobody hears itself");
}

fn leave(stage: &mut Stage) {
    stage.join(ANN, CHANNEL);
    stage.join(BOB, CHANNEL);
    stage.chat.remove(ANN);
    let closed = stage.wait("the end of a call", |stage| stage.voices[&ANN].closed());
    assert_eq!(closed, Some(4014), "disconnected");
    let gone = VoiceEvent::ClientDisconnect(user(ANN));
    stage.wait("who left to be told", |stage| {
        stage.voices[&BOB].events.contains(&gone).then_some(())
    });
}

fn resume(stage: &mut Stage) {
    stage.join(ANN, CHANNEL);
    stage.join(BOB, CHANNEL);
    stage.voice(ANN).link.cut();
    stage.wait("the break", |stage| stage.voices[&ANN].closed());
    // Media goes on without the connection, under the same key.
    stage.heard_by(ANN, &[BOB]);
    stage.voice(ANN).reconnect();
    stage.wait("op 9", |stage| stage.voices[&ANN].has_resumed().then_some(()));
    stage.heard_by(ANN, &[BOB]);
    stage.heard_by(BOB, &[ANN]);
}

fn flags(mute: bool) -> VoiceFlagsUpdate {
    VoiceFlagsUpdate { mute: Some(mute), ..VoiceFlagsUpdate::default() }
}

fn mute(stage: &mut Stage) {
    for user in [ANN, BOB, CEM] {
        stage.join(user, CHANNEL);
    }
    stage.heard_by(ANN, &[BOB, CEM]);
    set_mute(stage, true);
    stage.unheard_by(ANN, BOB, CEM);
    set_mute(stage, false);
    stage.heard_by(ANN, &[BOB, CEM]);
}

/// Mutes or unmutes, until the chat server was told that it is in force.
fn set_mute(stage: &mut Stage, muted: bool) {
    stage.chat.events.clear();
    stage.chat.set_flags(ANN, CHANNEL, flags(muted));
    stage.wait("the flag to be in force", |stage| {
        let is_it = |event: &ChatEvent| {
            matches!(event, ChatEvent::VoiceState(info)
                if info.user_id == Some(user(ANN)) && info.flags.mute == muted)
        };
        stage.chat.events.iter().any(is_it).then_some(())
    });
}

fn move_over(stage: &mut Stage) {
    stage.join(ANN, CHANNEL);
    stage.join(BOB, CHANNEL);
    stage.join(CEM, OTHER_CHANNEL);
    stage.heard_by(ANN, &[BOB]);
    // The old session ends; the client identifies anew with what the chat server passes on.
    stage.chat.place(ANN, OTHER_CHANNEL);
    let closed = stage.wait("the end of the old session", |stage| stage.voices[&ANN].closed());
    assert_eq!(closed, Some(4014), "disconnected");
    stage.join(ANN, OTHER_CHANNEL);
    stage.heard_by(ANN, &[CEM]);
    stage.heard_by(CEM, &[ANN]);
    assert!(stage.voices[&BOB].frames.iter().all(|frame| frame.user != Some(user(CEM))));
}

fn control_link_lost(stage: &mut Stage) {
    stage.join(ANN, CHANNEL);
    stage.join(BOB, CHANNEL);
    stage.chat.link.cut();
    stage.wait("the break", |stage| {
        let closed = |event: &ChatEvent| matches!(event, ChatEvent::Closed { .. });
        stage.chat.events.iter().any(closed).then_some(())
    });
    stage.heard_by(ANN, &[BOB]);
    stage.chat.events.clear();
    stage.chat.reconnect();
    stage.wait("READY after RESUME", |stage| {
        let resumed = |event: &ChatEvent| matches!(event, ChatEvent::Ready { resumed: true, .. });
        stage.chat.events.iter().any(resumed).then_some(())
    });
    stage.heard_by(BOB, &[ANN]);
}

/// A chat server that reads nothing is dropped; calls go on, and it may come back.
fn slow_reader(stage: &mut Stage) {
    stage.join(ANN, CHANNEL);
    stage.join(BOB, CHANNEL);
    stage.chat.link.stop_reading();
    let mut bitrate = 8_000;
    stage.wait("the slow reader to be dropped", |stage| {
        // Each change is told, until the sockets' buffers are full and the server's patience over.
        while stage.chat.backlog() < 65_536 {
            bitrate += 1;
            stage.chat.set_channel(OTHER_CHANNEL, bitrate);
        }
        stage.chat.link.broken.then_some(())
    });
    stage.heard_by(BOB, &[ANN]);
    stage.chat.events.clear();
    stage.chat.reconnect();
    stage.wait("READY", |stage| stage.chat.is_ready().then_some(()));
    stage.heard_by(ANN, &[BOB]);
}

/// A frame that says it is larger than any message may be ends its connection alone.
fn oversized_frame(stage: &mut Stage) {
    stage.join(ANN, CHANNEL);
    stage.join(BOB, CHANNEL);
    let config = TransportConfig::new(&Limits::default(), 1 << 20);
    let mut stranger =
        Transport::connect(None, "localhost", "/?v=8", [9; 16], config).expect("plain");
    let mut link = Link::dial(stage.gateway());
    let closed = stage.wait("the stranger's connection to be closed", |_| {
        let written = link.write(stranger.outbound());
        stranger.consume(written);
        stranger.handle_bytes(&link.read());
        if link.ended {
            stranger.handle_eof();
        }
        let event = stranger.poll_event()?;
        if let TransportEvent::Opened { .. } = event {
            stranger.send_text(&"x".repeat(100_000));
        }
        if let TransportEvent::Closed { code } = event { Some(code) } else { None }
    });
    assert_eq!(closed, Some(1009), "message too big");
    stage.heard_by(ANN, &[BOB]);
}

fn garbage_datagrams(stage: &mut Stage) {
    stage.join(ANN, CHANNEL);
    stage.join(BOB, CHANNEL);
    let stranger = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    stranger.set_nonblocking(true).expect("a socket");
    let mut noise = 0x9E37_79B9_7F4A_7C15u64;
    for round in 0..2_000usize {
        let mut datagram = vec![0; round % 1_501];
        for byte in &mut datagram {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            *byte = (noise >> 33) as u8;
        }
        // Some look like RTP, RTCP and discovery.
        for (at, value) in [[0x80, 0x78], [0x80, 200], [0, 1]][round % 3].iter().enumerate() {
            if let Some(byte) = datagram.get_mut(at) {
                *byte = *value;
            }
        }
        // A full buffer is the stranger's trouble.
        let _ = stranger.send_to(&datagram, stage.media());
        if round % 200 == 0 {
            stage.heard_by(ANN, &[BOB]);
        }
    }
    stage.heard_by(BOB, &[ANN]);
    let answer = stranger.recv(&mut [0; 2_048]);
    assert!(answer.is_err(), "strangers get no answer");
}

/// More members than one relay takes: everybody hears everybody, once.
fn two_relays(stage: &mut Stage) {
    const ROUNDS: usize = 20;
    let users = [ANN, BOB, CEM, 1_004, 1_005];
    for user in users {
        stage.join(user, CHANNEL);
    }
    let ports: BTreeSet<_> = users.iter().filter_map(|user| stage.voices[user].media).collect();
    assert_eq!(ports.len(), 2, "one socket for each relay");
    for _ in 0..ROUNDS {
        for speaker in users {
            let listeners = users.iter().copied().filter(|user| *user != speaker);
            stage.heard_at_once(speaker, &listeners.collect::<Vec<_>>());
        }
    }
    for listener in users {
        for speaker in users {
            let heard = stage.voices[&listener].frames.iter();
            let heard = heard.filter(|frame| frame.user == Some(user(speaker))).count();
            let expected = if listener == speaker { 0 } else { ROUNDS };
            assert_eq!(heard, expected, "{listener} hears {speaker}");
        }
    }
    // Sharing ends when those at the other relay leave.
    for gone in [CEM, 1_004, 1_005] {
        stage.chat.remove(gone);
        stage.wait("the end of a call", |stage| stage.voices[&gone].closed());
    }
    stage.heard_by(ANN, &[BOB]);
    stage.heard_by(BOB, &[ANN]);
}

/// Many clients behind one address, which come at once, all get in, however small its share.
fn all_back_at_once(stage: &mut Stage) {
    const CLIENTS: u64 = 200;
    const CHANNEL_MEMBERS: u64 = 10;
    let seats = (0..CLIENTS).map(|n| (ANN + n, CHANNEL + n / CHANNEL_MEMBERS)).collect::<Vec<_>>();
    let tickets = seats.iter().map(|(user, channel)| stage.place(*user, *channel));
    let tickets = tickets.collect::<Vec<_>>();
    for ((user, _), ticket) in seats.iter().zip(tickets) {
        stage.connect(*user, ticket);
    }
    stage.wait("all to have a key", |stage| {
        stage.voices.values().all(Voice::is_connected).then_some(())
    });
    stage.heard_by(ANN, &[BOB]);
    stage.heard_by(ANN + CLIENTS - 1, &[ANN + CLIENTS - 2]);
}

/// Who comes from elsewhere gets in while more connections of one address than may wait are open
/// and say nothing; and who comes from there does when they are gone.
fn crowded_address(stage: &mut Stage) {
    let crowd = (0..100).map(|_| Link::dial(stage.gateway())).collect::<Vec<_>>();
    let elsewhere = Ipv4Addr::new(127, 0, 0, 2);
    let ticket = stage.place(BOB, CHANNEL);
    stage.connect_from(elsewhere, BOB, ticket);
    stage.wait("a key", |stage| stage.voice(BOB).is_connected().then_some(()));
    drop(crowd);
    // A connection may still be turned away before the crowd's end is noticed.
    let ticket = stage.place(ANN, CHANNEL);
    stage.wait("a key", |stage| {
        if stage.voices.get(&ANN).is_none_or(|voice| voice.closed().is_some()) {
            stage.connect(ANN, ticket.clone());
        }
        stage.voice(ANN).is_connected().then_some(())
    });
    stage.heard_by(ANN, &[BOB]);
}

/// A trusted proxy's clients get in by their own addresses, however many of another wait; who is no
/// proxy and says so is turned away.
fn behind_a_proxy(stage: &mut Stage) {
    let header = |host: u8| format!("PROXY TCP4 127.0.0.{host} 127.0.0.1 5 443\r\n");
    let dial = |stage: &Stage, ip, host| {
        let mut link = Link::dial_from(ip, stage.gateway());
        assert_eq!(link.write(header(host).as_bytes()), header(host).len());
        link
    };
    let _crowd: Vec<_> = (0..20).map(|_| dial(stage, PROXY, 9)).collect();
    for (user, host) in [(ANN, 10), (BOB, 11)] {
        let ticket = stage.place(user, CHANNEL);
        let link = dial(stage, PROXY, host);
        stage.connect(user, ticket);
        stage.voice(user).link = link;
        stage.wait("a key", |stage| stage.voice(user).is_connected().then_some(()));
    }
    stage.heard_by(ANN, &[BOB]);
    let mut liar = dial(stage, Ipv4Addr::LOCALHOST, 12);
    let mut said = Vec::new();
    stage.wait("the end of who is not believed", |_| {
        said.extend(liar.read());
        liar.ended.then_some(())
    });
    let said = String::from_utf8_lossy(&said);
    assert!(said.contains("from trusted proxies alone"), "{said}");
    stage.heard_by(BOB, &[ANN]);
}
