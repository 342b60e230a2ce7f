//! RTP headers: reading a speaker's, writing the one that receivers get.
//!
//! A sealed packet's header is readable up to [`RtpHeader::clear_len`]; the body of its extension is
//! inside the ciphertext, so it is read from the opened plaintext. Receivers never get a speaker's
//! header or extension: several libraries fail on CSRCs, padding or markers, and the lengths are the
//! speaker's choice. They get one fixed shape instead, with an extension of two words.

use crate::ids::Ssrc;

/// Length of the fixed header.
pub const FIXED_LEN: usize = 12;
/// Length of a forwarded header that stays in the clear: fixed header and extension preamble.
pub const FORWARD_CLEAR_LEN: usize = 16;
/// Length of a forwarded extension's body, which is sealed with the payload.
pub const FORWARD_EXTENSION_LEN: usize = 8;
/// The payload type of Opus.
pub const OPUS: u8 = 120;
/// Opus' frame of silence. Five of them end what a client says; some send it all the time.
pub const SILENCE: &[u8] = &[0xF8, 0xFF, 0xFE];
/// Audio level for speakers that send none: voice, -30 dBov.
pub const DEFAULT_AUDIO_LEVEL: u8 = 0x9E;
/// Speaking flags in the extension for speakers that send none: voice.
pub const DEFAULT_EXTENSION_FLAGS: u8 = 2;

const ONE_BYTE_PROFILE: u16 = 0xBEDE;

/// The fixed header of an RTP packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RtpHeader {
    /// Whether the payload ends with padding.
    pub padding: bool,
    /// Whether an extension follows the CSRCs.
    pub extension: bool,
    /// How many CSRCs follow.
    pub csrc_count: u8,
    /// The marker bit.
    pub marker: bool,
    /// The payload type.
    pub payload_type: u8,
    /// The sequence number.
    pub sequence: u16,
    /// The media timestamp.
    pub timestamp: u32,
    /// The speaker.
    pub ssrc: Ssrc,
}

/// The first four bytes of an extension.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Preamble {
    /// The kind of extension.
    pub profile: u16,
    /// Length of its body in 32-bit words.
    pub words: u16,
}

impl RtpHeader {
    /// Reads the fixed header; `None` if the packet is shorter than it or not version 2.
    #[must_use]
    pub fn parse(packet: &[u8]) -> Option<Self> {
        let [first, second, s0, s1, t0, t1, t2, t3, c0, c1, c2, c3] =
            *packet.first_chunk::<FIXED_LEN>()?;
        (first >> 6 == 2).then_some(Self {
            padding: first & 0x20 != 0,
            extension: first & 0x10 != 0,
            csrc_count: first & 0x0F,
            marker: second & 0x80 != 0,
            payload_type: second & 0x7F,
            sequence: u16::from_be_bytes([s0, s1]),
            timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
            ssrc: Ssrc(u32::from_be_bytes([c0, c1, c2, c3])),
        })
    }

    /// How many bytes of the sealed packet are in the clear. The packet may be shorter.
    ///
    /// In the `rtpsize` modes these are fixed header, CSRCs and extension preamble; in the others
    /// the fixed header alone.
    #[must_use]
    pub fn clear_len(&self, rtpsize: bool) -> usize {
        if rtpsize { FIXED_LEN + self.csrc_len() + self.preamble_len() } else { FIXED_LEN }
    }

    fn csrc_len(&self) -> usize {
        4 * usize::from(self.csrc_count)
    }

    const fn preamble_len(&self) -> usize {
        if self.extension { 4 } else { 0 }
    }

    /// Splits an opened packet into what the extension says and the payload without padding.
    ///
    /// `clear` is the packet's clear part, of [`RtpHeader::clear_len`] bytes. `None` if the lengths
    /// inside contradict the packet's.
    #[must_use]
    pub fn split<'a>(
        &self,
        clear: &[u8],
        plaintext: &'a [u8],
        rtpsize: bool,
    ) -> Option<(Elements, &'a [u8])> {
        let (preamble, body) = if rtpsize {
            (clear.get(FIXED_LEN..)?.get(self.csrc_len()..)?, plaintext)
        } else {
            let rest = plaintext.get(self.csrc_len()..)?;
            (rest, rest.get(self.preamble_len()..)?)
        };
        let (elements, payload) = if self.extension {
            let preamble = Preamble::parse(preamble)?;
            let (body, payload) = body.split_at_checked(4 * usize::from(preamble.words))?;
            let one_byte = preamble.profile == ONE_BYTE_PROFILE;
            (if one_byte { Elements::parse(body) } else { Elements::default() }, payload)
        } else {
            (Elements::default(), body)
        };
        Some((elements, if self.padding { strip_padding(payload)? } else { payload }))
    }
}

impl Preamble {
    /// Reads a preamble.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let [p0, p1, w0, w1] = *bytes.first_chunk::<4>()?;
        Some(Self { profile: u16::from_be_bytes([p0, p1]), words: u16::from_be_bytes([w0, w1]) })
    }
}

/// The extension elements that are kept when forwarding.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Elements {
    /// Id 1: bit 7 is voice, the rest -dBov.
    pub audio_level: Option<u8>,
    /// Id 9: 1 priority, 2 voice, 4 soundshare.
    pub speaking: Option<u8>,
}

impl Elements {
    /// Finds the elements in the body of a one-byte extension. What is cut short is not there.
    #[must_use]
    pub fn parse(mut body: &[u8]) -> Self {
        let mut found = Self::default();
        while let Some((head, rest)) = body.split_first() {
            let id = head >> 4;
            if id == 0 {
                body = rest;
                continue;
            }
            let length = usize::from(head & 0x0F) + 1;
            let Some((data, rest)) = rest.split_at_checked(length) else { break };
            match id {
                1 => found.audio_level = data.first().copied(),
                9 => found.speaking = data.first().copied(),
                15 => break, // reserved: stop reading
                _ => {}
            }
            body = rest;
        }
        found
    }
}

