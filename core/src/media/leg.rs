//! One participant's media endpoint: its address, its key, its rates.
//!
//! Decided here: which address a leg is bound to and when the binding moves; when a key is used
//! up. Not here: packets (`relay.rs`), copies (`fanout.rs`), the tables that find a leg
//! (`room.rs`).
//!
//! Between calls: an address that a leg is bound to was the source of a datagram that named the
//! leg, and it is not a forbidden one. A leg whose key is spent seals nothing.

use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::time::Duration;

use crate::crypto::cipher::{Cipher, MediaKey};
use crate::crypto::mode::Mode;
use crate::crypto::nonce::{Observed, ServerNonce};
use crate::crypto::replay::ReplayWindow;
use crate::ids::{LegId, Ssrc};
use crate::limits::Limits;
use crate::media::command::Permissions;
use crate::media::news::LegNews;
use crate::media::rate::{Bucket, Rate};
use crate::reasons::DropReason;
use crate::time::Timestamp;

/// Discovery sources remembered for a leg that has no key yet.
const CANDIDATES: usize = 4;

/// At most one address change in this time, besides the rate a minute.
const REBIND_INTERVAL: Duration = Duration::from_secs(1);

/// The limits that the media plane reads, in the form it reads them.
#[derive(Clone, Copy, Debug)]
pub(super) struct MediaLimits {
    pub(super) discovery: Rate,
    pub(super) ping: Rate,
    pub(super) sender_packets: Rate,
    pub(super) sender_bits: Rate,
    pub(super) rebinds: Rate,
    pub(super) payload_bytes: usize,
    pub(super) key_soft_packets: u64,
    pub(super) key_hard_packets: u64,
}

impl MediaLimits {
    pub(super) const fn new(limits: &Limits) -> Self {
        Self {
            discovery: Rate::per_second(limits.discovery_burst, limits.discovery_per_s),
            ping: Rate::per_second(limits.ping_per_s, limits.ping_per_s),
            sender_packets: Rate::per_second(
                limits.sender_packet_burst,
                limits.sender_packets_per_s,
            ),
            sender_bits: Rate::per_second(limits.sender_bps, limits.sender_bps),
            rebinds: Rate {
                burst: limits.rebinds_per_minute,
                per: limits.rebinds_per_minute,
                interval: Duration::from_secs(60),
            },
            payload_bytes: limits.payload_bytes,
            key_soft_packets: limits.key_soft_packets,
            key_hard_packets: limits.key_hard_packets,
        }
    }
}

/// What one leg has sent and received since it was opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LegFigures {
    /// Audio packets that were accepted from it.
    pub packets_in: u64,
    /// Bytes of those packets, UDP payload.
    pub bytes_in: u64,
    /// Copies sealed for it.
    pub packets_out: u64,
    /// Bytes of those copies, UDP payload.
    pub bytes_out: u64,
}

/// One participant.
#[derive(Debug)]
pub(super) struct Leg {
    pub(super) id: LegId,
    /// Its audio. The table finds it by the base of its four numbers.
    pub(super) ssrc: Ssrc,
    pub(super) permissions: Permissions,
    /// Address of its gateway connection; budgets for foreign addresses compare with it.
    #[expect(dead_code, reason = "read by the budget for foreign addresses, a later change")]
    pub(super) peer: Option<IpAddr>,
    pub(super) keyed: Option<Keyed>,
    pub(super) binding: Binding,
    pub(super) discovery: Bucket,
    pub(super) ping: Bucket,
    pub(super) packets: Bucket,
    pub(super) bits: Bucket,
    pub(super) news: LegNews,
    pub(super) figures: LegFigures,
}

/// A leg's key and everything that is counted under it. A fresh key starts all of it anew.
#[derive(Debug)]
pub(super) struct Keyed {
    cipher: Cipher,
    nonce: ServerNonce,
    /// What the nonces of the suffix mode start with.
    nonce_prefix: [u8; 20],
    pub(super) window: ReplayWindow,
    pub(super) sealed_at: Timestamp,
    pub(super) spent: Spent,
    /// Whether the first packet of this key was reported.
    pub(super) heard: bool,
}

