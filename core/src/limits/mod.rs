//! Every bound of the core, one field each.
//!
//! Whatever can grow or be repeated by a peer has its limit here: unit last in the name, default,
//! legal range, and who could exhaust it. Limits are passed in (configuration section `[limits]`),
//! so that tests can shrink them until the edges are common. `declare` makes of the list what
//! reads, checks and counts them.

#[macro_use]
mod declare;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use declare::ToNumber;

/// A duration in whole milliseconds, as it stands in the configuration.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Millis(pub u64);

impl Millis {
    /// The duration.
    #[must_use]
    pub const fn duration(self) -> Duration {
        Duration::from_millis(self.0)
    }
}

/// A value of [`Limits`] outside its legal range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("limits.{key} = {value} is out of range: {min} to {max} is allowed")]
pub struct LimitError {
    /// The field's name.
    pub key: &'static str,
    /// What was given.
    pub value: u64,
    /// Smallest legal value.
    pub min: u64,
    /// Largest legal value.
    pub max: u64,
}

/// One row of [`Limits::table`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitRow {
    /// The field's name, which is also the configuration key.
    pub key: &'static str,
    /// The value in force.
    pub value: u64,
    /// Smallest legal value.
    pub min: u64,
    /// Largest legal value.
    pub max: u64,
    /// What it bounds, for people.
    pub doc: &'static str,
    /// What its count in [`LimitCounts`] counts, for people. Empty for an interval that nobody can
    /// exceed.
    pub counts: &'static str,
}

