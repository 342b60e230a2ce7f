//! Runs a plan: hands every event to whom it concerns, and examines everybody at the end.

use lvsp_core::limits::Limits;

use crate::Gauge;
use crate::chat::Chat;
use crate::host::Host;
use crate::hostile::attack;
use crate::kit::{Event, Kit, MILLI, SECOND, Who};
use crate::network::{Piece, Way, Wire};
use crate::oracle::{DEAF, MUTE, SUPPRESS};
use crate::plan::{Action, CHANNELS, Knobs, Plan};
use crate::profile::Profile;
use crate::voice::Voice;

/// How long everybody has to come back once there is no more trouble.
const RECOVERY_US: u64 = 10 * SECOND;
/// Frames that everybody says at the end, for everybody else to hear.
const EXAMINED: u32 = 5;
/// How often they may be asked to say them once more.
const EXAMINATIONS: u32 = 8;

/// What a run was like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Report {
    /// A digest of everything that was seen.
    pub digest: u64,
    /// Virtual time, in seconds.
    pub seconds: u64,
    /// Copies of packets that the relay made.
    pub copies: u64,
    /// Of them, those for members at another relay than the speaker's.
    pub carried: u64,
    /// Events that were handled.
    pub events: u64,
    /// The most that the core held, in bytes; 0 where nobody measured.
    pub held_max: u64,
}

/// Something that must hold did not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// When, in microseconds since the start.
    pub at: u64,
    /// What.
    pub what: String,
}

pub(crate) struct World {
    kit: Kit,
    plan: Plan,
    /// `None` while no process runs.
    host: Option<Host>,
    processes: u64,
    /// For how long there is none after the drain that goes on.
    gap_us: Option<u64>,
    chat: Chat,
    voices: Vec<Voice>,
    /// What each voice had said before the examination.
    said: Vec<u32>,
    /// How often the examination was put off.
    put_off: u32,
    events: u64,
    over: bool,
}

impl World {
    pub(crate) fn new(plan: Plan) -> Self {
        let mut kit = Kit::new(plan.seed, plan.knobs.clone());
        let voices = plan.voices.iter().enumerate();
        let voices: Vec<_> =
            voices.map(|(index, profile)| Voice::new(&mut kit, index, *profile)).collect();
        let mut world = Self {
            chat: Chat::new(&plan.knobs),
            said: Vec::new(),
            voices,
            kit,
            plan,
            host: None,
            processes: 0,
            gap_us: None,
            put_off: 0,
            events: 0,
            over: false,
        };
        world.kit.add_in(0, Event::ChatTimer);
        for (index, op) in world.plan.ops.iter().enumerate() {
            world.kit.agenda.add(SECOND + op.at * MILLI, Event::Op(index));
        }
        let last = world.plan.ops.iter().map(|op| op.at).max().unwrap_or_default();
        world.kit.agenda.add(SECOND + last * MILLI + 1, Event::Calm);
        world
    }

    /// Has everything told that happens.
    pub(crate) fn tell_to(mut self, tell: fn(&str)) -> Self {
        self.kit.trace.tell = Some(tell);
        self
    }

    /// Has measured what the core holds.
    pub(crate) fn measured_by(mut self, gauge: Gauge) -> Self {
        self.kit.gauge = Some(gauge);
        self
    }

    pub(crate) fn run(mut self) -> Result<Report, Failure> {
        self.start();
        while let Some((at, event)) = self.kit.agenda.pop() {
            self.kit.now = self.kit.now.max(at);
            self.events += 1;
            self.handle(event);
            if let Some(what) = self.kit.oracle.take_fault() {
                return Err(Failure { at: self.kit.now, what });
            }
            if self.over {
                break;
            }
        }
        Ok(Report {
            digest: self.kit.trace.digest(),
            seconds: self.kit.now / SECOND,
            copies: self.kit.oracle.copies,
            carried: self.kit.oracle.carried,
            events: self.events,
            held_max: self.kit.held_max,
        })
    }

