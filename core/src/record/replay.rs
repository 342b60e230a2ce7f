//! Feeding a recording to a new machine.
//!
//! The new machine is recorded as well, and the two recordings have to be equal: that compares
//! every output, every byte written and every random byte drawn at once.

use std::collections::VecDeque;

use super::codec::{Corrupt, Field, Source};
use super::relay::RelayRecord;
use super::server::ServerRecord;
use super::setup::{RelaySetup, ServerSetup};
use super::{MAGIC, RecordedFanout, RecordedRelay, RecordedServer, VERSION};
use crate::entropy::{Entropy, SeededEntropy};
use crate::ids::RelayId;
use crate::media::{Filled, TransmitBatch};
use crate::time::Timestamp;

/// What a replay came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Replayed {
    /// Records that are inputs.
    pub inputs: usize,
    /// Records that are outputs or random bytes, all of them equal.
    pub outputs: usize,
    /// Bytes at the end that are no whole record: the process was killed, or is still writing.
    pub rest: usize,
}

/// Why a recording could not be replayed, or how it went differently.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// It does not begin as a recording does.
    #[error("this is not a recording")]
    NotARecording,
    /// It has another version than this crate replays.
    #[error("this recording has version {0}, and version {VERSION} can be replayed")]
    Version(u8),
    /// It is damaged.
    #[error("this recording is {0}")]
    Corrupt(Corrupt),
    /// The machine cannot be made again.
    #[error("the machine of this recording cannot be made: {0}")]
    Setup(String),
    /// It was recorded with a certificate.
    #[error("it was recorded with TLS, whose bytes are drawn by a library: record plain TCP")]
    Tls,
    /// The machine answered something else.
    #[error("it goes differently from byte {at} on, after {inputs} inputs")]
    Diverged {
        /// Where the first other byte stands.
        at: usize,
        /// How many inputs there were before.
        inputs: usize,
    },
}

// By hand, as its text has the other one's: as a source it would be told twice.
impl From<Corrupt> for ReplayError {
    fn from(error: Corrupt) -> Self {
        Self::Corrupt(error)
    }
}

/// Feeds a recording to a new machine and compares what it answers.
///
/// # Errors
/// When it cannot be replayed, and at the first answer that differs.
pub fn replay(recording: &[u8]) -> Result<Replayed, ReplayError> {
    let mut source = Source::new(recording);
    if !source.bytes(MAGIC.len()).is_ok_and(|magic| magic == MAGIC) {
        return Err(ReplayError::NotARecording);
    }
    let [version, machine] = source.array()?;
    if version != VERSION {
        return Err(ReplayError::Version(version));
    }
    let setup = Vec::take(&mut source)?;
    // What is no whole record at the end cannot be compared either.
    let (whole, rest) = recording.split_at(source.end_of_records());
    let comparison = Comparison::new(whole, source);
    let mut replayed = match machine {
        0 => replay_server(&setup, comparison),
        1 => replay_relay(&setup, comparison),
        _ => {
            Err(Corrupt { at: MAGIC.len() + 1, what: "neither of a server nor of a relay" }.into())
        }
    }?;
    replayed.rest = rest.len();
    Ok(replayed)
}

/// How far two recordings are equal.
struct Comparison<'a> {
    recording: &'a [u8],
    source: Source<'a>,
    /// Everything before this is equal.
    equal: usize,
    replayed: Replayed,
}

impl<'a> Comparison<'a> {
    const fn new(recording: &'a [u8], source: Source<'a>) -> Self {
        Self { recording, source, equal: 0, replayed: Replayed { inputs: 0, outputs: 0, rest: 0 } }
    }

    /// Compares what the new machine recorded. The old recording may end within it.
    fn compare(&mut self, new: &[u8]) -> Result<(), ReplayError> {
        let old = &self.recording[self.equal..];
        let same = old.iter().zip(new).take_while(|(old, new)| old == new).count();
        if same < old.len().min(new.len()) {
            let (at, inputs) = (self.equal + same, self.replayed.inputs);
            return Err(ReplayError::Diverged { at, inputs });
        }
        self.equal += same;
        Ok(())
    }

    /// Everything was fed; the new machine has to have said everything that the old one said.
    fn finish(self) -> Result<Replayed, ReplayError> {
        if self.equal < self.recording.len() {
            let inputs = self.replayed.inputs;
            return Err(ReplayError::Diverged { at: self.equal, inputs });
        }
        Ok(self.replayed)
    }
}

/// The random bytes of a recording, once more. Behind them come others, because a machine may go
/// on asking until it is given a number that is free.
struct Played(VecDeque<u8>, SeededEntropy);

impl Entropy for Played {
    fn fill(&mut self, buffer: &mut [u8]) {
        self.1.fill(buffer);
        // More than was recorded is a divergence, which the comparison finds.
        let count = self.0.len().min(buffer.len());
        buffer.iter_mut().zip(self.0.drain(..count)).for_each(|(byte, played)| *byte = played);
    }
}

