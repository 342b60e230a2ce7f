//! The UDP sockets of everybody, in one poll with whatever else a swarm watches.
//!
//! Datagrams are taken in batches, one socket at a time, so that whoever calls can send what is due
//! in between. When one arrived, the kernel says: what it waits for this process to be scheduled
//! and to come round is not the server's doing.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};

use lvsp_core::time::Timestamp;
use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Registry, Token};

use super::alarm::Alarm;
use crate::clock;
use crate::sys::{self, Received};

/// Asked of the kernel for each socket: a burst of everybody's frames waits while this process is
/// not scheduled.
const BUFFER_BYTES: usize = 1 << 20;
/// The least that the kernel gives. For those who are not to read: what arrives is soon dropped.
const BUFFER_BYTES_MIN: usize = 1;
const EVENTS: usize = 1_024;

/// Whether what arrives is to be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reading {
    /// Everything.
    All,
    /// Nothing after [`Ears::stop_reading`].
    UntilStopped,
}

/// Everybody's UDP sockets.
pub struct Ears {
    poll: Poll,
    events: Events,
    alarm: Alarm,
    sockets: Vec<UdpSocket>,
    /// Sockets that may have something, each once.
    ready: VecDeque<usize>,
    is_ready: Vec<bool>,
    received: Received,
    reads: bool,
    /// Tokens of others that are ready.
    others: Vec<Token>,
}

impl Ears {
    /// Binds so many sockets to free ports of an address.
    ///
    /// # Errors
    /// When there is no such address, or there are no more descriptors.
    pub fn bind(count: usize, from: IpAddr, reading: Reading) -> io::Result<Self> {
        let poll = Poll::new()?;
        let alarm = Alarm::new(poll.registry(), Token(count))?;
        let mut sockets = Vec::with_capacity(count);
        for member in 0..count {
            let mut socket = UdpSocket::bind(SocketAddr::new(from, 0))?;
            let bytes = if reading == Reading::All { BUFFER_BYTES } else { BUFFER_BYTES_MIN };
            socket2::SockRef::from(&socket).set_recv_buffer_size(bytes)?;
            #[cfg(target_os = "linux")]
            sys::note_arrivals(&socket)?;
            poll.registry().register(&mut socket, Token(member), Interest::READABLE)?;
            sockets.push(socket);
        }
        Ok(Self {
            poll,
            events: Events::with_capacity(EVENTS),
            alarm,
            sockets,
            ready: VecDeque::with_capacity(count),
            is_ready: vec![false; count],
            received: Received::new(),
            reads: true,
            others: Vec::new(),
        })
    }

    /// Where others may register, with tokens from [`Self::first_token`] on.
    #[must_use]
    pub(crate) fn registry(&self) -> &Registry {
        self.poll.registry()
    }

    /// The first token that is free for others.
    #[must_use]
    pub(crate) const fn first_token(&self) -> usize {
        self.sockets.len() + 1
    }

    /// Sends from a member's socket.
    ///
    /// # Errors
    /// When the socket refuses.
    pub fn send(&self, member: usize, datagram: &[u8], to: SocketAddr) -> io::Result<()> {
        self.sockets.get(member).ok_or(ErrorKind::NotFound)?.send_to(datagram, to).map(drop)
    }

    /// From now on what arrives stays where it is, and wakes nobody.
    ///
    /// # Errors
    /// When the poll refuses.
    pub fn stop_reading(&mut self) -> io::Result<()> {
        self.reads = false;
        self.ready.clear();
        for socket in &mut self.sockets {
            self.poll.registry().deregister(socket)?;
        }
        Ok(())
    }

