//! Which connections have something to do, and who is woken for it.
//!
//! One task serves all connections. A connection's socket is therefore watched with a waker of its
//! own ([`Bell`]), which notes the connection's place before it wakes the task: a turn
//! costs what there is to do, however many connections are idle.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};

/// The places of connections that are ready, in the order in which they became so.
#[derive(Debug, Default)]
pub(crate) struct ReadyList(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// Each place stands here once at most.
    places: VecDeque<usize>,
    task: Option<Waker>,
}

impl ReadyList {
    /// From now on this task is woken.
    pub(crate) fn set_task(&self, task: &Waker) {
        let mut inner = self.lock();
        match &mut inner.task {
            Some(known) => known.clone_from(task),
            None => inner.task = Some(task.clone()),
        }
    }

    /// Wakes the task.
    pub(crate) fn wake(&self) {
        // A waker may run foreign code, which must not meet the lock.
        let task = self.lock().task.clone();
        if let Some(task) = task {
            task.wake();
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().places.len()
    }

    pub(crate) fn pop(&self) -> Option<usize> {
        self.lock().places.pop_front()
    }

    fn push(&self, place: usize) {
        self.lock().places.push_back(place);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing in here panics halfway.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Notes one place when it is woken.
#[derive(Debug)]
pub(crate) struct Bell {
    list: Arc<ReadyList>,
    place: usize,
    /// Whether it stands in the list.
    listed: AtomicBool,
}

impl Bell {
    pub(crate) fn new(list: &Arc<ReadyList>, place: usize) -> Arc<Self> {
        Arc::new(Self { list: Arc::clone(list), place, listed: AtomicBool::new(false) })
    }

    /// Puts the place into the list. Whoever is in the middle of a turn needs no waking.
    pub(crate) fn list(&self) {
        if !self.listed.swap(true, Ordering::AcqRel) {
            self.list.push(self.place);
        }
    }

    /// The place was taken from the list: from now on it may be noted again.
    pub(crate) fn unlist(&self) {
        self.listed.store(false, Ordering::Release);
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.list();
        self.list.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_listed_once_until_it_is_taken() {
        let list = Arc::new(ReadyList::default());
        let bells = [Bell::new(&list, 4), Bell::new(&list, 9)];
        let wakers = bells.clone().map(Waker::from);
        for waker in [&wakers[1], &wakers[0], &wakers[1]] {
            waker.wake_by_ref();
        }
        assert_eq!([list.pop(), list.pop(), list.pop()], [Some(9), Some(4), None]);
        wakers[1].wake_by_ref();
        assert_eq!(list.len(), 0, "nobody said that it was taken");
        bells[1].unlist();
        wakers[1].wake_by_ref();
        assert_eq!(list.pop(), Some(9));
    }
}
