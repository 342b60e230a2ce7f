//! What hostile members and strangers do: wrong order, wrong content, wrong source, too much.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use lvsp_core::output::Plane;
use serde_json::json;

use crate::host::PORT;
use crate::kit::{Event, GUILD, Kit, Who};
use crate::media::payload;
use crate::network::Way;
use crate::voice::Voice;

/// Somebody whose address is used without asking.
fn victim(kind: u64) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(93, 184, 216, 34)), 1_000 + (kind % 7) as u16)
}

/// One attack of `voice`, of the kind that the plan names.
pub(crate) fn attack(kit: &mut Kit, voice: &mut Voice, kind: u64) {
    match kind % 18 {
        0 => voice_text(kit, voice, "{\"op\":5,\"d\":{\"speaking\":1,\"ssrc\":"),
        1 => voice_text(kit, voice, &"[".repeat(3_000)),
        2 => voice_text(kit, voice, &format!("{{\"op\":{kind},\"d\":{{}}}}")),
        3 => flood(kit, voice),
        4 => binary(kit, voice),
        5 => identify_again(kit, voice),
        6 => select_again(kit, voice),
        7 => voice.say(kit, &json!({"op": 3, "d": {"t": kind, "seq_ack": kind}})),
        8 => voice_text(kit, voice, &"x".repeat(70_000)),
        9 => stranger(kit, voice, b"GET / HTTP/1.1\r\nHost: a\r\n"),
        10 => stranger(kit, voice, &[0x16, 3, 1, 0xFF, 0xFF, 1, 2, 3]),
        11 => garbage(kit, voice, kind),
        12 => discover_for_victim(kit, voice, kind),
        13 => speak_from(kit, voice, victim(kind)),
        14 => speak_as_another(kit, voice),
        15 => replay(kit, voice),
        16 => guess(kit, voice, kind),
        _ => ping_as_victim(kit, voice, kind),
    }
}

fn voice_text(kit: &mut Kit, voice: &mut Voice, text: &str) {
    if let Some(link) = &mut voice.link {
        link.say_text(kit, text);
    }
}

fn flood(kit: &mut Kit, voice: &mut Voice) {
    for t in 0..200 {
        voice.say(kit, &json!({"op": 3, "d": t}));
    }
}

fn binary(kit: &mut Kit, voice: &mut Voice) {
    let bytes: Vec<u8> = (0..40).map(|_| voice.dice.u64() as u8).collect();
    if let Some(link) = &mut voice.link {
        link.say_binary(kit, &bytes);
    }
}

fn identify_again(kit: &mut Kit, voice: &mut Voice) {
    let d =
        json!({"server_id": GUILD.to_string(), "user_id": "1", "session_id": "x", "token": "y"});
    voice.say(kit, &json!({"op": 0, "d": d}));
}

fn select_again(kit: &mut Kit, voice: &mut Voice) {
    let data = json!({"address": "0.0.0.0", "port": 0, "mode": voice.profile.mode().name()});
    voice.say(kit, &json!({"op": 1, "d": {"protocol": "udp", "data": data}}));
}

/// A connection that never gets anywhere, and is never closed at this end.
fn stranger(kit: &mut Kit, voice: &Voice, bytes: &[u8]) {
    let address = SocketAddr::new(victim(0).ip(), 50_000);
    let who = Who::Stranger(voice.index);
    let wire = kit.network.open(kit.now, &mut kit.agenda, who, Plane::Gateway, address);
    kit.network.send(kit.now, &mut kit.agenda, wire, Way::Up, bytes);
}

fn from_anywhere(kit: &mut Kit, from: SocketAddr, bytes: Vec<u8>) {
    let relay = bytes.len() as u64 % kit.knobs.relays.max(1);
    let to = SocketAddr::new(victim(0).ip(), PORT + relay as u16);
    kit.add_in(500, Event::ToRelay { from, to, bytes });
}

fn garbage(kit: &mut Kit, voice: &mut Voice, kind: u64) {
    let length = voice.dice.below(1_600);
    let mut bytes: Vec<u8> = (0..length).map(|_| voice.dice.u64() as u8).collect();
    if let Some(first) = bytes.first_mut() {
        *first = voice.dice.pick(&[0x80, 0x90, 0xBF, 0, 0x13, *first]);
    }
    from_anywhere(kit, victim(kind), bytes);
}

/// Asks in somebody else's name where that is, for its own session and for a guessed one.
fn discover_for_victim(kit: &mut Kit, voice: &mut Voice, kind: u64) {
    let own = voice.session.as_ref().map(|session| session.ssrc);
    for ssrc in own.into_iter().chain([voice.dice.u64() as u32]) {
        let mut request = vec![0, 1, 0, 70];
        request.extend(ssrc.to_be_bytes());
        request.resize(74, 0xFF);
        from_anywhere(kit, victim(kind), request);
    }
}

/// Sends valid packets in a victim's name, so that a channel's media would go there.
fn speak_from(kit: &mut Kit, voice: &mut Voice, from: SocketAddr) {
    let user = voice.user();
    let Some(media) = voice.session.as_mut().and_then(|session| session.media.as_mut()) else {
        return;
    };
    let packet = media.seal(kit, &payload(user, u32::MAX - voice.dice.below(1 << 30) as u32, 60));
    kit.oracle.vouched(from);
    from_anywhere(kit, from, packet);
}

/// Seals a packet that names somebody else's SSRC.
fn speak_as_another(kit: &mut Kit, voice: &mut Voice) {
    let user = voice.user();
    let Some(session) = &mut voice.session else { return };
    let other = session.others().next();
    let (Some(media), Some(other)) = (&mut session.media, other) else { return };
    let packet = media.seal_as(kit, other, &payload(user, 7, 60));
    voice.transmit(kit, &packet);
}

fn replay(kit: &mut Kit, voice: &mut Voice) {
    let user = voice.user();
    let Some(media) = voice.session.as_mut().and_then(|session| session.media.as_mut()) else {
        return;
    };
    let packet = media.seal(kit, &payload(user, u32::MAX - voice.dice.below(1 << 30) as u32, 60));
    for _ in 0..5 {
        voice.transmit(kit, &packet);
    }
}

/// RTP for sessions that may exist.
fn guess(kit: &mut Kit, voice: &mut Voice, kind: u64) {
    for _ in 0..20 {
        let mut packet = vec![0x80, 0x78, 0, 1, 0, 0, 0, 1];
        packet.extend((voice.dice.u64() as u32).to_be_bytes());
        packet.resize(60, 0x5A);
        from_anywhere(kit, victim(kind), packet);
    }
}

fn ping_as_victim(kit: &mut Kit, voice: &Voice, kind: u64) {
    for from in [victim(kind), voice.address()] {
        from_anywhere(kit, from, vec![0x13, 0x37, 0xCA, 0xFE, 0, 0, 0, 1]);
    }
}