    /// Takes at most one batch of one socket, after waiting for it until `until` at the latest.
    /// What others registered and is ready is kept for `take_others`.
    ///
    /// # Errors
    /// When the poll fails. What a socket tells of earlier datagrams is passed over.
    pub fn turn(
        &mut self,
        until: Timestamp,
        mut heard: impl FnMut(usize, Timestamp, &mut [u8]),
    ) -> io::Result<()> {
        if self.ready.is_empty() {
            self.wait(until)?;
        }
        let Some(member) = self.ready.pop_front() else { return Ok(()) };
        let result = sys::receive(&self.sockets[member], &mut self.received, sys::BATCH);
        let now = clock::now();
        // A batch that is not full has found the socket empty, so the next datagram is an event.
        // Anything but an empty socket is of an earlier datagram, and there may be more behind it.
        let more = match result {
            Ok(_) => self.received.len() == sys::BATCH,
            Err(error) => error.kind() != ErrorKind::WouldBlock,
        };
        if more {
            self.ready.push_back(member);
        } else {
            self.is_ready[member] = false;
        }
        for (age, _, datagram) in self.received.datagrams() {
            let waited = u64::try_from(age.as_micros()).unwrap_or(0);
            let at = Timestamp::from_micros(now.as_micros().saturating_sub(waited));
            heard(member, at, datagram);
        }
        Ok(())
    }

    /// Tokens of others that were ready, each once for each event.
    pub(crate) fn take_others(&mut self) -> Vec<Token> {
        std::mem::take(&mut self.others)
    }

    fn wait(&mut self, until: Timestamp) -> io::Result<()> {
        let timeout = self.alarm.set(until)?;
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            other => other?,
        }
        for event in &self.events {
            let Token(token) = event.token();
            match self.is_ready.get_mut(token) {
                Some(is_ready) if self.reads && !*is_ready => {
                    *is_ready = true;
                    self.ready.push_back(token);
                }
                Some(_) => {}
                None if token > self.sockets.len() => self.others.push(event.token()),
                // The alarm.
                None => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use super::*;

    const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    /// What arrives until nothing has for 50 ms.
    fn listen(ears: &mut Ears) -> Vec<(usize, usize)> {
        let mut heard = Vec::new();
        loop {
            let before = heard.len();
            let until = clock::now() + Duration::from_millis(50);
            while heard.len() == before && clock::now() < until {
                ears.turn(until, |member, _, bytes| heard.push((member, bytes.len()))).unwrap();
            }
            if heard.len() == before {
                return heard;
            }
        }
    }

    #[test]
    fn every_datagram_is_heard_by_its_member_and_none_twice() {
        let mut ears = Ears::bind(3, LOCAL, Reading::All).unwrap();
        let to: Vec<_> = (0..3).map(|member| ears.sockets[member].local_addr().unwrap()).collect();
        for round in 1..=2 {
            for _ in 0..100 {
                ears.send(0, &[7; 10], to[1]).unwrap();
            }
            ears.send(0, &[7; 20], to[2]).unwrap();
            let heard = listen(&mut ears);
            let count = |wanted| heard.iter().filter(|each| **each == wanted).count();
            assert_eq!((count((1, 10)), count((2, 20)), heard.len()), (100, 1, 101), "{round}");
        }
    }

    #[test]
    fn one_turn_takes_one_batch() {
        let mut ears = Ears::bind(1, LOCAL, Reading::All).unwrap();
        let to = ears.sockets[0].local_addr().unwrap();
        for _ in 0..sys::BATCH + 1 {
            ears.send(0, b"x", to).unwrap();
        }
        let mut counts = Vec::new();
        for _ in 0..2 {
            let mut count = 0;
            ears.turn(clock::now() + Duration::from_secs(60), |_, _, _| count += 1).unwrap();
            counts.push(count);
        }
        assert_eq!(counts, [sys::BATCH, 1]);
    }

    #[test]
    fn who_stopped_reading_hears_nothing() {
        let mut ears = Ears::bind(1, LOCAL, Reading::UntilStopped).unwrap();
        let to = ears.sockets[0].local_addr().unwrap();
        ears.stop_reading().unwrap();
        ears.send(0, b"x", to).unwrap();
        assert_eq!(listen(&mut ears), []);
    }
}
