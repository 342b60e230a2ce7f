//! What the server has too little of: descriptors, memory, processor time.

use anyhow::{Context, Result};

use super::Scene;
use crate::member::Member;
use crate::site::{self, Cgroup, missing};

pub(super) fn starve_of_descriptors(scene: &mut Scene<'_>) -> Result<String> {
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

pub(super) fn starve_of_memory(scene: &mut Scene<'_>) -> Result<String> {
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

pub(super) fn starve_of_cpu(scene: &mut Scene<'_>) -> Result<String> {
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
