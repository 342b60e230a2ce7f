//! Everybody talks at once, and the server gets half of the processor time that this takes: twice
//! the load that saturates it.
//!
//! What must hold: no channel loses more than one and a half times its share, whoever joins
//! meanwhile is in within a second, which takes the chat server's order, TLS, the gateway and
//! discovery, and afterwards everybody hears everybody.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use lvsp_mio::clock;
use lvsp_mio::load::Process;

use crate::judge::Period;
use crate::server::ServerProcess;
use crate::site::{Cgroup, Missing, Site};
use crate::trial::{self, JOIN_MAX, NEWCOMERS, Newcomers, in_words};
use crate::world::{CHANNEL_MEMBERS, World};
use crate::{Common, say};

/// Goal.
const LOSS_TIMES_MAX: f64 = 1.5;
/// How long the load is measured while the server may have all the processor time it wants.
const MEASURE: Duration = Duration::from_secs(3);
/// The server's processor time is given out anew this often, in microseconds. What it waits for it
/// is to be less than the age at which a relay that is behind drops.
const PERIOD_US: f64 = 20_000.0;
/// Or less often, where few clients load a fast machine: the kernel gives no less than this at once.
const QUOTA_MIN_US: f64 = 1_000.0;
/// The kernel's longest that makes sense here.
const PERIOD_MAX_US: f64 = 100_000.0;

/// How long.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Options {
    /// How long the server is overloaded, in seconds.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
}

/// What the overload came to.
struct Figures {
    period: Period,
    /// The slowest newcomer's handshake; `None` if one did not get in at all.
    join: Option<Duration>,
    /// Processors that the load takes.
    cores: f64,
}

/// Runs it; whether what must hold held.
pub(crate) fn run(common: &Common, options: &Options) -> Result<bool> {
    let clients = common.clients.unwrap_or(200) as usize;
    let members = clients.next_multiple_of(CHANNEL_MEMBERS);
    let site = Site::new(&common.server, &common.site)?;
    let server = ServerProcess::new(&site, 0)?;
    let mut world = World::new(&site, server, members + NEWCOMERS, None)?;
    world.judge.count_only(members);
    world.assemble(members)?;
    let figures = match overload(&mut world, members, options) {
        Err(error) if error.is::<Missing>() => {
            say(&format!("not run: {error:#}"))?;
            return Ok(true);
        }
        other => other?,
    };
    let goals = tell(&figures, members)?;
    world.set_chorus(false);
    let verdict = trial::conclude(&mut world)?;
    let right = verdict.held && figures.join.is_some();
    let word = if right { "pass" } else { "FAIL" };
    say(&format!("{word}  {}", verdict.words))?;
    Ok(right && (goals || common.smoke))
}

/// Everybody talks, first while the server may take what it needs, then while it gets half of it.
fn overload(world: &mut World, members: usize, options: &Options) -> Result<Figures> {
    let group = Cgroup::new("cpu")?;
    let pid = world.server.pid()?;
    let process = Process::of(pid)?;
    world.set_chorus(true);
    let before = process.processor_time()?.all;
    world.run_for(MEASURE)?;
    let used = process.processor_time()?.all.saturating_sub(before);
    let cores = used.as_secs_f64() / MEASURE.as_secs_f64();
    let share = cores / 2.0;
    let period = PERIOD_US.max(QUOTA_MIN_US / share);
    if period > PERIOD_MAX_US {
        bail!("the load takes {cores:.3} processors, too little to halve: use more --clients");
    }
    limit(&group, (share * period).ceil(), period.ceil())?;
    group.take(pid)?;
    group.check_member(pid)?;
    let figures = endure(world, members, options);
    group.release(pid);
    figures.map(|(period, join)| Figures { period, join, cores })
}

/// So many microseconds of a processor in each period.
fn limit(group: &Cgroup, quota_us: f64, period_us: f64) -> Result<()> {
    if group.is_unified() {
        return group.set("", "cpu.max", &format!("{quota_us} {period_us}"));
    }
    group.set("cpu.cfs_period_us", "", &period_us.to_string())?;
    group.set("cpu.cfs_quota_us", "", &quota_us.to_string())
}

/// The overload, while one newcomer after the other joins.
fn endure(
    world: &mut World,
    members: usize,
    options: &Options,
) -> Result<(Period, Option<Duration>)> {
    // Before a relay counts as behind, what it loses is what does not fit into a buffer.
    world.run_for(MEASURE)?;
    world.judge.begin_period(clock::now());
    let newcomers = Newcomers::from(members);
    newcomers.arrive(world, Duration::from_secs(options.seconds), |_| Ok(()))?;
    world.judge.begin_period(clock::now());
    let join = newcomers.slowest(world)?;
    Ok((world.judge.previous_period(), join))
}

/// Prints the figures; whether all goals are met.
fn tell(figures: &Figures, members: usize) -> Result<bool> {
    let Figures { period, join, cores } = figures;
    let all = period.all();
    let (most, least) = period.extremes().context("somebody talked")?;
    let times = most / all.loss();
    let join_words = in_words(*join);
    let verdict = |met: bool| if met { "met" } else { "NOT MET" };
    let is_fair = times <= LOSS_TIMES_MAX;
    let is_quick = join.is_some_and(|join| join <= JOIN_MAX);
    say(&format!(
        "{members} members in {} channels talk at once, which takes {cores:.3} processors; the \
         server gets half of that",
        members / CHANNEL_MEMBERS
    ))?;
    say(&format!("{:.1} % of {} deliveries lost", all.loss() * 100.0, all.due))?;
    say(&format!(
        "by channel        {:.1} % to {:.1} %, {times:.2} times the mean   goal: {LOSS_TIMES_MAX} \
         times: {}",
        least * 100.0,
        most * 100.0,
        verdict(is_fair)
    ))?;
    say(&format!("slowest join      {join_words}   goal: 1000 ms: {}", verdict(is_quick)))?;
    Ok(is_fair && is_quick)
}
