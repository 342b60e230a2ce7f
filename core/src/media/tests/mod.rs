//! Behaviour of a relay as its host sees it. Client packets are sealed by the real ciphers.
//!
//! Here: a relay with its rooms ([`Fixture`]) and the far end of a leg ([`Client`]).

mod addresses;
mod batches;
mod copies;
mod groups;
mod keys;
mod quality;
mod refusals;
mod sharing;

use std::net::{IpAddr, SocketAddr};

use crate::config::MediaConfig;
use crate::crypto::cipher::{Cipher, MediaKey};
use crate::crypto::mode::Mode;
use crate::ids::{LegId, RelayId, RoomId, Ssrc};
use crate::limits::Limits;
use crate::media::batch::TransmitBatch;
use crate::media::command::{Permissions, RelayCommand, RelayEvent};
use crate::media::fanout::Filled;
use crate::media::relay::Relay;
use crate::reasons::DropReason;
use crate::slab::Slab;
use crate::time::Timestamp;
use crate::wire::discovery;

const AES: Mode = Mode::Aes256GcmRtpSize;
const XCHACHA: Mode = Mode::XChaCha20Poly1305RtpSize;
const BOTH: Permissions = Permissions { speak: true, hear: true };
/// 40 ms after the epoch: 0.04 · 2^18 = 10485.76.
const NOW: Timestamp = Timestamp::from_millis(40);

struct Fixture {
    relay: Relay,
    batch: TransmitBatch,
    now: Timestamp,
    legs: Slab<LegId, ()>,
    rooms: Slab<RoomId, ()>,
}

struct Client {
    leg: LegId,
    ssrc: Ssrc,
    address: SocketAddr,
    mode: Mode,
    key: [u8; 32],
    counter: u32,
}

/// What came out: where to, for whom, and the bytes.
type Sent = Vec<(SocketAddr, LegId, Vec<u8>)>;

impl Fixture {
    fn new() -> Self {
        Self::with(&Limits::default(), MediaConfig::default())
    }

    fn with(limits: &Limits, media: MediaConfig) -> Self {
        Self {
            relay: Relay::new(RelayId(0), limits, media),
            batch: TransmitBatch::new(),
            now: NOW,
            legs: Slab::default(),
            rooms: Slab::default(),
        }
    }

    fn room(&mut self) -> RoomId {
        self.rooms.insert(())
    }

    fn command(&mut self, command: RelayCommand) {
        self.relay.handle_command(self.now, command);
    }

    /// A leg that has neither key nor address.
    fn open(&mut self, room: RoomId, mode: Mode) -> Client {
        self.open_from(room, mode, None)
    }

    /// The same with the address of its gateway connection.
    fn open_from(&mut self, room: RoomId, mode: Mode, peer: Option<IpAddr>) -> Client {
        let leg = self.legs.insert(());
        let n = self.legs.len() as u8;
        let ssrc = Ssrc(4_000 + 4 * u32::from(n));
        let (bitrate, permissions) = (64_000, BOTH);
        self.command(RelayCommand::Open { leg, room, ssrc, peer, bitrate, permissions });
        let address = at(n, 5_000);
        Client { leg, ssrc, address, mode, key: [n; 32], counter: 1 }
    }

    fn set_key(&mut self, client: &Client, claimed: Option<SocketAddr>) {
        self.command(RelayCommand::SetKey {
            leg: client.leg,
            mode: client.mode,
            key: MediaKey::new(client.key),
            nonce_prefix: [7; 20],
            claimed,
        });
    }

    /// A leg that has discovered its address and has its key.
    fn join(&mut self, room: RoomId, mode: Mode) -> Client {
        let client = self.open(room, mode);
        assert_eq!(self.send(client.address, &request(client.ssrc)).len(), 1);
        self.set_key(&client, None);
        client
    }

    fn permit(&mut self, client: &Client, speak: bool, hear: bool) {
        let permissions = Permissions { speak, hear };
        self.command(RelayCommand::SetPermissions { leg: client.leg, permissions });
    }