limits! {
    // --- connections, before anybody is authenticated ---

    /// Gateway connections that have not identified, in all. Exhausted by strangers.
    unauthenticated: usize = 1_024, 1..=1_000_000,
        counts "connections refused or dropped for it";
    /// Gateway connections of one address (IPv4, or IPv6 /64) that have not identified.
    unauthenticated_per_address: usize = 256, 1..=1_000_000,
        counts "connections refused, or parked by the host";
    /// Gateway connections over their address's share that wait unread for room in it, in the host,
    /// for `upgrade_ms` at most. Over this the address of which most wait makes place for those of
    /// which fewer do. Exhausted by strangers, and by all who come back at once from one address.
    parked: usize = 2_048, 0..=1_000_000,
        counts "connections turned away";
    /// Control connections that have not identified, in all.
    control_unauthenticated: usize = 16, 1..=10_000,
        counts "connections refused or dropped for it";
    /// Control connections of one address that have not identified.
    control_unauthenticated_per_address: usize = 4, 1..=10_000,
        counts "connections refused";
    /// How long a connection that has not identified must have made no progress to be dropped for
    /// another's sake, in milliseconds. One that moved lately may be in mid-handshake.
    unauthenticated_idle_ms: Millis = Millis(2_000), 100..=60_000,
        counts "connections refused because nobody was idle for so long";
    /// TCP connections in all, those included that are being closed.
    connections: usize = 11_264, 2..=2_000_000,
        counts "connections refused";
    /// Gateway connections taken a second; the rest wait in the accept backlog, in the host. So
    /// everybody who comes back at once after a restart is spread where it arrives.
    handshakes_per_s: u64 = 500, 1..=100_000,
        counts "connections that waited in the backlog, told by the host";
    /// From accept to the first byte, in milliseconds. Exhausted by slow or silent sockets.
    first_byte_ms: Millis = Millis(5_000), 100..=600_000,
        counts "connections dropped";
    /// From accept to the end of the TLS handshake, in milliseconds.
    tls_ms: Millis = Millis(10_000), 100..=600_000,
        counts "connections dropped";
    /// From accept to the end of the WebSocket upgrade on gateway connections, in milliseconds. As
    /// long may a connection be parked before that.
    upgrade_ms: Millis = Millis(15_000), 100..=600_000,
        counts "connections dropped";
    /// The same on control connections, in milliseconds.
    control_upgrade_ms: Millis = Millis(10_000), 100..=600_000,
        counts "connections dropped";
    /// From Hello to Identify or Resume, both planes, in milliseconds.
    identify_ms: Millis = Millis(10_000), 100..=600_000,
        counts "connections closed";
    /// Bytes of a client's side of the TLS handshake. Real ones stay under 4 KiB.
    tls_handshake_bytes: usize = 16_384, 4_096..=65_535,
        counts "connections dropped";
    /// Header of the PROXY protocol, in bytes, from trusted proxies. Without extensions it has 107.
    proxy_header_bytes: usize = 4_096, 107..=65_551,
        counts "connections dropped";
    /// HTTP request head, in bytes. Real upgrade requests stay under 2 KiB.
    upgrade_bytes: usize = 16_384, 512..=1_048_576,
        counts "requests refused";
    /// HTTP request head, in lines.
    upgrade_lines: usize = 64, 4..=1_000,
        counts "requests refused";
    /// How long an Identify for a voice state that is not known yet waits for the chat server.
    identify_hold_ms: Millis = Millis(3_000), 0..=5_000,
        counts "Identifies that waited in vain";

    // --- messages ---

    /// Gateway message before the client is identified, in bytes.
    gateway_message_unidentified_bytes: usize = 8_192, 1_024..=1_048_576,
        counts "connections closed";
    /// Gateway message after that, in bytes (an SDP is the largest legal one).
    gateway_message_bytes: usize = 65_536, 4_096..=1_048_576,
        counts "connections closed";
    /// Control message before IDENTIFY, in bytes.
    control_message_unidentified_bytes: usize = 4_096, 1_024..=1_048_576,
        counts "connections closed";
    /// Control message after that, in bytes.
    control_message_bytes: usize = 262_144, 4_096..=1_048_576,
        counts "connections closed";
    /// Outgoing control message, in bytes. Chat servers in Python read 1 MiB at most.
    control_outbound_message_bytes: usize = 1_048_512, 4_096..=1_048_512,
        counts "connections dropped";
    /// Bytes of what has not wholly arrived, over all connections. Over it the connection that
    /// holds most of them is dropped. Exhausted by clients that begin messages and do not end them.
    inbound_total_bytes: usize = 4_194_304, 65_536..=17_179_869_184,
        counts "connections dropped";
    /// Nesting of any JSON text.
    json_depth: usize = 16, 4..=64,
        counts "connections closed";
    /// Gateway messages a client may send at once.
    message_burst: u64 = 120, 10..=100_000,
        counts "connections closed";
    /// Gateway messages a second that refill the burst.
    message_refill_per_s: u64 = 20, 1..=100_000,
        counts "connections closed";
    /// After a client sent too many messages, its next Identify waits so long, in milliseconds.
    message_calm_ms: Millis = Millis(10_000), 0..=60_000,
        counts "Identifies that had to wait";
    /// Repeated Select Protocol a minute.
    select_protocol_per_minute: u64 = 5, 1..=1_000,
        counts "connections closed";

    // --- sessions ---

    /// Voice sessions. Bounded by the chat servers' voice states as well.
    sessions: usize = 10_000, 1..=1_000_000,
        counts "connections closed";
    /// Gateway heartbeat interval announced in Hello, in milliseconds. Must stay below 30 s:
    /// discord.py reconnects when nothing arrives for that long.
    heartbeat_interval_ms: Millis = Millis(13_750), 1_000..=29_000,
        counts "";
    /// Silence after which a gateway connection is dropped and its session detached: three
    /// intervals and five seconds.
    heartbeat_silence_ms: Millis = Millis(46_250), 2_000..=600_000,
        counts "connections dropped";
    /// How long a detached session can be resumed, in milliseconds.
    resume_window_ms: Millis = Millis(90_000), 1_000..=3_600_000,
        counts "sessions ended";
    /// Messages kept for one session's resume; below version 8 departures alone.
    resume_messages: usize = 2_048, 1..=65_000,
        counts "messages forgotten";
    /// Bytes of messages kept for one session's resume; each counts 64 bytes more than it is
    /// long, for its place.
    resume_bytes: usize = 524_288, 1_024..=16_777_216,
        counts "messages forgotten";
    /// The same over all sessions. Over it the sessions that
    /// were detached first lose theirs, and then cannot be resumed.
    replay_total_bytes: usize = 67_108_864, 1_024..=17_179_869_184,
        counts "sessions that lost what was kept for them";
    /// Bytes that wait for one connection before it counts as a slow reader.
    outbound_bytes: usize = 1_048_576, 16_384..=67_108_864,
        counts "connections dropped";
    /// Age of the oldest waiting byte before a connection counts as a slow reader.
    outbound_age_ms: Millis = Millis(10_000), 100..=600_000,
        counts "connections dropped";
    /// Memory of what waits to be written, over all connections, in bytes.
    outbound_total_bytes: usize = 134_217_728, 65_536..=17_179_869_184,
        counts "connections dropped";
    /// How long a connection that was closed may take to read what was written before, in
    /// milliseconds.
    linger_ms: Millis = Millis(5_000), 100..=60_000,
        counts "connections dropped";
    /// How long a voice state waits for its client before it ends (`never_connected`).
    reservation_ms: Millis = Millis(60_000), 1_000..=3_600_000,
        counts "voice states ended";

    /// In channels of more members than this, arrivals and departures are told together.
    gather_above_members: usize = 100, 1..=20_000,
        counts "arrivals and departures gathered";
    /// How long they are gathered for that, in milliseconds.
    gather_ms: Millis = Millis(100), 0..=5_000,
        counts "times that gathered ones were told";

    // --- control plane ---

    /// Server Ping interval on control connections, in milliseconds.
    control_ping_ms: Millis = Millis(20_000), 1_000..=600_000,
        counts "Pings sent";
    /// Silence (not one byte) after which a control connection is closed.
    control_silence_ms: Millis = Millis(60_000), 2_000..=3_600_000,
        counts "connections dropped";
    /// INFO messages kept for RESUME.
    control_replay_messages: usize = 4_096, 1..=1_000_000,
        counts "messages forgotten";
    /// Bytes of INFO messages kept for RESUME; each counts 64 bytes more than it is long.
    control_replay_bytes: usize = 1_048_576, 1_024..=67_108_864,
        counts "messages forgotten";
    /// Age of INFO messages kept for RESUME, in milliseconds.
    control_replay_ms: Millis = Millis(300_000), 1_000..=86_400_000,
        counts "messages forgotten";
    /// Failed IDENTIFYs of one address before it is refused for a while.
    control_failures: u64 = 5, 1..=1_000,
        counts "connections refused";
    /// Over how long failed IDENTIFYs are counted, and for how long the address is then refused, in
    /// milliseconds.
    control_failures_ms: Millis = Millis(60_000), 1_000..=3_600_000,
        counts "addresses that began to be refused";
    /// Addresses whose failed IDENTIFYs are remembered; the one that failed first is forgotten for
    /// another.
    control_failure_addresses: usize = 1_024, 1..=1_000_000,
        counts "addresses forgotten";
    /// Kinds of refused orders that are told apart in one session.
    control_refusal_kinds: usize = 64, 1..=10_000,
        counts "refused orders of further kinds";
    /// Refused orders that a chat server is yet to be told of.
    control_refusals: usize = 256, 1..=100_000,
        counts "refused orders that it was not told of";
    /// Bytes of what one chat server is yet to be told. Over it the connection is dropped, and the
    /// next one is told everything that is in force. Exhausted by one that orders and does not read.
    control_news_bytes: usize = 14_680_064, 16_384..=1_073_741_824,
        counts "connections dropped";
    /// Bytes of a state dump that may wait on a control connection; never over half of
    /// `outbound_total_bytes`.
    control_dump_bytes: usize = 65_536, 4_096..=1_048_576,
        counts "pauses of what is told";
    /// From the last re-statement to the removal of what was not stated again.
    reconcile_ms: Millis = Millis(30_000), 100..=600_000,
        counts "voice states ended";
    /// From READY to that removal at the latest.
    reconcile_total_ms: Millis = Millis(300_000), 1_000..=3_600_000,
        counts "re-statements cut short";
    /// Calls that no chat server vouches for end over this time, in milliseconds.
    grace_spread_ms: Millis = Millis(30_000), 0..=600_000,
        counts "voice states ended";
    /// Connections are closed over this time at the end of a drain, in milliseconds.
    drain_spread_ms: Millis = Millis(2_000), 0..=60_000,
        counts "connections closed";
    /// How long after that a connection that has not gone is dropped, in milliseconds. The next
    /// process may have to wait for the end of this one, and songbird gives up 12 s after its
    /// connection ended.
    drain_linger_ms: Millis = Millis(1_000), 100..=60_000,
        counts "connections dropped";
    /// A wake-up this late, in milliseconds, means that the process stood still: whatever is awaited
    /// of peers is given so much more time.
    stall_ms: Millis = Millis(2_000), 100..=60_000,
        counts "stalls";
    /// Actions that wait for the host; over it deadlines that are due and orders of chat servers are
    /// put off to the next call.
    outputs: usize = 4_096, 16..=1_000_000,
        counts "calls that put something off";
    /// How long a destroyed channel answers voice clients with 4022 instead of waiting.
    tombstone_ms: Millis = Millis(60_000), 1_000..=3_600_000,
        counts "channels forgotten";
    /// Destroyed channels and their users that are remembered; the oldest are forgotten first.
    tombstones: usize = 8_192, 1..=1_000_000,
        counts "channels forgotten";
    /// Channels of all chat servers.
    channels: usize = 100_000, 1..=10_000_000,
        counts "orders refused";
    /// Voice states of all chat servers.
    voice_states: usize = 200_000, 1..=10_000_000,
        counts "orders refused";
    /// Members of one channel.
    members_per_channel: usize = 1_000, 1..=20_000,
        counts "orders refused";
    /// Bytes of session ids and tokens of all channels and voice states. Chat servers may choose them
    /// up to 1,024 bytes long each.
    credentials_total_bytes: usize = 27_262_976, 1_024..=17_179_869_184,
        counts "orders refused";

    // --- media plane ---

    /// Legs of one channel on its relay. Where there are several relays, further ones go to the relay
    /// that has the fewest of them, and what is said is handed from one relay to the others.
    legs_per_relay: usize = 1_000, 2..=20_000,
        counts "legs opened on another relay";
    /// Discovery replies to one session before the rate below applies.
    discovery_burst: u64 = 16, 1..=10_000,
        counts "requests unanswered";
    /// Discovery replies a second to one session after that.
    discovery_per_s: u64 = 1, 1..=1_000,
        counts "requests unanswered";
    /// UDP ping replies a second to one leg.
    ping_per_s: u64 = 5, 1..=1_000,
        counts "pings unanswered";
    /// Valid audio packets of one sender at once (2.5 ms frames are 400 a second).
    sender_packet_burst: u64 = 500, 50..=100_000,
        counts "packets dropped";
    /// Valid audio packets of one sender a second.
    sender_packets_per_s: u64 = 420, 50..=100_000,
        counts "packets dropped";
    /// Valid audio bits of one sender a second (Opus ends at 510,000).
    sender_bps: u64 = 512_000, 8_000..=100_000_000,
        counts "packets dropped";
    /// RTP payload, in bytes: the largest Opus frame is 1,275, and what leaves must fit in 1,400 in
    /// every mode.
    payload_bytes: usize = 1_336, 100..=1_336,
        counts "packets dropped";
    /// Address changes of one leg a minute.
    rebinds_per_minute: u64 = 30, 1..=1_000,
        counts "moves not made";
    /// From one address change of a leg to the next, in milliseconds.
    rebind_interval_ms: Millis = Millis(1_000), 10..=60_000,
        counts "moves not made";
    /// From a datagram's arrival to the sending of its copies, in milliseconds, in the host. Later
    /// voice is of no use, and working on it would make what follows late as well.
    media_latency_ms: Millis = Millis(100), 5..=10_000,
        counts "datagrams and copies dropped";
    /// When all packets wait longer than this for a fifth of a second, in milliseconds, their relay
    /// is behind and drops them unopened, each room its share.
    media_behind_ms: Millis = Millis(20), 5..=10_000,
        counts "datagrams dropped";
    /// Packets under one key before the session is renewed in the next silence.
    key_soft_packets: u64 = 536_870_912, 1_024..=536_870_912,
        counts "keys that are to be renewed";
    /// Packets under one key after which the session ends at once.
    key_hard_packets: u64 = 1_073_676_288, 2_048..=1_073_676_288,
        counts "keys used up";
}

