//! Plain counters. They cost an addition and leave as values; hosts turn them into metrics.

use crate::reasons::DropReason;

/// What one relay has done since it started.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// Replay windows started anew because a sender restarted its sequence.
    pub sequence_restarts: u64,
    drops: [u64; DropReason::ALL.len()],
}

impl Default for RelayStats {
    fn default() -> Self {
        Self {
            datagrams_in: 0,
            packets_in: 0,
            packets_out: 0,
            bytes_out: 0,
            discovery_replies: 0,
            rebinds: 0,
            sequence_restarts: 0,
            drops: [0; DropReason::ALL.len()],
        }
    }
}

impl RelayStats {
    /// Counts `n` drops.
    pub fn count_drops(&mut self, reason: DropReason, n: u64) {
        self.drops[reason as usize] += n;
    }

    /// How often this reason occurred.
    #[must_use]
    pub const fn drops(&self, reason: DropReason) -> u64 {
        self.drops[reason as usize]
    }
}
