//! Sans-IO core.
#![forbid(unsafe_code)]

pub mod entropy;
pub mod ids;
pub mod limits;
pub mod reasons;
pub mod slab;
pub mod stats;
pub mod time;
pub mod wire;
