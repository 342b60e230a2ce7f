//! A room whose legs are on two relays.

use std::time::Duration;

use super::*;
use crate::ids::RelaySet;
use crate::media::fanout::HEAD_BYTES;
use crate::media::{Handover, Handovers};

struct Pair {
    here: Fixture,
    there: Fixture,
    room: RoomId,
    waiting: Handovers,
}

impl Pair {
    /// Two relays that know of each other in one room, as soon as there are legs.
    fn new() -> Self {
        let (mut here, mut there) = (Fixture::new(), Fixture::new());
        there.relay = Relay::new(RelayId(1), &Limits::default(), MediaConfig::default());
        let (room, same) = (here.room(), there.room());
        assert_eq!(room, same);
        Self { here, there, room, waiting: Handovers::new() }
    }

    fn share(&mut self) {
        let both = RelaySet::EMPTY.with(RelayId(0)).with(RelayId(1));
        let (room, here) = (self.room, RelayCommand::Share { room: self.room, others: both });
        self.here.command(here);
        let others = both.without(RelayId(1));
        self.there.command(RelayCommand::Share { room, others });
    }

    /// Somebody here says something: what leaves here, and what waits for the other relay.
    fn speak(&mut self, client: &mut Client, sequence: u16) -> Sent {
        let mut packet = client.packet(sequence, b"opus");
        let Fixture { relay, batch, now, .. } = &mut self.here;
        let mut fanout = relay.handle_datagram(*now, client.address, &mut packet);
        if let Some((others, handover)) = fanout.take_handover() {
            assert_eq!(others, RelaySet::EMPTY.with(RelayId(1)), "not to itself");
            assert!(self.waiting.push(&handover));
        }
        assert!(fanout.take_handover().is_none(), "once");
        assert_eq!(fanout.fill(batch), Filled::Done);
        drop(fanout);
        take(batch)
    }

    /// What the other relay makes of the packet that waits.
    fn take(&mut self) -> Result<Sent, DropReason> {
        let handover = self.waiting.take().expect("a packet waits");
        let Fixture { relay, batch, now, .. } = &mut self.there;
        let mut fanout = relay.handle_handover(*now, &handover);
        if let Some(reason) = fanout.drop_reason() {
            return Err(reason);
        }
        assert!(fanout.take_handover().is_none(), "it goes no further");
        assert_eq!(fanout.fill(batch), Filled::Done);
        drop(fanout);
        Ok(take(batch))
    }
}

fn take(batch: &mut TransmitBatch) -> Sent {
    let sent = batch.entries().map(|sent| (sent.address, sent.leg, sent.bytes.to_vec())).collect();
    batch.clear();
    sent
}

fn legs(sent: &Sent) -> Vec<LegId> {
    sent.iter().map(|(_, leg, _)| *leg).collect()
}

#[test]
fn everybody_at_every_relay_hears_a_packet_once_and_alike() {
    let mut pair = Pair::new();
    let mut speaker = pair.here.join(pair.room, AES);
    let near = pair.here.join(pair.room, XCHACHA);
    let far: Vec<_> = [AES, XCHACHA].map(|mode| pair.there.join(pair.room, mode)).into();
    let elsewhere = pair.there.room();
    let _stranger = pair.there.join(elsewhere, AES);
    pair.share();
    let sent = pair.speak(&mut speaker, 7);
    assert_eq!(legs(&sent), [near.leg]);
    let wanted = expected(speaker.ssrc, 7, 0x9E, 0x02, b"opus");
    assert_eq!(near.open(&sent[0].2), wanted);
    let sent = pair.take().expect("it is heard");
    // Its own room alone, and there everybody: the speaker's place in its room means nothing here.
    assert_eq!(legs(&sent), [far[0].leg, far[1].leg]);
    for (client, (address, _, copy)) in far.iter().zip(&sent) {
        assert_eq!(*address, client.address);
        assert_eq!(client.open(copy), wanted, "the very same packet");
    }
    let (here, there) = (pair.here.relay.stats(), pair.there.relay.stats());
    assert_eq!((here.handovers_out, here.handovers_in, here.packets_in), (1, 0, 1));
    assert_eq!((there.handovers_out, there.handovers_in, there.packets_in), (0, 1, 0));
    assert_eq!(here.packets_out + there.packets_out, 3);
    assert!(pair.waiting.is_empty());
}

#[test]
fn who_may_not_speak_is_not_handed_over_and_who_may_not_hear_gets_nothing() {
    let mut pair = Pair::new();
    let mut speaker = pair.here.join(pair.room, AES);
    let (deaf, hearing) = (pair.there.join(pair.room, AES), pair.there.join(pair.room, AES));
    pair.share();
    pair.there.permit(&deaf, true, false);
    pair.speak(&mut speaker, 1);
    assert_eq!(legs(&pair.take().expect("it is heard")), [hearing.leg]);
    pair.here.permit(&speaker, false, true);
    let packet = speaker.packet(2, b"opus");
    assert_eq!(pair.here.refused(speaker.address, &packet), DropReason::Muted);
    assert_eq!(pair.here.relay.stats().handovers_out, 1);
}

