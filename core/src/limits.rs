//! Every bound of the core, one field each.
//!
//! Whatever can grow or be repeated by a peer has its limit here: unit last in the name, default,
//! legal range, and who could exhaust it. Limits are passed in (configuration section `[limits]`),
//! so that tests can shrink them until the edges are common.

use std::time::Duration;

use serde::{Deserialize, Serialize};

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
}

trait ToNumber {
    fn to_number(self) -> u64;
}

impl ToNumber for usize {
    fn to_number(self) -> u64 {
        self as u64
    }
}

impl ToNumber for u64 {
    fn to_number(self) -> u64 {
        self
    }
}

impl ToNumber for Millis {
    fn to_number(self) -> u64 {
        self.0
    }
}

macro_rules! limits {
    ($($(#[doc = $doc:literal])* $key:ident: $kind:ty = $default:expr, $min:literal..=$max:literal;)*) => {
        /// All bounds. [`Limits::default`] holds the documented defaults.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct Limits {
            $(
                $(#[doc = $doc])*
                #[doc = concat!("\n\nLegal range: ", $min, " to ", $max, ".")]
                pub $key: $kind,
            )*
        }

        impl Default for Limits {
            fn default() -> Self {
                Self { $($key: $default,)* }
            }
        }

        impl Limits {
            /// Every limit with its value and legal range, in the order of declaration.
            #[must_use]
            pub fn table(&self) -> Vec<LimitRow> {
                vec![$(LimitRow {
                    key: stringify!($key),
                    value: self.$key.to_number(),
                    min: $min,
                    max: $max,
                    doc: concat!($($doc),*).trim_ascii(),
                },)*]
            }
        }
    };
}

limits! {
    // --- connections, before anybody is authenticated ---

    /// Gateway connections that have not identified, in all. Exhausted by strangers.
    unauthenticated: usize = 1_024, 1..=1_000_000;
    /// Gateway connections of one address (IPv4, or IPv6 /64) that have not identified.
    unauthenticated_per_address: usize = 256, 1..=1_000_000;
    /// Control connections that have not identified, in all.
    control_unauthenticated: usize = 16, 1..=10_000;
    /// Control connections of one address that have not identified.
    control_unauthenticated_per_address: usize = 4, 1..=10_000;
    /// Gateway connections taken a second; the rest wait in the accept backlog, in the host. So
    /// everybody who comes back at once after a restart is spread where it arrives.
    handshakes_per_s: u64 = 500, 1..=100_000;
    /// From accept to the first byte, in milliseconds. Exhausted by slow or silent sockets.
    first_byte_ms: Millis = Millis(5_000), 100..=600_000;
    /// From accept to the end of the TLS handshake, in milliseconds.
    tls_ms: Millis = Millis(10_000), 100..=600_000;
    /// From accept to the end of the WebSocket upgrade, in milliseconds.
    upgrade_ms: Millis = Millis(15_000), 100..=600_000;
    /// From Hello to Identify or Resume, both planes, in milliseconds.
    identify_ms: Millis = Millis(10_000), 100..=600_000;
    /// HTTP request head, in bytes. Real upgrade requests stay under 2 KiB.
    upgrade_bytes: usize = 16_384, 512..=1_048_576;
    /// HTTP request head, in lines.
    upgrade_lines: usize = 64, 4..=1_000;
    /// How long an Identify for a voice state that is not known yet waits for the chat server.
    identify_hold_ms: Millis = Millis(3_000), 0..=5_000;

    // --- messages ---

    /// Gateway message before the client is identified, in bytes.
    gateway_message_unidentified_bytes: usize = 8_192, 1_024..=1_048_576;
    /// Gateway message after that, in bytes (an SDP is the largest legal one).
    gateway_message_bytes: usize = 65_536, 4_096..=1_048_576;
    /// Control message before IDENTIFY, in bytes.
    control_message_unidentified_bytes: usize = 4_096, 1_024..=1_048_576;
    /// Control message after that, in bytes.
    control_message_bytes: usize = 262_144, 4_096..=1_048_576;
    /// Nesting of any JSON text.
    json_depth: usize = 16, 4..=64;
    /// Gateway messages a client may send at once.
    message_burst: u64 = 120, 10..=100_000;
    /// Gateway messages a second that refill the burst.
    message_refill_per_s: u64 = 20, 1..=100_000;
    /// After a client sent too many messages, its next Identify waits so long, in milliseconds.
    message_calm_ms: Millis = Millis(10_000), 0..=60_000;
    /// Repeated Select Protocol a minute.
    select_protocol_per_minute: u64 = 5, 1..=1_000;

    // --- sessions ---

    /// Voice sessions. Bounded by the chat servers' voice states as well.
    sessions: usize = 10_000, 1..=1_000_000;
    /// Gateway heartbeat interval announced in Hello, in milliseconds. Must stay below 30 s:
    /// discord.py reconnects when nothing arrives for that long.
    heartbeat_interval_ms: Millis = Millis(13_750), 1_000..=29_000;
    /// Silence after which a gateway connection is dropped and its session detached: three
    /// intervals and five seconds.
    heartbeat_silence_ms: Millis = Millis(46_250), 2_000..=600_000;
    /// How long a detached session can be resumed, in milliseconds.
    resume_window_ms: Millis = Millis(90_000), 1_000..=3_600_000;
    /// Numbered messages kept for one session's resume.
    resume_messages: usize = 2_048, 1..=65_000;
    /// Bytes of numbered messages kept for one session's resume.
    resume_bytes: usize = 524_288, 1_024..=16_777_216;
    /// Bytes of numbered messages kept for the resumes of all sessions. Over it the sessions that
    /// were detached first lose theirs, and then cannot be resumed.
    replay_total_bytes: usize = 67_108_864, 1_024..=17_179_869_184;
    /// Bytes that wait for one connection before it counts as a slow reader.
    outbound_bytes: usize = 1_048_576, 16_384..=67_108_864;
    /// Age of the oldest waiting byte before a connection counts as a slow reader.
    outbound_age_ms: Millis = Millis(10_000), 100..=600_000;
    /// Bytes that wait over all connections.
    outbound_total_bytes: usize = 134_217_728, 65_536..=17_179_869_184;
    /// How long a voice state waits for its client before it ends (`never_connected`).
    reservation_ms: Millis = Millis(60_000), 1_000..=3_600_000;

    /// In channels of more members than this, arrivals and departures are told together.
    gather_above_members: usize = 100, 1..=20_000;
    /// How long they are gathered for that, in milliseconds.
    gather_ms: Millis = Millis(100), 0..=5_000;

    // --- control plane ---

    /// Server Ping interval on control connections, in milliseconds.
    control_ping_ms: Millis = Millis(20_000), 1_000..=600_000;
    /// Silence (not one byte) after which a control connection is closed.
    control_silence_ms: Millis = Millis(60_000), 2_000..=3_600_000;
    /// INFO messages kept for RESUME.
    control_replay_messages: usize = 4_096, 1..=1_000_000;
    /// Bytes of INFO messages kept for RESUME.
    control_replay_bytes: usize = 1_048_576, 1_024..=67_108_864;
    /// Age of INFO messages kept for RESUME, in milliseconds.
    control_replay_ms: Millis = Millis(300_000), 1_000..=86_400_000;
    /// Failed IDENTIFYs of one address within a minute before it is refused for a minute.
    control_failures: u64 = 5, 1..=1_000;
    /// Channels and voice states of one chat server that are yet to be told of, gone ones included.
    /// Over it that chat server is dropped as a slow reader and told everything when it resumes.
    /// Exhausted by a chat server that orders without reading; keep it above all that it may have.
    control_news: usize = 500_000, 16..=30_000_000;
    /// Bytes of a state dump that may wait on a control connection.
    control_dump_bytes: usize = 65_536, 4_096..=1_048_576;
    /// From the last re-statement to the removal of what was not stated again.
    reconcile_ms: Millis = Millis(30_000), 100..=600_000;
    /// From READY to that removal at the latest.
    reconcile_total_ms: Millis = Millis(300_000), 1_000..=3_600_000;
    /// How long a destroyed channel answers voice clients with 4022 instead of waiting.
    tombstone_ms: Millis = Millis(60_000), 1_000..=3_600_000;
    /// Destroyed channels that are remembered for that; of more, the newest are not.
    tombstones: usize = 10_000, 1..=1_000_000;
    /// Channels of one chat server.
    channels: usize = 100_000, 1..=10_000_000;
    /// Voice states of one chat server.
    voice_states: usize = 200_000, 1..=10_000_000;
    /// Members of one channel.
    members_per_channel: usize = 1_000, 1..=20_000;

    // --- media plane ---

    /// Discovery replies to one session before the rate below applies.
    discovery_burst: u64 = 16, 1..=10_000;
    /// Discovery replies a second to one session after that.
    discovery_per_s: u64 = 1, 1..=1_000;
    /// UDP ping replies a second to one leg.
    ping_per_s: u64 = 5, 1..=1_000;
    /// Valid audio packets of one sender at once (2.5 ms frames are 400 a second).
    sender_packet_burst: u64 = 500, 50..=100_000;
    /// Valid audio packets of one sender a second.
    sender_packets_per_s: u64 = 420, 50..=100_000;
    /// Valid audio bits of one sender a second (Opus ends at 510,000).
    sender_bps: u64 = 512_000, 8_000..=100_000_000;
    /// RTP payload, in bytes: the largest Opus frame is 1,275 and what leaves must fit in 1,400.
    payload_bytes: usize = 1_340, 100..=1_340;
    /// Address changes of one leg a minute (one a second at most).
    rebinds_per_minute: u64 = 30, 1..=1_000;
    /// From a datagram's arrival to the sending of its copies, in milliseconds, in the host. Later
    /// voice is of no use, and working on it would make what follows late as well.
    media_latency_ms: Millis = Millis(100), 5..=10_000;
    /// Packets under one key before the session is renewed in the next silence.
    key_soft_packets: u64 = 536_870_912, 1_024..=536_870_912;
    /// Packets under one key after which the session ends at once.
    key_hard_packets: u64 = 1_073_676_288, 2_048..=1_073_676_288;
}

impl Limits {
    /// Checks every value against its legal range.
    ///
    /// What is written at once to one connection has to fit in what may wait there twice over, or
    /// its reader would be dropped for it again and again: half of `outbound_bytes` is the largest
    /// legal `resume_bytes` and `control_dump_bytes`.
    ///
    /// # Errors
    /// The first value out of range, with its key and the range.
    pub fn validate(&self) -> Result<(), LimitError> {
        let half = self.outbound_bytes.to_number() / 2;
        let at_once = [stringify!(resume_bytes), stringify!(control_dump_bytes)];
        self.table()
            .into_iter()
            .map(|row| {
                let max = if at_once.contains(&row.key) { row.max.min(half) } else { row.max };
                LimitRow { max, ..row }
            })
            .find(|row| row.value < row.min || row.value > row.max)
            .map_or(Ok(()), |LimitRow { key, value, min, max, .. }| {
                Err(LimitError { key, value, min, max })
            })
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
    fn silence_is_three_intervals_and_five_seconds() {
        let limits = Limits::default();
        assert_eq!(limits.heartbeat_silence_ms.0, 3 * limits.heartbeat_interval_ms.0 + 5_000);
    }
}
