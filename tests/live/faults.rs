//! One fault after the other: made, ended, and what the clients noticed.
//!
//! Each fault has a server, a chat server and clients of its own. What must hold is the same for
//! all: no wrong delivery, no numbered message lost, and after the fault's end everybody hears
//! everybody within its goal.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use lvsp_mio::clock;

use crate::member::Member;
use crate::relay::{Datagrams, Relay, Streams, Weather};
use crate::server::ServerProcess;
use crate::site::{self, Cgroup, Link, Missing, Site, missing, run_in};
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
    Fault { goal: RESTART_GOAL, ..fault("kill -9 of the server", kill_server) },
    fault("kill -9 of the chat server", kill_chat_server),
    fault("SIGSTOP", stop),
    fault("20 % loss", lose),
    fault("rate 1 Mbit/s", throttle),
    fault("link down", cut_link),
    fault("NAT rebind", rebind),
    Fault { late: 10, ..fault("fd limit 64", starve_of_descriptors) },
    fault("64 MiB of memory", starve_of_memory),
    fault("20 % of a CPU", starve_of_cpu),
    fault("ss -K", kill_connections),
    Fault { late: 10, ..fault("certificate swap", swap_certificate) },
    // Beyond the twelve, by our relay.
    Fault { relayed: true, ..fault("bad datagrams", spoil_datagrams) },
    Fault { relayed: true, ..fault("bad streams", spoil_streams) },
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
    let heard = |world: &mut World| world.judge.audible_after().is_some();
    scene.world.run_until(LIMIT, heard)?;
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
        let heard = |world: &mut World| world.judge.audible_after().is_some();
        self.world.run_until(time, heard)?;
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

/// Commands that undo what was done to the machine, whatever happens in between.
struct Undo<'a> {
    link: &'a Link,
    commands: Vec<(bool, Vec<String>)>,
}

impl<'a> Undo<'a> {
    const fn new(link: &'a Link) -> Self {
        Self { link, commands: Vec::new() }
    }

    fn add(&mut self, in_netns: bool, words: &[&str]) {
        self.commands.push((in_netns, words.iter().map(|word| (*word).to_owned()).collect()));
    }
}

impl Drop for Undo<'_> {
    fn drop(&mut self) {
        for (in_netns, words) in self.commands.iter().rev() {
            let words: Vec<_> = words.iter().map(String::as_str).collect();
            // The namespace is removed in the end, with all that is left in it.
            let _ = if *in_netns { run_in(self.link, &words) } else { site::run(&words) };
        }
    }
}

// --- processes ---

fn kill_server(scene: &mut Scene<'_>) -> Result<String> {
    scene.world.kill_server()?;
    scene.mark();
    Ok(String::new())
}

fn kill_chat_server(scene: &mut Scene<'_>) -> Result<String> {
    let away = scene.time();
    let lost = scene.world.record(None).lost;
    scene.world.chat.crash(away);
    let meanwhile = scene.endure_audibly(away)?;
    if !scene.world.run_until(LIMIT, |world| world.chat.is_ready())? {
        bail!("the chat server did not get back in");
    }
    scene.mark();
    let lost = scene.expect_none_lost(lost);
    Ok(format!("{meanwhile}, {lost} connections lost"))
}

fn stop(scene: &mut Scene<'_>) -> Result<String> {
    scene.world.server.signal("STOP")?;
    scene.world.run_for(Duration::from_secs(scene.options.stop_seconds))?;
    scene.world.server.signal("CONT")?;
    scene.mark();
    Ok(String::new())
}

// --- the network ---

fn lose(scene: &mut Scene<'_>) -> Result<String> {
    let link = scene.site.need_link()?;
    let mut undo = Undo::new(link);
    // Where packets arrive: a sender is not to be told that one was lost.
    drop_arrivals(&mut undo, true, &link.server)?;
    drop_arrivals(&mut undo, false, &link.client)?;
    let meanwhile = scene.endure_audibly(scene.time())?;
    drop(undo);
    scene.mark();
    Ok(meanwhile)
}

