//! One participant's media endpoint: its address, its key, its rates.
//!
//! Decided here: when a key is used up. Not here: where its media goes (`binding.rs`), packets
//! (`intake.rs`), copies (`fanout.rs`), the tables that find a leg (`room.rs`).
//!
//! Between calls: a leg whose key is spent seals nothing.

use std::time::Duration;

use crate::crypto::cipher::Cipher;
use crate::crypto::mode::Mode;
use crate::crypto::nonce::{Observed, ServerNonce};
use crate::crypto::replay::ReplayWindow;
use crate::ids::{LegId, RelaySet, Ssrc};
use crate::limits::Limits;
use crate::media::binding::{Binding, Moves, Voucher};
use crate::media::command::Permissions;
use crate::media::inspect::LastDrop;
use crate::media::news::LegNews;
use crate::media::rate::{Bucket, Rate};
use crate::media::reception::Reception;
use crate::reasons::DropReason;
use crate::stats::LegFigures;
use crate::time::Timestamp;

/// The limits that the media plane reads, in the form it reads them.
#[derive(Clone, Copy, Debug)]
pub(super) struct MediaLimits {
    pub(super) discovery: Rate,
    pub(super) ping: Rate,
    pub(super) sender_packets: Rate,
    pub(super) sender_bits: Rate,
    pub(super) moves: Moves,
    pub(super) payload_bytes: usize,
    pub(super) latency: Duration,
    pub(super) key_soft_packets: u64,
    pub(super) key_hard_packets: u64,
}

impl MediaLimits {
    pub(super) const fn new(limits: &Limits) -> Self {
        Self {
            discovery: Rate::per_second(limits.discovery_burst, limits.discovery_per_s),
            ping: Rate::per_second(limits.ping_per_s, limits.ping_per_s),
            sender_packets: Rate::per_second(
                limits.sender_packet_burst,
                limits.sender_packets_per_s,
            ),
            sender_bits: Rate::per_second(limits.sender_bps, limits.sender_bps),
            moves: Moves {
                rate: Rate {
                    burst: limits.rebinds_per_minute,
                    per: limits.rebinds_per_minute,
                    interval: Duration::from_secs(60),
                },
                interval: limits.rebind_interval_ms.duration(),
            },
            payload_bytes: limits.payload_bytes,
            latency: limits.media_latency_ms.duration(),
            key_soft_packets: limits.key_soft_packets,
            key_hard_packets: limits.key_hard_packets,
        }
    }
}

/// One participant.
#[derive(Debug)]
pub(super) struct Leg {
    pub(super) id: LegId,
    /// Its audio. The table finds it by the base of its four numbers.
    pub(super) ssrc: Ssrc,
    pub(super) permissions: Permissions,
    pub(super) keyed: Option<Keyed>,
    pub(super) binding: Binding,
    pub(super) discovery: Bucket,
    pub(super) ping: Bucket,
    pub(super) packets: Bucket,
    pub(super) bits: Bucket,
    /// Twice the channel's bitrate, over two seconds.
    pub(super) channel_bits: Bucket,
    pub(super) news: LegNews,
    pub(super) reception: Reception,
    pub(super) figures: LegFigures,
    /// When a packet of it was last accepted, and when the last one that was not silence.
    pub(super) accepted_at: Option<Timestamp>,
    pub(super) sounded_at: Option<Timestamp>,
    /// When a ping or keepalive last came from its address.
    pub(super) alive_at: Option<Timestamp>,
    /// The last of its packets that was not forwarded.
    pub(super) last_drop: Option<LastDrop>,
    /// The SSRC of the last packet from its address that carried one of nobody.
    pub(super) stray: Option<Ssrc>,
    /// The last copy for it that was not sent.
    pub(super) last_unsent: Option<LastDrop>,
    /// The relays that did not take its last packet that some did not take, and when that was.
    pub(super) last_unshared: Option<(RelaySet, Timestamp)>,
}

/// A leg's key and everything that is counted under it. A fresh key starts all of it anew.
#[derive(Debug)]
pub(super) struct Keyed {
    cipher: Cipher,
    nonce: ServerNonce,
    /// What the nonces of the suffix mode start with.
    nonce_prefix: [u8; 20],
    pub(super) window: ReplayWindow,
    pub(super) sealed_at: Timestamp,
    pub(super) spent: Spent,
    /// Whether the first packet of this key was reported.
    pub(super) heard: bool,
}

/// Whether a key may still seal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Spent {
    No,
    /// As many packets as one key may seal.
    Exhausted,
    /// The client used a nonce that we used or are about to use.
    Collided,
}

