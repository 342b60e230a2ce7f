//! A relay whose inputs and outputs can be recorded.

use std::net::SocketAddr;
use std::ops::Deref;
use std::time::Duration;

use super::codec::{Corrupt, Field, Record, Source, records};
use super::setup::RelaySetup;
use super::values::HandedOver;
use super::{Machine, Tape};
use crate::config::MediaConfig;
use crate::ids::{LegId, RelayId, RelaySet};
use crate::limits::Limits;
use crate::media::command::{RelayCommand, RelayEvent};
use crate::media::forwarding::forwards;
use crate::media::{Fanout, Filled, Handover, Relay, TransmitBatch};
use crate::time::Timestamp;

records! {
    /// What stands in the recording of a relay. From 100 on: what it answered.
    pub(super) enum RelayRecord {
        1 Command { now: Timestamp, command: RelayCommand },
        2 Datagram { now: Timestamp, age: Duration, from: SocketAddr, bytes: Vec<u8> },
        5 Overflow { now: Timestamp, datagrams: u64 },
        6 Handover { now: Timestamp, packet: HandedOver },
        8 Unsent { now: Timestamp, leg: LegId },
        9 TooLate { now: Timestamp, leg: LegId },
        10 NotHandedOver { now: Timestamp, speaker: LegId, full: RelaySet },
        /// A datagram that the one before led to.
        100 Sealed { to: SocketAddr, bytes: Vec<u8> },
        /// What was told when it was asked for. Nothing is an answer too: asking changes the relay.
        101 Event { event: Option<RelayEvent> },
        /// The packet of the datagram before, which goes to these other relays as well.
        102 HandedOver { to: RelaySet, packet: HandedOver },
    }
}

/// A [`Relay`] that can write down what goes in and comes out.
///
/// Its methods are the relay's own, which say what they do; those that change nothing are reached
/// through [`Deref`]. Without a recording they cost nothing more.
#[derive(Debug)]
pub struct RecordedRelay {
    relay: Relay,
    tape: Option<Tape>,
}

impl Deref for RecordedRelay {
    type Target = Relay;

    fn deref(&self) -> &Relay {
        &self.relay
    }
}

impl RecordedRelay {
    /// A relay without legs. It records from here on if `record`.
    #[must_use]
    pub fn new(id: RelayId, limits: &Limits, config: MediaConfig, record: bool) -> Self {
        let setup = || RelaySetup::new(id, limits, config);
        let tape = record.then(|| Tape::new(Machine::Relay, &setup()));
        Self { relay: Relay::new(id, limits, config), tape }
    }

    /// What was recorded since this was last asked; nothing when no recording is on. Hosts ask
    /// after every turn, because it grows until then.
    #[must_use]
    pub fn take_recording(&mut self) -> Vec<u8> {
        self.tape.as_mut().map_or_else(Vec::new, |tape| std::mem::take(&mut tape.bytes))
    }

    /// Ends the recording.
    pub fn stop_recording(&mut self) {
        self.tape = None;
    }

    /// See [`Relay::note_unsent`].
    pub fn note_unsent(&mut self, now: Timestamp, leg: LegId) {
        note(&mut self.tape, || RelayRecord::Unsent { now, leg });
        self.relay.note_unsent(now, leg);
    }

    /// See [`Relay::note_not_handed_over`].
    pub fn note_not_handed_over(&mut self, now: Timestamp, speaker: LegId, full: RelaySet) {
        if !full.is_empty() {
            note(&mut self.tape, || RelayRecord::NotHandedOver { now, speaker, full });
        }
        self.relay.note_not_handed_over(now, speaker, full);
    }

    /// See [`Relay::note_too_late`].
    pub fn note_too_late(&mut self, now: Timestamp, leg: LegId) {
        note(&mut self.tape, || RelayRecord::TooLate { now, leg });
        self.relay.note_too_late(now, leg);
    }

