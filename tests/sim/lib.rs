//! A seeded world in virtual time around the real core: chat servers of each revision, voice clients
//! with the habits of their libraries, a bad network, and processes that stall and die.
//!
//! ```text
//! seed ─▶ plan (who, how bad, what happens when) ─▶ world ─▶ report, or what did not hold
//!                                                              └─▶ shrunk plan
//! ```
//!
//! | module | what |
//! |---|---|
//! | [`plan`] | what happens; its text form |
//! | `world` | hands each event to whom it concerns; the examination at the end |
//! | `host` | the server's process: the core, its queues and threads |
//! | `chat`, `voice`, `profile`, `media`, `hostile` | those who use it |
//! | `network`, `link` | TCP and UDP; the far end of a WebSocket |
//! | `oracle` | what must hold at every step: the invariants of `docs/reliability.md` |
//! | [`shrink`] | makes a failing plan short |
//! | [`hunt`] | many seeds on all cores |
//!
//! Ciphers, WebSocket and JSON are the real ones; only TLS is left out. Nothing here reads a clock
//! or the system's randomness: a plan gives the same run every time.

mod chat;
mod dice;
mod host;
mod hostile;
pub mod hunt;
mod kit;
mod link;
mod media;
mod network;
mod oracle;
pub mod plan;
pub mod profile;
pub mod shrink;
mod voice;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

pub use plan::Plan;
use world::World;
pub use world::{Failure, Report};

/// Runs a plan.
///
/// # Errors
/// What did not hold; a panic of the core is one of these things.
pub fn run(plan: &Plan) -> Result<Report, Failure> {
    guard(|| World::new(plan.clone()).run())
}

/// Runs a plan and tells everything that happens, a line each.
///
/// # Errors
/// As [`run`].
pub fn run_aloud(plan: &Plan, tell: fn(&str)) -> Result<Report, Failure> {
    guard(|| World::new(plan.clone()).tell_to(tell).run())
}

/// Does something, and says by how many bytes what is allocated has grown.
pub type Gauge = fn(&mut dyn FnMut()) -> i64;

/// Runs a plan and holds what the core allocates against the memory ceiling of its limits.
///
/// # Errors
/// As [`run`].
pub fn run_measured(plan: &Plan, gauge: Gauge) -> Result<Report, Failure> {
    guard(|| World::new(plan.clone()).measured_by(gauge).run())
}

fn guard(run: impl FnOnce() -> Result<Report, Failure>) -> Result<Report, Failure> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let what = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic");
        Err(Failure { at: 0, what: format!("{what} (I10)") })
    })
}
