//! Numbered messages kept until the peer has them, for both planes' RESUME.
//!
//! Positions are `u64`, start at 1 and never repeat. How a position is written on the wire is the
//! plane's business: LVSP writes it as it is, the voice gateway in 16 bits ([`WireSeq`]).
//! Whatever was evicted for want of room makes an older RESUME impossible, never incomplete.

use std::collections::VecDeque;
use std::time::Duration;

use crate::time::Timestamp;

/// Bounds of one log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
    pub(crate) age: Duration,
}

#[derive(Debug)]
struct Entry {
    at: Timestamp,
    text: Box<str>,
}

impl Entry {
    const fn held(&self) -> usize {
        self.text.len() + PLACE_BYTES
    }
}

/// What a kept message counts beside its text: its place, and what an allocator adds.
const PLACE_BYTES: usize = 64;
/// Places that are not given back.
const KEPT_PLACES: usize = 8;

/// How many messages left a log unacknowledged, by the bound that they were over.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Evictions {
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
    pub(crate) age: u64,
}

/// Messages in the order in which they were numbered.
#[derive(Debug)]
pub(crate) struct ReplayLog {
    /// The newest messages without a gap, so that their positions follow from `sent`.
    entries: VecDeque<Entry>,
    bytes: usize,
    /// The newest position given out; 0 before the first.
    sent: u64,
    /// The newest position that the peer said it has.
    acknowledged: u64,
    /// The newest position that left the log unacknowledged.
    evicted: u64,
    evictions: Evictions,
    bounds: Bounds,
}

impl ReplayLog {
    pub(crate) const fn new(bounds: Bounds) -> Self {
        Self {
            entries: VecDeque::new(),
            bytes: 0,
            sent: 0,
            acknowledged: 0,
            evicted: 0,
            evictions: Evictions { messages: 0, bytes: 0, age: 0 },
            bounds,
        }
    }

    /// What left unacknowledged since this was last asked.
    pub(crate) const fn take_evictions(&mut self) -> Evictions {
        std::mem::replace(&mut self.evictions, Evictions { messages: 0, bytes: 0, age: 0 })
    }

    /// The position before that of the oldest message kept.
    fn before_oldest(&self) -> u64 {
        self.sent - self.entries.len() as u64
    }

    /// How many of the messages kept are at `position` or before.
    fn up_to(&self, position: u64) -> usize {
        let count = position.saturating_sub(self.before_oldest());
        usize::try_from(count).unwrap_or(usize::MAX).min(self.entries.len())
    }

    fn forget_oldest(&mut self) -> Option<Entry> {
        let entry = self.entries.pop_front()?;
        self.bytes -= entry.held();
        if self.entries.capacity() > 2 * self.entries.len() + KEPT_PLACES {
            self.entries.shrink_to(self.entries.len() + self.entries.len() / 4);
        }
        Some(entry)
    }

    /// The position of the next message. Call [`Self::keep`] or [`Self::skip`] with its text next.
    pub(crate) const fn next_position(&self) -> u64 {
        self.sent + 1
    }

    /// The newest position given out.
    pub(crate) const fn sent(&self) -> u64 {
        self.sent
    }

    /// How many bytes are kept, with the places of the messages.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Numbers `text` and keeps it for replay.
    pub(crate) fn keep(&mut self, now: Timestamp, text: &str) {
        self.sent += 1;
        let entry = Entry { at: now, text: text.into() };
        self.bytes += entry.held();
        if self.entries.len() == self.entries.capacity() {
            self.entries.reserve_exact(self.entries.len() / 2 + 4);
        }
        self.entries.push_back(entry);
        self.trim(now);
    }

    /// Numbers a message that is not kept: nothing before it can be replayed any more.
    pub(crate) fn skip(&mut self) {
        self.sent += 1;
        self.evict_all();
    }

    /// Forgets everything that is kept; only what comes now can be resumed.
    pub(crate) fn evict_all(&mut self) {
        self.entries = VecDeque::new();
        self.bytes = 0;
        self.evicted = self.sent;
    }

    /// The peer has everything up to `position`. Larger than what was sent is ignored.
    pub(crate) fn acknowledge(&mut self, position: u64) {
        if position > self.sent {
            return;
        }
        self.acknowledged = self.acknowledged.max(position);
        for _ in 0..self.up_to(position) {
            self.forget_oldest();
        }
    }

    /// The peer counts as having everything that was kept more than so long ago.
    pub(crate) fn acknowledge_older(&mut self, now: Timestamp, age: Duration) {
        let old = self.entries.iter().take_while(|entry| now.since(entry.at) > age).count();
        self.acknowledge(self.before_oldest() + old as u64);
    }

    /// Whether everything behind `after` is still here. Not when `after` was never sent.
    pub(crate) fn replays_from(&mut self, now: Timestamp, after: u64) -> bool {
        self.trim(now);
        after <= self.sent && after >= self.evicted && after >= self.acknowledged
    }