    /// Handles a datagram and takes everything that it leads to.
    fn send(&mut self, from: SocketAddr, packet: &[u8]) -> Sent {
        let mut packet = packet.to_vec();
        let mut fanout = self.relay.handle_datagram(self.now, from, &mut packet);
        assert_eq!(fanout.fill(&mut self.batch), Filled::Done);
        drop(fanout);
        let sent = self.batch.entries();
        let sent = sent.map(|sent| (sent.address, sent.leg, sent.bytes.to_vec())).collect();
        self.batch.clear();
        sent
    }

    /// Handles a datagram that must be dropped.
    fn refused(&mut self, from: SocketAddr, packet: &[u8]) -> DropReason {
        let mut packet = packet.to_vec();
        let fanout = self.relay.handle_datagram(self.now, from, &mut packet);
        fanout.drop_reason().expect("the datagram is dropped")
    }

    fn speak(&mut self, client: &mut Client, sequence: u16) -> Sent {
        let packet = client.packet(sequence, b"opus");
        self.send(client.address, &packet)
    }

    fn events(&mut self) -> Vec<RelayEvent> {
        std::iter::from_fn(|| self.relay.poll_event()).collect()
    }

    fn drops(&self, reason: DropReason) -> u64 {
        self.relay.stats().drops.of(reason)
    }
}

impl Client {
    fn packet(&mut self, sequence: u16, payload: &[u8]) -> Vec<u8> {
        let mut header = [0; 12];
        header[..2].copy_from_slice(&[0x80, 0x78]);
        header[2..4].copy_from_slice(&sequence.to_be_bytes());
        header[4..8].copy_from_slice(&(u32::from(sequence) * 960).to_be_bytes());
        header[8..].copy_from_slice(&self.ssrc.0.to_be_bytes());
        self.seal(&header, payload)
    }

    fn seal(&mut self, clear: &[u8], hidden: &[u8]) -> Vec<u8> {
        let mut suffix = [0; 24];
        suffix[..4].copy_from_slice(&self.counter.to_be_bytes());
        self.counter += 1;
        self.seal_with(clear, hidden, &suffix[..self.mode.suffix_len()])
    }

    fn seal_with(&self, clear: &[u8], hidden: &[u8], suffix: &[u8]) -> Vec<u8> {
        let mut out = vec![0; clear.len() + hidden.len() + self.mode.overhead()];
        let sealed = self.cipher().seal_into(clear, [hidden, &[]], suffix, &mut out);
        assert_eq!(sealed, Some(out.len()));
        out
    }

    /// Opens a copy: header in one piece, whatever of it was sealed, and the payload.
    fn open(&self, copy: &[u8]) -> Vec<u8> {
        let mut copy = copy.to_vec();
        let clear = if self.mode.is_rtpsize() { 16 } else { 12 };
        let opened = self.cipher().open(&mut copy, clear).expect("the copy is for this key");
        [opened.clear, opened.plaintext].concat()
    }

    fn cipher(&self) -> Cipher {
        Cipher::new(self.mode, &MediaKey::new(self.key)).expect("compiled in")
    }
}

fn at(host: u8, port: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, host], port))
}

fn request(ssrc: Ssrc) -> [u8; discovery::LEN] {
    let mut bytes = [0; discovery::LEN];
    discovery::write_request(&mut bytes, ssrc);
    bytes
}

/// Header of a copy of `sequence` from `ssrc` at [`NOW`], as every receiver gets it.
fn expected(ssrc: Ssrc, sequence: u16, level: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x90, 0x78];
    bytes.extend(sequence.to_be_bytes());
    bytes.extend((u32::from(sequence) * 960).to_be_bytes());
    bytes.extend(ssrc.0.to_be_bytes());
    bytes.extend([0xBE, 0xDE, 0, 2, 0x32, 0x00, 0x28, 0xF5, 0x10, level, 0x90, flags]);
    bytes.extend(payload);
    bytes
}
