//! One gateway connection: decides what each message means at this point, and in which form.
//!
//! | stage | legal | otherwise |
//! |---|---|---|
//! | Fresh | Heartbeat, Identify, Resume | 4003 |
//! | Held (an Identify waits for its voice state) | Heartbeat | 4003; Identify or Resume 4005 |
//! | Identified | everything but Identify, Resume | 4005 |
//!
//! Messages that an audio server has no use for are tolerated and counted by the parent.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::crypto::mode::Mode;
use crate::ids::{ChannelId, Ssrc, UserId};
use crate::limits::Limits;
use crate::reasons::CloseReason;
use crate::time::Timestamp;
use crate::wire::gateway::{ClientMessage, HeartbeatNonce, Version};
use crate::wire::secret::Secret;

/// How far a connection has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stage {
    Fresh,
    Held,
    Identified,
}

/// What a client presents to begin a session or to take one up again.
#[derive(Debug)]
pub(crate) struct Credentials {
    pub(crate) server_id: u64,
    /// Named from version 9 on.
    pub(crate) channel_id: Option<ChannelId>,
    pub(crate) session_id: Secret,
    pub(crate) token: Secret,
}

/// What a message asks of the parent.
#[derive(Debug)]
pub(crate) enum Step {
    /// Nothing: tolerated.
    Nothing,
    /// Answer the heartbeat; `seq_ack` acknowledges numbered messages.
    Heartbeat { nonce: HeartbeatNonce, seq_ack: Option<u16> },
    /// Check these credentials.
    Identify { user: UserId, credentials: Credentials },
    /// Take an earlier session up again.
    Resume { credentials: Credentials, seq_ack: Option<u16> },
    /// Give the session a key in this mode.
    Select { mode: Mode, claimed: Option<SocketAddr> },
    /// The client's speaking flags, and the SSRC that it believes to have.
    Speaking { flags: u8, ssrc: Option<Ssrc> },
    /// Name the server's version.
    BackendVersion,
    /// The client has no route for media: its session can end.
    NoRoute,
    /// Close the connection.
    Fail(CloseReason),
}

/// The state of one gateway connection.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) version: Version,
    pub(crate) stage: Stage,
    /// The Identify of a connection that is [`Stage::Held`].
    pub(crate) held: Option<(UserId, Credentials)>,
    messages: Bucket,
    selects: Bucket,
    legacy_modes: bool,
}

impl Link {
    pub(crate) fn new(
        now: Timestamp,
        version: Version,
        limits: &Limits,
        legacy_modes: bool,
    ) -> Self {
        let second = Duration::from_secs(1);
        let per_message = second / u32::try_from(limits.message_refill_per_s).unwrap_or(u32::MAX);
        let minute = Duration::from_secs(60);
        let selects = limits.select_protocol_per_minute;
        Self {
            version,
            stage: Stage::Fresh,
            held: None,
            messages: Bucket::new(now, limits.message_burst, per_message),
            selects: Bucket::new(now, selects, minute / u32::try_from(selects).unwrap_or(u32::MAX)),
            legacy_modes,
        }
    }

    /// Decides what `message` means here.
    pub(crate) fn handle_message(&mut self, now: Timestamp, message: ClientMessage) -> Step {
        if !self.messages.take(now) {
            return Step::Fail(CloseReason::RateLimited);
        }
        match (self.stage, message) {
            (_, ClientMessage::Heartbeat { nonce, seq_ack }) => Step::Heartbeat { nonce, seq_ack },
            (Stage::Fresh, message) => first_step(message),
            (_, ClientMessage::Identify { .. } | ClientMessage::Resume { .. }) => {
                Step::Fail(CloseReason::AlreadyAuthenticated)
            }
            (Stage::Held, _) => Step::Fail(CloseReason::NotAuthenticated),
            (Stage::Identified, message) => self.handle_identified(now, message),
        }
    }

    /// A binary message. Only end-to-end encryption uses them, which is not served: tolerated.
    pub(crate) fn handle_binary(&mut self, now: Timestamp) -> Step {
        if !self.messages.take(now) {
            return Step::Fail(CloseReason::RateLimited);
        }
        match self.stage {
            Stage::Fresh | Stage::Held => Step::Fail(CloseReason::NotAuthenticated),
            Stage::Identified => Step::Nothing,
        }
    }

