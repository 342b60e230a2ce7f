//! Who takes part, and who is to hear whom.
//!
//! Decided here: the five callers with their channels, gateway versions and modes; how many frames
//! each listener has to hear of each speaker; and whom a [`Fault`] befalls. Not here: how a fault
//! is brought about (`caller.rs` on the wire, `director.rs` in what the chat server is asked).

use clap::ValueEnum;
use lvsp_core::crypto::mode::Mode;
use lvsp_core::ids::{ChannelId, GuildId, UserId};

/// The guild of both channels.
pub(super) const GUILD: GuildId = match GuildId::new(900) {
    Some(id) => id,
    None => panic!("ids count from 1"),
};
/// The channel of three.
pub(super) const A: ChannelId = channel(1_001);
/// The channel of two, at the same time.
pub(super) const B: ChannelId = channel(1_002);
const ANN: UserId = user(11);
const BOB: UserId = user(12);
const CEM: UserId = user(13);
const DEA: UserId = user(21);
const ELI: UserId = user(22);
/// Whom the chat server mutes after the talk.
pub(super) const MUTED: UserId = BOB;
/// How much of a talk is said once more after the mute, in frames.
const AFTER_MUTE: u32 = 25;

/// When something is said.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Part {
    /// Everybody talks.
    Talk,
    /// Everybody talks on, but one is muted.
    AfterMute,
}

impl Part {
    pub(super) const ALL: [Self; 2] = [Self::Talk, Self::AfterMute];

    /// The number that payloads name it by.
    pub(super) const fn number(self) -> u64 {
        match self {
            Self::Talk => 0,
            Self::AfterMute => 1,
        }
    }

    /// The part of a number.
    pub(super) fn from_number(number: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|part| part.number() == number)
    }
}

/// What goes wrong on purpose, to see that the verdict notices.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Fault {
    /// One caller's socket loses every tenth datagram.
    Drop,
    /// One caller changes every tenth payload after it computed the digest.
    Corrupt,
    /// The chat server places a caller of channel B in channel A.
    Misroute,
    /// The chat server does not send the mute.
    MuteLeak,
}

/// One caller.
#[derive(Clone, Debug)]
pub(super) struct Seat {
    pub(super) name: &'static str,
    pub(super) user: UserId,
    /// Where it belongs: by this it is judged.
    pub(super) home: ChannelId,
    /// Where the chat server places it.
    pub(super) placed: ChannelId,
    /// The gateway's version.
    pub(super) version: u8,
    pub(super) mode: Mode,
    /// What befalls this caller.
    pub(super) fault: Option<Fault>,
}

/// Everybody, and how long they talk.
#[derive(Clone, Debug)]
pub(super) struct Cast {
    pub(super) seats: Vec<Seat>,
    /// What goes wrong on purpose.
    pub(super) fault: Option<Fault>,
    /// Frames that each says before the mute.
    frames: u32,
}

impl Cast {
    pub(super) fn new(frames: u32, fault: Option<Fault>) -> Self {
        let (aes, xchacha) = (Mode::Aes256GcmRtpSize, Mode::XChaCha20Poly1305RtpSize);
        let mut seats = vec![
            seat("ann", ANN, A, 8, aes),
            seat("bob", BOB, A, 8, xchacha),
            seat("cem", CEM, A, 4, aes),
            seat("dea", DEA, B, 4, xchacha),
            seat("eli", ELI, B, 8, aes),
        ];
        for seat in &mut seats {
            match fault {
                Some(Fault::Drop | Fault::Corrupt) if seat.user == CEM => seat.fault = fault,
                Some(Fault::Misroute) if seat.user == DEA => seat.placed = A,
                _ => {}
            }
        }
        Self { seats, fault, frames }
    }

    /// How many frames each caller says in a part.
    pub(super) fn frames(&self, part: Part) -> u32 {
        match part {
            Part::Talk => self.frames,
            Part::AfterMute => self.frames.min(AFTER_MUTE),
        }
    }

    /// How many of them a listener has to hear.
    pub(super) fn expected(&self, listener: &Seat, speaker: &Seat, part: Part) -> u32 {
        let silent = part == Part::AfterMute && speaker.user == MUTED;
        if silent || !listener.is_to_hear(speaker) { 0 } else { self.frames(part) }
    }

    /// Listeners with the speakers whom they have to hear.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (&Seat, &Seat)> {
        self.seats.iter().flat_map(|listener| {
            let speakers = self.seats.iter().filter(|speaker| listener.is_to_hear(speaker));
            speakers.map(move |speaker| (listener, speaker))
        })
    }

    /// Who else is placed in a caller's channel.
    pub(super) fn company(&self, seat: &Seat) -> impl Iterator<Item = UserId> {
        let (placed, user) = (seat.placed, seat.user);
        let here = self.seats.iter().filter(move |other| other.placed == placed);
        here.map(|other| other.user).filter(move |other| *other != user)
    }

    /// The seat of a user.
    pub(super) fn seat(&self, user: UserId) -> Option<&Seat> {
        self.seats.iter().find(|seat| seat.user == user)
    }
}

impl Seat {
    pub(super) fn is_to_hear(&self, speaker: &Self) -> bool {
        self.user != speaker.user && self.home == speaker.home
    }
}

const fn seat(name: &'static str, user: UserId, home: ChannelId, version: u8, mode: Mode) -> Seat {
    Seat { name, user, home, placed: home, version, mode, fault: None }
}

const fn channel(raw: u64) -> ChannelId {
    match ChannelId::new(raw) {
        Some(id) => id,
        None => panic!("ids count from 1"),
    }
}

const fn user(raw: u64) -> UserId {
    match UserId::new(raw) {
        Some(id) => id,
        None => panic!("ids count from 1"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_pairs_hear_each_other_and_the_muted_one_falls_silent() {
        let cast = Cast::new(150, None);
        assert_eq!(cast.pairs().count(), 6 + 2);
        for (listener, speaker) in cast.pairs() {
            assert_eq!(cast.expected(listener, speaker, Part::Talk), 150);
            let after = if speaker.user == BOB { 0 } else { 25 };
            assert_eq!(cast.expected(listener, speaker, Part::AfterMute), after);
        }
    }

    #[test]
    fn a_misplaced_caller_is_judged_by_where_it_belongs() {
        let cast = Cast::new(10, Some(Fault::Misroute));
        assert_eq!(cast.pairs().count(), 6 + 2);
        let dea = cast.seat(DEA).expect("dea is there");
        assert_eq!((dea.home, dea.placed), (B, A));
        assert_eq!(cast.company(dea).count(), 3);
    }
}