    /// What a peer that has everything up to `after` still needs, oldest first. `None` when it
    /// is no longer all here, or `after` was never sent.
    pub(crate) fn replay_after(
        &mut self,
        now: Timestamp,
        after: u64,
    ) -> Option<impl Iterator<Item = &str>> {
        let all = self.replays_from(now, after);
        all.then(|| self.entries.iter().skip(self.up_to(after)).map(|entry| &*entry.text))
    }

    /// The first message behind `after` that is kept, with its position.
    pub(crate) fn behind(&self, after: u64) -> Option<(u64, &str)> {
        let at = self.up_to(after);
        let position = self.before_oldest() + at as u64 + 1;
        self.entries.get(at).map(|entry| (position, &*entry.text))
    }

    /// The largest `after` that replays from the oldest message kept, if nothing that the peer
    /// did not acknowledge was evicted.
    pub(crate) fn oldest(&self) -> Option<u64> {
        (self.evicted <= self.acknowledged).then_some(self.acknowledged)
    }

    fn trim(&mut self, now: Timestamp) {
        while let Some(front) = self.entries.front() {
            if self.entries.len() > self.bounds.messages {
                self.evictions.messages += 1;
            } else if self.bytes > self.bounds.bytes {
                self.evictions.bytes += 1;
            } else if now.since(front.at) > self.bounds.age {
                self.evictions.age += 1;
            } else {
                break;
            }
            self.evicted = self.before_oldest() + 1;
            self.forget_oldest();
        }
    }
}

/// A position as the voice gateway writes it: 1 to 65,535, then 1 again. 0 never occurs, because
/// discord.js, disgo and JDA take it for "none".
pub(crate) struct WireSeq;

impl WireSeq {
    const MODULUS: u64 = 65_535;

    /// The number on the wire.
    pub(crate) fn encode(position: u64) -> u16 {
        u16::try_from((position - 1) % Self::MODULUS + 1).unwrap_or(u16::MAX)
    }

    /// The newest position not above `sent` that is written as `wire`.
    pub(crate) fn decode(wire: u16, sent: u64) -> Option<u64> {
        let wire = u64::from(wire);
        if wire == 0 || sent == 0 {
            return None;
        }
        let newest = (sent - 1) / Self::MODULUS * Self::MODULUS + wire;
        if newest <= sent {
            Some(newest)
        } else {
            newest.checked_sub(Self::MODULUS).filter(|p| *p > 0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::ZERO;

    fn log(messages: usize) -> ReplayLog {
        let bounds = Bounds { messages, bytes: 1_000, age: Duration::from_secs(10) };
        ReplayLog::new(bounds)
    }

    fn replayed(log: &mut ReplayLog, now: Timestamp, after: u64) -> Option<Vec<String>> {
        log.replay_after(now, after).map(|texts| texts.map(str::to_owned).collect())
    }

    #[test]
    fn replay_gives_exactly_what_came_after() {
        let mut log = log(10);
        for text in ["a", "b", "c"] {
            log.keep(NOW, text);
        }
        assert_eq!(replayed(&mut log, NOW, 1).unwrap(), ["b", "c"]);
        assert_eq!(replayed(&mut log, NOW, 3).unwrap(), [""; 0]);
        assert_eq!(replayed(&mut log, NOW, 4), None, "4 was never sent");
        log.acknowledge(2);
        assert_eq!(replayed(&mut log, NOW, 2).unwrap(), ["c"]);
        assert_eq!(replayed(&mut log, NOW, 1), None, "2 was acknowledged and is gone");
        assert_eq!(log.oldest(), Some(2));
    }

    #[test]
    fn what_was_evicted_cannot_be_resumed() {
        let mut log = log(2);
        for text in ["a", "b", "c"] {
            log.keep(NOW, text);
        }
        assert_eq!(replayed(&mut log, NOW, 0), None);
        assert_eq!(log.oldest(), None);
        assert_eq!(replayed(&mut log, NOW, 1).unwrap(), ["b", "c"]);
        assert_eq!(replayed(&mut log, NOW + Duration::from_secs(11), 1), None, "too old");
    }

    #[test]
    fn a_message_that_is_not_kept_ends_what_can_be_replayed() {
        let mut log = log(10);
        log.keep(NOW, "a");
        log.skip();
        log.keep(NOW, "c");
        assert_eq!(replayed(&mut log, NOW, 1), None);
        assert_eq!(replayed(&mut log, NOW, 2).unwrap(), ["c"]);
    }

    #[test]
    fn wire_numbers_skip_zero_and_decode_to_the_newest_match() {
        assert_eq!(WireSeq::encode(65_535), 65_535);
        assert_eq!(WireSeq::encode(65_536), 1);
        for sent in [1u64, 2, 65_534, 65_535, 65_536, 65_537, 200_000] {
            for back in 0..sent.min(3_000) {
                let position = sent - back;
                assert_eq!(WireSeq::decode(WireSeq::encode(position), sent), Some(position));
            }
        }
        assert_eq!(WireSeq::decode(0, 100), None);
        assert_eq!(WireSeq::decode(7, 3), None);
    }
}
