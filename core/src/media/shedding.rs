//! Which packets a relay does not open when more come than it can handle.
//!
//! A relay has fallen behind when every packet has waited too long for a while, or the socket's
//! buffer overflowed. From then on packets that have waited too long are dropped unopened, which
//! costs next to nothing and lets the relay catch up. Whose packets these are would be left to the
//! phase of the speakers' clocks; so a room that lost more than its share is spared, and one that
//! lost less gives more.
//!
//! Between calls no share counts more packets as shed than as offered.

use std::time::Duration;

use crate::time::Timestamp;

/// Packets that wait too long for this long, all of them, are no mere hiccup.
const PATIENCE: Duration = Duration::from_millis(200);
/// A relay counts as behind for this long after the last sign of it.
const MEMORY: Duration = Duration::from_secs(1);
/// Shares are of the last few of these.
const EPOCH: Duration = Duration::from_secs(1);

/// Packets of one room, or of all, while the relay was behind.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Share {
    epoch: u64,
    offered: u64,
    shed: u64,
    /// Shed since the room was made, for statistics.
    pub(super) total: u64,
}

impl Share {
    /// Halves what was counted, once for each epoch since.
    fn age(&mut self, epoch: u64) {
        let passed = epoch.saturating_sub(self.epoch).min(63);
        self.offered >>= passed;
        self.shed >>= passed;
        self.epoch = epoch;
    }

    fn count(&mut self, shed: bool) {
        self.offered += 1;
        self.shed += u64::from(shed);
        self.total += u64::from(shed);
    }

    /// Whether this has lost more than `num/den` of what `all` have lost, each by its size.
    const fn exceeds(&self, all: &Self, num: u64, den: u64) -> bool {
        den * self.shed * all.offered > num * all.shed * self.offered
    }
}

/// Whether a relay has fallen behind, and who pays for it.
#[derive(Debug)]
pub(super) struct Shedding {
    /// A packet that waited longer waited too long.
    longest: Duration,
    /// Since when every packet did.
    waiting_since: Option<Timestamp>,
    behind_until: Timestamp,
    all: Share,
    /// When the control plane is told next, at the earliest.
    tell_at: Timestamp,
    untold: bool,
}

impl Shedding {
    pub(super) const fn new(longest: Duration) -> Self {
        Self {
            longest,
            waiting_since: None,
            behind_until: Timestamp::ZERO,
            all: Share { epoch: 0, offered: 0, shed: 0, total: 0 },
            tell_at: Timestamp::ZERO,
            untold: false,
        }
    }

    /// The socket's buffer overflowed, or packets waited for too long.
    pub(super) fn fall_behind(&mut self, now: Timestamp) {
        self.behind_until = now + MEMORY;
        self.untold |= now >= self.tell_at;
    }

    /// Whether more comes than the relay can handle.
    #[inline]
    pub(super) fn is_behind(&self, now: Timestamp) -> bool {
        now < self.behind_until
    }

    /// Whether the control plane is to be told that the relay is behind: once a second at most.
    pub(super) fn take_news(&mut self, now: Timestamp) -> bool {
        if !std::mem::take(&mut self.untold) {
            return false;
        }
        self.tell_at = now + MEMORY;
        true
    }

