//! So many a second, and evenly: how hosts take gateway connections
//! ([`Limits::handshakes_per_s`](crate::limits::Limits::handshakes_per_s)).

use std::time::Duration;

use crate::time::Timestamp;

/// A connection that is not accepted waits in the operating system's backlog, where it costs
/// nothing. So everybody who comes back at once after a restart is spread where it arrives.
///
/// One may come in each interval, but up to 10 ms may be caught up, so that a host that wakes late
/// loses nothing. A second therefore sees a hundredth more at most.
///
/// ```
/// use lvsp_core::pace::Pace;
/// use lvsp_core::time::Timestamp;
///
/// let mut pace = Pace::new(2);
/// let now = Timestamp::from_millis(1_000);
/// assert!(pace.next() <= now, "the first may come at once");
/// pace.take(now);
/// assert_eq!(pace.next(), Timestamp::from_millis(1_490));
/// ```
#[derive(Clone, Debug)]
pub struct Pace {
    interval: Duration,
    next: Timestamp,
}

impl Pace {
    const SLACK: Duration = Duration::from_millis(10);

    /// A pace of so many a second, at least one.
    #[must_use]
    pub fn new(per_s: u64) -> Self {
        Self { interval: Duration::from_micros(1_000_000 / per_s.max(1)), next: Timestamp::ZERO }
    }

    /// When the next one may come.
    #[must_use]
    pub const fn next(&self) -> Timestamp {
        self.next
    }

    /// Counts one that came.
    pub fn take(&mut self, now: Timestamp) {
        let slack = u64::try_from(Self::SLACK.as_micros()).unwrap_or(0);
        let earliest = Timestamp::from_micros(now.as_micros().saturating_sub(slack));
        self.next = self.next.max(earliest) + self.interval;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_second_sees_more_than_the_pace_and_a_hundredth() {
        for (per_s, wake_us) in [(500, 100), (500, 3_700), (7, 1_000), (1, 1_000)] {
            let mut pace = Pace::new(per_s);
            let mut taken = Vec::new();
            let mut at = 0;
            while at < 5_000_000 {
                let now = Timestamp::from_micros(10_000_000 + at);
                while pace.next <= now {
                    pace.take(now);
                    taken.push(at);
                }
                at += wake_us;
            }
            let in_second = |from: u64| {
                taken.iter().filter(|at| (from..from + 1_000_000).contains(*at)).count() as u64
            };
            let most = taken.iter().map(|from| in_second(*from)).max().unwrap();
            assert!(most <= per_s + per_s / 100 + 1, "{most} in a second at {per_s}");
            let least = (0..5).map(|second| in_second(second * 1_000_000)).min().unwrap();
            assert!(least >= per_s - per_s / 100, "{least} in a second at {per_s}");
        }
    }
}
