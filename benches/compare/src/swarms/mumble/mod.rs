//! Clients of mumble-server, all in its root channel: control over TLS, voice over UDP.

mod control;
mod ocb2;
mod voice;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result};
use lvsp_core::time::Timestamp;
use lvsp_mio::clock;
use lvsp_mio::load::{Ears, Reading, Swarm};

use super::pass;
use control::Control;
use voice::Crypt;

/// A ping may be lost, and its answer is not waited for.
const PINGS: usize = 3;
/// Between two rounds of them.
const PAUSE: Duration = Duration::from_millis(150);
/// One control connection is looked at each time, so that frames are not late for all of them.
const SERVE_INTERVAL: Duration = Duration::from_millis(2);
/// A frame of 20 ms is two of Mumble's units.
const SEQUENCE_STEP: u64 = 2;

/// Everybody in the root channel.
pub(crate) struct Mumble {
    server: SocketAddr,
    ears: Ears,
    members: Vec<Member>,
    count: usize,
    /// Whose control connection is looked at next, and when.
    serve: (usize, Timestamp),
    plain: Vec<u8>,
    packet: Vec<u8>,
}

struct Member {
    control: Control,
    crypt: Crypt,
    sequence: u64,
}

impl Mumble {
    pub(crate) fn new(
        server: SocketAddr,
        members: usize,
        from: IpAddr,
        reading: Reading,
    ) -> Result<Self> {
        let ears = Ears::bind(members, from, reading).context("cannot bind UDP sockets")?;
        Ok(Self {
            server,
            ears,
            members: Vec::with_capacity(members),
            count: members,
            serve: (0, clock::now()),
            plain: Vec::new(),
            packet: Vec::new(),
        })
    }

    /// Makes the server learn everybody's address.
    fn ping(&mut self) -> Result<()> {
        for (at, member) in self.members.iter_mut().enumerate() {
            voice::ping(&mut self.plain);
            member.crypt.seal(&self.plain, &mut self.packet);
            self.ears.send(at, &self.packet, self.server)?;
        }
        Ok(())
    }

    /// Looks at one control connection, if it is time to.
    fn serve_one(&mut self) -> Result<()> {
        let (at, due) = self.serve;
        let now = clock::now();
        if due <= now && !self.members.is_empty() {
            self.serve = ((at + 1) % self.members.len(), now + SERVE_INTERVAL);
            self.members[at].control.serve(now)?;
        }
        Ok(())
    }
}

impl Swarm for Mumble {
    fn mode(&self) -> String {
        "ocb2_aes128".to_owned()
    }

    fn join(&mut self, joined: &mut dyn FnMut(usize)) -> Result<()> {
        let config = control::trusting()?;
        for at in 0..self.count {
            let name = format!("load{at}");
            let (control, crypt) = Control::log_in(self.server, &config, &name)?;
            self.members.push(Member { control, crypt, sequence: 0 });
            joined(at + 1);
        }
        for _ in 0..PINGS {
            self.ping()?;
            pass(self, PAUSE)?;
        }
        Ok(())
    }

    fn stop_reading(&mut self) -> Result<()> {
        self.ears.stop_reading().context("the UDP sockets")
    }

    fn speak(&mut self, speaker: usize, frame: &[u8]) -> bool {
        let member = &mut self.members[speaker];
        voice::voice(member.sequence, frame, &mut self.plain);
        member.sequence += SEQUENCE_STEP;
        member.crypt.seal(&self.plain, &mut self.packet);
        self.ears.send(speaker, &self.packet, self.server).is_ok()
    }

    fn turn(
        &mut self,
        until: Timestamp,
        heard: &mut dyn FnMut(usize, Timestamp, &[u8]),
    ) -> Result<()> {
        self.serve_one()?;
        let until = until.min(self.serve.1);
        let Self { ears, members, .. } = self;
        ears.turn(until, |at, when, packet| {
            let Some(member) = members.get_mut(at) else { return };
            if let Some(frame) = member.crypt.open(packet).and_then(voice::opus) {
                heard(at, when, frame);
            }
        })?;
        Ok(())
    }

    fn leave(&mut self) -> Result<()> {
        self.members.clear();
        Ok(())
    }
}
