//! Behaviour of a relay as its host sees it. Client packets are sealed by the real ciphers.

mod addresses;
mod groups;
mod quality;
mod sharing;

use std::net::{IpAddr, SocketAddr};

use proptest::prelude::*;

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

// Clauses: V4.10, V4.11
#[test]
fn a_packet_reaches_everybody_else_in_every_pair_of_modes() {
    for from in Mode::ALL {
        for to in Mode::ALL {
            let mut fixture = Fixture::new();
            let room = fixture.room();
            let mut speaker = fixture.join(room, from);
            let (one, two) = (fixture.join(room, to), fixture.join(room, to));
            let sent = fixture.speak(&mut speaker, 7);
            let receivers: Vec<_> = sent.iter().map(|(address, leg, _)| (*address, *leg)).collect();
            assert_eq!(receivers, [(one.address, one.leg), (two.address, two.leg)]);
            let wanted = expected(speaker.ssrc, 7, 0x9E, 0x02, b"opus");
            assert_eq!(one.open(&sent[0].2), wanted, "{} > {}", from.name(), to.name());
            assert_eq!(two.open(&sent[1].2), wanted);
            let figures = fixture.relay.leg_figures(one.leg).expect("it is open");
            assert_eq!(figures.packets_out, 1);
            assert_eq!(fixture.relay.stats().packets_out, 2);
        }
    }
}

// Clauses: V4.8
#[test]
fn no_datagram_is_larger_than_promised_in_any_mode() {
    /// What passes through the usual tunnels in one piece.
    const SENT_BYTES_MAX: usize = 1_400;
    let rows = Limits::default().table();
    let most = rows.iter().find(|row| row.key == "payload_bytes").expect("it is there").max;
    let payload_bytes = most as usize;
    let limits = Limits { payload_bytes, ..Limits::default() };
    let mut largest = 0;
    for mode in Mode::ALL {
        let mut fixture = Fixture::with(&limits, MediaConfig::default());
        let room = fixture.room();
        let mut speaker = fixture.join(room, mode);
        let listener = fixture.join(room, mode);
        let packet = speaker.packet(1, &vec![0xAB; payload_bytes]);
        let sent = fixture.send(speaker.address, &packet);
        let copy = &sent[0].2;
        assert!(copy.len() <= SENT_BYTES_MAX, "{} bytes in {}", copy.len(), mode.name());
        assert!(listener.open(copy).ends_with(&vec![0xAB; payload_bytes]), "{}", mode.name());
        largest = largest.max(copy.len());
        let packet = speaker.packet(2, &vec![0xAB; payload_bytes + 1]);
        assert_eq!(fixture.refused(speaker.address, &packet), DropReason::TooLarge);
    }
    assert_eq!(largest, SENT_BYTES_MAX, "no room is given away");
}

// Clauses: V4.10
#[test]
fn of_the_senders_header_only_level_and_flags_are_kept() {
    // Marker, padding, two CSRCs, an extension of three words with ids 5, 1, 9.
    let extension = [0x51, 1, 2, 0x10, 0x8A, 0x90, 0x05, 0, 0, 0, 0, 0];
    for mode in [AES, XCHACHA, Mode::Aes256Gcm, Mode::XSalsa20Poly1305Suffix] {
        let mut fixture = Fixture::new();
        let room = fixture.room();
        let mut speaker = fixture.join(room, mode);
        let listener = fixture.join(room, AES);
        let mut raw = vec![0xB2, 0xF8, 0, 9];
        raw.extend((9u32 * 960).to_be_bytes());
        raw.extend(speaker.ssrc.0.to_be_bytes());
        raw.extend([0x11; 8]);
        raw.extend([0xBE, 0xDE, 0, 3]);
        raw.extend(extension);
        raw.extend(b"opus\0\0\x03");
        let (clear, hidden) = raw.split_at(if mode.is_rtpsize() { 24 } else { 12 });
        let packet = speaker.seal(clear, hidden);
        let sent = fixture.send(speaker.address, &packet);
        let wanted = expected(speaker.ssrc, 9, 0x8A, 0x05, b"opus");
        assert_eq!(listener.open(&sent[0].2), wanted, "{}", mode.name());
    }
}

