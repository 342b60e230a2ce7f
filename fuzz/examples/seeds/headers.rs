//! RTP and RTCP by themselves, and the numbers of packets.

use super::{Seeds, join};

/// The fixed header of a voice packet, with this first byte.
pub(crate) const fn header(first: u8) -> [u8; 12] {
    [first, 0x78, 1, 2, 3, 4, 5, 6, 0, 1, 0xC3, 0x58]
}

pub(crate) const OPUS: &[u8] = &[0xF8, 0xFF, 0xFE];
/// Send time, audio level, speaking flags: what this server writes.
pub(crate) const ONE_BYTE: &[u8] = &[0xBE, 0xDE, 0, 2, 0x32, 0x12, 0x34, 0x56, 0x10, 0x9E, 0x90, 2];

pub(crate) fn rtp_header() -> Seeds {
    let fifteen = [7; 60];
    vec![
        ("plain", join(&[&header(0x80), OPUS])),
        ("marker", join(&[&[0x80, 0xF8], &header(0x80)[2..], OPUS])),
        ("extension_one_byte", join(&[&header(0x90), ONE_BYTE, OPUS])),
        ("extension_two_byte", join(&[&header(0x90), &[0x10, 0, 0, 1, 1, 1, 5, 0], OPUS])),
        (
            "extension_padded",
            join(&[&header(0x90), &[0xBE, 0xDE, 0, 2, 0, 0x10, 5, 0, 0x90, 1, 0, 0]]),
        ),
        ("extension_id_15", join(&[&header(0x90), &[0xBE, 0xDE, 0, 1, 0xF0, 0, 0x10, 5], OPUS])),
        (
            "extension_element_cut_short",
            join(&[&header(0x90), &[0xBE, 0xDE, 0, 1, 0, 0, 0, 0x1F], OPUS]),
        ),
        ("extension_longer_than_packet", join(&[&header(0x90), &[0xBE, 0xDE, 0xFF, 0xFF], OPUS])),
        ("extension_of_no_words", join(&[&header(0x90), &[0xBE, 0xDE, 0, 0], OPUS])),
        ("extension_without_preamble", join(&[&header(0x90), &[0xBE, 0xDE]])),
        ("csrc_15", join(&[&header(0x8F), &fifteen, OPUS])),
        ("csrc_15_cut_short", join(&[&header(0x8F), &fifteen[1..]])),
        ("csrc_15_extension_padding", join(&[&header(0xBF), &fifteen, ONE_BYTE, OPUS, &[0, 0, 3]])),
        ("padding", join(&[&header(0xA0), OPUS, &[0, 2]])),
        ("padding_is_all", join(&[&header(0xA0), &[0, 2]])),
        ("padding_of_nothing", header(0xA0).to_vec()),
        ("padding_too_long", join(&[&header(0xA0), OPUS, &[9]])),
        ("padding_zero", join(&[&header(0xA0), OPUS, &[0]])),
        ("version_1", join(&[&header(0x40), OPUS])),
        ("eleven_bytes", header(0x80)[..11].to_vec()),
    ]
}

/// A sender report without blocks.
pub(crate) const SENDER_REPORT: [u8; 28] = [
    0x80, 200, 0, 6, 0, 1, 0xC3, 0x58, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0, 0, 0, 13, 0, 0, 1,
    44,
];

pub(crate) fn rtcp() -> Seeds {
    let block = [0, 1, 0xC3, 0x58, 5, 0, 0, 9, 0, 1, 0, 7, 0, 0, 0, 3, 5, 6, 7, 8, 0, 0, 1, 0];
    let head = |count: u8, kind: u8, words: u8| [0x80 | count, kind, 0, words, 0, 1, 0xC3, 0x58];
    vec![
        ("sender_report", SENDER_REPORT.to_vec()),
        ("sender_report_one_block", join(&[&[0x81, 200, 0, 12], &SENDER_REPORT[4..], &block])),
        ("sender_report_cut_short", SENDER_REPORT[..27].to_vec()),
        ("receiver_report", join(&[&head(1, 201, 7), &block])),
        ("receiver_report_empty", head(0, 201, 1).to_vec()),
        ("source_description", join(&[&head(1, 202, 3), &[1, 4, b'l', b'v', b's', b'p', 0, 0]])),
        ("goodbye", head(1, 203, 1).to_vec()),
        ("transport_wide_feedback", join(&[&head(15, 205, 5), &block[..16]])),
        ("nack", join(&[&head(1, 205, 3), &[0, 1, 0xC3, 0x5C, 0, 7, 0x80, 1]])),
        ("picture_loss", join(&[&head(1, 206, 2), &[0, 1, 0xC3, 0x59]])),
        (
            "compound",
            join(&[&SENDER_REPORT, &head(1, 202, 3), &[1, 4, b'a', b'b', b'c', b'd', 0, 0]]),
        ),
        ("eight_bytes_ending_in_zeros", vec![0x80, 200, 0, 1, 0, 0, 0, 0]),
        ("type_207", head(0, 207, 1).to_vec()),
        ("eris_keepalive", vec![0x80, 0xC8, 0, 0]),
    ]
}

pub(crate) fn replay_window() -> Seeds {
    let at = |first: u16, steps: &[u8]| join(&[&first.to_be_bytes(), steps]);
    vec![
        ("in_order_over_the_rollover", at(65_530, &[96; 12])),
        ("each_twice", at(100, &[96, 95, 96, 95, 96, 95])),
        ("late_by_ten", at(1_000, &[110, 86, 85, 86, 110])),
        ("behind_by_1023_and_1024", at(5_000, &[96, 192, 0xFC, 0, 96, 192, 0xFB, 0xFE])),
        ("jump_of_half_the_numbers", at(100, &[192, 0x7F, 0xFE, 192, 0x80, 0])),
        ("begins_anew", at(20_000, &[255, 0xB1, 0xE0, 96, 96])),
        ("begins_anew_after_49", at(20_000, &[240, 0xB1, 0xE0, 96, 96])),
        ("falling_and_too_old", at(20_000, &[192, 0xB1, 0xE0, 94, 94, 94, 94])),
        ("whole_window", at(0, &[255, 0, 0, 255, 0, 0, 255, 0xFE, 0, 255, 0xFC, 0])),
        ("first_alone", at(0, &[])),
    ]
}
