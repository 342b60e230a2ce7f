//! A voice client that joins a channel and plays a file of Opus frames (`.opus`, as `opusenc` and
//! `ffmpeg -c:a libopus` write it; frames of 20 ms).
//!
//! ```sh
//! cargo run -p lvsp-core --example smallest_host          # prints its secret
//! cargo run -p lvsp-core --example voice_client -- SECRET USER CHANNEL FILE.opus
//! cargo run -p lvsp-core --example voice_client -- --check
//! ```
//!
//! The first plays the chat server of the smallest host as well, to get a ticket for itself. The
//! second starts that host in a thread, writes a file of a second, plays it, and has another client
//! of the same channel compare what it heard.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::missing_errors_doc,
    clippy::print_stdout,
    missing_docs,
    unreachable_pub,
    dead_code,
    reason = "a host owns what the core must not have"
)]

use std::fs::File;
use std::io::{BufReader, Cursor, Read, Seek};
use std::net::SocketAddr;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use lvsp_core::client::{FRAME_INTERVAL, VoiceEvent};
use lvsp_core::ids::{ChannelId, UserId};
use lvsp_core::wire::rtp::SILENCE;
use ogg::{PacketReader, PacketWriteEndInfo, PacketWriter};

#[path = "smallest_host.rs"]
mod smallest_host;
use smallest_host::peers::{Caller, Failure, place};

/// Where `smallest_host` listens for chat servers.
const CONTROL: ([u8; 4], u16) = ([127, 0, 0, 1], 6_000);
const SPEAKING: u8 = 1;

fn main() -> Result<(), Failure> {
    let arguments = std::env::args().skip(1).collect::<Vec<_>>();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--check"] => check(),
        [secret, user, channel, file] => {
            let frames = frames_of_file(Path::new(file))?;
            let (user, channel) = (number(user)?, number(channel)?);
            let (user, channel) =
                UserId::new(user).zip(ChannelId::new(channel)).ok_or("an id of zero")?;
            let (ticket, gateway) = place(SocketAddr::from(CONTROL), secret, user, channel)?;
            let mut caller = Caller::join(ticket, gateway)?;
            println!("playing {} frames", frames.len());
            play(&mut caller, &frames)
        }
        _ => Err("usage: voice_client SECRET USER CHANNEL FILE.opus, or --check".to_owned()),
    }
}

fn number(text: &str) -> Result<u64, Failure> {
    text.parse().map_err(|error| format!("{text:?} is no id: {error}"))
}

/// Sends a frame every 20 ms, and a few of silence, so that listeners hear the end as one.
fn play(caller: &mut Caller, frames: &[Vec<u8>]) -> Result<(), Failure> {
    caller.role.set_speaking(SPEAKING);
    let start = Instant::now();
    let silence = [SILENCE.to_vec(), SILENCE.to_vec(), SILENCE.to_vec()];
    for (frame, count) in frames.iter().chain(&silence).zip(0u32..) {
        // By the clock from the beginning, so that no lateness adds up.
        while start.elapsed() < FRAME_INTERVAL * count {
            caller.turn()?;
        }
        caller.role.send_frame(frame);
    }
    caller.role.set_speaking(0);
    caller.turn().map(drop)
}

// --- the file ---

fn frames_of_file(path: &Path) -> Result<Vec<Vec<u8>>, Failure> {
    let file = File::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
    frames(BufReader::new(file)).map_err(|error| format!("{}: {error}", path.display()))
}

/// The Opus frames of an Ogg file: every packet behind the two headers.
fn frames(file: impl Read + Seek) -> Result<Vec<Vec<u8>>, Failure> {
    let mut reader = PacketReader::new(file);
    let mut packets = Vec::new();
    while let Some(packet) = reader.read_packet().map_err(|error| error.to_string())? {
        packets.push(packet.data);
    }
    if !packets.first().is_some_and(|head| head.starts_with(b"OpusHead")) {
        return Err("this is no Ogg file with Opus in it".to_owned());
    }
    let frames = packets.split_off(packets.len().min(2));
    for (frame, at) in frames.iter().zip(0u32..) {
        let micros = duration_us(frame).ok_or_else(|| format!("frame {at} is empty"))?;
        if micros != 20_000 {
            return Err(format!("frame {at} has {micros} us: encode the file in frames of 20 ms"));
        }
    }
    Ok(frames)
}