// Clauses: V4.11
#[test]
fn rooms_never_hear_each_other() {
    let mut fixture = Fixture::new();
    let (here, there) = (fixture.room(), fixture.room());
    let mut speaker = fixture.join(here, AES);
    let near = fixture.join(here, AES);
    let _far = fixture.join(there, AES);
    let sent = fixture.speak(&mut speaker, 1);
    assert_eq!(sent.iter().map(|sent| sent.1).collect::<Vec<_>>(), [near.leg]);
    fixture.command(RelayCommand::Close { leg: near.leg });
    assert!(fixture.speak(&mut speaker, 2).is_empty());
    fixture.command(RelayCommand::Close { leg: speaker.leg });
    assert_eq!(fixture.relay.leg_count(), 1);
    let packet = speaker.packet(3, b"opus");
    assert_eq!(fixture.refused(speaker.address, &packet), DropReason::UnknownSsrc);
}

#[test]
fn permissions_hold_from_the_next_packet() {
    let mut fixture = Fixture::new();
    let room = fixture.room();
    let mut speaker = fixture.join(room, AES);
    let listener = fixture.join(room, AES);
    fixture.permit(&speaker, false, true);
    let muted = speaker.packet(1, b"opus");
    assert_eq!(fixture.refused(speaker.address, &muted), DropReason::Muted);
    assert_eq!(fixture.relay.stats().packets_in, 1, "it was opened and counted");
    fixture.permit(&speaker, true, true);
    assert_eq!(fixture.refused(speaker.address, &muted), DropReason::Replayed);
    assert_eq!(fixture.speak(&mut speaker, 2).len(), 1);
    fixture.permit(&listener, true, false);
    assert!(fixture.speak(&mut speaker, 3).is_empty());
}

// Clauses: V4.4, V4.17
#[test]
fn nobody_without_a_key_or_an_address_is_sent_anything() {
    let mut fixture = Fixture::new();
    let room = fixture.room();
    let mut speaker = fixture.join(room, AES);
    let no_key = fixture.open(room, AES);
    fixture.send(no_key.address, &request(no_key.ssrc));
    let ping = [0x13, 0x37, 0xCA, 0xFE, 1, 2, 3, 4];
    assert_eq!(fixture.refused(no_key.address, &ping), DropReason::Ping);
    let mut no_address = fixture.open(room, AES);
    fixture.set_key(&no_address, Some(at(99, 99)));
    assert!(fixture.speak(&mut speaker, 1).is_empty());
    // Its first authenticated packet tells where it is.
    assert_eq!(fixture.speak(&mut no_address, 1).len(), 1);
    assert_eq!(fixture.speak(&mut speaker, 2).len(), 1);
}

// Clauses: V4.8
#[test]
fn what_is_not_fresh_opus_of_the_session_is_dropped() {
    let mut fixture = Fixture::new();
    let room = fixture.room();
    let mut speaker = fixture.join(room, AES);
    let address = speaker.address;
    let good = speaker.packet(1, b"opus");
    let mut changed = good.clone();
    changed[14] ^= 1;
    assert_eq!(fixture.refused(address, &changed), DropReason::Unauthentic);
    fixture.send(address, &good);
    assert_eq!(fixture.refused(address, &good), DropReason::Replayed);
    let video = speaker
        .seal(&[&[0x80, 0x67, 0, 2, 0, 0, 0, 0][..], &speaker.ssrc.0.to_be_bytes()].concat(), b"v");
    assert_eq!(fixture.refused(address, &video), DropReason::PayloadType);
    let rtx = speaker.seal(
        &[&[0x80, 0x78, 0, 3, 0, 0, 0, 0][..], &(speaker.ssrc.0 + 2).to_be_bytes()].concat(),
        b"v",
    );
    assert_eq!(fixture.refused(address, &rtx), DropReason::PayloadType);
    let report =
        speaker.seal(&[&[0x80, 203, 0, 6][..], &speaker.ssrc.0.to_be_bytes()].concat(), &[0; 20]);
    assert_eq!(fixture.refused(address, &report), DropReason::Rtcp);
    let large = speaker.packet(4, &[0; 1_341]);
    assert_eq!(fixture.refused(address, &large), DropReason::TooLarge);
    assert_eq!(fixture.refused(address, &[0x80; 1_501]), DropReason::Malformed);
    assert_eq!(fixture.refused(address, &good[..30]), DropReason::Malformed);
    assert_eq!(fixture.refused(address, &[0xC9, 0, 0, 0, 0, 0, 0, 0, 0]), DropReason::Keepalive);
    assert_eq!(fixture.refused(address, b"hello there"), DropReason::Unrecognised);
    let padding = speaker.seal(
        &[&[0xA0, 0x78, 0, 5, 0, 0, 0, 0][..], &speaker.ssrc.0.to_be_bytes()].concat(),
        &[200],
    );
    assert_eq!(fixture.refused(address, &padding), DropReason::Malformed);
}