/// Drops one packet in five of those that arrive at an interface.
fn drop_arrivals(undo: &mut Undo<'_>, in_netns: bool, interface: &str) -> Result<()> {
    let link = undo.link;
    let apply = |words: &[&str]| {
        if in_netns { run_in(link, words) } else { site::run(words) }
    };
    let nft = |words: &[&str]| apply(&[&["nft"], words].concat());
    nft(&["add", "table", "inet", "lvsp_live"])?;
    undo.add(in_netns, &["nft", "delete", "table", "inet", "lvsp_live"]);
    let chain = ["inet", "lvsp_live", "arrivals"];
    let hook = "{ type filter hook input priority 0 ; }";
    nft(&[["add", "chain"].as_slice(), &chain, &[hook]].concat())?;
    let rule = ["iifname", interface, "numgen", "random", "mod", "100", "<", "20", "drop"];
    nft(&[["add", "rule"].as_slice(), &chain, &rule].concat())
}

fn throttle(scene: &mut Scene<'_>) -> Result<String> {
    let link = scene.site.need_link()?;
    let mut undo = Undo::new(link);
    let tbf = ["tbf", "rate", "1mbit", "burst", "16kb", "latency", "200ms"];
    let words = |verb, device| ["tc", "qdisc", verb, "dev", device, "root"];
    run_in(link, &[words("add", &link.server).as_slice(), &tbf].concat())?;
    undo.add(true, &words("del", &link.server));
    site::run(&[words("add", &link.client).as_slice(), &tbf].concat())?;
    undo.add(false, &words("del", &link.client));
    let meanwhile = scene.endure(scene.time())?;
    drop(undo);
    scene.mark();
    Ok(meanwhile)
}

fn cut_link(scene: &mut Scene<'_>) -> Result<String> {
    let link = scene.site.need_link()?;
    let mut undo = Undo::new(link);
    run_in(link, &["ip", "link", "set", &link.server, "down"])?;
    undo.add(true, &["ip", "link", "set", &link.server, "up"]);
    scene.world.run_for(Duration::from_secs(scene.options.down_seconds))?;
    drop(undo);
    scene.mark();
    Ok(String::new())
}

fn rebind(scene: &mut Scene<'_>) -> Result<String> {
    let before = scene.world.record(None);
    // Twice, farther apart than a second: a leg may move once in one.
    scene.world.rebind()?;
    let meanwhile = scene.endure(Duration::from_secs(2))?;
    scene.world.rebind()?;
    scene.mark();
    let lost = scene.expect_none_lost(before.lost);
    Ok(format!("after a first one too ({meanwhile}), {lost} connections lost"))
}

fn kill_connections(scene: &mut Scene<'_>) -> Result<String> {
    let lost = scene.world.record(None).lost;
    let (ip, gateway) = (scene.site.gateway.ip().to_string(), scene.site.gateway.port());
    let control = scene.site.control.port();
    for port in [gateway, control] {
        let port = format!(":{port}");
        site::run(&["ss", "-K", "-t", "-H", "dst", &ip, "dport", "=", &port])?;
    }
    scene.mark();
    // A kernel without that ability says nothing.
    scene.world.run_for(Duration::from_millis(200))?;
    let lost = scene.world.record(None).lost - lost;
    if lost == 0 {
        return missing("`ss -K` ended no connection: the kernel lacks CONFIG_INET_DIAG_DESTROY");
    }
    Ok(format!("{lost} connections killed, the chat server's as well"))
}

fn spoil_datagrams(scene: &mut Scene<'_>) -> Result<String> {
    let delay = Duration::from_millis(80);
    let datagrams = Datagrams { loss: 50, repeat: 50, corrupt: 20, delay };
    spoil(scene, Weather { datagrams, ..Weather::default() })
}

fn spoil_streams(scene: &mut Scene<'_>) -> Result<String> {
    let stall_time = Duration::from_millis(700);
    let streams = Streams { piece: 48, stall: 20, stall_time, reset: 5 };
    let lost = scene.world.record(None).lost;
    let meanwhile = spoil(scene, Weather { streams, ..Weather::default() })?;
    let lost = scene.world.record(None).lost - lost;
    Ok(format!("{meanwhile}, {lost} connections reset"))
}

fn spoil(scene: &mut Scene<'_>, weather: Weather) -> Result<String> {
    let relay = scene.relay.take().context("this fault is relayed")?;
    relay.set(weather);
    let meanwhile = scene.endure(scene.time())?;
    relay.set(Weather::default());
    scene.relay = Some(relay);
    scene.mark();
    Ok(meanwhile)
}

// --- resources ---

