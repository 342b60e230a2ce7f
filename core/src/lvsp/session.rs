//! A control session: what survives the connection of a chat server.
//!
//! It numbers every INFO from 1 on and keeps it for RESUME, and holds the cursor of a state dump.
//! A dump is written piece by piece whenever little waits on the connection; its messages are
//! numbered but not kept, so a link lost during a dump starts it again.

use crate::ids::{ChannelId, ConnId, UserId};
use crate::limits::Limits;
use crate::replay_log::{Bounds, ReplayLog};
use crate::time::Timestamp;
use crate::wire::lvsp::ServerMessage;
use crate::wire::secret::Secret;

/// How far a state dump has come. `P` is the position among voice states.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Dump<P> {
    /// Channels behind this one.
    Channels(Option<ChannelId>),
    /// Voice states behind this one.
    VoiceStates(Option<(UserId, P)>),
}

/// One chat server's session.
#[derive(Debug)]
pub(crate) struct Session<P> {
    /// Names the session in RESUME.
    pub(crate) id: Secret,
    /// The connection that serves it; `None` while the link is lost.
    pub(crate) conn: Option<ConnId>,
    /// Whether the chat server wants to be told of refused messages.
    pub(crate) errors: bool,
    /// The dump under way.
    pub(crate) dump: Option<Dump<P>>,
    log: ReplayLog,
}

impl<P> Session<P> {
    pub(crate) const fn new(id: Secret, conn: ConnId, errors: bool, limits: &Limits) -> Self {
        let bounds = Bounds {
            messages: limits.control_replay_messages,
            bytes: limits.control_replay_bytes,
            age: limits.control_replay_ms.duration(),
        };
        Self { id, conn: Some(conn), errors, dump: None, log: ReplayLog::new(bounds) }
    }

    /// Numbers an INFO and keeps it for replay; `None` when no connection can carry it now.
    pub(crate) fn number(&mut self, now: Timestamp, info: &ServerMessage) -> Option<String> {
        let text = info.encode(Some(self.log.next_position()));
        self.log.keep(now, text.clone());
        self.conn.map(|_| text)
    }

    /// Numbers an INFO of a state dump.
    pub(crate) fn number_dumped(&mut self, info: &ServerMessage) -> String {
        let text = info.encode(Some(self.log.next_position()));
        self.log.skip();
        text
    }

    /// The chat server has everything up to `s`.
    pub(crate) fn acknowledge(&mut self, s: u64) {
        self.log.acknowledge(s);
    }

    /// What came after `seq`; `None` when that is not all here, or a dump was cut short.
    pub(crate) fn replay(&mut self, now: Timestamp, seq: u64) -> Option<Vec<String>> {
        if self.dump.is_some() {
            return None;
        }
        let texts = self.log.replay_after(now, seq)?;
        Some(texts.map(str::to_owned).collect())
    }
}