    fn handle(&mut self, event: Event) {
        let kit = &mut self.kit;
        match event {
            Event::Op(index) => {
                let action = self.plan.ops[index].action;
                kit.tell(|| action.to_string());
                self.act(action);
            }
            Event::Up(wire) => {
                let pieces = kit.network.arrived(kit.now, &mut kit.agenda, wire, Way::Up);
                match &mut self.host {
                    Some(host) => host.take_pieces(kit, wire, pieces),
                    // Nobody listens: refused at once.
                    None => kit.network.cut(kit.now, &mut kit.agenda, wire),
                }
            }
            Event::Down(wire) => self.deliver(wire),
            Event::ServerTurn => self.server_turn(),
            Event::RelayTurn(relay) => self.relay_turn(relay),
            Event::ToRelay { from, to, bytes } => {
                if let Some(host) = &mut self.host {
                    host.take_datagram(kit, (from, to), bytes);
                }
            }
            Event::ToVoice { voice, to, bytes } => self.voices[voice].hear_datagram(kit, to, bytes),
            Event::VoiceTimer(voice) => self.voices[voice].timer(kit),
            Event::ChatTimer => self.chat.timer(kit),
            Event::Ask { voice, channel } => self.chat.ask(kit, voice, channel),
            Event::Ticket { voice, ticket } => self.voices[voice].take_ticket(kit, ticket),
            Event::Out(voice) => self.voices[voice].out(kit),
            Event::Return(voice) => self.voices[voice].come_back(kit),
            Event::Start => self.start(),
            Event::Calm => self.calm(),
            Event::Examine(step) => self.examine(step),
        }
    }

    // --- operations ---

    fn act(&mut self, action: Action) {
        let voices = self.voices.len() as u64;
        let of = |voice: u64| (voice % voices.max(1)) as usize;
        if self.voices.is_empty() {
            return;
        }
        match action {
            Action::Join { voice, channel } => self.join(of(voice), channel % CHANNELS),
            Action::Leave { voice } => self.voices[of(voice)].want(&mut self.kit, None),
            Action::Flags { voice, flags } => self.chat.set_flags(&mut self.kit, of(voice), flags),
            Action::Destroy { channel } => self.destroy(channel % CHANNELS),
            Action::Talk { voice, frames } => self.voices[of(voice)].talk(&mut self.kit, frames),
            Action::Cut { voice } => self.voices[of(voice)].cut(&mut self.kit),
            Action::Stall { voice, way, ms } => self.stall(Who::Voice(of(voice)), way, ms),
            Action::Clog { voice, way, ms } => {
                for way in Way::of(way) {
                    self.kit.network.clog(of(voice), way, self.kit.now + ms * MILLI);
                }
                self.kit.trouble(ms * MILLI);
            }
            Action::Rebind { voice } => self.voices[of(voice)].rebind(),
            Action::Vanish { voice, ms } => {
                self.voices[of(voice)].vanish(&mut self.kit);
                self.kit.add_in(ms * MILLI, Event::Return(of(voice)));
                self.kit.trouble(ms * MILLI);
            }
            Action::ControlCut { ms } => self.chat.cut(&mut self.kit, ms * MILLI),
            Action::ControlCrash { ms } => self.chat.crash(&mut self.kit, ms * MILLI),
            Action::ControlStall { way, ms } => self.stall(Who::Chat, way, ms),
            Action::Crash { ms } => self.crash(ms * MILLI),
            Action::Drain { ms } => self.drain(ms * MILLI),
            Action::ServerStall { ms } => self.stall_host(ms, true),
            Action::RelayStall { ms } => self.stall_host(ms, false),
            Action::Attack { voice, kind } => {
                if self.voices[of(voice)].profile != Profile::Hostile {
                    // Whoever floods is let in again when it has calmed down.
                    self.kit.trouble(Limits::default().message_calm_ms.0 * MILLI);
                }
                attack(&mut self.kit, &mut self.voices[of(voice)], kind)
            }
        }
    }

    fn join(&mut self, voice: usize, channel: u64) {
        self.voices[voice].want(&mut self.kit, Some(channel));
    }

    fn destroy(&mut self, channel: u64) {
        let next = Some((channel + 1) % CHANNELS);
        for voice in &mut self.voices {
            if voice.wanted != Some(channel) {
                continue;
            }
            if self.chat.knows(voice.user()).is_some_and(|(known, _)| known == channel) {
                voice.wanted = next;
            } else {
                // Its wish to be there is still under way.
                voice.want(&mut self.kit, next);
            }
        }
        self.chat.destroy(&mut self.kit, channel);
    }

    fn stall(&mut self, who: Who, way: u64, ms: u64) {
        for way in Way::of(way) {
            self.kit.network.stall(who, way, self.kit.now + ms * MILLI);
        }
        self.kit.trouble(ms * MILLI);
    }

    fn stall_host(&mut self, ms: u64, server: bool) {
        let until = self.kit.now + ms * MILLI;
        self.kit.trouble(ms * MILLI);
        match &mut self.host {
            Some(host) if server => host.stall_server(until),
            Some(host) => host.stall_relay(until),
            None => {}
        }
    }

    // --- the server's process ---

    fn start(&mut self) {
        self.processes += 1;
        self.host = Some(Host::start(&self.kit, self.processes));
    }

