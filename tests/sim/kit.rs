//! What everybody in the world works with: the time, the agenda, the network and the oracle.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use lvsp_core::time::Timestamp;

use crate::Gauge;
use crate::network::{Network, Wire};
use crate::oracle::Oracle;
use crate::plan::Knobs;

pub(crate) const SECOND: u64 = 1_000_000;
pub(crate) const MILLI: u64 = 1_000;

/// The guild of all channels.
pub(crate) const GUILD: u64 = 41_771_983_423_143_937;

/// The id of a channel of the plan.
pub(crate) const fn channel_id(number: u64) -> u64 {
    127_121_515_262_115_840 + number
}

/// The user of a voice.
pub(crate) const fn user_of(voice: usize) -> u64 {
    80_351_110_224_678_912 + voice as u64
}

/// The voice of a user, if there is one.
pub(crate) const fn voice_of(user: u64) -> Option<usize> {
    match user.checked_sub(user_of(0)) {
        Some(index) => Some(index as usize),
        None => None,
    }
}

/// The public address of a voice.
pub(crate) fn host_of(voice: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(45, 33, 32, 10 + voice as u8))
}

/// Who is at the far end of a wire.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Who {
    Chat,
    Voice(usize),
    /// Somebody who never gets as far as a WebSocket.
    Stranger(usize),
}

/// What a voice client presents.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Ticket {
    /// Where it leads to.
    pub(crate) channel: u64,
    pub(crate) session_id: String,
    pub(crate) token: String,
}

/// Something that is to happen.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// The operation at this place of the plan.
    Op(usize),
    /// A piece arrives at the server's end of a wire.
    Up(Wire),
    /// A piece arrives at the far end of a wire.
    Down(Wire),
    ServerTurn,
    /// Of the relay at this place.
    RelayTurn(usize),
    ToRelay {
        from: SocketAddr,
        to: SocketAddr,
        bytes: Vec<u8>,
    },
    ToVoice {
        voice: usize,
        to: SocketAddr,
        bytes: Vec<u8>,
    },
    VoiceTimer(usize),
    ChatTimer,
    /// A client asks its chat server to join, or to leave.
    Ask {
        voice: usize,
        channel: Option<u64>,
    },
    /// A chat server tells a client where to connect.
    Ticket {
        voice: usize,
        ticket: Ticket,
    },
    /// A chat server tells a client that it is out.
    Out(usize),
    /// A client that vanished is there again.
    Return(usize),
    /// A voice server process starts.
    Start,
    /// No more trouble from now on.
    Calm,
    /// A step of the examination at the end.
    Examine(u32),
}

/// What is to happen when.
#[derive(Default, Debug)]
pub(crate) struct Agenda {
    entries: BTreeMap<(u64, u64), Event>,
    count: u64,
}

impl Agenda {
    pub(crate) fn add(&mut self, at: u64, event: Event) {
        self.count += 1;
        self.entries.insert((at, self.count), event);
    }

    pub(crate) fn pop(&mut self) -> Option<(u64, Event)> {
        self.entries.pop_first().map(|((at, _), event)| (at, event))
    }
}

/// A digest of everything that was seen, to compare two runs; and, on demand, its words.
#[derive(Default)]
pub(crate) struct Trace {
    digest: DefaultHasher,
    pub(crate) tell: Option<fn(&str)>,
}

impl std::fmt::Debug for Trace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Trace({:x})", self.digest())
    }
}

impl Trace {
    pub(crate) fn note(&mut self, now: u64, what: impl Hash) {
        now.hash(&mut self.digest);
        what.hash(&mut self.digest);
    }

    pub(crate) fn digest(&self) -> u64 {
        self.digest.finish()
    }
}

/// The surroundings.
#[derive(Debug)]
pub(crate) struct Kit {
    /// Microseconds since the start.
    pub(crate) now: u64,
    pub(crate) seed: u64,
    pub(crate) knobs: Knobs,
    pub(crate) agenda: Agenda,
    pub(crate) network: Network,
    pub(crate) oracle: Oracle,
    pub(crate) trace: Trace,
    pub(crate) gauge: Option<Gauge>,
    /// The most that the core held, in bytes, where somebody measures.
    pub(crate) held_max: u64,
    /// When the last trouble that has begun is over.
    pub(crate) trouble_until: u64,
}

impl Kit {
    pub(crate) fn new(seed: u64, knobs: Knobs) -> Self {
        Self {
            now: SECOND,
            seed,
            network: Network::new(seed, &knobs),
            knobs,
            agenda: Agenda::default(),
            oracle: Oracle::default(),
            trace: Trace::default(),
            gauge: None,
            held_max: 0,
            trouble_until: 0,
        }
    }

    pub(crate) const fn timestamp(&self) -> Timestamp {
        Timestamp::from_micros(self.now)
    }

    pub(crate) fn add_in(&mut self, wait: u64, event: Event) {
        self.agenda.add(self.now + wait, event);
    }

    /// Says what happens, to whoever wants to read it.
    pub(crate) fn tell(&self, what: impl FnOnce() -> String) {
        if let Some(tell) = self.trace.tell {
            tell(&format!("{:11.6} {}", self.now as f64 / 1e6, what()));
        }
    }

    /// Notes that trouble goes on for so long.
    pub(crate) fn trouble(&mut self, micros: u64) {
        self.trouble_until = self.trouble_until.max(self.now + micros);
    }
}
