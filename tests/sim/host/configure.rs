//! What a simulated server is configured with: limits so small that a run reaches them.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use lvsp_core::config::{Config, ControlAuth, ControlClient, MediaConfig, Proxies, Revision};
use lvsp_core::crypto::auth::ControlSecret;
use lvsp_core::limits::{Limits, Millis};

use super::{PORT, SECRET};
use crate::plan::Knobs;

pub(super) fn configure(knobs: &Knobs) -> Config {
    let small = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
    // What is written at once has to fit in what may wait.
    let at_once = |value: u64| small(value.min(knobs.outbound_bytes / 2));
    #[expect(clippy::expect_used, reason = "a constant")]
    let secret = ControlSecret::new(SECRET.to_owned()).expect("long enough");
    let mut client = ControlClient::new("default".to_owned(), secret);
    client.auth = ControlAuth::Hmac;
    client.revision = match knobs.revision {
        0 => Revision::Draft,
        1 => Revision::Litecord,
        _ => Revision::Document,
    };
    Config {
        control_clients: vec![client],
        control_grace: Duration::from_secs(knobs.grace_s),
        gateway_endpoint: "voice.example.org:443".to_owned(),
        relays: (PORT..)
            .take(small(knobs.relays.max(1)))
            .map(|port| SocketAddrV4::new(Ipv4Addr::new(203, 0, 113, 7), port))
            .collect(),
        old_versions: false,
        proxies: Proxies::default(),
        media: MediaConfig::default(),
        drain: Duration::from_secs(knobs.drain_s),
        limits: Limits {
            // As many as this world needs, so that the memory ceiling is near.
            sessions: 16,
            connections: 128,
            channels: 8,
            voice_states: 16,
            members_per_channel: 16,
            legs_per_relay: 2,
            credentials_total_bytes: 65_536,
            resume_messages: small(knobs.resume_messages),
            resume_bytes: at_once(knobs.resume_bytes),
            replay_total_bytes: small(knobs.replay_total_bytes),
            resume_window_ms: Millis(knobs.resume_window_ms),
            outbound_bytes: small(knobs.outbound_bytes),
            outbound_age_ms: Millis(knobs.outbound_age_ms),
            outbound_total_bytes: small(knobs.outbound_total_bytes),
            reservation_ms: Millis(knobs.reservation_ms),
            unauthenticated: small(knobs.unauthenticated),
            control_replay_messages: small(knobs.control_replay_messages),
            control_replay_bytes: small(knobs.control_replay_bytes),
            control_replay_ms: Millis(knobs.control_replay_ms),
            control_dump_bytes: at_once(knobs.control_dump_bytes),
            reconcile_ms: Millis(knobs.reconcile_ms),
            tombstone_ms: Millis(knobs.tombstone_ms),
            gather_above_members: small(knobs.gather_above_members),
            key_soft_packets: knobs.key_soft_packets,
            ..Limits::default()
        },
    }
}
