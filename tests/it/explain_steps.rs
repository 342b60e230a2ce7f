//! Every step of an explanation can be the one that fails: each is made to by what peers and sockets
//! really do.

use std::net::SocketAddr;
use std::time::Duration;

use lvsp_core::explain::Explanation;
use lvsp_core::ids::{RelayId, RelaySet};
use lvsp_core::media::{Flights, Forwarding, Handovers, Outbox, Sent};
use lvsp_core::reasons::DropReason;
use lvsp_core::wire::lvsp::VoiceFlagsUpdate;
use lvsp_core::wire::rtp;
use serde_json::json;

use crate::explain::{explanation, first_bad, leg, member, set_flags};
use crate::lifecycle::AES;
use crate::people::{CHANNEL, OTHER_CHANNEL, Voice, chat_server, gateway, identify, join, place};
use crate::people::{resume, select};
use crate::spread;
use crate::trace::root;
use crate::world::{PeerId, World};

const LATENCY: Duration = Duration::from_millis(100);

/// Two in one channel; nobody has said anything.
fn pair() -> (World, PeerId, [Voice; 2]) {
    let mut world = World::new();
    let chat = chat_server(&mut world);
    let voices = [1, 2].map(|user| join(&mut world, chat, user, CHANNEL, AES));
    (world, chat, voices)
}

/// One who talks, and another.
fn talk() -> (World, PeerId, [Voice; 2]) {
    let (mut world, chat, mut voices) = pair();
    assert_eq!(voices[0].speak(&mut world, b"a frame").len(), 1);
    (world, chat, voices)
}

fn say(world: &mut World, voice: &Voice, flags: u8) {
    let d = json!({"speaking": flags, "delay": 0, "ssrc": voice.ssrc});
    world.send(voice.peer, &json!({"op": 5, "d": d}));
}

