//! Takes datagrams in, decides about each, and hands out what it leads to.
//!
//! Decided here: what a command does, and what the host sees. Not here: which datagrams are taken
//! (`intake.rs`), copies (`fanout.rs`), where legs are (`room.rs`), which address a leg is bound to
//! (`binding.rs`), and who may speak or hear (the control plane, through commands).
//!
//! Between calls nothing of a datagram is left but counters: media is never queued. From
//! [`Relay::handle_datagram`] to the dropped [`Fanout`] nothing is allocated or freed.

use std::net::SocketAddr;
use std::time::Duration;

use crate::config::MediaConfig;
use crate::crypto::cipher::Cipher;
use crate::crypto::provider::Provider;
use crate::ids::{LegId, RelayId, RelaySet, RoomId};
use crate::limits::Limits;
use crate::media::addresses::Addresses;
use crate::media::binding::{Voucher, normalise};
use crate::media::command::{RelayCommand, RelayEvent};
use crate::media::fanout::{Copies, Fanout};
use crate::media::handover::Handover;
use crate::media::intake::Verdict;
use crate::media::leg::{Keyed, Leg, MediaLimits};
use crate::media::news::{News, Note};
use crate::media::room::Rooms;
use crate::media::shedding::Shedding;
use crate::reasons::DropReason;
use crate::stats::{LegFigures, RelayStats};
use crate::time::Timestamp;
use crate::wire::discovery::Kind;

/// One UDP socket's worth of rooms. See the [module above](crate::media) for the host's loop.
#[derive(Debug)]
pub struct Relay {
    id: RelayId,
    pub(super) limits: MediaLimits,
    pub(super) config: MediaConfig,
    provider: Provider,
    /// The latest time that an input carried.
    pub(super) now: Timestamp,
    pub(super) rooms: Rooms,
    pub(super) addresses: Addresses,
    pub(super) news: News,
    pub(super) shedding: Shedding,
    /// How long the datagram at hand has waited.
    pub(super) age: Duration,
    pub(super) stats: RelayStats,
}

impl Relay {
    /// A relay without legs.
    #[must_use]
    pub fn new(id: RelayId, limits: &Limits, config: MediaConfig) -> Self {
        Self {
            id,
            limits: MediaLimits::new(limits),
            config,
            // Which one cannot be had, `Config::validate` has said.
            provider: config.cipher_provider.provider().unwrap_or_default(),
            now: Timestamp::ZERO,
            rooms: Rooms::default(),
            addresses: Addresses::default(),
            news: News::default(),
            shedding: Shedding::new(limits.media_behind_ms.duration()),
            age: Duration::ZERO,
            stats: RelayStats::default(),
        }
    }

    /// Which relay this is.
    #[must_use]
    pub const fn id(&self) -> RelayId {
        self.id
    }

    /// What it has done so far.
    #[must_use]
    pub const fn stats(&self) -> &RelayStats {
        &self.stats
    }

    /// Whether more comes than it can handle, so that it drops what has waited too long.
    #[must_use]
    pub fn is_behind(&self, now: Timestamp) -> bool {
        self.shedding.is_behind(now)
    }

    /// How many legs are open.
    #[must_use]
    pub fn leg_count(&self) -> usize {
        self.rooms.leg_count()
    }

    /// How many addresses lead to a leg: at most one for each leg that is open.
    #[must_use]
    pub fn address_count(&self) -> usize {
        self.addresses.len()
    }

    /// What one leg has sent and received, if it is open.
    #[must_use]
    pub fn leg_figures(&self, leg: LegId) -> Option<LegFigures> {
        self.rooms.leg(leg).map(Leg::figures)
    }

