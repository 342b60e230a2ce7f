//! Runs many seeds, and says which of them fail and with what shortest plan.
#![expect(clippy::print_stdout, reason = "this is what the program is for")]

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use lvsp_sim::{Plan, hunt, run_aloud};

/// Runs seeds of the simulator.
#[derive(Parser)]
struct Options {
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// How many seeds.
    #[arg(long, default_value_t = 2_000)]
    seeds: u64,
    /// Run this seed alone and show its plan.
    #[arg(long, env = "SIM_SEED")]
    seed: Option<u64>,
    /// Run the plan in this file and tell everything that happens.
    #[arg(long)]
    plan: Option<PathBuf>,
    /// Stop when so many seeds have failed.
    #[arg(long, default_value_t = 10)]
    enough: u64,
    /// Print failures as they are, without making them shorter.
    #[arg(long)]
    no_shrink: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    if let Some(path) = &options.plan {
        return run_file(path);
    }
    // A panic of the core is a finding, told with its plan.
    std::panic::set_hook(Box::new(|_| ()));
    if let Some(seed) = options.seed {
        println!("{}", Plan::from_seed(seed));
    }
    let seeds = match options.seed {
        Some(seed) => seed..seed + 1,
        None => options.from..options.from + options.seeds,
    };
    let summary = hunt::run_seeds(seeds, !options.no_shrink, options.enough, |finding| {
        println!("{finding}\n");
    });
    println!("{summary}");
    if summary.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run_file(path: &Path) -> ExitCode {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => return fail(&format!("cannot read {}: {error}", path.display())),
    };
    let plan = match text.parse::<Plan>() {
        Ok(plan) => plan,
        Err(error) => return fail(&format!("{}: {error}", path.display())),
    };
    match run_aloud(&plan, |line| println!("{line}")) {
        Ok(report) => println!("{report:?}"),
        Err(failure) => return fail(&format!("{failure:?}")),
    }
    ExitCode::SUCCESS
}

fn fail(why: &str) -> ExitCode {
    println!("{why}");
    ExitCode::FAILURE
}
