//! A relay with sessions of every kind, and packets that are sealed as their clients would.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use lvsp_core::config::{ForeignUdp, MediaConfig};
use lvsp_core::crypto::cipher::{Cipher, MediaKey};
use lvsp_core::crypto::mode::Mode;
use lvsp_core::crypto::provider::CipherProvider;
use lvsp_core::ids::{LegId, RelayId, RoomId, Ssrc};
use lvsp_core::limits::Limits;
use lvsp_core::media::Relay;
use lvsp_core::media::command::{Permissions, RelayCommand};
use lvsp_core::slab::Slab;
use lvsp_core::time::Timestamp;

/// Where datagrams come from; the last ones are addresses that nobody may be answered at.
pub(crate) const ADDRESSES: [&str; 8] = [
    "198.51.100.1:40001",
    "198.51.100.1:40002",
    "198.51.100.77:40001",
    "[2001:db8::1]:40001",
    "[::ffff:198.51.100.9]:40001",
    "127.0.0.1:50000",
    "224.0.0.1:40001",
    "198.51.100.1:0",
];

pub(crate) fn address(selector: u8) -> SocketAddr {
    ADDRESSES[usize::from(selector) % ADDRESSES.len()].parse().expect("an address")
}

/// One session.
pub(crate) struct Seat {
    pub(crate) leg: LegId,
    pub(crate) room: usize,
    pub(crate) ssrc: u32,
    /// Its gateway address, where that is known.
    pub(crate) peer: Option<IpAddr>,
    pub(crate) permissions: Permissions,
    pub(crate) mode: Mode,
    /// `None` before its key, and once it is closed.
    pub(crate) cipher: Option<Cipher>,
    pub(crate) open: bool,
    /// Nonces under this key that the client used in authentic packets, and that the server used.
    pub(crate) theirs: HashSet<[u8; 4]>,
    pub(crate) ours: HashSet<[u8; 4]>,
    /// The client met a nonce of the server's: nothing more may be sealed under this key.
    pub(crate) spent: bool,
    keys: u8,
}

/// The relay and its sessions.
pub(crate) struct Table {
    pub(crate) relay: Relay,
    pub(crate) seats: Vec<Seat>,
    pub(crate) now: Timestamp,
    pub(crate) config: MediaConfig,
}

/// The gateway address of the first session; nobody knows those of the others.
pub(crate) fn peer() -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1))
}

const SEATS: usize = 10;

impl Table {
    /// A table whose configuration is made of bits.
    pub(crate) fn new(bits: u8) -> Self {
        let config = MediaConfig {
            legacy_modes: bits & 1 == 0,
            enforce_bitrate: bits & 2 != 0,
            foreign_udp: match bits >> 2 & 3 {
                0 | 1 => ForeignUdp::Guarded,
                2 => ForeignUdp::Strict,
                _ => ForeignUdp::Open,
            },
            cipher_provider: match bits >> 5 & 1 {
                0 => CipherProvider::Auto,
                _ => CipherProvider::RustCrypto,
            },
            loopback: bits & 16 != 0,
        };
        let limits = Limits {
            key_soft_packets: 1_024,
            key_hard_packets: 2_048,
            sender_packet_burst: if bits & 32 == 0 { 500 } else { 50 },
            discovery_burst: if bits & 64 == 0 { 16 } else { 1 },
            ..Limits::default()
        };
        let relay = Relay::new(RelayId(0), &limits, config);
        let mut table =
            Self { relay, seats: Vec::new(), now: Timestamp::from_millis(1_000), config };
        let (mut legs, mut rooms) = (Slab::<LegId, ()>::default(), Slab::<RoomId, ()>::default());
        let rooms = [rooms.insert(()), rooms.insert(())];
        for at in 0..SEATS {
            table.open(at, legs.insert(()), rooms[at / 8]);
        }
        // The one before the last has no key yet.
        (0..SEATS).filter(|at| *at != 7).for_each(|at| table.rekey(at));
        table
    }

