//! What a voice client sends and hears in datagrams: where it is, and frames that say who spoke.

use std::net::SocketAddr;

use serde_json::json;

use super::Voice;
use crate::kit::{Event, Kit, MILLI, SECOND};
use crate::media::{payload, read_payload};
use crate::network::Way;

const FRAME_US: u64 = 20 * MILLI;

impl Voice {
    pub(super) fn discover(&mut self, kit: &mut Kit) {
        let Some(session) = &mut self.session else { return };
        let Some((tries, at)) = &mut session.discovery else { return };
        if *tries >= self.profile.discovery_tries() || *at > kit.now {
            return;
        }
        *tries += 1;
        *at = kit.now + SECOND;
        let mut request = vec![0, 1, 0, 70];
        request.extend(session.ssrc.to_be_bytes());
        request.resize(74, 0);
        self.transmit(kit, &request);
        self.wake_in(kit, SECOND);
    }

    pub(crate) fn transmit(&self, kit: &mut Kit, bytes: &[u8]) {
        let from = self.address();
        self.transmit_from(kit, from, bytes);
    }

    pub(crate) fn transmit_from(&self, kit: &mut Kit, from: SocketAddr, bytes: &[u8]) {
        let Some(to) = self.session.as_ref().map(|session| session.relay) else { return };
        for (at, bytes) in kit.network.datagram(kit.now, self.index, Way::Up, bytes) {
            kit.agenda.add(at, Event::ToRelay { from, to, bytes });
        }
    }

    fn send_frame(&mut self, kit: &mut Kit) {
        let user = self.user();
        let Some(media) = self.session.as_mut().and_then(|session| session.media.as_mut()) else {
            return;
        };
        let length = if self.dice.below(16) == 0 {
            self.dice.between(200, 1_200)
        } else {
            self.dice.between(20, 160)
        };
        self.said += 1;
        let packet = media.seal(kit, &payload(user, self.said, length as usize));
        self.transmit(kit, &packet);
    }

    pub(crate) fn hear_datagram(&mut self, kit: &mut Kit, to: SocketAddr, mut bytes: Vec<u8>) {
        if to != self.address() || self.gone {
            return; // the router has forgotten that port
        }
        kit.trace.note(kit.now, &bytes);
        let Some(session) = &mut self.session else { return };
        let Some(media) = &mut session.media else { return self.discovered(kit, &bytes) };
        let Some((ssrc, payload)) = media.open(&mut bytes) else { return };
        let Some((user, n)) = read_payload(&payload) else {
            return kit.oracle.fault(format!("voice {} got a damaged payload (I3)", self.index));
        };
        if session.users.get(&ssrc).is_some_and(|named| *named != user) {
            kit.oracle.fault(format!("a frame of {user} came under another's SSRC (I3)"));
        }
        if !self.heard.insert((user, n)) {
            kit.oracle.fault(format!("voice {} heard frame {n} of {user} twice (I3)", self.index));
        }
    }

    fn discovered(&mut self, kit: &mut Kit, bytes: &[u8]) {
        let Some(session) = &mut self.session else { return };
        if bytes.len() != 74 || bytes[1] != 2 || session.discovery.take().is_none() {
            return;
        }
        let text: String =
            bytes[8..72].iter().take_while(|b| **b != 0).map(|b| char::from(*b)).collect();
        let port = u16::from_be_bytes([bytes[72], bytes[73]]);
        let data = json!({"address": text, "port": port, "mode": self.profile.mode().name()});
        self.say(kit, &json!({"op": 1, "d": {"protocol": "udp", "data": data}}));
    }

    pub(super) fn speak(&mut self, kit: &mut Kit) {
        while self.frames > 0 && self.next_frame <= kit.now {
            self.frames -= 1;
            let step = FRAME_US.saturating_add_signed(FRAME_US as i64 * self.drift / 1_000_000);
            self.next_frame += step;
            self.send_frame(kit);
            if self.frames == 0 {
                self.set_speaking(kit, 0);
            } else {
                self.wake_in(kit, self.next_frame.saturating_sub(kit.now));
            }
        }
    }
}
