//! Who gets a copy of a packet, and what of the packet is in it.

use super::*;

// Clauses: V4.10, V4.11
#[test]
fn a_packet_reaches_everybody_else_in_every_pair_of_modes() {
    for from in Mode::ALL {
        for to in Mode::ALL {
            let mut fixture = Fixture::new();
            let room = fixture.room();
            let mut speaker = fixture.join(room, from);
            let (one, two) = (fixture.join(room, to), fixture.join(room, to));
            let sent = fixture.speak(&mut speaker, 7);
            let receivers: Vec<_> = sent.iter().map(|(address, leg, _)| (*address, *leg)).collect();
            assert_eq!(receivers, [(one.address, one.leg), (two.address, two.leg)]);
            let wanted = expected(speaker.ssrc, 7, 0x9E, 0x02, b"opus");
            assert_eq!(one.open(&sent[0].2), wanted, "{} > {}", from.name(), to.name());
            assert_eq!(two.open(&sent[1].2), wanted);
            let figures = fixture.relay.leg_figures(one.leg).expect("it is open");
            assert_eq!(figures.packets_out, 1);
            assert_eq!(fixture.relay.stats().packets_out, 2);
        }
    }
}

// Clauses: V4.8
#[test]
fn no_datagram_is_larger_than_promised_in_any_mode() {
    /// What passes through the usual tunnels in one piece.
    const SENT_BYTES_MAX: usize = 1_400;
    let rows = Limits::default().table();
    let most = rows.iter().find(|row| row.key == "payload_bytes").expect("it is there").max;
    let payload_bytes = most as usize;
    let limits = Limits { payload_bytes, ..Limits::default() };
    let mut largest = 0;
    for mode in Mode::ALL {
        let mut fixture = Fixture::with(&limits, MediaConfig::default());
        let room = fixture.room();
        let mut speaker = fixture.join(room, mode);
        let listener = fixture.join(room, mode);
        let packet = speaker.packet(1, &vec![0xAB; payload_bytes]);
        let sent = fixture.send(speaker.address, &packet);
        let copy = &sent[0].2;
        assert!(copy.len() <= SENT_BYTES_MAX, "{} bytes in {}", copy.len(), mode.name());
        assert!(listener.open(copy).ends_with(&vec![0xAB; payload_bytes]), "{}", mode.name());
        largest = largest.max(copy.len());
        let packet = speaker.packet(2, &vec![0xAB; payload_bytes + 1]);
        assert_eq!(fixture.refused(speaker.address, &packet), DropReason::TooLarge);
    }
    assert_eq!(largest, SENT_BYTES_MAX, "no room is given away");
}

// Clauses: V4.10
#[test]
fn of_the_senders_header_only_level_and_flags_are_kept() {
    // Marker, padding, two CSRCs, an extension of three words with ids 5, 1, 9.
    let extension = [0x51, 1, 2, 0x10, 0x8A, 0x90, 0x05, 0, 0, 0, 0, 0];
    for mode in [AES, XCHACHA, Mode::Aes256Gcm, Mode::XSalsa20Poly1305Suffix] {
        let mut fixture = Fixture::new();
        let room = fixture.room();
        let mut speaker = fixture.join(room, mode);
        let listener = fixture.join(room, AES);
        let mut raw = vec![0xB2, 0xF8, 0, 9];
        raw.extend((9u32 * 960).to_be_bytes());
        raw.extend(speaker.ssrc.0.to_be_bytes());
        raw.extend([0x11; 8]);
        raw.extend([0xBE, 0xDE, 0, 3]);
        raw.extend(extension);
        raw.extend(b"opus\0\0\x03");
        let (clear, hidden) = raw.split_at(if mode.is_rtpsize() { 24 } else { 12 });
        let packet = speaker.seal(clear, hidden);
        let sent = fixture.send(speaker.address, &packet);
        let wanted = expected(speaker.ssrc, 9, 0x8A, 0x05, b"opus");
        assert_eq!(listener.open(&sent[0].2), wanted, "{}", mode.name());
    }
}

// Clauses: V4.11
#[test]
fn rooms_never_hear_each_other() {
    let mut fixture = Fixture::new();
    let (here, there) = (fixture.room(), fixture.room());
    let mut speaker = fixture.join(here, AES);
    let near = fixture.join(here, AES);
    let _far = fixture.join(there, AES);
    let sent = fixture.speak(&mut speaker, 1);
    assert_eq!(sent.iter().map(|sent| sent.1).collect::<Vec<_>>(), [near.leg]);
    fixture.command(RelayCommand::Close { leg: near.leg });
    assert!(fixture.speak(&mut speaker, 2).is_empty());
    fixture.command(RelayCommand::Close { leg: speaker.leg });
    assert_eq!(fixture.relay.leg_count(), 1);
    let packet = speaker.packet(3, b"opus");
    assert_eq!(fixture.refused(speaker.address, &packet), DropReason::UnknownSsrc);
}

#[test]
fn permissions_hold_from_the_next_packet() {
    let mut fixture = Fixture::new();
    let room = fixture.room();
    let mut speaker = fixture.join(room, AES);
    let listener = fixture.join(room, AES);
    fixture.permit(&speaker, false, true);
    let muted = speaker.packet(1, b"opus");
    assert_eq!(fixture.refused(speaker.address, &muted), DropReason::Muted);
    assert_eq!(fixture.relay.stats().packets_in, 1, "it was opened and counted");
    fixture.permit(&speaker, true, true);
    assert_eq!(fixture.refused(speaker.address, &muted), DropReason::Replayed);
    assert_eq!(fixture.speak(&mut speaker, 2).len(), 1);
    fixture.permit(&listener, true, false);
    assert!(fixture.speak(&mut speaker, 3).is_empty());
}

// Clauses: V4.4, V4.17
#[test]
fn nobody_without_a_key_or_an_address_is_sent_anything() {
    let mut fixture = Fixture::new();
    let room = fixture.room();
    let mut speaker = fixture.join(room, AES);
    let no_key = fixture.open(room, AES);
    fixture.send(no_key.address, &request(no_key.ssrc));
    let ping = [0x13, 0x37, 0xCA, 0xFE, 1, 2, 3, 4];
    assert_eq!(fixture.refused(no_key.address, &ping), DropReason::Ping);
    let mut no_address = fixture.open(room, AES);
    fixture.set_key(&no_address, Some(at(99, 99)));
    assert!(fixture.speak(&mut speaker, 1).is_empty());
    // Its first authenticated packet tells where it is.
    assert_eq!(fixture.speak(&mut no_address, 1).len(), 1);
    assert_eq!(fixture.speak(&mut speaker, 2).len(), 1);
}