fn replay_server(setup: &[u8], mut comparison: Comparison<'_>) -> Result<Replayed, ReplayError> {
    let setup: ServerSetup = serde_json::from_slice(setup).map_err(unusable)?;
    let now = Timestamp::from_micros(setup.now);
    let mut drawn = VecDeque::new();
    let mut ahead = comparison.source.clone();
    while let Some(record) = ahead.record()? {
        if let ServerRecord::Drawn { bytes } = record {
            drawn.extend(bytes);
        }
    }
    let config = setup.into_config().map_err(unusable)?;
    let entropy = Box::new(Played(drawn, SeededEntropy::new(0)));
    let mut server = RecordedServer::new(config, entropy, now, true).map_err(unusable)?;
    comparison.compare(&server.take_recording())?;
    while let Some(record) = comparison.source.record()? {
        if feed_server(&mut server, record)? {
            comparison.replayed.inputs += 1;
        } else {
            comparison.replayed.outputs += 1;
        }
        comparison.compare(&server.take_recording())?;
    }
    comparison.finish()
}

/// Repeats what the host did; whether that was an input.
fn feed_server(server: &mut RecordedServer, record: ServerRecord) -> Result<bool, ReplayError> {
    match record {
        ServerRecord::Accept { now, plane, peer } => {
            let _ = server.handle_accept(now, plane, peer);
        }
        ServerRecord::Bytes { now, conn, bytes } => server.handle_bytes(now, conn, &bytes),
        ServerRecord::Eof { now, conn } => server.handle_eof(now, conn),
        ServerRecord::Consume { now, conn, written } => server.consume(now, conn, written.len()),
        ServerRecord::RelayEvent { now, relay, event } => {
            server.handle_relay_event(now, relay, event);
        }
        ServerRecord::Timeout { now } => server.handle_timeout(now),
        ServerRecord::Command { now, client, command } => {
            let _ = server.handle_command(now, client, command);
        }
        ServerRecord::Drain { now } => server.begin_drain(now),
        ServerRecord::HostLoad { load } => server.set_host_load(load),
        ServerRecord::Tls {} => return Err(ReplayError::Tls),
        ServerRecord::Output { .. } => {
            // Asking changes the server too.
            let _ = server.poll_output();
            return Ok(false);
        }
        ServerRecord::Drawn { .. }
        | ServerRecord::Accepted { .. }
        | ServerRecord::Obeyed { .. } => return Ok(false),
    }
    Ok(true)
}

fn replay_relay(setup: &[u8], mut comparison: Comparison<'_>) -> Result<Replayed, ReplayError> {
    let setup: RelaySetup = serde_json::from_slice(setup).map_err(unusable)?;
    let config = setup.media.into_config();
    let mut relay = RecordedRelay::new(RelayId(setup.id), &setup.limits, config, true);
    let mut batch = TransmitBatch::new();
    comparison.compare(&relay.take_recording())?;
    while let Some(record) = comparison.source.record()? {
        if feed_relay(&mut relay, &mut batch, record) {
            comparison.replayed.inputs += 1;
        } else {
            comparison.replayed.outputs += 1;
        }
        comparison.compare(&relay.take_recording())?;
    }
    comparison.finish()
}

/// Repeats what the host did; whether that was an input.
fn feed_relay(relay: &mut RecordedRelay, batch: &mut TransmitBatch, record: RelayRecord) -> bool {
    match record {
        RelayRecord::Command { now, command } => relay.handle_command(now, command),
        RelayRecord::Datagram { now, age, from, mut bytes } => {
            fill(relay.handle_aged_datagram(now, age, from, &mut bytes), batch);
        }
        RelayRecord::Handover { now, packet } => {
            fill(relay.handle_handover(now, &packet.handover()), batch);
        }
        RelayRecord::NotHandedOver { now, speaker, full } => {
            relay.note_not_handed_over(now, speaker, full);
        }
        RelayRecord::Unsent { now, leg } => relay.note_unsent(now, leg),
        RelayRecord::TooLate { now, leg } => relay.note_too_late(now, leg),
        RelayRecord::Overflow { now, datagrams } => relay.note_overflow(now, datagrams),
        RelayRecord::Event { .. } => {
            let _ = relay.poll_event();
            return false;
        }
        RelayRecord::Sealed { .. } | RelayRecord::HandedOver { .. } => return false,
    }
    true
}

/// Hosts take what is to be handed over first.
fn fill(mut fanout: RecordedFanout<'_>, batch: &mut TransmitBatch) {
    let _ = fanout.take_handover();
    batch.clear();
    while let Filled::BatchFull = fanout.fill(batch) {
        batch.clear();
    }
}

fn unusable(error: impl std::fmt::Display) -> ReplayError {
    ReplayError::Setup(error.to_string())
}