    /// See [`Relay::note_overflow`].
    pub fn note_overflow(&mut self, now: Timestamp, datagrams: u64) {
        if datagrams > 0 {
            note(&mut self.tape, || RelayRecord::Overflow { now, datagrams });
        }
        self.relay.note_overflow(now, datagrams);
    }

    /// See [`Relay::handle_command`].
    pub fn handle_command(&mut self, now: Timestamp, command: RelayCommand) {
        let Some(tape) = &mut self.tape else { return self.relay.handle_command(now, command) };
        let record = RelayRecord::Command { now, command };
        tape.note(&record);
        if let RelayRecord::Command { command, .. } = record {
            self.relay.handle_command(now, command);
        }
    }

    /// See [`Relay::handle_datagram`].
    pub fn handle_datagram<'a>(
        &'a mut self,
        now: Timestamp,
        from: SocketAddr,
        packet: &'a mut [u8],
    ) -> RecordedFanout<'a> {
        self.handle_aged_datagram(now, Duration::ZERO, from, packet)
    }

    /// See [`Relay::handle_aged_datagram`].
    pub fn handle_aged_datagram<'a>(
        &'a mut self,
        now: Timestamp,
        age: Duration,
        from: SocketAddr,
        packet: &'a mut [u8],
    ) -> RecordedFanout<'a> {
        let bytes = || packet.to_vec();
        note(&mut self.tape, || RelayRecord::Datagram { now, age, from, bytes: bytes() });
        let fanout = self.relay.handle_aged_datagram(now, age, from, packet);
        RecordedFanout { fanout, tape: self.tape.as_mut() }
    }

    /// See [`Relay::handle_handover`].
    pub fn handle_handover<'a>(
        &'a mut self,
        now: Timestamp,
        handover: &Handover<'a>,
    ) -> RecordedFanout<'a> {
        let packet = || HandedOver::new(handover);
        note(&mut self.tape, || RelayRecord::Handover { now, packet: packet() });
        let fanout = self.relay.handle_handover(now, handover);
        RecordedFanout { fanout, tape: self.tape.as_mut() }
    }

    /// See [`Relay::poll_event`].
    pub fn poll_event(&mut self) -> Option<RelayEvent> {
        let event = self.relay.poll_event();
        note(&mut self.tape, || RelayRecord::Event { event });
        event
    }
}

fn note(tape: &mut Option<Tape>, record: impl FnOnce() -> RelayRecord) {
    if let Some(tape) = tape {
        tape.note(&record());
    }
}

/// A [`Fanout`] whose copies are recorded as they are filled.
#[derive(Debug)]
#[must_use = "receivers get nothing until the fan-out is filled into a batch"]
pub struct RecordedFanout<'a> {
    fanout: Fanout<'a>,
    tape: Option<&'a mut Tape>,
}

impl<'a> RecordedFanout<'a> {
    /// See [`Fanout::fill`].
    pub fn fill(&mut self, batch: &mut TransmitBatch) -> Filled {
        let before = batch.len();
        let filled = self.fanout.fill(batch);
        if let Some(tape) = &mut self.tape {
            for copy in batch.entries().skip(before) {
                tape.note(&RelayRecord::Sealed { to: copy.address, bytes: copy.bytes.to_vec() });
            }
        }
        filled
    }

    /// See [`Fanout::speaker`].
    #[must_use]
    pub fn speaker(&self) -> Option<LegId> {
        self.fanout.speaker()
    }

    /// See [`Fanout::take_handover`].
    pub fn take_handover(&mut self) -> Option<(RelaySet, Handover<'a>)> {
        let (to, handover) = self.fanout.take_handover()?;
        if let Some(tape) = &mut self.tape {
            tape.note(&RelayRecord::HandedOver { to, packet: HandedOver::new(&handover) });
        }
        Some((to, handover))
    }
}

forwards! { RecordedRelay, RecordedFanout }

impl<'a> Deref for RecordedFanout<'a> {
    type Target = Fanout<'a>;

    fn deref(&self) -> &Fanout<'a> {
        &self.fanout
    }
}
