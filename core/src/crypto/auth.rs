//! Who somebody is: the only place where secrets are compared, in constant time.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
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

/// Whether two byte strings are equal, in a time that depends on their lengths alone.
#[must_use]
pub fn verify_token(expected: &[u8], given: &[u8]) -> bool {
    expected.ct_eq(given).into()
}

/// Whether `token` is the lower-case hex HMAC-SHA256 of HELLO's nonce under the secret, as LVSP's
/// later revisions have it.
#[must_use]
pub fn verify_hmac(secret: &ControlSecret, nonce: &str, token: &str) -> bool {
    verify_token(hmac_token(secret.expose(), nonce).as_bytes(), token.as_bytes())
}

/// The token that answers `nonce` under `secret`: what a chat server computes.
#[must_use]
pub fn hmac_token(secret: &str, nonce: &str) -> String {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else {
        return String::new();
    };
    mac.update(nonce.as_bytes());
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
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
        assert!(secret().matches_plain("0123456789abcdef0123456789abcdef"));
        assert!(!secret().matches_plain("0123456789abcdef0123456789abcdeg"));
        assert!(!secret().matches_plain(""));
    }

    #[test]
    fn short_secrets_are_refused() {
        let error = ControlSecret::new("short".to_owned()).expect_err("five bytes");
        assert_eq!(error.to_string(), "the control secret has 5 bytes; at least 32 are needed");
        assert_eq!(format!("{:?}", secret()), "ControlSecret(..)");
    }
}
