//! What goes no further: forged, repeated, of another kind, or too much.

use std::time::Duration;

use proptest::prelude::*;

use super::*;

// Clauses: V4.8
#[test]
fn what_is_not_fresh_opus_of_the_session_is_dropped() {
    let mut fixture = Fixture::new();
    let room = fixture.room();
    let mut speaker = fixture.join(room, AES);
    let address = speaker.address;
    let good = speaker.packet(1, b"opus");
    let mut changed = good.clone();
    changed[14] ^= 1;
    assert_eq!(fixture.refused(address, &changed), DropReason::Unauthentic);
    fixture.send(address, &good);
    assert_eq!(fixture.refused(address, &good), DropReason::Replayed);
    let video = speaker
        .seal(&[&[0x80, 0x67, 0, 2, 0, 0, 0, 0][..], &speaker.ssrc.0.to_be_bytes()].concat(), b"v");
    assert_eq!(fixture.refused(address, &video), DropReason::PayloadType);
    let rtx = speaker.seal(
        &[&[0x80, 0x78, 0, 3, 0, 0, 0, 0][..], &(speaker.ssrc.0 + 2).to_be_bytes()].concat(),
        b"v",
    );
    assert_eq!(fixture.refused(address, &rtx), DropReason::PayloadType);
    let report =
        speaker.seal(&[&[0x80, 203, 0, 6][..], &speaker.ssrc.0.to_be_bytes()].concat(), &[0; 20]);
    assert_eq!(fixture.refused(address, &report), DropReason::Rtcp);
    let large = speaker.packet(4, &[0; 1_341]);
    assert_eq!(fixture.refused(address, &large), DropReason::TooLarge);
    assert_eq!(fixture.refused(address, &[0x80; 1_501]), DropReason::Malformed);
    assert_eq!(fixture.refused(address, &good[..30]), DropReason::Malformed);
    assert_eq!(fixture.refused(address, &[0xC9, 0, 0, 0, 0, 0, 0, 0, 0]), DropReason::Keepalive);
    assert_eq!(fixture.refused(address, b"hello there"), DropReason::Unrecognised);
    let padding = speaker.seal(
        &[&[0xA0, 0x78, 0, 5, 0, 0, 0, 0][..], &speaker.ssrc.0.to_be_bytes()].concat(),
        &[200],
    );
    assert_eq!(fixture.refused(address, &padding), DropReason::Malformed);
}

// Clauses: V4.12
#[test]
fn a_sender_over_its_rates_is_cut_and_not_closed() {
    let mut fixture = Fixture::new();
    let room = fixture.room();
    let mut speaker = fixture.join(room, AES);
    fixture.join(room, AES);
    let heard = (0..600).filter(|n| !fixture.speak(&mut speaker, *n).is_empty()).count();
    assert_eq!(heard, 500);
    fixture.now = fixture.now + Duration::from_secs(2);
    let large = |fixture: &mut Fixture, speaker: &mut Client, n| {
        let packet = speaker.packet(n, &[0; 1_280]);
        !fixture.send(speaker.address, &packet).is_empty()
    };
    let heard = (600..700).filter(|n| large(&mut fixture, &mut speaker, *n)).count();
    assert_eq!(heard, 50, "512,000 bits");
}

// Clauses: V4.8
#[test]
fn no_vector_that_must_fail_is_relayed() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/vectors/rtp.json");
    let text = std::fs::read_to_string(path).expect("tests/vectors/rtp.json is in the tree");
    let vectors: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
    let cases = vectors["must_fail"].as_array().expect("a list");
    assert!(cases.len() >= 57);
    for case in cases {
        let field = |name: &str| case[name].as_str().expect("a string");
        let mode = Mode::from_name(field("mode")).expect("a mode");
        let mut fixture = Fixture::new();
        let room = fixture.room();
        fixture.join(room, AES);
        let leg = fixture.legs.insert(());
        let ssrc = Ssrc(0x0001_C35A);
        let (peer, bitrate, permissions) = (None, 64_000, BOTH);
        fixture.command(RelayCommand::Open { leg, room, ssrc, peer, bitrate, permissions });
        let key = hex(field("key")).try_into().expect("32 bytes");
        let client = Client { leg, ssrc, address: at(9, 9), mode, key, counter: 0 };
        fixture.set_key(&client, None);
        let reason = fixture.refused(client.address, &hex(field("packet")));
        let why = field("why");
        let fine = matches!(reason, DropReason::Unauthentic | DropReason::Malformed)
            || reason == DropReason::UnknownSsrc && why.starts_with("SSRC flipped")
            || reason == DropReason::Unrecognised && why.starts_with("11 bytes");
        assert!(fine, "{}: {why}: {reason:?}", mode.name());
    }
}

fn hex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2);
    let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).expect("text"), 16);
    digits.map(|pair| byte(pair).expect("hex")).collect()
}

/// Something that may reach a relay: garbage, or a plausible datagram with a change in it.
fn datagram() -> impl Strategy<Value = Vec<u8>> {
    let garbage = prop::collection::vec(any::<u8>(), 0..1_600);
    let ssrc = 3_996..4_024u32;
    let near = (ssrc.clone(), any::<[u8; 8]>(), prop::collection::vec(any::<u8>(), 0..100));
    let rtp = near.prop_map(|(ssrc, [first, rest @ ..], tail)| {
        [&[0x80 | (first & 0x3F)][..], &rest, &ssrc.to_be_bytes(), &tail].concat()
    });
    let ask = ssrc.prop_map(|ssrc| request(Ssrc(ssrc)).to_vec());
    let ping = any::<[u8; 4]>().prop_map(|echo| [&[0x13, 0x37, 0xCA, 0xFE][..], &echo].concat());
    prop_oneof![garbage, rtp, ask, ping]
}

proptest! {
    #[test]
    fn strangers_never_get_more_than_they_send(
        packets in prop::collection::vec((datagram(), any::<[u8; 4]>(), any::<u16>()), 1..40),
    ) {
        let mut fixture = Fixture::new();
        let room = fixture.room();
        let _bound = [fixture.join(room, AES), fixture.join(room, XCHACHA)];
        let _waiting = [fixture.open(room, AES), fixture.open(room, XCHACHA)];
        for (packet, ip, port) in packets {
            let from = SocketAddr::new(IpAddr::from(ip), port);
            let sent = fixture.send(from, &packet);
            let out: usize = sent.iter().map(|(_, _, bytes)| bytes.len()).sum();
            prop_assert!(out <= packet.len());
            prop_assert!(sent.iter().all(|(address, ..)| *address == from));
        }
        fixture.events();
    }
}
