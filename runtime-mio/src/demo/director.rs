//! What happens in which order, and how long each step may take.
//!
//! place everybody ─▶ connect ─▶ talk ─▶ mute one ─▶ talk on ─▶ verdict
//!
//! The director owns the tally and the screen; the peers run on threads of their own and send it
//! [`News`].

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, Scope};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use lvsp_core::client::{FRAME_INTERVAL, Ticket};
use lvsp_core::ids::UserId;
use lvsp_core::transport::TlsTrust;

use super::caller::{Caller, Talk};
use super::cast::{A, Cast, Fault, MUTED, Part, Seat};
use super::chat::{Chat, Mute};
use super::news::News;
use super::table::{self, Screen};
use super::tally::Tally;
use super::verdict::{self, Verdict};

/// How long a step may take that is not talking.
const STEP_TIMEOUT: Duration = Duration::from_secs(10);
/// How long talking may take beyond its 20 ms a frame.
const TALK_SLACK: Duration = Duration::from_secs(20);
/// When nothing has arrived for so long, what is missing will not come.
const SILENCE: Duration = Duration::from_secs(2);
/// How long to listen for what should not come when everything else is there.
const LINGER: Duration = Duration::from_millis(250);
const REDRAW: Duration = Duration::from_millis(100);

/// Where the server is, and how to be let in.
pub(super) struct Doors {
    pub(super) control: SocketAddr,
    pub(super) secret: String,
    pub(super) trust: TlsTrust,
}

/// By what it is told how far the present step is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Measure {
    /// By who has done what it waits for.
    Done,
    /// By the frames of a part that have arrived.
    Heard(Part),
}

/// Runs the demonstration and judges it.
pub(super) struct Director<'a> {
    cast: &'a Cast,
    screen: &'a Screen,
    tally: Tally,
    measure: Measure,
    news: Receiver<News>,
    /// For the peers' threads.
    reporter: Sender<News>,
    /// The peers end when these do.
    chat: Option<Sender<Mute>>,
    callers: Vec<Sender<Talk>>,
    tickets: BTreeMap<UserId, (Ticket, SocketAddr)>,
    /// Who has done what the present step waits for.
    done: BTreeSet<UserId>,
    last_heard: Instant,
}

impl<'a> Director<'a> {
    pub(super) fn new(cast: &'a Cast, screen: &'a Screen) -> Self {
        let (reporter, news) = mpsc::channel();
        Self {
            cast,
            screen,
            tally: Tally::default(),
            measure: Measure::Done,
            news,
            reporter,
            chat: None,
            callers: Vec::new(),
            tickets: BTreeMap::new(),
            done: BTreeSet::new(),
            last_heard: Instant::now(),
        }
    }

