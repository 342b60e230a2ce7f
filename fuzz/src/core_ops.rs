//! Whole runs of the simulator: the core with real ciphers, clients with the habits of their
//! libraries, hostile ones among them, a bad network, and every invariant of the simulator.
//!
//! An input is a plan in another form, so what fails is printed as the shortest plan that fails
//! alike, in the form of a regression test for `tests/sim/tests.rs`.
//!
//! | bytes | what |
//! |---|---|
//! | 2 | seed |
//! | 1 | how many clients, 2 to 6; bit 7: they do not join by themselves |
//! | 1 each | which library |
//! | 1 | how many knobs, at most 8 |
//! | 3 each | which knob, and a number that decides its value |
//! | 6 each | operations: kind, time since the one before (40 ms each), client, detail, 2 for how long or how much |

use lvsp_sim::hunt::Finding;
use lvsp_sim::plan::{Action, CHANNELS, Op};
use lvsp_sim::profile::Profile;
use lvsp_sim::shrink::shrink;
use lvsp_sim::{Plan, run};

use crate::script::Script;

/// Operations of one plan; what comes behind them is not read.
const OPS: usize = 64;
/// The library of each byte: one in eight clients is hostile.
const PROFILES: [Profile; 8] = [
    Profile::DiscordJs,
    Profile::Songbird,
    Profile::DiscordPy,
    Profile::Koe,
    Profile::DiscordJs,
    Profile::Songbird,
    Profile::Koe,
    Profile::Hostile,
];
/// Kinds of operations.
const KINDS: u8 = 18;

/// The body of this target.
pub fn core_ops(data: &[u8]) {
    let plan = decode(data);
    if let Err(failure) = run(&plan) {
        let finding = Finding { failure, plan: shrink(&plan) };
        // A fuzzer's panic hook may be one that says nothing; see `be_quiet`.
        eprintln!("{finding}");
        panic!("{}", finding.failure.what);
    }
}

/// Lets panics inside a run be caught and told with their plan, instead of ending the process.
pub fn be_quiet() {
    std::panic::set_hook(Box::new(|_| ()));
}

/// The plan that these bytes stand for.
#[must_use]
pub fn decode(data: &[u8]) -> Plan {
    let mut script = Script::new(data);
    let mut plan = Plan::calm(script.next::<u16>().into());
    let count = script.next::<u8>();
    for _ in 0..2 + count % 5 {
        plan.voices.push(PROFILES[usize::from(script.next::<u8>()) % PROFILES.len()]);
    }
    for _ in 0..script.next::<u8>() % 9 {
        let (place, number) = (script.next::<u8>(), script.next::<u16>());
        plan.knobs.draw_one(place.into(), number.into());
    }
    let voices = plan.voices.len() as u64;
    if count & 0x80 == 0 {
        for voice in 0..voices {
            plan.ops.push(Op { at: 50 * voice, action: Action::Join { voice, channel: 0 } });
        }
    }
    let mut at = 500;
    for _ in 0..OPS {
        let Some([kind, wait, voice, detail]) = script.step::<[u8; 4]>() else { break };
        at += 40 * u64::from(wait);
        let (voice, detail) = (u64::from(voice) % voices, u64::from(detail));
        let action = action_of(kind % KINDS, voice, detail, script.next::<u16>().into());
        plan.ops.push(Op { at, action });
    }
    plan
}

fn action_of(kind: u8, voice: u64, detail: u64, amount: u64) -> Action {
    let (channel, way) = (detail % CHANNELS, 1 + detail % 3);
    let (short, long) = (amount % 3_000, amount % 20_000);
    match kind {
        0 => Action::Join { voice, channel },
        1 => Action::Leave { voice },
        2 => Action::Flags { voice, flags: detail % 8 },
        3 => Action::Destroy { channel },
        4 => Action::Cut { voice },
        5 => Action::Stall { voice, way, ms: long },
        6 => Action::Clog { voice, way, ms: long },
        7 => Action::Rebind { voice },
        8 => Action::Vanish { voice, ms: long },
        9 => Action::ControlCut { ms: long },
        10 => Action::ControlCrash { ms: long },
        11 => Action::ControlStall { way, ms: long },
        12 => Action::Crash { ms: short },
        13 => Action::Drain { ms: short },
        14 => Action::ServerStall { ms: if detail == 0 { 2 * amount } else { short } },
        15 => Action::RelayStall { ms: short },
        16 => Action::Talk { voice, frames: 1 + detail % 60 },
        _ => Action::Attack { voice, kind: amount % 1_000 },
    }
}

/// The kind of an action. Exhaustive, so that a new one is not forgotten in [`decode`].
#[cfg(test)]
fn kind_of(action: Action) -> u8 {
    match action {
        Action::Join { .. } => 0,
        Action::Leave { .. } => 1,
        Action::Flags { .. } => 2,
        Action::Destroy { .. } => 3,
        Action::Cut { .. } => 4,
        Action::Stall { .. } => 5,
        Action::Clog { .. } => 6,
        Action::Rebind { .. } => 7,
        Action::Vanish { .. } => 8,
        Action::ControlCut { .. } => 9,
        Action::ControlCrash { .. } => 10,
        Action::ControlStall { .. } => 11,
        Action::Crash { .. } => 12,
        Action::Drain { .. } => 13,
        Action::ServerStall { .. } => 14,
        Action::RelayStall { .. } => 15,
        Action::Talk { .. } => 16,
        Action::Attack { .. } => 17,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_action_can_be_decoded() {
        for kind in 0..KINDS {
            assert_eq!(kind_of(action_of(kind, 0, 1, 1)), kind);
        }
    }

    #[test]
    fn any_bytes_are_a_plan_that_reads_as_it_is_written() {
        for data in [&[][..], &[0xFF; 300], &[0x80, 1, 4, 0, 0, 0, 0, 0, 0, 8, 1, 2, 3]] {
            let plan = decode(data);
            assert_eq!(plan.to_string().parse(), Ok(plan));
        }
    }
}
