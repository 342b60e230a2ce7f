//! What was said and heard in the measured time, and how long it took.
//!
//! A frame counts if it was due in the measured time, whenever it arrives: so what was lost is exact
//! once everything has arrived that will.

use hdrhistogram::Histogram;
use lvsp_core::time::Timestamp;
use lvsp_core::wire::rtp::SILENCE;

use super::shape::Shape;
use super::stamp::Stamp;

/// Longer than this counts as this.
const LATENCY_US_MAX: u64 = 60_000_000;
/// Latencies keep three digits.
const DIGITS: u8 = 3;
/// Frames behind a lane's newest that are still told from repeated ones.
const WINDOW: u32 = 64;

/// Counts of one measurement.
#[derive(Debug)]
pub(super) struct Tally {
    shape: Shape,
    from: Timestamp,
    until: Timestamp,
    lanes: Vec<Lane>,
    /// Frames of speech that were sent.
    pub(super) sent: u64,
    /// Frames of silence that were sent.
    pub(super) silences: u64,
    /// Frames that the generator's own socket refused.
    pub(super) refused: u64,
    /// Copies of speech that have to arrive.
    pub(super) expected: u64,
    /// Copies of silence that have to arrive; whether they do is not looked at.
    pub(super) expected_silences: u64,
    /// Copies of all frames from the first on, whether they were due in the measured time or not.
    pub(super) expected_in_all: u64,
    /// Copies of speech that arrived, each once.
    pub(super) heard: u64,
    /// Copies that arrived again.
    pub(super) repeated: u64,
    /// Frames that nobody said, or that were not for whoever heard them.
    pub(super) foreign: u64,
    /// From when a frame was due to when a copy arrived, in microseconds.
    pub(super) latency: Histogram<u64>,
    /// From when a frame was sent to when a copy arrived, in microseconds.
    pub(super) transit: Histogram<u64>,
    /// From when a frame was due to when it was sent, in microseconds.
    pub(super) lateness: Histogram<u64>,
}

/// What one listener heard of one speaker.
#[derive(Clone, Copy, Default, Debug)]
struct Lane {
    /// One more than the newest index; 0 before there is one.
    next: u32,
    /// Bit n says that index `next - 1 - n` was heard.
    seen: u64,
}

impl Lane {
    /// Notes a frame; whether it is new.
    const fn note(&mut self, index: u32) -> bool {
        if index >= self.next {
            let ahead = index - self.next + 1;
            self.seen = if ahead < WINDOW { self.seen << ahead } else { 0 } | 1;
            self.next = index + 1;
            return true;
        }
        let behind = self.next - 1 - index;
        if behind >= WINDOW || self.seen >> behind & 1 == 1 {
            return false;
        }
        self.seen |= 1 << behind;
        true
    }
}

impl Tally {
    /// Counts what is due from `from` to before `until`.
    ///
    /// # Panics
    /// Never: the histograms' bounds are constants.
    #[must_use]
    #[expect(clippy::expect_used, reason = "the bounds are constants")]
    pub(super) fn new(shape: Shape, from: Timestamp, until: Timestamp) -> Self {
        let histogram =
            || Histogram::new_with_bounds(1, LATENCY_US_MAX, DIGITS).expect("legal bounds");
        Self {
            shape,
            from,
            until,
            lanes: vec![Lane::default(); shape.members * shape.speakers_per_channel()],
            sent: 0,
            silences: 0,
            refused: 0,
            expected: 0,
            expected_silences: 0,
            expected_in_all: 0,
            heard: 0,
            repeated: 0,
            foreign: 0,
            latency: histogram(),
            transit: histogram(),
            lateness: histogram(),
        }
    }

    fn counts(&self, due: Timestamp) -> bool {
        (self.from..self.until).contains(&due)
    }

    /// Notes a frame of speech: when it was due and when it was sent.
    pub(super) fn note_sent(&mut self, speaker: usize, due: Timestamp, at: Timestamp) {
        self.expected_in_all += self.shape.listeners(speaker);
        if self.counts(due) {
            self.sent += 1;
            self.expected += self.shape.listeners(speaker);
            self.lateness.saturating_record(micros(due, at));
        }
    }

    /// Notes a frame of silence.
    pub(super) fn note_silence(&mut self, speaker: usize, due: Timestamp) {
        self.expected_in_all += self.shape.listeners(speaker);
        if self.counts(due) {
            self.silences += 1;
            self.expected_silences += self.shape.listeners(speaker);
        }
    }

