//! One accepted packet on its way to the legs of its room, or one reply on its way back.
//!
//! Decided here: who receives a copy, and when a key seals no more. Not here: whether the packet
//! is taken at all (`relay.rs`). The guard borrows the relay, so nothing can come in between, and
//! what was not filled when it is dropped is counted.
//!
//! Between calls of [`Fanout::fill`] every leg before the position was served or passed over,
//! and no nonce was used for a copy that is not in a batch.

use std::net::SocketAddr;

use crate::ids::{LegId, RelaySet};
use crate::media::batch::TransmitBatch;
use crate::media::handover::Handover;
use crate::media::leg::{Leg, Spent};
use crate::media::news::{News, Note};
use crate::reasons::DropReason;
use crate::stats::RelayStats;
use crate::time::Timestamp;
use crate::wire::rtp;

/// Fixed header, extension preamble, extension: what a copy has before the payload.
pub(crate) const HEAD_BYTES: usize = rtp::FORWARD_CLEAR_LEN + rtp::FORWARD_EXTENSION_LEN;

/// The largest reply: a discovery response, or a receiver report sealed in any mode.
pub(super) const REPLY_BYTES: usize = 80;

/// What one datagram leads to.
///
/// Call [`Self::fill`] until it says [`Filled::Done`], and where there are several relays
/// [`Self::take_handover`] before that. Dropping the guard earlier drops the rest, which is counted
/// as [`DropReason::Unfilled`].
#[derive(Debug)]
#[must_use = "receivers get nothing until the fan-out is filled into a batch"]
pub struct Fanout<'a> {
    work: Work<'a>,
    stats: &'a mut RelayStats,
}

/// How far a fan-out came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use = "a full batch has to be sent and cleared before the rest can be filled"]
pub enum Filled {
    /// Everything is in the batch.
    Done,
    /// The batch has no room for the next datagram: send it, clear it and fill again.
    BatchFull,
}

#[derive(Debug)]
enum Work<'a> {
    Dropped(DropReason),
    Done,
    Reply(Reply),
    Copies(Copies<'a>),
}

/// A datagram back to where one came from.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) leg: LegId,
    pub(super) address: SocketAddr,
    pub(super) bytes: [u8; REPLY_BYTES],
    pub(super) length: usize,
    pub(super) kind: ReplyKind,
}

/// What a reply answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ReplyKind {
    Discovery,
    Ping,
    SenderReport,
}

/// A packet for everybody else in the room.
#[derive(Debug)]
pub(super) struct Copies<'a> {
    pub(super) legs: &'a mut [Leg],
    pub(super) news: &'a mut News,
    /// Position of the leg that sent it, if it is here.
    pub(super) sender: usize,
    /// Position of the next leg.
    pub(super) next: usize,
    pub(super) now: Timestamp,
    pub(super) soft: u64,
    pub(super) hard: u64,
    /// The relays that this packet is yet to be handed to.
    pub(super) others: RelaySet,
    pub(super) packet: Handover<'a>,
}

impl<'a> Fanout<'a> {
    pub(super) fn dropped(stats: &'a mut RelayStats, reason: DropReason) -> Self {
        stats.drops.count(reason, 1);
        Self { work: Work::Dropped(reason), stats }
    }

    pub(super) const fn reply(stats: &'a mut RelayStats, reply: Reply) -> Self {
        Self { work: Work::Reply(reply), stats }
    }

    pub(super) const fn copies(stats: &'a mut RelayStats, copies: Copies<'a>) -> Self {
        Self { work: Work::Copies(copies), stats }
    }

    /// Why the datagram leads to nothing, if it was dropped as a whole.
    #[must_use]
    pub const fn drop_reason(&self) -> Option<DropReason> {
        match self.work {
            Work::Dropped(reason) => Some(reason),
            Work::Done | Work::Reply(_) | Work::Copies(_) => None,
        }
    }

    /// Whose packet it is that is copied, if its leg is at this relay.
    #[must_use]
    pub fn speaker(&self) -> Option<LegId> {
        let Work::Copies(copies) = &self.work else { return None };
        copies.legs.get(copies.sender).map(|leg| leg.id)
    }

    /// What the host has to hand to other relays, which have legs of the same room: it puts the
    /// packet into a list of each of them, [`Handovers`](crate::media::Handovers), and tells
    /// [`Relay::note_not_handed_over`](crate::media::Relay::note_not_handed_over) whose had no room.
    /// `None` unless a room's legs are spread over relays, and the second time.
    ///
    /// Best taken before the first [`Self::fill`], so that the other relays work at the same time.
    pub fn take_handover(&mut self) -> Option<(RelaySet, Handover<'a>)> {
        let Work::Copies(copies) = &mut self.work else { return None };
        if copies.others.is_empty() {
            return None;
        }
        let others = std::mem::take(&mut copies.others);
        self.stats.handovers_out += others.len() as u64;
        Some((others, copies.packet))
    }

