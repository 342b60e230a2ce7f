//! A voice client's media: sealing its own frames, opening those of others.

use std::time::Duration;

use crate::crypto::cipher::{Cipher, MediaKey};
use crate::crypto::mode::{Mode, OVERHEAD_BYTES_MAX};
use crate::ids::{Ssrc, UserId};
use crate::wire::rtp::RtpHeader;

/// From one frame of a voice client to the next: every library sends frames of 20 ms.
pub const FRAME_INTERVAL: Duration = Duration::from_millis(20);
/// Samples of such a frame at 48 kHz.
const FRAME_SAMPLES: u32 = 960;

/// Somebody's audio.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Frame {
    /// Whose, by number.
    pub ssrc: Ssrc,
    /// Whose, if the gateway tied the number to a user.
    pub user: Option<UserId>,
    /// The RTP sequence number.
    pub sequence: u16,
    /// The RTP timestamp, in samples.
    pub timestamp: u32,
    /// The Opus frame.
    pub payload: Vec<u8>,
}

/// A session's key and where its counters stand.
#[derive(Debug)]
pub(super) struct Media {
    mode: Mode,
    cipher: Cipher,
    ssrc: Ssrc,
    counter: u32,
    sequence: u16,
    timestamp: u32,
}

impl Media {
    /// Starts sealing under a new key; sequence and timestamp begin where the library says.
    pub(super) fn new(
        mode: Mode,
        key: [u8; 32],
        ssrc: Ssrc,
        (sequence, timestamp): (u16, u32),
    ) -> Option<Self> {
        let cipher = Cipher::new(mode, &MediaKey::new(key))?;
        Some(Self { mode, cipher, ssrc, counter: 0, sequence, timestamp })
    }

    /// The next packet, with a big-endian counter as most libraries write it.
    pub(super) fn seal(&mut self, payload: &[u8]) -> Option<Vec<u8>> {
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(FRAME_SAMPLES);
        let mut header = [0x80, 0x78, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        header[2..4].copy_from_slice(&self.sequence.to_be_bytes());
        header[4..8].copy_from_slice(&self.timestamp.to_be_bytes());
        header[8..].copy_from_slice(&self.ssrc.0.to_be_bytes());
        let mut suffix = [0; 24];
        suffix[20..].copy_from_slice(&self.counter.to_be_bytes());
        self.counter = self.counter.wrapping_add(1);
        let suffix = &suffix[24 - self.mode.suffix_len()..];
        let mut packet = vec![0; header.len() + payload.len() + OVERHEAD_BYTES_MAX];
        let length = self.cipher.seal_into(&header, [payload, &[]], suffix, &mut packet)?;
        packet.truncate(length);
        Some(packet)
    }

    /// Opens somebody's packet; `None` for what is no audio for this session.
    pub(super) fn open(&self, packet: &mut [u8]) -> Option<Frame> {
        let header = RtpHeader::parse(packet)?;
        let clear = header.clear_len(self.mode.is_rtpsize());
        let opened = self.cipher.open(packet, clear).ok()?;
        let (_, payload) = header.split(opened.clear, opened.plaintext, self.mode.is_rtpsize())?;
        Some(Frame {
            ssrc: header.ssrc,
            user: None,
            sequence: header.sequence,
            timestamp: header.timestamp,
            payload: payload.to_vec(),
        })
    }
}
