//! The server as a process of its own, with hundreds of voice clients and a chat server on real
//! sockets, while something goes wrong: faults of machines and networks, restarts, attacks.
//!
//! | module | what |
//! |---|---|
//! | `faults`, `restart`, `hostile`, `overload` | the sub-commands: what goes wrong, and what must hold |
//! | `fleet` | the sub-command with three servers, one of which is killed |
//! | `stay` | the sub-command that lets others look at a server in use |
//! | `trial` | what `hostile` and `overload` have in common |
//! | `world` | the loop: everybody's sockets, who talks when |
//! | `member`, `chat` | a voice client with its library's habits; the chat server with its database |
//! | `judge` | what was heard against what should have been |
//! | `server`, `site` | the server's process; where it runs, and by which means it is hurt |
//! | `relay` | a seeded relay that delays, reorders, repeats and corrupts |
//! | `attack` | garbage datagrams, bad and slow connections |
//!
//! Everything here is impure on purpose: the same logic in virtual time is the simulator beside it.

mod attack;
mod chat;
mod faults;
mod fleet;
mod hostile;
mod judge;
mod member;
mod overload;
mod relay;
mod restart;
mod server;
mod site;
mod stay;
mod trial;
mod world;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};
use signal_hook::consts::{SIGINT, SIGTERM};

use site::SiteOptions;
use world::Verdict;

/// Break a voice server on real sockets, and see what its clients notice.
///
/// Exit status: 0 when everything held, 1 when something did not, 2 for a wrong command line.
/// What could not run on this machine is told, and is no failure.
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

/// What all sub-commands share.
#[derive(clap::Args, Clone, Debug)]
struct Common {
    /// The server's program.
    #[arg(long, global = true, default_value = "target/release/lvsp-mio")]
    server: PathBuf,
    /// Voice clients, ten in each channel.
    #[arg(long, global = true, value_parser = clap::value_parser!(u32).range(2..=1000))]
    clients: Option<u32>,
    /// Where the random choices of relay and attack begin.
    #[arg(long, global = true, default_value_t = 1)]
    seed: u64,
    /// Judge only what does not depend on the speed of this machine: wrong deliveries, lost
    /// messages, and whether everybody is in and audible in the end.
    #[arg(long, global = true)]
    smoke: bool,
    #[command(flatten)]
    site: SiteOptions,
}

#[derive(Subcommand)]
enum Command {
    /// One fault after the other, each with a new server and new clients.
    Faults(faults::Options),
    /// Stop the server by SIGTERM and start it again, with all clients in calls.
    Restart(restart::Options),
    /// Garbage datagrams and bad connections while members talk and newcomers join.
    Hostile(hostile::Options),
    /// Twice the load that the server can carry.
    Overload(overload::Options),
    /// Three servers under one chat server that goes by their health; one of them is killed.
    Fleet(fleet::Options),
    /// Keep members in calls for somebody who looks at the server, until the input ends.
    Stay(stay::Options),
}

/// Set by SIGINT and SIGTERM. What was done to the machine is undone before the process ends.
static INTERRUPTED: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

fn main() -> ExitCode {
    let Arguments { common, command } = Arguments::parse();
    match run(&common, &command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(io::stderr(), "live: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(common: &Common, command: &Command) -> Result<bool> {
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&INTERRUPTED))?;
    }
    match command {
        Command::Faults(options) => faults::run(common, options),
        Command::Restart(options) => restart::run(common, options),
        Command::Hostile(options) => hostile::run(common, options),
        Command::Overload(options) => overload::run(common, options),
        Command::Fleet(options) => fleet::run(common, options),
        Command::Stay(options) => stay::run(common, options),
    }
}

/// Fails once the process was told to end.
fn check_interrupt() -> Result<()> {
    if INTERRUPTED.load(Ordering::Relaxed) { bail!("interrupted") } else { Ok(()) }
}

/// Writes a line to standard output, at once.
fn say(line: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).context("cannot write to standard output")
}

/// Tells what became of something by its name; whether it held.
fn tell(name: &str, outcome: Result<Verdict>) -> Result<bool> {
    let verdict =
        outcome.unwrap_or_else(|error| Verdict { held: false, words: format!("{error:#}") });
    let word = if verdict.held { "pass" } else { "FAIL" };
    say(&format!("{word}  {name:<27} {}", verdict.words))?;
    Ok(verdict.held)
}

/// A duration as people read it here.
fn seconds(duration: std::time::Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}
