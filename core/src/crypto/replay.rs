//! The replay window: which RTP sequence numbers of one speaker were seen.
//!
//! Over the sequence number extended by a rollover count, never over the nonce: one library reuses
//! its nonces every 65,536 packets and must still work. Called only after a packet authenticated,
//! so that nobody else can move the window.

/// Numbers that the window remembers.
pub const WINDOW: u64 = 1_024;
/// So many packets in a row behind the window, in rising order, mean that the speaker began anew.
const RESTART_AFTER: u32 = 50;

const WORDS: usize = 16;

/// What a sequence number turned out to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Accepted {
    /// The highest so far, extended by the rollover count.
    Newest(u64),
    /// Not seen before, but behind the highest.
    Late(u64),
    /// The window begins anew at this number: the speaker restarted its sequence.
    Restarted(u64),
    /// Seen before.
    Replayed,
    /// Behind the window.
    TooOld,
}

/// The window of one speaker.
#[derive(Clone, Debug, Default)]
pub struct ReplayWindow {
    /// The highest extended number; `None` before the first packet.
    highest: Option<u64>,
    /// Bit `n % WINDOW` says whether `n` was seen, for the numbers of the window.
    seen: [u64; WORDS],
    behind: u32,
    last_behind: u16,
}

impl ReplayWindow {
    /// The highest extended number that was accepted.
    #[must_use]
    pub const fn highest(&self) -> Option<u64> {
        self.highest
    }

    /// Judges the number of a packet that authenticated, and remembers it.
    pub fn accept(&mut self, sequence: u16) -> Accepted {
        let Some(highest) = self.highest else {
            // One rollover ahead, so that late packets of the start have a number as well.
            return Accepted::Newest(self.restart(sequence));
        };
        let extended = extend(highest, sequence);
        if extended > highest {
            self.advance(highest, extended);
            self.behind = 0;
            return Accepted::Newest(extended);
        }
        if highest - extended >= WINDOW {
            return self.judge_behind(sequence);
        }
        if self.test_and_set(extended) {
            return Accepted::Replayed;
        }
        self.behind = 0;
        Accepted::Late(extended)
    }

    fn judge_behind(&mut self, sequence: u16) -> Accepted {
        let rising = self.behind == 0 || serial_after(sequence, self.last_behind);
        self.behind = if rising { self.behind + 1 } else { 1 };
        self.last_behind = sequence;
        if self.behind <= RESTART_AFTER {
            return Accepted::TooOld;
        }
        Accepted::Restarted(self.restart(sequence))
    }

    fn restart(&mut self, sequence: u16) -> u64 {
        let rollovers = self.highest.map_or(0, |highest| highest >> 16) + 1;
        let extended = (rollovers << 16) | u64::from(sequence);
        self.highest = Some(extended);
        self.seen = [0; WORDS];
        self.behind = 0;
        self.test_and_set(extended);
        extended
    }

    fn advance(&mut self, highest: u64, extended: u64) {
        if extended - highest >= WINDOW {
            self.seen = [0; WORDS];
        } else {
            for number in highest + 1..extended {
                self.clear(number);
            }
        }
        self.clear(extended);
        self.test_and_set(extended);
        self.highest = Some(extended);
    }

    fn word(&mut self, number: u64) -> Option<(&mut u64, u64)> {
        let bit = number % WINDOW;
        let at = usize::try_from(bit / 64).ok()?;
        self.seen.get_mut(at).map(|word| (word, 1 << (bit % 64)))
    }

    fn test_and_set(&mut self, number: u64) -> bool {
        self.word(number).is_some_and(|(word, bit)| {
            let was = *word & bit != 0;
            *word |= bit;
            was
        })
    }

    fn clear(&mut self, number: u64) {
        if let Some((word, bit)) = self.word(number) {
            *word &= !bit;
        }
    }
}

/// The number nearest to `highest` that ends in `sequence`.
fn extend(highest: u64, sequence: u16) -> u64 {
    let base = highest & !0xFFFF;
    let candidate = base | u64::from(sequence);
    if candidate + 0x8000 < highest {
        candidate + 0x1_0000
    } else if candidate > highest + 0x7FFF {
        candidate.saturating_sub(0x1_0000)
    } else {
        candidate
    }
}