    /// Whether a packet of a room is not to be opened, after it has waited for `age`.
    pub(super) fn sheds(&mut self, now: Timestamp, age: Duration, room: &mut Share) -> bool {
        let too_long = age > self.longest;
        if !too_long {
            self.waiting_since = None;
        } else if now.since(*self.waiting_since.get_or_insert(now)) >= PATIENCE {
            self.fall_behind(now);
        }
        if !self.is_behind(now) {
            return false;
        }
        let epoch = u64::try_from(now.as_micros() as u128 / EPOCH.as_micros()).unwrap_or(u64::MAX);
        self.all.age(epoch);
        room.age(epoch);
        let shed = if too_long {
            !room.exceeds(&self.all, 6, 5)
        } else {
            // It may be opened in time, but others were not: half of the mean is too little.
            !room.exceeds(&self.all, 1, 2) && self.all.shed > 0
        };
        room.count(shed);
        self.all.count(shed);
        shed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_millis(20);

    fn at(micros: u64) -> Timestamp {
        Timestamp::from_micros(micros)
    }

    /// A room: speakers and members.
    struct Room {
        speakers: u64,
        members: u64,
        share: Share,
        offered: u64,
        shed: u64,
    }

    struct Outcome {
        /// The room that lost the largest part, and what all lost together.
        worst: f64,
        mean: f64,
        /// Of the processor's time, the part that was spent on copies.
        useful: f64,
        /// The longest that a packet waited that was opened.
        longest: u64,
    }

    /// Speakers with fixed phases, each with a packet every 20 ms, at a relay that needs `copy_ns` for
    /// a copy and 1 us for a packet that it sheds.
    fn run(rooms: &mut [Room], copy_ns: u64, seconds: u64) -> Outcome {
        let mut shedding = Shedding::new(LONGEST);
        let mut arrivals = Vec::new();
        for (index, room) in rooms.iter().enumerate() {
            for speaker in 0..room.speakers {
                let phase = (index as u64 * 7_919 + speaker * 104_729) % 20_000;
                arrivals.extend((0..50 * seconds).map(|n| (phase + 20_000 * n, index)));
            }
        }
        arrivals.sort_unstable();
        let (mut now, mut useful, mut longest) = (0, 0, 0);
        for (arrival, index) in arrivals {
            now = now.max(1_000 * arrival);
            let (room, age) = (&mut rooms[index], now / 1_000 - arrival);
            room.offered += 1;
            if shedding.sheds(at(now / 1_000), Duration::from_micros(age), &mut room.share) {
                room.shed += 1;
                now += 1_000;
            } else {
                longest = longest.max(age);
                useful += room.members * copy_ns;
                now += room.members * copy_ns;
            }
        }
        let lost = |room: &Room| room.shed as f64 / room.offered as f64;
        let (shed, offered): (u64, u64) =
            rooms.iter().fold((0, 0), |(s, o), room| (s + room.shed, o + room.offered));
        let worst = rooms.iter().map(lost).fold(0.0, f64::max);
        let mean = shed as f64 / offered as f64;
        Outcome { worst, mean, useful: useful as f64 / now as f64, longest }
    }

    fn rooms() -> Vec<Room> {
        let sizes = [(20, 200), (10, 100), (5, 50), (2, 20), (1, 10), (1, 4), (3, 300)];
        let room = |(speakers, members)| Room {
            speakers,
            members,
            share: Share::default(),
            offered: 0,
            shed: 0,
        };
        sizes.iter().chain(&sizes).copied().map(room).collect()
    }

    /// Nanoseconds a copy at which a relay is busy for `percent` of its time with all rooms.
    fn copy_ns(percent: u64) -> u64 {
        let copies: u64 = rooms().iter().map(|room| 50 * room.speakers * room.members).sum();
        10_000_000 * percent / copies
    }

    #[test]
    fn nobody_loses_anything_below_the_limit() {
        let outcome = run(&mut rooms(), copy_ns(85), 20);
        assert_eq!(outcome.mean, 0.0);
    }

    #[test]
    fn at_twice_what_can_be_handled_every_room_loses_about_its_share() {
        for percent in [150, 200, 400] {
            let outcome = run(&mut rooms(), copy_ns(percent), 30);
            let Outcome { worst, mean, useful, longest } = outcome;
            assert!(worst <= 1.5 * mean, "{percent}: {worst} of the worst room, {mean} of all");
            assert!(useful > 0.9, "{percent}: {useful} of the time went into copies");
            assert!(longest < 400_000, "{percent}: opened after {longest} us");
        }
    }

    #[test]
    fn a_hiccup_costs_nobody_a_packet() {
        let mut shedding = Shedding::new(LONGEST);
        let mut share = Share::default();
        let waited = Duration::from_millis(80);
        assert!((0..100).all(|n| !shedding.sheds(at(1_000 * n), waited, &mut share)));
        assert!(!shedding.sheds(at(150_000), Duration::ZERO, &mut share));
        assert!((150..349).all(|n| !shedding.sheds(at(1_000 * n), waited, &mut share)));
        assert!(shedding.sheds(at(351_000), waited, &mut share), "200 ms are no hiccup");
    }

    #[test]
    fn the_control_plane_is_told_once_a_second() {
        let mut shedding = Shedding::new(LONGEST);
        let mut told = 0;
        for n in 0..3_500 {
            shedding.fall_behind(at(1_000 * n));
            told += u32::from(shedding.take_news(at(1_000 * n)));
        }
        assert_eq!(told, 4);
        assert!(!shedding.take_news(at(9_000_000)));
    }
}
