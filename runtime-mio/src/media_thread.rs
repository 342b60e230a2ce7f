//! A media thread: one UDP socket and its `Relay`.
//!
//! Order of each turn: take datagrams from the socket and packets from other relays, then apply every
//! command that was queued before, then handle them. So what a command provoked never comes before it.
//! When a turn's budget of commands does not reach, the datagrams wait for the rest of them.
//!
//! Overload is met at the input: what is older than the latency budget is not opened.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lvsp_core::ids::RelayId;
use lvsp_core::media::Relay;
use lvsp_core::media::command::{RelayCommand, RelayEvent};
use lvsp_core::media::{Coalescer, Flights, Forwarding, Handovers, Outbox, Sent};
use lvsp_core::record::RecordedRelay;
use lvsp_core::time::Timestamp;
use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token, Waker};

use crate::capture::Recorders;
use crate::clock;
use crate::handovers::{Inbox, hand_over};
use crate::questions::Desk;
use crate::queue::Queue;
use crate::recording::Sink;
use crate::sys::{self, Received};
use crate::turns::{Budgets, MediaCounters};

const SOCKET: Token = Token(0);
const WAKE: Token = Token(1);
/// An event that found the queue full is tried again after this long.
const RETRY: Duration = Duration::from_millis(1);

/// What the thread is made of.
pub(crate) struct MediaThread {
    relay: RecordedRelay,
    socket: UdpSocket,
    poll: Poll,
    commands: Arc<Queue<RelayCommand>>,
    events: Arc<Queue<(RelayId, RelayEvent)>>,
    stop: Arc<AtomicBool>,
    clock: fn() -> Timestamp,
    budgets: Budgets,
    counters: Arc<MediaCounters>,
    /// Datagrams that were received and not handled yet.
    received: Received,
    received_at: Timestamp,
    /// What other relays hand to this one, and what was taken of it and not handled yet.
    inbox: Arc<Inbox>,
    handed: Handovers,
    /// By relay, where what is said here goes.
    inboxes: Vec<Arc<Inbox>>,
    outbox: Outbox,
    coalescer: Coalescer,
    /// Commands that were taken from the queue and not applied yet.
    taken: VecDeque<RelayCommand>,
    /// An event that did not fit into the queue.
    unsent: Option<RelayEvent>,
    /// Whether the relay may have more events.
    has_news: bool,
    /// What others want to know of the relay.
    desk: Arc<Desk<Relay>>,
    /// Whoever wants to see a leg's datagrams.
    recorders: Arc<Recorders>,
    sink: Option<Sink>,
}

/// What a media thread is given.
pub(crate) struct MediaParts {
    pub(crate) relay: RecordedRelay,
    pub(crate) socket: UdpSocket,
    /// Length of its command queue.
    pub(crate) commands: usize,
    pub(crate) events: Arc<Queue<(RelayId, RelayEvent)>>,
    pub(crate) stop: Arc<AtomicBool>,
    pub(crate) budgets: Budgets,
    pub(crate) counters: Arc<MediaCounters>,
    /// How old a datagram may be when its copies are sent.
    pub(crate) latency: Duration,
    /// How long datagrams may wait for others while many speak.
    pub(crate) coalesce: Duration,
    /// Where the relay's recording goes.
    pub(crate) sink: Option<Sink>,
}

