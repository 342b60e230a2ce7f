//! Whose code seals and opens the AEAD modes.
//!
//! RustCrypto's is portable, reviewed and always here. ring's is several times faster; it is
//! chosen where it was compiled in and does the same, which a few packets show at the start.

use serde::{Deserialize, Serialize};

#[cfg(feature = "ring")]
use super::cipher::{Cipher, MediaKey};
#[cfg(feature = "ring")]
use super::mode::{Mode, TAG_BYTES};

/// What an operator asks for: `media.cipher_provider`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum CipherProvider {
    /// The fastest that was compiled in and passes its test.
    #[default]
    Auto,
    /// ring.
    Ring,
    /// RustCrypto.
    RustCrypto,
}

/// Code that runs the AEAD modes. The other modes are RustCrypto's with any of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum Provider {
    /// RustCrypto's crates.
    #[default]
    RustCrypto,
    /// The crate ring, and HChaCha20 of RustCrypto's.
    #[cfg(feature = "ring")]
    Ring,
}

impl Provider {
    /// Those that were compiled in.
    pub const ALL: &'static [Self] = &[
        Self::RustCrypto,
        #[cfg(feature = "ring")]
        Self::Ring,
    ];
}

/// A provider that cannot be had.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProviderError {
    /// It was not compiled in.
    #[error("this program was built without ring: build it with the feature `ring`, or use `auto`")]
    Absent,
    /// It seals other bytes than RustCrypto does, or opens what it must not.
    #[error("ring does not seal as it should on this machine: use `rustcrypto`, and report this")]
    Wrong,
}

impl CipherProvider {
    /// What is asked for, after a test of it.
    ///
    /// # Errors
    /// When exactly one provider is asked for and it is not there or does not pass.
    pub fn provider(self) -> Result<Provider, ProviderError> {
        match self {
            Self::RustCrypto => Ok(Provider::RustCrypto),
            Self::Ring => ring(),
            Self::Auto => Ok(ring().unwrap_or_default()),
        }
    }
}

#[cfg(feature = "ring")]
fn ring() -> Result<Provider, ProviderError> {
    let agrees = Mode::offered(false).iter().all(|mode| agrees(Provider::Ring, *mode));
    if agrees { Ok(Provider::Ring) } else { Err(ProviderError::Wrong) }
}

#[cfg(not(feature = "ring"))]
const fn ring() -> Result<Provider, ProviderError> {
    Err(ProviderError::Absent)
}

/// Payload lengths of the test: around the blocks of both ciphers, and around the lengths at which
/// code for many blocks at once takes over.
#[cfg(feature = "ring")]
const LENGTHS: [usize; 12] = [0, 1, 15, 16, 63, 64, 65, 129, 160, 255, 512, 1_275];

/// Whether a provider makes of a few packets what RustCrypto makes of them, opens those and
/// refuses changed ones.
#[cfg(feature = "ring")]
fn agrees(provider: Provider, mode: Mode) -> bool {
    let key = MediaKey::new(pattern());
    let ciphers = [provider, Provider::RustCrypto].map(|by| Cipher::with_provider(by, mode, &key));
    let [Some(tried), Some(trusted)] = &ciphers else { return false };
    LENGTHS.into_iter().all(|length| agree(tried, trusted, length) == Some(true))
}

#[cfg(feature = "ring")]
fn agree(tried: &Cipher, trusted: &Cipher, length: usize) -> Option<bool> {
    const CLEAR: [u8; 16] = [0x90, 0x78, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0xBE, 0xDE, 0, 2];
    const SUFFIX: [u8; 4] = [0xA0, 1, 0, 0x81];
    let plain: [u8; 1_275] = pattern();
    let (mut ours, mut theirs) = ([0; 1_400], [0; 1_400]);
    let plain = plain.get(..length)?;
    let sealed = tried.seal_into(&CLEAR, [plain, &[]], &SUFFIX, &mut ours)?;
    trusted.seal_into(&CLEAR, [plain, &[]], &SUFFIX, &mut theirs)?;
    let same = ours == theirs;
    let (ours, theirs) = (ours.get_mut(..sealed)?, theirs.get_mut(..sealed)?);
    let opens = tried.open(ours, CLEAR.len()).is_ok_and(|opened| *opened.plaintext == *plain);
    *theirs.get_mut(CLEAR.len() + length + TAG_BYTES / 2)? ^= 1;
    Some(same && opens && tried.open(theirs, CLEAR.len()).is_err())
}

/// Bytes that do not repeat soon.
#[cfg(feature = "ring")]
fn pattern<const N: usize>() -> [u8; N] {
    let mut byte = 0_u8;
    std::array::from_fn(|_| {
        byte = byte.wrapping_mul(5).wrapping_add(7);
        byte
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_was_not_compiled_in_is_told_and_never_chosen_by_itself() {
        let compiled = cfg!(feature = "ring");
        assert_eq!(CipherProvider::Ring.provider().is_ok(), compiled);
        let chosen = CipherProvider::Auto.provider().expect("there is always one");
        assert_eq!(chosen == Provider::RustCrypto, !compiled);
        assert_eq!(CipherProvider::RustCrypto.provider(), Ok(Provider::RustCrypto));
    }

    #[cfg(feature = "ring")]
    #[test]
    fn the_test_finds_a_provider_that_seals_otherwise() {
        let key = |byte| MediaKey::new([byte; 32]);
        for mode in Mode::offered(false) {
            let [one, other] = [1, 2].map(|byte| {
                Cipher::with_provider(Provider::Ring, *mode, &key(byte)).expect("compiled in")
            });
            assert_eq!(agree(&one, &one, 160), Some(true));
            assert_eq!(agree(&one, &other, 160), Some(false));
        }
    }
}
