//! Sealing and opening of packets, in place and without allocation.
//!
//! A [`Cipher`] keeps its key schedule, which costs as much as sealing a packet. The layout of each
//! mode is in [`super::mode`]. Invariant: what failed to authenticate leaves no plaintext behind.

use zeroize::{Zeroize, ZeroizeOnDrop};

use super::algorithm::Algorithm;
use super::mode::{Mode, TAG_BYTES};
use super::provider::Provider;
use crate::entropy::Entropy;

/// The key of one session, for both directions. Wiped when dropped.
///
/// It can be neither compared nor printed; its `Debug` output, for types that hold one, is `..`:
///
/// ```compile_fail
/// # use lvsp_core::crypto::cipher::MediaKey;
/// println!("{}", MediaKey::new([0; 32]));
/// ```
/// ```compile_fail
/// # use lvsp_core::crypto::cipher::MediaKey;
/// let same = MediaKey::new([0; 32]) == MediaKey::new([0; 32]);
/// ```
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct MediaKey([u8; 32]);

impl MediaKey {
    /// The key of these bytes, as a client reads them from Session Description.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// A new random key.
    pub fn generate(entropy: &mut (dyn Entropy + Send)) -> Self {
        Self(entropy.bytes())
    }

    /// The bytes, for Session Description.
    #[must_use]
    pub const fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl std::fmt::Debug for MediaKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MediaKey(..)")
    }
}

/// A packet that did not authenticate, or is too short to be one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the packet does not authenticate")]
pub struct OpenError;

/// An opened packet.
#[derive(PartialEq, Eq, Debug)]
pub struct Opened<'a> {
    /// The leading bytes that were clear.
    pub clear: &'a [u8],
    /// What was sealed.
    pub plaintext: &'a mut [u8],
    /// The counter that is the whole nonce, for [`super::nonce::ServerNonce::observe`]. `None` in
    /// the two modes without one: 24 bytes of the sender's choice are no counter, and four of them
    /// would look like one of ours every few minutes.
    pub counter: Option<[u8; 4]>,
}

/// A key ready for use in one mode.
pub struct Cipher {
    mode: Mode,
    algorithm: Algorithm,
}

impl std::fmt::Debug for Cipher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cipher").field("mode", &self.mode).finish_non_exhaustive()
    }
}

impl Cipher {
    /// Prepares a key; `None` for a mode that was not compiled in.
    ///
    /// [`Provider::default`] seals; hosts that seal much have a faster one.
    #[must_use]
    pub fn new(mode: Mode, key: &MediaKey) -> Option<Self> {
        Self::with_provider(Provider::default(), mode, key)
    }

    /// As [`Self::new`], by the code of this provider. The bytes are the same.
    #[must_use]
    pub fn with_provider(provider: Provider, mode: Mode, key: &MediaKey) -> Option<Self> {
        Some(Self { mode, algorithm: Algorithm::new(provider, mode, key)? })
    }

    /// The mode.
    #[must_use]
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// Writes a sealed packet to the front of `out` and returns its length: `clear`, the sealed
    /// parts of the plaintext one behind the other, and `suffix`.
    ///
    /// `suffix` has [`Mode::suffix_len`] bytes and must never be used twice under one key.
    /// `None`, and `out` holds nothing of use, when it is too short or the suffix has another
    /// length.
    #[must_use]
    pub fn seal_into(
        &self,
        clear: &[u8],
        plaintext: [&[u8]; 2],
        suffix: &[u8],
        out: &mut [u8],
    ) -> Option<usize> {
        if suffix.len() != self.mode.suffix_len() {
            return None;
        }
        let [first, second] = plaintext;
        let length = first.len().checked_add(second.len())?;
        let (head, rest) = out.split_at_mut_checked(clear.len())?;
        head.copy_from_slice(clear);
        let (sealed, rest) = rest.split_at_mut_checked(length.checked_add(TAG_BYTES)?)?;
        rest.get_mut(..suffix.len())?.copy_from_slice(suffix);
        let (body, tag) = if self.mode.is_secretbox() {
            let (tag, body) = sealed.split_at_mut_checked(TAG_BYTES)?;
            (body, tag)
        } else {
            sealed.split_at_mut_checked(length)?
        };
        body.get_mut(..first.len())?.copy_from_slice(first);
        body.get_mut(first.len()..)?.copy_from_slice(second);
        tag.copy_from_slice(&self.algorithm.encrypt(clear, self.nonce(clear, suffix), body)?);
        Some(clear.len() + length + TAG_BYTES + suffix.len())
    }

