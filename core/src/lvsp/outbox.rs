//! What a chat server is yet to be told: one mark for each object, not one for each event.
//!
//! A mark says that something is to be said about an object; what is in force is looked up when
//! there is room to say it. So a burst of orders, a chat server that reads slowly and one that is
//! away cost as much as there are objects. Marks leave in the order in which they were first made.

use std::collections::{BTreeMap, VecDeque};

use crate::ids::{ChannelId, UserId};
use crate::wire::lvsp::{InfoError, VoiceInfo};

/// What a mark is about. `P` tells a user's voice states apart.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Subject<P> {
    /// A channel.
    Channel(ChannelId),
    /// A voice state.
    Voice(UserId, P),
    /// A user without a voice state, of whom the chat server spoke.
    Absent(UserId),
    /// No object: a refused order, or a session id that nobody has.
    Remark(u64),
}

/// Why a channel is told of.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Cause {
    /// It was stated again and is as it was.
    Unchanged,
    /// It changed.
    Changed,
    /// It is new.
    Created,
}

/// What is to be said.
#[derive(Debug)]
pub(crate) enum Mark {
    /// The channel as it is in force.
    Channel(Cause),
    /// The channel is gone, or was not there ([`Cause::Unchanged`]).
    ChannelGone(Cause),
    /// The voice state as it is in force; `full` with what its voice client needs.
    Voice { full: bool },
    /// The voice state is gone.
    VoiceGone(Box<VoiceInfo>),
    /// An order was refused.
    Refusal(Box<InfoError>),
}

/// Marks in order.
#[derive(Debug)]
pub(crate) struct Outbox<P> {
    order: VecDeque<Subject<P>>,
    marks: BTreeMap<Subject<P>, Mark>,
    /// Remarks ever made, to tell them apart.
    remarks: u64,
    remarks_waiting: usize,
    bytes: usize,
}

/// Memory of one mark, with its share of the tables.
const MARK_BYTES: usize = 256;
/// Memory of what is kept for the news that something is gone, or was refused, beside its strings.
const NEWS_BYTES: usize = 320;
/// Room for marks that is not given back.
const KEPT_ENTRIES: usize = 64;

impl Mark {
    fn held(&self) -> usize {
        MARK_BYTES
            + match self {
                Self::Channel(_) | Self::ChannelGone(_) | Self::Voice { .. } => 0,
                Self::VoiceGone(gone) => NEWS_BYTES + gone.session_id.expose().len(),
                Self::Refusal(refusal) => {
                    let field = refusal.field.as_ref().map_or(0, String::len);
                    NEWS_BYTES + refusal.message.len() + field
                }
            }
    }
}

impl<P: Copy + Ord> Outbox<P> {
    pub(crate) const fn new() -> Self {
        Self {
            order: VecDeque::new(),
            marks: BTreeMap::new(),
            remarks: 0,
            remarks_waiting: 0,
            bytes: 0,
        }
    }

    /// Marks an object. What was to be said of it before is said no more, but nothing that an
    /// answer needs is lost.
    pub(crate) fn put(&mut self, subject: Subject<P>, mark: Mark) {
        let before = self.marks.remove(&subject);
        self.bytes -= before.as_ref().map_or(0, Mark::held);
        let mark = match (before, mark) {
            (None, mark) => {
                self.order.push_back(subject);
                mark
            }
            (Some(Mark::Channel(before)), Mark::Channel(cause)) => Mark::Channel(before.max(cause)),
            (Some(Mark::ChannelGone(before)), Mark::ChannelGone(cause)) => {
                Mark::ChannelGone(before.max(cause))
            }
            (Some(Mark::Voice { full: before }), Mark::Voice { full }) => {
                Mark::Voice { full: before || full }
            }
            (Some(_), mark) => mark,
        };
        self.bytes += mark.held();
        self.marks.insert(subject, mark);
    }

    /// Marks something that is about no object, unless so many of these wait; whether it did. Whoever
    /// sends so many wrong orders at once learns from the first ones.
    pub(crate) fn put_remark(&mut self, mark: Mark, most: usize) -> bool {
        let fits = self.remarks_waiting < most;
        if fits {
            self.remarks += 1;
            self.remarks_waiting += 1;
            self.put(Subject::Remark(self.remarks), mark);
        }
        fits
    }

