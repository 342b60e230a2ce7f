//! A load of voice clients, and what it does to a server.
//!
//! Members join through LVSP and the voice gateway as clients do, some of them talk, and everything
//! that arrives is counted and timed. One thread does all of it, so that server and generator can
//! share a machine of two processors.
//!
//! | file | decides |
//! |---|---|
//! | `shape` | how many of what, and so what has to arrive |
//! | `pacer`, `stamp` | what is said when, and what it says |
//! | `climb` | how many speakers are tried next, on the way to saturation |
//! | `run` | what happens in which order: [`Swarm`], [`run()`] |
//! | `tally` | what counts |
//! | `link` | what arrived where nobody reads |
//! | `report` | what is shown |
//! | `discord`, `chat`, `door` | members of this server: one kind of [`Swarm`] |
//! | `ears`, `alarm` | the sockets of a swarm, and waking up in time |
//!
//! [`run()`] takes any [`Swarm`], so that other servers can be measured by the same clock, load and
//! arithmetic.

mod alarm;
mod chat;
mod climb;
mod descriptors;
mod discord;
mod door;
mod ears;
mod link;
mod pacer;
mod report;
mod run;
mod shape;
mod stamp;
mod tally;

pub use crate::process::{Process, ProcessorTime};
pub use discord::{Crowd, Discord};
pub use door::{Door, Entry};
pub use ears::{Ears, Reading};
pub use link::Link;
pub use report::{Joins, Percentiles, Report, Step};
pub use run::{Plan, Swarm, run};
pub use shape::{FRAMES_PER_S, Shape, Sizes};
pub use stamp::{STAMP_BYTES, Stamp};
