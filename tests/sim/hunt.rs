//! Many seeds on all cores.

use std::fmt;
use std::num::NonZero;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crate::plan::Plan;
use crate::run;
use crate::shrink::shrink;
use crate::world::Failure;

/// One seed in this many is run twice, to see that both runs are the same.
const TWICE: u64 = 100;

/// What many seeds came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Summary {
    /// Seeds that were run.
    pub seeds: u64,
    /// Seeds in which something did not hold.
    pub failed: u64,
    /// Virtual time, in seconds.
    pub seconds: u64,
    /// Copies of voice packets that were made and judged.
    pub copies: u64,
    /// Of them, those for members at another relay than the speaker's.
    pub carried: u64,
    /// Events that were handled.
    pub events: u64,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seeds, failed, seconds, copies, carried, events } = self;
        let hours = *seconds as f64 / 3_600.0;
        write!(
            f,
            "{seeds} seeds, {failed} failed: {hours:.1} h of virtual time, {events} events, \
             {copies} packets, {carried} of them to other relays"
        )
    }
}

/// A seed that failed.
#[derive(Clone, Debug)]
pub struct Finding {
    /// What did not hold, in the plan as it was drawn.
    pub failure: Failure,
    /// The shortest plan that was found.
    pub plan: Plan,
}

impl fmt::Display for Finding {
    /// A test, to be put among those of `tests.rs` together with the correction.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Failure { at, what } = &self.failure;
        writeln!(f, "    /// At {:.3} s: {what}", *at as f64 / 1e6)?;
        writeln!(f, "    fn seed_{}() = \"", self.plan.seed)?;
        for line in self.plan.to_string().lines() {
            writeln!(f, "        {line}")?;
        }
        write!(f, "    \";")
    }
}

/// Runs these seeds, until `enough` of them have failed; `found` hears of each that does, with a
/// plan made as short as it gets if it is to `shorten`.
pub fn run_seeds(
    seeds: Range<u64>,
    shorten: bool,
    enough: u64,
    found: impl Fn(&Finding) + Sync,
) -> Summary {
    let next = AtomicU64::new(seeds.start);
    let failed = AtomicU64::new(0);
    let total = Mutex::new(Summary::default());
    let work = || {
        let mut mine = Summary::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end || failed.load(Ordering::Relaxed) >= enough {
                break;
            }
            mine.seeds += 1;
            if let Some(failure) = judge(seed, &mut mine) {
                mine.failed += 1;
                failed.fetch_add(1, Ordering::Relaxed);
                let plan = Plan::from_seed(seed);
                let plan = if shorten { shrink(&plan) } else { plan };
                found(&Finding { failure, plan });
            }
        }
        let mut total = total.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        total.seeds += mine.seeds;
        total.failed += mine.failed;
        total.seconds += mine.seconds;
        total.copies += mine.copies;
        total.carried += mine.carried;
        total.events += mine.events;
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, NonZero::get) {
            scope.spawn(work);
        }
    });
    total.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn judge(seed: u64, summary: &mut Summary) -> Option<Failure> {
    let plan = Plan::from_seed(seed);
    let report = match run(&plan) {
        Ok(report) => report,
        Err(failure) => return Some(failure),
    };
    summary.seconds += report.seconds;
    summary.copies += report.copies;
    summary.carried += report.carried;
    summary.events += report.events;
    let same = !seed.is_multiple_of(TWICE) || run(&plan) == Ok(report);
    (!same).then(|| Failure { at: 0, what: "two runs of the same plan differ".to_owned() })
}
