//! One fault after the other: made, ended, and what the clients noticed.
//!
//! Each fault has a server, a chat server and clients of its own. What must hold is the same for
//! all: no wrong delivery, no numbered message lost, and after the fault's end everybody hears
//! everybody within its goal.
//!
//! Here: which faults there are, and how one is played and judged. How each is made is in `processes`,
//! `network` and `resources`.

mod network;
mod processes;
mod resources;

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use lvsp_mio::clock;

use crate::relay::Relay;
use crate::server::ServerProcess;
use crate::site::{Missing, Site};
use crate::world::{Verdict, World};
use crate::{Common, check_interrupt, say, seconds};

/// Goal where nothing else is said.
const GOAL: Duration = Duration::from_secs(5);
/// Goal after the server itself was killed.
const RESTART_GOAL: Duration = Duration::from_secs(10);
/// After this, nobody waits any more.
const LIMIT: Duration = Duration::from_secs(60);
/// Steady talk before a fault.
const BEFORE: Duration = Duration::from_secs(2);
/// Talk after everybody is audible again: what should not come may come late.
const AFTER: Duration = Duration::from_secs(2);

/// Which faults, and how long they last.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Options {
    /// Only faults with one of these texts in their names.
    #[arg(long)]
    only: Vec<String>,
    /// How long faults last that have no length of their own, in seconds.
    #[arg(long, default_value_t = 15)]
    seconds: u64,
    /// How long the server stands still, in seconds.
    #[arg(long, default_value_t = 30)]
    stop_seconds: u64,
    /// How long the link is down, in seconds.
    #[arg(long, default_value_t = 20)]
    down_seconds: u64,
}

/// A fault.
struct Fault {
    name: &'static str,
    goal: Duration,
    /// The share of clients that join during the fault or after it, in percent.
    late: usize,
    /// Whether everything passes through our relay.
    relayed: bool,
    /// Makes it, ends it, sets the mark, and tells what else was seen.
    make: fn(&mut Scene<'_>) -> Result<String>,
}

const fn fault(name: &'static str, make: fn(&mut Scene<'_>) -> Result<String>) -> Fault {
    Fault { name, goal: GOAL, late: 0, relayed: false, make }
}

const FAULTS: &[Fault] = &[
    Fault { goal: RESTART_GOAL, ..fault("kill -9 of the server", processes::kill_server) },
    fault("kill -9 of the chat server", processes::kill_chat_server),
    fault("SIGSTOP", processes::stop),
    fault("20 % loss", network::lose),
    fault("rate 1 Mbit/s", network::throttle),
    fault("link down", network::cut_link),
    fault("NAT rebind", network::rebind),
    Fault { late: 10, ..fault("fd limit 64", resources::starve_of_descriptors) },
    fault("64 MiB of memory", resources::starve_of_memory),
    fault("20 % of a CPU", resources::starve_of_cpu),
    fault("ss -K", network::kill_connections),
    Fault { late: 10, ..fault("certificate swap", processes::swap_certificate) },
    // What no tool of the machine does, by our relay.
    Fault { relayed: true, ..fault("bad datagrams", network::spoil_datagrams) },
    Fault { relayed: true, ..fault("bad streams", network::spoil_streams) },
];

/// A fault's stage.
struct Scene<'a> {
    world: World,
    relay: Option<Relay>,
    site: &'a Site,
    options: &'a Options,
    clients: usize,
    /// Who is there from the beginning; the others are late.
    early: usize,
    /// Whether only what does not depend on the machine's speed is judged.
    smoke: bool,
    /// What did not hold besides what must hold for all faults.
    broken: Vec<&'static str>,
}

/// Runs the faults; whether all that ran held.
pub(crate) fn run(common: &Common, options: &Options) -> Result<bool> {
    let clients = common.clients.unwrap_or(100) as usize;
    let (mut passed, mut failed, mut not_run) = (0, 0, 0);
    let wanted = |fault: &&Fault| {
        options.only.is_empty() || options.only.iter().any(|text| fault.name.contains(text))
    };
    let faults: Vec<_> = FAULTS.iter().filter(wanted).collect();
    if faults.is_empty() {
        bail!("no fault has such a name");
    }
    for fault in faults {
        check_interrupt()?;
        let (count, word, words) = match play(common, options, fault, clients) {
            Ok(Verdict { held: true, words }) => (&mut passed, "pass", words),
            Ok(Verdict { held: false, words }) => (&mut failed, "FAIL", words),
            Err(error) if error.is::<Missing>() => {
                (&mut not_run, "----", format!("not run: {error}"))
            }
            Err(error) => (&mut failed, "FAIL", format!("{error:#}")),
        };
        *count += 1;
        say(&format!("{word}  {:<26} {words}", fault.name))?;
    }
    say(&format!("{passed} passed, {failed} failed, {not_run} not run"))?;
    Ok(failed == 0)
}