impl Limits {
    /// Checks every value against its legal range.
    ///
    /// What is written at once to one connection has to fit in what may wait there twice over, or
    /// its reader would be dropped for it again and again: half of `outbound_bytes` is the largest
    /// legal `resume_bytes` and `control_dump_bytes`. Every session needs a connection: `sessions` is
    /// the smallest legal `connections`.
    ///
    /// # Errors
    /// The first value out of range, with its key and the range.
    pub fn validate(&self) -> Result<(), LimitError> {
        self.faults().into_iter().next().map_or(Ok(()), Err)
    }

    /// Every value out of its range, in the order of the fields.
    #[must_use]
    pub fn faults(&self) -> Vec<LimitError> {
        let half = self.outbound_bytes.to_number() / 2;
        let at_once = [stringify!(resume_bytes), stringify!(control_dump_bytes)];
        self.table()
            .into_iter()
            .map(|row| {
                let max = if at_once.contains(&row.key) { row.max.min(half) } else { row.max };
                let sessions = row.key == stringify!(connections);
                let min = if sessions { self.sessions.to_number() } else { row.min };
                LimitRow { min, max, ..row }
            })
            .filter(|row| row.value < row.min || row.value > row.max)
            .map(|LimitRow { key, value, min, max, .. }| LimitError { key, value, min, max })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_legal() {
        assert_eq!(Limits::default().validate(), Ok(()));
    }

    #[test]
    fn a_value_out_of_range_is_named_with_its_range() {
        let limits = Limits { heartbeat_interval_ms: Millis(30_000), ..Limits::default() };
        let error = limits.validate().expect_err("30 s is out of range");
        assert_eq!(
            error.to_string(),
            "limits.heartbeat_interval_ms = 30000 is out of range: 1000 to 29000 is allowed"
        );
    }

    #[test]
    fn what_is_written_at_once_fits_in_what_may_wait() {
        let limits = Limits { outbound_bytes: 20_000, ..Limits::default() };
        let error = limits.validate().expect_err("a resume would be dropped as a slow reader");
        assert_eq!(
            error.to_string(),
            "limits.resume_bytes = 524288 is out of range: 1024 to 10000 is allowed"
        );
    }

    #[test]
    fn there_are_connections_for_all_sessions() {
        let limits = Limits { sessions: 20_000, ..Limits::default() };
        let error = limits.validate().expect_err("half of them could not connect");
        assert_eq!(
            error.to_string(),
            "limits.connections = 11264 is out of range: 20000 to 2000000 is allowed"
        );
    }

    #[test]
    fn silence_is_three_intervals_and_five_seconds() {
        let limits = Limits::default();
        assert_eq!(limits.heartbeat_silence_ms.0, 3 * limits.heartbeat_interval_ms.0 + 5_000);
    }
}
