//! Which relays a room's legs are on, and what those are told of each other.
//!
//! A room has a home. Its legs are there, up to `limits.legs_per_relay`; further ones go to the relay
//! with the fewest of them, so that a channel can be larger than a core. Not here: what a relay does
//! for the others (`media`).
//!
//! Between calls every relay with legs of a room was told which others have some.

use super::Server;
use crate::ids::{RelayId, RelaySet, RoomId};
use crate::media::command::RelayCommand;

/// How many legs a room has on each relay.
#[derive(Debug, Default)]
pub(super) struct Legs {
    /// A relay without legs is not in it.
    counts: Vec<(RelayId, usize)>,
}

impl Legs {
    /// The relays that have any.
    pub(super) fn relays(&self) -> RelaySet {
        self.counts.iter().map(|(relay, _)| *relay).collect()
    }

    fn on(&self, relay: RelayId) -> usize {
        self.counts.iter().find(|(on, _)| *on == relay).map_or(0, |(_, count)| *count)
    }

    /// Where the next leg goes, of so many relays.
    fn choose(&self, home: RelayId, relays: u16, limit: usize) -> RelayId {
        if self.on(home) < limit {
            return home;
        }
        // From home on, so that not all large rooms go to the same relays first.
        let from_home = (home.0..relays).chain(0..home.0).map(RelayId);
        from_home.min_by_key(|relay| self.on(*relay)).unwrap_or(home)
    }

    /// Counts a new leg; whether it is the first on this relay.
    fn add(&mut self, relay: RelayId) -> bool {
        if let Some((_, count)) = self.counts.iter_mut().find(|(on, _)| *on == relay) {
            *count += 1;
            return false;
        }
        self.counts.push((relay, 1));
        true
    }

    /// Counts a leg that is gone; whether it was the last on this relay.
    fn remove(&mut self, relay: RelayId) -> bool {
        let Some(at) = self.counts.iter().position(|(on, _)| *on == relay) else { return false };
        self.counts[at].1 -= 1;
        let last = self.counts[at].1 == 0;
        if last {
            self.counts.remove(at);
        }
        last
    }
}

impl Server {
    /// The relay for the next leg of a room.
    pub(super) fn relay_for(&mut self, id: RoomId) -> Option<RelayId> {
        let relays = u16::try_from(self.config.relays.len()).unwrap_or(u16::MAX);
        let limit = self.config.limits.legs_per_relay;
        let room = self.membership.room_mut(id)?;
        let home = room.relay;
        let relay = room.crowd().legs.choose(home, relays, limit);
        self.stats.limits.legs_per_relay += u64::from(relay != home);
        Some(relay)
    }

    /// A leg was opened: relays that share the room for the first time hear of each other.
    pub(super) fn leg_opened(&mut self, id: RoomId, relay: RelayId) {
        let Some(room) = self.membership.room_mut(id) else { return };
        let legs = &mut room.crowd().legs;
        if legs.add(relay) && legs.counts.len() > 1 {
            self.tell_relays(id);
        }
    }

    /// A leg was closed: if it was the last on its relay, the others no longer hand anything there.
    pub(super) fn leg_closed(&mut self, id: RoomId, relay: RelayId) {
        let Some(room) = self.membership.room_mut(id) else { return };
        if room.crowd().legs.remove(relay) {
            self.tell_relays(id);
        }
    }

    /// Tells every relay with legs of a room which others have some. One that has always had the room
    /// to itself takes that for granted.
    fn tell_relays(&mut self, id: RoomId) {
        let Some(room) = self.membership.room_mut(id) else { return };
        let relays = room.crowd().legs.relays();
        for relay in relays.iter() {
            let others = relays.without(relay);
            self.relay(relay, RelayCommand::Share { room: id, others });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn legs_stay_at_home_up_to_the_limit_and_are_spread_evenly_behind_it() {
        let mut legs = Legs::default();
        let home = RelayId(2);
        let mut chosen = Vec::new();
        for _ in 0..13 {
            let relay = legs.choose(home, 4, 3);
            legs.add(relay);
            chosen.push(relay.0);
        }
        assert_eq!(chosen, [2, 2, 2, 3, 0, 1, 3, 0, 1, 3, 0, 1, 2]);
        assert!(!legs.remove(home));
        assert_eq!(legs.choose(home, 4, 3), home, "they are as many everywhere");
        legs.remove(home);
        legs.add(RelayId(0));
        assert_eq!(legs.choose(home, 4, 3), home, "home first, whatever is elsewhere");
    }

    #[test]
    fn a_relay_without_legs_is_forgotten() {
        let mut legs = Legs::default();
        assert!(legs.add(RelayId(0)));
        assert!(legs.add(RelayId(1)));
        assert!(!legs.add(RelayId(1)));
        assert!(!legs.remove(RelayId(1)));
        assert!(legs.remove(RelayId(1)));
        assert!(!legs.remove(RelayId(1)), "it has none to lose");
        assert_eq!(legs.relays(), RelaySet::EMPTY.with(RelayId(0)));
    }

    #[test]
    fn one_relay_has_them_all() {
        let mut legs = Legs::default();
        for _ in 0..5 {
            assert_eq!(legs.choose(RelayId(0), 1, 2), RelayId(0));
            legs.add(RelayId(0));
        }
    }
}
