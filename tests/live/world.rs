//! One server, one chat server, many voice clients; one thread and one poll for all of ours.
//!
//! Ten members sit in each channel; one of them is muted and goes on sending, one is deafened.
//! In each channel one member talks at a time, five frames of 20 ms, then the next: everybody has
//! talked once a second, and as many talk at any time as there are channels.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use lvsp_core::client::FRAME_INTERVAL;
use lvsp_core::ids::{ChannelId, UserId};
use lvsp_core::time::Timestamp;
use lvsp_core::transport::TlsTrust;
use lvsp_mio::clock;
use lvsp_sim::profile::Profile;
use mio::{Events, Poll, Token};

use crate::chat::{Chat, ChatNews};
use crate::check_interrupt;
use crate::judge::{Judge, Seat};
use crate::member::{Detour, Means, Member, Record};
use crate::server::ServerProcess;
use crate::site::Site;

/// Members of one channel.
pub(crate) const CHANNEL_MEMBERS: usize = 10;
/// Which of them is muted.
const MUTED: usize = 8;
/// Which of them is deafened.
const DEAFENED: usize = 9;
/// Frames that one says before the next one talks.
const TURN_FRAMES: u64 = 5;
/// Frames that are caught up when this process was not scheduled.
const CATCH_UP: u64 = 10;
/// How often what is due is looked for.
const TICK: Duration = Duration::from_millis(5);
/// The first member's user id.
const FIRST_USER: u64 = 10_001;
const FIRST_CHANNEL: u64 = 1_001;
const CHAT: Token = Token(0);
/// How long everybody may take to be there in the beginning.
const ASSEMBLY: Duration = Duration::from_secs(60);

/// Everybody and everything.
pub(crate) struct World {
    pub(crate) server: ServerProcess,
    pub(crate) judge: Judge,
    pub(crate) members: Vec<Member>,
    pub(crate) chat: Chat,
    /// More servers, and the chat server's connection to each.
    others: Vec<(ServerProcess, Chat)>,
    /// Whose server has a channel: 0 is the first. Those that are not named are the first one's.
    given: BTreeMap<ChannelId, usize>,
    poll: Poll,
    events: Events,
    trust: TlsTrust,
    relay: Option<Detour>,
    began: Timestamp,
    /// Frames that were due so far.
    frames: u64,
    /// Whether everybody talks at once.
    chorus: bool,
    next_tick: Timestamp,
    /// When the server is started again after it ended.
    restart: Option<Duration>,
    start_at: Option<Timestamp>,
    /// How it ended last.
    pub(crate) ended: Option<ExitStatus>,
}

/// What must never happen, whatever goes wrong.
pub(crate) struct Verdict {
    /// Whether it did not happen.
    pub(crate) held: bool,
    /// In words.
    pub(crate) words: String,
}

impl World {
    /// Starts the server; nobody connects yet.
    pub(crate) fn new(
        site: &Site,
        mut server: ServerProcess,
        clients: usize,
        relay: Option<Detour>,
    ) -> Result<Self> {
        let trust = server.trust()?;
        let bind = match site.gateway.ip() {
            ip if ip.is_loopback() => ip,
            _ => IpAddr::from([0, 0, 0, 0]),
        };
        let members: Vec<_> = (0..clients).map(|at| member(at, bind)).collect::<Result<_>>()?;
        let judge = Judge::new(members.iter().map(|member| member.seat).collect());
        server.start()?;
        Ok(Self {
            server,
            judge,
            members,
            chat: Chat::new(site.control, CHAT),
            others: Vec::new(),
            given: BTreeMap::new(),
            poll: Poll::new()?,
            events: Events::with_capacity(1_024),
            trust,
            relay,
            began: clock::now(),
            frames: 0,
            chorus: false,
            next_tick: Timestamp::ZERO,
            restart: None,
            start_at: None,
            ended: None,
        })
    }

    /// Starts one more server, to which the chat server connects as well.
    pub(crate) fn add_server(&mut self, site: &Site, mut server: ServerProcess) -> Result<()> {
        self.trust = self.server.trust_with(&server)?;
        server.start()?;
        let token = Token(1 + 2 * self.members.len() + self.others.len());
        self.others.push((server, Chat::new(site.control, token)));
        Ok(())
    }

    /// The chat server's connection to a server, by its number.
    pub(crate) fn chat(&self, at: usize) -> &Chat {
        at.checked_sub(1).map_or(&self.chat, |at| &self.others[at].1)
    }

    fn chat_mut(&mut self, at: usize) -> &mut Chat {
        match at.checked_sub(1) {
            None => &mut self.chat,
            Some(at) => &mut self.others[at].1,
        }
    }

    /// Has a server serve this channel.
    pub(crate) fn give(&mut self, channel: ChannelId, server: usize) {
        self.given.insert(channel, server);
    }

