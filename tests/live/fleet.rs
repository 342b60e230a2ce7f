//! Three servers and one chat server, which puts each channel on the server that reports the best
//! health. One of them is killed, and its calls come back on the others.
//!
//! What must hold: nobody hears what they should not, every server has been given calls, and all
//! hear each other again although nobody starts the dead one. There is no other tie between the
//! servers than the chat server: it notices by its control connection that one is gone, and sends
//! its users where there is room, as a VOICE_SERVER_UPDATE does.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use lvsp_core::ids::ChannelId;
use lvsp_mio::clock;

use crate::server::ServerProcess;
use crate::site::{Link, Site};
use crate::world::{CHANNEL_MEMBERS, Verdict, World};
use crate::{Common, seconds, tell};

/// How many servers.
const SERVERS: usize = 3;
/// After this, nobody waits any more.
const LIMIT: Duration = Duration::from_secs(60);
/// From one channel's calls to the next one's: servers tell how they are once a second here.
const BETWEEN: Duration = Duration::from_millis(1_500);
/// Talk after everybody is audible again.
const AFTER: Duration = Duration::from_secs(2);

/// Where they run.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Options {
    /// The network namespace and address of a server, as NAME=IP, three times; on loopback without.
    #[arg(long, value_parser = namespace)]
    member: Vec<(String, Ipv4Addr)>,
}

fn namespace(text: &str) -> Result<(String, Ipv4Addr)> {
    let (name, ip) = text.split_once('=').context("NAME=IP is wanted")?;
    Ok((name.to_owned(), ip.parse()?))
}

/// Kills one of three; whether all held.
pub(crate) fn run(common: &Common, options: &Options) -> Result<bool> {
    tell("one of three servers killed", play(common, options))
}

fn play(common: &Common, options: &Options) -> Result<Verdict> {
    let clients = common.clients.unwrap_or(60) as usize;
    if clients < SERVERS * CHANNEL_MEMBERS {
        bail!("--clients: {} are needed, a channel for each server", SERVERS * CHANNEL_MEMBERS);
    }
    let sites = sites(common, options)?;
    // Health has to move with every channel, none of which is large; it is told with each heartbeat.
    let small = [("LVSP_LIMITS__SESSIONS", clients), ("LVSP_LIMITS__HEARTBEAT_INTERVAL_MS", 1_000)];
    let server = |site: &Site| -> Result<ServerProcess> {
        let mut server = ServerProcess::new(site, 0)?;
        for (variable, value) in small {
            server.configure(variable, &value.to_string());
        }
        Ok(server)
    };
    let mut world = World::new(&sites[0], server(&sites[0])?, clients, None)?;
    for site in &sites[1..] {
        world.add_server(site, server(site)?)?;
    }
    let all_ready = |world: &mut World| (0..SERVERS).all(|at| world.chat(at).health().is_some());
    if !world.run_until(LIMIT, all_ready)? {
        bail!("not all servers let the chat server in");
    }
    let mut given = BTreeMap::<usize, Vec<ChannelId>>::new();
    for first in (0..clients).step_by(CHANNEL_MEMBERS) {
        let channel = world.members[first].seat.channel;
        let best = healthiest(&world).context("no server is well")?;
        given.entry(best).or_default().push(channel);
        world.give(channel, best);
        world.assemble((first + CHANNEL_MEMBERS).min(clients))?;
        world.run_for(BETWEEN)?;
    }
    // Of those that have calls, not the first: that one's end would be an error of the world.
    let victim = (1..SERVERS).max_by_key(|at| given.get(at).map_or(0, Vec::len));
    let victim = victim.context("there are three")?;
    let shares: Vec<_> = (0..SERVERS).map(|at| given.get(&at).map_or(0, Vec::len)).collect();
    world.kill(victim);
    world.mark(clients);
    let killed = clock::now();
    if !world.run_until(LIMIT, |world| world.chat(victim).health().is_none())? {
        bail!("the chat server does not notice that a server is gone");
    }
    let noticed = clock::now().since(killed);
    for channel in given.remove(&victim).unwrap_or_default() {
        let best = healthiest(&world).context("no server is well")?;
        world.move_calls(channel, victim, best)?;
        world.run_for(BETWEEN)?;
    }
    world.run_until_audible(LIMIT)?;
    world.run_for(AFTER)?;
    let verdict = world.verdict();
    let audible = match world.judge.audible_after() {
        Some(after) => format!("all audible again after {}", seconds(after)),
        None => format!("{} pairs still silent", world.judge.silent_pairs()),
    };
    let held = verdict.held
        && world.judge.audible_after().is_some()
        && shares.iter().all(|channels| *channels > 0);
    let words = format!(
        "{}; channels on each by health: {shares:?}; noticed after {}, {audible} ({} of them \
         waited for others to be placed)",
        verdict.words,
        seconds(noticed),
        shares[victim].saturating_sub(1),
    );
    Ok(Verdict { held, words })
}

/// The server that reports the best health, of those that are connected.
fn healthiest(world: &World) -> Option<usize> {
    let all = (0..SERVERS).filter_map(|at| Some((at, world.chat(at).health()?)));
    all.max_by(|(_, one), (_, other)| one.total_cmp(other)).map(|(at, _)| at)
}

fn sites(common: &Common, options: &Options) -> Result<Vec<Site>> {
    if options.member.is_empty() {
        return (0..SERVERS).map(|_| Site::new(&common.server, &common.site)).collect();
    }
    if options.member.len() != SERVERS {
        bail!("--member is wanted {SERVERS} times");
    }
    let site = |(netns, ip): &(String, Ipv4Addr)| {
        let at = |port| SocketAddr::from((*ip, port));
        Ok(Site {
            link: Some(Link { netns: netns.clone(), server: String::new(), client: String::new() }),
            control: at(6_000),
            gateway: at(8_443),
            media: at(50_000),
            ..Site::new(&common.server, &common.site)?
        })
    };
    options.member.iter().map(site).collect()
}
