//! The RTCP header.
//!
//! The first [`CLEAR_LEN`] bytes of a sealed RTCP packet stay readable; what follows, compound parts
//! included, is one ciphertext. RTCP is read, never relayed.

use crate::ids::Ssrc;

/// How much of a sealed packet is in the clear.
pub const CLEAR_LEN: usize = 8;
/// Size of a receiver report with one block, before sealing.
pub const RECEIVER_REPORT_LEN: usize = 32;
/// Packet type of a sender report.
const SENDER_REPORT: u8 = 200;
/// Packet type of a receiver report.
const RECEIVER_REPORT: u8 = 201;
/// Who reports: never an SSRC of a member, which are multiples of four.
const REPORTER: Ssrc = Ssrc(1);

/// The readable part of an RTCP packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RtcpHeader {
    /// Number of report blocks, or a subtype.
    pub count: u8,
    /// 200 to 206.
    pub packet_type: u8,
    /// Length of the first part in 32-bit words, without its first word. As stated, unchecked.
    pub length_words: u16,
    /// Who sent it.
    pub sender: Ssrc,
}

impl RtcpHeader {
    /// Reads the header; `None` if it is not version 2, not of types 200 to 206, or too short.
    #[must_use]
    pub fn parse(packet: &[u8]) -> Option<Self> {
        let [first, packet_type, length @ ..] = *packet.first_chunk::<4>()?;
        let sender = packet.get(4..)?.first_chunk()?;
        if first >> 6 != 2 || !(200..=206).contains(&packet_type) {
            return None;
        }
        Some(Self {
            count: first & 0x1F,
            packet_type,
            length_words: u16::from_be_bytes(length),
            sender: Ssrc(u32::from_be_bytes(*sender)),
        })
    }

    /// Whether this starts with a sender report.
    #[must_use]
    pub const fn is_sender_report(&self) -> bool {
        self.packet_type == SENDER_REPORT
    }
}

/// What is used of a sender report (RFC 3550, 6.4.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SenderReport {
    /// The middle 32 bits of its NTP timestamp, to be echoed.
    pub middle_ntp: u32,
}

impl SenderReport {
    /// Reads what follows the first [`CLEAR_LEN`] bytes; `None` if it is too short.
    #[must_use]
    pub fn parse(body: &[u8]) -> Option<Self> {
        let middle = body.first_chunk::<20>()?.get(2..6)?.first_chunk()?;
        Some(Self { middle_ntp: u32::from_be_bytes(*middle) })
    }
}

/// One report of how a sender's packets arrive (RFC 3550, 6.4.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReportBlock {
    /// The SSRC that is reported of.
    pub source: u32,
    /// Share lost since the report before, in 1/256.
    pub fraction_lost: u8,
    /// Lost since the beginning, at most 2^23 - 1.
    pub cumulative_lost: u32,
    /// The highest sequence number with its rollover count.
    pub highest_sequence: u32,
    /// In timestamp units.
    pub jitter: u32,
    /// [`SenderReport::middle_ntp`] of the last sender report.
    pub last_report: u32,
    /// Since that arrived, in 1/65,536 s.
    pub delay_since_last_report: u32,
}

/// A receiver report with one block: its first [`CLEAR_LEN`] bytes stay clear.
#[must_use]
pub fn receiver_report(block: &ReportBlock) -> [u8; RECEIVER_REPORT_LEN] {
    // Version 2, one block, seven words behind the first.
    let loss = u32::from(block.fraction_lost) << 24 | (block.cumulative_lost & 0xFF_FFFF);
    let words = [
        u32::from_be_bytes([0x81, RECEIVER_REPORT, 0, 7]),
        REPORTER.0,
        block.source,
        loss,
        block.highest_sequence,
        block.jitter,
        block.last_report,
        block.delay_since_last_report,
    ];
    let mut report = [0; RECEIVER_REPORT_LEN];
    for (place, word) in report.chunks_exact_mut(4).zip(words) {
        place.copy_from_slice(&word.to_be_bytes());
    }
    report
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_sender_report_is_recognised() {
        let header = RtcpHeader::parse(&[0x81, 200, 0, 6, 0, 1, 0xC3, 0x5A, 9]).unwrap();
        assert!(header.is_sender_report());
        assert_eq!((header.count, header.length_words, header.sender), (1, 6, Ssrc(115_546)));
    }

    #[test]
    fn other_versions_types_and_lengths_are_refused() {
        assert_eq!(RtcpHeader::parse(&[0x80, 200, 0, 0]), None, "eris's keepalive");
        assert_eq!(RtcpHeader::parse(&[0x40, 200, 0, 0, 0, 0, 0, 1]), None);
        assert_eq!(RtcpHeader::parse(&[0x80, 120, 0, 0, 0, 0, 0, 1]), None);
    }

    #[test]
    fn a_receiver_report_has_the_layout_of_rfc_3550() {
        let report = receiver_report(&ReportBlock {
            source: 0x0102_0304,
            fraction_lost: 5,
            cumulative_lost: 0x060708,
            highest_sequence: 0x090A_0B0C,
            jitter: 0x0D0E_0F10,
            last_report: 0x1112_1314,
            delay_since_last_report: 0x1516_1718,
        });
        assert_eq!(report[..8], [0x81, 201, 0, 7, 0, 0, 0, 1]);
        assert_eq!(report[8..], core::array::from_fn::<u8, 24, _>(|n| n as u8 + 1));
        let header = RtcpHeader::parse(&report).unwrap();
        assert_eq!((header.count, header.length_words, header.sender), (1, 7, REPORTER));
    }

    #[test]
    fn of_a_sender_report_the_middle_of_its_time_is_read() {
        let body: Vec<u8> = (0..20).collect();
        assert_eq!(SenderReport::parse(&body), Some(SenderReport { middle_ntp: 0x0203_0405 }));
        assert_eq!(SenderReport::parse(&body[..19]), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..16)) {
            let _ = RtcpHeader::parse(&bytes);
        }
    }
}
