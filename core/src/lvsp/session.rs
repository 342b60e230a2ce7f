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
//! Messages of a dump are numbered but not kept, so a link lost during a dump starts it again. While
//! the revision is not known nothing that is in force can be said: a session that owes everything then
//! sends READY first, and the dump once the revision is decided.

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
    /// What happened while the link was lost.
    Settle { resumed: bool },
    /// Everything that is in force; `late` if READY came before it.
    Dump { cursor: Dump<P>, late: bool },
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
    /// Whether everything that is in force is to be told before anything else: what was to be told
    /// was forgotten, or could not be said when the chat server resumed.
    owes_state: bool,
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
            owes_state: false,
            outbox: Outbox::new(),
            log: ReplayLog::new(bounds),
        }
    }

    /// Reads an order in the session's revision.
    pub(crate) fn read(&mut self, message: ChatMessage) -> Result<Command, Refusal> {
        self.speech.read(message)
    }

    /// Notes that something is to be told, unless everything is.
    pub(crate) fn mark(&mut self, subject: Subject<P>, mark: Mark) {
        if !self.owes_state {
            self.outbox.put(subject, mark);
        }
    }

    /// Whether a channel is yet to be told of.
    pub(crate) fn is_to_tell_of(&self, channel: ChannelId) -> bool {
        self.outbox.has(Subject::Channel(channel))
    }

    /// Whether something waits until the revision is known.
    pub(crate) fn is_withholding(&self) -> bool {
        !self.speech.is_decided() && !self.outbox.is_empty()
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

    /// Forgets what is yet to be told: everything that is in force takes its place.
    pub(crate) fn forget_news(&mut self) {
        self.outbox.clear();
        self.owes_state = true;
    }

    /// The oldest thing that is to be told. While the revision is undecided only refusals, which
    /// are the same in all.
    pub(crate) fn take_mark(&mut self) -> Option<(Subject<P>, Mark)> {
        if self.speech.is_decided() { self.outbox.take() } else { self.outbox.take_refusal() }
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
        let owes = self.owes_state || matches!(self.phase, Phase::Dump { .. });
        self.phase = match seq.filter(|seq| !owes && self.log.replays_from(now, *seq)) {
            Some(seq) => Phase::Replay(seq),
            None => self.begin_dump(),
        };
    }

    fn begin_dump(&mut self) -> Phase<P> {
        // Everything is about to be told, or is owed until it can be said.
        self.outbox.clear();
        self.owes_state = !self.speech.is_decided();
        if self.owes_state {
            Phase::Settle { resumed: false }
        } else {
            Phase::Dump { cursor: Dump::Channels(None), late: false }
        }
    }

    /// The revision became known: what was owed until then is told.
    pub(crate) fn tell_owed(&mut self) {
        if std::mem::take(&mut self.owes_state) {
            let late = self.phase == Phase::Live;
            self.phase = Phase::Dump { cursor: Dump::Channels(None), late };
        }
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
