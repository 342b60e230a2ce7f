//! How many speakers are tried next on the way to saturation: more by a good part each time until
//! something is lost, then ever closer to where that begins.

/// A share of lost packets that is still no loss.
pub(super) const LOSS_FREE: f64 = 0.001;
/// How often a number is tried before its loss is the server's: once may be the machine's other work.
const TRIES: usize = 3;
/// From one number to the next, in percent.
const STEP_PERCENT: usize = 115;
/// How closely the end is looked for, in percent of what was carried.
const CLOSE_PERCENT: usize = 3;

/// A climb.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Climb {
    members: usize,
    speakers: usize,
    tries: usize,
    carried: Option<usize>,
    /// The fewest speakers of whom something was lost at every try.
    lossy: Option<usize>,
}

impl Climb {
    /// Begins with so many speakers of these members.
    pub(super) const fn new(speakers: usize, members: usize) -> Self {
        Self { members, speakers, tries: 0, carried: None, lossy: None }
    }

    /// How many speakers to try.
    pub(super) const fn speakers(&self) -> usize {
        self.speakers
    }

    /// Whether there were ever too many.
    pub(super) const fn is_saturated(&self) -> bool {
        self.lossy.is_some()
    }

    /// Takes what became of the last try; whether there is another.
    pub(super) fn go_on(&mut self, is_lossy: bool) -> bool {
        self.tries += 1;
        if is_lossy && self.tries < TRIES {
            return true;
        }
        let tried = if is_lossy { &mut self.lossy } else { &mut self.carried };
        *tried = Some(self.speakers);
        self.tries = 0;
        let Some(next) = self.next() else { return false };
        self.speakers = next;
        true
    }

    fn next(&self) -> Option<usize> {
        let carried = self.carried?;
        if let Some(lossy) = self.lossy {
            let gap = lossy - carried;
            return (gap > (carried * CLOSE_PERCENT / 100).max(1)).then_some(carried + gap / 2);
        }
        let next = (carried * STEP_PERCENT / 100).max(carried + 1).min(self.members);
        (next > carried).then_some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is tried when so many speakers are carried, and whether it ended in loss.
    fn tries(from: usize, members: usize, carries: usize) -> (Vec<usize>, bool) {
        let mut climb = Climb::new(from, members);
        let mut tried = vec![climb.speakers()];
        while climb.go_on(climb.speakers() > carries) {
            tried.push(climb.speakers());
        }
        (tried, climb.is_saturated())
    }

    #[test]
    fn a_climb_ends_close_to_what_is_carried() {
        let (tried, is_saturated) = tries(80, 400, 118);
        assert_eq!(tried, [80, 92, 105, 120, 120, 120, 112, 116, 118]);
        assert!(is_saturated);
    }

    #[test]
    fn few_are_told_apart_one_by_one() {
        assert_eq!(tries(2, 6, 4), (vec![2, 3, 4, 5, 5, 5], true));
    }

    #[test]
    fn a_climb_that_loses_nothing_ends_with_everybody() {
        assert_eq!(tries(5, 6, 9), (vec![5, 6], false));
        assert_eq!(tries(6, 6, 9), (vec![6], false));
    }

    #[test]
    fn what_is_lost_from_the_start_is_tried_again_and_that_is_all() {
        assert_eq!(tries(5, 6, 4), (vec![5, 5, 5], true));
    }
}
