//! The simulator's seeds, and what they have found.

use std::sync::Mutex;

use lvsp_sim::{Plan, hunt, run};

/// Seeds that every change has to survive. `scripts/simulate.sh` runs many more.
const SEEDS: u64 = 2_000;

/// Tests of plans that failed once, as the simulator prints them.
macro_rules! found {
    ($($(#[$doc:meta])* fn $name:ident() = $plan:literal;)*) => {
        $($(#[$doc])* #[test] fn $name() { holds($plan); })*
        const FOUND: &[&str] = &[$($plan),*];
    };
}

found! {
    /// A state dump was written faster than its reader's connection may hold, and that dropped it as
    /// a slow reader, every time it came back.
    fn a_dump_does_not_make_its_reader_a_slow_one() = "
        seed 623
        voices discord.py koe songbird koe discord.js hostile hostile
        server_lag_us 6115
        outbound_bytes 19763
        at 7967 attack 6 9
        at 8281 join 5 2
        at 8301 server-stall 2821
        at 8508 server-stall 80508
        at 13087 join 6 0
        at 13757 join 2 1
        at 16467 join 3 0
        at 18184 join 4 1
    ";

    /// Somebody left a large channel that was small a moment later and came back at once: the others
    /// were told of the return before the departure.
    fn a_return_is_not_told_before_the_departure() = "
        seed 918
        voices discord.py koe discord.py discord.js discord.js
        gather_above_members 3
        at 884 join 4 0
        at 966 join 3 0
        at 1008 join 1 0
        at 1148 join 5 0
        at 23395 control-stall 1 17770
        at 27517 join 3 0
        at 36772 join 5 1
    ";
}

/// Runs a plan in its text form.
#[track_caller]
fn holds(text: &str) {
    let plan: Plan = text.parse().unwrap_or_else(|bad| panic!("{bad}"));
    if let Err(failure) = run(&plan) {
        panic!("at {:.3} s: {}", failure.at as f64 / 1e6, failure.what);
    }
}

/// What was found once runs first. `SIM_SEED` runs one seed alone.
#[test]
fn every_seed_holds() {
    for plan in FOUND {
        holds(plan);
    }
    let seed = std::env::var("SIM_SEED").ok().map(|text| text.parse().expect("SIM_SEED: a number"));
    let seeds = seed.map_or(0..SEEDS, |seed: u64| seed..seed + 1);
    let findings = Mutex::new(Vec::new());
    let summary = hunt::run_seeds(seeds.clone(), true, 3, |finding| {
        findings.lock().expect("no hunter panics").push(finding.to_string());
    });
    let findings = findings.into_inner().expect("no hunter panics");
    assert_eq!(summary.failed, 0, "{summary}\n{}", findings.join("\n\n"));
    assert_eq!(summary.seeds, seeds.end - seeds.start);
    if seed.is_none() {
        assert!(summary.copies > 100 * SEEDS, "they hardly talked: {summary}");
        assert!(summary.carried > 10 * SEEDS, "they were hardly apart: {summary}");
    }
}

#[test]
fn a_run_can_be_repeated_byte_for_byte() {
    for seed in 0..20 {
        let plan = Plan::from_seed(seed);
        assert_eq!(run(&plan), run(&plan), "seed {seed}");
    }
    let digests: Vec<_> =
        (0..20).map(|seed| run(&Plan::from_seed(seed)).map(|r| r.digest)).collect();
    let mut distinct = digests.clone();
    distinct.sort_by_key(|digest| digest.clone().ok());
    distinct.dedup();
    assert_eq!(distinct.len(), digests.len(), "other seeds give other runs");
}
