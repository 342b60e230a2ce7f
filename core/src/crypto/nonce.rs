//! The server's nonces, kept apart from those of the client.
//!
//! One key serves both directions, and the four bytes behind a packet are the whole nonce, so a
//! suffix that both sides use leaks plaintext and, for AES-GCM, the authentication key. Clients
//! count from 0, from 1 or from a random number, some big-endian and some little-endian (Koe,
//! disgo, discordgo and NetCord). Two bits keep the ranges apart in both readings: bit 7 of the
//! first byte is the top bit of a big-endian counter, bit 7 of the last that of a little-endian one.
//!
//! ```text
//! byte 0 = top·128 + n[29:23]   byte 1 = n[22:15]   byte 2 = n[14:7]   byte 3 = tail·128 + n[6:0]
//! ```
//!
//! Both bits begin as 1, and `n` near the middle of its range, so that a big-endian client that
//! counts over its half's edge does not walk into what was used. If the first packet of a client has
//! either bit as we have it, both become the opposite of the client's; `n` goes on. An exact guard
//! watches the rest.
//!
//! A client that draws its nonces (interactions.py) comes near to ours by chance: `n` goes on far from
//! there, as long as what was used can be remembered. Not so for one that counts: a little-endian
//! counter that leaves its half strews what it uses over the whole range.

/// `n` is counted modulo this.
const RANGE: u32 = 1 << 30;
/// The first `n`. Not 2^29 itself: a little-endian client that counts from 2^31 writes that suffix
/// (C0 00 00 80) in its 193rd packet; this one (C0 00 80 80) after eight million.
const START: u32 = (1 << 29) + (1 << 14);
/// A client suffix this little ahead of ours is one that we would meet soon.
const MARGIN: u32 = 1 << 16;
/// How far behind such a suffix we go on.
const LEAP: u32 = RANGE / 8;
/// Runs that are remembered behind the current one.
const RUNS: usize = 4;
/// A step of a counter, be it lost packets or such that overtook each other, is no longer than this.
const STEP: u32 = 1 << 12;
/// So many longer steps in a row, and the client draws.
const DRAWN: u8 = 16;

/// What the client's suffix says about the key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Observed {
    /// The client uses what the server did not use, and will not.
    Fine,
    /// The client uses what the server used, or will use sooner or later: the key must not be used
    /// further.
    Collision,
}

/// Two bits, as they stand in a suffix.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Pattern {
    top: bool,
    tail: bool,
}

/// A run of numbers that were used under one pattern, modulo [`RANGE`].
#[derive(Clone, Copy, Debug)]
struct Used {
    pattern: Pattern,
    first: u32,
    count: u32,
}

impl Used {
    /// The first number that was not used.
    const fn end(&self) -> u32 {
        self.first.wrapping_add(self.count) % RANGE
    }

    /// Whether `n` is in the run or at most `ahead` behind its end.
    const fn meets(&self, pattern: Pattern, n: u32, ahead: u32) -> bool {
        let same = self.pattern.top == pattern.top && self.pattern.tail == pattern.tail;
        let distance = n.wrapping_sub(self.first) % RANGE;
        same && distance < self.count.saturating_add(ahead)
    }
}

/// The server's side of one key: a counter that never repeats and never meets the client's.
///
/// Not `Clone`: a copy would give out the same suffixes again.
#[derive(Debug)]
pub struct ServerNonce {
    /// What was used before the pattern was switched, or `n` leapt.
    before: [Option<Used>; RUNS],
    current: Used,
    /// The client's last suffix.
    last: Option<[u8; 4]>,
    /// How many steps of the client in a row were none of a counter.
    drawn: u8,
    sent: u64,
    packets_max: u64,
}

impl ServerNonce {
    /// The nonces of a new key, which may seal `packets_max` packets (at most 2^30 - 2^16).
    #[must_use]
    pub fn new(packets_max: u64) -> Self {
        Self::start_at(START, packets_max)
    }

    /// As [`Self::new`], but counting from `n`: for tests of the edges.
    #[must_use]
    pub fn start_at(n: u32, packets_max: u64) -> Self {
        let pattern = Pattern { top: true, tail: true };
        let packets_max = packets_max.min(u64::from(RANGE - MARGIN));
        let current = Used { pattern, first: n % RANGE, count: 0 };
        Self { before: [None; RUNS], current, last: None, drawn: 0, sent: 0, packets_max }
    }

    /// The next suffix; `None` when the key is used up.
    #[expect(clippy::should_implement_trait, reason = "it is a counter, not an iterator")]
    pub fn next(&mut self) -> Option<[u8; 4]> {
        if self.sent >= self.packets_max {
            return None;
        }
        let n = self.current.end();
        self.current.count += 1;
        self.sent += 1;
        Some(encode(self.current.pattern, n))
    }