/// Whether a key may still seal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Spent {
    No,
    /// As many packets as one key may seal.
    Exhausted,
    /// The client used a nonce that we used or are about to use.
    Collided,
}

impl Spent {
    /// Why a copy under such a key is not made.
    pub(super) const fn drop_reason(self) -> Option<DropReason> {
        match self {
            Self::No => None,
            Self::Exhausted => Some(DropReason::KeyExhausted),
            Self::Collided => Some(DropReason::NonceCollision),
        }
    }
}

impl Leg {
    pub(super) fn new(
        id: LegId,
        ssrc: Ssrc,
        permissions: Permissions,
        peer: Option<IpAddr>,
    ) -> Self {
        Self {
            id,
            ssrc,
            permissions,
            peer,
            keyed: None,
            binding: Binding::default(),
            discovery: Bucket::full(),
            ping: Bucket::full(),
            packets: Bucket::full(),
            bits: Bucket::full(),
            news: LegNews::default(),
            figures: LegFigures::default(),
        }
    }

    /// Whether copies are made for it.
    pub(super) const fn receives(&self) -> bool {
        self.permissions.hear && self.keyed.is_some() && self.binding.address().is_some()
    }
}

/// Why a packet was not opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum OpenFailure {
    /// Too short to have been sealed.
    Malformed,
    /// Not sealed under this key, or changed on the way.
    Unauthentic,
    /// Authentic, but its nonce is one of ours. The key is spent.
    Collision,
}

impl Keyed {
    /// `None` for a mode that was not compiled in.
    pub(super) fn new(
        mode: Mode,
        key: &MediaKey,
        nonce_prefix: [u8; 20],
        packets_max: u64,
    ) -> Option<Self> {
        Some(Self {
            cipher: Cipher::new(mode, key)?,
            nonce: ServerNonce::new(packets_max),
            nonce_prefix,
            window: ReplayWindow::default(),
            sealed_at: Timestamp::ZERO,
            spent: Spent::No,
            heard: false,
        })
    }

    #[inline]
    pub(super) const fn mode(&self) -> Mode {
        self.cipher.mode()
    }

    /// Packets sealed under this key.
    #[inline]
    pub(super) const fn sealed(&self) -> u64 {
        self.nonce.sent()
    }

    /// Seals a packet whose hidden part comes in two pieces. `None` when the key is used up.
    #[inline]
    pub(super) fn seal(
        &mut self,
        clear: &[u8],
        hidden: [&[u8]; 2],
        out: &mut [u8],
    ) -> Option<usize> {
        let counter = self.nonce.next()?;
        let mut suffix = [0; 24];
        let suffix = match self.mode().suffix_len() {
            0 => &suffix[..0],
            24 => {
                suffix[..20].copy_from_slice(&self.nonce_prefix);
                suffix[20..].copy_from_slice(&counter);
                &suffix[..]
            }
            _ => &counter[..],
        };
        self.cipher.seal_into(clear, hidden, suffix, out)
    }

    /// Opens a packet in place and returns its clear and its hidden part.
    pub(super) fn open<'p>(
        &mut self,
        packet: &'p mut [u8],
        clear_bytes: usize,
    ) -> Result<(&'p [u8], &'p [u8]), OpenFailure> {
        if packet.len() < clear_bytes + self.mode().overhead() {
            return Err(OpenFailure::Malformed);
        }
        let opened = self.cipher.open(packet, clear_bytes).map_err(|_| OpenFailure::Unauthentic)?;
        let collides = opened
            .counter
            .is_some_and(|counter| self.nonce.observe(counter) == Observed::Collision);
        if collides && self.spent == Spent::No {
            self.spent = Spent::Collided;
            return Err(OpenFailure::Collision);
        }
        Ok((opened.clear, opened.plaintext))
    }
}