/// One frame by way of a host whose socket does this with it, and whose lists for other relays are full.
fn forward(world: &mut World, voice: &mut Voice, send: impl FnMut(Flights<'_>) -> Sent) {
    forward_aged(world, voice, Duration::ZERO, send);
}

/// The same when the host comes to sending so long after it came to the datagram.
fn forward_aged(
    world: &mut World,
    voice: &mut Voice,
    later: Duration,
    send: impl FnMut(Flights<'_>) -> Sent,
) {
    let mut packet = voice.packet(b"a frame");
    let (now, relay) = (world.now, world.relay_of(voice.relay));
    let mut outbox = Outbox::new(LATENCY);
    let mut full = Handovers::closed();
    let mut forwarding = Forwarding::new(relay, &mut outbox, || now, |_| Sent::Full);
    forwarding.shared_datagram(now, voice.address, &mut packet, |to, handover| {
        to.iter().filter(|_| !full.push(handover)).collect::<RelaySet>()
    });
    world.now = now + later;
    let now = world.now;
    Forwarding::new(world.relay_of(voice.relay), &mut outbox, || now, send).flush();
}

fn everything(flights: Flights<'_>) -> Sent {
    Sent::Some(flights.len())
}

/// Makes a step fail; what is explained then.
type Case = fn() -> Explanation;

/// Every step, what it says, and how it comes to fail.
const CASES: &[(&str, &str, Case)] = &[
    ("session", "has not identified", || {
        let (mut world, chat, _) = pair();
        place(&mut world, chat, 3, CHANNEL);
        explanation(&mut world, 3, 2)
    }),
    ("socket", "no datagram of the speaker has ever come to relay 0", || {
        let (mut world, chat, _) = pair();
        let ticket = place(&mut world, chat, 3, CHANNEL);
        let peer = gateway(&mut world, 8);
        world.send(peer, &identify(&ticket));
        explanation(&mut world, 3, 2)
    }),
    ("last packet", "said 5000 ms ago that it speaks", || {
        let (mut world, _, voices) = pair();
        say(&mut world, &voices[0], 1);
        world.advance(Duration::from_secs(5));
        explanation(&mut world, 1, 2)
    }),
    ("decrypt", "not sealed under its key", || {
        let (mut world, _, mut voices) = talk();
        world.advance(Duration::from_millis(20));
        let mut packet = voices[0].packet(b"a frame");
        *packet.last_mut().expect("not empty") ^= 1;
        world.datagram(voices[0].address, packet);
        explanation(&mut world, 1, 2)
    }),
    ("ssrc", "it sends SSRC 77 but its SSRC is", || {
        let (mut world, _, mut voices) = pair();
        voices[0].ssrc = 77;
        voices[0].speak(&mut world, b"a frame");
        explanation(&mut world, 1, 2)
    }),
    ("speaking", "has not been told whose SSRC", || {
        let (mut world, chat, voices) = pair();
        world.cut(voices[1].peer);
        world.advance(Duration::from_secs(1));
        join(&mut world, chat, 3, CHANNEL, AES).speak(&mut world, b"a frame");
        explanation(&mut world, 3, 2)
    }),
    ("mute", "muted the speaker", || {
        let (mut world, _, mut voices) = talk();
        let mute = VoiceFlagsUpdate { mute: Some(true), ..VoiceFlagsUpdate::default() };
        set_flags(&mut world, 1, mute);
        voices[0].speak(&mut world, b"a frame");
        explanation(&mut world, 1, 2)
    }),
    ("accepted", "limits.sender_packets_per_s", || {
        let (mut world, _, mut voices) = talk();
        while !voices[0].speak(&mut world, b"a frame").is_empty() {}
        explanation(&mut world, 1, 2)
    }),
    ("channel", "the listener in channel", || {
        let (mut world, chat, _voices) = talk();
        join(&mut world, chat, 3, OTHER_CHANNEL, AES);
        explanation(&mut world, 1, 3)
    }),
    ("relays", "relay 1 had no room for what relay 0 handed it", || {
        let mut world = spread::world(2, 2);
        let (_, mut voices) = spread::stage(&mut world, 3);
        assert_eq!(voices[2].relay, RelayId(1));
        forward(&mut world, &mut voices[0], everything);
        explanation(&mut world, 1, 3)
    }),
    ("listener session", "listener's voice client has not identified", || {
        let (mut world, chat, _voices) = talk();
        place(&mut world, chat, 3, CHANNEL);
        explanation(&mut world, 1, 3)
    }),
    ("address", "its client cannot reach the media port", || {
        let (mut world, chat, mut voices) = talk();
        let ticket = place(&mut world, chat, 3, CHANNEL);
        let peer = gateway(&mut world, 8);
        world.send(peer, &identify(&ticket));
        assert_eq!(world.take(peer)["op"], 2);
        select(&mut world, peer, "192.0.2.1:5".parse().expect("an address"), AES.1);
        voices[0].speak(&mut world, b"a frame");
        explanation(&mut world, 1, 3)
    }),
    ("deaf", "deafened itself", || {
        let (mut world, _, mut voices) = talk();
        let deaf = VoiceFlagsUpdate { self_deaf: Some(true), ..VoiceFlagsUpdate::default() };
        set_flags(&mut world, 2, deaf);
        voices[0].speak(&mut world, b"a frame");
        explanation(&mut world, 1, 2)
    }),
    ("key", "seals no more (key_exhausted)", || {
        let mut world = World::with(|config| {
            (config.limits.key_soft_packets, config.limits.key_hard_packets) = (1_024, 2_048);
        });
        let chat = chat_server(&mut world);
        let mut voices = [1, 2].map(|user| join(&mut world, chat, user, CHANNEL, AES));
        // The relay has told the server of it, which has not been asked to act yet.
        for _ in 0..2_048 {
            world.now = world.now + Duration::from_millis(20);
            forward(&mut world, &mut voices[0], everything);
        }
        explanation(&mut world, 1, 2)
    }),
    ("send", "the socket refused 1 of 2 copies for the listener", || {
        let (mut world, _, mut voices) = talk();
        forward(&mut world, &mut voices[0], |_| Sent::Full);
        explanation(&mut world, 1, 2)
    }),
];

/// Operators know nothing of the rows of docs/limits.md, such as M9.
fn names_a_rule(text: &str) -> bool {
    text.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| {
        let number = word.strip_prefix(['C', 'G', 'M']).unwrap_or_default();
        !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit())
    })
}

#[test]
fn every_step_can_be_the_one_that_fails() {
    assert!(names_a_rule("as rule (M9) has it") && !names_a_rule("GMT, 4 MiB, M and C"));

    for (step, said, case) in CASES {
        let explained = case();
        assert_eq!(first_bad(&explained), Some(*step), "{explained:#?}");
        assert!(explained.summary.contains(said), "{said:?} in {:?}", explained.summary);
        assert!(!explained.audible, "{step}");
        let all = explained.steps.iter().map(|step| &step.detail);
        assert!(all.clone().all(|detail| !names_a_rule(detail)), "{:?}", all.collect::<Vec<_>>());
    }
    let (mut world, _, _voices) = talk();
    let explained = explanation(&mut world, 1, 2);
    assert!(explained.audible, "{explained:#?}");
    let steps: Vec<_> = explained.steps.iter().map(|step| step.name).collect();
    let cases: Vec<_> = CASES.iter().map(|(step, ..)| *step).collect();
    assert_eq!(cases, steps);
    let manual = std::fs::read_to_string(root().join("docs/operating.md")).expect("the manual");
    let untold: Vec<_> =
        steps.iter().filter(|step| !manual.contains(&format!("\n| `{step}` | "))).collect();
    assert!(untold.is_empty(), "docs/operating.md has no row for {untold:?}");
}

