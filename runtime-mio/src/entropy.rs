//! The operating system's random generator.

use lvsp_core::entropy::Entropy;

/// Draws from the operating system. Every key of every session comes from here.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsEntropy;

impl OsEntropy {
    /// `N` random bytes.
    pub(crate) fn bytes<const N: usize>() -> [u8; N] {
        let entropy: &mut (dyn Entropy + Send) = &mut Self;
        entropy.bytes()
    }

    /// `N` random bytes as lower-case hexadecimal digits.
    #[must_use]
    pub fn hex<const N: usize>() -> String {
        let entropy: &mut (dyn Entropy + Send) = &mut Self;
        entropy.hex::<N>()
    }
}

impl Entropy for OsEntropy {
    /// # Panics
    /// When the operating system has no random bytes: nothing can be served safely then.
    fn fill(&mut self, buffer: &mut [u8]) {
        #[expect(clippy::expect_used, reason = "serving with a predictable key would be worse")]
        getrandom::fill(buffer).expect("the operating system gives random bytes");
    }
}
