//! Who somebody is: the only place where secrets are compared, in constant time.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// The shortest control secret. Somebody who records an HMAC token can guess offline.
pub const SECRET_BYTES_MIN: usize = 32;

/// What a chat server identifies with. Wiped when dropped; neither printed nor compared.
///
/// ```compile_fail
/// # use lvsp_core::crypto::auth::ControlSecret;
/// let text = ControlSecret::new("k".repeat(32)).unwrap().to_string();
/// ```
/// ```compile_fail
/// # use lvsp_core::crypto::auth::ControlSecret;
/// let secret = || ControlSecret::new("k".repeat(32)).unwrap();
/// let same = secret() == secret();
/// ```
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct ControlSecret(String);

/// A control secret that is too easy to guess.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the control secret has {0} bytes; at least {SECRET_BYTES_MIN} are needed")]
pub struct WeakSecret(pub usize);

impl ControlSecret {
    /// Takes a secret of at least [`SECRET_BYTES_MIN`] bytes.
    ///
    /// # Errors
    /// When it is shorter.
    pub fn new(secret: String) -> Result<Self, WeakSecret> {
        if secret.len() < SECRET_BYTES_MIN {
            return Err(WeakSecret(secret.len()));
        }
        Ok(Self(secret))
    }

    /// The secret itself. Take care where it goes.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether a token is the secret itself, as LVSP's draft has it.
    #[must_use]
    pub fn matches_plain(&self, token: &str) -> bool {
        verify_token(self.0.as_bytes(), token.as_bytes())
    }
}

impl std::fmt::Debug for ControlSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ControlSecret(..)")
    }
}

/// Whether two byte strings are equal. The time it takes tells neither where they differ nor
/// whether their lengths agree: their digests are compared.
#[must_use]
pub fn verify_token(expected: &[u8], given: &[u8]) -> bool {
    Sha256::digest(expected).ct_eq(&Sha256::digest(given)).into()
}

/// Whether `token` is the lower-case hex HMAC-SHA256 of HELLO's nonce under the secret, as LVSP's
/// later revisions have it.
#[must_use]
pub fn verify_hmac(secret: &ControlSecret, nonce: &str, token: &str) -> bool {
    let (Some(mac), Some(tag)) = (mac(secret.expose(), nonce), from_lower_hex(token)) else {
        return false;
    };
    mac.verify_slice(&tag).is_ok()
}

/// The token that answers `nonce` under `secret`: what a chat server computes.
#[must_use]
pub fn hmac_token(secret: &str, nonce: &str) -> String {
    mac(secret, nonce).map_or_else(String::new, |mac| {
        mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
    })
}

/// HMAC takes keys of any length, so this is never `None`; if it were, nothing would verify.
fn mac(secret: &str, nonce: &str) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).ok()?;
    mac.update(nonce.as_bytes());
    Some(mac)
}

/// The bytes of exactly 64 lower-case hexadecimal digits.
fn from_lower_hex(text: &str) -> Option<[u8; 32]> {
    const fn digit(character: u8) -> Option<u8> {
        match character {
            b'0'..=b'9' => Some(character - b'0'),
            b'a'..=b'f' => Some(character - b'a' + 10),
            _ => None,
        }
    }
    let mut bytes = [0; 32];
    if text.len() != 2 * bytes.len() {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let &[high, low] = pair else { return None };
        *byte = digit(high)? << 4 | digit(low)?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret() -> ControlSecret {
        ControlSecret::new("0123456789abcdef0123456789abcdef".to_owned()).unwrap()
    }

    #[test]
    fn hmac_tokens_follow_rfc_4231() {
        let token = hmac_token("Jefe", "what do ya want for nothing?");
        assert_eq!(token, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }

    #[test]
    fn only_the_right_token_for_the_right_nonce_is_taken() {
        let token = hmac_token(secret().expose(), "k3J9xQ2mZp");
        assert!(verify_hmac(&secret(), "k3J9xQ2mZp", &token));
        assert!(!verify_hmac(&secret(), "k3J9xQ2mZq", &token));
        assert!(!verify_hmac(&secret(), "k3J9xQ2mZp", &token.to_uppercase()));
        assert!(!verify_hmac(&secret(), "k3J9xQ2mZp", ""));
        assert!(!verify_hmac(&secret(), "k3J9xQ2mZp", &token[..62]), "a part of it");
        assert!(!verify_hmac(&secret(), "k3J9xQ2mZp", &format!("{token}00")), "more than it");
        assert!(!verify_hmac(&secret(), "k3J9xQ2mZp", &"ä".repeat(32)), "64 bytes, no digits");
        assert!(secret().matches_plain("0123456789abcdef0123456789abcdef"));
        assert!(!secret().matches_plain("0123456789abcdef0123456789abcdeg"));
        assert!(!secret().matches_plain(""));
    }

    #[test]
    fn tokens_of_another_length_are_another_token() {
        assert!(verify_token(b"token", b"token"));
        assert!(!verify_token(b"token", b"tokem"));
        assert!(!verify_token(b"token", b"toke"));
        assert!(!verify_token(b"token", b"token\0"));
        assert!(!verify_token(b"token", b""));
    }

    #[test]
    fn short_secrets_are_refused() {
        let error = ControlSecret::new("short".to_owned()).expect_err("five bytes");
        assert_eq!(error.to_string(), "the control secret has 5 bytes; at least 32 are needed");
        assert_eq!(format!("{:?}", secret()), "ControlSecret(..)");
    }
}
