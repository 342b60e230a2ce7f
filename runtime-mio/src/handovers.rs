//! What other media threads hand to one: a bounded list, whose receiver is woken when something
//! arrives in it.
//!
//! Unlike a [`Queue`](crate::queue::Queue) it refuses for good: media is never queued for long, and
//! late voice is of no use. No memory is allocated after the start.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lvsp_core::ids::RelaySet;
use lvsp_core::media::{Handover, Handovers};
use mio::Waker;

/// What waits for one media thread.
#[derive(Debug)]
pub(crate) struct Inbox {
    list: Mutex<Handovers>,
    /// Whether there is something, so that a thread that is handed nothing takes no lock.
    filled: AtomicBool,
    /// Wakes the receiver.
    waker: Arc<Waker>,
}

impl Inbox {
    pub(crate) fn new(waker: Arc<Waker>) -> Arc<Self> {
        let (list, filled) = (Mutex::default(), AtomicBool::new(false));
        Arc::new(Self { list, filled, waker })
    }

    /// Appends a packet and wakes the receiver; `false` when there is no room.
    pub(crate) fn push(&self, handover: &Handover<'_>) -> bool {
        let mut list = self.lock();
        let first = list.is_empty();
        let pushed = list.push(handover);
        self.filled.store(true, Ordering::Release);
        drop(list);
        if first && let Err(error) = self.waker.wake() {
            tracing::error!(%error, "cannot wake a thread");
        }
        pushed
    }

    /// Takes everything, in exchange for an empty list.
    pub(crate) fn take_all(&self, into: &mut Handovers) {
        debug_assert!(into.is_empty(), "what was taken before is done");
        if self.filled.swap(false, Ordering::Acquire) {
            into.clear();
            std::mem::swap(&mut *self.lock(), into);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Handovers> {
        // A panic ends the process, so nobody sees a list that a panicking thread left.
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives a packet to all of these relays; how many had no room for it.
pub(crate) fn hand_over(inboxes: &[Arc<Inbox>], to: RelaySet, handover: &Handover<'_>) -> u64 {
    let given = |relay: usize| inboxes.get(relay).is_some_and(|inbox| inbox.push(handover));
    to.iter().filter(|relay| !given(relay.0.into())).count() as u64
}
