//! A voice session: what survives the connection of a voice client.
//!
//! It numbers and keeps what the client must not miss, and remembers whom the client was told of
//! (`roster`). Not here: its connection, what the chat server is told (`server`), its leg (`media`).

use std::time::Duration;

use crate::gateway::roster::{Known, Roster};
use crate::ids::{ConnId, LegId, RelayId, Ssrc};
use crate::limits::Limits;
use crate::replay_log::{Bounds, Evictions, ReplayLog, WireSeq};
use crate::time::Timestamp;
use crate::wire::gateway::{ServerMessage, Version};

/// One voice session.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) version: Version,
    pub(crate) relay: RelayId,
    pub(crate) leg: LegId,
    pub(crate) ssrc: Ssrc,
    /// The connection that serves it; `None` while it is detached and can be resumed.
    pub(crate) conn: Option<ConnId>,
    /// Since when it has had none.
    pub(crate) detached: Option<Timestamp>,
    /// Whether it has a key, so that it hears and is announced to the others.
    pub(crate) live: bool,
    /// The speaking flags that the client stated last, as far as LVSP knows them.
    pub(crate) stated: u8,
    /// Since when the client has said so; `None` while it was its audio that said so.
    pub(crate) stated_at: Option<Timestamp>,
    /// Since when the others have been told its SSRC; `None` before that.
    pub(crate) announced: Option<Timestamp>,
    /// The speaking flags that the others were last told: none while it may not speak.
    pub(crate) speaking: u8,
    /// The users whom this client was told of and not told that they are gone.
    pub(crate) known: Known,
    log: ReplayLog,
    /// A client that beats so long after a message has read it: with less the connection would have
    /// been given up. Before version 8 nothing else says what was read.
    read_within: Duration,
}

impl Session {
    pub(crate) fn new(
        version: Version,
        conn: ConnId,
        relay: RelayId,
        leg: LegId,
        ssrc: Ssrc,
        limits: &Limits,
    ) -> Self {
        let bounds = Bounds {
            messages: limits.resume_messages,
            bytes: limits.resume_bytes,
            age: Duration::MAX,
        };
        Self {
            version,
            relay,
            leg,
            ssrc,
            conn: Some(conn),
            detached: None,
            live: false,
            stated: 0,
            stated_at: None,
            announced: None,
            speaking: 0,
            known: Known::default(),
            log: ReplayLog::new(bounds),
            read_within: limits.heartbeat_silence_ms.duration(),
        }
    }

    /// The text of a message that must not be missed, or `None` when there is nobody to read it.
    ///
    /// From version 8 on it is numbered and kept, connected or not. Older clients are told the whole
    /// state when they resume, so that nothing but departures is kept for them: a connection may
    /// have ended before they read of one.
    pub(crate) fn number(
        &mut self,
        now: Timestamp,
        message: &ServerMessage,
        roster: &mut Roster,
    ) -> Option<String> {
        if !self.version.numbered() {
            self.conn?;
            self.note_known(message, roster);
            let text = message.encode(self.version, None);
            if matches!(message, ServerMessage::ClientDisconnect { .. }) {
                self.log.keep(now, &text);
            }
            return Some(text);
        }
        self.note_known(message, roster);
        let seq = WireSeq::encode(self.log.next_position());
        let text = message.encode(self.version, Some(seq));
        self.log.keep(now, &text);
        self.conn.map(|_| text)
    }

    /// The client beats, and has everything up to the number `seq_ack` if it says one.
    pub(crate) fn beat(&mut self, now: Timestamp, seq_ack: Option<u16>) {
        if !self.version.numbered() {
            self.log.acknowledge_older(now, self.read_within);
        } else if let Some(position) = seq_ack.and_then(|seq| WireSeq::decode(seq, self.log.sent()))
        {
            self.log.acknowledge(position);
        }
    }

    /// What a client that resumes after `seq_ack` has missed; `None` when that is not all here.
    /// No number means: everything that is kept, as always before version 8.
    pub(crate) fn replay(&mut self, now: Timestamp, seq_ack: Option<u16>) -> Option<Vec<String>> {
        let seq_ack = seq_ack.filter(|_| self.version.numbered());
        let after = match seq_ack {
            None => self.log.oldest()?,
            Some(seq) => WireSeq::decode(seq, self.log.sent())?,
        };
        let texts: Vec<_> = self.log.replay_after(now, after)?.map(str::to_owned).collect();
        if !self.version.numbered() {
            // They are written now, and that may be lost as well.
            self.log.acknowledge(self.log.sent());
            texts.iter().for_each(|text| self.log.keep(now, text));
        }
        Some(texts)
    }

    /// Bytes kept for a resume.
    pub(crate) const fn kept_bytes(&self) -> usize {
        self.log.bytes()
    }

    /// What left the log unacknowledged since this was last asked.
    pub(crate) const fn take_evictions(&mut self) -> Evictions {
        self.log.take_evictions()
    }

    /// Forgets what is kept; only what comes now can be resumed.
    pub(crate) fn forget_kept(&mut self) {
        self.log.evict_all();
    }

    fn note_known(&mut self, message: &ServerMessage, roster: &mut Roster) {
        if let ServerMessage::ClientsConnect { user_ids } = message {
            user_ids.iter().for_each(|user| roster.learn(&mut self.known, *user));
        } else if let ServerMessage::ClientDisconnect { user_id } = message {
            roster.unlearn(&mut self.known, *user_id);
        }
    }
}
