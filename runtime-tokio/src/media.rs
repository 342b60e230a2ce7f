//! A relay's task: one UDP socket and its `Relay`.
//!
//! Order of each turn: take datagrams from the socket and packets from other relays, then apply every
//! command that was queued before, then handle them. So what a command provoked never comes before it.
//! When a turn's budget of commands does not reach, the datagrams wait for the rest of them.
//!
//! Overload is met at the input: what is older than the latency budget is not opened.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use lvsp_core::ids::{LegId, RelayId};
use lvsp_core::media::command::{RelayCommand, RelayEvent};
use lvsp_core::media::inspect::LegView;
use lvsp_core::media::{Coalescer, Flights, Forwarding, Handovers, Outbox};
use lvsp_core::record::RecordedRelay;
use lvsp_core::time::Timestamp;
use tokio::net::UdpSocket;
use tokio::sync::mpsc::error::{TryRecvError, TrySendError};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::clock::Clock;
use crate::handle::RelayFigures;
use crate::handovers::{Inbox, hand_over};
use crate::recording::Sink;
use crate::udp::{self, Received};

/// Datagrams handled in one turn.
const DATAGRAMS: usize = 128;
/// Packets of other relays handled in one turn.
const HANDOVERS: usize = 128;
/// Commands applied in one turn.
const COMMANDS: usize = 4_096;
/// Events reported in one turn.
const EVENTS: usize = 1_024;
/// Questions answered in one turn.
const QUESTIONS: usize = 16;
/// An event that found the queue full is tried again after this long.
const RETRY: Duration = Duration::from_millis(1);

/// A question about a relay, and who is to be answered.
#[derive(Debug)]
pub(crate) enum Question {
    /// What it has done so far.
    Figures(oneshot::Sender<RelayFigures>),
    /// What it knows of a leg, and whether it is behind.
    Leg(LegId, oneshot::Sender<(Option<LegView>, bool)>),
}

/// What serves one relay; a future that ends with the [`Control`](crate::Control) of its server.
#[must_use = "nobody is served before it is polled"]
pub struct Media {
    relay: RecordedRelay,
    socket: UdpSocket,
    commands: mpsc::Receiver<RelayCommand>,
    events: mpsc::Sender<(RelayId, RelayEvent)>,
    questions: mpsc::Receiver<Question>,
    clock: Clock,
    received: Received,
    received_at: Timestamp,
    /// What other relays hand to this one, by relay; what was taken of it and not handled yet.
    inboxes: Vec<Arc<Inbox>>,
    handed: Handovers,
    /// Commands that were queued before all this was received, and are not applied yet.
    owed: usize,
    outbox: Outbox,
    coalescer: Coalescer,
    /// Until when the socket is left alone, and whether it is.
    pause: Pin<Box<Sleep>>,
    paused: bool,
    /// Whether a pause was due when this turn began, and whether the turn found the socket empty:
    /// nobody is woken by the next datagram then.
    ticking: bool,
    drained: bool,
    /// An event that did not fit into the queue, and when it is tried again.
    unsent: Option<RelayEvent>,
    retry: Pin<Box<Sleep>>,
    sink: Option<Sink>,
}

/// What a relay's task is made of.
pub(crate) struct Parts {
    pub(crate) relay: RecordedRelay,
    pub(crate) socket: UdpSocket,
    pub(crate) commands: mpsc::Receiver<RelayCommand>,
    pub(crate) events: mpsc::Sender<(RelayId, RelayEvent)>,
    pub(crate) questions: mpsc::Receiver<Question>,
    /// Where packets for other relays go, by relay: this one's is among them. None where it is alone.
    pub(crate) inboxes: Vec<Arc<Inbox>>,
    pub(crate) clock: Clock,
    /// How old a datagram may be when its copies are sent.
    pub(crate) latency: Duration,
    /// How long datagrams may wait for others while many speak.
    pub(crate) coalesce: Duration,
    pub(crate) sink: Option<Sink>,
}

impl std::fmt::Debug for Media {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Media").field("relay", &self.relay.id()).finish_non_exhaustive()
    }
}

impl Future for Media {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        if !this.turn(cx) {
            return Poll::Ready(());
        }
        Poll::Pending
    }
}

