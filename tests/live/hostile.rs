//! Members talk and newcomers join, first in peace, then under attack; the difference is the
//! attack's doing. Both parts are in one run, because machines are shared and noisy.

use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Result;
use lvsp_mio::clock;

use crate::attack::{Attack, Plan};
use crate::judge::Period;
use crate::server::ServerProcess;
use crate::site::Site;
use crate::trial::{self, JOIN_MAX, LIMIT, NEWCOMERS, Newcomers, in_words};
use crate::world::{CHANNEL_MEMBERS, World};
use crate::{Common, say};

/// Goals.
const LOSS_ADDED_MAX: f64 = 0.001;
const GROWTH_MAX_KIB: u64 = 32 * 1_024;
/// After this, nothing of a part is under way any more.
const REST: Duration = Duration::from_secs(1);

/// How much of everything.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Options {
    /// Garbage datagrams.
    #[arg(long, default_value_t = 1_000_000)]
    datagrams: u64,
    /// Bad and slow connections.
    #[arg(long, default_value_t = 10_000)]
    sockets: u64,
    /// How long each part lasts, in seconds.
    #[arg(long, default_value_t = 30)]
    seconds: u64,
}

/// What a part came to.
struct Part {
    period: Period,
    /// The slowest newcomer's handshake; `None` if one did not get in at all.
    join: Option<Duration>,
    /// The most resident memory, in KiB.
    memory_kib: u64,
    /// Datagrams that did not fit into the server's receive buffer.
    dropped: u64,
}

/// Runs both parts; whether what must hold held.
pub(crate) fn run(common: &Common, options: &Options) -> Result<bool> {
    let clients = common.clients.unwrap_or(100) as usize;
    let members = clients.next_multiple_of(CHANNEL_MEMBERS);
    let site = Site::new(&common.server, &common.site)?;
    let server = ServerProcess::new(&site, 0)?;
    let mut world = World::new(&site, server, members + 2 * NEWCOMERS, None)?;
    world.judge.count_only(members);
    world.assemble(members)?;
    let time = Duration::from_secs(options.seconds);
    let quiet = play(&mut world, time, members)?;
    let attack = Attack::begin(Plan {
        gateway: site.gateway,
        media: site.media,
        trust: world.server.trust()?,
        ssrcs: world.members.iter().filter_map(crate::member::Member::ssrc).collect(),
        datagrams: options.datagrams,
        connections: options.sockets,
        time,
        seed: common.seed,
    })?;
    let hostile = play(&mut world, time, members + NEWCOMERS)?;
    world.run_until(LIMIT, |_| attack.is_over())?;
    let counters = attack.counters.clone();
    attack.end()?;
    let verdict = trial::conclude(&mut world)?;
    let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    say(&format!(
        "{} datagrams and {} connections in {} s ({} turned away, {} not opened here), {members} \
         members, 2 x {NEWCOMERS} newcomers",
        count(&counters.datagrams),
        count(&counters.connections),
        options.seconds,
        count(&counters.turned_away),
        count(&counters.not_opened),
    ))?;
    let (bytes, reflected) = (count(&counters.datagram_bytes), count(&counters.reflected_bytes));
    let goals = tell(&quiet, &hostile, bytes, reflected)?;
    let everybody = quiet.join.is_some() && hostile.join.is_some();
    let right = verdict.held && everybody && reflected <= bytes;
    let word = if right { "pass" } else { "FAIL" };
    say(&format!("{word}  {}", verdict.words))?;
    Ok(right && (goals || common.smoke))
}

/// One part: members talk, and one newcomer after the other joins.
fn play(world: &mut World, time: Duration, first: usize) -> Result<Part> {
    let dropped = world.server.datagrams_dropped()?;
    world.judge.begin_period(clock::now());
    let mut memory_kib = 0;
    let newcomers = Newcomers::from(first);
    newcomers.arrive(world, time, |world| {
        memory_kib = memory_kib.max(world.server.memory_kib()?);
        Ok(())
    })?;
    world.judge.begin_period(clock::now());
    let dropped = world.server.datagrams_dropped()? - dropped;
    world.run_for(REST)?;
    let join = newcomers.slowest(world)?;
    Ok(Part { period: world.judge.previous_period(), join, memory_kib, dropped })
}

/// Prints the figures of both parts; whether all goals are met.
fn tell(quiet: &Part, hostile: &Part, bytes: u64, reflected: u64) -> Result<bool> {
    let percent = |part: &Part| format!("{:.3} %", part.period.all().loss() * 100.0);
    let mib = |kib: u64| format!("{:.1} MiB", kib as f64 / 1_024.0);
    let added = hostile.period.all().loss() - quiet.period.all().loss();
    let growth = hostile.memory_kib.saturating_sub(quiet.memory_kib);
    let rows = [
        ("frames lost", percent(quiet), percent(hostile), "0.1 % more", added <= LOSS_ADDED_MAX),
        (
            "slowest join",
            in_words(quiet.join),
            in_words(hostile.join),
            "1000 ms",
            hostile.join.is_some_and(|join| join <= JOIN_MAX),
        ),
        (
            "resident memory",
            mib(quiet.memory_kib),
            mib(hostile.memory_kib),
            "32 MiB more",
            growth <= GROWTH_MAX_KIB,
        ),
        (
            "reflected bytes",
            "-".to_owned(),
            format!("{reflected} of {bytes}"),
            "no more than came",
            reflected <= bytes,
        ),
    ];
    say(&format!("{:<17}{:>12}{:>24}   goal", "", "in peace", "under attack"))?;
    for (what, peace, attack, goal, met) in &rows {
        let verdict = if *met { "met" } else { "NOT MET" };
        say(&format!("{what:<17}{peace:>12}{attack:>24}   {goal}: {verdict}"))?;
    }
    say(&format!(
        "{:<17}{:>12}{:>24}   (datagrams the kernel dropped before the server saw them)",
        "receive buffer", quiet.dropped, hostile.dropped
    ))?;
    Ok(rows.iter().all(|row| row.4))
}
