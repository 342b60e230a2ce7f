//! The checks that every datagram passes, in the order that makes a stranger's garbage cheapest.
//!
//! length and source, kind, (RTP) version and lengths, one look-up of the SSRC, key, authentication,
//! nonce guard, sequence window, address, lengths inside the plaintext, rates, permission. Not
//! here: what happens to an accepted packet (`fanout.rs`), and the addresses and keys themselves
//! (`leg.rs`).
//!
//! Nothing that was not authenticated changes anything but counters, reply rates, and the
//! addresses proposed for a leg that has none.

use std::mem;
use std::net::SocketAddr;

use crate::crypto::mode::Mode;
use crate::crypto::replay::Accepted;
use crate::ids::Ssrc;
use crate::media::batch::DATAGRAM_BYTES;
use crate::media::fanout::{HEAD_BYTES, Reply};
use crate::media::leg::{Move, OpenFailure, is_forbidden};
use crate::media::news::Note;
use crate::media::relay::{Relay, unbind};
use crate::media::room::Place;
use crate::reasons::DropReason;
use crate::time::Timestamp;
use crate::wire::discovery::{self, Kind};
use crate::wire::rtcp::{self, RtcpHeader};
use crate::wire::rtp::{self, Elements, RtpHeader};

/// What is to be done with a datagram that is not dropped.
pub(super) enum Verdict<'p> {
    Reply(Reply),
    Forward { from: Place, head: [u8; HEAD_BYTES], payload: &'p [u8] },
}