/// The payload without its padding; `None` if the padding's stated length cannot be.
#[must_use]
pub fn strip_padding(payload: &[u8]) -> Option<&[u8]> {
    let padding = usize::from(*payload.last()?);
    if padding == 0 {
        return None;
    }
    payload.get(..payload.len().checked_sub(padding)?)
}

/// The clear part of a forwarded packet: Opus, no marker, no CSRCs, a two-word extension.
#[must_use]
pub fn forward_clear(sequence: u16, timestamp: u32, ssrc: Ssrc) -> [u8; FORWARD_CLEAR_LEN] {
    let [s0, s1] = sequence.to_be_bytes();
    let [t0, t1, t2, t3] = timestamp.to_be_bytes();
    let [c0, c1, c2, c3] = ssrc.0.to_be_bytes();
    [0x90, OPUS, s0, s1, t0, t1, t2, t3, c0, c1, c2, c3, 0xBE, 0xDE, 0, 2]
}

/// The extension body of a forwarded packet: send time, audio level, speaking flags. No padding.
#[must_use]
pub const fn forward_extension(
    abs_send_time: u32,
    audio_level: u8,
    speaking: u8,
) -> [u8; FORWARD_EXTENSION_LEN] {
    let [_, t0, t1, t2] = abs_send_time.to_be_bytes();
    [0x32, t0, t1, t2, 0x10, audio_level, 0x90, speaking]
}

/// A time as the extension wants it: seconds in 6.18 bits fixed point.
#[must_use]
pub fn abs_send_time(micros: u64) -> u32 {
    let wrapped = micros % 64_000_000;
    u32::try_from((wrapped << 18) / 1_000_000).unwrap_or(0)
}

/// The gateway's speaking flags in the order of the extension.
#[must_use]
pub const fn extension_flags(gateway: u8) -> u8 {
    ((gateway & 3) << 1) | ((gateway & 4) >> 2)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_forwarded_header_has_the_shape_that_every_receiver_takes() {
        let clear = forward_clear(0x0102, 0x0304_0506, Ssrc(0x0708_090A));
        let expected = [0x90, 0x78, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0xBE, 0xDE, 0, 2];
        assert_eq!(clear, expected);
        let body = forward_extension(0x0012_3456, DEFAULT_AUDIO_LEVEL, DEFAULT_EXTENSION_FLAGS);
        assert_eq!(body, [0x32, 0x12, 0x34, 0x56, 0x10, 0x9E, 0x90, 0x02]);
        let header = RtpHeader::parse(&clear).unwrap();
        assert_eq!(header.clear_len(true), FORWARD_CLEAR_LEN);
        assert_eq!(header.clear_len(false), FIXED_LEN);
        let plaintext = [body.as_slice(), b"opus"].concat();
        let (elements, payload) = header.split(&clear, &plaintext, true).unwrap();
        assert_eq!(elements, Elements { audio_level: Some(0x9E), speaking: Some(2) });
        assert_eq!(payload, b"opus");
        let older = [&clear[12..], &plaintext].concat();
        assert_eq!(header.split(&clear[..12], &older, false), Some((elements, payload)));
    }

    #[test]
    fn csrcs_and_padding_are_cut_off() {
        let mut clear = vec![0xA2, 0x78];
        clear.extend([0; 18]);
        let header = RtpHeader::parse(&clear).unwrap();
        assert_eq!(header.clear_len(true), 20);
        let (_, payload) = header.split(&clear, &[7, 7, 0, 2], true).unwrap();
        assert_eq!(payload, [7, 7]);
        assert_eq!(header.split(&clear, &[7, 5], true), None, "more padding than payload");
        assert_eq!(strip_padding(&[]), None);
        assert_eq!(strip_padding(&[0]), None);
        assert_eq!(strip_padding(&[1]), Some([].as_slice()));
    }

    #[test]
    fn elements_are_found_between_padding_and_unknown_ones() {
        let elements = Elements::parse(&[0x51, 1, 2, 0, 0x10, 5, 0x90, 4, 0xF0, 0, 0x10, 9]);
        assert_eq!(elements, Elements { audio_level: Some(5), speaking: Some(4) });
        assert_eq!(Elements::parse(&[0x1F, 1]), Elements::default(), "cut short");
    }

    #[test]
    fn time_and_flags_are_converted() {
        assert_eq!(abs_send_time(1_000_000), 1 << 18);
        assert_eq!(abs_send_time(64_000_000), 0);
        assert!(abs_send_time(u64::MAX) < 1 << 24);
        assert_eq!([1, 2, 4].map(extension_flags), [2, 4, 1]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(
            clear in proptest::collection::vec(any::<u8>(), 0..80),
            plaintext in proptest::collection::vec(any::<u8>(), 0..80),
            rtpsize in any::<bool>(),
        ) {
            let _ = Elements::parse(&plaintext);
            if let Some(header) = RtpHeader::parse(&clear) {
                let _ = header.split(&clear, &plaintext, rtpsize);
            }
        }

        #[test]
        fn a_forwarded_header_is_read_back(sequence: u16, timestamp: u32, ssrc: u32) {
            let header = RtpHeader::parse(&forward_clear(sequence, timestamp, Ssrc(ssrc))).unwrap();
            prop_assert_eq!((header.sequence, header.timestamp), (sequence, timestamp));
            prop_assert_eq!((header.ssrc, header.payload_type), (Ssrc(ssrc), OPUS));
        }
    }
}