impl Media {
    pub(crate) fn new(parts: Parts) -> Self {
        let mut outbox = Outbox::new(parts.latency);
        if !udp::segments(&parts.socket) {
            outbox.stop_joining();
        }
        Self {
            relay: parts.relay,
            socket: parts.socket,
            commands: parts.commands,
            events: parts.events,
            questions: parts.questions,
            clock: parts.clock,
            received: Received::new(),
            received_at: Timestamp::ZERO,
            handed: if parts.inboxes.is_empty() { Handovers::closed() } else { Handovers::new() },
            inboxes: parts.inboxes,
            owed: 0,
            outbox,
            coalescer: Coalescer::new(parts.coalesce),
            pause: Box::pin(sleep_until(Instant::now())),
            paused: false,
            ticking: false,
            drained: false,
            unsent: None,
            retry: Box::pin(sleep_until(Instant::now())),
            sink: parts.sink,
        }
    }

    /// One turn; `false` when the server is gone.
    fn turn(&mut self, cx: &mut Context<'_>) -> bool {
        let (mut datagrams, mut handovers, mut commands) = (0, 0, 0);
        // Whether something is left that nobody would wake this task for.
        let mut more;
        self.drained = false;
        self.ticking = self.coalescer.wait(self.clock.now()).is_some();
        loop {
            more = self.received.is_empty() && self.receive(cx, DATAGRAMS - datagrams);
            self.take_handovers(cx);
            let Some(applied) = self.obey(COMMANDS - commands) else { return false };
            commands += applied;
            if self.owed > 0 || commands == COMMANDS {
                more = true;
                break;
            }
            if self.received.is_empty() && self.handed.is_empty() {
                break;
            }
            datagrams += self.received.len();
            self.forward();
            handovers += self.pass_on(HANDOVERS - handovers);
            if datagrams >= DATAGRAMS || handovers >= HANDOVERS {
                more = true;
                break;
            }
        }
        more |= self.pause(cx, datagrams);
        self.flush();
        more |= self.report(cx);
        more |= self.answer(cx);
        self.save();
        // Commands that come from now on wake this task; those that came meanwhile count as well.
        more |= match self.commands.poll_recv(cx) {
            Poll::Ready(Some(command)) => {
                self.relay.handle_command(self.clock.now(), command);
                true
            }
            Poll::Ready(None) => return false,
            Poll::Pending => false,
        };
        if more {
            cx.waker().wake_by_ref();
        }
        true
    }

    /// Leaves the socket alone for a moment if so many datagrams in one turn say that many speak;
    /// whether it has to be looked at again at once.
    fn pause(&mut self, cx: &mut Context<'_>, datagrams: usize) -> bool {
        if self.paused {
            return false;
        }
        let now = self.clock.now();
        self.coalescer.note(now, datagrams);
        let Some(wait) = self.coalescer.wait(now) else { return self.ticking };
        self.pause.as_mut().reset(Instant::now() + wait);
        self.paused = self.pause.as_mut().poll(cx).is_pending();
        !self.paused
    }

    /// Takes up to `most` datagrams, when there are any; whether there may be more.
    fn receive(&mut self, cx: &mut Context<'_>, most: usize) -> bool {
        if self.paused {
            if self.pause.as_mut().poll(cx).is_pending() {
                return false;
            }
            self.paused = false;
        }
        // One more look would make the next datagram wake this task, and not the end of the pause.
        if self.drained && self.ticking {
            return false;
        }
        // Once in vain and once more: the second look makes the socket wake this task.
        for _ in 0..2 {
            match self.socket.poll_recv_ready(cx) {
                Poll::Pending => return false,
                Poll::Ready(Err(error)) => tracing::debug!(%error, "waiting for datagrams"),
                Poll::Ready(Ok(())) => {}
            }
            let more = self.received.receive(&self.socket, most);
            self.drained = !more;
            self.received_at = self.clock.now();
            let overflows = self.received.take_overflows();
            self.relay.note_overflow(self.received_at, overflows.into());
            if more || !self.received.is_empty() {
                self.owed = self.commands.len();
                return true;
            }
        }
        // Ready and empty twice: whatever it is, others come first.
        true
    }

