//! Datagrams that come to a relay.

use super::headers::{ONE_BYTE, OPUS, SENDER_REPORT, header};
use super::{Seeds, join};

/// Steps of `udp_datagram`. Session `seat` is at address `from`.
fn rtp(seat: u8, from: u8, sequence: u16, first: u8, change: u16, body: &[u8]) -> Vec<u8> {
    let [s0, s1] = sequence.to_be_bytes();
    let (change, length) = (change.to_le_bytes(), (body.len() as u16).to_le_bytes());
    join(&[&[seat << 3 | 1, from, first, 0x70, s0, s1, 0], &change, &length, body])
}

fn discovery(seat: u8, from: u8, what: u8) -> Vec<u8> {
    vec![seat << 3 | 4, from, what]
}

fn report(seat: u8, from: u8, kind: u8, body: &[u8]) -> Vec<u8> {
    join(&[&[seat << 3 | 3, from, kind, 0, 0, 0, body.len() as u8], body])
}

fn wait(ms: u16) -> Vec<u8> {
    join(&[&[6], &ms.to_le_bytes()])
}

/// Everybody asks for an address: first the sessions of one address, then of another.
fn everybody() -> Vec<u8> {
    (0..10).flat_map(|seat| discovery(seat, seat % 2, 0)).collect()
}

/// An answer to a discovery request, with so many bytes.
fn answer(length: usize, ip: &str) -> Vec<u8> {
    let mut answer = join(&[&[0, 2, 0, 70, 1, 0, 0, 0], ip.as_bytes()]);
    answer.resize(length, 0);
    answer
}

pub(crate) fn udp_datagram() -> Seeds {
    let talk = |seat| rtp(seat, seat % 2, 7, 0, 0, OPUS);
    let with = |steps: &[Vec<u8>]| join(&[&[0], &everybody(), &steps.concat()]);
    let raw = |bytes: &[u8]| join(&[&[0, 0], &(bytes.len() as u16).to_le_bytes(), bytes]);
    let keepalives: Vec<Vec<u8>> = [
        &[0, 0, 0, 9][..],
        &[0x80, 0xC8, 0, 0],
        &[0xC9, 0, 0, 0, 0, 0, 0, 0, 0],
        &[5, 0, 0, 0, 0, 0, 0, 0],
        &[0, 0, 0, 0, 0, 0, 0, 5],
    ]
    .iter()
    .map(|bytes| raw(bytes))
    .collect();
    vec![
        ("everybody_is_found", with(&[])),
        ("everybody_talks", with(&(0..10).map(talk).collect::<Vec<_>>())),
        ("extension_one_byte", with(&[rtp(0, 0, 1, 0x10, 0, &join(&[ONE_BYTE, OPUS]))])),
        ("csrc_15_and_padding", with(&[rtp(1, 1, 1, 0x2F, 0, &join(&[&[7; 60], OPUS, &[0, 2]]))])),
        ("replayed", with(&[talk(0), talk(0)])),
        ("changed_after_sealing", with(&[rtp(0, 0, 1, 0, 200, OPUS), rtp(4, 0, 1, 0, 17, OPUS)])),
        (
            "nonce_of_the_server",
            with(&[
                talk(1),
                join(&[&[1, 0, 0, 0x70, 0, 9, 0x80, 0xC0, 0, 0x80, 0x80, 0, 0, 3, 0], OPUS]),
                rtp(1, 1, 8, 0, 0, OPUS),
            ]),
        ),
        ("moves_to_another_port", with(&[talk(0), wait(2_000), rtp(0, 1, 8, 0, 0, OPUS), talk(1)])),
        (
            "stranger_address",
            with(&[
                join(&[&talk(0), &wait(2_000), &rtp(0, 2, 8, 0, 0, OPUS)]),
                (1..9).flat_map(|sequence| rtp(1, 1, sequence, 0, 0, OPUS)).collect(),
            ]),
        ),
        (
            "sender_report",
            with(&[
                talk(0),
                report(0, 0, 0, &SENDER_REPORT[8..]),
                wait(5_000),
                report(0, 0, 0, &SENDER_REPORT[8..]),
            ]),
        ),
        (
            "other_reports",
            with(&[report(0, 0, 1, &[0; 24]), report(0, 0, 5, &[0; 8]), report(0, 0, 6, &[0; 4])]),
        ),
        ("pings", with(&[vec![5, 0, 1, 2, 3, 4], vec![5, 2, 1, 2, 3, 4]])),
        ("keepalives", with(&keepalives)),
        (
            "discovery_answers",
            with(&[
                raw(&answer(74, "2001:db8::1")),
                raw(&answer(74, "::ffff:192.0.2.1")),
                raw(&answer(74, "nowhere")),
                raw(&answer(73, "192.0.2.1")),
            ]),
        ),
        ("report_cut_short", with(&[raw(&[0x80, 200, 0, 6, 0, 1, 0xC3])])),
        ("legacy_discovery", with(&[discovery(0, 0, 1), discovery(0, 0, 2), discovery(7, 5, 0)])),
        ("foreign_discovery", with(&[discovery(0, 2, 0), discovery(0, 3, 0), discovery(7, 4, 0)])),
        (
            "forbidden_addresses",
            with(&[rtp(0, 5, 1, 0, 0, OPUS), rtp(0, 6, 1, 0, 0, OPUS), rtp(0, 7, 1, 0, 0, OPUS)]),
        ),
        ("new_key", with(&[talk(0), vec![7, 0], talk(0), talk(1)])),
        ("muted_and_deafened", with(&[vec![7, 5], talk(0), vec![8 | 7, 9], talk(4)])),
        ("closed", with(&[vec![7, 3], talk(0), talk(1)])),
        ("video_ssrc", with(&[raw(&join(&[&header(0x80)[..8], &[1, 0, 0, 1], OPUS]))])),
        ("strict", join(&[&[8], &everybody(), &talk(0), &talk(1), &rtp(0, 2, 9, 0, 0, OPUS)])),
        ("open", join(&[&[12], &everybody(), &talk(0), &talk(1), &rtp(0, 2, 9, 0, 0, OPUS)])),
        (
            "too_large",
            with(&[
                rtp(0, 0, 1, 0, 0, &[1; 1_337]),
                rtp(0, 0, 2, 0, 0, &[1; 1_336]),
                rtp(0, 0, 3, 0, 0, &[1; 1_500]),
            ]),
        ),
    ]
}
