//! A bounded queue from one thread to another, which is woken when something arrives.
//!
//! Nothing is ever dropped: a full queue refuses, and the sender keeps the item and stops taking
//! work until there is room.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use mio::Waker;

use crate::threads::{lock, wake};

/// Both ends of one queue.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    items: Mutex<VecDeque<T>>,
    limit: usize,
    /// Wakes the receiver.
    waker: Arc<Waker>,
}

impl<T> Queue<T> {
    pub(crate) fn new(limit: usize, waker: Arc<Waker>) -> Arc<Self> {
        Arc::new(Self { items: Mutex::default(), limit, waker })
    }

    /// Appends an item and wakes the receiver; gives it back when the queue is full.
    pub(crate) fn push(&self, item: T) -> Result<(), T> {
        let mut items = lock(&self.items);
        if items.len() >= self.limit {
            return Err(item);
        }
        let first = items.is_empty();
        items.push_back(item);
        drop(items);
        if first {
            wake(&self.waker);
        }
        Ok(())
    }

    /// Takes everything, into a list whose memory is reused.
    pub(crate) fn take_all(&self, into: &mut VecDeque<T>) {
        debug_assert!(into.is_empty(), "what was taken before is done");
        std::mem::swap(&mut *lock(&self.items), into);
    }
}
