//! Datagrams to a relay with sessions of every kind: with and without keys, in each mode, muted,
//! deafened, bound and unbound.
//!
//! Input: a byte of configuration, then steps. A step is a raw datagram, or a packet that is made
//! and then sealed under the key of a session (and sometimes changed after that), or a command to
//! the relay, or time. It is asserted that
//!
//! * nothing is allocated from `handle_datagram` to the dropped fan-out, and all of it is counted;
//! * a copy goes only to whom hears in the sender's room, and says what its sender sealed;
//! * no nonce is used twice under a key, the client's included;
//! * nothing goes where no datagram came from, nothing is amplified, and what is sealed to an
//!   address that nobody vouches for is covered three times.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use lvsp_core::config::ForeignUdp;
use lvsp_core::media::batch::Transmit;
use lvsp_core::media::command::Permissions;
use lvsp_core::media::{Filled, TransmitBatch};
use lvsp_core::reasons::DropReason;
use lvsp_core::wire::discovery::{self, Kind};
use lvsp_core::wire::rtp::{self, RtpHeader};

use crate::bounds::without_heap;
use crate::rtp_header::{clear_len_of, content_of};
use crate::script::Script;
use crate::table::{Table, address, peer};

/// `limits.payload_bytes`, and what stands before it in what leaves.
const PAYLOAD_BYTES: usize = 1_336;
const HEAD_BYTES: usize = rtp::FORWARD_CLEAR_LEN + rtp::FORWARD_EXTENSION_LEN;

/// The body of this target.
pub fn udp_datagram(data: &[u8]) {
    let mut script = Script::new(data);
    let mut bench = Bench {
        table: Table::new(script.next::<u8>()),
        batch: TransmitBatch::with_capacity(32 * 1_024, 64),
        seen: BTreeMap::new(),
        counters: [0; 16],
    };
    while let Some(tag) = script.step::<u8>() {
        bench.step(tag, &mut script);
    }
}

/// What was done to a packet after it had been sealed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Changed {
    Nothing,
    /// A byte that secretbox modes do not authenticate.
    Clear,
    Sealed,
}

/// Who sealed a packet, and what.
struct Origin {
    seat: usize,
    /// As it was before it was sealed.
    packet: Vec<u8>,
    nonce: [u8; 4],
    changed: Changed,
}

/// Bytes that came from an address, and bytes that went there for the first session.
#[derive(Default)]
struct Traffic {
    received: usize,
    guarded: usize,
}

struct Bench {
    table: Table,
    batch: TransmitBatch,
    /// Every address that something came from.
    seen: BTreeMap<SocketAddr, Traffic>,
    counters: [u32; 16],
}

impl Bench {
    fn step(&mut self, tag: u8, script: &mut Script<'_>) {
        let seat = usize::from(tag >> 3) % self.table.seats.len();
        match tag & 7 {
            0 => {
                let from = address(script.next::<u8>());
                let length = usize::from(script.next::<u16>()) % 1_600;
                let bytes = script.bytes(length);
                check_response(bytes);
                self.give(from, bytes.to_vec(), None);
            }
            1 | 2 => self.give_rtp(seat, script),
            3 => self.give_rtcp(seat, script),
            4 => self.give_request(seat, script),
            5 => {
                let (from, opaque) = (address(script.next::<u8>()), script.next::<[u8; 4]>());
                self.give(from, [&[0x13, 0x37, 0xCA, 0xFE], &opaque[..]].concat(), None);
            }
            6 => {
                let wait = Duration::from_millis(script.next::<u16>().into());
                self.table.now = self.table.now + wait;
            }
            _ => self.command(seat, script.next::<u8>()),
        }
    }

    fn command(&mut self, seat: usize, what: u8) {
        match what & 3 {
            0 => self.table.rekey(seat),
            1 | 2 => {
                let permissions = Permissions { speak: what & 4 == 0, hear: what & 8 == 0 };
                self.table.permit(seat, permissions);
            }
            _ => self.table.close(seat),
        }
    }

