//! The AEAD modes by ring, whose assembly is several times faster than portable code.
//!
//! ring has no XChaCha20: a subkey comes from HChaCha20 (draft-irtf-cfrg-xchacha, section 2.2), and
//! ChaCha20-Poly1305 under it seals. ring does not wipe its key schedules when they are dropped.

use chacha20::{R20, hchacha};
use ring::aead::{
    AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, Nonce, Tag, UnboundKey,
};
use zeroize::Zeroizing;

use super::cipher::MediaKey;
use super::mode::TAG_BYTES;

/// AES-256-GCM under one key.
pub(super) struct RingAes(LessSafeKey);

impl RingAes {
    pub(super) fn new(key: &MediaKey) -> Option<Self> {
        prepare(&AES_256_GCM, key.expose()).map(Self)
    }

    pub(super) fn encrypt(
        &self,
        nonce: [u8; 12],
        clear: &[u8],
        body: &mut [u8],
    ) -> Option<[u8; TAG_BYTES]> {
        encrypt(&self.0, nonce, clear, body)
    }

    pub(super) fn decrypt(
        &self,
        nonce: [u8; 12],
        clear: &[u8],
        body: &mut [u8],
        tag: [u8; TAG_BYTES],
    ) -> Option<()> {
        decrypt(&self.0, nonce, clear, body, tag)
    }
}

/// XChaCha20-Poly1305 under one key.
pub(super) struct RingXChaCha(Zeroizing<[u8; 32]>);

impl RingXChaCha {
    pub(super) fn new(key: &MediaKey) -> Self {
        Self(Zeroizing::new(*key.expose()))
    }

    pub(super) fn encrypt(
        &self,
        nonce: [u8; 24],
        clear: &[u8],
        body: &mut [u8],
    ) -> Option<[u8; TAG_BYTES]> {
        let (key, nonce) = self.derive(nonce)?;
        encrypt(&key, nonce, clear, body)
    }

    pub(super) fn decrypt(
        &self,
        nonce: [u8; 24],
        clear: &[u8],
        body: &mut [u8],
        tag: [u8; TAG_BYTES],
    ) -> Option<()> {
        let (key, nonce) = self.derive(nonce)?;
        decrypt(&key, nonce, clear, body, tag)
    }

    /// The key that the first 16 bytes of a nonce stand for, and the nonce under it: four zeros
    /// and the other eight bytes.
    fn derive(&self, nonce: [u8; 24]) -> Option<(LessSafeKey, [u8; 12])> {
        let (input, rest) = nonce.split_first_chunk::<16>()?;
        let subkey = Zeroizing::new(hchacha::<R20>((&*self.0).into(), input.into()).0);
        let mut inner = [0; 12];
        inner.last_chunk_mut::<8>()?.copy_from_slice(rest);
        Some((prepare(&CHACHA20_POLY1305, &subkey)?, inner))
    }
}

fn prepare(algorithm: &'static Algorithm, key: &[u8; 32]) -> Option<LessSafeKey> {
    Some(LessSafeKey::new(UnboundKey::new(algorithm, key).ok()?))
}

fn encrypt(
    key: &LessSafeKey,
    nonce: [u8; 12],
    clear: &[u8],
    body: &mut [u8],
) -> Option<[u8; TAG_BYTES]> {
    let nonce = Nonce::assume_unique_for_key(nonce);
    let tag = key.seal_in_place_separate_tag(nonce, Aad::from(clear), body).ok()?;
    tag.as_ref().try_into().ok()
}

fn decrypt(
    key: &LessSafeKey,
    nonce: [u8; 12],
    clear: &[u8],
    body: &mut [u8],
    tag: [u8; TAG_BYTES],
) -> Option<()> {
    let nonce = Nonce::assume_unique_for_key(nonce);
    let tag = Tag::from(tag);
    key.open_in_place_separate_tag(nonce, Aad::from(clear), tag, body, 0..).ok()?;
    Some(())
}
