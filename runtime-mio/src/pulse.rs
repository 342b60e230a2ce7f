//! Whether every thread of a server makes progress.
//!
//! A thread with nothing to do sleeps, and so cannot be told from one that hangs by looking at it.
//! So each is woken, which costs it one turn, and its turns are compared at the next look.

use std::sync::Arc;

use mio::Waker;

use crate::threads::wake;
use crate::turns::Counters;

/// Looks at the threads of a running server.
#[derive(Debug)]
pub struct Pulse {
    counters: Arc<Counters>,
    /// The control thread's, then those of the media threads.
    wakers: Vec<Arc<Waker>>,
    /// The turns at the last look; nothing before the first.
    seen: Vec<u64>,
}

impl Pulse {
    pub(crate) const fn new(counters: Arc<Counters>, wakers: Vec<Arc<Waker>>) -> Self {
        Self { counters, wakers, seen: Vec::new() }
    }

    /// The names of threads that made no turn since the last look: `control`, `media-0` and so on.
    /// None at the first look.
    pub fn stalled(&mut self) -> Vec<String> {
        let turns: Vec<u64> = self.counters.turns().collect();
        let stalled = turns.iter().zip(&self.seen).enumerate();
        let stalled = stalled.filter(|(_, (now, before))| now == before).map(|(at, _)| name(at));
        let stalled = stalled.collect();
        self.seen = turns;
        for waker in &self.wakers {
            wake(waker);
        }
        stalled
    }
}

fn name(at: usize) -> String {
    at.checked_sub(1).map_or_else(|| "control".to_owned(), |relay| format!("media-{relay}"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mio::{Poll, Token};

    use super::*;
    use crate::turns::{ControlCounters, MediaCounters};

    #[test]
    fn a_thread_that_made_no_turn_since_the_last_look_is_named() {
        let polls = [Poll::new().unwrap(), Poll::new().unwrap(), Poll::new().unwrap()];
        let wakers = polls.iter().map(|poll| Waker::new(poll.registry(), Token(0)).unwrap());
        let control = Arc::new(ControlCounters::default());
        let media = [Arc::new(MediaCounters::default()), Arc::default()];
        let counters = Counters { control: Arc::clone(&control), media: media.to_vec() };
        let mut pulse = Pulse::new(Arc::new(counters), wakers.map(Arc::new).collect());
        assert!(pulse.stalled().is_empty(), "there is nothing to compare with");
        let turn = |which: [bool; 3]| {
            if which[0] {
                control.note_turn(Duration::ZERO);
            }
            for (media, _) in media.iter().zip(&which[1..]).filter(|(_, turns)| **turns) {
                media.note_turn(Duration::ZERO);
            }
        };
        turn([true, true, true]);
        assert!(pulse.stalled().is_empty());
        turn([true, true, false]);
        assert_eq!(pulse.stalled(), ["media-1"]);
        assert_eq!(pulse.stalled(), ["control", "media-0", "media-1"]);
        turn([false, true, true]);
        assert_eq!(pulse.stalled(), ["control"]);
    }

    #[test]
    fn every_look_wakes_every_thread() {
        let mut polls = [Poll::new().unwrap(), Poll::new().unwrap()];
        let wakers = polls.iter().map(|poll| Waker::new(poll.registry(), Token(9)).unwrap());
        let wakers = wakers.map(Arc::new).collect();
        let counters = Counters { control: Arc::default(), media: vec![Arc::default()] };
        let mut pulse = Pulse::new(Arc::new(counters), wakers);
        let mut events = mio::Events::with_capacity(4);
        for _ in 0..2 {
            pulse.stalled();
            for poll in &mut polls {
                poll.poll(&mut events, None).unwrap();
                assert!(events.iter().any(|event| event.token() == Token(9)));
            }
        }
    }
}
