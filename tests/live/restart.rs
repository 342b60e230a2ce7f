//! The server is stopped by SIGTERM with everybody in calls, and started again after a gap.
//!
//! What must hold: nobody hears what they should not, no numbered message is lost, calls go on
//! while the server drains, everybody hears everybody again, and no library that behaves as
//! songbird or discord.js gives up: their users do nothing.

use std::time::Duration;

use anyhow::{Result, bail};
use lvsp_mio::clock;
use lvsp_sim::profile::Profile;

use crate::server::ServerProcess;
use crate::site::Site;
use crate::world::World;
use crate::{Common, check_interrupt, say, seconds};

/// After this, nobody waits any more.
const LIMIT: Duration = Duration::from_secs(60);
/// Steady talk before each restart.
const BEFORE: Duration = Duration::from_secs(2);
/// Talk after everybody is audible again.
const AFTER: Duration = Duration::from_secs(2);

/// Which gaps.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Options {
    /// Seconds from the end of one process to the start of the next, for each restart.
    #[arg(long, value_delimiter = ',', default_values_t = [0, 3, 8])]
    gaps: Vec<u64>,
    /// Seconds that calls go on after SIGTERM.
    #[arg(long, default_value_t = 2)]
    drain_seconds: u64,
}

/// Runs the restarts; whether all held.
pub(crate) fn run(common: &Common, options: &Options) -> Result<bool> {
    let clients = common.clients.unwrap_or(200) as usize;
    let mut held = true;
    for gap in &options.gaps {
        check_interrupt()?;
        let name = format!("restart with a gap of {gap} s");
        match play(common, options, clients, Duration::from_secs(*gap)) {
            Ok((passed, words)) => {
                held &= passed;
                say(&format!("{}  {name:<27} {words}", if passed { "pass" } else { "FAIL" }))?;
            }
            Err(error) => {
                held = false;
                say(&format!("FAIL  {name:<27} {error:#}"))?;
            }
        }
    }
    Ok(held)
}

fn play(
    common: &Common,
    options: &Options,
    clients: usize,
    gap: Duration,
) -> Result<(bool, String)> {
    let site = Site::new(&common.server, &common.site)?;
    let server = ServerProcess::new(&site, options.drain_seconds)?;
    let mut world = World::new(&site, server, clients, None)?;
    world.assemble(clients)?;
    world.run_for(BEFORE)?;
    world.supervise(Some(gap));
    world.server.signal("TERM")?;
    let asked = clock::now();
    // While it drains, calls go on.
    world.mark(clients);
    let drain = Duration::from_secs(options.drain_seconds);
    let heard = |world: &mut World| world.judge.audible_after().is_some();
    let through = drain.is_zero() || world.run_until(drain, heard)?;
    if !world.run_until(LIMIT, |world| world.ended.is_some())? {
        bail!("the server does not end after SIGTERM");
    }
    let ended = clock::now();
    let status = world.ended;
    world.mark(clients);
    if !world.run_until(LIMIT, |world| world.server.is_ready())? {
        bail!("the server does not come back:\n{}", world.server.log_tail(10));
    }
    let ready = clock::now();
    world.run_until(LIMIT, heard)?;
    world.run_for(AFTER)?;
    let verdict = world.verdict();
    let clean = status.is_some_and(|status| status.success());
    let after = world.judge.audible_after();
    let gave_up = |profile| world.record(Some(profile)).gave_up;
    let (songbird, discord_js) = (gave_up(Profile::Songbird), gave_up(Profile::DiscordJs));
    let back = |profile| {
        let members = world.members.iter().filter(|member| member.profile == profile);
        members
            .filter_map(|member| member.live_since())
            .max()
            .map_or_else(|| "never".to_owned(), |since| seconds(since.since(ready)))
    };
    let audible = match after {
        Some(after) => {
            let since_ready = after.saturating_sub(ready.since(ended));
            format!(
                "all audible {} after the new process listened (in voice: songbird after {}, \
                 discord.js after {})",
                seconds(since_ready),
                back(Profile::Songbird),
                back(Profile::DiscordJs)
            )
        }
        None => format!("{} pairs still silent", world.judge.silent_pairs()),
    };
    let by_themselves = through && songbird + discord_js == 0;
    let passed = verdict.held && clean && after.is_some() && (by_themselves || common.smoke);
    let mut words = format!(
        "{}, {audible}; SIGTERM to end {}; gave up: songbird {songbird}, discord.js {discord_js}, \
         others {}",
        verdict.words,
        seconds(ended.since(asked)),
        world.record(None).gave_up - songbird - discord_js,
    );
    if !through {
        words += "; not everybody was audible while it drained";
    }
    if !clean {
        words += &format!("; the server ended with {status:?}");
    }
    Ok((passed, words))
}
