//! How much the control plane holds.

use super::Server;
use crate::output::Plane;
use crate::stats::Census;

impl Server {
    /// How much is held at this moment. It looks at every connection's counters once: for
    /// statistics, not for every turn.
    #[must_use]
    pub fn census(&self) -> Census {
        let sessions = || self.controls.iter().filter_map(|control| control.session.as_ref());
        Census {
            connections: self.conns.len(),
            control_connections: self
                .conns
                .iter()
                .filter(|(_, connection)| connection.plane == Plane::Control)
                .count(),
            unauthenticated: self.unauthenticated.values().sum(),
            sessions: self.legs.len(),
            voice_states: self.membership.members_len(),
            channels: self.membership.rooms_len(),
            ssrcs: self.ssrcs.len(),
            held: self.held.values().map(Vec::len).sum(),
            tombstones: self.tombstones.len(),
            outbound_bytes: self.outbound_total,
            inbound_bytes: self.inbound_total,
            credential_bytes: self.membership.credential_bytes(),
            outputs: self.outputs.len(),
            buried: self.tombstones.size(),
            news_bytes: sessions().map(|session| session.held_news()).sum(),
            control_replay_bytes: sessions().map(|session| session.kept_bytes()).sum(),
            failure_addresses: self.failures.len(),
            replay_bytes: self.replays.bytes(),
        }
    }
}