    fn handle_identified(&mut self, now: Timestamp, message: ClientMessage) -> Step {
        match message {
            ClientMessage::SelectProtocol { protocol, address, port, mode } => {
                if !self.selects.take(now) {
                    return Step::Fail(CloseReason::SelectLimited);
                }
                if protocol != "udp" {
                    return Step::Fail(CloseReason::UnknownProtocol);
                }
                let offered = Mode::offered(self.legacy_modes);
                let mode = mode.as_deref().and_then(Mode::from_name);
                match mode.filter(|mode| offered.contains(mode)) {
                    Some(mode) => Step::Select { mode, claimed: claimed_address(address, port) },
                    None => Step::Fail(CloseReason::UnknownMode),
                }
            }
            ClientMessage::Speaking { flags, ssrc } => {
                Step::Speaking { flags, ssrc: ssrc.map(Ssrc) }
            }
            ClientMessage::BackendVersion => Step::BackendVersion,
            ClientMessage::NoRoute => Step::NoRoute,
            ClientMessage::Video
            | ClientMessage::SessionUpdate
            | ClientMessage::MediaSinkWants
            | ClientMessage::TransitionReady
            | ClientMessage::InvalidCommit
            | ClientMessage::Unknown { .. } => Step::Nothing,
            // Decided before the stage was looked at.
            ClientMessage::Heartbeat { .. }
            | ClientMessage::Identify { .. }
            | ClientMessage::Resume { .. } => Step::Fail(CloseReason::AlreadyAuthenticated),
        }
    }
}

/// The first message of a connection, heartbeats aside.
fn first_step(message: ClientMessage) -> Step {
    if let ClientMessage::Identify { server_id, channel_id, user_id, session_id, token, .. } =
        message
    {
        let credentials = Credentials { server_id, channel_id, session_id, token };
        return Step::Identify { user: user_id, credentials };
    }
    if let ClientMessage::Resume { server_id, channel_id, session_id, token, seq_ack } = message {
        let credentials = Credentials { server_id, channel_id, session_id, token };
        return Step::Resume { credentials, seq_ack };
    }
    Step::Fail(CloseReason::NotAuthenticated)
}

/// The address that a client believes to be its own. Libraries that only play may write junk.
fn claimed_address(address: Option<String>, port: Option<u16>) -> Option<SocketAddr> {
    let ip = address?.parse::<IpAddr>().ok()?;
    Some(SocketAddr::new(ip, port?))
}

/// A token bucket: `burst` at once, then one per `interval`.
#[derive(Debug)]
struct Bucket {
    burst: u64,
    interval: Duration,
    tokens: u64,
    refilled: Timestamp,
}

impl Bucket {
    const fn new(now: Timestamp, burst: u64, interval: Duration) -> Self {
        Self { burst, interval, tokens: burst, refilled: now }
    }

    fn take(&mut self, now: Timestamp) -> bool {
        let interval = self.interval.as_micros().max(1);
        let earned = now.since(self.refilled).as_micros() / interval;
        let earned = u64::try_from(earned).unwrap_or(u64::MAX);
        if earned > 0 {
            self.tokens = self.tokens.saturating_add(earned).min(self.burst);
            let spent = u128::from(earned).saturating_mul(interval);
            self.refilled =
                self.refilled + Duration::from_micros(u64::try_from(spent).unwrap_or(u64::MAX));
        }
        match self.tokens.checked_sub(1) {
            Some(rest) => {
                self.tokens = rest;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_refills_one_token_per_interval_up_to_its_burst() {
        let mut bucket = Bucket::new(Timestamp::ZERO, 2, Duration::from_millis(50));
        let at = Timestamp::from_millis;
        assert!(bucket.take(at(0)) && bucket.take(at(0)));
        assert!(!bucket.take(at(49)));
        assert!(bucket.take(at(50)) && !bucket.take(at(99)));
        assert!(bucket.take(at(10_000)) && bucket.take(at(10_000)));
        assert!(!bucket.take(at(10_000)), "never more than the burst");
    }
}
