//! What `lvsp-mio` and `lvsp-tokio` share of the operating system: sockets' options and errors,
//! random bytes, files for recordings.
//!
//! It is for them alone: other hosts have what they need in [`lvsp_core`], which is pure, so that
//! none of this can be there. Nothing here waits, and nothing knows a protocol.
#![forbid(unsafe_code)]

mod entropy;
mod recording;
pub mod tcp;

pub use entropy::OsEntropy;
pub use recording::Sink;
