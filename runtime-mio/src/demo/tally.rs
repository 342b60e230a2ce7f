//! What every listener heard of every speaker.
//!
//! Only counted here; what should have been heard is in `cast.rs`, and what is wrong in
//! `verdict.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use lvsp_core::ids::UserId;

use super::cast::Part;
use super::news::Heard;
use crate::peers::Payload;

/// Who heard, and whom; `None` for a payload that tells nobody's name.
pub(super) type Pair = (UserId, Option<UserId>);

/// What arrived at every listener.
#[derive(Debug, Default)]
pub(super) struct Tally {
    lanes: BTreeMap<Pair, Lane>,
}

/// What one listener heard of one speaker.
#[derive(Clone, Debug, Default)]
pub(super) struct Lane {
    /// Intact payloads, each once.
    seen: BTreeSet<(Part, u32)>,
    /// Payloads that had arrived before.
    pub(super) duplicates: u32,
    /// Payloads that a later one overtook.
    pub(super) overtaken: u32,
    /// Payloads whose digest is wrong.
    pub(super) corrupt: u32,
    /// Payloads that came under another's SSRC, or one that nobody was announced for.
    pub(super) misnamed: u32,
    latencies: Vec<Duration>,
}

impl Tally {
    /// Counts a frame: for whom its payload names, or, if that is corrupt, whose SSRC it has.
    pub(super) fn note(&mut self, heard: &Heard) {
        let payload = Payload::parse(&heard.payload);
        let speaker = payload.map_or(heard.named, |payload| Some(payload.speaker));
        let lane = self.lanes.entry((heard.listener, speaker)).or_default();
        let part = payload.and_then(|payload| Part::from_number(payload.part));
        let (Some(payload), Some(part)) = (payload, part) else {
            lane.corrupt += 1;
            return;
        };
        if heard.named != speaker {
            lane.misnamed += 1;
        }
        let place = (part, payload.index);
        let newest = lane.seen.last().copied();
        if !lane.seen.insert(place) {
            lane.duplicates += 1;
        } else if newest.is_some_and(|newest| newest > place) {
            lane.overtaken += 1;
        }
        lane.latencies.push(heard.at.since(payload.sent));
    }

    /// What `listener` heard of `speaker`, if anything.
    pub(super) fn lane(&self, pair: Pair) -> Option<&Lane> {
        self.lanes.get(&pair)
    }

    /// Everybody who heard anybody, and what.
    pub(super) fn lanes(&self) -> impl Iterator<Item = (Pair, &Lane)> {
        self.lanes.iter().map(|(pair, lane)| (*pair, lane))
    }
}

impl Lane {
    /// Intact payloads of one part, each counted once.
    pub(super) fn intact(&self, part: Part) -> u32 {
        let count = self.seen.range((part, 0)..=(part, u32::MAX)).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// Frames in all, whatever they were like.
    pub(super) fn arrived(&self) -> u32 {
        let intact: u32 = Part::ALL.into_iter().map(|part| self.intact(part)).sum();
        intact + self.duplicates + self.corrupt
    }

    /// Frames that arrived, but not as they should.
    pub(super) const fn bad(&self) -> u32 {
        self.duplicates + self.overtaken + self.corrupt + self.misnamed
    }

    /// Frames of one part that must have been sent by now, judging by the newest that arrived.
    pub(super) fn sent_by_now(&self, part: Part) -> u32 {
        let newest = self.seen.range((part, 0)..=(part, u32::MAX)).next_back();
        newest.map_or(0, |(_, index)| index + 1)
    }

    /// The latency that `percent` of the payloads did not exceed.
    pub(super) fn latency(&self, percent: usize) -> Option<Duration> {
        let mut sorted = self.latencies.clone();
        sorted.sort_unstable();
        let rank = (sorted.len() * percent).div_ceil(100);
        sorted.get(rank.checked_sub(1)?).copied()
    }
}

#[cfg(test)]
mod tests {
    use lvsp_core::time::Timestamp;

    use super::*;

    fn user(id: u64) -> UserId {
        UserId::new(id).unwrap()
    }

    fn frame(index: u32, latency_us: u64) -> Heard {
        let sent = Timestamp::from_micros(1_000);
        let part = Part::Talk.number();
        let payload = Payload { speaker: user(2), part, index, sent }.encode();
        let at = Timestamp::from_micros(1_000 + latency_us);
        Heard { listener: user(1), named: Some(user(2)), payload, at }
    }

    fn lane(frames: impl IntoIterator<Item = Heard>) -> Lane {
        let mut tally = Tally::default();
        frames.into_iter().for_each(|heard| tally.note(&heard));
        assert_eq!(tally.lanes().count(), 1);
        tally.lane((user(1), Some(user(2)))).unwrap().clone()
    }

    #[test]
    fn what_arrives_in_order_is_only_counted() {
        let lane = lane((0..10).map(|index| frame(index, 1)));
        assert_eq!((lane.intact(Part::Talk), lane.intact(Part::AfterMute)), (10, 0));
        let odd = (lane.duplicates, lane.overtaken, lane.corrupt, lane.misnamed);
        assert_eq!((odd, lane.arrived()), ((0, 0, 0, 0), 10));
    }

    #[test]
    fn each_oddity_has_its_own_count() {
        let twice = lane([0, 1, 1, 2].map(|index| frame(index, 1)));
        assert_eq!((twice.duplicates, twice.overtaken, twice.intact(Part::Talk)), (1, 0, 3));
        let swapped = lane([0, 2, 1, 3].map(|index| frame(index, 1)));
        assert_eq!((swapped.duplicates, swapped.overtaken), (0, 1));
        let mut broken = frame(0, 1);
        broken.payload[60] ^= 1;
        let broken = lane([broken, frame(1, 1)]);
        assert_eq!((broken.corrupt, broken.intact(Part::Talk), broken.arrived()), (1, 1, 2));
        for named in [None, Some(user(3))] {
            assert_eq!(lane([Heard { named, ..frame(0, 1) }]).misnamed, 1);
        }
    }

    #[test]
    fn what_was_sent_by_now_is_told_by_the_newest() {
        let gap = lane([0, 1, 4].map(|index| frame(index, 1)));
        assert_eq!((gap.sent_by_now(Part::Talk), gap.intact(Part::Talk)), (5, 3));
        assert_eq!(gap.sent_by_now(Part::AfterMute), 0);
    }

    #[test]
    fn percentiles_are_nearest_ranks() {
        assert_eq!(Lane::default().latency(50), None);
        let lane = lane((0..100u32).rev().map(|n| frame(n, u64::from(n) + 1)));
        assert_eq!(lane.latency(50), Some(Duration::from_micros(50)));
        assert_eq!(lane.latency(99), Some(Duration::from_micros(99)));
        assert_eq!(lane.latency(100), Some(Duration::from_micros(100)));
    }
}
