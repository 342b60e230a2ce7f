//! What was wrong, if anything was.
//!
//! Every pair of two callers, and every caller with itself, is held against the cast. What arrives
//! where nothing should is as wrong as what is missing.

use std::collections::BTreeMap;
use std::fmt;

use lvsp_core::ids::UserId;

use super::cast::{Cast, MUTED, Part};
use super::tally::{Lane, Pair, Tally};

/// How the demonstration ended.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Verdict {
    /// Everything that should arrive did, and nothing else. The words say what that was.
    Pass(String),
    /// Something was wrong. The words say what, by kind and pair.
    Fail(String),
}

impl Verdict {
    /// Whether nothing was wrong.
    #[must_use]
    pub const fn is_pass(&self) -> bool {
        matches!(self, Self::Pass(_))
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pass(words) => write!(f, "PASS: {words}"),
            Self::Fail(words) => write!(f, "FAIL: {words}"),
        }
    }
}

/// A kind of wrong.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Defect {
    Dropped,
    Duplicated,
    OutOfOrder,
    Corrupt,
    Misnamed,
    Echo,
    Misrouted,
    MuteLeak,
}

impl Defect {
    const fn words(self) -> &'static str {
        match self {
            Self::Dropped => "dropped",
            Self::Duplicated => "duplicated",
            Self::OutOfOrder => "out of order",
            Self::Corrupt => "corrupt",
            Self::Misnamed => "under another's SSRC",
            Self::Echo => "back at their speaker",
            Self::Misrouted => "misrouted from another channel",
            Self::MuteLeak => "mute leak",
        }
    }
}

/// What was wrong between listeners and speakers, and how often.
type Defects = BTreeMap<Defect, Vec<(Pair, u32)>>;

/// Holds what was heard against what should have been.
pub(super) fn judge(cast: &Cast, tally: &Tally) -> Verdict {
    let mut defects = Defects::new();
    for (listener, speaker) in cast.pairs() {
        let pair = (listener.user, Some(speaker.user));
        let due = Part::ALL.map(|part| cast.expected(listener, speaker, part));
        let unheard = Lane::default();
        for (defect, count) in compare(tally.lane(pair).unwrap_or(&unheard), due) {
            defects.entry(defect).or_default().push((pair, count));
        }
    }
    for (pair, lane) in tally.lanes().filter(|(pair, _)| !is_due(cast, *pair)) {
        let defect = match pair {
            (_, None) => Defect::Corrupt,
            (listener, Some(speaker)) if listener == speaker => Defect::Echo,
            (_, Some(_)) => Defect::Misrouted,
        };
        defects.entry(defect).or_default().push((pair, lane.arrived()));
    }
    if defects.is_empty() { pass(cast) } else { Verdict::Fail(describe(cast, &defects)) }
}

/// Whether a listener is to hear a speaker at all.
pub(super) fn is_due(cast: &Cast, (listener, speaker): Pair) -> bool {
    let speaker = speaker.and_then(|speaker| cast.seat(speaker));
    cast.seat(listener).zip(speaker).is_some_and(|(listener, speaker)| listener.is_to_hear(speaker))
}

/// What is wrong with a lane on which so many payloads were due in the two parts.
fn compare(lane: &Lane, due: [u32; 2]) -> impl Iterator<Item = (Defect, u32)> {
    let heard = Part::ALL.map(|part| lane.intact(part));
    let missing = due[0].saturating_sub(heard[0]) + due[1].saturating_sub(heard[1]);
    let counts = [
        // What arrived corrupt did arrive.
        (Defect::Dropped, missing.saturating_sub(lane.corrupt)),
        (Defect::Duplicated, lane.duplicates),
        (Defect::OutOfOrder, lane.overtaken),
        (Defect::Corrupt, lane.corrupt),
        (Defect::Misnamed, lane.misnamed),
        (Defect::MuteLeak, heard[1].saturating_sub(due[1])),
    ];
    counts.into_iter().filter(|(_, count)| *count > 0)
}

fn pass(cast: &Cast) -> Verdict {
    let (pairs, frames) = (cast.pairs().count(), cast.frames(Part::Talk));
    let muted = name(cast, Some(MUTED));
    Verdict::Pass(format!(
        "{pairs} pairs heard {frames} of {frames}, intact and in order; nobody heard themselves or \
         the other channel, nor {muted} while muted"
    ))
}

fn describe(cast: &Cast, defects: &Defects) -> String {
    let kinds = defects.iter().map(|(defect, pairs)| {
        let pairs: Vec<_> = pairs
            .iter()
            .map(|((listener, speaker), count)| {
                format!("{} from {} {count}", name(cast, Some(*listener)), name(cast, *speaker))
            })
            .collect();
        format!("{} ({})", defect.words(), pairs.join(", "))
    });
    kinds.collect::<Vec<_>>().join("; ")
}

