//! A speaker's sequence numbers in any order, against a set that forgets nothing.
//!
//! Input: the first number in two bytes, then runs of rising numbers. A byte below 192 is one
//! number, `byte - 96` from the last; another one is `byte - 191` numbers, which begin as far from
//! the last as the next two bytes say. Besides agreeing with the set, no extended number is ever
//! accepted twice, restarts included; and nothing is allocated.

use std::collections::BTreeSet;

use lvsp_core::crypto::replay::{Accepted, ReplayWindow};

use crate::bounds::without_heap;

/// The body of this target.
pub fn replay_window(data: &[u8]) {
    let Some(([high, low], mut rest)) = data.split_first_chunk() else { return };
    let (mut window, mut model) = (ReplayWindow::default(), Model::default());
    let mut accepted = BTreeSet::new();
    let mut at = u16::from_be_bytes([*high, *low]);
    while let Some((tag, behind)) = rest.split_first() {
        rest = behind;
        let (step, count) = match tag.checked_sub(192) {
            None => (i16::from(*tag) - 96, 1),
            Some(more) => {
                let Some((step, behind)) = rest.split_first_chunk() else { return };
                rest = behind;
                (i16::from_be_bytes(*step), u16::from(more) + 1)
            }
        };
        at = at.wrapping_add_signed(step);
        for _ in 0..count {
            let found = without_heap(|| window.accept(at));
            assert_eq!(found, model.accept(at), "{at}");
            assert_eq!(window.highest(), model.highest);
            if let Accepted::Newest(number) | Accepted::Late(number) | Accepted::Restarted(number) =
                found
            {
                assert_eq!(number as u16, at, "the number ends in what was on the wire");
                assert!(accepted.insert(number), "{number} was accepted twice");
            }
            at = at.wrapping_add(1);
        }
    }
}

/// What the window should say.
#[derive(Default)]
struct Model {
    highest: Option<u64>,
    seen: BTreeSet<u64>,
    /// Packets in a row that were too old, each behind the one before.
    behind: Vec<u16>,
}

impl Model {
    fn accept(&mut self, sequence: u16) -> Accepted {
        let Some(highest) = self.highest else {
            return Accepted::Newest(self.begin(0x1_0000 + u64::from(sequence)));
        };
        let ahead = i64::from(sequence.wrapping_sub(highest as u16).cast_signed());
        let extended = highest.checked_add_signed(ahead).expect("one rollover is ahead of zero");
        if ahead <= -1_024 {
            return self.judge_old(highest, sequence);
        }
        if !self.seen.insert(extended) {
            return Accepted::Replayed;
        }
        self.behind.clear();
        if ahead < 0 {
            return Accepted::Late(extended);
        }
        self.highest = Some(extended);
        Accepted::Newest(extended)
    }

    fn judge_old(&mut self, highest: u64, sequence: u16) -> Accepted {
        let rises = |last: &u16| (1..0x8000).contains(&sequence.wrapping_sub(*last));
        if !self.behind.last().is_none_or(rises) {
            self.behind.clear();
        }
        self.behind.push(sequence);
        if self.behind.len() <= 50 {
            return Accepted::TooOld;
        }
        let next_rollover = (highest / 0x1_0000 + 1) * 0x1_0000;
        Accepted::Restarted(self.begin(next_rollover + u64::from(sequence)))
    }

    fn begin(&mut self, extended: u64) -> u64 {
        *self = Self { highest: Some(extended), seen: [extended].into(), behind: Vec::new() };
        extended
    }
}