impl Relay {
    /// Decides about one datagram from a normalised address.
    pub(super) fn judge<'p>(
        &mut self,
        from: SocketAddr,
        packet: &'p mut [u8],
    ) -> Result<Verdict<'p>, DropReason> {
        if packet.len() > DATAGRAM_BYTES {
            return Err(DropReason::Malformed);
        }
        if is_forbidden(from, self.loopback_allowed) {
            return Err(DropReason::ForbiddenAddress);
        }
        match Kind::of(packet) {
            Kind::Rtp => self.judge_rtp(from, packet),
            Kind::Rtcp => Err(self.judge_rtcp(packet)),
            Kind::Discovery(ssrc) => self.judge_discovery(from, ssrc).map(Verdict::Reply),
            Kind::Ping(opaque) => self.judge_ping(from, opaque).map(Verdict::Reply),
            Kind::Keepalive => Err(DropReason::Keepalive),
            // The old discovery is off: nobody has answered it since 2023.
            Kind::LegacyDiscovery(_) | Kind::Other => Err(DropReason::Unrecognised),
        }
    }

    /// Answered while the leg has no address, to whoever asks: what is learned is only where
    /// the request came from. A leg that has a key but no address yet is bound by it.
    fn judge_discovery(&mut self, from: SocketAddr, ssrc: Ssrc) -> Result<Reply, DropReason> {
        let place = self.rooms.find(ssrc).ok_or(DropReason::UnknownSsrc)?;
        let leg = self.rooms.at(place);
        if leg.ssrc != ssrc {
            return Err(DropReason::UnknownSsrc);
        }
        if leg.binding.address().is_some_and(|bound| bound != from) {
            return Err(DropReason::DiscoveryBound);
        }
        if !leg.discovery.take(self.now, self.limits.discovery, 1) {
            return Err(DropReason::DiscoveryLimited);
        }
        if leg.keyed.is_none() {
            leg.binding.propose(from);
        } else {
            self.follow(place, from);
        }
        let leg = self.rooms.at(place).id;
        let mut bytes = [0; discovery::LEN];
        discovery::write_response(&mut bytes, ssrc, from);
        Ok(Reply { leg, address: from, length: bytes.len(), bytes, is_discovery: true })
    }

    /// A ping names no SSRC, so that only the address tells whose it is.
    fn judge_ping(&mut self, from: SocketAddr, opaque: [u8; 4]) -> Result<Reply, DropReason> {
        let id = self.by_address.get(&from).copied().ok_or(DropReason::Ping)?;
        let leg = self.rooms.leg_mut(id).ok_or(DropReason::Ping)?;
        if !leg.ping.take(self.now, self.limits.ping, 1) {
            return Err(DropReason::Ping);
        }
        let pong = discovery::pong(opaque);
        let mut bytes = [0; discovery::LEN];
        bytes[..pong.len()].copy_from_slice(&pong);
        Ok(Reply { leg: id, address: from, length: pong.len(), bytes, is_discovery: false })
    }

    /// RTCP is never relayed. It is opened all the same, because its nonces count.
    fn judge_rtcp(&mut self, packet: &mut [u8]) -> DropReason {
        let Some(header) = RtcpHeader::parse(packet) else { return DropReason::Malformed };
        let Some(place) = self.rooms.find(header.sender) else { return DropReason::UnknownSsrc };
        match self.open_packet(place, packet, |_| rtcp::CLEAR_LEN) {
            Ok(_) => DropReason::Rtcp,
            Err(reason) => reason,
        }
    }

    fn judge_rtp<'p>(
        &mut self,
        from: SocketAddr,
        packet: &'p mut [u8],
    ) -> Result<Verdict<'p>, DropReason> {
        let bytes = packet.len() as u64;
        let header = RtpHeader::parse(packet).ok_or(DropReason::Malformed)?;
        let place = self.rooms.find(header.ssrc).ok_or(DropReason::UnknownSsrc)?;
        let (mode, clear, plaintext) =
            self.open_packet(place, packet, |mode| header.clear_len(mode.is_rtpsize()))?;
        self.check_sequence(place, from, &header)?;
        if header.payload_type != rtp::OPUS {
            return Err(DropReason::PayloadType);
        }
        let (elements, payload) =
            header.split(clear, plaintext, mode.is_rtpsize()).ok_or(DropReason::Malformed)?;
        if payload.len() > self.limits.payload_bytes {
            return Err(DropReason::TooLarge);
        }
        let leg = self.rooms.at(place);
        if !leg.packets.take(self.now, self.limits.sender_packets, 1)
            || !leg.bits.take(self.now, self.limits.sender_bits, 8 * payload.len() as u64)
        {
            return Err(DropReason::RateLimited);
        }
        leg.figures.packets_in += 1;
        leg.figures.bytes_in += bytes;
        self.stats.packets_in += 1;
        let first = leg.keyed.as_mut().is_some_and(|keyed| !mem::replace(&mut keyed.heard, true));
        if first {
            self.news.note(leg, Note::Heard);
        }
        if !leg.permissions.speak {
            return Err(DropReason::Muted);
        }
        let head = forwarded_head(&header, elements, self.now);
        Ok(Verdict::Forward { from: place, head, payload })
    }

    /// Authenticates and opens a packet of this leg, and shows its nonce to the guard.
    /// `clear_len` says how much of it is clear in the leg's mode.
    fn open_packet<'p>(
        &mut self,
        place: Place,
        packet: &'p mut [u8],
        clear_len: impl FnOnce(Mode) -> usize,
    ) -> Result<(Mode, &'p [u8], &'p [u8]), DropReason> {
        let leg = self.rooms.at(place);
        let keyed = leg.keyed.as_mut().ok_or(DropReason::NoKey)?;
        let mode = keyed.mode();
        match keyed.open(packet, clear_len(mode)) {
            Ok((clear, plaintext)) => Ok((mode, clear, plaintext)),
            Err(OpenFailure::Malformed) => Err(DropReason::Malformed),
            Err(OpenFailure::Unauthentic) => Err(DropReason::Unauthentic),
            Err(OpenFailure::Collision) => {
                self.news.note(leg, Note::Exhausted);
                Err(DropReason::NonceCollision)
            }
        }
    }

    /// Holds an authenticated packet against the sequence window, and follows its sender if it is
    /// the newest.
    fn check_sequence(
        &mut self,
        place: Place,
        from: SocketAddr,
        header: &RtpHeader,
    ) -> Result<(), DropReason> {
        let leg = self.rooms.at(place);
        if leg.ssrc != header.ssrc {
            // Video or retransmission of the same client, with a sequence of its own.
            return Err(DropReason::PayloadType);
        }
        let keyed = leg.keyed.as_mut().ok_or(DropReason::NoKey)?;
        match keyed.window.accept(header.sequence) {
            Accepted::Newest(_) => self.follow(place, from),
            Accepted::Late(_) => {}
            Accepted::Restarted(_) => self.stats.sequence_restarts += 1,
            Accepted::Replayed => return Err(DropReason::Replayed),
            Accepted::TooOld => return Err(DropReason::TooOld),
        }
        Ok(())
    }

    /// Binds a leg to `from`, or moves it there, as far as its rates allow.
    fn follow(&mut self, place: Place, from: SocketAddr) {
        let leg = self.rooms.at(place);
        match leg.binding.follow(self.now, from, self.limits.rebinds) {
            Move::Stayed => return,
            Move::Bound => {}
            Move::Moved { from: old } => {
                self.stats.rebinds += 1;
                unbind(&mut self.by_address, old, leg.id);
            }
        }
        self.by_address.insert(from, leg.id);
        self.news.note(leg, Note::Bound);
    }
}

/// The head of every copy: the sender's sequence, timestamp and SSRC, and nothing else of it but
/// two extension values. One client or another stumbles over CSRCs, padding, the marker, and any
/// extension but this one.
fn forwarded_head(header: &RtpHeader, elements: Elements, now: Timestamp) -> [u8; HEAD_BYTES] {
    let level = elements.audio_level.unwrap_or(rtp::DEFAULT_AUDIO_LEVEL);
    let flags = elements.speaking.filter(|flags| *flags != 0);
    let flags = flags.unwrap_or(rtp::DEFAULT_EXTENSION_FLAGS);
    let mut head = [0; HEAD_BYTES];
    let (clear, extension) = head.split_at_mut(rtp::FORWARD_CLEAR_LEN);
    clear.copy_from_slice(&rtp::forward_clear(header.sequence, header.timestamp, header.ssrc));
    let send_time = rtp::abs_send_time(now.as_micros());
    extension.copy_from_slice(&rtp::forward_extension(send_time, level, flags));
    head
}
