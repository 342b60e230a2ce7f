//! Where the legs of a relay are: rooms as dense arrays, and the tables that find a leg.
//!
//! A room's legs lie in one array, so that a fan-out walks memory in order and looks nothing up.
//! A leg that leaves is replaced by the last one of its room. Not here: what legs do.
//!
//! Between calls every leg is in exactly one room and named by both tables, every entry of the
//! tables names a leg, and no room is empty.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::ids::{LegId, RelaySet, RoomId, Ssrc};
use crate::media::leg::Leg;
use crate::media::shedding::Share;

/// The position of a leg.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place {
    /// Position in the relay's list of rooms.
    pub(super) room: usize,
    /// Position among the room's legs.
    pub(super) index: usize,
}

/// All rooms of one relay.
#[derive(Debug, Default)]
pub(super) struct Rooms {
    rooms: Vec<Room>,
    free: Vec<usize>,
    by_room: Table<RoomId, usize>,
    by_leg: Table<LegId, Place>,
    /// By the base of a leg's four SSRCs. Looked up with numbers that anybody may send, but the
    /// keys in it are our own random ones: nobody can choose them so that they collide.
    by_ssrc: Table<Ssrc, Place>,
}

#[derive(Debug)]
struct Room {
    id: RoomId,
    /// Bits a second.
    bitrate: u32,
    share: Share,
    /// The other relays that have legs of this room.
    others: RelaySet,
    legs: Vec<Leg>,
}

/// A table whose keys are chosen by the server, not by a peer, so that a trivial hasher does.
type Table<K, V> = HashMap<K, V, BuildHasherDefault<Mixer>>;

impl Rooms {
    /// How many legs there are.
    pub(super) fn leg_count(&self) -> usize {
        self.by_leg.len()
    }

    /// Where the leg is that owns this SSRC.
    #[inline]
    pub(super) fn find(&self, ssrc: Ssrc) -> Option<Place> {
        self.by_ssrc.get(&ssrc.session_base()).copied()
    }

    /// Where this leg is.
    pub(super) fn place(&self, leg: LegId) -> Option<Place> {
        self.by_leg.get(&leg).copied()
    }

    /// The leg at a place that a table just named.
    #[inline]
    pub(super) fn at(&mut self, place: Place) -> &mut Leg {
        &mut self.rooms[place.room].legs[place.index]
    }

    /// Which leg is at a place that a table just named.
    pub(super) fn id_at(&self, place: Place) -> LegId {
        self.rooms[place.room].legs[place.index].id
    }

    /// The leg, if there is one of this id.
    pub(super) fn leg(&self, leg: LegId) -> Option<&Leg> {
        let place = self.place(leg)?;
        Some(&self.rooms[place.room].legs[place.index])
    }

    /// The leg, mutably, if there is one of this id.
    pub(super) fn leg_mut(&mut self, leg: LegId) -> Option<&mut Leg> {
        let place = self.place(leg)?;
        Some(self.at(place))
    }

    /// All legs of the room at this position.
    #[inline]
    pub(super) fn legs(&mut self, room: usize) -> &mut [Leg] {
        &mut self.rooms[room].legs
    }

    /// Where a room is, if it has legs here.
    pub(super) fn room(&self, room: RoomId) -> Option<usize> {
        self.by_room.get(&room).copied()
    }

    /// The name of the room at this position, and the other relays that have legs of it.
    #[inline]
    pub(super) fn sharing(&self, room: usize) -> (RoomId, RelaySet) {
        let Room { id, others, .. } = &self.rooms[room];
        (*id, *others)
    }

    /// Changes which other relays have legs of a room; one without legs here is shared with none.
    pub(super) fn set_others(&mut self, room: RoomId, others: RelaySet) {
        if let Some(slot) = self.by_room.get(&room) {
            self.rooms[*slot].others = others;
        }
    }

    /// What the room at this position has lost while the relay was behind.
    #[inline]
    pub(super) fn share(&mut self, room: usize) -> &mut Share {
        &mut self.rooms[room].share
    }

