//! When a relay waits a moment before it looks at its socket again.
//!
//! Waking up costs as much as sending dozens of datagrams on a virtual machine, and several
//! datagrams to one receiver cost little more than one if they leave together (see [`Flight`]).
//! While many speak, a host therefore looks at fixed ticks instead of at each datagram. While few
//! speak there is nothing to gain, and every datagram is handled at once.
//!
//! [`Flight`]: crate::media::Flight

use std::time::Duration;

use crate::time::Timestamp;

/// Ticks over which datagrams are counted before it is decided anew.
const WINDOW_TICKS: u32 = 10;
/// Waiting begins at so many datagrams in a window: one and a half for each tick.
const MANY: u32 = 15;
/// Waiting ends below so many: one for each tick.
const FEW: u32 = 10;

/// Says how long a relay's host waits before it takes datagrams.
#[derive(Clone, Copy, Debug)]
pub struct Coalescer {
    tick: Duration,
    many: bool,
    window_start: Timestamp,
    datagrams: u32,
    looked: Timestamp,
}

impl Coalescer {
    /// `tick` is the longest that a datagram waits; zero turns this off.
    #[must_use]
    pub const fn new(tick: Duration) -> Self {
        let start = Timestamp::ZERO;
        Self { tick, many: false, window_start: start, datagrams: 0, looked: start }
    }

    /// The host looked at its socket and found so many datagrams.
    pub fn note(&mut self, now: Timestamp, datagrams: usize) {
        self.looked = now;
        let found = u32::try_from(datagrams).unwrap_or(u32::MAX);
        self.datagrams = self.datagrams.saturating_add(found);
        let window = self.tick * WINDOW_TICKS;
        let passed = now.since(self.window_start);
        if passed < window {
            return;
        }
        // A window that nothing closed in time says that next to nothing came.
        let punctual = passed < 2 * window;
        self.many = punctual && self.datagrams >= if self.many { FEW } else { MANY };
        self.window_start = now;
        self.datagrams = 0;
    }

    /// How long to wait before the next look; `None`: until the socket has something.
    #[must_use]
    pub fn wait(&self, now: Timestamp) -> Option<Duration> {
        self.many.then(|| self.tick.saturating_sub(now.since(self.looked)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_millis(2);

    /// Lets a datagram come every so many microseconds for a while, as a host would take them.
    /// Returns how often the host looked.
    fn speak(coalescer: &mut Coalescer, from: u64, micros: u64, count: u64) -> u64 {
        let mut looks = 0;
        let (mut came, mut next_look) = (0, from);
        for now in (from..from + micros * count).step_by(50) {
            let due = (now - from) / micros;
            let time = Timestamp::from_micros(now);
            let looking = match coalescer.wait(time) {
                Some(_) => now >= next_look,
                None => due > came,
            };
            if looking {
                coalescer.note(time, usize::try_from(due - came).expect("a few"));
                came = due;
                looks += 1;
                let wait = coalescer.wait(time).unwrap_or_default();
                next_look = now + u64::try_from(wait.as_micros()).expect("a tick");
            }
        }
        looks
    }

    #[test]
    fn few_speakers_are_never_kept_waiting() {
        let mut coalescer = Coalescer::new(TICK);
        // Ten speakers.
        assert_eq!(speak(&mut coalescer, 0, 2_000, 500), 499);
        assert_eq!(coalescer.wait(Timestamp::from_millis(1_000)), None);
    }

    #[test]
    fn many_speakers_are_heard_at_ticks_and_no_later() {
        let mut coalescer = Coalescer::new(TICK);
        // Twenty speakers, for a second.
        let looks = speak(&mut coalescer, 0, 1_000, 1_000);
        assert!((500..540).contains(&looks), "{looks}");
        let now = coalescer.looked;
        assert_eq!(coalescer.wait(now), Some(TICK));
        assert_eq!(coalescer.wait(now + TICK / 2), Some(TICK / 2));
        assert_eq!(coalescer.wait(now + 2 * TICK), Some(Duration::ZERO), "too late already");
    }

    #[test]
    fn waiting_ends_with_the_many_speakers() {
        let mut coalescer = Coalescer::new(TICK);
        speak(&mut coalescer, 0, 1_000, 1_000);
        assert!(coalescer.many);
        // Four speakers.
        speak(&mut coalescer, 1_000_000, 5_000, 20);
        assert!(!coalescer.many);
    }

    #[test]
    fn a_long_silence_ends_waiting_whatever_comes_after_it() {
        let mut coalescer = Coalescer::new(TICK);
        speak(&mut coalescer, 0, 1_000, 1_000);
        coalescer.note(Timestamp::from_millis(5_000), 64);
        assert_eq!(coalescer.wait(Timestamp::from_millis(5_000)), None);
    }

    #[test]
    fn a_tick_of_zero_turns_it_off() {
        let mut coalescer = Coalescer::new(Duration::ZERO);
        for at in 0..100 {
            coalescer.note(Timestamp::from_millis(at), 100);
            assert_eq!(coalescer.wait(Timestamp::from_millis(at)), None);
        }
    }
}