    /// All the steps. The peers' threads end when the director is dropped or the server stops.
    ///
    /// # Errors
    /// When a step fails or takes too long; then there is more amiss than a verdict could name.
    pub(super) fn play<'scope>(
        &mut self,
        scope: &'scope Scope<'scope, '_>,
        doors: &Doors,
    ) -> Result<()> {
        let everybody = self.cast.seats.len() as u64;
        self.screen.begin("placing", everybody);
        self.start_chat(scope, doors)?;
        self.wait("placed by the chat server", STEP_TIMEOUT)?;
        self.screen.begin("connecting", everybody);
        self.start_callers(scope, &doors.trust)?;
        self.wait("connected", STEP_TIMEOUT)?;
        self.talk(Part::Talk, "everybody talks")?;
        if self.cast.fault != Some(Fault::MuteLeak) {
            self.mute()?;
        }
        self.talk(Part::AfterMute, "everybody talks on, one of them muted")
    }

    /// Shows the table for the last time and judges what was heard.
    pub(super) fn conclude(&self, played: Result<()>) -> Result<Verdict> {
        let table = table::render(self.cast, &self.tally, true);
        self.screen.finish(&table)?;
        Ok(match played {
            Ok(()) => verdict::judge(self.cast, &self.tally),
            Err(error) => Verdict::Fail(format!("{error:#}")),
        })
    }

    fn start_chat<'scope>(
        &mut self,
        scope: &'scope Scope<'scope, '_>,
        doors: &Doors,
    ) -> Result<()> {
        let (orders, inbox) = mpsc::channel();
        let placements = self.cast.seats.iter().map(|seat| (seat.user, seat.placed)).collect();
        let Doors { control, secret, trust } = doors;
        let reporter = self.reporter.clone();
        let chat = Chat::connect(*control, secret, trust, placements, inbox, reporter)
            .context("the chat server cannot connect")?;
        thread::Builder::new().name("chat-server".to_owned()).spawn_scoped(scope, || chat.run())?;
        self.chat = Some(orders);
        Ok(())
    }

    fn start_callers<'scope>(
        &mut self,
        scope: &'scope Scope<'scope, '_>,
        trust: &TlsTrust,
    ) -> Result<()> {
        for seat in &self.cast.seats {
            let (orders, inbox) = mpsc::channel();
            let ticket = self.tickets.remove(&seat.user).context("nobody goes without a ticket")?;
            let company = self.cast.company(seat).collect();
            let reporter = self.reporter.clone();
            let caller = Caller::connect(seat.clone(), company, ticket, trust, inbox, reporter)
                .with_context(|| format!("{} cannot connect", seat.name))?;
            let builder = thread::Builder::new().name(seat.name.to_owned());
            builder.spawn_scoped(scope, || caller.run())?;
            self.callers.push(orders);
        }
        Ok(())
    }

    /// Has one of them muted, and waits until the server says that it is.
    fn mute(&mut self) -> Result<()> {
        let chat = self.chat.as_ref().context("there is a chat server")?;
        chat.send(Mute(MUTED, A)).context("the chat server is gone")?;
        self.wait_for("muted", STEP_TIMEOUT, BTreeSet::from([MUTED]))
    }

    /// Lets everybody say their frames of a part, and listens until all has arrived that will.
    fn talk(&mut self, part: Part, words: &'static str) -> Result<()> {
        let frames = self.cast.frames(part);
        let due = |(listener, speaker)| u64::from(self.cast.expected(listener, speaker, part));
        self.screen.begin(words, self.cast.pairs().map(due).sum());
        self.measure = Measure::Heard(part);
        for caller in &self.callers {
            caller.send(Talk { part, frames }).context("a caller is gone")?;
        }
        self.wait("done talking", FRAME_INTERVAL * frames + TALK_SLACK)?;
        self.last_heard = Instant::now();
        while self.last_heard.elapsed() < if self.is_complete(part) { LINGER } else { SILENCE } {
            self.step()?;
        }
        Ok(())
    }

    /// Whether as much has arrived as there should.
    fn is_complete(&self, part: Part) -> bool {
        self.cast.pairs().all(|(listener, speaker)| {
            self.heard(listener, speaker, part) >= self.cast.expected(listener, speaker, part)
        })
    }

    /// How much of a part one has heard of another.
    fn heard(&self, listener: &Seat, speaker: &Seat, part: Part) -> u32 {
        let lane = self.tally.lane((listener.user, Some(speaker.user)));
        lane.map_or(0, |lane| lane.intact(part))
    }

    /// How much of the present step is done.
    fn progress(&self) -> u64 {
        match self.measure {
            Measure::Done => self.done.len() as u64,
            Measure::Heard(part) => {
                let pairs = self.cast.pairs();
                pairs.map(|(one, other)| u64::from(self.heard(one, other, part))).sum()
            }
        }
    }

    /// Waits until everybody has done what this step is about.
    fn wait(&mut self, what: &str, limit: Duration) -> Result<()> {
        let everybody = self.cast.seats.iter().map(|seat| seat.user).collect();
        self.wait_for(what, limit, everybody)
    }

    fn wait_for(&mut self, what: &str, limit: Duration, who: BTreeSet<UserId>) -> Result<()> {
        let started = Instant::now();
        while !self.done.is_superset(&who) {
            if started.elapsed() > limit {
                let late = who.difference(&self.done);
                let late: Vec<_> = late.map(|user| verdict::name(self.cast, Some(*user))).collect();
                bail!("not {what} within {} s: {}", limit.as_secs(), late.join(", "));
            }
            self.step()?;
        }
        self.done.clear();
        Ok(())
    }

    /// Takes the news of a moment, and redraws.
    fn step(&mut self) -> Result<()> {
        let until = Instant::now() + REDRAW;
        let left = || until.saturating_duration_since(Instant::now());
        while let Ok(news) = self.news.recv_timeout(left()) {
            self.note(news)?;
        }
        let table = table::render(self.cast, &self.tally, false);
        self.screen.draw(table, self.progress());
        Ok(())
    }

    fn note(&mut self, news: News) -> Result<()> {
        match news {
            News::Heard(heard) => {
                self.tally.note(&heard);
                self.last_heard = Instant::now();
            }
            News::Placed { ticket, gateway } => {
                self.done.insert(ticket.user);
                self.tickets.insert(ticket.user, (ticket, gateway));
            }
            News::Introduced(user) | News::Muted(user) | News::Spoke(user) => {
                self.done.insert(user);
            }
            News::Ended { who, why } => bail!("{who}: {why}"),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_that_takes_too_long_names_who_is_late() {
        let (cast, screen) = (Cast::new(5, None), Screen::new());
        let mut director = Director::new(&cast, &screen);
        director.reporter.send(News::Introduced(MUTED)).unwrap();
        let error = director.wait("connected", Duration::from_millis(150)).unwrap_err();
        assert_eq!(error.to_string(), "not connected within 0 s: ann, cem, dea, eli");
    }

    #[test]
    fn a_lost_connection_ends_the_demonstration() {
        let (cast, screen) = (Cast::new(5, None), Screen::new());
        let mut director = Director::new(&cast, &screen);
        let why = "its connection broke".to_owned();
        director.reporter.send(News::Ended { who: "ann", why }).unwrap();
        let error = director.wait("connected", STEP_TIMEOUT).unwrap_err();
        assert_eq!(error.to_string(), "ann: its connection broke");
    }
}
