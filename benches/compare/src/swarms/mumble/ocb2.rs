//! OCB2-AES128 as Mumble uses it for UDP: a block cipher mode of Rogaway's, without associated data.
//!
//! Blocks are numbers of 128 bits, the first byte highest. The tag is whole here; Mumble sends the
//! first three bytes of it.

use aes::Aes128;
use aes::cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};

const BLOCK_BYTES: usize = 16;

/// A key.
pub(super) struct Ocb2(Aes128);

impl Ocb2 {
    pub(super) fn new(key: &[u8; 16]) -> Self {
        Self(Aes128::new(key.into()))
    }

    fn encrypt_block(&self, block: u128) -> u128 {
        let mut bytes = block.to_be_bytes().into();
        self.0.encrypt_block(&mut bytes);
        u128::from_be_bytes(bytes.into())
    }

    fn decrypt_block(&self, block: u128) -> u128 {
        let mut bytes = block.to_be_bytes().into();
        self.0.decrypt_block(&mut bytes);
        u128::from_be_bytes(bytes.into())
    }

    /// Encrypts in place; the tag.
    pub(super) fn seal(&self, nonce: u128, text: &mut [u8]) -> [u8; BLOCK_BYTES] {
        let mut offset = self.encrypt_block(nonce);
        let mut checksum = 0;
        let (whole, last) = split(text);
        for block in whole.chunks_exact_mut(BLOCK_BYTES) {
            offset = double(offset);
            let plain = load(block);
            checksum ^= plain;
            store(offset ^ self.encrypt_block(offset ^ plain), block);
        }
        offset = double(offset);
        let pad = self.pad(offset, last.len());
        // The pad stands where the last block has no text.
        let plain = load(last) | pad & low(last.len());
        checksum ^= plain;
        store(plain ^ pad, last);
        self.tag(offset, checksum)
    }

    /// Decrypts in place; the tag that belongs to it.
    pub(super) fn open(&self, nonce: u128, text: &mut [u8]) -> [u8; BLOCK_BYTES] {
        let mut offset = self.encrypt_block(nonce);
        let mut checksum = 0;
        let (whole, last) = split(text);
        for block in whole.chunks_exact_mut(BLOCK_BYTES) {
            offset = double(offset);
            let plain = offset ^ self.decrypt_block(offset ^ load(block));
            checksum ^= plain;
            store(plain, block);
        }
        offset = double(offset);
        let pad = self.pad(offset, last.len());
        let plain = load(last) ^ pad;
        checksum ^= plain;
        store(plain, last);
        self.tag(offset, checksum)
    }

    fn pad(&self, offset: u128, length: usize) -> u128 {
        self.encrypt_block(offset ^ (length as u128 * 8))
    }

    fn tag(&self, offset: u128, checksum: u128) -> [u8; BLOCK_BYTES] {
        self.encrypt_block(double(offset) ^ offset ^ checksum).to_be_bytes()
    }
}

/// All whole blocks but the last, and what is left: one block at the most, nothing of an empty text.
fn split(text: &mut [u8]) -> (&mut [u8], &mut [u8]) {
    let last = text.len().saturating_sub(1) / BLOCK_BYTES * BLOCK_BYTES;
    text.split_at_mut(last)
}

/// Up to one block, filled up with zeros.
fn load(bytes: &[u8]) -> u128 {
    let mut block = [0; BLOCK_BYTES];
    block[..bytes.len()].copy_from_slice(bytes);
    u128::from_be_bytes(block)
}

fn store(block: u128, bytes: &mut [u8]) {
    bytes.copy_from_slice(&block.to_be_bytes()[..bytes.len()]);
}

/// The bits behind the first `length` bytes.
fn low(length: usize) -> u128 {
    u128::MAX.checked_shr(length as u32 * 8).unwrap_or(0)
}

/// Times x in the field of 2^128 elements.
const fn double(block: u128) -> u128 {
    (block << 1) ^ ((block >> 127) * 0x87)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic: that is its verdict")]
mod tests {
    use super::*;

    const KEY: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02X}")).collect()
    }

    /// The examples that the mode was published with: key, nonce and text count up from 0.
    #[test]
    fn the_published_examples_are_met() {
        let cipher = Ocb2::new(&KEY);
        let nonce = u128::from_be_bytes(KEY);
        assert_eq!(hex(&cipher.seal(nonce, &mut [])), "BF3108130773AD5EC70EC69E7875A7B0");
        let mut text: Vec<u8> = (0..40).collect();
        let tag = cipher.seal(nonce, &mut text);
        assert_eq!(
            hex(&text),
            "F75D6BC8B4DC8D66B836A2B08B32A6369F1CD3C5228D79FD6C267F5F6AA7B231C7DFB9D59951AE9C"
        );
        assert_eq!(hex(&tag), "9DB0CDF880F73E3E10D4EB3217766688");
    }

    #[test]
    fn what_is_sealed_opens_to_itself_under_the_same_tag() {
        let cipher = Ocb2::new(&KEY);
        for length in 0..70 {
            let plain: Vec<u8> = (0..length).map(|n| n ^ 0x5A).collect();
            let mut text = plain.clone();
            let tag = cipher.seal(7, &mut text);
            assert_eq!(cipher.open(7, &mut text), tag);
            assert_eq!(text, plain);
            let mut other = plain.clone();
            let other_tag = cipher.seal(8, &mut other);
            assert_ne!(cipher.open(7, &mut other), other_tag, "{length}");
        }
    }
}
