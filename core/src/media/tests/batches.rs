//! What does not fit into a batch or a socket, what comes too late, and what a relay sheds that is
//! behind.

use std::time::Duration;

use super::*;

#[test]
fn a_full_batch_is_continued_without_loss_or_repetition() {
    let mut fixture = Fixture::new();
    let room = fixture.room();
    let mut speaker = fixture.join(room, AES);
    let listeners: Vec<_> = (0..10).map(|_| fixture.join(room, AES)).collect();
    let mut packet = speaker.packet(1, b"opus");
    let mut batch = TransmitBatch::with_capacity(0, 3);
    let mut fanout = fixture.relay.handle_datagram(NOW, speaker.address, &mut packet);
    let mut receivers = Vec::new();
    loop {
        let filled = fanout.fill(&mut batch);
        receivers.extend(batch.entries().map(|sent| sent.leg));
        batch.clear();
        if filled == Filled::Done {
            break;
        }
    }
    assert_eq!(fanout.fill(&mut batch), Filled::Done);
    assert!(batch.is_empty());
    drop(fanout);
    assert_eq!(receivers, listeners.iter().map(|client| client.leg).collect::<Vec<_>>());
    assert_eq!(fixture.drops(DropReason::Unfilled), 0);
}

#[test]
fn what_is_not_filled_or_not_sent_is_counted() {
    let mut fixture = Fixture::new();
    let room = fixture.room();
    let mut speaker = fixture.join(room, AES);
    let listeners: [_; 5] = std::array::from_fn(|_| fixture.join(room, AES));
    let mut packet = speaker.packet(1, b"opus");
    let mut batch = TransmitBatch::with_capacity(0, 2);
    let mut fanout = fixture.relay.handle_datagram(NOW, speaker.address, &mut packet);
    assert_eq!(fanout.fill(&mut batch), Filled::BatchFull);
    drop(fanout);
    assert_eq!(fixture.drops(DropReason::Unfilled), 3);
    let mut request = request(speaker.ssrc);
    drop(fixture.relay.handle_datagram(NOW, speaker.address, &mut request));
    assert_eq!(fixture.drops(DropReason::Unfilled), 4);
    for _ in 0..2 {
        fixture.relay.note_unsent(NOW, listeners[0].leg);
    }
    fixture.relay.note_too_late(NOW, listeners[1].leg);
    assert_eq!(fixture.drops(DropReason::SocketFull), 2);
    assert_eq!(fixture.drops(DropReason::TooLate), 1);
    let counts = listeners.map(|listener| {
        let view = fixture.relay.leg_view(listener.leg).expect("it is open");
        let last = view.last_unsent.map(|last| last.reason);
        let drops = view.figures.drops;
        (drops.of(DropReason::SocketFull), drops.of(DropReason::TooLate), last)
    });
    let (full, late) = (Some(DropReason::SocketFull), Some(DropReason::TooLate));
    assert_eq!(counts[..3], [(2, 0, full), (0, 1, late), (0, 0, None)]);
}

#[test]
fn late_voice_is_dropped_and_a_late_discovery_request_is_answered() {
    let mut fixture = Fixture::new();
    let room = fixture.room();
    let mut speaker = fixture.join(room, AES);
    let _listener = fixture.join(room, AES);
    let mut packet = speaker.packet(1, b"opus");
    let age = Duration::from_millis(101);
    let fanout = fixture.relay.handle_aged_datagram(NOW, age, speaker.address, &mut packet);
    assert_eq!(fanout.drop_reason(), Some(DropReason::TooLate));
    drop(fanout);
    assert_eq!(fixture.relay.stats().packets_in, 0, "it was not opened");

    let newcomer = fixture.open(room, AES);
    let mut request = request(newcomer.ssrc);
    let mut fanout = fixture.relay.handle_aged_datagram(NOW, age, newcomer.address, &mut request);
    assert_eq!(fanout.fill(&mut fixture.batch), Filled::Done);
    assert_eq!(fixture.batch.len(), 1);
}

#[test]
fn a_relay_that_is_behind_drops_what_waited_too_long_unopened() {
    let mut fixture = Fixture::new();
    let room = fixture.room();
    let mut speaker = fixture.join(room, AES);
    let _listener = fixture.join(room, AES);
    let age = Duration::from_millis(50);
    let mut packet = speaker.packet(1, b"opus");
    let heard = fixture.relay.handle_aged_datagram(NOW, age, speaker.address, &mut packet);
    assert_eq!(heard.drop_reason(), None, "one that waited is no sign");
    drop(heard);
    fixture.relay.note_overflow(NOW, 7);
    let mut packet = speaker.packet(2, b"opus");
    let dropped = fixture.relay.handle_aged_datagram(NOW, age, speaker.address, &mut packet);
    assert_eq!(dropped.drop_reason(), Some(DropReason::Behind));
    drop(dropped);
    let shed: Vec<_> = fixture.relay.shed_by_room().collect();
    assert_eq!(shed, [(room, 1)]);
    let stats = fixture.relay.stats();
    assert_eq!((stats.packets_in, stats.overflows), (1, 7));
    let mut news = std::iter::from_fn(|| fixture.relay.poll_event());
    assert_eq!(news.next(), Some(RelayEvent::Behind));
    assert!(!news.any(|event| event == RelayEvent::Behind), "told once");
}