fn starve_of_descriptors(scene: &mut Scene<'_>) -> Result<String> {
    let pid = format!("--pid={}", scene.world.server.pid()?);
    let before = scene.world.record(None);
    let limit = soft_descriptor_limit(&pid)?;
    site::run(&["prlimit", &pid, "--nofile=64:"])?;
    let (early, clients) = (scene.early, scene.clients);
    scene.world.members[early..].iter_mut().for_each(Member::want);
    let meanwhile = scene.endure_audibly(scene.time())?;
    let live = scene.world.count_live();
    let lost = scene.world.record(None).lost - before.lost;
    site::run(&["prlimit", &pid, &format!("--nofile={limit}:")])?;
    scene.mark();
    Ok(format!(
        "{meanwhile} for the {early} inside; {} of {} newcomers got in during it ({lost} turned \
         away), all after it",
        live.saturating_sub(early),
        clients - early
    ))
}

/// The limit of open files of a process.
fn soft_descriptor_limit(pid: &str) -> Result<String> {
    let words = ["prlimit", pid, "--nofile", "--output=SOFT", "--noheadings"];
    match site::command(&words)?.output() {
        Ok(output) if output.status.success() => {
            Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        }
        Ok(output) => missing(String::from_utf8_lossy(&output.stderr).trim()),
        Err(error) => missing(format!("prlimit does not run: {error}")),
    }
}

fn starve_of_memory(scene: &mut Scene<'_>) -> Result<String> {
    let group = Cgroup::new("memory")?;
    group.set("memory.limit_in_bytes", "memory.max", &(64 << 20).to_string())?;
    // Only what is allocated inside counts, so the server is started there.
    scene.world.server.start_in(Some(group.members()));
    scene.world.kill_server()?;
    let meanwhile = scene.endure(scene.time())?;
    let peak = group.read("memory.max_usage_in_bytes", "memory.peak");
    let peak: u64 = peak.parse().context("the peak of the group's memory")?;
    let pid = scene.world.server.pid()?;
    group.check_member(pid)?;
    let refusals = group.read("memory.failcnt", "memory.events").replace('\n', " ");
    group.release(pid);
    scene.world.server.start_in(None);
    scene.mark();
    Ok(format!(
        "started anew under the limit, {meanwhile}; peak {:.1} MiB, limit hit: {refusals}",
        peak as f64 / f64::from(1 << 20)
    ))
}

fn starve_of_cpu(scene: &mut Scene<'_>) -> Result<String> {
    let group = Cgroup::new("cpu")?;
    let quota = if group.is_unified() { "20000 100000" } else { "20000" };
    group.set("cpu.cfs_quota_us", "cpu.max", quota)?;
    let pid = scene.world.server.pid()?;
    group.take(pid)?;
    group.check_member(pid)?;
    // One talker a channel costs less than that.
    scene.world.set_chorus(true);
    let meanwhile = scene.endure(scene.time())?;
    scene.world.set_chorus(false);
    let figures = group.read("cpu.stat", "cpu.stat");
    let throttled = figures.lines().find_map(|line| line.strip_prefix("nr_throttled "));
    group.release(pid);
    scene.mark();
    Ok(format!(
        "{meanwhile}, throttled {} times while all talked at once",
        throttled.unwrap_or("an unknown number of")
    ))
}

// --- the certificate ---

fn swap_certificate(scene: &mut Scene<'_>) -> Result<String> {
    let lost = scene.world.record(None).lost;
    let trust = scene.world.server.write_certificate()?;
    scene.world.server.signal("HUP")?;
    let reloaded = |world: &mut World| world.server.log_tail(20).contains("certificate reloaded");
    if !scene.world.run_until(GOAL, reloaded)? {
        bail!("the certificate was not reloaded:\n{}", scene.world.server.log_tail(20));
    }
    scene.world.trust_only(trust);
    let (early, clients) = (scene.early, scene.clients);
    scene.world.members[early..].iter_mut().for_each(Member::want);
    scene.mark();
    let all = |world: &mut World| world.count_live() == clients;
    scene.world.run_until(LIMIT, all)?;
    let lost = scene.expect_none_lost(lost);
    Ok(format!(
        "{lost} connections lost; {} newcomers who trust the new certificate alone",
        clients - early
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_twelve_faults_have_names_of_their_own() {
        let mut names: Vec<_> = FAULTS.iter().map(|fault| fault.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), FAULTS.len());
    }
}