/// Where a leg is, and where it may be.
///
/// Discovery requests propose sources while the leg is unbound. The key binds it to one of them;
/// from then on only authenticated packets move it.
#[derive(Debug)]
pub(super) struct Binding {
    address: Option<SocketAddr>,
    /// Oldest first; only before the leg is bound.
    candidates: [Option<SocketAddr>; CANDIDATES],
    /// The address before the last move: going back there costs nothing, so that somebody who
    /// copies packets and races with them holds the leg for one packet and not for a second.
    previous: Option<SocketAddr>,
    moved_at: Option<Timestamp>,
    moves: Bucket,
}

impl Default for Binding {
    fn default() -> Self {
        Self {
            address: None,
            candidates: [None; CANDIDATES],
            previous: None,
            moved_at: None,
            moves: Bucket::full(),
        }
    }
}

impl Binding {
    /// Where the leg's media goes.
    #[inline]
    pub(super) const fn address(&self) -> Option<SocketAddr> {
        self.address
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
        let changed = chosen != self.address;
        self.address = chosen;
        if changed { chosen } else { None }
    }

    /// Binds an unbound leg, or moves a bound one as far as the rates allow. Only for a source
    /// that sent the newest authenticated packet, or, while unbound, a discovery request.
    pub(super) fn follow(&mut self, now: Timestamp, source: SocketAddr, rate: Rate) -> Move {
        let Some(address) = self.address else {
            self.address = Some(source);
            return Move::Bound;
        };
        if address == source {
            return Move::Stayed;
        }
        if self.previous == Some(source) {
            self.previous = None;
        } else {
            let too_soon = self.moved_at.is_some_and(|at| now.since(at) < REBIND_INTERVAL);
            if too_soon || !self.moves.take(now, rate, 1) {
                return Move::Stayed;
            }
            self.moved_at = Some(now);
            self.previous = Some(address);
        }
        self.address = Some(source);
        Move::Moved { from: address }
    }
}

/// What became of a binding.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Move {
    /// It is where it was.
    Stayed,
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

    const RATE: Rate = Rate { burst: 30, per: 30, interval: Duration::from_secs(60) };

    #[test]
    fn the_claimed_source_wins_over_the_newest() {
        let mut binding = Binding::default();
        (1..=4).for_each(|n| binding.propose(at(n, 1)));
        assert_eq!(binding.settle(Some(at(2, 1))), Some(at(2, 1)));
        assert_eq!(binding.settle(Some(at(3, 1))), None, "old proposals are gone");
    }

    #[test]
    fn an_address_that_nobody_asked_from_is_never_bound() {
        let mut binding = Binding::default();
        assert_eq!(binding.settle(Some(at(9, 9))), None);
        binding.propose(at(1, 1));
        assert_eq!(binding.settle(Some(at(9, 9))), Some(at(1, 1)));
    }

    #[test]
    fn four_sources_are_remembered_and_a_repeated_one_counts_once() {
        let mut binding = Binding::default();
        [1, 2, 3, 4, 1, 5].into_iter().for_each(|n| binding.propose(at(n, 1)));
        assert_eq!(binding.candidates, [3, 4, 1, 5].map(|n| Some(at(n, 1))));
    }

    #[test]
    fn moves_are_limited_but_the_way_back_is_free_once() {
        let (client, thief) = (at(1, 1), at(2, 2));
        let mut binding = Binding::default();
        let time = Timestamp::from_millis;
        assert_eq!(binding.follow(time(0), client, RATE), Move::Bound);
        assert_eq!(binding.follow(time(10), thief, RATE), Move::Moved { from: client });
        assert_eq!(binding.follow(time(30), client, RATE), Move::Moved { from: thief });
        assert_eq!(binding.follow(time(50), thief, RATE), Move::Stayed, "once a second");
        assert_eq!(binding.address(), Some(client));
        assert_eq!(binding.follow(time(1_010), thief, RATE), Move::Moved { from: client });
    }

    #[test]
    fn moves_are_limited_a_minute() {
        let mut binding = Binding::default();
        let moves = (0..60u16)
            .map(|n| binding.follow(Timestamp::from_millis(1_000 * u64::from(n)), at(1, n), RATE))
            .filter(|step| matches!(step, Move::Moved { .. }))
            .count();
        assert!(moves < 60, "30 at once, then one in two seconds: {moves}");
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
