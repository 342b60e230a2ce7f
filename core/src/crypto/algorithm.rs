//! The algorithms behind the modes, and whose code runs them.
//!
//! Not here: layouts of packets (`cipher.rs`) and the choice of the code ([`super::provider`]).

use aes_gcm::Aes256Gcm;
use chacha20poly1305::{AeadInOut, KeyInit, XChaCha20Poly1305};
#[cfg(feature = "legacy-modes")]
use xsalsa20poly1305::XSalsa20Poly1305;

use super::cipher::MediaKey;
use super::mode::{Mode, TAG_BYTES};
use super::provider::Provider;
#[cfg(feature = "ring")]
use super::ring::{RingAes, RingXChaCha};

/// A key ready for use.
pub(super) enum Algorithm {
    Aes(Box<Aes256Gcm>),
    XChaCha(XChaCha20Poly1305),
    #[cfg(feature = "ring")]
    RingAes(Box<RingAes>),
    #[cfg(feature = "ring")]
    RingXChaCha(RingXChaCha),
    #[cfg(feature = "legacy-modes")]
    XSalsa(XSalsa20Poly1305),
}

impl Algorithm {
    /// `None` for a mode that was not compiled in.
    pub(super) fn new(provider: Provider, mode: Mode, key: &MediaKey) -> Option<Self> {
        match mode {
            Mode::Aes256GcmRtpSize | Mode::Aes256Gcm => Self::aes(provider, key),
            Mode::XChaCha20Poly1305RtpSize => Some(Self::xchacha(provider, key)),
            Mode::XSalsa20Poly1305LiteRtpSize
            | Mode::XSalsa20Poly1305Lite
            | Mode::XSalsa20Poly1305Suffix
            | Mode::XSalsa20Poly1305 => Self::secretbox(key),
        }
    }

    fn aes(provider: Provider, key: &MediaKey) -> Option<Self> {
        match provider {
            Provider::RustCrypto => Some(Self::Aes(Box::new(Aes256Gcm::new(key.expose().into())))),
            #[cfg(feature = "ring")]
            Provider::Ring => Some(Self::RingAes(Box::new(RingAes::new(key)?))),
        }
    }

    fn xchacha(provider: Provider, key: &MediaKey) -> Self {
        match provider {
            Provider::RustCrypto => Self::XChaCha(XChaCha20Poly1305::new(key.expose().into())),
            #[cfg(feature = "ring")]
            Provider::Ring => Self::RingXChaCha(RingXChaCha::new(key)),
        }
    }

    #[cfg(feature = "legacy-modes")]
    fn secretbox(key: &MediaKey) -> Option<Self> {
        use xsalsa20poly1305::KeyInit as _;
        Some(Self::XSalsa(XSalsa20Poly1305::new(key.expose().into())))
    }

    #[cfg(not(feature = "legacy-modes"))]
    const fn secretbox(_: &MediaKey) -> Option<Self> {
        None
    }

    /// Encrypts `body` in place and returns the tag. Zeros fill up the nonce.
    pub(super) fn encrypt(
        &self,
        clear: &[u8],
        nonce: &[u8],
        body: &mut [u8],
    ) -> Option<[u8; TAG_BYTES]> {
        match self {
            Self::Aes(cipher) => {
                let nonce = filled_up::<12>(nonce);
                let tag = cipher.encrypt_inout_detached((&nonce).into(), clear, body.into());
                Some(tag.ok()?.into())
            }
            Self::XChaCha(cipher) => {
                let nonce = filled_up::<24>(nonce);
                let tag = cipher.encrypt_inout_detached((&nonce).into(), clear, body.into());
                Some(tag.ok()?.into())
            }
            #[cfg(feature = "ring")]
            Self::RingAes(cipher) => cipher.encrypt(filled_up(nonce), clear, body),
            #[cfg(feature = "ring")]
            Self::RingXChaCha(cipher) => cipher.encrypt(filled_up(nonce), clear, body),
            #[cfg(feature = "legacy-modes")]
            Self::XSalsa(cipher) => {
                use xsalsa20poly1305::AeadInPlace as _;
                let nonce = filled_up::<24>(nonce);
                let tag = cipher.encrypt_in_place_detached((&nonce).into(), b"", body).ok()?;
                Some(tag.into())
            }
        }
    }

    /// Decrypts `body` in place; `None` when it does not authenticate, and what `body` holds then
    /// must not be used.
    pub(super) fn decrypt(
        &self,
        clear: &[u8],
        nonce: &[u8],
        body: &mut [u8],
        tag: &[u8; TAG_BYTES],
    ) -> Option<()> {
        match self {
            Self::Aes(cipher) => {
                let nonce = filled_up::<12>(nonce);
                let (nonce, tag) = ((&nonce).into(), tag.into());
                cipher.decrypt_inout_detached(nonce, clear, body.into(), tag).ok()
            }
            Self::XChaCha(cipher) => {
                let nonce = filled_up::<24>(nonce);
                let (nonce, tag) = ((&nonce).into(), tag.into());
                cipher.decrypt_inout_detached(nonce, clear, body.into(), tag).ok()
            }
            #[cfg(feature = "ring")]
            Self::RingAes(cipher) => cipher.decrypt(filled_up(nonce), clear, body, *tag),
            #[cfg(feature = "ring")]
            Self::RingXChaCha(cipher) => cipher.decrypt(filled_up(nonce), clear, body, *tag),
            #[cfg(feature = "legacy-modes")]
            Self::XSalsa(cipher) => {
                use xsalsa20poly1305::AeadInPlace as _;
                let nonce = filled_up::<24>(nonce);
                cipher.decrypt_in_place_detached((&nonce).into(), b"", body, tag.into()).ok()
            }
        }
    }
}

/// The first `N` bytes of `source`, filled up with zeros.
fn filled_up<const N: usize>(source: &[u8]) -> [u8; N] {
    let mut nonce = [0; N];
    for (to, from) in nonce.iter_mut().zip(source) {
        *to = *from;
    }
    nonce
}
