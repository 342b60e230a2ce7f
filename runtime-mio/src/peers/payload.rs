//! What is said: payloads that prove by themselves who said what and when, and that they are whole.
//!
//! ```text
//! speaker 8 | part 8 | index 4 | sent 8 | SHA-256 of all the rest 32 | filler 60 to 200
//! ```
//!
//! Numbers are big-endian. The filler is a function of speaker, part and index; its length varies
//! as that of Opus frames does.

use lvsp_core::entropy::{Entropy, SeededEntropy};
use lvsp_core::ids::UserId;
use lvsp_core::time::Timestamp;
use sha2::{Digest, Sha256};

const HEAD_BYTES: usize = 28;
const DIGEST_BYTES: usize = 32;
const FILLER_BYTES_MIN: usize = 60;
const FILLER_BYTES_MAX: usize = 200;

/// What one payload says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Payload {
    /// Who says it.
    pub speaker: UserId,
    /// What it belongs to: a part of a talk, or a channel, as whoever speaks numbers them.
    pub part: u64,
    /// Counts from 0 in each part.
    pub index: u32,
    /// When it was made, a moment before it was sent.
    pub sent: Timestamp,
}

impl Payload {
    /// The bytes that are sent as an Opus frame.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEAD_BYTES + DIGEST_BYTES + FILLER_BYTES_MAX);
        bytes.extend_from_slice(&self.speaker.as_u64().to_be_bytes());
        bytes.extend_from_slice(&self.part.to_be_bytes());
        bytes.extend_from_slice(&self.index.to_be_bytes());
        bytes.extend_from_slice(&self.sent.as_micros().to_be_bytes());
        let filler = self.filler();
        bytes.extend_from_slice(&digest(&bytes, &filler));
        bytes.extend_from_slice(&filler);
        bytes
    }

    /// Reads a payload back; `None` unless every byte is as it was sent.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let (head, rest) = bytes.split_at_checked(HEAD_BYTES)?;
        let (claimed, filler) = rest.split_at_checked(DIGEST_BYTES)?;
        if claimed != digest(head, filler) {
            return None;
        }
        let (speaker, head) = head.split_first_chunk()?;
        let (part, head) = head.split_first_chunk()?;
        let (index, sent) = head.split_first_chunk()?;
        Some(Self {
            speaker: UserId::new(u64::from_be_bytes(*speaker))?,
            part: u64::from_be_bytes(*part),
            index: u32::from_be_bytes(*index),
            sent: Timestamp::from_micros(u64::from_be_bytes(sent.try_into().ok()?)),
        })
    }

    fn filler(&self) -> Vec<u8> {
        let seed = self.speaker.as_u64().rotate_left(40) ^ self.part.rotate_left(20);
        let seed = seed ^ u64::from(self.index);
        let mut random = SeededEntropy::new(seed);
        let spread = (FILLER_BYTES_MAX - FILLER_BYTES_MIN + 1) as u64;
        let length = FILLER_BYTES_MIN + usize::try_from(random.next_u64() % spread).unwrap_or(0);
        let mut filler = vec![0; length];
        random.fill(&mut filler);
        filler
    }
}

fn digest(head: &[u8], filler: &[u8]) -> [u8; DIGEST_BYTES] {
    Sha256::new().chain_update(head).chain_update(filler).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(index: u32) -> Payload {
        let sent = Timestamp::from_micros(1_234_567);
        Payload { speaker: UserId::new(11).unwrap(), part: 1_002, index, sent }
    }

    #[test]
    fn a_payload_is_read_back_as_it_was_written() {
        for index in 0..500 {
            assert_eq!(Payload::parse(&payload(index).encode()), Some(payload(index)));
        }
    }

    #[test]
    fn any_changed_missing_or_added_byte_is_noticed() {
        let whole = payload(7).encode();
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            assert_eq!(Payload::parse(&changed), None, "byte {at}");
            assert_eq!(Payload::parse(&whole[..at]), None, "the first {at} bytes");
        }
        assert_eq!(Payload::parse(&[whole.as_slice(), &[0]].concat()), None);
    }

    #[test]
    fn lengths_vary_like_those_of_opus_frames() {
        let lengths: Vec<_> = (0..2_000).map(|index| payload(index).filler().len()).collect();
        assert_eq!(lengths.iter().min(), Some(&FILLER_BYTES_MIN));
        assert_eq!(lengths.iter().max(), Some(&FILLER_BYTES_MAX));
    }
}
