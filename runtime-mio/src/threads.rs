//! How the threads of a server meet: by locks that are held for a moment, and by waking each other.

use std::sync::{Mutex, MutexGuard, PoisonError};

use mio::Waker;

/// Takes a lock. A panic ends the process, so nobody sees what a panicking thread left.
#[inline]
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Wakes a thread from its poll. One that cannot be woken sees at its next turn what there is.
pub(crate) fn wake(waker: &Waker) {
    if let Err(error) = waker.wake() {
        tracing::error!(%error, "cannot wake a thread");
    }
}
