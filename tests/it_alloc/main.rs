//! The media path neither allocates nor frees: from `handle_datagram` to the dropped `Fanout`.
//! Packets are made before anything is measured.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test may panic, which is its verdict, and says what it measured"
)]

mod held;
mod worlds;

use std::time::Duration;

use lvsp_benches::Room;
use lvsp_core::crypto::mode::Mode;
use lvsp_core::ids::{RelayId, RelaySet};
use lvsp_core::media::command::RelayCommand;
use lvsp_core::media::{Filled, Flights, Forwarding, Handovers, Outbox, Sent, TransmitBatch};
use lvsp_core::reasons::DropReason;
use lvsp_core::time::Timestamp;
use lvsp_core::wire::discovery;

const WARM_UP: usize = 1_000;
const PACKETS: usize = 10_000;
const LISTENERS: u32 = 100;

#[test]
fn the_media_path_touches_no_heap_in_any_mode() {
    for mode in Mode::ALL {
        let mut room = Room::new(mode, LISTENERS);
        let mut batch = TransmitBatch::new();
        let mut packets: Vec<_> = (0..WARM_UP + PACKETS).map(|_| room.packet()).collect();
        let measured = packets.split_off(WARM_UP);
        let mut others = Others::new(&room);
        for (n, mut packet) in packets.into_iter().enumerate() {
            run(&mut room, n, &mut packet, &mut others, &mut batch);
        }
        while room.relay.poll_event().is_some() {}
        let mut measured = measured;
        let before = room.relay.stats().packets_out;
        let info = allocation_counter::measure(|| {
            for (n, packet) in measured.iter_mut().enumerate() {
                run(&mut room, n, packet, &mut others, &mut batch);
            }
        });
        // Reallocations and frees are counted in `count_total` and in the balance of bytes.
        let figures = (info.count_total, info.count_current, info.bytes_total, info.bytes_current);
        assert_eq!(figures, (0, 0, 0, 0), "{}", mode.name());
        let stats = room.relay.stats();
        let copies = PACKETS as u64 * u64::from(LISTENERS);
        assert_eq!(stats.packets_out - before, copies, "the path was really taken");
        assert!(stats.discovery_replies > 100, "discovery was answered");
        for reason in [DropReason::Replayed, DropReason::UnknownSsrc, DropReason::Unrecognised] {
            assert!(stats.drops.of(reason) > 100, "{} was met", reason.name());
        }
    }
}

#[test]
fn a_packet_is_handed_over_and_taken_without_touching_the_heap() {
    let (mut speaking, mut listening) = (
        Room::new(Mode::Aes256GcmRtpSize, LISTENERS),
        Room::new(Mode::Aes256GcmRtpSize, LISTENERS),
    );
    // The same room at two relays: the one that speaks shares it with the other.
    let others = RelaySet::EMPTY.with(RelayId(1));
    let (room, _) = speaking.relay.shed_by_room().next().expect("it has legs");
    let share = RelayCommand::Share { room, others };
    speaking.relay.handle_command(Timestamp::ZERO, share);
    let mut batch = TransmitBatch::new();
    let mut lists = [Handovers::new(), Handovers::new()];
    let mut packets: Vec<_> = (0..WARM_UP + PACKETS).map(|_| speaking.packet()).collect();
    let mut run = |packets: &mut [Vec<u8>]| {
        for (n, packet) in packets.iter_mut().enumerate() {
            let now = Timestamp::from_millis(n as u64);
            let mut fanout = speaking.relay.handle_datagram(now, speaking.speaker, packet);
            let (_, handover) = fanout.take_handover().expect("it is shared");
            assert!(lists[0].push(&handover), "there is room");
            drop(fanout);
            // Every so often, as a thread that has other things to do.
            if n % 8 == 7 {
                lists.swap(0, 1);
                while let Some(handover) = lists[1].take() {
                    let mut fanout = listening.relay.handle_handover(now, &handover);
                    while let Filled::BatchFull = fanout.fill(&mut batch) {
                        batch.clear();
                    }
                }
                batch.clear();
            }
        }
    };
    let mut measured = packets.split_off(WARM_UP);
    run(&mut packets);
    let info = allocation_counter::measure(|| run(&mut measured));
    let figures = (info.count_total, info.count_current, info.bytes_total, info.bytes_current);
    assert_eq!(figures, (0, 0, 0, 0));
    let (here, there) = (speaking.relay.stats(), listening.relay.stats());
    assert_eq!(here.handovers_out, (WARM_UP + PACKETS) as u64, "they were really handed over");
    // The first leg there is no speaker's: it hears as well.
    assert_eq!(there.packets_out, here.handovers_out * u64::from(LISTENERS + 1));
}

