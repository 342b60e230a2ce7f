//! The life of a key: its first packet, a client that meets our nonces, its renewal and its end.

use std::time::Duration;

use super::*;

#[test]
fn the_first_packet_under_a_key_is_told_once() {
    let mut fixture = Fixture::new();
    let room = fixture.room();
    let mut speaker = fixture.join(room, AES);
    fixture.permit(&speaker, false, true);
    fixture.events();
    fixture.speak(&mut speaker, 1);
    fixture.speak(&mut speaker, 2);
    assert_eq!(fixture.events(), [RelayEvent::Heard { leg: speaker.leg }]);
    fixture.set_key(&speaker, None);
    fixture.speak(&mut speaker, 1);
    assert_eq!(fixture.events(), [RelayEvent::Heard { leg: speaker.leg }]);
}

// Clauses: V4.13
#[test]
fn a_client_that_uses_our_nonce_is_sealed_for_no_more() {
    let mut fixture = Fixture::new();
    let room = fixture.room();
    let mut speaker = fixture.join(room, AES);
    let mut thief = fixture.join(room, AES);
    thief.packet(0, b"");
    fixture.speak(&mut thief, 1);
    let copy = fixture.speak(&mut speaker, 1).remove(0).2;
    let ours = &copy[copy.len() - 4..];
    fixture.events();
    let mut header = [0x80, 0x78, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0];
    header[8..].copy_from_slice(&thief.ssrc.0.to_be_bytes());
    let packet = thief.seal_with(&header, b"opus", ours);
    assert_eq!(fixture.refused(thief.address, &packet), DropReason::NonceCollision);
    assert_eq!(fixture.events(), [RelayEvent::Exhausted { leg: thief.leg }]);
    assert!(fixture.speak(&mut speaker, 2).is_empty());
    assert_eq!(fixture.drops(DropReason::NonceCollision), 2);
    fixture.set_key(&thief, None);
    assert_eq!(fixture.speak(&mut speaker, 3).len(), 1, "a fresh key is another life");
}

// Clauses: V4.14
#[test]
fn an_old_key_is_renewed_in_silence_and_a_spent_one_at_once() {
    let limits = Limits {
        key_soft_packets: 1_024,
        key_hard_packets: 2_048,
        sender_packet_burst: 100_000,
        sender_bps: 100_000_000,
        ..Limits::default()
    };
    let mut fixture = Fixture::with(&limits, MediaConfig::default());
    let room = fixture.room();
    let mut speaker = fixture.join(room, AES);
    let listener = fixture.join(room, AES);
    fixture.events();
    (0..1_024).for_each(|n| drop(fixture.speak(&mut speaker, n)));
    fixture.events();
    for seconds in [1, 3, 5] {
        fixture.now = NOW + Duration::from_secs(seconds);
        fixture.refused(at(1, 1), b"?");
        let expected =
            if seconds == 3 { vec![RelayEvent::Exhausted { leg: listener.leg }] } else { vec![] };
        assert_eq!(fixture.events(), expected, "after {seconds} s");
    }
    (1_024..2_048).for_each(|n| assert_eq!(fixture.speak(&mut speaker, n).len(), 1));
    assert_eq!(fixture.events(), [RelayEvent::Exhausted { leg: listener.leg }]);
    assert!(fixture.speak(&mut speaker, 2_048).is_empty());
    assert_eq!(fixture.drops(DropReason::KeyExhausted), 1);
}
