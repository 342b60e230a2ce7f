//! What other media threads hand to one: a bounded list, whose receiver is woken when something
//! arrives in it.
//!
//! Unlike a [`Queue`](crate::queue::Queue) it refuses for good: media is never queued for long, and
//! late voice is of no use. No memory is allocated after the start.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use lvsp_core::ids::RelaySet;
use lvsp_core::media::{Handover, Handovers};
use mio::Waker;

use crate::threads::{lock, wake};

/// What waits for one media thread.
#[derive(Debug)]
pub(crate) struct Inbox {
    list: Mutex<Handovers>,
    /// Whether there is something, so that a thread that is handed nothing takes no lock.
    filled: AtomicBool,
    /// Wakes the receiver.
    waker: Arc<Waker>,
}

impl Inbox {
    pub(crate) fn new(waker: Arc<Waker>) -> Arc<Self> {
        let (list, filled) = (Mutex::new(Handovers::closed()), AtomicBool::new(false));
        Arc::new(Self { list, filled, waker })
    }

    /// Takes packets from now on: there are other relays.
    pub(crate) fn open(&self) {
        *lock(&self.list) = Handovers::new();
    }

    /// Appends a packet and wakes the receiver; `false` when there is no room.
    pub(crate) fn push(&self, handover: &Handover<'_>) -> bool {
        let mut list = lock(&self.list);
        let first = list.is_empty();
        let pushed = list.push(handover);
        self.filled.store(true, Ordering::Release);
        drop(list);
        if first {
            wake(&self.waker);
        }
        pushed
    }

    /// Takes everything, in exchange for an empty list.
    pub(crate) fn take_all(&self, into: &mut Handovers) {
        debug_assert!(into.is_empty(), "what was taken before is done");
        if self.filled.swap(false, Ordering::Acquire) {
            into.clear();
            std::mem::swap(&mut *lock(&self.list), into);
        }
    }
}

/// Gives a packet to all of these relays; which of them had no room for it.
pub(crate) fn hand_over(inboxes: &[Arc<Inbox>], to: RelaySet, handover: &Handover<'_>) -> RelaySet {
    let given = |relay: usize| inboxes.get(relay).is_some_and(|inbox| inbox.push(handover));
    to.iter().filter(|relay| !given(relay.0.into())).collect()
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use lvsp_core::config::MediaConfig;
    use lvsp_core::crypto::cipher::{Cipher, MediaKey};
    use lvsp_core::crypto::mode::Mode;
    use lvsp_core::ids::{LegId, RelayId, RoomId, Ssrc};
    use lvsp_core::limits::Limits;
    use lvsp_core::media::Relay;
    use lvsp_core::media::command::{Permissions, RelayCommand};
    use lvsp_core::reasons::DropReason;
    use lvsp_core::slab::Slab;
    use lvsp_core::time::Timestamp;
    use mio::Poll;

    use super::*;

    const NOW: Timestamp = Timestamp::ZERO;
    const MODE: Mode = Mode::Aes256GcmRtpSize;

    /// A relay with somebody who speaks in a room that others have legs of.
    fn shared(others: RelaySet) -> Relay {
        let mut relay = Relay::new(RelayId(0), &Limits::default(), MediaConfig::default());
        let leg = Slab::<LegId, ()>::default().insert(());
        let room = Slab::<RoomId, ()>::default().insert(());
        let permissions = Permissions { speak: true, hear: true };
        let (ssrc, peer, bitrate) = (Ssrc(4), None, 64_000);
        let open = RelayCommand::Open { leg, room, ssrc, peer, bitrate, permissions };
        relay.handle_command(NOW, open);
        let (key, nonce_prefix, claimed) = (MediaKey::new([7; 32]), [0; 20], None);
        let set = RelayCommand::SetKey { leg, mode: MODE, key, nonce_prefix, claimed };
        relay.handle_command(NOW, set);
        relay.handle_command(NOW, RelayCommand::Share { room, others });
        relay
    }

    fn packet() -> Vec<u8> {
        let cipher = Cipher::new(MODE, &MediaKey::new([7; 32])).unwrap();
        let header = [0x80, 0x78, 0, 1, 0, 0, 0, 0, 0, 0, 0, 4];
        let mut packet = vec![0; 100];
        let length = cipher.seal_into(&header, [b"frame", &[]], &[0, 0, 0, 1], &mut packet);
        packet.truncate(length.unwrap());
        packet
    }

    #[test]
    fn a_full_inbox_costs_its_relay_a_packet_and_nobody_else() {
        let poll = Poll::new().unwrap();
        let waker = Arc::new(Waker::new(poll.registry(), mio::Token(0)).unwrap());
        let inboxes = [(); 3].map(|()| Inbox::new(Arc::clone(&waker)));
        inboxes.iter().for_each(|inbox| inbox.open());
        // Of a relay that there is not in this host nothing is taken.
        let others = [1, 2, 9].map(RelayId).into_iter().collect();
        let mut relay = shared(others);
        let (mut bytes, from) = (packet(), SocketAddr::from(([192, 0, 2, 1], 5_000)));
        let mut fanout = relay.handle_datagram(NOW, from, &mut bytes);
        let (to, handover) = fanout.take_handover().unwrap();
        let only = |ids: &[u16]| ids.iter().copied().map(RelayId).collect::<RelaySet>();
        assert_eq!(hand_over(&inboxes, to, &handover), only(&[9]));
        while inboxes[2].push(&handover) {}
        let full = hand_over(&inboxes, to, &handover);
        assert_eq!(full, only(&[2, 9]));
        let speaker = fanout.speaker().unwrap();
        drop(fanout);
        relay.note_not_handed_over(NOW, speaker, full);
        assert_eq!(relay.stats().drops.of(DropReason::NotHandedOver), 2);

        let mut taken = Handovers::new();
        inboxes[0].take_all(&mut taken);
        assert!(taken.is_empty(), "nobody hands anything to itself");
        inboxes[1].take_all(&mut taken);
        assert_eq!(taken.len(), 2);
        taken.clear();
        inboxes[2].take_all(&mut taken);
        assert!(taken.len() > 500, "{}", taken.len());
        taken.clear();
        inboxes[2].take_all(&mut taken);
        assert!(taken.is_empty(), "everything was taken at once");
    }
}
