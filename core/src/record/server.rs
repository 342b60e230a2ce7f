//! A server whose inputs and outputs can be recorded.

use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::mpsc::{self, Receiver, Sender};

use super::codec::{Corrupt, Field, Record, Source, records};
use super::setup::ServerSetup;
use super::values::Said;
use super::{Machine, Tape};
use crate::command::Command;
use crate::config::{Config, ConfigError};
use crate::entropy::Entropy;
use crate::ids::{ConnId, ControlId, RelayId};
use crate::media::command::RelayEvent;
use crate::output::{Output, Plane};
use crate::parking::ParkingCounts;
use crate::reasons::Refused;
use crate::server::Server;
use crate::time::Timestamp;
use crate::transport::TlsIdentity;

records! {
    /// What stands in the recording of a server. From 100 on: what it answered.
    pub(super) enum ServerRecord {
        1 Accept { now: Timestamp, plane: Plane, peer: SocketAddr },
        2 Bytes { now: Timestamp, conn: ConnId, bytes: Vec<u8> },
        3 Eof { now: Timestamp, conn: ConnId },
        /// With the bytes that were written.
        4 Consume { now: Timestamp, conn: ConnId, written: Vec<u8> },
        5 RelayEvent { now: Timestamp, relay: RelayId, event: RelayEvent },
        6 Timeout { now: Timestamp },
        7 Command { now: Timestamp, client: ControlId, command: Command },
        8 Drain { now: Timestamp },
        9 HostLoad { load: f32 },
        /// A certificate was set: what follows cannot be replayed.
        10 Tls {},
        /// Random bytes that the input before this drew.
        50 Drawn { bytes: Vec<u8> },
        /// What became of an accepted connection.
        100 Accepted { conn: Option<ConnId> },
        /// What became of a command: the text of the refusal.
        101 Obeyed { refused: Option<String> },
        /// What an output was, when it was asked for; nothing is an answer too.
        102 Output { said: Option<Said> },
    }
}

/// A [`Server`] that can write down what goes in and comes out.
///
/// Its methods are the server's own, which say what they do; those that change nothing are reached
/// through [`Deref`]. Without a recording they cost nothing more.
#[derive(Debug)]
pub struct RecordedServer {
    server: Server,
    recording: Option<Recording>,
}

#[derive(Debug)]
struct Recording {
    tape: Tape,
    draws: Receiver<Vec<u8>>,
}

/// Passes random bytes on and tells of them. The server owns it, hence the channel.
struct Overheard {
    entropy: Box<dyn Entropy + Send>,
    draws: Sender<Vec<u8>>,
}

impl Entropy for Overheard {
    fn fill(&mut self, buffer: &mut [u8]) {
        self.entropy.fill(buffer);
        // Nobody listens any more when the recording was stopped.
        let _ = self.draws.send(buffer.to_vec());
    }
}

impl Deref for RecordedServer {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

impl RecordedServer {
    /// A server that has seen nothing yet. It records from here on if `record`.
    ///
    /// # Errors
    /// When the configuration cannot be served; see [`Config::validate`].
    pub fn new(
        config: Config,
        entropy: Box<dyn Entropy + Send>,
        now: Timestamp,
        record: bool,
    ) -> Result<Self, ConfigError> {
        if !record {
            return Ok(Self { server: Server::new(config, entropy, now)?, recording: None });
        }
        let tape = Tape::new(Machine::Server, &ServerSetup::new(&config, now));
        let (sender, draws) = mpsc::channel();
        let entropy = Box::new(Overheard { entropy, draws: sender });
        let server = Server::new(config, entropy, now)?;
        Ok(Self { server, recording: Some(Recording { tape, draws }) })
    }

    /// What was recorded since this was last asked; nothing when no recording is on. Hosts ask
    /// after every turn, because it grows until then.
    #[must_use]
    pub fn take_recording(&mut self) -> Vec<u8> {
        self.recording.as_mut().map_or_else(Vec::new, |r| std::mem::take(&mut r.tape.bytes))
    }

    /// Ends the recording.
    pub fn stop_recording(&mut self) {
        self.recording = None;
    }

    fn note(&mut self, record: impl FnOnce() -> ServerRecord) {
        if let Some(recording) = &mut self.recording {
            recording.tape.note(&record());
        }
    }

    /// Notes what the last input drew.
    fn note_draws(&mut self) {
        if let Some(Recording { tape, draws }) = &mut self.recording {
            let bytes = draws.try_iter().flatten().collect::<Vec<u8>>();
            if !bytes.is_empty() {
                tape.note(&ServerRecord::Drawn { bytes });
            }
        }
    }

