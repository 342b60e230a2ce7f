//! What was heard, held against what should have been.
//!
//! Every payload names its speaker, its channel and a number, under a digest, so each frame is
//! judged by itself: a frame at somebody who should not hear it is wrong whenever it comes. What
//! is missing shows in two ways: a pair that has not heard each other since a mark ([`Judge::mark`]),
//! and a share of what was said in a period ([`Judge::begin_period`]).

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use lvsp_core::client::Frame;
use lvsp_core::ids::{ChannelId, UserId};
use lvsp_core::time::Timestamp;
use lvsp_mio::peers::Payload;

/// Numbers that are remembered of each pair to notice a repetition.
const WINDOW: u32 = 128;

/// A delivery that should not have been.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Wrong {
    /// Its digest is not that of its bytes.
    Corrupt,
    /// It names another channel than the listener's.
    Channel,
    /// It is the listener's own.
    Echo,
    /// Its speaker is muted.
    Muted,
    /// Its listener is deafened.
    Deafened,
    /// It came under the SSRC of somebody else.
    Misnamed,
    /// It had come before.
    Repeated,
    /// Its speaker is nobody here.
    Stranger,
}

/// Who takes part, as the chat server has it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seat {
    pub(crate) user: UserId,
    pub(crate) channel: ChannelId,
    pub(crate) muted: bool,
    pub(crate) deafened: bool,
}

impl Seat {
    /// Whether it is to hear somebody.
    fn is_to_hear(&self, speaker: &Self) -> bool {
        self.user != speaker.user
            && self.channel == speaker.channel
            && !self.deafened
            && !speaker.muted
    }
}

/// What one listener heard of one speaker.
#[derive(Clone, Default)]
struct Lane {
    newest: u32,
    /// Bit `n`: the number that lies `n` before the newest has come.
    seen: u128,
    /// Whether the present mark waits for it.
    awaited: bool,
}

/// A point in time from which everybody should hear everybody.
struct Mark {
    at: Timestamp,
    /// How long each pair took, in the order of their arrivals.
    times: Vec<Duration>,
    missing: usize,
}

/// What was said and heard from a point in time to the next.
#[derive(Clone, Default, Debug)]
pub(crate) struct Period {
    from: Timestamp,
    by_channel: BTreeMap<ChannelId, Deliveries>,
}

impl Period {
    /// Of all channels together.
    pub(crate) fn all(&self) -> Deliveries {
        let channels = self.by_channel.values();
        channels.fold(Deliveries::default(), |all, channel| Deliveries {
            due: all.due + channel.due,
            heard: all.heard + channel.heard,
        })
    }

    /// The loss of the channel that lost most, and of the one that lost least.
    pub(crate) fn extremes(&self) -> Option<(f64, f64)> {
        let losses = || self.by_channel.values().map(Deliveries::loss);
        Some((losses().max_by(f64::total_cmp)?, losses().min_by(f64::total_cmp)?))
    }

    fn of(&mut self, channel: ChannelId) -> &mut Deliveries {
        self.by_channel.entry(channel).or_default()
    }
}

/// Deliveries of frames.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Deliveries {
    /// Those that were due.
    pub(crate) due: u64,
    /// Those that came.
    pub(crate) heard: u64,
}

impl Deliveries {
    /// The share that did not arrive, 0 to 1.
    pub(crate) fn loss(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "counts of frames are far below 2^52")]
        let share = self.heard as f64 / self.due.max(1) as f64;
        (1.0 - share).max(0.0)
    }
}

/// Hears everything.
pub(crate) struct Judge {
    seats: Vec<Seat>,
    by_user: BTreeMap<UserId, usize>,
    /// By listener, then speaker.
    lanes: Vec<Vec<Lane>>,
    wrong: BTreeMap<Wrong, u64>,
    mark: Option<Mark>,
    periods: Vec<Period>,
    /// Who counts for the periods: the first so many.
    counted: usize,
}

impl Judge {
    pub(crate) fn new(seats: Vec<Seat>) -> Self {
        let by_user = seats.iter().enumerate().map(|(at, seat)| (seat.user, at)).collect();
        let lanes = vec![vec![Lane::default(); seats.len()]; seats.len()];
        let periods = vec![Period::default()];
        let counted = seats.len();
        Self { seats, by_user, lanes, wrong: BTreeMap::new(), mark: None, periods, counted }
    }

    /// Only what the first so many say counts for periods: others come and go meanwhile.
    pub(crate) const fn count_only(&mut self, first: usize) {
        self.counted = first;
    }

    /// From now on, so many of those who are `present` are to hear each other, and it is noted how
    /// long that takes.
    pub(crate) fn mark(&mut self, now: Timestamp, present: impl Fn(usize) -> bool) {
        let mut missing = 0;
        for (listener, lanes) in self.lanes.iter_mut().enumerate() {
            for (speaker, lane) in lanes.iter_mut().enumerate() {
                let pair = self.seats[listener].is_to_hear(&self.seats[speaker]);
                lane.awaited = pair && present(listener) && present(speaker);
                missing += usize::from(lane.awaited);
            }
        }
        self.mark = Some(Mark { at: now, times: Vec::new(), missing });
    }