    /// Takes what other relays hand to this one; what comes later wakes this task.
    fn take_handovers(&mut self, cx: &Context<'_>) {
        if self.inboxes.len() < 2 || !self.handed.is_empty() {
            return;
        }
        if let Some(inbox) = self.inboxes.get(usize::from(self.relay.id().0)) {
            inbox.take_all(cx, &mut self.handed);
        }
        if !self.handed.is_empty() {
            self.owed = self.commands.len();
        }
    }

    /// Applies up to `most` commands; how many, or `None` when the server is gone.
    ///
    /// It asks the queue itself and not for a turn at it: the runtime may refuse a turn although
    /// there are commands, and then a datagram would overtake them.
    fn obey(&mut self, most: usize) -> Option<usize> {
        let now = self.clock.now();
        for count in 0..most {
            match self.commands.try_recv() {
                Ok(command) => self.relay.handle_command(now, command),
                Err(TryRecvError::Empty) => {
                    self.owed = 0;
                    return Some(count);
                }
                Err(TryRecvError::Disconnected) => return None,
            }
            self.owed = self.owed.saturating_sub(1);
        }
        Some(most)
    }

    /// Handles what was received.
    fn forward(&mut self) {
        let Self { relay, socket, received, received_at, outbox, clock, inboxes, .. } = self;
        let send = |flights: Flights<'_>| udp::send(socket, flights);
        let mut forwarding =
            Forwarding::new(relay, outbox, || clock.now(), send).of(received.len());
        for (age, from, packet) in received.datagrams() {
            forwarding.shared_datagram(*received_at - age, from, packet, |to, handover| {
                hand_over(inboxes, to, handover)
            });
        }
        received.clear();
    }

    /// Gives up to `most` packets of other relays to the legs here; how many it were.
    fn pass_on(&mut self, most: usize) -> usize {
        if self.handed.is_empty() {
            return 0;
        }
        let Self { relay, socket, handed, outbox, clock, .. } = self;
        let send = |flights: Flights<'_>| udp::send(socket, flights);
        Forwarding::new(relay, outbox, || clock.now(), send).handovers(handed, most)
    }

    /// Sends what is left of the turn.
    fn flush(&mut self) {
        let Self { relay, socket, outbox, clock, .. } = self;
        let send = |flights: Flights<'_>| udp::send(socket, flights);
        Forwarding::new(relay, outbox, || clock.now(), send).flush();
    }

    /// Reports events; whether there may be more.
    fn report(&mut self, cx: &mut Context<'_>) -> bool {
        let id = self.relay.id();
        for _ in 0..EVENTS {
            let Some(event) = self.unsent.take().or_else(|| self.relay.poll_event()) else {
                return false;
            };
            match self.events.try_send((id, event)) {
                Ok(()) => {}
                Err(TrySendError::Full((_, event))) => {
                    self.unsent = Some(event);
                    self.retry.as_mut().reset(Instant::now() + RETRY);
                    return self.retry.as_mut().poll(cx).is_ready();
                }
                // The server is gone, which the commands say as well.
                Err(TrySendError::Closed(_)) => return false,
            }
        }
        true
    }

    /// Answers questions; whether there may be more.
    fn answer(&mut self, cx: &mut Context<'_>) -> bool {
        for _ in 0..QUESTIONS {
            let Poll::Ready(Some(question)) = self.questions.poll_recv(cx) else { return false };
            // Who asked may have given up.
            match question {
                Question::Figures(reply) => {
                    let (stats, legs) = (self.relay.stats().clone(), self.relay.leg_count());
                    let _ = reply.send(RelayFigures { stats, legs });
                }
                Question::Leg(leg, reply) => {
                    let behind = self.relay.is_behind(self.clock.now());
                    let _ = reply.send((self.relay.leg_view(leg), behind));
                }
            }
        }
        true
    }

    fn save(&mut self) {
        let Some(sink) = &mut self.sink else { return };
        if !sink.write(&self.relay.take_recording()) {
            self.sink = None;
            self.relay.stop_recording();
        }
    }
}

#[cfg(test)]
#[path = "media_tests.rs"]
mod tests;
