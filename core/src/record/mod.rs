//! Recordings: everything that a host feeds to a machine, and what the machine answers.
//!
//! [`RecordedServer`] and [`RecordedRelay`] stand around the two machines with the same methods.
//! When a recording is on they write down each input with its time, each random byte that was
//! drawn and each output, an empty one included; the host takes the bytes ([`RecordedServer::take_recording`]) and puts
//! them where it likes. [`replay()`] feeds a recording to a new machine and compares: equal inputs,
//! times and random bytes give equal outputs, byte for byte.
//!
//! Only plain TCP can be replayed, because bytes inside TLS are drawn by a library. **A recording
//! holds secrets**: the control secret, tokens, media keys, and everybody's audio.
//!
//! # The format, version 4
//!
//! One recording is of one machine. Numbers are little-endian; a text or a list of bytes is its
//! length as `u32` and the bytes; an address is 4 or 6, the IP's bytes and the port as `u16`; an id
//! is its index and its generation as `u32`; an option is 0, or 1 and the value; a time is a `u64` of
//! microseconds since the host's epoch.
//!
//! | bytes | what |
//! |---|---|
//! | 7 | `LVSPREC` |
//! | 1 | the version, 4 |
//! | 1 | the machine: 0 a server, 1 a relay |
//! | 4 + n | what the machine was made with, as JSON |
//! | then, for each record: 1 | its kind |
//! | 4 + n | its body |
//!
//! The kinds and the fields of each body stand in `record/server.rs` and `record/relay.rs`, in the
//! order in which they are written. A kind never changes its meaning; whatever else changes gets a
//! new version. A recording may end anywhere: a process that was killed leaves a good one.

mod codec;
mod relay;
mod replay;
mod server;
mod setup;
mod values;

pub use codec::Corrupt;
pub use relay::{RecordedFanout, RecordedRelay};
pub use replay::{ReplayError, Replayed, replay};
pub use server::RecordedServer;

#[cfg(test)]
mod tests;

const MAGIC: &[u8; 7] = b"LVSPREC";
const VERSION: u8 = 4;

/// Which machine a recording is of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Machine {
    Server,
    Relay,
}

/// A recording that grows.
#[derive(Debug)]
struct Tape {
    bytes: Vec<u8>,
}

impl Tape {
    /// Begins one with its head.
    fn new(machine: Machine, setup: &impl serde::Serialize) -> Self {
        let mut bytes = MAGIC.to_vec();
        bytes.push(VERSION);
        bytes.push(machine as u8);
        // Plain data without maps: there is nothing in it that could fail.
        let setup = serde_json::to_vec(setup).unwrap_or_default();
        codec::Field::put(&setup, &mut bytes);
        Self { bytes }
    }

    /// Appends a record.
    fn note(&mut self, record: &impl codec::Record) {
        self.bytes.push(record.kind());
        let start = self.bytes.len();
        self.bytes.extend([0; 4]);
        record.put(&mut self.bytes);
        let length = u32::try_from(self.bytes.len() - start - 4).unwrap_or(u32::MAX);
        self.bytes[start..start + 4].copy_from_slice(&length.to_le_bytes());
    }
}
