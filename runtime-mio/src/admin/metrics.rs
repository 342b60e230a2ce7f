//! The figures for Prometheus: every family, in one list, from which `docs/metrics.md` is written too.
//!
//! Labels are relays, reasons, directions, planes, chat servers and limits: nothing that a user could
//! make more of. Names are Prometheus's own conventions: base units, `_total` for what only grows,
//! `process_` for what every process has.

use std::time::{Duration, SystemTime};

use lvsp_core::limits::LimitCounts;
use lvsp_core::reasons::DropReason;
use lvsp_core::stats::RelayStats;

use super::bodies::{Control, Relay};
use super::exposition::{self, Family, number};
use crate::process::Own;
use crate::turns::TurnTimes;

/// What all figures are made of.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) control: Control,
    pub(super) relays: Vec<Relay>,
    /// How long ago each chat server's link became as it is, by their order.
    pub(super) link_ages: Vec<Option<Duration>>,
    pub(super) times: TurnTimes,
    pub(super) process: Own,
    pub(super) uptime: Duration,
    pub(super) now: SystemTime,
    pub(super) certificate_expires: Option<SystemTime>,
    /// The most memory that the limits allow to be held.
    pub(super) memory_ceiling_bytes: u64,
}

/// The answer to `/metrics`.
pub(super) fn text(snapshot: &Snapshot) -> String {
    exposition::write(&families(snapshot))
}

/// The table of `docs/metrics.md`.
#[must_use]
pub fn table() -> String {
    let mut table = "| name | type | labels | |\n|---|---|---|---|\n".to_owned();
    for Family { name, kind, help, labels, .. } in families(&Snapshot::empty()) {
        let labels: Vec<_> = labels.iter().map(|label| format!("`{label}`")).collect();
        let (kind, labels) = (kind.name(), labels.join(", "));
        table += &format!("| `{name}` | {kind} | {labels} | {help} |\n");
    }
    table
}

fn families(snapshot: &Snapshot) -> Vec<Family> {
    let mut families = process(snapshot);
    families.extend(server(snapshot));
    families.extend(control_plane(snapshot));
    families.extend(media_plane(snapshot));
    families.extend(limits_and_times(snapshot));
    families
}

fn process(snapshot: &Snapshot) -> Vec<Family> {
    let Own { resident_bytes, descriptors, descriptors_max, processor_time } = snapshot.process;
    let started = unix(snapshot.now) - snapshot.uptime.as_secs_f64();
    vec![
        Family::gauge("process_start_time_seconds", "When the server started, in Unix time.")
            .of(started),
        Family::counter(
            "process_cpu_seconds_total",
            "Processor time used, by all threads together.",
        )
        .of(processor_time.map(|time| time.as_secs_f64())),
        Family::gauge("process_resident_memory_bytes", "Memory in use.")
            .of(resident_bytes.map(number)),
        Family::gauge("process_open_fds", "Open file descriptors.").of(descriptors.map(number)),
        Family::gauge("process_max_fds", "File descriptors that may be open.")
            .of(descriptors_max.map(number)),
    ]
}

fn server(snapshot: &Snapshot) -> Vec<Family> {
    let Control { census, ready, draining, health, .. } = &snapshot.control;
    let gauge = |name, help, value: usize| Family::gauge(name, help).of(number(value as u64));
    let control = census.control_connections;
    vec![
        Family::gauge("lvsp_build_info", "1; the version is a label.")
            .by(&["version"])
            .each([([env!("CARGO_PKG_VERSION").to_owned()], 1.0)]),
        Family::gauge("lvsp_ready", "1 when new voice states are taken, 0 during a drain.")
            .of(flag(*ready)),
        Family::gauge("lvsp_draining", "1 since a drain began.").of(flag(*draining)),
        Family::gauge(
            "lvsp_health_ratio",
            "How able the server is to take more, from 0 to 1: what chat servers are told.",
        )
        .of(f64::from(*health)),
        Family::gauge(
            "lvsp_certificate_expiry_timestamp_seconds",
            "When the certificate in tls.certificate ends, in Unix time; absent without one.",
        )
        .of(snapshot.certificate_expires.map(unix)),
        Family::gauge(
            "lvsp_memory_ceiling_bytes",
            "The most memory that [limits] allow to be held, kernel buffers aside.",
        )
        .of(number(snapshot.memory_ceiling_bytes)),
        gauge("lvsp_channels", "Channels that chat servers created.", census.channels),
        gauge("lvsp_voice_states", "Users placed in channels.", census.voice_states),
        gauge("lvsp_sessions", "Voice sessions, detached ones included.", census.sessions),
        Family::gauge("lvsp_connections", "TCP connections.").by(&["plane"]).each([
            (["control".to_owned()], number(control as u64)),
            (["gateway".to_owned()], number(census.connections.saturating_sub(control) as u64)),
        ]),
        gauge(
            "lvsp_unauthenticated_connections",
            "TCP connections that have not identified.",
            census.unauthenticated,
        ),
        gauge(
            "lvsp_outbound_bytes",
            "Memory of what waits to be written, over all connections.",
            census.outbound_bytes,
        ),
        gauge(
            "lvsp_inbound_bytes",
            "Memory of what has not wholly arrived, over all connections.",
            census.inbound_bytes,
        ),
        gauge("lvsp_replay_bytes", "Memory of messages kept for resumes.", census.replay_bytes),
    ]
}

