//! A process that may open too few descriptors.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test may panic: that is its verdict"
)]

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use lvsp_core::client::VoiceEvent;

use common::process::Process;
use common::{Chat, SECRET, Voice, dial, wait_for};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

#[test]
fn a_server_without_descriptors_turns_newcomers_away_and_lives_on() {
    let mut shell = std::process::Command::new("sh");
    let server = env!("CARGO_BIN_EXE_lvsp-mio");
    shell.args(["-c", "ulimit -n 24 && exec \"$0\" serve", server]);
    let variables = [("LVSP_CONTROL__SECRET", SECRET), ("LVSP_TLS__OFF", "true")];
    let mut server = Process::start_as(shell, &variables);
    let mut chat = Chat::connect(server.control, SECRET, None);
    let [mut ann, mut bob] = [10, 11].map(|user| {
        let mut voice = Voice::new(dial(server.gateway), chat.place(user, None));
        voice.join();
        voice
    });
    // Some are taken, some are turned away, and the rest wait for the next round.
    let crowd: Vec<_> = (0..40).map(|_| TcpStream::connect(server.gateway).unwrap()).collect();
    for stranger in &crowd {
        stranger.set_read_timeout(Some(Duration::from_millis(2))).unwrap();
    }
    wait_for("one to be turned away", || {
        crowd.iter().any(|mut stranger| matches!(stranger.read(&mut [0]), Ok(0))).then_some(())
    });
    server.wait_for_log("cannot accept connections");
    // Who is in a call does not notice.
    wait_for("a frame", || {
        ann.role.send_frame(b"goes on");
        ann.carry();
        bob.carry();
        matches!(bob.role.poll_event(), Some(VoiceEvent::Frame(_))).then_some(())
    });
    drop(crowd);
    let answer = wait_for("room", || {
        let mut stream = TcpStream::connect(server.gateway).ok()?;
        stream.write_all(REQUEST).ok()?;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).ok().map(|()| answer)
    });
    assert_eq!(&answer, b"HTTP/1.1 426");
    assert!(server.is_running());
}
