//! The RTCP header.
//!
//! The first [`CLEAR_LEN`] bytes of a sealed RTCP packet stay readable; what follows, compound parts
//! included, is one ciphertext. RTCP is read, never relayed.

use crate::ids::Ssrc;

/// How much of a sealed packet is in the clear.
pub const CLEAR_LEN: usize = 8;
/// Packet type of a sender report.
const SENDER_REPORT: u8 = 200;

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

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..16)) {
            let _ = RtcpHeader::parse(&bytes);
        }
    }
}
