//! Makes a failing plan as short as it gets while it fails in the same way.

use crate::plan::{Knobs, Plan};
use crate::run;

/// Runs that a shrink may take.
const RUNS: u32 = 2_000;

struct Shrinker {
    best: Plan,
    kind: String,
    runs: u32,
}

/// A shorter plan that fails with the same kind of failure. One that does not fail comes back as it is.
#[must_use]
pub fn shrink(plan: &Plan) -> Plan {
    let Err(failure) = run(plan) else { return plan.clone() };
    let mut shrinker = Shrinker { best: plan.clone(), kind: kind(&failure.what), runs: 0 };
    loop {
        let before = shrinker.best.clone();
        shrinker.drop_ops();
        shrinker.calm_knobs();
        shrinker.drop_voices();
        if shrinker.best == before || shrinker.runs >= RUNS {
            return shrinker.best;
        }
    }
}

/// What a failure is about: its words without numbers, up to the first detail.
fn kind(what: &str) -> String {
    what.chars().filter(|c| !c.is_ascii_digit()).take(40).collect()
}

impl Shrinker {
    fn try_plan(&mut self, plan: Plan) -> bool {
        self.runs += 1;
        let fails = self.runs <= RUNS
            && matches!(run(&plan), Err(failure) if kind(&failure.what) == self.kind);
        if fails {
            self.best = plan;
        }
        fails
    }

    /// Delta debugging: ever smaller parts are left out.
    fn drop_ops(&mut self) {
        let mut size = self.best.ops.len().div_ceil(2);
        while size > 0 {
            let mut at = 0;
            while at < self.best.ops.len() {
                let mut plan = self.best.clone();
                plan.ops.drain(at..(at + size).min(plan.ops.len()));
                if !self.try_plan(plan) {
                    at += size;
                }
            }
            size /= 2;
        }
    }

    fn calm_knobs(&mut self) {
        for name in Knobs::NAMES {
            let mut plan = self.best.clone();
            let calm = Knobs::default().by_name(name).copied();
            let Some((knob, calm)) = plan.knobs.by_name(name).zip(calm) else { continue };
            if *knob != calm {
                *knob = calm;
                self.try_plan(plan);
            }
        }
    }

    /// From the end, because operations name voices by their place.
    fn drop_voices(&mut self) {
        while self.best.voices.len() > 1 {
            let mut plan = self.best.clone();
            plan.voices.pop();
            if !self.try_plan(plan) {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_that_holds_is_left_as_it_is() {
        let plan = Plan::calm(7);
        assert_eq!(shrink(&plan), plan);
    }
}