    /// Has a channel's calls go on at another server: each of its users is told where to connect.
    pub(crate) fn move_calls(&mut self, channel: ChannelId, from: usize, to: usize) -> Result<()> {
        self.chat_mut(from).give_up(channel);
        self.give(channel, to);
        let members = self.members.iter().map(|member| member.seat);
        for seat in members.filter(|seat| seat.channel == channel).collect::<Vec<_>>() {
            self.chat_mut(to).join(&seat);
        }
        self.pass_news_on()
    }

    /// Kills a server beside the first as `kill -9` does; nobody starts it again.
    pub(crate) fn kill(&mut self, at: usize) {
        if let Some((server, _)) = at.checked_sub(1).and_then(|at| self.others.get_mut(at)) {
            server.kill();
        }
    }

    /// Has these members join, and waits until they all hear each other.
    pub(crate) fn assemble(&mut self, first: usize) -> Result<()> {
        self.members[..first].iter_mut().for_each(Member::want);
        let all = move |world: &mut Self| world.count_live() >= first;
        if !self.run_until(ASSEMBLY, all)? {
            let live = self.count_live();
            bail!("only {live} of {first} are in voice after {} s", ASSEMBLY.as_secs());
        }
        self.mark(first);
        if !self.run_until_audible(ASSEMBLY)? {
            bail!("{} pairs do not hear each other", self.judge.silent_pairs());
        }
        Ok(())
    }

    /// From now on, the first so many members are to hear each other.
    pub(crate) fn mark(&mut self, first: usize) {
        self.judge.mark(clock::now(), |at| at < first);
    }

    /// Members who are through with their handshakes.
    pub(crate) fn count_live(&self) -> usize {
        self.members.iter().filter(|member| member.live_since().is_some()).count()
    }

    /// How all of them, or those with one profile, have fared.
    pub(crate) fn record(&self, profile: Option<Profile>) -> Record {
        let members = self.members.iter();
        let wanted = members.filter(|member| profile.is_none_or(|one| one == member.profile));
        wanted.map(Member::record).fold(Record::default(), Record::and)
    }

    /// Whether nothing was wrong or lost so far, and in words what was.
    pub(crate) fn verdict(&self) -> Verdict {
        let wrong: u64 = self.judge.wrong().values().sum();
        let numbering = self.record(None).numbering;
        let mut words = format!("{wrong} wrong");
        for (kind, count) in self.judge.wrong() {
            words += &format!(" ({count} {kind})");
        }
        words += &format!(", {} of {} numbered lost", numbering.missed, numbering.arrived);
        if numbering.repeated > 0 {
            words += &format!(" and {} repeated", numbering.repeated);
        }
        let held = wrong + numbering.missed + numbering.repeated == 0;
        Verdict { held, words }
    }

    /// Connections from now on trust these certificates alone.
    pub(crate) fn trust_only(&mut self, trust: TlsTrust) {
        self.trust = trust;
    }

    /// Everybody's media comes from a new port from now on.
    pub(crate) fn rebind(&mut self) -> Result<()> {
        let means = means(&self.poll, &self.trust, self.relay);
        self.members.iter_mut().try_for_each(|member| member.bind(&means))
    }

    /// Whether everybody talks at once from now on, which is ten times as much to forward.
    pub(crate) const fn set_chorus(&mut self, chorus: bool) {
        self.chorus = chorus;
    }

    /// Starts the server again so long after it has ended, as a supervisor does.
    pub(crate) fn supervise(&mut self, gap: Option<Duration>) {
        self.restart = gap;
    }

    /// Starts the server after it ended, and from now on nobody else does.
    pub(crate) fn start_server(&mut self) -> Result<()> {
        self.restart = None;
        self.start_at = None;
        self.ended = None;
        self.server.start()
    }

    /// Kills the server as `kill -9` does; a supervisor starts it again at once.
    pub(crate) fn kill_server(&mut self) -> Result<()> {
        self.server.kill();
        self.server.start()
    }

    // --- time ---

    /// Goes on for so long.
    pub(crate) fn run_for(&mut self, time: Duration) -> Result<()> {
        self.run_until(time, |_| false).map(drop)
    }

    /// Goes on until something holds, or for so long; whether it holds.
    pub(crate) fn run_until(
        &mut self,
        limit: Duration,
        mut holds: impl FnMut(&mut Self) -> bool,
    ) -> Result<bool> {
        let until = clock::now() + limit;
        while clock::now() < until {
            if holds(self) {
                return Ok(true);
            }
            self.turn()?;
        }
        Ok(false)
    }

    /// Goes on until those who are to hear each other do, or for so long; whether they do.
    pub(crate) fn run_until_audible(&mut self, limit: Duration) -> Result<bool> {
        self.run_until(limit, |world| world.judge.audible_after().is_some())
    }