    // --- datagrams ---

    fn give_request(&mut self, seat: usize, script: &mut Script<'_>) {
        let (from, what) = (address(script.next::<u8>()), script.next::<u8>());
        let ssrc = self.table.seats[seat].ssrc + u32::from(what >> 1 & 3);
        let mut request = [0; discovery::LEN];
        discovery::write_request(&mut request, lvsp_core::ids::Ssrc(ssrc));
        let bytes = match what & 1 {
            0 => request.to_vec(),
            _ => [&ssrc.to_be_bytes()[..], &[0; 66]].concat(),
        };
        self.give(from, bytes, None);
    }

    fn give_rtp(&mut self, seat: usize, script: &mut Script<'_>) {
        let (from, [first, second, s0, s1]) = (address(script.next::<u8>()), script.next());
        let nonce = self.nonce(seat, script);
        let (change, length) = (script.next::<u16>(), usize::from(script.next::<u16>()) % 1_600);
        // Most packets are of version 2 and carry Opus.
        let first = if first & 0x40 == 0 { 0x80 | first & 0x3F } else { first };
        let second = if second & 0x08 == 0 { second & 0x80 | rtp::OPUS } else { second };
        let ssrc = self.table.seats[seat].ssrc.to_be_bytes();
        let timestamp = (u32::from(u16::from_be_bytes([s0, s1])) * 960).to_be_bytes();
        let mut packet = vec![first, second, s0, s1];
        packet.extend(timestamp.iter().chain(&ssrc));
        packet.extend(script.bytes(length));
        let rtpsize = self.table.seats[seat].mode.is_rtpsize();
        let clear = if rtpsize { clear_len_of(&packet) } else { rtp::FIXED_LEN };
        self.give_sealed(
            from,
            Origin { seat, packet, nonce, changed: Changed::Nothing },
            clear,
            change,
        );
    }

    fn give_rtcp(&mut self, seat: usize, script: &mut Script<'_>) {
        let (from, kind) = (address(script.next::<u8>()), script.next::<u8>());
        let nonce = self.nonce(seat, script);
        let (change, length) = (script.next::<u16>(), usize::from(script.next::<u8>()));
        let mut packet = vec![0x80, 200 + kind % 7, 0, 6];
        packet.extend(self.table.seats[seat].ssrc.to_be_bytes());
        packet.extend(script.bytes(length));
        self.give_sealed(
            from,
            Origin { seat, packet, nonce, changed: Changed::Nothing },
            8,
            change,
        );
    }

    /// A client's next counter, or a number of its choice.
    fn nonce(&mut self, seat: usize, script: &mut Script<'_>) -> [u8; 4] {
        let how = script.next::<u8>();
        if how >= 0x80 {
            return script.next();
        }
        self.counters[seat] = self.counters[seat].wrapping_add(u32::from(how) + 1);
        self.counters[seat].to_be_bytes()
    }

    /// Seals a packet; a `change` that is not zero then flips a bit of it.
    fn give_sealed(&mut self, from: SocketAddr, mut origin: Origin, clear: usize, change: u16) {
        let seat = &self.table.seats[origin.seat];
        let Some((head, body)) = origin.packet.split_at_checked(clear) else {
            return self.give(from, origin.packet, None);
        };
        let Some(mut sealed) = seat.seal(head, body, origin.nonce) else {
            return self.give(from, origin.packet, None);
        };
        if change != 0 {
            let at = usize::from(change >> 3) % sealed.len();
            sealed[at] ^= 1 << (change & 7);
            let unsealed = at < clear && seat.mode.is_secretbox();
            origin.changed = if unsealed { Changed::Clear } else { Changed::Sealed };
        }
        self.give(from, sealed, Some(origin));
    }

