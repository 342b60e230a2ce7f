//! The checks that every datagram passes, in the order that makes a stranger's garbage cheapest.
//!
//! length and source, kind, (RTP) version and lengths, one look-up of the SSRC, age, key, authentication,
//! nonce guard, sequence window, address, lengths inside the plaintext, rates, permission. Not
//! here: what happens to an accepted packet (`fanout.rs`), addresses (`binding.rs`), keys (`leg.rs`)
//! and figures (`reception.rs`).
//!
//! Nothing that was not authenticated changes anything but counters, reply rates, and the
//! addresses proposed for a leg that has none.

use std::mem;
use std::net::SocketAddr;

use crate::crypto::mode::Mode;
use crate::crypto::replay::Accepted;
use crate::ids::{LegId, Ssrc};
use crate::media::batch::DATAGRAM_BYTES;
use crate::media::binding::{Move, Standing, is_forbidden};
use crate::media::fanout::{HEAD_BYTES, REPLY_BYTES, Reply, ReplyKind};
use crate::media::leg::{Leg, OpenFailure};
use crate::media::news::Note;
use crate::media::rate::Rate;
use crate::media::relay::Relay;
use crate::media::room::Place;
use crate::reasons::DropReason;
use crate::time::Timestamp;
use crate::wire::discovery::{self, Kind};
use crate::wire::rtcp::{self, RtcpHeader, SenderReport};
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
        if is_forbidden(from, self.config.loopback) {
            return Err(DropReason::ForbiddenAddress);
        }
        match Kind::of(packet) {
            Kind::Rtp => self.judge_rtp(from, packet),
            Kind::Rtcp => self.judge_rtcp(from, packet).map(Verdict::Reply),
            Kind::Discovery(ssrc) => self.judge_discovery(from, ssrc, false).map(Verdict::Reply),
            Kind::LegacyDiscovery(ssrc) if self.config.legacy_modes => {
                self.judge_discovery(from, ssrc, true).map(Verdict::Reply)
            }
            Kind::Ping(opaque) => self.judge_ping(from, opaque).map(Verdict::Reply),
            Kind::Keepalive => {
                self.note_alive(from);
                Err(DropReason::Keepalive)
            }
            // Nobody has answered the old discovery since 2023.
            Kind::LegacyDiscovery(_) | Kind::Other => Err(DropReason::Unrecognised),
        }
    }

    /// Answered while the leg has no address, to whoever asks: what is learned is only where
    /// the request came from. A leg that has a key but no address yet is bound by it.
    fn judge_discovery(
        &mut self,
        from: SocketAddr,
        ssrc: Ssrc,
        legacy: bool,
    ) -> Result<Reply, DropReason> {
        let place = self.rooms.find(ssrc).ok_or(DropReason::UnknownSsrc)?;
        if self.rooms.at(place).ssrc != ssrc {
            return Err(DropReason::UnknownSsrc);
        }
        let reply = self.answer_discovery(place, from, ssrc, legacy);
        reply.map_err(|reason| self.attribute(place, reason))
    }

    fn answer_discovery(
        &mut self,
        place: Place,
        from: SocketAddr,
        ssrc: Ssrc,
        legacy: bool,
    ) -> Result<Reply, DropReason> {
        let leg = self.rooms.at(place);
        if leg.binding.address().is_some_and(|bound| bound != from) {
            return Err(DropReason::DiscoveryBound);
        }
        if leg.binding.standing(from) == Standing::Refused {
            return Err(DropReason::ForeignAddress);
        }
        if !leg.discovery.take(self.now, self.limits.discovery, 1) {
            self.stats.limits.discovery_burst += 1;
            self.stats.limits.discovery_per_s += 1;
            return Err(DropReason::DiscoveryLimited);
        }
        if leg.keyed.is_none() {
            leg.binding.propose(from);
        } else {
            self.follow(place, from);
        }
        let leg = self.rooms.at(place).id;
        if legacy {
            let mut response = [0; discovery::LEGACY_LEN];
            discovery::write_legacy_response(&mut response, ssrc, from);
            return Ok(reply(leg, from, &response, ReplyKind::Discovery));
        }
        let mut response = [0; discovery::LEN];
        discovery::write_response(&mut response, ssrc, from);
        Ok(reply(leg, from, &response, ReplyKind::Discovery))
    }

    /// A ping names no SSRC, so that only the address tells whose it is.
    fn judge_ping(&mut self, from: SocketAddr, opaque: [u8; 4]) -> Result<Reply, DropReason> {
        let id = self.addresses.leg_at(from).ok_or(DropReason::Ping)?;
        let leg = self.rooms.leg_mut(id).ok_or(DropReason::Ping)?;
        leg.alive_at = Some(self.now);
        if !leg.ping.take(self.now, self.limits.ping, 1) {
            self.stats.limits.ping_per_s += 1;
            return Err(DropReason::Ping);
        }
        Ok(reply(id, from, &discovery::pong(opaque), ReplyKind::Ping))
    }

    /// Notes that the client at this address, if it is one's, still reaches the relay.
    fn note_alive(&mut self, from: SocketAddr) {
        let now = self.now;
        if let Some(leg) = self.bound(from) {
            leg.alive_at = Some(now);
        }
    }

    /// The leg that is bound to exactly this address.
    fn bound(&mut self, from: SocketAddr) -> Option<&mut Leg> {
        let id = self.addresses.leg_at(from)?;
        self.rooms.leg_mut(id)
    }

    /// RTCP is never relayed. A sender report is answered with a report of our own, from time to
    /// time; anything else is opened all the same, because its nonces count.
    fn judge_rtcp(&mut self, from: SocketAddr, packet: &mut [u8]) -> Result<Reply, DropReason> {
        let header = RtcpHeader::parse(packet).ok_or(DropReason::Malformed)?;
        let place = self.rooms.find(header.sender).ok_or(DropReason::UnknownSsrc)?;
        let reply = self.judge_report(place, from, &header, packet);
        reply.map_err(|reason| self.attribute(place, reason))
    }

    fn judge_report(
        &mut self,
        place: Place,
        from: SocketAddr,
        header: &RtcpHeader,
        packet: &mut [u8],
    ) -> Result<Reply, DropReason> {
        let (mode, _, body) = self.open_packet(place, packet, |_| rtcp::CLEAR_LEN)?;
        let sent = SenderReport::parse(body).filter(|_| header.is_sender_report());
        let leg = self.rooms.at(place);
        // Without a counter the nonce is the header, which would be the same in every report.
        let answerable = leg.binding.address() == Some(from) && mode.suffix_len() > 0;
        let sent = sent.filter(|_| answerable).ok_or(DropReason::Rtcp)?;
        let block = leg.reception.report(self.now, leg.ssrc.0, &sent).ok_or(DropReason::Rtcp)?;
        let report = rtcp::receiver_report(&block);
        let (clear, hidden) = report.split_at(rtcp::CLEAR_LEN);
        let mut sealed = [0; REPLY_BYTES];
        let keyed = leg.keyed.as_mut().ok_or(DropReason::NoKey)?;
        if let Some(spent) = keyed.spent.drop_reason() {
            return Err(spent);
        }
        let length =
            keyed.seal(clear, [hidden, &[]], &mut sealed).ok_or(DropReason::KeyExhausted)?;
        Ok(reply(leg.id, from, &sealed[..length], ReplyKind::SenderReport))
    }

    /// Counts a drop for the leg that the packet named.
    fn attribute(&mut self, place: Place, reason: DropReason) -> DropReason {
        let at = self.now;
        self.rooms.at(place).note_drop(reason, at);
        reason
    }

    /// Nobody has this SSRC. If a leg is bound to the very address that it came from, its client may
    /// write a wrong one: that leg is told, though nothing says who sealed the packet, and nothing but
    /// figures changes.
    #[cold]
    fn note_stray(&mut self, from: SocketAddr, ssrc: Ssrc) -> DropReason {
        let (at, reason) = (self.now, DropReason::UnknownSsrc);
        if let Some(leg) = self.bound(from) {
            leg.note_drop(reason, at);
            leg.stray = Some(ssrc);
        }
        reason
    }

    fn judge_rtp<'p>(
        &mut self,
        from: SocketAddr,
        packet: &'p mut [u8],
    ) -> Result<Verdict<'p>, DropReason> {
        let header = RtpHeader::parse(packet).ok_or(DropReason::Malformed)?;
        let Some(place) = self.rooms.find(header.ssrc) else {
            return Err(self.note_stray(from, header.ssrc));
        };
        let verdict = self.judge_audio(place, from, &header, packet);
        verdict.map_err(|reason| self.attribute(place, reason))
    }

    fn judge_audio<'p>(
        &mut self,
        place: Place,
        from: SocketAddr,
        header: &RtpHeader,
        packet: &'p mut [u8],
    ) -> Result<Verdict<'p>, DropReason> {
        let share = self.rooms.share(place.room);
        if self.shedding.sheds(self.now, self.age, share) {
            self.stats.limits.media_behind_ms += 1;
            return Err(DropReason::Behind);
        }
        let bytes = packet.len();
        let (mode, clear, plaintext) =
            self.open_packet(place, packet, |mode| header.clear_len(mode.is_rtpsize()))?;
        self.check_sequence(place, from, header)?;
        if header.payload_type != rtp::OPUS {
            return Err(DropReason::PayloadType);
        }
        let (elements, payload) =
            header.split(clear, plaintext, mode.is_rtpsize()).ok_or(DropReason::Malformed)?;
        if payload.len() > self.limits.payload_bytes {
            self.stats.limits.payload_bytes += 1;
            return Err(DropReason::TooLarge);
        }
        self.check_rates(place, payload.len())?;
        let leg = self.rooms.at(place);
        leg.binding.note_received(from, bytes);
        leg.figures.packets_in += 1;
        leg.figures.bytes_in += bytes as u64;
        leg.accepted_at = Some(self.now);
        if payload != rtp::SILENCE {
            leg.sounded_at = Some(self.now);
        }
        self.stats.packets_in += 1;
        self.stats.bytes_in += bytes as u64;
        let first = leg.keyed.as_mut().is_some_and(|keyed| !mem::replace(&mut keyed.heard, true));
        if first {
            self.news.note(leg, Note::Heard);
        }
        if !leg.permissions.speak {
            return Err(DropReason::Muted);
        }
        let head = forwarded_head(header, elements, self.now);
        Ok(Verdict::Forward { from: place, head, payload })
    }

    /// The sender's own rates, and its channel's.
    fn check_rates(&mut self, place: Place, payload_bytes: usize) -> Result<(), DropReason> {
        let channel = Rate::over_two_seconds(2 * u64::from(self.rooms.bitrate(place.room)));
        let (leg, bits) = (self.rooms.at(place), 8 * payload_bytes as u64);
        let counts = &mut self.stats.limits;
        if !leg.packets.take(self.now, self.limits.sender_packets, 1) {
            counts.sender_packet_burst += 1;
            counts.sender_packets_per_s += 1;
            return Err(DropReason::RateLimited);
        }
        if !leg.bits.take(self.now, self.limits.sender_bits, bits) {
            counts.sender_bps += 1;
            return Err(DropReason::RateLimited);
        }
        if !leg.channel_bits.take(self.now, channel, bits) {
            leg.figures.over_bitrate += 1;
            if self.config.enforce_bitrate {
                return Err(DropReason::OverBitrate);
            }
        }
        Ok(())
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
        let accepted = keyed.window.accept(header.sequence);
        let newest = keyed.window.highest().map(|highest| highest as u16);
        leg.reception.note(self.now, header.timestamp, accepted);
        match accepted {
            Accepted::Newest(_) => self.follow(place, from),
            Accepted::Late(_) => {}
            Accepted::Restarted(_) => self.stats.sequence_restarts += 1,
            Accepted::Replayed => {
                if newest == Some(header.sequence) {
                    let back = leg.binding.follow_back(from);
                    self.note_move(place, from, back);
                }
                return Err(DropReason::Replayed);
            }
            Accepted::TooOld => return Err(DropReason::TooOld),
        }
        Ok(())
    }

    /// Binds a leg to `from`, or moves it there, as far as its rates allow.
    fn follow(&mut self, place: Place, from: SocketAddr) {
        let step = self.rooms.at(place).binding.follow(self.now, from, self.limits.moves);
        self.note_move(place, from, step);
    }

    fn note_move(&mut self, place: Place, from: SocketAddr, step: Move) {
        let leg = self.rooms.at(place);
        match step {
            Move::Stayed => return,
            Move::TooSoon => return self.stats.limits.rebind_interval_ms += 1,
            Move::TooOften => return self.stats.limits.rebinds_per_minute += 1,
            Move::Bound => {}
            Move::Moved { from: old } => {
                self.stats.rebinds += 1;
                self.addresses.unbind(old, leg.id);
            }
        }
        self.addresses.bind(from, leg.id);
        self.stats.foreign_binds += u64::from(leg.binding.is_foreign());
        self.news.note(leg, Note::Bound);
    }
}

/// A datagram back to where one came from. `datagram` is at most [`REPLY_BYTES`] long.
fn reply(leg: LegId, address: SocketAddr, datagram: &[u8], kind: ReplyKind) -> Reply {
    let mut bytes = [0; REPLY_BYTES];
    bytes[..datagram.len()].copy_from_slice(datagram);
    Reply { leg, address, bytes, length: datagram.len(), kind }
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
