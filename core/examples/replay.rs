//! Feeds recordings to new machines and says whether they answer the same.
//!
//! ```sh
//! lvsp-mio serve --config plain-tcp.toml --record /tmp/recordings
//! cargo run -p lvsp-core --features record --example replay -- /tmp/recordings/*.lvsprec
//! cargo run -p lvsp-core --features record --example replay -- --check
//! ```
//!
//! The last makes a recording of its own, and one that was changed afterwards.
#![allow(
    clippy::disallowed_types,
    clippy::print_stdout,
    reason = "a program that reads files and prints"
)]

use std::process::ExitCode;

use lvsp_core::config::Config;
use lvsp_core::entropy::SeededEntropy;
use lvsp_core::output::Plane;
use lvsp_core::record::{RecordedServer, ReplayError, replay};
use lvsp_core::time::Timestamp;

fn main() -> ExitCode {
    let arguments = std::env::args().skip(1).collect::<Vec<_>>();
    let verdict = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => Err("usage: replay FILE..., or --check".to_owned()),
        ["--check"] => check(),
        ref paths => replay_files(paths),
    };
    match verdict {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            println!("{why}");
            ExitCode::FAILURE
        }
    }
}

/// Says of each file how it went; an error if one went differently.
fn replay_files(paths: &[&str]) -> Result<(), String> {
    let mut failed = 0;
    for path in paths {
        let recording = std::fs::read(path).map_err(|error| error.to_string());
        match recording.and_then(|bytes| replay(&bytes).map_err(|error| error.to_string())) {
            Ok(replayed) => println!(
                "{path}: {} inputs, {} outputs, all equal; {} bytes behind the last whole record",
                replayed.inputs, replayed.outputs, replayed.rest
            ),
            Err(why) => {
                failed += 1;
                println!("{path}: {why}");
            }
        }
    }
    if failed == 0 { Ok(()) } else { Err(format!("{failed} of {} differ", paths.len())) }
}

fn check() -> Result<(), String> {
    let recording = record().map_err(|error| error.to_string())?;
    let replayed = replay(&recording).map_err(|error| format!("FAIL: {error}"))?;
    let mut changed = recording;
    if let Some(last) = changed.last_mut() {
        *last ^= 1;
    }
    match replay(&changed) {
        Err(ReplayError::Diverged { at, .. }) => {
            println!("PASS: {} inputs went the same, a change was found at {at}", replayed.inputs);
            Ok(())
        }
        other => Err(format!("FAIL: a changed recording was replayed: {other:?}")),
    }
}

/// A connection that says something that is no upgrade, and the answer to it.
fn record() -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let config =
        Config::new("voice.example.org:443".to_owned(), vec!["203.0.113.7:50000".parse()?]);
    let (now, entropy) = (Timestamp::ZERO, Box::new(SeededEntropy::new(1)));
    let mut server = RecordedServer::new(config, entropy, now, true)?;
    let conn = server.handle_accept(now, Plane::Gateway, "203.0.113.9:50000".parse()?)?;
    server.handle_bytes(now, conn, b"GET / HTTP/1.1\r\n\r\n");
    while server.poll_output().is_some() {}
    let waiting = server.outbound(conn).len();
    server.consume(now, conn, waiting);
    Ok(server.take_recording())
}