fn play(common: &Common, options: &Options, fault: &Fault, clients: usize) -> Result<Verdict> {
    let site = Site::new(&common.server, &common.site)?;
    let server = ServerProcess::new(&site, 0)?;
    let early = clients - clients * fault.late / 100;
    let relay = match fault.relayed {
        true => Some(Relay::start(site.gateway, site.media, common.seed)?),
        false => None,
    };
    let world = World::new(&site, server, clients, relay.as_ref().map(Relay::detour))?;
    let (site, smoke, broken) = (&site, common.smoke, Vec::new());
    let mut scene = Scene { world, relay, site, options, clients, early, smoke, broken };
    scene.world.assemble(early)?;
    scene.world.run_for(BEFORE)?;
    let notes = match (fault.make)(&mut scene) {
        // What a tool says of a process that is gone is no lack of the machine.
        Err(error) if scene.world.server.ended().is_some() => {
            bail!("the server ended by itself ({error:#}):\n{}", scene.world.server.log_tail(10));
        }
        notes => notes?,
    };
    scene.world.run_until_audible(LIMIT)?;
    scene.world.run_for(AFTER)?;
    let goal = if common.smoke { LIMIT } else { fault.goal };
    let mut verdict = judge(&scene.world, goal, &notes);
    for what in scene.broken {
        verdict.held = false;
        verdict.words += &format!("; BROKEN: {what}");
    }
    Ok(verdict)
}

fn judge(world: &World, goal: Duration, notes: &str) -> Verdict {
    let Verdict { held, mut words } = world.verdict();
    let record = world.record(None);
    let after = world.judge.audible_after();
    let audible = match after {
        Some(after) => format!("all audible after {} (goal {})", seconds(after), seconds(goal)),
        None => format!(
            "{} pairs still silent after {}, {:?} for example",
            world.judge.silent_pairs(),
            seconds(LIMIT),
            world.judge.silent()
        ),
    };
    words += &format!(", {audible}; {} resumed, {} rejoined", record.resumed, rejoined(world));
    if !notes.is_empty() {
        words += &format!("; {notes}");
    }
    Verdict { held: held && after.is_some_and(|after| after <= goal), words }
}

/// Sessions that were begun although their user had one before.
fn rejoined(world: &World) -> u64 {
    world.members.iter().map(|member| member.record().begun.saturating_sub(1)).sum()
}

impl Scene<'_> {
    fn mark(&mut self) {
        self.world.mark(self.clients);
    }

    /// Lets the fault last, and tells whether those who are in voice hear each other meanwhile.
    fn endure(&mut self, time: Duration) -> Result<String> {
        self.world.mark(self.early);
        self.world.judge.begin_period(clock::now());
        let began = Instant::now();
        self.world.run_until_audible(time)?;
        let meanwhile = match self.world.judge.audible_after() {
            Some(after) => format!("all audible within {}", seconds(after)),
            None => format!("{} pairs silent", self.world.judge.silent_pairs()),
        };
        self.world.run_for(time.saturating_sub(began.elapsed()))?;
        let loss = self.world.judge.period().all().loss() * 100.0;
        Ok(format!("during it {meanwhile}, {loss:.1} % of frames lost"))
    }

    /// As [`Self::endure`], where those who are in voice must hear each other meanwhile.
    fn endure_audibly(&mut self, time: Duration) -> Result<String> {
        let meanwhile = self.endure(time)?;
        let audible = self.world.judge.audible_after().is_some();
        self.expect(audible || self.smoke, "not everybody was audible during it");
        Ok(meanwhile)
    }

    /// Connections that ended since there had been so many, which must be none.
    fn expect_none_lost(&mut self, before: u64) -> u64 {
        let lost = self.world.record(None).lost - before;
        self.expect(lost == 0, "connections ended");
        lost
    }

    fn expect(&mut self, holds: bool, what: &'static str) {
        if !holds {
            self.broken.push(what);
        }
    }

    const fn time(&self) -> Duration {
        Duration::from_secs(self.options.seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_has_a_name_of_its_own() {
        let mut names: Vec<_> = FAULTS.iter().map(|fault| fault.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), FAULTS.len());
    }
}