/// What a user is called.
pub(super) fn name(cast: &Cast, user: Option<UserId>) -> &'static str {
    user.and_then(|user| cast.seat(user)).map_or("somebody unknown", |seat| seat.name)
}

#[cfg(test)]
mod tests {
    use lvsp_core::time::Timestamp;

    use super::super::news::Heard;
    use super::*;
    use crate::peers::Payload;

    /// A frame that `listener` hears of `speaker`.
    fn frame(listener: u64, speaker: u64, part: Part, index: u32) -> Heard {
        let [listener, speaker] = [listener, speaker].map(|id| UserId::new(id).unwrap());
        let part = part.number();
        let payload = Payload { speaker, part, index, sent: Timestamp::ZERO }.encode();
        Heard { listener, named: Some(speaker), payload, at: Timestamp::ZERO }
    }

    /// What is heard when all is well.
    fn all_is_well(cast: &Cast) -> Vec<Heard> {
        let mut heard = Vec::new();
        for (listener, speaker) in cast.pairs() {
            for part in Part::ALL {
                let count = cast.expected(listener, speaker, part);
                let (listener, speaker) = (listener.user.as_u64(), speaker.user.as_u64());
                heard.extend((0..count).map(|index| frame(listener, speaker, part, index)));
            }
        }
        heard
    }

    /// The verdict when `change` is made to what is heard when all is well.
    fn verdict(change: impl FnOnce(&mut Vec<Heard>)) -> String {
        let cast = Cast::new(30, None);
        let mut heard = all_is_well(&cast);
        change(&mut heard);
        let mut tally = Tally::default();
        heard.iter().for_each(|heard| tally.note(heard));
        judge(&cast, &tally).to_string()
    }

    fn position(heard: &[Heard], index: u32) -> usize {
        let wanted = frame(11, 13, Part::Talk, index);
        let same =
            |heard: &Heard| heard.listener == wanted.listener && heard.payload == wanted.payload;
        heard.iter().position(same).unwrap()
    }

    #[test]
    fn all_is_well_passes() {
        let words = verdict(|_| ());
        assert!(words.starts_with("PASS: 8 pairs heard 30 of 30, intact and in order"), "{words}");
    }

    #[test]
    fn nothing_heard_fails_for_every_pair() {
        let words = verdict(Vec::clear);
        assert!(words.starts_with("FAIL: dropped (ann from bob 30, ann from cem 55, "), "{words}");
        assert_eq!(words.matches(" from ").count(), 8, "{words}");
    }

    #[test]
    fn each_defect_is_named_with_its_pair() {
        let dropped = verdict(|heard| {
            heard.remove(position(heard, 29));
        });
        assert_eq!(dropped, "FAIL: dropped (ann from cem 1)");
        let duplicated = verdict(|heard| heard.push(frame(11, 13, Part::Talk, 4)));
        assert_eq!(duplicated, "FAIL: duplicated (ann from cem 1)");
        let swapped = verdict(|heard| {
            let (first, second) = (position(heard, 4), position(heard, 5));
            heard.swap(first, second);
        });
        assert_eq!(swapped, "FAIL: out of order (ann from cem 1)");
        let corrupt = verdict(|heard| {
            let at = position(heard, 4);
            heard[at].payload.reverse();
        });
        assert_eq!(corrupt, "FAIL: corrupt (ann from cem 1)");
        let misnamed = verdict(|heard| {
            let at = position(heard, 4);
            heard[at].named = UserId::new(12);
        });
        assert_eq!(misnamed, "FAIL: under another's SSRC (ann from cem 1)");
    }

    #[test]
    fn what_should_not_be_heard_at_all_is_a_defect() {
        let echo = verdict(|heard| heard.push(frame(11, 11, Part::Talk, 0)));
        assert_eq!(echo, "FAIL: back at their speaker (ann from ann 1)");
        let foreign = verdict(|heard| heard.push(frame(11, 21, Part::Talk, 0)));
        assert_eq!(foreign, "FAIL: misrouted from another channel (ann from dea 1)");
        let stranger = verdict(|heard| heard.push(frame(22, 99, Part::Talk, 0)));
        assert_eq!(stranger, "FAIL: misrouted from another channel (eli from somebody unknown 1)");
        let muted = verdict(|heard| heard.push(frame(13, 12, Part::AfterMute, 0)));
        assert_eq!(muted, "FAIL: mute leak (cem from bob 1)");
        let noise = verdict(|heard| {
            heard.push(Heard { named: None, payload: vec![7; 90], ..frame(11, 12, Part::Talk, 0) });
        });
        assert_eq!(noise, "FAIL: corrupt (ann from somebody unknown 1)");
    }

    #[test]
    fn several_defects_are_told_together() {
        let words = verdict(|heard| {
            heard.remove(position(heard, 3));
            heard.push(frame(22, 11, Part::Talk, 0));
        });
        assert_eq!(
            words,
            "FAIL: dropped (ann from cem 1); misrouted from another channel (eli from ann 1)"
        );
    }
}
