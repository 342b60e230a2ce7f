//! Token buckets: how often one leg may do a thing.
//!
//! What the rates are stands in [`crate::limits`]; what happens over the rate is decided by the
//! relay. Between calls a bucket never holds more than its burst.

use std::time::Duration;

use crate::time::Timestamp;

/// A rate with a burst: `burst` at once, then `per` in each `interval`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    pub(super) burst: u64,
    pub(super) per: u64,
    pub(super) interval: Duration,
}

impl Rate {
    pub(super) const fn per_second(burst: u64, per: u64) -> Self {
        Self { burst, per, interval: Duration::from_secs(1) }
    }

    /// `per_s` a second, over two seconds.
    pub(super) const fn over_two_seconds(per_s: u64) -> Self {
        Self::per_second(2 * per_s, per_s)
    }

    fn interval_micros(self) -> u64 {
        u64::try_from(self.interval.as_micros()).unwrap_or(u64::MAX)
    }
}

/// What is left of one [`Rate`]. Starts full.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    /// In tokens times the microseconds of the interval, so that nothing is rounded away.
    level: u64,
    filled_at: Timestamp,
}

impl Bucket {
    pub(super) const fn full() -> Self {
        Self { level: u64::MAX, filled_at: Timestamp::ZERO }
    }

    /// Takes `cost` tokens, or none when there are fewer.
    pub(super) fn take(&mut self, now: Timestamp, rate: Rate, cost: u64) -> bool {
        let unit = rate.interval_micros();
        let elapsed = u64::try_from(now.since(self.filled_at).as_micros()).unwrap_or(u64::MAX);
        self.level = self
            .level
            .saturating_add(elapsed.saturating_mul(rate.per))
            .min(rate.burst.saturating_mul(unit));
        self.filled_at = self.filled_at.max(now);
        match self.level.checked_sub(cost.saturating_mul(unit)) {
            Some(rest) => {
                self.level = rest;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_burst_comes_at_once_and_the_rate_afterwards() {
        let rate = Rate::per_second(3, 2);
        let mut bucket = Bucket::full();
        let start = Timestamp::from_millis(5_000);
        assert!((0..3).all(|_| bucket.take(start, rate, 1)));
        assert!(!bucket.take(start, rate, 1));
        assert!(!bucket.take(Timestamp::from_millis(5_499), rate, 1));
        assert!(bucket.take(Timestamp::from_millis(5_500), rate, 1), "two a second");
        assert!(!bucket.take(Timestamp::ZERO, rate, 1), "time that goes back fills nothing");
        assert!(bucket.take(Timestamp::MAX, rate, 3), "no time overflows");
        assert!(!bucket.take(Timestamp::MAX, rate, 1), "never more than the burst");
    }
}
