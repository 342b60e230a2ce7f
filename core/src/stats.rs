//! Plain counters. They cost an addition and leave as values; hosts turn them into metrics.

use std::time::Duration;

use crate::limits::LimitCounts;
use crate::reasons::{CloseReason, DropReason};
use crate::time::Timestamp;

/// What one relay has done since it started.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct RelayStats {
    /// Datagrams received, of any kind.
    pub datagrams_in: u64,
    /// Audio packets that were accepted.
    pub packets_in: u64,
    /// Bytes of those packets, UDP payload.
    pub bytes_in: u64,
    /// Copies sealed for receivers.
    pub packets_out: u64,
    /// Bytes of those copies, UDP payload.
    pub bytes_out: u64,
    /// Packets handed to other relays that have legs of the same room, once for each of them.
    pub handovers_out: u64,
    /// Packets that other relays handed over.
    pub handovers_in: u64,
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
    /// Datagrams that the socket's buffer had no room for, as far as the host can tell.
    pub overflows: u64,
    /// Drops by reason.
    pub drops: Drops,
    /// How often each limit of the media plane was reached.
    pub limits: LimitCounts,
}

/// What the control plane has done since it started.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ServerStats {
    /// Connections that ended, by reason.
    pub closes: Closes,
    /// Connections of chat servers from networks that are not allowed, told by the host.
    pub not_allowed: u64,
    /// Connections of trusted proxies that said who their client is.
    pub proxied_named: u64,
    /// Connections of trusted proxies that did not say who their client is.
    pub proxied_silent: u64,
    /// Connections that ended because of how a proxy began them: one that is not trusted, or one that
    /// does not keep to the PROXY protocol.
    pub proxied_refused: u64,
    /// Orders of chat servers that were refused.
    pub refused_orders: u64,
    /// Messages of voice clients that were understood and have no use here.
    pub tolerated_messages: u64,
    /// Voice clients that resumed their session.
    pub resumes: u64,
    /// Resumes that were refused: the session is gone, or messages that were missed are no longer
    /// here. Clients identify anew.
    pub resumes_refused: u64,
    /// Sessions that ended because their client did not come back within the resume window.
    pub resumes_expired: u64,
    /// Chat servers that took up their control session where they had lost it.
    pub control_resumes: u64,
    /// Voice states that ended because no chat server came back within the grace time.
    pub grace_ended: u64,
    /// How often each limit of the control plane was reached.
    pub limits: LimitCounts,
}

/// How much the control plane holds at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Census {
    /// TCP connections.
    pub connections: usize,
    /// Those of them that are chat servers', or would be.
    pub control_connections: usize,
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
    /// Memory of what waits to be written, over all connections, in bytes.
    pub outbound_bytes: usize,
    /// Bytes of what has not wholly arrived, over all connections.
    pub inbound_bytes: usize,
    /// Bytes of session ids and tokens.
    pub credential_bytes: usize,
    /// Actions that wait for the host.
    pub outputs: usize,
    /// Destroyed channels and their users that are remembered.
    pub buried: usize,
    /// Memory of what chat servers are yet to be told, in bytes.
    pub news_bytes: usize,
    /// Bytes of messages that are kept for chat servers' resumes.
    pub control_replay_bytes: usize,
    /// Addresses whose failures to identify are remembered.
    pub failure_addresses: usize,
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

/// Declares counts by a reason.
macro_rules! counts_by {
    ($(#[$doc:meta])* $name:ident, $reason:ty) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub struct $name([u64; <$reason>::ALL.len()]);

        impl Default for $name {
            fn default() -> Self {
                Self([0; <$reason>::ALL.len()])
            }
        }

        impl $name {
            /// Counts `n` of this reason.
            pub const fn count(&mut self, reason: $reason, n: u64) {
                self.0[reason as usize] += n;
            }

            /// How often this reason occurred.
            #[must_use]
            pub const fn of(&self, reason: $reason) -> u64 {
                self.0[reason as usize]
            }

            /// Every reason with its count.
            pub fn iter(&self) -> impl Iterator<Item = ($reason, u64)> + '_ {
                <$reason>::ALL.iter().map(|reason| (*reason, self.of(*reason)))
            }
        }
    };
}

counts_by! {
    /// Counts by [`DropReason`].
    Drops, DropReason
}

counts_by! {
    /// Counts by [`CloseReason`].
    Closes, CloseReason
}