    /// Notes a frame that could not be sent.
    pub(super) fn note_refused(&mut self, due: Timestamp) {
        self.refused += u64::from(self.counts(due));
    }

    /// Notes what a listener heard.
    pub(super) fn note_heard(&mut self, listener: usize, at: Timestamp, frame: &[u8]) {
        let Some(stamp) = Stamp::parse(frame) else {
            self.foreign += u64::from(frame != SILENCE);
            return;
        };
        // What is still under way from before.
        if !self.counts(stamp.due) {
            return;
        }
        let speaker = stamp.speaker as usize;
        let Some(lane) = self.lane(listener, speaker) else {
            self.foreign += 1;
            return;
        };
        if lane.note(stamp.index) {
            self.heard += 1;
            self.latency.saturating_record(micros(stamp.due, at));
            self.transit.saturating_record(micros(stamp.sent, at));
        } else {
            self.repeated += 1;
        }
    }

    fn lane(&mut self, listener: usize, speaker: usize) -> Option<&mut Lane> {
        let shape = self.shape;
        let same = shape.channel(listener) == shape.channel(speaker);
        if !same || listener == speaker || speaker >= shape.speakers {
            return None;
        }
        self.lanes.get_mut(listener * shape.speakers_per_channel() + speaker / shape.channels)
    }
}

/// From one to the other, at least the 1 that a histogram begins with.
fn micros(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.since(from).as_micros()).unwrap_or(u64::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally() -> Tally {
        let shape = Shape { members: 5, speakers: 3, channels: 2 };
        Tally::new(shape, Timestamp::from_millis(10), Timestamp::from_millis(20))
    }

    fn hear(tally: &mut Tally, listener: usize, speaker: u32, index: u32, due_ms: u64) {
        let mut frame = Vec::new();
        let due = Timestamp::from_millis(due_ms);
        let sent = due + std::time::Duration::from_micros(50);
        Stamp { due, sent, speaker, index }.write(60, &mut frame);
        tally.note_heard(listener, due + std::time::Duration::from_micros(250), &frame);
    }

    #[test]
    fn each_copy_counts_once() {
        let mut tally = tally();
        for index in [0, 1, 1, 3, 2, 2, 70, 3, 69] {
            hear(&mut tally, 4, 0, index, 15);
        }
        assert_eq!((tally.heard, tally.repeated, tally.foreign), (6, 3, 0));
        assert_eq!(tally.latency.len(), 6);
        assert_eq!((tally.latency.max(), tally.transit.max()), (250, 200));
    }

    #[test]
    fn equal_numbers_on_different_lanes_are_no_repetition() {
        let mut tally = tally();
        for (listener, speaker) in [(2, 0), (4, 0), (0, 2), (4, 2), (3, 1)] {
            hear(&mut tally, listener, speaker, 7, 15);
        }
        assert_eq!((tally.heard, tally.repeated, tally.foreign), (5, 0, 0));
    }

    #[test]
    fn only_what_was_due_in_the_measured_time_counts() {
        let mut tally = tally();
        for (index, due) in [9, 10, 19, 20].into_iter().enumerate() {
            hear(&mut tally, 2, 0, u32::try_from(index).unwrap(), due);
            tally.note_sent(0, Timestamp::from_millis(due), Timestamp::from_millis(due + 1));
            tally.note_silence(1, Timestamp::from_millis(due));
            tally.note_refused(Timestamp::from_millis(due));
        }
        assert_eq!((tally.heard, tally.sent, tally.expected), (2, 2, 4));
        assert_eq!((tally.silences, tally.expected_silences, tally.refused), (2, 2, 2));
        assert_eq!(tally.expected_in_all, 4 * 2 + 4);
        assert_eq!((tally.lateness.len(), tally.lateness.max()), (2, 1_000));
    }

    #[test]
    fn what_was_not_meant_for_a_listener_is_foreign() {
        let mut tally = tally();
        hear(&mut tally, 1, 0, 0, 15); // of another channel
        hear(&mut tally, 0, 0, 0, 15); // its own
        hear(&mut tally, 0, 4, 0, 15); // of one who does not speak
        tally.note_heard(0, Timestamp::ZERO, b"short");
        tally.note_heard(0, Timestamp::ZERO, SILENCE);
        assert_eq!((tally.heard, tally.foreign), (0, 4));
    }
}
