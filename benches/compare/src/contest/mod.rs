//! The contest: rounds in which every contestant is loaded once, one after the other, so that what
//! the machine does meanwhile befalls all of them.
//!
//! | file | decides |
//! |---|---|
//! | `contestants` | how servers are started |
//! | `arena` | how one of them is loaded |
//! | `sections` | which loads there are, and what their figures are held against |
//! | `system_calls` | how a server's system calls are counted |
//! | `figures` | ratios of rounds, goals, the table |

mod arena;
mod contestants;
mod figures;
mod sections;
mod system_calls;

use std::fs;
use std::io::{Write, stdout};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};

use arena::Arena;
use figures::Results;

/// What is compared, and how thoroughly.
#[derive(Args)]
pub(crate) struct Options {
    /// The program `lvsp-mio`.
    #[arg(long)]
    pub(crate) server: PathBuf,
    /// The program of mumble-server; without it the goals that need it are left out.
    #[arg(long)]
    pub(crate) mumble: Option<PathBuf>,
    /// The network namespace that servers run in.
    #[arg(long)]
    pub(crate) netns: String,
    /// Their address.
    #[arg(long)]
    pub(crate) server_ip: Ipv4Addr,
    /// The address of the clients: of this namespace.
    #[arg(long)]
    pub(crate) client_ip: Ipv4Addr,
    /// The interface of this namespace that everything from the servers arrives on.
    #[arg(long)]
    pub(crate) link: String,
    /// Rounds of each load. Fewer than nine say little.
    #[arg(long, default_value_t = 9)]
    pub(crate) rounds: usize,
    /// The measured time of each load, in seconds.
    #[arg(long, default_value_t = 4.0)]
    pub(crate) seconds: f64,
    /// A tenth of every load, to see that it works: the figures are worth nothing.
    #[arg(long)]
    pub(crate) smoke: bool,
    /// What to compare; everything unless this says otherwise.
    #[arg(long, value_enum)]
    pub(crate) only: Vec<Section>,
    /// Where the figures of every load are written, as JSON.
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
}

impl Options {
    /// Talk before the measured time.
    fn warm_up(&self) -> Duration {
        Duration::from_secs_f64((self.seconds / 4.0).min(1.0))
    }
}

/// What is compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Section {
    /// P1, P2: processor time of a forwarded packet.
    Cpu,
    /// P3: the most that is forwarded without loss.
    Saturation,
    /// P4: latency and loss while everybody reads.
    Latency,
    /// P5: XChaCha20 against AES-256-GCM.
    Modes,
    /// P11: many members, many channels.
    Scale,
    /// P6, P7: memory of a member, processor time of a join.
    Joins,
    /// P8: a second media thread.
    Threads,
    /// P10: Tokio against mio.
    Tokio,
    /// P9: system calls of a forwarded packet.
    SystemCalls,
    /// A channel larger than a thread: five speakers and five thousand who listen.
    Stage,
}

/// Runs it and prints the table.
pub(crate) fn run(options: Options) -> Result<()> {
    ensure!(options.rounds > 0, "--rounds must be at least 1");
    let only = options.only.clone();
    let wanted = |section: &&Section| only.is_empty() || only.contains(*section);
    let (json, smoke) = (options.json.clone(), options.smoke);
    let mut arena = Arena::new(options)?;
    let mut results = Results::default();
    for section in Section::value_variants().iter().filter(wanted) {
        sections::run(*section, &mut arena, &mut results)?;
        // Whatever comes later, these figures are there.
        if let Some(path) = &json {
            let text = serde_json::to_string_pretty(&results)?;
            fs::write(path, text).with_context(|| format!("--json {}", path.display()))?;
        }
    }
    if smoke {
        say("A smoke run: it works, and the figures say nothing.")?;
    }
    say(results.table(!smoke).trim_end())
}

/// Prints a line.
pub(crate) fn say(text: &str) -> Result<()> {
    let mut out = stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).context("standard output")
}
