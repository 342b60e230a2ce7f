//! TCP that is slow, cut into pieces or broken, and UDP that loses, doubles, delays and flips.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

use lvsp_core::output::Plane;

use crate::dice::Dice;
use crate::kit::{Agenda, Event, SECOND, Who};
use crate::plan::Knobs;

/// A TCP connection, by the order in which they were opened.
pub(crate) type Wire = usize;

/// Towards the server or away from it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Way {
    Up,
    Down,
}

impl Way {
    /// Those that the bits of an operation name.
    pub(crate) fn of(bits: u64) -> impl Iterator<Item = Self> {
        [(1, Self::Up), (2, Self::Down)]
            .into_iter()
            .filter_map(move |(bit, way)| (bits & bit != 0).then_some(way))
    }
}

/// Bytes that the far end's system takes before it stops.
const WINDOW: usize = 4_096;
const LATENCY_US: u64 = 200;
/// How long both ends may take to find out about a stall, and to get over it.
const RECOVERY_US: u64 = 120 * SECOND;

/// What arrives at an end of a wire.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Piece {
    /// The connection is made.
    Open,
    Bytes(Vec<u8>),
    /// The other end closed, or the connection broke.
    End,
}

#[derive(Default, Debug)]
struct Half {
    pieces: VecDeque<(u64, Piece)>,
    /// When the newest piece arrives: TCP keeps the order.
    last: u64,
    ended: bool,
}

#[derive(Debug)]
struct Line {
    who: Who,
    plane: Plane,
    address: SocketAddr,
    up: Half,
    down: Half,
    dice: Dice,
}

#[derive(Debug)]
pub(crate) struct Network {
    knobs: Knobs,
    seed: u64,
    lines: Vec<Line>,
    /// Until when nothing gets through.
    stalls: BTreeMap<(Who, Way), u64>,
    clogs: BTreeMap<(usize, Way), u64>,
    udp: BTreeMap<(usize, Way), Dice>,
}

impl Network {
    pub(crate) fn new(seed: u64, knobs: &Knobs) -> Self {
        Self {
            knobs: knobs.clone(),
            seed,
            lines: Vec::new(),
            stalls: BTreeMap::new(),
            clogs: BTreeMap::new(),
            udp: BTreeMap::new(),
        }
    }

    /// From now on everything gets through.
    pub(crate) fn calm(&mut self) {
        self.knobs = Knobs::default();
        self.stalls.clear();
        self.clogs.clear();
    }

    // --- TCP ---

    pub(crate) fn open(
        &mut self,
        now: u64,
        agenda: &mut Agenda,
        who: Who,
        plane: Plane,
        address: SocketAddr,
    ) -> Wire {
        let wire = self.lines.len();
        let stream = match who {
            Who::Chat => 0,
            Who::Voice(voice) => 1 + voice as u64,
            Who::Stranger(voice) => 1_001 + voice as u64,
        };
        let earlier = self.lines.iter().filter(|line| line.who == who).count() as u64;
        let dice = Dice::new(self.seed, &[2, stream, earlier]);
        let (up, down) = (Half::default(), Half::default());
        self.lines.push(Line { who, plane, address, up, down, dice });
        self.carry(now, agenda, wire, Way::Up, Piece::Open);
        wire
    }

    pub(crate) fn who(&self, wire: Wire) -> Who {
        self.lines[wire].who
    }

    pub(crate) fn origin(&self, wire: Wire) -> (Plane, SocketAddr) {
        (self.lines[wire].plane, self.lines[wire].address)
    }

    /// How many bytes the far end's system takes now.
    pub(crate) fn room(&self, wire: Wire) -> usize {
        let bytes = |(_, piece): &(u64, Piece)| match piece {
            Piece::Bytes(bytes) => bytes.len(),
            Piece::Open | Piece::End => 0,
        };
        WINDOW.saturating_sub(self.lines[wire].down.pieces.iter().map(bytes).sum())
    }

    pub(crate) fn send(
        &mut self,
        now: u64,
        agenda: &mut Agenda,
        wire: Wire,
        way: Way,
        bytes: &[u8],
    ) {
        let largest = match self.knobs.tcp_piece {
            0 => bytes.len().max(1) as u64,
            most => most,
        };
        let mut rest = bytes;
        while !rest.is_empty() {
            let length = self.lines[wire].dice.between(1, largest).min(rest.len() as u64);
            let length = if self.knobs.tcp_piece == 0 { rest.len() } else { length as usize };
            let (piece, behind) = rest.split_at(length);
            self.carry(now, agenda, wire, way, Piece::Bytes(piece.to_vec()));
            rest = behind;
        }
    }

