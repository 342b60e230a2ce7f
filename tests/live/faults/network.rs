//! What happens on the way: loss, a narrow line, none at all, other ports, bad datagrams and streams.

use std::time::Duration;

use anyhow::{Context, Result};

use super::Scene;
use crate::relay::{Datagrams, Streams, Weather};
use crate::site::{self, Link, missing, run_in};

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

pub(super) fn lose(scene: &mut Scene<'_>) -> Result<String> {
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

pub(super) fn throttle(scene: &mut Scene<'_>) -> Result<String> {
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

pub(super) fn cut_link(scene: &mut Scene<'_>) -> Result<String> {
    let link = scene.site.need_link()?;
    let mut undo = Undo::new(link);
    run_in(link, &["ip", "link", "set", &link.server, "down"])?;
    undo.add(true, &["ip", "link", "set", &link.server, "up"]);
    scene.world.run_for(Duration::from_secs(scene.options.down_seconds))?;
    drop(undo);
    scene.mark();
    Ok(String::new())
}

pub(super) fn rebind(scene: &mut Scene<'_>) -> Result<String> {
    let before = scene.world.record(None);
    // Twice, farther apart than a second: a leg may move once in one.
    scene.world.rebind()?;
    let meanwhile = scene.endure(Duration::from_secs(2))?;
    scene.world.rebind()?;
    scene.mark();
    let lost = scene.expect_none_lost(before.lost);
    Ok(format!("after a first one too ({meanwhile}), {lost} connections lost"))
}

pub(super) fn kill_connections(scene: &mut Scene<'_>) -> Result<String> {
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

pub(super) fn spoil_datagrams(scene: &mut Scene<'_>) -> Result<String> {
    let delay = Duration::from_millis(80);
    let datagrams = Datagrams { loss: 50, repeat: 50, corrupt: 20, delay };
    spoil(scene, Weather { datagrams, ..Weather::default() })
}

pub(super) fn spoil_streams(scene: &mut Scene<'_>) -> Result<String> {
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