    /// How long it took until everybody heard everybody, once they do.
    pub(crate) fn audible_after(&self) -> Option<Duration> {
        let mark = self.mark.as_ref().filter(|mark| mark.missing == 0)?;
        Some(mark.times.last().copied().unwrap_or_default())
    }

    /// Pairs that have not heard each other since the mark.
    pub(crate) fn silent_pairs(&self) -> usize {
        self.mark.as_ref().map_or(0, |mark| mark.missing)
    }

    /// Who misses whom since the mark; a few of them.
    pub(crate) fn silent(&self) -> Vec<(usize, usize)> {
        let lanes = self.lanes.iter().enumerate();
        let pairs = lanes.flat_map(|(listener, lanes)| {
            let awaited = lanes.iter().enumerate().filter(|(_, lane)| lane.awaited);
            awaited.map(move |(speaker, _)| (listener, speaker))
        });
        pairs.take(5).collect()
    }

    /// What is said from now on is counted apart.
    pub(crate) fn begin_period(&mut self, now: Timestamp) {
        self.periods.push(Period { from: now, ..Period::default() });
    }

    /// The present period.
    pub(crate) fn period(&self) -> Period {
        self.periods.last().cloned().unwrap_or_default()
    }

    /// The period before it.
    pub(crate) fn previous_period(&self) -> Period {
        self.periods.len().checked_sub(2).map(|at| self.periods[at].clone()).unwrap_or_default()
    }

    /// Somebody said a frame that so many are to hear.
    pub(crate) fn note_said(&mut self, speaker: usize, listeners: u64) {
        if !self.seats[speaker].muted
            && speaker < self.counted
            && let Some(period) = self.periods.last_mut()
        {
            period.of(self.seats[speaker].channel).due += listeners;
        }
    }

    /// A frame arrived.
    pub(crate) fn note_heard(&mut self, now: Timestamp, listener: usize, frame: &Frame) {
        let Some(payload) = Payload::parse(&frame.payload) else {
            return self.note_wrong(Wrong::Corrupt);
        };
        let Some(&speaker) = self.by_user.get(&payload.speaker) else {
            return self.note_wrong(Wrong::Stranger);
        };
        let (ear, mouth) = (self.seats[listener], self.seats[speaker]);
        let faults = [
            (Wrong::Channel, payload.part != ear.channel.as_u64()),
            (Wrong::Echo, listener == speaker),
            (Wrong::Muted, mouth.muted),
            (Wrong::Deafened, ear.deafened),
            (Wrong::Misnamed, frame.user.is_some_and(|user| user != mouth.user)),
            (Wrong::Repeated, !self.lanes[listener][speaker].note(payload.index)),
        ];
        for (wrong, _) in faults.into_iter().filter(|(_, is_so)| *is_so) {
            self.note_wrong(wrong);
        }
        if faults.iter().all(|(_, is_so)| !is_so) {
            self.note_right(now, (listener, speaker), payload.sent);
        }
    }

    fn note_right(&mut self, now: Timestamp, (listener, speaker): (usize, usize), sent: Timestamp) {
        let period = self.periods.iter_mut().rev().find(|period| period.from <= sent);
        if let Some(period) = period.filter(|_| speaker < self.counted) {
            period.of(self.seats[speaker].channel).heard += 1;
        }
        let lane = &mut self.lanes[listener][speaker];
        if let Some(mark) = &mut self.mark
            && lane.awaited
            && sent >= mark.at
        {
            lane.awaited = false;
            mark.missing -= 1;
            mark.times.push(now.since(mark.at));
        }
    }

    fn note_wrong(&mut self, wrong: Wrong) {
        *self.wrong.entry(wrong).or_default() += 1;
    }

    /// Deliveries that should not have been, by kind.
    pub(crate) const fn wrong(&self) -> &BTreeMap<Wrong, u64> {
        &self.wrong
    }
}

impl Lane {
    /// Whether this number is a new one. What is too old to tell counts as new.
    fn note(&mut self, index: u32) -> bool {
        if self.seen == 0 || index > self.newest {
            let ahead = if self.seen == 0 { 0 } else { index - self.newest };
            self.seen = self.seen.checked_shl(ahead).unwrap_or(0) | 1;
            self.newest = index;
            return true;
        }
        let behind = self.newest - index;
        if behind >= WINDOW {
            return true;
        }
        let bit = 1 << behind;
        let is_new = self.seen & bit == 0;
        self.seen |= bit;
        is_new
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Corrupt => "corrupt",
            Self::Channel => "of another channel",
            Self::Echo => "back at their speaker",
            Self::Muted => "of muted speakers",
            Self::Deafened => "at deafened listeners",
            Self::Misnamed => "under another's SSRC",
            Self::Repeated => "repeated",
            Self::Stranger => "of strangers",
        })
    }
}

