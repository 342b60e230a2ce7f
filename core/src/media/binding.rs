//! Where a leg's media goes: which address it is bound to, and when that changes.
//!
//! Decided here: what a leg is bound to and when it moves, which addresses are never sent to, and
//! how much one gets that nothing vouches for. Not here: what authenticates a packet (`intake.rs`).
//!
//! Between calls: an address that a leg is bound to was the source of a datagram that named the
//! leg, and it is not a forbidden one.

use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::time::Duration;

use crate::config::ForeignUdp;
use crate::media::rate::{Bucket, Rate};
use crate::time::Timestamp;

/// Discovery sources remembered for a leg that has no key yet.
const CANDIDATES: usize = 4;

/// For each byte that came from a foreign address it may be sent so many (RFC 9000, 8.1).
const FOREIGN_FACTOR: u64 = 3;

/// What vouches for a leg's addresses: its gateway connection, as far as that says anything.
#[derive(Clone, Copy, Debug)]
pub(super) struct Voucher {
    pub(super) rule: ForeignUdp,
    /// `None` where the gateway's address says nothing about the client.
    pub(super) peer: Option<IpAddr>,
}

/// What an address is to a leg.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Standing {
    /// Served without bounds.
    Vouched,
    /// Served as far as it sends itself.
    Foreign,
    /// Never served.
    Refused,
}

impl Voucher {
    pub(super) fn standing(self, address: SocketAddr) -> Standing {
        let (Some(peer), ip) = (self.peer, address.ip()) else { return Standing::Vouched };
        match self.rule {
            ForeignUdp::Open => Standing::Vouched,
            _ if same_host(peer, ip) => Standing::Vouched,
            ForeignUdp::Guarded if peer.is_ipv4() != ip.is_ipv4() => Standing::Vouched,
            ForeignUdp::Guarded => Standing::Foreign,
            ForeignUdp::Strict => Standing::Refused,
        }
    }
}

/// Hosts change their IPv6 addresses within their network of 64 bits.
fn same_host(one: IpAddr, other: IpAddr) -> bool {
    match (one, other) {
        (IpAddr::V6(one), IpAddr::V6(other)) => one.segments()[..4] == other.segments()[..4],
        (IpAddr::V4(_) | IpAddr::V6(_), _) => one == other,
    }
}

/// How often a leg may move.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moves {
    pub(super) rate: Rate,
    /// From one move to the next.
    pub(super) interval: Duration,
}

/// Bytes to and from a foreign address.
#[derive(Clone, Copy, Debug, Default)]
struct Credit {
    received: u64,
    sent: u64,
}

/// Where a leg is, and where it may be.
///
/// Discovery requests propose sources while the leg is unbound. The key binds it to one of them;
/// from then on only authenticated packets move it.
#[derive(Debug)]
pub(super) struct Binding {
    voucher: Voucher,
    address: Option<SocketAddr>,
    /// Set while the address is a foreign one.
    credit: Option<Credit>,
    /// Oldest first; only before the leg is bound.
    candidates: [Option<SocketAddr>; CANDIDATES],
    /// The address before the last move: going back there costs nothing, so that somebody who
    /// copies packets and races with them holds the leg for one packet and not for a second.
    previous: Option<SocketAddr>,
    moved_at: Option<Timestamp>,
    moves: Bucket,
}

impl Binding {
    /// Bound to nothing yet.
    pub(super) const fn new(voucher: Voucher) -> Self {
        Self {
            voucher,
            address: None,
            credit: None,
            candidates: [None; CANDIDATES],
            previous: None,
            moved_at: None,
            moves: Bucket::full(),
        }
    }

    /// Where the leg's media goes.
    #[inline]
    pub(super) const fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Whether nothing vouches for where the leg's media goes.
    pub(super) const fn is_foreign(&self) -> bool {
        self.credit.is_some()
    }

    pub(super) fn standing(&self, source: SocketAddr) -> Standing {
        self.voucher.standing(source)
    }

    /// Counts bytes that came from `source` and named the leg.
    #[inline]
    pub(super) fn note_received(&mut self, source: SocketAddr, bytes: usize) {
        if let Some(credit) = self.credit.as_mut().filter(|_| self.address == Some(source)) {
            credit.received += bytes as u64;
        }
    }

    /// Whether so many bytes may be sent to the address.
    #[inline]
    pub(super) const fn covers(&self, bytes: usize) -> bool {
        match &self.credit {
            Some(Credit { received, sent }) => {
                *sent + bytes as u64 <= received.saturating_mul(FOREIGN_FACTOR)
            }
            None => true,
        }
    }

    /// Whether so many bytes may be sent to the address, which counts them.
    #[inline]
    pub(super) fn spend(&mut self, bytes: usize) -> bool {
        let covered = self.covers(bytes);
        if let Some(credit) = self.credit.as_mut().filter(|_| covered) {
            credit.sent += bytes as u64;
        }
        covered
    }

