//! What benchmarks and measuring tests share: a room full of legs, set up as a host would, and a
//! [`Site`] that clients join.
//!
//! Everything goes through the public API of the core. Client packets are sealed beforehand, so
//! that only the relay is measured.

mod site;

pub use site::Site;

use std::net::SocketAddr;

use lvsp_core::config::MediaConfig;
use lvsp_core::crypto::cipher::{Cipher, MediaKey};
use lvsp_core::crypto::mode::Mode;
use lvsp_core::ids::{LegId, RelayId, RoomId, Ssrc};
use lvsp_core::limits::Limits;
use lvsp_core::media::command::{Permissions, RelayCommand};
use lvsp_core::media::{Filled, Relay, TransmitBatch};
use lvsp_core::slab::Slab;
use lvsp_core::time::Timestamp;
use lvsp_core::wire::discovery;

/// One speaker and its listeners, all in one mode.
#[derive(Debug)]
pub struct Room {
    /// The relay, with nothing else on it.
    pub relay: Relay,
    /// The speaker's SSRC.
    pub ssrc: Ssrc,
    /// The speaker's address.
    pub speaker: SocketAddr,
    /// The last listener's SSRC.
    pub listener_ssrc: Ssrc,
    /// The last listener's address.
    pub listener: SocketAddr,
    cipher: Option<Cipher>,
    sequence: u16,
    counter: u32,
    now: Timestamp,
}

impl Room {
    /// A room of one speaker and so many listeners, each with key and address.
    #[must_use]
    pub fn new(mode: Mode, listeners: u32) -> Self {
        // The benchmark speaks faster than any client may.
        let limits = Limits {
            sender_packet_burst: 100_000,
            sender_packets_per_s: 100_000,
            sender_bps: 100_000_000,
            ..Limits::default()
        };
        let mut relay = Relay::new(RelayId(0), &limits, MediaConfig::default());
        let mut rooms: Slab<RoomId, ()> = Slab::default();
        let mut legs: Slab<LegId, ()> = Slab::default();
        let room = rooms.insert(());
        let mut batch = TransmitBatch::new();
        for n in 0..=listeners {
            let leg = legs.insert(());
            open(&mut relay, &mut batch, mode, (n, room, leg));
        }
        Self {
            relay,
            ssrc: ssrc(0),
            speaker: address(0),
            listener_ssrc: ssrc(listeners),
            listener: address(listeners),
            cipher: Cipher::new(mode, &key(0)),
            sequence: 0,
            counter: 1,
            now: Timestamp::ZERO,
        }
    }

    /// The speaker's next packet: 20 ms of Opus at 64 kbit/s.
    #[must_use]
    pub fn packet(&mut self) -> Vec<u8> {
        self.sequence = self.sequence.wrapping_add(1);
        self.counter = self.counter.wrapping_add(1);
        let mut header = [0; 12];
        header[..2].copy_from_slice(&[0x80, 0x78]);
        header[2..4].copy_from_slice(&self.sequence.to_be_bytes());
        header[8..].copy_from_slice(&self.ssrc.0.to_be_bytes());
        let mut suffix = [0; 24];
        suffix[..4].copy_from_slice(&self.counter.to_be_bytes());
        let mut packet = vec![0; 512];
        let Some(cipher) = &self.cipher else { return Vec::new() };
        let suffix = &suffix[..cipher.mode().suffix_len()];
        let length = cipher.seal_into(&header, [&[0x5A; 160], &[]], suffix, &mut packet);
        packet.truncate(length.unwrap_or(0));
        packet
    }

    /// Lets the relay handle a datagram, 20 ms after the last one, and takes what it leads to.
    /// Returns the number of datagrams that left.
    pub fn handle(
        &mut self,
        from: SocketAddr,
        packet: &mut [u8],
        batch: &mut TransmitBatch,
    ) -> usize {
        self.now = self.now + std::time::Duration::from_millis(20);
        let mut fanout = self.relay.handle_datagram(self.now, from, packet);
        let mut sent = 0;
        loop {
            let filled = fanout.fill(batch);
            sent += batch.len();
            batch.clear();
            if filled == Filled::Done {
                return sent;
            }
        }
    }
}

fn open(
    relay: &mut Relay,
    batch: &mut TransmitBatch,
    mode: Mode,
    (n, room, leg): (u32, RoomId, LegId),
) {
    let permissions = Permissions { speak: true, hear: true };
    let now = Timestamp::ZERO;
    let command =
        RelayCommand::Open { leg, room, ssrc: ssrc(n), peer: None, bitrate: 64_000, permissions };
    relay.handle_command(now, command);
    let mut request = [0; discovery::LEN];
    discovery::write_request(&mut request, ssrc(n));
    let mut fanout = relay.handle_datagram(now, address(n), &mut request);
    let filled = fanout.fill(batch);
    debug_assert_eq!(filled, Filled::Done, "the batch is empty");
    drop(fanout);
    batch.clear();
    let set_key =
        RelayCommand::SetKey { leg, mode, key: key(n), nonce_prefix: [0; 20], claimed: None };
    relay.handle_command(now, set_key);
}

fn key(n: u32) -> MediaKey {
    let mut bytes = [0x33; 32];
    bytes[..4].copy_from_slice(&n.to_be_bytes());
    MediaKey::new(bytes)
}

const fn ssrc(n: u32) -> Ssrc {
    // Spread as random multiples of four are; the factor is odd, so no two are equal.
    Ssrc((n + 1).wrapping_mul(0x9E37_79B1) << 2 >> 1 & !3)
}

fn address(n: u32) -> SocketAddr {
    let [_, a, b, c] = n.to_be_bytes();
    SocketAddr::from(([10, a, b, c], 5_000))
}