#[test]
fn what_a_socket_refuses_is_its_listeners_and_is_over_a_second_later() {
    let (mut world, chat, mut voices) = talk();
    let third = join(&mut world, chat, 3, CHANNEL, AES);
    let mut sent = 0;
    // The first flight leaves; the socket has no room for the second.
    forward(&mut world, &mut voices[0], |flights| {
        sent += 1;
        if sent == 1 { Sent::Some(flights.len() - 1) } else { Sent::Full }
    });
    let told: Vec<_> = [2, 3].map(|user| first_bad(&explanation(&mut world, 1, user))).into();
    assert_eq!(told, [None, Some("send")], "{}", third.ssrc);
    world.advance(Duration::from_secs(1));
    voices[0].speak(&mut world, b"a frame");
    let explained = explanation(&mut world, 1, 3);
    assert!(explained.audible, "{}", explained.summary);
    let send = explained.steps.last().expect("it has steps");
    assert!(send.detail.contains("the socket refused 1"), "{}", send.detail);
}

#[test]
fn copies_that_grow_too_old_at_the_host_are_told_of() {
    let (mut world, _, mut voices) = talk();
    forward_aged(&mut world, &mut voices[0], 2 * LATENCY, everything);
    let explained = explanation(&mut world, 1, 2);
    assert_eq!(first_bad(&explained), Some("send"));
    assert!(
        explained.summary.contains("older than limits.media_latency_ms"),
        "{}",
        explained.summary
    );
}

#[test]
fn a_relay_that_is_behind_loses_what_other_relays_hand_it() {
    let mut world = spread::world(2, 2);
    let (_, mut voices) = spread::stage(&mut world, 3);
    voices[0].speak(&mut world, b"a frame");
    let now = world.now;
    world.relay_of(RelayId(1)).note_overflow(now, 1);
    let explained = explanation(&mut world, 1, 3);
    assert_eq!(first_bad(&explained), Some("relays"));
    assert!(explained.summary.contains("has more to do than it can"), "{}", explained.summary);
    assert!(explanation(&mut world, 1, 2).audible, "it is at the speaker's relay");
}

#[test]
fn a_wrong_ssrc_is_told_of_where_the_client_is_and_of_nobody_else() {
    let (mut world, _, mut voices) = pair();
    let own = voices[0].ssrc;
    voices[0].ssrc = 77;
    let packet = voices[0].packet(b"a frame");
    // Of the same host, but from another port.
    let elsewhere = SocketAddr::new(voices[0].address.ip(), voices[0].address.port() + 1_000);
    world.datagram(elsewhere, packet.clone());
    assert_eq!(world.relay.stats().drops.of(DropReason::UnknownSsrc), 1);
    assert_eq!(first_bad(&explanation(&mut world, 1, 2)), None);
    world.datagram(voices[0].address, packet);
    let explained = explanation(&mut world, 1, 2);
    assert_eq!(first_bad(&explained), Some("ssrc"));
    assert!(explained.summary.contains(&format!("its SSRC is {own}")), "{}", explained.summary);
    assert_ne!(
        first_bad(&explanation(&mut world, 2, 1)),
        Some("ssrc"),
        "the other one is at no fault"
    );
    let view = member(&world, 1);
    let figures = leg(&mut world, &view).expect("a leg").figures;
    assert_eq!(figures.drops.of(DropReason::UnknownSsrc), 1);
    // While it is heard, what else it sends is no reason not to hear it.
    voices[0].ssrc = own;
    voices[0].speak(&mut world, b"a frame");
    world.advance(Duration::from_millis(20));
    voices[0].ssrc = 77;
    voices[0].speak(&mut world, b"a frame");
    assert!(explanation(&mut world, 1, 2).audible);
}

