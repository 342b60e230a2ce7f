//! A control session: what survives the connection of a chat server.
//!
//! It knows the revision that is spoken, numbers every INFO from 1 on, keeps it for RESUME, and
//! holds what is yet to be told. All of that is written piece by piece, whenever little waits on
//! the connection:
//!
//! ```text
//! IDENTIFY ───────────────────────────────▶ Live: marks, as they come
//! RESUME ─▶ Replay ─▶ Settle: marks ─ READY ─▶ Live
//!       └─▶ Dump ─────────────────── READY ─▶ Live
//! ```
//!
//! Messages of a dump are numbered but not kept, so a link lost during a dump starts it again.

use crate::command::Command;
use crate::ids::{ChannelId, ConnId, UserId};
use crate::limits::Limits;
use crate::lvsp::outbox::{Mark, Outbox, Subject};
use crate::lvsp::revision::{News, Refusal, Speech};
use crate::replay_log::{Bounds, Evictions, ReplayLog};
use crate::time::Timestamp;
use crate::wire::lvsp::{ChatMessage, InfoError};
use crate::wire::secret::Secret;

/// How far a state dump has come. `P` is the position among voice states.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Dump<P> {
    /// Channels behind this one.
    Channels(Option<ChannelId>),
    /// Voice states behind this one.
    VoiceStates(Option<(UserId, P)>),
}

/// What is being written to the connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Phase<P> {
    /// What was sent before, behind this position.
    Replay(u64),
    /// What happened while the link was lost. Nothing was told before in a session of an undecided
    /// revision, so that this is all, whether the chat server resumed or not.
    Settle { resumed: bool },
    /// Everything that is in force.
    Dump(Dump<P>),
    /// What happens.
    Live,
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
    pub(crate) phase: Phase<P>,
    pub(crate) speech: Speech,
    outbox: Outbox<P>,
    log: ReplayLog,
}

impl<P: Copy + Ord> Session<P> {
    pub(crate) const fn new(
        id: Secret,
        conn: ConnId,
        errors: bool,
        speech: Speech,
        limits: &Limits,
    ) -> Self {
        let bounds = Bounds {
            messages: limits.control_replay_messages,
            bytes: limits.control_replay_bytes,
            age: limits.control_replay_ms.duration(),
        };
        Self {
            id,
            conn: Some(conn),
            errors,
            phase: Phase::Live,
            speech,
            outbox: Outbox::new(),
            log: ReplayLog::new(bounds),
        }
    }

    /// Reads an order in the session's revision.
    pub(crate) fn read(&mut self, message: ChatMessage) -> Result<Command, Refusal> {
        self.speech.read(message)
    }

    /// Notes that something is to be told.
    pub(crate) fn mark(&mut self, subject: Subject<P>, mark: Mark) {
        self.outbox.put(subject, mark);
    }

    /// Notes an answer that is about no object. Up to `most` wait; whether this one does.
    pub(crate) fn remark(&mut self, mark: Mark, most: usize) -> bool {
        self.outbox.put_remark(mark, most)
    }

    /// Notes that an order was refused, if the chat server wants to know.
    /// Up to `most` wait; whether this one does, or nobody wants to know.
    pub(crate) fn mark_refusal(&mut self, refusal: InfoError, most: usize) -> bool {
        !self.errors || self.remark(Mark::Refusal(Box::new(refusal)), most)
    }

    /// About how much memory takes what is yet to be told, in bytes.
    pub(crate) const fn held_news(&self) -> usize {
        self.outbox.held()
    }

    /// Bytes kept for a resume.
    pub(crate) const fn kept_bytes(&self) -> usize {
        self.log.bytes()
    }

    /// What left the log unacknowledged since this was last asked.
    pub(crate) const fn take_evictions(&mut self) -> Evictions {
        self.log.take_evictions()
    }

    /// Forgets what is yet to be told; a RESUME gets everything that is in force then.
    pub(crate) fn forget_news(&mut self) {
        self.outbox.clear();
        self.log.skip();
    }

    /// The oldest thing that is to be told. Nothing while the revision is undecided.
    pub(crate) fn take_mark(&mut self) -> Option<(Subject<P>, Mark)> {
        if self.speech.is_decided() { self.outbox.take() } else { None }
    }

    /// Numbers news and keeps them for replay; `None` where the revision has no form for them.
    pub(crate) fn number(&mut self, now: Timestamp, news: News) -> Option<String> {
        let message = self.speech.write(news)?;
        let text = message.encode(Some(self.log.next_position()));
        self.log.keep(now, &text);
        Some(text)
    }

    /// Numbers news of a state dump, which are not kept.
    pub(crate) fn number_dumped(&mut self, news: News) -> Option<String> {
        let message = self.speech.write(news)?;
        let text = message.encode(Some(self.log.next_position()));
        self.log.skip();
        Some(text)
    }

    /// The chat server has everything up to `s`.
    pub(crate) fn acknowledge(&mut self, s: u64) {
        self.log.acknowledge(s);
    }

    /// Begins to catch up a chat server that has everything up to `seq`: with what it missed, or
    /// with everything when that is not all here any more.
    pub(crate) fn catch_up(&mut self, now: Timestamp, seq: Option<u64>) {
        let dumping = matches!(self.phase, Phase::Dump(_));
        self.phase = match seq.filter(|seq| !dumping && self.log.replays_from(now, *seq)) {
            Some(seq) => Phase::Replay(seq),
            None => self.begin_dump(),
        };
    }

    fn begin_dump(&mut self) -> Phase<P> {
        if !self.speech.is_decided() {
            // Nothing was told yet, so that every mark still stands.
            return Phase::Settle { resumed: false };
        }
        // Everything is about to be told.
        self.outbox.clear();
        Phase::Dump(Dump::Channels(None))
    }

    /// The message behind `after`, which moves the replay on. What was evicted meanwhile turns it
    /// into a dump.
    pub(crate) fn replay_next(&mut self, now: Timestamp, after: u64) -> Option<String> {
        if !self.log.replays_from(now, after) {
            self.phase = self.begin_dump();
            return None;
        }
        match self.log.behind(after) {
            Some((position, text)) => {
                let text = text.to_owned();
                self.phase = Phase::Replay(position);
                Some(text)
            }
            None => {
                self.phase = Phase::Settle { resumed: true };
                None
            }
        }
    }
}
