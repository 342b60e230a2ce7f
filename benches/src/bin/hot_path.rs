//! Does one thing of the hot path over and over, for a counter of instructions:
//! `benches/instructions.sh` runs it twice under callgrind, and the difference is the price.

use std::hint::black_box;
use std::process::ExitCode;
use std::time::Duration;

use lvsp_benches::Room;
use lvsp_core::crypto::mode::Mode;
use lvsp_core::media::{Filled, Outbox, Sent};
use lvsp_core::time::Timestamp;
use lvsp_core::wire::gateway::ClientMessage;
use lvsp_core::wire::lvsp::ChatMessage;

const LISTENERS: u32 = 100;
const DEPTH: usize = 16;

/// Does its thing so many times.
type Case = fn(u32);

/// What can be counted.
const CASES: &[(&str, Case)] = &[
    ("forward_aes", |rounds| forward(Mode::Aes256GcmRtpSize, 1, rounds)),
    ("forward_aes_joined", |rounds| forward(Mode::Aes256GcmRtpSize, 2, rounds)),
    ("forward_xchacha", |rounds| forward(Mode::XChaCha20Poly1305RtpSize, 1, rounds)),
    ("stranger", stranger),
    ("gateway_speaking", |rounds| {
        let text = r#"{"op":5,"d":{"speaking":1,"delay":0,"ssrc":305419896}}"#;
        (0..rounds).for_each(|_| drop(black_box(ClientMessage::parse(black_box(text), DEPTH))));
    }),
    ("lvsp_heartbeat", |rounds| {
        let text = r#"{"op":4,"d":{"s":17}}"#;
        (0..rounds).for_each(|_| drop(black_box(ChatMessage::parse(black_box(text), DEPTH))));
    }),
];

/// Packets of one speaker to [`LISTENERS`], `together` at a time into the outbox.
fn forward(mode: Mode, together: u32, rounds: u32) {
    let mut room = Room::new(mode, LISTENERS);
    let mut outbox = Outbox::new(Duration::from_secs(1));
    let mut now = Timestamp::from_millis(1_000);
    for _ in 0..rounds {
        for _ in 0..together {
            now = now + Duration::from_millis(20);
            let mut packet = room.packet();
            let mut fanout = room.relay.handle_datagram(now, room.speaker, &mut packet);
            assert_eq!(outbox.fill(now, |batch| fanout.fill(batch)), Filled::Done);
        }
        let mut datagrams = 0;
        let unsent = outbox.send(
            || now,
            |flights| {
                let count = flights.len();
                datagrams +=
                    flights.map(|flight| black_box(flight.datagrams()).len()).sum::<usize>();
                Sent::Some(count)
            },
        );
        assert_eq!((datagrams as u32, unsent.refused), (together * LISTENERS, 0));
    }
}

/// Datagrams that name no session.
fn stranger(rounds: u32) {
    let mut room = Room::new(Mode::Aes256GcmRtpSize, LISTENERS);
    let mut outbox = Outbox::new(Duration::from_secs(1));
    let now = Timestamp::from_millis(1_000);
    for _ in 0..rounds {
        let mut packet = [0x80; 200];
        let mut fanout = room.relay.handle_datagram(now, room.speaker, &mut packet);
        assert_eq!(outbox.fill(now, |batch| fanout.fill(batch)), Filled::Done);
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, rounds] = &arguments[..] else { return usage() };
    let case = CASES.iter().find(|(known, _)| known == name);
    let (Some((_, case)), Ok(rounds)) = (case, rounds.parse()) else { return usage() };
    case(rounds);
    ExitCode::SUCCESS
}

#[expect(clippy::print_stderr, clippy::print_stdout, reason = "it is a program")]
fn usage() -> ExitCode {
    eprintln!("hot_path CASE ROUNDS, where CASE is one of");
    CASES.iter().for_each(|(name, _)| println!("{name}"));
    ExitCode::FAILURE
}
