//! Plain counters. They cost an addition and leave as values; hosts turn them into metrics.

use std::time::Duration;

use crate::reasons::DropReason;
use crate::time::Timestamp;

/// What one relay has done since it started.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct RelayStats {
    /// Datagrams received, of any kind.
    pub datagrams_in: u64,
    /// Audio packets that were accepted.
    pub packets_in: u64,
    /// Copies sealed for receivers.
    pub packets_out: u64,
    /// Bytes of those copies, UDP payload.
    pub bytes_out: u64,
    /// Discovery replies sent.
    pub discovery_replies: u64,
    /// Legs moved to another address.
    pub rebinds: u64,
    /// Legs bound to an address that their gateway connection does not vouch for.
    pub foreign_binds: u64,
    /// Receiver reports sent in answer to sender reports.
    pub reports: u64,
    /// Replay windows started anew because a sender restarted its sequence.
    pub sequence_restarts: u64,
    /// Drops by reason.
    pub drops: Drops,
}

/// How much the control plane holds at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Census {
    /// TCP connections.
    pub connections: usize,
    /// Those of them that have not identified.
    pub unauthenticated: usize,
    /// Voice sessions, detached ones included.
    pub sessions: usize,
    /// Voice states.
    pub voice_states: usize,
    /// Channels.
    pub channels: usize,
    /// SSRCs in use.
    pub ssrcs: usize,
    /// Identifies that wait for their voice state.
    pub held: usize,
    /// Destroyed channels that are remembered for a while.
    pub tombstones: usize,
    /// Bytes that wait to be written, over all connections.
    pub outbound_bytes: usize,
    /// Bytes of numbered messages that are kept for resumes, over all sessions.
    pub replay_bytes: usize,
}

/// What one leg has sent and received since it was opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct LegFigures {
    /// Audio packets that were accepted from it.
    pub packets_in: u64,
    /// Bytes of those packets, UDP payload.
    pub bytes_in: u64,
    /// Copies sealed for it.
    pub packets_out: u64,
    /// Bytes of those copies, UDP payload.
    pub bytes_out: u64,
    /// Of its packets, those that never came, by gaps in its sequence.
    pub lost: u64,
    /// Of its packets, those that came behind a newer one.
    pub late: u64,
    /// How unevenly its packets come: interarrival jitter by RFC 3550.
    pub jitter: Duration,
    /// When it was last heard.
    pub last_heard: Option<Timestamp>,
    /// Packets above twice its channel's bitrate over 2 s, dropped or not.
    pub over_bitrate: u64,
    /// Drops by reason, of packets that named this leg and of copies for it.
    /// [`DropReason::Unauthentic`] counts failures to decrypt.
    pub drops: Drops,
}

/// Counts by [`DropReason`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Drops([u64; DropReason::ALL.len()]);

impl Default for Drops {
    fn default() -> Self {
        Self([0; DropReason::ALL.len()])
    }
}

impl Drops {
    /// Counts `n` drops.
    pub const fn count(&mut self, reason: DropReason, n: u64) {
        self.0[reason as usize] += n;
    }

    /// How often this reason occurred.
    #[must_use]
    pub const fn of(&self, reason: DropReason) -> u64 {
        self.0[reason as usize]
    }

    /// Every reason with its count.
    pub fn iter(&self) -> impl Iterator<Item = (DropReason, u64)> + '_ {
        DropReason::ALL.iter().map(|reason| (*reason, self.of(*reason)))
    }
}
