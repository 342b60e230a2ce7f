//! A voice client's packets, and the payloads by which everybody knows whose they are.

use std::collections::HashSet;

use lvsp_core::crypto::cipher::{Cipher, MediaKey};
use lvsp_core::entropy::SeededEntropy;
use lvsp_core::wire::rtp::RtpHeader;

use crate::dice::Dice;
use crate::kit::Kit;
use crate::profile::Profile;

const MARK: &[u8; 4] = b"lvsp";
const HEAD: usize = 16;

/// What a user says as its `n`th frame; `length` bytes, at least 16.
pub(crate) fn payload(user: u64, n: u32, length: usize) -> Vec<u8> {
    let mut payload = Vec::with_capacity(length);
    payload.extend(MARK);
    payload.extend(user.to_be_bytes());
    payload.extend(n.to_be_bytes());
    let mut filler = SeededEntropy::new(user ^ (u64::from(n) << 32));
    while payload.len() < length {
        payload.extend(filler.next_u64().to_be_bytes());
    }
    payload.truncate(length.max(HEAD));
    payload
}

/// Whose frame this is and which, if it is intact.
pub(crate) fn read_payload(bytes: &[u8]) -> Option<(u64, u32)> {
    let user = u64::from_be_bytes(bytes.get(4..12)?.try_into().ok()?);
    let n = u32::from_be_bytes(bytes.get(12..HEAD)?.try_into().ok()?);
    (payload(user, n, bytes.len()) == bytes).then_some((user, n))
}

/// What a client has after its Session Description.
pub(crate) struct Media {
    cipher: Cipher,
    profile: Profile,
    ssrc: u32,
    /// Which of the session's keys this is.
    keys: u32,
    counter: u32,
    sequence: u16,
    timestamp: u32,
    /// Nonces that were heard: the network doubles datagrams.
    heard: HashSet<[u8; 4]>,
}

impl Media {
    pub(crate) fn new(
        kit: &Kit,
        profile: Profile,
        ssrc: u32,
        keys: u32,
        key: [u8; 32],
        dice: &mut Dice,
    ) -> Option<Self> {
        let counter = match kit.knobs.counter_start {
            0 => 0,
            1 => dice.u64() as u32,
            // Half of the range, the whole of it, and where the server itself begins.
            _ => dice.pick(&[1_u32 << 31, 0, 1 << 29, 128]).wrapping_sub(dice.below(100) as u32),
        };
        let sequence = match kit.knobs.sequence_start {
            0 => 0,
            1 => dice.u64() as u16,
            _ => u16::MAX - dice.below(30) as u16,
        };
        let cipher = Cipher::new(profile.mode(), &MediaKey::new(key))?;
        let timestamp = dice.u64() as u32;
        let heard = HashSet::new();
        Some(Self { cipher, profile, ssrc, keys, counter, sequence, timestamp, heard })
    }

    /// The next packet.
    pub(crate) fn seal(&mut self, kit: &mut Kit, payload: &[u8]) -> Vec<u8> {
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(960);
        self.seal_as(kit, self.ssrc, payload)
    }

    /// A packet that names somebody's SSRC.
    pub(crate) fn seal_as(&mut self, kit: &mut Kit, ssrc: u32, payload: &[u8]) -> Vec<u8> {
        let mut header = vec![0x80, 0x78];
        header.extend(self.sequence.to_be_bytes());
        header.extend(self.timestamp.to_be_bytes());
        header.extend(ssrc.to_be_bytes());
        let nonce = if self.profile.little_endian() {
            self.counter.to_le_bytes()
        } else {
            self.counter.to_be_bytes()
        };
        self.counter = self.counter.wrapping_add(1);
        kit.oracle.sealed(self.ssrc, self.keys, nonce);
        let mut packet = vec![0; header.len() + payload.len() + 40];
        let length = self.cipher.seal_into(&header, [payload, &[]], &nonce, &mut packet);
        packet.truncate(length.unwrap_or_default());
        packet
    }

    /// The SSRC and payload of a packet for this client that it has not heard yet.
    pub(crate) fn open(&mut self, packet: &mut [u8]) -> Option<(u32, Vec<u8>)> {
        let header = RtpHeader::parse(packet)?;
        let nonce: [u8; 4] = *packet.last_chunk()?;
        let opened = self.cipher.open(packet, header.clear_len(true)).ok()?;
        let (_, payload) = header.split(opened.clear, opened.plaintext, true)?;
        self.heard.insert(nonce).then(|| (header.ssrc.0, payload.to_vec()))
    }
}
