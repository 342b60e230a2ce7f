//! Questions of another thread to one that owns a machine, answered between two of its turns.
//!
//! The machines have no locks, so that whoever wants to look at one asks its thread, which answers one
//! question in a turn. A thread that nobody asks pays for a load of a flag in each. What a question may
//! look at is bounded by whoever asks: it holds up everything else of that thread.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use mio::Waker;
use tokio::sync::oneshot;

use crate::threads::{lock, wake};

/// Questions that may wait for one thread.
const WAITING_MAX: usize = 32;

/// Something to be asked of a machine.
type Question<T> = Box<dyn FnOnce(&T) + Send>;

/// Where questions to one thread wait.
pub(crate) struct Desk<T> {
    questions: Mutex<VecDeque<Question<T>>>,
    /// Whether there is one, so that a thread that nobody asks takes no lock.
    asked: AtomicBool,
    /// Wakes the thread.
    waker: Arc<Waker>,
}

impl<T> Desk<T> {
    pub(crate) fn new(waker: Arc<Waker>) -> Arc<Self> {
        let (questions, asked) = (Mutex::default(), AtomicBool::new(false));
        Arc::new(Self { questions, asked, waker })
    }

    /// Asks; the answer comes when the thread has its next turns. `None` when too many questions wait.
    pub(crate) fn ask<A: Send + 'static>(
        &self,
        question: impl FnOnce(&T) -> A + Send + 'static,
    ) -> Option<oneshot::Receiver<A>> {
        let (answer, receiver) = oneshot::channel();
        let mut questions = lock(&self.questions);
        if questions.len() >= WAITING_MAX {
            return None;
        }
        questions.push_back(Box::new(move |machine: &T| {
            // Whoever asked may have given up; then nobody has to be answered.
            if !answer.is_closed() {
                let _ = answer.send(question(machine));
            }
        }));
        self.asked.store(true, Ordering::Release);
        drop(questions);
        wake(&self.waker);
        Some(receiver)
    }

    /// Answers the question that waits for the longest, in the thread that owns the machine.
    #[inline]
    pub(crate) fn answer(&self, machine: &T) {
        if self.asked.load(Ordering::Relaxed) {
            self.answer_next(machine);
        }
    }

    #[cold]
    fn answer_next(&self, machine: &T) {
        let mut questions = lock(&self.questions);
        let question = questions.pop_front();
        let more = !questions.is_empty();
        self.asked.store(more, Ordering::Release);
        drop(questions);
        if let Some(question) = question {
            question(machine);
        }
        if more {
            wake(&self.waker);
        }
    }
}

impl<T> std::fmt::Debug for Desk<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Desk").field("asked", &self.asked).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use mio::{Events, Poll, Token};

    use super::*;

    fn desk() -> (Poll, Arc<Desk<u32>>) {
        let poll = Poll::new().unwrap();
        let waker = Arc::new(Waker::new(poll.registry(), Token(0)).unwrap());
        (poll, Desk::new(waker))
    }

    #[test]
    fn one_question_is_answered_in_a_turn_and_the_thread_woken_for_the_next() {
        let (mut poll, desk) = desk();
        let mut events = Events::with_capacity(4);
        desk.answer(&0);
        let mut first = desk.ask(|machine| machine + 1).unwrap();
        let mut second = desk.ask(|machine| machine + 2).unwrap();
        poll.poll(&mut events, None).unwrap();
        desk.answer(&10);
        assert_eq!(first.try_recv(), Ok(11));
        assert!(second.try_recv().is_err());
        poll.poll(&mut events, None).unwrap();
        assert!(!events.is_empty(), "it is woken once more");
        desk.answer(&20);
        assert_eq!(second.try_recv(), Ok(22));
        assert!(!desk.asked.load(Ordering::Relaxed));
    }

    #[test]
    fn too_many_questions_are_refused_and_one_that_nobody_waits_for_is_not_looked_up() {
        let (_poll, desk) = desk();
        let gone = desk.ask(|_| panic!("nobody waits for this")).unwrap();
        drop::<oneshot::Receiver<()>>(gone);
        let waiting: Vec<_> = (1..WAITING_MAX).map(|_| desk.ask(|_| ()).unwrap()).collect();
        assert!(desk.ask(|_| ()).is_none());
        desk.answer(&0);
        assert!(desk.ask(|_| ()).is_some(), "there is room again");
        assert_eq!(waiting.len(), WAITING_MAX - 1);
    }
}
