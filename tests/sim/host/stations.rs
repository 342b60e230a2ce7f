//! Media threads: each has a relay, its commands, its socket, and what other relays hand to it.

use std::collections::VecDeque;
use std::net::SocketAddr;

use lvsp_core::config::MediaConfig;
use lvsp_core::ids::RelayId;
use lvsp_core::limits::Limits;
use lvsp_core::media::command::RelayCommand;
use lvsp_core::media::{Filled, Handovers, Relay, TransmitBatch};

use super::{Host, Input};
use crate::kit::{self, Kit};
use crate::oracle::{Accepted, Oracle};

/// Of the first relay; the others have the next ones.
pub(crate) const PORT: u16 = 50_000;
/// Datagrams that the system holds for a media thread; what comes on top is lost.
const SOCKET: usize = 256;
/// Datagrams that a media thread takes in a turn.
const BUDGET: usize = 64;

/// A relay, its queue and its socket.
pub(super) struct Station {
    pub(super) relay: Relay,
    pub(super) commands: VecDeque<RelayCommand>,
    socket: VecDeque<(SocketAddr, Vec<u8>)>,
    stalled: u64,
    /// When its next turn is due, so that none is asked for twice.
    due: Option<u64>,
}

impl Station {
    pub(super) fn new(id: RelayId, limits: &Limits, media: MediaConfig) -> Self {
        Self {
            relay: Relay::new(id, limits, media),
            commands: VecDeque::new(),
            socket: VecDeque::new(),
            stalled: 0,
            due: None,
        }
    }
}

/// What waits for a relay of what others hand to it.
#[derive(Default)]
pub(super) struct Inbox {
    list: Handovers,
    /// Who said each of them, in order, and where that was.
    accepted: VecDeque<Accepted>,
}

impl Host {
    pub(crate) fn take_datagram(
        &mut self,
        kit: &mut Kit,
        (from, to): (SocketAddr, SocketAddr),
        bytes: Vec<u8>,
    ) {
        let at = usize::from(to.port().wrapping_sub(PORT));
        let Some(station) = self.stations.get_mut(at) else { return };
        if station.socket.len() < SOCKET {
            station.socket.push_back((from, bytes));
        }
        self.wake_relay(kit, at);
    }

    pub(crate) fn stall_relay(&mut self, until: u64) {
        self.stations.iter_mut().for_each(|station| station.stalled = station.stalled.max(until));
    }

    pub(super) fn wake_relay(&mut self, kit: &mut Kit, relay: usize) {
        let lag = self.dice.exponential(kit.knobs.relay_lag_us);
        let Some(station) = self.stations.get_mut(relay) else { return };
        let at = (kit.now + lag).max(station.stalled);
        if station.due.is_none_or(|due| at < due) {
            station.due = Some(at);
            kit.agenda.add(at, kit::Event::RelayTurn(relay));
        }
    }

    /// What it sends: to which address, and what.
    pub(crate) fn relay_turn(&mut self, kit: &mut Kit, at: usize) -> Vec<(SocketAddr, Vec<u8>)> {
        let Some(station) = self.stations.get_mut(at) else { return Vec::new() };
        if station.due.is_none_or(|due| due > kit.now) {
            return Vec::new(); // an earlier turn has done it
        }
        station.due = None;
        if kit.now < station.stalled {
            self.wake_relay(kit, at);
            return Vec::new();
        }
        let now = kit.timestamp();
        // The rule: a batch first, then every command that is queued, then the batch.
        let taken: Vec<_> = station.socket.drain(..station.socket.len().min(BUDGET)).collect();
        std::mem::swap(&mut self.taken, &mut self.inboxes[at]);
        for command in std::mem::take(&mut self.stations[at].commands) {
            self.core(|_, stations| stations[at].relay.handle_command(now, command));
        }
        let mut sent = Vec::new();
        for (from, mut bytes) in taken {
            self.handle_datagram(kit, at, (from, &mut bytes), &mut sent);
        }
        self.handle_handovers(kit, at, &mut sent);
        let mut news = false;
        while let Some(event) = self.core(|_, stations| stations[at].relay.poll_event()) {
            self.inbox.push_back(Input::Relay(self.stations[at].relay.id(), event));
            news = true;
        }
        if news {
            self.wake_server(kit);
        }
        if !self.stations[at].socket.is_empty() {
            self.wake_relay(kit, at);
        }
        sent
    }

    fn handle_datagram(
        &mut self,
        kit: &mut Kit,
        at: usize,
        (from, bytes): (SocketAddr, &mut [u8]),
        sent: &mut Vec<(SocketAddr, Vec<u8>)>,
    ) {
        kit.oracle.received(from, bytes.len());
        let accepted = kit.oracle.accepted(rtp_ssrc(bytes));
        let mut fanout = self.stations[at].relay.handle_datagram(kit.timestamp(), from, bytes);
        let mut others = Vec::new();
        if let Some((to, handover)) = fanout.take_handover() {
            for relay in to.iter() {
                let inbox = &mut self.inboxes[usize::from(relay.0)];
                if inbox.list.push(&handover) {
                    inbox.accepted.push_back(accepted);
                }
                others.push(usize::from(relay.0));
            }
        }
        let fill = |batch: &mut TransmitBatch| fanout.fill(batch);
        send(fill, &mut self.batch, (&mut kit.oracle, accepted), sent);
        drop(fanout);
        for relay in others {
            self.wake_relay(kit, relay);
        }
    }

    fn handle_handovers(
        &mut self,
        kit: &mut Kit,
        at: usize,
        sent: &mut Vec<(SocketAddr, Vec<u8>)>,
    ) {
        let now = kit.timestamp();
        let Self { taken: Inbox { list, accepted }, stations, batch, .. } = self;
        while let (Some(handover), Some(accepted)) = (list.take(), accepted.pop_front()) {
            let mut fanout = stations[at].relay.handle_handover(now, &handover);
            let (before, fill) = (sent.len(), |batch: &mut TransmitBatch| fanout.fill(batch));
            send(fill, batch, (&mut kit.oracle, accepted), sent);
            kit.oracle.carried += (sent.len() - before) as u64;
        }
    }
}

/// Fills and empties the batch until everything is sent.
fn send(
    mut fill: impl FnMut(&mut TransmitBatch) -> Filled,
    batch: &mut TransmitBatch,
    (oracle, accepted): (&mut Oracle, Accepted),
    sent: &mut Vec<(SocketAddr, Vec<u8>)>,
) {
    loop {
        let filled = fill(batch);
        for copy in batch.entries() {
            oracle.sent(accepted, copy.leg, copy.address, copy.bytes);
            sent.push((copy.address, copy.bytes.to_vec()));
        }
        batch.clear();
        if filled == Filled::Done {
            return;
        }
    }
}

fn rtp_ssrc(bytes: &[u8]) -> Option<u32> {
    let rtp = bytes.first()? >> 6 == 2;
    let ssrc = bytes.get(8..12)?.try_into().ok()?;
    rtp.then_some(u32::from_be_bytes(ssrc))
}