    /// The rooms, each with how many packets it has lost while the relay was behind.
    pub(super) fn shed(&self) -> impl Iterator<Item = (RoomId, u64)> + '_ {
        let rooms = self.rooms.iter().filter(|room| !room.legs.is_empty());
        rooms.map(|room| (room.id, room.share.total))
    }

    /// The bitrate of the room at this position.
    #[inline]
    pub(super) fn bitrate(&self, room: usize) -> u32 {
        self.rooms[room].bitrate
    }

    /// Changes the bitrate of a room; one without legs has none.
    pub(super) fn set_bitrate(&mut self, room: RoomId, bitrate: u32) {
        if let Some(slot) = self.by_room.get(&room) {
            self.rooms[*slot].bitrate = bitrate;
        }
    }

    /// Every leg, room by room.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Leg> {
        self.rooms.iter().flat_map(|room| &room.legs)
    }

    /// Adds a leg to its room, which is made when it does not exist. `false` if a leg of this id
    /// or with these SSRCs is there already; nothing changes then.
    pub(super) fn insert(&mut self, room: RoomId, bitrate: u32, leg: Leg) -> bool {
        let base = leg.ssrc.session_base();
        if self.by_leg.contains_key(&leg.id) || self.by_ssrc.contains_key(&base) {
            return false;
        }
        let slot = self.slot(room);
        self.rooms[slot].bitrate = bitrate;
        let legs = &mut self.rooms[slot].legs;
        let place = Place { room: slot, index: legs.len() };
        self.by_leg.insert(leg.id, place);
        self.by_ssrc.insert(base, place);
        if legs.len() == legs.capacity() {
            legs.reserve_exact(legs.len() / 4 + 1);
        }
        legs.push(leg);
        true
    }

    /// Takes a leg out of its room, and the room away if it was the last.
    pub(super) fn remove(&mut self, leg: LegId) -> Option<Leg> {
        let place = self.by_leg.remove(&leg)?;
        let room = &mut self.rooms[place.room];
        let removed = room.legs.swap_remove(place.index);
        self.by_ssrc.remove(&removed.ssrc.session_base());
        if let Some(moved) = room.legs.get(place.index) {
            self.by_leg.insert(moved.id, place);
            self.by_ssrc.insert(moved.ssrc.session_base(), place);
        }
        if room.legs.is_empty() {
            // A room can have been large; its memory goes with it.
            room.legs = Vec::new();
            self.by_room.remove(&room.id);
            self.free.push(place.room);
        }
        Some(removed)
    }

    fn slot(&mut self, id: RoomId) -> usize {
        if let Some(slot) = self.by_room.get(&id) {
            return *slot;
        }
        let slot = if let Some(slot) = self.free.pop() {
            self.rooms[slot].id = id;
            self.rooms[slot].share = Share::default();
            self.rooms[slot].others = RelaySet::EMPTY;
            slot
        } else {
            let (share, others, legs) = (Share::default(), RelaySet::EMPTY, Vec::new());
            self.rooms.push(Room { id, bitrate: 0, share, others, legs });
            self.rooms.len() - 1
        };
        self.by_room.insert(id, slot);
        slot
    }
}

/// Spreads a few integers over 64 bits; neither keyed nor meant to resist anybody.
#[derive(Default)]
struct Mixer(u64);

impl Hasher for Mixer {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u32(u32::from(*byte)));
    }

    #[inline]
    fn write_u32(&mut self, number: u32) {
        // An odd constant without pattern, and a rotation because the table reads both ends.
        self.0 = (self.0.rotate_left(32) ^ u64::from(number)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0.rotate_left(26)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::config::ForeignUdp;
    use crate::media::binding::Voucher;
    use crate::media::command::Permissions;
    use crate::slab::Slab;

    fn leg(id: LegId, ssrc: u32) -> Leg {
        let voucher = Voucher { rule: ForeignUdp::Open, peer: None };
        Leg::new(id, Ssrc(ssrc), Permissions { speak: true, hear: true }, voucher)
    }

    proptest! {
        #[test]
        fn tables_and_rooms_agree_after_any_history(
            steps in prop::collection::vec((any::<bool>(), 0..4u8, 0..12usize), 0..100),
        ) {
            let mut room_ids: Slab<RoomId, ()> = Slab::default();
            let mut leg_ids: Slab<LegId, ()> = Slab::default();
            let rooms_known: Vec<_> = (0..4).map(|_| room_ids.insert(())).collect();
            let legs_known: Vec<_> = (0..12).map(|_| leg_ids.insert(())).collect();
            let mut model: BTreeMap<usize, RoomId> = BTreeMap::new();
            let mut rooms = Rooms::default();
            for (insert, room, n) in steps {
                let (room, ssrc) = (rooms_known[usize::from(room)], 4 * (n as u32 + 1));
                if insert {
                    let fresh = !model.contains_key(&n);
                    prop_assert_eq!(rooms.insert(room, 64_000, leg(legs_known[n], ssrc)), fresh);
                    model.entry(n).or_insert(room);
                } else {
                    let expected = model.remove(&n).is_some();
                    prop_assert_eq!(rooms.remove(legs_known[n]).is_some(), expected);
                }
                prop_assert_eq!(rooms.leg_count(), model.len());
                for (n, room) in &model {
                    let place = rooms.place(legs_known[*n]).expect("the leg is there");
                    prop_assert_eq!(rooms.find(Ssrc(4 * (*n as u32 + 1) + 3)), Some(place));
                    prop_assert_eq!(rooms.at(place).id, legs_known[*n]);
                    prop_assert_eq!(rooms.rooms[place.room].id, *room);
                }
                let dense: usize = rooms.rooms.iter().map(|room| room.legs.len()).sum();
                prop_assert_eq!(dense, model.len());
                let empty = rooms.rooms.iter().filter(|room| room.legs.is_empty()).count();
                prop_assert_eq!(rooms.free.len(), empty);
            }
        }
    }
}
