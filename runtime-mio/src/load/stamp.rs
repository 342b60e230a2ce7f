//! What a frame says: who sent it, its number, when it was due and when it was sent.
//!
//! ```text
//! due 8 | sent 8 | speaker 4 | index 4 | filler
//! ```
//!
//! Numbers are big-endian. Latency counts from when a frame was *due*: when the generator is late, the
//! lateness counts, as it would for somebody who talks and does not wait for the network. What is
//! left without that counts from when it was sent.

use lvsp_core::time::Timestamp;

/// The shortest frame.
pub const STAMP_BYTES: usize = 24;
/// What the rest of a frame is.
const FILLER: u8 = 0x5A;

/// What one frame says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stamp {
    /// When it was due.
    pub due: Timestamp,
    /// When it was sent.
    pub sent: Timestamp,
    /// Which speaker's.
    pub speaker: u32,
    /// Counts a speaker's frames, from 0.
    pub index: u32,
}

impl Stamp {
    /// Writes a frame of `length` bytes, at least [`STAMP_BYTES`], over what `frame` held.
    pub fn write(&self, length: usize, frame: &mut Vec<u8>) {
        frame.clear();
        for time in [self.due, self.sent] {
            frame.extend_from_slice(&time.as_micros().to_be_bytes());
        }
        frame.extend_from_slice(&self.speaker.to_be_bytes());
        frame.extend_from_slice(&self.index.to_be_bytes());
        frame.resize(length.max(STAMP_BYTES), FILLER);
    }

    /// Reads the beginning of a frame; `None` for a shorter one, as one of silence is.
    #[must_use]
    pub fn parse(frame: &[u8]) -> Option<Self> {
        let (due, rest) = frame.split_first_chunk()?;
        let (sent, rest) = rest.split_first_chunk()?;
        let (speaker, rest) = rest.split_first_chunk()?;
        let (index, _) = rest.split_first_chunk()?;
        Some(Self {
            due: Timestamp::from_micros(u64::from_be_bytes(*due)),
            sent: Timestamp::from_micros(u64::from_be_bytes(*sent)),
            speaker: u32::from_be_bytes(*speaker),
            index: u32::from_be_bytes(*index),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_read_back_from_a_frame_of_any_length() {
        let (due, sent) = (Timestamp::from_micros(1 << 40), Timestamp::from_micros(1 << 41));
        let stamp = Stamp { due, sent, speaker: 7, index: 1 << 31 };
        let mut frame = Vec::new();
        for length in [0, 24, 120, 1_340] {
            stamp.write(length, &mut frame);
            assert_eq!(frame.len(), length.max(STAMP_BYTES));
            assert_eq!(Stamp::parse(&frame), Some(stamp));
        }
        assert_eq!(Stamp::parse(&frame[..23]), None);
        assert_eq!(Stamp::parse(lvsp_core::wire::rtp::SILENCE), None);
    }
}
