//! What happens in which order: join, warm up, measure, wait for what is still under way.
//!
//! Loss on a link is that of the whole talk from its first frame, because a link does not say when
//! what arrived was due; it is read while nobody talks. Everything else is of the measured time.

use std::time::Duration;

use anyhow::Result;
use lvsp_core::entropy::SeededEntropy;
use lvsp_core::time::Timestamp;
use lvsp_core::wire::rtp::SILENCE;

use super::climb::{Climb, LOSS_FREE};
use super::link::Link;
use super::pacer::{Due, Pacer, Say};
use super::report::{Joins, Percentiles, Report, Step, each};
use super::shape::{Shape, Sizes};
use super::stamp::Stamp;
use super::tally::Tally;
use crate::process::{Process, ProcessorTime};
use crate::progress::Progress;
use crate::{clock, sys};

/// Before everybody talks: what was announced is under way then.
const SETTLE: Duration = Duration::from_millis(300);
/// When nothing has arrived for so long, what is missing will not come.
const QUIET: Duration = Duration::from_millis(250);
/// How long that is waited for at the most: a server may hold seconds of talk.
const QUIET_MAX: Duration = Duration::from_secs(5);
/// Frames that are due within so long leave together on the way to saturation.
const TICK: Duration = Duration::from_millis(1);

/// Clients that are driven by [`run()`].
pub trait Swarm {
    /// How their media is sealed, for the report.
    fn mode(&self) -> String;

    /// Lets everybody join. `joined` is told how many have, from time to time.
    ///
    /// # Errors
    /// Why somebody cannot, and what to do about it.
    fn join(&mut self, joined: &mut dyn FnMut(usize)) -> Result<()>;

    /// Says that the first `speakers` will talk, where that is said.
    ///
    /// # Errors
    /// When a connection broke.
    fn announce(&mut self, _speakers: usize) -> Result<()> {
        Ok(())
    }

    /// From now on nobody reads what arrives over UDP.
    ///
    /// # Errors
    /// When the operating system refuses.
    fn stop_reading(&mut self) -> Result<()>;

    /// Sends a frame of a speaker; whether its socket took it.
    fn speak(&mut self, speaker: usize, frame: &[u8]) -> bool;

    /// Does a bounded amount of what there is to do, after waiting for it until `until` at the
    /// latest, and tells what a member heard and when it arrived.
    ///
    /// # Errors
    /// When somebody's connection ended.
    fn turn(
        &mut self,
        until: Timestamp,
        heard: &mut dyn FnMut(usize, Timestamp, &[u8]),
    ) -> Result<()>;

    /// Leaves the server as it was, where something stays behind otherwise.
    ///
    /// # Errors
    /// When a connection broke.
    fn leave(&mut self) -> Result<()> {
        Ok(())
    }
}

/// What to do.
#[derive(Debug)]
pub struct Plan {
    /// How many of what. To saturate, it begins with these speakers.
    pub shape: Shape,
    /// How long frames are.
    pub sizes: Sizes,
    /// Whether speakers pause.
    pub dtx: bool,
    /// Talk before the measured time.
    pub warm_up: Duration,
    /// The measured time, of each step.
    pub time: Duration,
    /// Whether everybody reads what arrives.
    pub receive: bool,
    /// Where arrivals are counted when nobody reads.
    pub link: Option<Link>,
    /// The server's process.
    pub server: Option<Process>,
    /// Whether to add speakers until something is lost.
    pub saturate: bool,
}

/// Lets a swarm join, talk and leave.
///
/// # Errors
/// When the swarm fails or the server's process ends.
pub fn run(swarm: &mut dyn Swarm, plan: &Plan, progress: &Progress) -> Result<Report> {
    plan.shape.check()?;
    let mut runner = Runner { swarm, plan, progress, frame: Vec::new(), begun: clock::now() };
    let result = runner.run();
    progress.end();
    result
}

struct Runner<'a> {
    swarm: &'a mut dyn Swarm,
    plan: &'a Plan,
    progress: &'a Progress,
    /// Memory for the frame that is being sent.
    frame: Vec<u8>,
    /// When the present talk began.
    begun: Timestamp,
}

/// Readings at one moment.
#[derive(Clone, Copy)]
struct Reading {
    at: Timestamp,
    server: Option<ProcessorTime>,
    own: Option<Duration>,
}

impl Reading {
    fn take(plan: &Plan) -> Result<Self> {
        let server = plan.server.as_ref().map(Process::processor_time).transpose()?;
        Ok(Self { at: clock::now(), server, own: sys::processor_time() })
    }