    fn open(&mut self, at: usize, leg: LegId, room: RoomId) {
        let peer = (at == 0).then(peer);
        let permissions = Permissions { speak: at != 2, hear: at != 3 };
        let ssrc = 0x0100_0000 * (at as u32 + 1);
        self.seats.push(Seat {
            leg,
            room: at / 8,
            ssrc,
            peer,
            permissions,
            mode: Mode::ALL[at % Mode::ALL.len()],
            cipher: None,
            open: true,
            theirs: HashSet::new(),
            ours: HashSet::new(),
            spent: false,
            keys: 0,
        });
        let ssrc = Ssrc(ssrc);
        let command = RelayCommand::Open { leg, room, ssrc, peer, bitrate: 64_000, permissions };
        self.relay.handle_command(self.now, command);
    }

    /// A session gets a new key, as after another Select Protocol.
    pub(crate) fn rekey(&mut self, at: usize) {
        let seat = &mut self.seats[at];
        seat.keys = seat.keys.wrapping_add(1);
        let key = [at as u8 ^ seat.keys.rotate_left(4); 32];
        (seat.theirs, seat.ours, seat.spent) = (HashSet::new(), HashSet::new(), false);
        seat.cipher = seat.open.then(|| {
            Cipher::new(seat.mode, &MediaKey::new(key)).expect("all modes are compiled in")
        });
        let (leg, mode, nonce_prefix) = (seat.leg, seat.mode, [at as u8; 20]);
        let claimed = Some(address(at as u8));
        let key = MediaKey::new(key);
        let command = RelayCommand::SetKey { leg, mode, key, nonce_prefix, claimed };
        self.relay.handle_command(self.now, command);
    }

    pub(crate) fn permit(&mut self, at: usize, permissions: Permissions) {
        let seat = &mut self.seats[at];
        seat.permissions = permissions;
        let command = RelayCommand::SetPermissions { leg: seat.leg, permissions };
        self.relay.handle_command(self.now, command);
    }

    pub(crate) fn close(&mut self, at: usize) {
        let seat = &mut self.seats[at];
        (seat.open, seat.cipher) = (false, None);
        self.relay.handle_command(self.now, RelayCommand::Close { leg: seat.leg });
    }
}

impl Seat {
    /// Seals a packet under this session's key, with this nonce.
    pub(crate) fn seal(&self, clear: &[u8], hidden: &[u8], nonce: [u8; 4]) -> Option<Vec<u8>> {
        let mut suffix = [0x77; 24];
        suffix[20..].copy_from_slice(&nonce);
        let suffix = &suffix[24 - self.mode.suffix_len()..];
        let mut packet = vec![0; clear.len() + hidden.len() + self.mode.overhead()];
        let length = self.cipher.as_ref()?.seal_into(clear, [hidden, &[]], suffix, &mut packet)?;
        packet.truncate(length);
        Some(packet)
    }

    /// Opens what was sent to this session; its clear part and its plaintext.
    pub(crate) fn opened(&self, packet: &[u8], clear_bytes: usize) -> (Vec<u8>, Vec<u8>) {
        let mut packet = packet.to_vec();
        let cipher = self.cipher.as_ref().expect("nothing is sent to whom has no key");
        let opened = cipher.open(&mut packet, clear_bytes).expect("sealed under this key");
        (opened.clear.to_vec(), opened.plaintext.to_vec())
    }

    /// Whether four bytes behind the packet are the whole nonce.
    pub(crate) const fn counts(&self) -> bool {
        self.mode.suffix_len() == 4
    }

    /// Notes the nonce of an authentic packet of the client's.
    pub(crate) fn note_theirs(&mut self, nonce: [u8; 4]) {
        if self.counts() {
            self.theirs.insert(nonce);
            self.spent |= self.ours.contains(&nonce);
        }
    }

    /// Asserts that a nonce of the server's is new to both sides.
    pub(crate) fn note_ours(&mut self, packet: &[u8]) {
        if !self.counts() {
            return;
        }
        let nonce = *packet.last_chunk().expect("sealed");
        assert!(!self.spent, "sealed after the client had met a nonce of the server's");
        assert!(!self.theirs.contains(&nonce), "the client has used {nonce:?}");
        assert!(self.ours.insert(nonce), "the server has used {nonce:?}");
    }
}
