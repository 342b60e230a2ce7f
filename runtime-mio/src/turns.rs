//! What one turn of an event loop may do, and what the turns did.
//!
//! Each thread counts for itself into [`Counters`], which everybody may read while it runs: for
//! metrics, and for tests that hold the maxima against the [`Budgets`]. Each number has one
//! writer, so an addition is a load and a store; numbers read together may be a turn apart.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::admin::Histogram;

/// The most that one turn does of each kind. What is cut off goes on in the next turn.
///
/// Each must be at least 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Budgets {
    /// Connections accepted, of both listeners together.
    pub accepts: usize,
    /// Reads, of at most 16 KiB each; one for each connection.
    pub reads: usize,
    /// Events of relays that the control thread hears.
    pub relay_events: usize,
    /// Connections written to.
    pub writes: usize,
    /// Bytes written to one connection.
    pub write_bytes: usize,
    /// Datagrams that a media thread takes from its socket and handles.
    pub datagrams: usize,
    /// Packets of other relays that a media thread handles.
    pub handovers: usize,
    /// Commands that a media thread applies.
    pub commands: usize,
    /// Events that a media thread reports.
    pub events: usize,
}

impl Default for Budgets {
    fn default() -> Self {
        Self {
            accepts: 32,
            reads: 128,
            relay_events: 1_024,
            writes: 1_024,
            write_bytes: 256 * 1024,
            datagrams: 256,
            handovers: 256,
            commands: 4_096,
            events: 1_024,
        }
    }
}

/// How much was done of one kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Work {
    /// In all turns so far.
    pub total: u64,
    /// The most in one turn.
    pub max: u64,
}

/// What the turns of a server did so far.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TurnStats {
    /// Turns of the control thread.
    pub turns: u64,
    /// Connections accepted.
    pub accepts: Work,
    /// Reads of connections.
    pub reads: Work,
    /// Events of relays.
    pub relay_events: Work,
    /// Connections written to.
    pub writes: Work,
    /// Bytes written; the maximum is that of one connection in one turn.
    pub write_bytes: Work,
    /// The media threads, in the order of their relays.
    pub media: Vec<MediaTurnStats>,
}

/// What the turns of one media thread did so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct MediaTurnStats {
    /// Turns of the thread.
    pub turns: u64,
    /// Datagrams taken from the socket and handled.
    pub datagrams: Work,
    /// Packets of other relays handled.
    pub handovers: Work,
    /// Commands applied.
    pub commands: Work,
    /// Events reported.
    pub events: Work,
}

/// How long turns took, in buckets.
#[derive(Clone, Debug, Default)]
pub(crate) struct TurnTimes {
    /// Those of the control thread.
    pub(crate) control: Histogram,
    /// Those of the media threads, in the order of their relays.
    pub(crate) media: Vec<Histogram>,
}

/// Reads what a server's turns did so far, while it runs and after. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Watch(pub(crate) Arc<Counters>);

impl Watch {
    /// Turns of the control thread so far.
    #[must_use]
    pub fn turns(&self) -> u64 {
        self.0.control.turns.load(Ordering::Relaxed)
    }

    /// Whether it serves and takes new voice states: what a readiness check should be told. It is
    /// not during a drain, though calls go on.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.0.control.ready.load(Ordering::Relaxed)
    }

    /// How long turns took so far.
    pub(crate) fn times(&self) -> TurnTimes {
        let media = self.0.media.iter().map(|media| media.times.read()).collect();
        TurnTimes { control: self.0.control.times.read(), media }
    }

    /// Everything that is counted.
    #[must_use]
    pub fn stats(&self) -> TurnStats {
        let control = &self.0.control;
        TurnStats {
            turns: self.turns(),
            accepts: control.accepts.read(),
            reads: control.reads.read(),
            relay_events: control.relay_events.read(),
            writes: control.writes.read(),
            write_bytes: control.write_bytes.read(),
            media: self.0.media.iter().map(|media| media.read()).collect(),
        }
    }
}

/// The counters of a server.
#[derive(Debug)]
pub(crate) struct Counters {
    pub(crate) control: Arc<ControlCounters>,
    pub(crate) media: Vec<Arc<MediaCounters>>,
}