    /// Opens a packet whose first `clear_len` bytes are clear, in place.
    ///
    /// # Errors
    /// When it does not authenticate (what was sealed is wiped then) or is too short (nothing was
    /// touched then). Either way the packet is of no more use.
    pub fn open<'a>(
        &self,
        packet: &'a mut [u8],
        clear_len: usize,
    ) -> Result<Opened<'a>, OpenError> {
        let (clear, rest) = packet.split_at_mut_checked(clear_len).ok_or(OpenError)?;
        let clear: &'a [u8] = clear;
        let sealed_len = rest.len().checked_sub(self.mode.suffix_len()).ok_or(OpenError)?;
        let (sealed, suffix) = rest.split_at_mut_checked(sealed_len).ok_or(OpenError)?;
        let suffix: &'a [u8] = suffix;
        let body_len = sealed.len().checked_sub(TAG_BYTES).ok_or(OpenError)?;
        let (body, tag) = if self.mode.is_secretbox() {
            let (tag, body) = sealed.split_at_mut_checked(TAG_BYTES).ok_or(OpenError)?;
            (body, tag)
        } else {
            sealed.split_at_mut_checked(body_len).ok_or(OpenError)?
        };
        let tag: [u8; TAG_BYTES] = (&*tag).try_into().map_err(|_| OpenError)?;
        if self.algorithm.decrypt(clear, self.nonce(clear, suffix), body, &tag).is_none() {
            body.zeroize();
            return Err(OpenError);
        }
        Ok(Opened { clear, plaintext: body, counter: suffix.try_into().ok() })
    }

    /// Where the nonce is, which zeros fill up: plain `xsalsa20_poly1305` takes it from the header,
    /// the others from the suffix.
    fn nonce<'a>(&self, clear: &'a [u8], suffix: &'a [u8]) -> &'a [u8] {
        if self.mode == Mode::XSalsa20Poly1305 { clear } else { suffix }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_sealed_opens_to_itself(
            at in 0usize..7,
            payload in proptest::collection::vec(any::<u8>(), 0..1300),
            suffix: [u8; 24],
        ) {
            let mode = Mode::ALL[at];
            let Some(cipher) = Cipher::new(mode, &MediaKey::new([7; 32])) else { return Ok(()) };
            let mut packet = [0; 1500];
            let clear = [0x80; 12];
            let (a, b) = payload.split_at(payload.len() / 3);
            let suffix = &suffix[..mode.suffix_len()];
            let length = cipher.seal_into(&clear, [a, b], suffix, &mut packet).unwrap();
            prop_assert_eq!(length, 12 + payload.len() + mode.overhead());
            let opened = cipher.open(&mut packet[..length], 12).unwrap();
            prop_assert_eq!(&*opened.plaintext, &payload[..]);
            let counter = (suffix.len() == 4).then(|| [suffix[0], suffix[1], suffix[2], suffix[3]]);
            prop_assert_eq!(opened.counter, counter, "a random nonce is no counter");
        }

        #[test]
        fn garbage_is_refused_and_wiped(
            at in 0usize..7,
            mut packet in proptest::collection::vec(1u8.., 0..300),
            clear_len in 0usize..64,
        ) {
            let mode = Mode::ALL[at];
            let Some(cipher) = Cipher::new(mode, &MediaKey::new([7; 32])) else { return Ok(()) };
            prop_assert_eq!(cipher.open(&mut packet, clear_len), Err(OpenError));
            if packet.len() >= clear_len + mode.overhead() {
                let body = clear_len + if mode.is_secretbox() { TAG_BYTES } else { 0 };
                let end = body + packet.len() - clear_len - mode.overhead();
                prop_assert!(packet[body..end].iter().all(|byte| *byte == 0), "{mode:?}");
            }
        }
    }

    #[test]
    fn neither_keys_nor_ciphers_print_their_bytes() {
        let key = MediaKey::new([0xA7; 32]);
        assert_eq!(format!("{key:?}"), "MediaKey(..)");
        let cipher = Cipher::new(Mode::Aes256GcmRtpSize, &key);
        assert_eq!(format!("{cipher:?}"), "Some(Cipher { mode: Aes256GcmRtpSize, .. })");
    }

    #[test]
    fn a_short_buffer_or_a_wrong_suffix_is_refused() {
        let cipher = Cipher::new(Mode::Aes256GcmRtpSize, &MediaKey::new([7; 32])).unwrap();
        let mut out = [0; 31];
        assert_eq!(cipher.seal_into(&[0; 12], [&[], &[]], &[0; 4], &mut out), None);
        assert_eq!(cipher.seal_into(&[0; 12], [&[], &[]], &[0; 5], &mut [0; 64]), None);
    }
}
