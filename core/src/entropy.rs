//! Randomness as an argument.
//!
//! Keys, session ids, tokens and SSRCs are drawn from the host's [`Entropy`], so that a run can be
//! repeated exactly. Only cold paths draw; nothing here is called per packet.

/// A source of random bytes.
///
/// Hosts give the operating system's generator: media keys come from here. Tests give
/// [`SeededEntropy`].
pub trait Entropy {
    /// Fills `buffer` with random bytes.
    fn fill(&mut self, buffer: &mut [u8]);
}

const DIGITS: [u8; 16] = *b"0123456789abcdef";

impl dyn Entropy + Send + '_ {
    /// `N` random bytes.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }

    /// A random 32-bit number.
    pub fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.bytes())
    }

    /// `N` random bytes as lower-case hexadecimal digits.
    pub fn hex<const N: usize>(&mut self) -> String {
        let digits =
            |byte: u8| [byte >> 4, byte & 0xf].map(|digit| char::from(DIGITS[usize::from(digit)]));
        self.bytes::<N>().into_iter().flat_map(digits).collect::<String>()
    }
}

/// A repeatable generator for tests and simulation. **Not secret**: never use it to serve people.
#[derive(Clone, Debug)]
pub struct SeededEntropy(u64);

impl SeededEntropy {
    /// A generator whose output is a function of `seed` alone.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits (the SplitMix64 sequence).
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

impl Entropy for SeededEntropy {
    fn fill(&mut self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            let bytes = self.next_u64().to_le_bytes();
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_seeds_give_equal_bytes_and_other_seeds_others() {
        let draw = |seed| {
            let mut entropy: Box<dyn Entropy + Send> = Box::new(SeededEntropy::new(seed));
            entropy.hex::<16>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        assert_eq!(draw(1).len(), 32);
    }
}
