//! One RTCP packet, as if it were not sealed.
//!
//! Held against a reader by offsets (RFC 3550, 6.4); it is what the classifier takes for RTCP; and
//! the report that this server writes about a sender is read back. Nothing is allocated.

use lvsp_core::ids::Ssrc;
use lvsp_core::wire::discovery::Kind;
use lvsp_core::wire::rtcp::{self, ReportBlock, RtcpHeader, SenderReport};

use crate::bounds::without_heap;

/// The body of this target.
pub fn rtcp(packet: &[u8]) {
    let (header, report, kind) = without_heap(|| {
        let body = packet.get(rtcp::CLEAR_LEN..);
        (RtcpHeader::parse(packet), body.map(SenderReport::parse), Kind::of(packet))
    });
    let word = |at: usize| {
        packet.get(at..at + 4).map(|bytes| bytes.iter().fold(0, |n, b| n * 256 + u32::from(*b)))
    };
    let is_rtcp = packet.len() >= 8 && packet[0] / 64 == 2 && (200..207).contains(&packet[1]);
    assert_eq!(header.is_some(), is_rtcp);
    assert_eq!(
        report.flatten(),
        word(24).and(word(10)).map(|middle_ntp| SenderReport { middle_ntp })
    );
    // Eight bytes that end in zeros are py-cord's keepalive, whatever they begin with.
    assert_eq!(kind == Kind::Rtcp || (kind == Kind::Keepalive && is_rtcp), is_rtcp, "{kind:?}");
    if let Some(header) = header {
        let expected = RtcpHeader {
            count: packet[0] % 32,
            packet_type: packet[1],
            length_words: (word(0).expect("8 bytes") & 0xFFFF) as u16,
            sender: Ssrc(word(4).expect("8 bytes")),
        };
        assert_eq!(header, expected);
        assert_eq!(header.is_sender_report(), packet[1] == 200);
    }
    if let Some(block) = block_of(packet) {
        check_report(&block);
    }
}

/// A report block made of the packet's bytes.
fn block_of(packet: &[u8]) -> Option<ReportBlock> {
    let word = |at: usize| Some(u32::from_be_bytes(packet.get(at..at + 4)?.try_into().ok()?));
    let loss = word(12)?;
    Some(ReportBlock {
        source: word(8)?,
        fraction_lost: (loss >> 24) as u8,
        cumulative_lost: loss & 0xFF_FFFF,
        highest_sequence: word(16)?,
        jitter: word(20)?,
        last_report: word(24)?,
        delay_since_last_report: word(28)?,
    })
}

fn check_report(block: &ReportBlock) {
    let written = rtcp::receiver_report(block);
    let header = RtcpHeader::parse(&written).expect("we wrote it");
    assert_eq!((header.packet_type, header.count), (201, 1));
    assert_eq!(4 * (usize::from(header.length_words) + 1), written.len(), "as long as it says");
    assert_ne!(header.sender.0 % 4, 0, "never the SSRC of a member");
    assert_eq!(block_of(&written), Some(*block));
    assert!(written.len() <= rtcp::RECEIVER_REPORT_LEN);
}