    /// How many packets were sealed under this key.
    #[must_use]
    pub const fn sent(&self) -> u64 {
        self.sent
    }

    /// Takes note of the suffix of a client packet that authenticated.
    pub fn observe(&mut self, suffix: [u8; 4]) -> Observed {
        let (pattern, n) = decode(suffix);
        if let Some(last) = self.last.replace(suffix) {
            let counts = is_step(last, suffix);
            self.drawn = if counts { 0 } else { self.drawn.saturating_add(1) };
        } else {
            let ours = self.current.pattern;
            if ours.top == pattern.top || ours.tail == pattern.tail {
                let opposite = Pattern { top: !pattern.top, tail: !pattern.tail };
                let next = Used { pattern: opposite, first: self.current.end(), count: 0 };
                self.go_on(next);
            }
        }
        let is_next = self.current.meets(pattern, n, MARGIN);
        let collides = self.used(pattern, n, 0) || (is_next && !self.leap(n));
        if collides { Observed::Collision } else { Observed::Fine }
    }

    /// Whether `n` was used, or follows what was used within `ahead`.
    fn used(&self, pattern: Pattern, n: u32, ahead: u32) -> bool {
        let mut runs = self.before.iter().flatten().chain([&self.current]);
        runs.any(|run| run.meets(pattern, n, ahead))
    }

    /// Goes on far behind `n`, which a client used that draws. `false`, and nothing changes, for one
    /// that counts, where all is used already, or where nothing more can be remembered.
    fn leap(&mut self, n: u32) -> bool {
        if self.drawn < DRAWN {
            return false;
        }
        let pattern = self.current.pattern;
        let next = Used { pattern, first: n.wrapping_add(LEAP) % RANGE, count: 0 };
        !self.used(pattern, next.first, MARGIN) && self.go_on(next)
    }

    /// Makes `next` the current run and remembers what was used of the one before. `false`, and
    /// nothing changes, if there is no room for it.
    fn go_on(&mut self, next: Used) -> bool {
        if self.current.count > 0 {
            let Some(room) = self.before.iter_mut().find(|run| run.is_none()) else { return false };
            *room = Some(self.current);
        }
        self.current = next;
        // Up to the first of the earlier runs, should it ever come there.
        let same = |run: &&Used| run.pattern == next.pattern;
        let runs = self.before.iter().flatten().filter(same);
        let free = runs.map(|run| run.first.wrapping_sub(next.first) % RANGE).min();
        let free = free.map_or(u64::MAX, u64::from);
        self.packets_max = self.packets_max.min(self.sent.saturating_add(free));
        true
    }
}

/// Whether a counter may have gone from one to the other, in either order of its bytes.
const fn is_step(from: [u8; 4], to: [u8; 4]) -> bool {
    let big = u32::from_be_bytes(to).wrapping_sub(u32::from_be_bytes(from));
    let little = u32::from_le_bytes(to).wrapping_sub(u32::from_le_bytes(from));
    big.wrapping_add(STEP) <= 2 * STEP || little.wrapping_add(STEP) <= 2 * STEP
}

/// The upper 23 bits of `n` and its lower 7, with a bit of the pattern before each.
const fn encode(pattern: Pattern, n: u32) -> [u8; 4] {
    let spread = (n >> 7 << 8) | (n & 0x7F);
    let bits = ((pattern.top as u32) << 31) | ((pattern.tail as u32) << 7);
    (spread | bits).to_be_bytes()
}

