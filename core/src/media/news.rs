//! What a relay has to tell, and the legs that need a look from time to time.
//!
//! News are flags on the legs plus a list of the legs that have any: a leg whose address moves
//! ten times between two polls is told of once, with the latest address. Not here: what
//! makes news (`relay.rs`, `fanout.rs`).
//!
//! Between calls each list names a leg at most once, exactly when the leg's flag says so, and has
//! memory for all legs of the relay: noting something never allocates.

use std::collections::VecDeque;
use std::mem;
use std::time::Duration;

use crate::ids::LegId;
use crate::media::command::RelayEvent;
use crate::media::leg::Leg;
use crate::media::room::Rooms;
use crate::time::Timestamp;

/// A leg with an old key is renewed when it has been sent nothing for this long.
const SILENCE: Duration = Duration::from_secs(2);

/// How often the legs with old keys are looked at.
const RENEWAL_INTERVAL: Duration = Duration::from_secs(1);

/// Untold news of one leg.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct LegNews {
    bound: bool,
    heard: bool,
    exhausted: bool,
    /// Whether the list of legs with news names this one.
    listed: bool,
    /// Whether the list of legs with old keys names this one.
    renewing: bool,
}

/// Something to tell.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Note {
    Bound,
    Heard,
    Exhausted,
}

/// The lists of a relay.
#[derive(Debug, Default)]
pub(super) struct News {
    listed: VecDeque<LegId>,
    renewing: Vec<LegId>,
    renew_at: Timestamp,
}

impl News {
    /// Makes room for all of so many legs.
    pub(super) fn reserve(&mut self, legs: usize) {
        self.listed.reserve(legs.saturating_sub(self.listed.len()));
        self.renewing.reserve(legs.saturating_sub(self.renewing.len()));
    }

    /// Notes that something happened to a leg.
    pub(super) fn note(&mut self, leg: &mut Leg, note: Note) {
        match note {
            Note::Bound => leg.news.bound = true,
            Note::Heard => leg.news.heard = true,
            Note::Exhausted => leg.news.exhausted = true,
        }
        if !leg.news.listed {
            leg.news.listed = true;
            self.listed.push_back(leg.id);
        }
    }

    /// Notes that a leg's key is to be renewed in the next silence.
    pub(super) fn renew(&mut self, leg: &mut Leg) {
        if !leg.news.renewing {
            leg.news.renewing = true;
            self.renewing.push(leg.id);
        }
    }

    /// Forgets a leg that is gone.
    pub(super) fn forget(&mut self, leg: &Leg) {
        if leg.news.listed {
            self.listed.retain(|listed| *listed != leg.id);
        }
        if leg.news.renewing {
            self.renewing.retain(|listed| *listed != leg.id);
        }
    }

    /// Tells of the legs with an old key that have been silent, once a second at most.
    pub(super) fn look_for_silence(&mut self, now: Timestamp, soft: u64, rooms: &mut Rooms) {
        if self.renewing.is_empty() || now < self.renew_at {
            return;
        }
        self.renew_at = now + RENEWAL_INTERVAL;
        let mut position = 0;
        while let Some(id) = self.renewing.get(position).copied() {
            let Some(leg) = rooms.leg_mut(id) else {
                debug_assert!(false, "a leg that goes is forgotten");
                self.renewing.swap_remove(position);
                continue;
            };
            let old = leg.keyed.as_ref().filter(|keyed| keyed.sealed() >= soft);
            let silent = old.map(|keyed| now.since(keyed.sealed_at) >= SILENCE);
            if silent == Some(false) {
                position += 1;
                continue;
            }
            // Silent, or under a fresh key by now.
            leg.news.renewing = false;
            self.renewing.swap_remove(position);
            if silent == Some(true) {
                self.note(leg, Note::Exhausted);
            }
        }
    }

    /// The next thing to tell.
    pub(super) fn poll(&mut self, rooms: &mut Rooms) -> Option<RelayEvent> {
        while let Some(id) = self.listed.front().copied() {
            if let Some(leg) = rooms.leg_mut(id) {
                let bound = mem::take(&mut leg.news.bound);
                if let Some(address) = leg.binding.address().filter(|_| bound) {
                    let foreign = leg.binding.is_foreign();
                    return Some(RelayEvent::Bound { leg: id, address, foreign });
                }
                if mem::take(&mut leg.news.heard) {
                    return Some(RelayEvent::Heard { leg: id });
                }
                if mem::take(&mut leg.news.exhausted) {
                    return Some(RelayEvent::Exhausted { leg: id });
                }
                leg.news.listed = false;
            }
            self.listed.pop_front();
        }
        None
    }
}
