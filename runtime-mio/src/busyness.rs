//! How busy this process keeps its share of the machine: the host's part of the health figure.
//!
//! Looked at when a turn of the control thread comes by anyway, at most once a second. A server
//! that is busy has turns all the time; one without turns has no load to speak of.

use std::collections::VecDeque;
use std::time::Duration;

use lvsp_core::time::Timestamp;

/// The figure is a mean over this time.
const WINDOW: Duration = Duration::from_secs(10);
/// Time between two looks.
const INTERVAL: Duration = Duration::from_secs(1);

/// Processor time of the process, as it was looked at.
pub(crate) struct BusyMeter {
    /// How many processors its threads can keep busy.
    processors: f32,
    /// When, and how much had been used until then; oldest first, one of them outside the window.
    looks: VecDeque<(Timestamp, Duration)>,
}

impl BusyMeter {
    /// For a process with this many threads that work.
    pub(crate) fn new(threads: usize) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self::with_processors(threads.min(processors))
    }

    fn with_processors(processors: usize) -> Self {
        let processors = u16::try_from(processors.max(1)).unwrap_or(u16::MAX);
        Self { processors: processors.into(), looks: VecDeque::new() }
    }

    /// Whether it is time to look again.
    pub(crate) fn is_due(&self, now: Timestamp) -> bool {
        self.looks.back().is_none_or(|(at, _)| now.since(*at) >= INTERVAL)
    }

    /// Notes how much processor time was `used` since the process began. The share that was used
    /// lately, 0 to 1; `None` after the first look.
    pub(crate) fn look(&mut self, now: Timestamp, used: Duration) -> Option<f32> {
        self.looks.push_back((now, used));
        while self.looks.get(1).is_some_and(|(at, _)| now.since(*at) >= WINDOW) {
            self.looks.pop_front();
        }
        let (since, before) = *self.looks.front()?;
        let elapsed = now.since(since);
        if elapsed.is_zero() {
            return None;
        }
        let busy = used.saturating_sub(before).as_secs_f32() / elapsed.as_secs_f32();
        Some((busy / self.processors).clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    /// Looks each second while `share` of one processor is busy; the last figure.
    fn watch(meter: &mut BusyMeter, from: u64, share: u64, used: &mut u64) -> Option<f32> {
        let mut figure = None;
        for second in from..from + 20 {
            assert!(meter.is_due(at(second)));
            figure = meter.look(at(second), Duration::from_millis(*used));
            *used += 10 * share;
        }
        figure
    }

    #[test]
    fn the_figure_is_the_mean_of_ten_seconds_over_the_processors_in_use() {
        let mut meter = BusyMeter::with_processors(2);
        let mut used = 0;
        assert_eq!(watch(&mut meter, 0, 50, &mut used), Some(0.25));
        assert_eq!(watch(&mut meter, 20, 200, &mut used), Some(1.0), "the idle time is forgotten");
        assert!(meter.looks.len() <= 11, "and so are the looks");
    }

    #[test]
    fn the_first_look_says_nothing_and_the_next_may_come_late() {
        let mut meter = BusyMeter::with_processors(1);
        assert_eq!(meter.look(at(1), Duration::from_secs(9)), None);
        assert!(!meter.is_due(Timestamp::from_millis(1_999)));
        assert_eq!(meter.look(at(101), Duration::from_secs(19)), Some(0.1), "no turns for long");
    }
}
