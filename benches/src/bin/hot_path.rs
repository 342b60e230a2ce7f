//! Does one thing of the hot path over and over, for a counter of instructions:
//! `benches/instructions.sh` runs it twice under callgrind, and the difference is the price.

use std::hint::black_box;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use lvsp_benches::Room;
use lvsp_core::crypto::mode::Mode;
use lvsp_core::media::{Flights, Forwarding, Outbox, Sent};
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
    ("stray", stray),
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
            let mut forwarding = Forwarding::new(&mut room.relay, &mut outbox, || now, send);
            forwarding.datagram(now, room.speaker, &mut packet);
        }
        let mut datagrams = 0;
        let forwarding = Forwarding::new(
            &mut room.relay,
            &mut outbox,
            || now,
            |flights| {
                datagrams += flights.clone().map(|flight| flight.len()).sum::<usize>();
                send(flights)
            },
        );
        forwarding.flush();
        assert_eq!(datagrams as u32, together * LISTENERS);
    }
}

/// As a socket that takes everything.
fn send(flights: Flights<'_>) -> Sent {
    let count = flights.len();
    flights.for_each(|flight| drop(black_box(flight.datagrams())));
    Sent::Some(count)
}

/// Datagrams that name no session, from where nobody is.
fn stranger(rounds: u32) {
    let room = Room::new(Mode::Aes256GcmRtpSize, LISTENERS);
    let mut elsewhere = room.speaker;
    elsewhere.set_port(room.speaker.port().wrapping_add(10_000));
    unknown_ssrc(room, elsewhere, rounds);
}

/// The same from where somebody is: its client writes a wrong SSRC.
fn stray(rounds: u32) {
    let room = Room::new(Mode::Aes256GcmRtpSize, LISTENERS);
    let speaker = room.speaker;
    unknown_ssrc(room, speaker, rounds);
}

fn unknown_ssrc(mut room: Room, from: SocketAddr, rounds: u32) {
    let mut outbox = Outbox::new(Duration::from_secs(1));
    let now = Timestamp::from_millis(1_000);
    for _ in 0..rounds {
        let mut forwarding = Forwarding::new(&mut room.relay, &mut outbox, || now, send);
        forwarding.datagram(now, from, &mut [0x80; 200]);
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
