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
    position: u64,
    at: Timestamp,
    text: String,
}

/// Messages in the order in which they were numbered.
#[derive(Debug)]
pub(crate) struct ReplayLog {
    entries: VecDeque<Entry>,
    bytes: usize,
    /// The newest position given out; 0 before the first.
    sent: u64,
    /// The newest position that the peer said it has.
    acknowledged: u64,
    /// The newest position that left the log unacknowledged.
    evicted: u64,
    bounds: Bounds,
}

impl ReplayLog {
    pub(crate) const fn new(bounds: Bounds) -> Self {
        Self { entries: VecDeque::new(), bytes: 0, sent: 0, acknowledged: 0, evicted: 0, bounds }
    }

    /// The position of the next message. Call [`Self::keep`] or [`Self::skip`] with its text next.
    pub(crate) const fn next_position(&self) -> u64 {
        self.sent + 1
    }

    /// The newest position given out.
    pub(crate) const fn sent(&self) -> u64 {
        self.sent
    }

    /// How many bytes are kept.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Numbers `text` and keeps it for replay.
    pub(crate) fn keep(&mut self, now: Timestamp, text: String) {
        self.sent += 1;
        self.bytes += text.len();
        self.entries.push_back(Entry { position: self.sent, at: now, text });
        self.trim(now);
    }

    /// Numbers a message that is not kept: nothing before it can be replayed any more.
    pub(crate) fn skip(&mut self) {
        self.sent += 1;
        self.evict_all();
    }

    /// Forgets everything that is kept; only what comes now can be resumed.
    pub(crate) fn evict_all(&mut self) {
        self.entries.clear();
        self.bytes = 0;
        self.evicted = self.sent;
    }

    /// The peer has everything up to `position`. Larger than what was sent is ignored.
    pub(crate) fn acknowledge(&mut self, position: u64) {
        if position > self.sent {
            return;
        }
        self.acknowledged = self.acknowledged.max(position);
        while self.entries.front().is_some_and(|entry| entry.position <= position) {
            if let Some(entry) = self.entries.pop_front() {
                self.bytes -= entry.text.len();
            }
        }
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
        all.then(|| {
            self.entries
                .iter()
                .filter(move |entry| entry.position > after)
                .map(|entry| entry.text.as_str())
        })
    }

    /// The first message behind `after` that is kept, with its position.
    pub(crate) fn behind(&self, after: u64) -> Option<(u64, &str)> {
        let at = self.entries.partition_point(|entry| entry.position <= after);
        self.entries.get(at).map(|entry| (entry.position, entry.text.as_str()))
    }

    /// The largest `after` that replays from the oldest message kept, if nothing that the peer
    /// did not acknowledge was evicted.
    pub(crate) fn oldest(&self) -> Option<u64> {
        (self.evicted <= self.acknowledged).then_some(self.acknowledged)
    }

    fn trim(&mut self, now: Timestamp) {
        while let Some(front) = self.entries.front() {
            let over = self.entries.len() > self.bounds.messages
                || self.bytes > self.bounds.bytes
                || now.since(front.at) > self.bounds.age;
            if !over {
                break;
            }
            self.evicted = front.position;
            self.bytes -= front.text.len();
            self.entries.pop_front();
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
            log.keep(NOW, text.to_owned());
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
            log.keep(NOW, text.to_owned());
        }
        assert_eq!(replayed(&mut log, NOW, 0), None);
        assert_eq!(log.oldest(), None);
        assert_eq!(replayed(&mut log, NOW, 1).unwrap(), ["b", "c"]);
        assert_eq!(replayed(&mut log, NOW + Duration::from_secs(11), 1), None, "too old");
    }

    #[test]
    fn a_message_that_is_not_kept_ends_what_can_be_replayed() {
        let mut log = log(10);
        log.keep(NOW, "a".to_owned());
        log.skip();
        log.keep(NOW, "c".to_owned());
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