#[test]
fn a_room_to_itself_hands_nothing_over() {
    let mut pair = Pair::new();
    let mut speaker = pair.here.join(pair.room, AES);
    let listener = pair.there.join(pair.room, AES);
    pair.speak(&mut speaker, 1);
    assert!(pair.waiting.is_empty(), "nobody said that the room is shared");
    pair.share();
    pair.speak(&mut speaker, 2);
    assert_eq!(pair.waiting.len(), 1);
    // The last one there goes, while a packet is on its way.
    pair.there.command(RelayCommand::Close { leg: listener.leg });
    pair.here.command(RelayCommand::Share { room: pair.room, others: RelaySet::EMPTY });
    assert_eq!(pair.take(), Err(DropReason::RoomGone));
    pair.speak(&mut speaker, 3);
    assert!(pair.waiting.is_empty());
}

#[test]
fn a_room_that_comes_again_is_not_shared_as_the_one_before_was() {
    let mut pair = Pair::new();
    let speaker = pair.here.join(pair.room, AES);
    pair.share();
    pair.here.command(RelayCommand::Close { leg: speaker.leg });
    let mut speaker = pair.here.join(pair.room, AES);
    pair.speak(&mut speaker, 1);
    assert!(pair.waiting.is_empty());
}

#[test]
fn a_packet_is_as_old_at_the_next_relay_as_it_was_before() {
    let mut pair = Pair::new();
    let mut speaker = pair.here.join(pair.room, AES);
    let _listener = pair.there.join(pair.room, AES);
    pair.share();
    for now in [&mut pair.here.now, &mut pair.there.now] {
        *now = Timestamp::from_millis(1_000);
    }
    pair.speak(&mut speaker, 1);
    pair.there.now = Timestamp::from_millis(1_101);
    assert_eq!(pair.take(), Err(DropReason::TooLate), "it waited for 101 ms");
    pair.here.now = pair.there.now;
    pair.speak(&mut speaker, 2);
    pair.there.relay.note_overflow(pair.there.now, 1);
    pair.there.now = pair.there.now + Duration::from_millis(21);
    assert_eq!(pair.take(), Err(DropReason::Behind), "that relay has too much to do");
    let counts = pair.there.relay.stats().limits;
    assert_eq!((counts.media_latency_ms, counts.media_behind_ms), (1, 1));
}

#[test]
fn what_waited_at_the_speakers_relay_does_not_make_the_next_one_shed() {
    let mut pair = Pair::new();
    let mut speaker = pair.here.join(pair.room, AES);
    let listener = pair.there.join(pair.room, AES);
    pair.share();
    for sequence in 1..50 {
        pair.here.now = Timestamp::from_millis(1_000 + 20 * u64::from(sequence));
        pair.there.now = pair.here.now;
        let mut packet = speaker.packet(sequence, b"opus");
        let Fixture { relay, now, .. } = &mut pair.here;
        let mut fanout = relay.handle_datagram(*now, speaker.address, &mut packet);
        let (_, handover) = fanout.take_handover().expect("it is shared");
        let arrival = Timestamp::from_micros(now.as_micros() - 60_000);
        assert!(pair.waiting.push(&Handover { arrival, ..handover }));
        drop(fanout);
        assert_eq!(legs(&pair.take().expect("it is heard")), [listener.leg]);
    }
}

#[test]
fn what_is_not_handed_over_is_counted() {
    let mut pair = Pair::new();
    let mut speaker = pair.here.join(pair.room, AES);
    let _listener = pair.there.join(pair.room, AES);
    pair.share();
    pair.here.speak(&mut speaker, 1);
    assert_eq!(pair.here.drops(DropReason::Unfilled), 1, "a host that knows nothing of it");
    assert_eq!(pair.here.relay.stats().handovers_out, 0);
    let full = RelaySet::EMPTY.with(RelayId(1)).with(RelayId(2));
    pair.here.relay.note_not_handed_over(NOW, speaker.leg, full);
    assert_eq!(pair.here.drops(DropReason::NotHandedOver), 2);
    let view = pair.here.relay.leg_view(speaker.leg).expect("it is open");
    assert_eq!(view.last_unshared, Some((full, NOW)));
    assert_eq!(view.figures.drops.of(DropReason::NotHandedOver), 2);
}

#[test]
fn a_payload_that_no_relay_of_these_limits_took_is_refused() {
    let mut pair = Pair::new();
    let _listener = pair.there.join(pair.room, AES);
    let payload = [7; 1_341];
    let (room, head) = (pair.room, [0; HEAD_BYTES]);
    let handover = Handover { room, arrival: NOW, handed: NOW, head, payload: &payload };
    let fanout = pair.there.relay.handle_handover(NOW, &handover);
    assert_eq!(fanout.drop_reason(), Some(DropReason::TooLarge));
}
