//! A voice client: it connects as its ticket says, talks when it is told to, and reports what it
//! hears.
//!
//! Decided here: the pace of talking, and the faults on the wire of one caller ([`Fault::Drop`],
//! [`Fault::Corrupt`]). Not here: what it should hear; a caller judges nothing.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, Sender, TryRecvError};

use anyhow::{Context, Result};
use lvsp_core::client::{FRAME_INTERVAL, Ticket, VoiceClient, VoiceEvent};
use lvsp_core::ids::UserId;
use lvsp_core::time::Timestamp;
use lvsp_core::transport::TlsTrust;
use lvsp_core::wire::gateway::Version;

use super::cast::{Fault, Part, Seat};
use super::news::{Heard, News};
use super::peer::{Peer, ending};
use crate::clock;
use crate::entropy::OsEntropy;
use crate::peers::{Payload, Role};

/// A fault befalls every tenth frame or datagram, from the first on.
const FAULTY: u32 = 10;

/// What a caller is told: to say so many frames.
#[derive(Clone, Copy, Debug)]
pub(super) struct Talk {
    pub(super) part: Part,
    pub(super) frames: u32,
}

/// One caller on its thread.
pub(super) struct Caller {
    seat: Seat,
    peer: Peer<Voice>,
    orders: Receiver<Talk>,
    news: Sender<News>,
    /// Who else is in the channel but was not announced yet.
    unknown: BTreeSet<UserId>,
    introduced: bool,
    speech: Option<Speech>,
}

/// A talk under way.
struct Speech {
    talk: Talk,
    next: u32,
    due: Timestamp,
}

impl Caller {
    /// Connects; [`Self::run`] does the rest.
    pub(super) fn connect(
        seat: Seat,
        company: BTreeSet<UserId>,
        (ticket, gateway): (Ticket, SocketAddr),
        trust: &TlsTrust,
        orders: Receiver<Talk>,
        news: Sender<News>,
    ) -> Result<Self> {
        let version = Version::new(seat.version).context("gateway versions count from 1")?;
        let host = gateway.ip().to_string();
        let tls = Some((trust, host.as_str()));
        let client = VoiceClient::connect(ticket, version, seat.mode, tls, &host, &mut OsEntropy)?;
        let loses = seat.fault == Some(Fault::Drop);
        let voice = Voice { client, connected: false, loses, arrived: 0 };
        let peer = Peer::connect(voice, gateway)?.with_socket()?;
        let (unknown, introduced, speech) = (company, false, None);
        Ok(Self { seat, peer, orders, news, unknown, introduced, speech })
    }

    /// Serves until the connection ends or nobody gives orders any more.
    pub(super) fn run(mut self) {
        let why = self.serve().unwrap_or_else(|error| error.to_string());
        // Nobody listens any more when the demonstration is over.
        let _ = self.news.send(News::Ended { who: self.seat.name, why });
    }

    fn serve(&mut self) -> io::Result<String> {
        loop {
            match self.orders.try_recv() {
                Ok(talk) => self.begin(talk),
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => return Ok("it is over".to_owned()),
            }
            self.talk();
            let due =
                self.speech.as_ref().map_or_else(|| clock::now() + FRAME_INTERVAL, |talk| talk.due);
            self.peer.turn(due)?;
            while let Some(event) = self.peer.role.client.poll_event() {
                if let Some(why) = self.handle_event(event) {
                    return Ok(why);
                }
            }
        }
    }

    fn begin(&mut self, talk: Talk) {
        self.peer.role.client.set_speaking(1);
        self.speech = Some(Speech { talk, next: 0, due: clock::now() });
    }

    /// Says what is due.
    fn talk(&mut self) {
        while let Some(speech) = self.speech.as_mut().filter(|speech| speech.due <= clock::now()) {
            let (index, Talk { part, frames }) = (speech.next, speech.talk);
            speech.next += 1;
            speech.due = speech.due + FRAME_INTERVAL;
            let payload =
                Payload { speaker: self.seat.user, part: part.number(), index, sent: clock::now() };
            let mut bytes = payload.encode();
            if self.seat.fault == Some(Fault::Corrupt) && index % FAULTY == 0 {
                bytes.reverse();
            }
            self.peer.role.client.send_frame(&bytes);
            if index + 1 == frames {
                self.speech = None;
                self.peer.role.client.set_speaking(0);
                self.tell(News::Spoke(self.seat.user));
            }
        }
    }

    /// Why the connection is over, if it is.
    fn handle_event(&mut self, event: VoiceEvent) -> Option<String> {
        match event {
            VoiceEvent::Connected { .. } => self.peer.role.connected = true,
            VoiceEvent::Speaking { user, .. } => {
                self.unknown.remove(&user);
            }
            VoiceEvent::Frame(frame) => self.tell(News::Heard(Heard {
                listener: self.seat.user,
                named: frame.user,
                payload: frame.payload,
                at: clock::now(),
            })),
            VoiceEvent::Unreachable => {
                return Some("its discovery requests are not answered".to_owned());
            }
            VoiceEvent::Closed { code } => return Some(ending(code)),
            VoiceEvent::Resumed
            | VoiceEvent::ClientsConnect(_)
            | VoiceEvent::ClientDisconnect(_)
            | _ => {}
        }
        if self.peer.role.connected && self.unknown.is_empty() && !self.introduced {
            self.introduced = true;
            self.tell(News::Introduced(self.seat.user));
        }
        None
    }

    fn tell(&self, news: News) {
        let _ = self.news.send(news);
    }
}

/// The voice client behind a wire that may lose datagrams.
struct Voice {
    client: VoiceClient,
    connected: bool,
    /// Whether every tenth datagram is lost once it is connected.
    loses: bool,
    arrived: u32,
}

impl Role for Voice {
    fn handle_bytes(&mut self, now: Timestamp, bytes: &[u8]) {
        self.client.handle_bytes(now, bytes);
    }

    fn handle_eof(&mut self, now: Timestamp) {
        self.client.handle_eof(now);
    }

    fn handle_timeout(&mut self, now: Timestamp) {
        self.client.handle_timeout(now);
    }

    fn outbound(&self) -> &[u8] {
        self.client.outbound()
    }

    fn consume(&mut self, written: usize) {
        self.client.consume(written);
    }

    fn poll_timeout(&self) -> Option<Timestamp> {
        self.client.poll_timeout()
    }

    fn handle_datagram(&mut self, packet: &mut [u8]) {
        if self.connected && self.loses {
            self.arrived += 1;
            if self.arrived % FAULTY == 1 {
                return;
            }
        }
        self.client.handle_datagram(packet);
    }

    fn poll_transmit(&mut self) -> Option<(SocketAddr, Vec<u8>)> {
        self.client.poll_transmit()
    }
}
