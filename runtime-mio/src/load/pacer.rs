//! Who says a frame when.
//!
//! Every speaker has a frame each 20 ms, and the speakers are spread evenly over these 20 ms. When
//! a frame is due does not depend on when the one before it was sent, so a generator that was held
//! up catches up and the delay shows in the figures.
//!
//! With pauses (`dtx`), each speaker talks for 1 to 3 s and is then silent for as long: it sends five
//! frames of silence, as client libraries do, and then nothing.

use std::time::Duration;

use lvsp_core::entropy::SeededEntropy;
use lvsp_core::time::Timestamp;

const FRAME_US: u64 = 20_000;
/// Frames of silence at the beginning of a pause.
const SILENT_FRAMES: u32 = 5;
/// The shortest talk or pause, in frames.
const PHASE_FRAMES_MIN: u32 = 50;
/// From the shortest to the longest.
const PHASE_FRAMES_SPREAD: u64 = 100;

/// What is due.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Due {
    /// When.
    pub(super) at: Timestamp,
    /// Who.
    pub(super) speaker: usize,
    /// What.
    pub(super) say: Say,
}

/// What a speaker does with a frame's time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Say {
    /// Says a frame of speech, the speaker's next.
    Speech {
        /// Its number among the speaker's.
        index: u32,
    },
    /// Says a frame of silence.
    Silence,
    /// Says nothing.
    Nothing,
}

/// The order of frames.
#[derive(Debug)]
pub(super) struct Pacer {
    begin: Timestamp,
    /// Frames' times so far, over all speakers.
    ticks: u64,
    voices: Vec<Voice>,
    random: SeededEntropy,
    dtx: bool,
}

/// Where a speaker is in its talk.
#[derive(Clone, Copy, Debug)]
struct Voice {
    index: u32,
    talks: bool,
    /// Frames until that changes.
    left: u32,
    /// Frames of silence that are still to be said.
    silent: u32,
}

impl Pacer {
    /// Begins at `begin`.
    #[must_use]
    pub(super) fn new(begin: Timestamp, speakers: usize, dtx: bool) -> Self {
        let mut random = SeededEntropy::new(speakers as u64);
        let mut voice = || {
            // Half of them begin with a pause.
            let talks = !dtx || random.next_u64() & 1 == 0;
            Voice { index: 0, talks, left: phase(&mut random), silent: 0 }
        };
        let voices = (0..speakers).map(|_| voice()).collect();
        Self { begin, ticks: 0, voices, random, dtx }
    }

    /// When the next frame is due; never, without speakers.
    #[must_use]
    pub(super) fn next_at(&self) -> Option<Timestamp> {
        let after = (self.ticks * FRAME_US).checked_div(self.voices.len() as u64)?;
        Some(self.begin + Duration::from_micros(after))
    }

    /// The next frame, if it is due by `now`.
    pub(super) fn take(&mut self, now: Timestamp) -> Option<Due> {
        let at = self.next_at().filter(|at| *at <= now)?;
        let speaker = usize::try_from(self.ticks % self.voices.len() as u64).ok()?;
        self.ticks += 1;
        let voice = self.voices.get_mut(speaker)?;
        if self.dtx {
            voice.advance(&mut self.random);
        }
        Some(Due { at, speaker, say: voice.say() })
    }
}

impl Voice {
    /// Goes from talk to pause and back.
    fn advance(&mut self, random: &mut SeededEntropy) {
        if self.left == 0 {
            self.talks = !self.talks;
            self.left = phase(random);
            self.silent = if self.talks { 0 } else { SILENT_FRAMES };
        }
        self.left -= 1;
    }

    fn say(&mut self) -> Say {
        if self.talks {
            let index = self.index;
            self.index = self.index.wrapping_add(1);
            return Say::Speech { index };
        }
        if self.silent == 0 {
            return Say::Nothing;
        }
        self.silent -= 1;
        Say::Silence
    }
}

fn phase(random: &mut SeededEntropy) -> u32 {
    let spread = u32::try_from(random.next_u64() % (PHASE_FRAMES_SPREAD + 1)).unwrap_or(0);
    PHASE_FRAMES_MIN + spread
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everything that is due in this many milliseconds.
    fn play(speakers: usize, dtx: bool, ms: u64) -> Vec<Due> {
        let begin = Timestamp::from_millis(1_000);
        let mut pacer = Pacer::new(begin, speakers, dtx);
        let end = Timestamp::from_micros(begin.as_micros() + ms * 1_000 - 1);
        std::iter::from_fn(|| pacer.take(end)).collect()
    }

    #[test]
    fn speakers_take_turns_and_each_says_50_frames_a_second() {
        let due = play(3, false, 1_000);
        assert_eq!(due.len(), 150);
        let first: Vec<_> =
            due.iter().take(4).map(|due| (due.at.as_micros(), due.speaker)).collect();
        assert_eq!(first, [(1_000_000, 0), (1_006_666, 1), (1_013_333, 2), (1_020_000, 0)]);
        for speaker in 0..3 {
            let said = due.iter().filter(|due| due.speaker == speaker);
            let said: Vec<_> = said.map(|due| due.say).collect();
            let indices: Vec<_> = (0..50).map(|index| Say::Speech { index }).collect();
            assert_eq!(said, indices);
        }
    }

    #[test]
    fn a_frame_is_due_when_it_is_due_however_late_it_is_asked_for() {
        let mut pacer = Pacer::new(Timestamp::ZERO, 1, false);
        assert_eq!(pacer.take(Timestamp::from_millis(19)).map(|due| due.at), Some(Timestamp::ZERO));
        assert_eq!(pacer.take(Timestamp::from_millis(19)), None);
        let late: Vec<_> = std::iter::from_fn(|| pacer.take(Timestamp::from_millis(65))).collect();
        let at: Vec<_> = late.iter().map(|due| due.at.as_micros()).collect();
        assert_eq!(at, [20_000, 40_000, 60_000]);
    }

    #[test]
    fn pauses_begin_with_five_frames_of_silence_and_take_half_of_the_time() {
        let due = play(20, true, 60_000);
        let count = |wanted: fn(&Say) -> bool| due.iter().filter(|due| wanted(&due.say)).count();
        let speech = count(|say| matches!(say, Say::Speech { .. }));
        let share = speech * 100 / due.len();
        assert!((40..=60).contains(&share), "{share} %");
        let mut one = due.iter().filter(|due| due.speaker == 0).map(|due| due.say);
        one.by_ref().find(|say| matches!(say, Say::Speech { .. })).expect("it talks some time");
        let pause: Vec<_> =
            one.skip_while(|say| matches!(say, Say::Speech { .. })).take(6).collect();
        let silence = [Say::Silence; 5].into_iter().chain([Say::Nothing]).collect::<Vec<_>>();
        assert_eq!(pause, silence);
    }

    #[test]
    fn without_speakers_nothing_is_due() {
        assert_eq!(play(0, false, 1_000), []);
    }
}
