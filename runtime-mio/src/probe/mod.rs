//! A look at a running server from outside: a chat server and two voice clients join it, and each
//! step is timed and, where it fails, explained.
//!
//! | file | decides |
//! |---|---|
//! | `target` | which server, with what secret and trust |
//! | `peer` | one connection: when its steps are passed |
//! | `stage` | all sockets of a probe, and one turn of them |
//! | `script` | what is tried in which order, and for how long |
//! | `talk` | two clients talk: round trip, jitter, loss |
//! | `explain` | what a failure means and what to do |
//! | `report` | what is shown |

mod explain;
mod peer;
mod report;
mod script;
mod stage;
mod talk;
mod target;

pub use explain::Failure;
pub use report::{Direction, Report, Step};
pub use script::run;
pub use target::{Entry, Target, Trust};