    /// About how much memory the marks take, in bytes.
    pub(crate) const fn held(&self) -> usize {
        self.bytes
    }

    /// Whether nothing is to be told.
    pub(crate) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Whether something is to be told of a subject.
    pub(crate) fn has(&self, subject: Subject<P>) -> bool {
        self.marks.contains_key(&subject)
    }

    /// Takes the oldest mark.
    pub(crate) fn take(&mut self) -> Option<(Subject<P>, Mark)> {
        let subject = self.order.pop_front()?;
        self.release(subject)
    }

    /// Takes the oldest refusal.
    pub(crate) fn take_refusal(&mut self) -> Option<(Subject<P>, Mark)> {
        if self.remarks_waiting == 0 {
            return None;
        }
        let is_refusal = |subject| matches!(self.marks.get(subject), Some(Mark::Refusal(_)));
        let at = self.order.iter().position(is_refusal)?;
        let subject = self.order.remove(at)?;
        self.release(subject)
    }

    fn release(&mut self, subject: Subject<P>) -> Option<(Subject<P>, Mark)> {
        let mark = self.marks.remove(&subject)?;
        self.bytes -= mark.held();
        if self.order.capacity() > 4 * self.order.len() + KEPT_ENTRIES {
            self.order.shrink_to(2 * self.order.len());
        }
        if let Subject::Remark(_) = subject {
            self.remarks_waiting -= 1;
        }
        Some((subject, mark))
    }

    /// Forgets all marks, because everything is about to be told anew.
    pub(crate) fn clear(&mut self) {
        self.order = VecDeque::new();
        self.marks.clear();
        self.bytes = 0;
        self.remarks_waiting = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHANNEL: Subject<u8> = Subject::Channel(ChannelId::MIN);
    const VOICE: Subject<u8> = Subject::Voice(UserId::MIN, 0);

    #[test]
    fn marks_leave_in_order_of_their_first_making_and_merge() {
        let mut outbox = Outbox::new();
        outbox.put(CHANNEL, Mark::Channel(Cause::Created));
        outbox.put(VOICE, Mark::Voice { full: true });
        outbox.put(CHANNEL, Mark::Channel(Cause::Unchanged));
        outbox.put(VOICE, Mark::Voice { full: false });
        let first = outbox.take();
        assert!(matches!(first, Some((CHANNEL, Mark::Channel(Cause::Created)))), "{first:?}");
        let second = outbox.take();
        assert!(matches!(second, Some((VOICE, Mark::Voice { full: true }))), "{second:?}");
        assert!(outbox.take().is_none());
    }

    #[test]
    fn an_object_that_is_gone_and_back_is_told_once() {
        let mut outbox = Outbox::new();
        outbox.put(CHANNEL, Mark::ChannelGone(Cause::Changed));
        outbox.put(CHANNEL, Mark::Channel(Cause::Created));
        assert!(matches!(outbox.take(), Some((CHANNEL, Mark::Channel(Cause::Created)))));
        assert!(outbox.take().is_none());
    }

    #[test]
    fn a_channel_that_went_is_told_so_though_it_was_destroyed_again() {
        let mut outbox = Outbox::new();
        outbox.put(CHANNEL, Mark::ChannelGone(Cause::Changed));
        outbox.put(CHANNEL, Mark::ChannelGone(Cause::Unchanged));
        assert!(matches!(outbox.take(), Some((CHANNEL, Mark::ChannelGone(Cause::Changed)))));
    }

    #[test]
    fn remarks_are_kept_apart_and_bounded() {
        let refusal = || {
            Mark::Refusal(Box::new(InfoError {
                kind: 1,
                message: "no".to_owned(),
                field: None,
                channel_id: None,
                user_id: None,
            }))
        };
        let mut outbox = Outbox::<u8>::new();
        assert_eq!((0..20).filter(|_| outbox.put_remark(refusal(), 10)).count(), 10);
        assert!(outbox.held() > 10 * MARK_BYTES);
        assert_eq!(std::iter::from_fn(|| outbox.take()).count(), 10);
        assert_eq!(outbox.held(), 0);
        assert!(outbox.put_remark(refusal(), 10) && outbox.take().is_some());
    }
}