    fn crash(&mut self, gap_us: u64) {
        if self.host.take().is_none() {
            return;
        }
        self.gap_us = None;
        self.kit.oracle.restarted(self.kit.now);
        for wire in self.kit.network.all_wires() {
            self.kit.network.cut(self.kit.now, &mut self.kit.agenda, wire);
        }
        self.kit.add_in(gap_us, Event::Start);
        self.kit.trouble(gap_us);
    }

    fn drain(&mut self, gap_us: u64) {
        let Some(host) = &mut self.host else { return };
        if !host.is_draining() {
            host.begin_drain(&mut self.kit);
            self.gap_us = Some(gap_us);
            self.kit.trouble((self.kit.knobs.drain_s + 5) * SECOND + gap_us);
        }
    }

    fn server_turn(&mut self) {
        let Some(host) = &mut self.host else { return };
        let (voices, network, now) = (&self.voices, &self.kit.network, self.kit.now);
        let present: Vec<bool> = voices
            .iter()
            .map(|voice| voice.is_settled(now) && network.is_clear(Who::Voice(voice.index), now))
            .collect();
        host.server_turn(&mut self.kit, |voice| present.get(voice).copied().unwrap_or_default());
        if let Some(gap_us) = self.gap_us
            && host.is_drained()
        {
            self.crash(gap_us);
        }
    }

    fn relay_turn(&mut self, relay: usize) {
        let Some(host) = &mut self.host else { return };
        let sent = host.relay_turn(&mut self.kit, relay);
        for (to, bytes) in sent {
            let Some(voice) = self.voices.iter().position(|voice| voice.address().ip() == to.ip())
            else {
                continue;
            };
            for (at, bytes) in self.kit.network.datagram(self.kit.now, voice, Way::Down, &bytes) {
                self.kit.agenda.add(at, Event::ToVoice { voice, to, bytes });
            }
        }
    }

    fn deliver(&mut self, wire: Wire) {
        let kit = &mut self.kit;
        let pieces = kit.network.arrived(kit.now, &mut kit.agenda, wire, Way::Down);
        let who = kit.network.who(wire);
        let count = self.voices.len();
        for piece in pieces {
            match (who, piece) {
                (Who::Chat, Piece::Bytes(bytes)) if self.chat.is_link(wire) => {
                    self.chat.hear_bytes(kit, &bytes, count)
                }
                (Who::Chat, Piece::End) if self.chat.is_link(wire) => {
                    self.chat.hear_end(kit, count)
                }
                (Who::Voice(voice), Piece::Bytes(bytes)) if self.voices[voice].is_link(wire) => {
                    self.voices[voice].hear_bytes(kit, &bytes);
                }
                (Who::Voice(voice), Piece::End) if self.voices[voice].is_link(wire) => {
                    self.voices[voice].hear_end(kit);
                }
                _ => {}
            }
        }
        if let Some(host) = &mut self.host
            && host.waits_for(wire)
        {
            host.writable(kit);
        }
    }

    // --- the end ---

    fn calm(&mut self) {
        if self.kit.trouble_until > self.kit.now {
            return self.kit.agenda.add(self.kit.trouble_until + 1, Event::Calm);
        }
        self.kit.network.calm();
        let knobs = Knobs::default();
        self.kit.knobs.server_lag_us = knobs.server_lag_us;
        self.kit.knobs.relay_lag_us = knobs.relay_lag_us;
        let mut recovery = RECOVERY_US;
        if self.chat.forgetful {
            // Whoever it did not take out goes when its client is missed and cannot come back any more.
            self.chat.watch(&mut self.kit);
            let missed_ms = Limits::default().heartbeat_silence_ms.0;
            recovery += (missed_ms + self.plan.kept_ms()) * MILLI;
        }
        self.kit.add_in(recovery, Event::Examine(0));
    }

    fn legal(&self) -> impl Iterator<Item = &Voice> {
        self.voices
            .iter()
            .filter(|voice| voice.profile != Profile::Hostile && voice.wanted.is_some())
    }

    /// Whether a key was used up a moment ago, which ends a session without trouble: often where keys
    /// are short or counters wrap, but not everybody's in every examination.
    fn renews(&mut self) -> bool {
        let knobs = &self.plan.knobs;
        let often =
            knobs.key_soft_packets < Knobs::default().key_soft_packets || knobs.counter_start != 0;
        let since = self.kit.now - RECOVERY_US;
        let renews = often && self.voices.iter().any(|voice| voice.renewed > Some(since));
        self.put_off += u32::from(renews);
        renews && self.put_off <= EXAMINATIONS
    }