#[test]
fn a_socket_that_refuses_everything_makes_nobody_touch_the_heap() {
    let mut room = Room::new(Mode::Aes256GcmRtpSize, LISTENERS);
    let mut outbox = Outbox::new(Duration::from_millis(100));
    let mut packets: Vec<_> = (0..WARM_UP + PACKETS).map(|_| room.packet()).collect();
    let mut run = |packets: &mut [Vec<u8>]| {
        for (n, packet) in packets.iter_mut().enumerate() {
            let now = Timestamp::from_millis(20 * n as u64);
            let mut late = now;
            // Refused, one by one and all at once, or too late; and now and then as much as is in a
            // batch, and more.
            let mut answers = [Sent::Failed, Sent::Full].into_iter();
            let relay = &mut room.relay;
            let mut forwarding = Forwarding::new(relay, &mut outbox, || now, |_| Sent::Full);
            forwarding.datagram(now, room.speaker, packet);
            if n % 50 != 49 {
                continue;
            }
            if n % 100 == 99 {
                late = now + Duration::from_secs(1);
            }
            let send = |_: Flights<'_>| answers.next().unwrap_or(Sent::Full);
            Forwarding::new(relay, &mut outbox, || late, send).flush();
        }
    };
    let mut measured = packets.split_off(WARM_UP);
    run(&mut packets);
    let info = allocation_counter::measure(|| run(&mut measured));
    let figures = (info.count_total, info.count_current, info.bytes_total, info.bytes_current);
    assert_eq!(figures, (0, 0, 0, 0));
    let drops = &room.relay.stats().drops;
    let lost = [DropReason::SocketFull, DropReason::TooLate].map(|reason| drops.of(reason));
    assert!(lost.iter().all(|lost| *lost > 10_000), "{lost:?}");
    assert_eq!(lost.iter().sum::<u64>(), room.relay.stats().packets_out, "every copy is told of");
    let of_legs = |reason| room.relay.figures().map(|(_, leg)| leg.drops.of(reason)).sum::<u64>();
    assert_eq!([DropReason::SocketFull, DropReason::TooLate].map(of_legs), lost);
}

/// What else arrives at a relay.
struct Others {
    request: [u8; discovery::LEN],
    replay: Vec<u8>,
    scratch: Vec<u8>,
}

impl Others {
    fn new(room: &Room) -> Self {
        let mut request = [0; discovery::LEN];
        discovery::write_request(&mut request, room.listener_ssrc);
        Self { request, replay: Vec::with_capacity(2_048), scratch: Vec::with_capacity(2_048) }
    }
}

/// One packet of the speaker, and now and then something else.
fn run(
    room: &mut Room,
    n: usize,
    packet: &mut [u8],
    others: &mut Others,
    batch: &mut TransmitBatch,
) {
    others.replay.clear();
    others.replay.extend_from_slice(packet);
    let (speaker, listener) = (room.speaker, room.listener);
    room.handle(speaker, packet, batch);
    others.scratch.clear();
    match n % 8 {
        0 => others.scratch.extend_from_slice(&others.request),
        1 => others.scratch.extend_from_slice(&[0x13, 0x37, 0xCA, 0xFE, 1, 2, 3, 4]),
        2 => others.scratch.extend_from_slice(b"garbage that is no packet of any kind"),
        3 => others.scratch.extend_from_slice(&others.replay),
        4 => others.scratch.extend_from_slice(&[0x80; 100]),
        5 => others.scratch.extend_from_slice(&[0; 8]),
        _ => return,
    }
    room.handle(listener, &mut others.scratch, batch);
}
