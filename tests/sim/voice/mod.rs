//! A voice client and the human behind it, as far as libraries differ in it by profile.
//!
//! Here: what its user wants, what happens to its machine and when it looks at its clock. What it
//! says and hears is in `gateway` and `datagrams`.

mod datagrams;
mod gateway;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::SocketAddr;

use crate::dice::Dice;
use crate::kit::{Event, Kit, MILLI, SECOND, Ticket, host_of, user_of};
use crate::link::Link;
use crate::media::Media;
use crate::profile::{Next, Profile};

/// How long a human looks at "connecting" before trying again.
const PATIENCE_US: u64 = 5 * SECOND;

/// What a client keeps over a Resume.
pub(crate) struct Session {
    pub(crate) ssrc: u32,
    relay: SocketAddr,
    pub(crate) media: Option<Media>,
    /// How many keys it was given.
    keys: u32,
    /// The newest number that arrived.
    seq: Option<u16>,
    /// Whose an SSRC is, by op 5.
    users: BTreeMap<u32, u64>,
    /// Who is present, by ops 11 and 13.
    pub(crate) present: BTreeSet<u64>,
    /// Discovery requests sent, and when the next one is due; `None` once there was an answer.
    discovery: Option<(u32, u64)>,
}

impl Session {
    /// Other people's SSRCs, as far as it was told.
    pub(crate) fn others(&self) -> impl Iterator<Item = u32> {
        self.users.keys().copied().filter(|ssrc| *ssrc != self.ssrc)
    }

    /// Whether it was told who speaks as whom.
    pub(crate) fn knows(&self, user: u64) -> bool {
        self.users.values().any(|other| *other == user)
    }
}

pub(crate) struct Voice {
    pub(crate) index: usize,
    pub(crate) profile: Profile,
    /// Where its user wants to be.
    pub(crate) wanted: Option<u64>,
    ticket: Option<Ticket>,
    pub(crate) link: Option<Link>,
    resuming: bool,
    pub(crate) session: Option<Session>,
    /// Since when it is through with its handshake.
    pub(crate) live_since: Option<u64>,
    /// When its session was last ended to be made anew.
    pub(crate) renewed: Option<u64>,
    retry: Option<(u64, Next)>,
    attempts: usize,
    /// When its user loses patience.
    patience: Option<u64>,
    beat: Option<(u64, u64)>,
    unanswered: u32,
    port: u16,
    pub(crate) dice: Dice,
    /// Clock error, in parts per million.
    drift: i64,
    frames: u64,
    next_frame: u64,
    said: u32,
    /// What it heard, by user and number.
    pub(crate) heard: HashSet<(u64, u32)>,
    /// Whether the machine is there at all.
    gone: bool,
}

impl Voice {
    pub(crate) fn new(kit: &mut Kit, index: usize, profile: Profile) -> Self {
        let mut dice = Dice::new(kit.seed, &[6, index as u64]);
        let most = kit.knobs.drift_ppm;
        let drift = dice.between(0, 2 * most) as i64 - most as i64;
        kit.oracle.member_address(host_of(index));
        Self {
            index,
            profile,
            wanted: None,
            ticket: None,
            link: None,
            resuming: false,
            session: None,
            live_since: None,
            renewed: None,
            retry: None,
            attempts: 0,
            patience: None,
            beat: None,
            unanswered: 0,
            port: 40_000,
            dice,
            drift,
            frames: 0,
            next_frame: 0,
            said: 0,
            heard: HashSet::new(),
            gone: false,
        }
    }

    pub(crate) const fn user(&self) -> u64 {
        user_of(self.index)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::new(host_of(self.index), self.port)
    }

    /// How many frames it has said so far.
    pub(crate) const fn said(&self) -> u32 {
        self.said
    }

    /// Whether what it was told last leads to where its user wants to be: a user who moves sees it
    /// in an earlier channel until then, and has to ask again if the order was lost.
    pub(crate) fn is_on_its_way(&self) -> bool {
        self.ticket.as_ref().map(|ticket| ticket.channel) == self.wanted
    }

    /// Whether it has been through with its handshake for a while.
    pub(crate) fn is_settled(&self, now: u64) -> bool {
        self.live_since.is_some_and(|since| since + SECOND < now)
    }

    // --- its user ---

    pub(crate) fn want(&mut self, kit: &mut Kit, channel: Option<u64>) {
        self.wanted = channel;
        if channel.is_none() {
            self.hang_up(kit);
        }
        self.ask(kit, channel);
    }

    fn ask(&mut self, kit: &mut Kit, channel: Option<u64>) {
        if self.gone {
            return;
        }
        if channel.is_some() {
            self.patience = Some(kit.now + PATIENCE_US);
            self.wake_in(kit, PATIENCE_US);
        }
        kit.add_in(5 * MILLI, Event::Ask { voice: self.index, channel });
    }

    pub(crate) fn talk(&mut self, kit: &mut Kit, frames: u64) {
        if self.frames == 0 {
            self.next_frame = kit.now;
            self.set_speaking(kit, 1);
        }
        self.frames += frames;
        self.wake_in(kit, 0);
    }

    /// It is thrown out of voice; its user does not give up.
    pub(crate) fn out(&mut self, kit: &mut Kit) {
        self.hang_up(kit);
        if self.wanted.is_some() {
            self.patience = Some(kit.now + 3 * SECOND);
            self.wake_in(kit, 3 * SECOND);
        }
    }

    /// Leaves its session behind without a word to anybody but TCP.
    fn hang_up(&mut self, kit: &mut Kit) {
        if let Some(link) = self.link.take() {
            link.drop(kit);
        }
        self.session = None;
        self.ticket = None;
        self.live_since = None;
        self.retry = None;
        self.patience = None;
        self.beat = None;
        self.attempts = 0;
    }

    // --- its machine ---

    /// It loses its power: nobody is told.
    pub(crate) fn vanish(&mut self, kit: &mut Kit) {
        if let Some(link) = self.link.take() {
            kit.network.vanish(link.wire);
        }
        self.hang_up(kit);
        self.frames = 0;
        self.gone = true;
    }

    pub(crate) fn come_back(&mut self, kit: &mut Kit) {
        self.gone = false;
        self.ask(kit, self.wanted);
    }

    pub(crate) fn rebind(&mut self) {
        self.port += 1;
    }

    // --- time ---

    fn wake_in(&self, kit: &mut Kit, micros: u64) {
        kit.add_in(micros, Event::VoiceTimer(self.index));
    }

    pub(crate) fn timer(&mut self, kit: &mut Kit) {
        if self.gone {
            return;
        }
        self.heartbeat(kit);
        if let Some((at, next)) = self.retry
            && at <= kit.now
        {
            self.retry = None;
            self.connect(kit, next == Next::Resume);
        }
        self.discover(kit);
        if self.patience.is_some_and(|at| at <= kit.now) {
            // Somebody hangs up and joins again.
            self.hang_up(kit);
            self.ask(kit, None);
            self.ask(kit, self.wanted);
        }
        self.speak(kit);
    }
}
