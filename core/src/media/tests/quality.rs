//! How well packets arrive: figures of a leg, reports to senders, the channel's bitrate.

use std::time::Duration;

use super::*;
use crate::stats::LegFigures;
use crate::wire::rtcp;

fn figures(fixture: &Fixture, client: &Client) -> LegFigures {
    fixture.relay.leg_figures(client.leg).expect("the leg is open")
}

/// An RTCP packet of this type, sealed as the client's library would.
fn rtcp_packet(client: &mut Client, packet_type: u8) -> Vec<u8> {
    let mut clear = vec![0x80, packet_type, 0, 6];
    clear.extend(client.ssrc.0.to_be_bytes());
    // NTP time, RTP time, packets, bytes.
    let body: Vec<u8> = (0..20).collect();
    client.seal(&clear, &body)
}

#[test]
fn a_leg_counts_what_it_sent_lost_and_delayed() {
    let mut fixture = Fixture::new();
    let room = fixture.room();
    let mut speaker = fixture.join(room, AES);
    let listener = fixture.join(room, XCHACHA);
    for n in [1u16, 2, 5, 4, 6] {
        fixture.now = fixture.now + Duration::from_millis(20);
        fixture.speak(&mut speaker, n);
    }
    let replay = speaker.packet(6, b"opus");
    fixture.refused(speaker.address, &replay);
    let mut forged = speaker.packet(7, b"opus");
    forged[20] ^= 1;
    fixture.refused(speaker.address, &forged);

    let spoken = figures(&fixture, &speaker);
    assert_eq!((spoken.packets_in, spoken.lost, spoken.late), (5, 1, 1));
    assert_eq!(spoken.last_heard, Some(fixture.now));
    assert!(spoken.jitter > Duration::ZERO, "5 came before 4");
    assert_eq!(spoken.drops.of(DropReason::Replayed), 1);
    assert_eq!(spoken.drops.of(DropReason::Unauthentic), 1);
    let heard = figures(&fixture, &listener);
    assert_eq!((heard.packets_in, heard.packets_out), (0, 5));
    assert_eq!(fixture.relay.figures().count(), 2);
}

#[test]
fn a_new_key_begins_a_new_sequence_without_loss() {
    let mut fixture = Fixture::new();
    let room = fixture.room();
    let mut speaker = fixture.join(room, AES);
    fixture.speak(&mut speaker, 60_000);
    fixture.set_key(&speaker, None);
    fixture.speak(&mut speaker, 1);
    fixture.speak(&mut speaker, 2);
    assert_eq!(figures(&fixture, &speaker).lost, 0);
}

// Clauses: V4.16
#[test]
fn a_sender_report_is_answered_once_in_five_seconds_and_never_relayed() {
    for mode in Mode::ALL {
        let mut fixture = Fixture::new();
        let room = fixture.room();
        let mut speaker = fixture.join(room, mode);
        fixture.join(room, AES);
        let report = rtcp_packet(&mut speaker, 200);
        assert_eq!(fixture.refused(speaker.address, &report), DropReason::Rtcp, "not heard yet");
        fixture.speak(&mut speaker, 1);
        fixture.speak(&mut speaker, 3);
        let report = rtcp_packet(&mut speaker, 200);
        if mode.suffix_len() == 0 {
            assert_eq!(fixture.refused(speaker.address, &report), DropReason::Rtcp);
            continue;
        }
        assert_eq!(fixture.refused(at(9, 9), &report), DropReason::Rtcp, "not from its address");
        let sent = fixture.send(speaker.address, &report);
        assert_eq!(sent.len(), 1, "{}", mode.name());
        let (to, leg, mut answer) = sent.into_iter().next().expect("one");
        assert_eq!((to, leg), (speaker.address, speaker.leg));
        assert_eq!(answer[..8], [0x81, 201, 0, 7, 0, 0, 0, 1]);
        let opened = speaker.cipher().open(&mut answer, rtcp::CLEAR_LEN).expect("it is sealed");
        assert_eq!(opened.plaintext[..4], speaker.ssrc.0.to_be_bytes());
        assert_eq!(opened.plaintext[4..8], [85, 0, 0, 1], "one of three lost");
        assert_eq!(opened.plaintext[16..20], [2, 3, 4, 5], "the middle of its time");
        let again = rtcp_packet(&mut speaker, 200);
        assert_eq!(fixture.refused(speaker.address, &again), DropReason::Rtcp);
        fixture.now = fixture.now + Duration::from_secs(5);
        let again = rtcp_packet(&mut speaker, 200);
        assert_eq!(fixture.send(speaker.address, &again).len(), 1);
        let other = rtcp_packet(&mut speaker, 203);
        assert_eq!(fixture.refused(speaker.address, &other), DropReason::Rtcp);
        assert_eq!(fixture.relay.stats().reports, 2);
    }
}

/// Packets that get through of `count`, one each 20 ms, of 400 bytes each: 160 kbit/s.
fn get_through(fixture: &mut Fixture, speaker: &mut Client, count: u16) -> usize {
    let mut through = 0;
    for n in 1..=count {
        fixture.now = fixture.now + Duration::from_millis(20);
        let packet = speaker.packet(n, &[7; 400]);
        through += fixture.send(speaker.address, &packet).len();
    }
    through
}

// Clauses: V4.12, L4.9
#[test]
fn a_sender_above_its_channels_bitrate_is_counted_and_cut_only_where_that_is_asked_for() {
    for enforce_bitrate in [false, true] {
        let media = MediaConfig { enforce_bitrate, ..MediaConfig::default() };
        let mut fixture = Fixture::with(&Limits::default(), media);
        let room = fixture.room();
        let mut speaker = fixture.join(room, AES);
        fixture.join(room, AES);
        let through = get_through(&mut fixture, &mut speaker, 1_000);
        let over = figures(&fixture, &speaker).over_bitrate;
        // 20 s at 128 kbit/s, and twice that at once, of 20 s at 160 kbit/s.
        assert!((100..=130).contains(&over), "{over}");
        let cut = if enforce_bitrate { over } else { 0 };
        assert_eq!(1_000 - through as u64, cut);
        assert_eq!(fixture.drops(DropReason::OverBitrate), cut);

        fixture.command(RelayCommand::SetBitrate { room, bitrate: 128_000 });
        fixture.now = fixture.now + Duration::from_secs(10);
        fixture.set_key(&speaker, None);
        assert_eq!(get_through(&mut fixture, &mut speaker, 500), 500, "the channel has more now");
    }
}