fn control_plane(snapshot: &Snapshot) -> Vec<Family> {
    let Control { stats, links, .. } = &snapshot.control;
    let counter = |name, help, value: u64| Family::counter(name, help).of(number(value));
    let changed = links.iter().zip(&snapshot.link_ages).filter_map(|(link, age)| {
        Some(([link.name.clone()], unix(snapshot.now) - (*age)?.as_secs_f64()))
    });
    vec![
        Family::gauge("lvsp_control_connected", "1 while a chat server is connected.")
            .by(&["chat_server"])
            .each(links.iter().map(|link| ([link.name.clone()], flag(link.connected)))),
        Family::gauge(
            "lvsp_control_changed_timestamp_seconds",
            "Since when that is so, in Unix time; absent for a chat server that never came.",
        )
        .by(&["chat_server"])
        .each(changed),
        Family::counter("lvsp_closes_total", "Connections that ended, by reason.")
            .by(&["reason"])
            .each(stats.closes.iter().map(|(r, count)| ([r.name().to_owned()], number(count)))),
        Family::counter(
            "lvsp_proxy_connections_total",
            "Connections of proxies in front: `named` said who their client is, `silent` did not, \
             `refused` began as no trusted proxy does.",
        )
        .by(&["outcome"])
        .each([
            (["named".to_owned()], number(stats.proxied_named)),
            (["silent".to_owned()], number(stats.proxied_silent)),
            (["refused".to_owned()], number(stats.proxied_refused)),
        ]),
        counter("lvsp_resumes_total", "Voice clients that resumed.", stats.resumes),
        counter(
            "lvsp_resumes_refused_total",
            "Resumes that were not possible; clients identify anew.",
            stats.resumes_refused,
        ),
        counter(
            "lvsp_resumes_expired_total",
            "Sessions whose client did not come back within the resume window.",
            stats.resumes_expired,
        ),
        counter(
            "lvsp_control_resumes_total",
            "Chat servers that resumed their control session.",
            stats.control_resumes,
        ),
        counter(
            "lvsp_refused_orders_total",
            "Orders of chat servers that were refused.",
            stats.refused_orders,
        ),
        counter(
            "lvsp_control_not_allowed_total",
            "Control connections from outside control.allow.",
            stats.not_allowed,
        ),
        counter(
            "lvsp_grace_ended_total",
            "Voice states that ended because no chat server came back.",
            stats.grace_ended,
        ),
        counter(
            "lvsp_tolerated_messages_total",
            "Messages of voice clients that have no use here.",
            stats.tolerated_messages,
        ),
    ]
}