    /// Processor time since an earlier one.
    fn since(&self, earlier: &Self) -> Used {
        let difference = |later: Option<Duration>, earlier: Option<Duration>| {
            Some(later?.saturating_sub(earlier?))
        };
        let all = |reading: &Self| reading.server.map(|time| time.all);
        let media = |reading: &Self| reading.server.and_then(|time| time.media);
        Used {
            server: difference(all(self), all(earlier)),
            media: difference(media(self), media(earlier)),
            own: difference(self.own, earlier.own),
        }
    }
}

/// Processor time between two readings: of the server, of its media threads, of the generator.
struct Used {
    server: Option<Duration>,
    media: Option<Duration>,
    own: Option<Duration>,
}

impl Runner<'_> {
    fn run(&mut self) -> Result<Report> {
        let joins = self.join()?;
        if !self.plan.receive {
            self.swarm.stop_reading()?;
        }
        let (step, steps, saturated) = if self.plan.saturate {
            self.saturate()?
        } else {
            (self.talk(self.plan.shape)?, Vec::new(), None)
        };
        let mode = self.swarm.mode();
        self.swarm.leave()?;
        let Plan { shape: Shape { members, channels, .. }, sizes, dtx, receive, .. } = *self.plan;
        let payload = sizes.to_string();
        Ok(Report { members, channels, mode, payload, dtx, receive, joins, step, steps, saturated })
    }

    fn join(&mut self) -> Result<Joins> {
        let members = self.plan.shape.members;
        let memory = || self.plan.server.as_ref().map(Process::resident_bytes).transpose();
        let before = (Reading::take(self.plan)?, memory()?);
        self.progress.begin("joining", members as u64);
        self.swarm.join(&mut |joined| self.progress.set(joined as u64))?;
        let after = (Reading::take(self.plan)?, memory()?);
        let count = members as f64;
        let grown = after.1.zip(before.1).map(|(after, before)| after.saturating_sub(before));
        let cpu = after.0.since(&before.0).server.and_then(|cpu| each(cpu, count));
        Ok(Joins {
            seconds: after.0.at.since(before.0.at).as_secs_f64(),
            server_cpu_us_per_join: cpu.map(|ns| ns / 1e3),
            server_rss_before_bytes: before.1,
            server_rss_after_bytes: after.1,
            server_rss_kib_per_member: grown.map(|bytes| bytes as f64 / 1_024.0 / count),
        })
    }

    /// Looks for the most speakers of whom nothing is lost.
    fn saturate(&mut self) -> Result<(Step, Vec<Step>, Option<bool>)> {
        let mut shape = self.plan.shape;
        let mut climb = Climb::new(shape.speakers, shape.members);
        let mut steps: Vec<Step> = Vec::new();
        let mut best: Option<Step> = None;
        loop {
            shape.speakers = climb.speakers();
            let step = self.talk(shape)?;
            let is_lossy = step.lost_share.is_some_and(|share| share > LOSS_FREE);
            steps.push(step.clone());
            if !is_lossy {
                best = Some(step.clone());
            }
            if !climb.go_on(is_lossy) {
                // Nothing without loss is nothing to be proud of, but is to be seen.
                return Ok((best.unwrap_or(step), steps, Some(climb.is_saturated())));
            }
        }
    }

    /// Lets so many talk for a while.
    fn talk(&mut self, shape: Shape) -> Result<Step> {
        self.swarm.announce(shape.speakers)?;
        self.idle(SETTLE)?;
        let Plan { warm_up, time, dtx, .. } = *self.plan;
        let begin = clock::now();
        self.begun = begin;
        let from = begin + warm_up;
        let until = from + time;
        let mut pacer = Pacer::new(begin, shape.speakers, dtx);
        let mut tally = Tally::new(shape, from, until);
        let mut random = SeededEntropy::new(1);
        self.progress.begin("talking", (warm_up + time).as_secs());
        let arrivals = self.arrivals()?;
        self.talk_until(from, &mut pacer, &mut tally, &mut random)?;
        let before = Reading::take(self.plan)?;
        self.talk_until(until, &mut pacer, &mut tally, &mut random)?;
        let after = Reading::take(self.plan)?;
        self.await_quiet(&mut tally)?;
        let arrivals = self.arrivals()?.zip(arrivals).map(|(after, before)| after - before);
        Ok(summarize(shape, &tally, (&before, &after), arrivals, self.plan.receive))
    }

    fn arrivals(&self) -> Result<Option<u64>> {
        self.plan.link.as_ref().map(Link::arrived).transpose()
    }

    fn talk_until(
        &mut self,
        until: Timestamp,
        pacer: &mut Pacer,
        tally: &mut Tally,
        random: &mut SeededEntropy,
    ) -> Result<()> {
        while clock::now() < until {
            self.say_due(clock::now(), pacer, tally, random);
            let next = pacer.next_at().map_or(until, |at| at.min(until)).max(self.pause());
            self.swarm
                .turn(next, &mut |listener, at, frame| tally.note_heard(listener, at, frame))?;
            self.progress.set(clock::now().since(self.begun).as_secs());
        }
        // What became due in the last moment.
        let last = Timestamp::from_micros(until.as_micros() - 1);
        self.say_due(last, pacer, tally, random);
        Ok(())
    }

    /// Until when nothing needs to be said. Waking for each frame costs several times as much as sending
    /// it, and a server that is to be saturated shares its processors with this.
    fn pause(&self) -> Timestamp {
        if self.plan.saturate { clock::now() + TICK } else { Timestamp::ZERO }
    }

    /// Says everything that is due by `now`: little, unless this was held up.
    fn say_due(
        &mut self,
        now: Timestamp,
        pacer: &mut Pacer,
        tally: &mut Tally,
        random: &mut SeededEntropy,
    ) {
        while let Some(due) = pacer.take(now) {
            let sizes = self.plan.sizes;
            let length = || sizes.draw(random);
            let Some(frame) = write(due, &mut self.frame, length) else { continue };
            if !self.swarm.speak(due.speaker, frame) {
                tally.note_refused(due.at);
            } else if due.say == Say::Silence {
                tally.note_silence(due.speaker, due.at);
            } else {
                tally.note_sent(due.speaker, due.at, clock::now());
            }
        }
    }

    /// Listens until everything has arrived, or nothing arrives any more.
    fn await_quiet(&mut self, tally: &mut Tally) -> Result<()> {
        let end = clock::now() + QUIET_MAX;
        let mut quiet_at = clock::now() + QUIET;
        while clock::now() < quiet_at.min(end) {
            let before = tally.heard;
            self.swarm.turn(quiet_at, &mut |listener, at, frame| {
                tally.note_heard(listener, at, frame);
            })?;
            if tally.heard > before {
                quiet_at = clock::now() + QUIET;
            }
        }
        Ok(())
    }

    /// Lets time go by.
    fn idle(&mut self, time: Duration) -> Result<()> {
        let until = clock::now() + time;
        while clock::now() < until {
            self.swarm.turn(until, &mut |_, _, _| ())?;
        }
        Ok(())
    }
}