impl Spent {
    /// Why a copy under such a key is not made.
    pub(super) const fn drop_reason(self) -> Option<DropReason> {
        match self {
            Self::No => None,
            Self::Exhausted => Some(DropReason::KeyExhausted),
            Self::Collided => Some(DropReason::NonceCollision),
        }
    }
}

impl Leg {
    pub(super) fn new(id: LegId, ssrc: Ssrc, permissions: Permissions, voucher: Voucher) -> Self {
        Self {
            id,
            ssrc,
            permissions,
            keyed: None,
            binding: Binding::new(voucher),
            discovery: Bucket::full(),
            ping: Bucket::full(),
            packets: Bucket::full(),
            bits: Bucket::full(),
            channel_bits: Bucket::full(),
            news: LegNews::default(),
            reception: Reception::default(),
            figures: LegFigures::default(),
            accepted_at: None,
            sounded_at: None,
            alive_at: None,
            last_drop: None,
            stray: None,
            last_unsent: None,
            last_unshared: None,
        }
    }

    /// What it has sent and received so far.
    pub(super) fn figures(&self) -> LegFigures {
        LegFigures {
            lost: self.reception.lost(),
            late: self.reception.late(),
            jitter: self.reception.jitter(),
            last_heard: self.reception.heard(),
            ..self.figures
        }
    }

    /// Counts one of its packets that went no further.
    pub(super) const fn note_drop(&mut self, reason: DropReason, at: Timestamp) {
        self.figures.drops.count(reason, 1);
        self.last_drop = Some(LastDrop { reason, at });
    }

    /// Counts a copy for it that was not sent.
    pub(super) const fn note_unsent(&mut self, reason: DropReason, at: Timestamp) {
        self.figures.drops.count(reason, 1);
        self.last_unsent = Some(LastDrop { reason, at });
    }

    /// Whether copies are made for it.
    pub(super) const fn receives(&self) -> bool {
        self.permissions.hear && self.keyed.is_some() && self.binding.address().is_some()
    }
}

/// Why a packet was not opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum OpenFailure {
    /// Too short to have been sealed.
    Malformed,
    /// Not sealed under this key, or changed on the way.
    Unauthentic,
    /// Authentic, but its nonce is one of ours. The key is spent.
    Collision,
}

impl Keyed {
    pub(super) fn new(cipher: Cipher, nonce_prefix: [u8; 20], packets_max: u64) -> Self {
        Self {
            cipher,
            nonce: ServerNonce::new(packets_max),
            nonce_prefix,
            window: ReplayWindow::default(),
            sealed_at: Timestamp::ZERO,
            spent: Spent::No,
            heard: false,
        }
    }

    #[inline]
    pub(super) const fn mode(&self) -> Mode {
        self.cipher.mode()
    }

    /// Packets sealed under this key.
    #[inline]
    pub(super) const fn sealed(&self) -> u64 {
        self.nonce.sent()
    }

    /// Seals a packet whose hidden part comes in two pieces. `None` when the key is used up.
    #[inline]
    pub(super) fn seal(
        &mut self,
        clear: &[u8],
        hidden: [&[u8]; 2],
        out: &mut [u8],
    ) -> Option<usize> {
        let counter = self.nonce.next()?;
        let mut suffix = [0; 24];
        let suffix = match self.mode().suffix_len() {
            0 => &suffix[..0],
            24 => {
                suffix[..20].copy_from_slice(&self.nonce_prefix);
                suffix[20..].copy_from_slice(&counter);
                &suffix[..]
            }
            _ => &counter[..],
        };
        self.cipher.seal_into(clear, hidden, suffix, out)
    }

    /// Opens a packet in place and returns its clear and its hidden part.
    pub(super) fn open<'p>(
        &mut self,
        packet: &'p mut [u8],
        clear_bytes: usize,
    ) -> Result<(&'p [u8], &'p [u8]), OpenFailure> {
        if packet.len() < clear_bytes + self.mode().overhead() {
            return Err(OpenFailure::Malformed);
        }
        let opened = self.cipher.open(packet, clear_bytes).map_err(|_| OpenFailure::Unauthentic)?;
        let collides = opened
            .counter
            .is_some_and(|counter| self.nonce.observe(counter) == Observed::Collision);
        if collides && self.spent == Spent::No {
            self.spent = Spent::Collided;
            return Err(OpenFailure::Collision);
        }
        Ok((opened.clear, opened.plaintext))
    }
}