    /// What every leg has sent and received. For statistics now and then: it copies.
    pub fn figures(&self) -> impl Iterator<Item = (LegId, LegFigures)> + '_ {
        self.rooms.iter().map(|leg| (leg.id, leg.figures()))
    }

    /// Counts a copy for this leg that the socket refused. Hosts that send without a
    /// [`Forwarding`](crate::media::Forwarding) call it instead of queueing the copy.
    pub fn note_unsent(&mut self, now: Timestamp, leg: LegId) {
        self.count_unsent(now, leg, DropReason::SocketFull);
    }

    /// Counts a copy for this leg that was older than the latency budget, so that it was not sent.
    pub fn note_too_late(&mut self, now: Timestamp, leg: LegId) {
        self.stats.limits.media_latency_ms += 1;
        self.count_unsent(now, leg, DropReason::TooLate);
    }

    fn count_unsent(&mut self, now: Timestamp, leg: LegId, reason: DropReason) {
        self.stats.drops.count(reason, 1);
        if let Some(leg) = self.rooms.leg_mut(leg) {
            leg.note_unsent(reason, now);
        }
    }

    /// Counts a packet of this leg that was not handed to these relays, because the lists of what
    /// waits for them had no room.
    pub fn note_not_handed_over(&mut self, now: Timestamp, speaker: LegId, full: RelaySet) {
        let packets = full.len() as u64;
        self.stats.drops.count(DropReason::NotHandedOver, packets);
        if let Some(leg) = self.rooms.leg_mut(speaker).filter(|_| packets > 0) {
            leg.figures.drops.count(DropReason::NotHandedOver, packets);
            leg.last_unshared = Some((full, now));
        }
    }

    /// Counts datagrams that the socket's buffer had no room for: the relay is behind.
    pub fn note_overflow(&mut self, now: Timestamp, datagrams: u64) {
        self.stats.overflows += datagrams;
        if datagrams > 0 {
            self.advance(now);
            self.shedding.fall_behind(self.now);
        }
    }

    /// How many packets each room has lost because the relay was behind.
    pub fn shed_by_room(&self) -> impl Iterator<Item = (RoomId, u64)> + '_ {
        self.rooms.shed()
    }

    /// Obeys one order. One for a leg that is gone does nothing.
    pub fn handle_command(&mut self, now: Timestamp, command: RelayCommand) {
        self.advance(now);
        match command {
            RelayCommand::Open { leg, room, ssrc, peer, bitrate, permissions } => {
                let voucher = Voucher { rule: self.config.foreign_udp, peer };
                self.open(room, bitrate, Leg::new(leg, ssrc, permissions, voucher));
            }
            RelayCommand::SetKey { leg, mode, key, nonce_prefix, claimed } => {
                let Some(leg) = self.rooms.leg_mut(leg) else { return };
                let cipher = Cipher::with_provider(self.provider, mode, &key);
                // A client that gets a fresh key may start its counters and its sequence anew, so
                // nothing that was counted under the old key means anything now.
                // `None` would be a mode that this build lacks, which the control plane never offers.
                leg.keyed = cipher
                    .map(|cipher| Keyed::new(cipher, nonce_prefix, self.limits.key_hard_packets));
                debug_assert!(leg.keyed.is_some(), "{} is not compiled in", mode.name());
                leg.reception.restart();
                if let Some(address) = leg.binding.settle(claimed.map(normalise)) {
                    self.addresses.bind(address, leg.id);
                    self.stats.foreign_binds += u64::from(leg.binding.is_foreign());
                    self.news.note(leg, Note::Bound);
                }
            }
            RelayCommand::SetBitrate { room, bitrate } => self.rooms.set_bitrate(room, bitrate),
            RelayCommand::Share { room, others } => {
                self.rooms.set_others(room, others.without(self.id));
            }
            RelayCommand::SetPermissions { leg, permissions } => {
                if let Some(leg) = self.rooms.leg_mut(leg) {
                    leg.permissions = permissions;
                }
            }
            RelayCommand::Close { leg } => {
                let Some(leg) = self.rooms.remove(leg) else { return };
                self.news.forget(&leg);
                if let Some(address) = leg.binding.address() {
                    self.addresses.unbind(address, leg.id);
                }
            }
        }
    }

    /// Takes one datagram, which is opened in place, and says what it leads to.
    ///
    /// Whatever a peer sends ends in a [`Fanout`]; one that leads to nothing carries its
    /// [`DropReason`].
    pub fn handle_datagram<'a>(
        &'a mut self,
        now: Timestamp,
        from: SocketAddr,
        packet: &'a mut [u8],
    ) -> Fanout<'a> {
        self.age = Duration::ZERO;
        self.handle(now, from, packet)
    }

    fn handle<'a>(
        &'a mut self,
        now: Timestamp,
        from: SocketAddr,
        packet: &'a mut [u8],
    ) -> Fanout<'a> {
        self.advance(now);
        self.stats.datagrams_in += 1;
        match self.judge(normalise(from), packet) {
            Err(reason) => Fanout::dropped(&mut self.stats, reason),
            Ok(Verdict::Reply(reply)) => Fanout::reply(&mut self.stats, reply),
            Ok(Verdict::Forward { from, head, payload }) => {
                let (room, others) = self.rooms.sharing(from.room);
                let arrival = self.now - self.age;
                let packet = Handover { room, arrival, handed: self.now, head, payload };
                self.copies(from.room, from.index, others, packet)
            }
        }
    }

    /// Takes a packet that a speaker's relay opened and handed over, for the legs of its room here.
    ///
    /// What is older than [`media_latency_ms`](Limits::media_latency_ms) is dropped, and while this
    /// relay is behind what has waited for it for longer than
    /// [`media_behind_ms`](Limits::media_behind_ms). The clock must be the same at all relays.
    pub fn handle_handover<'a>(
        &'a mut self,
        now: Timestamp,
        handover: &Handover<'a>,
    ) -> Fanout<'a> {
        self.advance(now);
        self.stats.handovers_in += 1;
        let position = match self.judge_handover(handover) {
            Ok(position) => position,
            Err(reason) => return Fanout::dropped(&mut self.stats, reason),
        };
        // None of the legs here sent it, and every other relay of the room has it from the speaker's.
        self.copies(position, usize::MAX, RelaySet::EMPTY, *handover)
    }

    #[inline]
    fn copies<'a>(
        &'a mut self,
        room: usize,
        sender: usize,
        others: RelaySet,
        packet: Handover<'a>,
    ) -> Fanout<'a> {
        let copies = Copies {
            legs: self.rooms.legs(room),
            news: &mut self.news,
            sender,
            next: 0,
            now: self.now,
            soft: self.limits.key_soft_packets,
            hard: self.limits.key_hard_packets,
            others,
            packet,
        };
        Fanout::copies(&mut self.stats, copies)
    }

    /// Where the room of a packet that was handed over is, if that is to be sent to its legs.
    fn judge_handover(&mut self, handover: &Handover<'_>) -> Result<usize, DropReason> {
        let room = self.rooms.room(handover.room).ok_or(DropReason::RoomGone)?;
        if handover.payload.len() > self.limits.payload_bytes {
            return Err(DropReason::TooLarge);
        }
        if self.now.since(handover.arrival) > self.limits.latency {
            self.stats.limits.media_latency_ms += 1;
            return Err(DropReason::TooLate);
        }
        let waited = self.now.since(handover.handed);
        if self.shedding.sheds(self.now, waited, self.rooms.share(room)) {
            self.stats.limits.media_behind_ms += 1;
            return Err(DropReason::Behind);
        }
        Ok(room)
    }

    /// As [`Self::handle_datagram`], for a datagram that has waited for `age` since it arrived.
    ///
    /// What is older than [`media_latency_ms`](Limits::media_latency_ms) is dropped unopened, as
    /// [`DropReason::TooLate`], and while the relay is behind what is older than
    /// [`media_behind_ms`](Limits::media_behind_ms), as [`DropReason::Behind`]. A discovery request is
    /// answered all the same: discord.js and songbird send it once, and wait for the answer for ever.
    pub fn handle_aged_datagram<'a>(
        &'a mut self,
        now: Timestamp,
        age: Duration,
        from: SocketAddr,
        packet: &'a mut [u8],
    ) -> Fanout<'a> {
        self.age = age;
        if age <= self.limits.latency || is_discovery(packet) {
            return self.handle(now, from, packet);
        }
        self.advance(now);
        self.stats.datagrams_in += 1;
        self.stats.limits.media_latency_ms += 1;
        Fanout::dropped(&mut self.stats, DropReason::TooLate)
    }

    /// The next thing that the control plane has to know. Ask until there is nothing, after every
    /// turn; what happened to a leg since it was last told of is told once.
    pub fn poll_event(&mut self) -> Option<RelayEvent> {
        if self.shedding.take_news(self.now) {
            return Some(RelayEvent::Behind);
        }
        self.news.poll(&mut self.rooms)
    }

    fn advance(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
        self.news.look_for_silence(self.now, self.limits.key_soft_packets, &mut self.rooms);
    }

    fn open(&mut self, room: RoomId, bitrate: u32, leg: Leg) {
        let fresh = self.rooms.insert(room, bitrate, leg);
        debug_assert!(fresh, "leg ids and SSRCs are given out once");
        let legs = self.rooms.leg_count();
        self.news.reserve(legs);
        self.addresses.reserve(legs);
    }
}

fn is_discovery(packet: &[u8]) -> bool {
    matches!(Kind::of(packet), Kind::Discovery(_) | Kind::LegacyDiscovery(_))
}
