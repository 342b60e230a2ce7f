//! What happens in one run: who takes part, how bad the world is, and every operation with its time.
//!
//! A seed expands to a plan, and a plan is all that a run depends on. Its text form is what a
//! failure prints, what the regressions are kept as, and what the shrinker makes shorter.

use std::fmt;
use std::str::FromStr;

use crate::dice::Dice;
use crate::profile::Profile;

/// Channels that users join.
pub const CHANNELS: u64 = 3;

/// One run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// What every draw of this run comes from.
    pub seed: u64,
    /// Who takes part.
    pub voices: Vec<Profile>,
    /// How bad the world is.
    pub knobs: Knobs,
    /// What happens, in any order.
    pub ops: Vec<Op>,
}

/// An operation at its time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Op {
    /// Milliseconds from the start.
    pub at: u64,
    /// What happens then.
    pub action: Action,
}

macro_rules! knobs {
    ($($(#[doc = $doc:literal])* $name:ident = $calm:literal, $draw:expr;)*) => {
        /// How bad the world is. The default is calm: a perfect network and roomy limits.
        #[derive(Clone, PartialEq, Eq, Debug)]
        pub struct Knobs {
            $($(#[doc = $doc])* pub $name: u64,)*
        }

        impl Default for Knobs {
            fn default() -> Self {
                Self { $($name: $calm,)* }
            }
        }

        impl Knobs {
            /// The names of all knobs.
            pub const NAMES: &'static [&'static str] = &[$(stringify!($name),)*];

            /// A knob by its name.
            pub fn by_name(&mut self, name: &str) -> Option<&mut u64> {
                match name {
                    $(stringify!($name) => Some(&mut self.$name),)*
                    _ => None,
                }
            }

            /// Draws one knob, which its place among [`Self::NAMES`] says, as a swarm may; what
            /// comes of it depends on `number` alone.
            pub fn draw_one(&mut self, place: usize, number: u64) {
                let draws: &[fn(&mut Dice) -> u64] = &[$($draw),*];
                let fields = [$(&mut self.$name),*];
                let place = place % draws.len();
                *fields[place] = draws[place](&mut Dice::new(number, &[place as u64]));
            }

            /// A swarm: each knob is calm in half of the seeds, and drawn in the others.
            fn draw(dice: &mut Dice) -> Self {
                let mut knobs = Self::default();
                $(
                    let drawn = dice.below(2) == 1;
                    let draw: fn(&mut Dice) -> u64 = $draw;
                    let value = draw(dice);
                    if drawn {
                        knobs.$name = value;
                    }
                )*
                knobs
            }
        }
    };
}

knobs! {
    /// Revision of LVSP: 0 draft, 1 litecord, 2 document.
    revision = 0, |d| d.below(3);
    /// 1: a chat server like the deployed Litecord. It never resumes, never states anything again,
    /// and what it would have ordered while its link was down is lost.
    forgetful = 0, |_| 1;
    /// Datagrams lost, of a thousand.
    loss = 0, |d| d.between(1, 300);
    /// Datagrams that arrive twice, of a thousand.
    duplicate = 0, |d| d.between(1, 100);
    /// Datagrams with one bit flipped, of a thousand.
    flip = 0, |d| d.between(1, 10);
    /// Mean delay of a datagram, in microseconds; later ones overtake earlier ones.
    delay_us = 0, |d| d.between(1_000, 100_000);
    /// The largest datagram that gets through, in bytes.
    mtu = 1_500, |d| d.between(576, 1_500);
    /// Mean delay of a piece of TCP, in microseconds.
    tcp_delay_us = 0, |d| d.between(1_000, 100_000);
    /// The largest piece that TCP delivers, in bytes; 0 for whole writes.
    tcp_piece = 0, |d| if d.below(8) == 0 { d.between(1, 16) } else { d.between(17, 2_000) };
    /// Mean time from an input to the control thread's turn, in microseconds.
    server_lag_us = 0, |d| d.between(100, 50_000);
    /// Mean time from an input to the media thread's turn, in microseconds.
    relay_lag_us = 0, |d| d.between(100, 50_000);
    /// How far clients' clocks are off, in parts per million at most.
    drift_ppm = 0, |d| d.between(50, 500);
    /// Of clients' nonce counters: 0 start at 0, 1 anywhere, 2 near a wrap.
    counter_start = 0, |d| d.between(1, 2);
    /// Of clients' RTP sequence numbers: 0 start at 0, 1 anywhere, 2 near a wrap.
    sequence_start = 0, |d| d.between(1, 2);
    /// `drain.seconds`.
    drain_s = 0, |d| d.between(1, 10);
    /// `control.grace`, in seconds.
    grace_s = 300, |d| d.between(5, 60);
    /// `limits.resume_messages`.
    resume_messages = 2_048, |d| d.between(1, 16);
    /// `limits.resume_bytes`.
    resume_bytes = 524_288, |d| d.between(1_024, 4_096);
    /// `limits.replay_total_bytes`.
    replay_total_bytes = 67_108_864, |d| d.between(1_024, 8_192);
    /// `limits.resume_window_ms`.
    resume_window_ms = 90_000, |d| d.between(1_000, 20_000);
    /// `limits.outbound_bytes`.
    outbound_bytes = 1_048_576, |d| d.between(16_384, 20_000);
    /// `limits.outbound_age_ms`.
    outbound_age_ms = 10_000, |d| d.between(500, 5_000);
    /// `limits.outbound_total_bytes`.
    outbound_total_bytes = 134_217_728, |d| d.between(65_536, 80_000);
    /// `limits.reservation_ms`.
    reservation_ms = 60_000, |d| d.between(5_000, 20_000);
    /// `limits.unauthenticated`.
    unauthenticated = 1_024, |d| d.between(4, 12);
    /// `limits.control_replay_messages`.
    control_replay_messages = 4_096, |d| d.between(1, 8);
    /// `limits.control_replay_bytes`.
    control_replay_bytes = 1_048_576, |d| d.between(1_024, 4_096);
    /// `limits.control_replay_ms`.
    control_replay_ms = 300_000, |d| d.between(1_000, 20_000);
    /// `limits.control_dump_bytes`.
    control_dump_bytes = 65_536, |_| 4_096;
    /// `limits.reconcile_ms`.
    reconcile_ms = 30_000, |d| d.between(2_000, 10_000);
    /// `limits.tombstone_ms`.
    tombstone_ms = 60_000, |d| d.between(1_000, 5_000);
    /// `limits.gather_above_members`.
    gather_above_members = 100, |d| d.between(1, 3);
    /// `limits.key_soft_packets`.
    key_soft_packets = 536_870_912, |_| 1_024;
    /// Relays. Of one channel no more than two legs go to each, as far as that is possible.
    relays = 1, |d| d.between(2, 3);
}

macro_rules! actions {
    ($($(#[doc = $doc:literal])* $name:ident $text:literal ($($(#[doc = $what:literal])* $arg:ident),*);)*) => {
        /// Something that happens.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Action {
            $($(#[doc = $doc])* $name { $($(#[doc = $what])* $arg: u64,)* },)*
        }

        impl fmt::Display for Action {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$name { $($arg),* } => {
                        f.write_str($text)?;
                        $(write!(f, " {}", $arg)?;)*
                        Ok(())
                    })*
                }
            }
        }

        impl FromStr for Action {
            type Err = BadPlan;

            fn from_str(text: &str) -> Result<Self, BadPlan> {
                let mut words = text.split_whitespace();
                let action = match words.next().unwrap_or_default() {
                    $($text => Self::$name { $($arg: number(words.next())?),* },)*
                    word => return Err(BadPlan(format!("unknown action {word:?}"))),
                };
                match words.next() {
                    Some(word) => Err(BadPlan(format!("{word:?} after {action}"))),
                    None => Ok(action),
                }
            }
        }
    };
}

actions! {
    /// A user wants to be in a channel: joins, or moves.
    Join "join" (/** Whose. */ voice, /** Where. */ channel);
    /// A user leaves for now.
    Leave "leave" (/** Whose. */ voice);
    /// A moderator sets a user's flags: 1 mute, 2 deaf, 4 suppress.
    Flags "flags" (/** Whose. */ voice, /** Which hold from now on. */ flags);
    /// The chat server deletes a channel; those who were in it want to go to another one.
    Destroy "destroy" (/** Which. */ channel);
    /// A client sends frames, one each 20 ms.
    Talk "talk" (/** Who. */ voice, /** How many. */ frames);
    /// A client's TCP connection breaks, and both ends see it.
    Cut "cut" (/** Whose. */ voice);
    /// Nothing gets through a client's TCP connection, in one direction or both.
    Stall "stall" (/** Whose. */ voice, /** 1 up, 2 down, 3 both. */ way, /** For how long. */ ms);
    /// Nothing gets through between a client and the media port, in one direction or both.
    Clog "clog" (/** Whose. */ voice, /** 1 up, 2 down, 3 both. */ way, /** For how long. */ ms);
    /// A client's datagrams come from another port from now on.
    Rebind "rebind" (/** Whose. */ voice);
    /// A client is gone without a word, and started anew later.
    Vanish "vanish" (/** Whose. */ voice, /** For how long. */ ms);
    /// The control link breaks; the chat server resumes after a while.
    ControlCut "control-cut" (/** How long it is away. */ ms);
    /// The chat server crashes and identifies anew after a while.
    ControlCrash "control-crash" (/** How long it is away. */ ms);
    /// Nothing gets through the control link, in one direction or both.
    ControlStall "control-stall" (/** 1 up, 2 down, 3 both. */ way, /** For how long. */ ms);
    /// The voice server dies, and another process takes its place.
    Crash "crash" (/** How long there is none. */ ms);
    /// The voice server is told to stop, and another process takes its place.
    Drain "drain" (/** How long there is none. */ ms);
    /// The control thread does not run.
    ServerStall "server-stall" (/** For how long. */ ms);
    /// The media thread does not run.
    RelayStall "relay-stall" (/** For how long. */ ms);
    /// A hostile member or stranger does something; what, is drawn from `kind`.
    Attack "attack" (/** Who. */ voice, /** What. */ kind);
}

/// A text that is no plan.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BadPlan(String);

impl fmt::Display for BadPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadPlan {}

fn number(word: Option<&str>) -> Result<u64, BadPlan> {
    let word = word.unwrap_or_default();
    word.parse().map_err(|_| BadPlan(format!("{word:?} is no number")))
}

impl Plan {
    /// A calm world in which nothing happens.
    #[must_use]
    pub fn calm(seed: u64) -> Self {
        Self { seed, voices: Vec::new(), knobs: Knobs::default(), ops: Vec::new() }
    }

    /// What a seed expands to.
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        let mut dice = Dice::new(seed, &[1]);
        let knobs = Knobs::draw(&mut dice);
        let mut voices = Vec::new();
        for _ in 0..dice.between(2, 6) {
            voices.push(dice.pick(Profile::LEGAL));
        }
        for _ in 0..dice.below(3) {
            voices.push(Profile::Hostile);
        }
        let mut plan = Self { seed, voices, knobs, ops: Vec::new() };
        plan.draw_ops(&mut dice);
        plan
    }

    /// How long somebody is kept whose client is missed and does not come back, in milliseconds. A
    /// server that stood still gives everybody so much more time.
    pub(crate) fn kept_ms(&self) -> u64 {
        let stall = |op: &Op| if let Action::ServerStall { ms } = op.action { ms } else { 0 };
        let longest_stall = self.ops.iter().map(stall).max().unwrap_or_default();
        self.knobs.resume_window_ms.max(self.knobs.reservation_ms) + longest_stall
    }

    fn draw_ops(&mut self, dice: &mut Dice) {
        let voices = self.voices.len() as u64;
        let end = dice.between(5_000, 60_000);
        for voice in 0..voices {
            // Most in one channel, or nobody would hear anybody.
            let channel = if dice.below(3) == 0 { dice.below(CHANNELS) } else { 0 };
            self.push(dice.below(1_500), Action::Join { voice, channel });
        }
        // Few kinds of trouble in each seed, so that each gets into states where it is alone.
        let kinds: Vec<u64> = (0..dice.between(1, 6)).map(|_| dice.below(16)).collect();
        for _ in 0..dice.between(4, 60) {
            let at = dice.below(end);
            let voice = dice.below(voices);
            let kind = if dice.below(2) == 0 { 16 } else { dice.pick(&kinds) };
            let action = draw_action(dice, kind, voice);
            self.push(at, action);
            if matches!(action, Action::Flags { .. }) && dice.below(2) == 0 {
                // What holds for somebody has to hold elsewhere, too.
                let channel = dice.below(CHANNELS);
                self.push(at + 1_000, Action::Join { voice, channel });
                self.push(at + 3_000, Action::Talk { voice, frames: 20 });
            }
        }
        for voice in 0..voices {
            if self.voices[voice as usize] == Profile::Hostile {
                for _ in 0..dice.between(1, 30) {
                    self.push(dice.below(end), Action::Attack { voice, kind: dice.u64() % 1_000 });
                }
            }
        }
        self.ops.sort_by_key(|op| op.at);
    }

    fn push(&mut self, at: u64, action: Action) {
        self.ops.push(Op { at, action });
    }
}

fn draw_action(dice: &mut Dice, kind: u64, voice: u64) -> Action {
    let short = dice.between(0, 3_000);
    let long = dice.between(0, 20_000);
    let way = dice.between(1, 3);
    match kind {
        0 => Action::Join { voice, channel: dice.below(CHANNELS) },
        1 => Action::Leave { voice },
        2 => Action::Flags { voice, flags: dice.below(8) },
        3 => Action::Destroy { channel: dice.below(CHANNELS) },
        4 => Action::Cut { voice },
        5 => Action::Stall { voice, way, ms: long },
        6 => Action::Clog { voice, way, ms: long },
        7 => Action::Rebind { voice },
        8 => Action::Vanish { voice, ms: long },
        9 => Action::ControlCut { ms: long },
        10 => Action::ControlCrash { ms: long },
        11 => Action::ControlStall { way, ms: long },
        12 => Action::Crash { ms: short },
        13 => Action::Drain { ms: short },
        14 => Action::ServerStall { ms: if dice.below(8) == 0 { 6 * long } else { short } },
        15 => Action::RelayStall { ms: short },
        _ => Action::Talk { voice, frames: dice.between(1, 60) },
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}", self.seed)?;
        let names: Vec<_> = self.voices.iter().map(|voice| voice.name()).collect();
        writeln!(f, "voices {}", names.join(" "))?;
        let (mut calm, mut knobs) = (Knobs::default(), self.knobs.clone());
        for name in Knobs::NAMES {
            if knobs.by_name(name) != calm.by_name(name) {
                writeln!(f, "{name} {}", knobs.by_name(name).copied().unwrap_or_default())?;
            }
        }
        for op in &self.ops {
            writeln!(f, "at {} {}", op.at, op.action)?;
        }
        Ok(())
    }
}

impl FromStr for Plan {
    type Err = BadPlan;

    fn from_str(text: &str) -> Result<Self, BadPlan> {
        let mut plan = Self::calm(0);
        let lines = text.lines().map(str::trim);
        for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            match word {
                "seed" => plan.seed = number(Some(rest))?,
                "voices" => {
                    plan.voices =
                        rest.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
                }
                "at" => {
                    let (at, action) = rest.split_once(' ').unwrap_or((rest, ""));
                    plan.push(number(Some(at))?, action.parse()?);
                }
                name => match plan.knobs.by_name(name) {
                    Some(knob) => *knob = number(Some(rest))?,
                    None => return Err(BadPlan(format!("unknown knob {name:?}"))),
                },
            }
        }
        Ok(plan)
    }
}

impl FromStr for Profile {
    type Err = BadPlan;

    fn from_str(text: &str) -> Result<Self, BadPlan> {
        let all = Self::LEGAL.iter().chain(&[Self::Hostile]);
        let mut named = all.copied().filter(|profile| profile.name() == text);
        named.next().ok_or_else(|| BadPlan(format!("unknown profile {text:?}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_reads_as_it_was_written() {
        for seed in 0..100 {
            let plan = Plan::from_seed(seed);
            assert_eq!(plan.to_string().parse(), Ok(plan));
        }
    }

    #[test]
    fn a_text_that_is_no_plan_names_the_word() {
        let error = "at 5 fly 1".parse::<Plan>().expect_err("nobody flies");
        assert_eq!(error.to_string(), "unknown action \"fly\"");
        let error = "at 5 leave one".parse::<Plan>().expect_err("no number");
        assert_eq!(error.to_string(), "\"one\" is no number");
    }
}
