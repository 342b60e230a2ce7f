//! Deadlines: at most one for each key, the earliest always at hand.
//!
//! Exact rather than lazy: re-arming or clearing a key leaves nothing behind, so the number of
//! entries is the number of armed keys and `next` costs nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::time::Timestamp;

/// Armed deadlines by key.
#[derive(Debug)]
pub(crate) struct Timers<K> {
    by_time: BTreeSet<(Timestamp, K)>,
    by_key: BTreeMap<K, Timestamp>,
}

impl<K: Ord + Copy> Default for Timers<K> {
    fn default() -> Self {
        Self { by_time: BTreeSet::new(), by_key: BTreeMap::new() }
    }
}

impl<K: Ord + Copy> Timers<K> {
    /// Arms `key` for `at`, in place of an earlier deadline of the same key.
    pub(crate) fn set(&mut self, key: K, at: Timestamp) {
        if let Some(old) = self.by_key.insert(key, at) {
            self.by_time.remove(&(old, key));
        }
        self.by_time.insert((at, key));
    }

    /// Disarms `key`.
    pub(crate) fn clear(&mut self, key: K) {
        if let Some(at) = self.by_key.remove(&key) {
            self.by_time.remove(&(at, key));
        }
    }

    /// Whether `key` is armed, and for when.
    pub(crate) fn armed(&self, key: K) -> Option<Timestamp> {
        self.by_key.get(&key).copied()
    }

    /// The earliest deadline.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Moves the deadlines of these keys.
    pub(crate) fn postpone(&mut self, by: Duration, which: impl Fn(&K) -> bool) {
        let moved: Vec<_> = self.by_key.keys().copied().filter(which).collect();
        for key in moved {
            if let Some(at) = self.armed(key) {
                self.set(key, at + by);
            }
        }
    }

    /// Takes the earliest key whose deadline is not after `now`.
    pub(crate) fn pop_due(&mut self, now: Timestamp) -> Option<K> {
        let &(at, key) = self.by_time.first()?;
        if at > now {
            return None;
        }
        self.by_time.pop_first();
        self.by_key.remove(&key);
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_fall_due_in_order_and_rearming_replaces() {
        let at = Timestamp::from_millis;
        let mut timers = Timers::default();
        timers.set('a', at(10));
        timers.set('b', at(20));
        timers.set('a', at(30));
        timers.set('c', at(5));
        timers.clear('c');
        assert_eq!(timers.next(), Some(at(20)));
        assert_eq!(timers.armed('a'), Some(at(30)));
        assert_eq!(timers.pop_due(at(19)), None);
        timers.postpone(Duration::from_millis(5), |key| *key == 'a');
        assert_eq!(timers.armed('a'), Some(at(35)));
        assert_eq!(timers.pop_due(at(40)), Some('b'));
        assert_eq!(timers.pop_due(at(40)), Some('a'));
        assert_eq!(timers.pop_due(at(40)), None);
        assert_eq!(timers.next(), None);
    }
}