    /// Appends what is still to be sent to `batch`, as far as it has room. The next call goes on
    /// where this one stopped.
    pub fn fill(&mut self, batch: &mut TransmitBatch) -> Filled {
        match &mut self.work {
            Work::Dropped(_) | Work::Done => Filled::Done,
            Work::Reply(reply) => {
                let filled = reply.fill(batch, self.stats);
                if filled == Filled::Done {
                    self.work = Work::Done;
                }
                filled
            }
            Work::Copies(copies) => copies.fill(batch, self.stats),
        }
    }
}

impl Drop for Fanout<'_> {
    fn drop(&mut self) {
        let unfilled = match &self.work {
            Work::Dropped(_) | Work::Done => return,
            Work::Reply(_) => 1,
            Work::Copies(copies) => copies.remaining(),
        };
        self.stats.drops.count(DropReason::Unfilled, unfilled);
    }
}

impl Reply {
    fn fill(&self, batch: &mut TransmitBatch, stats: &mut RelayStats) -> Filled {
        if !batch.push(&self.bytes[..self.length], self.leg, self.address) {
            return Filled::BatchFull;
        }
        match self.kind {
            ReplyKind::Discovery => stats.discovery_replies += 1,
            ReplyKind::SenderReport => stats.reports += 1,
            ReplyKind::Ping => {}
        }
        Filled::Done
    }
}

impl Copies<'_> {
    fn fill(&mut self, batch: &mut TransmitBatch, stats: &mut RelayStats) -> Filled {
        while let Some(leg) = self.legs.get_mut(self.next) {
            let Some(address) = receiver(self.sender == self.next, leg) else {
                self.next += 1;
                continue;
            };
            let Some(keyed) = leg.keyed.as_mut().filter(|keyed| keyed.spent == Spent::No) else {
                let spent = leg.keyed.as_ref().and_then(|keyed| keyed.spent.drop_reason());
                count(leg, stats, spent.unwrap_or(DropReason::NoKey), self.now);
                self.next += 1;
                continue;
            };
            let clear_bytes =
                if keyed.mode().is_rtpsize() { rtp::FORWARD_CLEAR_LEN } else { rtp::FIXED_LEN };
            let (clear, hidden) = self.packet.head.split_at(clear_bytes);
            let length = HEAD_BYTES + self.packet.payload.len() + keyed.mode().overhead();
            let Some(space) = batch.reserve(length) else {
                return Filled::BatchFull;
            };
            self.next += 1;
            if !leg.binding.spend(length) {
                count(leg, stats, DropReason::ForeignAddress, self.now);
                continue;
            }
            let Some(written) = keyed.seal(clear, [hidden, self.packet.payload], space) else {
                keyed.spent = Spent::Exhausted;
                count(leg, stats, DropReason::KeyExhausted, self.now);
                self.news.note(leg, Note::Exhausted);
                continue;
            };
            keyed.sealed_at = self.now;
            let sealed = keyed.sealed();
            if sealed >= self.hard {
                keyed.spent = Spent::Exhausted;
            }
            batch.commit(written, leg.id, address);
            stats.packets_out += 1;
            stats.bytes_out += written as u64;
            leg.figures.packets_out += 1;
            leg.figures.bytes_out += written as u64;
            if sealed >= self.hard {
                stats.limits.key_hard_packets += 1;
                self.news.note(leg, Note::Exhausted);
            } else if sealed == self.soft {
                stats.limits.key_soft_packets += 1;
                self.news.renew(leg);
            }
        }
        Filled::Done
    }

    /// How many copies were not made, and how many relays were not given the packet.
    fn remaining(&self) -> u64 {
        let mut remaining = self.others.len() as u64;
        for (position, leg) in self.legs.iter().enumerate().skip(self.next) {
            remaining += u64::from(position != self.sender && leg.receives());
        }
        remaining
    }
}

/// Where a copy for this leg goes, if it is to get one.
#[inline]
fn receiver(is_sender: bool, leg: &Leg) -> Option<SocketAddr> {
    if is_sender || !leg.receives() { None } else { leg.binding.address() }
}

/// Counts a copy that is not made, for the relay and for the leg.
fn count(leg: &mut Leg, stats: &mut RelayStats, reason: DropReason, now: Timestamp) {
    stats.drops.count(reason, 1);
    leg.note_unsent(reason, now);
}
