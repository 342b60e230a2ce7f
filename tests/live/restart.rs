//! The server is stopped by SIGTERM with everybody in calls, and started again after a gap.
//!
//! What must hold: nobody hears what they should not, no numbered message is lost, calls go on
//! while the server drains, everybody hears everybody again, and no library that behaves as
//! songbird or discord.js gives up: their users do nothing.

use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Result, bail};
use lvsp_core::time::Timestamp;
use lvsp_mio::clock;
use lvsp_sim::profile::Profile;

use crate::server::ServerProcess;
use crate::site::Site;
use crate::world::{Verdict, World};
use crate::{Common, check_interrupt, seconds, tell};

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
        let played = play(common, options, clients, Duration::from_secs(*gap));
        held &= tell(&name, played)?;
    }
    Ok(held)
}

fn play(common: &Common, options: &Options, clients: usize, gap: Duration) -> Result<Verdict> {
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
    let drained_audibly = drain.is_zero() || world.run_until_audible(drain)?;
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
    world.run_until_audible(LIMIT)?;
    world.run_for(AFTER)?;
    Ok(judge(&world, &Restart { asked, drained_audibly, ended, status, ready }, common.smoke))
}

/// A restart as it went.
struct Restart {
    /// When the server was told to stop.
    asked: Timestamp,
    /// Whether everybody heard everybody while it drained.
    drained_audibly: bool,
    ended: Timestamp,
    status: Option<ExitStatus>,
    /// When the new process listened.
    ready: Timestamp,
}

fn judge(world: &World, restart: &Restart, smoke: bool) -> Verdict {
    let Restart { asked, drained_audibly, ended, status, ready } = *restart;
    let verdict = world.verdict();
    let gave_up = |profile| world.record(profile).gave_up;
    let songbird = gave_up(Some(Profile::Songbird));
    let discord_js = gave_up(Some(Profile::DiscordJs));
    let others = gave_up(None) - songbird - discord_js;
    let after = world.judge.audible_after();
    let audible = match after {
        Some(after) => {
            let since_ready = after.saturating_sub(ready.since(ended));
            format!(
                "all audible {} after the new process listened (in voice: songbird after {}, \
                 discord.js after {})",
                seconds(since_ready),
                back(world, Profile::Songbird, ready),
                back(world, Profile::DiscordJs, ready)
            )
        }
        None => format!("{} pairs still silent", world.judge.silent_pairs()),
    };
    let mut words = format!(
        "{}, {audible}; SIGTERM to end {}; gave up: songbird {songbird}, discord.js {discord_js}, \
         others {others}",
        verdict.words,
        seconds(ended.since(asked)),
    );
    if !drained_audibly {
        words += "; not everybody was audible while it drained";
    }
    let is_clean = status.is_some_and(|status| status.success());
    if !is_clean {
        words += &format!("; the server ended with {status:?}");
    }
    let by_themselves = drained_audibly && songbird + discord_js == 0;
    let held = verdict.held && is_clean && after.is_some() && (by_themselves || smoke);
    Verdict { held, words }
}

/// How long after the new process listened the last user of a library was in voice.
fn back(world: &World, profile: Profile, ready: Timestamp) -> String {
    let members = world.members.iter().filter(|member| member.profile == profile);
    let last = members.filter_map(|member| member.live_since()).max();
    last.map_or_else(|| "never".to_owned(), |since| seconds(since.since(ready)))
}
