//! A media thread: one UDP socket and its `Relay`.
//!
//! Order of each turn: take datagrams from the socket, then apply every queued command, then handle
//! the datagrams. So a datagram that a command provoked never comes before it.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lvsp_core::ids::RelayId;
use lvsp_core::media::command::{RelayCommand, RelayEvent};
use lvsp_core::media::{Filled, Relay, TransmitBatch};
use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token, Waker};

use crate::clock;
use crate::queue::Queue;
use crate::sys::{self, Received};

const SOCKET: Token = Token(0);
const WAKE: Token = Token(1);
/// Batches of datagrams handled in one turn, before commands and events have their turn again.
const BATCHES_PER_TURN: usize = 4;

/// What the thread is made of.
pub(crate) struct MediaThread {
    relay: Relay,
    socket: UdpSocket,
    poll: Poll,
    commands: Arc<Queue<RelayCommand>>,
    events: Arc<Queue<(RelayId, RelayEvent)>>,
    stop: Arc<AtomicBool>,
    received: Received,
    batch: TransmitBatch,
    taken: VecDeque<RelayCommand>,
    /// An event that did not fit into the queue.
    unsent: Option<RelayEvent>,
}

impl MediaThread {
    /// Prepares a thread; `limit` is the length of its command queue.
    pub(crate) fn new(
        relay: Relay,
        mut socket: UdpSocket,
        limit: usize,
        events: Arc<Queue<(RelayId, RelayEvent)>>,
        stop: Arc<AtomicBool>,
    ) -> io::Result<(Self, Arc<Queue<RelayCommand>>, Arc<Waker>)> {
        let poll = Poll::new()?;
        poll.registry().register(&mut socket, SOCKET, Interest::READABLE)?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKE)?);
        let commands = Queue::new(limit, Arc::clone(&waker));
        let thread = Self {
            relay,
            socket,
            poll,
            commands: Arc::clone(&commands),
            events,
            stop,
            received: Received::new(),
            batch: TransmitBatch::new(),
            taken: VecDeque::new(),
            unsent: None,
        };
        Ok((thread, commands, waker))
    }

    /// Serves until the stop flag is set and the thread woken.
    pub(crate) fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(16);
        let mut readable = true;
        while !self.stop.load(Ordering::Acquire) {
            let timeout = readable.then_some(std::time::Duration::ZERO);
            match self.poll.poll(&mut events, timeout) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => other?,
            }
            readable |= events.iter().any(|event| event.token() == SOCKET);
            readable = self.turn(readable);
        }
        Ok(())
    }

    /// One turn; whether the socket may have more.
    fn turn(&mut self, readable: bool) -> bool {
        let mut more = readable;
        for _ in 0..BATCHES_PER_TURN {
            more = more && self.receive();
            self.obey();
            if !more {
                break;
            }
            self.forward();
        }
        self.flush();
        self.report();
        more
    }

    /// Takes datagrams; whether there were any.
    fn receive(&mut self) -> bool {
        loop {
            match sys::receive(&self.socket, &mut self.received) {
                Ok(()) => return true,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                // What an earlier datagram met on its way back: nothing about this socket.
                Err(error) => tracing::debug!(%error, "receiving"),
            }
        }
    }

    fn obey(&mut self) {
        self.commands.take_all(&mut self.taken);
        let now = clock::now();
        for command in self.taken.drain(..) {
            self.relay.handle_command(now, command);
        }
    }

    fn forward(&mut self) {
        let now = clock::now();
        let mut unsent = 0;
        for (from, packet) in self.received.datagrams() {
            let mut fanout = self.relay.handle_datagram(now, from, packet);
            while let Filled::BatchFull = fanout.fill(&mut self.batch) {
                unsent += send(&self.socket, &mut self.batch);
            }
        }
        self.relay.note_unsent(unsent);
    }

    fn flush(&mut self) {
        let unsent = send(&self.socket, &mut self.batch);
        self.relay.note_unsent(unsent);
    }

    fn report(&mut self) {
        let id = self.relay.id();
        while let Some(event) = self.unsent.take().or_else(|| self.relay.poll_event()) {
            if let Err((_, event)) = self.events.push((id, event)) {
                self.unsent = Some(event);
                return;
            }
        }
    }
}

/// Sends a batch and empties it; how many datagrams the socket did not take. Late voice is
/// useless, so nothing waits for a full socket.
fn send(socket: &UdpSocket, batch: &mut TransmitBatch) -> u64 {
    let mut at = 0;
    let mut unsent = 0;
    while at < batch.len() {
        let rest = (at..batch.len()).filter_map(|position| batch.get(position));
        match sys::send(socket, rest.map(|copy| (copy.address, copy.bytes))) {
            Ok(sent) => at += sent.max(1),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                unsent += batch.len() - at;
                break;
            }
            // One receiver's trouble (refused, unreachable) is not the others'.
            Err(_) => {
                unsent += 1;
                at += 1;
            }
        }
    }
    batch.clear();
    unsent as u64
}
