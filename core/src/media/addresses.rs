//! Which leg is bound to an address: for what names no SSRC that somebody has.
//!
//! It is asked about every datagram of strangers, who choose their addresses. So the hasher is a random
//! one, and before it stand counters by a cheap mixture of the address: most strangers fall on a zero.
//! Not here: which address a leg is bound to (`binding.rs`).
//!
//! Between calls every entry names an open leg, under the address that this is bound to, and the
//! counters say how many entries fall on each.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::net::SocketAddr;

use crate::ids::LegId;

/// A power of two, and a few times as many as a relay usually has legs.
const COUNTERS: usize = 4_096;

/// Legs by the (normalised) addresses that they are bound to.
#[derive(Debug)]
pub(super) struct Addresses {
    legs: HashMap<Key, LegId>,
    counters: Box<[u32]>,
}

/// An address that is hashed as one number, where the standard library takes it apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Key(SocketAddr);

impl Hash for Key {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self.0 {
            SocketAddr::V4(_) => state.write_u64(self.folded()),
            SocketAddr::V6(v6) => {
                state.write_u128(v6.ip().to_bits());
                state.write_u64(u64::from(v6.scope_id()) << 16 | u64::from(v6.port()));
            }
        }
    }
}

impl Key {
    /// The whole of an IPv4 address; IPv6 addresses may share one.
    const fn folded(self) -> u64 {
        let bits = match self.0 {
            SocketAddr::V4(v4) => v4.ip().to_bits() as u64,
            SocketAddr::V6(v6) => (v6.ip().to_bits() ^ (v6.ip().to_bits() >> 64)) as u64,
        };
        bits.rotate_left(16) ^ self.0.port() as u64
    }

    /// Which counter it falls on.
    #[inline]
    const fn counter(self) -> usize {
        (self.folded().wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as usize % COUNTERS
    }
}

impl Default for Addresses {
    fn default() -> Self {
        Self { legs: HashMap::new(), counters: vec![0; COUNTERS].into_boxed_slice() }
    }
}

impl Addresses {
    /// The leg that is bound to exactly this address.
    #[inline]
    pub(super) fn leg_at(&self, address: SocketAddr) -> Option<LegId> {
        let key = Key(address);
        if self.counters[key.counter()] == 0 {
            return None;
        }
        self.legs.get(&key).copied()
    }

    /// A leg is bound to an address, which another one may have had.
    pub(super) fn bind(&mut self, address: SocketAddr, leg: LegId) {
        let key = Key(address);
        if self.legs.insert(key, leg).is_none() {
            self.counters[key.counter()] += 1;
        }
    }

    /// A leg is bound to an address no more.
    pub(super) fn unbind(&mut self, address: SocketAddr, leg: LegId) {
        let key = Key(address);
        // Another leg may have been bound to the same address since.
        if self.leg_at(address) == Some(leg) && self.legs.remove(&key).is_some() {
            self.counters[key.counter()] -= 1;
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.legs.len()
    }

    /// Makes room for so many legs, so that a leg that moves allocates nothing.
    pub(super) fn reserve(&mut self, legs: usize) {
        // Twice as many as there can be, because a table that is less than half full sweeps out
        // removed entries in place; a fuller one would allocate.
        let room = (2 * (legs + 1)).saturating_sub(self.legs.len());
        self.legs.reserve(room);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::net::Ipv6Addr;

    use proptest::prelude::*;

    use super::*;
    use crate::slab::Slab;

    fn address(n: u16) -> SocketAddr {
        if n.is_multiple_of(2) {
            SocketAddr::from(([192, 0, 2, 1], n))
        } else {
            SocketAddr::from((Ipv6Addr::new(0x2001, 0xDB8, 0, 0, 0, 0, 0, n), 7))
        }
    }

    proptest! {
        #[test]
        fn an_address_leads_to_the_leg_that_was_bound_to_it_last(
            steps in prop::collection::vec((any::<bool>(), 0..12u16, 0..4usize), 0..100),
        ) {
            let mut ids: Slab<LegId, ()> = Slab::default();
            let legs: Vec<LegId> = (0..4).map(|_| ids.insert(())).collect();
            let mut model: BTreeMap<u16, LegId> = BTreeMap::new();
            let mut addresses = Addresses::default();
            for (bind, n, leg) in steps {
                let leg = legs[leg];
                if bind {
                    addresses.bind(address(n), leg);
                    model.insert(n, leg);
                } else {
                    addresses.unbind(address(n), leg);
                    model.retain(|at, bound| (*at, *bound) != (n, leg));
                }
                for n in 0..12 {
                    prop_assert_eq!(addresses.leg_at(address(n)), model.get(&n).copied());
                }
                prop_assert_eq!(addresses.len(), model.len());
                let counted: u32 = addresses.counters.iter().sum();
                prop_assert_eq!(counted as usize, model.len());
            }
        }
    }
}