    /// See [`Server::handle_accept`].
    ///
    /// # Errors
    /// Why the connection is not wanted; the host closes it.
    pub fn handle_accept(
        &mut self,
        now: Timestamp,
        plane: Plane,
        peer: SocketAddr,
    ) -> Result<ConnId, Refused> {
        self.note(|| ServerRecord::Accept { now, plane, peer });
        let accepted = self.server.handle_accept(now, plane, peer);
        self.note_draws();
        self.note(|| ServerRecord::Accepted { conn: accepted.ok() });
        accepted
    }

    /// See [`Server::handle_bytes`].
    pub fn handle_bytes(&mut self, now: Timestamp, conn: ConnId, bytes: &[u8]) {
        self.note(|| ServerRecord::Bytes { now, conn, bytes: bytes.to_vec() });
        self.server.handle_bytes(now, conn, bytes);
        self.note_draws();
    }

    /// See [`Server::handle_eof`].
    pub fn handle_eof(&mut self, now: Timestamp, conn: ConnId) {
        self.note(|| ServerRecord::Eof { now, conn });
        self.server.handle_eof(now, conn);
        self.note_draws();
    }

    /// See [`Server::consume`].
    pub fn consume(&mut self, now: Timestamp, conn: ConnId, written: usize) {
        if self.recording.is_some() {
            let bytes = self.server.outbound(conn);
            let written = bytes[..written.min(bytes.len())].to_vec();
            self.note(|| ServerRecord::Consume { now, conn, written });
        }
        self.server.consume(now, conn, written);
        self.note_draws();
    }

    /// See [`Server::handle_relay_event`].
    pub fn handle_relay_event(&mut self, now: Timestamp, relay: RelayId, event: RelayEvent) {
        self.note(|| ServerRecord::RelayEvent { now, relay, event });
        self.server.handle_relay_event(now, relay, event);
        self.note_draws();
    }

    /// See [`Server::handle_timeout`].
    pub fn handle_timeout(&mut self, now: Timestamp) {
        self.note(|| ServerRecord::Timeout { now });
        self.server.handle_timeout(now);
        self.note_draws();
    }

    /// See [`Server::handle_command`].
    ///
    /// # Errors
    /// Why the command was refused; nothing changed then.
    pub fn handle_command(
        &mut self,
        now: Timestamp,
        client: ControlId,
        command: Command,
    ) -> Result<(), Refused> {
        let obeyed = if let Some(recording) = &mut self.recording {
            let record = ServerRecord::Command { now, client, command };
            recording.tape.note(&record);
            let ServerRecord::Command { command, .. } = record else { return Ok(()) };
            self.server.handle_command(now, client, command)
        } else {
            self.server.handle_command(now, client, command)
        };
        self.note_draws();
        self.note(|| ServerRecord::Obeyed { refused: obeyed.err().map(|why| why.to_string()) });
        obeyed
    }

    /// See [`Server::begin_drain`].
    pub fn begin_drain(&mut self, now: Timestamp) {
        self.note(|| ServerRecord::Drain { now });
        self.server.begin_drain(now);
        self.note_draws();
    }

    /// See [`Server::set_host_load`].
    pub fn set_host_load(&mut self, load: f32) {
        self.note(|| ServerRecord::HostLoad { load });
        self.server.set_host_load(load);
    }

    /// See [`Server::note_paced`]. It only counts, so that nothing is recorded of it.
    pub const fn note_paced(&mut self, connections: u64) {
        self.server.note_paced(connections);
    }

    /// See [`Server::note_parked`]. It only counts, so that nothing is recorded of it.
    pub const fn note_parked(&mut self, counts: ParkingCounts) {
        self.server.note_parked(counts);
    }

    /// See [`Server::note_not_allowed`]. It only counts, so that nothing is recorded of it.
    pub const fn note_not_allowed(&mut self) {
        self.server.note_not_allowed();
    }

    /// See [`Server::set_tls`]. What is recorded under a certificate cannot be replayed.
    pub fn set_tls(&mut self, identity: Option<TlsIdentity>) {
        if identity.is_some() {
            self.note(|| ServerRecord::Tls {});
        }
        self.server.set_tls(identity);
    }

    /// See [`Server::poll_output`].
    pub fn poll_output(&mut self) -> Option<Output> {
        let output = self.server.poll_output();
        self.note(|| ServerRecord::Output { said: output.as_ref().map(Said::new) });
        output
    }
}