    /// Whether a discovery request came for it, or anything that bound it.
    pub(super) const fn was_asked_for(&self) -> bool {
        self.address.is_some() || self.candidates[CANDIDATES - 1].is_some()
    }

    fn bind(&mut self, address: SocketAddr) {
        self.address = Some(address);
        let foreign = self.voucher.standing(address) == Standing::Foreign;
        self.credit = foreign.then(Credit::default);
    }

    /// Remembers the source of a discovery request for the moment the key comes.
    pub(super) fn propose(&mut self, source: SocketAddr) {
        let known = self.candidates.iter().position(|known| *known == Some(source));
        let from = known.unwrap_or(0);
        self.candidates[from..].rotate_left(1);
        self.candidates[CANDIDATES - 1] = Some(source);
    }

    /// The key has come: binds to the proposed source that the client claims, else to where the
    /// leg is bound already, else to the newest proposed source. Returns the address if it is new.
    pub(super) fn settle(&mut self, claimed: Option<SocketAddr>) -> Option<SocketAddr> {
        let chosen = claimed
            .filter(|claimed| self.candidates.contains(&Some(*claimed)))
            .or(self.address)
            .or(self.candidates[CANDIDATES - 1]);
        self.candidates = [None; CANDIDATES];
        let chosen = chosen.filter(|chosen| self.address != Some(*chosen))?;
        self.bind(chosen);
        Some(chosen)
    }

    /// Binds an unbound leg, or moves a bound one as far as the rates allow. Only for a source
    /// that sent the newest authenticated packet, or, while unbound, a discovery request.
    pub(super) fn follow(&mut self, now: Timestamp, source: SocketAddr, most: Moves) -> Move {
        if self.standing(source) == Standing::Refused {
            return Move::Stayed;
        }
        let Some(address) = self.address else {
            self.bind(source);
            return Move::Bound;
        };
        if address == source {
            return Move::Stayed;
        }
        if self.previous == Some(source) {
            self.previous = None;
        } else {
            if self.moved_at.is_some_and(|at| now.since(at) < most.interval) {
                return Move::TooSoon;
            }
            if !self.moves.take(now, most.rate, 1) {
                return Move::TooOften;
            }
            self.moved_at = Some(now);
            self.previous = Some(address);
        }
        self.bind(source);
        Move::Moved { from: address }
    }

    /// The newest packet came once more, from `source`. If that is where the leg was before, its
    /// first copy was somebody else's who is faster: the leg goes back.
    pub(super) fn follow_back(&mut self, source: SocketAddr) -> Move {
        match self.address {
            Some(address) if self.previous == Some(source) => {
                self.previous = None;
                self.bind(source);
                Move::Moved { from: address }
            }
            Some(_) | None => Move::Stayed,
        }
    }
}

/// What became of a binding.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Move {
    /// It is where it was.
    Stayed,
    /// It stays where it was because it moved a moment ago.
    TooSoon,
    /// It stays where it was because it moved so often.
    TooOften,
    /// It had no address and has one now.
    Bound,
    /// It has another address now.
    Moved { from: SocketAddr },
}

/// The address as the core knows it: IPv4 senders have IPv4 addresses, whatever socket they came
/// in by.
pub(super) fn normalise(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(_) => address,
        SocketAddr::V6(v6) => match v6.ip().to_ipv4_mapped() {
            Some(ip) => SocketAddr::from((ip, v6.port())),
            // The flow label may differ from packet to packet; the scope is part of the address.
            None => SocketAddrV6::new(*v6.ip(), v6.port(), 0, v6.scope_id()).into(),
        },
    }
}