/// What is said, if anything.
fn write(due: Due, frame: &mut Vec<u8>, length: impl FnOnce() -> usize) -> Option<&[u8]> {
    match due.say {
        Say::Speech { index } => {
            let speaker = u32::try_from(due.speaker).unwrap_or(u32::MAX);
            Stamp { due: due.at, sent: clock::now(), speaker, index }.write(length(), frame);
            Some(frame)
        }
        Say::Silence => Some(SILENCE),
        Say::Nothing => None,
    }
}

/// What a talk came to. `arrivals` is what came over a link, from the first frame on.
fn summarize(
    shape: Shape,
    tally: &Tally,
    (before, after): (&Reading, &Reading),
    arrivals: Option<u64>,
    receive: bool,
) -> Step {
    let share = |arrived: u64, expected: u64| {
        if expected == 0 { 0.0 } else { 1.0 - (arrived as f64 / expected as f64).min(1.0) }
    };
    let expected = tally.expected as f64;
    let (lost_share, arrived) = if receive {
        (Some(share(tally.heard, tally.expected)), Some(tally.heard))
    } else {
        let lost = arrivals.map(|arrivals| share(arrivals, tally.expected_in_all));
        (lost, lost.map(|lost| (expected * (1.0 - lost)).round() as u64))
    };
    let seconds = after.at.since(before.at).as_secs_f64();
    // Frames of silence are forwarded as well.
    let forwarded = arrived.map_or(expected, |arrived| arrived as f64)
        + tally.expected_silences as f64 * (1.0 - lost_share.unwrap_or(0.0));
    let Used { server, media, own } = after.since(before);
    Step {
        speakers: shape.speakers,
        seconds,
        sent: tally.sent,
        silences: tally.silences,
        refused: tally.refused,
        expected: tally.expected,
        arrived,
        lost_share,
        repeated: tally.repeated,
        foreign: tally.foreign,
        forwarded_per_s: forwarded / seconds,
        latency_us: (!tally.latency.is_empty()).then(|| Percentiles::of(&tally.latency)),
        transit_us: (!tally.transit.is_empty()).then(|| Percentiles::of(&tally.transit)),
        lateness_us: Percentiles::of(&tally.lateness),
        server_cpu_ns_per_forwarded: server.and_then(|cpu| each(cpu, forwarded)),
        server_media_cpu_ns_per_forwarded: media.and_then(|cpu| each(cpu, forwarded)),
        server_cores: server.map(|cpu| cpu.as_secs_f64() / seconds),
        generator_cpu_ns_per_forwarded: own.and_then(|cpu| each(cpu, forwarded)),
    }
}

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