impl Counters {
    /// Turns of every thread: the control thread's, then those of the media threads.
    pub(crate) fn turns(&self) -> impl Iterator<Item = u64> {
        let media = self.media.iter().map(|media| &media.turns);
        [&self.control.turns].into_iter().chain(media).map(|turns| turns.load(Ordering::Relaxed))
    }
}

/// Written by the control thread.
#[derive(Debug, Default)]
pub(crate) struct ControlCounters {
    turns: AtomicU64,
    ready: AtomicBool,
    times: Times,
    pub(crate) accepts: Tally,
    pub(crate) reads: Tally,
    pub(crate) relay_events: Tally,
    pub(crate) writes: Tally,
    pub(crate) write_bytes: Tally,
}

impl ControlCounters {
    pub(crate) fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Relaxed);
    }

    /// Counts a turn that took so long.
    pub(crate) fn note_turn(&self, took: Duration) {
        add(&self.turns, 1);
        self.times.note(took);
    }
}

/// Written by one media thread.
#[derive(Debug, Default)]
pub(crate) struct MediaCounters {
    turns: AtomicU64,
    times: Times,
    pub(crate) datagrams: Tally,
    pub(crate) handovers: Tally,
    pub(crate) commands: Tally,
    pub(crate) events: Tally,
}

impl MediaCounters {
    /// Counts a turn that took so long.
    pub(crate) fn note_turn(&self, took: Duration) {
        add(&self.turns, 1);
        self.times.note(took);
    }

    fn read(&self) -> MediaTurnStats {
        MediaTurnStats {
            turns: self.turns.load(Ordering::Relaxed),
            datagrams: self.datagrams.read(),
            handovers: self.handovers.read(),
            commands: self.commands.read(),
            events: self.events.read(),
        }
    }
}

/// Counts one kind of work.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    total: AtomicU64,
    max: AtomicU64,
}

impl Tally {
    /// Counts what one turn did.
    pub(crate) fn note(&self, count: usize) {
        let count = count as u64;
        if count > 0 {
            add(&self.total, count);
            if count > self.max.load(Ordering::Relaxed) {
                self.max.store(count, Ordering::Relaxed);
            }
        }
    }

    fn read(&self) -> Work {
        Work { total: self.total.load(Ordering::Relaxed), max: self.max.load(Ordering::Relaxed) }
    }
}

/// The bound of the first bucket is 2 to this power of microseconds: 64 µs.
const FIRST_POWER: u32 = 6;
/// Each further bound is twice the one before, up to a second.
const BUCKETS: usize = 15;

/// How long something took, in buckets whose bounds are powers of two.
#[derive(Debug, Default)]
struct Times {
    /// The last one has no bound.
    buckets: [AtomicU64; BUCKETS + 1],
    sum_us: AtomicU64,
}

impl Times {
    fn note(&self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        // The power of two that it does not exceed.
        let power = us.saturating_sub(1).checked_ilog2().map_or(0, |power| power + 1);
        let at = (power.saturating_sub(FIRST_POWER) as usize).min(BUCKETS);
        add(&self.buckets[at], 1);
        add(&self.sum_us, us);
    }

    fn read(&self) -> Histogram {
        let count = |bucket: &AtomicU64| bucket.load(Ordering::Relaxed);
        let bounds = (FIRST_POWER..).map(|power| Duration::from_micros(1 << power).as_secs_f64());
        let sum = Duration::from_micros(count(&self.sum_us)).as_secs_f64();
        Histogram {
            buckets: bounds.zip(self.buckets[..BUCKETS].iter().map(count)).collect(),
            above: count(&self.buckets[BUCKETS]),
            sum,
        }
    }
}

/// An addition by the only writer.
fn add(counter: &AtomicU64, count: u64) {
    counter.store(counter.load(Ordering::Relaxed) + count, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_counted_in_the_bucket_whose_bound_they_do_not_exceed() {
        let times = Times::default();
        for us in [0, 1, 64, 65, 128, 129, 1_048_576, 1_048_577, u64::MAX / 4] {
            times.note(Duration::from_micros(us));
        }
        let Histogram { buckets, above, sum } = times.read();
        let inside: Vec<_> = buckets.iter().map(|(_, count)| *count).collect();
        assert_eq!(inside, [3, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(above, 2);
        assert_eq!(buckets[0].0, 0.000_064);
        assert!(sum > 2.0);
    }
}
