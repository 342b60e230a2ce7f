//! One RTP packet, as if it were not sealed: header, CSRCs, extension, payload, padding.
//!
//! Held against a reader by offsets (RFC 3550, 5.1; RFC 8285, 4.2). The clear part and the rest are
//! one packet here, so both layouts of the transport modes must find the same payload in it. What
//! is forwarded for it is read back. Nothing is allocated.

use lvsp_core::ids::Ssrc;
use lvsp_core::wire::rtp::{self, Elements, RtpHeader};

use crate::bounds::without_heap;

/// The body of this target.
pub fn rtp_header(packet: &[u8]) {
    let (header, clear, payloads) = without_heap(|| {
        let header = RtpHeader::parse(packet);
        let split = |rtpsize: bool| {
            let header = header?;
            let (clear, rest) = packet.split_at_checked(header.clear_len(rtpsize))?;
            header.split(clear, rest, rtpsize)
        };
        let clear = header.map(|header| header.clear_len(true));
        (header, clear, [split(true), split(false)])
    });
    let expected = Reference::read(packet);
    assert_eq!(header.is_some(), expected.is_some(), "version 2 and 12 bytes make a header");
    let (Some(header), Some(expected)) = (header, expected) else { return };
    expected.check_fields(&header);
    assert_eq!(clear, Some(expected.clear_len));
    assert_eq!(header.clear_len(false), rtp::FIXED_LEN);
    let found = expected.content(packet);
    assert_eq!(payloads[0], found, "clear up to the extension's preamble");
    assert_eq!(payloads[1], found, "clear up to the fixed header");
    if let Some((elements, payload)) = found {
        assert!(rtp::FIXED_LEN + payload.len() <= packet.len());
        check_forwarded(&header, elements, payload);
    }
}

/// What a receiver gets is read back as what the speaker sent.
fn check_forwarded(header: &RtpHeader, elements: Elements, payload: &[u8]) {
    let level = elements.audio_level.unwrap_or(rtp::DEFAULT_AUDIO_LEVEL);
    let flags = rtp::extension_flags(header.payload_type);
    assert_eq!(
        flags.count_ones(),
        (header.payload_type & 7).count_ones(),
        "three flags, reordered"
    );
    let micros = u64::from(header.timestamp) << 16 | u64::from(header.sequence);
    let send_time = rtp::abs_send_time(micros);
    assert!(send_time < 1 << 24, "24 bits");
    let clear = rtp::forward_clear(header.sequence, header.timestamp, header.ssrc);
    let body = rtp::forward_extension(send_time, level, flags);
    let plaintext = [&body[..], payload].concat();
    let again = RtpHeader::parse(&clear).expect("we wrote it");
    assert_eq!(
        (again.sequence, again.timestamp, again.ssrc),
        (header.sequence, header.timestamp, header.ssrc)
    );
    assert!(!again.padding && !again.marker && again.csrc_count == 0);
    let stated = Elements { audio_level: Some(level), speaking: Some(flags) };
    assert_eq!(again.split(&clear, &plaintext, true), Some((stated, payload)));
}

/// What the extension of a packet says, and its payload without padding.
pub(crate) fn content_of(packet: &[u8]) -> Option<(Elements, &[u8])> {
    Reference::read(packet)?.content(packet)
}

/// How much of a packet stays clear in the modes that end in `rtpsize`.
pub(crate) fn clear_len_of(packet: &[u8]) -> usize {
    Reference::read(packet).map_or(rtp::FIXED_LEN, |packet| packet.clear_len)
}

/// The same packet, read by offsets.
struct Reference {
    bytes: [u8; 12],
    clear_len: usize,
    csrcs_end: usize,
}

impl Reference {
    fn read(packet: &[u8]) -> Option<Self> {
        if packet.len() < 12 || packet[0] & 0xC0 != 0x80 {
            return None;
        }
        let bytes: [u8; 12] = packet[..12].try_into().expect("12 bytes");
        let csrcs_end = 12 + 4 * usize::from(bytes[0] & 0x0F);
        let clear_len = csrcs_end + if bytes[0] & 0x10 == 0 { 0 } else { 4 };
        Some(Self { bytes, clear_len, csrcs_end })
    }

    fn check_fields(&self, header: &RtpHeader) {
        let b = &self.bytes;
        let word =
            |at: usize| b[at..at + 4].iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte));
        let expected = RtpHeader {
            padding: b[0] & 0x20 == 0x20,
            extension: b[0] & 0x10 == 0x10,
            csrc_count: b[0] % 16,
            marker: b[1] >= 0x80,
            payload_type: b[1] % 0x80,
            sequence: (word(0) & 0xFFFF) as u16,
            timestamp: word(4),
            ssrc: Ssrc(word(8)),
        };
        assert_eq!(*header, expected);
    }

    /// What the extension says, and the payload without its padding.
    fn content<'p>(&self, packet: &'p [u8]) -> Option<(Elements, &'p [u8])> {
        let (mut start, mut end) = (self.csrcs_end, packet.len());
        let mut elements = Elements::default();
        if self.bytes[0] & 0x10 != 0 {
            let head = packet.get(start..start + 4)?;
            let length = 4 * (usize::from(head[2]) * 256 + usize::from(head[3]));
            let body = packet.get(start + 4..start + 4 + length)?;
            if head[..2] == [0xBE, 0xDE] {
                elements = read_elements(body);
            }
            start += 4 + length;
        }
        if start > end {
            return None;
        }
        if self.bytes[0] & 0x20 != 0 {
            let padding = usize::from(*packet[start..].last()?);
            if padding == 0 || padding > end - start {
                return None;
            }
            end -= padding;
        }
        Some((elements, &packet[start..end]))
    }
}

fn read_elements(body: &[u8]) -> Elements {
    let mut found = Elements::default();
    let mut at = 0;
    while at < body.len() {
        let (id, length) = (body[at] / 16, usize::from(body[at] % 16) + 1);
        if id == 0 {
            at += 1;
            continue;
        }
        if id == 15 || at + 1 + length > body.len() {
            break;
        }
        if id == 1 {
            found.audio_level = Some(body[at + 1]);
        }
        if id == 9 {
            found.speaking = Some(body[at + 1]);
        }
        at += 1 + length;
    }
    found
}