#[test]
fn a_full_batch_is_continued_without_loss_or_repetition() {
    let mut fixture = Fixture::new();
    let room = fixture.room();
    let mut speaker = fixture.join(room, AES);
    let listeners: Vec<_> = (0..10).map(|_| fixture.join(room, AES)).collect();
    let mut packet = speaker.packet(1, b"opus");
    let mut batch = TransmitBatch::with_capacity(0, 3);
    let mut fanout = fixture.relay.handle_datagram(NOW, speaker.address, &mut packet);
    let mut receivers = Vec::new();
    loop {
        let filled = fanout.fill(&mut batch);
        receivers.extend(batch.entries().map(|sent| sent.leg));
        batch.clear();
        if filled == Filled::Done {
            break;
        }
    }
    assert_eq!(fanout.fill(&mut batch), Filled::Done);
    assert!(batch.is_empty());
    drop(fanout);
    assert_eq!(receivers, listeners.iter().map(|client| client.leg).collect::<Vec<_>>());
    assert_eq!(fixture.drops(DropReason::Unfilled), 0);
}

#[test]
fn what_is_not_filled_or_not_sent_is_counted() {
    let mut fixture = Fixture::new();
    let room = fixture.room();
    let mut speaker = fixture.join(room, AES);
    let listeners: [_; 5] = std::array::from_fn(|_| fixture.join(room, AES));
    let mut packet = speaker.packet(1, b"opus");
    let mut batch = TransmitBatch::with_capacity(0, 2);
    let mut fanout = fixture.relay.handle_datagram(NOW, speaker.address, &mut packet);
    assert_eq!(fanout.fill(&mut batch), Filled::BatchFull);
    drop(fanout);
    assert_eq!(fixture.drops(DropReason::Unfilled), 3);
    let mut request = request(speaker.ssrc);
    drop(fixture.relay.handle_datagram(NOW, speaker.address, &mut request));
    assert_eq!(fixture.drops(DropReason::Unfilled), 4);
    for _ in 0..2 {
        fixture.relay.note_unsent(NOW, listeners[0].leg);
    }
    fixture.relay.note_too_late(NOW, listeners[1].leg);
    assert_eq!(fixture.drops(DropReason::SocketFull), 2);
    assert_eq!(fixture.drops(DropReason::TooLate), 1);
    let counts = listeners.map(|listener| {
        let view = fixture.relay.leg_view(listener.leg).expect("it is open");
        let last = view.last_unsent.map(|last| last.reason);
        let drops = view.figures.drops;
        (drops.of(DropReason::SocketFull), drops.of(DropReason::TooLate), last)
    });
    let (full, late) = (Some(DropReason::SocketFull), Some(DropReason::TooLate));
    assert_eq!(counts[..3], [(2, 0, full), (0, 1, late), (0, 0, None)]);
}

#[test]
fn late_voice_is_dropped_and_a_late_discovery_request_is_answered() {
    let mut fixture = Fixture::new();
    let room = fixture.room();
    let mut speaker = fixture.join(room, AES);
    let _listener = fixture.join(room, AES);
    let mut packet = speaker.packet(1, b"opus");
    let age = std::time::Duration::from_millis(101);
    let fanout = fixture.relay.handle_aged_datagram(NOW, age, speaker.address, &mut packet);
    assert_eq!(fanout.drop_reason(), Some(DropReason::TooLate));
    drop(fanout);
    assert_eq!(fixture.relay.stats().packets_in, 0, "it was not opened");

    let newcomer = fixture.open(room, AES);
    let mut request = request(newcomer.ssrc);
    let mut fanout = fixture.relay.handle_aged_datagram(NOW, age, newcomer.address, &mut request);
    assert_eq!(fanout.fill(&mut fixture.batch), Filled::Done);
    assert_eq!(fixture.batch.len(), 1);
}

