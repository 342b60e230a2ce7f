//! Repeatable chance, one independent stream for each purpose.

use lvsp_core::entropy::SeededEntropy;

/// A stream of random numbers.
#[derive(Clone, Debug)]
pub(crate) struct Dice(SeededEntropy);

impl Dice {
    /// The stream of a seed for one purpose. Streams are apart, so that a plan that lacks one
    /// operation draws the same numbers everywhere else.
    pub(crate) fn new(seed: u64, purpose: &[u64]) -> Self {
        let mut state = SeededEntropy::new(seed);
        for part in purpose {
            state = SeededEntropy::new(state.next_u64() ^ part.wrapping_mul(0xA24B_AED4_963E_E407));
        }
        Self(state)
    }

    pub(crate) fn u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number below `n`; 0 when there is none.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        if n == 0 { 0 } else { self.u64() % n }
    }

    /// A number from `low` to `high`, both included.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    pub(crate) fn permille(&mut self, chance: u64) -> bool {
        self.below(1_000) < chance
    }

    pub(crate) fn pick<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u64) as usize]
    }

    /// A waiting time with this mean, as memoryless as a network's.
    pub(crate) fn exponential(&mut self, mean: u64) -> u64 {
        if mean == 0 {
            return 0;
        }
        let unit = (self.u64() >> 11) as f64 / (1_u64 << 53) as f64;
        (-(1.0 - unit).ln() * mean as f64) as u64
    }
}
