//! How much memory a server can come to hold under its limits.
//!
//! A sum: what each limit allows, times what one of it costs. The costs are constants that a test
//! holds against a counting allocator; they contain what an allocator adds and what tables keep in
//! reserve. Not in it: the program's code, the kernel's socket buffers, and what a host holds
//! itself, which it adds ([`Ceiling::add`]).

use crate::limits::Limits;
use crate::media::Handovers;
use crate::stats::Census;

/// A TCP connection over TLS with its WebSocket, beside what waits to be written and read.
pub const CONNECTION_BYTES: usize = 9_728;
/// A voice session, beside its connection, its leg and what is kept for its resume.
pub const SESSION_BYTES: usize = 896;
/// A leg on a relay, with its key and its places in the tables.
pub const LEG_BYTES: usize = 2_696;
/// A channel, beside its token.
pub const CHANNEL_BYTES: usize = 184;
/// A voice state, beside its session id and token.
pub const VOICE_STATE_BYTES: usize = 440;
/// A user in a channel whose voice clients know it.
pub const KNOWN_USER_BYTES: usize = 96;

/// A destroyed channel that is remembered, or one of its users.
const TOMBSTONE_BYTES: usize = 320;
/// An address that failed to identify.
const FAILURE_BYTES: usize = 96;
/// A kind of refused order.
const REFUSAL_KIND_BYTES: usize = 160;
/// What an Identify names that waits for its voice state.
const HELD_BYTES: usize = 2 * 1_024 + 256;
/// An action that waits for the host.
const OUTPUT_BYTES: usize = 2 * 112;
/// What one order may add behind the limit of actions, for each member of the largest channel.
const OUTPUTS_EACH: usize = 6;
/// Of a message that is being read there are so many copies at once.
const MESSAGE_COPIES: usize = 6;
/// Memory for what has not wholly arrived grows by doubling in one of its places.
const INBOUND_FACTOR: usize = 2;
/// The arena of a batch, its list, the order in which it leaves, and what did not leave; and the
/// counters before a relay's table of addresses.
const BATCH_BYTES: usize = 256 * 1_024 + 2_048 * 72 + 2 * 2_048 * 12 + 4_096 * 4;

/// About how much a control plane holds, and a relay with its legs, by the same costs: never above
/// [`Ceiling::of`] its limits.
#[must_use]
pub const fn held(census: &Census) -> u64 {
    let Census { connections, sessions, channels, voice_states, .. } = *census;
    let things = connections * CONNECTION_BYTES
        + sessions * (SESSION_BYTES + LEG_BYTES + KNOWN_USER_BYTES)
        + channels * CHANNEL_BYTES
        + voice_states * VOICE_STATE_BYTES
        + census.buried * TOMBSTONE_BYTES
        + census.held * HELD_BYTES
        + census.failure_addresses * FAILURE_BYTES
        + census.outputs * OUTPUT_BYTES;
    let bytes = census.outbound_bytes
        + INBOUND_FACTOR * census.inbound_bytes
        + census.replay_bytes
        + census.credential_bytes
        + census.news_bytes
        + census.control_replay_bytes;
    (things + bytes) as u64
}

/// One part of the sum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CeilingItem {
    /// What is held.
    pub what: &'static str,
    /// Which keys of `[limits]` bound it.
    pub keys: &'static str,
    /// How many there can be; 1 where a limit counts bytes.
    pub count: u64,
    /// Bytes of each.
    pub each: u64,
}

impl CeilingItem {
    /// Bytes of all of them.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.count.saturating_mul(self.each)
    }
}

/// The most that can be held, part by part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ceiling {
    items: Vec<CeilingItem>,
}

impl Ceiling {
    /// What the core holds for so many chat servers on so many relays.
    #[must_use]
    pub fn of(limits: &Limits, control_clients: usize, relays: usize) -> Self {
        let mut ceiling = Self { items: Vec::new() };
        ceiling.connections(limits);
        ceiling.sessions(limits);
        ceiling.membership(limits, control_clients);
        let largest = limits.control_message_bytes.max(limits.gateway_message_bytes);
        let keys = "control_message_bytes, gateway_message_bytes";
        ceiling.add("the message that is being read", keys, MESSAGE_COPIES, largest);
        let outputs = limits.outputs + OUTPUTS_EACH * limits.members_per_channel;
        ceiling.add("actions for the host", "outputs, members_per_channel", outputs, OUTPUT_BYTES);
        ceiling.add("batches of datagrams", "", relays, BATCH_BYTES);
        // One that is filled and one that is emptied.
        let lists = if relays > 1 { 2 * relays } else { 0 };
        ceiling.add("packets from other relays", "", lists, Handovers::BYTES);
        ceiling
    }

    /// Adds what somebody else holds: a host its queues, for one.
    pub fn add(&mut self, what: &'static str, keys: &'static str, count: usize, each: usize) {
        self.items.push(CeilingItem { what, keys, count: count as u64, each: each as u64 });
    }

    /// The parts, in the order in which they were added.
    #[must_use]
    pub fn items(&self) -> &[CeilingItem] {
        &self.items
    }

    /// All of it, in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.items.iter().map(CeilingItem::bytes).fold(0, u64::saturating_add)
    }

    fn connections(&mut self, limits: &Limits) {
        self.add("connections", "connections", limits.connections, CONNECTION_BYTES);
        self.add("bytes to be written", "outbound_total_bytes", 1, limits.outbound_total_bytes);
        let unfinished = limits.inbound_total_bytes;
        self.add("unfinished messages", "inbound_total_bytes", INBOUND_FACTOR, unfinished);
        let strangers = limits.unauthenticated;
        self.add("Identifies that wait", "unauthenticated", strangers, HELD_BYTES);
        let failed = limits.control_failure_addresses;
        self.add("failed addresses", "control_failure_addresses", failed, FAILURE_BYTES);
    }

    fn sessions(&mut self, limits: &Limits) {
        self.add("voice sessions", "sessions", limits.sessions, SESSION_BYTES);
        self.add("legs", "sessions", limits.sessions, LEG_BYTES);
        self.add("kept for resumes", "replay_total_bytes", 1, limits.replay_total_bytes);
        // A bit for each member of the channel, in words of 64.
        let bits = limits.members_per_channel.min(limits.sessions).div_ceil(64) * 8;
        let keys = "sessions, members_per_channel";
        self.add("who knows whom", keys, limits.sessions, bits + KNOWN_USER_BYTES);
    }

    fn membership(&mut self, limits: &Limits, clients: usize) {
        self.add("channels", "channels", limits.channels, CHANNEL_BYTES);
        self.add("voice states", "voice_states", limits.voice_states, VOICE_STATE_BYTES);
        let credentials = limits.credentials_total_bytes;
        self.add("session ids and tokens", "credentials_total_bytes", 1, credentials);
        self.add("destroyed channels", "tombstones", limits.tombstones, TOMBSTONE_BYTES);
        self.add("news for chat servers", "control_news_bytes", clients, limits.control_news_bytes);
        let kept = limits.control_replay_bytes;
        self.add("kept for chat servers", "control_replay_bytes", clients, kept);
        let kinds = clients.saturating_mul(limits.control_refusal_kinds);
        self.add("kinds of refusals", "control_refusal_kinds", kinds, REFUSAL_KIND_BYTES);
    }
}
