//! The shapes of the answers. Ids are strings, because they do not fit into JSON's numbers; what ends
//! in `_ms` is milliseconds: how long something takes, or how long ago it was.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use lvsp_core::config::Revision;
use lvsp_core::explain::Explanation;
use lvsp_core::ids::{ControlId, RelayId, RoomId};
use lvsp_core::media::inspect::LegView;
use lvsp_core::reasons::DropReason;
use lvsp_core::server::{ChannelView, ControlView, MemberView};
use lvsp_core::stats::{Census, Drops, RelayStats, ServerStats};
use lvsp_core::time::Timestamp;
use serde::{Serialize, Serializer};

/// Somebody speaks who was heard so short a time ago.
const SPEAKING: Duration = Duration::from_millis(250);

/// Counts by name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Counts(Vec<(&'static str, u64)>);

impl Counts {
    /// Every one of them.
    pub(super) fn all(counts: impl Iterator<Item = (&'static str, u64)>) -> Self {
        Self(counts.collect())
    }

    /// Those that are not zero.
    fn some(counts: impl Iterator<Item = (&'static str, u64)>) -> Self {
        Self(counts.filter(|(_, count)| *count > 0).collect())
    }
}

impl Serialize for Counts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().copied())
    }
}

fn by_reason(drops: &Drops) -> impl Iterator<Item = (&'static str, u64)> + '_ {
    drops.iter().map(|(reason, count)| (reason.name(), count))
}

pub(super) fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn ago(now: Timestamp, at: Timestamp) -> u64 {
    ms(now.since(at))
}

/// What the control thread knows for `/v1/status` and `/metrics`.
#[derive(Clone, Debug, Default)]
pub(super) struct Control {
    pub(super) census: Census,
    pub(super) stats: ServerStats,
    pub(super) links: Vec<ControlView>,
    pub(super) ready: bool,
    pub(super) draining: bool,
    pub(super) health: f32,
}

/// What the thread of a relay knows for the same.
#[derive(Clone, Debug)]
pub(super) struct Relay {
    pub(super) id: RelayId,
    pub(super) address: Option<SocketAddr>,
    pub(super) legs: usize,
    pub(super) stats: RelayStats,
    /// Whether it drops what has waited too long.
    pub(super) behind: bool,
}

/// `/v1/status`
#[derive(Debug, Serialize)]
pub(super) struct Status {
    version: &'static str,
    uptime_ms: u64,
    ready: bool,
    draining: bool,
    /// 0 (not able to take more) to 1.
    health: f32,
    control_links: Vec<ControlLink>,
    relays: Vec<RelayStatus>,
    drops: Counts,
    closes: Counts,
    resumes: Counts,
    proxied: Counts,
    census: Counts,
}

#[derive(Debug, Serialize)]
struct ControlLink {
    name: String,
    connected: bool,
    revision: Revision,
    /// How long it has been as it is; nothing for a chat server that never came.
    since_ms: Option<u64>,
    address: Option<SocketAddr>,
    refused_orders: u64,
}

#[derive(Debug, Serialize)]
struct RelayStatus {
    id: u16,
    address: Option<SocketAddr>,
    legs: usize,
    datagrams_in: u64,
    packets_in: u64,
    packets_out: u64,
    bytes_in: u64,
    bytes_out: u64,
    send_errors: u64,
    behind: bool,
    drops: Counts,
}

impl Status {
    pub(super) fn new(
        now: Timestamp,
        uptime: Duration,
        control: Control,
        relays: &[Relay],
    ) -> Self {
        let Control { census, stats, links, ready, draining, health } = control;
        let mut drops = Drops::default();
        for relay in relays {
            relay.stats.drops.iter().for_each(|(reason, count)| drops.count(reason, count));
        }
        Self {
            version: env!("CARGO_PKG_VERSION"),
            uptime_ms: ms(uptime),
            ready,
            draining,
            health,
            control_links: links.into_iter().map(|link| ControlLink::new(now, link)).collect(),
            relays: relays.iter().map(RelayStatus::new).collect(),
            drops: Counts::all(by_reason(&drops)),
            closes: Counts::all(stats.closes.iter().map(|(reason, count)| (reason.name(), count))),
            resumes: resumes(&stats),
            proxied: proxied(&stats),
            census: Counts::all(census_counts(&census).into_iter()),
        }
    }
}

/// What trusted proxies said of their clients, by connections.
pub(super) fn proxied(stats: &ServerStats) -> Counts {
    Counts(vec![
        ("named", stats.proxied_named),
        ("silent", stats.proxied_silent),
        ("refused", stats.proxied_refused),
    ])
}

/// What became of resumes.
pub(super) fn resumes(stats: &ServerStats) -> Counts {
    Counts(vec![
        ("resumed", stats.resumes),
        ("refused", stats.resumes_refused),
        ("expired", stats.resumes_expired),
        ("control_resumed", stats.control_resumes),
    ])
}

/// How much there is of what.
pub(super) fn census_counts(census: &Census) -> [(&'static str, u64); 18] {
    let Census {
        connections,
        control_connections,
        unauthenticated,
        sessions,
        voice_states,
        channels,
        ssrcs,
        held,
        tombstones,
        outbound_bytes,
        inbound_bytes,
        credential_bytes,
        outputs,
        buried,
        news_bytes,
        control_replay_bytes,
        failure_addresses,
        replay_bytes,
        ..
    } = *census;
    [
        ("connections", connections),
        ("control_connections", control_connections),
        ("unauthenticated", unauthenticated),
        ("sessions", sessions),
        ("voice_states", voice_states),
        ("channels", channels),
        ("ssrcs", ssrcs),
        ("held", held),
        ("tombstones", tombstones),
        ("outbound_bytes", outbound_bytes),
        ("inbound_bytes", inbound_bytes),
        ("credential_bytes", credential_bytes),
        ("outputs", outputs),
        ("buried", buried),
        ("news_bytes", news_bytes),
        ("control_replay_bytes", control_replay_bytes),
        ("failure_addresses", failure_addresses),
        ("replay_bytes", replay_bytes),
    ]
    .map(|(name, count)| (name, count as u64))
}

impl ControlLink {
    fn new(now: Timestamp, link: ControlView) -> Self {
        Self {
            name: link.name,
            connected: link.connected,
            revision: link.revision,
            since_ms: link.since.map(|since| ago(now, since)),
            address: link.peer,
            refused_orders: link.refused_orders,
        }
    }
}

impl RelayStatus {
    fn new(relay: &Relay) -> Self {
        let stats = &relay.stats;
        Self {
            id: relay.id.0,
            address: relay.address,
            legs: relay.legs,
            datagrams_in: stats.datagrams_in,
            packets_in: stats.packets_in,
            packets_out: stats.packets_out,
            bytes_in: stats.bytes_in,
            bytes_out: stats.bytes_out,
            send_errors: stats.drops.of(DropReason::SocketFull),
            behind: relay.behind,
            drops: Counts::all(by_reason(&stats.drops)),
        }
    }
}

/// The names of chat servers, by their ids.
#[derive(Clone, Debug, Default)]
pub(super) struct Names(pub(super) Vec<String>);

impl Names {
    fn of(&self, client: ControlId) -> &str {
        self.0.get(usize::from(client.0)).map_or("", String::as_str)
    }
}

/// One of `/v1/channels`
#[derive(Debug, Serialize)]
pub(super) struct Channel {
    id: String,
    chat_server: String,
    guild_id: Option<String>,
    bitrate: u32,
    relays: Vec<u16>,
    members: usize,
    speaking: usize,
}

impl Channel {
    pub(super) fn new(names: &Names, channel: &ChannelView, speaking: usize) -> Self {
        Self {
            id: channel.id.to_string(),
            chat_server: names.of(channel.client).to_owned(),
            guild_id: channel.guild.map(|guild| guild.to_string()),
            bitrate: channel.bitrate,
            relays: channel.relays.iter().map(|relay| relay.0).collect(),
            members: channel.members,
            speaking,
        }
    }
}

/// One of `/v1/members`
#[derive(Debug, Serialize)]
pub(super) struct Member {
    id: String,
    user_id: String,
    channel_id: String,
    guild_id: Option<String>,
    chat_server: String,
    state: &'static str,
    /// How long it has been without its gateway connection, if it is.
    detached_ms: Option<u64>,
    speaking: bool,
    flags: Flags,
    gateway_version: Option<u8>,
    gateway_address: Option<SocketAddr>,
    mode: Option<&'static str>,
    relay: Option<u16>,
    ssrc: Option<u32>,
    address: Option<SocketAddr>,
    foreign: bool,
    packets_in: u64,
    bytes_in: u64,
    packets_out: u64,
    bytes_out: u64,
    lost: u64,
    late: u64,
    jitter_ms: f64,
    last_heard_ms: Option<u64>,
    over_bitrate: u64,
    drops: Counts,
}

#[derive(Debug, Serialize)]
struct Flags {
    mute: bool,
    deaf: bool,
    suppress: bool,
    self_mute: bool,
    self_deaf: bool,
}

/// Whether somebody is heard speaking.
pub(super) fn is_speaking(now: Timestamp, member: &MemberView, leg: Option<&LegView>) -> bool {
    let heard = leg.and_then(|leg| leg.figures.last_heard);
    member.permissions.speak && heard.is_some_and(|at| now.since(at) <= SPEAKING)
}

impl Member {
    pub(super) fn new(
        now: Timestamp,
        names: &Names,
        member: &MemberView,
        leg: Option<&LegView>,
    ) -> Self {
        let session = member.session.as_ref();
        let figures = leg.map(|leg| leg.figures).unwrap_or_default();
        let flags = member.flags;
        Self {
            id: member.id.to_string(),
            user_id: member.user.to_string(),
            channel_id: member.channel.to_string(),
            guild_id: member.guild.map(|guild| guild.to_string()),
            chat_server: names.of(member.client).to_owned(),
            state: member.state().name(),
            detached_ms: session.and_then(|session| session.detached).map(|at| ago(now, at)),
            speaking: is_speaking(now, member, leg),
            flags: Flags {
                mute: flags.mute,
                deaf: flags.deaf,
                suppress: flags.suppress,
                self_mute: flags.self_mute,
                self_deaf: flags.self_deaf,
            },
            gateway_version: session.map(|session| session.version),
            gateway_address: session.and_then(|session| session.peer),
            mode: leg.and_then(|leg| leg.mode).map(|mode| mode.name()),
            relay: session.map(|session| session.relay.0),
            ssrc: session.map(|session| session.ssrc.0),
            address: leg.and_then(|leg| leg.address),
            foreign: leg.is_some_and(|leg| leg.foreign),
            packets_in: figures.packets_in,
            bytes_in: figures.bytes_in,
            packets_out: figures.packets_out,
            bytes_out: figures.bytes_out,
            lost: figures.lost,
            late: figures.late,
            jitter_ms: (figures.jitter.as_secs_f64() * 100_000.0).round() / 100.0,
            last_heard_ms: figures.last_heard.map(|at| ago(now, at)),
            over_bitrate: figures.over_bitrate,
            drops: Counts::some(by_reason(&figures.drops)),
        }
    }
}

/// `/v1/explain`
#[derive(Debug, Serialize)]
pub(super) struct Answer {
    audible: bool,
    summary: String,
    steps: Vec<AnswerStep>,
}

#[derive(Debug, Serialize)]
struct AnswerStep {
    name: &'static str,
    ok: Option<bool>,
    detail: String,
}

impl From<Explanation> for Answer {
    fn from(explanation: Explanation) -> Self {
        let Explanation { audible, summary, steps } = explanation;
        let steps = steps.into_iter();
        let steps =
            steps.map(|step| AnswerStep { name: step.name, ok: step.ok, detail: step.detail });
        Self { audible, summary, steps: steps.collect() }
    }
}

/// How many of whom are in each room: for channels, which are told of without their members.
pub(super) type ByRoom = BTreeMap<RoomId, usize>;