    fn turn(&mut self) -> Result<()> {
        check_interrupt()?;
        let wait = self.next_tick.since(clock::now());
        match self.poll.poll(&mut self.events, Some(wait)) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            other => other?,
        }
        let Self { events, members, judge, chat, others, poll, trust, relay, .. } = self;
        let means = means(poll, trust, *relay);
        for event in events.iter() {
            match event.token().0.checked_sub(1) {
                None => chat.serve(),
                Some(at) if at >= 2 * members.len() => {
                    others[at - 2 * members.len()].1.serve();
                }
                Some(at) => serve(members, judge, at / 2, &means),
            }
        }
        if clock::now() >= self.next_tick {
            self.next_tick = clock::now() + TICK;
            self.tick()?;
        }
        Ok(())
    }

    fn tick(&mut self) -> Result<()> {
        self.watch_server()?;
        self.chat.tick(self.poll.registry(), &self.trust)?;
        for (_, chat) in &mut self.others {
            chat.tick(self.poll.registry(), &self.trust)?;
        }
        let now = clock::now();
        let asking =
            self.members.iter_mut().filter_map(|member| member.asks(now).then_some(member.seat));
        for seat in asking.collect::<Vec<_>>() {
            let server = self.given.get(&seat.channel).copied().unwrap_or(0);
            self.chat_mut(server).join(&seat);
        }
        self.pass_news_on()?;
        let means = means(&self.poll, &self.trust, self.relay);
        self.members.iter_mut().try_for_each(|member| member.tick(&means))?;
        self.talk(now);
        Ok(())
    }

    fn watch_server(&mut self) -> Result<()> {
        if let Some(status) = self.server.ended() {
            self.ended = Some(status);
            let Some(gap) = self.restart else {
                let log = self.server.log_tail(10);
                bail!("the server ended by itself with {status}:\n{log}");
            };
            self.start_at = Some(clock::now() + gap);
        }
        if self.start_at.is_some_and(|at| at <= clock::now()) {
            self.start_at = None;
            self.server.start()?;
        }
        Ok(())
    }

    fn pass_news_on(&mut self) -> Result<()> {
        let means = means(&self.poll, &self.trust, self.relay);
        let others = self.others.iter_mut().flat_map(|(_, chat)| chat.take_news());
        let news: Vec<_> = self.chat.take_news().into_iter().chain(others).collect();
        for news in news {
            let user = match &news {
                ChatNews::Ticket(ticket, _) => ticket.user,
                ChatNews::Out(user) => *user,
            };
            let mut members = self.members.iter_mut();
            let member = members.find(|member| member.seat.user == user).context("a member")?;
            match news {
                ChatNews::Ticket(ticket, gateway) => member.take_ticket(ticket, gateway, &means)?,
                ChatNews::Out(_) => member.out(),
            }
        }
        Ok(())
    }

    /// Says the frames that are due.
    fn talk(&mut self, now: Timestamp) {
        let due = u64::try_from(now.since(self.began).as_micros() / FRAME_INTERVAL.as_micros());
        let due = due.unwrap_or(u64::MAX);
        self.frames = self.frames.max(due.saturating_sub(CATCH_UP));
        while self.frames < due {
            self.frames += 1;
            let turn = self.frames / TURN_FRAMES;
            for first in (0..self.members.len()).step_by(CHANNEL_MEMBERS) {
                let members = CHANNEL_MEMBERS.min(self.members.len() - first);
                let at = usize::try_from(turn % members as u64).unwrap_or(0);
                let speakers = if self.chorus { 0..members } else { at..at + 1 };
                for at in speakers {
                    self.say(now, first + at, first..first + members);
                }
            }
        }
    }

    fn say(&mut self, now: Timestamp, speaker: usize, channel: std::ops::Range<usize>) {
        let means = means(&self.poll, &self.trust, self.relay);
        if !self.members[speaker].speak(now, &means) {
            return;
        }
        let hears = |at: &usize| {
            let member = &self.members[*at];
            *at != speaker && !member.seat.deafened && member.live_since().is_some()
        };
        let listeners = channel.filter(hears).count() as u64;
        self.judge.note_said(speaker, listeners);
    }
}

/// Moves what a member has to send and to hear.
fn serve(members: &mut [Member], judge: &mut Judge, at: usize, means: &Means<'_>) {
    let Some(member) = members.get_mut(at) else { return };
    member.serve(means, |frame| judge.note_heard(clock::now(), at, frame));
}

fn means<'a>(poll: &'a Poll, trust: &'a TlsTrust, relay: Option<Detour>) -> Means<'a> {
    Means { registry: poll.registry(), trust, relay }
}

fn member(at: usize, bind: IpAddr) -> Result<Member> {
    let place = at % CHANNEL_MEMBERS;
    let channel = FIRST_CHANNEL + (at / CHANNEL_MEMBERS) as u64;
    let seat = Seat {
        user: UserId::new(FIRST_USER + at as u64).context("ids count from 1")?,
        channel: ChannelId::new(channel).context("ids count from 1")?,
        muted: place == MUTED,
        deafened: place == DEAFENED,
    };
    let profile = Profile::LEGAL[at % Profile::LEGAL.len()];
    let tokens = (Token(1 + 2 * at), Token(2 + 2 * at));
    Ok(Member::new(seat, profile, tokens, bind))
}