const fn decode(suffix: [u8; 4]) -> (Pattern, u32) {
    let word = u32::from_be_bytes(suffix);
    let pattern = Pattern { top: word >> 31 == 1, tail: word >> 7 & 1 == 1 };
    (pattern, (word & 0x7FFF_FF00) >> 8 << 7 | (word & 0x7F))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::entropy::SeededEntropy;

    const MANY: u64 = 1 << 30;

    #[test]
    fn suffixes_decode_to_what_they_were_made_of() {
        for n in [0, 1, 127, 128, 0x3FFF_FFFF, RANGE / 2] {
            for top in [false, true] {
                for tail in [false, true] {
                    let pattern = Pattern { top, tail };
                    assert_eq!(decode(encode(pattern, n)), (pattern, n));
                }
            }
        }
    }

    /// How a client writes its counter.
    #[derive(Clone, Copy, Debug)]
    enum Order {
        /// songbird, discord.js, discord.py, py-cord, JDA, dysnomia, nostrum.
        Big,
        /// Koe, disgo, discordgo, NetCord.
        Little,
    }

    /// Which suffixes were used, and by whom. A hash table by hand: `HashSet` is too slow here
    /// without optimisation.
    struct Used32(Vec<Option<([u8; 4], Side)>>);

    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    enum Side {
        Server,
        Client,
    }

    impl Used32 {
        fn new(suffixes: u32) -> Self {
            Self(vec![None; (2 * suffixes as usize).next_power_of_two()])
        }

        /// Who used the suffix before.
        fn mark(&mut self, suffix: [u8; 4], by: Side) -> Option<Side> {
            let hash = u32::from_be_bytes(suffix).wrapping_mul(0x9E37_79B1);
            let mask = self.0.len() - 1;
            let mut at = (hash ^ (hash >> 15)) as usize & mask;
            loop {
                match self.0[at] {
                    None => {
                        self.0[at] = Some((suffix, by));
                        return None;
                    }
                    Some((known, side)) if known == suffix => return Some(side),
                    Some(_) => at = (at + 1) & mask,
                }
            }
        }
    }

    /// Lets both sides send `packets` packets in turn and says whether the guard ended it. Panics
    /// when a suffix is used twice and the guard did not speak before another packet was sealed.
    fn converse(start: u32, order: Order, server_first: u32, packets: u32) -> Observed {
        let mut server = ServerNonce::new(MANY);
        let mut used = Used32::new(2 * packets + server_first);
        for _ in 0..server_first {
            assert_eq!(used.mark(server.next().unwrap(), Side::Server), None);
        }
        for k in 0..packets {
            let counter = start.wrapping_add(k);
            let suffix = match order {
                Order::Big => counter.to_be_bytes(),
                Order::Little => counter.to_le_bytes(),
            };
            let before = used.mark(suffix, Side::Client);
            if server.observe(suffix) == Observed::Collision {
                return Observed::Collision;
            }
            assert_eq!(before, None, "{suffix:?} of {start} {order:?} was missed by the guard");
            let before = used.mark(server.next().unwrap(), Side::Server);
            assert_eq!(before, None, "the server used what {start} {order:?} had used");
        }
        Observed::Fine
    }

    const ORDERS: [Order; 2] = [Order::Big, Order::Little];
    /// Both sides speak for three quarters of an hour.
    const LONG: u32 = 1 << 17;

    // Clauses: V4.13
    #[test]
    fn no_suffix_is_used_twice_whoever_counts_how() {
        let staying = [0, 1, 128, 418, 1 << 31, (1 << 31) + 9, (1 << 31) + 40_000];
        let leaving_their_half =
            [(1 << 31) - 1, (1 << 31) - 40_000, u32::MAX, u32::MAX - 40_000, u32::MAX - 65_534];
        for order in ORDERS {
            for server_first in [0, 5_000] {
                for start in staying {
                    let end = converse(start, order, server_first, LONG);
                    assert_eq!(end, Observed::Fine, "{start} {order:?} {server_first}");
                }
                for start in leaving_their_half {
                    // `converse` panics if a suffix is used twice; the guard may end it before.
                    let end = converse(start, order, server_first, LONG);
                    if matches!(order, Order::Big) {
                        assert_eq!(end, Observed::Fine, "{start} {server_first}");
                    }
                }
            }
        }
    }

    /// Conversations of random starts are short, but for those in which the client's counter
    /// leaves its half within [`LONG`], and a few others: these are held at full length.
    #[test]
    fn the_guard_ends_next_to_no_random_start() {
        let mut entropy = SeededEntropy::new(1);
        let mut ended = 0;
        for round in 0..20_000 {
            let start = u32::try_from(entropy.next_u64() >> 32).unwrap();
            let leaves = start >> 31 != start.wrapping_add(LONG) >> 31;
            let packets = if leaves || round < 8 { LONG } else { 20 };
            for order in ORDERS {
                let end = converse(start, order, 20, packets);
                ended += u32::from(end == Observed::Collision);
            }
        }
        assert!(ended < 4, "{ended} of 40,000 conversations were ended");
    }

    #[test]
    fn a_client_that_repeats_our_suffix_is_found_out() {
        let mut server = ServerNonce::new(MANY);
        let first = server.next().unwrap();
        assert_eq!(server.observe([0, 0, 0, 1]), Observed::Fine);
        let second = server.next().unwrap();
        for used in [first, second] {
            assert_eq!(server.observe(used), Observed::Collision);
        }
    }

    /// Nonces of a client that draws, in the half that the server left to it.
    fn draw(server: &mut ServerNonce) {
        for k in 0..=DRAWN {
            let suffix = [k.wrapping_mul(37) & 0x7F, k.wrapping_mul(91), k, 1];
            assert_eq!(server.observe(suffix), Observed::Fine, "{suffix:?}");
        }
    }

    /// What the server would use next.
    fn upcoming(server: &ServerNonce, ahead: u32) -> [u8; 4] {
        encode(server.current.pattern, server.current.end() + ahead)
    }

    // Clauses: V4.13
    #[test]
    fn what_a_client_used_before_us_is_not_used_and_what_we_used_stays_guarded() {
        let mut server = ServerNonce::new(MANY);
        assert_eq!(server.observe([0, 0, 0, 1]), Observed::Fine);
        let mut ours = Vec::new();
        let mut theirs = HashSet::new();
        for ahead in [0, 1, 5, MARGIN - 1] {
            draw(&mut server);
            ours.extend((0..1_000).map(|_| server.next().unwrap()));
            let drawn = upcoming(&server, ahead);
            theirs.insert(drawn);
            assert_eq!(server.observe(drawn), Observed::Fine, "{ahead} ahead");
            ours.extend((0..=MARGIN).map(|_| server.next().unwrap()));
        }
        assert!(ours.iter().all(|suffix| !theirs.contains(suffix)), "one was used by both");
        let used: HashSet<_> = ours.iter().copied().collect();
        assert_eq!(used.len(), ours.len(), "one was used twice");
        for suffix in ours.iter().step_by(997) {
            assert_eq!(server.observe(*suffix), Observed::Collision);
        }
        draw(&mut server);
        let drawn = upcoming(&server, 0);
        assert_eq!(server.observe(drawn), Observed::Collision, "no more can be remembered");
    }

    // Clauses: V4.13
    #[test]
    fn a_counter_that_comes_near_is_a_collision() {
        let mut server = ServerNonce::new(MANY);
        assert_eq!(server.observe([0, 0, 0, 1]), Observed::Fine);
        draw(&mut server);
        let near = u32::from_be_bytes(upcoming(&server, 5)) ^ 1 << 31;
        assert_eq!(server.observe(near.to_be_bytes()), Observed::Fine, "not our half");
        assert_eq!(server.observe((near + 1).to_be_bytes()), Observed::Fine, "a step");
        let met = upcoming(&server, 5);
        assert_eq!(server.observe(met), Observed::Collision, "its counter wrapped");
    }

    #[test]
    fn a_client_of_random_nonces_that_hears_nobody_is_left_alone() {
        let mut entropy = SeededEntropy::new(1);
        let mut server = ServerNonce::new(MANY);
        for said in 0..500_000 {
            let suffix = u32::try_from(entropy.next_u64() >> 32).unwrap().to_be_bytes();
            assert_eq!(server.observe(suffix), Observed::Fine, "after {said} packets");
        }
        assert_eq!(server.next().map(|_| server.sent()), Some(1));
    }

    #[test]
    fn a_run_ends_where_an_earlier_one_began() {
        let mut server = ServerNonce::new(MANY);
        assert_eq!(server.observe([0, 0, 0, 1]), Observed::Fine);
        let first = server.next().unwrap();
        draw(&mut server);
        let drawn = upcoming(&server, 0);
        assert_eq!(server.observe(drawn), Observed::Fine);
        // As if all in between had been used.
        let between = RANGE - LEAP - 2;
        server.current.count = between;
        server.sent += u64::from(between);
        let last = server.next().expect("one is left");
        assert_eq!(decode(last).1 + 1, decode(first).1);
        assert_eq!(server.next(), None);
    }

    #[test]
    fn what_was_used_before_the_switch_stays_guarded() {
        let mut server = ServerNonce::new(MANY);
        let first = server.next().unwrap();
        assert_eq!(server.observe([0x80, 0, 0, 0]), Observed::Fine, "the top bit is as ours");
        let second = server.next().unwrap();
        assert_eq!((first[0] >> 7, first[3] >> 7), (1, 1));
        assert_eq!((second[0] >> 7, second[3] >> 7), (0, 1), "the opposite of the client's");
        assert_eq!(server.observe(first), Observed::Collision);
    }

    #[test]
    fn a_key_is_used_up_after_its_packets() {
        let mut server = ServerNonce::start_at(RANGE - 2, 5);
        let all: HashSet<_> = (0..5).map(|_| server.next().unwrap()).collect();
        assert_eq!(all.len(), 5, "the counter wraps without repeating");
        assert_eq!(server.next(), None);
        assert_eq!(server.sent(), 5);
    }
}
