//! The checks that every datagram passes, in the order that makes a stranger's garbage cheapest.
//!
//! length and source, kind, (RTP) version and lengths, one look-up of the SSRC, key, authentication,
//! nonce guard, sequence window, address, lengths inside the plaintext, rates, permission. Not
//! here: what happens to an accepted packet (`fanout.rs`), and the addresses and keys themselves
//! (`leg.rs`).
//!
//! Nothing that was not authenticated changes anything but counters, reply rates, and the
//! addresses proposed for a leg that has none.

use std::net::SocketAddr;

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
use crate::wire::{discovery, rtcp, rtp};

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
        match discovery::classify(packet) {
            discovery::Kind::Rtp => self.judge_rtp(from, packet),
            discovery::Kind::Rtcp => Err(self.judge_rtcp(packet)),
            discovery::Kind::Discovery { ssrc } => {
                self.judge_discovery(from, ssrc).map(Verdict::Reply)
            }
            discovery::Kind::Ping(echo) => self.judge_ping(from, echo).map(Verdict::Reply),
            discovery::Kind::Keepalive => Err(DropReason::Keepalive),
            discovery::Kind::Unrecognised => Err(DropReason::Unrecognised),
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
        let bytes = discovery::response(ssrc, from);
        Ok(Reply { leg, address: from, length: bytes.len(), bytes, is_discovery: true })
    }

    /// A ping names no SSRC, so that only the address tells whose it is.
    fn judge_ping(&mut self, from: SocketAddr, echo: [u8; 4]) -> Result<Reply, DropReason> {
        let id = self.by_address.get(&from).copied().ok_or(DropReason::Ping)?;
        let leg = self.rooms.leg_mut(id).ok_or(DropReason::Ping)?;
        if !leg.ping.take(self.now, self.limits.ping, 1) {
            return Err(DropReason::Ping);
        }
        let pong = discovery::pong(echo);
        let mut bytes = [0; discovery::DISCOVERY_BYTES];
        bytes[..pong.len()].copy_from_slice(&pong);
        Ok(Reply { leg: id, address: from, length: pong.len(), bytes, is_discovery: false })
    }

    /// RTCP is never relayed. It is opened all the same, because its nonces count.
    fn judge_rtcp(&mut self, packet: &mut [u8]) -> DropReason {
        let Some(ssrc) = rtcp::sender(packet) else { return DropReason::Malformed };
        let Some(place) = self.rooms.find(ssrc) else { return DropReason::UnknownSsrc };
        match self.open_packet(place, packet, |_| Some(rtcp::CLEAR_BYTES)) {
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
        let header = rtp::Header::parse(packet).ok_or(DropReason::Malformed)?;
        let place = self.rooms.find(header.ssrc).ok_or(DropReason::UnknownSsrc)?;
        let rtpsize_clear = header.rtpsize_clear_bytes(packet);
        let (clear, plaintext) = self.open_packet(place, packet, |is_rtpsize| {
            if is_rtpsize { rtpsize_clear } else { Some(rtp::FIXED_BYTES) }
        })?;
        self.check_sequence(place, from, &header)?;
        if header.payload_type != rtp::OPUS {
            return Err(DropReason::PayloadType);
        }
        let body = rtp::Body::split(&header, clear, plaintext).ok_or(DropReason::Malformed)?;
        if body.payload.len() > self.limits.payload_bytes {
            return Err(DropReason::TooLarge);
        }
        let leg = self.rooms.at(place);
        if !leg.packets.take(self.now, self.limits.sender_packets, 1)
            || !leg.bits.take(self.now, self.limits.sender_bits, 8 * body.payload.len() as u64)
        {
            return Err(DropReason::RateLimited);
        }
        leg.figures.packets_in += 1;
        leg.figures.bytes_in += bytes;
        self.stats.packets_in += 1;
        if let Some(keyed) = &mut leg.keyed {
            if !std::mem::replace(&mut keyed.heard, true) {
                self.news.note(leg, Note::Heard);
            }
        }
        if !leg.permissions.speak {
            return Err(DropReason::Muted);
        }
        let head = forwarded_head(&header, &body, self.now);
        Ok(Verdict::Forward { from: place, head, payload: body.payload })
    }

    /// Authenticates and opens a packet of this leg, and shows its nonce to the guard.
    /// `clear_bytes` says how much of it is clear, told whether the mode is an rtpsize one.
    fn open_packet<'p>(
        &mut self,
        place: Place,
        packet: &'p mut [u8],
        clear_bytes: impl FnOnce(bool) -> Option<usize>,
    ) -> Result<(&'p [u8], &'p [u8]), DropReason> {
        let leg = self.rooms.at(place);
        let keyed = leg.keyed.as_mut().ok_or(DropReason::NoKey)?;
        let clear_bytes = clear_bytes(keyed.mode.is_rtpsize()).ok_or(DropReason::Malformed)?;
        match keyed.open(packet, clear_bytes) {
            Ok(opened) => Ok(opened),
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
        header: &rtp::Header,
    ) -> Result<(), DropReason> {
        let leg = self.rooms.at(place);
        if leg.ssrc != header.ssrc {
            // Video or retransmission of the same client, with a sequence of its own.
            return Err(DropReason::PayloadType);
        }
        let keyed = leg.keyed.as_mut().ok_or(DropReason::NoKey)?;
        match keyed.window.accept(header.sequence) {
            Accepted::Newest => self.follow(place, from),
            Accepted::Late => {}
            Accepted::Restarted => self.stats.sequence_restarts += 1,
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

/// The header of every copy: the sender's sequence, timestamp and SSRC, and nothing else of it but
/// two extension values. No CSRCs, no padding, no marker and always the same extension of two
/// words, because one client or another stumbles over anything else.
fn forwarded_head(
    header: &rtp::Header,
    body: &rtp::Body<'_>,
    now: Timestamp,
) -> [u8; HEAD_BYTES] {
    let mut head = [0; HEAD_BYTES];
    head[0] = 0x90;
    head[1] = rtp::OPUS;
    head[2..4].copy_from_slice(&header.sequence.to_be_bytes());
    head[4..8].copy_from_slice(&header.timestamp.to_be_bytes());
    head[8..12].copy_from_slice(&header.ssrc.0.to_be_bytes());
    head[12..16].copy_from_slice(&[0xBE, 0xDE, 0, 2]);
    let [_, high, middle, low] = send_time(now).to_be_bytes();
    head[16..20].copy_from_slice(&[0x32, high, middle, low]);
    head[20..22].copy_from_slice(&[0x10, body.audio_level.unwrap_or(0x9E)]);
    head[22..24].copy_from_slice(&[0x90, body.speaking.filter(|flags| *flags != 0).unwrap_or(0x02)]);
    head
}

/// Seconds in 24 bits, 18 of them behind the point.
const fn send_time(now: Timestamp) -> u32 {
    // Below 64 s, so that the product stays below 2^44 and the quotient below 2^24.
    let micros = now.as_micros() % 64_000_000;
    ((micros << 18) / 1_000_000) as u32
}