/// How long an Opus packet is, by its first bytes (RFC 6716, section 3.1).
fn duration_us(packet: &[u8]) -> Option<u32> {
    let toc = *packet.first()?;
    let one = match toc >> 3 {
        config @ 0..=11 => [10_000, 20_000, 40_000, 60_000][usize::from(config % 4)],
        config @ 12..=15 => [10_000, 20_000][usize::from(config % 2)],
        config => [2_500, 5_000, 10_000, 20_000][usize::from(config % 4)],
    };
    let count = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(packet.get(1)? & 63),
    };
    Some(one * count)
}

// --- the check ---

/// Everything that is said: an Opus header byte of 20 ms and a number.
fn said() -> Vec<Vec<u8>> {
    (0..50u8).map(|number| vec![0xFC, number, number ^ 0x55]).collect()
}

/// A file as an encoder writes it.
fn made_up_file() -> Result<Vec<u8>, Failure> {
    let mut file = Cursor::new(Vec::new());
    let mut writer = PacketWriter::new(&mut file);
    let head = b"OpusHead\x01\x02\x00\x00\x80\xbb\x00\x00\x00\x00\x00".to_vec();
    let tags = b"OpusTags\x00\x00\x00\x00\x00\x00\x00\x00".to_vec();
    for packet in [head, tags] {
        writer.write_packet(packet, 1, PacketWriteEndInfo::EndPage, 0).map_err(text)?;
    }
    for (frame, at) in said().into_iter().zip(1u64..) {
        let end =
            if at == 50 { PacketWriteEndInfo::EndStream } else { PacketWriteEndInfo::NormalPacket };
        writer.write_packet(frame, 1, end, 960 * at).map_err(text)?;
    }
    Ok(file.into_inner())
}

fn text(error: impl std::fmt::Display) -> Failure {
    error.to_string()
}

fn check() -> Result<(), Failure> {
    const SECRET: &str = "an example secret of more than 32 bytes";
    let mut host = smallest_host::Host::bind(SECRET, 0, 0, 0)?;
    let [control, _] = host.addresses().map_err(text)?;
    // It serves until the process ends.
    thread::spawn(move || while host.turn().is_ok() {});

    let channel = ChannelId::new(7).ok_or("an id of zero")?;
    let join = |user| {
        let user = UserId::new(user).ok_or("an id of zero")?;
        let (ticket, gateway) = place(control, SECRET, user, channel)?;
        Caller::join(ticket, gateway)
    };
    let (mut player, mut listener) = (join(1)?, join(2)?);
    let listening = thread::spawn(move || listen(&mut listener));
    play(&mut player, &frames(Cursor::new(made_up_file()?))?)?;
    let heard = listening.join().map_err(|_| "FAIL: the listener panicked")??;
    if heard != said() {
        return Err(format!("FAIL: {} frames heard, and not those of the file", heard.len()));
    }
    println!("PASS: the listener heard all {} frames of the file, in order", heard.len());
    Ok(())
}

/// What is heard until the silence at the end.
fn listen(listener: &mut Caller) -> Result<Vec<Vec<u8>>, Failure> {
    let until = Instant::now() + Duration::from_secs(30);
    let mut heard = Vec::new();
    while Instant::now() < until {
        match listener.turn()? {
            Some(VoiceEvent::Frame(frame)) if frame.payload == SILENCE => return Ok(heard),
            Some(VoiceEvent::Frame(frame)) => heard.push(frame.payload),
            _ => {}
        }
    }
    Ok(heard)
}