    /// One end closes; what it wrote before still arrives.
    pub(crate) fn close(&mut self, now: u64, agenda: &mut Agenda, wire: Wire, way: Way) {
        self.carry(now, agenda, wire, way, Piece::End);
    }

    /// The connection breaks: what is under way is lost.
    pub(crate) fn cut(&mut self, now: u64, agenda: &mut Agenda, wire: Wire) {
        for way in [Way::Up, Way::Down] {
            let half = self.half(wire, way);
            half.pieces.retain(|(_, piece)| !matches!(piece, Piece::Bytes(_)));
            self.carry(now, agenda, wire, way, Piece::End);
        }
    }

    /// One end is gone without a word: nothing it wrote arrives any more.
    pub(crate) fn vanish(&mut self, wire: Wire) {
        for way in [Way::Up, Way::Down] {
            let half = self.half(wire, way);
            half.pieces.clear();
            half.ended = true;
        }
    }

    pub(crate) fn all_wires(&self) -> Vec<Wire> {
        (0..self.lines.len()).filter(|wire| !self.lines[*wire].down.ended).collect()
    }

    pub(crate) fn stall(&mut self, who: Who, way: Way, until: u64) {
        let stall = self.stalls.entry((who, way)).or_default();
        *stall = until.max(*stall);
    }

    /// Whether everything has got through for a while.
    pub(crate) fn is_clear(&self, who: Who, now: u64) -> bool {
        let clear =
            |way| self.stalls.get(&(who, way)).is_none_or(|until| *until + RECOVERY_US < now);
        clear(Way::Up) && clear(Way::Down)
    }

    /// What has arrived by now.
    pub(crate) fn arrived(
        &mut self,
        now: u64,
        agenda: &mut Agenda,
        wire: Wire,
        way: Way,
    ) -> Vec<Piece> {
        let stalled = self.stalls.get(&(self.lines[wire].who, way)).copied().unwrap_or_default();
        let half = self.half(wire, way);
        if stalled > now {
            if !half.pieces.is_empty() {
                agenda.add(stalled, event(wire, way));
            }
            return Vec::new();
        }
        let mut arrived = Vec::new();
        while half.pieces.front().is_some_and(|(at, _)| *at <= now) {
            arrived.extend(half.pieces.pop_front().map(|(_, piece)| piece));
        }
        arrived
    }

    fn half(&mut self, wire: Wire, way: Way) -> &mut Half {
        match way {
            Way::Up => &mut self.lines[wire].up,
            Way::Down => &mut self.lines[wire].down,
        }
    }

    fn carry(&mut self, now: u64, agenda: &mut Agenda, wire: Wire, way: Way, piece: Piece) {
        let delay = LATENCY_US + self.lines[wire].dice.exponential(self.knobs.tcp_delay_us);
        let half = self.half(wire, way);
        if half.ended {
            return;
        }
        half.ended = piece == Piece::End;
        half.last = half.last.max(now + delay);
        half.pieces.push_back((half.last, piece));
        agenda.add(half.last, event(wire, way));
    }

    // --- UDP ---

    pub(crate) fn clog(&mut self, voice: usize, way: Way, until: u64) {
        let clog = self.clogs.entry((voice, way)).or_default();
        *clog = until.max(*clog);
    }

    /// What becomes of a datagram: when it arrives, how often, and in what state.
    pub(crate) fn datagram(
        &mut self,
        now: u64,
        voice: usize,
        way: Way,
        bytes: &[u8],
    ) -> Vec<(u64, Vec<u8>)> {
        let Self { knobs, seed, .. } = self;
        let stream = [3, voice as u64, way as u64];
        let dice = self.udp.entry((voice, way)).or_insert_with(|| Dice::new(*seed, &stream));
        let lost = dice.permille(knobs.loss);
        let copies = 1 + u64::from(dice.permille(knobs.duplicate));
        let clogged = self.clogs.get(&(voice, way)).is_some_and(|until| *until > now);
        let mut arrivals = Vec::new();
        for _ in 0..copies {
            let at = now + LATENCY_US + dice.exponential(knobs.delay_us);
            let mut bytes = bytes.to_vec();
            if dice.permille(knobs.flip) {
                let bit = dice.below(8 * bytes.len() as u64) as usize;
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
            arrivals.push((at, bytes));
        }
        if lost || clogged || bytes.len() as u64 > knobs.mtu {
            arrivals.clear();
        }
        arrivals
    }
}

const fn event(wire: Wire, way: Way) -> Event {
    match way {
        Way::Up => Event::Up(wire),
        Way::Down => Event::Down(wire),
    }
}
