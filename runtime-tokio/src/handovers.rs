//! What other relays' tasks hand to one: a bounded list, whose receiver is woken when something
//! arrives in it.
//!
//! Unlike a channel it refuses for good: media is never queued for long, and late voice is of no
//! use. No memory is allocated after the start.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

use lvsp_core::ids::RelaySet;
use lvsp_core::media::{Handover, Handovers};

/// What waits for one relay's task.
#[derive(Debug, Default)]
pub(crate) struct Inbox(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    list: Handovers,
    /// Of the task, once it has looked.
    waker: Option<Waker>,
}

impl Inbox {
    /// Appends a packet and wakes the receiver; `false` when there is no room.
    pub(crate) fn push(&self, handover: &Handover<'_>) -> bool {
        let mut waiting = self.lock();
        let first = waiting.list.is_empty();
        let pushed = waiting.list.push(handover);
        if first && let Some(waker) = &waiting.waker {
            waker.wake_by_ref();
        }
        pushed
    }

    /// Takes everything, in exchange for an empty list. What arrives from now on wakes the task.
    pub(crate) fn take_all(&self, cx: &Context<'_>, into: &mut Handovers) {
        debug_assert!(into.is_empty(), "what was taken before is done");
        let mut waiting = self.lock();
        if waiting.waker.as_ref().is_none_or(|waker| !waker.will_wake(cx.waker())) {
            waiting.waker = Some(cx.waker().clone());
        }
        if !waiting.list.is_empty() {
            into.clear();
            mem::swap(&mut waiting.list, into);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Nothing that is done under the lock leaves it half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives a packet to all of these relays; which of them had no room for it.
pub(crate) fn hand_over(inboxes: &[Arc<Inbox>], to: RelaySet, handover: &Handover<'_>) -> RelaySet {
    let given = |relay: usize| inboxes.get(relay).is_some_and(|inbox| inbox.push(handover));
    to.iter().filter(|relay| !given(relay.0.into())).collect()
}