/// Whether nothing may ever be sent to this (normalised) address. A relay that answers it would
/// be turned against the host it runs on, or against a whole network.
pub(super) fn is_forbidden(address: SocketAddr, loopback_allowed: bool) -> bool {
    let ip = address.ip();
    let this_network = match ip {
        IpAddr::V4(v4) => v4.octets()[0] == 0 || v4.is_broadcast(),
        IpAddr::V6(_) => false,
    };
    address.port() == 0
        || ip.is_unspecified()
        || ip.is_multicast()
        || this_network
        || (ip.is_loopback() && !loopback_allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(last: u8, port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, last], port))
    }

    fn unvouched() -> Binding {
        Binding::new(Voucher { rule: ForeignUdp::Guarded, peer: None })
    }

    const RATE: Moves = Moves {
        rate: Rate { burst: 30, per: 30, interval: Duration::from_secs(60) },
        interval: Duration::from_secs(1),
    };

    #[test]
    fn the_claimed_source_wins_over_the_newest() {
        let mut binding = unvouched();
        (1..=4).for_each(|n| binding.propose(at(n, 1)));
        assert_eq!(binding.settle(Some(at(2, 1))), Some(at(2, 1)));
        assert_eq!(binding.settle(Some(at(3, 1))), None, "old proposals are gone");
    }

    #[test]
    fn an_address_that_nobody_asked_from_is_never_bound() {
        let mut binding = unvouched();
        assert_eq!(binding.settle(Some(at(9, 9))), None);
        binding.propose(at(1, 1));
        assert_eq!(binding.settle(Some(at(9, 9))), Some(at(1, 1)));
    }

    #[test]
    fn four_sources_are_remembered_and_a_repeated_one_counts_once() {
        let mut binding = unvouched();
        [1, 2, 3, 4, 1, 5].into_iter().for_each(|n| binding.propose(at(n, 1)));
        assert_eq!(binding.candidates, [3, 4, 1, 5].map(|n| Some(at(n, 1))));
    }

    #[test]
    fn moves_are_limited_but_the_way_back_is_free_once() {
        let (client, thief) = (at(1, 1), at(2, 2));
        let mut binding = unvouched();
        let time = Timestamp::from_millis;
        assert_eq!(binding.follow(time(0), client, RATE), Move::Bound);
        assert_eq!(binding.follow(time(10), thief, RATE), Move::Moved { from: client });
        assert_eq!(binding.follow(time(30), client, RATE), Move::Moved { from: thief });
        assert_eq!(binding.follow(time(50), thief, RATE), Move::TooSoon, "once a second");
        assert_eq!(binding.address(), Some(client));
        assert_eq!(binding.follow(time(1_010), thief, RATE), Move::Moved { from: client });
    }

    // Clauses: V4.5
    #[test]
    fn moves_are_limited_a_minute() {
        let mut binding = unvouched();
        let moves = (0..60u16)
            .map(|n| binding.follow(Timestamp::from_millis(1_000 * u64::from(n)), at(1, n), RATE))
            .filter(|step| matches!(step, Move::Moved { .. }))
            .count();
        assert!(moves < 60, "30 at once, then one in two seconds: {moves}");
    }

    #[test]
    fn what_a_gateway_address_vouches_for() {
        use ForeignUdp::{Guarded, Open, Strict};
        use Standing::{Foreign, Refused, Vouched};
        for (rule, peer, address, standing) in [
            (Guarded, "192.0.2.1", "192.0.2.1:5", Vouched),
            (Guarded, "192.0.2.1", "192.0.2.2:5", Foreign),
            (Guarded, "2001:db8::1", "192.0.2.2:5", Vouched),
            (Guarded, "2001:db8::1", "[2001:db8::2]:5", Vouched),
            (Guarded, "2001:db8::1", "[2001:db8:0:1::1]:5", Foreign),
            (Strict, "192.0.2.1", "192.0.2.1:5", Vouched),
            (Strict, "192.0.2.1", "192.0.2.2:5", Refused),
            (Strict, "2001:db8::1", "192.0.2.2:5", Refused),
            (Open, "192.0.2.1", "192.0.2.2:5", Vouched),
        ] {
            let peer = Some(peer.parse().expect("an address"));
            let found = Voucher { rule, peer }.standing(address.parse().expect("an address"));
            assert_eq!(found, standing, "{rule:?}: {peer:?} and {address}");
            let unknown = Voucher { rule, peer: None };
            assert_eq!(unknown.standing(address.parse().expect("an address")), Vouched);
        }
    }

    #[test]
    fn a_foreign_address_gets_three_times_what_it_sends() {
        let peer = Some("203.0.113.1".parse().expect("an address"));
        let mut binding = Binding::new(Voucher { rule: ForeignUdp::Guarded, peer });
        assert_eq!(binding.follow(Timestamp::ZERO, at(1, 1), RATE), Move::Bound);
        assert!(binding.is_foreign() && !binding.spend(1));
        binding.note_received(at(2, 2), 1_000);
        assert!(!binding.spend(1), "somebody else's bytes");
        binding.note_received(at(1, 1), 100);
        assert!(binding.spend(200) && binding.spend(100) && !binding.spend(1));
    }

    #[test]
    fn addresses_that_must_not_be_sent_to() {
        let bad = [
            "0.0.0.0:5",
            "0.1.2.3:5",
            "224.0.0.1:5",
            "255.255.255.255:5",
            "192.0.2.1:0",
            "127.0.0.1:5",
            "[::]:5",
            "[::1]:5",
            "[ff02::1]:5",
            "[::ffff:127.0.0.1]:5",
            "[::ffff:224.0.0.1]:5",
            "[::ffff:0.0.0.0]:5",
            "[2001:db8::1]:0",
        ];
        for text in bad {
            let address = normalise(text.parse().expect("an address"));
            assert!(is_forbidden(address, false), "{text}");
        }
        for text in ["192.0.2.1:5", "[2001:db8::1]:5", "[::ffff:192.0.2.1]:5"] {
            assert!(!is_forbidden(normalise(text.parse().expect("an address")), false), "{text}");
        }
        assert!(!is_forbidden("127.0.0.1:5".parse().expect("an address"), true));
    }
}