#[test]
fn whoever_says_that_it_speaks_and_is_silent_is_told_what_comes_instead() {
    let (mut world, _, mut voices) = pair();
    let silent = |world: &mut World| {
        let explained = explanation(world, 1, 2);
        assert_eq!(first_bad(&explained), Some("last packet"), "{explained:#?}");
        explained.summary
    };
    // Frames of silence are none of anybody's fault, unless its client says that it speaks.
    voices[0].speak(&mut world, rtp::SILENCE);
    let explained = explanation(&mut world, 1, 2);
    assert_eq!((explained.audible, first_bad(&explained)), (false, None));
    assert!(explained.summary.contains("only frames of silence"), "{}", explained.summary);
    say(&mut world, &voices[0], 1);
    world.advance(Duration::from_millis(4_999));
    assert_eq!(first_bad(&explanation(&mut world, 1, 2)), None, "it may be about to");
    world.advance(Duration::from_millis(1));
    assert!(silent(&mut world).contains("nothing else of it comes either"));
    voices[0].speak(&mut world, rtp::SILENCE);
    let summary = silent(&mut world);
    assert!(
        summary.contains("only frames of silence") && summary.contains("microphone"),
        "{summary}"
    );
    world.advance(Duration::from_secs(2));
    for alive in [vec![0x13, 0x37, 0xCA, 0xFE, 0, 0, 0, 1], vec![7, 0, 0, 0, 0, 0, 0, 0]] {
        world.advance(Duration::from_secs(16));
        assert!(silent(&mut world).contains("nothing else of it comes either"));
        world.datagram(voices[0].address, alive);
        assert!(
            silent(&mut world).contains("its pings or keepalives do come, the last one 0 ms ago")
        );
    }
    // It takes back what it said, or speaks.
    say(&mut world, &voices[0], 0);
    assert_eq!(first_bad(&explanation(&mut world, 1, 2)), None);
    say(&mut world, &voices[0], 1);
    world.advance(Duration::from_secs(6));
    silent(&mut world);
    voices[0].speak(&mut world, b"a frame");
    assert!(explanation(&mut world, 1, 2).audible);
}

#[test]
fn somebody_whose_audio_alone_says_that_it_speaks_may_stop_at_any_time() {
    let (mut world, _, mut voices) = talk();
    assert_eq!(
        member(&world, 1).session.map(|session| session.told),
        Some(1),
        "it was told for it"
    );
    world.advance(Duration::from_secs(30));
    assert_eq!(first_bad(&explanation(&mut world, 1, 2)), None);
    // Nor does it matter that its client says the contrary of what it does.
    say(&mut world, &voices[0], 0);
    voices[0].speak(&mut world, b"a frame");
    let explained = explanation(&mut world, 1, 2);
    assert!(explained.audible, "{}", explained.summary);
    let speaking = explained.steps.iter().find(|step| step.name == "speaking").expect("a step");
    assert_eq!(speaking.ok, None);
}

#[test]
fn a_listener_that_resumes_learns_whom_it_hears() {
    let (mut world, chat, voices) = pair();
    world.cut(voices[1].peer);
    world.advance(Duration::from_secs(1));
    let mut third = join(&mut world, chat, 3, CHANNEL, AES);
    assert_eq!(third.speak(&mut world, b"a frame").len(), 2, "copies are sent all the same");
    assert_eq!(first_bad(&explanation(&mut world, 3, 2)), Some("speaking"));
    assert_ne!(first_bad(&explanation(&mut world, 1, 2)), Some("speaking"), "it was there before");
    let peer = gateway(&mut world, 8);
    world.send(peer, &resume(&voices[1].ticket, Some(0)));
    let told = world.take_all(peer);
    assert!(told.iter().any(|message| message["d"]["ssrc"] == third.ssrc), "{told:?}");
    assert!(explanation(&mut world, 3, 2).audible);
}

#[test]
fn packets_that_were_there_before_are_a_fault_only_while_nothing_new_comes() {
    let (mut world, _, mut voices) = talk();
    world.advance(Duration::from_millis(5));
    let again = voices[0].packet_at(voices[0].sequence, b"a frame");
    world.datagram(voices[0].address, again);
    assert!(explanation(&mut world, 1, 2).audible, "a network doubles packets now and then");
    world.advance(Duration::from_secs(2));
    let again = voices[0].packet_at(voices[0].sequence, b"a frame");
    world.datagram(voices[0].address, again);
    let explained = explanation(&mut world, 1, 2);
    assert_eq!(first_bad(&explained), Some("accepted"), "{explained:#?}");
    assert!(explained.summary.contains("sequence numbers"), "{}", explained.summary);
}