    fn give(&mut self, from: SocketAddr, mut bytes: Vec<u8>, origin: Option<Origin>) {
        let from_plain = plain(from);
        self.seen.entry(from_plain).or_default().received += bytes.len();
        let (kind, length) = (Kind::of(&bytes), bytes.len());
        let before = self.table.relay.stats().clone();
        self.batch.clear();
        let (table, batch) = (&mut self.table, &mut self.batch);
        let dropped = without_heap(|| {
            let mut fanout = table.relay.handle_datagram(table.now, from, &mut bytes);
            let dropped = fanout.drop_reason();
            assert_eq!(fanout.fill(batch), Filled::Done, "there is room for every copy");
            dropped
        });
        let after = self.table.relay.stats();
        assert_eq!(after.datagrams_in, before.datagrams_in + 1);
        if let Some(reason) = dropped {
            assert!(self.batch.is_empty(), "dropped, and something is sent");
            assert_eq!(after.drops.of(reason), before.drops.of(reason) + 1, "{reason:?}");
        }
        self.note_nonce(origin.as_ref(), length, dropped);
        match kind {
            Kind::Rtp => self.check_copies(origin.as_ref()),
            _ => self.check_reply(from_plain, length, kind),
        }
        self.check_credit();
        let events = std::iter::from_fn(|| self.table.relay.poll_event()).take(100).count();
        assert!(events <= 3 * self.table.seats.len(), "each leg has three kinds of news");
    }

    /// The client used a nonce, and the relay has seen it in a packet that authenticated.
    fn note_nonce(&mut self, origin: Option<&Origin>, length: usize, dropped: Option<DropReason>) {
        let Some(origin) = origin else { return };
        let unopened = matches!(
            dropped,
            Some(
                DropReason::ForbiddenAddress
                    | DropReason::UnknownSsrc
                    | DropReason::NoKey
                    | DropReason::Unauthentic
                    | DropReason::Unrecognised
                    | DropReason::Keepalive
                    | DropReason::DiscoveryBound
                    | DropReason::Ping
            )
        );
        let too_long = dropped == Some(DropReason::Malformed) && length > 1_500;
        if origin.changed == Changed::Nothing && !unopened && !too_long {
            self.table.seats[origin.seat].note_theirs(origin.nonce);
        }
    }

    // --- what leaves ---

    fn check_reply(&mut self, from: SocketAddr, length: usize, kind: Kind) {
        let mut entries = self.batch.entries();
        let Some(reply) = entries.next() else { return };
        assert!(entries.next().is_none(), "one reply to one datagram");
        assert_eq!(reply.address, from, "to where the datagram came from");
        // A report is four bytes longer than the shortest report that asks for it.
        let grown = if kind == Kind::Rtcp { 4 } else { 0 };
        assert!(reply.bytes.len() <= length + grown, "{length} bytes became {}", reply.bytes.len());
        let seat = self.table.seats.iter_mut().find(|seat| seat.leg == reply.leg);
        let seat = seat.filter(|seat| seat.open).expect("an open session");
        if seat.peer.is_some() {
            self.seen.get_mut(&from).expect("noted").guarded += reply.bytes.len();
        }
        match kind {
            Kind::Discovery(ssrc) => {
                assert_eq!(discovery::parse_response(reply.bytes), Some((ssrc, from)));
                assert_eq!(ssrc.0, seat.ssrc);
            }
            Kind::LegacyDiscovery(ssrc) => assert_eq!(ssrc.0, seat.ssrc),
            Kind::Ping(opaque) => assert_eq!(reply.bytes, discovery::pong(opaque)),
            Kind::Rtcp => {
                seat.note_ours(reply.bytes);
                let (clear, body) = seat.opened(reply.bytes, 8);
                assert_eq!((clear[1], &body[..4]), (201, &seat.ssrc.to_be_bytes()[..]));
            }
            Kind::Keepalive | Kind::Rtp | Kind::Other => panic!("{kind:?} is never answered"),
        }
    }

