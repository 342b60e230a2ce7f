//! The media path neither allocates nor frees: from `handle_datagram` to the dropped `Fanout`.
//! Packets are made before anything is measured.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test may panic, which is its verdict, and says what it measured"
)]

mod held;
mod worlds;

use lvsp_benches::Room;
use lvsp_core::crypto::mode::Mode;
use lvsp_core::media::TransmitBatch;
use lvsp_core::reasons::DropReason;
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
