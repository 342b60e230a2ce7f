//! Members of [`crate::forwarder`].

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result};
use lvsp_core::crypto::cipher::{Cipher, MediaKey};
use lvsp_core::crypto::mode::Mode;
use lvsp_core::time::Timestamp;
use lvsp_mio::load::{Ears, Reading, Swarm};

use super::pass;
use crate::forwarder::{HELLO, key};

const MODE: Mode = Mode::Aes256GcmRtpSize;
const HEADER_BYTES: usize = 12;
/// A hello may be lost, and nobody answers it.
const HELLOS: usize = 2;
/// Between two rounds of them.
const PAUSE: Duration = Duration::from_millis(100);

/// Everybody in the one room.
pub(crate) struct Forwarded {
    server: SocketAddr,
    ears: Ears,
    members: Vec<Member>,
    packet: Vec<u8>,
}

struct Member {
    cipher: Cipher,
    counter: u32,
}

impl Forwarded {
    pub(crate) fn new(
        server: SocketAddr,
        members: usize,
        from: IpAddr,
        reading: Reading,
    ) -> Result<Self> {
        let ears = Ears::bind(members, from, reading).context("cannot bind UDP sockets")?;
        let member = |number| {
            let cipher = Cipher::new(MODE, &MediaKey::new(key(number)))?;
            Some(Member { cipher, counter: 0 })
        };
        let members = (0..u32::try_from(members)?).map(member).collect::<Option<_>>();
        let members = members.context("the mode is always built in")?;
        Ok(Self { server, ears, members, packet: vec![0; 2_048] })
    }
}

impl Swarm for Forwarded {
    fn mode(&self) -> String {
        MODE.name().to_owned()
    }

    fn join(&mut self, joined: &mut dyn FnMut(usize)) -> Result<()> {
        for _ in 0..HELLOS {
            for at in 0..self.members.len() {
                let number = u32::try_from(at)?.to_le_bytes();
                self.ears.send(at, &[number, HELLO].concat(), self.server)?;
            }
            pass(self, PAUSE)?;
        }
        joined(self.members.len());
        Ok(())
    }

    fn stop_reading(&mut self) -> Result<()> {
        self.ears.stop_reading().context("the UDP sockets")
    }

    fn speak(&mut self, speaker: usize, frame: &[u8]) -> bool {
        let member = &mut self.members[speaker];
        member.counter = member.counter.wrapping_add(1);
        let counter = member.counter.to_be_bytes();
        let mut header = [0x80, 0x78, counter[2], counter[3], 0, 0, 0, 0, 0, 0, 0, 0];
        header[8..].copy_from_slice(&(speaker as u32).to_be_bytes());
        let sealed = member.cipher.seal_into(&header, [frame, &[]], &counter, &mut self.packet);
        sealed.is_some_and(|length| {
            self.ears.send(speaker, &self.packet[..length], self.server).is_ok()
        })
    }

    fn turn(
        &mut self,
        until: Timestamp,
        heard: &mut dyn FnMut(usize, Timestamp, &[u8]),
    ) -> Result<()> {
        let Self { ears, members, .. } = self;
        ears.turn(until, |at, when, packet| {
            if let Ok(opened) = members[at].cipher.open(packet, HEADER_BYTES) {
                heard(at, when, opened.plaintext);
            }
        })?;
        Ok(())
    }
}