/// Whether `a` comes after `b` in serial order (RFC 1982).
const fn serial_after(a: u16, b: u16) -> bool {
    a != b && a.wrapping_sub(b) < 0x8000
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    // Clauses: V4.8
    #[test]
    fn each_number_is_accepted_once() {
        let mut window = ReplayWindow::default();
        assert!(matches!(window.accept(65_535), Accepted::Newest(_)));
        assert!(matches!(window.accept(0), Accepted::Newest(_)), "over the rollover");
        assert_eq!(window.accept(65_535), Accepted::Replayed);
        assert!(matches!(window.accept(65_000), Accepted::Late(_)));
        assert_eq!(window.accept(65_000), Accepted::Replayed);
        assert_eq!(window.accept(64_000), Accepted::TooOld);
        assert!(matches!(window.accept(32_767), Accepted::Newest(_)), "2^15 - 1 ahead");
    }

    #[test]
    fn a_jump_of_half_the_numbers_counts_as_backward() {
        for first in [100, 40_000u16] {
            let mut window = ReplayWindow::default();
            window.accept(first);
            assert_eq!(window.accept(first.wrapping_add(1 << 15)), Accepted::TooOld);
            let ahead = window.accept(first.wrapping_add((1 << 15) - 1));
            assert!(matches!(ahead, Accepted::Newest(_)), "2^15 - 1 ahead");
        }
    }

    // Clauses: V4.9
    #[test]
    fn a_speaker_that_starts_anew_is_heard_after_fifty_packets() {
        let mut window = ReplayWindow::default();
        window.accept(20_000);
        for sequence in 1..=50 {
            assert_eq!(window.accept(sequence), Accepted::TooOld);
        }
        assert!(matches!(window.accept(51), Accepted::Restarted(_)));
        assert!(matches!(window.accept(52), Accepted::Newest(_)));
        assert_eq!(window.accept(51), Accepted::Replayed);
    }

    #[test]
    fn replayed_old_packets_in_falling_order_never_restart_the_window() {
        let mut window = ReplayWindow::default();
        window.accept(20_000);
        for sequence in (1..=200).rev() {
            assert_eq!(window.accept(sequence), Accepted::TooOld);
        }
    }

    /// What the window should say, by a set that forgets nothing.
    #[derive(Default)]
    struct Model {
        highest: Option<u64>,
        seen: BTreeSet<u64>,
        behind: Vec<u16>,
    }

    impl Model {
        fn accept(&mut self, sequence: u16) -> Accepted {
            let Some(highest) = self.highest else {
                return Accepted::Newest(self.begin((1 << 16) + u64::from(sequence)));
            };
            let ahead = sequence.wrapping_sub((highest & 0xFFFF) as u16).cast_signed();
            let extended = highest.checked_add_signed(i64::from(ahead)).unwrap();
            if ahead > -1_024 {
                if !self.seen.insert(extended) {
                    return Accepted::Replayed;
                }
                self.behind.clear();
                if ahead < 0 {
                    return Accepted::Late(extended);
                }
                self.highest = Some(extended);
                return Accepted::Newest(extended);
            }
            let rising = |last: &u16| (1..0x8000).contains(&sequence.wrapping_sub(*last));
            if !self.behind.last().is_none_or(rising) {
                self.behind.clear();
            }
            self.behind.push(sequence);
            if self.behind.len() <= 50 {
                return Accepted::TooOld;
            }
            let next_rollover = ((highest >> 16) + 1) << 16;
            Accepted::Restarted(self.begin(next_rollover + u64::from(sequence)))
        }

        fn begin(&mut self, extended: u64) -> u64 {
            *self = Self { highest: Some(extended), seen: [extended].into(), behind: vec![] };
            extended
        }
    }

    /// So many packets of rising sequence, the first of them so far from the last one sent.
    fn runs() -> impl Strategy<Value = Vec<(i32, u16)>> {
        let run = prop_oneof![
            6 => (-40..60, 1..4u16),
            2 => (-1_100..1_100, 1..40u16),
            1 => (-32_768..=32_767, 1..4u16),
            1 => (-20_000..-1_000, 40..70u16),
        ];
        proptest::collection::vec(run, 1..60)
    }

    proptest! {
        #[test]
        fn the_window_agrees_with_a_set(first: u16, runs in runs()) {
            let (mut window, mut model) = (ReplayWindow::default(), Model::default());
            let mut at = first;
            for (step, packets) in runs {
                at = at.wrapping_add_signed(i16::try_from(step).unwrap());
                for _ in 0..packets {
                    prop_assert_eq!(window.accept(at), model.accept(at), "{}", at);
                    prop_assert_eq!(window.highest(), model.highest);
                    at = at.wrapping_add(1);
                }
            }
        }
    }
}