impl MediaThread {
    /// Prepares a thread.
    pub(crate) fn new(
        mut parts: MediaParts,
    ) -> io::Result<(Self, Arc<Queue<RelayCommand>>, Arc<Waker>)> {
        let poll = Poll::new()?;
        poll.registry().register(&mut parts.socket, SOCKET, Interest::READABLE)?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKE)?);
        let commands = Queue::new(parts.commands, Arc::clone(&waker));
        let inbox = Inbox::new(Arc::clone(&waker));
        let desk = Desk::new(Arc::clone(&waker));
        let mut outbox = Outbox::new(parts.latency);
        if !sys::segments(&parts.socket) {
            outbox.stop_joining();
        }
        let thread = Self {
            relay: parts.relay,
            socket: parts.socket,
            poll,
            commands: Arc::clone(&commands),
            events: parts.events,
            stop: parts.stop,
            clock: clock::now,
            budgets: parts.budgets,
            counters: parts.counters,
            received: Received::new(),
            received_at: Timestamp::ZERO,
            inbox,
            handed: Handovers::closed(),
            inboxes: Vec::new(),
            outbox,
            coalescer: Coalescer::new(parts.coalesce),
            taken: VecDeque::new(),
            unsent: None,
            has_news: false,
            desk,
            recorders: Arc::default(),
            sink: parts.sink,
        };
        Ok((thread, commands, waker))
    }

    /// Where other relays put what is for the legs here.
    pub(crate) fn inbox(&self) -> Arc<Inbox> {
        Arc::clone(&self.inbox)
    }

    /// Where its relay is asked about.
    pub(crate) fn desk(&self) -> Arc<Desk<Relay>> {
        Arc::clone(&self.desk)
    }

    /// Where legs are recorded.
    pub(crate) fn recorders(&self) -> Arc<Recorders> {
        Arc::clone(&self.recorders)
    }

    /// Tells where the inboxes of all relays are, in their order.
    pub(crate) fn set_inboxes(&mut self, inboxes: Vec<Arc<Inbox>>) {
        if inboxes.len() > 1 {
            self.inbox.open();
            self.handed = Handovers::new();
        }
        self.inboxes = inboxes;
    }

    /// Serves until the stop flag is set and the thread woken.
    pub(crate) fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(16);
        let mut readable = true;
        while !self.stop.load(Ordering::Acquire) {
            let timeout = self.timeout(readable);
            if timeout.is_none()
                && let Some(wait) = self.coalescer.wait((self.clock)())
            {
                // Whatever happens at the socket and the queues meanwhile, the turn will see.
                std::thread::sleep(wait);
                readable = true;
            } else {
                match self.poll.poll(&mut events, timeout) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    other => other?,
                }
                readable |= events.iter().any(|event| event.token() == SOCKET);
            }
            readable = self.turn(readable);
        }
        Ok(())
    }

    /// How long the poll may sleep.
    fn timeout(&self, readable: bool) -> Option<Duration> {
        let waits = self.received.len() > 0 || !self.handed.is_empty() || !self.taken.is_empty();
        if readable || waits || (self.has_news && self.unsent.is_none()) {
            return Some(Duration::ZERO);
        }
        self.unsent.is_some().then_some(RETRY)
    }

    /// One turn; whether the socket may have more.
    fn turn(&mut self, readable: bool) -> bool {
        // Not the clock that decides, which is read at certain points.
        let begun = clock::now();
        let mut more = readable;
        let (mut datagrams, mut handovers, mut commands) = (0, 0, 0);
        loop {
            // Only when no command is left of those taken before: the queue is then emptied behind
            // this, so that every command from before these datagrams is taken.
            if more && self.received.len() == 0 && self.taken.is_empty() {
                more = self.receive(self.budgets.datagrams - datagrams);
            }
            if self.handed.is_empty() && self.taken.is_empty() {
                self.inbox.take_all(&mut self.handed);
            }
            commands += self.obey(self.budgets.commands - commands);
            let idle = self.received.len() == 0 && self.handed.is_empty();
            if !self.taken.is_empty() || idle {
                break;
            }
            datagrams += self.received.len();
            self.forward();
            handovers += self.pass_on(self.budgets.handovers - handovers);
            if datagrams >= self.budgets.datagrams || handovers >= self.budgets.handovers {
                break;
            }
        }
        self.coalescer.note((self.clock)(), datagrams + handovers);
        self.flush();
        let events = self.report();
        self.desk.answer(&self.relay);
        self.save();
        self.counters.note_turn(clock::now().since(begun));
        self.counters.datagrams.note(datagrams);
        self.counters.handovers.note(handovers);
        self.counters.commands.note(commands);
        self.counters.events.note(events);
        more
    }

    /// Takes up to `most` datagrams; whether there may be more.
    fn receive(&mut self, most: usize) -> bool {
        let result = sys::receive(&self.socket, &mut self.received, most);
        self.received_at = (self.clock)();
        match result {
            Ok(overflows) => {
                self.relay.note_overflow(self.received_at, overflows.into());
                // A batch that is not full has found the socket empty.
                self.received.len() == most.min(sys::BATCH)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
            // What an earlier datagram met on its way back: nothing about this socket.
            Err(error) => {
                tracing::debug!(%error, "receiving");
                true
            }
        }
    }

    /// Applies up to `most` commands; how many it were.
    fn obey(&mut self, most: usize) -> usize {
        if self.taken.is_empty() {
            self.commands.take_all(&mut self.taken);
        }
        let count = self.taken.len().min(most);
        let now = (self.clock)();
        for command in self.taken.drain(..count) {
            self.relay.handle_command(now, command);
        }
        count
    }

    /// Handles what was received.
    fn forward(&mut self) {
        let Self {
            relay, socket, received, received_at, outbox, clock, inboxes, recorders, ..
        } = self;
        let send = |flights: Flights<'_>| give(socket, recorders, flights);
        let mut forwarding = Forwarding::new(relay, outbox, *clock, send).of(received.len());
        for (age, from, packet) in received.datagrams() {
            let arrival = *received_at - age;
            recorders.note_received(forwarding.relay(), arrival, from, packet);
            forwarding.shared_datagram(arrival, from, packet, |to, handover| {
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
        let Self { relay, socket, handed, outbox, clock, recorders, .. } = self;
        let send = |flights: Flights<'_>| give(socket, recorders, flights);
        Forwarding::new(relay, outbox, *clock, send).handovers(handed, most)
    }

    /// Sends what is left of the turn.
    fn flush(&mut self) {
        let Self { relay, socket, outbox, clock, recorders, .. } = self;
        let send = |flights: Flights<'_>| give(socket, recorders, flights);
        Forwarding::new(relay, outbox, *clock, send).flush();
    }

    /// Reports events; how many it were.
    fn report(&mut self) -> usize {
        let id = self.relay.id();
        for count in 0..self.budgets.events {
            let Some(event) = self.unsent.take().or_else(|| self.relay.poll_event()) else {
                self.has_news = false;
                return count;
            };
            if let Err((_, event)) = self.events.push((id, event)) {
                self.unsent = Some(event);
                return count;
            }
        }
        self.has_news = true;
        self.budgets.events
    }

    fn save(&mut self) {
        if let Some(sink) = &mut self.sink
            && !sink.write(&self.relay.take_recording())
        {
            self.sink = None;
            self.relay.stop_recording();
        }
    }
}

fn give(socket: &UdpSocket, recorders: &Recorders, flights: Flights<'_>) -> Sent {
    let given = recorders.are_on().then(|| flights.clone());
    let sent = send(socket, flights);
    if let (Some(given), Sent::Some(count)) = (given, sent) {
        recorders.note_sent(clock::now(), given, count);
    }
    sent
}

fn send(socket: &UdpSocket, flights: Flights<'_>) -> Sent {
    match sys::send_flights(socket, flights) {
        Ok(count) => Sent::Some(count),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Sent::Full,
        Err(_) => Sent::Failed,
    }
}

#[cfg(test)]
#[path = "media_thread_tests.rs"]
mod tests;