fn media_plane(snapshot: &Snapshot) -> Vec<Family> {
    let relays = &snapshot.relays;
    let counter = |name, help, of: fn(&RelayStats) -> u64| {
        let samples = relays.iter().map(|relay| ([name_of(relay)], number(of(&relay.stats))));
        Family::counter(name, help).by(&["relay"]).each(samples)
    };
    let both_ways = |name, help, of: fn(&RelayStats) -> [u64; 2]| {
        let samples = relays.iter().flat_map(|relay| {
            let [received, sent] = of(&relay.stats);
            [("in", received), ("out", sent)]
                .map(|(way, count)| ([name_of(relay), way.to_owned()], number(count)))
        });
        Family::counter(name, help).by(&["relay", "direction"]).each(samples)
    };
    let drops = relays.iter().flat_map(|relay| {
        let each = relay.stats.drops.iter();
        each.map(|(reason, count)| ([name_of(relay), reason.name().to_owned()], number(count)))
    });
    let legs = relays.iter().map(|relay| ([name_of(relay)], number(relay.legs as u64)));
    let behind = relays.iter().map(|relay| ([name_of(relay)], flag(relay.behind)));
    vec![
        Family::gauge("lvsp_legs", "Legs: media endpoints of voice sessions.")
            .by(&["relay"])
            .each(legs),
        Family::gauge("lvsp_relay_behind", "1 while more comes than a relay can handle.")
            .by(&["relay"])
            .each(behind),
        counter("lvsp_datagrams_total", "Datagrams received, of any kind.", |s| s.datagrams_in),
        both_ways("lvsp_packets_total", "Audio packets accepted, and copies sealed.", |s| {
            [s.packets_in, s.packets_out]
        }),
        both_ways("lvsp_media_bytes_total", "Bytes of those packets, UDP payload.", |s| {
            [s.bytes_in, s.bytes_out]
        }),
        both_ways("lvsp_handovers_total", "Packets from and to other relays.", |s| {
            [s.handovers_in, s.handovers_out]
        }),
        Family::counter(
            "lvsp_drops_total",
            "Datagrams and copies that went no further, by reason.",
        )
        .by(&["relay", "reason"])
        .each(drops),
        counter("lvsp_decrypt_failures_total", "Datagrams that did not authenticate.", |s| {
            s.drops.of(DropReason::Unauthentic)
        }),
        counter("lvsp_send_errors_total", "Copies that the socket refused.", |s| {
            s.drops.of(DropReason::SocketFull)
        }),
        counter(
            "lvsp_receive_overflows_total",
            "Datagrams that the socket's buffer had no room for.",
            |s| s.overflows,
        ),
        counter("lvsp_discovery_replies_total", "Discovery requests that were answered.", |s| {
            s.discovery_replies
        }),
        counter("lvsp_rebinds_total", "Legs that moved to another address.", |s| s.rebinds),
        counter(
            "lvsp_foreign_binds_total",
            "Legs bound to an address that their gateway connection does not vouch for.",
            |s| s.foreign_binds,
        ),
        counter("lvsp_receiver_reports_total", "RTCP receiver reports sent.", |s| s.reports),
        counter("lvsp_sequence_restarts_total", "Senders that started their sequence anew.", |s| {
            s.sequence_restarts
        }),
    ]
}

fn limits_and_times(snapshot: &Snapshot) -> Vec<Family> {
    let mut reached: LimitCounts = snapshot.control.stats.limits;
    snapshot.relays.iter().for_each(|relay| reached.add(&relay.stats.limits));
    let reached: Vec<_> =
        reached.iter().map(|(limit, count)| ([limit.to_owned()], number(count))).collect();
    let TurnTimes { control, media } = &snapshot.times;
    let media = media.iter().zip(0u16..).map(|(times, at)| ([at.to_string()], times.clone()));
    vec![
        Family::counter("lvsp_limit_reached_total", "How often each key of [limits] was reached.")
            .by(&["limit"])
            .each(reached),
        Family::histogram(
            "lvsp_control_turn_seconds",
            "How long turns of the control thread took: what comes in between waits so long.",
        )
        .counted([([], control.clone())]),
        Family::histogram("lvsp_media_turn_seconds", "How long turns of a relay's thread took.")
            .by(&["relay"])
            .counted(media),
    ]
}

fn name_of(relay: &Relay) -> String {
    relay.id.0.to_string()
}

fn flag(is: bool) -> f64 {
    f64::from(u8::from(is))
}

fn unix(time: SystemTime) -> f64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

impl Snapshot {
    /// Of a server that nothing is known of.
    fn empty() -> Self {
        Self {
            control: Control::default(),
            relays: Vec::new(),
            link_ages: Vec::new(),
            times: TurnTimes::default(),
            process: Own::default(),
            uptime: Duration::ZERO,
            now: SystemTime::UNIX_EPOCH,
            certificate_expires: None,
            memory_ceiling_bytes: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::exposition::Kind;
    use super::*;

    #[test]
    fn names_follow_the_conventions_and_no_label_names_a_user() {
        let labels =
            ["version", "relay", "reason", "direction", "plane", "chat_server", "limit", "outcome"];
        let mut names = BTreeSet::new();
        for family in families(&Snapshot::empty()) {
            let name = family.name;
            assert!(names.insert(name), "{name} is there twice");
            assert!(name.starts_with("lvsp_") || name.starts_with("process_"), "{name}");
            assert_eq!(name.ends_with("_total"), family.kind == Kind::Counter, "{name}");
            assert!(family.help.ends_with('.'), "{name}");
            assert!(family.labels.iter().all(|label| labels.contains(label)), "{name}");
        }
    }
}