    fn check_copies(&mut self, origin: Option<&Origin>) {
        if self.batch.is_empty() {
            return;
        }
        let origin = origin.expect("nobody sealed this");
        assert_ne!(origin.changed, Changed::Sealed, "changed after it was sealed");
        let sender = &self.table.seats[origin.seat];
        assert!(sender.permissions.speak && sender.open && sender.cipher.is_some());
        let (room, from_ssrc) = (sender.room, sender.ssrc);
        let mut served = Vec::new();
        for copy in self.batch.entries() {
            let at = self.table.seats.iter().position(|seat| seat.leg == copy.leg);
            let at = at.expect("a session");
            let seat = &mut self.table.seats[at];
            assert!(seat.open && seat.permissions.hear && seat.room == room && at != origin.seat);
            assert!(!served.contains(&at), "two copies for one");
            served.push(at);
            let most = HEAD_BYTES + PAYLOAD_BYTES + seat.mode.overhead();
            assert!(copy.bytes.len() <= most, "{} bytes", copy.bytes.len());
            seat.note_ours(copy.bytes);
            let rtpsize = seat.mode.is_rtpsize();
            let clear_bytes = if rtpsize { rtp::FORWARD_CLEAR_LEN } else { rtp::FIXED_LEN };
            let (clear, plaintext) = seat.opened(copy.bytes, clear_bytes);
            check_content(origin, from_ssrc, &[clear, plaintext].concat());
            let traffic = self.seen.get_mut(&copy.address).expect("something came from there");
            let guarded = seat.peer.is_some();
            traffic.guarded += if guarded { copy.bytes.len() } else { 0 };
            check_address(guarded, &copy, self.table.config.foreign_udp);
        }
    }

    /// What the first session has got at an address that its gateway connection does not vouch for
    /// is covered three times by what came from there.
    fn check_credit(&self) {
        for (address, Traffic { received, guarded }) in &self.seen {
            let foreign = address.is_ipv4() && address.ip() != peer();
            if foreign && self.table.config.foreign_udp == ForeignUdp::Guarded {
                assert!(
                    *guarded <= 3 * received,
                    "{guarded} bytes to {address}, {received} from it"
                );
            }
        }
    }
}

/// A copy says what was sealed, under a header of the server's own.
fn check_content(origin: &Origin, ssrc: u32, copy: &[u8]) {
    let header = RtpHeader::parse(copy).expect("we wrote it");
    assert_eq!(header.ssrc.0, ssrc);
    assert!(!header.marker && !header.padding && header.csrc_count == 0 && header.extension);
    let (elements, payload) = content_of(copy).expect("we wrote it");
    if origin.changed == Changed::Clear {
        return; // modes that do not authenticate the header let anybody on the way rewrite it
    }
    let said = RtpHeader::parse(&origin.packet).expect("it was forwarded");
    assert_eq!((header.sequence, header.timestamp), (said.sequence, said.timestamp));
    let (stated, sealed) = content_of(&origin.packet).expect("it was forwarded");
    assert_eq!(payload, sealed, "what was sealed is what is heard");
    let level = stated.audio_level.unwrap_or(rtp::DEFAULT_AUDIO_LEVEL);
    assert_eq!(elements.audio_level, Some(level));
}

/// What a client reads as an answer to discovery is what a server writes as one.
fn check_response(bytes: &[u8]) {
    let Some((ssrc, address)) = discovery::parse_response(bytes) else { return };
    let mut response = [0; discovery::LEN];
    discovery::write_response(&mut response, ssrc, address);
    assert_eq!(discovery::parse_response(&response), Some((ssrc, plain(address))));
}

/// A session whose gateway address is known gets its media nowhere else, where that is demanded.
fn check_address(guarded: bool, copy: &Transmit<'_>, rule: ForeignUdp) {
    if guarded && rule == ForeignUdp::Strict {
        assert_eq!(copy.address.ip(), peer());
    }
    assert!(copy.address.port() != 0 && !copy.address.ip().is_multicast());
}

fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