    fn examine(&mut self, step: u32) {
        if step < 3 && self.renews() {
            return self.kit.add_in(RECOVERY_US, Event::Examine(0));
        }
        match step {
            0 => self.everybody_is_there(),
            1 => self.everybody_talks(),
            2 => self.everybody_was_heard(),
            3 => self.everybody_leaves(),
            _ => return self.nothing_is_left(),
        }
        self.kit.add_in(2 * SECOND, Event::Examine(step + 1));
    }

    /// I9: whoever wants to be in a channel is in it. A word from each, so that the server knows
    /// where they are now.
    fn everybody_is_there(&mut self) {
        for voice in self.voices.iter().filter(|voice| voice.profile != Profile::Hostile) {
            let known = self.chat.knows(voice.user()).map(|(channel, _)| channel);
            let live = voice.live_since.is_some() && voice.is_on_its_way();
            if live != voice.wanted.is_some() || known != voice.wanted {
                let what = format!(
                    "voice {} wants {:?}, is in {known:?}, live {:?} (I9)",
                    voice.index, voice.wanted, voice.live_since
                );
                return self.kit.oracle.fault(what);
            }
        }
        self.check_presence();
        for voice in &mut self.voices {
            voice.talk(&mut self.kit, 1);
        }
    }

    /// Whether each client was told of exactly those who are there, and of their SSRCs: nobody's first
    /// packet is a stranger's.
    fn check_presence(&mut self) {
        let wrong = self.legal().find_map(|voice| {
            let session = voice.session.as_ref()?;
            // Who has just come is told of together with others, a moment later.
            let mut here = self.legal().filter(|other| {
                let is_other = other.wanted == voice.wanted && other.index != voice.index;
                is_other && other.is_settled(self.kit.now)
            });
            let missing = here.find(|other| !session.present.contains(&other.user()));
            let strange = session.present.iter().find(|user| {
                let there = self.chat.knows(**user).map(|(channel, _)| channel);
                there != voice.wanted
            });
            let nameless = session.present.iter().find(|user| {
                let flags = self.chat.knows(**user).map_or(0, |(_, flags)| flags);
                flags & (MUTE | SUPPRESS) == 0 && !session.knows(**user)
            });
            let index = voice.index;
            missing
                .map(|other| format!("voice {index} was not told of voice {}", other.index))
                .or_else(|| {
                    strange
                        .map(|user| format!("voice {index} was told of {user}, who is not there"))
                })
                .or_else(|| {
                    nameless
                        .map(|user| format!("voice {index} was not told whose SSRC is {user}'s"))
                })
        });
        if let Some(what) = wrong {
            self.kit.oracle.fault(format!("{what} (I9)"));
        }
    }

    fn everybody_talks(&mut self) {
        self.said = self.voices.iter().map(Voice::said).collect();
        for voice in &mut self.voices {
            voice.talk(&mut self.kit, u64::from(EXAMINED));
        }
    }

    /// I9: everybody hears everybody who may speak, and knows who that is.
    fn everybody_was_heard(&mut self) {
        let mut wrong = None;
        for listener in self.legal() {
            for speaker in self.legal() {
                let apart = speaker.wanted != listener.wanted || speaker.index == listener.index;
                let flags =
                    |voice: &Voice| self.chat.knows(voice.user()).map_or(0, |(_, flags)| flags);
                let silent = flags(speaker) & (MUTE | SUPPRESS) != 0 || flags(listener) & DEAF != 0;
                if apart || silent {
                    continue;
                }
                let frames = self.said[speaker.index] + 1..=self.said[speaker.index] + EXAMINED;
                let heard =
                    frames.filter(|n| listener.heard.contains(&(speaker.user(), *n))).count();
                let known =
                    listener.session.as_ref().is_some_and(|session| session.knows(speaker.user()));
                if heard < EXAMINED as usize || !known {
                    wrong = Some(format!(
                        "voice {} heard {heard} frames of voice {}, whose SSRC it knows: {known} \
                         (I9)",
                        listener.index, speaker.index
                    ));
                }
            }
        }
        if let Some(what) = wrong {
            self.kit.oracle.fault(what);
        }
    }

    fn everybody_leaves(&mut self) {
        for index in 0..self.voices.len() {
            self.voices[index].want(&mut self.kit, None);
            self.chat.ask(&mut self.kit, index, None);
        }
    }

    /// I6: nothing is kept of who has gone.
    fn nothing_is_left(&mut self) {
        self.over = true;
        let Some(host) = &self.host else { return };
        let left = host.leftovers();
        if !left.is_empty() {
            self.kit
                .oracle
                .fault(format!("everybody has gone, and there are still {} (I6)", left.join(", ")));
        }
    }
}