#[cfg(test)]
mod tests {
    use lvsp_core::ids::Ssrc;

    use super::*;

    fn user(id: u64) -> UserId {
        UserId::new(id).unwrap()
    }

    fn seat(id: u64, channel: u64) -> Seat {
        let channel = ChannelId::new(channel).unwrap();
        Seat { user: user(id), channel, muted: false, deafened: false }
    }

    /// Two in channel 5 (users 1 and 2), a muted one (3) and a deafened one (4); one in channel 6.
    fn judge() -> Judge {
        let muted = Seat { muted: true, ..seat(3, 5) };
        let deafened = Seat { deafened: true, ..seat(4, 5) };
        Judge::new(vec![seat(1, 5), seat(2, 5), muted, deafened, seat(5, 6)])
    }

    fn frame(speaker: u64, channel: u64, index: u32) -> Frame {
        let sent = Timestamp::from_micros(50);
        let payload = Payload { speaker: user(speaker), part: channel, index, sent }.encode();
        Frame { ssrc: Ssrc(7), user: None, sequence: 0, timestamp: 0, payload }
    }

    /// What the judge finds wrong with one frame at a listener.
    fn wrong(listener: usize, frame: &Frame) -> Vec<Wrong> {
        let mut judge = judge();
        judge.note_heard(Timestamp::from_micros(60), listener, frame);
        judge.wrong().keys().copied().collect()
    }

    #[test]
    fn each_wrong_delivery_is_told_by_its_kind() {
        assert_eq!(wrong(0, &frame(2, 5, 1)), []);
        assert_eq!(wrong(0, &frame(1, 5, 1)), [Wrong::Echo]);
        assert_eq!(wrong(0, &frame(5, 6, 1)), [Wrong::Channel]);
        assert_eq!(wrong(0, &frame(3, 5, 1)), [Wrong::Muted]);
        assert_eq!(wrong(3, &frame(2, 5, 1)), [Wrong::Deafened]);
        assert_eq!(wrong(0, &frame(9, 5, 1)), [Wrong::Stranger]);
        assert_eq!(wrong(0, &Frame { user: Some(user(4)), ..frame(2, 5, 1) }), [Wrong::Misnamed]);
        let mut corrupt = frame(2, 5, 1);
        corrupt.payload[70] ^= 1;
        assert_eq!(wrong(0, &corrupt), [Wrong::Corrupt]);
    }

    #[test]
    fn a_repetition_is_told_from_frames_that_overtook_each_other() {
        let mut judge = judge();
        for index in [10, 12, 11, 40, 39] {
            judge.note_heard(Timestamp::from_micros(60), 0, &frame(2, 5, index));
        }
        assert!(judge.wrong().is_empty());
        for index in [40, 11] {
            judge.note_heard(Timestamp::from_micros(60), 0, &frame(2, 5, index));
        }
        assert_eq!(judge.wrong()[&Wrong::Repeated], 2);
    }

    #[test]
    fn everybody_is_audible_when_each_pair_heard_something_said_after_the_mark() {
        let mut judge = judge();
        judge.mark(Timestamp::from_micros(51), |_| true);
        // Two hear each other and the deafened one; the muted one hears all three.
        assert_eq!(judge.silent_pairs(), 7);
        judge.note_heard(Timestamp::from_micros(60), 0, &frame(2, 5, 1));
        assert_eq!(judge.silent_pairs(), 7, "that was said before the mark");
        judge.mark(Timestamp::from_micros(50), |at| at < 3);
        for (at, listener, speaker) in [(60, 0, 2), (70, 1, 1), (80, 2, 1), (95, 2, 2)] {
            assert_eq!(judge.audible_after(), None);
            judge.note_heard(Timestamp::from_micros(at), listener, &frame(speaker, 5, 2));
        }
        assert_eq!(judge.audible_after(), Some(Duration::from_micros(45)));
    }

    #[test]
    fn loss_is_the_share_of_a_period_that_did_not_arrive() {
        let mut judge = judge();
        judge.note_said(1, 4);
        judge.note_heard(Timestamp::from_micros(60), 0, &frame(2, 5, 1));
        judge.begin_period(Timestamp::from_micros(55));
        // Said before, arrived after.
        judge.note_heard(Timestamp::from_micros(60), 2, &frame(2, 5, 1));
        assert!((judge.previous_period().all().loss() - 0.5).abs() < 1e-9);
        let now = judge.period().all();
        assert_eq!((now.due, now.heard), (0, 0));
    }

    #[test]
    fn each_channel_has_its_own_loss() {
        let mut judge = judge();
        judge.note_said(1, 3);
        judge.note_said(4, 2);
        judge.note_heard(Timestamp::from_micros(60), 0, &frame(2, 5, 1));
        let period = judge.period();
        let (most, least) = period.extremes().unwrap();
        assert!((most - 1.0).abs() < 1e-9 && (least - 2.0 / 3.0).abs() < 1e-9);
        assert_eq!((period.all().due, period.all().heard), (5, 1));
    }
}