#[test]
fn a_relay_that_is_behind_drops_what_waited_too_long_unopened() {
    let mut fixture = Fixture::new();
    let room = fixture.room();
    let mut speaker = fixture.join(room, AES);
    let _listener = fixture.join(room, AES);
    let age = std::time::Duration::from_millis(50);
    let mut packet = speaker.packet(1, b"opus");
    let heard = fixture.relay.handle_aged_datagram(NOW, age, speaker.address, &mut packet);
    assert_eq!(heard.drop_reason(), None, "one that waited is no sign");
    drop(heard);
    fixture.relay.note_overflow(NOW, 7);
    let mut packet = speaker.packet(2, b"opus");
    let dropped = fixture.relay.handle_aged_datagram(NOW, age, speaker.address, &mut packet);
    assert_eq!(dropped.drop_reason(), Some(DropReason::Behind));
    drop(dropped);
    let shed: Vec<_> = fixture.relay.shed_by_room().collect();
    assert_eq!(shed, [(room, 1)]);
    let stats = fixture.relay.stats();
    assert_eq!((stats.packets_in, stats.overflows), (1, 7));
    let mut news = std::iter::from_fn(|| fixture.relay.poll_event());
    assert_eq!(news.next(), Some(RelayEvent::Behind));
    assert!(!news.any(|event| event == RelayEvent::Behind), "told once");
}

// Clauses: V4.12
#[test]
fn a_sender_over_its_rates_is_cut_and_not_closed() {
    let mut fixture = Fixture::new();
    let room = fixture.room();
    let mut speaker = fixture.join(room, AES);
    fixture.join(room, AES);
    let heard = (0..600).filter(|n| !fixture.speak(&mut speaker, *n).is_empty()).count();
    assert_eq!(heard, 500);
    fixture.now = fixture.now + std::time::Duration::from_secs(2);
    let large = |fixture: &mut Fixture, speaker: &mut Client, n| {
        let packet = speaker.packet(n, &[0; 1_280]);
        !fixture.send(speaker.address, &packet).is_empty()
    };
    let heard = (600..700).filter(|n| large(&mut fixture, &mut speaker, *n)).count();
    assert_eq!(heard, 50, "512,000 bits");
}

#[test]
fn the_first_packet_under_a_key_is_told_once() {
    let mut fixture = Fixture::new();
    let room = fixture.room();
    let mut speaker = fixture.join(room, AES);
    fixture.permit(&speaker, false, true);
    fixture.events();
    fixture.speak(&mut speaker, 1);
    fixture.speak(&mut speaker, 2);
    assert_eq!(fixture.events(), [RelayEvent::Heard { leg: speaker.leg }]);
    fixture.set_key(&speaker, None);
    fixture.speak(&mut speaker, 1);
    assert_eq!(fixture.events(), [RelayEvent::Heard { leg: speaker.leg }]);
}

// Clauses: V4.13
#[test]
fn a_client_that_uses_our_nonce_is_sealed_for_no_more() {
    let mut fixture = Fixture::new();
    let room = fixture.room();
    let mut speaker = fixture.join(room, AES);
    let mut thief = fixture.join(room, AES);
    thief.packet(0, b"");
    fixture.speak(&mut thief, 1);
    let copy = fixture.speak(&mut speaker, 1).remove(0).2;
    let ours = &copy[copy.len() - 4..];
    fixture.events();
    let mut header = [0x80, 0x78, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0];
    header[8..].copy_from_slice(&thief.ssrc.0.to_be_bytes());
    let packet = thief.seal_with(&header, b"opus", ours);
    assert_eq!(fixture.refused(thief.address, &packet), DropReason::NonceCollision);
    assert_eq!(fixture.events(), [RelayEvent::Exhausted { leg: thief.leg }]);
    assert!(fixture.speak(&mut speaker, 2).is_empty());
    assert_eq!(fixture.drops(DropReason::NonceCollision), 2);
    fixture.set_key(&thief, None);
    assert_eq!(fixture.speak(&mut speaker, 3).len(), 1, "a fresh key is another life");
}

// Clauses: V4.14
#[test]
fn an_old_key_is_renewed_in_silence_and_a_spent_one_at_once() {
    let limits = Limits {
        key_soft_packets: 1_024,
        key_hard_packets: 2_048,
        sender_packet_burst: 100_000,
        sender_bps: 100_000_000,
        ..Limits::default()
    };
    let mut fixture = Fixture::with(&limits, MediaConfig::default());
    let room = fixture.room();
    let mut speaker = fixture.join(room, AES);
    let listener = fixture.join(room, AES);
    fixture.events();
    (0..1_024).for_each(|n| drop(fixture.speak(&mut speaker, n)));
    fixture.events();
    for seconds in [1, 3, 5] {
        fixture.now = NOW + std::time::Duration::from_secs(seconds);
        fixture.refused(at(1, 1), b"?");
        let expected =
            if seconds == 3 { vec![RelayEvent::Exhausted { leg: listener.leg }] } else { vec![] };
        assert_eq!(fixture.events(), expected, "after {seconds} s");
    }
    (1_024..2_048).for_each(|n| assert_eq!(fixture.speak(&mut speaker, n).len(), 1));
    assert_eq!(fixture.events(), [RelayEvent::Exhausted { leg: listener.leg }]);
    assert!(fixture.speak(&mut speaker, 2_048).is_empty());
    assert_eq!(fixture.drops(DropReason::KeyExhausted), 1);
}

// Clauses: V4.8
#[test]
fn no_vector_that_must_fail_is_relayed() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/vectors/rtp.json");
    let text = std::fs::read_to_string(path).expect("tests/vectors/rtp.json is in the tree");
    let vectors: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
    let cases = vectors["must_fail"].as_array().expect("a list");
    assert!(cases.len() >= 57);
    for case in cases {
        let field = |name: &str| case[name].as_str().expect("a string");
        let mode = Mode::from_name(field("mode")).expect("a mode");
        let mut fixture = Fixture::new();
        let room = fixture.room();
        fixture.join(room, AES);
        let leg = fixture.legs.insert(());
        let ssrc = Ssrc(0x0001_C35A);
        let (peer, bitrate, permissions) = (None, 64_000, BOTH);
        fixture.command(RelayCommand::Open { leg, room, ssrc, peer, bitrate, permissions });
        let key = hex(field("key")).try_into().expect("32 bytes");
        let client = Client { leg, ssrc, address: at(9, 9), mode, key, counter: 0 };
        fixture.set_key(&client, None);
        let reason = fixture.refused(client.address, &hex(field("packet")));
        let why = field("why");
        let fine = matches!(reason, DropReason::Unauthentic | DropReason::Malformed)
            || reason == DropReason::UnknownSsrc && why.starts_with("SSRC flipped")
            || reason == DropReason::Unrecognised && why.starts_with("11 bytes");
        assert!(fine, "{}: {why}: {reason:?}", mode.name());
    }
}

fn hex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2);
    let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).expect("text"), 16);
    digits.map(|pair| byte(pair).expect("hex")).collect()
}

/// Something that may reach a relay: garbage, or a plausible datagram with a change in it.
fn datagram() -> impl Strategy<Value = Vec<u8>> {
    let garbage = prop::collection::vec(any::<u8>(), 0..1_600);
    let ssrc = 3_996..4_024u32;
    let near = (ssrc.clone(), any::<[u8; 8]>(), prop::collection::vec(any::<u8>(), 0..100));
    let rtp = near.prop_map(|(ssrc, [first, rest @ ..], tail)| {
        [&[0x80 | (first & 0x3F)][..], &rest, &ssrc.to_be_bytes(), &tail].concat()
    });
    let ask = ssrc.prop_map(|ssrc| request(Ssrc(ssrc)).to_vec());
    let ping = any::<[u8; 4]>().prop_map(|echo| [&[0x13, 0x37, 0xCA, 0xFE][..], &echo].concat());
    prop_oneof![garbage, rtp, ask, ping]
}

proptest! {
    #[test]
    fn strangers_never_get_more_than_they_send(
        packets in prop::collection::vec((datagram(), any::<[u8; 4]>(), any::<u16>()), 1..40),
    ) {
        let mut fixture = Fixture::new();
        let room = fixture.room();
        let _bound = [fixture.join(room, AES), fixture.join(room, XCHACHA)];
        let _waiting = [fixture.open(room, AES), fixture.open(room, XCHACHA)];
        for (packet, ip, port) in packets {
            let from = SocketAddr::new(IpAddr::from(ip), port);
            let sent = fixture.send(from, &packet);
            let out: usize = sent.iter().map(|(_, _, bytes)| bytes.len()).sum();
            prop_assert!(out <= packet.len());
            prop_assert!(sent.iter().all(|(address, ..)| *address == from));
        }
        fixture.events();
    }
}
